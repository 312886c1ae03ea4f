/**
 * Dropout as a function, for layers that drop inside.
 */
import { Tensor } from '../tensor.js'
import { mul, where } from './elementwise.js'
import { expand } from './movement.js'
import { bernoulli } from './random.js'

/** @internal each element 0 with probability `p`, the others divided by 1 − p; what is drawn has `shape`, which broadcasts to that of x */
export function dropout(x: Tensor, p: number, shape: readonly number[] = x.shape): Tensor {
  if (p === 0) return x
  // chosen, not multiplied by 0: what is dropped does not count, infinite or not
  if (p === 1) return where(expand(Tensor.scalar(1, 'bool'), shape), 0, x)
  return where(bernoulli(shape, 1 - p, { dtype: 'bool' }), mul(x, 1 / (1 - p)), 0)
}
