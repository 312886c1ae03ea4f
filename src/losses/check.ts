/**
 * What losses share: reductions, and checks of what they are given. Errors name the loss.
 */
import { isFloat } from '../base/dtype.js'
import { ArgumentError, DataError, DTypeError, isNumber, ShapeError, showShape, showValue } from '../base/errors.js'
import { broadcastShapes, sameShape } from '../base/shape.js'
import { tableTensor } from '../ops/basic/creation.js'
import { eq, mul, pow, to, where } from '../ops/basic/elementwise.js'
import { amax, amin, mean, sum } from '../ops/basic/reduce.js'
import { checkTensor } from '../ops/core/dispatch.js'
import { context } from '../tensor/context.js'
import { type ShapeOf, Tensor, tensor } from '../tensor/tensor.js'
import type { ExpectSame } from '../types/index.js'

/** How the losses of single elements become the result: their mean, their sum, or as they are. */
export type Reduction = 'mean' | 'sum' | 'none'

export interface LossOptions {
  /** Default `mean`. */
  reduction?: Reduction
}

/** `unknown` where two tensors have one shape, else a sentence. */
export type Same<Op extends string, A, B> = ExpectSame<Op, ShapeOf<A>, ShapeOf<B>>

/** The reduction asked for, or the usual one. */
export function checkReduction(op: string, reduction: Reduction | undefined): Reduction {
  const r = reduction ?? 'mean'
  if (r !== 'mean' && r !== 'sum' && r !== 'none') {
    throw new ArgumentError('ERR_REDUCTION', `${op}: reduction must be 'mean', 'sum' or 'none', received ${showValue(r)}.`)
  }
  return r
}

/** Losses of single elements as the result. */
export function reduceLoss(loss: Tensor, reduction: Reduction): Tensor {
  return reduction === 'mean' ? mean(loss) : reduction === 'sum' ? sum(loss) : loss
}

/** loss · missedᵞ, where `missed` is the probability of the wrong answers; where that is 0 the power may have no finite slope, and the loss is 0. */
export function focused(loss: Tensor, missed: Tensor, gamma: number): Tensor {
  if (gamma === 0) return loss
  const none = eq(missed, 0)
  return where(none, 0, mul(loss, pow(where(none, 1, missed), gamma)))
}

/** @throws ArgumentError or DTypeError unless `x` is a tensor of floats. */
export function checkFloat(op: string, name: string, x: unknown): asserts x is Tensor {
  checkTensor(op, name, x)
  if (!isFloat(x.dtype))
    throw new DTypeError(
      'ERR_DTYPE',
      `${op}: ${name} must be float32, received ${x.dtype} ${showShape(x.shape)}. Convert with .to('float32').`,
    )
}

/** Input and target of one shape; the target converted to the input's dtype. */
export function checkPair(op: string, input: Tensor, target: Tensor): Tensor {
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

/** A plain array as a tensor, made once for equal numbers, so that a compiled function sees the same tensor each time. */
export function vectorOf(numbers: readonly number[], dtype: 'float32' | 'int32' = 'float32'): Tensor {
  // what cannot become a key cannot become a tensor either
  if (!numbers.every(isNumber)) return tensor(numbers as number[], { dtype })
  return tableTensor(`vector ${numbers.join()}`, dtype, () => tensor(numbers as number[], { dtype }).data)
}

/** Weights as a user gives them: a tensor, numbers, or one number for all. */
export type Weights = Tensor | readonly number[] | number

/** Weights as a tensor of the input's dtype. */
export function weightTensor(op: string, name: string, weight: Weights, dtype: Tensor['dtype']): Tensor {
  if (typeof weight === 'number') return Tensor.scalar(weight, dtype)
  if (Array.isArray(weight)) return to(vectorOf(weight), dtype)
  checkFloat(op, name, weight)
  return weight
}

/** Weights that broadcast to the input. */
export function weightFor(op: string, name: string, weight: Weights, input: Tensor): Tensor {
  const w = weightTensor(op, name, weight, input.dtype)
  const wide = broadcastShapes(w.shape, input.shape)
  if (wide === undefined || !sameShape(wide, input.shape)) {
    throw new ShapeError(
      'ERR_LOSS_WEIGHT',
      `${op}: ${name} ${showShape(w.shape)} does not broadcast to the input ${showShape(input.shape)}.`,
    )
  }
  return w
}

/** @throws ArgumentError `ERR_LOSS_OPTION` unless `value` is a number from `low`. */
export function checkOption(op: string, name: string, value: number, low = -Infinity): number {
  if (typeof value === 'number' && value >= low) return value
  throw new ArgumentError(
    'ERR_LOSS_OPTION',
    `${op}: ${name} must be a number${low === -Infinity ? '' : ` from ${low}`}, received ${showValue(value)}.`,
  )
}

/** @throws ArgumentError `ERR_LOSS_OPTION` unless `value` is one of `choices`. */
export function checkChoice<T>(op: string, name: string, value: T, choices: readonly T[]): T {
  if (choices.includes(value)) return value
  throw new ArgumentError('ERR_LOSS_OPTION', `${op}: ${name} must be ${choices.join(' or ')}, received ${showValue(value)}.`)
}

/** @throws ShapeError `ERR_LOSS_SHAPE` unless both have one shape. */
export function checkSame(op: string, first: string, a: Tensor, second: string, b: Tensor): void {
  checkFloat(op, first, a)
  checkFloat(op, second, b)
  if (sameShape(a.shape, b.shape)) return
  throw new ShapeError(
    'ERR_LOSS_SHAPE',
    `${op}: ${first} and ${second} must have one shape, received ${showShape(a.shape)} and ${showShape(b.shape)}.`,
  )
}

/**
 * Numbers that have to lie in a range. They can be looked at where ops run at once; inside `compile`, where they do not exist yet, what is out of
 * range makes the loss NaN.
 *
 * @throws DataError `ERR_LOSS_RANGE`.
 */
export function checkRange(op: string, name: string, x: Tensor, low: number, high: number, advice: string): void {
  if (x.traced || context.recorder !== undefined || x.size === 0) return
  const range = [amin(x.detach()).item(), amax(x.detach()).item()]
  if (!(range[0] < low) && !(range[1] > high)) return
  throw new DataError(
    'ERR_LOSS_RANGE',
    `${op}: ${name} must lie ${high === Infinity ? `at or above ${low}` : `between ${low} and ${high}`}, received ${range[0]} to ${range[1]}. ${advice}`,
  )
}
