/**
 * Checks of what models are given, before anything is computed with it: `8 * '64'` would be a number. In: arguments by name. Out: an error of the
 * library that names the model, the rule and what was received.
 */
import { ArgumentError, ShapeError, Tensor } from '../index.js'

/** Extents are 32-bit. */
const mostSize = 2 ** 31 - 1
/** Nobody waits for more. */
const mostLayers = 10_000

/** How a message shows what was received. */
function show(x: unknown): string {
  if (typeof x === 'number' || typeof x === 'boolean' || x === undefined || x === null) return String(x)
  if (x instanceof Tensor) return `a tensor [${x.shape.join(', ')}]`
  return Array.isArray(x) ? `an array of ${x.length}` : `a ${typeof x}`
}

/** @internal @throws ArgumentError `ERR_MODEL_OPTION` */
export function modelError(model: string, rule: string, received: unknown): ArgumentError {
  return new ArgumentError('ERR_MODEL_OPTION', `${model}: ${rule}, received ${show(received)}.`)
}

function checkCount(model: string, name: string, count: number, most: number): void {
  if (Number.isInteger(count) && count >= 1 && count <= most) return
  throw new ArgumentError('ERR_LAYER_OPTION', `${model}: ${name} must be an integer from 1 to ${most}, received ${show(count)}.`)
}

/** @internal Each an integer from 1. @throws ArgumentError `ERR_LAYER_OPTION`, as layers do */
export function checkSizes(model: string, sizes: Readonly<Record<string, number>>): void {
  for (const [name, size] of Object.entries(sizes)) checkCount(model, name, size, mostSize)
}

/** @internal How many layers there are of a kind. */
export function checkLayers(model: string, counts: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counts)) checkCount(model, name, count, mostLayers)
}

/** @internal */
export function checkDropout(model: string, p: number): void {
  if (typeof p !== 'number' || !(p >= 0 && p <= 1)) throw modelError(model, 'dropout must be between 0 and 1', p)
}

/** @internal */
export function checkTensors(model: string, tensors: Readonly<Record<string, Tensor>>): void {
  for (const [name, t] of Object.entries(tensors))
    if (!(t instanceof Tensor)) throw new ArgumentError('ERR_NOT_A_TENSOR', `${model}: ${name} must be a tensor, received ${show(t)}.`)
}

/** @internal Tokens of a batch in a tensor, laid out as `layout` says. */
export function checkTokens(model: string, name: string, tokens: Tensor, layout = '[B, T]'): void {
  checkTensors(model, { [name]: tokens })
  if (tokens.ndim !== 2)
    throw new ShapeError('ERR_LAYER_INPUT', `${model}: ${name} must be tokens ${layout}, received [${tokens.shape.join(', ')}].`)
}

const isToken = (x: unknown): boolean => Number.isInteger(x)

/** @internal One row of tokens, at least one. */
export function checkPrompt(tokens: readonly number[]): void {
  if (Array.isArray(tokens) && tokens.length > 0 && Array.from(tokens).every(isToken)) return
  throw new ArgumentError('ERR_PROMPT', `generate: the prompt is a list of tokens, [0, 1, …], received ${show(tokens)}.`)
}

/** @internal Rows of tokens of one length, at least one. */
export function checkRows(name: string, rows: readonly (readonly number[])[]): void {
  const isRow = (row: unknown): boolean =>
    Array.isArray(row) && row.length > 0 && row.length === rows[0].length && Array.from(row).every(isToken)
  if (Array.isArray(rows) && rows.length > 0 && Array.from(rows).every(isRow)) return
  throw new ArgumentError('ERR_PROMPT', `generate: ${name} is rows of tokens of one length, [[0, 1], …], received ${show(rows)}.`)
}

/** A list of more cannot be held: a number beyond this is a mistake that would take days to show. */
const mostTokens = 2 ** 24

/** @internal A number of an option of `generate`, by name. */
export function checkSampling(name: string, value: number, low: number, whole: boolean): void {
  if (typeof value === 'number' && value >= low && (!whole || (Number.isInteger(value) && value <= mostTokens))) return
  const rule = `${name} must be ${whole ? 'an integer' : 'a number'} from ${low}${typeof value === 'number' && value > mostTokens ? ` to ${mostTokens}` : ''}`
  throw new ArgumentError('ERR_SAMPLE', `generate: ${rule}, received ${show(value)}.`)
}
