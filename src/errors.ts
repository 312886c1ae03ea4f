/**
 * The errors of chainrule: a class for what kind of mistake it is and a stable `code` for programs to test.
 * Messages read `op: rule: the values received. What to do.` Also how messages show values, and the user's line.
 */

/** Base class of every error the library throws on purpose. */
export class ChainruleError extends Error {
  /** Stable identifier, for example `ERR_SHAPE_MISMATCH`. */
  readonly code: string
  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options)
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

/** How an error message shows anything at all, also what cannot become text. */
export function showValue(x: unknown): string {
  if (Array.isArray(x))
    return `[${x
      .slice(0, 8)
      .map((part) => (Array.isArray(part) ? '[…]' : showValue(part)))
      .join(', ')}${x.length > 8 ? ', …' : ''}]`
  try {
    if (typeof x === 'string') return `'${x}'`
    if (typeof x === 'function') return /^class\b/.test(Function.prototype.toString.call(x)) ? `the class ${x.name}` : 'a function'
    return typeof x === 'symbol' ? 'a symbol' : String(x)
  } catch {
    return 'an object'
  }
}

/** How an error message names the kind of a value. */
export function showKind(x: unknown): string {
  if (x === null) return 'null'
  if (Array.isArray(x)) return 'an array'
  return x instanceof Promise ? 'a promise (await it)' : typeof x
}

/** How an error message shows a shape: `[128, 784]`. */
export function showShape(shape: readonly number[]): string {
  return shape.length <= 8 ? showValue(shape) : `[${shape.map(showValue).join(', ')}]`
}

/** Constructors of optimizer groups are called with a name, which may be anything at all. */
const showOp = (op: unknown): string => (typeof op === 'string' ? op : showValue(op))

/** Checks that something is an object, and no array. */
export function checkObject(op: string, options: unknown): asserts options is object {
  if (typeof options === 'object' && options !== null && !Array.isArray(options)) return
  throw new ArgumentError('ERR_OPTIONS', `${showOp(op)}: options are an object, received ${showValue(options)}.`)
}

/** The names of all options of `O`; `tsc` finds one that is missing. */
export type OptionNames<O> = { readonly [K in keyof O]-?: true }

/**
 * Checks that options are an object, as everything that takes some expects, and that nothing in it would be passed over in silence: names in
 * PyTorch's spelling, and where the names are given any other than these.
 */
export function checkOptions<O>(op: string, options: O, names?: OptionNames<NoInfer<O>>): void {
  checkObject(op, options)
  for (const name in options) {
    if (names === undefined ? !name.includes('_') : Object.hasOwn(names, name)) continue
    const camel = name.replace(/_+(\w)/g, (_, letter: string) => letter.toUpperCase())
    const known = `Known: ${Object.keys(names ?? {}).join(', ')}.`
    const remedy = names === undefined ? 'Names are in camelCase.' : Object.hasOwn(names, camel) ? `Write ${camel}.` : known
    throw new ArgumentError('ERR_OPTIONS', `${showOp(op)}: unknown option '${name}'. ${remedy}`)
  }
}

/** The stack of the caller, deep enough to reach the user's code from inside nested modules. */
export function deepStack(): string | undefined {
  const before = Error.stackTraceLimit
  Error.stackTraceLimit = 64
  const { stack } = new Error()
  Error.stackTraceLimit = before
  return stack
}

/** The file of a line of a stack. */
function fileOf(line: string): string | undefined {
  const found = /(?:\(|at (?:async )?)([^()]+):\d+:\d+\)?$/.exec(line)?.[1]
  return found?.replace('file://', '').replaceAll('\\', '/')
}

/** How the library's files begin: a directory of sources, dist/chainrule.*, or the one file of a user's bundle. */
function ownPlace(): string {
  const file = fileOf(new Error().stack?.split('\n')[1] ?? '') ?? ''
  return file.replace(/\/errors\.ts$/, '/').replace(/\/chainrule\.cjs$/, '/chainrule.')
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

/** Checks an argument that has to be a function. */
export function checkFunction(op: string, fn: unknown): void {
  if (typeof fn !== 'function') throw new ArgumentError('ERR_NOT_A_FUNCTION', `${op}: expected a function, received ${showValue(fn)}.`)
}
