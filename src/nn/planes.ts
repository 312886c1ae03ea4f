/**
 * What layers share that take signals `[N, C, L]`, images `[N, C, H, W]` or volumes `[N, C, D, H, W]` and give as many channels. `R` is the number of
 * spatial dimensions, `L` the layer's name for what `tsc` says.
 */
import type { Rank } from '../ops/layers/spatial.js'
import type { ShapeOf, Tensor } from '../tensor/tensor.js'
import type { ExpectPlanes, SamePlanes } from '../types/index.js'
import type { Rule } from './chain.js'
import { checkInput, checkPlanes } from './check.js'
import { Module } from './module.js'

/** Spatial sizes are not followed: what comes behind takes any. */
interface PlanesRule<R extends Rank, L extends string> extends Rule {
  readonly error: ExpectPlanes<R, L, number, this['in']>
  readonly out: SamePlanes<R, this['in']>
}

/** A layer over signals, images or volumes. */
export abstract class PlanesLayer<R extends Rank, L extends string> extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: PlanesRule<R, L>
  private readonly rank: R
  constructor(rank: R) {
    super()
    this.rank = rank
  }
  /** What the layer does, without its checks. */
  protected abstract compute(x: Tensor): Tensor

  forward<T extends Tensor>(x: T & ExpectPlanes<R, L, number, ShapeOf<T>>): Tensor<SamePlanes<R, ShapeOf<T>>>
  forward(x: Tensor): Tensor {
    checkInput(this.constructor.name, x)
    checkPlanes(this.constructor.name, x, this.rank)
    return this.compute(x)
  }
}
