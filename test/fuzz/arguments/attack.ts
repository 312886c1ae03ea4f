/**
 * A call of something public with hostile arguments. In: what the compiler says is public; for each call arguments that fit, some of them
 * replaced. What must hold: it works, or it throws (or rejects with) an error of the library with a code; what callbacks and getters of the
 * user throw comes through; nothing hangs, takes gigabytes or is left unhandled.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { withBackend } from '../../../src/backend/select.js'
import { anomaly, ChainruleError, manualSeed, tensor } from '../../../src/index.js'
import type { backends } from '../../support/backends.js'
import { callableAt, sampleArguments } from '../../support/samples.js'
import { type Callable, publicSurface } from '../../support/surface.js'
import { Random } from '../frame/random.js'
import { fitting } from './fitting.js'
import { hostile, OwnError } from './hostile.js'

/** A value of the catalogue and where it stands: the argument, and the place in it. */
export interface Edit {
  readonly at: readonly (number | string)[]
  readonly value: string
}

export interface Attack {
  readonly path: string
  readonly kind: Callable['kind']
  /** Draws the arguments of callables without a sample. */
  readonly draw: number
  readonly edits: readonly Edit[]
  readonly backend: (typeof backends)[number]
}

/** Constructors of errors are JavaScript's own, and so is what a promise does with callbacks. */
const elsewhere = /Error$|^Fit\.(then|catch|finally)$/

let found: readonly Callable[] | undefined

/** What is attacked, by path. */
export function surface(): readonly Callable[] {
  found ??= publicSurface().filter(({ path }) => !elsewhere.test(path))
  return found
}

export const names = Object.keys(hostile)

export function argumentsOf(callable: Callable, draw: number): unknown[] {
  const sample = sampleArguments(callable.path)
  if (sample !== undefined) return sample
  const args = fitting(callable, new Random(draw, 0))
  // the function of the same name takes the tensor first
  return args
}

/** Sets a value at a place; lists and options objects on the way are copied, and made where there are none. */
function withEdit(into: unknown, [first, ...rest]: Edit['at'], value: unknown): unknown {
  if (first === undefined) return value
  if (Array.isArray(into) || (into === undefined && typeof first === 'number')) {
    // by what there is: spreading an array of 2^31 holes takes minutes
    const copy: unknown[] = Array.isArray(into) ? Object.assign([], into) : []
    // what no array can have is no argument either
    if (first === 'length') return copy
    copy[first as number] = withEdit(copy[first as number], rest, value)
    return copy
  }
  return { ...(into as object), [first]: withEdit((into as Record<string, unknown> | undefined)?.[first], rest, value) }
}

let rejected: unknown
const folder = join(tmpdir(), `chainrule-arguments-${process.pid}`)

/** Once in the process of the cases: files go to a folder of their own, nothing to the network, and rejections nobody handles are noted. */
function prepare(): void {
  if (process.env.CHAINRULE_DATA === folder) return
  mkdirSync(folder, { recursive: true })
  process.chdir(folder)
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  Object.assign(process.env, { CHAINRULE_DATA: folder, XDG_CACHE_HOME: folder, CHAINRULE_HINTS: '0' })
  globalThis.fetch = () => Promise.reject(new TypeError('there is no network'))
  process.removeAllListeners('warning')
  process.on('unhandledRejection', (error) => {
    rejected ??= error ?? new Error('nothing')
  })
}

/** What is wrong with an error, if anything is. */
function wrong(error: unknown): string | undefined {
  if (error instanceof OwnError) return undefined
  if (!(error instanceof ChainruleError)) return 'an error that is not the library’s'
  if (typeof error.code !== 'string' || !/^ERR_[A-Z0-9_]+$/.test(error.code)) return `the code ${String(error.code)}`
  if (error.message.length < 10 || error.message.length > 20_000) return `a message of ${error.message.length} characters`
  if (/bug in chainrule/.test(error.message)) return 'an error that calls itself a bug'
  return undefined
}

/** Looks at a result as a program would. */
async function use(result: unknown): Promise<unknown> {
  // the timer keeps the process alive, which would end where nothing else is left to wait for
  let timer: NodeJS.Timeout | undefined
  const settled = await Promise.race([result, new Promise((resolve) => void (timer = setTimeout(resolve, 500)))]).finally(() =>
    clearTimeout(timer),
  )
  inspect(settled)
  if (typeof settled === 'function' && !/^class\b/.test(Function.prototype.toString.call(settled))) {
    const call = settled as { (x: unknown): unknown; sync?(x: unknown): unknown }
    return call.sync === undefined ? await call(tensor([1, 2])) : call.sync(tensor([1, 2]))
  }
  return settled
}

async function attack(c: Attack): Promise<void> {
  const callable = surface().find(({ path, kind }) => path === c.path && kind === c.kind)
  if (callable === undefined) throw new Error(`${c.path} is no more`)
  let args = argumentsOf(callable, c.draw)
  for (const { at, value } of c.edits) args = withEdit(args, at, hostile[value]()) as unknown[]
  await use(callableAt(c.path, c.kind)(...args))
}

const gigabyte = 2 ** 30

export async function check(c: Attack): Promise<void> {
  prepare()
  rejected = undefined
  manualSeed(1)
  const before = process.memoryUsage.rss()
  try {
    await withBackend(c.backend, () => attack(c))
  } catch (error) {
    const what = wrong(error)
    if (what !== undefined) throw new Error(`${what}: ${String((error as Error)?.stack ?? error)}`, { cause: error })
  } finally {
    anomaly(false)
  }
  await new Promise(setImmediate)
  if (rejected !== undefined && !(rejected instanceof OwnError))
    throw new Error(`a rejection that nobody handles: ${String((rejected as Error).stack ?? rejected)}`)
  const grown = process.memoryUsage.rss() - before
  if (grown > gigabyte) throw new Error(`${(grown / gigabyte).toFixed(1)} GB more`)
}

export function* shrink(c: Attack): Iterable<Attack> {
  for (let i = 0; i < c.edits.length; i++) yield { ...c, edits: c.edits.filter((_, k) => k !== i) }
  for (const [i, edit] of c.edits.entries())
    for (const value of ['symbol', 'null', 'bare object', 'minus one'])
      if (names.indexOf(edit.value) > names.indexOf(value)) yield { ...c, edits: c.edits.map((e, k) => (k === i ? { ...e, value } : e)) }
}

export function print(c: Attack): string {
  const lines = c.edits.map(
    ({ at, value }) => `//   argument ${at.join('.')}: ${hostile[value].toString().replace(/\s+/g, ' ').slice(0, 200)}`,
  )
  return [`// test/fuzz/arguments.ts: ${c.path} (${c.kind}) on ${c.backend}`, ...lines, `check(${JSON.stringify(c)})`].join('\n')
}
