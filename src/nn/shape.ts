/**
 * Layers that move or resample elements: Unflatten, Upsample, PixelShuffle and PixelUnshuffle, Unfold and Fold.
 */
import { ArgumentError, checkOptions, ShapeError, showShape, showValue } from '../base/errors.js'
import { normalizeDim, sizeOf } from '../base/shape.js'
import { reshape } from '../ops/basic/movement.js'
import { fold, type UnfoldOptions, unfold } from '../ops/layers/patches.js'
import { checkInterpolation, type InterpolateOptions, interpolate, pixelShuffle, pixelUnshuffle } from '../ops/layers/resample.js'
import { type Pair, pairOf, unfoldNames } from '../ops/layers/spatial.js'
import type { ShapeOf, Tensor } from '../tensor/tensor.js'
import type { AnyShape, Rescaled } from '../types/index.js'
import type { Rule } from './chain.js'
import { checkInput, checkInteger, showOptions } from './check.js'
import { Module } from './module.js'

/** Shapes behind the layer are not followed. */
interface OpenRule extends Rule {
  readonly out: AnyShape
}

const showPair = (pair: Pair): string => (typeof pair === 'number' ? String(pair) : `[${pair.join(', ')}]`)

/**
 * One dimension as several, the opposite of `Flatten`; one of the sizes may be -1. Source: `torch.nn.Unflatten`.
 *
 *     new nn.Unflatten(1, [32, 7, 7]).forward(x)          // [128, 1568] → [128, 32, 7, 7]
 *
 * @throws ShapeError `ERR_LAYER_INPUT` when the sizes do not multiply to the dimension's.
 */
export class Unflatten extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: OpenRule
  readonly dim: number
  readonly unflattenedSize: readonly number[]
  constructor(dim: number, unflattenedSize: readonly number[]) {
    super()
    this.dim = checkInteger('Unflatten', 'dim', dim, -8)
    if (!Array.isArray(unflattenedSize) || unflattenedSize.length === 0 || unflattenedSize.filter((s) => s === -1).length > 1) {
      throw new ArgumentError(
        'ERR_LAYER_OPTION',
        `Unflatten: unflattenedSize must be a list of sizes, at most one of them -1, received ${showValue(unflattenedSize)}.`,
      )
    }
    this.unflattenedSize = unflattenedSize.map((s) => checkInteger('Unflatten', 'unflattenedSize', s, -1))
  }
  forward(x: Tensor): Tensor<AnyShape> {
    checkInput('Unflatten', x)
    const dim = normalizeDim('Unflatten', this.dim, x.ndim)
    const known = sizeOf(this.unflattenedSize.filter((s) => s !== -1))
    const sizes = this.unflattenedSize.map((s) => (s === -1 && known > 0 ? x.shape[dim] / known : s))
    if (sizeOf(sizes) !== x.shape[dim] || !sizes.every(Number.isInteger)) {
      throw new ShapeError(
        'ERR_LAYER_INPUT',
        `Unflatten(${this.extraRepr()}): the sizes must multiply to ${x.shape[dim]}, dimension ${dim} of ${showShape(x.shape)}.`,
      )
    }
    return reshape(x, [...x.shape.slice(0, dim), ...sizes, ...x.shape.slice(dim + 1)])
  }
  override extraRepr(): string {
    return `${this.dim}, ${showShape(this.unflattenedSize)}`
  }
}

interface RescaleRule extends Rule {
  readonly out: Rescaled<this['in']>
}

/**
 * `[N, C, L]`, `[N, C, H, W]` or `[N, C, D, H, W]` at another size: give `size` or `scaleFactor`. Defaults: `mode` `nearest`, `alignCorners`
 * false. Source: `torch.nn.Upsample`.
 *
 *     new nn.Upsample({ scaleFactor: 2, mode: 'bilinear' }).forward(images)         // [N, 64, 16, 16] → [N, 64, 32, 32]
 *
 * @throws ArgumentError `ERR_INTERPOLATE` for options that do not fit.
 */
export class Upsample extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: RescaleRule
  readonly options: Readonly<InterpolateOptions>
  constructor(options: InterpolateOptions) {
    checkInterpolation('Upsample', options)
    super()
    this.options = { ...options }
  }
  forward<T extends Tensor>(x: T): Tensor<Rescaled<ShapeOf<T>>>
  forward(x: Tensor): Tensor {
    checkInput('Upsample', x)
    return interpolate(x, this.options)
  }
  override extraRepr(): string {
    return showOptions({ ...this.options }).slice(2)
  }
}

/** Channels moved into space: `[…, C·r², H, W]` → `[…, C, H·r, W·r]`. Source: Shi et al. 2016, `torch.nn.PixelShuffle`. */
export class PixelShuffle extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: OpenRule
  readonly upscaleFactor: number
  constructor(upscaleFactor: number) {
    super()
    this.upscaleFactor = checkInteger('PixelShuffle', 'upscaleFactor', upscaleFactor)
  }
  forward(x: Tensor): Tensor<AnyShape> {
    return pixelShuffle(x, this.upscaleFactor)
  }
  override extraRepr(): string {
    return String(this.upscaleFactor)
  }
}

/** Space moved into channels: `[…, C, H·r, W·r]` → `[…, C·r², H, W]`. Source: `torch.nn.PixelUnshuffle`. */
export class PixelUnshuffle extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: OpenRule
  readonly downscaleFactor: number
  constructor(downscaleFactor: number) {
    super()
    this.downscaleFactor = checkInteger('PixelUnshuffle', 'downscaleFactor', downscaleFactor)
  }
  forward(x: Tensor): Tensor<AnyShape> {
    return pixelUnshuffle(x, this.downscaleFactor)
  }
  override extraRepr(): string {
    return String(this.downscaleFactor)
  }
}

/**
 * Windows of images as columns: `[N, C, H, W]` → `[N, C·kh·kw, windows]`. Defaults: `dilation` 1, `padding` 0, `stride` 1.
 * Source: `torch.nn.Unfold`.
 */
export class Unfold extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: OpenRule
  readonly kernelSize: Pair
  readonly options: Readonly<UnfoldOptions>
  constructor(kernelSize: Pair, options: UnfoldOptions = {}) {
    checkOptions('Unfold', options, unfoldNames)
    super()
    this.kernelSize = pairOf('Unfold', 'kernelSize', kernelSize, 1, 'ERR_FOLD_OPTION')
    this.options = { ...options }
  }
  forward(x: Tensor): Tensor<AnyShape> {
    return unfold(x, this.kernelSize, this.options)
  }
  override extraRepr(): string {
    return `${showPair(this.kernelSize)}${showOptions({ ...this.options })}`
  }
}

/**
 * Columns summed into images: `[N, C·kh·kw, windows]` → `[N, C, …outputSize]`. Defaults: `dilation` 1, `padding` 0, `stride` 1.
 * Source: `torch.nn.Fold`.
 */
export class Fold extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: OpenRule
  readonly outputSize: Pair
  readonly kernelSize: Pair
  readonly options: Readonly<UnfoldOptions>
  constructor(outputSize: Pair, kernelSize: Pair, options: UnfoldOptions = {}) {
    checkOptions('Fold', options, unfoldNames)
    super()
    this.outputSize = pairOf('Fold', 'outputSize', outputSize, 1, 'ERR_FOLD_OPTION')
    this.kernelSize = pairOf('Fold', 'kernelSize', kernelSize, 1, 'ERR_FOLD_OPTION')
    this.options = { ...options }
  }
  forward(x: Tensor): Tensor<AnyShape> {
    return fold(x, this.outputSize, this.kernelSize, this.options)
  }
  override extraRepr(): string {
    return `${showPair(this.outputSize)}, ${showPair(this.kernelSize)}${showOptions({ ...this.options })}`
  }
}
