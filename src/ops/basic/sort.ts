/**
 * Sorting along one dimension: sort, argsort, topk. One row and one kernel: the first `count` elements in order, and where they were. Stable; NaN
 * counts as the greatest number, as in PyTorch.
 */
import { registerLoop } from '../../backend/registry.js'
import { ArgumentError, DTypeError, showShape, showValue } from '../../base/errors.js'
import { normalizeDim, sizeOf } from '../../base/shape.js'
import { Opcode } from '../../ir/format.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import type { Resized } from '../../types/index.js'
import { along } from '../core/along.js'
import { applyAll, checkTensor } from '../core/dispatch.js'
import { type Dense, defineOp } from '../core/table.js'
import { scatterSum } from './gather.js'
import { reshape } from './movement.js'

interface SortAttrs {
  readonly dim: number
  readonly descending: boolean
  /** How many of the first. */
  readonly count: number
}

export interface SortOptions {
  /** From the greatest down; default false. */
  descending?: boolean
  /** Whether equals keep their order; they always do. */
  stable?: boolean
}
/** With the dimension among them. */
export interface SortBy extends SortOptions {
  dim?: number
}
const sortNames = { dim: true, descending: true, stable: true } as const

export interface TopkOptions {
  /** The greatest, default true; else the least. */
  largest?: boolean
  /** Whether they come in order; they always do. */
  sorted?: boolean
}
const topkNames = { dim: true, largest: true, sorted: true } as const

/** A tensor's elements in order and their positions (int32) along the sorted dimension. */
export interface Sorted<S> {
  values: Tensor<S>
  indices: Tensor<S>
}

function compare(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b))
  return a - b === 0 || a === b ? 0 : a < b ? -1 : 1
}

function referenceSort([x]: readonly Dense[], [values, indices]: readonly Dense[], { dim, descending, count }: SortAttrs): void {
  const n = x.shape[dim]
  const inner = sizeOf(x.shape.slice(dim + 1))
  const lanes = n === 0 ? 0 : x.data.length / n
  for (let lane = 0; lane < lanes; lane++) {
    const outer = Math.floor(lane / inner)
    const at = (i: number): number => (outer * n + i) * inner + (lane % inner)
    const order = Array.from({ length: n }, (_, i) => i)
    order.sort((i, j) => {
      const c = compare(x.data[at(i)], x.data[at(j)])
      return descending ? -c : c
    })
    for (let i = 0; i < count; i++) {
      const to = (outer * count + i) * inner + (lane % inner)
      values.data[to] = x.data[at(order[i])]
      indices.data[to] = order[i]
    }
  }
}

const sortRow = defineOp<SortAttrs>({
  name: 'sort',
  infer: ([x], { dim, count }) => {
    const shape = x.shape.map((s, i) => (i === dim ? count : s))
    return [
      { shape, dtype: x.dtype },
      { shape, dtype: 'int32' },
    ]
  },
  gradient: ({ inputs: [x], outputs: [, indices], attrs: { dim } }, g) => [scatterSum(g, indices, dim, x.shape[dim])],
  lower: (inputs, outputs, { dim, descending }) => [{ opcode: Opcode.sort, inputs, outputs, scalars: [dim, descending ? 1 : 0] }],
  reference: referenceSort,
})

registerLoop(Opcode.sort, (inputs, outputs, [dim, descending]) =>
  referenceSort(inputs, outputs, { dim, descending: descending === 1, count: outputs[0].shape[dim] }),
)

function ordered(op: string, x: Tensor, dim: number, descending: boolean, count: (n: number) => number): Sorted<never> {
  if (typeof descending !== 'boolean')
    throw new ArgumentError('ERR_OPTION', `${op}: descending must be true or false, received ${showValue(descending)}.`)
  const d = normalizeDim(op, dim, Math.max(1, x.ndim))
  const row = x.ndim === 0 ? reshape(x, [1]) : x
  const [values, indices] = applyAll(sortRow, [row], { dim: d, descending, count: count(row.shape[d]) })
  if (x.ndim > 0) return { values, indices }
  const shape = values.size === 1 ? [] : [0]
  return { values: reshape(values, shape), indices: reshape(indices, shape) }
}

/**
 * The elements in order along `dim` (default the last), and where they were. Equal ones keep their order; NaN comes last, with `descending` first.
 *
 *     const { values, indices } = sort(x, 0, { descending: true })
 */
export function sort<T extends Tensor>(x: T, dim?: number | SortBy, options?: SortOptions): Sorted<ShapeOf<T>>
export function sort(x: Tensor, first?: number | SortBy, options?: SortOptions): Sorted<never> {
  const { dim = -1, descending = false } = along<SortBy>('sort', first, options, sortNames)
  checkTensor('sort', 'x', x)
  return ordered('sort', x, dim, descending, (n) => n)
}

/** The positions (int32) that put the elements in order along `dim` (default the last); as `sort`. */
export function argsort<T extends Tensor>(x: T, dim?: number | SortBy, options?: SortOptions): Tensor<ShapeOf<T>>
export function argsort(x: Tensor, first?: number | SortBy, options?: SortOptions): Tensor {
  const { dim = -1, descending = false } = along<SortBy>('argsort', first, options, sortNames)
  checkTensor('argsort', 'x', x)
  return ordered('argsort', x, dim, descending, (n) => n).indices
}

/**
 * The `k` greatest elements along `dim` (default the last), greatest first, and where they were; the least with `largest: false`.
 *
 *     const { values, indices } = topk(logits, 5)
 *
 * @throws ArgumentError when there are fewer than `k`.
 */
export function topk<T extends Tensor, D extends number = -1>(
  x: T,
  k: number,
  dim?: D | (TopkOptions & { dim?: D }),
  options?: TopkOptions,
): Sorted<Resized<ShapeOf<T>, D>>
export function topk(x: Tensor, k: number, first?: number | (TopkOptions & { dim?: number }), options?: TopkOptions): Sorted<never> {
  const { dim = -1, largest = true } = along<TopkOptions & { dim?: number }>('topk', first, options, topkNames)
  checkTensor('topk', 'x', x)
  return ordered('topk', x, dim, largest, (n) => {
    if (!Number.isInteger(k) || k < 0 || k > n) {
      throw new ArgumentError(
        'ERR_TOPK',
        `topk: k must be an integer from 0 to ${n}, the size of dim ${dim} of ${showShape(x.shape)}, received ${showValue(k)}.`,
      )
    }
    return k
  })
}

/** @internal an error for dtypes that have no order */
export function checkOrdered(op: string, x: Tensor): void {
  checkTensor(op, 'x', x)
  if (x.dtype === 'bool') throw new DTypeError('ERR_DTYPE', `${op}: bool is not supported. Convert with .to('int32').`)
}
