/**
 * Layers that wire others together or change no numbers: Sequential, Flatten, Identity.
 */
import { ArgumentError, showValue } from '../base/errors.js'
import { flatten } from '../ops/basic/movement.js'
import type { ShapeOf, Tensor } from '../tensor/tensor.js'
import type { AnyShape, Flattened } from '../types/index.js'
import type { Chain, ChainRefusal, ChainRule, KeepRule, Rule, Through } from './chain.js'
import { checkInteger } from './check.js'
import { Module } from './module.js'

/** A module that takes one tensor and gives one. */
export interface Layer extends Module {
  forward(x: Tensor): Tensor
}

/**
 * Layers applied one after the other. They are named '0', '1', …, can be read as `model[0]` or `model.at(-1)`, and iterated.
 * Source: `torch.nn.Sequential`.
 *
 *     const model = new nn.Sequential(new nn.Linear(784, 256), new nn.ReLU(), new nn.Linear(256, 10))
 *     model.forward(x)                        // [128, 784] → [128, 10]
 *
 * @throws ArgumentError `ERR_NOT_A_MODULE` when an argument is not a module.
 */
export class Sequential<L extends readonly Module[] = AnyShape> extends Module implements Iterable<Layer> {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: ChainRule<L>;
  // layers are the module's own numbered fields, so that their names are '0', '1', … without a rule of their own
  [index: number]: Layer
  readonly length: number

  constructor(...layers: Chain<L>)
  constructor(...layers: Layer[]) {
    super()
    this.length = layers.length
    layers.forEach((layer, i) => {
      if (!(layer instanceof Module)) {
        const what = Array.isArray(layer)
          ? 'an array; write ...layers'
          : typeof layer === 'function'
            ? 'a class or function; write new nn.…()'
            : showValue(layer)
        throw new ArgumentError('ERR_NOT_A_MODULE', `Sequential: argument ${i} must be a module, received ${what}.`)
      }
      this[i] = layer
    })
  }

  forward<T extends Tensor>(x: T & ChainRefusal<L, ShapeOf<T>>): Tensor<Through<L, ShapeOf<T>>>
  forward(x: Tensor): Tensor {
    let y = x
    for (const layer of this) y = layer.forward(y)
    return y
  }

  /** The layer at a position; negative ones count from the end. @throws ArgumentError `ERR_INDEX_RANGE` where there is none. */
  at(index: number): Layer {
    const layer = Number.isInteger(index) ? this[index < 0 ? index + this.length : index] : undefined
    if (layer === undefined)
      throw new ArgumentError('ERR_INDEX_RANGE', `Sequential: has ${this.length} layers, there is none at ${showValue(index)}.`)
    return layer
  }

  *[Symbol.iterator](): Iterator<Layer> {
    for (let i = 0; i < this.length; i++) yield this[i]
  }
}

/** Gives back what it gets. Source: `torch.nn.Identity`. */
export class Identity extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: KeepRule
  forward<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
  forward(x: Tensor): Tensor {
    return x
  }
}

interface FlattenRule<D0, D1> extends Rule {
  readonly out: Flattened<this['in'], D0, D1>
}

/**
 * All dimensions from `startDim` (default 1) to `endDim` (default the last) as one. Source: `torch.nn.Flatten`.
 *
 *     new nn.Flatten().forward(images)        // [128, 32, 14, 14] → [128, 6272]
 */
export class Flatten<D0 extends number = 1, D1 extends number = -1> extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: FlattenRule<D0, D1>
  readonly startDim: number
  readonly endDim: number
  constructor(startDim?: D0, endDim?: D1)
  constructor(startDim = 1, endDim = -1) {
    super()
    this.startDim = checkInteger('Flatten', 'startDim', startDim, -8)
    this.endDim = checkInteger('Flatten', 'endDim', endDim, -8)
  }
  forward<T extends Tensor>(x: T): Tensor<Flattened<ShapeOf<T>, D0, D1>>
  forward(x: Tensor): Tensor {
    return flatten(x, this.startDim, this.endDim)
  }
  override extraRepr(): string {
    return this.startDim === 1 && this.endDim === -1 ? '' : `${this.startDim}, ${this.endDim}`
  }
}
