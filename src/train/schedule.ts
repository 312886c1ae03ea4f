/**
 * The schedule of a training: when it is stepped, and by which figure. In: the option `scheduler`. Out: what the loop calls.
 */
import { LRScheduler, ReduceLROnPlateau } from '../optim/schedulers/index.js'
import { type Epoch, figureReader, type Metrics } from './history.js'
import type { FitOptions, FitScheduler } from './options.js'

/** A schedule with when and by what it is stepped. */
export function scheduleOf<M extends Metrics>(given: NonNullable<FitOptions<M>['scheduler']>): FitScheduler<M> {
  return given instanceof LRScheduler || given instanceof ReduceLROnPlateau ? { scheduler: given } : given
}

/** Steps a schedule as a training goes on. */
export class Timetable<M extends Metrics> {
  private readonly scheduler: LRScheduler | ReduceLROnPlateau
  private readonly everyStep: boolean
  private readonly read: (epoch: Epoch<M>) => number

  constructor(given: NonNullable<FitOptions<M>['scheduler']>, validates: boolean) {
    const { scheduler, every, monitor = validates ? 'valLoss' : 'loss' } = scheduleOf(given)
    this.scheduler = scheduler
    this.everyStep = scheduler instanceof LRScheduler && (every === undefined ? scheduler.everyStep : every === 'step')
    this.read = figureReader('scheduler.monitor', monitor)
  }

  /** After an optimizer step was queued: the next one computes with the new rate. */
  afterStep(): void {
    if (this.everyStep && this.scheduler instanceof LRScheduler) this.scheduler.step()
  }

  afterEpoch(epoch: Epoch<M>): void {
    if (this.scheduler instanceof ReduceLROnPlateau) this.scheduler.step(this.read(epoch))
    else if (!this.everyStep) this.scheduler.step()
  }
}
