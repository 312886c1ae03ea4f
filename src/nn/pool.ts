/**
 * Pooling layers over signals `[N, C, L]` and images `[N, C, H, W]`.
 */
import { checkOptions } from '../errors.js'
import {
  type AdaptivePair,
  type AdaptiveSingle,
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  adaptiveMaxPool1d,
  adaptiveMaxPool2d,
  adaptiveSizes,
} from '../ops/adaptive-pool.js'
import {
  type AvgPool1dOptions,
  type AvgPool2dOptions,
  avgPool1d,
  avgPool2d,
  type MaxPool1dOptions,
  type MaxPool2dOptions,
  maxPool1d,
  maxPool2d,
} from '../ops/pool.js'
import { type Pair, type Rank, type Single, sizesOf } from '../ops/window.js'
import type { ShapeOf, Tensor } from '../tensor.js'
import type { ExpectImages, ExpectSignals, SameChannels, SameSignals } from '../types.js'
import type { Rule } from './chain.js'
import { checkInput, checkPlanes, showOptions } from './check.js'
import { Module } from './module.js'

/** Spatial sizes are not followed: what comes behind takes any. */
interface SignalPoolRule<Layer extends string> extends Rule {
  readonly error: ExpectSignals<Layer, number, this['in']>
  readonly out: SameSignals<this['in']>
}
interface ImagePoolRule<Layer extends string> extends Rule {
  readonly error: ExpectImages<Layer, number, this['in']>
  readonly out: SameChannels<this['in']>
}

const show = (value: unknown): string => (Array.isArray(value) ? `[${value.join(', ')}]` : String(value))

/** A window and how it moves. */
abstract class Pool<K extends Single | Pair, O extends object> extends Module {
  readonly kernelSize: K
  readonly options: Readonly<O>
  constructor(rank: Rank, kernelSize: K, options: O) {
    const layer = new.target.name
    checkOptions(layer, options)
    super()
    sizesOf(layer, 'kernelSize', kernelSize, rank, 1)
    this.kernelSize = kernelSize
    this.options = { ...options }
  }
  protected check(x: Tensor, rank: Rank): void {
    checkInput(this.constructor.name, x)
    checkPlanes(this.constructor.name, x, rank)
  }
  override extraRepr(): string {
    return `${show(this.kernelSize)}${showOptions({ ...this.options })}`
  }
}

/**
 * The greatest element of each window: `[N, C, L]` → `[N, C, Lo]`. Defaults: `stride` the kernel size, `padding` 0, `dilation` 1,
 * `ceilMode` false. Source: `torch.nn.MaxPool1d`.
 *
 *     new nn.MaxPool1d(2).forward(signals)    // [128, 32, 100] → [128, 32, 50]
 *
 * @throws ShapeError for other ranks or windows larger than the input; ArgumentError for options out of range.
 */
export class MaxPool1d extends Pool<Single, MaxPool1dOptions> {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: SignalPoolRule<'MaxPool1d'>
  constructor(kernelSize: Single, options: MaxPool1dOptions = {}) {
    super(1, kernelSize, options)
  }
  forward<T extends Tensor>(x: T & ExpectSignals<'MaxPool1d', number, ShapeOf<T>>): Tensor<SameSignals<ShapeOf<T>>>
  forward(x: Tensor): Tensor {
    this.check(x, 1)
    return maxPool1d(x, this.kernelSize, this.options)
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
export class MaxPool2d extends Pool<Pair, MaxPool2dOptions> {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: ImagePoolRule<'MaxPool2d'>
  constructor(kernelSize: Pair, options: MaxPool2dOptions = {}) {
    super(2, kernelSize, options)
  }
  forward<T extends Tensor>(x: T & ExpectImages<'MaxPool2d', number, ShapeOf<T>>): Tensor<SameChannels<ShapeOf<T>>>
  forward(x: Tensor): Tensor {
    this.check(x, 2)
    return maxPool2d(x, this.kernelSize, this.options)
  }
}

/**
 * The mean of each window: `[N, C, L]` → `[N, C, Lo]`. Defaults: `stride` the kernel size, `padding` 0, `ceilMode` false,
 * `countIncludePad` true. Source: `torch.nn.AvgPool1d`.
 *
 *     new nn.AvgPool1d(2).forward(signals)    // [128, 32, 100] → [128, 32, 50]
 *
 * @throws ShapeError for other ranks or windows larger than the input; ArgumentError for options out of range.
 */
export class AvgPool1d extends Pool<Single, AvgPool1dOptions> {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: SignalPoolRule<'AvgPool1d'>
  constructor(kernelSize: Single, options: AvgPool1dOptions = {}) {
    super(1, kernelSize, options)
  }
  forward<T extends Tensor>(x: T & ExpectSignals<'AvgPool1d', number, ShapeOf<T>>): Tensor<SameSignals<ShapeOf<T>>>
  forward(x: Tensor): Tensor {
    this.check(x, 1)
    return avgPool1d(x, this.kernelSize, this.options)
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
export class AvgPool2d extends Pool<Pair, AvgPool2dOptions> {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: ImagePoolRule<'AvgPool2d'>
  constructor(kernelSize: Pair, options: AvgPool2dOptions = {}) {
    super(2, kernelSize, options)
  }
  forward<T extends Tensor>(x: T & ExpectImages<'AvgPool2d', number, ShapeOf<T>>): Tensor<SameChannels<ShapeOf<T>>>
  forward(x: Tensor): Tensor {
    this.check(x, 2)
    return avgPool2d(x, this.kernelSize, this.options)
  }
}

/** Windows whose size follows from the output's. */
abstract class AdaptivePool<S extends AdaptiveSingle | AdaptivePair> extends Module {
  readonly outputSize: S
  constructor(rank: Rank, outputSize: S) {
    super()
    adaptiveSizes(new.target.name, rank, outputSize)
    this.outputSize = outputSize
  }
  protected check(x: Tensor, rank: Rank): void {
    checkInput(this.constructor.name, x)
    checkPlanes(this.constructor.name, x, rank)
  }
  override extraRepr(): string {
    return show(this.outputSize)
  }
}

/**
 * The means of `outputSize` windows: `[N, C, L]` → `[N, C, outputSize]`. Source: `torch.nn.AdaptiveAvgPool1d`.
 *
 *     new nn.AdaptiveAvgPool1d(1).forward(signals)        // [128, 32, 100] → [128, 32, 1]
 */
export class AdaptiveAvgPool1d extends AdaptivePool<AdaptiveSingle> {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: SignalPoolRule<'AdaptiveAvgPool1d'>
  constructor(outputSize: AdaptiveSingle) {
    super(1, outputSize)
  }
  forward<T extends Tensor>(x: T & ExpectSignals<'AdaptiveAvgPool1d', number, ShapeOf<T>>): Tensor<SameSignals<ShapeOf<T>>>
  forward(x: Tensor): Tensor {
    this.check(x, 1)
    return adaptiveAvgPool1d(x, this.outputSize)
  }
}

/**
 * The means of windows, as many as `outputSize` says in each direction: `[N, C, H, W]` → `[N, C, …outputSize]`; `null` keeps a size.
 * Source: `torch.nn.AdaptiveAvgPool2d`.
 *
 *     new nn.AdaptiveAvgPool2d(1).forward(images)         // [128, 512, 7, 7] → [128, 512, 1, 1]
 */
export class AdaptiveAvgPool2d extends AdaptivePool<AdaptivePair> {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: ImagePoolRule<'AdaptiveAvgPool2d'>
  constructor(outputSize: AdaptivePair) {
    super(2, outputSize)
  }
  forward<T extends Tensor>(x: T & ExpectImages<'AdaptiveAvgPool2d', number, ShapeOf<T>>): Tensor<SameChannels<ShapeOf<T>>>
  forward(x: Tensor): Tensor {
    this.check(x, 2)
    return adaptiveAvgPool2d(x, this.outputSize)
  }
}

/** The greatest elements of `outputSize` windows: `[N, C, L]` → `[N, C, outputSize]`. Source: `torch.nn.AdaptiveMaxPool1d`. */
export class AdaptiveMaxPool1d extends AdaptivePool<AdaptiveSingle> {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: SignalPoolRule<'AdaptiveMaxPool1d'>
  constructor(outputSize: AdaptiveSingle) {
    super(1, outputSize)
  }
  forward<T extends Tensor>(x: T & ExpectSignals<'AdaptiveMaxPool1d', number, ShapeOf<T>>): Tensor<SameSignals<ShapeOf<T>>>
  forward(x: Tensor): Tensor {
    this.check(x, 1)
    return adaptiveMaxPool1d(x, this.outputSize)
  }
}

/**
 * The greatest elements of windows, as many as `outputSize` says in each direction: `[N, C, H, W]` → `[N, C, …outputSize]`; `null` keeps a
 * size. Source: `torch.nn.AdaptiveMaxPool2d`.
 */
export class AdaptiveMaxPool2d extends AdaptivePool<AdaptivePair> {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: ImagePoolRule<'AdaptiveMaxPool2d'>
  constructor(outputSize: AdaptivePair) {
    super(2, outputSize)
  }
  forward<T extends Tensor>(x: T & ExpectImages<'AdaptiveMaxPool2d', number, ShapeOf<T>>): Tensor<SameChannels<ShapeOf<T>>>
  forward(x: Tensor): Tensor {
    this.check(x, 2)
    return adaptiveMaxPool2d(x, this.outputSize)
  }
}
