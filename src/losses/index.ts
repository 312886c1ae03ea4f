/** Losses. Exports only. */
export * from './binary.js'
export * from './boxes.js'
export type { LossOptions, Reduction } from './check.js'
export {
  type ClassLossOptions,
  type CrossEntropyOptions,
  crossEntropy,
  type FocalOptions,
  focalLoss,
  type KlDivOptions,
  klDiv,
  type Labels,
  type MultiMarginOptions,
  multilabelMarginLoss,
  multiMarginLoss,
  nllLoss,
} from './classes.js'
export { type CtcOptions, ctcLoss, type Lengths } from './ctc.js'
export * from './embedding.js'
export * from './penalty.js'
export * from './regression.js'
