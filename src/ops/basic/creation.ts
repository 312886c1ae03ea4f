/**
 * Tensors of given contents. Inside `compile` they become constants of the program.
 */
import { checkDType, checkHeld, type DType, itemSize } from '../../base/dtype.js'
import { ArgumentError, checkOptions, type OptionNames, showValue } from '../../base/errors.js'
import { checkShape } from '../../base/shape.js'
import { context } from '../../tensor/context.js'
import { Storage } from '../../tensor/storage.js'
import { empty, type ShapeOf, Tensor, tensor, writeAll } from '../../tensor/tensor.js'
import type { Sizes } from '../../types/index.js'
import { checkTensor } from '../core/dispatch.js'
import { add, eq, mul, to, where } from './elementwise.js'
import { expand, narrow, reshape } from './movement.js'

export interface CreateOptions {
  /** Default float32. */
  dtype?: DType
  requiresGrad?: boolean
}

const optionNames: OptionNames<CreateOptions> = { dtype: true, requiresGrad: true }

function finish(t: Tensor, options: CreateOptions): Tensor {
  if (options.requiresGrad) t.requiresGrad = true
  return t
}

/** Numbers that may be left out, at most `count`, and options behind the last of those that are given. */
function numbersAndOptions(
  op: string,
  rest: readonly (number | CreateOptions | undefined)[],
  count: number,
): [(number | undefined)[], CreateOptions] {
  const at = rest.findIndex((x) => typeof x === 'object')
  const last = at < 0 ? Math.min(rest.length, count) : at
  const options = (rest[last] === undefined ? {} : rest[last]) as CreateOptions
  checkOptions(op, options, optionNames)
  if (rest.slice(last + 1).some((x) => x !== undefined))
    throw new ArgumentError('ERR_OPTIONS', `${op}: options come last, received ${showValue(rest[last + 1])} behind them.`)
  return [rest.slice(0, last) as (number | undefined)[], options]
}

/** A tensor of one value. */
export function full<const D extends readonly number[]>(shape: D, value: number, options?: CreateOptions): Tensor<Sizes<D>>
export function full(shape: readonly number[], value: number, options: CreateOptions = {}): Tensor {
  checkShape('full', shape)
  checkOptions('full', options, optionNames)
  const dtype = checkDType('full', options.dtype ?? 'float32')
  if (typeof value !== 'number') throw new ArgumentError('ERR_VALUE', `full: expected a number, received ${showValue(value)}.`)
  checkHeld('full', value, dtype)
  if (context.recorder !== undefined && !options.requiresGrad) return expand(Tensor.scalar(value, dtype), shape)
  return finish(
    writeAll(empty(shape, dtype), (data) => data.fill(value)),
    options,
  )
}

function filled(op: string, shape: readonly number[], value: number, options: CreateOptions): Tensor {
  checkShape(op, shape)
  checkOptions(op, options, optionNames)
  checkDType(op, options.dtype ?? 'float32')
  return full(shape, value, options)
}

/** A tensor of zeros. */
export function zeros<const D extends readonly number[]>(shape: D, options?: CreateOptions): Tensor<Sizes<D>>
export function zeros(shape: readonly number[], options: CreateOptions = {}): Tensor {
  return filled('zeros', shape, 0, options)
}

/** A tensor of ones. */
export function ones<const D extends readonly number[]>(shape: D, options?: CreateOptions): Tensor<Sizes<D>>
export function ones(shape: readonly number[], options: CreateOptions = {}): Tensor {
  return filled('ones', shape, 1, options)
}

/** Zeros of another tensor's shape and dtype. */
export function zerosLike<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function zerosLike(x: Tensor): Tensor {
  checkTensor('zerosLike', 'x', x)
  return full(x.shape, 0, { dtype: x.dtype })
}

/** Ones of another tensor's shape and dtype. */
export function onesLike<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function onesLike(x: Tensor): Tensor {
  checkTensor('onesLike', 'x', x)
  return full(x.shape, 1, { dtype: x.dtype })
}

/**
 * Numbers from `start` up to but without `end`: `arange(3)` is 0, 1, 2 and `arange(1, 2, 0.5)` is 1, 1.5. int32 when all
 * three are integers, else float32.
 *
 *     arange(5, { dtype: 'float32' })
 */
export function arange(end: number, options?: CreateOptions): Tensor<[number]>
export function arange(start: number, end: number, options?: CreateOptions): Tensor<[number]>
export function arange(start: number, end?: number, step?: number, options?: CreateOptions): Tensor<[number]>
export function arange(start: number, ...rest: (number | CreateOptions | undefined)[]): Tensor<[number]> {
  const [[end, step = 1], options] = numbersAndOptions('arange', rest, 2)
  for (const x of [start, end, step]) {
    if (x !== undefined && typeof x !== 'number')
      throw new ArgumentError('ERR_ARANGE', `arange: expected numbers, received ${showValue(x)}.`)
  }
  const from = end === undefined ? 0 : start
  const to = end === undefined ? start : end
  const n = Math.max(0, Math.ceil((to - from) / step))
  if (step === 0 || !Number.isFinite(n))
    throw new ArgumentError('ERR_ARANGE', `arange: cannot count from ${from} to ${to} in steps of ${step}.`)
  const integers = [from, to, step].every(Number.isInteger)
  const dtype = options.dtype ?? (integers ? 'int32' : 'float32')
  if (context.recorder !== undefined && !options.requiresGrad) return counted(n, from, step, dtype) as Tensor<[number]>
  const out = empty([n], dtype)
  return finish(
    writeAll(out, (data) => data.forEach((_, i) => void (data[i] = from + i * step))),
    options,
  )
}

/** `from`, `from + step`, …, computed inside the function being traced. */
function counted(n: number, from: number, step: number, dtype: DType): Tensor {
  const count = arangeTensor(n)
  return dtype === 'int32' && Number.isInteger(from) && Number.isInteger(step)
    ? add(mul(count, step), from)
    : to(add(mul(to(count, 'float32'), step), from), dtype)
}

/** `count` numbers evenly from `start` to `end`, both included. */
export function linspace<N extends number>(start: number, end: number, count: N, options?: CreateOptions): Tensor<[N]>
export function linspace(start: number, end: number, count: number, options: CreateOptions = {}): Tensor {
  checkOptions('linspace', options, optionNames)
  if (!Number.isInteger(count) || count < 0)
    throw new ArgumentError('ERR_LINSPACE', `linspace: count must be an integer from 0, received ${showValue(count)}.`)
  if (typeof start !== 'number' || typeof end !== 'number')
    throw new ArgumentError('ERR_LINSPACE', `linspace: start and end are numbers, received ${showValue(start)} and ${showValue(end)}.`)
  const step = count > 1 ? (end - start) / (count - 1) : 0
  if (context.recorder !== undefined && !options.requiresGrad) {
    const numbers = counted(count, start, step, 'float32')
    return to(count > 1 ? where(eq(arangeTensor(count), count - 1), end, numbers) : numbers, options.dtype ?? 'float32')
  }
  return finish(
    writeAll(empty([count], options.dtype ?? 'float32'), (data) =>
      data.forEach((_, i) => void (data[i] = i === count - 1 && count > 1 ? end : start + i * step)),
    ),
    options,
  )
}

/** The identity matrix, `n` rows and `m` (default n) columns. */
export function eye<N extends number>(n: N, options?: CreateOptions): Tensor<[N, N]>
export function eye<N extends number, M extends number = N>(n: N, m?: M, options?: CreateOptions): Tensor<[N, M]>
export function eye(n: number, ...rest: (number | CreateOptions | undefined)[]): Tensor {
  const [[m = n], options] = numbersAndOptions('eye', rest, 1)
  const dtype = checkDType('eye', options.dtype ?? 'float32')
  checkShape('eye', [n, m])
  if (context.recorder !== undefined && !options.requiresGrad) {
    return to(eq(reshape(arangeTensor(n), [n, 1]), arangeTensor(m)), dtype)
  }
  return finish(
    writeAll(empty([n, m], dtype), (data) => {
      data.fill(0)
      for (let i = 0; i < Math.min(n, m); i++) data[i * m + i] = 1
    }),
    options,
  )
}

/** Longer ones are composed of two while a function is traced. */
const longestCounting = 4096

/** @internal the int32 numbers 0 … n-1; while a function is traced always the same tensor, or made of such */
export function arangeTensor(n: number): Tensor {
  if (n <= longestCounting) return tableTensor(`count ${n}`, 'int32', () => Array.from({ length: n }, (_, i) => i))
  if (context.recorder === undefined) return writeAll(empty([n], 'int32'), (data) => data.forEach((_, i) => void (data[i] = i)))
  const high = mul(arangeTensor(Math.ceil(n / longestCounting)), longestCounting)
  return narrow(reshape(add(reshape(high, [high.size, 1]), arangeTensor(longestCounting)), [high.size * longestCounting]), 0, 0, n)
}

/** @internal a list of int32 numbers as a tensor; while a function is traced, equal lists are one tensor */
export function indexTensor(list: readonly number[]): Tensor {
  const make = (): Tensor => tensor(list, { dtype: 'int32' })
  return context.recorder === undefined ? make() : tableTensor(`list ${list.join()}`, 'int32', () => make().data)
}

const tables = new Map<string, Tensor>()
/** More than any one function uses: one whose own are forgotten while it is traced would be another at its second trace. */
const mostTables = 1024
/** Of their memory, in a process that meets ever new lists. */
const mostTableBytes = 256 * 2 ** 20
let tableBytes = 0

/**
 * @internal A vector of fixed contents, such as the positions that a resampling reads: made once for each `key`, so that every trace of a
 * function sees the same tensor. The least recently used ones are forgotten.
 */
export function tableTensor(key: string, dtype: 'int32' | 'float32' | 'float64', make: () => ArrayLike<number>): Tensor {
  const name = `${dtype} ${key}`
  let t = tables.get(name)
  if (t === undefined) {
    const values = make()
    t = writeAll(Tensor.contiguous(Storage.allocateShared(values.length * itemSize(dtype)), [values.length], dtype), (data) =>
      data.set(values),
    )
    tableBytes += t.storage.byteLength
  }
  tables.delete(name)
  tables.set(name, t)
  for (const [oldest, { storage }] of tables) {
    if (tables.size === 1 || (tables.size <= mostTables && tableBytes <= mostTableBytes)) break
    tables.delete(oldest)
    tableBytes -= storage.byteLength
  }
  return t
}
