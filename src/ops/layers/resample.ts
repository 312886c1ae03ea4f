/**
 * Resampling to another size, and moving channels into space and back.
 */
import { ArgumentError, checkOptions, ShapeError, showShape, showValue } from '../../base/errors.js'
import { checkSize, sizeOf } from '../../base/shape.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import type { AnyShape, Rescaled } from '../../types/index.js'
import { tableTensor } from '../basic/creation.js'
import { add, mul } from '../basic/elementwise.js'
import { indexSelect } from '../basic/gather.js'
import { expand, permute, reshape } from '../basic/movement.js'
import { checkFloat, checkTensor } from '../core/dispatch.js'
import { adaptiveAvgPool1d, adaptiveAvgPool2d, adaptiveAvgPool3d } from './adaptive-pool.js'

export type InterpolateMode = 'nearest' | 'nearest-exact' | 'linear' | 'bilinear' | 'trilinear' | 'bicubic' | 'area'

export interface InterpolateOptions {
  /** The output's sizes, or one for all dimensions. Give this or `scaleFactor`. */
  size?: number | readonly number[]
  /** Factors by which the sizes grow, or one for all dimensions; sizes are rounded down. */
  scaleFactor?: number | readonly number[]
  /**
   * `linear` for `[N, C, L]`, `bilinear` and `bicubic` for `[N, C, H, W]`, `trilinear` for `[N, C, D, H, W]`; the others for all. `nearest-exact` takes the cell
   * under an output cell's centre, `nearest` that under its corner. Default `nearest`.
   */
  mode?: InterpolateMode
  /** Whether the first and last cells keep their values, their centres being the corners; for the linear modes and `bicubic`. Default false. */
  alignCorners?: boolean
  /** Whether positions follow from the sizes, as with `size`, instead of from `scaleFactor`. Default false. */
  recomputeScaleFactor?: boolean
}

const optionNames = { size: true, scaleFactor: true, mode: true, alignCorners: true, recomputeScaleFactor: true } as const

/** Spatial dimensions each mode is for; 0 for any. */
const ranks: Record<InterpolateMode, number> = { nearest: 0, 'nearest-exact': 0, area: 0, linear: 1, bilinear: 2, bicubic: 2, trilinear: 3 }

/** Where in an output cell the modes that pick a cell look. */
const picks: Partial<Record<InterpolateMode, number>> = { nearest: 0, 'nearest-exact': 0.5 }

/** @throws ArgumentError `ERR_INTERPOLATE` for options that no input could fit. */
export function checkInterpolation(op: string, o: InterpolateOptions): void {
  checkOptions(op, o, optionNames)
  const fail = (what: string): never => {
    throw new ArgumentError('ERR_INTERPOLATE', `${op}: ${what}`)
  }
  const mode = o.mode ?? 'nearest'
  if (typeof mode !== 'string' || !Object.hasOwn(ranks, mode))
    fail(`mode must be one of ${Object.keys(ranks).join(', ')}, received ${showValue(o.mode)}.`)
  if ((o.size === undefined) === (o.scaleFactor === undefined)) fail('give either size or scaleFactor.')
  if (o.alignCorners !== undefined && ranks[mode] === 0) fail(`alignCorners has no meaning for mode '${mode}'.`)
  const valid = (list: number | readonly number[], test: (x: number) => boolean): boolean =>
    (Array.isArray(list) ? list : [list]).every((x) => typeof x === 'number' && test(x))
  if (o.size !== undefined && !valid(o.size, (x) => Number.isInteger(x) && x >= 1))
    fail(`size must be integers from 1, received ${showValue(o.size)}.`)
  if (o.scaleFactor !== undefined && !valid(o.scaleFactor, (x) => x > 0 && Number.isFinite(x)))
    fail(`scaleFactor must be above 0, received ${showValue(o.scaleFactor)}.`)
}

/** Where one output cell takes its value from: positions in the input and their shares, tap by tap. */
type Tap = { readonly index: Int32Array; readonly share: Float64Array }

/** Keys' cubic convolution with a = −0.75, as in PyTorch. */
function cubic(distance: number): number {
  const a = -0.75
  const x = Math.abs(distance)
  return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0
}

/** The taps of one dimension. `step` is the distance of output cells in the input. */
function taps(mode: InterpolateMode, size: number, count: number, step: number, alignCorners: boolean): Tap[] {
  const make = (n: number): Tap[] => Array.from({ length: n }, () => ({ index: new Int32Array(count), share: new Float64Array(count) }))
  const inside = (i: number): number => Math.min(size - 1, Math.max(0, i))
  const isCubic = mode === 'bicubic'
  const all = make(isCubic ? 4 : 2)
  const spacing = alignCorners ? (count > 1 ? (size - 1) / (count - 1) : 0) : step
  for (let i = 0; i < count; i++) {
    let at = alignCorners ? i * spacing : (i + 0.5) * spacing - 0.5
    if (!isCubic) at = Math.max(0, at)
    const first = Math.floor(at)
    all.forEach(({ index, share }, k) => {
      const cell = first + k - (isCubic ? 1 : 0)
      index[i] = inside(cell)
      share[i] = isCubic ? cubic(at - cell) : k === 0 ? 1 - (at - first) : at - first
    })
  }
  return all
}

/** One dimension resampled to `count` cells by taps. */
function resample(x: Tensor, dim: number, count: number, step: number, mode: InterpolateMode, alignCorners: boolean): Tensor {
  const beside = x.shape.slice(dim + 1).map(() => 1)
  const key = `${mode} ${x.shape[dim]} ${count} ${alignCorners ? 'corners' : step}`
  const parts = taps(mode, x.shape[dim], count, step, alignCorners).map(({ index, share }, k) => {
    const cells = indexSelect(
      x,
      tableTensor(`cells ${key} ${k}`, 'int32', () => index),
      dim,
    )
    const shares = tableTensor(`shares ${key} ${k}`, x.dtype as 'float32', () => share)
    return mul(cells, reshape(shares, [count, ...beside]))
  })
  return parts.reduce((sum, part) => add(sum, part))
}

/** One dimension by repeating cells, where the factor is whole, or by picking the cell that lies under each: under its corner, or `offset` behind it. */
function nearest(x: Tensor, dim: number, count: number, step: number, offset: number): Tensor {
  const size = x.shape[dim]
  const [before, after] = [x.shape.slice(0, dim), x.shape.slice(dim + 1)]
  // in images PyTorch copies a size that stays and halves positions where it doubles, whatever the factor; of signals and volumes only its gradient does
  const plain = offset === 0 && x.ndim === 4 && (count === size || count === 2 * size)
  if (plain || (step * count === size && count % size === 0)) {
    const times = count / size
    return reshape(expand(reshape(x, [...before, size, 1, ...after]), [...before, size, times, ...after]), [...before, count, ...after])
  }
  const index = tableTensor(`nearest ${size} ${count} ${step} ${offset}`, 'int32', () => {
    // in single precision, as PyTorch computes positions
    const scale = Math.fround(step)
    return Int32Array.from({ length: count }, (_, i) => Math.min(size - 1, Math.floor(Math.fround((i + offset) * scale))))
  })
  return indexSelect(x, index, dim)
}

/** The output's sizes, and the distances of its cells in the input. */
function targets(x: Tensor, o: InterpolateOptions): { sizes: number[]; steps: number[] } {
  const spatial = x.shape.slice(2)
  const each = (value: number | readonly number[], name: string): readonly number[] => {
    const list = typeof value === 'number' ? spatial.map(() => value) : value
    if (list.length === spatial.length) return list
    throw new ArgumentError(
      'ERR_INTERPOLATE',
      `interpolate: ${name} ${showValue(value)} must have a number for each of the ${spatial.length} spatial dimensions of ${showShape(x.shape)}.`,
    )
  }
  if (o.size !== undefined) {
    const sizes = [...each(o.size, 'size')]
    return { sizes, steps: sizes.map((s, d) => spatial[d] / s) }
  }
  const factors = each(o.scaleFactor as number, 'scaleFactor')
  const sizes = spatial.map((s, d) => Math.floor(s * factors[d]))
  if (sizes.includes(0))
    throw new ShapeError('ERR_INTERPOLATE', `interpolate: scaleFactor ${showValue(o.scaleFactor)} leaves nothing of ${showShape(x.shape)}.`)
  return { sizes, steps: factors.map((f, d) => (o.recomputeScaleFactor ? spatial[d] / sizes[d] : 1 / f)) }
}

/**
 * `x: [N, C, L]`, `[N, C, H, W]` or `[N, C, D, H, W]` at another size. Defaults: `mode` `nearest`, `alignCorners` false.
 * Source: `torch.nn.functional.interpolate`.
 *
 *     interpolate(images, { scaleFactor: 2, mode: 'bilinear' })       // [N, C, H, W] → [N, C, 2H, 2W]
 *     interpolate(images, { size: [224, 224] })
 *
 * @throws ArgumentError `ERR_INTERPOLATE` for options that do not fit; ShapeError for other ranks and empty images.
 */
export function interpolate<T extends Tensor>(x: T, options: InterpolateOptions): Tensor<Rescaled<ShapeOf<T>>>
export function interpolate(x: Tensor, options: InterpolateOptions): Tensor {
  checkTensor('interpolate', 'x', x)
  checkInterpolation('interpolate', options)
  checkFloat('interpolate', x)
  const mode = options.mode ?? 'nearest'
  const rank = x.ndim - 2
  if (rank < 1 || rank > 3 || (ranks[mode] !== 0 && ranks[mode] !== rank)) {
    const wanted = ranks[mode] === 0 ? 'one to three sizes behind' : `${ranks[mode]} size${ranks[mode] === 1 ? '' : 's'} behind`
    throw new ShapeError(
      'ERR_RANK',
      `interpolate: mode '${mode}' needs [N, C] and ${wanted}, received ${showShape(x.shape)}. Add dimensions with .unsqueeze(0), or choose another mode.`,
    )
  }
  if (x.shape.slice(2).includes(0))
    throw new ShapeError('ERR_INTERPOLATE', `interpolate: there is nothing to resample in ${showShape(x.shape)}.`)
  const { sizes, steps } = targets(x, options)
  checkSize('interpolate', sizes)
  checkSize('interpolate', [...x.shape.slice(0, 2), ...sizes])
  if (mode === 'area') {
    if (rank === 1) return adaptiveAvgPool1d(x, sizes[0])
    return rank === 2 ? adaptiveAvgPool2d(x, [sizes[0], sizes[1]]) : adaptiveAvgPool3d(x, [sizes[0], sizes[1], sizes[2]])
  }
  let y = x
  sizes.forEach((size, d) => {
    if (picks[mode] !== undefined) y = nearest(y, 2 + d, size, steps[d], picks[mode])
    // as in PyTorch the linear modes copy a size that stays, whatever the factor
    else if (size !== x.shape[2 + d] || (mode === 'bicubic' && steps[d] !== 1 && !options.alignCorners))
      y = resample(y, 2 + d, size, steps[d], mode, options.alignCorners ?? false)
  })
  return y
}

function checkFactor(op: string, name: string, factor: number): void {
  if (!Number.isInteger(factor) || factor < 1)
    throw new ArgumentError('ERR_OPTION', `${op}: ${name} must be an integer from 1, received ${showValue(factor)}.`)
}

/**
 * Channels moved into space: `[…, C·r², H, W]` → `[…, C, H·r, W·r]`. Source: Shi et al. 2016, `torch.nn.functional.pixel_shuffle`.
 *
 * @throws ShapeError `ERR_PIXEL_SHUFFLE` unless r² divides the channels.
 */
export function pixelShuffle(x: Tensor, upscaleFactor: number): Tensor<AnyShape> {
  checkTensor('pixelShuffle', 'x', x)
  checkFactor('pixelShuffle', 'upscaleFactor', upscaleFactor)
  const r = upscaleFactor
  if (x.ndim < 3 || x.shape[x.ndim - 3] % (r * r) !== 0) {
    throw new ShapeError(
      'ERR_PIXEL_SHUFFLE',
      `pixelShuffle: needs […, C·${r * r}, H, W] for upscaleFactor ${r}, received ${showShape(x.shape)}.`,
    )
  }
  const [c, h, w] = x.shape.slice(-3)
  const lead = x.shape.slice(0, -3)
  const y = permute(reshape(x, [sizeOf(lead), c / (r * r), r, r, h, w]), [0, 1, 4, 2, 5, 3])
  return reshape(y, [...lead, c / (r * r), h * r, w * r])
}

/**
 * Space moved into channels, undoing `pixelShuffle`: `[…, C, H·r, W·r]` → `[…, C·r², H, W]`. Source: `torch.nn.functional.pixel_unshuffle`.
 *
 * @throws ShapeError `ERR_PIXEL_SHUFFLE` unless r divides height and width.
 */
export function pixelUnshuffle(x: Tensor, downscaleFactor: number): Tensor<AnyShape> {
  checkTensor('pixelUnshuffle', 'x', x)
  checkFactor('pixelUnshuffle', 'downscaleFactor', downscaleFactor)
  const r = downscaleFactor
  const [c, h, w] = x.shape.slice(-3)
  if (x.ndim < 3 || h % r !== 0 || w % r !== 0) {
    throw new ShapeError(
      'ERR_PIXEL_SHUFFLE',
      `pixelUnshuffle: needs […, C, H·${r}, W·${r}] for downscaleFactor ${r}, received ${showShape(x.shape)}.`,
    )
  }
  const lead = x.shape.slice(0, -3)
  const y = permute(reshape(x, [sizeOf(lead), c, h / r, r, w / r, r]), [0, 1, 3, 5, 2, 4])
  return reshape(y, [...lead, c * r * r, h / r, w / r])
}
