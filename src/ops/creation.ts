/**
 * Tensors of given contents. Inside `compile` they become constants of the program.
 */
import type { DType } from '../dtype.js'
import { ArgumentError } from '../errors.js'
import { checkShape } from '../shape.js'
import { empty, Tensor, writeAll } from '../tensor.js'
import { tracing } from '../tracing.js'
import { checkTensor } from './dispatch.js'
import { expand } from './movement.js'

export interface CreateOptions {
  /** Default float32. */
  dtype?: DType
  requiresGrad?: boolean
}

function finish(t: Tensor, options: CreateOptions): Tensor {
  if (options.requiresGrad) t.requiresGrad = true
  return t
}

/** A tensor of one value. */
export function full(shape: readonly number[], value: number, options: CreateOptions = {}): Tensor {
  checkShape('full', shape)
  const dtype = options.dtype ?? 'float32'
  if (tracing.recorder !== undefined && !options.requiresGrad) return expand(Tensor.scalar(value, dtype), shape)
  return finish(writeAll(empty(shape, dtype), (data) => data.fill(value)), options)
}

/** A tensor of zeros. */
export function zeros(shape: readonly number[], options: CreateOptions = {}): Tensor {
  return full(shape, 0, options)
}

/** A tensor of ones. */
export function ones(shape: readonly number[], options: CreateOptions = {}): Tensor {
  return full(shape, 1, options)
}

/** Zeros of another tensor's shape and dtype. */
export function zerosLike(x: Tensor): Tensor {
  checkTensor('zerosLike', 'x', x)
  return full(x.shape, 0, { dtype: x.dtype })
}

/** Ones of another tensor's shape and dtype. */
export function onesLike(x: Tensor): Tensor {
  checkTensor('onesLike', 'x', x)
  return full(x.shape, 1, { dtype: x.dtype })
}

/**
 * Numbers from `start` up to but without `end`: `arange(3)` is 0, 1, 2 and `arange(1, 2, 0.5)` is 1, 1.5. int32 when all
 * three are integers, else float32.
 */
export function arange(start: number, end?: number, step = 1, options: CreateOptions = {}): Tensor {
  const from = end === undefined ? 0 : start
  const to = end === undefined ? start : end
  const n = Math.max(0, Math.ceil((to - from) / step))
  if (step === 0 || !Number.isFinite(n)) throw new ArgumentError('ERR_ARANGE', `arange: cannot count from ${from} to ${to} in steps of ${step}.`)
  const integers = [from, to, step].every(Number.isInteger)
  const out = empty([n], options.dtype ?? (integers ? 'int32' : 'float32'))
  return finish(writeAll(out, (data) => data.forEach((_, i) => void (data[i] = from + i * step))), options)
}

/** `count` numbers evenly from `start` to `end`, both included. */
export function linspace(start: number, end: number, count: number, options: CreateOptions = {}): Tensor {
  if (!Number.isInteger(count) || count < 0) throw new ArgumentError('ERR_LINSPACE', `linspace: count must be an integer from 0, received ${count}.`)
  const step = count > 1 ? (end - start) / (count - 1) : 0
  return finish(writeAll(empty([count], options.dtype ?? 'float32'), (data) => data.forEach((_, i) => void (data[i] = i === count - 1 && count > 1 ? end : start + i * step))), options)
}

/** The identity matrix, `n` rows and `m` (default n) columns. */
export function eye(n: number, m: number = n, options: CreateOptions = {}): Tensor {
  return finish(
    writeAll(empty([n, m], options.dtype ?? 'float32'), (data) => {
      data.fill(0)
      for (let i = 0; i < Math.min(n, m); i++) data[i * m + i] = 1
    }),
    options,
  )
}
