/**
 * The gate in front of an update: a step whose loss is NaN or infinite fails before it writes
 * anything, and so do the steps that are queued behind it. In: the loss, inside a step. Out:
 * nothing, or a program that ends there.
 *
 * What fails is a look-up: an index that is out of range unless all is well. It is one of the few
 * things that can fail while a program runs, on the background thread, where nobody can look at the
 * loss; and it tells what was wrong.
 */

import { indexIn } from '../backend/status.js'
import { BackendError, StateError } from '../base/errors.js'
import { assign } from '../ops/basic/assign.js'
import { zeros } from '../ops/basic/creation.js'
import { add, eq, lt, ne, to, where } from '../ops/basic/elementwise.js'
import { pick } from '../ops/basic/gather.js'
import { reshape } from '../ops/basic/movement.js'
import { noGrad } from '../ops/core/grad-mode.js'
import type { Tensor } from '../tensor/tensor.js'

/** Whose index it is. */
const op = 'fit, gate'
/** What the index stands for; behind the last: a step before this one has failed. */
const losses = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
/**
 * Steps are counted up to here, then again from 0: more than can be queued, and exact in float32.
 */
const turns = 2 ** 20

/** A step that was not taken because of its loss. */
export class NotFinite extends StateError {
  readonly loss: number

  constructor(loss: number) {
    super('ERR_LOSS_NOT_FINITE', `fit: the loss became ${loss}.`)
    this.loss = loss
  }
}

/** The gate of one training. */
export class Gate {
  /**
   * Steps taken. A step that fails does not count, so all that follow find another number than
   * theirs.
   */
  private readonly taken = zeros([1])
  private queued = 0

  /** The number of the next step to queue, its argument. */
  next(): number {
    const turn = this.queued
    this.queued = (turn + 1) % turns
    return turn
  }

  /**
   * Inside a step: it ends here unless its loss, if it has one, is finite and all steps before have
   * been taken.
   */
  pass(turn: number | Tensor, loss?: Tensor): void {
    const { taken } = this
    noGrad(() => {
      const index = where(ne(taken, turn), losses.length + 1, loss === undefined ? 0 : kindOf(reshape(loss, [1])))
      const count = add(pick(taken, to(index, 'int32'), 0, { op, shape: [] }), 1)
      assign(taken, where(lt(count, turns), count, 0))
    })
  }
}

/** 0 for what is finite, else which of `losses` it is, counted from 1. */
function kindOf(loss: Tensor): Tensor {
  const [nan, plus, minus] = losses.map((_, i) => i + 1)
  const infinite = where(eq(loss, Number.NEGATIVE_INFINITY), minus, 0)
  return where(eq(loss, loss), where(eq(loss, Number.POSITIVE_INFINITY), plus, infinite), nan)
}

/** What the error of a step means. */
export function explainFailure(error: unknown): unknown {
  const kind = indexIn(error, op)
  if (kind === undefined) return error
  if (kind <= losses.length) return new NotFinite(losses[kind - 1])
  return new BackendError('ERR_CANCELLED', 'fit: this step was not taken, because one before it failed.')
}
