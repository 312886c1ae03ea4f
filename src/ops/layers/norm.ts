/**
 * Normalization: over features (layer, RMS), over channels of a sample (group, instance, local response), over the batch.
 */

import { ArgumentError, checkOptions, type OptionNames, ShapeError, showShape, showValue } from '../../base/errors.js'
import { sizeOf } from '../../base/shape.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import { assign } from '../basic/assign.js'
import { add, div, mul, neg, pow, rsqrt, square, sub } from '../basic/elementwise.js'
import { reshape } from '../basic/movement.js'
import { pad } from '../basic/pad.js'
import { mean } from '../basic/reduce.js'
import { checkFloat, checkTensor } from '../core/dispatch.js'
import { noGrad } from '../core/grad-mode.js'
import { normalizeGroups, normalizeRows } from './norm-rows.js'
import { avgPool2d } from './pool.js'

function check(op: string, x: unknown, eps: number): asserts x is Tensor {
  checkTensor(op, 'x', x)
  checkFloat(op, x)
  if (typeof eps !== 'number' || !(eps >= 0))
    throw new ArgumentError('ERR_OPTION', `${op}: eps must be a number from 0, received ${showValue(eps)}.`)
}

/** @throws ShapeError `ERR_NORM_PARAMETER` unless `t`, where given, has the shape. */
function checkParameter(op: string, name: string, t: Tensor | undefined, shape: readonly number[]): void {
  if (t === undefined) return
  checkTensor(op, name, t)
  if (t.ndim === shape.length && t.shape.every((s, i) => s === shape[i])) return
  throw new ShapeError('ERR_NORM_PARAMETER', `${op}: ${name} must be ${showShape(shape)}, received ${showShape(t.shape)}.`)
}

/** x · weight + bias, either of which may be missing; both broadcast. */
function affine(x: Tensor, weight: Tensor | undefined, bias: Tensor | undefined): Tensor {
  const scaled = weight === undefined ? x : mul(x, weight)
  return bias === undefined ? scaled : add(scaled, bias)
}

export interface RmsNormOptions {
  /** Of the normalized shape; default none. */
  weight?: Tensor
  /** Added to the mean square. Default: the dtype's machine epsilon. */
  eps?: number
}
export interface LayerNormOptions {
  /** Of the normalized shape; default none. */
  weight?: Tensor
  /** Of the normalized shape; default none. */
  bias?: Tensor
  /** Added to the variance; default 1e-5. */
  eps?: number
}

const affineNames: OptionNames<LayerNormOptions> = { weight: true, bias: true, eps: true }

/** The last dimensions as given, checked against x. */
function normalizedShape(op: string, x: Tensor, given: number | readonly number[]): readonly number[] {
  const shape = typeof given === 'number' ? [given] : given
  const fits = Array.isArray(shape) && shape.length > 0 && shape.length <= x.ndim
  if (fits && shape.every((s, i) => s === x.shape[x.ndim - shape.length + i])) return shape
  throw new ShapeError(
    'ERR_NORM_SHAPE',
    `${op}: the last dimensions of x ${showShape(x.shape)} must be the normalized shape ${showValue(shape)}.`,
  )
}

/** x as rows of the elements normalized together. */
function overRows(kind: 'layer' | 'rms', x: Tensor, shape: readonly number[], eps: number, weight?: Tensor, bias?: Tensor): Tensor {
  const length = sizeOf(shape)
  const flat = (t: Tensor | undefined): Tensor | undefined => (t === undefined ? undefined : reshape(t, [length]))
  const rows = reshape(x, [sizeOf(x.shape.slice(0, x.ndim - shape.length)), length])
  return reshape(normalizeRows(kind, rows, eps, flat(weight), flat(bias)), x.shape)
}

/**
 * Normalizes the last dimensions, those of `normalizedShape`, to mean 0 and variance 1, then scales and shifts. Default: `eps` 1e-5.
 * Source: Ba, Kiros and Hinton 2016, `torch.nn.functional.layer_norm`.
 *
 *     layerNorm(x, [384], { weight, bias })       // x: [batch, time, 384]
 *
 * @throws ShapeError `ERR_NORM_SHAPE`, `ERR_NORM_PARAMETER` when shapes do not fit.
 */
export function layerNorm<T extends Tensor>(x: T, shape: number | readonly number[], options?: LayerNormOptions): Tensor<ShapeOf<T>>
export function layerNorm(x: Tensor, shape: number | readonly number[], options: LayerNormOptions = {}): Tensor {
  checkOptions('layerNorm', options, affineNames)
  const { weight, bias, eps = 1e-5 } = options
  check('layerNorm', x, eps)
  const dims = normalizedShape('layerNorm', x, shape)
  checkParameter('layerNorm', 'weight', weight, dims)
  checkParameter('layerNorm', 'bias', bias, dims)
  return overRows('layer', x, dims, eps, weight, bias)
}

/**
 * Divides by the root of the mean square over the last dimensions, those of `normalizedShape`, then scales.
 * Source: Zhang and Sennrich 2019, `torch.nn.functional.rms_norm`.
 *
 *     rmsNorm(x, [384], { weight })               // x: [batch, time, 384]
 *
 * @throws ShapeError `ERR_NORM_SHAPE`, `ERR_NORM_PARAMETER` when shapes do not fit.
 */
export function rmsNorm<T extends Tensor>(x: T, shape: number | readonly number[], options?: RmsNormOptions): Tensor<ShapeOf<T>>
export function rmsNorm(x: Tensor, shape: number | readonly number[], options: RmsNormOptions = {}): Tensor {
  checkOptions('rmsNorm', options, { weight: true, eps: true })
  const { weight, eps = (x as Tensor | undefined)?.dtype === 'float64' ? Number.EPSILON : 2 ** -23 } = options
  check('rmsNorm', x, eps)
  const dims = normalizedShape('rmsNorm', x, shape)
  checkParameter('rmsNorm', 'weight', weight, dims)
  return overRows('rms', x, dims, eps, weight)
}

export interface GroupNormOptions {
  /** `[C]`; default none. */
  weight?: Tensor
  /** `[C]`; default none. */
  bias?: Tensor
  /** Added to the variance; default 1e-5. */
  eps?: number
}

/** A vector over channels, to broadcast against x: `[N, C, …]`. */
const overChannels = (x: Tensor, t: Tensor | undefined): Tensor | undefined =>
  t === undefined ? undefined : reshape(t, [t.shape[0], ...x.shape.slice(2).map(() => 1)])

/**
 * Normalizes each group of channels of each sample of `x: [N, C, …]` to mean 0 and variance 1, then scales and shifts channels. Default: `eps`
 * 1e-5. Source: Wu and He 2018, `torch.nn.functional.group_norm`.
 *
 *     groupNorm(images, 8, { weight, bias })      // images: [N, 64, H, W]
 *
 * @throws ArgumentError `ERR_NORM_GROUPS` unless the groups divide the channels; ShapeError when shapes do not fit.
 */
export function groupNorm<T extends Tensor>(x: T, numGroups: number, options?: GroupNormOptions): Tensor<ShapeOf<T>>
export function groupNorm(x: Tensor, numGroups: number, options: GroupNormOptions = {}): Tensor {
  checkOptions('groupNorm', options, affineNames)
  const { weight, bias, eps = 1e-5 } = options
  check('groupNorm', x, eps)
  if (x.ndim < 2) throw new ShapeError('ERR_RANK', `groupNorm: needs x [N, C, …], received ${showShape(x.shape)}.`)
  const [n, c] = x.shape
  if (!Number.isInteger(numGroups) || numGroups < 1 || c % numGroups !== 0)
    throw new ArgumentError('ERR_NORM_GROUPS', `groupNorm: numGroups = ${showValue(numGroups)} must divide the ${c} channels.`)
  checkParameter('groupNorm', 'weight', weight, [c])
  checkParameter('groupNorm', 'bias', bias, [c])
  if (x.size === 0) return ofNothing(x, options)
  const length = (c / numGroups) * sizeOf(x.shape.slice(2))
  const y = reshape(normalizeGroups(reshape(x, [1, n * numGroups, length]), eps).y, x.shape)
  return affine(y, overChannels(x, weight), overChannels(x, bias))
}

/** What is empty has no statistics: nothing is tracked, and weight and bias get gradients of 0. */
const ofNothing = (x: Tensor, { weight, bias }: GroupNormOptions): Tensor => affine(x, overChannels(x, weight), overChannels(x, bias))

interface RunningOptions extends GroupNormOptions {
  /** `[C]`, updated in place while the input's statistics are used. */
  runningMean?: Tensor
  /** `[C]`, updated in place while the input's statistics are used. */
  runningVar?: Tensor
  /** Share of the batch in the running statistics, a number or a 0-d tensor; default 0.1. */
  momentum?: number | Tensor
}
export interface BatchNormOptions extends RunningOptions {
  /** Use the batch's statistics and update the running ones; default false. Without running ones the batch's are always used. */
  training?: boolean
}
export interface InstanceNormOptions extends RunningOptions {
  /** Use each sample's own statistics and update the running ones; default true. */
  useInputStats?: boolean
}

const runningNames: OptionNames<RunningOptions> = { ...affineNames, runningMean: true, runningVar: true, momentum: true }

function prepare(op: string, x: Tensor, options: RunningOptions): void {
  check(op, x, options.eps ?? 1e-5)
  if (x.ndim < 2) throw new ShapeError('ERR_RANK', `${op}: needs x [N, C, …], received ${showShape(x.shape)}.`)
  for (const name of ['weight', 'bias', 'runningMean', 'runningVar'] as const) checkParameter(op, name, options[name], [x.shape[1]])
  if ((options.runningMean === undefined) !== (options.runningVar === undefined))
    throw new ArgumentError('ERR_OPTION', `${op}: give both runningMean and runningVar, or neither.`)
}

/** Moves running statistics towards `batchMean` and the biased `batchVar`, both `[C]`; the variance kept is the unbiased one, as in PyTorch. */
function track(options: RunningOptions, batchMean: Tensor, batchVar: Tensor, count: number): void {
  const { runningMean, runningVar, momentum = 0.1 } = options
  if (runningMean === undefined || runningVar === undefined) return
  const unbiased = mul(batchVar, count / (count - 1))
  assign(runningMean, add(runningMean, mul(sub(batchMean, runningMean), momentum)))
  assign(runningVar, add(runningVar, mul(sub(unbiased, runningVar), momentum)))
}

/** (x − mean) / √(variance + eps) · weight + bias as x · scale + shift, which a compiled program computes once for all calls. */
function withStatistics(x: Tensor, mean: Tensor, variance: Tensor, { weight, bias, eps = 1e-5 }: GroupNormOptions): Tensor {
  const scale = affine(rsqrt(add(variance, eps)), weight, undefined)
  const offset = mul(mean, scale)
  const shift = bias === undefined ? neg(offset) : sub(bias, offset)
  return affine(x, overChannels(x, scale), overChannels(x, shift))
}

/**
 * Normalizes each channel of `x: [N, C, …]` by the batch's mean and variance (`training`), or by the running ones, then scales and shifts it.
 * Defaults: `training` false, `momentum` 0.1, `eps` 1e-5. Source: Ioffe and Szegedy 2015, `torch.nn.functional.batch_norm`.
 *
 *     batchNorm(images, { runningMean, runningVar, weight, bias, training: true })
 *
 * @throws ShapeError for other shapes, and in training for a single value per channel.
 */
export function batchNorm<T extends Tensor>(x: T, options: BatchNormOptions): Tensor<ShapeOf<T>>
export function batchNorm(x: Tensor, options: BatchNormOptions): Tensor {
  checkOptions('batchNorm', options, { ...runningNames, training: true })
  prepare('batchNorm', x, options)
  const { runningMean, runningVar, training = false } = options
  if (x.size === 0) return ofNothing(x, options)
  if (!training && runningMean !== undefined && runningVar !== undefined) return withStatistics(x, runningMean, runningVar, options)
  const channels = x.shape[1]
  const count = x.size / channels
  if (training && count <= 1) {
    throw new ShapeError(
      'ERR_NORM_COUNT',
      `batchNorm: needs more than one value per channel to train, received ${showShape(x.shape)}. Use larger batches.`,
    )
  }
  const { weight, bias, eps = 1e-5 } = options
  const both = weight !== undefined && bias !== undefined
  const { y, mean: batchMean, variance } = both ? normalizeGroups(x, eps, weight, bias) : normalizeGroups(x, eps)
  if (training) noGrad(() => track(options, batchMean, variance, count))
  return both ? y : affine(y, overChannels(x, weight), overChannels(x, bias))
}

/**
 * Normalizes each channel of each sample of `x: [N, C, …]`, with at least one further dimension, by its own mean and variance
 * (`useInputStats`), or by the running ones, then scales and shifts it. Defaults: `useInputStats` true, `momentum` 0.1, `eps` 1e-5.
 * Source: Ulyanov et al. 2016, `torch.nn.functional.instance_norm`.
 *
 * @throws ShapeError for other shapes, and for a single value per channel.
 */
export function instanceNorm<T extends Tensor>(x: T, options?: InstanceNormOptions): Tensor<ShapeOf<T>>
export function instanceNorm(x: Tensor, options: InstanceNormOptions = {}): Tensor {
  checkOptions('instanceNorm', options, { ...runningNames, useInputStats: true })
  prepare('instanceNorm', x, options)
  const { runningMean, useInputStats = true, eps = 1e-5 } = options
  if (x.ndim < 3) throw new ShapeError('ERR_RANK', `instanceNorm: needs x [N, C, …sizes], received ${showShape(x.shape)}.`)
  if (!useInputStats) {
    const { useInputStats: _, ...running } = options
    if (runningMean !== undefined) return batchNorm(x, running)
    throw new ArgumentError('ERR_OPTION', 'instanceNorm: without useInputStats it needs runningMean and runningVar.')
  }
  const [n, c] = x.shape
  const length = sizeOf(x.shape.slice(2))
  if (length === 1) {
    throw new ShapeError(
      'ERR_NORM_COUNT',
      `instanceNorm: needs more than one value per channel, received ${showShape(x.shape)}. Use larger images.`,
    )
  }
  if (x.size === 0) return ofNothing(x, options)
  const { y, mean: rowMean, variance } = normalizeGroups(reshape(x, [1, n * c, length]), eps)
  noGrad(() => {
    const overSamples = (t: Tensor): Tensor => mean(reshape(t, [n, c]), { dim: 0 })
    if (runningMean !== undefined) track(options, overSamples(rowMean), overSamples(variance), length)
  })
  return affine(reshape(y, x.shape), overChannels(x, options.weight), overChannels(x, options.bias))
}

export interface LocalResponseNormOptions {
  /** Default 1e-4. */
  alpha?: number
  /** Default 0.75. */
  beta?: number
  /** Default 1. */
  k?: number
}

/**
 * Divides each element of `x: [N, C, …]` by (k + alpha · mean of the squares of the `size` channels around it)^beta. Defaults: `alpha` 1e-4,
 * `beta` 0.75, `k` 1. Source: Krizhevsky et al. 2012, `torch.nn.functional.local_response_norm`.
 *
 * @throws ShapeError `ERR_RANK` for fewer than three dimensions; ArgumentError unless size is an integer from 1.
 */
export function localResponseNorm<T extends Tensor>(x: T, size: number, options?: LocalResponseNormOptions): Tensor<ShapeOf<T>>
export function localResponseNorm(x: Tensor, size: number, options: LocalResponseNormOptions = {}): Tensor {
  checkOptions('localResponseNorm', options, { alpha: true, beta: true, k: true })
  check('localResponseNorm', x, 0)
  const { alpha = 1e-4, beta = 0.75, k = 1 } = options
  if (x.ndim < 3) throw new ShapeError('ERR_RANK', `localResponseNorm: needs x [N, C, …sizes], received ${showShape(x.shape)}.`)
  if (!Number.isInteger(size) || size < 1)
    throw new ArgumentError('ERR_OPTION', `localResponseNorm: size must be an integer from 1, received ${showValue(size)}.`)
  const [n, c] = x.shape
  const squares = reshape(square(x), [n, 1, c, sizeOf(x.shape.slice(2))])
  const sums = avgPool2d(pad(squares, [0, 0, Math.floor(size / 2), Math.floor((size - 1) / 2)]), [size, 1], { stride: 1 })
  return div(x, pow(add(mul(reshape(sums, x.shape), alpha), k), beta))
}
