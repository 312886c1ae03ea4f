/** Modules: the base class, layers and their initial values. Exports only. */
export * from './activation.js'
export {
  type AttentionMasks,
  KeyValueCache,
  MultiheadAttention,
  type MultiheadAttentionCall,
  type MultiheadAttentionOptions,
} from './attention.js'
export { BatchNorm1d, BatchNorm2d, BatchNorm3d, type BatchNormOptions } from './batch-norm.js'
export { GRUCell, LSTMCell, type RecurrentCellOptions, RNNCell } from './cells.js'
export { Flatten, Identity, type Layer, Sequential } from './container.js'
export {
  Conv1d,
  type Conv1dLayerOptions,
  Conv2d,
  type Conv2dLayerOptions,
  Conv3d,
  type Conv3dLayerOptions,
  ConvTranspose1d,
  type ConvTranspose1dLayerOptions,
  ConvTranspose2d,
  type ConvTranspose2dLayerOptions,
  ConvTranspose3d,
  type ConvTranspose3dLayerOptions,
} from './conv.js'
export { Dropout, Dropout1d, Dropout2d, Dropout3d } from './dropout.js'
export { Embedding, EmbeddingBag, type EmbeddingBagOptions, type EmbeddingOptions } from './embedding.js'
export * as init from './init.js'
export { Bilinear, Linear, type LinearOptions } from './linear.js'
export { ModuleDict, ModuleList, ParameterDict, ParameterList } from './list.js'
export { Module } from './module.js'
export {
  GroupNorm,
  type GroupNormLayerOptions,
  InstanceNorm1d,
  InstanceNorm2d,
  InstanceNorm3d,
  type InstanceNormLayerOptions,
  LayerNorm,
  type LayerNormLayerOptions,
  LocalResponseNorm,
  RMSNorm,
  type RMSNormLayerOptions,
} from './norm.js'
export {
  PackedSequence,
  type PackOptions,
  packPaddedSequence,
  packSequence,
  padPackedSequence,
  padSequence,
} from './packed.js'
export {
  CircularPad1d,
  CircularPad2d,
  CircularPad3d,
  ConstantPad1d,
  ConstantPad2d,
  ConstantPad3d,
  ReflectionPad1d,
  ReflectionPad2d,
  ReflectionPad3d,
  ReplicationPad1d,
  ReplicationPad2d,
  ReplicationPad3d,
  ZeroPad1d,
  ZeroPad2d,
  ZeroPad3d,
} from './pad.js'
export { Parameter } from './parameter.js'
export {
  AdaptiveAvgPool1d,
  AdaptiveAvgPool2d,
  AdaptiveAvgPool3d,
  AdaptiveMaxPool1d,
  AdaptiveMaxPool2d,
  AdaptiveMaxPool3d,
  AvgPool1d,
  AvgPool2d,
  AvgPool3d,
  MaxPool1d,
  MaxPool2d,
  MaxPool3d,
} from './pool.js'
export { PositionalEncoding, type PositionalEncodingOptions, RotaryEmbedding, type RotaryEmbeddingOptions } from './positions.js'
export { GRU, LSTM, type LSTMOptions, type RecurrentOptions, type RecurrentWeights, RNN } from './recurrent.js'
export { type SpectralNormOptions, spectralNorm, weightNorm } from './reparametrize.js'
export { Fold, PixelShuffle, PixelUnshuffle, Unflatten, Unfold, Upsample } from './shape.js'
export {
  type DecoderLayerCall,
  type EncoderCall,
  type EncoderLayerCall,
  Transformer,
  type TransformerCall,
  TransformerDecoder,
  TransformerDecoderLayer,
  TransformerEncoder,
  TransformerEncoderLayer,
  type TransformerLayerOptions,
  type TransformerOptions,
} from './transformer.js'
