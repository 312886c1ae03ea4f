/**
 * A call: the memory that the slots of a program are bound to, and what has to be known of that memory until the program has run. In: the
 * arguments, and what the slots of the entry stand for. Out: slots to run with.
 */
import type { Slot } from '../backend/binding.js'
import { itemSize } from '../base/dtype.js'
import { isContiguous } from '../base/shape.js'
import { copyOf } from '../ops/core/dispatch.js'
import { drawBlocks } from '../tensor/random.js'
import type { Storage } from '../tensor/storage.js'
import type { Tensor } from '../tensor/tensor.js'
import type { FlatArguments } from './arguments.js'
import type { GradChange, Gradients } from './gradients.js'
import type { Binding, Layout } from './lower.js'
import type { Prologue } from './prologue.js'
import type { Trace } from './trace.js'

/** What one call holds while it runs. */
export interface Call {
  /** Runs later; until then the user may write what was handed out. */
  readonly queued: boolean
  /** Of the slots: of the program, or those foreseen where the program is not there yet. */
  readonly layout: Layout
  /** With the program's prologue. */
  whole: boolean
  /** Of a whole run: the state of what the prologue reads. */
  stamp: readonly number[] | undefined
  slots: Slot[]
  /** Bytes of arguments that are copied when the call is queued. */
  copied: number
  /** Bytes of arguments that had to be copied already. */
  made: number
  /** Memory of arguments that JavaScript could write meanwhile. */
  readonly exposed: ArrayBufferLike[]
  /** Made when the call is queued: one that has to wait needs no memory for them. */
  outputs: readonly Tensor[]
  /** Storages the program reads and writes by reference. */
  readonly reads: Storage[]
  readonly writes: Storage[]
  /** Gradients to be shown. */
  readonly grads: readonly GradChange[]
  /** Arguments whose `requiresGrad` the function sets. */
  readonly marked: readonly (readonly [Tensor, boolean])[]
}

/** What is called. */
export interface Callee {
  readonly layout: Layout
  readonly trace: Omit<Trace, 'graph'>
  readonly gradients: Gradients
  readonly prologue: Prologue | undefined
}

const nothing = new Uint8Array(0)

/** Takes hold of all that a call reads and writes, as it is now, but for the memory of its results. */
export function bindCall(callee: Callee, args: FlatArguments, queued: boolean, whole: boolean): Call {
  const { layout, trace, gradients, prologue } = callee
  const call: Call = {
    queued,
    layout,
    whole,
    stamp: undefined,
    slots: new Array<Slot>(layout.slots.length),
    copied: 0,
    made: 0,
    exposed: [],
    outputs: [],
    reads: [],
    writes: [],
    grads: gradients.take(args.tensors),
    marked: trace.marked.map(([index, requiresGrad]) => [args.tensors[index], requiresGrad]),
  }
  let produced = 0
  for (let i = 0; i < layout.slots.length; i++) {
    // the gradients a call leaves come in the order of their slots
    call.slots[i] =
      layout.slots[i].kind === 'gradOutput' ? (call.grads[produced++].after as Tensor).storage.bytes : bindSlot(callee, i, args, call)
  }
  if (prologue !== undefined) (whole ? call.writes : call.reads).push(prologue.guard)
  for (const { after } of call.grads) if (after !== undefined) call.writes.push(after.storage)
  return call
}

function bindSlot({ layout, trace, prologue }: Callee, i: number, args: FlatArguments, call: Call): Slot {
  const binding = layout.slots[i]
  switch (binding.kind) {
    case 'argument':
      return argumentSlot(args.tensors[binding.index], call, trace.assigns)
    case 'numbers':
      return Float32Array.from(args.numbers)
    case 'random':
      return drawBlocks(trace.randomBlocks)
    case 'capture': {
      const { storage } = binding
      ;(layout.writes[i] ? call.writes : call.reads).push(storage)
      if (!storage.shared) noteCopied(call, storage, storage.byteLength)
      return storage.bytes
    }
    case 'derived':
      return (prologue as Prologue).storages[binding.index].bytes
    case 'grad':
      return argumentSlot(leafOf(trace, binding.leaf, args).leafGrad as Tensor, call, trace.assigns)
    case 'gradBefore': {
      const { leafGrad } = leafOf(trace, binding.leaf, args)
      const there = leafGrad !== undefined && (leafGrad.constant !== undefined || !leafGrad.storage.disposed)
      return there ? argumentSlot(leafGrad, call, trace.assigns) : nothing
    }
    case 'output':
    case 'gradOutput':
      return nothing
  }
}

/** The tensor of this call that a leaf of the trace is. */
function leafOf(trace: Callee['trace'], leaf: Tensor, args: FlatArguments): Tensor {
  const index = trace.argumentLeaves.get(leaf)
  return index === undefined ? leaf : args.tensors[index]
}

/** What tells bindings of one kind apart. */
function subjectOf(binding: Binding): unknown {
  switch (binding.kind) {
    case 'argument':
    case 'derived':
    case 'output':
      return binding.index
    case 'capture':
      return binding.storage
    case 'grad':
    case 'gradOutput':
    case 'gradBefore':
      return binding.leaf
    default:
      return undefined
  }
}

/** Arranges the slots of a call that was made before the program was there as the program has them. */
export function arrangeSlots(call: Call, { layout, prologue }: Callee): void {
  const bound = new Map<Binding['kind'], Map<unknown, Slot>>()
  call.layout.slots.forEach((binding, i) => {
    const slots = bound.get(binding.kind) ?? new Map<unknown, Slot>()
    bound.set(binding.kind, slots.set(subjectOf(binding), call.slots[i]))
  })
  call.slots = layout.slots.map((binding) => {
    if (binding.kind === 'output') return nothing
    if (binding.kind === 'derived') return (prologue as Prologue).storages[binding.index].bytes
    return bound.get(binding.kind)?.get(subjectOf(binding)) as Slot
  })
}

/**
 * The memory of a tensor handed to a program, which reads it from the start in row-major order: a copy where the program also writes that memory
 * as state, which it takes for something else.
 */
function argumentSlot(t: Tensor, call: Call, written: ReadonlyMap<Storage, unknown>): Slot {
  const plain = t.constant === undefined && isContiguous(t.shape, t.strides) && !written.has(t.storage)
  const { storage, offset } = plain ? t : copyOf(t)
  const item = itemSize(t.dtype)
  const start = offset * item
  const length = t.size * item
  if (!plain) call.made += length
  const { bytes } = storage
  if (!storage.shared) {
    storage.waitToRead()
    noteCopied(call, storage, length)
  } else if (call.queued && storage.exposed && !storage.beingWritten) {
    // not state but memory of the user's, who may fill it with the next batch before this one is read
    call.made += length
    call.copied += length
    return bytes.slice(start, start + length)
  }
  call.reads.push(storage)
  return length === bytes.byteLength ? bytes : bytes.subarray(start, start + length)
}

function noteCopied(call: Call, storage: Storage, bytes: number): void {
  call.copied += bytes
  if (storage.exposed) call.exposed.push(storage.bytes.buffer)
}

/** Replaces memory that JavaScript could write before the call is queued. Other memory is written by the library alone, which waits. */
export function copyExposed(call: Call): number {
  let copied = call.made
  if (call.exposed.length === 0) return copied
  call.slots.forEach((slot, i) => {
    if (!call.exposed.includes(slot.buffer)) return
    call.slots[i] = (slot as Uint8Array).slice()
    copied += slot.byteLength
  })
  return copied
}
