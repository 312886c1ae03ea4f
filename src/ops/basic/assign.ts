/**
 * The one way state changes: writing a tensor's contents in place.
 */
import { checkHeld } from '../../base/dtype.js'
import { DTypeError, ShapeError, StateError, showShape } from '../../base/errors.js'
import { sameShape } from '../../base/shape.js'
import { context } from '../../tensor/context.js'
import type { Tensor } from '../../tensor/tensor.js'
import { checkTensor, checkWritable, copyInto, lift } from '../core/dispatch.js'
import { expand } from './movement.js'

/**
 * Writes `value` into `target`, which keeps its shape and dtype; a smaller value is broadcast. Inside `compile` the write happens
 * when the compiled function runs, after everything that can fail.
 *
 *     assign(runningMean, runningMean.mul(0.9).add(batchMean.mul(0.1)))
 */
export function assign(target: Tensor, value: Tensor | number): void {
  checkTensor('assign', 'the target', target)
  if (typeof value === 'number') checkHeld('assign', value, target.dtype)
  let source = lift(value, target.dtype)
  checkTensor('assign', 'the value', source)
  if (source.dtype !== target.dtype)
    throw new DTypeError(
      'ERR_DTYPE',
      `assign: the target is ${target.dtype}, the value ${source.dtype}. Convert with .to('${target.dtype}').`,
    )
  if (target.gradNode !== undefined)
    throw new StateError('ERR_ASSIGN_RESULT', 'assign: the target is the result of an op that records gradients. Assign to leaves only.')
  if (!sameShape(source.shape, target.shape)) {
    if (source.ndim > target.ndim)
      throw new ShapeError(
        'ERR_ASSIGN_SHAPE',
        `assign: a value of shape ${showShape(source.shape)} does not fit the target ${showShape(target.shape)}.`,
      )
    source = expand(source, target.shape)
  }
  if (context.writesSuspended) return
  if (context.recorder !== undefined) {
    context.recorder.assign(target, source)
    return
  }
  if (source.traced || target.traced) throw new StateError('ERR_TRACED_ESCAPED', 'assign: a traced tensor was used after its trace ended.')
  checkWritable('assign', 'the target', target)
  copyInto(target, source)
}
