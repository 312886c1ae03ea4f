/**
 * Where data becomes tensors. In: fields (typed array, shape, dtype) or whatever a user calls a batch. Out: tensors on the same memory.
 */

import type { DType } from '../base/dtype.js'
import { ArgumentError, ShapeError, showShape } from '../base/errors.js'
import { Tensor, tensorOf } from '../tensor/tensor.js'
import { type Field, type FieldLike, toField } from './collate.js'

/** A batch as users receive it: each field as a tensor. */
export type TensorBatch<B> = B extends readonly Field[] ? { [K in keyof B]: Tensor } : B

export function isField(x: unknown): x is Field {
  if (typeof x !== 'object' || x === null || x instanceof Tensor) return false
  const field = x as Partial<Field>
  return ArrayBuffer.isView(field.data) && Array.isArray(field.shape) && typeof field.dtype === 'string'
}

/** The fields of a batch as tensors; what a user's own `collate` made otherwise stays as it is. */
export function tensorBatch<B>(batch: B): TensorBatch<B> {
  if (!Array.isArray(batch)) return batch as TensorBatch<B>
  return batch.map((part) => (isField(part) ? tensorOf(part) : part)) as TensorBatch<B>
}

/** Class labels written as plain numbers, `[3, 1, 4]`, are int32; other plain numbers are float32. */
export function targetDType(targets: unknown): DType | undefined {
  return Array.isArray(targets) && targets.length > 0 && targets.every((x) => Number.isInteger(x) && Math.abs(x) < 2 ** 31)
    ? 'int32'
    : undefined
}

/** `[inputs, targets]` given by a user as tensors, field by field, of one length. */
export function pairOf(pair: readonly unknown[], what: string): [inputs: Tensor, targets: Tensor] {
  if (pair.length !== 2) {
    throw new ArgumentError('ERR_DATA_PAIR', `${what}: expected [inputs, targets], received an array of ${pair.length}.`)
  }
  const [x, y] = pair.map((part, k) => {
    if (part instanceof Tensor) return part
    return tensorOf(toField(part as FieldLike, `${what}: ${k === 0 ? 'inputs' : 'targets'}`, k === 1 ? targetDType(part) : undefined))
  })
  if (x.ndim === 0 || y.ndim === 0 || x.shape[0] !== y.shape[0]) {
    throw new ShapeError(
      'ERR_DATA_LENGTH',
      `${what}: inputs ${showShape(x.shape)} and targets ${showShape(y.shape)} must agree in their first dimension, which counts samples.`,
    )
  }
  return [x, y]
}
