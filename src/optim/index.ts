/** Optimizers and gradient clipping. Exports only. */
export { Adam, AdamGroup, type AdamOptions, AdamW } from './adam.js'
export { clipGradNorm, clipGradValue } from './clip.js'
export { type GroupOptions, Optimizer, type OptimizerOptions, type OptimizerParameters, ParameterGroup } from './optimizer.js'
export { SGD, SGDGroup, type SGDOptions } from './sgd.js'
