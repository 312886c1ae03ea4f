/**
 * Losses of yes or no, for one or many labels at once: of probabilities, of logits, and of scores against ±1.
 */

import { checkOptions, ShapeError, showShape } from '../base/errors.js'
import { clamp, logSigmoid, softplus } from '../ops/basic/activations.js'
import { customGradient } from '../ops/basic/custom-gradient.js'
import { add, div, exp, gt, log, log1p, maximum, mul, neg, sigmoid, sub, where } from '../ops/basic/elementwise.js'
import { mean, sum } from '../ops/basic/reduce.js'
import type { Tensor } from '../tensor/tensor.js'
import {
  checkOption,
  checkPair,
  checkRange,
  checkReduction,
  focused,
  type LossOptions,
  reduceLoss,
  type Same,
  type Weights,
  weightFor,
} from './check.js'

/**
 * Cross-entropy of probabilities and labels in 0 … 1: −(t·log p + (1 − t)·log(1 − p)), each logarithm at least −100.
 * `binaryCrossEntropyWithLogits` has no such limit.
 *
 *     binaryCrossEntropy(model.forward(x).sigmoid(), y)
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`; DTypeError when the input is not float; DataError `ERR_LOSS_RANGE` for probabilities outside 0 … 1 (NaN inside
 * `compile`).
 */
export function binaryCrossEntropy<A extends Tensor, B extends Tensor>(
  input: A,
  target: B & Same<'binaryCrossEntropy', A, B>,
  options?: LossOptions & { weight?: Tensor | readonly number[] },
): Tensor
export function binaryCrossEntropy(
  input: Tensor,
  target: Tensor,
  options: LossOptions & { weight?: Tensor | readonly number[] } = {},
): Tensor {
  checkOptions('binaryCrossEntropy', options, { reduction: true, weight: true })
  const reduction = checkReduction('binaryCrossEntropy', options.reduction)
  const t = checkPair('binaryCrossEntropy', input, target)
  checkRange('binaryCrossEntropy', 'probabilities', input, 0, 1, 'Apply sigmoid(), or use binaryCrossEntropyWithLogits.')
  const loss = bernoulliLoss(input, t)
  const weighted = options.weight === undefined ? loss : mul(loss, weightFor('binaryCrossEntropy', 'weight', options.weight, input))
  return reduceLoss(weighted, reduction)
}

/** log p, at least −100. */
const boundedLog = (p: Tensor): Tensor => maximum(log(p), -100)

/** Its gradient is bounded apart from the value: where p is 0 and should be 1 it still points the right way. */
const bernoulliLoss = customGradient({
  name: 'binaryCrossEntropy',
  forward: ([p, t]) => neg(add(mul(t, boundedLog(p)), mul(sub(1, t), boundedLog(sub(1, p))))),
  backward: ([g], { inputs: [p, t], needs }) => [
    mul(g, div(sub(p, t), maximum(mul(sub(1, p), p), 1e-12))),
    needs[1] ? mul(g, sub(boundedLog(sub(1, p)), boundedLog(p))) : undefined,
  ],
})

/** In two parts, a line and what is small far out: added up to a softplus the small one would be lost where the line is 0. */
function logisticLoss(x: Tensor, t: Tensor, positiveWeight: Tensor | undefined): Tensor {
  const above = gt(x, 0)
  const rest = log1p(exp(where(above, neg(x), x)))
  const weighted = positiveWeight === undefined ? t : mul(positiveWeight, t)
  const line = mul(x, where(above, sub(1, t), neg(weighted)))
  return add(line, positiveWeight === undefined ? rest : mul(add(sub(weighted, t), 1), rest))
}

export interface BceWithLogitsOptions extends LossOptions {
  /** Weight of positive labels: one number, or what broadcasts to the input (one per class, say). */
  posWeight?: Weights
  /** Weight of each element; broadcasts to the input. */
  weight?: Weights
}

/**
 * Cross-entropy of sigmoid(input) and labels in 0 … 1, without overflow. Any shape, both equal; labels may be integers.
 *
 *     binaryCrossEntropyWithLogits(model.forward(x), y, { posWeight: 3 })
 *
 * @throws ShapeError `ERR_LOSS_SHAPE` or `ERR_LOSS_WEIGHT`; DTypeError when the input is not float.
 */
export function binaryCrossEntropyWithLogits<A extends Tensor, B extends Tensor>(
  input: A,
  target: B & Same<'binaryCrossEntropyWithLogits', A, B>,
  options?: BceWithLogitsOptions,
): Tensor
export function binaryCrossEntropyWithLogits(input: Tensor, target: Tensor, options: BceWithLogitsOptions = {}): Tensor {
  checkOptions('binaryCrossEntropyWithLogits', options, { reduction: true, posWeight: true, weight: true })
  const op = 'binaryCrossEntropyWithLogits'
  const reduction = checkReduction(op, options.reduction)
  const t = checkPair(op, input, target)
  let loss = logisticLoss(input, t, options.posWeight === undefined ? undefined : weightFor(op, 'posWeight', options.posWeight, input))
  if (options.weight !== undefined) loss = mul(loss, weightFor(op, 'weight', options.weight, input))
  return reduceLoss(loss, reduction)
}

export interface SigmoidFocalOptions extends LossOptions {
  /** Weight of positive labels, 0 … 1, that of negative ones being 1 − alpha; default 0.25, below 0 no weights. */
  alpha?: number
  /** How much less the easy ones count; default 2. */
  gamma?: number
}

/**
 * Binary cross-entropy of logits in which what is known already counts less: weighted by (1 − p)^gamma, where p is the probability given to the right
 * answer. Default: `reduction` 'none', as in torchvision. Source: Lin et al. 2017, `torchvision.ops.sigmoid_focal_loss`.
 *
 *     sigmoidFocalLoss(logits, y, { reduction: 'mean' })
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`; ArgumentError `ERR_LOSS_OPTION`.
 */
export function sigmoidFocalLoss<A extends Tensor, B extends Tensor>(
  input: A,
  target: B & Same<'sigmoidFocalLoss', A, B>,
  options?: SigmoidFocalOptions,
): Tensor
export function sigmoidFocalLoss(input: Tensor, target: Tensor, options: SigmoidFocalOptions = {}): Tensor {
  const op = 'sigmoidFocalLoss'
  checkOptions(op, options, { reduction: true, alpha: true, gamma: true })
  const reduction = checkReduction(op, options.reduction ?? 'none')
  const alpha = checkOption(op, 'alpha', options.alpha ?? 0.25)
  const gamma = checkOption(op, 'gamma', options.gamma ?? 2, 0)
  const t = checkPair(op, input, target)
  const p = sigmoid(input)
  const missed = add(mul(p, sub(1, t)), mul(sub(1, p), t))
  let loss = focused(logisticLoss(input, t, undefined), missed, gamma)
  if (alpha >= 0) loss = mul(loss, add(mul(t, 2 * alpha - 1), 1 - alpha))
  return reduceLoss(loss, reduction)
}

/**
 * 1 − (2·Σpt + smooth) / (Σp + Σt + smooth): how little the probabilities `input` and the labels overlap. Sums run over each sample's elements, or with more
 * than two dimensions, `[N, C, …]`, over those of each class. Defaults: `smooth` 1, mean. Source: Milletari et al. 2016.
 *
 *     diceLoss(logits.sigmoid(), masks)
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`; DataError `ERR_LOSS_RANGE` for probabilities outside 0 … 1, except inside `compile`.
 */
export function diceLoss<A extends Tensor, B extends Tensor>(
  input: A,
  target: B & Same<'diceLoss', A, B>,
  options?: LossOptions & { smooth?: number },
): Tensor
export function diceLoss(input: Tensor, target: Tensor, options: LossOptions & { smooth?: number } = {}): Tensor {
  const op = 'diceLoss'
  checkOptions(op, options, { reduction: true, smooth: true })
  const reduction = checkReduction(op, options.reduction)
  const smooth = checkOption(op, 'smooth', options.smooth ?? 1, 0)
  const t = checkPair(op, input, target)
  checkRange(op, 'probabilities', input, 0, 1, 'Apply sigmoid() or softmax() first.')
  const first = input.ndim > 2 ? 2 : Math.min(1, input.ndim - 1)
  if (input.ndim === 0) throw new ShapeError('ERR_LOSS_SHAPE', `${op}: needs at least one dimension, received a scalar.`)
  const dim = [...input.shape.keys()].slice(first)
  const both = sum(mul(input, t), { dim })
  const all = add(sum(input, { dim }), sum(t, { dim }))
  return reduceLoss(sub(1, div(add(mul(both, 2), smooth), add(all, smooth))), reduction)
}

/** log(1 + e^(−target·input)), for targets of ±1. Source: `torch.nn.functional.soft_margin_loss`. @throws ShapeError `ERR_LOSS_SHAPE`. */
export function softMarginLoss<A extends Tensor, B extends Tensor>(
  input: A,
  target: B & Same<'softMarginLoss', A, B>,
  options?: LossOptions,
): Tensor
export function softMarginLoss(input: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  checkOptions('softMarginLoss', options, { reduction: true })
  const reduction = checkReduction('softMarginLoss', options.reduction)
  return reduceLoss(softplus(neg(mul(checkPair('softMarginLoss', input, target), input))), reduction)
}

/** max(0, margin − target·input), for targets of ±1: the loss of support vector machines. Default: `margin` 1. @throws ShapeError `ERR_LOSS_SHAPE`. */
export function hingeLoss<A extends Tensor, B extends Tensor>(
  input: A,
  target: B & Same<'hingeLoss', A, B>,
  options?: LossOptions & { margin?: number },
): Tensor
export function hingeLoss(input: Tensor, target: Tensor, options: LossOptions & { margin?: number } = {}): Tensor {
  checkOptions('hingeLoss', options, { reduction: true, margin: true })
  const reduction = checkReduction('hingeLoss', options.reduction)
  const margin = checkOption('hingeLoss', 'margin', options.margin ?? 1)
  return reduceLoss(clamp(sub(margin, mul(checkPair('hingeLoss', input, target), input)), 0), reduction)
}

/**
 * Binary cross-entropy of logits `[N, C]` or `[C]`, the mean over the classes. `weight: [C]` counts classes differently. Source:
 * `torch.nn.functional.multilabel_soft_margin_loss`.
 *
 * @throws ShapeError `ERR_LOSS_SHAPE` or `ERR_LOSS_WEIGHT`.
 */
export function multilabelSoftMarginLoss<A extends Tensor, B extends Tensor>(
  input: A,
  target: B & Same<'multilabelSoftMarginLoss', A, B>,
  options?: LossOptions & { weight?: Tensor | readonly number[] },
): Tensor
export function multilabelSoftMarginLoss(
  input: Tensor,
  target: Tensor,
  options: LossOptions & { weight?: Tensor | readonly number[] } = {},
): Tensor {
  const op = 'multilabelSoftMarginLoss'
  checkOptions(op, options, { reduction: true, weight: true })
  const reduction = checkReduction(op, options.reduction)
  const t = checkPair(op, input, target)
  if (input.ndim === 0) throw new ShapeError('ERR_LOSS_SHAPE', `${op}: needs scores [N, C] or [C], received ${showShape(input.shape)}.`)
  const loss = neg(add(mul(t, logSigmoid(input)), mul(sub(1, t), logSigmoid(neg(input)))))
  const weighted = options.weight === undefined ? loss : mul(loss, weightFor(op, 'weight', options.weight, input))
  return reduceLoss(mean(weighted, { dim: -1 }), reduction)
}
