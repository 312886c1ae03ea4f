/**
 * Schedules made of schedules: one after the other, or all at once.
 */
import { ArgumentError, showValue } from '../../base/errors.js'
import type { Optimizer } from '../optimizer.js'
import { checkCount, LRScheduler, type SchedulerState, type SchedulerValue } from './scheduler.js'

function checkParts(name: string, schedulers: readonly LRScheduler[], optimizer: Optimizer | undefined): readonly LRScheduler[] {
  if (!Array.isArray(schedulers) || schedulers.length === 0)
    throw new ArgumentError('ERR_SCHEDULE', `${name}: needs an array of at least one schedule.`)
  for (const [i, s] of schedulers.entries()) {
    if (!(s instanceof LRScheduler))
      throw new ArgumentError(
        'ERR_SCHEDULE',
        `${name}: element ${i} is no schedule but ${showValue(s?.constructor?.name ?? s)}. ReduceLROnPlateau has to stand alone.`,
      )
    if (s.optimizer !== (optimizer ?? schedulers[0].optimizer))
      throw new ArgumentError('ERR_SCHEDULE', `${name}: schedule ${i} belongs to another optimizer.`)
  }
  return schedulers
}

/** What the two share. */
abstract class Composite extends LRScheduler {
  readonly schedulers: readonly LRScheduler[]

  constructor(optimizer: Optimizer, schedulers: readonly LRScheduler[]) {
    super(optimizer)
    this.schedulers = schedulers
  }

  protected rate(): never {
    throw new Error('schedules made of others have no rate of their own')
  }
  override undo(): void {
    super.undo()
    for (const s of this.schedulers) s.undo()
  }
  protected override ownState(): SchedulerState {
    return { _schedulers: this.schedulers.map((s) => s.stateDict()) }
  }
  protected override loadOwn(state: SchedulerState): void {
    const parts = state._schedulers as readonly SchedulerState[]
    this.schedulers.forEach((s, i) => void s.loadStateDict(parts[i]))
  }
  override refuse(state: SchedulerState): string | undefined {
    const refused = super.refuse(state)
    if (refused !== undefined) return refused
    const parts = state._schedulers as readonly SchedulerValue[]
    if (!Array.isArray(parts) || parts.length !== this.schedulers.length) return `_schedulers must have ${this.schedulers.length} parts`
    return this.schedulers.map((s, i) => s.refuse(parts[i] as SchedulerState)).find((r) => r !== undefined)
  }
}

/**
 * One schedule after the other: the next begins at each milestone. Source: `torch.optim.lr_scheduler.SequentialLR`.
 *
 *     const warmup = new LinearLR(optimizer, { startFactor: 0.01, totalIters: 5 })
 *     new SequentialLR(optimizer, [warmup, new CosineAnnealingLR(optimizer, 95)], [5])
 *
 * @throws ArgumentError `ERR_SCHEDULE` unless there is one milestone less than schedules, and all belong to the optimizer.
 */
export class SequentialLR extends Composite {
  readonly milestones: readonly number[]
  constructor(optimizer: Optimizer, schedulers: readonly LRScheduler[], milestones: readonly number[]) {
    super(optimizer, checkParts('SequentialLR', schedulers, optimizer))
    if (!Array.isArray(milestones) || milestones.length !== schedulers.length - 1)
      throw new ArgumentError(
        'ERR_SCHEDULE',
        `SequentialLR: ${schedulers.length} schedules need ${schedulers.length - 1} milestones, received ${showValue(milestones)}.`,
      )
    this.milestones = milestones.map((m) => checkCount('SequentialLR', 'a milestone', m, 0))
    // the schedules have begun already, each for itself: back to the start
    for (const group of optimizer.groups) group.lr = group.initialLr as number
    this.begin()
  }
  private at(epoch: number): number {
    return this.milestones.filter((m) => m <= epoch).length
  }
  override begin(): void {
    this.undo()
    this.schedulers[this.at(0)].begin()
    this.note()
  }
  override restart(): void {
    this.undo()
    this.schedulers[this.at(0)].restart()
    this.note()
  }
  override step(epoch?: number): void {
    if (epoch !== undefined) this.refuseEpoch()
    this.lastEpoch++
    const index = this.at(this.lastEpoch)
    if (index > 0 && this.milestones[index - 1] === this.lastEpoch) this.schedulers[index].restart()
    else this.schedulers[index].step()
    this.note()
  }
}

/**
 * All schedules at each step, one upon the other. Source: `torch.optim.lr_scheduler.ChainedScheduler`.
 *
 *     new ChainedScheduler([new ConstantLR(optimizer), new ExponentialLR(optimizer, 0.9)])
 */
export class ChainedScheduler extends Composite {
  constructor(schedulers: readonly LRScheduler[]) {
    super(checkParts('ChainedScheduler', schedulers, undefined)[0].optimizer, schedulers)
    this.note()
  }
  override begin(): void {
    for (const s of this.schedulers) s.begin()
    this.note()
  }
  override restart(): void {
    this.undo()
    this.optimizer.groups.forEach((group, i) => {
      group.lr = this.baseLrs[i]
    })
    this.begin()
  }
  override step(epoch?: number): void {
    if (epoch !== undefined) this.refuseEpoch()
    this.lastEpoch++
    for (const s of this.schedulers) s.step()
    this.note()
  }
}
