/**
 * The loop behind `fit`: epochs of steps, queued some way ahead, and their validation. In: checked options. Out: the history.
 *
 * Losses are read when their step is done, a few steps later, so that the background thread always has work. Everything that waits
 * gives way to the event loop.
 */
import { ofWhole } from '../backend/status.js'
import { StateError } from '../base/errors.js'
import type { Module } from '../nn/module.js'
import { getRandomState, setRandomState } from '../tensor/random.js'
import { type Batch, type BatchSource, batchSource, bytesOf, depthFor, type FitData } from './batches.js'
import { checkMode } from './checks.js'
import { explainLoss } from './diagnosis.js'
import { NotFinite } from './gate.js'
import { type Epoch, History, type Metrics, type Values } from './history.js'
import { aftermathOf, Judge } from './judge.js'
import type { FitOptions } from './options.js'
import { Pacer } from './pacer.js'
import { makeProgress, type Progress, type StepNews } from './progress.js'
import { Timetable } from './schedule.js'
import { type Figures, makeSteps, type Steps } from './steps.js'
import { Tally } from './whole.js'

/** A step of a training. */
export interface FitStep {
  /** From 1, through all epochs. */
  readonly step: number
  readonly epoch: number
  /** The training loss. Awaiting it waits for the step; not reading it costs nothing. */
  readonly loss: Promise<number>
}

/** How the loop talks to those who watch. */
export interface Watchers<M extends Metrics> {
  /** Aborted when a loop over epochs or steps was left. */
  readonly left: AbortSignal
  /** `make` is called when somebody watches. What is returned is settled when they have seen it. */
  onStep(make: () => FitStep): Promise<unknown> | undefined
  onEpoch(epoch: Epoch<M>): Promise<unknown> | undefined
}

/** Models, with all modules in them, that are being trained. */
const busy = new WeakSet<Module>()

export async function train<M extends Metrics>(
  model: Module,
  data: FitData,
  options: FitOptions<M>,
  watchers: Watchers<M>,
): Promise<History<M>> {
  options.signal?.throwIfAborted()
  const modules = model.modules()
  if (modules.some((m) => busy.has(m))) {
    throw new StateError(
      'ERR_FIT_RUNNING',
      'fit: this model, or a part of it, is being trained already. Await the first fit, or train a clone().',
    )
  }
  checkMode(model)
  for (const m of modules) busy.add(m)
  try {
    return await new Training(model, data, options, watchers).run()
  } finally {
    for (const m of modules) busy.delete(m)
  }
}

/** A step that is queued or running. */
class Pending {
  readonly batch: Batch
  readonly figures: Promise<Figures>
  done = false

  constructor(batch: Batch, figures: Promise<Figures>) {
    this.batch = batch
    this.figures = figures
    // it is awaited later, perhaps after another one has failed
    figures.then(
      () => {
        this.done = true
      },
      () => {
        this.done = true
      },
    )
  }
}

/** The figures of an epoch so far; losses are averaged over samples. */
class Means implements StepNews {
  readonly epoch: number
  private readonly tallies: readonly (readonly [name: string, Tally])[]
  private sum = 0
  samples = 0
  done = 0

  constructor(epoch: number, metrics: Metrics) {
    this.epoch = epoch
    this.tallies = Object.entries(metrics).map(([name, metric]) => [name, new Tally(metric)])
  }

  /** Takes in a batch; returns its loss. */
  add({ loss, metrics }: Figures, size: number): number {
    const value = loss.item()
    this.sum += value * size
    this.samples += size
    this.done++
    this.tallies.forEach(([, tally], i) => void tally.add(metrics[i], size))
    return value
  }

  get loss(): number {
    return this.sum / this.samples
  }

  get metrics(): Record<string, number> {
    return Object.fromEntries(this.tallies.map(([name, tally]) => [name, tally.value]))
  }
}

/** Milliseconds of work that should wait in the queue. */
const aheadTime = 20

class Training<M extends Metrics> {
  private readonly model: Module
  private readonly options: FitOptions<M>
  private readonly watchers: Watchers<M>
  private readonly pacer = new Pacer()
  private readonly steps: Steps
  private readonly data: BatchSource
  private readonly validation: BatchSource | undefined
  private readonly metrics: Metrics
  private readonly epochs: number
  private readonly progress: Progress
  private readonly timetable: Timetable<M> | undefined
  private readonly judge: Judge<M> | undefined
  /** Batches an optimizer step, and how many are in the gradients now. */
  private readonly accumulate: number
  private gathered = 0
  /** Shapes of batches that programs were made for. */
  private readonly prepared = new Set<string>()
  /** Training losses of the last steps, for the advice when they run away. */
  private readonly trail: number[] = []
  /** Steps queued, and steps whose loss is known. */
  private taken = 0
  private known = 0
  /** When a loss became known last. */
  private settled = 0
  /** Milliseconds a step takes, once known. */
  private pace = 0

  constructor(model: Module, data: FitData, options: FitOptions<M>, watchers: Watchers<M>) {
    const { batchSize, shuffle, dropLast, seed, validation, epochs = 1, accumulate = 1, scheduler, earlyStopping, optimizer } = options
    this.model = model
    this.options = options
    this.watchers = watchers
    this.epochs = epochs
    this.accumulate = accumulate
    if (scheduler !== undefined) this.timetable = new Timetable(scheduler, validation !== undefined)
    this.metrics = options.metrics ?? {}
    this.steps = makeSteps(model, options)
    const reuse = !this.steps.eager
    this.data = batchSource('fit', data, { batchSize, shuffle, dropLast, seed, reuse, training: true }, this.pacer)
    if (validation !== undefined)
      this.validation = batchSource('fit: validation', validation, { batchSize, reuse, training: false }, this.pacer)
    if (earlyStopping !== undefined) this.judge = new Judge(model, optimizer, earlyStopping, validation !== undefined)
    this.progress = makeProgress(options.progress ?? 'auto', { epochs, batches: this.data.batches })
  }

  async run(): Promise<History<M>> {
    const { judge } = this
    const { signal } = this.options
    const start = performance.now()
    const epochs: Epoch<M>[] = []
    let stopped: History['stopped'] = 'finished'
    let note: string | undefined
    try {
      if (this.epochs > 0) await this.rehearse()
      // what is left from before must not be added to
      if (this.accumulate > 1) this.options.optimizer.zeroGrad()
      for (let epoch = 1; epoch <= this.epochs; epoch++) {
        const result = await this.epoch(epoch)
        if (result !== undefined) {
          epochs.push(result)
          this.timetable?.afterEpoch(result)
          this.progress.epoch(result)
          if (judge?.judge(result)) stopped = 'early'
          await this.watchers.onEpoch(result)
        }
        signal?.throwIfAborted()
        if (this.watchers.left.aborted) stopped = 'break'
        if (stopped !== 'finished') break
      }
      if (stopped !== 'break') judge?.restore()
      if (stopped === 'early')
        note =
          judge?.bestEpoch === undefined
            ? 'stopped early: the figure to improve was NaN all along'
            : `stopped early: no improvement since epoch ${judge.bestEpoch}`
      return new History(epochs, this.taken, (performance.now() - start) / 1000, stopped, judge?.bestEpoch)
    } catch (error) {
      if (error instanceof StateError && error.code === 'ERR_LOSS_NOT_FINITE') judge?.recover()
      throw error
    } finally {
      this.progress.end(note)
    }
  }

  /** The first batch of the validation data, judged for nothing: a mistake there should not show after an epoch. */
  private async rehearse(): Promise<void> {
    if (this.validation === undefined || !this.validation.peekable) return
    const batches = this.validation.epoch()
    const first = await batches.next()
    await batches.return?.()
    if (first.done) throw noBatches('fit: validation', 1)
    const random = getRandomState()
    const figures = this.steps.judge(first.value.x, first.value.y)
    setRandomState(random)
    await figures
  }

  /** One epoch, or `undefined` when it was left. */
  private async epoch(epoch: number): Promise<Epoch<M> | undefined> {
    const start = performance.now()
    const means = new Means(epoch, this.metrics)
    const whole = await this.pass(this.data, 'fit', epoch, means, (loss) => this.learnt(means, loss))
    if (!whole) return undefined
    const trained = performance.now()
    const result = { epoch, loss: means.loss, metrics: means.metrics as Values<M>, steps: means.done, samples: means.samples }
    const samplesPerSecond = means.samples / Math.max((trained - start) / 1000, 1e-9)
    if (this.validation === undefined) return { ...result, seconds: (trained - start) / 1000, samplesPerSecond }
    this.progress.validating(epoch)
    const judged = new Means(epoch, this.metrics)
    if (!(await this.pass(this.validation, 'fit: validation', epoch, judged))) return undefined
    const validated = { valLoss: judged.loss, valMetrics: judged.metrics as Values<M> }
    return { ...result, ...validated, seconds: (performance.now() - start) / 1000, samplesPerSecond }
  }

  /** Whether it is time to end; throws when aborted. */
  private leaving(): boolean {
    this.options.signal?.throwIfAborted()
    return this.watchers.left.aborted
  }

  /**
   * Queues all batches of a source, adding up their figures. Training when `learnt` is given, else judging. Returns false when left before the end. Nothing
   * of it is under way any more when this returns or throws.
   */
  private async pass(source: BatchSource, what: string, epoch: number, means: Means, learnt?: (loss: number) => void): Promise<boolean> {
    const pending: Pending[] = []
    const batches = source.epoch()
    const settle = async (): Promise<void> => {
      const [{ batch, figures }] = pending
      const settled = await figures.catch((error) => this.failed(batch, epoch, error))
      pending.shift()
      const loss = means.add(settled, batch.size)
      learnt?.(loss)
    }
    let complete = false
    try {
      while (!this.leaving()) {
        // data in memory comes at once, a user's own may not
        const item = await (source.peekable ? batches.next() : this.orAborted(batches.next()))
        if (item === undefined) continue
        if (item.done) {
          complete = true
          break
        }
        const preparing = this.prepare(item.value, learnt !== undefined)
        if (preparing !== undefined) {
          await preparing
          if (this.leaving()) break
        }
        const seen = this.queue(item.value, pending, epoch, learnt !== undefined)
        if (seen !== undefined) await seen
        const depth = this.depth(item.value)
        while (pending.length >= depth || pending[0]?.done) await settle()
        if (this.pacer.due) await this.pacer.breathe()
      }
      // first: a step that failed says why, the update behind it only that it was not made
      while (pending.length > 0) await settle()
      if (complete && learnt !== undefined) await this.applyGathered()
    } finally {
      await Promise.allSettled(pending.map((p) => p.figures))
      // a source that hangs must not hold up an abort
      if (!complete) Promise.resolve(batches.return?.()).catch(() => {})
    }
    if (complete && means.done === 0) throw noBatches(what, epoch)
    return complete && !this.leaving()
  }

  /** For a batch of new shapes: compiles in turns of the event loop. What is wrong with the batch, the step will say. */
  private prepare({ x, y }: Batch, learning: boolean): Promise<void> | undefined {
    const key = `${learning} ${this.gathered > 0} ${x.shape.join()} ${y.shape.join()}`
    if (this.prepared.has(key)) return undefined
    this.prepared.add(key)
    const { judge, gather, train } = this.steps
    const step = !learning ? judge : this.accumulate === 1 ? train : gather
    return step.prepare(x, y).catch(() => {})
  }

  /** Queues a step. What is returned, if anything, has to be awaited before the next one. */
  private queue(batch: Batch, pending: Pending[], epoch: number, learning: boolean): Promise<unknown> | undefined {
    if (learning && this.taken === 0) this.steps.checkMetrics(batch.x, batch.y)
    const figures = learning ? this.learn(batch) : this.steps.judge(batch.x, batch.y)
    pending.push(new Pending(batch, figures))
    if (!learning) return undefined
    const number = ++this.taken
    // the schedule of a step that is refused does not move
    const stepped = (): void => {
      if (this.gathered === 0) this.timetable?.afterStep()
    }
    // the first step is also the check that everything fits together: nobody is shown a step that was refused
    if (number === 1) {
      return figures.then(
        () => {
          stepped()
          return this.show(number, epoch, figures)
        },
        (error) => this.failed(batch, epoch, error),
      )
    }
    stepped()
    return this.show(number, epoch, figures)
  }

  /** Queues the work of a batch, and the update when it completes a group. */
  private learn(batch: Batch): Promise<Figures> {
    if (this.accumulate === 1) return this.steps.train(batch.x, batch.y)
    const figures = this.steps.gather(batch.x, batch.y)
    if (++this.gathered < this.accumulate) return figures
    const applied = this.steps.apply(this.gathered)
    this.gathered = 0
    return Promise.all([figures, applied]).then(([f]) => f)
  }

  /** Updates by what is left at the end of an epoch. */
  private async applyGathered(): Promise<void> {
    if (this.gathered === 0) return
    const count = this.gathered
    this.gathered = 0
    await this.steps.apply(count)
    this.timetable?.afterStep()
  }

  private show(step: number, epoch: number, figures: Promise<Figures>): Promise<unknown> | undefined {
    return this.watchers.onStep(() => new QueuedStep(step, epoch, figures))
  }

  /** How many steps to have queued: enough work for some milliseconds, within a bound of bytes. */
  private depth(batch: Batch): number {
    const most = depthFor(bytesOf(batch))
    return this.pace === 0 ? 2 : Math.min(most, Math.max(2, Math.ceil(aheadTime / this.pace) + 1))
  }

  /** Waits for data, but not longer than until somebody wants to stop. */
  private async orAborted<T>(wanted: Promise<T>): Promise<T | undefined> {
    const { signal } = this.options
    const { left } = this.watchers
    let wake = (): void => {}
    const stopped = new Promise<undefined>((resolve) => {
      wake = () => resolve(undefined)
    })
    signal?.addEventListener('abort', wake)
    left.addEventListener('abort', wake)
    try {
      return await Promise.race([wanted, stopped])
    } finally {
      wanted.catch(() => {})
      signal?.removeEventListener('abort', wake)
      left.removeEventListener('abort', wake)
    }
  }

  private learnt(means: Means, loss: number): void {
    const now = performance.now()
    if (this.settled > 0) this.pace += 0.1 * (now - this.settled - this.pace)
    this.settled = now
    this.known++
    this.trail.push(loss)
    if (this.trail.length > 5) this.trail.shift()
    this.progress.step(means)
  }

  /** Throws what a step failed with. An index out of range is one of the data: the order of a batch is nobody's. */
  private failed(batch: Batch, epoch: number, error: unknown): never {
    const { size, sampleAt } = batch
    if (!(error instanceof NotFinite)) throw sampleAt === undefined ? error : ofWhole(error, size, sampleAt)
    const { lr } = this.options.optimizer
    const aftermath = this.judge?.aftermath ?? aftermathOf(this.model)
    const circumstances = { epoch, step: this.known + 1, trail: this.trail, batch, lr, aftermath }
    throw new StateError(error.code, explainLoss(error.loss, circumstances))
  }
}

class QueuedStep implements FitStep {
  readonly step: number
  readonly epoch: number
  private readonly figures: Promise<Figures>

  constructor(step: number, epoch: number, figures: Promise<Figures>) {
    this.step = step
    this.epoch = epoch
    this.figures = figures
  }

  get loss(): Promise<number> {
    return this.figures.then(
      ({ loss }) => loss.item(),
      (error) => {
        if (error instanceof NotFinite) return error.loss
        throw error
      },
    )
  }
}

function noBatches(what: string, epoch: number): StateError {
  return new StateError(
    'ERR_FIT_NO_BATCHES',
    epoch === 1
      ? `${what}: the data gave no batch. Is it empty, or smaller than one batch with dropLast?`
      : `${what}: the data gave no batch in epoch ${epoch}: a generator can be used once. Pass an array, a DataLoader, or a function that returns a new iterator.`,
  )
}
