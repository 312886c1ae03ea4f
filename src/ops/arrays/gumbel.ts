/**
 * Samples of categories that gradients can flow through.
 */
import { ArgumentError, checkOptions, isNumber, showValue } from '../../base/errors.js'
import { normalizeDim } from '../../base/shape.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import { add, div, log, maximum, neg, sub, to } from '../basic/elementwise.js'
import { oneHot } from '../basic/gather.js'
import { permute } from '../basic/movement.js'
import { rand } from '../basic/random.js'
import { argmax, moveLast } from '../basic/reduce.js'
import { softmax } from '../basic/softmax.js'
import { detach } from '../core/alias.js'
import { checkTensor } from '../core/dispatch.js'

export interface GumbelSoftmaxOptions {
  /** Temperature: near 0 almost one-hot, large almost even. Default 1. */
  tau?: number
  /** One-hot results with the gradient of the soft ones; default false. */
  hard?: boolean
  /** The dimension of the categories; default the last. */
  dim?: number
}

/**
 * Draws from the categories with unnormalized log-probabilities `logits`, differentiably: softmax((logits + Gumbel noise) / tau). Source: Jang et al.
 * 2017, `torch.nn.functional.gumbel_softmax`.
 *
 *     gumbelSoftmax(logits, { tau: 0.5, hard: true })
 *
 * @throws ArgumentError `ERR_OPTION` unless tau is above 0.
 */
export function gumbelSoftmax<T extends Tensor>(logits: T, options?: GumbelSoftmaxOptions): Tensor<ShapeOf<T>>
export function gumbelSoftmax(logits: Tensor, options: GumbelSoftmaxOptions = {}): Tensor {
  checkOptions('gumbelSoftmax', options, { tau: true, hard: true, dim: true })
  checkTensor('gumbelSoftmax', 'the logits', logits)
  const { tau = 1, hard = false, dim = -1 } = options
  if (!(isNumber(tau) && tau > 0)) throw new ArgumentError('ERR_OPTION', `gumbelSoftmax: tau must be above 0, received ${showValue(tau)}.`)
  const d = normalizeDim('gumbelSoftmax', dim, logits.ndim)
  // −log(1 − u) is exponential; its least value but 0 keeps the noise finite
  const exponential = maximum(neg(log(sub(1, rand(logits.shape)))), 2 ** -25)
  const noise = neg(log(exponential))
  const soft = softmax(div(add(logits, logits.dtype === 'float64' ? to(noise, 'float64') : noise), tau), d)
  if (!hard) return soft
  const { back } = moveLast(soft, d)
  const hot = to(permute(oneHot(argmax(soft, d), soft.shape[d]), back), soft.dtype)
  return add(detach(sub(hot, soft)), soft)
}
