/**
 * Windows that slide over signals `[N, C, L]`, images `[N, C, H, W]` and volumes `[N, C, D, H, W]`: what convolution and pooling have in
 * common. In: kernel sizes, strides and so on, as users give them. Out: one integer for each spatial dimension, or an error.
 */
import { ArgumentError, isNumber, ShapeError, showShape, showValue } from '../../base/errors.js'
import { maxElements } from '../../base/shape.js'
import type { Tensor } from '../../tensor/tensor.js'
import { checkFloat, checkTensor } from '../core/dispatch.js'

/** A number, or one in a list: PyTorch takes both. */
export type Single = number | readonly [number]
/** One number for both dimensions, or one for each. */
export type Pair = number | readonly [number, number]
/** One number for all three dimensions, or one for each. */
export type Triple = number | readonly [number, number, number]

/** Number of spatial dimensions. */
export type Rank = 1 | 2 | 3

/** How sizes are given for so many dimensions. */
export type SizeOf<R extends Rank> = R extends 1 ? Single : R extends 2 ? Pair : Triple

/** How messages call the dimensions. */
export const layouts: Record<Rank, { readonly input: string; readonly kernel: string; readonly what: string }> = {
  1: { input: '[N, C, L]', kernel: 'k', what: 'signals' },
  2: { input: '[N, C, H, W]', kernel: 'kh, kw', what: 'images' },
  3: { input: '[N, C, D, H, W]', kernel: 'kd, kh, kw', what: 'volumes' },
}

const lists: Record<Rank, string> = { 1: '', 2: ' or a pair of them', 3: ' or three of them' }

/** The codes of options that are no sizes, by what takes them. */
type SizeError = 'ERR_CONV_OPTION' | 'ERR_POOL_OPTION' | 'ERR_FOLD_OPTION'

/** A number or a list of `rank` of them as a list of integers from `low`. @throws ArgumentError with the code. */
export function sizesOf(
  op: string,
  name: string,
  value: number | readonly number[],
  rank: Rank,
  low: number,
  code: SizeError = 'ERR_CONV_OPTION',
): number[] {
  const list: readonly number[] = typeof value === 'number' ? new Array<number>(rank).fill(value) : value
  // no larger than the sizes they apply to, and a kernel has them in 32 bits
  if (!Array.isArray(list) || list.length !== rank || !list.every((v) => Number.isInteger(v) && v >= low && v <= maxElements)) {
    const most = Array.isArray(list) && list.some((v) => isNumber(v) && v > maxElements) ? ` to ${maxElements}` : ''
    throw new ArgumentError(code, `${op}: ${name} must be an integer from ${low}${most}${lists[rank]}, received ${showValue(value)}.`)
  }
  return [...list]
}

/** A number or a pair as a pair of integers from `low`. */
export function pairOf(op: string, name: string, value: Pair, low: number, code?: SizeError): [number, number] {
  return sizesOf(op, name, value, 2, low, code) as [number, number]
}

/** @throws ArgumentError, DTypeError or ShapeError unless `x` is a float tensor of `rank` spatial dimensions. */
export function checkPlanes(op: string, x: unknown, rank: Rank): asserts x is Tensor {
  checkTensor(op, 'x', x)
  checkFloat(op, x)
  if (x.ndim !== rank + 2) throw new ShapeError('ERR_RANK', `${op}: needs x ${layouts[rank].input}, received ${showShape(x.shape)}.`)
}

// The options of windows by name, which the functions check and the layers as well.

/** @internal those of `MaxPoolOptions` */
export const maxPoolNames = { stride: true, padding: true, dilation: true, ceilMode: true } as const
/** @internal those of `AvgPoolOptions` in one dimension */
export const avgPoolNames = { stride: true, padding: true, ceilMode: true, countIncludePad: true } as const
/** @internal and in several */
export const dividedPoolNames = { ...avgPoolNames, divisorOverride: true } as const
/** @internal those of `UnfoldOptions` */
export const unfoldNames = { dilation: true, padding: true, stride: true } as const
