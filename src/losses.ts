/**
 * Losses. In: what a model gives and what it should give. Out: one number (or, with `reduction: 'none'`, one per element), to call
 * `backward()` on. Input and target are never broadcast against each other: shapes that differ are an error.
 */
import { type DType, isFloat } from './dtype.js'
import { ArgumentError, checkOptions, DTypeError, ShapeError, showShape, showValue } from './errors.js'
import { softplus } from './ops/activations.js'
import { checkTensor } from './ops/dispatch.js'
import { abs, add, div, le, log, lt, mul, ne, neg, square, sub, to, where } from './ops/elementwise.js'
import { gather, indexSelect } from './ops/gather.js'
import { permute, reshape, unsqueeze } from './ops/movement.js'
import { mean, sum } from './ops/reduce.js'
import { crossEntropyRows, logSoftmax } from './ops/softmax.js'
import { broadcastShapes, sameShape, sizeOf } from './shape.js'
import { type NestedArray, type ShapeOf, Tensor, tensor } from './tensor.js'
import type { ExpectSame } from './types.js'

/** How the losses of single elements become the result: their mean, their sum, or as they are. */
export type Reduction = 'mean' | 'sum' | 'none'

export interface LossOptions {
  /** Default `mean`. */
  reduction?: Reduction
}

/** `unknown` where two tensors have one shape, else a sentence. */
type Same<Op extends string, A, B> = ExpectSame<Op, ShapeOf<A>, ShapeOf<B>>

/** Class indices: int32 or uint8, or plain numbers. */
export type Labels = Tensor | readonly NestedArray[] | number

function checkReduction(op: string, reduction: Reduction | undefined): Reduction {
  const r = reduction ?? 'mean'
  if (r !== 'mean' && r !== 'sum' && r !== 'none') {
    throw new ArgumentError('ERR_REDUCTION', `${op}: reduction must be 'mean', 'sum' or 'none', received ${showValue(r)}.`)
  }
  return r
}

function reduceLoss(loss: Tensor, reduction: Reduction): Tensor {
  return reduction === 'mean' ? mean(loss) : reduction === 'sum' ? sum(loss) : loss
}

function checkFloat(op: string, name: string, x: unknown): asserts x is Tensor {
  checkTensor(op, name, x)
  if (!isFloat(x.dtype))
    throw new DTypeError(
      'ERR_DTYPE',
      `${op}: ${name} must be float32, received ${x.dtype} ${showShape(x.shape)}. Convert with .to('float32').`,
    )
}

/** Input and target of one shape; the target converted to the input's dtype. */
function checkPair(op: string, input: Tensor, target: Tensor): Tensor {
  checkFloat(op, 'the input', input)
  checkTensor(op, 'the target', target)
  if (!sameShape(input.shape, target.shape)) {
    throw new ShapeError(
      'ERR_LOSS_SHAPE',
      `${op}: input and target must have one shape, received ${showShape(input.shape)} and ${showShape(target.shape)}. Reshape one of them, for example with .reshape([${input.shape.join(', ')}]).`,
    )
  }
  return isFloat(target.dtype) ? target : to(target, input.dtype)
}

const vectors = new Map<string, Tensor>()

/** Weights as a tensor. Those of a plain array are made once for equal numbers, so that a compiled function sees the same tensor each time. */
function weightTensor(op: string, name: string, weight: Tensor | readonly number[]): Tensor {
  if (Array.isArray(weight)) {
    const key = weight.join()
    let known = vectors.get(key)
    if (known === undefined) {
      known = tensor(weight as number[])
      if (vectors.size >= 64) vectors.clear()
      vectors.set(key, known)
    }
    return known
  }
  checkFloat(op, name, weight)
  return weight
}

function weightFor(op: string, name: string, weight: Tensor | readonly number[], input: Tensor): Tensor {
  const w = weightTensor(op, name, weight)
  const wide = broadcastShapes(w.shape, input.shape)
  if (wide === undefined || !sameShape(wide, input.shape)) {
    throw new ShapeError(
      'ERR_LOSS_WEIGHT',
      `${op}: ${name} ${showShape(w.shape)} does not broadcast to the input ${showShape(input.shape)}.`,
    )
  }
  return w
}

/** Mean of (input − target)². Shapes equal. @throws ShapeError `ERR_LOSS_SHAPE`. Example: `mseLoss(model.forward(x), y)`. */
export function mseLoss<A extends Tensor, B extends Tensor>(input: A, target: B & Same<'mseLoss', A, B>, options?: LossOptions): Tensor
export function mseLoss(input: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  checkOptions('mseLoss', options)
  const reduction = checkReduction('mseLoss', options.reduction)
  return reduceLoss(square(sub(input, checkPair('mseLoss', input, target))), reduction)
}

/** Mean of |input − target|. Shapes equal. @throws ShapeError `ERR_LOSS_SHAPE`. Example: `l1Loss(model.forward(x), y)`. */
export function l1Loss<A extends Tensor, B extends Tensor>(input: A, target: B & Same<'l1Loss', A, B>, options?: LossOptions): Tensor
export function l1Loss(input: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  checkOptions('l1Loss', options)
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
  checkOptions('huberLoss', options)
  const { delta = 1 } = options
  if (!(delta > 0)) throw new ArgumentError('ERR_LOSS_OPTION', `huberLoss: delta must be above 0, received ${delta}.`)
  const reduction = checkReduction('huberLoss', options.reduction)
  const d = sub(input, checkPair('huberLoss', input, target))
  const size = abs(d)
  const loss = where(le(size, delta), mul(square(d), 0.5), mul(sub(size, 0.5 * delta), delta))
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
  checkOptions('smoothL1Loss', options)
  const { beta = 1 } = options
  if (!(beta >= 0)) throw new ArgumentError('ERR_LOSS_OPTION', `smoothL1Loss: beta must be at least 0, received ${beta}.`)
  const reduction = checkReduction('smoothL1Loss', options.reduction)
  const d = sub(input, checkPair('smoothL1Loss', input, target))
  const size = abs(d)
  const loss = beta === 0 ? size : where(lt(size, beta), mul(square(d), 0.5 / beta), sub(size, 0.5 * beta))
  return reduceLoss(loss, reduction)
}

/**
 * Cross-entropy of probabilities and labels in 0 … 1: −(t·log p + (1 − t)·log(1 − p)), each logarithm at least −100. At saturated
 * probabilities there is no gradient; `binaryCrossEntropyWithLogits` has none of these limits.
 *
 *     binaryCrossEntropy(model.forward(x).sigmoid(), y)
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`; DTypeError when the input is not float.
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
  checkOptions('binaryCrossEntropy', options)
  const reduction = checkReduction('binaryCrossEntropy', options.reduction)
  const t = checkPair('binaryCrossEntropy', input, target)
  const loss = neg(add(mul(t, boundedLog(input)), mul(sub(1, t), boundedLog(sub(1, input)))))
  const weighted = options.weight === undefined ? loss : mul(loss, weightFor('binaryCrossEntropy', 'weight', options.weight, input))
  return reduceLoss(weighted, reduction)
}

/** log p, or −100 where p is 0 (or denormal); the inner choice keeps infinities out of the gradient. */
function boundedLog(p: Tensor): Tensor {
  const gone = lt(p, 2 ** -126)
  return where(gone, -100, log(where(gone, 1, p)))
}

export interface BceWithLogitsOptions extends LossOptions {
  /** Weight of positive labels; broadcasts to the input (one number per class, say). */
  posWeight?: Tensor | readonly number[]
  /** Weight of each element; broadcasts to the input. */
  weight?: Tensor | readonly number[]
}

/**
 * Cross-entropy of sigmoid(input) and labels in 0 … 1, without overflow. Any shape, both equal; labels may be integers.
 *
 *     binaryCrossEntropyWithLogits(model.forward(x), y, { posWeight: [3] })
 *
 * @throws ShapeError `ERR_LOSS_SHAPE` or `ERR_LOSS_WEIGHT`; DTypeError when the input is not float.
 */
export function binaryCrossEntropyWithLogits<A extends Tensor, B extends Tensor>(
  input: A,
  target: B & Same<'binaryCrossEntropyWithLogits', A, B>,
  options?: BceWithLogitsOptions,
): Tensor
export function binaryCrossEntropyWithLogits(input: Tensor, target: Tensor, options: BceWithLogitsOptions = {}): Tensor {
  checkOptions('binaryCrossEntropyWithLogits', options)
  const op = 'binaryCrossEntropyWithLogits'
  const reduction = checkReduction(op, options.reduction)
  const t = checkPair(op, input, target)
  let loss: Tensor
  if (options.posWeight === undefined) {
    loss = sub(softplus(input), mul(input, t))
  } else {
    const positive = weightFor(op, 'posWeight', options.posWeight, input)
    const scale = add(mul(sub(positive, 1), t), 1)
    loss = add(mul(sub(1, t), input), mul(scale, softplus(neg(input))))
  }
  if (options.weight !== undefined) loss = mul(loss, weightFor(op, 'weight', options.weight, input))
  return reduceLoss(loss, reduction)
}

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

function labelTensor(op: string, target: Labels): Tensor {
  const labels =
    Array.isArray(target) || typeof target === 'number' ? tensor(target as NestedArray, { dtype: 'int32' }) : (target as Tensor)
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
  return { scores, labels: reshape(labels, [sizeOf(shape)]), shape }
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
  const w = weightTensor(op, 'weight', weight)
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

/** For each row 1, its class's weight, or 0 when it is ignored; `undefined` where all are 1. */
function shares({ labels }: Rows, weight: Tensor | undefined, ignoreIndex: number, dtype: DType): Tensor | undefined {
  const kept = canIgnore(labels, ignoreIndex) ? ne(labels, ignoreIndex) : undefined
  if (weight === undefined) return kept && to(kept, dtype)
  if (kept === undefined) return indexSelect(weight, labels)
  return where(kept, indexSelect(weight, where(kept, labels, 0)), 0)
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
  checkOptions('crossEntropy', options)
  const op = 'crossEntropy'
  const reduction = checkReduction(op, options.reduction)
  const { labelSmoothing: smoothing = 0 } = options
  if (!(smoothing >= 0 && smoothing <= 1))
    throw new ArgumentError('ERR_LOSS_OPTION', `${op}: labelSmoothing must be between 0 and 1, received ${smoothing}.`)
  const ignoreIndex = checkIgnoreIndex(op, options.ignoreIndex ?? -100)
  if (target instanceof Tensor && isFloat(target.dtype) && input instanceof Tensor && sameShape(target.shape, input.shape)) {
    return fromProbabilities(input, target, smoothing, options.weight, reduction)
  }
  const rows = checkRows(op, input, target)
  const { scores, labels, shape } = rows
  const weight = classWeight(op, options.weight, scores)
  const weights = shares(rows, weight, ignoreIndex, scores.dtype)
  let losses = crossEntropyRows(scores, labels, ignoreIndex)
  if (weight !== undefined && weights !== undefined) losses = mul(losses, weights)
  if (smoothing > 0) {
    const all = neg(logSoftmax(scores))
    let even = sum(weight === undefined ? all : mul(all, weight), { dim: 1 })
    if (canIgnore(labels, ignoreIndex)) even = where(ne(labels, ignoreIndex), even, 0)
    losses = add(mul(losses, 1 - smoothing), mul(even, smoothing / scores.shape[1]))
  }
  return reduceRows(losses, weights, shape, reduction)
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
  const terms = mul(logSoftmax(scores), w === undefined ? smooth : mul(smooth, w))
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
  checkOptions('nllLoss', options)
  const reduction = checkReduction('nllLoss', options.reduction)
  const ignoreIndex = checkIgnoreIndex('nllLoss', options.ignoreIndex ?? -100)
  const rows = checkRows('nllLoss', input, target)
  const { scores, labels, shape } = rows
  const weights = shares(rows, classWeight('nllLoss', options.weight, scores), ignoreIndex, scores.dtype)
  const known = canIgnore(labels, ignoreIndex) ? where(ne(labels, ignoreIndex), labels, 0) : labels
  const picked = neg(reshape(gather(scores, unsqueeze(known, 1), 1), [labels.size]))
  return reduceRows(weights === undefined ? picked : mul(picked, weights), weights, shape, reduction)
}
