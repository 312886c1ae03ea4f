/**
 * What learning-rate schedules share. A schedule belongs to an optimizer and changes its groups' `lr` at each `step()`, in double precision; what a compiled
 * step computes with follows without tracing again.
 *
 * Most schedules go on from the rate as it is, as PyTorch's do, so that several can act on one optimizer and what a user sets is kept.
 */
import { ArgumentError, showValue } from '../../base/errors.js'
import { Optimizer, type ParameterGroup } from '../optimizer.js'

/** The counters of a schedule, as plain data for JSON. */
export type SchedulerState = { readonly [name: string]: SchedulerValue }
export type SchedulerValue = number | null | readonly SchedulerValue[] | { readonly [name: string]: SchedulerValue }

/** Throws ArgumentError `ERR_SCHEDULE` unless `value` is a number from `low` to `high`. */
export function checkNumber(name: string, option: string, value: number, low = -Infinity, high = Infinity): number {
  if (typeof value === 'number' && value >= low && value <= high) return value
  const range = high < Infinity ? `between ${low} and ${high}` : low > -Infinity ? `a number from ${low}` : 'a number'
  throw new ArgumentError('ERR_SCHEDULE', `${name}: ${option} must be ${range}, received ${showValue(value)}.`)
}

/** Throws ArgumentError `ERR_SCHEDULE` unless `value` is an integer from `low`. */
export function checkCount(name: string, option: string, value: number, low = 1): number {
  if (Number.isInteger(value) && value >= low) return value
  throw new ArgumentError('ERR_SCHEDULE', `${name}: ${option} must be an integer from ${low}, received ${showValue(value)}.`)
}

/** One value for each group of the optimizer: the same, or one each. */
export function perGroup<T>(name: string, option: string, value: T | readonly T[], optimizer: Optimizer): T[] {
  const { length } = optimizer.groups
  if (!Array.isArray(value)) return new Array<T>(length).fill(value as T)
  if (value.length === length) return [...value]
  throw new ArgumentError(
    'ERR_SCHEDULE',
    `${name}: ${option} has ${value.length} values for ${length} parameter groups. Give one, or one each.`,
  )
}

export function checkOptimizer(name: string, optimizer: unknown): asserts optimizer is Optimizer {
  if (optimizer instanceof Optimizer) return
  throw new ArgumentError('ERR_SCHEDULE', `${name}: the first argument must be an optimizer, received ${showValue(optimizer)}.`)
}

/**
 * Base class of schedules. `step()` once after each epoch (or each optimizer step); `fit(…, { scheduler })` does it for you.
 *
 *     const scheduler = new optim.lrScheduler.StepLR(optimizer, 30, { gamma: 0.1 })
 *     for (let epoch = 0; epoch < 90; epoch++) { …; scheduler.step() }
 */
export abstract class LRScheduler {
  readonly optimizer: Optimizer
  /** Steps taken. */
  lastEpoch = 0
  /** The groups' rates before any schedule changed them. */
  baseLrs: number[]
  /** @internal whether `fit` should call it after each optimizer step rather than after each epoch */
  readonly everyStep: boolean = false
  private lastLr: number[] = []

  constructor(optimizer: Optimizer) {
    checkOptimizer(new.target.name, optimizer)
    this.optimizer = optimizer
    for (const group of optimizer.groups) group.initialLr ??= group.lr
    this.baseLrs = optimizer.groups.map((group) => group.initialLr as number)
  }

  /** The rate of a group at `lastEpoch`, from what it is now. `first` when it was not stepped yet. */
  protected abstract rate(group: ParameterGroup, base: number, first: boolean, index: number): number

  /** The rate at `lastEpoch`, whatever went before. */
  protected closed(group: ParameterGroup, base: number, index: number): number {
    return this.rate(group, base, this.lastEpoch === 0, index)
  }

  /** @internal sets the rates of the beginning; called by constructors when all options are there, and by schedules made of others */
  begin(): void {
    this.apply((group, i) => this.rate(group, this.baseLrs[i], true, i))
  }

  /** @internal starts anew from the initial rates */
  restart(): void {
    this.lastEpoch = 0
    this.apply((group, i) => this.closed(group, this.baseLrs[i], i))
  }

  /** @internal before `begin` */
  undo(): void {
    this.lastEpoch = 0
  }

  /**
   * Sets the rates of the next epoch (or step); with `epoch`, those of that epoch, whatever went before.
   *
   * @throws ArgumentError `ERR_SCHEDULE` unless `epoch` is a whole number from 0 (`CosineAnnealingWarmRestarts`: a number from 0), or for schedules that take none.
   */
  step(epoch?: number): void {
    if (epoch === undefined) {
      this.advance()
      this.apply((group, i) => this.rate(group, this.baseLrs[i], false, i))
    } else {
      this.jump(epoch)
      this.apply((group, i) => this.closed(group, this.baseLrs[i], i))
    }
  }

  /** Counts one more epoch. */
  protected advance(): void {
    this.lastEpoch++
  }

  /** Goes to an epoch. */
  protected jump(epoch: number): void {
    this.lastEpoch = checkCount(this.constructor.name, "step()'s epoch", epoch, 0)
  }

  /** Refuses to go to an epoch: the rates follow from those before. */
  protected refuseEpoch(): never {
    throw new ArgumentError(
      'ERR_SCHEDULE',
      `${this.constructor.name}: step() takes no epoch, since what it sets goes on from what was before. Call step() once for each epoch.`,
    )
  }

  /** @internal */
  protected apply(rate: (group: ParameterGroup, index: number) => number): void {
    const rates = this.optimizer.groups.map(rate)
    this.optimizer.groups.forEach((group, i) => {
      group.lr = rates[i]
    })
    this.note()
  }

  /** @internal keeps the rates as they are now for `getLastLr` */
  protected note(): void {
    this.lastLr = this.optimizer.groups.map((group) => group.lr)
  }

  /** The rates set last, one for each group. */
  getLastLr(): number[] {
    return [...this.lastLr]
  }

  /** Counters to go on from, as plain data. The rates themselves are in the optimizer's `stateDict()`. */
  stateDict(): SchedulerState {
    return { last_epoch: this.lastEpoch, base_lrs: this.baseLrs, _last_lr: this.lastLr, ...this.ownState() }
  }

  /** What a schedule counts beside its epochs. */
  protected ownState(): SchedulerState {
    return {}
  }

  /** Takes what `ownState` gave. */
  protected loadOwn(_state: SchedulerState): void {}

  /**
   * Goes on from a `stateDict()` of the same kind of schedule. The rates come with the optimizer's state, to be loaded as well.
   *
   * @throws ArgumentError `ERR_STATE_DICT` when it is of something else; nothing is changed then.
   */
  loadStateDict(state: SchedulerState): void {
    const refused = this.refuse(state)
    if (refused !== undefined)
      throw new ArgumentError('ERR_STATE_DICT', `loadStateDict: ${refused}. Load the state of a ${this.constructor.name}.`)
    this.lastEpoch = state.last_epoch as number
    this.baseLrs = [...(state.base_lrs as number[])]
    this.lastLr = [...(state._last_lr as number[])]
    this.loadOwn(state)
  }

  /** @internal what is wrong with a state; `undefined` when it can be loaded */
  refuse(state: SchedulerState): string | undefined {
    if (typeof state !== 'object' || state === null) return `needs an object, received ${showValue(state)}`
    if (!Number.isInteger(state.last_epoch)) return 'last_epoch is missing'
    for (const key of ['base_lrs', '_last_lr']) {
      const list = state[key]
      if (!Array.isArray(list) || list.length !== this.optimizer.groups.length || !list.every((x) => typeof x === 'number'))
        return `${key} must have ${this.optimizer.groups.length} numbers, received ${showValue(list)}`
    }
    const missing = Object.keys(this.ownState()).find((key) => state[key] === undefined)
    return missing === undefined ? undefined : `${missing} is missing`
  }
}
