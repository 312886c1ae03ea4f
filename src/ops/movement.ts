/**
 * Ops that move elements without computing: reshape, permute, expand, slice are views; pad and concat copy into parts of their output.
 */
import { ArgumentError, DTypeError, ShapeError, showShape } from '../errors.js'
import { type Instruction, Opcode, type View } from '../ir/format.js'
import {
  broadcastStrides,
  checkShape,
  checkSize,
  contiguousStrides,
  normalizeDim,
  reshapeStrides,
  resolveReshape,
  sameShape,
  sizeOf,
} from '../shape.js'
import { copyStrided, type Tensor } from '../tensor.js'
import { apply, checkTensor, lift } from './dispatch.js'
import { lowerMicro } from './micro.js'
import { type Dense, defineOp, type Strided } from './table.js'

/** The reference loop of every view: copy the strided elements. */
function referenceView(view: (input: Strided) => Strided | undefined) {
  return ([x]: readonly Dense[], [y]: readonly Dense[]): void => {
    const seen = view({ shape: x.shape, strides: contiguousStrides(x.shape), offset: 0 }) as Strided
    copyStrided(x.data, seen.offset, y.shape, seen.strides, y.data)
  }
}

type ShapeAttrs = { shape: readonly number[] }

function reshapeView(x: Strided, { shape }: ShapeAttrs): Strided | undefined {
  const strides = reshapeStrides(x.shape, x.strides, shape)
  return strides && { shape, strides, offset: x.offset }
}

const reshapeRow = defineOp<ShapeAttrs>({
  name: 'reshape',
  infer: ([x], { shape }) => [{ shape, dtype: x.dtype }],
  gradient: ({ inputs: [x] }, g) => [reshape(g, x.shape)],
  view: reshapeView,
  reference: (i, o, attrs) => referenceView((x) => reshapeView(x, attrs))(i, o),
})

/**
 * The same elements in row-major order under another shape; one size may be -1. A view where possible.
 *
 *     x.reshape([32, -1])
 */
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  checkTensor('reshape', 'x', x)
  const resolved = resolveReshape(x.shape, shape)
  if (sameShape(resolved, x.shape)) return x
  return apply(reshapeRow, [x], { shape: resolved })
}

/** All dimensions from `startDim` to `endDim` as one. */
export function flatten(x: Tensor, startDim = 0, endDim = -1): Tensor {
  checkTensor('flatten', 'x', x)
  if (x.ndim === 0) return reshape(x, [1])
  const a = normalizeDim('flatten', startDim, x.ndim)
  const b = normalizeDim('flatten', endDim, x.ndim)
  if (b < a) throw new ShapeError('ERR_DIM_RANGE', `flatten: startDim ${startDim} is behind endDim ${endDim} for ${showShape(x.shape)}.`)
  return reshape(x, [...x.shape.slice(0, a), sizeOf(x.shape.slice(a, b + 1)), ...x.shape.slice(b + 1)])
}

/** A dimension of size 1 inserted at `dim`. */
export function unsqueeze(x: Tensor, dim: number): Tensor {
  checkTensor('unsqueeze', 'x', x)
  const d = normalizeDim('unsqueeze', dim, x.ndim + 1)
  return reshape(x, [...x.shape.slice(0, d), 1, ...x.shape.slice(d)])
}

/** Without the dimensions of size 1, or without `dim` if its size is 1. */
export function squeeze(x: Tensor, dim?: number): Tensor {
  checkTensor('squeeze', 'x', x)
  if (dim === undefined) return reshape(x, x.shape.filter((s) => s !== 1))
  const d = normalizeDim('squeeze', dim, x.ndim)
  return x.shape[d] === 1 ? reshape(x, x.shape.filter((_, i) => i !== d)) : x
}

type PermuteAttrs = { dims: readonly number[] }
const permuteView = (x: Strided, { dims }: PermuteAttrs): Strided => ({
  shape: dims.map((d) => x.shape[d]),
  strides: dims.map((d) => x.strides[d]),
  offset: x.offset,
})

const permuteRow = defineOp<PermuteAttrs>({
  name: 'permute',
  infer: ([x], { dims }) => [{ shape: dims.map((d) => x.shape[d]), dtype: x.dtype }],
  gradient: ({ attrs }, g) => {
    const back = new Array<number>(attrs.dims.length)
    attrs.dims.forEach((d, i) => {
      back[d] = i
    })
    return [permute(g, back)]
  },
  view: permuteView,
  reference: (i, o, attrs) => referenceView((x) => permuteView(x, attrs))(i, o),
})

/** Dimensions in another order, a view: `x.permute([0, 2, 3, 1])`. */
export function permute(x: Tensor, dims: readonly number[]): Tensor {
  checkTensor('permute', 'x', x)
  const order = dims.map((d) => normalizeDim('permute', d, x.ndim))
  if (order.length !== x.ndim || new Set(order).size !== x.ndim) {
    throw new ShapeError('ERR_PERMUTE', `permute: [${dims.join(', ')}] does not name each of the ${x.ndim} dimensions of ${showShape(x.shape)} once.`)
  }
  if (order.every((d, i) => d === i)) return x
  return apply(permuteRow, [x], { dims: order })
}

/** Two dimensions swapped, a view. */
export function transpose(x: Tensor, dim0 = -2, dim1 = -1): Tensor {
  checkTensor('transpose', 'x', x)
  const a = normalizeDim('transpose', dim0, x.ndim)
  const b = normalizeDim('transpose', dim1, x.ndim)
  const dims = x.shape.map((_, i) => (i === a ? b : i === b ? a : i))
  return permute(x, dims)
}

const expandView = (x: Strided, { shape }: ShapeAttrs): Strided => ({
  shape,
  strides: broadcastStrides(x.shape, x.strides, shape),
  offset: x.offset,
})

const expandRow = defineOp<ShapeAttrs>({
  name: 'expand',
  infer: ([x], { shape }) => [{ shape, dtype: x.dtype }],
  gradient: (_c, g) => [g], // the walk sums it back to the input's shape
  view: expandView,
  reference: (i, o, attrs) => referenceView((x) => expandView(x, attrs))(i, o),
})

/** Dimensions of size 1 repeated to `shape` without copying; -1 keeps a size. */
export function expand(x: Tensor, shape: readonly number[]): Tensor {
  checkTensor('expand', 'x', x)
  const lead = shape.length - x.ndim
  const full = shape.map((s, i) => (s === -1 && i >= lead ? x.shape[i - lead] : s))
  checkShape('expand', full)
  if (lead < 0 || !x.shape.every((s, i) => s === 1 || s === full[i + lead])) {
    throw new ShapeError('ERR_BROADCAST', `expand: ${showShape(x.shape)} does not broadcast to ${showShape(shape)}. Only sizes of 1 can grow.`)
  }
  return sameShape(full, x.shape) ? x : apply(expandRow, [x], { shape: full })
}

/** Start and step in each dimension, and the sizes taken. */
export interface SliceAttrs {
  readonly start: readonly number[]
  readonly step: readonly number[]
  readonly shape: readonly number[]
}

const sliceView = (x: Strided, { start, step, shape }: SliceAttrs): Strided => ({
  shape,
  strides: x.strides.map((s, i) => s * step[i]),
  offset: shape.includes(0) ? x.offset : x.offset + start.reduce((o, s, i) => o + s * x.strides[i], 0),
})

const sliceRow = defineOp<SliceAttrs>({
  name: 'slice',
  infer: ([x], { shape }) => [{ shape, dtype: x.dtype }],
  gradient: ({ inputs: [x], attrs }, g) => [apply(embedRow, [g], { ...attrs, into: x.shape, value: 0 })],
  view: sliceView,
  reference: (i, o, attrs) => referenceView((x) => sliceView(x, attrs))(i, o),
})

/** @internal a strided part by start, step and size of every dimension, already checked */
export function sliceBy(x: Tensor, attrs: SliceAttrs): Tensor {
  return apply(sliceRow, [x], attrs)
}

/** One dimension cut to [start, end) in steps, as NumPy's `start:end:step`; negative positions count from the end. */
export function slice(x: Tensor, dim: number, start = 0, end?: number, step = 1): Tensor {
  checkTensor('slice', 'x', x)
  const d = normalizeDim('slice', dim, x.ndim)
  const part = slicePart('slice', x.shape[d], start, end, step)
  return sliceBy(x, {
    start: x.shape.map((_, i) => (i === d ? part.start : 0)),
    step: x.shape.map((_, i) => (i === d ? step : 1)),
    shape: x.shape.map((s, i) => (i === d ? part.size : s)),
  })
}

/** Resolves `start:end:step` on a dimension as Python does. */
export function slicePart(op: string, size: number, start: number | undefined, end: number | undefined, step: number): { start: number; size: number } {
  if (!Number.isInteger(step) || step === 0) throw new ArgumentError('ERR_SLICE_STEP', `${op}: step must be an integer other than 0, received ${step}.`)
  const clamp = (x: number, low: number, high: number): number => Math.min(high, Math.max(low, x < 0 ? x + size : x))
  if (step > 0) {
    const a = clamp(start ?? 0, 0, size)
    const b = clamp(end ?? size, 0, size)
    return { start: a, size: Math.max(0, Math.ceil((b - a) / step)) }
  }
  const a = clamp(start ?? size - 1, -1, size - 1)
  const b = end === undefined ? -1 : clamp(end, -1, size - 1)
  return { start: a, size: Math.max(0, Math.ceil((b - a) / step)) }
}

/** `size` elements of `dim` from `start`, a view. */
export function narrow(x: Tensor, dim: number, start: number, size: number): Tensor {
  checkTensor('narrow', 'x', x)
  const d = normalizeDim('narrow', dim, x.ndim)
  if (!Number.isInteger(start) || !Number.isInteger(size) || start < 0 || size < 0 || start + size > x.shape[d]) {
    throw new ShapeError('ERR_SLICE_RANGE', `narrow: ${start} to ${start + size} is outside dimension ${d} of ${showShape(x.shape)}.`)
  }
  return slice(x, d, start, start + size)
}

interface EmbedAttrs extends SliceAttrs {
  readonly into: readonly number[]
  readonly value: number
}

/** The part of an embed's output that its input fills. */
function embedTarget<B>(out: View<B>, attrs: EmbedAttrs): View<B> {
  return { ...out, ...sliceView(out, attrs) }
}

// The transpose of slice: a tensor of one value into which the input is placed. `pad` and the gradient of `slice`.
const embedRow = defineOp<EmbedAttrs>({
  name: 'pad',
  infer: ([x], { into }) => [{ shape: into, dtype: x.dtype }],
  gradient: ({ attrs }, g) => [sliceBy(g, attrs)],
  lower: <B>([x]: readonly View<B>[], [y]: readonly View<B>[], attrs: EmbedAttrs): Instruction<B>[] => [
    lowerMicro(undefined, [{ ...y, shape: [], strides: [], constant: attrs.value }], y),
    lowerMicro(undefined, [x], embedTarget(y, attrs)),
  ],
  reference: ([x], [y], attrs) => {
    y.data.fill(attrs.value)
    const target = sliceView({ shape: y.shape, strides: contiguousStrides(y.shape), offset: 0 }, attrs)
    scatter(x.data, target, y.data)
  },
})

function scatter(from: Dense['data'], target: Strided, to: Dense['data']): void {
  const positions = Int32Array.from({ length: to.length }, (_, i) => i)
  const at = new Int32Array(from.length)
  copyStrided(positions, target.offset, target.shape, target.strides, at)
  for (let i = 0; i < at.length; i++) to[at[i]] = from[i]
}

/**
 * Constant padding, PyTorch's order: `[left, right]` of the last dimension, then pairs towards the first. Negative amounts crop.
 *
 *     pad(x, [1, 1, 2, 2], { value: 0 })   // last dimension by 1 on each side, the one before by 2
 */
export function pad(x: Tensor, padding: readonly number[], options: { value?: number } = {}): Tensor {
  checkTensor('pad', 'x', x)
  if (padding.length % 2 !== 0 || padding.length > 2 * x.ndim || !padding.every(Number.isInteger)) {
    throw new ArgumentError('ERR_PAD', `pad: [${padding.join(', ')}] must be pairs of integers, at most one pair for each of the ${x.ndim} dimensions.`)
  }
  const before = x.shape.map((_, i) => padding[2 * (x.ndim - 1 - i)] ?? 0)
  const after = x.shape.map((_, i) => padding[2 * (x.ndim - 1 - i) + 1] ?? 0)
  const into = x.shape.map((s, i) => s + before[i] + after[i])
  if (into.some((s) => s < 0)) throw new ShapeError('ERR_PAD', `pad: [${padding.join(', ')}] crops more than there is of ${showShape(x.shape)}.`)
  checkSize('pad', into)
  const ones = x.shape.map(() => 1)
  let inner = x
  if (padding.some((p) => p < 0)) {
    inner = sliceBy(x, {
      start: before.map((b) => Math.max(0, -b)),
      step: ones,
      shape: x.shape.map((s, i) => s + Math.min(0, before[i]) + Math.min(0, after[i])),
    })
  }
  if (padding.every((p) => p <= 0)) return inner
  return apply(embedRow, [inner], { start: before.map((b) => Math.max(0, b)), step: ones, shape: inner.shape, into, value: options.value ?? 0 })
}

type ConcatAttrs = { dim: number }
const concatRow = defineOp<ConcatAttrs>({
  name: 'concat',
  infer: (inputs, { dim }) => {
    const shape = [...inputs[0].shape]
    shape[dim] = inputs.reduce((n, x) => n + x.shape[dim], 0)
    checkSize('concat', shape)
    return [{ shape, dtype: inputs[0].dtype }]
  },
  gradient: ({ inputs, attrs: { dim }, needs }, g) => {
    let at = 0
    return inputs.map((x, i) => {
      const start = at
      at += x.shape[dim]
      return needs[i] ? narrow(g, dim, start, x.shape[dim]) : undefined
    })
  },
  lower: (inputs, [y], { dim }) => {
    let at = 0
    return inputs.map((x) => {
      const part = { ...y, offset: y.offset + at * y.strides[dim], shape: x.shape }
      at += x.shape[dim]
      return lowerMicro(undefined, [x], part)
    })
  },
  reference: (inputs, [y], { dim }) => {
    let at = 0
    const strides = contiguousStrides(y.shape)
    for (const x of inputs) {
      scatter(x.data, { shape: x.shape, strides, offset: at * strides[dim] }, y.data)
      at += x.shape[dim]
    }
  },
})

/** Tensors one after the other along `dim`; all other sizes are equal. */
export function concat(tensors: readonly Tensor[], dim = 0): Tensor {
  if (!Array.isArray(tensors) || tensors.length === 0) throw new ArgumentError('ERR_EMPTY_LIST', 'concat: needs an array of at least one tensor.')
  tensors.forEach((t, i) => checkTensor('concat', `tensor ${i}`, t))
  const list: readonly Tensor[] = tensors
  const first = list[0]
  const d = normalizeDim('concat', dim, first.ndim)
  for (const t of list) {
    if (t.dtype !== first.dtype) throw new DTypeError('ERR_DTYPE', `concat: dtypes differ: ${first.dtype} and ${t.dtype}. Convert with .to(…).`)
    if (t.ndim !== first.ndim || t.shape.some((s, i) => i !== d && s !== first.shape[i])) {
      throw new ShapeError('ERR_CONCAT', `concat: shapes differ outside dim ${d}: ${showShape(first.shape)} and ${showShape(t.shape)}.`)
    }
  }
  return list.length === 1 ? first : apply(concatRow, list, { dim: d })
}

/** Tensors of one shape along a new dimension. */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  if (!Array.isArray(tensors) || tensors.length === 0) throw new ArgumentError('ERR_EMPTY_LIST', 'stack: needs an array of at least one tensor.')
  tensors.forEach((t, i) => checkTensor('stack', `tensor ${i}`, t))
  for (const t of tensors) {
    if (!sameShape(t.shape, tensors[0].shape)) {
      throw new ShapeError('ERR_STACK', `stack: shapes differ: ${showShape(tensors[0].shape)} and ${showShape(t.shape)}.`)
    }
  }
  const d = normalizeDim('stack', dim, tensors[0].ndim + 1)
  return concat(tensors.map((t) => unsqueeze(t, d)), d)
}

/** Pieces of `size` (the last may be smaller) or of the given sizes along `dim`, views. */
export function split(x: Tensor, size: number | readonly number[], dim = 0): Tensor[] {
  checkTensor('split', 'x', x)
  const d = normalizeDim('split', dim, x.ndim)
  const n = x.shape[d]
  const valid = typeof size === 'number' ? Number.isInteger(size) && size > 0 : size.reduce((a, b) => a + b, 0) === n && size.every((s) => Number.isInteger(s) && s >= 0)
  if (!valid) throw new ArgumentError('ERR_SPLIT', `split: ${String(size)} does not cut dimension ${d} of ${showShape(x.shape)} (size ${n}).`)
  const sizes = typeof size === 'number' ? Array.from({ length: Math.max(1, Math.ceil(n / size)) }, (_, i) => Math.min(size, n - i * size)) : size
  let at = 0
  return sizes.map((s) => {
    at += s
    return narrow(x, d, at - s, s)
  })
}

const contiguousRow = defineOp<undefined>({
  name: 'contiguous',
  infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
  gradient: (_c, g) => [g],
  lower: (inputs, [y]) => [lowerMicro(undefined, inputs, y)],
  reference: ([x], [y]) => y.data.set(x.data),
})

/** A copy in memory of its own, in row-major order. */
export function clone(x: Tensor): Tensor {
  checkTensor('clone', 'x', x)
  return apply(contiguousRow, [x], undefined)
}

/** @internal an instruction that fills a view with one number */
export function fillInstruction<B>(view: View<B>, value: number): Instruction<B> {
  return lowerMicro(undefined, [{ ...view, shape: [], strides: [], constant: value }], view)
}

/** @internal an operand for a number, as the walk's seed */
export function onesLike(t: Tensor): Tensor {
  return expand(lift(1, t.dtype), t.shape)
}

/** @internal */
export function isMap(opcode: number): boolean {
  return opcode === Opcode.map
}
