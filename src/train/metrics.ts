/**
 * Metrics: functions of a model's outputs and the targets that give one number as a 0-d tensor. No gradients. `fit` measures them over the whole set.
 */

import { isFloat } from '../base/dtype.js'
import { ArgumentError, checkOptions, DTypeError, ShapeError, showShape, showValue } from '../base/errors.js'
import { sameShape } from '../base/shape.js'
import { arangeTensor } from '../ops/basic/creation.js'
import { abs, add, div, eq, gt, le, logicalNot, lt, mul, sqrt, square, sub, to, where } from '../ops/basic/elementwise.js'
import { gather, oneHot, pick } from '../ops/basic/gather.js'
import { matmul } from '../ops/basic/matmul.js'
import { reshape, transpose, unsqueeze } from '../ops/basic/movement.js'
import { argmax, mean, sum } from '../ops/basic/reduce.js'
import { checkTensor } from '../ops/core/dispatch.js'
import { noGrad } from '../ops/core/grad-mode.js'
import { type NestedArray, type Tensor, tensor } from '../tensor/tensor.js'
import { countElements, meanOf, type Scores, type WholeSetMetric, wholeSet } from './whole.js'

export { type Metric, type MetricState, type WholeSet, type WholeSetMetric, wholeSet } from './whole.js'

export interface LabelOptions {
  /** Samples with this label do not count; default -100, as in `crossEntropy`. */
  ignoreIndex?: number
}

/** The classes of samples, and which of these count where some may not. */
interface Classes {
  readonly classes: Tensor
  readonly counted: Tensor | undefined
}

/** Class indices of targets that are indices (int32, uint8, plain arrays) or rows of the outputs' shape (one-hot, probabilities). */
function classesOf(op: string, outputs: Tensor, targets: Tensor | readonly NestedArray[], { ignoreIndex = -100 }: LabelOptions): Classes {
  if (!Number.isInteger(ignoreIndex))
    throw new ArgumentError('ERR_METRIC_OPTION', `${op}: ignoreIndex must be a whole number, received ${showValue(ignoreIndex)}.`)
  checkTensor(op, 'the outputs', outputs)
  const labels = Array.isArray(targets) ? tensor(targets, { dtype: 'int32' }) : (targets as Tensor)
  checkTensor(op, 'the targets', labels)
  if (outputs.ndim < 2 || outputs.shape[1] === 1)
    throw new ShapeError(
      'ERR_METRIC_SHAPE',
      `${op}: outputs must be [N, C] or [N, C, …] of at least 2 classes, received ${showShape(outputs.shape)}. For one output a sample use binaryAccuracy.`,
    )
  if (sameShape(labels.shape, outputs.shape)) return { classes: argmax(labels, 1), counted: undefined }
  const shape = outputs.shape.filter((_, i) => i !== 1)
  if (!sameShape(labels.shape, shape)) {
    throw new ShapeError(
      'ERR_METRIC_SHAPE',
      `${op}: outputs ${showShape(outputs.shape)} need targets ${showShape(shape)}, received ${showShape(labels.shape)}.`,
    )
  }
  if (isFloat(labels.dtype) || labels.dtype === 'bool') {
    throw new DTypeError(
      'ERR_LABEL_DTYPE',
      `${op}: targets must be int32 or uint8, received ${labels.dtype}. Convert class indices with .to('int32').`,
    )
  }
  // a look-up that changes nothing, but finds labels that no output can be, inside compile too
  const indices = to(labels, 'int32')
  const ignored = eq(indices, ignoreIndex)
  const known = reshape(where(ignored, 0, indices), [indices.size])
  const classes = reshape(pick(arangeTensor(outputs.shape[1]), known, 0, { op, shape, what: 'classes' }), shape)
  return { classes, counted: to(logicalNot(ignored), 'float32') }
}

/**
 * Share of samples whose greatest output is the target's class. Outputs `[N, C]` or `[N, C, …]`; targets are class indices, or rows. Samples labelled
 * `ignoreIndex` (default -100) do not count; NaN where none is left.
 *
 *     metrics.accuracy(model.forward(x), labels).item()      // 0.98
 *
 * @throws ShapeError `ERR_METRIC_SHAPE`; DTypeError `ERR_LABEL_DTYPE`; DataError `ERR_INDEX_RANGE` for a label out of range.
 */
export function accuracy(outputs: Tensor, targets: Tensor | readonly NestedArray[], options: LabelOptions = {}): Tensor {
  return noGrad(() => meanOf(hits(outputs, targets, options)))
}

function hits(outputs: Tensor, targets: Tensor | readonly NestedArray[], options: LabelOptions = {}): Scores {
  checkOptions('accuracy', options, { ignoreIndex: true })
  const { classes, counted } = classesOf('accuracy', outputs, targets, options)
  return { scores: to(eq(argmax(outputs, 1), classes), 'float32'), counted }
}
countElements(accuracy, hits)

/**
 * Share of samples whose class is among the `k` greatest outputs (default 5). Outputs `[N, C]`; equals count in the sample's favour. Samples labelled
 * `ignoreIndex` (default -100) do not count; NaN where none is left.
 *
 *     metrics.topKAccuracy(logits, labels, { k: 3 })
 *
 * @throws ArgumentError unless k is a positive integer; ShapeError; DTypeError; DataError for a label out of range.
 */
export function topKAccuracy(
  outputs: Tensor,
  targets: Tensor | readonly NestedArray[],
  options: LabelOptions & { k?: number } = {},
): Tensor {
  return noGrad(() => meanOf(topHits(outputs, targets, options)))
}

function topHits(outputs: Tensor, targets: Tensor | readonly NestedArray[], options: LabelOptions & { k?: number } = {}): Scores {
  checkOptions('topKAccuracy', options, { k: true, ignoreIndex: true })
  const { k = 5 } = options
  if (!Number.isInteger(k) || k < 1)
    throw new ArgumentError('ERR_METRIC_OPTION', `topKAccuracy: k must be a positive integer, received ${showValue(k)}.`)
  const { classes, counted } = classesOf('topKAccuracy', outputs, targets, options)
  if (outputs.ndim !== 2)
    throw new ShapeError('ERR_METRIC_SHAPE', `topKAccuracy: outputs must be [N, C], received ${showShape(outputs.shape)}.`)
  const own = gather(outputs, unsqueeze(classes, 1), 1)
  const above = sum(to(gt(outputs, own), 'float32'), { dim: 1 })
  return { scores: to(lt(above, k), 'float32'), counted }
}
countElements(topKAccuracy, topHits)

/**
 * Share of elements on the target's side of `threshold`: default 0, for logits; 0.5 for probabilities. Shapes equal; targets 0 or 1.
 *
 *     metrics.binaryAccuracy(probabilities, labels, { threshold: 0.5 })
 *
 * @throws ShapeError `ERR_METRIC_SHAPE` when the shapes differ.
 */
export function binaryAccuracy(outputs: Tensor, targets: Tensor, options: { threshold?: number } = {}): Tensor {
  return noGrad(() => mean(sideHits(outputs, targets, options)))
}

function sideHits(outputs: Tensor, targets: Tensor, options: { threshold?: number } = {}): Tensor {
  checkOptions('binaryAccuracy', options, { threshold: true })
  checkSame('binaryAccuracy', outputs, targets)
  const predicted = to(gt(outputs, options.threshold ?? 0), 'float32')
  const wanted = to(le(0.5, targets), 'float32')
  return to(eq(predicted, wanted), 'float32')
}
countElements(binaryAccuracy, (outputs, targets) => ({ scores: sideHits(outputs, targets) }))

function checkSame(op: string, outputs: Tensor, targets: Tensor): void {
  checkTensor(op, 'the outputs', outputs)
  checkTensor(op, 'the targets', targets)
  if (!sameShape(outputs.shape, targets.shape)) {
    throw new ShapeError(
      'ERR_METRIC_SHAPE',
      `${op}: outputs and targets must have one shape, received ${showShape(outputs.shape)} and ${showShape(targets.shape)}. Reshape one of them.`,
    )
  }
}

/** Mean of |outputs − targets|. Shapes equal. @throws ShapeError `ERR_METRIC_SHAPE`. */
export function meanAbsoluteError(outputs: Tensor, targets: Tensor): Tensor {
  return noGrad(() => mean(absoluteErrors(outputs, targets)))
}

function absoluteErrors(outputs: Tensor, targets: Tensor): Tensor {
  checkSame('meanAbsoluteError', outputs, targets)
  return abs(sub(outputs, targets))
}
countElements(meanAbsoluteError, (outputs, targets) => ({ scores: absoluteErrors(outputs, targets) }))

/** Mean of (outputs − targets)². Shapes equal. @throws ShapeError `ERR_METRIC_SHAPE`. */
export function meanSquaredError(outputs: Tensor, targets: Tensor): Tensor {
  return noGrad(() => mean(squaredErrors(outputs, targets)))
}

function squaredErrors(outputs: Tensor, targets: Tensor, op = 'meanSquaredError'): Tensor {
  checkSame(op, outputs, targets)
  return square(sub(outputs, targets))
}
countElements(meanSquaredError, (outputs, targets) => ({ scores: squaredErrors(outputs, targets) }))

/**
 * √ of the mean of (outputs − targets)², over the whole set: the root is taken at the end. Shapes equal.
 *
 *     await fit(model, [x, y], { …, metrics: { rmse: metrics.rootMeanSquaredError } })
 *
 * @throws ShapeError `ERR_METRIC_SHAPE`.
 */
export const rootMeanSquaredError: WholeSetMetric<'sum' | 'count'> = wholeSet({
  update: (outputs, targets) => ({ sum: sum(squaredErrors(outputs, targets, 'rootMeanSquaredError')), count: outputs.size }),
  compute: ({ sum, count }) => sqrt(div(sum, count)),
})

/**
 * The coefficient of determination R², 1 − Σ(target − output)² / Σ(target − mean target)², over the whole set: 1 is perfect, 0 no better than the mean. Shapes equal, `[N]` or `[N, …]`;
 * several outputs a sample are averaged. Where all targets are equal it is 1 if they were met, else 0; of one sample NaN. Source: `sklearn.metrics.r2_score`; batches are joined
 * as Chan, Golub and LeVeque do, 1979, so targets far from 0 lose nothing.
 *
 *     await fit(model, [x, y], { …, metrics: { r2: metrics.r2Score } })
 *
 * @throws ShapeError `ERR_METRIC_SHAPE`.
 */
export const r2Score: WholeSetMetric<'count' | 'mean' | 'rest' | 'spread' | 'residual'> = wholeSet({
  update: (outputs, targets) => {
    const residual = squaredErrors(outputs, targets, 'r2Score')
    if (targets.ndim === 0)
      throw new ShapeError('ERR_METRIC_SHAPE', 'r2Score: outputs and targets must be [N] or [N, …], received []. It needs a batch.')
    const over = { dim: 0 }
    const around = mean(to(targets, 'float32'), over)
    const apart = sub(targets, around)
    // what the mean lacks in float32
    const rest = mean(apart, over)
    return { count: targets.shape[0], mean: around, rest, spread: sum(square(sub(apart, rest)), over), residual: sum(residual, over) }
  },
  merge: (a, b) => {
    const count = add(a.count, b.count)
    const apart = add(sub(b.mean, a.mean), sub(b.rest, a.rest))
    return {
      count,
      mean: a.mean,
      rest: add(a.rest, mul(apart, div(b.count, count))),
      spread: add(add(a.spread, b.spread), mul(square(apart), div(mul(a.count, b.count), count))),
      residual: add(a.residual, b.residual),
    }
  },
  compute: ({ count, spread, residual }) => {
    const equal = eq(spread, 0)
    const score = where(equal, to(eq(residual, 0), spread.dtype), sub(1, div(residual, where(equal, 1, spread))))
    return where(lt(count, 2), Number.NaN, mean(score))
  },
})

/**
 * Counts of samples by true class (rows) and predicted class (columns): float32 `[C, C]`, to be added up over batches, in `fit` by `wholeSet`. Samples
 * labelled `ignoreIndex` (default -100) do not count.
 *
 *     metrics.confusionMatrix(model.forward(x), labels).toArray()
 *     metrics.wholeSet({ update: (o, t) => ({ counts: metrics.confusionMatrix(o, t) }), compute: ({ counts }) => … })
 *
 * @throws ShapeError `ERR_METRIC_SHAPE`; DTypeError `ERR_LABEL_DTYPE`; DataError `ERR_INDEX_RANGE` for a label out of range.
 */
export function confusionMatrix(outputs: Tensor, targets: Tensor | readonly NestedArray[], options: LabelOptions = {}): Tensor {
  checkOptions('confusionMatrix', options, { ignoreIndex: true })
  return noGrad(() => {
    const { classes, counted } = classesOf('confusionMatrix', outputs, targets, options)
    const count = outputs.shape[1]
    const rows = (t: Tensor): Tensor => oneHot(reshape(t, [t.size]), count)
    const truth = rows(classes)
    const truthCounted = counted === undefined ? truth : mul(truth, reshape(counted, [counted.size, 1]))
    return matmul(transpose(truthCounted), rows(argmax(outputs, 1)))
  })
}
