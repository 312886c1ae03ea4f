/**
 * Gradient clipping, between `backward()` and `step()`.
 */

import { ArgumentError, checkOptions, DataError, showValue } from '../base/errors.js'
import { clamp } from '../ops/basic/activations.js'
import { refuseTraced } from '../ops/basic/compare.js'
import { zeros } from '../ops/basic/creation.js'
import { abs, add, div, maximum, minimum, mul, pow, sqrt, square } from '../ops/basic/elementwise.js'
import { amax, sum } from '../ops/basic/reduce.js'
import { noGrad } from '../ops/core/grad-mode.js'
import { tensorList } from '../ops/core/list.js'
import type { Tensor } from '../tensor/tensor.js'
import { gradientOf } from './gradient.js'

function checkFinite(total: Tensor): void {
  refuseTraced('clipGradNorm', 'errorIfNonfinite', 'Look at the norm that clipGradNorm returns.')
  const norm = total.item()
  if (!Number.isFinite(norm))
    throw new DataError(
      'ERR_NONFINITE',
      `clipGradNorm: the norm of the gradients is ${norm}. Lower the learning rate, or look for the cause with anomaly().`,
    )
}

/** Σ|g|ᵖ over one gradient, or its maximum. */
function share(g: Tensor, p: number): Tensor {
  if (p === 2) return sum(square(g))
  if (p === Infinity) return amax(abs(g))
  return sum(p === 1 ? abs(g) : pow(abs(g), p))
}

/**
 * Scales all gradients together so that their norm is at most `maxNorm`; returns the norm before, a 0-d tensor. `normType` is 2 by
 * default, or any positive number, or `Infinity` for the greatest element. With `errorIfNonfinite` (eager only) a norm that is NaN or infinite is an
 * error and changes nothing. Source: `torch.nn.utils.clip_grad_norm_`.
 *
 *     loss.backward()
 *     optim.clipGradNorm(model.parameters(), 1)
 *
 * @throws ArgumentError when maxNorm is negative or normType not above 0; DataError `ERR_NONFINITE` with `errorIfNonfinite`.
 */
export function clipGradNorm(
  parameters: Iterable<Tensor> | Tensor,
  maxNorm: number,
  options: { normType?: number; errorIfNonfinite?: boolean } = {},
): Tensor {
  checkOptions('clipGradNorm', options, { normType: true, errorIfNonfinite: true })
  const { normType = 2, errorIfNonfinite = false } = options
  if (typeof maxNorm !== 'number' || !(maxNorm >= 0))
    throw new ArgumentError('ERR_CLIP', `clipGradNorm: maxNorm must be a number from 0, received ${showValue(maxNorm)}.`)
  if (typeof normType !== 'number' || !(normType > 0))
    throw new ArgumentError('ERR_CLIP', `clipGradNorm: normType must be above 0 (or Infinity), received ${showValue(normType)}.`)
  const leaves = tensorList('clipGradNorm', parameters)
  return noGrad(() => {
    const clipped = leaves.flatMap((leaf) => {
      const g = gradientOf(leaf)
      return g === undefined || g.size === 0 ? [] : [{ leaf, g }]
    })
    if (clipped.length === 0) return zeros([])
    const merged = clipped.map(({ g }) => share(g, normType)).reduce((a, b) => (normType === Infinity ? maximum(a, b) : add(a, b)))
    const total = normType === 2 ? sqrt(merged) : normType === Infinity || normType === 1 ? merged : pow(merged, 1 / normType)
    if (errorIfNonfinite) checkFinite(total)
    const factor = minimum(div(maxNorm, add(total, 1e-6)), 1)
    const scaled = clipped.map(({ g }) => mul(g, factor))
    clipped.forEach(({ leaf }, i) => void leaf.replaceGrad(scaled[i], true))
    return total
  })
}

/**
 * Limits each element of the gradients to ±`clipValue`. Source: `torch.nn.utils.clip_grad_value_`.
 *
 *     loss.backward()
 *     optim.clipGradValue(model.parameters(), 0.5)
 *
 * @throws ArgumentError when clipValue is negative.
 */
export function clipGradValue(parameters: Iterable<Tensor> | Tensor, clipValue: number): void {
  if (typeof clipValue !== 'number' || !(clipValue >= 0))
    throw new ArgumentError('ERR_CLIP', `clipGradValue: clipValue must be a number from 0, received ${showValue(clipValue)}.`)
  const leaves = tensorList('clipGradValue', parameters)
  noGrad(() => {
    for (const leaf of leaves) {
      const g = gradientOf(leaf)
      if (g !== undefined) leaf.replaceGrad(clamp(g, -clipValue, clipValue), true)
    }
  })
}
