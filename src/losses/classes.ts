/**
 * Losses of one class out of several, and between distributions over classes.
 */
import { isFloat } from '../base/dtype.js'
import { ArgumentError, checkOptions, DTypeError, isNumber, ShapeError, showShape, showValue } from '../base/errors.js'
import { sameShape, sizeOf } from '../base/shape.js'
import type { Lookup } from '../ir/format.js'
import { arangeTensor } from '../ops/basic/creation.js'
import { add, div, eq, exp, log, logicalAnd, lt, mul, ne, neg, relu, square, sub, to, where } from '../ops/basic/elementwise.js'
import { oneHotOf, pick } from '../ops/basic/gather.js'
import { permute, reshape, unsqueeze } from '../ops/basic/movement.js'
import { amax, amin, mean, sum } from '../ops/basic/reduce.js'
import { crossEntropyRows, logSoftmax } from '../ops/basic/softmax.js'
import { checkTensor } from '../ops/core/dispatch.js'
import { type NestedArray, Tensor, tensor } from '../tensor/tensor.js'
import {
  checkChoice,
  checkFloat,
  checkOption,
  checkPair,
  checkRange,
  checkReduction,
  focused,
  type LossOptions,
  type Reduction,
  reduceLoss,
  weightTensor,
} from './check.js'

/** Class indices: int32 or uint8, or plain numbers. */
export type Labels = Tensor | readonly NestedArray[] | number

export interface ClassLossOptions extends LossOptions {
  /** A weight for each class, `[C]`; the mean is then weighted. */
  weight?: Tensor | readonly number[]
  /** Elements with this label do not count; default −100. */
  ignoreIndex?: number
}

export interface CrossEntropyOptions extends ClassLossOptions {
  /** Share of the target spread evenly over all classes, 0 … 1; default 0. */
  labelSmoothing?: number
}

/** Scores as rows `[R, C]`, labels `[R]`, and the shape of one loss per label. */
interface Rows {
  readonly scores: Tensor
  readonly labels: Tensor
  /** How the user gave the labels, for errors. */
  readonly lookup: Lookup
  readonly shape: readonly number[]
}

/** `[C]`, `[N, C]` or `[N, C, d1, …]` as `[R, C]`, with the shape left when C is taken out. */
function rowsOf(op: string, input: Tensor): { scores: Tensor; shape: readonly number[] } {
  checkFloat(op, 'the scores', input)
  if (input.ndim === 0) throw new ShapeError('ERR_LOSS_SHAPE', `${op}: scores must be [N, C], [N, C, …] or [C], received a scalar.`)
  if (input.ndim === 1) return { scores: unsqueeze(input, 0), shape: [] }
  const shape = input.shape.filter((_, i) => i !== 1)
  if (input.ndim === 2) return { scores: input, shape }
  const others = [...input.shape.keys()].filter((d) => d !== 1)
  return { scores: reshape(permute(input, [...others, 1]), [sizeOf(shape), input.shape[1]]), shape }
}

/** Labels as a tensor. */
export function labelTensor(op: string, target: Labels): Tensor {
  const plain = Array.isArray(target) || typeof target === 'number'
  const labels = plain ? tensor(target as NestedArray, { dtype: 'int32' }) : (target as Tensor)
  const fraction = plain && [target].flat(Infinity).find((x) => !Number.isInteger(x))
  if (typeof fraction === 'number')
    throw new DTypeError('ERR_LABEL_DTYPE', `${op}: labels must be whole numbers, received ${fraction}. Pass class indices.`)
  checkTensor(op, 'the labels', labels)
  return labels
}

function checkRows(op: string, input: Tensor, target: Labels): Rows {
  const { scores, shape } = rowsOf(op, input)
  const labels = labelTensor(op, target)
  if (labels.dtype !== 'int32' && labels.dtype !== 'uint8') {
    const advice = op === 'crossEntropy' ? ` Probabilities have the shape of the scores, ${showShape(input.shape)}.` : ''
    throw new DTypeError(
      'ERR_LABEL_DTYPE',
      `${op}: labels must be int32 or uint8, received ${labels.dtype} ${showShape(labels.shape)}. Convert class indices with .to('int32').${advice}`,
    )
  }
  if (!sameShape(labels.shape, shape)) {
    throw new ShapeError(
      'ERR_LOSS_SHAPE',
      `${op}: scores ${showShape(input.shape)} need labels ${showShape(shape)}, received ${showShape(labels.shape)}. ${labelAdvice(op, input, labels, shape)}`,
    )
  }
  return { scores, labels: reshape(labels, [sizeOf(shape)]), lookup: { op, shape, what: 'classes' }, shape }
}

function labelAdvice(op: string, input: Tensor, labels: Tensor, shape: readonly number[]): string {
  if (sameShape(labels.shape, input.shape)) {
    const other = op === 'crossEntropy' ? "or pass one-hot rows as floats, .to('float32')" : 'not one-hot rows'
    return `Pass class indices, .argmax(1), ${other}.`
  }
  return labels.size === sizeOf(shape) ? `Reshape them with .reshape([${shape.join(', ')}]).` : 'There must be one label for each element.'
}

function classWeight(op: string, weight: Tensor | readonly number[] | undefined, scores: Tensor): Tensor | undefined {
  if (weight === undefined) return undefined
  const classes = scores.shape[1]
  const w = weightTensor(op, 'weight', weight, scores.dtype)
  if (w.ndim !== 1 || w.shape[0] !== classes) {
    throw new ShapeError(
      'ERR_LOSS_WEIGHT',
      `${op}: weight must have one element for each of the ${classes} classes, received ${showShape(w.shape)}.`,
    )
  }
  return w
}

/** Whether a label can be `ignoreIndex` at all. */
const canIgnore = (labels: Tensor, ignoreIndex: number): boolean => labels.dtype !== 'uint8' || (ignoreIndex >= 0 && ignoreIndex <= 255)

/** How rows count. */
interface Shares {
  /** Which are not ignored; `undefined` where none can be. */
  readonly kept: Tensor | undefined
  /** The label of each row, 0 where it is ignored. */
  readonly known: Tensor
  /** For each row 1, its class's weight, or 0 when it is ignored; `undefined` where all are 1. */
  readonly weights: Tensor | undefined
}

function sharesOf({ labels, scores, lookup }: Rows, weight: Tensor | undefined, ignoreIndex: number): Shares {
  const kept = canIgnore(labels, ignoreIndex) ? ne(labels, ignoreIndex) : undefined
  if (kept === undefined) return { kept, known: labels, weights: weight && pick(weight, labels, 0, lookup) }
  const known = where(kept, labels, 0)
  return { kept, known, weights: weight === undefined ? to(kept, scores.dtype) : where(kept, pick(weight, known, 0, lookup), 0) }
}

/** Losses of rows, weighted; what is ignored is left out, whatever its loss. */
function counted(losses: Tensor, weight: Tensor | undefined, { kept, weights }: Shares): Tensor {
  const weighted = weight === undefined || weights === undefined ? losses : mul(losses, weights)
  return kept === undefined ? weighted : where(kept, weighted, 0)
}

/** Reduces losses of rows that are weighted already: the mean divides by the sum of the weights. */
function reduceRows(losses: Tensor, weights: Tensor | undefined, shape: readonly number[], reduction: Reduction): Tensor {
  if (reduction === 'none') return reshape(losses, shape)
  if (reduction === 'sum') return sum(losses)
  return weights === undefined ? mean(losses) : div(sum(losses), sum(weights))
}

function checkIgnoreIndex(op: string, ignoreIndex: number): number {
  if (!Number.isInteger(ignoreIndex))
    throw new ArgumentError('ERR_LOSS_OPTION', `${op}: ignoreIndex must be an integer, received ${showValue(ignoreIndex)}.`)
  return ignoreIndex
}

/**
 * Cross-entropy of softmax(input) and the target. Scores (logits): `[N, C]`, `[N, C, d1, …]` or `[C]`. Target: class indices `[N]`, `[N,
 * d1, …]` or one number (int32, uint8 or plain arrays), or probabilities as floats in the scores' shape. Defaults: mean over what is not
 * ignored (weighted by `weight`), `ignoreIndex` −100, `labelSmoothing` 0. Source: `torch.nn.functional.cross_entropy`.
 *
 *     losses.crossEntropy(model.forward(x), labels)
 *     losses.crossEntropy(logits, [3, 1, 4], { labelSmoothing: 0.1 })
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`; DTypeError `ERR_LABEL_DTYPE`; DataError `ERR_INDEX_RANGE` for a label out of range.
 */
export function crossEntropy(input: Tensor, target: Labels, options: CrossEntropyOptions = {}): Tensor {
  checkOptions('crossEntropy', options, { reduction: true, weight: true, ignoreIndex: true, labelSmoothing: true })
  const op = 'crossEntropy'
  const reduction = checkReduction(op, options.reduction)
  const { labelSmoothing: smoothing = 0 } = options
  if (!(isNumber(smoothing) && smoothing >= 0 && smoothing <= 1))
    throw new ArgumentError('ERR_LOSS_OPTION', `${op}: labelSmoothing must be between 0 and 1, received ${showValue(smoothing)}.`)
  const ignoreIndex = checkIgnoreIndex(op, options.ignoreIndex ?? -100)
  if (target instanceof Tensor && isFloat(target.dtype) && input instanceof Tensor && sameShape(target.shape, input.shape)) {
    return fromProbabilities(input, target, smoothing, options.weight, reduction)
  }
  const rows = checkRows(op, input, target)
  const { scores, labels, lookup, shape } = rows
  const weight = classWeight(op, options.weight, scores)
  const { kept, weights } = sharesOf(rows, weight, ignoreIndex)
  // 0 for rows that are ignored
  let losses = crossEntropyRows(scores, labels, ignoreIndex, lookup)
  if (weight !== undefined && weights !== undefined) losses = mul(losses, weights)
  if (smoothing > 0) {
    const all = neg(logSoftmax(scores))
    let even = sum(weight === undefined ? all : mul(all, weight), { dim: 1 })
    if (kept !== undefined) even = where(kept, even, 0)
    losses = add(mul(losses, 1 - smoothing), mul(even, smoothing / scores.shape[1]))
  }
  return reduceRows(losses, weights, shape, reduction)
}

/** p·log q, and 0 where p is 0 and log q −∞: what cannot happen and does not is no loss. */
function expected(p: Tensor, logQ: Tensor): Tensor {
  const never = logicalAnd(eq(p, 0), eq(logQ, Number.NEGATIVE_INFINITY))
  return where(never, 0, mul(p, where(never, 0, logQ)))
}

function fromProbabilities(
  input: Tensor,
  target: Tensor,
  smoothing: number,
  weight: CrossEntropyOptions['weight'],
  reduction: Reduction,
): Tensor {
  const { scores, shape } = rowsOf('crossEntropy', input)
  const wanted = rowsOf('crossEntropy', target).scores
  const w = classWeight('crossEntropy', weight, scores)
  const smooth = smoothing === 0 ? wanted : add(mul(wanted, 1 - smoothing), smoothing / scores.shape[1])
  const terms = expected(w === undefined ? smooth : mul(smooth, w), logSoftmax(scores))
  return reduceRows(neg(sum(terms, { dim: 1 })), undefined, shape, reduction)
}

/**
 * −input[target]: cross-entropy of log-probabilities, as `logSoftmax` gives them. Shapes and options as `crossEntropy` with class indices.
 *
 *     losses.nllLoss(x.logSoftmax(1), labels)
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`; DTypeError `ERR_LABEL_DTYPE`; DataError `ERR_INDEX_RANGE` for a label out of range.
 */
export function nllLoss(input: Tensor, target: Labels, options: ClassLossOptions = {}): Tensor {
  checkOptions('nllLoss', options, { reduction: true, weight: true, ignoreIndex: true })
  const reduction = checkReduction('nllLoss', options.reduction)
  const ignoreIndex = checkIgnoreIndex('nllLoss', options.ignoreIndex ?? -100)
  const rows = checkRows('nllLoss', input, target)
  const { scores, labels, lookup, shape } = rows
  const weight = classWeight('nllLoss', options.weight, scores)
  const shares = sharesOf(rows, weight, ignoreIndex)
  const picked = neg(reshape(pick(scores, unsqueeze(shares.known, 1), 1, lookup), [labels.size]))
  return reduceRows(counted(picked, weight, shares), shares.weights, shape, reduction)
}

export interface FocalOptions extends ClassLossOptions {
  /** How much less the easy ones count; default 2. */
  gamma?: number
}

/**
 * Cross-entropy in which what is known already counts less: weighted by (1 − p)^gamma, where p is the probability given to the right class. Shapes and
 * options as `crossEntropy` with class indices; `weight` takes the place of the paper's alpha. Source: Lin et al. 2017.
 *
 *     focalLoss(model.forward(x), labels, { gamma: 2 })
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`; DTypeError `ERR_LABEL_DTYPE`; DataError `ERR_INDEX_RANGE`; ArgumentError `ERR_LOSS_OPTION`.
 */
export function focalLoss(input: Tensor, target: Labels, options: FocalOptions = {}): Tensor {
  const op = 'focalLoss'
  checkOptions(op, options, { reduction: true, weight: true, ignoreIndex: true, gamma: true })
  const reduction = checkReduction(op, options.reduction)
  const gamma = checkOption(op, 'gamma', options.gamma ?? 2, 0)
  const ignoreIndex = checkIgnoreIndex(op, options.ignoreIndex ?? -100)
  const rows = checkRows(op, input, target)
  const weight = classWeight(op, options.weight, rows.scores)
  const shares = sharesOf(rows, weight, ignoreIndex)
  const each = crossEntropyRows(rows.scores, rows.labels, ignoreIndex, rows.lookup)
  const losses = focused(each, sub(1, exp(neg(each))), gamma)
  return reduceRows(counted(losses, weight, shares), shares.weights, rows.shape, reduction)
}

export interface KlDivOptions {
  /** As elsewhere, or 'batchmean': the sum divided by the first size, which is the mathematical definition. Default 'mean', as in PyTorch. */
  reduction?: Reduction | 'batchmean'
  /** Whether the target is given as logarithms; default false. */
  logTarget?: boolean
}

/**
 * Kullback-Leibler divergence of the target's distribution from the input's: target·(log target − input). The input holds log-probabilities. Source:
 * `torch.nn.functional.kl_div`.
 *
 *     klDiv(x.logSoftmax(1), p, { reduction: 'batchmean' })
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`; DataError `ERR_LOSS_RANGE` for negative probabilities (NaN inside `compile`).
 */
export function klDiv(input: Tensor, target: Tensor, options: KlDivOptions = {}): Tensor {
  checkOptions('klDiv', options, { reduction: true, logTarget: true })
  const { reduction = 'mean', logTarget = false } = options
  checkChoice('klDiv', 'reduction', reduction, ['mean', 'sum', 'none', 'batchmean'])
  const t = checkPair('klDiv', input, target)
  if (!logTarget) checkRange('klDiv', 'the target', t, 0, Infinity, 'Pass probabilities, or { logTarget: true }.')
  const none = eq(t, 0)
  const loss = logTarget ? mul(exp(t), sub(t, input)) : sub(where(none, 0, mul(t, log(where(none, 1, t)))), expected(t, input))
  if (reduction !== 'batchmean') return reduceLoss(loss, reduction)
  if (input.ndim === 0) throw new ShapeError('ERR_LOSS_SHAPE', `klDiv: 'batchmean' needs a batch, received a scalar.`)
  return div(sum(loss), input.shape[0])
}

export interface MultiMarginOptions extends LossOptions {
  /** 1 or 2: whether what is too near counts as it is or squared; default 1. */
  p?: 1 | 2
  /** By how much the right class must be ahead; default 1. */
  margin?: number
  /** A weight for each class, `[C]`. */
  weight?: Tensor | readonly number[]
}

/**
 * Σ max(0, margin − x[target] + x[c])^p / C over the other classes. Scores `[N, C]` or `[C]`, class indices `[N]` or one. Source:
 * `torch.nn.functional.multi_margin_loss`.
 *
 *     multiMarginLoss(scores, labels, { p: 2 })
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`; DTypeError `ERR_LABEL_DTYPE`; DataError `ERR_INDEX_RANGE`; ArgumentError `ERR_LOSS_OPTION`.
 */
export function multiMarginLoss(input: Tensor, target: Labels, options: MultiMarginOptions = {}): Tensor {
  const op = 'multiMarginLoss'
  checkOptions(op, options, { reduction: true, p: true, margin: true, weight: true })
  const reduction = checkReduction(op, options.reduction)
  const p = checkChoice(op, 'p', options.p ?? 1, [1, 2])
  const margin = checkOption(op, 'margin', options.margin ?? 1)
  checkFloat(op, 'the scores', input)
  if (input.ndim > 2) throw new ShapeError('ERR_LOSS_SHAPE', `${op}: scores must be [N, C] or [C], received ${showShape(input.shape)}.`)
  const { scores, labels, lookup, shape } = checkRows(op, input, target)
  const column = unsqueeze(labels, 1)
  const near = relu(add(sub(margin, pick(scores, column, 1, lookup)), scores))
  const counted = p === 1 ? near : square(near)
  const losses = div(sum(where(eq(column, arangeTensor(scores.shape[1])), 0, counted), { dim: 1 }), scores.shape[1])
  const weight = classWeight(op, options.weight, scores)
  return reduceLoss(reshape(weight === undefined ? losses : mul(losses, pick(weight, labels, 0, lookup)), shape), reduction)
}

/**
 * Σ max(0, 1 − (x[y] − x[c])) / C over the labels y and the classes c that are no labels. Scores `[N, C]` or `[C]`; labels of the same shape: class
 * indices up to the first −1. Source: `torch.nn.functional.multilabel_margin_loss`.
 *
 *     multilabelMarginLoss(scores, [[3, 0, -1, 1]])         // the labels are 3 and 0
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`; DTypeError `ERR_LABEL_DTYPE`; DataError `ERR_INDEX_RANGE`.
 */
export function multilabelMarginLoss(input: Tensor, target: Labels, options: LossOptions = {}): Tensor {
  const op = 'multilabelMarginLoss'
  checkOptions(op, options, { reduction: true })
  const reduction = checkReduction(op, options.reduction)
  checkFloat(op, 'the scores', input)
  const given = labelTensor(op, target)
  if (given.dtype !== 'int32') throw new DTypeError('ERR_LABEL_DTYPE', `${op}: labels must be int32, received ${given.dtype}.`)
  if (input.ndim < 1 || input.ndim > 2 || !sameShape(given.shape, input.shape)) {
    throw new ShapeError(
      'ERR_LOSS_SHAPE',
      `${op}: needs scores [N, C] or [C] and labels of the same shape, received ${showShape(input.shape)} and ${showShape(given.shape)}.`,
    )
  }
  const classes = input.shape[input.ndim - 1]
  const scores = reshape(input, [-1, classes])
  const labels = reshape(given, [-1, classes])
  const places = arangeTensor(classes)
  // what is less still is no end but a label, which is not there
  const end = amin(where(eq(labels, -1), places, classes), { dim: 1, keepdim: true })
  const counts = lt(places, end)
  const known = where(counts, labels, 0)
  const lookup = { op, shape: given.shape, what: 'classes' }
  const wanted = amax(to(logicalAnd(unsqueeze(counts, 2), to(oneHotOf(known, classes, lookup), 'bool')), 'int32'), { dim: 1 })
  const gap = sub(1, sub(unsqueeze(pick(scores, known, 1, lookup), 2), unsqueeze(scores, 1)))
  const pairs = logicalAnd(unsqueeze(counts, 2), unsqueeze(eq(wanted, 0), 1))
  const losses = div(sum(where(pairs, relu(gap), 0), { dim: [1, 2] }), classes)
  return reduceLoss(reshape(losses, input.shape.slice(0, -1)), reduction)
}
