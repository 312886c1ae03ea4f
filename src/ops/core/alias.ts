/**
 * Handles on the same memory that differ in how gradients see them.
 */

import { context } from '../../tensor/context.js'
import { type ShapeOf, Tensor } from '../../tensor/tensor.js'
import { apply, checkTensor } from './dispatch.js'
import { defineOp } from './table.js'

const aliasRow = defineOp<undefined>({
  name: 'alias',
  infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
  gradient: (_c, g) => [g],
  view: (x) => ({ shape: x.shape, strides: x.strides, offset: x.offset }),
  reference: ([x], [y]) => y.data.set(x.data),
})

/** @internal the same values as a variable of its own: gradients flow through it, and can be asked for at it */
export function alias(x: Tensor): Tensor {
  const t = apply(aliasRow, [x], undefined)
  if (t.gradNode === undefined) t.requiresGrad = true
  return t
}

/** The same values, cut off from gradients. Shares memory. */
export function detach<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function detach(x: Tensor): Tensor {
  checkTensor('detach', 'x', x)
  if (x.constant !== undefined) return Tensor.scalar(x.constant, x.dtype)
  const { shape, strides, offset, dtype, value } = x
  const t = new Tensor({ shape, strides, offset, dtype, value, storage: value === undefined ? x.storage : undefined })
  if (value !== undefined) context.recorder?.follow(x, t)
  return t
}
