/**
 * Activations as layers, for `Sequential`. Each applies the function of the same name, to tensors of any shape, with its defaults.
 */
import { ArgumentError, checkOptions, showValue } from '../base/errors.js'
import * as f from '../ops/basic/activations.js'
import { full } from '../ops/basic/creation.js'
import { relu, sigmoid, tanh } from '../ops/basic/elementwise.js'
import { logSoftmax, softmax } from '../ops/basic/softmax.js'
import type { ShapeOf, Tensor } from '../tensor/tensor.js'
import type { KeepRule } from './chain.js'
import { checkInput, checkInteger, checkNumber, showOptions } from './check.js'
import { Module } from './module.js'
import { Parameter } from './parameter.js'

/** A layer that keeps shapes. */
abstract class Activation extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: KeepRule
  protected abstract activate(x: Tensor): Tensor

  forward<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
  forward(x: Tensor): Tensor {
    return this.activate(x)
  }
}

/** max(x, 0). Source: `torch.nn.ReLU`. */
export class ReLU extends Activation {
  protected activate(x: Tensor): Tensor {
    return relu(x)
  }
}

/** x limited to [0, 6]. Source: `torch.nn.ReLU6`. */
export class ReLU6 extends Activation {
  protected activate(x: Tensor): Tensor {
    return f.relu6(x)
  }
}

/** x above 0, `negativeSlope · x` below; `negativeSlope` is 0.01 by default. Source: `torch.nn.LeakyReLU`. */
export class LeakyReLU extends Activation {
  readonly negativeSlope: number
  constructor(negativeSlope = 0.01) {
    super()
    this.negativeSlope = checkNumber('LeakyReLU', 'negativeSlope', negativeSlope)
  }
  protected activate(x: Tensor): Tensor {
    return f.leakyRelu(x, this.negativeSlope)
  }
  override extraRepr(): string {
    return String(this.negativeSlope)
  }
}

/**
 * x above 0, weight · x below, with a learnt `weight: [numParameters]`: 1 (the default), or one for each channel, dimension 1. It starts at `init`,
 * 0.25 by default. Source: He et al. 2015, `torch.nn.PReLU`.
 *
 *     new nn.PReLU(64)
 */
export class PReLU extends Activation {
  weight: Parameter
  constructor(numParameters = 1, options: { init?: number } = {}) {
    super()
    checkOptions('PReLU', options, { init: true })
    const init = checkNumber('PReLU', 'init', options.init ?? 0.25)
    this.weight = new Parameter(full([checkInteger('PReLU', 'numParameters', numParameters)], init))
  }
  protected activate(x: Tensor): Tensor {
    return f.prelu(x, this.weight)
  }
  override extraRepr(): string {
    const { size } = this.weight
    return size === 1 ? '' : String(size)
  }
}

/** x above 0, alpha·(eˣ − 1) below; `alpha` is 1 by default. Source: `torch.nn.ELU`. */
export class ELU extends Activation {
  readonly alpha: number
  constructor(alpha = 1) {
    super()
    this.alpha = checkNumber('ELU', 'alpha', alpha)
  }
  protected activate(x: Tensor): Tensor {
    return f.elu(x, this.alpha)
  }
  override extraRepr(): string {
    return String(this.alpha)
  }
}

/** ELU scaled so that layers keep mean 0 and variance 1 (Klambauer et al. 2017). Source: `torch.nn.SELU`. */
export class SELU extends Activation {
  protected activate(x: Tensor): Tensor {
    return f.selu(x)
  }
}

/** x above 0, alpha·(e^(x/alpha) − 1) below; `alpha` is 1 by default and not 0. Source: `torch.nn.CELU`. */
export class CELU extends Activation {
  readonly alpha: number
  constructor(alpha = 1) {
    super()
    this.alpha = checkNumber('CELU', 'alpha', alpha)
    if (alpha === 0) throw new ArgumentError('ERR_LAYER_OPTION', 'CELU: alpha must not be 0.')
  }
  protected activate(x: Tensor): Tensor {
    return f.celu(x, this.alpha)
  }
  override extraRepr(): string {
    return String(this.alpha)
  }
}

/** x·Φ(x) (Hendrycks and Gimpel 2016); `{ approximate: 'tanh' }` for the tanh form. Source: `torch.nn.GELU`. */
export class GELU extends Activation {
  readonly approximate: 'none' | 'tanh'
  constructor(options: { approximate?: 'none' | 'tanh' } = {}) {
    checkOptions('GELU', options, { approximate: true })
    super()
    this.approximate = options.approximate ?? 'none'
    if (this.approximate !== 'none' && this.approximate !== 'tanh') {
      throw new ArgumentError('ERR_LAYER_OPTION', `GELU: approximate must be 'none' or 'tanh', received ${showValue(this.approximate)}.`)
    }
  }
  protected activate(x: Tensor): Tensor {
    return f.gelu(x, { approximate: this.approximate })
  }
  override extraRepr(): string {
    return this.approximate === 'none' ? '' : `{ approximate: '${this.approximate}' }`
  }
}

/** x · sigmoid(x). Source: `torch.nn.SiLU`. */
export class SiLU extends Activation {
  protected activate(x: Tensor): Tensor {
    return f.silu(x)
  }
}

/** x · tanh(softplus(x)) (Misra 2019). Source: `torch.nn.Mish`. */
export class Mish extends Activation {
  protected activate(x: Tensor): Tensor {
    return f.mish(x)
  }
}

/** log(1 + e^(beta·x)) / beta; x itself where beta·x is above `threshold`. Defaults: `beta` 1, `threshold` 20. Source: `torch.nn.Softplus`. */
export class Softplus extends Activation {
  readonly beta: number
  readonly threshold: number
  constructor(options: f.SoftplusOptions = {}) {
    super()
    checkOptions('Softplus', options, { beta: true, threshold: true })
    this.beta = checkNumber('Softplus', 'beta', options.beta ?? 1)
    this.threshold = checkNumber('Softplus', 'threshold', options.threshold ?? 20)
    if (this.beta === 0) throw new ArgumentError('ERR_LAYER_OPTION', 'Softplus: beta must not be 0.')
  }
  protected activate(x: Tensor): Tensor {
    return f.softplus(x, this)
  }
  override extraRepr(): string {
    const { beta, threshold } = this
    return showOptions({ beta: beta === 1 ? undefined : beta, threshold: threshold === 20 ? undefined : threshold }).replace(/^, /, '')
  }
}

/** x / (1 + |x|). Source: `torch.nn.Softsign`. */
export class Softsign extends Activation {
  protected activate(x: Tensor): Tensor {
    return f.softsign(x)
  }
}

/** 1 / (1 + e⁻ˣ). Source: `torch.nn.Sigmoid`. */
export class Sigmoid extends Activation {
  protected activate(x: Tensor): Tensor {
    return sigmoid(x)
  }
}

/** log(sigmoid(x)), without underflow. Source: `torch.nn.LogSigmoid`. */
export class LogSigmoid extends Activation {
  protected activate(x: Tensor): Tensor {
    return f.logSigmoid(x)
  }
}

/** x/6 + ½ limited to [0, 1]. Source: `torch.nn.Hardsigmoid`. */
export class Hardsigmoid extends Activation {
  protected activate(x: Tensor): Tensor {
    return f.hardsigmoid(x)
  }
}

/** x · hardsigmoid(x) (Howard et al. 2019). Source: `torch.nn.Hardswish`. */
export class Hardswish extends Activation {
  protected activate(x: Tensor): Tensor {
    return f.hardswish(x)
  }
}

/** Hyperbolic tangent. Source: `torch.nn.Tanh`. */
export class Tanh extends Activation {
  protected activate(x: Tensor): Tensor {
    return tanh(x)
  }
}

/** x − tanh(x). Source: `torch.nn.Tanhshrink`. */
export class Tanhshrink extends Activation {
  protected activate(x: Tensor): Tensor {
    return f.tanhshrink(x)
  }
}

/** x limited to [minVal, maxVal], by default −1 and 1. Source: `torch.nn.Hardtanh`. */
export class Hardtanh extends Activation {
  readonly minVal: number
  readonly maxVal: number
  constructor(minVal = -1, maxVal = 1) {
    super()
    this.minVal = checkNumber('Hardtanh', 'minVal', minVal)
    this.maxVal = checkNumber('Hardtanh', 'maxVal', maxVal, minVal)
  }
  protected activate(x: Tensor): Tensor {
    return f.hardtanh(x, this.minVal, this.maxVal)
  }
  override extraRepr(): string {
    return `${this.minVal}, ${this.maxVal}`
  }
}

/** x moved towards 0 by `lambd` (default 0.5), 0 where it is nearer. Source: `torch.nn.Softshrink`. */
export class Softshrink extends Activation {
  readonly lambd: number
  constructor(lambd = 0.5) {
    super()
    this.lambd = checkNumber('Softshrink', 'lambd', lambd, 0)
  }
  protected activate(x: Tensor): Tensor {
    return f.softshrink(x, this.lambd)
  }
  override extraRepr(): string {
    return String(this.lambd)
  }
}

/** 0 where |x| is at most `lambd` (default 0.5), x elsewhere. Source: `torch.nn.Hardshrink`. */
export class Hardshrink extends Activation {
  readonly lambd: number
  constructor(lambd = 0.5) {
    super()
    this.lambd = checkNumber('Hardshrink', 'lambd', lambd)
  }
  protected activate(x: Tensor): Tensor {
    return f.hardshrink(x, this.lambd)
  }
  override extraRepr(): string {
    return String(this.lambd)
  }
}

/** x above `threshold`, `value` elsewhere. Source: `torch.nn.Threshold`. */
export class Threshold extends Activation {
  readonly threshold: number
  readonly value: number
  constructor(threshold: number, value: number) {
    super()
    this.threshold = checkNumber('Threshold', 'threshold', threshold)
    this.value = checkNumber('Threshold', 'value', value)
  }
  protected activate(x: Tensor): Tensor {
    return f.threshold(x, this.threshold, this.value)
  }
  override extraRepr(): string {
    return `${this.threshold}, ${this.value}`
  }
}

/** The first half along `dim`, the last by default, gated by the second: `[…, 2n]` → `[…, n]`. Source: `torch.nn.GLU`. */
export class GLU extends Module {
  readonly dim: number
  constructor(dim = -1) {
    super()
    this.dim = checkInteger('GLU', 'dim', dim, -8)
  }
  forward(x: Tensor): Tensor {
    checkInput('GLU', x)
    return f.glu(x, this.dim)
  }
  override extraRepr(): string {
    return String(this.dim)
  }
}

/** eˣ / Σ eˣ along `dim`, the last by default. Not before `losses.crossEntropy`, which takes logits. Source: `torch.nn.Softmax`. */
export class Softmax extends Activation {
  readonly dim: number
  constructor(dim = -1) {
    super()
    this.dim = checkInteger('Softmax', 'dim', dim, -8)
  }
  protected activate(x: Tensor): Tensor {
    return softmax(x, this.dim)
  }
  override extraRepr(): string {
    return String(this.dim)
  }
}

/** log(softmax(x)) along `dim`, the last by default; goes with `losses.nllLoss`. Source: `torch.nn.LogSoftmax`. */
export class LogSoftmax extends Activation {
  readonly dim: number
  constructor(dim = -1) {
    super()
    this.dim = checkInteger('LogSoftmax', 'dim', dim, -8)
  }
  protected activate(x: Tensor): Tensor {
    return logSoftmax(x, this.dim)
  }
  override extraRepr(): string {
    return String(this.dim)
  }
}
