/**
 * Batch normalization (Ioffe and Szegedy 2015).
 */

import { checkOptions, ShapeError, showShape } from '../base/errors.js'
import { assign } from '../ops/basic/assign.js'
import { ones, zeros } from '../ops/basic/creation.js'
import { add, div, to } from '../ops/basic/elementwise.js'
import { noGrad } from '../ops/core/grad-mode.js'
import { batchNorm } from '../ops/layers/norm.js'
import type { ShapeOf, Tensor } from '../tensor/tensor.js'
import type { ExpectFeatures, ExpectImages, ExpectVolumes } from '../types/index.js'
import type { Rule } from './chain.js'
import { checkInput, checkInteger, checkNumber, showOptions } from './check.js'
import { constant } from './init.js'
import { Module } from './module.js'
import { Parameter } from './parameter.js'

type Layers = 'BatchNorm1d' | 'BatchNorm2d' | 'BatchNorm3d'

/** `unknown` where the layer takes `S`, else a sentence. */
type Refusal<L extends Layers, C extends number, S> = L extends 'BatchNorm1d'
  ? ExpectFeatures<L, C, S>
  : L extends 'BatchNorm2d'
    ? ExpectImages<L, C, S>
    : ExpectVolumes<L, C, S>

interface NormRule<L extends Layers, C extends number> extends Rule {
  readonly error: Refusal<L, C, this['in']>
  readonly out: this['in']
}

export interface BatchNormOptions {
  /** Added to the variance; default 1e-5. */
  eps?: number
  /** Share of the batch in the running statistics; `null` for the plain average of all batches. Default 0.1. */
  momentum?: number | null
  /** Learn a scale and a shift for each channel; default true. */
  affine?: boolean
  /** Keep running statistics, used in evaluation; default true. Without, the batch's own are always used. */
  trackRunningStats?: boolean
}

/** What all ranks share: channels are dimension 1, statistics are taken over all others. */
abstract class BatchNorm<L extends Layers, C extends number> extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: NormRule<L, C>
  readonly numFeatures: C
  readonly eps: number
  readonly momentum: number | null
  weight: Parameter<[C]> | undefined
  bias: Parameter<[C]> | undefined
  readonly runningMean: Tensor<[C]> | undefined
  readonly runningVar: Tensor<[C]> | undefined
  readonly numBatchesTracked: Tensor<[]> | undefined

  constructor(numFeatures: C, options: BatchNormOptions = {}) {
    super()
    const layer = this.constructor.name
    checkOptions(layer, options, { eps: true, momentum: true, affine: true, trackRunningStats: true })
    const { eps = 1e-5, momentum = 0.1, affine = true, trackRunningStats = true } = options
    this.numFeatures = checkInteger(layer, 'numFeatures', numFeatures)
    this.eps = checkNumber(layer, 'eps', eps, 0)
    this.momentum = momentum === null ? null : checkNumber(layer, 'momentum', momentum, 0, 1)
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
    for (const [t, value] of [
      [this.weight, 1],
      [this.bias, 0],
      [this.runningMean, 0],
      [this.runningVar, 1],
      [this.numBatchesTracked, 0],
    ] as const) {
      if (t !== undefined) constant(t, value)
    }
  }

  /** Throws unless the rank fits. */
  protected abstract checkRank(name: string, x: Tensor): void

  forward<T extends Tensor>(x: T & Refusal<L, C, ShapeOf<T>>): Tensor<ShapeOf<T>>
  forward(x: Tensor): Tensor {
    const { runningMean, runningVar, numFeatures, weight, bias, eps, training } = this
    const name = `${this.constructor.name}(${numFeatures})`
    checkInput(name, x, (weight ?? runningMean)?.dtype)
    this.checkRank(name, x)
    if (x.shape[1] !== numFeatures) {
      throw new ShapeError(
        'ERR_LAYER_INPUT',
        `${name} expects ${numFeatures} channels in dimension 1, received ${showShape(x.shape)}. Change numFeatures to ${x.shape[1]}.`,
      )
    }
    if (training && x.size / numFeatures <= 1) {
      throw new ShapeError(
        'ERR_LAYER_INPUT',
        `${name} needs more than one value per channel to train, received ${showShape(x.shape)}. Use larger batches ({ dropLast: true }), or eval().`,
      )
    }
    return batchNorm(x, { runningMean, runningVar, weight, bias, training, eps, momentum: training ? this.countBatch() : 0 })
  }

  /** Notes a batch of training; returns its share in the running statistics. */
  private countBatch(): number | Tensor {
    const { numBatchesTracked, momentum } = this
    if (numBatchesTracked === undefined) return 0
    return noGrad(() => {
      const batches = add(numBatchesTracked, 1)
      assign(numBatchesTracked, batches)
      return momentum ?? div(1, to(batches, 'float32'))
    })
  }

  override extraRepr(): string {
    const { eps, momentum } = this
    const off = (t: Tensor | undefined): false | undefined => (t === undefined ? false : undefined)
    const options = showOptions({
      eps: eps === 1e-5 ? undefined : eps,
      momentum: momentum === 0.1 ? undefined : momentum,
      affine: off(this.weight),
      trackRunningStats: off(this.runningMean),
    })
    return `${this.numFeatures}${options}`
  }
}

/**
 * Normalizes each feature of `[N, C]` or `[N, C, L]` by the batch's mean and variance, then scales and shifts it. In evaluation by the
 * running statistics. Defaults: `eps` 1e-5, `momentum` 0.1, `affine` and `trackRunningStats` true. Source: `torch.nn.BatchNorm1d`.
 *
 *     const norm = new nn.BatchNorm1d(256)
 *     norm.forward(x)                         // [128, 256] → [128, 256]
 *
 * @throws ShapeError `ERR_LAYER_INPUT` for other ranks or channels, and in training for a single value per channel.
 */
export class BatchNorm1d<C extends number = number> extends BatchNorm<'BatchNorm1d', C> {
  protected checkRank(name: string, x: Tensor): void {
    if (x.ndim === 2 || x.ndim === 3) return
    throw new ShapeError(
      'ERR_LAYER_INPUT',
      `${name} expects [N, C] or [N, C, L], received ${showShape(x.shape)}. ${x.ndim === 4 ? 'Use BatchNorm2d for images.' : 'Reshape it.'}`,
    )
  }
}

/**
 * Normalizes each channel of images `[N, C, H, W]` by the batch's mean and variance, then scales and shifts it. In evaluation by the
 * running statistics. Defaults: `eps` 1e-5, `momentum` 0.1, `affine` and `trackRunningStats` true. Source: `torch.nn.BatchNorm2d`.
 *
 *     const norm = new nn.BatchNorm2d(32)
 *     norm.forward(images)                    // [128, 32, 28, 28] → [128, 32, 28, 28]
 *
 * @throws ShapeError `ERR_LAYER_INPUT` for other ranks or channels, and in training for a single value per channel.
 */
export class BatchNorm2d<C extends number = number> extends BatchNorm<'BatchNorm2d', C> {
  protected checkRank(name: string, x: Tensor): void {
    if (x.ndim === 4) return
    throw new ShapeError(
      'ERR_LAYER_INPUT',
      `${name} expects images [N, C, H, W], received ${showShape(x.shape)}. ${x.ndim === 2 || x.ndim === 3 ? 'Use BatchNorm1d for features.' : 'Reshape it.'}`,
    )
  }
}

/**
 * Normalizes each channel of volumes `[N, C, D, H, W]` by the batch's mean and variance, then scales and shifts it. In evaluation by the
 * running statistics. Defaults: `eps` 1e-5, `momentum` 0.1, `affine` and `trackRunningStats` true. Source: `torch.nn.BatchNorm3d`.
 *
 * @throws ShapeError `ERR_LAYER_INPUT` for other ranks or channels, and in training for a single value per channel.
 */
export class BatchNorm3d<C extends number = number> extends BatchNorm<'BatchNorm3d', C> {
  protected checkRank(name: string, x: Tensor): void {
    if (x.ndim === 5) return
    throw new ShapeError('ERR_LAYER_INPUT', `${name} expects volumes [N, C, D, H, W], received ${showShape(x.shape)}. Reshape it.`)
  }
}
