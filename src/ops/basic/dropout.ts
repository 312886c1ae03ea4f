/**
 * Dropout as a function, for layers that drop inside.
 */
import type { Tensor } from '../../tensor/tensor.js'
import { mul } from './elementwise.js'
import { bernoulli } from './random.js'

/** @internal each element 0 with probability `p`, the others divided by 1 − p; what is drawn has `shape`, which broadcasts to that of x */
export function dropout(x: Tensor, p: number, shape: readonly number[] = x.shape): Tensor {
  if (p === 0) return x
  if (p === 1) return mul(x, 0)
  const kept = bernoulli(shape, 1 - p, { dtype: x.dtype === 'float64' ? 'float64' : 'float32' })
  return mul(x, mul(kept, 1 / (1 - p)))
}
