/**
 * The judge that ends a training when nothing improves, and keeps the best weights. In: the figures of each epoch. Out: whether to stop.
 */

import { rangeOf } from '../autograd/value-range.js'
import type { Module } from '../nn/module.js'
import { assign } from '../ops/basic/assign.js'
import { clone } from '../ops/basic/movement.js'
import { noGrad } from '../ops/core/grad-mode.js'
import type { Optimizer } from '../optim/optimizer.js'
import type { Tensor } from '../tensor/tensor.js'
import { type Epoch, figureReader, type Metrics } from './history.js'
import type { EarlyStopping } from './options.js'

type Copies = readonly (readonly [tensor: Tensor, copy: Tensor])[]

/** A model and its optimizer at one moment. */
interface Kept {
  readonly weights: Copies
  readonly moments: Copies
}

const copiesOf = (tensors: readonly Tensor[]): Copies => noGrad(() => tensors.map((t) => [t, clone(t)] as const))
const putBack = (copies: Copies): void => noGrad(() => copies.forEach(([t, copy]) => void assign(t, copy)))

/** Whether no number is NaN or infinite. */
const isSound = (tensors: readonly Tensor[]): boolean =>
  tensors.every((t) => {
    const range = rangeOf(t)
    return range === undefined || range.nan + range.infinite === 0
  })

/** Watches one figure over the epochs. */
export class Judge<M extends Metrics> {
  bestEpoch: number | undefined
  private best = Number.NaN
  /** With `restoreBest`: the beginning, then the best epoch so far. */
  private kept: Kept | undefined
  private readonly model: Module
  private readonly optimizer: Optimizer
  private readonly options: EarlyStopping<M>
  private readonly read: (epoch: Epoch<M>) => number
  private readonly sign: 1 | -1

  constructor(model: Module, optimizer: Optimizer, options: EarlyStopping<M>, validates: boolean) {
    const { monitor = validates ? 'valLoss' : 'loss' } = options
    this.model = model
    this.optimizer = optimizer
    this.options = options
    this.read = figureReader('earlyStopping.monitor', monitor)
    const mode = options.mode ?? (typeof monitor === 'function' || monitor === 'loss' || monitor === 'valLoss' ? 'min' : 'max')
    this.sign = mode === 'min' ? 1 : -1
    if (options.restoreBest) this.kept = this.keep()
  }

  private keep(): Kept {
    return { weights: copiesOf([...this.model.parameters(), ...this.model.buffers()]), moments: copiesOf(this.optimizer.moments()) }
  }

  /** Whether it is time to stop. A figure that is NaN never improves. */
  judge(epoch: Epoch<M>): boolean {
    const value = this.sign * this.read(epoch)
    const first = this.bestEpoch === undefined && !Number.isNaN(value)
    if ((first || value < this.best - (this.options.minDelta ?? 0)) && this.take()) {
      this.best = value
      this.bestEpoch = epoch.epoch
      return false
    }
    return epoch.epoch - (this.bestEpoch ?? 0) >= this.options.patience
  }

  /** Keeps what the model is now. The loss of the last step is that of the weights before it: what the step made of them may be spoilt all the same. */
  private take(): boolean {
    if (this.kept === undefined) return true
    const now = this.keep()
    if (!isSound(now.weights.map(([, copy]) => copy))) return false
    this.kept = now
    return true
  }

  /** Puts the best weights back, if that was asked for and any epoch was one to judge. The optimizer goes on as it is. */
  restore(): void {
    if (this.kept !== undefined && this.bestEpoch !== undefined) putBack(this.kept.weights)
  }

  /** After a loss that is not finite: puts the best weights back with what the optimizer had gathered by then, or both as they were in the beginning. */
  recover(): void {
    if (this.kept === undefined) return
    putBack(this.kept.weights)
    putBack(this.kept.moments)
  }

  /** What the weights are after `recover`. */
  get aftermath(): string {
    if (this.kept === undefined) return spoilt
    const when = this.bestEpoch === undefined ? 'from before fit' : `of epoch ${this.bestEpoch}, the best,`
    return `The weights ${when} are put back.`
  }
}

/** What the weights are without a judge that keeps them: a step with such a loss is not taken, but the one before may have spoilt them. */
export function aftermathOf(model: Module): string {
  return isSound([...model.parameters(), ...model.buffers()]) ? 'The weights are those from before that step.' : spoilt
}

const spoilt =
  'The weights are spoilt now: start from fresh or saved ones; earlyStopping: { patience: Infinity, restoreBest: true } would put the best back.'
