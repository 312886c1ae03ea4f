/** An op again in float64. In: what it was run with, and what disturbs its operands. Out: the results it should have. */
import { isFloat, itemSize, viewMemory } from '../../../src/base/dtype.js'
import { sizeOf } from '../../../src/base/shape.js'
import type { Tensor } from '../../../src/index.js'
import { denseOf, runReference } from '../../../src/ops/core/dispatch.js'
import type { OpRow } from '../../../src/ops/core/table.js'
import { Storage } from '../../../src/tensor/storage.js'
import { Tensor as TensorClass } from '../../../src/tensor/tensor.js'

/** The outputs in float64, of operands that are disturbed, if asked for: each number by a share of itself that `next` says. */
export function inDoubles(
  row: OpRow<never>,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  attrs: unknown,
  next?: () => number,
): ArrayLike<number>[] {
  const ins = inputs.map((t) => (t.dtype === 'float32' ? widened(t, next) : t))
  const outs = outputs.map((t) => fresh(t.shape, t.dtype === 'float32' ? 'float64' : t.dtype))
  runReference(row, ins, outs, attrs as never)
  return outs.map((t) => denseOf(t, t.shape))
}

function fresh(shape: readonly number[], dtype: Tensor['dtype']): Tensor {
  return TensorClass.contiguous(new Storage(new Uint8Array(sizeOf(shape) * itemSize(dtype)), false), shape, dtype)
}

function widened(t: Tensor, next?: () => number): Tensor {
  if (t.constant !== undefined) return TensorClass.scalar(t.constant, 'float64')
  const out = fresh(t.shape, 'float64')
  const { bytes } = out.storage
  const to = viewMemory('float64', bytes.buffer, bytes.byteOffset, t.size)
  to.set(denseOf(t, t.shape))
  if (next !== undefined && isFloat(t.dtype)) for (let i = 0; i < to.length; i++) to[i] *= 1 + next()
  return out
}
