/**
 * Random hostile arguments for every public function, constructor and method, on both backends. In: what the compiler says is public; for
 * each call arguments that fit, one or two of them replaced. What must hold: it works, or it throws (or rejects with) an error of the
 * library with a code; what callbacks and getters of the user throw comes through; nothing hangs, takes gigabytes or is left unhandled.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { withBackend } from '../../src/backend/select.js'
import { anomaly, ChainruleError, manualSeed, tensor } from '../../src/index.js'
import { backends } from '../support/backends.js'
import { callableAt, sampleArguments } from '../support/samples.js'
import { type Callable, publicSurface } from '../support/surface.js'
import { fitting } from './arguments/fitting.js'
import { hostile, OwnError } from './arguments/hostile.js'
import type { Fuzzer } from './frame/fuzzer.js'
import { Random } from './frame/random.js'

/** A value of the catalogue and where it stands: the argument, and the place in it. */
interface Edit {
  readonly at: readonly (number | string)[]
  readonly value: string
}

interface Attack {
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

const names = Object.keys(hostile)

function argumentsOf(callable: Callable, draw: number): unknown[] {
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
    const copy = Array.isArray(into) ? [...into] : []
    // what no array can have is no argument either
    if (first === 'length') return copy
    copy[first as number] = withEdit(copy[first as number], rest, value)
    return copy
  }
  return { ...(into as object), [first]: withEdit((into as Record<string, unknown> | undefined)?.[first], rest, value) }
}

function place(callable: Callable, args: readonly unknown[], random: Random): Edit['at'] {
  const most = Math.max(args.length, ...callable.parameters.map((list) => list.length))
  const options = callable.options.length === 0 || random.chance(0.5) ? undefined : random.pick(callable.options)
  if (options !== undefined) return [options.argument, ...options.within, random.pick(options.names)]
  const argument = random.int(0, random.chance(0.1) ? most : Math.max(0, most - 1))
  const list = args[argument]
  return Array.isArray(list) && list.length > 0 && random.chance(0.4) ? [argument, random.int(0, list.length - 1)] : [argument]
}

function generate(random: Random): Attack {
  const callable = random.pick(surface())
  const draw = random.int(0, 2 ** 30)
  const args = argumentsOf(callable, draw)
  const count = random.pick([0, 1, 1, 1, 1, 1, 2, 2, 3])
  const edits = Array.from({ length: count }, () => ({ at: place(callable, args, random), value: random.pick(names) }))
  return { path: callable.path, kind: callable.kind, draw, edits, backend: random.pick(backends) }
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
  const settled = await Promise.race([result, new Promise((resolve) => setTimeout(resolve, 500, undefined).unref())])
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

async function check(c: Attack): Promise<void> {
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

function* shrink(c: Attack): Iterable<Attack> {
  for (let i = 0; i < c.edits.length; i++) yield { ...c, edits: c.edits.filter((_, k) => k !== i) }
  for (const [i, edit] of c.edits.entries())
    for (const value of ['symbol', 'null', 'bare object', 'minus one'])
      if (names.indexOf(edit.value) > names.indexOf(value)) yield { ...c, edits: c.edits.map((e, k) => (k === i ? { ...e, value } : e)) }
}

function print(c: Attack): string {
  const lines = c.edits.map(
    ({ at, value }) => `//   argument ${at.join('.')}: ${hostile[value].toString().replace(/\s+/g, ' ').slice(0, 200)}`,
  )
  return [`// test/fuzz/arguments.ts: ${c.path} (${c.kind}) on ${c.backend}`, ...lines, `check(${JSON.stringify(c)})`].join('\n')
}

export const fuzzer: Fuzzer<Attack> = {
  name: 'arguments',
  about: 'hostile arguments for everything public give a result or an error of the library, and nothing else',
  // the first case may ask the compiler what is public
  patience: 60,
  generate,
  check,
  shrink,
  print,
}
