/**
 * Metrics: functions of a model's outputs and the targets that give one number as a 0-d tensor, averaged over the batch. No gradients.
 */
import { noGrad } from '../autograd/backward.js'
import { isFloat } from '../dtype.js'
import { ArgumentError, checkOptions, DTypeError, ShapeError, showShape, showValue } from '../errors.js'
import { checkTensor } from '../ops/dispatch.js'
import { abs, eq, gt, le, lt, square, sub, to } from '../ops/elementwise.js'
import { gather, oneHot } from '../ops/gather.js'
import { matmul } from '../ops/matmul.js'
import { reshape, transpose, unsqueeze } from '../ops/movement.js'
import { argmax, mean, sum } from '../ops/reduce.js'
import { sameShape } from '../shape.js'
import { type NestedArray, type Tensor, tensor } from '../tensor.js'

/** What a metric is: `metrics.accuracy`, or a function of your own. */
export type Metric = (outputs: Tensor, targets: Tensor) => Tensor

/** Class indices of targets that are indices (int32, uint8, plain arrays) or rows of the outputs' shape (one-hot, probabilities). */
function classesOf(op: string, outputs: Tensor, targets: Tensor | readonly NestedArray[]): Tensor {
  checkTensor(op, 'the outputs', outputs)
  const labels = Array.isArray(targets) ? tensor(targets, { dtype: 'int32' }) : (targets as Tensor)
  checkTensor(op, 'the targets', labels)
  if (outputs.ndim < 2 || outputs.shape[1] === 1)
    throw new ShapeError(
      'ERR_METRIC_SHAPE',
      `${op}: outputs must be [N, C] or [N, C, …] of at least 2 classes, received ${showShape(outputs.shape)}. For one output a sample use binaryAccuracy.`,
    )
  if (sameShape(labels.shape, outputs.shape)) return argmax(labels, 1)
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
  return labels
}

/**
 * Share of samples whose greatest output is the target's class. Outputs `[N, C]` or `[N, C, …]`; targets are class indices, or rows.
 *
 *     metrics.accuracy(model.forward(x), labels).item()      // 0.98
 *
 * @throws ShapeError `ERR_METRIC_SHAPE`; DTypeError `ERR_LABEL_DTYPE`.
 */
export function accuracy(outputs: Tensor, targets: Tensor | readonly NestedArray[]): Tensor {
  return noGrad(() => {
    const classes = classesOf('accuracy', outputs, targets)
    return mean(to(eq(argmax(outputs, 1), classes), 'float32'))
  })
}

/**
 * Share of samples whose class is among the `k` greatest outputs (default 5). Outputs `[N, C]`; equals count in the sample's favour.
 *
 *     metrics.topKAccuracy(logits, labels, { k: 3 })
 *
 * @throws ArgumentError unless k is a positive integer; ShapeError; DTypeError; DataError for a label out of range.
 */
export function topKAccuracy(outputs: Tensor, targets: Tensor | readonly NestedArray[], options: { k?: number } = {}): Tensor {
  checkOptions('topKAccuracy', options, { k: true })
  const { k = 5 } = options
  if (!Number.isInteger(k) || k < 1)
    throw new ArgumentError('ERR_METRIC_OPTION', `topKAccuracy: k must be a positive integer, received ${showValue(k)}.`)
  return noGrad(() => {
    const classes = classesOf('topKAccuracy', outputs, targets)
    if (outputs.ndim !== 2)
      throw new ShapeError('ERR_METRIC_SHAPE', `topKAccuracy: outputs must be [N, C], received ${showShape(outputs.shape)}.`)
    const own = gather(outputs, unsqueeze(classes, 1), 1)
    const above = sum(to(gt(outputs, own), 'float32'), { dim: 1 })
    return mean(to(lt(above, k), 'float32'))
  })
}

/**
 * Share of elements on the target's side of `threshold`: default 0, for logits; 0.5 for probabilities. Shapes equal; targets 0 or 1.
 *
 *     metrics.binaryAccuracy(probabilities, labels, { threshold: 0.5 })
 *
 * @throws ShapeError `ERR_METRIC_SHAPE` when the shapes differ.
 */
export function binaryAccuracy(outputs: Tensor, targets: Tensor, options: { threshold?: number } = {}): Tensor {
  checkOptions('binaryAccuracy', options, { threshold: true })
  checkSame('binaryAccuracy', outputs, targets)
  return noGrad(() => {
    const predicted = to(gt(outputs, options.threshold ?? 0), 'float32')
    const wanted = to(le(0.5, targets), 'float32')
    return mean(to(eq(predicted, wanted), 'float32'))
  })
}

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
  checkSame('meanAbsoluteError', outputs, targets)
  return noGrad(() => mean(abs(sub(outputs, targets))))
}

/** Mean of (outputs − targets)². Shapes equal. @throws ShapeError `ERR_METRIC_SHAPE`. */
export function meanSquaredError(outputs: Tensor, targets: Tensor): Tensor {
  checkSame('meanSquaredError', outputs, targets)
  return noGrad(() => mean(square(sub(outputs, targets))))
}

/**
 * Counts of samples by true class (rows) and predicted class (columns): float32 `[C, C]`, to be added up over batches.
 *
 *     metrics.confusionMatrix(model.forward(x), labels).toArray()
 *
 * @throws ShapeError `ERR_METRIC_SHAPE`; DTypeError `ERR_LABEL_DTYPE`.
 */
export function confusionMatrix(outputs: Tensor, targets: Tensor | readonly NestedArray[]): Tensor {
  return noGrad(() => {
    const classes = classesOf('confusionMatrix', outputs, targets)
    const count = outputs.shape[1]
    const rows = (t: Tensor): Tensor => oneHot(reshape(t, [t.size]), count)
    return matmul(transpose(rows(classes)), rows(argmax(outputs, 1)))
  })
}
