/**
 * Activations as layers, for `Sequential`. Each applies the function of the same name, to tensors of any shape.
 */
import { ArgumentError, checkOptions, showValue } from '../errors.js'
import { gelu, leakyRelu, silu } from '../ops/activations.js'
import { relu, sigmoid, tanh } from '../ops/elementwise.js'
import { logSoftmax, softmax } from '../ops/softmax.js'
import type { ShapeOf, Tensor } from '../tensor.js'
import type { KeepRule } from './chain.js'
import { checkInput, checkInteger, checkNumber } from './check.js'
import { Module } from './module.js'

/** max(x, 0). Source: `torch.nn.ReLU`. */
export class ReLU extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: KeepRule
  forward<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
  forward(x: Tensor): Tensor {
    return relu(x)
  }
}

/** x above 0, `negativeSlope · x` below; `negativeSlope` is 0.01 by default. Source: `torch.nn.LeakyReLU`. */
export class LeakyReLU extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: KeepRule
  readonly negativeSlope: number
  constructor(negativeSlope = 0.01) {
    super()
    this.negativeSlope = checkNumber('LeakyReLU', 'negativeSlope', negativeSlope)
  }
  forward<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
  forward(x: Tensor): Tensor {
    return leakyRelu(x, this.negativeSlope)
  }
  override extraRepr(): string {
    return String(this.negativeSlope)
  }
}

/** x·Φ(x) (Hendrycks and Gimpel 2016); `{ approximate: 'tanh' }` for the tanh form. Source: `torch.nn.GELU`. */
export class GELU extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: KeepRule
  readonly approximate: 'none' | 'tanh'
  constructor(options: { approximate?: 'none' | 'tanh' } = {}) {
    checkOptions('GELU', options)
    super()
    this.approximate = options.approximate ?? 'none'
    if (this.approximate !== 'none' && this.approximate !== 'tanh') {
      throw new ArgumentError('ERR_LAYER_OPTION', `GELU: approximate must be 'none' or 'tanh', received ${showValue(this.approximate)}.`)
    }
  }
  forward<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
  forward(x: Tensor): Tensor {
    return gelu(x, { approximate: this.approximate })
  }
  override extraRepr(): string {
    return this.approximate === 'none' ? '' : `{ approximate: '${this.approximate}' }`
  }
}

/** x · sigmoid(x). Source: `torch.nn.SiLU`. */
export class SiLU extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: KeepRule
  forward<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
  forward(x: Tensor): Tensor {
    return silu(x)
  }
}

/** 1 / (1 + e⁻ˣ). Source: `torch.nn.Sigmoid`. */
export class Sigmoid extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: KeepRule
  forward<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
  forward(x: Tensor): Tensor {
    return sigmoid(x)
  }
}

/** Hyperbolic tangent. Source: `torch.nn.Tanh`. */
export class Tanh extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: KeepRule
  forward<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
  forward(x: Tensor): Tensor {
    return tanh(x)
  }
}

/** eˣ / Σ eˣ along `dim`, the last by default. Not before `losses.crossEntropy`, which takes logits. Source: `torch.nn.Softmax`. */
export class Softmax extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: KeepRule
  readonly dim: number
  constructor(dim = -1) {
    super()
    this.dim = checkInteger('Softmax', 'dim', dim, -8)
  }
  forward<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
  forward(x: Tensor): Tensor {
    checkInput('Softmax', x)
    return softmax(x, this.dim)
  }
  override extraRepr(): string {
    return String(this.dim)
  }
}

/** log(softmax(x)) along `dim`, the last by default; goes with `losses.nllLoss`. Source: `torch.nn.LogSoftmax`. */
export class LogSoftmax extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: KeepRule
  readonly dim: number
  constructor(dim = -1) {
    super()
    this.dim = checkInteger('LogSoftmax', 'dim', dim, -8)
  }
  forward<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
  forward(x: Tensor): Tensor {
    checkInput('LogSoftmax', x)
    return logSoftmax(x, this.dim)
  }
  override extraRepr(): string {
    return String(this.dim)
  }
}
