/**
 * Normalization within a sample: over features (LayerNorm, RMSNorm), over groups of channels (GroupNorm), over a channel (InstanceNorm), over
 * neighbouring channels (LocalResponseNorm). Over the batch: batch-norm.ts.
 */
import { ArgumentError, checkOptions, ShapeError, showShape, showValue } from '../base/errors.js'
import { ones, zeros } from '../ops/basic/creation.js'
import { groupNorm, instanceNorm, layerNorm, localResponseNorm, rmsNorm } from '../ops/layers/norm.js'
import type { Rank } from '../ops/layers/spatial.js'
import type { ShapeOf, Tensor } from '../tensor/tensor.js'
import type { ExpectPlanes, ExpectSecond, ExpectTail } from '../types/index.js'
import type { KeepRule, Rule } from './chain.js'
import { checkInput, checkInteger, checkNumber, checkPlanes, showOptions } from './check.js'
import { constant } from './init.js'
import { Module } from './module.js'
import { Parameter } from './parameter.js'

const off = (t: Tensor | undefined): false | undefined => (t === undefined ? false : undefined)

/** Scale 1 and shift 0. */
function resetAffine(weight: Tensor | undefined, bias: Tensor | undefined): void {
  if (weight !== undefined) constant(weight, 1)
  if (bias !== undefined) constant(bias, 0)
}

/** `[N]` of `N`, `D` of `D`. */
type ShapeFrom<D> = D extends number ? [D] : D extends readonly number[] ? { -readonly [K in keyof D]: D[K] } : never

interface TailRule<L extends string, D> extends Rule {
  readonly error: ExpectTail<L, D, this['in']>
  readonly out: this['in']
}

function featureShape(layer: string, given: number | readonly number[]): number[] {
  const shape = typeof given === 'number' ? [given] : given
  if (!Array.isArray(shape) || shape.length === 0)
    throw new ArgumentError(
      'ERR_LAYER_OPTION',
      `${layer}: normalizedShape must be a size or a list of sizes, received ${showValue(given)}.`,
    )
  return shape.map((s) => checkInteger(layer, 'normalizedShape', s))
}

function checkTail(name: string, x: Tensor, shape: readonly number[]): void {
  if (x.ndim >= shape.length && shape.every((s, i) => s === x.shape[x.ndim - shape.length + i])) return
  const tail = x.shape.slice(-shape.length)
  const remedy = x.ndim < shape.length ? 'Add dimensions with .unsqueeze(0).' : `Change normalizedShape to ${showShape(tail)}.`
  throw new ShapeError(
    'ERR_LAYER_INPUT',
    `${name} expects ${showShape(shape)} in the last dimension${shape.length === 1 ? '' : 's'}, received ${showShape(x.shape)}. ${remedy}`,
  )
}

const showFeatures = (shape: readonly number[]): string => (shape.length === 1 ? String(shape[0]) : showShape(shape))

export interface LayerNormLayerOptions {
  /** Added to the variance; default 1e-5. */
  eps?: number
  /** Learn a scale for each element of the normalized shape; default true. */
  elementwiseAffine?: boolean
  /** Learn a shift as well; default true. */
  bias?: boolean
}

/**
 * Normalizes the last dimensions, those of `normalizedShape`, to mean 0 and variance 1, then scales and shifts each element. `weight` and
 * `bias` have the normalized shape and start as 1 and 0. Defaults: `eps` 1e-5, `elementwiseAffine` and `bias` true. Source:
 * Ba, Kiros and Hinton 2016, `torch.nn.LayerNorm`.
 *
 *     const norm = new nn.LayerNorm(384)
 *     norm.forward(x)                         // [batch, time, 384] → [batch, time, 384]
 *
 * @throws ShapeError `ERR_LAYER_INPUT` when the last dimensions are others.
 */
export class LayerNorm<const D extends number | readonly number[] = number> extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: TailRule<'LayerNorm', ShapeFrom<D>>
  readonly normalizedShape: readonly number[]
  readonly eps: number
  weight: Parameter<ShapeFrom<D>> | undefined
  bias: Parameter<ShapeFrom<D>> | undefined

  constructor(normalizedShape: D, options: LayerNormLayerOptions = {}) {
    checkOptions('LayerNorm', options, { eps: true, elementwiseAffine: true, bias: true })
    super()
    const { eps = 1e-5, elementwiseAffine = true, bias = true } = options
    this.normalizedShape = featureShape('LayerNorm', normalizedShape)
    this.eps = checkNumber('LayerNorm', 'eps', eps, 0)
    if (!elementwiseAffine) return
    this.weight = new Parameter(ones(this.normalizedShape) as Tensor<ShapeFrom<D>>)
    if (bias) this.bias = new Parameter(zeros(this.normalizedShape) as Tensor<ShapeFrom<D>>)
  }

  /** Scale 1 and shift 0. */
  resetParameters(): void {
    resetAffine(this.weight, this.bias)
  }

  forward<T extends Tensor>(x: T & ExpectTail<'LayerNorm', ShapeFrom<D>, ShapeOf<T>>): Tensor<ShapeOf<T>>
  forward(x: Tensor): Tensor {
    const { normalizedShape, weight, bias, eps } = this
    const name = `LayerNorm(${showFeatures(normalizedShape)})`
    checkInput(name, x, weight?.dtype)
    checkTail(name, x, normalizedShape)
    return layerNorm(x, normalizedShape, { weight, bias, eps })
  }

  override extraRepr(): string {
    const { normalizedShape, eps, weight } = this
    const options = showOptions({
      eps: eps === 1e-5 ? undefined : eps,
      elementwiseAffine: off(weight),
      bias: weight === undefined ? undefined : off(this.bias),
    })
    return `${showFeatures(normalizedShape)}${options}`
  }
}

export interface RMSNormLayerOptions {
  /** Added to the mean square. Default: the input's machine epsilon, 2⁻²³ for float32. */
  eps?: number
  /** Learn a scale for each element of the normalized shape; default true. */
  elementwiseAffine?: boolean
}

/**
 * Divides by the root of the mean square over the last dimensions, those of `normalizedShape`, then scales each element. `weight` has the
 * normalized shape and starts as 1. Defaults: `eps` the dtype's machine epsilon, `elementwiseAffine` true. Source: Zhang and Sennrich 2019,
 * `torch.nn.RMSNorm`.
 *
 *     const norm = new nn.RMSNorm(384, { eps: 1e-6 })
 *     norm.forward(x)                         // [batch, time, 384] → [batch, time, 384]
 *
 * @throws ShapeError `ERR_LAYER_INPUT` when the last dimensions are others.
 */
export class RMSNorm<const D extends number | readonly number[] = number> extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: TailRule<'RMSNorm', ShapeFrom<D>>
  readonly normalizedShape: readonly number[]
  readonly eps: number | undefined
  weight: Parameter<ShapeFrom<D>> | undefined

  constructor(normalizedShape: D, options: RMSNormLayerOptions = {}) {
    checkOptions('RMSNorm', options, { eps: true, elementwiseAffine: true })
    super()
    const { eps, elementwiseAffine = true } = options
    this.normalizedShape = featureShape('RMSNorm', normalizedShape)
    this.eps = eps === undefined ? undefined : checkNumber('RMSNorm', 'eps', eps, 0)
    if (elementwiseAffine) this.weight = new Parameter(ones(this.normalizedShape) as Tensor<ShapeFrom<D>>)
  }

  /** Scale 1. */
  resetParameters(): void {
    resetAffine(this.weight, undefined)
  }

  forward<T extends Tensor>(x: T & ExpectTail<'RMSNorm', ShapeFrom<D>, ShapeOf<T>>): Tensor<ShapeOf<T>>
  forward(x: Tensor): Tensor {
    const { normalizedShape, weight, eps } = this
    const name = `RMSNorm(${showFeatures(normalizedShape)})`
    checkInput(name, x, weight?.dtype)
    checkTail(name, x, normalizedShape)
    return rmsNorm(x, normalizedShape, { weight, eps })
  }

  override extraRepr(): string {
    return `${showFeatures(this.normalizedShape)}${showOptions({ eps: this.eps, elementwiseAffine: off(this.weight) })}`
  }
}

interface SecondRule<L extends string, C extends number> extends Rule {
  readonly error: ExpectSecond<L, C, this['in']>
  readonly out: this['in']
}

export interface GroupNormLayerOptions {
  /** Added to the variance; default 1e-5. */
  eps?: number
  /** Learn a scale and a shift for each channel; default true. */
  affine?: boolean
}

/**
 * Normalizes each of `numGroups` groups of channels of each sample of `[N, C, …]` to mean 0 and variance 1, then scales and shifts each
 * channel. `weight` and `bias` are `[numChannels]` and start as 1 and 0. Defaults: `eps` 1e-5, `affine` true. Source: Wu and He 2018,
 * `torch.nn.GroupNorm`.
 *
 *     const norm = new nn.GroupNorm(8, 64)
 *     norm.forward(images)                    // [32, 64, 14, 14] → [32, 64, 14, 14]
 *
 * @throws ArgumentError `ERR_LAYER_OPTION` unless the groups divide the channels; ShapeError `ERR_LAYER_INPUT` for other channels.
 */
export class GroupNorm<C extends number = number> extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: SecondRule<'GroupNorm', C>
  readonly numGroups: number
  readonly numChannels: C
  readonly eps: number
  weight: Parameter<[C]> | undefined
  bias: Parameter<[C]> | undefined

  constructor(numGroups: number, numChannels: C, options: GroupNormLayerOptions = {}) {
    checkOptions('GroupNorm', options, { eps: true, affine: true })
    super()
    const { eps = 1e-5, affine = true } = options
    this.numGroups = checkInteger('GroupNorm', 'numGroups', numGroups)
    this.numChannels = checkInteger('GroupNorm', 'numChannels', numChannels)
    this.eps = checkNumber('GroupNorm', 'eps', eps, 0)
    if (numChannels % numGroups !== 0) {
      throw new ArgumentError(
        'ERR_LAYER_OPTION',
        `GroupNorm: numGroups must divide numChannels, received ${numGroups} groups for ${numChannels} channels.`,
      )
    }
    if (!affine) return
    this.weight = new Parameter(ones([numChannels]))
    this.bias = new Parameter(zeros([numChannels]))
  }

  /** Scale 1 and shift 0. */
  resetParameters(): void {
    resetAffine(this.weight, this.bias)
  }

  forward<T extends Tensor>(x: T & ExpectSecond<'GroupNorm', C, ShapeOf<T>>): Tensor<ShapeOf<T>>
  forward(x: Tensor): Tensor {
    const { numGroups, numChannels, weight, bias, eps } = this
    const name = `GroupNorm(${numGroups}, ${numChannels})`
    checkInput(name, x, weight?.dtype)
    if (x.ndim < 2 || x.shape[1] !== numChannels) {
      throw new ShapeError(
        'ERR_LAYER_INPUT',
        `${name} expects ${numChannels} channels in [N, C, …], received ${showShape(x.shape)}.${x.ndim < 2 ? ' Reshape it.' : ` Change numChannels to ${x.shape[1]}.`}`,
      )
    }
    return groupNorm(x, numGroups, { weight, bias, eps })
  }

  override extraRepr(): string {
    const options = showOptions({ eps: this.eps === 1e-5 ? undefined : this.eps, affine: off(this.weight) })
    return `${this.numGroups}, ${this.numChannels}${options}`
  }
}

interface InstanceNormRule<R extends Rank, L extends string, C extends number> extends Rule {
  readonly error: ExpectPlanes<R, L, C, this['in']>
  readonly out: this['in']
}

export interface InstanceNormLayerOptions {
  /** Added to the variance; default 1e-5. */
  eps?: number
  /** Share of the batch in the running statistics; default 0.1. */
  momentum?: number
  /** Learn a scale and a shift for each channel; default false. */
  affine?: boolean
  /** Keep running statistics, used in evaluation; default false. Without, each sample's own are always used. */
  trackRunningStats?: boolean
}

/** What all ranks share. */
abstract class InstanceNorm<R extends Rank, L extends string, C extends number> extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: InstanceNormRule<R, L, C>
  /** Spatial dimensions. */
  protected abstract rank(): R
  readonly numFeatures: C
  readonly eps: number
  readonly momentum: number
  weight: Parameter<[C]> | undefined
  bias: Parameter<[C]> | undefined
  readonly runningMean: Tensor<[C]> | undefined
  readonly runningVar: Tensor<[C]> | undefined
  /** Stays 0, as in PyTorch, whose state dict has it all the same. */
  readonly numBatchesTracked: Tensor<[]> | undefined

  constructor(numFeatures: C, options: InstanceNormLayerOptions = {}) {
    const layer = new.target.name
    checkOptions(layer, options, { eps: true, momentum: true, affine: true, trackRunningStats: true })
    super()
    const { eps = 1e-5, momentum = 0.1, affine = false, trackRunningStats = false } = options
    this.numFeatures = checkInteger(layer, 'numFeatures', numFeatures)
    this.eps = checkNumber(layer, 'eps', eps, 0)
    this.momentum = checkNumber(layer, 'momentum', momentum, 0, 1)
    if (affine) {
      this.weight = new Parameter(ones([numFeatures]))
      this.bias = new Parameter(zeros([numFeatures]))
    }
    if (trackRunningStats) {
      this.runningMean = this.registerBuffer('running_mean', zeros([numFeatures]))
      this.runningVar = this.registerBuffer('running_var', ones([numFeatures]))
      this.numBatchesTracked = this.registerBuffer('num_batches_tracked', zeros([], { dtype: 'int32' }))
    }
  }

  /** Scale 1, shift 0, and running statistics as if nothing had been seen. */
  resetParameters(): void {
    resetAffine(this.weight, this.bias)
    resetAffine(this.runningVar, this.runningMean)
    if (this.numBatchesTracked !== undefined) constant(this.numBatchesTracked, 0)
  }

  forward<T extends Tensor>(x: T & ExpectPlanes<R, L, C, ShapeOf<T>>): Tensor<ShapeOf<T>>
  forward(x: Tensor): Tensor {
    const { numFeatures, weight, bias, eps, momentum, runningMean, runningVar } = this
    const layer = this.constructor.name
    const name = `${layer}(${numFeatures})`
    checkInput(name, x, (weight ?? runningMean)?.dtype)
    checkPlanes(name, x, this.rank())
    if (x.shape[1] !== numFeatures) {
      throw new ShapeError(
        'ERR_LAYER_INPUT',
        `${name} expects ${numFeatures} channels in dimension 1, received ${showShape(x.shape)}. Change numFeatures to ${x.shape[1]}.`,
      )
    }
    const useInputStats = this.training || runningMean === undefined
    return instanceNorm(x, { weight, bias, eps, momentum, runningMean, runningVar, useInputStats })
  }

  override extraRepr(): string {
    const { eps, momentum } = this
    const options = showOptions({
      eps: eps === 1e-5 ? undefined : eps,
      momentum: momentum === 0.1 ? undefined : momentum,
      affine: this.weight === undefined ? undefined : true,
      trackRunningStats: this.runningMean === undefined ? undefined : true,
    })
    return `${this.numFeatures}${options}`
  }
}

/**
 * Normalizes each channel of each sample of `[N, C, L]` by its own mean and variance. Defaults: `eps` 1e-5, `momentum` 0.1, `affine` and
 * `trackRunningStats` false. Source: `torch.nn.InstanceNorm1d`.
 *
 * @throws ShapeError `ERR_LAYER_INPUT` for other ranks or channels.
 */
export class InstanceNorm1d<C extends number = number> extends InstanceNorm<1, 'InstanceNorm1d', C> {
  protected rank(): 1 {
    return 1
  }
}

/**
 * Normalizes each channel of each sample of images `[N, C, H, W]` by its own mean and variance. Defaults: `eps` 1e-5, `momentum` 0.1,
 * `affine` and `trackRunningStats` false. Source: Ulyanov et al. 2016, `torch.nn.InstanceNorm2d`.
 *
 *     new nn.InstanceNorm2d(64, { affine: true }).forward(images)         // [8, 64, 32, 32] → [8, 64, 32, 32]
 *
 * @throws ShapeError `ERR_LAYER_INPUT` for other ranks or channels.
 */
export class InstanceNorm2d<C extends number = number> extends InstanceNorm<2, 'InstanceNorm2d', C> {
  protected rank(): 2 {
    return 2
  }
}

/**
 * Normalizes each channel of each sample of volumes `[N, C, D, H, W]` by its own mean and variance. Defaults: `eps` 1e-5, `momentum` 0.1,
 * `affine` and `trackRunningStats` false. Source: `torch.nn.InstanceNorm3d`.
 *
 * @throws ShapeError `ERR_LAYER_INPUT` for other ranks or channels.
 */
export class InstanceNorm3d<C extends number = number> extends InstanceNorm<3, 'InstanceNorm3d', C> {
  protected rank(): 3 {
    return 3
  }
}

/**
 * Divides each element of `[N, C, …]` by (k + alpha · mean of the squares of the `size` channels around it)^beta. Defaults: `alpha` 1e-4, `beta`
 * 0.75, `k` 1. Source: Krizhevsky et al. 2012, `torch.nn.LocalResponseNorm`.
 */
export class LocalResponseNorm extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: KeepRule
  readonly size: number
  readonly alpha: number
  readonly beta: number
  readonly k: number
  constructor(size: number, options: { alpha?: number; beta?: number; k?: number } = {}) {
    checkOptions('LocalResponseNorm', options, { alpha: true, beta: true, k: true })
    super()
    this.size = checkInteger('LocalResponseNorm', 'size', size)
    this.alpha = checkNumber('LocalResponseNorm', 'alpha', options.alpha ?? 1e-4)
    this.beta = checkNumber('LocalResponseNorm', 'beta', options.beta ?? 0.75)
    this.k = checkNumber('LocalResponseNorm', 'k', options.k ?? 1)
  }
  forward<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
  forward(x: Tensor): Tensor {
    checkInput('LocalResponseNorm', x)
    const { size, alpha, beta, k } = this
    return localResponseNorm(x, size, { alpha, beta, k })
  }
  override extraRepr(): string {
    return `${this.size}${showOptions({ alpha: this.alpha, beta: this.beta, k: this.k })}`
  }
}
