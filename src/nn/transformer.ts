/**
 * Transformer layers and stacks (Vaswani et al. 2017), with PyTorch's defaults and state_dict names. Masks: true = may NOT attend.
 */
import { ArgumentError, checkOptions, isFunction, type OptionNames, ShapeError, showShape, showValue } from '../base/errors.js'
import { gelu } from '../ops/basic/activations.js'
import { dropout } from '../ops/basic/dropout.js'
import { add, relu, where } from '../ops/basic/elementwise.js'
import { checkTensor } from '../ops/core/dispatch.js'
import { causalMask } from '../ops/layers/attention.js'
import type { ShapeOf, Tensor } from '../tensor/tensor.js'
import { type AttentionMasks, MultiheadAttention } from './attention.js'
import { checkInteger, checkNumber, showOptions } from './check.js'
import { xavierUniform } from './init.js'
import { Linear } from './linear.js'
import { ModuleList } from './list.js'
import { Module } from './module.js'
import { LayerNorm } from './norm.js'

export interface TransformerLayerOptions {
  /** Width of the hidden linear layer; default 2048. */
  dimFeedforward?: number
  /** Of attention weights and of what is added to the residual stream; default 0.1. */
  dropout?: number
  /** Default `relu`. */
  activation?: 'relu' | 'gelu' | ((x: Tensor) => Tensor)
  /** Added to variances in layer norms; default 1e-5. */
  layerNormEps?: number
  /** `[B, T, d]`; default false, `[T, B, d]`. */
  batchFirst?: boolean
  /** Normalize before attention and feed-forward instead of after; default false. */
  normFirst?: boolean
  /** Learned biases; default true. */
  bias?: boolean
}

const layerNames = {
  dimFeedforward: true,
  dropout: true,
  activation: true,
  layerNormEps: true,
  batchFirst: true,
  normFirst: true,
  bias: true,
} as const

/** What encoder and decoder layers share: feed-forward, norms, dropout. */
abstract class TransformerLayer extends Module {
  readonly dropout: number
  readonly activation: 'relu' | 'gelu' | ((x: Tensor) => Tensor)
  readonly normFirst: boolean

  constructor(options: TransformerLayerOptions) {
    super()
    const layer = this.constructor.name
    checkOptions(layer, options, layerNames)
    this.dropout = checkNumber(layer, 'dropout', options.dropout ?? 0.1, 0, 1)
    this.normFirst = options.normFirst ?? false
    const { activation = 'relu' } = options
    if (activation !== 'relu' && activation !== 'gelu' && !isFunction(activation))
      throw new ArgumentError(
        'ERR_LAYER_OPTION',
        `${layer}: activation must be 'relu', 'gelu' or a function, received ${showValue(activation)}.`,
      )
    this.activation = activation
  }

  protected drop(x: Tensor): Tensor {
    return this.training ? dropout(x, this.dropout) : x
  }

  protected activate(x: Tensor): Tensor {
    return typeof this.activation === 'function' ? this.activation(x) : this.activation === 'gelu' ? gelu(x) : relu(x)
  }

  /** x and what `branch` makes of it, normalized before or after. */
  protected residual(x: Tensor, norm: LayerNorm, branch: (x: Tensor) => Tensor): Tensor {
    return this.normFirst ? add(x, this.drop(branch(norm.forward(x)))) : norm.forward(add(x, this.drop(branch(x))))
  }
}

function attentionOf(dModel: number, nhead: number, { dropout: p = 0.1, batchFirst, bias }: TransformerLayerOptions): MultiheadAttention {
  return new MultiheadAttention(dModel, nhead, { dropout: p, batchFirst, bias })
}

export interface EncoderLayerCall {
  /** `[T, T]` or `[B · heads, T, T]`; bool (true = may not attend) or float (added). */
  srcMask?: Tensor
  /** `[B, T]`: padding. */
  srcKeyPaddingMask?: Tensor
  /** Position i sees 0 … i only, without a mask in memory. Default false. */
  isCausal?: boolean
}

const encoderLayerNames: OptionNames<EncoderLayerCall> = { srcMask: true, srcKeyPaddingMask: true, isCausal: true }

/**
 * Self-attention and a feed-forward network, each with a residual connection, dropout and layer norm: `[T, B, d]` → the same. Source: Vaswani et al.
 * 2017, `torch.nn.TransformerEncoderLayer`.
 *
 *     const layer = new nn.TransformerEncoderLayer(512, 8, { batchFirst: true })
 *     layer.forward(x, { srcKeyPaddingMask: padding })           // [8, 20, 512]; padding [8, 20], true at padding
 *
 * @throws ArgumentError `ERR_HEADS`, `ERR_LAYER_OPTION`; ShapeError `ERR_LAYER_INPUT`, `ERR_MASK`.
 */
export class TransformerEncoderLayer extends TransformerLayer {
  selfAttn: MultiheadAttention
  linear1: Linear
  linear2: Linear
  norm1: LayerNorm
  norm2: LayerNorm

  constructor(dModel: number, nhead: number, options: TransformerLayerOptions = {}) {
    super(options)
    const { dimFeedforward = 2048, layerNormEps: eps = 1e-5, bias = true } = options
    this.selfAttn = this.registerModule('self_attn', attentionOf(dModel, nhead, options))
    this.linear1 = new Linear(dModel, checkInteger('TransformerEncoderLayer', 'dimFeedforward', dimFeedforward), { bias })
    this.linear2 = new Linear(dimFeedforward, dModel, { bias })
    this.norm1 = new LayerNorm(dModel, { eps, bias })
    this.norm2 = new LayerNorm(dModel, { eps, bias })
  }

  forward<T extends Tensor>(src: T, options?: EncoderLayerCall): Tensor<ShapeOf<T>>
  forward(src: Tensor, options: EncoderLayerCall = {}): Tensor {
    checkOptions('TransformerEncoderLayer.forward', options, encoderLayerNames)
    const { srcMask, srcKeyPaddingMask, isCausal } = options
    const masks = { attnMask: srcMask, keyPaddingMask: srcKeyPaddingMask, isCausal, needWeights: false }
    const x = this.residual(src, this.norm1, (y) => this.selfAttn.forward(y, y, y, masks)[0])
    return this.residual(x, this.norm2, (y) => this.linear2.forward(this.drop(this.activate(this.linear1.forward(y)))))
  }
}

export interface DecoderLayerCall {
  tgtMask?: Tensor
  memoryMask?: Tensor
  tgtKeyPaddingMask?: Tensor
  memoryKeyPaddingMask?: Tensor
  /** Target position i sees 0 … i only, without a mask in memory. Default false. */
  tgtIsCausal?: boolean
  memoryIsCausal?: boolean
}

const decoderNames: OptionNames<DecoderLayerCall> = {
  tgtMask: true,
  memoryMask: true,
  tgtKeyPaddingMask: true,
  memoryKeyPaddingMask: true,
  tgtIsCausal: true,
  memoryIsCausal: true,
}

/**
 * Self-attention, attention to an encoder's output and a feed-forward network: `tgt: [T, B, d]`, `memory: [S, B, d]` → `[T, B, d]`. Source: Vaswani et al.
 * 2017, `torch.nn.TransformerDecoderLayer`.
 *
 *     const layer = new nn.TransformerDecoderLayer(512, 8, { batchFirst: true })
 *     layer.forward(target, memory, { tgtIsCausal: true })
 *
 * @throws ArgumentError `ERR_HEADS`, `ERR_LAYER_OPTION`; ShapeError `ERR_LAYER_INPUT`, `ERR_MASK`.
 */
export class TransformerDecoderLayer extends TransformerLayer {
  selfAttn: MultiheadAttention
  multiheadAttn: MultiheadAttention
  linear1: Linear
  linear2: Linear
  norm1: LayerNorm
  norm2: LayerNorm
  norm3: LayerNorm

  constructor(dModel: number, nhead: number, options: TransformerLayerOptions = {}) {
    super(options)
    const { dimFeedforward = 2048, layerNormEps: eps = 1e-5, bias = true } = options
    this.selfAttn = this.registerModule('self_attn', attentionOf(dModel, nhead, options))
    this.multiheadAttn = this.registerModule('multihead_attn', attentionOf(dModel, nhead, options))
    this.linear1 = new Linear(dModel, checkInteger('TransformerDecoderLayer', 'dimFeedforward', dimFeedforward), { bias })
    this.linear2 = new Linear(dimFeedforward, dModel, { bias })
    this.norm1 = new LayerNorm(dModel, { eps, bias })
    this.norm2 = new LayerNorm(dModel, { eps, bias })
    this.norm3 = new LayerNorm(dModel, { eps, bias })
  }

  forward<T extends Tensor>(tgt: T, memory: Tensor, options?: DecoderLayerCall): Tensor<ShapeOf<T>>
  forward(tgt: Tensor, memory: Tensor, options: DecoderLayerCall = {}): Tensor {
    checkOptions('TransformerDecoderLayer.forward', options, decoderNames)
    const own: AttentionMasks = { attnMask: options.tgtMask, keyPaddingMask: options.tgtKeyPaddingMask, isCausal: options.tgtIsCausal }
    const across: AttentionMasks = {
      attnMask: options.memoryMask,
      keyPaddingMask: options.memoryKeyPaddingMask,
      isCausal: options.memoryIsCausal,
    }
    let x = this.residual(tgt, this.norm1, (y) => this.selfAttn.forward(y, y, y, { ...own, needWeights: false })[0])
    x = this.residual(x, this.norm2, (y) => this.multiheadAttn.forward(y, memory, memory, { ...across, needWeights: false })[0])
    return this.residual(x, this.norm3, (y) => this.linear2.forward(this.drop(this.activate(this.linear1.forward(y)))))
  }
}

/** Copies of a layer with memory of their own; like PyTorch's, all start with the same values. */
function stacked<L extends Module>(stack: string, layer: L, numLayers: number): ModuleList<L> {
  if (!(layer instanceof Module))
    throw new ArgumentError('ERR_NOT_A_MODULE', `${stack}: the layer must be a module, received ${showValue(layer)}.`)
  checkInteger(stack, 'numLayers', numLayers)
  return new ModuleList(Array.from({ length: numLayers }, () => layer.clone()))
}

/** As PyTorch names them: the mask of a whole encoder is `mask`, that of one of its layers `srcMask`. */
export interface EncoderCall extends Omit<EncoderLayerCall, 'srcMask'> {
  /** `[T, T]` or `[B · heads, T, T]`; bool (true = may not attend) or float (added). */
  mask?: Tensor
}

/**
 * `numLayers` copies of an encoder layer in a row, and a norm behind them if one is given. Source: `torch.nn.TransformerEncoder`.
 *
 *     const encoder = new nn.TransformerEncoder(new nn.TransformerEncoderLayer(512, 8), 6)
 *     encoder.forward(x, { isCausal: true })
 */
export class TransformerEncoder extends Module {
  layers: ModuleList<TransformerEncoderLayer>
  norm: LayerNorm | undefined

  constructor(encoderLayer: TransformerEncoderLayer, numLayers: number, options: { norm?: LayerNorm } = {}) {
    checkOptions('TransformerEncoder', options, { norm: true })
    super()
    this.layers = stacked('TransformerEncoder', encoderLayer, numLayers)
    if (options.norm !== undefined) this.norm = options.norm
  }

  forward<T extends Tensor>(src: T, options?: EncoderCall): Tensor<ShapeOf<T>>
  forward(src: Tensor, options: EncoderCall = {}): Tensor {
    checkOptions('TransformerEncoder.forward', options, { mask: true, srcKeyPaddingMask: true, isCausal: true })
    const { mask: srcMask, srcKeyPaddingMask, isCausal } = options
    let x = src
    for (const layer of this.layers) x = layer.forward(x, { srcMask, srcKeyPaddingMask, isCausal })
    return this.norm === undefined ? x : this.norm.forward(x)
  }
}

/**
 * `numLayers` copies of a decoder layer in a row, and a norm behind them if one is given. Source: `torch.nn.TransformerDecoder`.
 *
 *     const decoder = new nn.TransformerDecoder(new nn.TransformerDecoderLayer(512, 8), 6)
 *     decoder.forward(target, memory, { tgtIsCausal: true })
 */
export class TransformerDecoder extends Module {
  layers: ModuleList<TransformerDecoderLayer>
  norm: LayerNorm | undefined

  constructor(decoderLayer: TransformerDecoderLayer, numLayers: number, options: { norm?: LayerNorm } = {}) {
    checkOptions('TransformerDecoder', options, { norm: true })
    super()
    this.layers = stacked('TransformerDecoder', decoderLayer, numLayers)
    if (options.norm !== undefined) this.norm = options.norm
  }

  forward<T extends Tensor>(tgt: T, memory: Tensor, options?: DecoderLayerCall): Tensor<ShapeOf<T>>
  forward(tgt: Tensor, memory: Tensor, options: DecoderLayerCall = {}): Tensor {
    checkOptions('TransformerDecoder.forward', options, decoderNames)
    let x = tgt
    for (const layer of this.layers) x = layer.forward(x, memory, options)
    return this.norm === undefined ? x : this.norm.forward(x)
  }
}

export interface TransformerOptions extends TransformerLayerOptions {
  /** Default 6. */
  numEncoderLayers?: number
  /** Default 6. */
  numDecoderLayers?: number
}

export interface TransformerCall extends DecoderLayerCall, Omit<EncoderLayerCall, 'isCausal'> {
  srcIsCausal?: boolean
}

/**
 * An encoder and a decoder, each with a last layer norm: `src: [S, B, d]`, `tgt: [T, B, d]` → `[T, B, d]`. Defaults: `dModel` 512, `nhead` 8. Source: Vaswani et
 * al. 2017, `torch.nn.Transformer`.
 *
 *     const transformer = new nn.Transformer(64, 4, { batchFirst: true, dimFeedforward: 256 })
 *     transformer.forward(source, target, { tgtIsCausal: true, srcKeyPaddingMask: padding, memoryKeyPaddingMask: padding })
 *
 * @throws ShapeError `ERR_LAYER_INPUT`, `ERR_MASK`; ArgumentError `ERR_HEADS`, `ERR_LAYER_OPTION`.
 */
export class Transformer extends Module {
  readonly dModel: number
  readonly nhead: number
  readonly batchFirst: boolean
  encoder: TransformerEncoder
  decoder: TransformerDecoder

  constructor(dModel = 512, nhead = 8, options: TransformerOptions = {}) {
    checkOptions('Transformer', options, { ...layerNames, numEncoderLayers: true, numDecoderLayers: true })
    super()
    const { numEncoderLayers = 6, numDecoderLayers = 6, ...layer } = options
    const { layerNormEps: eps = 1e-5, bias = true } = layer
    this.dModel = dModel
    this.nhead = nhead
    this.batchFirst = options.batchFirst ?? false
    const norm = (): LayerNorm => new LayerNorm(dModel, { eps, bias })
    this.encoder = new TransformerEncoder(new TransformerEncoderLayer(dModel, nhead, layer), numEncoderLayers, { norm: norm() })
    this.decoder = new TransformerDecoder(new TransformerDecoderLayer(dModel, nhead, layer), numDecoderLayers, { norm: norm() })
    this.resetParameters()
  }

  /** Draws new initial values: Glorot's uniform for all matrices. */
  resetParameters(): void {
    for (const p of this.parameters()) if (p.ndim > 1) xavierUniform(p)
  }

  forward(src: Tensor, tgt: Tensor, options: TransformerCall = {}): Tensor {
    checkOptions('Transformer.forward', options, { ...decoderNames, srcMask: true, srcKeyPaddingMask: true, srcIsCausal: true })
    const batch = this.batchFirst ? 0 : 1
    checkTensor('Transformer', 'src', src)
    checkTensor('Transformer', 'tgt', tgt)
    if (src.ndim === 3 && tgt.ndim === 3 && src.shape[batch] !== tgt.shape[batch])
      throw new ShapeError(
        'ERR_LAYER_INPUT',
        `Transformer: batches differ: ${showShape(src.shape)} and ${showShape(tgt.shape)}. Is batchFirst (${this.batchFirst}) what you want?`,
      )
    const { srcMask, srcKeyPaddingMask, srcIsCausal, ...decoding } = options
    const memory = this.encoder.forward(src, { mask: srcMask, srcKeyPaddingMask, isCausal: srcIsCausal })
    return this.decoder.forward(tgt, memory, decoding)
  }

  /** float `[size, size]`: 0 where a position may attend, −∞ at those behind it. `tgtIsCausal` does the same without a mask. */
  static generateSquareSubsequentMask(size: number): Tensor {
    return where(causalMask(checkInteger('generateSquareSubsequentMask', 'size', size)), 0, Number.NEGATIVE_INFINITY)
  }

  override extraRepr(): string {
    return `${this.dModel}, ${this.nhead}${showOptions({ batchFirst: this.batchFirst || undefined })}`
  }
}
