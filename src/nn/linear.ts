/**
 * Fully connected layers.
 */
import { checkOptions, ShapeError, showShape } from '../base/errors.js'
import { sameShape, sizeOf } from '../base/shape.js'
import { add, mul } from '../ops/basic/elementwise.js'
import { matmul } from '../ops/basic/matmul.js'
import { reshape, transpose, unsqueeze } from '../ops/basic/movement.js'
import { empty, type ShapeOf, type Tensor } from '../tensor/tensor.js'
import type { ExpectLast, WithLast } from '../types/index.js'
import type { Rule } from './chain.js'
import { checkInput, checkInteger, showOptions } from './check.js'
import { kaimingUniform, uniform } from './init.js'
import { Module } from './module.js'
import { Parameter } from './parameter.js'

interface LinearRule<I extends number, O> extends Rule {
  readonly error: ExpectLast<'Linear', I, this['in']>
  readonly out: WithLast<this['in'], O>
}

export interface LinearOptions {
  /** Add a learned bias; default true. */
  bias?: boolean
}

/**
 * y = x · weightᵀ + bias: `[…, inFeatures]` → `[…, outFeatures]`, with `weight: [out, in]` and `bias: [out]`, both initialized
 * uniformly in ±1/√in. Source: `torch.nn.Linear`.
 *
 *     const layer = new nn.Linear(784, 256)
 *     layer.forward(x)                        // [128, 784] → [128, 256]
 *
 * @throws ShapeError `ERR_LAYER_INPUT` when the last dimension is not `inFeatures`; DTypeError when the input is not float32.
 */
export class Linear<I extends number = number, O extends number = number> extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: LinearRule<I, O>
  readonly inFeatures: I
  readonly outFeatures: O
  weight: Parameter<[O, I]>
  bias: Parameter<[O]> | undefined

  constructor(inFeatures: I, outFeatures: O, options: LinearOptions = {}) {
    checkOptions('Linear', options, { bias: true })
    super()
    this.inFeatures = checkInteger('Linear', 'inFeatures', inFeatures)
    this.outFeatures = checkInteger('Linear', 'outFeatures', outFeatures)
    this.weight = new Parameter(empty([outFeatures, inFeatures]))
    this.bias = (options.bias ?? true) ? new Parameter(empty([outFeatures])) : undefined
    this.resetParameters()
  }

  /** Draws new initial values. */
  resetParameters(): void {
    kaimingUniform(this.weight, { a: Math.sqrt(5) })
    const bound = 1 / Math.sqrt(this.inFeatures)
    if (this.bias !== undefined) uniform(this.bias, { low: -bound, high: bound })
  }

  forward<T extends Tensor>(x: T & ExpectLast<'Linear', I, ShapeOf<T>>): Tensor<WithLast<ShapeOf<T>, O>>
  forward(x: Tensor): Tensor {
    checkInput(this.name, x, this.weight.dtype)
    const features = x.shape[x.ndim - 1]
    if (features !== this.inFeatures) {
      const remedy = x.ndim === 0 ? 'Add a dimension with .reshape([1, 1]).' : `Change inFeatures to ${features}.`
      throw new ShapeError(
        'ERR_LAYER_INPUT',
        `${this.name} expects ${this.inFeatures} features in the last dimension, received ${showShape(x.shape)}. ${remedy}`,
      )
    }
    // one matrix product over all leading dimensions: its weight gradient is one product too, not one a batch and a sum
    const lead = x.shape.slice(0, -1)
    const rows = x.ndim > 2 ? reshape(x, [sizeOf(lead), features]) : x
    const product = matmul(rows, transpose(this.weight))
    const y = this.bias === undefined ? product : add(product, this.bias)
    return x.ndim > 2 ? reshape(y, [...lead, this.outFeatures]) : y
  }

  private get name(): string {
    return `Linear(${this.inFeatures}, ${this.outFeatures})`
  }

  override extraRepr(): string {
    return `${this.inFeatures}, ${this.outFeatures}${showOptions({ bias: this.bias === undefined ? false : undefined })}`
  }
}

interface BilinearRule<A extends number, O> extends Rule {
  readonly error: ExpectLast<'Bilinear', A, this['in']>
  readonly out: WithLast<this['in'], O>
}

/**
 * y = x1ᵀ · A · x2 + bias for each output: `[…, in1Features]` and `[…, in2Features]` → `[…, outFeatures]`, with `weight: [out, in1, in2]` and
 * `bias: [out]`, both initialized uniformly in ±1/√in1. Source: `torch.nn.Bilinear`.
 *
 *     new nn.Bilinear(20, 30, 40).forward(a, b)           // [128, 20] and [128, 30] → [128, 40]
 *
 * @throws ShapeError `ERR_LAYER_INPUT` when the features are others or the leading dimensions differ.
 */
export class Bilinear<A extends number = number, B extends number = number, O extends number = number> extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: BilinearRule<A, O>
  readonly in1Features: A
  readonly in2Features: B
  readonly outFeatures: O
  weight: Parameter<[O, A, B]>
  bias: Parameter<[O]> | undefined

  constructor(in1Features: A, in2Features: B, outFeatures: O, options: LinearOptions = {}) {
    checkOptions('Bilinear', options, { bias: true })
    super()
    this.in1Features = checkInteger('Bilinear', 'in1Features', in1Features)
    this.in2Features = checkInteger('Bilinear', 'in2Features', in2Features)
    this.outFeatures = checkInteger('Bilinear', 'outFeatures', outFeatures)
    this.weight = new Parameter(empty([outFeatures, in1Features, in2Features]))
    this.bias = (options.bias ?? true) ? new Parameter(empty([outFeatures])) : undefined
    this.resetParameters()
  }

  /** Draws new initial values. */
  resetParameters(): void {
    const bound = 1 / Math.sqrt(this.in1Features)
    uniform(this.weight, { low: -bound, high: bound })
    if (this.bias !== undefined) uniform(this.bias, { low: -bound, high: bound })
  }

  forward<T extends Tensor, U extends Tensor>(
    x1: T & ExpectLast<'Bilinear', A, ShapeOf<T>>,
    x2: U & ExpectLast<'Bilinear', B, ShapeOf<U>>,
  ): Tensor<WithLast<ShapeOf<T>, O>>
  forward(x1: Tensor, x2: Tensor): Tensor {
    const { in1Features, in2Features, outFeatures, weight, bias } = this
    const name = `Bilinear(${in1Features}, ${in2Features}, ${outFeatures})`
    checkInput(name, x1, weight.dtype)
    checkInput(name, x2, weight.dtype)
    const lead = x1.shape.slice(0, -1)
    if (x1.ndim < 1 || x1.shape[x1.ndim - 1] !== in1Features || !sameShape(x2.shape, [...lead, in2Features])) {
      throw new ShapeError(
        'ERR_LAYER_INPUT',
        `${name} expects […, ${in1Features}] and […, ${in2Features}] with the same leading dimensions, received ${showShape(x1.shape)} and ${showShape(x2.shape)}.`,
      )
    }
    // all products of one feature of each, then one matrix product with the weight as it lies
    const products = mul(unsqueeze(x1, -1), unsqueeze(x2, -2))
    const rows = reshape(products, [sizeOf(lead), in1Features * in2Features])
    const y = matmul(rows, transpose(reshape(weight, [outFeatures, in1Features * in2Features])))
    return reshape(bias === undefined ? y : add(y, bias), [...lead, outFeatures])
  }

  override extraRepr(): string {
    const options = showOptions({ bias: this.bias === undefined ? false : undefined })
    return `${this.in1Features}, ${this.in2Features}, ${this.outFeatures}${options}`
  }
}
