/**
 * Diagonals and triangles of matrices: diagonal, diag, trace, tril, triu. A diagonal is a view; its transpose writes one into zeros.
 */
import { ArgumentError, checkOptions, ShapeError, showShape, showValue } from '../../base/errors.js'
import { checkShape, contiguousStrides, copyStrided, normalizeDim } from '../../base/shape.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import { arangeTensor } from '../basic/creation.js'
import { add, ge, le, sub, to, where } from '../basic/elementwise.js'
import { fillInstruction, reshape, scatter } from '../basic/movement.js'
import { sum } from '../basic/reduce.js'
import { apply, checkTensor } from '../core/dispatch.js'
import { lowerMicro } from '../core/micro.js'
import { defineOp, type OpRow, type Strided } from '../core/table.js'

interface DiagonalAttrs {
  readonly offset: number
  readonly dim1: number
  readonly dim2: number
}
interface DiagonalEmbedAttrs extends DiagonalAttrs {
  /** The shape of the result. */
  readonly into: readonly number[]
}

/** The diagonal of a strided tensor: dimensions dim1 and dim2 become one at the end. */
function diagonalView(x: Strided, { offset, dim1, dim2 }: DiagonalAttrs): Strided {
  const lead = x.shape.map((_, i) => i).filter((i) => i !== dim1 && i !== dim2)
  const rows = Math.max(0, -offset)
  const columns = Math.max(0, offset)
  const size = Math.max(0, Math.min(x.shape[dim1] - rows, x.shape[dim2] - columns))
  const shape = [...lead.map((i) => x.shape[i]), size]
  return {
    shape,
    strides: [...lead.map((i) => x.strides[i]), x.strides[dim1] + x.strides[dim2]],
    offset: shape.includes(0) ? x.offset : x.offset + rows * x.strides[dim1] + columns * x.strides[dim2],
  }
}

const dense = (shape: readonly number[]): Strided => ({ shape, strides: contiguousStrides(shape), offset: 0 })

const diagonalRow: OpRow<DiagonalAttrs> = defineOp<DiagonalAttrs>({
  name: 'diagonal',
  infer: ([x], attrs) => [{ shape: diagonalView(dense(x.shape), attrs).shape, dtype: x.dtype }],
  gradient: ({ inputs: [x], attrs }, g) => [apply(embedRow, [g], { ...attrs, into: x.shape })],
  view: diagonalView,
  reference: ([x], [y], attrs) => {
    const seen = diagonalView(dense(x.shape), attrs)
    copyStrided(x.data, seen.offset, y.shape, seen.strides, y.data)
  },
})

const embedRow = defineOp<DiagonalEmbedAttrs>({
  name: 'diagonalEmbed',
  infer: ([x], { into }) => [{ shape: into, dtype: x.dtype }],
  gradient: ({ attrs: { offset, dim1, dim2 } }, g) => [apply(diagonalRow, [g], { offset, dim1, dim2 })],
  lower: ([x], [y], attrs) => [fillInstruction(y, 0), lowerMicro(undefined, [x], { ...y, ...diagonalView(y, attrs) })],
  reference: ([x], [y], attrs) => {
    y.data.fill(0)
    scatter(x.data, diagonalView(dense(y.shape), attrs), y.data)
  },
})

function checkOffset(op: string, offset: number): void {
  if (!Number.isInteger(offset))
    throw new ArgumentError('ERR_DIAGONAL', `${op}: the diagonal's offset must be an integer, received ${showValue(offset)}.`)
}

/** The diagonal of the matrices in dimensions `dim1` and `dim2` (default 0 and 1), as the last dimension; a view. Offsets above 0 lie above it. */
export function diagonal(x: Tensor, options: { offset?: number; dim1?: number; dim2?: number } = {}): Tensor {
  checkOptions('diagonal', options, { offset: true, dim1: true, dim2: true })
  checkTensor('diagonal', 'x', x)
  const { offset = 0, dim1 = 0, dim2 = 1 } = options
  checkOffset('diagonal', offset)
  const attrs = { offset, dim1: normalizeDim('diagonal', dim1, x.ndim), dim2: normalizeDim('diagonal', dim2, x.ndim) }
  if (attrs.dim1 === attrs.dim2)
    throw new ShapeError('ERR_DIM_REPEATED', `diagonal: dim1 and dim2 are both ${attrs.dim1} of ${showShape(x.shape)}.`)
  return apply(diagonalRow, [x], attrs)
}

/** Matrices with the last dimension of `x` on their diagonal: `[…, n]` becomes `[…, n, n]`, larger by the offset's size. */
export function diagEmbed(x: Tensor, offset = 0): Tensor {
  checkTensor('diagEmbed', 'x', x)
  checkOffset('diagEmbed', offset)
  if (x.ndim === 0) throw new ShapeError('ERR_RANK', 'diagEmbed: needs at least one dimension, received a single number.')
  const n = x.shape[x.ndim - 1] + Math.abs(offset)
  const into = checkShape('diagEmbed', [...x.shape.slice(0, -1), n, n])
  return apply(embedRow, [x], { offset, dim1: x.ndim - 1, dim2: x.ndim, into })
}

/** The diagonal of a matrix, or the matrix with a vector on its diagonal. */
export function diag(x: Tensor, offset = 0): Tensor {
  checkTensor('diag', 'x', x)
  if (x.ndim === 1) return diagEmbed(x, offset)
  if (x.ndim === 2) return diagonal(x, { offset })
  throw new ShapeError('ERR_RANK', `diag: needs a vector or a matrix, received ${showShape(x.shape)}. Use diagonal or diagEmbed.`)
}

/** The sum of a matrix's diagonal. */
export function trace(x: Tensor): Tensor<[]> {
  checkTensor('trace', 'x', x)
  if (x.ndim !== 2) throw new ShapeError('ERR_RANK', `trace: needs a matrix, received ${showShape(x.shape)}.`)
  return sum(diagonal(x)) as Tensor<[]>
}

/** Elements where column - row, compared with the offset, passes; zeros elsewhere. */
function triangle(op: string, x: Tensor, offset: number, keeps: (gap: Tensor, offset: number) => Tensor): Tensor {
  checkTensor(op, 'x', x)
  checkOffset(op, offset)
  if (x.ndim < 2) throw new ShapeError('ERR_RANK', `${op}: needs at least two dimensions, received ${showShape(x.shape)}.`)
  const [m, n] = x.shape.slice(-2)
  const gap = sub(arangeTensor(n), reshape(arangeTensor(m), [m, 1]))
  const bool = x.dtype === 'bool'
  return to(where(keeps(gap, offset), bool ? to(x, 'int32') : x, 0), x.dtype)
}

/**
 * The lower triangles of matrices `[…, M, N]`, zeros above the diagonal moved up by `diagonal`.
 *
 *     tril(ones([T, T], { dtype: 'bool' }))      // a causal mask
 */
export function tril<T extends Tensor>(x: T, diagonal?: number): Tensor<ShapeOf<T>>
export function tril(x: Tensor, diagonal = 0): Tensor {
  return triangle('tril', x, diagonal, (gap, offset) => le(gap, offset))
}

/** The upper triangles of matrices `[…, M, N]`, zeros below the diagonal moved up by `diagonal`. */
export function triu<T extends Tensor>(x: T, diagonal?: number): Tensor<ShapeOf<T>>
export function triu(x: Tensor, diagonal = 0): Tensor {
  return triangle('triu', x, diagonal, (gap, offset) => ge(gap, offset))
}

/** @internal a matrix of the identity's values added to square matrices */
export function addIdentity(x: Tensor, value: number): Tensor {
  const n = x.shape[x.ndim - 1]
  const gap = sub(arangeTensor(n), reshape(arangeTensor(n), [n, 1]))
  return add(x, where(gap.eq(0), value, 0))
}
