/** Optimizers and gradient clipping. Exports only. */
export { Adam, AdamGroup, type AdamOptions, AdamW } from './adam.js'
export { AveragedModel, type AveragedModelOptions, updateBn } from './averaging.js'
export { clipGradNorm, clipGradValue } from './clip.js'
export { LBFGS, type LBFGSOptions } from './lbfgs.js'
export { Muon, MuonGroup, type MuonOptions } from './muon.js'
export { type GroupOptions, Optimizer, type OptimizerOptions, type OptimizerParameters, ParameterGroup } from './optimizer.js'
export { Adamax, type AdamaxOptions, NAdam, NAdamGroup, type NAdamOptions, RAdam, RAdamGroup, type RAdamOptions } from './relatives.js'
export {
  Adadelta,
  AdadeltaGroup,
  type AdadeltaOptions,
  Adagrad,
  AdagradGroup,
  type AdagradOptions,
  RMSprop,
  RMSpropGroup,
  type RMSpropOptions,
} from './scaled.js'
export * as lrScheduler from './schedulers/index.js'
export { SGD, SGDGroup, type SGDOptions } from './sgd.js'
export { Lion, type LionOptions, Rprop, RpropGroup, type RpropOptions } from './signs.js'
