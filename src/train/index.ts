/** Training. Exports only. */
export type { FitData, FitPair } from './batches.js'
export { type Fit, fit } from './fit.js'
export { type GradientFlow, gradientFlow, type LayerFlow } from './flow.js'
export type { Epoch, History, Metrics } from './history.js'
export type { FitStep } from './loop.js'
export * as metrics from './metrics.js'
export type { EarlyStopping, FitOptions, FitScheduler } from './options.js'
