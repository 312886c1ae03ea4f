/**
 * Pooling to a given output size: cell i of n sees the input from ⌊i·size/n⌋ to ⌈(i+1)·size/n⌉, so windows differ by one in length and may
 * overlap. Where the sizes divide, this is ordinary pooling; else the windows are laid side by side first.
 */
import { ArgumentError, ShapeError, showShape, showValue } from '../../base/errors.js'
import { checkSize } from '../../base/shape.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import type { SameChannels, SameSignals, SameVolumes } from '../../types/index.js'
import { arangeTensor, tableTensor } from '../basic/creation.js'
import { div, lt, to, where } from '../basic/elementwise.js'
import { indexSelect } from '../basic/gather.js'
import { reshape, unsqueeze } from '../basic/movement.js'
import { sum } from '../basic/reduce.js'
import { avgPool2d, maxPool2d } from './pool.js'
import { checkPlanes, type Rank } from './spatial.js'

/** An output size; `null` keeps the input's. */
export type AdaptiveSingle = number | readonly [number | null]
export type AdaptivePair = number | null | readonly [number | null, number | null]
export type AdaptiveTriple = number | null | readonly [number | null, number | null, number | null]
export type AdaptiveSize<R extends Rank> = R extends 1 ? AdaptiveSingle : R extends 2 ? AdaptivePair : AdaptiveTriple

/** Checks an output size as given: a number, or a number or `null` for each dimension. @throws ArgumentError `ERR_POOL_OPTION`. */
export function adaptiveSizes(op: string, rank: Rank, size: AdaptiveSize<Rank>): (number | null)[] {
  const list: readonly (number | null)[] = Array.isArray(size) ? size : new Array<number | null>(rank).fill(size as number | null)
  if (list.length !== rank || !list.every((s) => s === null || (Number.isInteger(s) && s >= 1))) {
    throw new ArgumentError(
      'ERR_POOL_OPTION',
      `${op}: the output size must be an integer from 1${rank === 1 ? '' : ', or one for each dimension (null keeps the input size)'}, received ${showValue(size)}.`,
    )
  }
  return [...list]
}

interface Windows {
  /** Positions in the input: `longest` for each window; shorter windows repeat their last. */
  readonly index: Int32Array
  readonly lengths: Int32Array
  readonly longest: number
}

function windows(size: number, count: number): Windows {
  const start = (i: number): number => Math.floor((i * size) / count)
  const lengths = Int32Array.from({ length: count }, (_, i) => Math.ceil(((i + 1) * size) / count) - start(i))
  const longest = Math.max(...lengths)
  const index = new Int32Array(count * longest)
  for (let i = 0; i < count; i++) for (let k = 0; k < longest; k++) index[i * longest + k] = start(i) + Math.min(k, lengths[i] - 1)
  return { index, lengths, longest }
}

/** The means of the windows of one dimension. */
function averageAlong(x: Tensor, dim: number, count: number): Tensor {
  const { index, lengths, longest } = windows(x.shape[dim], count)
  const key = `${x.shape[dim]} ${count}`
  const laid = indexSelect(
    x,
    tableTensor(`windows ${key}`, 'int32', () => index),
    dim,
  )
  const split = reshape(laid, [...x.shape.slice(0, dim), count, longest, ...x.shape.slice(dim + 1)])
  const beside = (values: Tensor): Tensor => reshape(values, [...values.shape, ...x.shape.slice(dim + 1).map(() => 1)])
  const length = tableTensor(`window lengths ${key}`, 'int32', () => lengths)
  const inside = lt(arangeTensor(longest), unsqueeze(length, 1))
  const total = sum(where(beside(inside), split, 0), { dim: dim + 1 })
  return div(total, beside(to(length, x.dtype)))
}

const divides = ([, , h, w]: readonly number[], [a, b]: readonly number[]): [number, number] | undefined =>
  h % a === 0 && w % b === 0 ? [h / a, w / b] : undefined

function adaptiveAvg(x: Tensor, size: readonly number[]): Tensor {
  const kernel = divides(x.shape, size)
  if (kernel !== undefined) return avgPool2d(x, kernel)
  return averageAlong(averageAlong(x, 2, size[0]), 3, size[1])
}

function adaptiveMax(x: Tensor, size: readonly number[]): Tensor {
  const kernel = divides(x.shape, size)
  if (kernel !== undefined) return maxPool2d(x, kernel)
  const [a, b] = [windows(x.shape[2], size[0]), windows(x.shape[3], size[1])]
  const index = (d: 0 | 1, { index }: Windows): Tensor => tableTensor(`windows ${x.shape[2 + d]} ${size[d]}`, 'int32', () => index)
  const laid = indexSelect(indexSelect(x, index(0, a), 2), index(1, b), 3)
  return maxPool2d(laid, [a.longest, b.longest])
}

/** Pools over one dimension as over images of height 1, and over three plane by plane, then along the depth. */
function adaptive(op: string, rank: Rank, x: Tensor, outputSize: AdaptiveSize<Rank>, pool: typeof adaptiveAvg): Tensor {
  checkPlanes(op, x, rank)
  const size = adaptiveSizes(op, rank, outputSize).map((s, d) => s ?? x.shape[2 + d])
  checkSize(op, size)
  checkSize(op, [...x.shape.slice(0, 2), ...size])
  if (x.shape.slice(2).includes(0))
    throw new ShapeError('ERR_POOL_SIZE', `${op}: there is nothing to choose from in ${showShape(x.shape)}.`)
  if (rank === 1) return reshape(pool(unsqueeze(x, 2), [1, size[0]]), [...x.shape.slice(0, 2), size[0]])
  if (rank === 2) return pool(x, size)
  const [n, c, d, height, width] = x.shape
  const [depth, h, w] = size
  const planes = pool(reshape(x, [n, c * d, height, width]), [h, w])
  return reshape(pool(reshape(planes, [n, c, d, h * w]), [depth, h * w]), [n, c, depth, h, w])
}

/** The means of `outputSize` windows of `x: [N, C, L]`. Source: `torch.nn.functional.adaptive_avg_pool1d`. */
export function adaptiveAvgPool1d<T extends Tensor>(x: T, outputSize: AdaptiveSingle): Tensor<SameSignals<ShapeOf<T>>>
export function adaptiveAvgPool1d(x: Tensor, outputSize: AdaptiveSingle): Tensor {
  return adaptive('adaptiveAvgPool1d', 1, x, outputSize, adaptiveAvg)
}

/**
 * The means of windows of `x: [N, C, H, W]`, as many as `outputSize` says in each direction. Source: `torch.nn.functional.adaptive_avg_pool2d`.
 *
 *     adaptiveAvgPool2d(x, 1)               // [N, C, H, W] → [N, C, 1, 1]
 */
export function adaptiveAvgPool2d<T extends Tensor>(x: T, outputSize: AdaptivePair): Tensor<SameChannels<ShapeOf<T>>>
export function adaptiveAvgPool2d(x: Tensor, outputSize: AdaptivePair): Tensor {
  return adaptive('adaptiveAvgPool2d', 2, x, outputSize, adaptiveAvg)
}

/** The means of windows of `x: [N, C, D, H, W]`, as `adaptiveAvgPool2d`. Source: `torch.nn.functional.adaptive_avg_pool3d`. */
export function adaptiveAvgPool3d<T extends Tensor>(x: T, outputSize: AdaptiveTriple): Tensor<SameVolumes<ShapeOf<T>>>
export function adaptiveAvgPool3d(x: Tensor, outputSize: AdaptiveTriple): Tensor {
  return adaptive('adaptiveAvgPool3d', 3, x, outputSize, adaptiveAvg)
}

/** The greatest elements of `outputSize` windows of `x: [N, C, L]`. Source: `torch.nn.functional.adaptive_max_pool1d`. */
export function adaptiveMaxPool1d<T extends Tensor>(x: T, outputSize: AdaptiveSingle): Tensor<SameSignals<ShapeOf<T>>>
export function adaptiveMaxPool1d(x: Tensor, outputSize: AdaptiveSingle): Tensor {
  return adaptive('adaptiveMaxPool1d', 1, x, outputSize, adaptiveMax)
}

/** The greatest elements of windows of `x: [N, C, H, W]`, as `adaptiveAvgPool2d`. Source: `torch.nn.functional.adaptive_max_pool2d`. */
export function adaptiveMaxPool2d<T extends Tensor>(x: T, outputSize: AdaptivePair): Tensor<SameChannels<ShapeOf<T>>>
export function adaptiveMaxPool2d(x: Tensor, outputSize: AdaptivePair): Tensor {
  return adaptive('adaptiveMaxPool2d', 2, x, outputSize, adaptiveMax)
}

/** The greatest elements of windows of `x: [N, C, D, H, W]`, as `adaptiveAvgPool2d`. Source: `torch.nn.functional.adaptive_max_pool3d`. */
export function adaptiveMaxPool3d<T extends Tensor>(x: T, outputSize: AdaptiveTriple): Tensor<SameVolumes<ShapeOf<T>>>
export function adaptiveMaxPool3d(x: Tensor, outputSize: AdaptiveTriple): Tensor {
  return adaptive('adaptiveMaxPool3d', 3, x, outputSize, adaptiveMax)
}
