/**
 * Data sets and the loader that cuts them into batches.
 *
 * In: arrays, or an object that hands out samples or whole batches, at once or later. Out: an async iterable of batches, in an order that
 * depends on seed and epoch alone, so that a training can be stopped and resumed bit for bit.
 */
import { setImmediate as turn } from 'node:timers/promises'
import type { DType } from '../base/dtype.js'
import { ArgumentError, checkObject, checkOptions, ShapeError, showShape, showValue } from '../base/errors.js'
import { checkList } from '../base/shape.js'
import { allocate, collate, type Field, type FieldLike, toField } from './collate.js'
import { CounterRandom } from './rng.js'
import { type TensorBatch, targetDType, tensorBatch } from './tensors.js'

/** Samples one by one; `get` may return a promise, and those of a batch are then awaited together. */
export interface ItemDataset<S = readonly FieldLike[]> {
  readonly length: number
  get(index: number): S | PromiseLike<S>
}

/** Whole batches at once: the fast way for data that lies in arrays or in a database. */
export interface BulkDataset<B = readonly Field[]> {
  readonly length: number
  batch(indices: Int32Array): B | PromiseLike<B>
}

export type Dataset<B = readonly Field[]> = BulkDataset<B> | ItemDataset

/** Inputs and targets, of one length along their first axis. */
export type Pair = readonly [inputs: Field, targets: Field]

export interface DataLoaderOptions<S, B> {
  /** Samples in a batch; default 1, as in PyTorch. */
  batchSize?: number
  /** Whether each epoch has an order of its own; default false. */
  shuffle?: boolean
  /** Seed of the orders; default 0. */
  seed?: number
  /** Whether a last batch of fewer samples is left out; default false. */
  dropLast?: boolean
  /** Batches of an asynchronous data set that are made while one is used; default 1. */
  prefetch?: number
  /** For data sets that hand out samples: makes a batch of them; default `collate`. */
  collate?: (samples: S[]) => B | PromiseLike<B>
  /** For plain numbers: the dtype of each field; default float32, and int32 for targets that are a list of whole numbers. */
  dtypes?: readonly DType[]
}

/** Where a loader is: `batch` batches of epoch `epoch` have been handed out. */
export interface LoaderState {
  readonly epoch: number
  readonly batch: number
}

/**
 * A data set in memory: fields of equal length along their first axis. The arrays are wrapped, not copied: `batch` reads what is in them when it is called.
 *
 *     const data = new ArrayDataset([{ data: images, shape: [600, 784], dtype: 'float32' }, labels])
 *     const [x, y] = data.batch(Int32Array.of(5, 3))   // x.shape is [2, 784], y.shape is [2]
 */
export class ArrayDataset<B extends readonly Field[] = Pair> implements BulkDataset<B> {
  readonly fields: B
  readonly length: number
  readonly #widths: readonly number[]

  /**
   * @param fields typed arrays, `{ data, shape, dtype }`, or numbers in arrays (which become float32, or `dtypes[k]`).
   * @throws ShapeError `ERR_DATA_LENGTH` when lengths differ, `ERR_DATA_RAGGED`, `ERR_DATA_SHAPE`; ArgumentError when there is no field.
   */
  constructor(fields: { readonly [K in keyof B]: FieldLike }, options: { dtypes?: readonly DType[] } = {}) {
    checkOptions('ArrayDataset', options, { dtypes: true })
    checkList('dataset', 'the fields', fields)
    const names = fields.length === 2 ? ['inputs', 'targets'] : []
    const own = fields.map((field, k) => toField(field, `dataset: ${names[k] ?? `field ${k}`}`, options.dtypes?.[k]))
    if (own.length === 0) throw new ArgumentError('ERR_DATA_FIELD', 'dataset: no fields. Pass [inputs, targets].')
    const scalar = own.findIndex((field) => field.shape.length === 0)
    if (scalar >= 0)
      throw new ShapeError(
        'ERR_DATA_LENGTH',
        `dataset: ${names[scalar] ?? `field ${scalar}`} is a scalar; the first axis must count samples.`,
      )
    const [length] = own[0].shape
    const odd = own.findIndex((field) => field.shape[0] !== length)
    if (odd >= 0) {
      throw new ShapeError(
        'ERR_DATA_LENGTH',
        `dataset: ${names[0] ?? 'field 0'} has ${length} samples, ${names[odd] ?? `field ${odd}`} has ${own[odd].shape[0]} ` +
          `(shapes ${showShape(own[0].shape)} and ${showShape(own[odd].shape)}). The first axis counts samples and must agree.`,
      )
    }
    // B says one field for each field-like, and that is what map made.
    this.fields = own as readonly Field[] as B
    this.length = length
    this.#widths = own.map((field) => (length === 0 ? 0 : field.data.length / length))
  }

  /**
   * Copies rows, in the order of `indices`.
   *
   * @throws ArgumentError `ERR_DATA_INDEX` for an index outside 0 .. length - 1.
   */
  batch(indices: Int32Array): B {
    if (!(ArrayBuffer.isView(indices) || Array.isArray(indices)))
      throw new ArgumentError('ERR_DATA_INDEX', `dataset: the indices are a list of whole numbers, received ${showValue(indices)}.`)
    // by position: typed arrays without their memory have none, and holes are no numbers
    for (let i = 0; i < indices.length; i++) {
      const index = indices[i]
      if (Number.isInteger(index) && index >= 0 && index < this.length) continue
      throw new ArgumentError('ERR_DATA_INDEX', `dataset: index ${showValue(index)} is outside 0 .. ${this.length - 1}.`)
    }
    const batch = this.fields.map((field, k): Field => {
      const data = allocate(field.dtype, indices.length * this.#widths[k])
      gather(field.data, data, indices, this.#widths[k])
      return { data, shape: [indices.length, ...field.shape.slice(1)], dtype: field.dtype }
    })
    return batch as readonly Field[] as B
  }
}

function gather(from: Field['data'], to: Field['data'], indices: Int32Array, width: number): void {
  if (width === 1) {
    for (let i = 0; i < indices.length; i++) to[i] = from[indices[i]]
    return
  }
  // Runs of neighbours are copied at once: all of them when nothing is shuffled.
  for (let i = 0; i < indices.length; ) {
    let stop = i + 1
    while (stop < indices.length && indices[stop] === indices[stop - 1] + 1) stop++
    to.set(from.subarray(indices[i] * width, (indices[i] + stop - i) * width), i * width)
    i = stop
  }
}

/**
 * Batches of a data set as tensors, one epoch for each `for await`. The order of an epoch is a Fisher–Yates shuffle that depends on seed, epoch and
 * length alone. A loop left by `break` counts as begun: the next loop is the next epoch, unless `setState` says otherwise. A batch is a copy, made when the
 * loop asks for it (of asynchronous data sets, `prefetch` batches earlier).
 *
 *     const loader = new DataLoader([inputs, labels], { batchSize: 32, shuffle: true })
 *     for await (const [x, y] of loader) console.log(x.shape, y.shape)   // [32, 784] [32]
 */
export class DataLoader<B = Pair, S = readonly FieldLike[]> implements AsyncIterable<TensorBatch<B>> {
  readonly dataset: BulkDataset<B> | ItemDataset<S>
  readonly batchSize: number
  readonly shuffle: boolean
  readonly seed: number
  readonly dropLast: boolean
  readonly prefetch: number
  readonly #stack: (samples: S[]) => B | PromiseLike<B>
  #epoch = 0
  #batch = 0
  /** Stands for the iteration that `#epoch` and `#batch` describe; undefined when the next one shall begin there. */
  #underWay: object | undefined

  /**
   * @param source `[inputs, targets]` of equal lengths, a data set with `batch(indices)`, or one with `get(index)`.
   * @throws ArgumentError `ERR_LOADER_OPTION` for options out of range, `ERR_LOADER_EMPTY` when there is not one batch; ShapeError as `ArrayDataset`.
   */
  constructor(
    source: BulkDataset<B> | ItemDataset<S> | readonly [inputs: FieldLike, targets: FieldLike],
    options: DataLoaderOptions<S, B> = {},
  ) {
    checkOptions('DataLoader', options, {
      batchSize: true,
      shuffle: true,
      seed: true,
      dropLast: true,
      prefetch: true,
      collate: true,
      dtypes: true,
    })
    const { batchSize = 1, shuffle = false, seed = 0, dropLast = false, prefetch = 1 } = options
    checkCount('batchSize', batchSize, 1)
    checkCount('prefetch', prefetch, 0)
    if (!Number.isSafeInteger(seed)) {
      throw new ArgumentError('ERR_LOADER_OPTION', `DataLoader: seed must be a whole number, received ${showValue(seed)}.`)
    }
    this.dataset = toDataset<B, S>(source, options.dtypes)
    this.batchSize = batchSize
    this.shuffle = shuffle
    this.seed = seed
    this.dropLast = dropLast
    this.prefetch = prefetch
    // Without a collate of the user's own, B is what the default one makes.
    this.#stack = options.collate ?? ((samples) => collate(samples as readonly (readonly FieldLike[])[], options.dtypes) as unknown as B)
    checkCount('the length of the data set', this.dataset.length, 0)
    if (this.length === 0) {
      throw new ArgumentError(
        'ERR_LOADER_EMPTY',
        `DataLoader: not one batch: ${this.dataset.length} samples, batchSize ${batchSize}, dropLast ${dropLast}. Lower batchSize or keep the last batch.`,
      )
    }
  }

  /** Batches in an epoch. */
  get length(): number {
    const batches = this.dataset.length / this.batchSize
    return this.dropLast ? Math.floor(batches) : Math.ceil(batches)
  }

  /** The epoch under way, or the next one when none is. Setting it starts that epoch from its first batch. */
  get epoch(): number {
    return this.#epoch
  }
  set epoch(epoch: number) {
    this.setState({ epoch, batch: 0 })
  }

  /** What a checkpoint must hold to go on with the next batch that has not been handed out. */
  state(): LoaderState {
    return { epoch: this.#epoch, batch: this.#batch }
  }

  /**
   * The next `for await` goes on from here; one under way is not disturbed.
   *
   * @throws ArgumentError `ERR_LOADER_OPTION` for values that are not whole or beyond the epoch's end.
   */
  setState(state: LoaderState): void {
    checkObject('DataLoader: setState', state)
    const { epoch, batch } = state
    checkCount('epoch', epoch, 0)
    checkCount('batch', batch, 0)
    if (batch > this.length) {
      throw new ArgumentError(
        'ERR_LOADER_OPTION',
        `DataLoader: batch ${batch} is beyond the ${this.length} batches of an epoch. Is it the same data and batchSize?`,
      )
    }
    const finished = batch === this.length
    this.#epoch = finished ? epoch + 1 : epoch
    this.#batch = finished ? 0 : batch
    this.#underWay = undefined
  }

  /** The order of the samples in an epoch. */
  order(epoch: number): Int32Array {
    const indices = Int32Array.from({ length: this.dataset.length }, (_, i) => i)
    return this.shuffle ? new CounterRandom(this.seed, epoch).shuffle(indices) : indices
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TensorBatch<B>, void, undefined> {
    if (this.#underWay) {
      this.#epoch++
      this.#batch = 0
    }
    const self = {}
    this.#underWay = self
    const batches = this.length
    const order = this.order(this.#epoch)
    const make = (k: number): B | PromiseLike<B> => this.#make(order.slice(k * this.batchSize, (k + 1) * this.batchSize))
    let next = this.#batch
    let breath = performance.now()
    const ahead: PromiseLike<B>[] = []
    for (let done = next + 1; done <= batches; done++) {
      let batch: B | undefined
      let ready = false
      while (!ready && next < batches && ahead.length <= this.prefetch) {
        const made = attempt(make, next++)
        if (isPromise(made)) ahead.push(made)
        else if (ahead.length > 0) ahead.push(Promise.resolve(made))
        else {
          // Nothing is gained by making synchronous batches early: it is the same thread that makes them.
          batch = made
          ready = true
        }
      }
      if (!ready) batch = await ahead.shift()
      // Synchronous data in a synchronous loop would keep timers and sockets waiting for a whole epoch.
      if (performance.now() - breath > 8) {
        await turn()
        breath = performance.now()
      }
      if (this.#underWay === self) this.#batch = done
      yield tensorBatch(batch as B)
    }
    if (this.#underWay === self) this.setState({ epoch: this.#epoch + 1, batch: 0 })
  }

  #make(indices: Int32Array): B | PromiseLike<B> {
    const { dataset } = this
    if (isBulk(dataset)) return dataset.batch(indices)
    const samples = Array.from(indices, (index) => attempt((i) => dataset.get(i), index))
    if (samples.some(isPromise)) return Promise.all(samples).then(this.#stack)
    return this.#stack(samples as S[])
  }
}

/** A call whose failure is kept for the moment its result is awaited: that may be a batch later, or never. */
function attempt<T>(call: (k: number) => T | PromiseLike<T>, k: number): T | PromiseLike<T> {
  let result: T | PromiseLike<T>
  try {
    result = call(k)
  } catch (error) {
    result = Promise.reject(error)
  }
  if (isPromise(result)) result.then(undefined, () => undefined)
  return result
}

function isBulk<B, S>(dataset: BulkDataset<B> | ItemDataset<S>): dataset is BulkDataset<B> {
  return typeof (dataset as Partial<BulkDataset<B>>).batch === 'function'
}

function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as PromiseLike<T> | null | undefined)?.then === 'function'
}

function toDataset<B, S>(
  source: BulkDataset<B> | ItemDataset<S> | readonly [FieldLike, FieldLike],
  dtypes: readonly DType[] | undefined,
): BulkDataset<B> | ItemDataset<S> {
  if (Array.isArray(source)) {
    if (source.length !== 2) {
      throw new ArgumentError(
        'ERR_LOADER_OPTION',
        `DataLoader: expected [inputs, targets], received an array of ${source.length}. Use ArrayDataset for more fields.`,
      )
    }
    // A pair is given where B is the default, Pair.
    const pair = source as unknown as readonly [FieldLike, FieldLike]
    const labels = targetDType(pair[1])
    return new ArrayDataset<Pair>(pair, { dtypes: dtypes ?? (labels && ['float32', labels]) }) as unknown as BulkDataset<B>
  }
  const dataset = source as Partial<BulkDataset<B> & ItemDataset<S>> | null | undefined
  if (typeof dataset?.batch !== 'function' && typeof dataset?.get !== 'function') {
    throw new ArgumentError(
      'ERR_LOADER_OPTION',
      'DataLoader: expected [inputs, targets], or a data set with length and batch(indices) or get(index).',
    )
  }
  return source as BulkDataset<B> | ItemDataset<S>
}

function checkCount(option: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least && value < 2 ** 31) return
  throw new ArgumentError(
    'ERR_LOADER_OPTION',
    `DataLoader: ${option} must be a whole number from ${least} to 2^31 - 1, received ${showValue(value)}.`,
  )
}
