/**
 * Ops between one tensor and several: concat and stack copy into parts of their output, split makes views.
 */
import { ArgumentError, DTypeError, ShapeError, showShape, showValue } from '../../base/errors.js'
import { checkList, checkSize, contiguousStrides, normalizeDim, sameShape } from '../../base/shape.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import type * as shapes from '../../types/index.js'
import { apply, checkTensor, checkTensors } from '../core/dispatch.js'
import { lowerMicro } from '../core/micro.js'
import { defineOp } from '../core/table.js'
import { narrow, scatter, unsqueeze } from './movement.js'

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

/** Tensors one after the other along `dim`; all other sizes are equal. Empty vectors, `[0]`, are passed over whatever the others' rank, as in PyTorch. */
export function concat<const T extends readonly Tensor[], D extends number = 0>(
  tensors: T,
  dim?: D,
): Tensor<shapes.Resized<ShapeOf<T[0]>, D>>
export function concat(tensors: readonly Tensor[], dim = 0): Tensor {
  if (!Array.isArray(tensors) || tensors.length === 0)
    throw new ArgumentError('ERR_EMPTY_LIST', 'concat: needs an array of at least one tensor.')
  checkTensors('concat', 'tensor', tensors)
  const solid = tensors.filter((t) => t.ndim !== 1 || t.size > 0)
  const list: readonly Tensor[] = solid.length > 0 ? solid : tensors
  const first = list[0]
  const d = normalizeDim('concat', dim, first.ndim)
  for (const t of list) {
    if (t.dtype !== first.dtype)
      throw new DTypeError('ERR_DTYPE', `concat: dtypes differ: ${first.dtype} and ${t.dtype}. Convert with .to(…).`)
    if (t.ndim !== first.ndim || t.shape.some((s, i) => i !== d && s !== first.shape[i])) {
      throw new ShapeError('ERR_CONCAT', `concat: shapes differ outside dim ${d}: ${showShape(first.shape)} and ${showShape(t.shape)}.`)
    }
  }
  return list.length === 1 ? first : apply(concatRow, list, { dim: d })
}

/** Tensors of one shape along a new dimension. */
export function stack<const T extends readonly Tensor[], D extends number = 0>(
  tensors: T,
  dim?: D,
): Tensor<shapes.Inserted<ShapeOf<T[0]>, D, T['length']>>
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  if (!Array.isArray(tensors) || tensors.length === 0)
    throw new ArgumentError('ERR_EMPTY_LIST', 'stack: needs an array of at least one tensor.')
  checkTensors('stack', 'tensor', tensors)
  for (const t of tensors) {
    if (!sameShape(t.shape, tensors[0].shape)) {
      throw new ShapeError('ERR_STACK', `stack: shapes differ: ${showShape(tensors[0].shape)} and ${showShape(t.shape)}.`)
    }
  }
  const d = normalizeDim('stack', dim, tensors[0].ndim + 1)
  return concat(
    tensors.map((t) => unsqueeze(t, d)),
    d,
  )
}

/** Pieces of `size` (the last may be smaller) or of the given sizes along `dim`, views. */
export function split<T extends Tensor, D extends number = 0>(
  x: T,
  size: number | readonly number[],
  dim?: D,
): Tensor<shapes.Resized<ShapeOf<T>, D>>[]
export function split(x: Tensor, size: number | readonly number[], dim = 0): Tensor[] {
  checkTensor('split', 'x', x)
  const d = normalizeDim('split', dim, x.ndim)
  const n = x.shape[d]
  if (typeof size !== 'number') checkList('split', 'the sizes', size)
  const valid =
    typeof size === 'number'
      ? Number.isInteger(size) && size > 0
      : size.every((s) => Number.isInteger(s) && s >= 0) && size.reduce((a, b) => a + b, 0) === n
  if (!valid)
    throw new ArgumentError('ERR_SPLIT', `split: ${showValue(size)} does not cut dimension ${d} of ${showShape(x.shape)} (size ${n}).`)
  const sizes =
    typeof size === 'number' ? Array.from({ length: Math.max(1, Math.ceil(n / size)) }, (_, i) => Math.min(size, n - i * size)) : size
  let at = 0
  return sizes.map((s) => {
    at += s
    return narrow(x, d, at - s, s)
  })
}
