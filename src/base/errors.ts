/**
 * The errors of chainrule: a class for what kind of mistake it is and a stable `code` for programs to test.
 * Messages read `op: rule: the values received. What to do.` Also how messages show values, and the user's line.
 */
import { types } from 'node:util'

/** Base class of every error the library throws on purpose. */
export class ChainruleError extends Error {
  /** Stable identifier, for example `ERR_SHAPE_MISMATCH`. */
  readonly code: string
  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(bounded(message), options)
    this.code = code
    this.name = new.target.name
  }
}

/** Shapes that do not fit the operation. */
export class ShapeError extends ChainruleError {}
/** Element types that do not fit the operation. */
export class DTypeError extends ChainruleError {}
/** Any other argument that is out of its range or of the wrong kind. */
export class ArgumentError extends ChainruleError {}
/** Data (files, labels, buffers) that is malformed, truncated or out of range. */
export class DataError extends ChainruleError {}
/** A call that is not allowed at this moment: disposed tensors, reading inside `compile`, double backward. */
export class StateError extends ChainruleError {}
/** A missing or impossible gradient. */
export class GradientError extends ChainruleError {}
/** The native binary could not be loaded, or refused to run. */
export class BackendError extends ChainruleError {}

/** Paths and names may be as long as they like; what is said of them stands at the beginning and at the end. */
function bounded(message: string): string {
  return message.length <= 10_000 ? message : `${message.slice(0, 4000)} … ${message.slice(-1000)}`
}

/** A message is to be read: of longer texts it shows the beginning. */
const longestShown = 200

function shorten(text: string): string {
  return text.length <= longestShown ? text : `${text.slice(0, longestShown)}…`
}

/** How an error message shows anything at all, also what cannot become text. */
export function showValue(x: unknown): string {
  try {
    if (Array.isArray(x)) return showList(x)
    if (typeof x === 'string') return `'${shorten(x)}'`
    if (typeof x === 'function') return /^class\b/.test(Function.prototype.toString.call(x)) ? `the class ${x.name}` : 'a function'
    if (typeof x === 'symbol') return 'a symbol'
    if (ArrayBuffer.isView(x)) return shorten(`${showClass(x)} of ${x.byteLength} bytes`)
    return shorten(String(x))
  } catch {
    return 'an object'
  }
}

function showList(list: readonly unknown[]): string {
  const parts = list.slice(0, 8).map((part) => (Array.isArray(part) ? '[…]' : showValue(part)))
  return `[${parts.join(', ')}${list.length > 8 ? ', …' : ''}]`
}

/** How an error message names the kind of a value. */
export function showKind(x: unknown): string {
  if (x === null) return 'null'
  if (Array.isArray(x)) return 'an array'
  return types.isPromise(x) ? 'a promise (await it)' : typeof x
}

/** How an error message shows a shape: `[128, 784]`. */
export function showShape(shape: readonly number[]): string {
  return shape.length <= 8 || shape.length > 64 ? showValue(shape) : `[${shape.map(showValue).join(', ')}]`
}

/** Constructors of optimizer groups are called with a name, which may be anything at all. */
const showOp = (op: unknown): string => (typeof op === 'string' ? op : showValue(op))

/** Objects that hold what they hold elsewhere than in named properties, so that nothing in them would be found. */
const isPlain = (x: object): boolean => {
  const prototype = Object.getPrototypeOf(x)
  return prototype === Object.prototype || prototype === null || Object.prototype.toString.call(x) === '[object Object]'
}

/** Checks that something is an object with named properties: no array, map, promise and the like. */
export function checkObject(op: string, options: unknown, names: readonly string[] = []): asserts options is object {
  if (typeof options === 'object' && options !== null && !Array.isArray(options) && isPlain(options)) return
  const received = typeof options === 'object' && options !== null && !Array.isArray(options) ? showClass(options) : showValue(options)
  // a dimension has a place of its own, and a tensor to write into is no number
  const likely = names.find((name) => name !== 'dim' && name !== 'out')
  const named = likely !== undefined && ['number', 'boolean', 'string'].includes(typeof options)
  const remedy = named ? ` Name it, for example { ${likely}: ${received} }.` : ''
  throw new ArgumentError('ERR_OPTIONS', `${showOp(op)}: options are an object, received ${received}.${remedy}`)
}

/** How an error message shows an instance: `a Map`. */
function showClass(x: object): string {
  const name = Object.prototype.toString.call(x).slice(8, -1)
  return `${/^[AEIOU]/.test(name) ? 'an' : 'a'} ${name}${types.isPromise(x) ? ' (await it)' : ''}`
}

/** The names of all options of `O`; `tsc` finds one that is missing. */
export type OptionNames<O> = { readonly [K in keyof O]-?: true }

/**
 * Checks that options are an object, as everything that takes some expects, and that nothing in it would be passed over in silence: names in
 * PyTorch's spelling, misspelt ones and any other than `names`. Modules of your own can use it as well.
 *
 *     checkOptions('Encoder', options, { hidden: true, dropout: true })
 *
 * @throws ArgumentError `ERR_OPTIONS` naming the nearest name.
 */
export function checkOptions<O>(op: string, options: O, names: OptionNames<NoInfer<O>>): void {
  if (typeof options !== 'object') checkObject(op, options, Object.keys(names ?? {}))
  checkObject(op, options)
  for (const name in options) if (!Object.hasOwn(names ?? {}, name)) throw unknownOption(op, name, Object.keys(names ?? {}))
}

function unknownOption(op: string, name: string, names: readonly string[]): ArgumentError {
  const camel = name.replace(/_+(\w)/g, (_, letter: string) => letter.toUpperCase())
  const near = names.includes(camel) ? camel : nearest(name, names)
  const guess = near === undefined ? '' : ` Did you mean ${near}?`
  const remedy = near === camel && camel !== name ? `Write ${near}.` : `Known: ${names.join(', ')}.${guess}`
  return new ArgumentError('ERR_OPTIONS', `${showOp(op)}: unknown option ${showValue(name)}. ${remedy}`)
}

/** The name that differs least, where few letters do, or that begins or ends the given one or the other way round. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const given = name.toLowerCase()
  const limit = Math.max(1, Math.floor(Math.min(given.length, 24) / 3))
  const ranked = names
    .map((known) => ({ known, distance: editDistance(given.slice(0, 24), known.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
  if (ranked.length > 0 && ranked[0].distance <= limit) return ranked[0].known
  if (given.length < 3) return undefined
  return names.find((known) => {
    const other = known.toLowerCase()
    return other.startsWith(given) || other.endsWith(given) || given.startsWith(other) || given.endsWith(other)
  })
}

/** Letters to insert, drop or replace. Source: Levenshtein 1966. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)))
    row = next
  }
  return row[b.length]
}

/** The stack of the caller, deep enough to reach the user's code from inside nested modules. */
export function deepStack(): string | undefined {
  return deepError().stack
}

/** What holds that stack: as text only when asked for, which costs far more than noting it. */
export function deepError(): Error {
  const before = Error.stackTraceLimit
  Error.stackTraceLimit = 64
  const made = new Error()
  Error.stackTraceLimit = before
  return made
}

/** The file of a line of a stack. */
function fileOf(line: string): string | undefined {
  const found = /(?:\(|at (?:async )?)([^()]+):\d+:\d+\)?$/.exec(line)?.[1]
  return found?.replace('file://', '').replaceAll('\\', '/')
}

/** How the library's files begin: a directory of sources, dist/chainrule.*, or the one file of a user's bundle. */
function ownPlace(): string {
  const file = fileOf(new Error().stack?.split('\n')[1] ?? '') ?? ''
  return file.replace(/\/base\/errors\.ts$/, '/').replace(/\/chainrule\.cjs$/, '/chainrule.')
}

let own: string | undefined

/** The first line of a stack outside the library, as text to append to a message; empty where there is none. */
export function userLine(stack: string | undefined): string {
  own ??= ownPlace()
  const place = own
  const line = stack?.split('\n').find((l) => {
    const file = fileOf(l)
    return file !== undefined && !file.startsWith('node:') && !file.startsWith(place)
  })
  return line === undefined ? '' : ` (${line.trim()})`
}

/** Whether something is a number: comparing a symbol, a BigInt or a bare object with one would throw. */
export function isNumber(x: unknown): x is number {
  return typeof x === 'number'
}

/** Checks an argument that has to be an AbortSignal, where there is one. */
export function checkSignal(op: string, signal: unknown): void {
  if (signal === undefined || signal instanceof AbortSignal) return
  const remedy = signal instanceof AbortController ? ' Pass its .signal.' : ''
  throw new ArgumentError('ERR_SIGNAL', `${op}: signal must be an AbortSignal, received ${showValue(signal)}.${remedy}`)
}

/** Whether something is a function that can be called: classes are functions too, but need `new`. */
export function isFunction(x: unknown): x is (...args: never) => unknown {
  // of functions that can be called, only old ones have a prototype, which is writable
  return typeof x === 'function' && !('prototype' in x && Object.getOwnPropertyDescriptor(x, 'prototype')?.writable === false)
}

/** Checks an argument that has to be a function. */
export function checkFunction(op: string, fn: unknown): void {
  if (isFunction(fn)) return
  const received =
    typeof fn === 'function' ? `the class ${showValue(fn.name)}. Write () => new …, or call a method of an instance` : showValue(fn)
  throw new ArgumentError('ERR_NOT_A_FUNCTION', `${op}: expected a function, received ${received}.`)
}
