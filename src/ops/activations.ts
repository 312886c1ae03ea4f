/**
 * Activations: compositions of elementwise ops, which `compile` fuses into one map.
 */
import { ArgumentError, checkOptions, showValue } from '../errors.js'
import type { ShapeOf, Tensor } from '../tensor.js'
import { add, erf, exp, gt, log1p, lt, mul, neg, sigmoid, tanh, where } from './elementwise.js'

/** x above 0, `negativeSlope · x` below. */
export function leakyRelu<T extends Tensor>(x: T, negativeSlope?: number): Tensor<ShapeOf<T>>
export function leakyRelu(x: Tensor, negativeSlope = 0.01): Tensor {
  return where(gt(x, 0), x, mul(x, negativeSlope))
}

/**
 * Gaussian error linear unit, x·Φ(x) (Hendrycks and Gimpel 2016); `approximate: 'tanh'` for the tanh form.
 */
export function gelu<T extends Tensor>(x: T, options?: { approximate?: 'none' | 'tanh' }): Tensor<ShapeOf<T>>
export function gelu(x: Tensor, options: { approximate?: 'none' | 'tanh' } = {}): Tensor {
  checkOptions('gelu', options)
  if (options.approximate === 'tanh') {
    const inner = mul(add(x, mul(mul(mul(x, x), x), 0.044715)), Math.sqrt(2 / Math.PI))
    return mul(mul(x, 0.5), add(tanh(inner), 1))
  }
  if (options.approximate !== undefined && options.approximate !== 'none') {
    throw new ArgumentError('ERR_OPTION', `gelu: approximate must be 'none' or 'tanh', received ${showValue(options.approximate)}.`)
  }
  return mul(mul(x, 0.5), add(erf(mul(x, Math.SQRT1_2)), 1))
}

/** x · sigmoid(x) (swish). */
export function silu<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function silu(x: Tensor): Tensor {
  return mul(x, sigmoid(x))
}

/** log(1 + eˣ), without overflow. */
export function softplus<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function softplus(x: Tensor): Tensor {
  // log(1 + e^-|x|) + max(x, 0); both by one choice, so that the derivatives of all orders are right at 0 as well, unlike those of abs
  const positive = gt(x, 0)
  return add(where(positive, x, 0), log1p(exp(where(positive, neg(x), x))))
}

/** log(sigmoid(x)), without underflow. */
export function logSigmoid<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function logSigmoid(x: Tensor): Tensor {
  return neg(softplus(neg(x)))
}

/** x limited to [min, max]; the gradient is 0 outside. */
export function clamp<T extends Tensor>(x: T, min?: number, max?: number): Tensor<ShapeOf<T>>
export function clamp(x: Tensor, min?: number, max?: number): Tensor {
  if (min === undefined && max === undefined) throw new ArgumentError('ERR_CLAMP', 'clamp: needs min, max or both.')
  let y = x
  if (min !== undefined) y = where(lt(y, min), min, y)
  if (max !== undefined) y = where(gt(y, max), max, y)
  return y
}
