/**
 * The memory of gradients on their way: what the rules of a backward walk allocate and nothing refers to any more is used again at once. It
 * would otherwise be fresh memory at each step, touched for the first time, until the collector comes by. In: the gradients that the walk
 * holds and lets go. Out: recycled storages.
 *
 * A storage is the walk's own if an op of the library made it, outside of user code (`foreign`). Graphs refer to it only where gradients of
 * gradients are recorded, and such a walk recycles nothing.
 */

import { context, within } from '../tensor/context.js'
import type { Storage } from '../tensor/storage.js'
import type { Tensor } from '../tensor/tensor.js'

export class PassingMemory {
  /** The walk's own storages, and how many of the gradients it holds lie in each. */
  private readonly own = new Map<Storage, number>()
  /** Those of which nothing may refer to any more. */
  private idle: Storage[] = []

  /** For a walk that begins now; `undefined` where others may come to refer to what it makes. */
  static begin(): PassingMemory | undefined {
    return context.recorder !== undefined || context.gradEnabled || context.anomaly ? undefined : new PassingMemory()
  }

  /** Runs a walk; what ops allocate meanwhile is its own. */
  during<T>(fn: () => T): T {
    return within({ walkMemory: this }, fn)
  }

  /** @internal called by ops */
  add(storage: Storage): void {
    this.own.set(storage, 0)
    this.idle.push(storage)
  }

  /** The walk keeps a gradient. */
  hold(t: Tensor): void {
    this.count(t, 1)
  }

  /** The walk has no more use for it. */
  drop(t: Tensor): void {
    this.count(t, -1)
  }

  private count(t: Tensor, by: 1 | -1): void {
    if (t.constant !== undefined) return
    const { storage } = t
    const before = this.own.get(storage)
    if (before === undefined) return
    this.own.set(storage, before + by)
    if (before + by === 0) this.idle.push(storage)
  }

  /** Between rules: recycles what no gradient lies in. */
  settle(): void {
    for (const storage of this.idle) {
      if (this.own.get(storage) !== 0) continue
      this.own.delete(storage)
      storage.recycle()
    }
    this.idle.length = 0
  }

  /** User code sees a gradient and may keep it. */
  show(t: Tensor | undefined): void {
    if (t !== undefined && t.constant === undefined) this.own.delete(t.storage)
  }

  /** Whether nothing but this one gradient lies in its memory. */
  owns(t: Tensor): boolean {
    return t.constant === undefined && this.own.get(t.storage) === 1
  }
}

/** Runs user code: what it allocates is its own. */
export function foreign<T>(fn: () => T): T {
  return within({ walkMemory: undefined }, fn)
}
