/**
 * Fully connected layers and look-up tables.
 */
import { noGrad } from '../autograd/backward.js'
import { checkOptions, DTypeError, ShapeError, showShape } from '../errors.js'
import { assign } from '../ops/assign.js'
import { arangeTensor } from '../ops/creation.js'
import { checkTensor } from '../ops/dispatch.js'
import { add, ne, where } from '../ops/elementwise.js'
import { indexSelect } from '../ops/gather.js'
import { matmul } from '../ops/matmul.js'
import { reshape, transpose, unsqueeze } from '../ops/movement.js'
import { normalizeDim, sizeOf } from '../shape.js'
import { empty, type ShapeOf, type Tensor } from '../tensor.js'
import type { Append, ExpectLast, WithLast } from '../types.js'
import type { Rule } from './chain.js'
import { checkInput, checkInteger, showOptions } from './check.js'
import { kaimingUniform, normal, uniform } from './init.js'
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
  readonly weight: Parameter<[O, I]>
  readonly bias: Parameter<[O]> | undefined

  constructor(inFeatures: I, outFeatures: O, options: LinearOptions = {}) {
    checkOptions('Linear', options)
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

interface EmbeddingRule<D> extends Rule {
  readonly out: Append<this['in'], D>
}

export interface EmbeddingOptions {
  /** The row of this index starts as zeros and gets no gradient; negative counts from the end. Default: none. */
  paddingIdx?: number
}

/**
 * A table of vectors looked up by index: int32 or uint8 of any shape `[…]` → `[…, embeddingDim]`, with `weight: [numEmbeddings,
 * embeddingDim]` initialized from N(0, 1). Source: `torch.nn.Embedding`.
 *
 *     const table = new nn.Embedding(10_000, 64, { paddingIdx: 0 })
 *     table.forward(tensor([[5, 7, 0]], { dtype: 'int32' }))     // [1, 3, 64]
 *
 * @throws DTypeError when indices are not int32 or uint8; DataError `ERR_INDEX_RANGE` when one is out of range.
 */
export class Embedding<V extends number = number, D extends number = number> extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: EmbeddingRule<D>
  readonly numEmbeddings: V
  readonly embeddingDim: D
  readonly paddingIdx: number | undefined
  readonly weight: Parameter<[V, D]>

  constructor(numEmbeddings: V, embeddingDim: D, options: EmbeddingOptions = {}) {
    checkOptions('Embedding', options)
    super()
    this.numEmbeddings = checkInteger('Embedding', 'numEmbeddings', numEmbeddings)
    this.embeddingDim = checkInteger('Embedding', 'embeddingDim', embeddingDim)
    this.paddingIdx =
      options.paddingIdx === undefined ? undefined : normalizeDim('Embedding: paddingIdx', options.paddingIdx, numEmbeddings)
    this.weight = new Parameter(empty([numEmbeddings, embeddingDim]))
    this.resetParameters()
  }

  /** Draws new initial values; the padding row becomes zeros. */
  resetParameters(): void {
    normal(this.weight)
    if (this.paddingIdx === undefined) return
    const kept = unsqueeze(ne(arangeTensor(this.numEmbeddings), this.paddingIdx), 1)
    noGrad(() => assign(this.weight, where(kept, this.weight, 0)))
  }

  forward<T extends Tensor>(index: T): Tensor<Append<ShapeOf<T>, D>>
  forward(index: Tensor): Tensor {
    const name = `Embedding(${this.extraRepr()})`
    checkTensor(name, 'the index', index)
    if (index.dtype !== 'int32' && index.dtype !== 'uint8') {
      throw new DTypeError(
        'ERR_DTYPE',
        `${name}: indices must be int32 or uint8, received ${index.dtype} ${showShape(index.shape)}. Make them with tensor(ids, { dtype: 'int32' }).`,
      )
    }
    const picked = indexSelect(this.weight, index)
    if (this.paddingIdx === undefined) return picked
    // the same numbers on both sides; where the index is the padding's they come without gradient
    return where(unsqueeze(ne(index, this.paddingIdx), -1), picked, picked.detach())
  }

  override extraRepr(): string {
    return `${this.numEmbeddings}, ${this.embeddingDim}${showOptions({ paddingIdx: this.paddingIdx })}`
  }
}
