/**
 * The memory of gradients that compiled calls leave. A leaf has two pieces, the gradient it shows and one to spare, for all variants of all
 * compiled functions: each call takes what the call before last left, where nobody saw it. In: the leaves whose gradients a program leaves, or clears.
 * Out: tensors for a call to write, and changes of what leaves show.
 */
import { itemSize } from '../base/dtype.js'
import { Storage } from '../tensor/storage.js'
import { Tensor } from '../tensor/tensor.js'
import type { Value } from './graph.js'

/** A call's effect on one leaf's gradient. */
export interface GradChange {
  readonly leaf: Tensor
  readonly spare: Spare
  readonly before: Tensor | undefined
  readonly after: Tensor | undefined
  /** The change before this one, until it is known that this one stays. */
  previous: GradChange | undefined
  failed: boolean
}

/** Gradient memory of one leaf that nobody looks at any more: a second piece comes when the leaf shows no gradient. */
class Spare {
  private readonly storages: Storage[] = []

  get empty(): boolean {
    return this.storages.length === 0
  }

  add(storage: Storage): void {
    if (this.storages.length < 2) this.storages.push(storage)
  }

  take(): Storage {
    return this.storages.pop() as Storage
  }

  /** What is in use again is no longer free. */
  remove(storage: Storage): void {
    const at = this.storages.indexOf(storage)
    if (at >= 0) this.storages.splice(at, 1)
  }
}

/** Weakly: held by the programs that leave gradients, so that a model whose training is over keeps none. */
const spares = new WeakMap<Tensor, WeakRef<Spare>>()
/** Memory that is no one's but the library's, as long as nobody looks at the gradient that lies in it. */
const own = new WeakSet<Storage>()

function spareOf(leaf: Tensor): Spare {
  let spare = spares.get(leaf)?.deref()
  if (spare === undefined) {
    spare = new Spare()
    spares.set(leaf, new WeakRef(spare))
  }
  return spare
}

/** What calls of one program do to the gradients of leaves. */
export class Gradients {
  private readonly leaves: readonly { readonly leaf: Tensor; readonly spare: Spare; readonly left: boolean }[]
  /** Of each leaf: which argument it stands for, if any; `undefined` where none does. */
  private readonly positions: readonly (number | undefined)[] | undefined

  /**
   * `produced` are the leaves that an instruction leaves a gradient, in the order these are produced; the changes come in that order. `standIns`
   * are leaves that stand for arguments, by the positions of these.
   */
  constructor(grads: ReadonlyMap<Tensor, Value | undefined>, produced: readonly Tensor[], standIns: ReadonlyMap<Tensor, number>) {
    const leaves = [...new Set([...produced, ...grads.keys()])]
    this.leaves = leaves.map((leaf) => ({ leaf, spare: spareOf(leaf), left: grads.get(leaf) !== undefined }))
    if (leaves.some((leaf) => standIns.has(leaf))) this.positions = leaves.map((leaf) => standIns.get(leaf))
  }

  /** The leaves of a call. */
  private leavesOf(args: readonly Tensor[]): typeof this.leaves {
    const { leaves, positions } = this
    if (positions === undefined) return leaves
    return leaves.map((one, i) => {
      const position = positions[i]
      return position === undefined ? one : { leaf: args[position], spare: spareOf(args[position]), left: one.left }
    })
  }

  /** The changes that a call with these arguments makes, with memory for what it leaves. New memory lies side by side. */
  take(args: readonly Tensor[]): GradChange[] {
    const leaves = this.leavesOf(args)
    const fresh = leaves.filter(({ spare, left }) => left && spare.empty)
    if (fresh.length > 0) {
      const made = Storage.allocateSideBySide(fresh.map(({ leaf }) => leaf.size * itemSize(leaf.dtype)))
      for (const [i, { spare }] of fresh.entries()) {
        own.add(made[i])
        spare.add(made[i])
      }
    }
    return leaves.map(({ leaf, spare, left }) => {
      const after = left ? Tensor.contiguous(spare.take(), leaf.shape, leaf.dtype) : undefined
      return { leaf, spare, before: leaf.leafGrad, after, previous: undefined, failed: false }
    })
  }
}

/** Shows what a call leaves. The memory of what it replaces is free again where nobody saw it. */
export function showGrads(changes: readonly GradChange[]): void {
  for (const { leaf, spare, before, after } of changes) {
    const unseen = before !== undefined && !leaf.gradSeen && before.value === undefined && !before.storage.exposed
    if (unseen && own.has(before.storage) && before !== after) spare.add(before.storage)
    leaf.leafGrad = after
    leaf.gradSeen = false
    leaf.gradChange = undefined
  }
}

/** As `showGrads`, for a call that may still fail. */
export function showQueuedGrads(changes: readonly GradChange[]): void {
  for (const change of changes) change.previous = change.leaf.gradChange as GradChange | undefined
  showGrads(changes)
  for (const change of changes) change.leaf.gradChange = change
}

/** A call has ended well: what it replaced is not wanted back. */
export function settleGrads(changes: readonly GradChange[]): void {
  for (const change of changes) change.previous = undefined
}

/** Puts back what a failed call replaced, and failed calls before it, unless a later call or the user has replaced it again. */
export function takeBackGrads(changes: readonly GradChange[]): void {
  for (const change of changes) {
    const { leaf, spare, after } = change
    change.failed = true
    if (leaf.gradChange !== change || leaf.leafGrad !== after) continue
    let good: GradChange | undefined = change
    while (good?.failed) {
      leaf.leafGrad = good.before
      good = good.previous
    }
    // somebody may have looked at it before the call
    leaf.gradSeen = true
    leaf.gradChange = good
    if (leaf.leafGrad !== undefined && leaf.leafGrad.constant === undefined) spare.remove(leaf.leafGrad.storage)
  }
}
