/**
 * The tensor handle: shape, dtype, strides and storage, or a traced value inside `compile`. Reading and printing are here; operations
 * are in `ops/`, which installs the fluent methods, and gradients in `autograd/`.
 */
import { types } from 'node:util'
import { checkDType, type DType, dtypeOfArray, heldBy, isFloat, itemSize, type TypedArray, viewMemory } from '../base/dtype.js'
import {
  ArgumentError,
  checkOptions,
  DataError,
  DTypeError,
  ShapeError,
  StateError,
  showKind,
  showShape,
  showValue,
} from '../base/errors.js'
import { checkShape, contiguousStrides, copyStrided, isContiguous, maxRank, sameShape, sizeOf } from '../base/shape.js'
import type { AnyShape, Erase, EraseLast, Nested, Sizes } from '../types/index.js'
import { context } from './context.js'
import { formatTensor } from './print.js'
import { Storage } from './storage.js'

/** Numbers nested to any depth, as `toArray` returns and `tensor` takes. */
export type NestedArray = number | boolean | readonly NestedArray[]

/** What `tensor` takes: numbers nested to any depth, the innermost rows typed arrays or not. */
export type NestedData = number | boolean | TypedArray | readonly NestedData[]

/** How a tensor that is not a leaf came to be; walked by `backward`. */
export interface GradNode {
  readonly row: { name: string }
  readonly attrs: unknown
  readonly inputs: readonly Tensor[]
  readonly outputs: Tensor[]
  /** Rises with creation, so that descending order is a topological one. */
  readonly id: number
  /** Versions of the storages of inputs and outputs at recording: an in-place change before `backward` is an error. */
  readonly versions: readonly number[]
  /** Where the op was called, in anomaly mode. */
  readonly stack: string | undefined
}

/** The shape in a tensor's type: `ShapeOf<typeof x>`; `[]` for a number. */
export type ShapeOf<T> = T extends number ? [] : T extends { readonly grad: Tensor<infer S> | undefined } ? S : AnyShape

interface TensorInit {
  shape: readonly number[]
  strides: readonly number[]
  offset: number
  dtype: DType
  storage?: Storage
  /** The graph value of a traced tensor. */
  value?: object
  /** A number that needs no memory until somebody asks. */
  constant?: number
}

/**
 * What `structuredClone`, `postMessage` and `v8.serialize` cannot copy, in a property of every tensor: they would make a plain object of it, without methods, and
 * of memory that queued programs may be writing. Their DataCloneError shows this text.
 */
const uncloneable: unique symbol = Symbol(
  'A tensor, or what holds one, (send bytes: serializeSafetensors(model.stateDict()) here, parseSafetensors(bytes).tensors there)',
)

/**
 * An n-dimensional array. `S` is the shape as far as `tsc` knows it (see `types.ts`); at run time `shape` is the truth.
 */
export class Tensor<S = AnyShape> {
  // bundlers rename classes that mention themselves; users see this name
  static {
    Object.defineProperty(Tensor, 'name', { value: 'Tensor' })
  }

  /** For the type checker, as the next two: makes it compare tensors by these, which are lenient, and not by `S` itself. */
  declare readonly __compare?: { readonly [K in S extends 0 ? 'by' : 'by']?: 'fields' }
  declare readonly __shape?: Erase<S>
  declare readonly __last?: EraseLast<S>
  /** @internal the first of all, so that nothing is copied before it is refused */
  readonly uncloneable: symbol = uncloneable
  readonly shape: readonly number[]
  /** In elements. */
  readonly strides: readonly number[]
  /** In elements. */
  readonly offset: number
  readonly dtype: DType
  /** @internal */ value: object | undefined
  /** @internal */ readonly constant: number | undefined
  /** @internal */ gradNode: GradNode | undefined = undefined
  /** @internal the gradient as the library keeps it; `grad` is what users see */
  leafGrad: Tensor | undefined = undefined
  /** @internal true once user code held the current `.grad` */
  gradSeen = false
  /** @internal the queued call that set `leafGrad`, as `compile` notes it */
  gradChange: object | undefined = undefined
  private memory: Storage | undefined
  private wantsGrad = false

  /** @internal */
  constructor(init: TensorInit) {
    this.shape = init.shape
    this.strides = init.strides
    this.offset = init.offset
    this.dtype = init.dtype
    this.value = init.value
    this.constant = init.constant
    this.memory = init.storage
  }

  /** @internal */
  static contiguous(storage: Storage, shape: readonly number[], dtype: DType): Tensor {
    return new Tensor({ shape, strides: contiguousStrides(shape), offset: 0, dtype, storage })
  }

  /** @internal a number as a 0-d tensor without memory; the constant is one that the dtype holds */
  static scalar(value: number, dtype: DType): Tensor {
    return new Tensor({ shape: [], strides: [], offset: 0, dtype, constant: heldBy(dtype, value) })
  }

  get ndim(): number {
    return this.shape.length
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape)
  }

  /** True inside `compile`, where a tensor stands for a value that does not exist yet. */
  get traced(): boolean {
    return this.value !== undefined
  }

  /** @internal the memory; an error for a traced tensor */
  get storage(): Storage {
    if (this.memory !== undefined) return this.memory
    if (this.constant !== undefined) {
      const storage = Storage.allocate(itemSize(this.dtype))
      viewMemory(this.dtype, storage.bytes.buffer, storage.bytes.byteOffset, 1)[0] = this.constant
      this.memory = storage
      return storage
    }
    throw new StateError(
      'ERR_TRACED_READ',
      `tensor ${showShape(this.shape)}: a traced tensor has no data. Inside compile() return what you want to read, and read it after the call.`,
    )
  }

  /** Whether gradients are collected for this tensor. True for a result computed from such a tensor. */
  get requiresGrad(): boolean {
    if (this.gradNode !== undefined) return true
    if (context.recorder !== undefined && this.value === undefined && this.constant === undefined) {
      context.recorder.observe(this, 'requiresGrad', () => this.wantsGrad)
    }
    return this.wantsGrad
  }

  set requiresGrad(wanted: boolean) {
    if (wanted && this.dtype !== 'float32' && this.dtype !== 'float64') {
      throw new ArgumentError('ERR_GRAD_DTYPE', `requiresGrad: only float tensors have gradients, received ${this.dtype}.`)
    }
    if (!wanted && this.gradNode !== undefined) {
      throw new StateError('ERR_GRAD_NOT_LEAF', 'requiresGrad: only leaves can be switched off. Use detach() for a result.')
    }
    this.wantsGrad = wanted
  }

  /** The gradient left by `backward()`, or `undefined`. Calls of `backward` add to it. */
  get grad(): Tensor<S> | undefined {
    if (context.recorder !== undefined) context.recorder.lookAtGrad(this)
    else this.gradSeen = true
    return this.leafGrad
  }

  /** `null`, as PyTorch's None, is taken as `undefined`. */
  set grad(grad: Tensor | null | undefined) {
    this.replaceGrad(grad === null || grad === undefined ? undefined : checkGrad(this, grad))
    this.gradSeen = true
  }

  /**
   * @internal Replaces the gradient by one that nobody has seen; `sole` if nothing else refers to its memory either. That of the one before
   * is used again, if that was so.
   */
  replaceGrad(grad: Tensor | undefined, sole = false): void {
    if (context.recorder !== undefined) {
      context.recorder.setGrad(this)
    } else {
      if (this.gradIsOurs && grad?.memory !== this.leafGrad?.memory) this.leafGrad?.memory?.recycle()
      if (sole && grad?.memory !== undefined) grad.memory.sole = true
      this.gradChange = undefined
    }
    this.leafGrad = grad
    this.gradSeen = false
  }

  /** @internal whether nothing else refers to the memory of the gradient */
  get gradIsOurs(): boolean {
    return !this.gradSeen && this.leafGrad?.memory?.sole === true && this.gradChange === undefined
  }

  /**
   * The elements in row-major order. Memory is shared with the tensor when it is contiguous, a copy otherwise. Waits for queued programs
   * that write the tensor; `read()` does so without blocking.
   */
  get data(): TypedArray {
    const storage = this.storage
    storage.waitToRead()
    if (!isContiguous(this.shape, this.strides)) return this.copyOut()
    storage.handOut()
    const { bytes } = storage
    return viewMemory(this.dtype, bytes.buffer, bytes.byteOffset + this.offset * itemSize(this.dtype), this.size)
  }

  /** As `data`, but always a copy, as the calls made before this one leave it, and waits without blocking the event loop. */
  async read(): Promise<TypedArray> {
    if (this.constant === undefined && this.storage.beingWritten && snapshots.take !== undefined) {
      // while programs keep being queued there is always a next writer: a copy made in the queue shows one moment
      return (await snapshots.take(this)).copyOut()
    }
    return this.copyOut()
  }

  /** The only element as a number. */
  item(): number {
    if (this.size !== 1) {
      throw new ShapeError(
        'ERR_ITEM_SIZE',
        `item: the tensor has ${this.size} elements, shape ${showShape(this.shape)}. Use toArray() or data.`,
      )
    }
    if (this.constant !== undefined) return this.constant
    this.storage.waitToRead()
    const { bytes } = this.storage
    return viewMemory(this.dtype, bytes.buffer, bytes.byteOffset + this.offset * itemSize(this.dtype), 1)[0]
  }

  /**
   * The elements as nested arrays of numbers. A tensor of `bool` gives booleans: `mask.toArray<boolean>()` types them so.
   *
   *     randn([2, 3]).toArray()[0][1]   // number[][] for `tsc`, `any` where it does not know the number of dimensions
   */
  toArray<T extends number | boolean = number>(): Nested<S, T>
  toArray(): NestedArray {
    this.storage.waitToRead()
    const data = this.copyOut()
    const bool = this.dtype === 'bool'
    let next = 0
    const build = (dim: number): NestedArray => {
      if (dim === this.shape.length) return bool ? data[next++] !== 0 : data[next++]
      const out: NestedArray[] = new Array(this.shape[dim])
      for (let i = 0; i < out.length; i++) out[i] = build(dim + 1)
      return out
    }
    return build(0)
  }

  /** For `JSON.stringify`: the nested arrays. JSON has null for what is not finite. */
  toJSON(): NestedArray {
    return this.toArray() as NestedArray
  }

  /** Gives large memory back for reuse at once instead of at garbage collection. Optional. */
  dispose(): void {
    if (this.memory !== undefined) this.memory.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  toString(): string {
    return formatTensor(this)
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return formatTensor(this)
  }

  /** Arithmetic on a tensor with JavaScript's operators is a mistake; reading a one-element tensor as a number is not. */
  [Symbol.toPrimitive](hint: string): number | string {
    if (hint === 'string') return this.toString()
    if (this.traced) {
      throw new StateError(
        'ERR_TRACED_READ',
        'tensor: a traced tensor cannot be used as a number. Use the methods (add, mul, …) instead of operators.',
      )
    }
    return this.item()
  }

  private copyOut(): TypedArray {
    const { bytes } = this.storage
    const n = this.size
    const source = viewMemory(this.dtype, bytes.buffer, bytes.byteOffset, Math.floor(bytes.byteLength / itemSize(this.dtype)))
    if (isContiguous(this.shape, this.strides)) return source.slice(this.offset, this.offset + n)
    const out = viewMemory(this.dtype, new ArrayBuffer(n * itemSize(this.dtype)), 0, n)
    copyStrided(source, this.offset, this.shape, this.strides, out)
    return out
  }
}

/** What a user sets as the gradient of a tensor. */
function checkGrad(leaf: Tensor, grad: Tensor): Tensor {
  if (!(grad instanceof Tensor)) {
    throw new ArgumentError('ERR_NOT_A_TENSOR', `grad: a gradient is a tensor, or undefined or null for none, received ${showValue(grad)}.`)
  }
  if (!sameShape(grad.shape, leaf.shape)) {
    throw new ShapeError(
      'ERR_GRAD_SHAPE',
      `grad: a gradient has the shape of its tensor, ${showShape(leaf.shape)}, received ${showShape(grad.shape)}. Reshape or sum it first.`,
    )
  }
  return grad
}

/** The shape of nested arrays, and the innermost first thing in them: a number, or a row that is a typed array. */
function shapeOfNested(op: string, data: NestedData): { shape: number[]; first: unknown } {
  const shape: number[] = []
  let level: unknown = data
  // one dimension too many is enough to refuse; arrays that contain themselves have no end
  while (Array.isArray(level) && shape.length <= maxRank) {
    shape.push(level.length)
    if (level.length === 0) break
    level = level[0]
  }
  if (ArrayBuffer.isView(level)) shape.push((level as TypedArray).length)
  return { shape: checkShape(op, shape) as number[], first: level }
}

/** Nested arrays on their way into memory. */
interface Filling {
  readonly shape: readonly number[]
  readonly to: TypedArray
  readonly dtype: DType
  /** Whether the dtype was asked for; else all rows have to be of it. */
  readonly converts: boolean
}

function fillNested(filling: Filling, data: unknown, dim: number, at: number): number {
  const { shape, to } = filling
  if (dim === shape.length) {
    if (typeof data !== 'number' && typeof data !== 'boolean') {
      throw new ShapeError(
        'ERR_RAGGED',
        `tensor: expected a number at depth ${dim} for shape ${showShape(shape)}, received ${describe(data)}.`,
      )
    }
    to[at] = Number(data)
    checkElement(filling, data, at)
    return at + 1
  }
  const typed = dim === shape.length - 1 && ArrayBuffer.isView(data)
  if (!(typed || Array.isArray(data)) || (data as TypedArray).length !== shape[dim]) {
    throw new ShapeError(
      'ERR_RAGGED',
      `tensor: rows differ in length: expected ${shape[dim]} at depth ${dim}, received ${describe(data)}. All rows of a nested array must be equally long.`,
    )
  }
  if (typed) {
    checkRow(filling, dtypeOfArray(data))
    to.set(data as TypedArray, at)
    return at + shape[dim]
  }
  const row = data as readonly unknown[]
  if (dim === shape.length - 1 && typeof row[0] === 'number' && !isFloat(filling.dtype) && filling.dtype !== 'bool')
    checkRow(filling, 'float32')
  for (const part of row) at = fillNested(filling, part, dim + 1, at)
  return at
}

/** Rows of several types would be converted in silence. */
function checkRow({ converts, dtype }: Filling, own: DType): void {
  if (converts || own === dtype) return
  throw new DTypeError(
    'ERR_DTYPE_MIXED',
    `tensor: rows of ${dtype} and of ${own} do not mix. Say which is meant, with { dtype: '${dtype}' }.`,
  )
}

/** 300 or NaN as uint8 would silently become another number. */
function checkElement({ dtype, to }: Filling, x: number | boolean, at: number): void {
  if (isFloat(dtype) || dtype === 'bool' || to[at] === Math.trunc(Number(x))) return
  throw new DataError('ERR_DATA_RANGE', `tensor: ${x} at element ${at} is no ${dtype} value. Take another dtype.`)
}

function describe(data: unknown): string {
  if (data instanceof Tensor) return 'a tensor. Join tensors with stack([…])'
  if (Array.isArray(data) || ArrayBuffer.isView(data)) return `an array of ${(data as TypedArray).length}`
  return typeof data === 'object' || data === undefined ? showKind(data) : `${typeof data} ${showValue(data)}`
}

/** @internal copies a tensor behind the programs queued so far; installed by `compile` */
export const snapshots: { take: ((t: Tensor) => Promise<Tensor>) | undefined } = { take: undefined }

export interface TensorOptions {
  /** Default: a typed array keeps its type, booleans become bool, other numbers float32. */
  dtype?: DType
  requiresGrad?: boolean
}

/**
 * A tensor with a copy of `data`: a number, nested arrays whose rows may be typed arrays, or a typed array with a `shape`.
 *
 *     tensor([[1, 2], [3, 4]])                       // float32 [2, 2]
 *     tensor(new Float32Array(6), { shape: [2, 3] })
 *     tensor([Int32Array.of(1, 2), Int32Array.of(3, 4)])     // int32 [2, 2]
 *
 * @throws ShapeError when rows differ in length or the shape does not fit; DTypeError for typed arrays without a dtype here or rows of several;
 * DataError `ERR_DATA_RANGE` for numbers that the dtype does not hold.
 */
export function tensor(data: NestedData | ArrayBufferView, options: TensorOptions & { shape?: readonly number[] } = {}): Tensor {
  checkOptions('tensor', options, { shape: true, dtype: true, requiresGrad: true })
  if (ArrayBuffer.isView(data)) {
    const own = dtypeOfArray(data)
    const source = data as TypedArray
    const dtype = checkDType('tensor', options.dtype ?? own)
    const shape = checkShape('tensor', options.shape ?? [source.length])
    if (sizeOf(shape) !== source.length) {
      throw new ShapeError(
        'ERR_DATA_SIZE',
        `tensor: shape ${showShape(shape)} needs ${sizeOf(shape)} elements, the array has ${source.length}.`,
      )
    }
    const out = empty(shape, dtype)
    writeAll(out, (to) => (dtype === 'bool' ? source.forEach((x, i) => void (to[i] = x !== 0 ? 1 : 0)) : to.set(source)))
    return finish(out, options)
  }
  const { shape: nested, first } = shapeOfNested('tensor', data)
  const own = ArrayBuffer.isView(first) ? dtypeOfArray(first) : typeof first === 'boolean' ? 'bool' : 'float32'
  const dtype = checkDType('tensor', options.dtype ?? own)
  const out = empty(nested, dtype)
  writeAll(out, (to) => {
    fillNested({ shape: nested, to, dtype, converts: options.dtype !== undefined }, data, 0, 0)
    if (out.dtype === 'bool') to.forEach((x, i) => void (to[i] = x !== 0 ? 1 : 0))
  })
  if (options.shape === undefined) return finish(out, options)
  const shape = checkShape('tensor', options.shape)
  if (sizeOf(shape) !== out.size) {
    throw new ShapeError('ERR_DATA_SIZE', `tensor: shape ${showShape(shape)} needs ${sizeOf(shape)} elements, received ${out.size}.`)
  }
  return finish(Tensor.contiguous(out.storage, shape, out.dtype), options)
}

function finish(t: Tensor, options: TensorOptions): Tensor {
  if (options.requiresGrad) t.requiresGrad = true
  return t
}

/** @internal fills fresh memory that nobody else has seen */
export function writeAll(t: Tensor, fill: (data: TypedArray) => void): Tensor {
  const { bytes } = t.storage
  fill(viewMemory(t.dtype, bytes.buffer, bytes.byteOffset, t.size))
  return t
}

/** A tensor whose contents are unspecified. */
export function empty<const D extends readonly number[]>(shape: D, dtype: DType = 'float32'): Tensor<Sizes<D>> {
  checkShape('empty', shape)
  checkDType('empty', dtype)
  return Tensor.contiguous(Storage.allocate(sizeOf(shape) * itemSize(dtype)), [...shape], dtype)
}

/**
 * A tensor on memory of your own, without a copy; writes on either side are seen on the other.
 *
 *     const t = fromBuffer(new Float32Array(sharedArrayBuffer), [2, 3])
 *
 * @throws ShapeError when the array's length is not that of the shape.
 */
export function fromBuffer<const D extends readonly number[] = [number]>(array: TypedArray, shape?: D): Tensor<Sizes<D>>
export function fromBuffer(array: TypedArray, shape: readonly number[] = [array?.length]): Tensor {
  const dtype = dtypeOfArray(array)
  checkShape('fromBuffer', shape)
  if (sizeOf(shape) !== array.length) {
    throw new ShapeError(
      'ERR_DATA_SIZE',
      `fromBuffer: shape ${showShape(shape)} needs ${sizeOf(shape)} elements, the array has ${array.length}.`,
    )
  }
  return tensorOf({ data: array, shape, dtype })
}

/** @internal a tensor on the memory of an array with its shape, without a copy */
export function tensorOf({ data, shape, dtype }: { data: TypedArray; shape: readonly number[]; dtype: DType }): Tensor {
  const shared = types.isSharedArrayBuffer(data.buffer)
  const storage = new Storage(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), shared)
  storage.exposed = true
  return Tensor.contiguous(storage, [...shape], dtype)
}
