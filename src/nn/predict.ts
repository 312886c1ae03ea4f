/**
 * Prediction: batches of any size through a model in evaluation, on a background thread and ahead of queued training. In: a model and a
 * batch. Out: the model's outputs, one row for each row of the batch.
 *
 * Batches are cut into chunks and padded to a few sizes, so that a server with a different number of requests each time compiles a handful
 * of programs and not one for each number.
 */

import { ofWhole } from '../backend/status.js'
import { itemSize, type TypedArray } from '../base/dtype.js'
import {
  ArgumentError,
  ChainruleError,
  checkOptions,
  DTypeError,
  ShapeError,
  StateError,
  showKind,
  showShape,
  showValue,
} from '../base/errors.js'
import { isContiguous, sizeOf } from '../base/shape.js'
import { type Compiled, compile } from '../compile/compile.js'
import { clone, narrow, unsqueeze } from '../ops/basic/movement.js'
import { noGrad } from '../ops/core/grad-mode.js'
import { context, within } from '../tensor/context.js'
import { empty, fromBuffer, type NestedData, snapshots, Tensor, tensor } from '../tensor/tensor.js'
import type { Module } from './module.js'

/** What `predict` takes: a tensor, numbers nested in arrays, or a typed array with a shape. */
export type PredictInput = Tensor | readonly NestedData[] | TypedArray | { readonly data: TypedArray; readonly shape: readonly number[] }

export interface PredictOptions {
  /** The most rows that go through the model at once; default 64. */
  batchSize?: number
  /** The shape of a typed array, samples first; default one number a sample. */
  shape?: readonly number[]
}

type Forward = Compiled<[x: Tensor], Tensor>

/** The compiled functions of a model, one for each size, with shapes of its own. */
const compiled = new WeakMap<Module, Map<number, Forward>>()
/** Chunks of one call that are queued at once: enough that the thread never waits for JavaScript. */
const chunksAhead = 4

/**
 * Runs a batch `[N, …]` through the model in evaluation mode, without touching `training`, and without gradients. Large batches are
 * split, odd ones padded with copies of their last row, so the rows must not depend on each other. Any number of calls may be under way, also
 * during `fit`, whose queued steps they pass. The input is taken as it is at the call: its memory may be written or transferred right after.
 *
 *     const digits = (await predict(model, x)).argmax(1).toArray()
 *
 * Defaults: `batchSize` 64.
 * @throws ArgumentError `ERR_PREDICT_INPUT`, `ERR_PREDICT_OPTION`; ShapeError `ERR_PREDICT_OUTPUT` when the outputs are not one row a
 * sample; StateError `ERR_PREDICT_IN_TRACE` inside `compile`; what the model's `forward` throws.
 */
export async function predict(model: Module, input: PredictInput, options: PredictOptions = {}): Promise<Tensor> {
  checkOptions('predict', options, { batchSize: true, shape: true })
  if (context.recorder !== undefined) {
    throw new StateError(
      'ERR_PREDICT_IN_TRACE',
      'predict: is asynchronous and cannot be part of a compiled function. Call forward() there.',
    )
  }
  const { batchSize = 64 } = options
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    throw new ArgumentError('ERR_PREDICT_OPTION', `predict: batchSize must be a whole number above 0, received ${showValue(batchSize)}.`)
  }
  const given = toTensor(input, options.shape)
  if (given.ndim === 0)
    throw new ArgumentError('ERR_PREDICT_INPUT', 'predict: needs a batch, received a single number. Put it in an array.')
  if (given.constant === undefined && given.storage.beingWritten) {
    // as programs queued before this call leave it; those queued later may never end
    return rowsOf(model, await noGrad(() => (snapshots.take as (t: Tensor) => Promise<Tensor>)(given)), batchSize)
  }
  const x = isContiguous(given.shape, given.strides) ? given : noGrad(() => clone(given))
  if (x !== given || x.shape[0] <= batchSize) return rowsOf(model, x, batchSize)
  const loan = x.storage.lend()
  try {
    return await rowsOf(
      model,
      new Tensor({ shape: x.shape, strides: x.strides, offset: x.offset, dtype: x.dtype, storage: loan }),
      batchSize,
    )
  } finally {
    x.storage.takeBack(loan)
  }
}

/** For a contiguous tensor. One chunk has been read when this returns its promise, several while they run. */
async function rowsOf(model: Module, x: Tensor, batchSize: number): Promise<Tensor> {
  const [rows] = x.shape
  return rows <= batchSize ? head(await run(model, x, 0, rows, batchSize), rows) : inChunks(model, x, batchSize)
}

async function inChunks(model: Module, x: Tensor, batchSize: number): Promise<Tensor> {
  const [rows] = x.shape
  let result: Tensor | undefined
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < rows) {
      const start = next
      const count = Math.min(batchSize, rows - start)
      next += count
      const part = await run(model, x, start, count, batchSize)
      result ??= empty([rows, ...part.shape.slice(1)], part.dtype)
      const width = sizeOf(part.shape.slice(1)) * itemSize(part.dtype)
      result.storage.bytes.set(part.storage.bytes.subarray(0, count * width), start * width)
    }
  }
  const workers = Array.from({ length: Math.min(chunksAhead, Math.ceil(rows / batchSize)) }, worker)
  // all have to end before this does: a failure must not leave work behind
  const failed = (await Promise.allSettled(workers)).find((w) => w.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  return result as Tensor
}

/** The first rows of an output. */
function head(y: Tensor, rows: number): Tensor {
  return y.shape[0] === rows ? y : noGrad(() => narrow(y, 0, 0, rows))
}

/** Runs rows `start` to `start + count`; the result has as many rows as the size they were padded to. */
async function run(model: Module, x: Tensor, start: number, count: number, batchSize: number): Promise<Tensor> {
  const size = Math.min(batchSize, 2 ** Math.ceil(Math.log2(Math.max(1, count))))
  let y: Tensor
  try {
    y = await forwardOf(model, size)(chunkOf(x, start, count, size))
  } catch (error) {
    throw await ofInput(
      model,
      x,
      ofWhole(error, size, (row) => start + row),
    )
  }
  if (y.shape[0] !== size) throw await notRows(model, x)
  return y
}

/**
 * What a model throws, said of the input: it has seen padded chunks. Tracing it with the shape that was given tells what it says of that one, and with a
 * dimension in front whether that is a batch forgotten.
 */
async function ofInput(model: Module, x: Tensor, error: unknown): Promise<unknown> {
  const aboutShape = error instanceof ShapeError || error instanceof DTypeError || error instanceof ArgumentError
  if (!aboutShape || error.code === 'ERR_PREDICT_OUTPUT') return error
  const { shape } = x
  const seen = `the input ${showShape(shape)}, ${count(shape[0], 'sample')} of ${shape.length === 1 ? 'one number' : showShape(shape.slice(1))} each,`
  const said = await refusal(model, x)
  // without what it received, which is not what was given
  const rule = (said ?? error).message.split(/, received| Change /)[0]
  const failed = (message: string): ChainruleError =>
    new (error.constructor as typeof ShapeError)(error.code, `predict: ${message}`, { cause: error })
  if (shape[0] === 0 && shape.length === 1)
    return failed(
      `the input [] has no samples and does not say what one looks like. ${rule}. Give an empty batch its shape: zeros([0, …]).`,
    )
  const one = noGrad(() => unsqueeze(x, 0))
  if ((await refusal(model, one)) === undefined)
    return failed(
      `${seen} does not fit the model. ${rule}. If it is one sample, give a batch of it: [x], a tensor as x.unsqueeze(0), a typed array with its { shape: ${showShape(one.shape)} }.`,
    )
  return failed(`${seen} does not fit the model. ${said === undefined ? `${rule}.` : said.message}`)
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`

/** Why the model does not take a batch of this shape, if it does not. */
async function refusal(model: Module, x: Tensor): Promise<ChainruleError | undefined> {
  try {
    await forwardOf(model, x.shape[0]).prepare(x)
    return undefined
  } catch (error) {
    return error instanceof ChainruleError ? error : undefined
  }
}

/** Samples that may go through a model at once to say what it made of them. */
const mostSamples = 64

/** The error for outputs that are not one row a sample. */
async function notRows(model: Module, x: Tensor): Promise<ShapeError> {
  const [rows] = x.shape
  let gave = 'an output'
  try {
    if (rows <= mostSamples) gave = `an output of shape ${showShape((await forwardOf(model, rows)(x)).shape)}`
  } catch {
    // it only takes other numbers of samples
  }
  const remedy =
    x.ndim === 1
      ? `The input ${showShape(x.shape)} holds samples of one number: give one sample as [x], a typed array with its { shape: [1, …] }.`
      : 'Call forward() for a model whose rows depend on each other.'
  return new ShapeError(
    'ERR_PREDICT_OUTPUT',
    `predict: ${count(rows, 'sample')} gave ${gave}, whose first dimension does not count samples. ${remedy}`,
  )
}

/** Rows of a contiguous tensor, padded to `size` with copies of the last one: zeros could divide by zero. */
function chunkOf(x: Tensor, start: number, count: number, size: number): Tensor {
  if (count === size) return noGrad(() => narrow(x.requiresGrad ? x.detach() : x, 0, start, count))
  const shape = [size, ...x.shape.slice(1)]
  const chunk = empty(shape, x.dtype)
  const width = sizeOf(x.shape.slice(1)) * itemSize(x.dtype)
  const to = chunk.storage.bytes
  const from = x.storage.bytes
  const offset = x.offset * itemSize(x.dtype) + start * width
  to.set(from.subarray(offset, offset + count * width))
  if (count === 0) to.fill(0)
  else for (let i = count; i < size; i++) to.copyWithin(i * width, (count - 1) * width, count * width)
  return chunk
}

/** What `forward` makes of a batch. */
function outputOf(model: Module, x: Tensor): Tensor {
  const { forward } = model as Partial<{ forward(x: Tensor): unknown }>
  if (typeof forward !== 'function')
    throw new ArgumentError(
      'ERR_PREDICT_OUTPUT',
      `predict: ${model.constructor.name} has no forward(x) method. Write one that returns a tensor.`,
    )
  const y = forward.call(model, x)
  if (y instanceof Tensor) return y
  if (y instanceof Promise) y.catch(() => {})
  const what = y instanceof Promise ? 'a promise: it must not be async' : showKind(y)
  throw new ArgumentError(
    'ERR_PREDICT_OUTPUT',
    `predict: forward must return one tensor, received ${what}. For several outputs call compile() with a function of your own.`,
  )
}

function forwardOf(model: Module, size: number): Forward {
  let sizes = compiled.get(model)
  if (sizes === undefined) {
    sizes = new Map()
    compiled.set(model, sizes)
  }
  let fn = sizes.get(size)
  if (fn === undefined) {
    const forward = (x: Tensor): Tensor => noGrad(() => within({ evaluating: true }, () => outputOf(model, x)))
    fn = compile(forward, { name: 'predict', ahead: true, modules: [model] })
    sizes.set(size, fn)
  }
  return fn
}

function toTensor(input: PredictInput, shape: readonly number[] | undefined): Tensor {
  if (input instanceof Tensor) {
    if (input.traced) throw new StateError('ERR_TRACED_ESCAPED', 'predict: a traced tensor was used after its trace ended.')
    return input
  }
  if (ArrayBuffer.isView(input)) return fromBuffer(input as TypedArray, shape)
  if (Array.isArray(input)) return tensor(input, { shape })
  const field = input as { data?: unknown; shape?: readonly number[] } | null | undefined
  if (ArrayBuffer.isView(field?.data)) return fromBuffer(field.data as TypedArray, field.shape ?? shape)
  throw new ArgumentError(
    'ERR_PREDICT_INPUT',
    `predict: expected a tensor, a typed array with a shape, or numbers in arrays, received ${showKind(input)}.`,
  )
}
