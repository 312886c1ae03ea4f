/**
 * Pooling layers over signals `[N, C, L]`, images `[N, C, H, W]` and volumes `[N, C, D, H, W]`.
 */
import { checkOptions, type OptionNames } from '../base/errors.js'
import {
  type AdaptivePair,
  type AdaptiveSingle,
  type AdaptiveSize,
  type AdaptiveTriple,
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  adaptiveAvgPool3d,
  adaptiveMaxPool1d,
  adaptiveMaxPool2d,
  adaptiveMaxPool3d,
  adaptiveSizes,
} from '../ops/layers/adaptive-pool.js'
import {
  type AvgPoolOptions,
  avgPool1d,
  avgPool2d,
  avgPool3d,
  type MaxPoolOptions,
  maxPool1d,
  maxPool2d,
  maxPool3d,
  poolWindow,
} from '../ops/layers/pool.js'
import {
  avgPoolNames,
  dividedPoolNames,
  maxPoolNames,
  type Pair,
  type Rank,
  type Single,
  type SizeOf,
  type Triple,
} from '../ops/layers/spatial.js'
import type { Tensor } from '../tensor/tensor.js'
import { showOptions } from './check.js'
import { PlanesLayer } from './planes.js'

const show = (value: unknown): string => (Array.isArray(value) ? `[${value.map(String).join(', ')}]` : String(value))

/** A window and how it moves. */
abstract class Pool<R extends Rank, L extends string, O extends object> extends PlanesLayer<R, L> {
  readonly kernelSize: SizeOf<R>
  readonly options: Readonly<O>
  constructor(rank: R, kernelSize: SizeOf<R>, options: O, names: OptionNames<O>) {
    const layer = new.target.name
    checkOptions(layer, options, names)
    super(rank)
    poolWindow(layer, rank, kernelSize, options)
    this.kernelSize = kernelSize
    this.options = { ...options }
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
export class MaxPool1d extends Pool<1, 'MaxPool1d', MaxPoolOptions<1>> {
  constructor(kernelSize: Single, options: MaxPoolOptions<1> = {}) {
    super(1, kernelSize, options, maxPoolNames)
  }
  protected compute(x: Tensor): Tensor {
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
export class MaxPool2d extends Pool<2, 'MaxPool2d', MaxPoolOptions<2>> {
  constructor(kernelSize: Pair, options: MaxPoolOptions<2> = {}) {
    super(2, kernelSize, options, maxPoolNames)
  }
  protected compute(x: Tensor): Tensor {
    return maxPool2d(x, this.kernelSize, this.options)
  }
}

/**
 * The greatest element of each window: `[N, C, D, H, W]` → `[N, C, Do, Ho, Wo]`. Defaults: `stride` the kernel size, `padding` 0, `dilation` 1,
 * `ceilMode` false. Source: `torch.nn.MaxPool3d`.
 *
 *     new nn.MaxPool3d(2).forward(volumes)     // [4, 8, 16, 64, 64] → [4, 8, 8, 32, 32]
 *
 * @throws ShapeError for other ranks or windows larger than the input; ArgumentError for options out of range.
 */
export class MaxPool3d extends Pool<3, 'MaxPool3d', MaxPoolOptions<3>> {
  constructor(kernelSize: Triple, options: MaxPoolOptions<3> = {}) {
    super(3, kernelSize, options, maxPoolNames)
  }
  protected compute(x: Tensor): Tensor {
    return maxPool3d(x, this.kernelSize, this.options)
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
export class AvgPool1d extends Pool<1, 'AvgPool1d', AvgPoolOptions<1>> {
  constructor(kernelSize: Single, options: AvgPoolOptions<1> = {}) {
    super(1, kernelSize, options, avgPoolNames)
  }
  protected compute(x: Tensor): Tensor {
    return avgPool1d(x, this.kernelSize, this.options)
  }
}

/**
 * The mean of each window: `[N, C, H, W]` → `[N, C, Ho, Wo]`. Defaults: `stride` the kernel size, `padding` 0, `ceilMode` false,
 * `countIncludePad` true, `divisorOverride` none. Source: `torch.nn.AvgPool2d`.
 *
 *     new nn.AvgPool2d(2).forward(images)     // [128, 32, 28, 28] → [128, 32, 14, 14]
 *
 * @throws ShapeError for other ranks or windows larger than the input; ArgumentError for options out of range.
 */
export class AvgPool2d extends Pool<2, 'AvgPool2d', AvgPoolOptions<2>> {
  constructor(kernelSize: Pair, options: AvgPoolOptions<2> = {}) {
    super(2, kernelSize, options, dividedPoolNames)
  }
  protected compute(x: Tensor): Tensor {
    return avgPool2d(x, this.kernelSize, this.options)
  }
}

/**
 * The mean of each window: `[N, C, D, H, W]` → `[N, C, Do, Ho, Wo]`. Defaults: `stride` the kernel size, `padding` 0, `ceilMode` false,
 * `countIncludePad` true, `divisorOverride` none. Source: `torch.nn.AvgPool3d`.
 *
 *     new nn.AvgPool3d(2).forward(volumes)     // [4, 8, 16, 64, 64] → [4, 8, 8, 32, 32]
 *
 * @throws ShapeError for other ranks or windows larger than the input; ArgumentError for options out of range.
 */
export class AvgPool3d extends Pool<3, 'AvgPool3d', AvgPoolOptions<3>> {
  constructor(kernelSize: Triple, options: AvgPoolOptions<3> = {}) {
    super(3, kernelSize, options, dividedPoolNames)
  }
  protected compute(x: Tensor): Tensor {
    return avgPool3d(x, this.kernelSize, this.options)
  }
}

/** Windows whose size follows from the output's. */
abstract class AdaptivePool<R extends Rank, L extends string> extends PlanesLayer<R, L> {
  readonly outputSize: AdaptiveSize<R>
  constructor(rank: R, outputSize: AdaptiveSize<R>) {
    super(rank)
    adaptiveSizes(new.target.name, rank, outputSize)
    this.outputSize = outputSize
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
export class AdaptiveAvgPool1d extends AdaptivePool<1, 'AdaptiveAvgPool1d'> {
  constructor(outputSize: AdaptiveSingle) {
    super(1, outputSize)
  }
  protected compute(x: Tensor): Tensor {
    return adaptiveAvgPool1d(x, this.outputSize)
  }
}

/**
 * The means of windows, as many as `outputSize` says in each direction: `[N, C, H, W]` → `[N, C, …outputSize]`; `null` keeps a size.
 * Source: `torch.nn.AdaptiveAvgPool2d`.
 *
 *     new nn.AdaptiveAvgPool2d(1).forward(images)         // [128, 512, 7, 7] → [128, 512, 1, 1]
 */
export class AdaptiveAvgPool2d extends AdaptivePool<2, 'AdaptiveAvgPool2d'> {
  constructor(outputSize: AdaptivePair) {
    super(2, outputSize)
  }
  protected compute(x: Tensor): Tensor {
    return adaptiveAvgPool2d(x, this.outputSize)
  }
}

/**
 * The means of windows, as many as `outputSize` says in each direction: `[N, C, D, H, W]` → `[N, C, …outputSize]`; `null` keeps a size.
 * Source: `torch.nn.AdaptiveAvgPool3d`.
 *
 *     new nn.AdaptiveAvgPool3d(1).forward(volumes)         // [4, 64, 4, 8, 8] → [4, 64, 1, 1, 1]
 */
export class AdaptiveAvgPool3d extends AdaptivePool<3, 'AdaptiveAvgPool3d'> {
  constructor(outputSize: AdaptiveTriple) {
    super(3, outputSize)
  }
  protected compute(x: Tensor): Tensor {
    return adaptiveAvgPool3d(x, this.outputSize)
  }
}

/** The greatest elements of `outputSize` windows: `[N, C, L]` → `[N, C, outputSize]`. Source: `torch.nn.AdaptiveMaxPool1d`. */
export class AdaptiveMaxPool1d extends AdaptivePool<1, 'AdaptiveMaxPool1d'> {
  constructor(outputSize: AdaptiveSingle) {
    super(1, outputSize)
  }
  protected compute(x: Tensor): Tensor {
    return adaptiveMaxPool1d(x, this.outputSize)
  }
}

/**
 * The greatest elements of windows, as many as `outputSize` says in each direction: `[N, C, H, W]` → `[N, C, …outputSize]`; `null` keeps a
 * size. Source: `torch.nn.AdaptiveMaxPool2d`.
 */
export class AdaptiveMaxPool2d extends AdaptivePool<2, 'AdaptiveMaxPool2d'> {
  constructor(outputSize: AdaptivePair) {
    super(2, outputSize)
  }
  protected compute(x: Tensor): Tensor {
    return adaptiveMaxPool2d(x, this.outputSize)
  }
}

/**
 * The greatest elements of windows, as many as `outputSize` says in each direction: `[N, C, D, H, W]` → `[N, C, …outputSize]`; `null` keeps a
 * size. Source: `torch.nn.AdaptiveMaxPool3d`.
 */
export class AdaptiveMaxPool3d extends AdaptivePool<3, 'AdaptiveMaxPool3d'> {
  constructor(outputSize: AdaptiveTriple) {
    super(3, outputSize)
  }
  protected compute(x: Tensor): Tensor {
    return adaptiveMaxPool3d(x, this.outputSize)
  }
}
