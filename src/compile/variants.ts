/**
 * The programs of one compiled function, the least recently used of which go when all of them take too much memory. In: arguments of a call, programs.
 * Out: the program for a call.
 */
import { ArgumentError, showValue } from '../base/errors.js'
import type { FlatArguments } from './arguments.js'
import type { Entry } from './entry.js'

/** What programs of one function may take together, if nothing else is said. */
const usualBytes = 256 * 2 ** 20

/** The option `cacheBytes` of a function that compiles, or what it is by default. */
export function checkCacheBytes(op: string, bytes: number | undefined = usualBytes): number {
  if (typeof bytes === 'number' && bytes >= 0) return bytes
  throw new ArgumentError('ERR_CACHE_BYTES', `${op}: cacheBytes is a number of bytes from 0, or Infinity, received ${showValue(bytes)}.`)
}

function keyOf({ tensors }: FlatArguments): string {
  let key = ''
  for (const { dtype, shape } of tensors) key += `${dtype}${shape.join()};`
  return key
}

interface Variant {
  readonly entry: Entry
  readonly key: string
  /** When it was last used, in calls that were not the same as the one before. */
  used: number
}

export class Variants {
  private readonly byShapes = new Map<string, Variant[]>()
  private latest: Variant | undefined
  private clock = 0
  private count = 0

  constructor(readonly most: number) {}

  get size(): number {
    return this.count
  }

  find(args: FlatArguments): Entry | undefined {
    const { latest } = this
    if (latest?.entry.matches(args)) return latest.entry
    const found = this.byShapes.get(keyOf(args))?.find((v) => v !== latest && v.entry.matches(args))
    if (found === undefined) return undefined
    this.use(found)
    return found.entry
  }

  /** Those for arguments of the same shapes. */
  ofSameShapes(args: FlatArguments): Entry[] {
    return (this.byShapes.get(keyOf(args)) ?? []).map((v) => v.entry)
  }

  /** Adds what `find` did not find; it may still be building. */
  add(args: FlatArguments, entry: Entry): void {
    const variant = { entry, key: keyOf(args), used: 0 }
    const list = this.byShapes.get(variant.key)
    if (list === undefined) this.byShapes.set(variant.key, [variant])
    else list.push(variant)
    this.count++
    this.use(variant)
  }

  /** Drops what takes too much memory since one more was built, but for the newest. Returns what that was, and how long it took to compile. */
  trim(): { count: number; bytes: number; milliseconds: number } {
    const oldest = [...this.byShapes.values()].flat().sort((a, b) => a.used - b.used)
    let bytes = oldest.reduce((sum, v) => sum + v.entry.bytes, 0)
    const gone = { count: 0, bytes: 0, milliseconds: 0 }
    for (const v of oldest.slice(0, -1)) {
      if (bytes <= this.most) break
      if (v.entry.building) continue
      this.drop(v)
      bytes -= v.entry.bytes
      gone.count++
      gone.bytes += v.entry.bytes
      gone.milliseconds += v.entry.took
    }
    return gone
  }

  /** Forgets what could not be built. */
  remove(entry: Entry): void {
    for (const v of [...this.byShapes.values()].flat()) if (v.entry === entry) this.drop(v)
    if (this.latest?.entry === entry) this.latest = undefined
  }

  private use(variant: Variant): void {
    variant.used = ++this.clock
    this.latest = variant
  }

  private drop(variant: Variant): void {
    const rest = (this.byShapes.get(variant.key) ?? []).filter((v) => v !== variant)
    if (rest.length === 0) this.byShapes.delete(variant.key)
    else this.byShapes.set(variant.key, rest)
    this.count--
  }
}
