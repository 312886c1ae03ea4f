/** Modules: the base class, layers and their initial values. Exports only. */
export * from './activation.js'
export { GRUCell, LSTMCell, type RecurrentCellOptions, RNNCell } from './cells.js'
export { Dropout, Flatten, Identity, type Layer, Sequential } from './container.js'
export { AvgPool2d, Conv2d, type Conv2dLayerOptions, MaxPool2d } from './conv.js'
export * as init from './init.js'
export { Embedding, type EmbeddingOptions, Linear, type LinearOptions } from './linear.js'
export { Module } from './module.js'
export { BatchNorm1d, BatchNorm2d, type BatchNormOptions } from './norm.js'
export {
  PackedSequence,
  type PackOptions,
  packPaddedSequence,
  packSequence,
  padPackedSequence,
  padSequence,
} from './packed.js'
export { Parameter } from './parameter.js'
export { GRU, LSTM, type LSTMOptions, type RecurrentOptions, type RecurrentWeights, RNN } from './recurrent.js'
