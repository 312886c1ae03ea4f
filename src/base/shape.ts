/**
 * Shapes and strides: run-time rules. Shapes are arrays of sizes, strides count elements. The same relations as types are in
 * `types.ts`. Nothing here knows about storage or ops.
 */
import type { TypedArray } from './dtype.js'
import { ArgumentError, ShapeError, showShape, showValue } from './errors.js'

export type Shape = readonly number[]

/** Offsets and extents are 32-bit in programs. */
export const maxElements = 2 ** 31 - 1
export const maxRank = 8

export function sizeOf(shape: Shape): number {
  let n = 1
  for (let i = 0; i < shape.length; i++) n *= shape[i]
  return n
}

/** Checks a shape given by the user: integers from 0, at most 8 dimensions, at most 2^31 - 1 elements. */
export function checkShape(op: string, shape: Shape): Shape {
  if (!Array.isArray(shape)) {
    throw new ArgumentError('ERR_SHAPE_INVALID', `${op}: a shape is an array of sizes, received ${showValue(shape)}. Write it in brackets.`)
  }
  for (const d of shape) {
    if (!Number.isInteger(d) || d < 0) {
      throw new ShapeError('ERR_SHAPE_INVALID', `${op}: sizes are integers from 0, received ${showShape(shape)}.`)
    }
  }
  checkResult(op, shape)
  return shape
}

/** Checks the shape of an op's result, whose sizes are known to be integers: its rank and its size. */
export function checkResult(op: string, shape: Shape): void {
  if (shape.length > maxRank) {
    throw new ShapeError('ERR_RANK_TOO_HIGH', `${op}: at most ${maxRank} dimensions, received ${showShape(shape)}.`)
  }
  checkSize(op, shape)
}

/** At most 2^31 - 1 elements; the sizes beside a 0 keep to that too, so that strides do. */
export function checkSize(op: string, shape: Shape): void {
  let n = 1
  for (const d of shape) n *= d === 0 ? 1 : d
  if (n <= maxElements) return
  const what = shape.includes(0) ? 'would have without its empty dimensions' : 'has'
  throw new ShapeError('ERR_TOO_LARGE', `${op}: ${showShape(shape)} ${what} more than ${maxElements} elements. Work in smaller batches.`)
}

export function sameShape(a: Shape, b: Shape): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Row-major strides. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length)
  let step = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step
    step *= Math.max(1, shape[i])
  }
  return strides
}

export function isContiguous(shape: Shape, strides: readonly number[]): boolean {
  let step = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] === 0) return true
    if (shape[i] !== 1 && strides[i] !== step) return false
    step *= shape[i]
  }
  return true
}

/** Whether no two indices meet in one element: each stride steps over all that the smaller ones reach. */
export function distinctIndices({ shape, strides }: { readonly shape: Shape; readonly strides: readonly number[] }): boolean {
  if (shape.includes(0) || isContiguous(shape, strides)) return true
  const terms = shape.map((extent, d) => ({ extent, stride: Math.abs(strides[d]) })).filter(({ extent }) => extent > 1)
  terms.sort((a, b) => a.stride - b.stride)
  let reach = 0
  for (const { stride, extent } of terms) {
    if (stride <= reach) return false
    reach += stride * (extent - 1)
  }
  return true
}

/** NumPy's broadcasting of two shapes; `undefined` when they do not fit. */
export function broadcastShapes(a: Shape, b: Shape): number[] | undefined {
  const n = Math.max(a.length, b.length)
  const out = new Array<number>(n)
  for (let i = 1; i <= n; i++) {
    const x = i <= a.length ? a[a.length - i] : 1
    const y = i <= b.length ? b[b.length - i] : 1
    if (x !== y && x !== 1 && y !== 1) return undefined
    out[n - i] = x === 1 ? y : x
  }
  return out
}

export function broadcast(op: string, a: Shape, b: Shape): number[] {
  const out = broadcastShapes(a, b)
  if (out === undefined) {
    throw new ShapeError(
      'ERR_BROADCAST',
      `${op}: shapes do not broadcast: ${showShape(a)} with ${showShape(b)}. From the right, sizes must be equal or 1.`,
    )
  }
  checkSize(op, out)
  return out
}

/** Strides that read a view of `shape` as if it had the (broader) shape `target`. */
export function broadcastStrides(shape: Shape, strides: readonly number[], target: Shape): number[] {
  const out = new Array<number>(target.length)
  const lead = target.length - shape.length
  for (let i = 0; i < target.length; i++) {
    const j = i - lead
    out[i] = j < 0 || (shape[j] === 1 && target[i] !== 1) ? 0 : strides[j]
  }
  return out
}

/** A dimension counted from the end when negative, checked. */
export function normalizeDim(op: string, dim: number, ndim: number): number {
  const d = Number.isInteger(dim) && dim < 0 ? dim + ndim : dim
  if (!Number.isInteger(dim) || d < 0 || d >= ndim) {
    throw new ShapeError(
      'ERR_DIM_RANGE',
      `${op}: dim ${showValue(dim)} is out of range for ${ndim} dimension${ndim === 1 ? '' : 's'} (allowed ${-ndim} to ${ndim - 1}).`,
    )
  }
  return d
}

/**
 * Checks an argument that has to be an array without holes. `new Array(2 ** 31)` has no memory, so that whatever walks over it with `map`
 * or `every` takes minutes; `for … of` ends at the first hole.
 */
export function checkList<T>(op: string, name: string, list: readonly T[]): readonly T[] {
  if (Array.isArray(list) && !hasHole(list)) return list
  throw new ArgumentError('ERR_NOT_A_LIST', `${op}: ${name} must be an array of integers, received ${showValue(list)}.`)
}

function hasHole(list: readonly unknown[]): boolean {
  for (const item of list) if (item === undefined) return true
  return false
}

/** Dimensions as a sorted list without repeats; all of them when undefined. */
export function normalizeDims(op: string, dims: number | readonly number[] | undefined, ndim: number): number[] {
  if (dims === undefined) return Array.from({ length: ndim }, (_, i) => i)
  const given = typeof dims === 'number' ? [dims] : dims
  if (Array.isArray(given) && given.length > maxRank) {
    throw new ShapeError('ERR_DIM_REPEATED', `${op}: ${given.length} dimensions are named, and no tensor has more than ${maxRank}.`)
  }
  checkList(op, 'dim', given)
  // a single number has none to name, but 0 and -1 pass for it, as in PyTorch
  if (ndim === 0 && given.length === 1 && (given[0] === 0 || given[0] === -1)) return []
  const list = given.map((d) => normalizeDim(op, d, ndim))
  const unique = [...new Set(list)].sort((a, b) => a - b)
  if (unique.length !== list.length) {
    throw new ShapeError('ERR_DIM_REPEATED', `${op}: a dimension appears twice in [${list.join(', ')}].`)
  }
  return unique
}

/**
 * Strides that show the same memory under another shape; `undefined` where only a copy can, or where the sizes differ, so that there is
 * nothing to show.
 */
export function reshapeStrides(shape: Shape, strides: readonly number[], target: Shape): number[] | undefined {
  const n = sizeOf(shape)
  // not `!==`: a size that is no number fits nothing
  if (!(n === sizeOf(target))) return undefined
  if (n === 0 || isContiguous(shape, strides)) return contiguousStrides(target)
  const out = new Array<number>(target.length).fill(0)
  const from = shape.map((_, i) => i).filter((i) => shape[i] !== 1)
  let t = 0
  let f = 0
  while (f < from.length) {
    // grow a group of source dimensions and a group of target dimensions until their sizes are equal
    let a = shape[from[f]]
    const f0 = f++
    while (t < target.length && target[t] === 1) t++
    const t0 = t
    let b = target[t++]
    while (a !== b) {
      if (a < b && f < from.length) a *= shape[from[f++]]
      else if (b < a && t < target.length) b *= target[t++]
      else return undefined
    }
    for (let i = f0; i < f - 1; i++) {
      if (strides[from[i]] !== strides[from[i + 1]] * shape[from[i + 1]]) return undefined
    }
    let step = strides[from[f - 1]]
    for (let i = t - 1; i >= t0; i--) {
      out[i] = step
      step *= target[i]
    }
  }
  return out
}

/** The shape a user asked for in `reshape`, with one -1 resolved. */
export function resolveReshape(shape: Shape, wanted: readonly number[]): number[] {
  const n = sizeOf(shape)
  checkList('reshape', 'the shape', wanted)
  const holes = wanted.filter((d) => d === -1).length
  const bad = holes > 1 || wanted.some((d) => !Number.isInteger(d) || d < -1)
  // not before: multiplying by whatever it was would throw for a symbol, and walk through nested arrays
  const known = bad ? 0 : wanted.reduce((p, d) => (d === -1 ? p : p * d), 1)
  if (bad || (holes === 1 ? known === 0 || n % known !== 0 : known !== n)) {
    throw new ShapeError(
      'ERR_RESHAPE',
      `reshape: cannot make ${showShape(wanted)} of ${showShape(shape)} (${n} elements). Sizes must multiply to ${n}; one may be -1.`,
    )
  }
  const resolved = wanted.map((d) => (d === -1 ? n / known : d))
  checkSize('reshape', resolved)
  return resolved
}

/** Copies a strided view into row-major order. */
export function copyStrided(
  source: TypedArray,
  offset: number,
  shape: readonly number[],
  strides: readonly number[],
  out: TypedArray,
): void {
  const n = sizeOf(shape)
  if (n === 0) return
  const rank = shape.length
  const inner = rank === 0 ? 1 : shape[rank - 1]
  const step = rank === 0 ? 0 : strides[rank - 1]
  const index = new Array<number>(rank).fill(0)
  let from = offset
  for (let to = 0; to < n; ) {
    for (let i = 0, p = from; i < inner; i++, p += step) out[to++] = source[p]
    for (let d = rank - 2; d >= 0; d--) {
      from += strides[d]
      if (++index[d] < shape[d]) break
      from -= strides[d] * shape[d]
      index[d] = 0
    }
  }
}
