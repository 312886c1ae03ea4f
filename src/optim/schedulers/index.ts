/** Learning-rate schedules. Exports only. */
export { ChainedScheduler, SequentialLR } from './compose.js'
export {
  CosineAnnealingLR,
  CosineAnnealingWarmRestarts,
  CyclicLR,
  type CyclicOptions,
  OneCycleLR,
  type OneCycleOptions,
} from './cycle.js'
export {
  ConstantLR,
  ExponentialLR,
  LambdaLR,
  LinearLR,
  type LrLambda,
  MultiplicativeLR,
  MultiStepLR,
  PolynomialLR,
  StepLR,
  SWALR,
} from './decay.js'
export { type PlateauOptions, ReduceLROnPlateau } from './plateau.js'
export { LRScheduler, type SchedulerState, type SchedulerValue } from './scheduler.js'
