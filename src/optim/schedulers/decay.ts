/**
 * Schedules that go one way: steps, powers, lines, and functions of the user.
 */
import { ArgumentError, checkOptions, isFunction, showValue } from '../../base/errors.js'
import type { Optimizer, ParameterGroup } from '../optimizer.js'
import { checkCount, checkNumber, LRScheduler, perGroup } from './scheduler.js'

/** A function from the epoch, from 0, to a factor. */
export type LrLambda = (epoch: number) => number

function checkLambdas(name: string, optimizer: Optimizer, lambda: LrLambda | readonly LrLambda[]): LrLambda[] {
  const list = perGroup(name, 'lrLambda', lambda, optimizer)
  if (Array.from(list).every(isFunction)) return list
  throw new ArgumentError('ERR_SCHEDULE', `${name}: lrLambda must be a function of the epoch, received ${showValue(lambda)}.`)
}

const factorOf = (name: string, lambda: LrLambda, epoch: number): number => checkNumber(name, 'what lrLambda gives', lambda(epoch))

/**
 * The initial rate times a function of the epoch; an array gives one function a group. Source: `torch.optim.lr_scheduler.LambdaLR`.
 *
 *     new optim.lrScheduler.LambdaLR(optimizer, (epoch) => 0.95 ** epoch)
 */
export class LambdaLR extends LRScheduler {
  private readonly lambdas: readonly LrLambda[]
  constructor(optimizer: Optimizer, lrLambda: LrLambda | readonly LrLambda[]) {
    super(optimizer)
    this.lambdas = checkLambdas('LambdaLR', optimizer, lrLambda)
    this.begin()
  }
  protected rate(_group: ParameterGroup, base: number, _first: boolean, index: number): number {
    return base * factorOf('LambdaLR', this.lambdas[index], this.lastEpoch)
  }
}

/** The rate times a function of the epoch, at each step. Source: `torch.optim.lr_scheduler.MultiplicativeLR`. */
export class MultiplicativeLR extends LRScheduler {
  private readonly lambdas: readonly LrLambda[]
  constructor(optimizer: Optimizer, lrLambda: LrLambda | readonly LrLambda[]) {
    super(optimizer)
    this.lambdas = checkLambdas('MultiplicativeLR', optimizer, lrLambda)
    this.begin()
  }
  protected rate(group: ParameterGroup, _base: number, first: boolean, index: number): number {
    return first ? group.lr : group.lr * factorOf('MultiplicativeLR', this.lambdas[index], this.lastEpoch)
  }
}

/**
 * Times `gamma` (default 0.1) every `stepSize` epochs. Source: `torch.optim.lr_scheduler.StepLR`.
 *
 *     new optim.lrScheduler.StepLR(optimizer, 30)
 */
export class StepLR extends LRScheduler {
  readonly stepSize: number
  readonly gamma: number
  constructor(optimizer: Optimizer, stepSize: number, options: { gamma?: number } = {}) {
    super(optimizer)
    checkOptions('StepLR', options, { gamma: true })
    this.stepSize = checkCount('StepLR', 'stepSize', stepSize)
    this.gamma = checkNumber('StepLR', 'gamma', options.gamma ?? 0.1, 0)
    this.begin()
  }
  protected rate(group: ParameterGroup): number {
    return this.lastEpoch === 0 || this.lastEpoch % this.stepSize !== 0 ? group.lr : group.lr * this.gamma
  }
  protected override closed(_group: ParameterGroup, base: number): number {
    return base * this.gamma ** Math.floor(this.lastEpoch / this.stepSize)
  }
}

/** Times `gamma` (default 0.1) at each of the milestones, which are epochs. Source: `torch.optim.lr_scheduler.MultiStepLR`. */
export class MultiStepLR extends LRScheduler {
  readonly milestones: readonly number[]
  readonly gamma: number
  constructor(optimizer: Optimizer, milestones: readonly number[], options: { gamma?: number } = {}) {
    super(optimizer)
    checkOptions('MultiStepLR', options, { gamma: true })
    if (!Array.isArray(milestones))
      throw new ArgumentError('ERR_SCHEDULE', `MultiStepLR: milestones must be an array of epochs, received ${showValue(milestones)}.`)
    this.milestones = milestones.map((m) => checkCount('MultiStepLR', 'a milestone', m, 0))
    this.gamma = checkNumber('MultiStepLR', 'gamma', options.gamma ?? 0.1, 0)
    this.begin()
  }
  protected rate(group: ParameterGroup): number {
    return group.lr * this.gamma ** this.milestones.filter((m) => m === this.lastEpoch).length
  }
  protected override closed(_group: ParameterGroup, base: number): number {
    return base * this.gamma ** this.milestones.filter((m) => m <= this.lastEpoch).length
  }
}

/** Times `factor` (default 1/3) for the first `totalIters` (default 5) epochs. Source: `torch.optim.lr_scheduler.ConstantLR`. */
export class ConstantLR extends LRScheduler {
  readonly factor: number
  readonly totalIters: number
  constructor(optimizer: Optimizer, options: { factor?: number; totalIters?: number } = {}) {
    super(optimizer)
    checkOptions('ConstantLR', options, { factor: true, totalIters: true })
    this.factor = checkNumber('ConstantLR', 'factor', options.factor ?? 1 / 3, 0, 1)
    this.totalIters = checkCount('ConstantLR', 'totalIters', options.totalIters ?? 5, 0)
    this.begin()
  }
  protected rate(group: ParameterGroup): number {
    if (this.lastEpoch === 0) return group.lr * this.factor
    return this.lastEpoch === this.totalIters ? group.lr * (1 / this.factor) : group.lr
  }
  protected override closed(_group: ParameterGroup, base: number): number {
    return this.lastEpoch >= this.totalIters ? base : base * this.factor
  }
}

/**
 * From `startFactor` (default 1/3) of the rate in a line to `endFactor` (default 1) over `totalIters` (default 5) epochs: the usual warm-up, with
 * `SequentialLR` before another schedule. Source: `torch.optim.lr_scheduler.LinearLR`.
 *
 *     new optim.lrScheduler.LinearLR(optimizer, { startFactor: 0.01, totalIters: 500 })
 */
export class LinearLR extends LRScheduler {
  readonly startFactor: number
  readonly endFactor: number
  readonly totalIters: number
  constructor(optimizer: Optimizer, options: { startFactor?: number; endFactor?: number; totalIters?: number } = {}) {
    super(optimizer)
    checkOptions('LinearLR', options, { startFactor: true, endFactor: true, totalIters: true })
    this.startFactor = checkNumber('LinearLR', 'startFactor', options.startFactor ?? 1 / 3, Number.MIN_VALUE, 1)
    this.endFactor = checkNumber('LinearLR', 'endFactor', options.endFactor ?? 1, 0, 1)
    this.totalIters = checkCount('LinearLR', 'totalIters', options.totalIters ?? 5)
    this.begin()
  }
  protected rate(group: ParameterGroup, _base: number, first: boolean): number {
    const { lastEpoch, startFactor, endFactor, totalIters } = this
    if (lastEpoch === 0) return group.lr * startFactor
    if (first || lastEpoch > totalIters) return group.lr
    return group.lr * (1 + (endFactor - startFactor) / (totalIters * startFactor + (lastEpoch - 1) * (endFactor - startFactor)))
  }
  protected override closed(_group: ParameterGroup, base: number): number {
    const { startFactor, endFactor, totalIters } = this
    return base * (startFactor + ((endFactor - startFactor) * Math.min(totalIters, this.lastEpoch)) / totalIters)
  }
}

/** Times `gamma` at each step. Source: `torch.optim.lr_scheduler.ExponentialLR`. */
export class ExponentialLR extends LRScheduler {
  readonly gamma: number
  constructor(optimizer: Optimizer, gamma: number) {
    super(optimizer)
    this.gamma = checkNumber('ExponentialLR', 'gamma', gamma, 0)
    this.begin()
  }
  protected rate(group: ParameterGroup, _base: number, first: boolean): number {
    return first ? group.lr : group.lr * this.gamma
  }
  protected override closed(_group: ParameterGroup, base: number): number {
    return base * this.gamma ** this.lastEpoch
  }
}

/** (1 − epoch / totalIters)^power of the rate; defaults `totalIters` 5, `power` 1. Source: `torch.optim.lr_scheduler.PolynomialLR`. */
export class PolynomialLR extends LRScheduler {
  readonly totalIters: number
  readonly power: number
  constructor(optimizer: Optimizer, options: { totalIters?: number; power?: number } = {}) {
    super(optimizer)
    checkOptions('PolynomialLR', options, { totalIters: true, power: true })
    this.totalIters = checkCount('PolynomialLR', 'totalIters', options.totalIters ?? 5)
    this.power = checkNumber('PolynomialLR', 'power', options.power ?? 1)
    this.begin()
  }
  protected rate(group: ParameterGroup, _base: number, first: boolean): number {
    const { lastEpoch, totalIters, power } = this
    if (first || lastEpoch > totalIters) return group.lr
    return group.lr * ((1 - lastEpoch / totalIters) / (1 - (lastEpoch - 1) / totalIters)) ** power
  }
  protected override closed(_group: ParameterGroup, base: number): number {
    return base * (1 - Math.min(this.totalIters, this.lastEpoch) / this.totalIters) ** this.power
  }
}

/**
 * From the rate as it is to the constant `swaLr`, over `annealEpochs` (default 10), in half a cosine ('cos', the default) or a line ('linear'): for averaging
 * weights. Source: Izmailov et al. 2018, `torch.optim.swa_utils.SWALR`.
 *
 *     new optim.lrScheduler.SWALR(optimizer, 0.05)
 */
export class SWALR extends LRScheduler {
  private readonly swaLrs: readonly number[]
  private readonly annealEpochs: number
  private readonly anneal: (part: number) => number
  constructor(
    optimizer: Optimizer,
    swaLr: number | readonly number[],
    options: { annealEpochs?: number; annealStrategy?: 'cos' | 'linear' } = {},
  ) {
    super(optimizer)
    checkOptions('SWALR', options, { annealEpochs: true, annealStrategy: true })
    const { annealEpochs = 10, annealStrategy = 'cos' } = options
    if (annealStrategy !== 'cos' && annealStrategy !== 'linear')
      throw new ArgumentError('ERR_SCHEDULE', `SWALR: annealStrategy must be 'cos' or 'linear', received ${showValue(annealStrategy)}.`)
    this.swaLrs = perGroup('SWALR', 'swaLr', swaLr, optimizer).map((x) => checkNumber('SWALR', 'swaLr', x, 0))
    this.annealEpochs = checkCount('SWALR', 'annealEpochs', annealEpochs, 0)
    this.anneal = annealStrategy === 'cos' ? (part) => (1 - Math.cos(Math.PI * part)) / 2 : (part) => part
    this.begin()
  }
  protected override jump(): never {
    this.refuseEpoch()
  }
  private share(epoch: number): number {
    return this.anneal(Math.max(0, Math.min(1, epoch / Math.max(1, this.annealEpochs))))
  }
  protected rate(group: ParameterGroup, _base: number, _first: boolean, index: number): number {
    const epoch = this.annealEpochs === 0 ? Math.max(1, this.lastEpoch) : this.lastEpoch
    const swaLr = this.swaLrs[index]
    const before = this.share(epoch - 1)
    const from = before === 1 ? swaLr : (group.lr - before * swaLr) / (1 - before)
    const share = this.share(epoch)
    return swaLr * share + from * (1 - share)
  }
}
