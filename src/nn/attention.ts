/**
 * Multi-head attention, and the cache of keys and values that makes generation one step a token. Masks follow PyTorch's modules: true = may
 * NOT attend (the opposite of `scaledDotProductAttention`, as there).
 */

import { ArgumentError, checkOptions, DTypeError, type OptionNames, ShapeError, StateError, showShape } from '../base/errors.js'
import { sameShape } from '../base/shape.js'
import { assign } from '../ops/basic/assign.js'
import { arangeTensor, full } from '../ops/basic/creation.js'
import { dropout } from '../ops/basic/dropout.js'
import { add, gt, logicalNot, logicalOr, where } from '../ops/basic/elementwise.js'
import { concat } from '../ops/basic/join.js'
import { matmul } from '../ops/basic/matmul.js'
import { expand, narrow, reshape, transpose, unsqueeze } from '../ops/basic/movement.js'
import { mean } from '../ops/basic/reduce.js'
import { refuseInTrace, stateZeros } from '../ops/basic/state.js'
import { checkTensor } from '../ops/core/dispatch.js'
import { noGrad } from '../ops/core/grad-mode.js'
import { attentionWeights, scaledDotProductAttention } from '../ops/layers/attention.js'
import { empty, type Tensor } from '../tensor/tensor.js'
import { checkInput, checkInteger, checkNumber, showOptions } from './check.js'
import { xavierNormal, xavierUniform, zeros } from './init.js'
import { Linear } from './linear.js'
import { Module } from './module.js'
import { Parameter } from './parameter.js'

/** Masks of one attention. */
export interface AttentionMasks {
  /** `[L, S]` or `[B · heads, L, S]`: bool (true = may not attend) or float (added to the scores). */
  attnMask?: Tensor
  /** `[B, S]`: keys that nobody may attend to (padding); bool, or float to be added. */
  keyPaddingMask?: Tensor
  /** Query i attends to keys 0 … i only, without a mask in memory. Default false. */
  isCausal?: boolean
}

export interface MultiheadAttentionCall extends AttentionMasks {
  /** Return the attention weights as well; without, the tiled kernel is used. Default true. */
  needWeights?: boolean
  /** Weights as their mean over the heads, `[B, L, S]`, else `[B, heads, L, S]`. Default true. */
  averageAttnWeights?: boolean
}

export interface MultiheadAttentionOptions {
  /** Share of the attention weights that training sets to 0; default 0. */
  dropout?: number
  /** Learned biases; default true. */
  bias?: boolean
  /** Size of the keys' and values' features; default `embedDim`. */
  kdim?: number
  vdim?: number
  /** `[B, L, E]`; default false, `[L, B, E]`. */
  batchFirst?: boolean
  /** One learned key and value behind the given ones, `bias_k` and `bias_v`, that every query may attend to; default false. */
  addBiasKv?: boolean
  /** A key and a value of zeros behind them, likewise; default false. */
  addZeroAttn?: boolean
}

const optionNames: OptionNames<MultiheadAttentionOptions> = {
  dropout: true,
  bias: true,
  kdim: true,
  vdim: true,
  batchFirst: true,
  addBiasKv: true,
  addZeroAttn: true,
}

const callNames: OptionNames<MultiheadAttentionCall> = {
  attnMask: true,
  keyPaddingMask: true,
  isCausal: true,
  needWeights: true,
  averageAttnWeights: true,
}

/** The linear map behind the heads, under PyTorch's name; its bias starts at zero. */
class OutProjection extends Linear {
  override resetParameters(): void {
    super.resetParameters()
    if (this.bias !== undefined) zeros(this.bias)
  }
}

/** What a mask does to the scores: excluded where true, or added where float. */
interface Combined {
  readonly excluded: Tensor | undefined
  readonly added: Tensor | undefined
}

interface Extended {
  readonly k: Tensor
  readonly v: Tensor
  readonly masks: Combined
  readonly isCausal: boolean
}

/** As `scaledDotProductAttention` takes it. */
function asMask({ excluded, added }: Combined): Tensor | undefined {
  if (excluded === undefined) return added
  if (added === undefined) return logicalNot(excluded)
  return where(excluded, Number.NEGATIVE_INFINITY, added)
}

/**
 * Attention in several heads: queries, keys and values are projected, each head attends on its share of the features, and the joined results are projected
 * again. `query: [L, B, E]`, `key: [S, B, kdim]`, `value: [S, B, vdim]` (`[B, L, E]` with `batchFirst`, `[L, E]` without a batch); returns `[output, weights]`.
 * Where all keys are excluded the result is that of no values, as with PyTorch's `need_weights=False`. Source: Vaswani et al. 2017, `torch.nn.MultiheadAttention`.
 *
 *     const attention = new nn.MultiheadAttention(64, 4, { batchFirst: true })
 *     const [y, weights] = attention.forward(x, x, x)                                     // [8, 10, 64] → [8, 10, 64], [8, 10, 10]
 *     const [z] = attention.forward(x, x, x, { isCausal: true, needWeights: false })      // no [L, S] matrix in memory
 *
 * @throws ArgumentError `ERR_HEADS` when `embedDim` is no multiple of `numHeads`; ShapeError `ERR_LAYER_INPUT`, `ERR_MASK`; DTypeError.
 */
export class MultiheadAttention extends Module {
  readonly embedDim: number
  readonly numHeads: number
  readonly dropout: number
  readonly batchFirst: boolean
  readonly kdim: number
  readonly vdim: number
  /** `[3E, E]`: queries, keys, values; where `kdim` or `vdim` differ, three matrices instead. */
  inProjWeight: Parameter | undefined
  qProjWeight: Parameter | undefined
  kProjWeight: Parameter | undefined
  vProjWeight: Parameter | undefined
  inProjBias: Parameter | undefined
  /** `[1, 1, E]`, with `addBiasKv`. */
  biasK: Parameter | undefined
  biasV: Parameter | undefined
  readonly addZeroAttn: boolean
  outProj: Linear

  constructor(embedDim: number, numHeads: number, options: MultiheadAttentionOptions = {}) {
    checkOptions('MultiheadAttention', options, optionNames)
    super()
    const { bias = true, kdim = embedDim, vdim = embedDim } = options
    this.embedDim = checkInteger('MultiheadAttention', 'embedDim', embedDim)
    this.numHeads = checkInteger('MultiheadAttention', 'numHeads', numHeads)
    if (embedDim % numHeads !== 0)
      throw new ArgumentError(
        'ERR_HEADS',
        `MultiheadAttention: embedDim ${embedDim} is no multiple of numHeads ${numHeads}. Choose heads that divide it.`,
      )
    this.dropout = checkNumber('MultiheadAttention', 'dropout', options.dropout ?? 0, 0, 1)
    this.batchFirst = options.batchFirst ?? false
    this.kdim = checkInteger('MultiheadAttention', 'kdim', kdim)
    this.vdim = checkInteger('MultiheadAttention', 'vdim', vdim)
    const parameter = (name: string, ...shape: number[]): Parameter => this.registerParameter(name, new Parameter(empty(shape)))
    if (kdim === embedDim && vdim === embedDim) {
      this.inProjWeight = parameter('in_proj_weight', 3 * embedDim, embedDim)
    } else {
      this.qProjWeight = parameter('q_proj_weight', embedDim, embedDim)
      this.kProjWeight = parameter('k_proj_weight', embedDim, kdim)
      this.vProjWeight = parameter('v_proj_weight', embedDim, vdim)
    }
    if (bias) this.inProjBias = parameter('in_proj_bias', 3 * embedDim)
    this.addZeroAttn = options.addZeroAttn ?? false
    if (options.addBiasKv) {
      this.biasK = parameter('bias_k', 1, 1, embedDim)
      this.biasV = parameter('bias_v', 1, 1, embedDim)
    }
    this.outProj = this.registerModule('out_proj', new OutProjection(embedDim, embedDim, { bias }))
    this.resetParameters()
  }

  /** Draws new initial values: Glorot's uniform for the projections, his normal for the added key and value, zeros for the biases. */
  resetParameters(): void {
    for (const w of [this.inProjWeight, this.qProjWeight, this.kProjWeight, this.vProjWeight]) if (w !== undefined) xavierUniform(w)
    if (this.inProjBias !== undefined) zeros(this.inProjBias)
    for (const b of [this.biasK, this.biasV]) if (b !== undefined) xavierNormal(b)
    this.outProj.resetParameters()
  }

  private get label(): string {
    return `MultiheadAttention(${this.embedDim}, ${this.numHeads})`
  }

  forward(query: Tensor, key: Tensor, value: Tensor, options: MultiheadAttentionCall = {}): [Tensor, Tensor | undefined] {
    checkOptions('MultiheadAttention.forward', options, callNames)
    const single = this.checkOperands(query, key, value)
    const batched = (x: Tensor): Tensor => (single ? unsqueeze(x, 0) : this.batchFirst ? x : transpose(x, 0, 1))
    const [q, ownK, ownV] = this.project(
      batched(query),
      key === query ? undefined : batched(key),
      value === key ? undefined : batched(value),
    )
    const { needWeights = true, averageAttnWeights = true } = options
    const given = this.combine(options, q, ownK, single)
    const { k, v, masks, isCausal } = this.extend(q, ownK, ownV, given, options.isCausal ?? false)
    const p = this.training ? this.dropout : 0
    let heads: Tensor
    let weights: Tensor | undefined
    if (needWeights) {
      weights = attentionWeights(q, k, { scale: 1 / Math.sqrt(q.shape[3]), causal: isCausal, mask: asMask(masks) })
      heads = matmul(dropout(weights, p), v)
      if (averageAttnWeights) weights = mean(weights, { dim: 1 })
      if (single) weights = reshape(weights, weights.shape.slice(1))
    } else {
      const mask = asMask(isCausal && (masks.excluded ?? masks.added) !== undefined ? withCausal(masks, q, k) : masks)
      heads = scaledDotProductAttention(q, k, v, { attnMask: mask, isCausal: isCausal && mask === undefined, dropoutP: p })
    }
    return [this.join(heads, single), weights]
  }

  /** Heads `[B, H, L, D]` joined and projected, in the layout of the query. */
  private join(heads: Tensor, single: boolean): Tensor {
    const [batch, , rows] = heads.shape
    const y = this.outProj.forward(reshape(transpose(heads, 1, 2), [batch, rows, this.embedDim]))
    return single ? reshape(y, [rows, this.embedDim]) : this.batchFirst ? y : transpose(y, 0, 1)
  }

  /** Queries, keys and values by head, `[B, H, N, D]`. Inputs that are the same tensor share a product. */
  private project(query: Tensor, key: Tensor | undefined, value: Tensor | undefined): [Tensor, Tensor, Tensor] {
    const { embedDim, inProjWeight, inProjBias } = this
    const size = embedDim / this.numHeads
    const heads = (x: Tensor): Tensor => transpose(reshape(x, [...x.shape.slice(0, 2), this.numHeads, size]), 1, 2)
    const through = (x: Tensor, weight: Tensor, bias: Tensor | undefined): Tensor => {
      const [batch, n, features] = x.shape
      const product = matmul(reshape(x, [batch * n, features]), transpose(weight))
      return reshape(bias === undefined ? product : add(product, bias), [batch, n, weight.shape[0]])
    }
    const part = (t: Tensor, from: number, count = 1): Tensor => narrow(t, t.ndim === 3 ? 2 : 0, from * embedDim, count * embedDim)
    const bias = (from: number, count = 1): Tensor | undefined => inProjBias && part(inProjBias, from, count)
    if (inProjWeight === undefined) {
      const [wq, wk, wv] = [this.qProjWeight, this.kProjWeight, this.vProjWeight] as Parameter[]
      const keys = key ?? query
      return [heads(through(query, wq, bias(0))), heads(through(keys, wk, bias(1))), heads(through(value ?? keys, wv, bias(2)))]
    }
    if (key === undefined && value === undefined) {
      const all = through(query, inProjWeight, inProjBias)
      return [heads(part(all, 0)), heads(part(all, 1)), heads(part(all, 2))]
    }
    const q = heads(through(query, part(inProjWeight, 0), bias(0)))
    const keys = key ?? query
    if (value === undefined) {
      const both = through(keys, part(inProjWeight, 1, 2), bias(1, 2))
      return [q, heads(part(both, 0)), heads(part(both, 1))]
    }
    return [q, heads(through(keys, part(inProjWeight, 1), bias(1))), heads(through(value, part(inProjWeight, 2), bias(2)))]
  }

  /** Both masks as one that broadcasts to `[B, H, L, S]`. */
  private combine({ attnMask, keyPaddingMask }: AttentionMasks, q: Tensor, k: Tensor, single: boolean): Combined {
    const [batch, heads, rows] = q.shape
    const keys = k.shape[2]
    let excluded: Tensor | undefined
    let added: Tensor | undefined
    const take = (mask: Tensor): void => {
      if (mask.dtype === 'bool') excluded = excluded === undefined ? mask : logicalOr(excluded, mask)
      else added = added === undefined ? mask : add(added, mask)
    }
    if (attnMask !== undefined) {
      this.checkMask('attnMask', attnMask, q.dtype, [
        [rows, keys],
        [batch * heads, rows, keys],
      ])
      take(attnMask.ndim === 2 ? attnMask : reshape(attnMask, [batch, heads, rows, keys]))
    }
    if (keyPaddingMask !== undefined) {
      this.checkMask('keyPaddingMask', keyPaddingMask, q.dtype, [single ? [keys] : [batch, keys]])
      take(reshape(keyPaddingMask, [batch, 1, 1, keys]))
    }
    return { excluded, added }
  }

  /** The keys and values that the module adds behind the given ones; no mask excludes them. */
  private extend(q: Tensor, k: Tensor, v: Tensor, masks: Combined, isCausal: boolean): Extended {
    const [batch, heads, , size] = k.shape
    const learned = (bias: Parameter | undefined): Tensor[] =>
      bias === undefined ? [] : [expand(reshape(bias, [1, heads, 1, size]), [batch, heads, 1, size])]
    const nothing = this.addZeroAttn ? [full([batch, heads, 1, size], 0, { dtype: k.dtype })] : []
    const [moreK, moreV] = [learned(this.biasK), learned(this.biasV)].map((own) => [...own, ...nothing])
    if (moreK.length === 0) return { k, v, masks, isCausal }
    const { excluded, added } = isCausal ? withCausal(masks, q, k) : masks
    const widened = (mask: Tensor | undefined): Tensor | undefined =>
      mask && concat([mask, full([...mask.shape.slice(0, -1), moreK.length], 0, { dtype: mask.dtype })], -1)
    return {
      k: concat([k, ...moreK], 2),
      v: concat([v, ...moreV], 2),
      masks: { excluded: widened(excluded), added: widened(added) },
      isCausal: false,
    }
  }

  private checkMask(name: string, mask: Tensor, dtype: Tensor['dtype'], shapes: readonly (readonly number[])[]): void {
    checkTensor(this.label, name, mask)
    if (mask.dtype !== 'bool' && mask.dtype !== dtype)
      throw new DTypeError(
        'ERR_DTYPE',
        `${this.label}: ${name} must be bool (true = may not attend) or ${dtype}, received ${mask.dtype}. Convert with .to('bool').`,
      )
    if (!shapes.some((s) => sameShape(s, mask.shape)))
      throw new ShapeError(
        'ERR_MASK',
        `${this.label}: ${name} must be ${shapes.map((s) => showShape(s)).join(' or ')}, received ${showShape(mask.shape)}.`,
      )
  }

  /** Whether the operands come without a batch dimension. */
  private checkOperands(query: Tensor, key: Tensor, value: Tensor): boolean {
    const dtype = this.outProj.weight.dtype
    for (const [name, x, size] of [
      ['the query', query, this.embedDim],
      ['the key', key, this.kdim],
      ['the value', value, this.vdim],
    ] as const) {
      checkInput(`${this.label}: ${name}`, x, dtype)
      if ((x.ndim !== 2 && x.ndim !== 3) || x.ndim !== query.ndim || x.shape[x.ndim - 1] !== size) {
        const order = this.batchFirst ? `[B, L, ${size}]` : `[L, B, ${size}]`
        throw new ShapeError(
          'ERR_LAYER_INPUT',
          `${this.label}: ${name} must be ${order} or [L, ${size}], as the query, received ${showShape(x.shape)}.`,
        )
      }
    }
    const time = query.ndim === 3 && this.batchFirst ? 1 : 0
    if (key.shape[time] !== value.shape[time])
      throw new ShapeError(
        'ERR_LAYER_INPUT',
        `${this.label}: there are ${key.shape[time]} keys ${showShape(key.shape)} but ${value.shape[time]} values ${showShape(value.shape)}.`,
      )
    if (query.ndim === 3 && (query.shape[1 - time] !== key.shape[1 - time] || query.shape[1 - time] !== value.shape[1 - time]))
      throw new ShapeError(
        'ERR_LAYER_INPUT',
        `${this.label}: batches differ: ${showShape(query.shape)}, ${showShape(key.shape)} and ${showShape(value.shape)}. Is batchFirst (${this.batchFirst}) what you want?`,
      )
    return query.ndim === 2
  }

  override extraRepr(): string {
    const { embedDim, numHeads, dropout: p, batchFirst, addZeroAttn } = this
    const only = (on: boolean): true | undefined => on || undefined
    const bias = this.inProjBias === undefined ? false : undefined
    const shown = {
      dropout: p === 0 ? undefined : p,
      bias,
      batchFirst: only(batchFirst),
      addBiasKv: only(this.biasK !== undefined),
      addZeroAttn: only(addZeroAttn),
    }
    return `${embedDim}, ${numHeads}${showOptions(shown)}`
  }
}

function withCausal({ excluded, added }: Combined, q: Tensor, k: Tensor): Combined {
  const own = causalExclusion(q.shape[2], k.shape[2])
  return { excluded: excluded === undefined ? own : logicalOr(excluded, own), added }
}

/** bool `[rows, keys]`: true where a key comes after the query. */
function causalExclusion(rows: number, keys: number): Tensor {
  return gt(arangeTensor(keys), unsqueeze(arangeTensor(rows), 1))
}

/**
 * The keys and values of the positions generated so far, so that each new token costs one step of attention. Room for `maxLength` positions of
 * `[batch, heads, …, size]` is taken once. For eager code under `noGrad`; inside `compile` the length would be fixed.
 *
 *     const cache = new nn.KeyValueCache(1, 6, 256, 64)
 *     const [keys, values] = cache.append(k, v)          // [1, 6, 1, 64] each → all so far, [1, 6, length, 64]
 *     scaledDotProductAttention(q, keys, values)
 *
 * @throws ShapeError `ERR_CACHE_SHAPE`; StateError `ERR_CACHE_FULL` past `maxLength`; StateError `ERR_STATE_IN_TRACE` inside `compile`.
 */
export class KeyValueCache {
  readonly maxLength: number
  /** Positions held. */
  length = 0
  private readonly keys: Tensor
  private readonly values: Tensor

  constructor(batch: number, heads: number, maxLength: number, size: number) {
    const shape = [batch, heads, maxLength, size]
    for (const n of shape) checkInteger('KeyValueCache', 'each size', n)
    this.maxLength = maxLength
    this.keys = stateZeros('KeyValueCache', shape)
    this.values = stateZeros('KeyValueCache', shape)
  }

  /** Adds new positions `[batch, heads, n, size]`; returns all keys and values so far, views of the cache. */
  append(key: Tensor, value: Tensor): [Tensor, Tensor] {
    refuseInTrace('KeyValueCache.append')
    checkTensor('KeyValueCache', 'the key', key)
    checkTensor('KeyValueCache', 'the value', value)
    const [batch, heads, , size] = this.keys.shape
    const count = key.shape[2]
    const wanted = [batch, heads, count, size]
    if (!sameShape(key.shape, wanted) || !sameShape(value.shape, wanted))
      throw new ShapeError(
        'ERR_CACHE_SHAPE',
        `KeyValueCache: expects [${batch}, ${heads}, n, ${size}] twice, received ${showShape(key.shape)} and ${showShape(value.shape)}.`,
      )
    if (this.length + count > this.maxLength)
      throw new StateError(
        'ERR_CACHE_FULL',
        `KeyValueCache: ${this.length} positions and ${count} more exceed the ${this.maxLength} there is room for. Call clear(), or take more room.`,
      )
    noGrad(() => {
      assign(narrow(this.keys, 2, this.length, count), key)
      assign(narrow(this.values, 2, this.length, count), value)
    })
    this.length += count
    return [narrow(this.keys, 2, 0, this.length), narrow(this.values, 2, 0, this.length)]
  }

  /** Forgets all positions. */
  clear(): void {
    this.length = 0
  }
}
