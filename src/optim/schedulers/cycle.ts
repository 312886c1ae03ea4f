/**
 * Schedules that come back: cosines with and without restarts, triangles, and one cycle up and down.
 */
import { ArgumentError, checkFunction, checkOptions, StateError, showValue } from '../../base/errors.js'
import type { Optimizer, ParameterGroup } from '../optimizer.js'
import { checkCount, checkNumber, LRScheduler, perGroup, type SchedulerState } from './scheduler.js'

const wave = (part: number): number => (1 + Math.cos(Math.PI * part)) / 2

/**
 * From the rate down to `etaMin` (default 0) in half a cosine over `tMax` epochs, and up again. Source: Loshchilov and Hutter 2017,
 * `torch.optim.lr_scheduler.CosineAnnealingLR`.
 *
 *     new optim.lrScheduler.CosineAnnealingLR(optimizer, epochs)
 */
export class CosineAnnealingLR extends LRScheduler {
  readonly tMax: number
  readonly etaMin: number
  constructor(optimizer: Optimizer, tMax: number, options: { etaMin?: number } = {}) {
    super(optimizer)
    checkOptions('CosineAnnealingLR', options, { etaMin: true })
    this.tMax = checkCount('CosineAnnealingLR', 'tMax', tMax)
    this.etaMin = checkNumber('CosineAnnealingLR', 'etaMin', options.etaMin ?? 0, 0)
    this.begin()
  }
  protected rate(group: ParameterGroup, base: number, first: boolean): number {
    const { lastEpoch, tMax, etaMin } = this
    if (first) return group.lr
    // at the bottom the quotient below has no value
    if ((lastEpoch - 1 + tMax) % (2 * tMax) === 0) return group.lr + (base - etaMin) * (1 - wave(1 / tMax))
    return (wave(lastEpoch / tMax) / wave((lastEpoch - 1) / tMax)) * (group.lr - etaMin) + etaMin
  }
  protected override closed(_group: ParameterGroup, base: number): number {
    return this.etaMin + (base - this.etaMin) * wave(this.lastEpoch / this.tMax)
  }
}

/**
 * Half cosines from the initial rate to `etaMin` (default 0), over `t0` epochs, then over `tMult` (default 1) times as many, and so on. Source: Loshchilov and
 * Hutter 2017, `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`.
 *
 *     scheduler.step(epoch + batch / batches)      // parts of an epoch, after each batch
 */
export class CosineAnnealingWarmRestarts extends LRScheduler {
  readonly t0: number
  readonly tMult: number
  readonly etaMin: number
  private length: number
  private within = 0
  constructor(optimizer: Optimizer, t0: number, options: { tMult?: number; etaMin?: number } = {}) {
    super(optimizer)
    checkOptions('CosineAnnealingWarmRestarts', options, { tMult: true, etaMin: true })
    this.t0 = checkCount('CosineAnnealingWarmRestarts', 't0', t0)
    this.tMult = checkCount('CosineAnnealingWarmRestarts', 'tMult', options.tMult ?? 1)
    this.etaMin = checkNumber('CosineAnnealingWarmRestarts', 'etaMin', options.etaMin ?? 0, 0)
    this.length = t0
    this.begin()
  }
  override restart(): void {
    this.within = 0
    this.length = this.t0
    super.restart()
  }
  protected override advance(): void {
    super.advance()
    this.within++
    if (this.within >= this.length) {
      this.within -= this.length
      this.length *= this.tMult
    }
  }
  protected override jump(epoch: number): void {
    this.lastEpoch = Math.floor(checkNumber('CosineAnnealingWarmRestarts', "step()'s epoch", epoch, 0, Number.MAX_SAFE_INTEGER))
    this.within = epoch
    this.length = this.t0
    while (this.within >= this.length && this.tMult > 1) {
      this.within -= this.length
      this.length *= this.tMult
    }
    if (this.tMult === 1) this.within %= this.length
  }
  protected rate(_group: ParameterGroup, base: number): number {
    return this.etaMin + (base - this.etaMin) * wave(this.within / this.length)
  }
  protected override ownState(): SchedulerState {
    return { T_cur: this.within, T_i: this.length }
  }
  protected override loadOwn(state: SchedulerState): void {
    this.within = state.T_cur as number
    this.length = state.T_i as number
  }
}

/** A group whose momentum, or first beta, can be set. */
type Moving = ParameterGroup & { momentum?: number; betas?: readonly [number, number] }

/** Sets a group's momentum, or Adam's first beta. */
function setMomentum(name: string, group: Moving, value: number): void {
  if (group.betas !== undefined) group.betas = [value, group.betas[1]]
  else if (group.momentum !== undefined) group.momentum = value
  else throw new ArgumentError('ERR_SCHEDULE', `${name}: the optimizer has neither momentum nor betas. Pass { cycleMomentum: false }.`)
}

export interface CyclicOptions {
  /** Steps from the base rate to the highest; default 2000. */
  stepSizeUp?: number
  /** Steps back; default as many. */
  stepSizeDown?: number
  /** 'triangular' (the default), 'triangular2', halved after each cycle, or 'exp_range', times gamma at each step. */
  mode?: 'triangular' | 'triangular2' | 'exp_range'
  /** Default 1. */
  gamma?: number
  /** In place of a mode: a factor for the amplitude. */
  scaleFn?: (x: number) => number
  /** Whether `scaleFn` gets the number of the cycle, from 1, or that of the step; default 'cycle'. */
  scaleMode?: 'cycle' | 'iterations'
  /** Move the momentum against the rate; default true. */
  cycleMomentum?: boolean
  /** Default 0.8. */
  baseMomentum?: number | readonly number[]
  /** Default 0.9. */
  maxMomentum?: number | readonly number[]
}

/**
 * Up and down between `baseLr` and `maxLr` in straight lines; one `step()` for each optimizer step. Source: Smith 2017,
 * `torch.optim.lr_scheduler.CyclicLR`.
 *
 *     new optim.lrScheduler.CyclicLR(optimizer, 0.01, 0.1, { stepSizeUp: 500 })
 */
export class CyclicLR extends LRScheduler {
  override readonly everyStep = true
  private readonly maxLrs: readonly number[]
  private readonly total: number
  private readonly rising: number
  private readonly options: CyclicOptions
  private readonly momentums: readonly { readonly base: number; readonly max: number }[] | undefined

  constructor(optimizer: Optimizer, baseLr: number | readonly number[], maxLr: number | readonly number[], options: CyclicOptions = {}) {
    super(optimizer)
    const name = 'CyclicLR'
    checkOptions(name, options, {
      stepSizeUp: true,
      stepSizeDown: true,
      mode: true,
      gamma: true,
      scaleFn: true,
      scaleMode: true,
      cycleMomentum: true,
      baseMomentum: true,
      maxMomentum: true,
    })
    const {
      stepSizeUp = 2000,
      stepSizeDown = stepSizeUp,
      mode = 'triangular',
      scaleFn,
      scaleMode = 'cycle',
      cycleMomentum = true,
    } = options
    if (scaleFn === undefined && !['triangular', 'triangular2', 'exp_range'].includes(mode))
      throw new ArgumentError(
        'ERR_SCHEDULE',
        `${name}: mode must be 'triangular', 'triangular2' or 'exp_range', received ${showValue(mode)}.`,
      )
    if (scaleFn !== undefined) checkFunction(`${name}: scaleFn`, scaleFn)
    if (!['cycle', 'iterations'].includes(scaleMode))
      throw new ArgumentError('ERR_SCHEDULE', `${name}: scaleMode must be 'cycle' or 'iterations', received ${showValue(scaleMode)}.`)
    this.baseLrs = perGroup(name, 'baseLr', baseLr, optimizer).map((x) => checkNumber(name, 'baseLr', x, 0))
    this.maxLrs = perGroup(name, 'maxLr', maxLr, optimizer).map((x) => checkNumber(name, 'maxLr', x, 0))
    this.total = checkNumber(name, 'stepSizeUp', stepSizeUp, 1) + checkNumber(name, 'stepSizeDown', stepSizeDown, 1)
    this.rising = stepSizeUp / this.total
    this.options = { ...options, mode }
    if (cycleMomentum) {
      const base = perGroup(name, 'baseMomentum', options.baseMomentum ?? 0.8, optimizer)
      const max = perGroup(name, 'maxMomentum', options.maxMomentum ?? 0.9, optimizer)
      this.momentums = base.map((b, i) => ({ base: b, max: max[i] }))
    }
    this.begin()
  }

  /** How far up it is, 0 … 1, and the factor of the amplitude. */
  private place(): number {
    const { total, rising, lastEpoch } = this
    const { mode, gamma = 1, scaleFn } = this.options
    const cycle = Math.floor(1 + lastEpoch / total)
    const x = 1 + lastEpoch / total - cycle
    const height = x <= rising ? x / rising : (x - 1) / (rising - 1)
    if (scaleFn !== undefined)
      return height * checkNumber('CyclicLR', 'what scaleFn gives', scaleFn(this.options.scaleMode === 'iterations' ? lastEpoch : cycle))
    if (mode === 'triangular') return height
    return height * (mode === 'triangular2' ? 1 / 2 ** (cycle - 1) : gamma ** lastEpoch)
  }

  protected rate(group: ParameterGroup, base: number, _first: boolean, index: number): number {
    const place = this.place()
    const momentum = this.momentums?.[index]
    if (momentum !== undefined) setMomentum('CyclicLR', group, momentum.max - (momentum.max - momentum.base) * place)
    return base + (this.maxLrs[index] - base) * place
  }
}

export interface OneCycleOptions {
  /** Steps of the whole cycle; or `epochs` and `stepsPerEpoch`. */
  totalSteps?: number
  epochs?: number
  stepsPerEpoch?: number
  /** The part of the cycle in which the rate rises; default 0.3. */
  pctStart?: number
  /** Default 'cos'. */
  annealStrategy?: 'cos' | 'linear'
  /** Move the momentum against the rate; default true. */
  cycleMomentum?: boolean
  /** Default 0.85. */
  baseMomentum?: number | readonly number[]
  /** Default 0.95. */
  maxMomentum?: number | readonly number[]
  /** The first rate is maxLr / divFactor; default 25. */
  divFactor?: number
  /** The last rate is the first / finalDivFactor; default 1e4. */
  finalDivFactor?: number
  /** Come down to the first rate, then to the last; default false. */
  threePhase?: boolean
}

/** A stretch of the cycle: where it ends, and the rates and momentums at its ends by name. */
interface Phase {
  readonly end: number
  readonly lr: readonly ['first' | 'max', 'first' | 'max' | 'last']
  readonly momentum: readonly ['base' | 'max', 'base' | 'max']
}

/**
 * Once up to `maxLr` and down to almost nothing; one `step()` for each optimizer step. Source: Smith and Topin 2018,
 * `torch.optim.lr_scheduler.OneCycleLR`.
 *
 *     new optim.lrScheduler.OneCycleLR(optimizer, 0.1, { epochs: 10, stepsPerEpoch: loader.length })
 *
 * @throws StateError `ERR_SCHEDULE_OVER` for more steps than there are.
 */
export class OneCycleLR extends LRScheduler {
  override readonly everyStep = true
  readonly totalSteps: number
  private readonly phases: readonly Phase[]
  private readonly rates: readonly { readonly first: number; readonly max: number; readonly last: number }[]
  private readonly momentums: readonly { readonly base: number; readonly max: number }[] | undefined
  private readonly anneal: (start: number, end: number, part: number) => number

  constructor(optimizer: Optimizer, maxLr: number | readonly number[], options: OneCycleOptions = {}) {
    super(optimizer)
    const name = 'OneCycleLR'
    checkOptions(name, options, {
      totalSteps: true,
      epochs: true,
      stepsPerEpoch: true,
      pctStart: true,
      annealStrategy: true,
      cycleMomentum: true,
      baseMomentum: true,
      maxMomentum: true,
      divFactor: true,
      finalDivFactor: true,
      threePhase: true,
    })
    const {
      pctStart = 0.3,
      annealStrategy = 'cos',
      cycleMomentum = true,
      divFactor = 25,
      finalDivFactor = 1e4,
      threePhase = false,
    } = options
    const { totalSteps, epochs, stepsPerEpoch } = options
    if (totalSteps === undefined && (epochs === undefined || stepsPerEpoch === undefined))
      throw new ArgumentError('ERR_SCHEDULE', `${name}: needs totalSteps, or epochs and stepsPerEpoch.`)
    this.totalSteps =
      totalSteps !== undefined
        ? checkCount(name, 'totalSteps', totalSteps)
        : checkCount(name, 'epochs', epochs as number) * checkCount(name, 'stepsPerEpoch', stepsPerEpoch as number)
    checkNumber(name, 'pctStart', pctStart, 0, 1)
    if (annealStrategy !== 'cos' && annealStrategy !== 'linear')
      throw new ArgumentError('ERR_SCHEDULE', `${name}: annealStrategy must be 'cos' or 'linear', received ${showValue(annealStrategy)}.`)
    this.anneal = annealStrategy === 'cos' ? (a, b, part) => b + (a - b) * wave(part) : (a, b, part) => (b - a) * part + a
    checkNumber(name, 'divFactor', divFactor, Number.MIN_VALUE)
    checkNumber(name, 'finalDivFactor', finalDivFactor, Number.MIN_VALUE)
    this.rates = perGroup(name, 'maxLr', maxLr, optimizer).map((max) => {
      const first = checkNumber(name, 'maxLr', max, 0) / divFactor
      return { first, max, last: first / finalDivFactor }
    })
    this.phases = phasesOf(this.totalSteps, pctStart, threePhase)
    if (cycleMomentum) {
      const base = perGroup(name, 'baseMomentum', options.baseMomentum ?? 0.85, optimizer)
      const max = perGroup(name, 'maxMomentum', options.maxMomentum ?? 0.95, optimizer)
      this.momentums = base.map((b, i) => ({ base: b, max: max[i] }))
    }
    optimizer.groups.forEach((group, i) => {
      group.initialLr = this.rates[i].first
    })
    this.baseLrs = this.rates.map(({ first }) => first)
    this.begin()
  }

  protected override advance(): void {
    this.checkOver(this.lastEpoch + 1)
    super.advance()
  }

  protected override jump(epoch: number): void {
    if (Number.isInteger(epoch)) this.checkOver(epoch)
    super.jump(epoch)
  }

  private checkOver(next: number): void {
    if (next <= this.totalSteps) return
    throw new StateError(
      'ERR_SCHEDULE_OVER',
      `OneCycleLR: the cycle has ${this.totalSteps} steps, and this would be step ${next}. Give it as many as the training has.`,
    )
  }

  protected rate(group: ParameterGroup, _base: number, _first: boolean, index: number): number {
    const at = Math.max(
      0,
      this.phases.findIndex((phase, i) => this.lastEpoch <= phase.end || i === this.phases.length - 1),
    )
    const phase = this.phases[at]
    const start = at === 0 ? 0 : this.phases[at - 1].end
    const part = (this.lastEpoch - start) / (phase.end - start)
    const momentum = this.momentums?.[index]
    if (momentum !== undefined)
      setMomentum('OneCycleLR', group, this.anneal(momentum[phase.momentum[0]], momentum[phase.momentum[1]], part))
    const rates = this.rates[index]
    // a step behind the last, as loops take it that step at their end, must not go below zero
    return Math.max(0, this.anneal(rates[phase.lr[0]], rates[phase.lr[1]], part))
  }
}

function phasesOf(total: number, pctStart: number, threePhase: boolean): Phase[] {
  const up: Phase = { end: pctStart * total - 1, lr: ['first', 'max'], momentum: ['max', 'base'] }
  if (!threePhase) return [up, { end: total - 1, lr: ['max', 'last'], momentum: ['base', 'max'] }]
  return [
    up,
    { end: 2 * pctStart * total - 2, lr: ['max', 'first'], momentum: ['base', 'max'] },
    { end: total - 1, lr: ['first', 'last'], momentum: ['max', 'max'] },
  ]
}
