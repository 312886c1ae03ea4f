/**
 * Losses that move embeddings together and apart, and scores into order.
 */
import { ArgumentError, checkOptions, isNumber, ShapeError, showShape, showValue } from '../base/errors.js'
import { norm, normalize } from '../ops/arrays/vector-norm.js'
import { clamp } from '../ops/basic/activations.js'
import { arangeTensor, zerosLike } from '../ops/basic/creation.js'
import { add, div, eq, minimum, mul, ne, neg, rsqrt, square, sub, to, where } from '../ops/basic/elementwise.js'
import { concat } from '../ops/basic/join.js'
import { matmul } from '../ops/basic/matmul.js'
import { transpose } from '../ops/basic/movement.js'
import { sum } from '../ops/basic/reduce.js'
import { crossEntropyRows } from '../ops/basic/softmax.js'
import type { Tensor } from '../tensor/tensor.js'
import { checkFloat, checkOption, checkPair, checkReduction, checkSame, type LossOptions, reduceLoss, type Same } from './check.js'

/**
 * 1 − cos(x1, x2) where the target is 1, max(0, cos(x1, x2) − margin) where it is −1. Inputs `[N, D]` or `[D]`, targets `[N]` or one. Default: `margin`
 * 0. Source: `torch.nn.functional.cosine_embedding_loss`.
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`.
 */
export function cosineEmbeddingLoss(
  input1: Tensor,
  input2: Tensor,
  target: Tensor,
  options: LossOptions & { margin?: number } = {},
): Tensor {
  const op = 'cosineEmbeddingLoss'
  checkOptions(op, options, { reduction: true, margin: true })
  const reduction = checkReduction(op, options.reduction)
  const margin = checkOption(op, 'margin', options.margin ?? 0)
  checkSame(op, 'input1', input1, 'input2', input2)
  if (input1.ndim < 1 || input1.ndim > 2)
    throw new ShapeError('ERR_LOSS_SHAPE', `${op}: inputs must be [N, D] or [D], received ${showShape(input1.shape)}.`)
  const dim = input1.ndim - 1
  // as in PyTorch, which keeps lengths from 0 by this
  const length = (x: Tensor): Tensor => add(sum(square(x), { dim }), 1e-12)
  const cosine = mul(sum(mul(input1, input2), { dim }), rsqrt(mul(length(input1), length(input2))))
  const t = checkPair(op, cosine, target)
  const loss = add(where(eq(t, 1), sub(1, cosine), 0), where(eq(t, -1), clamp(sub(cosine, margin), 0), 0))
  return reduceLoss(loss, reduction)
}

export interface TripletMarginOptions extends LossOptions {
  /** By how much the negative must be farther away; default 1. */
  margin?: number
  /** Which distance: 2 (the default), 1, Infinity or any positive number. */
  p?: number
  /** Added to each difference; default 1e-6. */
  eps?: number
  /** Take the distance from the positive to the negative where it is smaller; default false. */
  swap?: boolean
}

/**
 * max(0, margin + |anchor − positive| − |anchor − negative|), all three `[N, D]` or `[D]`. Source: Balntas et al. 2016,
 * `torch.nn.functional.triplet_margin_loss`.
 *
 *     tripletMarginLoss(embed(a), embed(p), embed(n), { margin: 0.2 })
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`; ArgumentError `ERR_LOSS_OPTION`.
 */
export function tripletMarginLoss(anchor: Tensor, positive: Tensor, negative: Tensor, options: TripletMarginOptions = {}): Tensor {
  const op = 'tripletMarginLoss'
  checkOptions(op, options, { reduction: true, margin: true, p: true, eps: true, swap: true })
  const reduction = checkReduction(op, options.reduction)
  const { p = 2, swap = false } = options
  const margin = checkOption(op, 'margin', options.margin ?? 1)
  const eps = checkOption(op, 'eps', options.eps ?? 1e-6, 0)
  if (!(isNumber(p) && p > 0)) throw new ArgumentError('ERR_LOSS_OPTION', `${op}: p must be above 0, received ${showValue(p)}.`)
  checkSame(op, 'anchor', anchor, 'positive', positive)
  checkSame(op, 'anchor', anchor, 'negative', negative)
  if (anchor.ndim === 0) throw new ShapeError('ERR_LOSS_SHAPE', `${op}: needs [N, D] or [D], received a scalar.`)
  const distance = (a: Tensor, b: Tensor): Tensor => norm(add(sub(a, b), eps), { p, dim: -1 })
  const near = distance(anchor, positive)
  let far = distance(anchor, negative)
  if (swap) far = minimum(far, distance(positive, negative))
  return reduceLoss(clamp(add(sub(near, far), margin), 0), reduction)
}

/**
 * The input where the target is 1, max(0, margin − input) where it is −1: for distances. Default: `margin` 1. Source:
 * `torch.nn.functional.hinge_embedding_loss`.
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`.
 */
export function hingeEmbeddingLoss<A extends Tensor, B extends Tensor>(
  input: A,
  target: B & Same<'hingeEmbeddingLoss', A, B>,
  options?: LossOptions & { margin?: number },
): Tensor
export function hingeEmbeddingLoss(input: Tensor, target: Tensor, options: LossOptions & { margin?: number } = {}): Tensor {
  const op = 'hingeEmbeddingLoss'
  checkOptions(op, options, { reduction: true, margin: true })
  const reduction = checkReduction(op, options.reduction)
  const margin = checkOption(op, 'margin', options.margin ?? 1)
  const t = checkPair(op, input, target)
  return reduceLoss(add(where(ne(t, 1), clamp(sub(margin, input), 0), 0), where(ne(t, -1), input, 0)), reduction)
}

/**
 * max(0, −target·(input1 − input2) + margin): the first should be larger where the target is 1, smaller where it is −1. Default: `margin` 0. Source:
 * `torch.nn.functional.margin_ranking_loss`.
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`.
 */
export function marginRankingLoss(input1: Tensor, input2: Tensor, target: Tensor, options: LossOptions & { margin?: number } = {}): Tensor {
  const op = 'marginRankingLoss'
  checkOptions(op, options, { reduction: true, margin: true })
  const reduction = checkReduction(op, options.reduction)
  const margin = checkOption(op, 'margin', options.margin ?? 0)
  checkSame(op, 'input1', input1, 'input2', input2)
  const t = checkPair(op, input1, target)
  return reduceLoss(clamp(add(neg(mul(t, sub(input1, input2))), margin), 0), reduction)
}

export interface InfoNceOptions extends LossOptions {
  /** `[M, D]`: what no query belongs to. Without, the other queries' keys. */
  negatives?: Tensor
  /** Default 0.1. */
  temperature?: number
}

/**
 * Contrastive loss: cross-entropy of finding each query's own key among others, by cosine similarity. Queries and keys `[N, D]`, row for row. Source: van
 * den Oord et al. 2018; SimCLR, MoCo.
 *
 *     infoNceLoss(embed(view1), embed(view2), { temperature: 0.07 })
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`; ArgumentError `ERR_LOSS_OPTION`.
 */
export function infoNceLoss(query: Tensor, key: Tensor, options: InfoNceOptions = {}): Tensor {
  const op = 'infoNceLoss'
  checkOptions(op, options, { reduction: true, negatives: true, temperature: true })
  const reduction = checkReduction(op, options.reduction)
  const { temperature = 0.1, negatives } = options
  if (!(isNumber(temperature) && temperature > 0))
    throw new ArgumentError('ERR_LOSS_OPTION', `${op}: temperature must be above 0, received ${showValue(temperature)}.`)
  checkSame(op, 'queries', query, 'keys', key)
  if (query.ndim !== 2)
    throw new ShapeError('ERR_LOSS_SHAPE', `${op}: queries and keys must be [N, D], received ${showShape(query.shape)}.`)
  const q = normalize(query)
  const k = normalize(key)
  const n = query.shape[0]
  if (negatives === undefined)
    return reduceLoss(crossEntropyRows(div(matmul(q, transpose(k)), temperature), arangeTensor(n), -100), reduction)
  checkFloat(op, 'negatives', negatives)
  if (negatives.ndim !== 2 || negatives.shape[1] !== query.shape[1]) {
    throw new ShapeError('ERR_LOSS_SHAPE', `${op}: negatives must be [M, ${query.shape[1]}], received ${showShape(negatives.shape)}.`)
  }
  const own = sum(mul(q, k), { dim: 1, keepdim: true })
  const scores = div(concat([own, matmul(q, transpose(normalize(negatives)))], 1), temperature)
  return reduceLoss(crossEntropyRows(scores, to(zerosLike(arangeTensor(n)), 'int32'), -100), reduction)
}
