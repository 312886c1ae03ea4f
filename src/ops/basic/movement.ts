/**
 * Ops that move elements without computing: reshape, permute, expand, slice are views; padding copies into a part of its output. Next: join.ts, pad.ts.
 */
import { ArgumentError, ShapeError, showShape, showValue } from '../../base/errors.js'
import {
  broadcastStrides,
  checkList,
  checkShape,
  checkSize,
  contiguousStrides,
  copyStrided,
  normalizeDim,
  reshapeStrides,
  resolveReshape,
  sameShape,
  sizeOf,
} from '../../base/shape.js'
import { type Instruction, Opcode, type View } from '../../ir/format.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import type * as shapes from '../../types/index.js'
import type { Sizes } from '../../types/index.js'
import { apply, checkTensor, lift } from '../core/dispatch.js'
import { lowerMicro } from '../core/micro.js'
import { type Dense, defineOp, type Strided } from '../core/table.js'

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
export function reshape<const D extends readonly number[]>(x: Tensor, shape: D): Tensor<Sizes<D>>
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  checkTensor('reshape', 'x', x)
  const resolved = resolveReshape(x.shape, shape)
  if (sameShape(resolved, x.shape)) return x
  return apply(reshapeRow, [x], { shape: resolved })
}

/** All dimensions from `startDim` to `endDim` as one. */
export function flatten<T extends Tensor, D0 extends number = 0, D1 extends number = -1>(
  x: T,
  startDim?: D0,
  endDim?: D1,
): Tensor<shapes.Flattened<ShapeOf<T>, D0, D1>>
export function flatten(x: Tensor, startDim = 0, endDim = -1): Tensor {
  checkTensor('flatten', 'x', x)
  if (x.ndim === 0) return reshape(x, [1])
  const a = normalizeDim('flatten', startDim, x.ndim)
  const b = normalizeDim('flatten', endDim, x.ndim)
  if (b < a) throw new ShapeError('ERR_DIM_RANGE', `flatten: startDim ${startDim} is behind endDim ${endDim} for ${showShape(x.shape)}.`)
  return reshape(x, [...x.shape.slice(0, a), sizeOf(x.shape.slice(a, b + 1)), ...x.shape.slice(b + 1)])
}

/** A dimension of size 1 inserted at `dim`. */
export function unsqueeze<T extends Tensor, D extends number>(x: T, dim: D): Tensor<shapes.Inserted<ShapeOf<T>, D, 1>>
export function unsqueeze(x: Tensor, dim: number): Tensor {
  checkTensor('unsqueeze', 'x', x)
  const d = normalizeDim('unsqueeze', dim, x.ndim + 1)
  return reshape(x, [...x.shape.slice(0, d), 1, ...x.shape.slice(d)])
}

/** Without the dimensions of size 1, or without `dim` if its size is 1. */
export function squeeze<T extends Tensor, D extends number | undefined = undefined>(x: T, dim?: D): Tensor<shapes.Squeezed<ShapeOf<T>, D>>
export function squeeze(x: Tensor, dim?: number): Tensor {
  checkTensor('squeeze', 'x', x)
  if (dim === undefined)
    return reshape(
      x,
      x.shape.filter((s) => s !== 1),
    )
  const d = normalizeDim('squeeze', dim, x.ndim)
  return x.shape[d] === 1
    ? reshape(
        x,
        x.shape.filter((_, i) => i !== d),
      )
    : x
}

/** @internal the order of dimensions that undoes one */
export function inverseOrder(order: readonly number[]): number[] {
  return order.map((_, i) => order.indexOf(i))
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
  gradient: ({ attrs }, g) => [permute(g, inverseOrder(attrs.dims))],
  view: permuteView,
  reference: (i, o, attrs) => referenceView((x) => permuteView(x, attrs))(i, o),
})

/** Dimensions in another order, a view: `x.permute([0, 2, 3, 1])`. */
export function permute<T extends Tensor, const D extends readonly number[]>(x: T, dims: D): Tensor<shapes.Permuted<ShapeOf<T>, D>>
export function permute(x: Tensor, dims: readonly number[]): Tensor {
  checkTensor('permute', 'x', x)
  const order = checkList('permute', 'dims', dims).map((d) => normalizeDim('permute', d, x.ndim))
  if (order.length !== x.ndim || new Set(order).size !== x.ndim) {
    throw new ShapeError(
      'ERR_PERMUTE',
      `permute: ${showShape(dims)} does not name each of the ${x.ndim} dimensions of ${showShape(x.shape)} once.`,
    )
  }
  if (order.every((d, i) => d === i)) return x
  return apply(permuteRow, [x], { dims: order })
}

/** Two dimensions swapped, a view. */
export function transpose<T extends Tensor, D0 extends number = -2, D1 extends number = -1>(
  x: T,
  dim0?: D0,
  dim1?: D1,
): Tensor<shapes.Transposed<ShapeOf<T>, D0, D1>>
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
export function expand<const D extends readonly number[]>(x: Tensor, shape: D): Tensor<Sizes<D>>
export function expand(x: Tensor, shape: readonly number[]): Tensor {
  checkTensor('expand', 'x', x)
  const lead = checkList('expand', 'the shape', shape).length - x.ndim
  const full = shape.map((s, i) => (s === -1 && i >= lead ? x.shape[i - lead] : s))
  checkShape('expand', full)
  if (lead < 0 || !x.shape.every((s, i) => s === 1 || s === full[i + lead])) {
    throw new ShapeError(
      'ERR_BROADCAST',
      `expand: ${showShape(x.shape)} does not broadcast to ${showShape(shape)}. Only sizes of 1 can grow.`,
    )
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
  stretch: (x, { start, step, shape }) => {
    const cut = x.shape.flatMap((size, d) => (shape[d] === size && start[d] === 0 && step[d] === 1 ? [] : [d]))
    const [dim] = cut
    return cut.length === 1 && step[dim] === 1 ? { dim, start: start[dim], size: shape[dim] } : undefined
  },
  reference: (i, o, attrs) => referenceView((x) => sliceView(x, attrs))(i, o),
})

/** @internal a strided part by start, step and size of every dimension, already checked */
export function sliceBy(x: Tensor, attrs: SliceAttrs): Tensor {
  return apply(sliceRow, [x], attrs)
}

/** One dimension cut to [start, end) in steps, as NumPy's `start:end:step`; negative positions count from the end. */
export function slice<T extends Tensor, D extends number>(
  x: T,
  dim: D,
  start?: number,
  end?: number,
  step?: number,
): Tensor<shapes.Resized<ShapeOf<T>, D>>
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
export function slicePart(
  op: string,
  size: number,
  start: number | undefined,
  end: number | undefined,
  step: number,
): { start: number; size: number } {
  if (!Number.isInteger(step) || step === 0)
    throw new ArgumentError('ERR_SLICE_STEP', `${op}: step must be an integer other than 0, received ${showValue(step)}.`)
  for (const at of [start, end]) {
    if (at !== undefined && !Number.isInteger(at))
      throw new ArgumentError('ERR_SLICE_RANGE', `${op}: positions are integers, received ${showValue(at)}.`)
  }
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
export function narrow<T extends Tensor, D extends number, N extends number>(
  x: T,
  dim: D,
  start: number,
  size: N,
): Tensor<shapes.Resized<ShapeOf<T>, D, N>>
export function narrow(x: Tensor, dim: number, start: number, size: number): Tensor {
  checkTensor('narrow', 'x', x)
  const d = normalizeDim('narrow', dim, x.ndim)
  if (!Number.isInteger(start) || !Number.isInteger(size) || start < 0 || size < 0 || start + size > x.shape[d]) {
    throw new ShapeError(
      'ERR_SLICE_RANGE',
      `narrow: ${showValue(start)} and ${showValue(size)} more is outside dimension ${d} of ${showShape(x.shape)}.`,
    )
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

/** @internal writes dense data into the strided part `target` of `to` */
export function scatter(from: Dense['data'], target: Strided, to: Dense['data']): void {
  const positions = Int32Array.from({ length: to.length }, (_, i) => i)
  const at = new Int32Array(from.length)
  copyStrided(positions, target.offset, target.shape, target.strides, at)
  for (let i = 0; i < at.length; i++) to[at[i]] = from[i]
}

/**
 * @internal a tensor with `value` around it, or with edges cut off where amounts are negative: `before` and `after` for each dimension
 */
export function padConstant(x: Tensor, before: readonly number[], after: readonly number[], value: number): Tensor {
  const into = x.shape.map((s, i) => s + before[i] + after[i])
  const left = x.shape.map((s, i) => s + Math.min(0, before[i]) + Math.min(0, after[i]))
  if (left.some((s) => s < 0)) {
    throw new ShapeError(
      'ERR_PAD',
      `pad: [${before.join(', ')}] before and [${after.join(', ')}] after crop more than there is of ${showShape(x.shape)}.`,
    )
  }
  checkSize('pad', into)
  const ones = x.shape.map(() => 1)
  const crops = (n: number): boolean => n < 0
  const inner =
    before.some(crops) || after.some(crops)
      ? sliceBy(x, {
          start: before.map((b) => Math.max(0, -b)),
          step: ones,
          shape: left,
        })
      : x
  if (sameShape(inner.shape, into)) return inner
  return apply(embedRow, [inner], { start: before.map((b) => Math.max(0, b)), step: ones, shape: inner.shape, into, value })
}

const contiguousRow = defineOp<undefined>({
  name: 'contiguous',
  copies: true,
  infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
  gradient: (_c, g) => [g],
  lower: (inputs, [y]) => [lowerMicro(undefined, inputs, y)],
  reference: ([x], [y]) => y.data.set(x.data),
})

/** A copy in memory of its own, in row-major order. */
export function clone<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
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
