/**
 * Matrix products, batched, with any strides (a transposed operand costs no copy).
 */
import { multiply } from '../../backend/js/gemm.js'
import { registerLoop } from '../../backend/registry.js'
import { checkOptions, DTypeError, ShapeError, showShape } from '../../base/errors.js'
import { broadcast, broadcastStrides, checkSize, contiguousStrides, sizeOf } from '../../base/shape.js'
import { identityMicro, Opcode, type View } from '../../ir/format.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import type { ExpectMatMul, FirstOf, MatMul } from '../../types/index.js'
import { apply, checkTensor } from '../core/dispatch.js'
import { type Dense, defineOp, type OpRow } from '../core/table.js'
import { mul, type OutOption } from './elementwise.js'
import { reshape, transpose } from './movement.js'
import { sum } from './reduce.js'

const batchOf = (shape: readonly number[]): readonly number[] => shape.slice(0, -2)

/** A matrix operand with its batch dimensions broadcast. */
function batched<B>(v: View<B>, batch: readonly number[]): View<B> {
  const shape = [...batch, ...v.shape.slice(-2)]
  const strides = [...broadcastStrides(batchOf(v.shape), v.strides.slice(0, -2), batch), ...v.strides.slice(-2)]
  return { ...v, shape, strides }
}

function reference([a, b]: readonly Dense[], [c]: readonly Dense[]): void {
  const batch = batchOf(c.shape)
  const [m, n] = c.shape.slice(-2)
  const k = a.shape[a.shape.length - 1]
  const aAt = broadcastStrides(batchOf(a.shape), contiguousStrides(a.shape).slice(0, -2), batch)
  const bAt = broadcastStrides(batchOf(b.shape), contiguousStrides(b.shape).slice(0, -2), batch)
  const index = batch.map(() => 0)
  for (let i = 0; i < sizeOf(batch); i++) {
    const a0 = index.reduce((o, x, d) => o + x * aAt[d], 0)
    const b0 = index.reduce((o, x, d) => o + x * bAt[d], 0)
    multiply(a.data, a0, b.data, b0, c.data, i * m * n, m, k, n)
    for (let d = batch.length - 1; d >= 0 && ++index[d] === batch[d]; d--) index[d] = 0
  }
}

const matmulRow: OpRow<undefined> = defineOp<undefined>({
  name: 'matmul',
  infer: ([a, b]) => {
    const [m, k] = a.shape.slice(-2)
    const [k2, n] = b.shape.slice(-2)
    if (k !== k2) {
      throw new ShapeError(
        'ERR_MATMUL_INNER',
        `matmul: inner dimensions differ: ${showShape(a.shape)} x ${showShape(b.shape)} (${k} vs ${k2}). Transpose one operand, or fix the layer's features.`,
      )
    }
    const shape = [...broadcast('matmul', batchOf(a.shape), batchOf(b.shape)), m, n]
    checkSize('matmul', shape)
    return [{ shape, dtype: a.dtype }]
  },
  gradient: ({ inputs: [a, b], needs }, g) => [
    needs[0] ? apply(matmulRow, [g, transpose(b)], undefined) : undefined,
    needs[1] ? rightGradient(a, b, g) : undefined,
  ],
  lower: ([a, b], [c]) => {
    const batch = batchOf(c.shape)
    return [{ opcode: Opcode.gemm, inputs: [batched(a, batch), batched(b, batch)], outputs: [c], scalars: [], epilogue: identityMicro }]
  },
  reference,
  flops: ([a], [c]) => 2 * sizeOf(c.shape) * a.shape[a.shape.length - 1],
})

/**
 * Aᵀ·G. Where B is a transposed view, as a linear layer's weight, its transpose is what is computed, so that the layer's gradient lies in memory
 * as the weight does and needs no copy.
 */
function rightGradient(a: Tensor, b: Tensor, g: Tensor): Tensor {
  const n = b.ndim
  const transposed = b.strides[n - 2] === 1 && b.strides[n - 1] !== 1
  return transposed ? transpose(apply(matmulRow, [transpose(g), a], undefined)) : apply(matmulRow, [transpose(a), g], undefined)
}

registerLoop(Opcode.gemm, reference)

/**
 * Matrix product of `a: […, M, K]` and `b: […, K, N]`, batch dimensions broadcast; a vector counts as a row on the left and a column on the right.
 *
 *     matmul(x, w)                        // [128, 784] x [784, 256] → [128, 256]
 *     matmul(x, w, { out: y })
 *
 * @throws ShapeError when the inner dimensions differ; DTypeError for anything but two float tensors of one dtype.
 */
export function matmul<A extends Tensor, B extends Tensor>(
  a: A,
  b: B & ExpectMatMul<ShapeOf<A>, ShapeOf<B>>,
  options?: OutOption,
): Tensor<MatMul<ShapeOf<A>, ShapeOf<B>>>
export function matmul(a: Tensor, b: Tensor, options: OutOption = {}): Tensor {
  checkOptions('matmul', options, { out: true })
  checkTensor('matmul', 'a', a)
  checkTensor('matmul', 'b', b)
  if (a.dtype !== b.dtype || (a.dtype !== 'float32' && a.dtype !== 'float64')) {
    throw new DTypeError(
      'ERR_DTYPE',
      `matmul: needs two float tensors of one dtype, received ${a.dtype} and ${b.dtype}. Convert with .to('float32').`,
    )
  }
  if (a.ndim === 0 || b.ndim === 0)
    throw new ShapeError(
      'ERR_RANK',
      `matmul: needs at least one dimension, received ${showShape(a.shape)} and ${showShape(b.shape)}. Use mul for scalars.`,
    )
  if (a.ndim > 1 && b.ndim > 1) return apply(matmulRow, [a, b], undefined, options.out)
  const left = a.ndim === 1 ? reshape(a, [1, a.shape[0]]) : a
  const right = b.ndim === 1 ? reshape(b, [b.shape[0], 1]) : b
  const c = apply(matmulRow, [left, right], undefined)
  const shape = [...c.shape.slice(0, -2), ...(a.ndim === 1 ? [] : c.shape.slice(-2, -1)), ...(b.ndim === 1 ? [] : c.shape.slice(-1))]
  return reshape(c, shape)
}

/** The sum of the products of two vectors of one length. */
export function dot(a: Tensor, b: Tensor): Tensor<[]> {
  checkTensor('dot', 'a', a)
  checkTensor('dot', 'b', b)
  if (a.ndim !== 1 || b.ndim !== 1 || a.size !== b.size)
    throw new ShapeError('ERR_DOT', `dot: needs two vectors of one length, received ${showShape(a.shape)} and ${showShape(b.shape)}.`)
  return sum(mul(a, b)) as Tensor<[]>
}

/** All products of two vectors: `[M]`, `[N]` → `[M, N]`. */
export function outer<A extends Tensor, B extends Tensor>(a: A, b: B): Tensor<[FirstOf<ShapeOf<A>>, FirstOf<ShapeOf<B>>]>
export function outer(a: Tensor, b: Tensor): Tensor {
  checkTensor('outer', 'a', a)
  checkTensor('outer', 'b', b)
  if (a.ndim !== 1 || b.ndim !== 1)
    throw new ShapeError('ERR_RANK', `outer: needs two vectors, received ${showShape(a.shape)} and ${showShape(b.shape)}.`)
  return mul(reshape(a, [a.size, 1]), b)
}
