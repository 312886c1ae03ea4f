/**
 * Convolution and pooling layers over images `[N, C, H, W]`.
 */
import { ArgumentError, checkOptions, ShapeError, showShape } from '../errors.js'
import { conv2d, type Pair, pairOf } from '../ops/conv.js'
import { type AvgPoolOptions, avgPool2d, type MaxPoolOptions, maxPool2d } from '../ops/pool.js'
import { empty, type ShapeOf, type Tensor } from '../tensor.js'
import type { ExpectImages, Images, SameChannels } from '../types.js'
import type { Rule } from './chain.js'
import { checkImages, checkInput, checkInteger, showOptions } from './check.js'
import { kaimingUniform, uniform } from './init.js'
import { Module } from './module.js'
import { Parameter } from './parameter.js'

interface ConvRule<I extends number, O> extends Rule {
  readonly error: ExpectImages<'Conv2d', I, this['in']>
  readonly out: Images<this['in'], O>
}

/** Spatial sizes are not followed: what comes behind takes any. */
interface PoolRule<Layer extends string> extends Rule {
  readonly error: ExpectImages<Layer, number, this['in']>
  readonly out: SameChannels<this['in']>
}

export interface Conv2dLayerOptions {
  /** Default 1. */
  stride?: Pair
  /** Zeros on each side; default 0. `'same'` keeps the size (stride 1), `'valid'` is 0. */
  padding?: Pair | 'same' | 'valid'
  /** Distance between the kernel's cells; default 1. */
  dilation?: Pair
  /** Groups of channels that are convolved apart; default 1. */
  groups?: number
  /** Add a learned bias to each output channel; default true. */
  bias?: boolean
}

/** Arguments as one would write them, for messages: a square pair as its number. */
const showPair = (pair: Pair): string =>
  typeof pair === 'number' ? String(pair) : pair[0] === pair[1] ? String(pair[0]) : `[${pair.join(', ')}]`

/**
 * Two-dimensional convolution `[N, inChannels, H, W]` → `[N, outChannels, Ho, Wo]` with
 * Ho = ⌊(H + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1, `weight: [out, in/groups, kh, kw]` and `bias: [out]`, both
 * initialized uniformly in ±1/√(in/groups·kh·kw). Source: `torch.nn.Conv2d`.
 *
 *     const layer = new nn.Conv2d(1, 32, 3, { padding: 1 })
 *     layer.forward(images)                   // [128, 1, 28, 28] → [128, 32, 28, 28]
 *
 * @throws ShapeError `ERR_LAYER_INPUT` for other ranks or channels; ArgumentError for options out of range.
 */
export class Conv2d<I extends number = number, O extends number = number> extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: ConvRule<I, O>
  readonly inChannels: I
  readonly outChannels: O
  readonly kernelSize: readonly [number, number]
  readonly stride: readonly [number, number]
  readonly padding: readonly [number, number] | 'same' | 'valid'
  readonly dilation: readonly [number, number]
  readonly groups: number
  readonly weight: Parameter<[O, number, number, number]>
  readonly bias: Parameter<[O]> | undefined

  constructor(inChannels: I, outChannels: O, kernelSize: Pair, options: Conv2dLayerOptions = {}) {
    checkOptions('Conv2d', options)
    super()
    const { padding = 0, groups = 1 } = options
    this.inChannels = checkInteger('Conv2d', 'inChannels', inChannels)
    this.outChannels = checkInteger('Conv2d', 'outChannels', outChannels)
    this.kernelSize = pairOf('Conv2d', 'kernelSize', kernelSize, 1)
    this.stride = pairOf('Conv2d', 'stride', options.stride ?? 1, 1)
    this.padding = padding === 'same' || padding === 'valid' ? padding : pairOf('Conv2d', 'padding', padding, 0)
    this.dilation = pairOf('Conv2d', 'dilation', options.dilation ?? 1, 1)
    this.groups = checkInteger('Conv2d', 'groups', groups)
    if (inChannels % groups !== 0 || outChannels % groups !== 0) {
      throw new ArgumentError(
        'ERR_LAYER_OPTION',
        `Conv2d: groups must divide the channels, received ${groups} for ${inChannels} in and ${outChannels} out.`,
      )
    }
    if (padding === 'same' && this.stride.some((s) => s !== 1)) {
      throw new ArgumentError(
        'ERR_LAYER_OPTION',
        `Conv2d: padding 'same' needs stride 1, received ${showPair(this.stride)}. Give the padding as a number.`,
      )
    }
    this.weight = new Parameter(empty([outChannels, inChannels / groups, ...this.kernelSize]))
    this.bias = (options.bias ?? true) ? new Parameter(empty([outChannels])) : undefined
    this.resetParameters()
  }

  /** Draws new initial values. */
  resetParameters(): void {
    kaimingUniform(this.weight, { a: Math.sqrt(5) })
    const bound = 1 / Math.sqrt(this.weight.size / this.outChannels)
    if (this.bias !== undefined) uniform(this.bias, { low: -bound, high: bound })
  }

  forward<T extends Tensor>(x: T & ExpectImages<'Conv2d', I, ShapeOf<T>>): Tensor<Images<ShapeOf<T>, O>>
  forward(x: Tensor): Tensor {
    const { stride, padding, dilation, groups, bias } = this
    checkInput(this.name, x, this.weight.dtype)
    checkImages(this.name, x)
    if (x.shape[1] !== this.inChannels) {
      const remedy =
        x.shape[3] === this.inChannels ? 'Put the channels second: .permute([0, 3, 1, 2]).' : `Change inChannels to ${x.shape[1]}.`
      throw new ShapeError(
        'ERR_LAYER_INPUT',
        `${this.name} expects ${this.inChannels} channels in [N, C, H, W], received ${showShape(x.shape)}. ${remedy}`,
      )
    }
    return conv2d(x, this.weight, { bias, stride, padding, dilation, groups })
  }

  private get name(): string {
    return `Conv2d(${this.inChannels}, ${this.outChannels}, ${showPair(this.kernelSize)})`
  }

  override extraRepr(): string {
    const { stride, padding, dilation, groups } = this
    // what differs from the defaults, square pairs as one number
    const unless = (usual: number, pair: readonly [number, number]): number | readonly [number, number] | undefined =>
      pair[0] !== pair[1] ? pair : pair[0] === usual ? undefined : pair[0]
    const options = showOptions({
      stride: unless(1, stride),
      padding: typeof padding === 'string' ? padding : unless(0, padding),
      dilation: unless(1, dilation),
      groups: groups === 1 ? undefined : groups,
      bias: this.bias === undefined ? false : undefined,
    })
    return `${this.inChannels}, ${this.outChannels}, ${showPair(this.kernelSize)}${options}`
  }
}

/**
 * The greatest element of each window: `[N, C, H, W]` → `[N, C, Ho, Wo]`. Defaults: `stride` the kernel size, `padding` 0, `dilation` 1,
 * `ceilMode` false. Source: `torch.nn.MaxPool2d`.
 *
 *     new nn.MaxPool2d(2).forward(images)     // [128, 32, 28, 28] → [128, 32, 14, 14]
 *
 * @throws ShapeError for other ranks or windows larger than the input; ArgumentError for options out of range.
 */
export class MaxPool2d extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: PoolRule<'MaxPool2d'>
  readonly kernelSize: Pair
  readonly options: Readonly<MaxPoolOptions>

  constructor(kernelSize: Pair, options: MaxPoolOptions = {}) {
    checkOptions('MaxPool2d', options)
    super()
    this.kernelSize = pairOf('MaxPool2d', 'kernelSize', kernelSize, 1)
    this.options = { ...options }
  }

  forward<T extends Tensor>(x: T & ExpectImages<'MaxPool2d', number, ShapeOf<T>>): Tensor<SameChannels<ShapeOf<T>>>
  forward(x: Tensor): Tensor {
    checkInput('MaxPool2d', x)
    checkImages('MaxPool2d', x)
    return maxPool2d(x, this.kernelSize, this.options)
  }

  override extraRepr(): string {
    return `${showPair(this.kernelSize)}${showOptions({ ...this.options })}`
  }
}

/**
 * The mean of each window: `[N, C, H, W]` → `[N, C, Ho, Wo]`. Defaults: `stride` the kernel size, `padding` 0, `ceilMode` false,
 * `countIncludePad` true. Source: `torch.nn.AvgPool2d`.
 *
 *     new nn.AvgPool2d(2).forward(images)     // [128, 32, 28, 28] → [128, 32, 14, 14]
 *
 * @throws ShapeError for other ranks or windows larger than the input; ArgumentError for options out of range.
 */
export class AvgPool2d extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: PoolRule<'AvgPool2d'>
  readonly kernelSize: Pair
  readonly options: Readonly<AvgPoolOptions>

  constructor(kernelSize: Pair, options: AvgPoolOptions = {}) {
    checkOptions('AvgPool2d', options)
    super()
    this.kernelSize = pairOf('AvgPool2d', 'kernelSize', kernelSize, 1)
    this.options = { ...options }
  }

  forward<T extends Tensor>(x: T & ExpectImages<'AvgPool2d', number, ShapeOf<T>>): Tensor<SameChannels<ShapeOf<T>>>
  forward(x: Tensor): Tensor {
    checkInput('AvgPool2d', x)
    checkImages('AvgPool2d', x)
    return avgPool2d(x, this.kernelSize, this.options)
  }

  override extraRepr(): string {
    return `${showPair(this.kernelSize)}${showOptions({ ...this.options })}`
  }
}
