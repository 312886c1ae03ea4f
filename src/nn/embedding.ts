/**
 * Look-up tables of vectors, read one by one or reduced by bag.
 */

import { ArgumentError, checkOptions, DTypeError, ShapeError, showShape, showValue } from '../base/errors.js'
import { normalizeDim } from '../base/shape.js'
import { assign } from '../ops/basic/assign.js'
import { arangeTensor, full } from '../ops/basic/creation.js'
import { div, eq, le, logicalAnd, maximum, mul, ne, sub, to, where } from '../ops/basic/elementwise.js'
import { gather, pickSlices, scatterAddRow } from '../ops/basic/gather.js'
import { expand, reshape, unsqueeze } from '../ops/basic/movement.js'
import { argmax, sum } from '../ops/basic/reduce.js'
import { apply, checkTensor } from '../ops/core/dispatch.js'
import { noGrad } from '../ops/core/grad-mode.js'
import { empty, type ShapeOf, type Tensor } from '../tensor/tensor.js'
import type { AnyShape, Append } from '../types/index.js'
import type { Rule } from './chain.js'
import { checkInteger, showOptions } from './check.js'
import { normal } from './init.js'
import { Module } from './module.js'
import { Parameter } from './parameter.js'

/** Initial values from N(0, 1); the padding row is 0. */
function resetTable(weight: Parameter, paddingIdx: number | undefined): void {
  normal(weight)
  if (paddingIdx === undefined) return
  const kept = unsqueeze(ne(arangeTensor(weight.shape[0]), paddingIdx), 1)
  noGrad(() => assign(weight, where(kept, weight, 0)))
}

function checkIndex(name: string, index: unknown): asserts index is Tensor {
  checkTensor(name, 'the index', index)
  if (index.dtype === 'int32' || index.dtype === 'uint8') return
  throw new DTypeError(
    'ERR_DTYPE',
    `${name}: indices must be int32 or uint8, received ${index.dtype} ${showShape(index.shape)}. Make them with tensor(ids, { dtype: 'int32' }).`,
  )
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
  weight: Parameter<[V, D]>

  constructor(numEmbeddings: V, embeddingDim: D, options: EmbeddingOptions = {}) {
    checkOptions('Embedding', options, { paddingIdx: true })
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
    resetTable(this.weight, this.paddingIdx)
  }

  forward<T extends Tensor>(index: T): Tensor<Append<ShapeOf<T>, D>>
  forward(index: Tensor): Tensor {
    const name = `Embedding(${this.extraRepr()})`
    checkIndex(name, index)
    const picked = pickSlices(this.weight, index, 0, { op: name, what: 'rows' })
    if (this.paddingIdx === undefined) return picked
    // the same numbers on both sides; where the index is the padding's they come without gradient
    return where(unsqueeze(ne(index, this.paddingIdx), -1), picked, picked.detach())
  }

  override extraRepr(): string {
    return `${this.numEmbeddings}, ${this.embeddingDim}${showOptions({ paddingIdx: this.paddingIdx })}`
  }
}

interface BagRule extends Rule {
  readonly out: AnyShape
}

export interface EmbeddingBagOptions {
  /** How the vectors of a bag become one. Default `mean`. */
  mode?: 'sum' | 'mean' | 'max'
  /** The row of this index starts as zeros, gets no gradient and does not count; negative counts from the end. Default: none. */
  paddingIdx?: number
}

/**
 * A table of vectors looked up by index and reduced by bag, with `weight: [numEmbeddings, embeddingDim]` initialized from N(0, 1). Indices are
 * `[B, L]`, a bag a row, or `[n]` with `offsets: [B]`, the positions where bags start; the result is `[B, embeddingDim]`, and 0 for empty bags.
 * `perSampleWeights`, of the indices' shape and for `sum` only, are factors. Default: `mode` `mean`. Source: `torch.nn.EmbeddingBag`.
 *
 *     const bags = new nn.EmbeddingBag(10_000, 64, { mode: 'sum' })
 *     bags.forward(ids)                                               // [32, 20] → [32, 64]
 *     bags.forward(flat, { offsets: tensor([0, 4, 9], { dtype: 'int32' }) })
 *
 * @throws DTypeError when indices are not int32 or uint8; DataError `ERR_INDEX_RANGE` when one is out of range; ShapeError for other shapes.
 */
export class EmbeddingBag<V extends number = number, D extends number = number> extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: BagRule
  readonly numEmbeddings: V
  readonly embeddingDim: D
  readonly mode: 'sum' | 'mean' | 'max'
  readonly paddingIdx: number | undefined
  weight: Parameter<[V, D]>

  constructor(numEmbeddings: V, embeddingDim: D, options: EmbeddingBagOptions = {}) {
    checkOptions('EmbeddingBag', options, { mode: true, paddingIdx: true })
    super()
    const { mode = 'mean', paddingIdx } = options
    this.numEmbeddings = checkInteger('EmbeddingBag', 'numEmbeddings', numEmbeddings)
    this.embeddingDim = checkInteger('EmbeddingBag', 'embeddingDim', embeddingDim)
    if (mode !== 'sum' && mode !== 'mean' && mode !== 'max')
      throw new ArgumentError('ERR_LAYER_OPTION', `EmbeddingBag: mode must be 'sum', 'mean' or 'max', received ${showValue(mode)}.`)
    this.mode = mode
    this.paddingIdx = paddingIdx === undefined ? undefined : normalizeDim('EmbeddingBag: paddingIdx', paddingIdx, numEmbeddings)
    this.weight = new Parameter(empty([numEmbeddings, embeddingDim]))
    this.resetParameters()
  }

  /** Draws new initial values; the padding row becomes zeros. */
  resetParameters(): void {
    resetTable(this.weight, this.paddingIdx)
  }

  forward(index: Tensor, options: { offsets?: Tensor; perSampleWeights?: Tensor } = {}): Tensor<[number, D]> {
    const name = `EmbeddingBag(${this.extraRepr()})`
    checkOptions(name, options, { offsets: true, perSampleWeights: true })
    checkIndex(name, index)
    const { offsets, perSampleWeights } = options
    if (index.ndim !== 2 && !(index.ndim === 1 && offsets !== undefined)) {
      throw new ShapeError(
        'ERR_LAYER_INPUT',
        `${name}: expects indices [B, L], or [n] with { offsets: [B] }, received ${showShape(index.shape)}.`,
      )
    }
    if (index.ndim === 2 && offsets !== undefined)
      throw new ArgumentError('ERR_LAYER_OPTION', `${name}: offsets go with indices [n], received ${showShape(index.shape)}.`)
    if (perSampleWeights !== undefined) this.checkWeights(name, index, perSampleWeights)
    const kept = this.paddingIdx === undefined ? undefined : ne(index, this.paddingIdx)
    const rows = pickSlices(this.weight, index, 0, { op: name, what: 'rows' })
    if (offsets === undefined) return this.reduceBags(rows, kept, perSampleWeights)
    checkIndex(`${name}: offsets`, offsets)
    if (offsets.ndim !== 1) throw new ShapeError('ERR_LAYER_INPUT', `${name}: offsets must be [B], received ${showShape(offsets.shape)}.`)
    return this.reduceRuns(rows, kept, offsets, perSampleWeights)
  }

  private checkWeights(name: string, index: Tensor, weights: Tensor): void {
    checkTensor(name, 'perSampleWeights', weights)
    if (this.mode !== 'sum')
      throw new ArgumentError('ERR_LAYER_OPTION', `${name}: perSampleWeights go with mode 'sum', received '${this.mode}'.`)
    if (weights.ndim !== index.ndim || weights.shape.some((s, i) => s !== index.shape[i])) {
      throw new ShapeError(
        'ERR_LAYER_INPUT',
        `${name}: perSampleWeights ${showShape(weights.shape)} must have the indices' shape ${showShape(index.shape)}.`,
      )
    }
  }

  /** Rows `[B, L, D]`, those of a bag beside each other; `kept: [B, L]` says which count. */
  private reduceBags(rows: Tensor, kept: Tensor | undefined, weights: Tensor | undefined): Tensor {
    const [bags, length] = rows.shape
    const inside = kept === undefined ? undefined : unsqueeze(kept, -1)
    if (this.mode === 'max') {
      if (length === 0) return sum(rows, { dim: 1 })
      // the first of the greatest gets the gradient, as in PyTorch
      const candidates = inside === undefined ? rows : where(inside, rows, Number.NEGATIVE_INFINITY)
      const best = gather(rows, argmax(candidates, 1, { keepdim: true }), 1)
      const found = reshape(best, [bags, this.embeddingDim])
      return kept === undefined ? found : where(ne(sum(kept, { dim: 1, keepdim: true }), 0), found, 0)
    }
    const counted = inside === undefined ? rows : where(inside, rows, 0)
    const total = sum(weights === undefined ? counted : mul(counted, unsqueeze(weights, -1)), { dim: 1 })
    if (this.mode === 'sum') return total
    if (kept === undefined) return div(total, Math.max(1, length))
    return div(total, to(maximum(sum(kept, { dim: 1, keepdim: true }), 1), rows.dtype))
  }

  /** Rows `[n, D]`, bags by where they start; `kept: [n]` says which count. */
  private reduceRuns(rows: Tensor, kept: Tensor | undefined, offsets: Tensor, weights: Tensor | undefined): Tensor {
    const [n, bags] = [rows.shape[0], offsets.shape[0]]
    // the bag of a position is the last that starts at or before it
    const bag = sub(sum(le(unsqueeze(to(offsets, 'int32'), 1), arangeTensor(n)), { dim: 0 }), 1)
    if (this.mode === 'max') {
      const member = eq(bag, unsqueeze(arangeTensor(bags), 1))
      return this.reduceBags(expand(rows, [bags, ...rows.shape]), kept === undefined ? member : logicalAnd(member, kept), undefined)
    }
    const into = (values: Tensor): Tensor =>
      apply(scatterAddRow, [values, expand(unsqueeze(bag, 1), values.shape)], { axis: 0, size: bags })
    const counted = kept === undefined ? rows : where(unsqueeze(kept, 1), rows, 0)
    const total = into(weights === undefined ? counted : mul(counted, unsqueeze(weights, -1)))
    if (this.mode === 'sum') return total
    const ones = kept === undefined ? full([n, 1], 1, { dtype: rows.dtype }) : to(unsqueeze(kept, 1), rows.dtype)
    return div(total, maximum(into(ones), 1))
  }

  override extraRepr(): string {
    const options = showOptions({ mode: this.mode === 'mean' ? undefined : this.mode, paddingIdx: this.paddingIdx })
    return `${this.numEmbeddings}, ${this.embeddingDim}${options}`
  }
}
