/**
 * The data of a training as batches of tensors. In: what `fit` was given. Out: a source that starts anew each epoch.
 *
 * Data in memory is gathered into a ring of shared buffers: background programs read them in place, nothing is left for the garbage collector,
 * and gathering pauses for the event loop.
 */

import { type DType, itemSize, type TypedArray, viewMemory } from '../base/dtype.js'
import { ArgumentError, isFunction, ShapeError, showKind, showShape, showValue } from '../base/errors.js'
import { isContiguous, maxRank, sizeOf } from '../base/shape.js'
import { collate, type Field, type FieldLike, toField } from '../data/collate.js'
import { ArrayDataset, type BulkDataset, DataLoader, type ItemDataset } from '../data/loader.js'
import { CounterRandom } from '../data/rng.js'
import { pairOf, targetDType } from '../data/tensors.js'
import { clone } from '../ops/basic/movement.js'
import { noGrad } from '../ops/core/grad-mode.js'
import { drawBlocks } from '../tensor/random.js'
import { Storage } from '../tensor/storage.js'
import { Tensor } from '../tensor/tensor.js'
import type { Pacer } from './pacer.js'

/** Inputs and targets as `fit` takes them: tensors, typed arrays (with a shape), numbers in arrays. */
export type FitPair = readonly [inputs: Tensor | FieldLike, targets: Tensor | FieldLike]

/** What can be trained on. */
export type FitData =
  | FitPair
  | BulkDataset
  | ItemDataset
  | AsyncIterable<readonly unknown[]>
  | Iterable<readonly unknown[]>
  | (() => AsyncIterable<readonly unknown[]> | Iterable<readonly unknown[]>)

export interface Batch {
  readonly x: Tensor
  readonly y: Tensor
  /** Samples. */
  readonly size: number
  /** Where a row of it stands in the data, where that is known. */
  readonly sampleAt?: (row: number) => number
}

export interface BatchSource {
  /** Batches and samples of an epoch, where that is known. */
  readonly batches: number | undefined
  readonly samples: number | undefined
  /** Whether an epoch can be begun and left without being missed. */
  readonly peekable: boolean
  /** The batches of an epoch. A batch's memory is used again after `depthFor` more have been taken. */
  epoch(): AsyncIterator<Batch>
}

export interface BatchOptions {
  readonly batchSize?: number
  /** Default: when training. */
  readonly shuffle?: boolean
  readonly dropLast?: boolean
  /** Of the orders; each epoch has its own. By default each epoch draws one from the generator that `manualSeed` starts. */
  readonly seed?: number
  /** Training data, as opposed to data to be judged by, for which options of the training data may not apply. */
  readonly training: boolean
  /** Whether batches may share memory with later ones; not where user code may keep them. */
  readonly reuse: boolean
}

const mostAhead = 8
/** Bytes of batches that may wait for the background thread. */
const aheadBytes = 64 * 2 ** 20

/** How many steps may be queued when a batch has this many bytes. */
export function depthFor(bytes: number): number {
  return Math.max(2, Math.min(mostAhead, Math.floor(aheadBytes / Math.max(1, bytes))))
}

/** Bytes of a batch. */
export function bytesOf({ x, y }: Batch): number {
  return x.size * itemSize(x.dtype) + y.size * itemSize(y.dtype)
}

/**
 * A source of batches for anything `fit` takes.
 *
 * @throws ArgumentError `ERR_FIT_DATA`; what `ArrayDataset` and `DataLoader` throw.
 */
export function batchSource(what: string, data: FitData, options: BatchOptions, pacer: Pacer): BatchSource {
  if (isPair(data)) return new ArraySource(arraysOf(what, data), options, pacer)
  if (data instanceof ArrayDataset) {
    if (data.fields.length !== 2)
      throw new ArgumentError('ERR_FIT_DATA', `${what}: a data set of inputs and targets has 2 fields, this one ${data.fields.length}.`)
    return new ArraySource(pairOf(data.fields, what), options, pacer)
  }
  if (data instanceof DataLoader) {
    refuseOwn(what, 'a DataLoader', options)
    return new IterableSource(what, () => data, { batches: data.length, samples: undefined })
  }
  if (isDataset(data)) return datasetSource(what, data, options)
  const isBatches = Array.isArray(data) ? data.every((batch) => Array.isArray(batch)) : isIterable(data)
  if (isFunction(data) || isBatches) {
    refuseOwn(what, 'an iterable of batches', options)
    return new IterableSource(what, typeof data === 'function' ? data : () => data)
  }
  throw new ArgumentError(
    'ERR_FIT_DATA',
    `${what}: expected [inputs, targets], a data set, a DataLoader, or an iterable of [inputs, targets] batches, received ${showKind(data)}.`,
  )
}

/** Data that comes in batches has its own sizes and order. */
function refuseOwn(what: string, kind: string, options: BatchOptions): void {
  if (!options.training) return
  for (const option of ['batchSize', 'shuffle', 'dropLast', 'seed'] as const) {
    if (options[option] !== undefined) throw new ArgumentError('ERR_FIT_OPTION', `${what}: ${kind} has its own ${option}. Set it there.`)
  }
}

function isIterable(x: unknown): x is AsyncIterable<readonly unknown[]> | Iterable<readonly unknown[]> {
  return typeof x === 'object' && x !== null && !ArrayBuffer.isView(x) && (Symbol.asyncIterator in x || Symbol.iterator in x)
}

function isDataset(x: unknown): x is BulkDataset | ItemDataset {
  if (typeof x !== 'object' || x === null || !('length' in x)) return false
  const set = x as Partial<BulkDataset & ItemDataset>
  return typeof set.batch === 'function' || typeof set.get === 'function'
}

/** One side of a pair, as opposed to a batch in a list of batches. */
function isSide(x: unknown): boolean {
  if (x instanceof Tensor || ArrayBuffer.isView(x)) return true
  if (!Array.isArray(x)) return typeof x === 'object' && x !== null && ArrayBuffer.isView((x as { data?: unknown }).data)
  let first: unknown = x
  for (let depth = 0; depth <= maxRank && Array.isArray(first); depth++) first = first[0]
  // text is refused where numbers are read, with a better word
  return ['number', 'boolean', 'string'].includes(typeof first) || ArrayBuffer.isView(first)
}

function isPair(data: unknown): data is FitPair {
  return Array.isArray(data) && data.length === 2 && isSide(data[0]) && isSide(data[1])
}

function arraysOf(what: string, data: FitPair): [Tensor, Tensor] {
  const fields = data.map((side, k) => {
    if (side instanceof Tensor) return isContiguous(side.shape, side.strides) ? side : noGrad(() => clone(side))
    return toField(side, `${what}: ${k === 0 ? 'inputs' : 'targets'}`, k === 1 ? targetDType(side) : undefined)
  })
  return pairOf(fields, what)
}

const defaultBatch = 32

/** One side of the data, and one slot of the ring for it. */
interface Side {
  readonly tensor: Tensor
  /** Elements of a sample. */
  readonly width: number
  readonly dtype: DType
  /** Samples copied between two looks at the clock. */
  readonly slice: number
}

class ArraySource implements BatchSource {
  readonly batches: number
  readonly samples: number
  readonly peekable = true
  private readonly sides: readonly [Side, Side]
  private readonly options: BatchOptions
  private readonly batchSize: number
  private readonly pacer: Pacer
  private readonly ring: Batch[] = []
  private readonly depth: number
  private last: Batch | undefined
  private next = 0
  private epochs = 0

  constructor([x, y]: readonly [Tensor, Tensor], options: BatchOptions, pacer: Pacer) {
    const [n] = x.shape
    const { batchSize = defaultBatch, dropLast = false } = options
    this.sides = [sideOf(x), sideOf(y)]
    this.options = options
    this.batchSize = batchSize
    this.pacer = pacer
    this.batches = dropLast ? Math.floor(n / batchSize) : Math.ceil(n / batchSize)
    this.samples = dropLast ? this.batches * batchSize : n
    this.depth = depthFor(batchSize * this.sides.reduce((sum, s) => sum + s.width * itemSize(s.dtype), 0))
  }

  async *epoch(): AsyncGenerator<Batch, void, undefined> {
    const [n] = this.sides[0].tensor.shape
    for (const { tensor } of this.sides) if (tensor.constant === undefined) await tensor.storage.readable()
    const order = await this.order(n)
    for (let start = 0; start < this.samples; start += this.batchSize) {
      const size = Math.min(this.batchSize, n - start)
      const batch = this.take(size)
      for (let k = 0; k < 2; k++) {
        const side = this.sides[k]
        const from = elementsOf(side.tensor)
        const to = elementsOf(k === 0 ? batch.x : batch.y)
        for (let row = 0; row < size; row += side.slice) {
          copyRows(from, to, order, start, row, Math.min(size, row + side.slice), side.width)
          if (this.pacer.due) await this.pacer.breathe()
        }
      }
      yield { ...batch, sampleAt: (row) => (order === undefined ? start + row : order[start + row]) }
    }
  }

  /** The samples' order, or `undefined` as they are. Shuffled by Fisher and Yates, in slices of time. */
  private async order(n: number): Promise<Int32Array | undefined> {
    if (!(this.options.shuffle ?? this.options.training)) return undefined
    const { seed } = this.options
    const epoch = this.epochs++
    const [low, high, at, wraps] = seed === undefined ? drawBlocks(1) : [seed, epoch, 0, 0]
    const random = seed === undefined ? new CounterRandom(low, high, at, wraps) : new CounterRandom(seed, epoch)
    const indices = new Int32Array(n)
    for (let i = 0; i < n; i++) indices[i] = i
    for (let i = n - 1; i > 0; i--) {
      const j = random.below(i + 1)
      const kept = indices[i]
      indices[i] = indices[j]
      indices[j] = kept
      if ((i & 16383) === 0 && this.pacer.due) await this.pacer.breathe()
    }
    return indices
  }

  /** Memory for a batch: that of the batch longest ago, which the queue has done with. */
  private take(size: number): Batch {
    if (!this.options.reuse) return this.allocate(size, (bytes) => Storage.allocate(bytes))
    const shared = (bytes: number): Storage => Storage.allocateShared(bytes)
    if (size < this.batchSize) {
      this.last ??= this.allocate(size, shared)
      return this.last
    }
    const slot = this.next
    this.next = (slot + 1) % (this.depth + 1)
    this.ring[slot] ??= this.allocate(size, shared)
    return this.ring[slot]
  }

  private allocate(size: number, make: (bytes: number) => Storage): Batch {
    const [x, y] = this.sides.map(({ tensor, width, dtype }) =>
      Tensor.contiguous(make(size * width * itemSize(dtype)), [size, ...tensor.shape.slice(1)], dtype),
    )
    return { x, y, size }
  }
}

function sideOf(tensor: Tensor): Side {
  const width = sizeOf(tensor.shape.slice(1))
  return { tensor, width, dtype: tensor.dtype, slice: Math.max(1, Math.floor(65536 / Math.max(1, width))) }
}

/** The elements of a contiguous tensor, without counting as handed out. */
function elementsOf(t: Tensor): TypedArray {
  const { bytes } = t.storage
  return viewMemory(t.dtype, bytes.buffer, bytes.byteOffset + t.offset * itemSize(t.dtype), t.size)
}

/** Copies samples `row` to `stop` of a batch that begins at `start` of the order. */
function copyRows(
  from: TypedArray,
  to: TypedArray,
  order: Int32Array | undefined,
  start: number,
  row: number,
  stop: number,
  width: number,
): void {
  if (order === undefined) {
    to.set(from.subarray((start + row) * width, (start + stop) * width), row * width)
    return
  }
  // below some 32 elements the loop is faster than a call for each row
  for (; row < stop; row++) {
    const source = order[start + row] * width
    const target = row * width
    if (width > 32) to.set(from.subarray(source, source + width), target)
    else for (let i = 0; i < width; i++) to[target + i] = from[source + i]
  }
}

/** A user's data set goes through a loader, which is made anew each epoch with that epoch's order. */
function datasetSource(what: string, data: BulkDataset | ItemDataset, options: BatchOptions): BatchSource {
  const { batchSize = defaultBatch, shuffle = options.training, dropLast = false } = options
  let epoch = 0
  // class labels as long as all targets so far were plain whole numbers, as in a pair of arrays
  let labels = true
  const stack = (samples: (readonly FieldLike[])[]): Field[] => {
    labels &&=
      samples.every((sample) => Array.isArray(sample) && sample.length === 2) && targetDType(samples.map(([, y]) => y)) !== undefined
    return collate(samples, labels ? ['float32', 'int32'] : [])
  }
  const loader = (seed: number): DataLoader => {
    const own = { batchSize, shuffle, dropLast, seed, collate: stack }
    const made = new DataLoader(data as ItemDataset, own) as unknown as DataLoader
    made.epoch = epoch
    return made
  }
  const batches = loader(0).length
  const next = (): DataLoader => {
    const [low, high, at] = shuffle && options.seed === undefined ? drawBlocks(1) : [0, 0, 0]
    const made = loader(options.seed ?? new CounterRandom(low, high, at).uint32())
    epoch++
    return made
  }
  return new IterableSource(what, next, { batches, samples: dropLast ? batches * batchSize : data.length })
}

/** An iterable as what `for await` can walk over: of others it would only say that undefined is not a function. */
function walk<T>(what: string, data: AsyncIterable<T> | Iterable<T>): AsyncIterable<T> | Iterable<T> {
  if (!isIterable(data)) throw new ArgumentError('ERR_FIT_DATA', `${what}: expected an iterable of batches, received ${showKind(data)}.`)
  const iterate: unknown = Symbol.asyncIterator in data ? data[Symbol.asyncIterator] : data[Symbol.iterator]
  const made = typeof iterate === 'function' ? (iterate.call(data) as { next?: unknown } | undefined) : undefined
  if (typeof made?.next !== 'function')
    throw new ArgumentError('ERR_FIT_DATA', `${what}: what its iterator is has no next(), received ${showValue(made)}. Write a generator.`)
  return (Symbol.asyncIterator in data ? { [Symbol.asyncIterator]: () => made } : { [Symbol.iterator]: () => made }) as AsyncIterable<T>
}

class IterableSource implements BatchSource {
  readonly batches: number | undefined
  readonly samples: number | undefined
  readonly peekable = false
  private readonly what: string
  private readonly open: () => AsyncIterable<readonly unknown[]> | Iterable<readonly unknown[]>

  constructor(what: string, open: IterableSource['open'], known: { batches?: number; samples?: number } = {}) {
    this.what = what
    this.open = open
    this.batches = known.batches
    this.samples = known.samples
  }

  async *epoch(): AsyncGenerator<Batch, void, undefined> {
    let number = 0
    for await (const item of walk(this.what, this.open())) {
      number++
      if (!Array.isArray(item)) {
        throw new ArgumentError('ERR_FIT_DATA', `${this.what}: batch ${number} is no [inputs, targets] pair but ${showKind(item)}.`)
      }
      const [x, y] = pairOf(item, `${this.what}: batch ${number}`)
      if (x.shape[0] === 0) throw new ShapeError('ERR_FIT_DATA', `${this.what}: batch ${number} is empty: ${showShape(x.shape)}.`)
      const [inputs, targets] = [x, y].map((t) => (t.requiresGrad ? t.detach() : t))
      yield { x: inputs, y: targets, size: x.shape[0] }
    }
  }
}
