/**
 * What a training leaves behind: an epoch's figures, and the history of all.
 */
import { ArgumentError, isNumber, showValue } from '../base/errors.js'
import { validationName } from './options.js'
import type { Metric } from './whole.js'

/** Metrics by the names they are reported under. */
export type Metrics = Readonly<Record<string, Metric>>

/** One number for each metric. */
export type Values<M extends Metrics> = { readonly [K in keyof M]: number }

/** The figures of one epoch. Means are over samples. */
export interface Epoch<M extends Metrics = Metrics> {
  /** From 1. */
  readonly epoch: number
  /** Mean training loss over the epoch, while the weights were changing. */
  readonly loss: number
  readonly metrics: Values<M>
  /** Only with validation, as `valMetrics`: with the weights at the epoch's end. */
  readonly valLoss?: number
  readonly valMetrics?: Values<M>
  readonly steps: number
  readonly samples: number
  /** Validation included. */
  readonly seconds: number
  /** While training, validation not included. */
  readonly samplesPerSecond: number
}

/** The course of a training, as `await fit(…)` gives it. */
export class History<M extends Metrics = Metrics> {
  /** Completed epochs. */
  readonly epochs: readonly Epoch<M>[]
  /** Batches learnt from, those of an epoch that was left included; each is an optimizer step unless gradients are accumulated. */
  readonly steps: number
  readonly seconds: number
  /** Why it ended: all epochs done, early stopping, or a loop left by `break`. */
  readonly stopped: 'finished' | 'early' | 'break'
  /** With early stopping: the epoch, from 1, whose monitored figure was best. */
  readonly bestEpoch: number | undefined

  /** @internal */
  constructor(epochs: readonly Epoch<M>[], steps: number, seconds: number, stopped: History['stopped'], bestEpoch: number | undefined) {
    this.epochs = epochs
    this.steps = steps
    this.seconds = seconds
    this.stopped = stopped
    this.bestEpoch = bestEpoch
  }

  /** Training losses, one an epoch. */
  get loss(): number[] {
    return this.epochs.map((e) => e.loss)
  }

  /** Validation losses, one an epoch; empty without validation. */
  get valLoss(): number[] {
    return this.epochs.flatMap((e) => (e.valLoss === undefined ? [] : [e.valLoss]))
  }

  /** The figures of the last completed epoch. */
  get last(): Epoch<M> | undefined {
    return this.epochs.at(-1)
  }
}

/** What early stopping and schedules watch: a figure by its name (NaN where there is none), or what a function of the user gives. */
export function figureReader<M extends Metrics>(
  what: string,
  monitor: string | ((epoch: Epoch<M>) => number),
): (epoch: Epoch<M>) => number {
  if (typeof monitor === 'string') return (epoch) => figure(epoch, monitor) ?? Number.NaN
  return (epoch) => {
    const value: unknown = monitor(epoch)
    if (isNumber(value)) return value
    throw new ArgumentError('ERR_FIT_OPTION', `fit: ${what} must give a number, received ${showValue(value)}.`)
  }
}

/** A figure of an epoch by the name early stopping, schedules and progress use. */
export function figure(epoch: Epoch, name: string): number | undefined {
  if (name === 'loss') return epoch.loss
  if (name === 'valLoss') return epoch.valLoss
  const own = Object.entries(epoch.metrics).find(([key]) => key === name)
  return own?.[1] ?? Object.entries(epoch.valMetrics ?? {}).find(([key]) => validationName(key) === name)?.[1]
}
