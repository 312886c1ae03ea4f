/**
 * What `fit` can be told, and the check that it makes sense.
 */

import {
  ArgumentError,
  checkOptions as checkNames,
  checkSignal,
  isFunction,
  isNumber,
  type OptionNames,
  showKind,
  showValue,
} from '../base/errors.js'
import { checkCacheBytes } from '../compile/variants.js'
import { Module } from '../nn/module.js'
import { Optimizer } from '../optim/optimizer.js'
import { LRScheduler, ReduceLROnPlateau } from '../optim/schedulers/index.js'
import { Tensor } from '../tensor/tensor.js'
import type { FitData } from './batches.js'
import type { Epoch, Metrics } from './history.js'

export interface EarlyStopping<M extends Metrics = Metrics> {
  /** Epochs without improvement after which training ends; `Infinity` for never. */
  patience: number
  /**
   * What has to improve: `'loss'`, `'valLoss'`, the name of a metric, that name after `val` (`'valAccuracy'`), or a function of the epoch.
   * Default `'valLoss'` with validation, else `'loss'`.
   */
  monitor?: string | ((epoch: Epoch<M>) => number)
  /** Whether lower or higher is better; default `'min'` for losses and functions, `'max'` for metrics. */
  mode?: 'min' | 'max'
  /** By how much it must improve to count; default 0. */
  minDelta?: number
  /** Whether to end with the weights of the best epoch, also after a loss that is not finite; default false. */
  restoreBest?: boolean
}

/** A learning-rate schedule, and when it is stepped. */
export interface FitScheduler<M extends Metrics = Metrics> {
  scheduler: LRScheduler | ReduceLROnPlateau
  /** Default 'epoch'; 'step', an optimizer step, for `CyclicLR` and `OneCycleLR`. */
  every?: 'epoch' | 'step'
  /** The figure `ReduceLROnPlateau` looks at, named as in `earlyStopping`. Default `'valLoss'` with validation, else `'loss'`. */
  monitor?: string | ((epoch: Epoch<M>) => number)
}

export interface FitOptions<M extends Metrics = Metrics> {
  /** From outputs and targets to one number: `losses.crossEntropy`. */
  loss: (outputs: Tensor, targets: Tensor) => Tensor
  optimizer: Optimizer
  /** Default 1; 0 for none, as when a training that had ended is resumed. */
  epochs?: number
  /** Default 32. */
  batchSize?: number
  /** A new order each epoch; default true. Data that makes its own batches keeps its order. */
  shuffle?: boolean
  /** Leave out a last batch of fewer samples; default false. */
  dropLast?: boolean
  /** Of the orders, and of nothing else; by default they come from the generator that `manualSeed` starts. */
  seed?: number
  /** Data to be judged by after each epoch. */
  validation?: FitData
  /**
   * Measured on training and validation data: `{ accuracy: metrics.accuracy }`. Functions of your own give the mean over a batch; for other figures `metrics.wholeSet`.
   */
  metrics?: M
  earlyStopping?: EarlyStopping<M>
  /** Changes the learning rate as the training goes on: `new optim.lrScheduler.StepLR(optimizer, 10)`, or with when and by what it is stepped. */
  scheduler?: LRScheduler | ReduceLROnPlateau | FitScheduler<M>
  /** Batches whose gradients are averaged for one optimizer step, the last step of an epoch of those that are left; default 1. */
  accumulate?: number
  /** Stops the training; the promise then rejects with the signal's reason. */
  signal?: AbortSignal
  /**
   * Whether to compile the step; default true. Without, all runs op by op, for debugging. `{ cacheBytes }` says how much memory the programs for all
   * shapes of batches may take, as in `compile`.
   */
  compile?: boolean | { readonly cacheBytes?: number }
  /** A bar on a terminal, lines, or nothing (`false`); default `'auto'`, or `true`: a bar on a terminal, else lines. Written to stderr. */
  progress?: 'auto' | 'bar' | 'lines' | boolean
}

/** How a message names what was received: a value, or the class of an object. */
function show(x: unknown): string {
  if (typeof x !== 'object') return showValue(x)
  return x === null || Array.isArray(x) || x instanceof Promise ? showKind(x) : (x.constructor?.name ?? 'object')
}

function wrong(rule: string, received: unknown, remedy = ''): ArgumentError {
  return new ArgumentError('ERR_FIT_OPTION', `fit: ${rule}, received ${show(received)}.${remedy}`)
}

function checkCount(name: string, value: number | undefined, least: number): void {
  if (value !== undefined && !(Number.isSafeInteger(value) && value >= least))
    throw wrong(`${name} must be a whole number from ${least}`, value)
}

const names: OptionNames<FitOptions> = {
  loss: true,
  optimizer: true,
  epochs: true,
  batchSize: true,
  shuffle: true,
  dropLast: true,
  seed: true,
  validation: true,
  metrics: true,
  earlyStopping: true,
  scheduler: true,
  accumulate: true,
  signal: true,
  compile: true,
  progress: true,
}

/** Throws ArgumentError: `ERR_OPTIONS` for options that are unknown, `ERR_FIT_OPTION` for those that are missing or out of range. */
export function checkOptions<M extends Metrics>(model: unknown, options: FitOptions<M>): void {
  if (!(model instanceof Module)) throw wrong('the first argument must be a model (nn.Module)', model)
  const given: unknown = options
  if (typeof given !== 'object' || given === null || Array.isArray(given) || ArrayBuffer.isView(given) || given instanceof Tensor) {
    const remedy = typeof given === 'object' && given !== null ? ' Inputs and targets go together: fit(model, [x, y], { … }).' : ''
    throw wrong('the third argument must be { loss, optimizer, … }', given, remedy)
  }
  checkNames<FitOptions<M>>('fit', options, names)
  if (!isFunction(options.loss)) throw wrong('loss must be a function of outputs and targets, like losses.crossEntropy', options.loss)
  if (!(options.optimizer instanceof Optimizer))
    throw wrong('optimizer must be an optimizer, like new optim.Adam(model.parameters())', options.optimizer)
  checkCount('epochs', options.epochs, 0)
  checkCount('batchSize', options.batchSize, 1)
  checkCount('seed', options.seed, 0)
  checkCount('accumulate', options.accumulate, 1)
  if (Array.isArray(options.metrics)) throw wrong('metrics must be functions by name, like { accuracy: metrics.accuracy }', options.metrics)
  for (const [name, metric] of Object.entries(options.metrics ?? {})) {
    if (name === 'loss' || name === 'valLoss') throw wrong("a metric needs a name of its own: 'loss' is the loss", name)
    if (!isFunction(metric)) throw wrong(`the metric ${name} must be a function of outputs and targets, like metrics.accuracy`, metric)
  }
  const { progress = 'auto', earlyStopping } = options
  if (!['auto', 'bar', 'lines', true, false].includes(progress))
    throw wrong("progress must be 'auto', 'bar', 'lines', true or false", progress)
  checkSignal('fit', options.signal)
  checkCompile(options.compile)
  if (earlyStopping !== undefined) checkStopping(earlyStopping, options)
  if (options.scheduler !== undefined) checkScheduler(options.scheduler, options)
}

function checkCompile(given: FitOptions['compile']): void {
  if (given === undefined || typeof given === 'boolean') return
  if (typeof given !== 'object' || given === null) throw wrong('compile must be true, false or { cacheBytes }', given)
  checkNames('fit: compile', given, { cacheBytes: true })
  checkCacheBytes('fit: compile', given.cacheBytes)
}

function checkScheduler<M extends Metrics>(given: NonNullable<FitOptions<M>['scheduler']>, options: FitOptions<M>): void {
  const isSchedule = (x: unknown): x is LRScheduler | ReduceLROnPlateau => x instanceof LRScheduler || x instanceof ReduceLROnPlateau
  const { scheduler, every, monitor }: Partial<FitScheduler<M>> = isSchedule(given) ? { scheduler: given } : (given ?? {})
  if (isSchedule(scheduler) && !isSchedule(given)) checkNames('fit: scheduler', given, { scheduler: true, every: true, monitor: true })
  if (!isSchedule(scheduler))
    throw wrong('scheduler must be a schedule, like new optim.lrScheduler.StepLR(optimizer, 10)', scheduler ?? given)
  if (scheduler.optimizer !== options.optimizer)
    throw wrong('scheduler must belong to the optimizer of this training', scheduler, ' Its optimizer is another one.')
  if (every !== undefined && every !== 'epoch' && every !== 'step') throw wrong("scheduler.every must be 'epoch' or 'step'", every)
  if (every === 'step' && scheduler instanceof ReduceLROnPlateau) throw wrong('ReduceLROnPlateau is stepped every epoch', every)
  checkMonitor('scheduler.monitor', monitor, options)
}

function checkStopping<M extends Metrics>(stopping: EarlyStopping<M>, options: FitOptions<M>): void {
  if (typeof stopping !== 'object' || stopping === null) throw wrong('earlyStopping must be { patience, … }', stopping)
  checkNames('fit: earlyStopping', stopping, { patience: true, monitor: true, mode: true, minDelta: true, restoreBest: true })
  const { patience, monitor, minDelta = 0, mode } = stopping
  if (patience === undefined) throw wrong('earlyStopping.patience must be a whole number from 0, or Infinity', patience)
  if (patience !== Infinity) checkCount('earlyStopping.patience', patience, 0)
  if (!(isNumber(minDelta) && minDelta >= 0)) throw wrong('earlyStopping.minDelta must be a number from 0', minDelta)
  if (mode !== undefined && mode !== 'min' && mode !== 'max') throw wrong("earlyStopping.mode must be 'min' or 'max'", mode)
  checkMonitor('earlyStopping.monitor', monitor, options)
}

function checkMonitor<M extends Metrics>(what: string, monitor: unknown, options: FitOptions<M>): void {
  if (monitor === undefined || isFunction(monitor)) return
  const metrics = Object.keys(options.metrics ?? {})
  const names = ['loss', ...metrics, ...(options.validation === undefined ? [] : ['loss', ...metrics].map(validationName))]
  if (!names.includes(monitor as string)) throw wrong(`${what} must be one of ${names.join(', ')}, or a function`, monitor)
}

/** `accuracy` on validation data is `valAccuracy`. */
export function validationName(name: string): string {
  return `val${name.charAt(0).toUpperCase()}${name.slice(1)}`
}
