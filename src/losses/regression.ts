/**
 * Losses of numbers against numbers: squares, absolute values, and likelihoods of a normal or a Poisson distribution.
 */
import { ArgumentError, checkOptions, isNumber, ShapeError, showShape, showValue } from '../base/errors.js'
import { broadcastShapes, sameShape } from '../base/shape.js'
import { abs, add, div, exp, le, log, lt, maximum, mul, square, sub, where } from '../ops/basic/elementwise.js'
import { unsqueeze } from '../ops/basic/movement.js'
import { detach } from '../ops/core/alias.js'
import { Tensor } from '../tensor/tensor.js'
import { checkFloat, checkOption, checkPair, checkRange, checkReduction, type LossOptions, reduceLoss, type Same } from './check.js'

/** Mean of (input − target)². Shapes equal. @throws ShapeError `ERR_LOSS_SHAPE`. Example: `mseLoss(model.forward(x), y)`. */
export function mseLoss<A extends Tensor, B extends Tensor>(input: A, target: B & Same<'mseLoss', A, B>, options?: LossOptions): Tensor
export function mseLoss(input: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  checkOptions('mseLoss', options, { reduction: true })
  const reduction = checkReduction('mseLoss', options.reduction)
  return reduceLoss(square(sub(input, checkPair('mseLoss', input, target))), reduction)
}

/** Mean of |input − target|. Shapes equal. @throws ShapeError `ERR_LOSS_SHAPE`. Example: `l1Loss(model.forward(x), y)`. */
export function l1Loss<A extends Tensor, B extends Tensor>(input: A, target: B & Same<'l1Loss', A, B>, options?: LossOptions): Tensor
export function l1Loss(input: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  checkOptions('l1Loss', options, { reduction: true })
  const reduction = checkReduction('l1Loss', options.reduction)
  return reduceLoss(abs(sub(input, checkPair('l1Loss', input, target))), reduction)
}

/**
 * Half the squared error up to `delta` (default 1), linear beyond: less moved by outliers. Source: Huber 1964, `torch.nn.functional.huber_loss`.
 *
 *     huberLoss(model.forward(x), y, { delta: 0.5 })
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`; ArgumentError unless delta is above 0.
 */
export function huberLoss<A extends Tensor, B extends Tensor>(
  input: A,
  target: B & Same<'huberLoss', A, B>,
  options?: LossOptions & { delta?: number },
): Tensor
export function huberLoss(input: Tensor, target: Tensor, options: LossOptions & { delta?: number } = {}): Tensor {
  checkOptions('huberLoss', options, { reduction: true, delta: true })
  const { delta = 1 } = options
  if (!(isNumber(delta) && delta > 0))
    throw new ArgumentError('ERR_LOSS_OPTION', `huberLoss: delta must be above 0, received ${showValue(delta)}.`)
  const reduction = checkReduction('huberLoss', options.reduction)
  const d = sub(input, checkPair('huberLoss', input, target))
  const size = abs(d)
  const near = le(size, delta)
  // the square only of what is near: that of an infinite error would have no gradient that counts for nothing
  const loss = where(near, mul(square(where(near, d, 0)), 0.5), mul(sub(size, 0.5 * delta), delta))
  return reduceLoss(loss, reduction)
}

/**
 * The Huber loss divided by `beta` (default 1); 0 gives the L1 loss. Source: `torch.nn.functional.smooth_l1_loss`.
 *
 *     smoothL1Loss(boxes, wanted, { beta: 0.1 })
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`; ArgumentError when beta is negative.
 */
export function smoothL1Loss<A extends Tensor, B extends Tensor>(
  input: A,
  target: B & Same<'smoothL1Loss', A, B>,
  options?: LossOptions & { beta?: number },
): Tensor
export function smoothL1Loss(input: Tensor, target: Tensor, options: LossOptions & { beta?: number } = {}): Tensor {
  checkOptions('smoothL1Loss', options, { reduction: true, beta: true })
  const { beta = 1 } = options
  if (!(isNumber(beta) && beta >= 0))
    throw new ArgumentError('ERR_LOSS_OPTION', `smoothL1Loss: beta must be at least 0, received ${showValue(beta)}.`)
  const reduction = checkReduction('smoothL1Loss', options.reduction)
  const d = sub(input, checkPair('smoothL1Loss', input, target))
  const size = abs(d)
  const near = lt(size, beta)
  const loss = beta === 0 ? size : where(near, div(mul(square(where(near, d, 0)), 0.5), beta), sub(size, 0.5 * beta))
  return reduceLoss(loss, reduction)
}

export interface GaussianNllOptions extends LossOptions {
  /** Add the constant ½·log 2π; default false. */
  full?: boolean
  /** The least variance, for stability; default 1e-6. */
  eps?: number
}

/**
 * −log of the normal density with mean `input` and variance `variance`: ½·(log v + (input − target)² / v). The variance has the input's shape, or 1 in some
 * dimensions, or lacks the last, or is one number. Source: Nix and Weigend 1994, `torch.nn.functional.gaussian_nll_loss`.
 *
 *     gaussianNllLoss(mean, y, logVariance.exp())
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`; DataError `ERR_LOSS_RANGE` for a negative variance (NaN inside `compile`).
 */
export function gaussianNllLoss(input: Tensor, target: Tensor, variance: Tensor | number, options: GaussianNllOptions = {}): Tensor {
  const op = 'gaussianNllLoss'
  checkOptions(op, options, { reduction: true, full: true, eps: true })
  const reduction = checkReduction(op, options.reduction)
  const eps = checkOption(op, 'eps', options.eps ?? 1e-6, 0)
  const t = checkPair(op, input, target)
  const v = varianceFor(op, input, variance)
  // the limit does not stop the gradient
  const safe = add(v, detach(sub(where(lt(v, 0), Number.NaN, maximum(v, eps)), v)))
  const loss = mul(add(log(safe), div(square(sub(input, t)), safe)), 0.5)
  return reduceLoss(options.full ? add(loss, 0.5 * Math.log(2 * Math.PI)) : loss, reduction)
}

function varianceFor(op: string, input: Tensor, variance: Tensor | number): Tensor {
  const v = typeof variance === 'number' ? Tensor.scalar(variance, input.dtype) : variance
  checkFloat(op, 'the variance', v)
  checkRange(op, 'the variance', v, 0, Infinity, 'Pass variances, for example .exp() of what the model gives.')
  if (input.ndim > 0 && sameShape(v.shape, input.shape.slice(0, -1)) && v.ndim > 0) return unsqueeze(v, -1)
  const wide = broadcastShapes(v.shape, input.shape)
  if (wide !== undefined && sameShape(wide, input.shape)) return v
  throw new ShapeError(
    'ERR_LOSS_SHAPE',
    `${op}: the variance ${showShape(v.shape)} does not fit the input ${showShape(input.shape)}. It has the same shape, 1 in some dimensions, or lacks the last.`,
  )
}

export interface PoissonNllOptions extends LossOptions {
  /** Whether the input is the logarithm of the rate; default true. */
  logInput?: boolean
  /** Add Stirling's approximation of log target!; default false. */
  full?: boolean
  /** Keeps log(input) finite without `logInput`; default 1e-8. */
  eps?: number
}

/**
 * −log of the Poisson probability of the counts `target`, without a constant: e^input − target·input, or input − target·log(input + eps).
 * Source: `torch.nn.functional.poisson_nll_loss`.
 *
 *     poissonNllLoss(model.forward(x), counts)
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`.
 */
export function poissonNllLoss<A extends Tensor, B extends Tensor>(
  input: A,
  target: B & Same<'poissonNllLoss', A, B>,
  options?: PoissonNllOptions,
): Tensor
export function poissonNllLoss(input: Tensor, target: Tensor, options: PoissonNllOptions = {}): Tensor {
  const op = 'poissonNllLoss'
  checkOptions(op, options, { reduction: true, logInput: true, full: true, eps: true })
  const reduction = checkReduction(op, options.reduction)
  const eps = checkOption(op, 'eps', options.eps ?? 1e-8, 0)
  const t = checkPair(op, input, target)
  const loss = (options.logInput ?? true) ? sub(exp(input), mul(t, input)) : sub(input, mul(t, log(add(input, eps))))
  if (!options.full) return reduceLoss(loss, reduction)
  // log n! is 0 for 0 and 1
  const many = where(le(t, 1), 1, t)
  const stirling = add(sub(mul(many, log(many)), many), mul(log(mul(many, 2 * Math.PI)), 0.5))
  return reduceLoss(add(loss, where(le(t, 1), 0, stirling)), reduction)
}
