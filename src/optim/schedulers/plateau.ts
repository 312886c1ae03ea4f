/**
 * The schedule that looks at what comes out.
 */
import { ArgumentError, checkOptions, showValue } from '../../base/errors.js'
import { Tensor } from '../../tensor/tensor.js'
import type { Optimizer } from '../optimizer.js'
import { checkCount, checkNumber, checkOptimizer, perGroup, type SchedulerState } from './scheduler.js'

export interface PlateauOptions {
  /** Whether lower or higher is better; default 'min'. */
  mode?: 'min' | 'max'
  /** By what the rate is multiplied, below 1; default 0.1. */
  factor?: number
  /** Epochs without improvement that pass unpunished; default 10. */
  patience?: number
  /** By how much it must improve to count; default 1e-4. */
  threshold?: number
  /** Whether the threshold is a part of the best figure or a difference; default 'rel'. */
  thresholdMode?: 'rel' | 'abs'
  /** Epochs after a reduction that do not count; default 0. */
  cooldown?: number
  /** Default 0. */
  minLr?: number | readonly number[]
  /** Reductions smaller than this are left out; default 1e-8. */
  eps?: number
}

/**
 * Lowers the rate when a figure has stopped improving. `fit(…, { scheduler })` gives it the validation loss. Source:
 * `torch.optim.lr_scheduler.ReduceLROnPlateau`.
 *
 *     const scheduler = new optim.lrScheduler.ReduceLROnPlateau(optimizer, { factor: 0.5, patience: 3 })
 *     scheduler.step(validationLoss)
 *
 * @throws ArgumentError `ERR_SCHEDULE`.
 */
export class ReduceLROnPlateau {
  readonly optimizer: Optimizer
  lastEpoch = 0
  private readonly options: Required<Omit<PlateauOptions, 'minLr'>>
  private readonly minLrs: readonly number[]
  private best: number
  private bad = 0
  private cooling = 0
  private lastLr: number[]

  constructor(optimizer: Optimizer, options: PlateauOptions = {}) {
    const name = 'ReduceLROnPlateau'
    checkOptimizer(name, optimizer)
    checkOptions(name, options, {
      mode: true,
      factor: true,
      patience: true,
      threshold: true,
      thresholdMode: true,
      cooldown: true,
      minLr: true,
      eps: true,
    })
    const { mode = 'min', factor = 0.1, patience = 10, threshold = 1e-4, thresholdMode = 'rel', cooldown = 0, eps = 1e-8 } = options
    if (mode !== 'min' && mode !== 'max')
      throw new ArgumentError('ERR_SCHEDULE', `${name}: mode must be 'min' or 'max', received ${showValue(mode)}.`)
    if (thresholdMode !== 'rel' && thresholdMode !== 'abs')
      throw new ArgumentError('ERR_SCHEDULE', `${name}: thresholdMode must be 'rel' or 'abs', received ${showValue(thresholdMode)}.`)
    checkNumber(name, 'factor', factor, 0)
    if (!(factor < 1)) throw new ArgumentError('ERR_SCHEDULE', `${name}: factor must be below 1, received ${showValue(factor)}.`)
    if (patience !== Number.POSITIVE_INFINITY) checkCount(name, 'patience', patience, 0)
    checkCount(name, 'cooldown', cooldown, 0)
    checkNumber(name, 'threshold', threshold)
    this.optimizer = optimizer
    this.options = { mode, factor, patience, threshold, thresholdMode, cooldown, eps: checkNumber(name, 'eps', eps, 0) }
    this.minLrs = perGroup(name, 'minLr', options.minLr ?? 0, optimizer)
    this.best = mode === 'min' ? Infinity : -Infinity
    this.lastLr = optimizer.groups.map((group) => group.lr)
  }

  private better(value: number): boolean {
    const { mode, threshold, thresholdMode } = this.options
    const { best } = this
    if (thresholdMode === 'rel') return mode === 'min' ? value < best * (1 - threshold) : value > best * (threshold + 1)
    return mode === 'min' ? value < best - threshold : value > best + threshold
  }

  /** Takes the figure of an epoch: a number, or a tensor with one; the epoch is the next, or the one given. */
  step(metrics: number | Tensor, epoch?: number): void {
    const value = metrics instanceof Tensor ? metrics.item() : metrics
    if (typeof value !== 'number')
      throw new ArgumentError('ERR_SCHEDULE', `ReduceLROnPlateau: step() needs the figure of the epoch, received ${showValue(value)}.`)
    const { factor, patience, cooldown, eps } = this.options
    this.lastEpoch = epoch === undefined ? this.lastEpoch + 1 : checkCount('ReduceLROnPlateau', "step()'s epoch", epoch, 0)
    if (this.better(value)) {
      this.best = value
      this.bad = 0
    } else {
      this.bad++
    }
    if (this.cooling > 0) {
      this.cooling--
      this.bad = 0
    }
    if (this.bad > patience) {
      this.optimizer.groups.forEach((group, i) => {
        const lower = Math.max(group.lr * factor, this.minLrs[i])
        if (group.lr - lower > eps) group.lr = lower
      })
      this.cooling = cooldown
      this.bad = 0
    }
    this.lastLr = this.optimizer.groups.map((group) => group.lr)
  }

  /** The rates set last, one for each group. */
  getLastLr(): number[] {
    return [...this.lastLr]
  }

  /** Counters to go on from, as plain data; `best` is null before the first figure. */
  stateDict(): SchedulerState {
    const { lastEpoch, best, bad, cooling, lastLr } = this
    return {
      last_epoch: lastEpoch,
      best: Number.isFinite(best) ? best : null,
      num_bad_epochs: bad,
      cooldown_counter: cooling,
      _last_lr: lastLr,
    }
  }

  /** Goes on from a `stateDict()`. @throws ArgumentError `ERR_STATE_DICT` when it is of something else; nothing is changed then. */
  loadStateDict(state: SchedulerState): void {
    const refused = this.refuse(state)
    if (refused !== undefined)
      throw new ArgumentError('ERR_STATE_DICT', `loadStateDict: ${refused}. Load the state of a ReduceLROnPlateau.`)
    this.lastEpoch = state.last_epoch as number
    this.best = (state.best as number | null) ?? (this.options.mode === 'min' ? Infinity : -Infinity)
    this.bad = state.num_bad_epochs as number
    this.cooling = state.cooldown_counter as number
    this.lastLr = [...(state._last_lr as number[])]
  }

  /** @internal what is wrong with a state; `undefined` when it can be loaded */
  refuse(state: SchedulerState): string | undefined {
    if (typeof state !== 'object' || state === null) return `needs an object, received ${showValue(state)}`
    const missing = ['last_epoch', 'num_bad_epochs', 'cooldown_counter'].find((key) => !Number.isInteger(state[key]))
    if (missing !== undefined) return `${missing} is missing`
    if (state.best !== null && typeof state.best !== 'number') return 'best must be a number or null'
    return Array.isArray(state._last_lr) && state._last_lr.length === this.optimizer.groups.length ? undefined : '_last_lr does not fit'
  }
}
