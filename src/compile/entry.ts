/**
 * One compiled variant of a function: its program, on what it depends, and how a call binds memory to its slots.
 */

import { isHooked } from '../autograd/hooks.js'
import type { Slot } from '../backend/binding.js'
import { nativeBackend } from '../backend/select.js'
import { itemSize } from '../dtype.js'
import { copyOf, gradMode } from '../ops/dispatch.js'
import { drawBlocks, getRandomState, setRandomState } from '../random.js'
import { isContiguous, sameShape, sizeOf } from '../shape.js'
import { Storage } from '../storage.js'
import { Tensor } from '../tensor.js'
import type { Meta } from '../tracing.js'
import { type FlatArguments, mapTree } from './arguments.js'
import { Backlog } from './backlog.js'
import { totalCost } from './cost.js'
import { type GradChange, Gradients, settleGrads, showGrads, showQueuedGrads, takeBackGrads } from './gradients.js'
import type { Locate } from './locate.js'
import { buildProgram, type Phases, type Program } from './program.js'
import type { Prologue } from './prologue.js'
import { type Trace, valueOfTraced } from './trace.js'

interface ArgumentKey {
  readonly shape: readonly number[]
  readonly dtype: Tensor['dtype']
  readonly requiresGrad: boolean
  /** Of one that requires gradients: whether it is a leaf, and where it stands first among the arguments. */
  readonly leaf: boolean
  readonly first: number
}

function keyOf(t: Tensor, args: readonly Tensor[]): ArgumentKey {
  const { shape, dtype, requiresGrad, gradNode } = t
  return { shape, dtype, requiresGrad, leaf: gradNode === undefined, first: args.indexOf(t) }
}

/** What one call holds while it runs. */
interface Call {
  /** Runs later; until then the user may write what was handed out. */
  readonly queued: boolean
  /** With the program's prologue. */
  readonly whole: boolean
  /** Of a whole run: the state of what the prologue reads. */
  stamp: readonly number[] | undefined
  readonly slots: Slot[]
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

const nothing = new Uint8Array(0)
/** Stands for a tensor that a call returns. */
const place = Symbol('output')

/** What an entry takes in JavaScript, as measured on networks of 20 to 330 instructions. */
const entryBytes = 16_384
const stepBytes = 500
const nodeBytes = 350

/** By queue. */
const backlogs = [new Backlog(), new Backlog()] as const
/** What a queued call takes beside arguments and results, roughly. */
const callBytes = 2048

export interface EntryOptions {
  readonly ahead: boolean
  readonly frozen: boolean
  readonly locate: Locate | undefined
}

export class Entry {
  program!: Program
  /** Without the graph, and with `place` where the function returned a tensor. */
  readonly trace: Omit<Trace, 'graph'>
  /** What it takes of memory, roughly. */
  bytes = 0
  /** Microseconds a run is estimated to take, the prologue left out. */
  private microseconds = 0
  private prologueMicroseconds = 0
  /** Ahead of other programs where this one only reads. */
  private readonly queue: 0 | 1
  private readonly keys: readonly ArgumentKey[]
  private readonly statics: readonly unknown[]
  private readonly numberCount: number
  private readonly gradEnabled: boolean
  private outputBytes = 0
  private outputMetas: readonly Meta[] = []
  private gradients!: Gradients

  private constructor(args: FlatArguments, trace: Omit<Trace, 'graph'>, queue: 0 | 1) {
    this.keys = args.tensors.map((t) => keyOf(t, args.tensors))
    this.statics = args.statics
    this.numberCount = args.numbers.length
    this.gradEnabled = gradMode.enabled
    this.trace = trace
    this.queue = queue
  }

  /** In phases, between which anything may happen: arguments and modes are those of the trace, which was made just before. */
  static *build(args: FlatArguments, trace: Trace, options: EntryOptions): Phases<Entry> {
    const outputs: ReturnType<typeof valueOfTraced>[] = []
    const result = mapTree(trace.result, (leaf) => {
      if (!(leaf instanceof Tensor && leaf.traced)) return leaf
      outputs.push(valueOfTraced(leaf))
      return place
    })
    const { graph, ...seen } = trace
    const queue = options.ahead && trace.assigns.size === 0 && trace.grads.size === 0 ? 1 : 0
    const entry = new Entry(args, { ...seen, result }, queue)
    entry.complete(outputs, yield* buildProgram(trace, outputs, args.numbers.length, { ...options, queue }))
    graph.release()
    return entry
  }

  private complete(outputs: readonly Meta[], program: Program): void {
    this.outputMetas = outputs.map(({ shape, dtype }) => ({ shape, dtype }))
    this.outputBytes = this.outputMetas.reduce((sum, { shape, dtype }) => sum + sizeOf(shape) * itemSize(dtype), 0)
    this.program = program
    const { steps, slots, prologueSteps } = program
    const { grads, argumentLeaves } = this.trace
    this.gradients = new Gradients(
      grads,
      slots.flatMap((s) => (s.kind === 'gradOutput' ? [s.leaf] : [])),
      argumentLeaves,
    )
    const nodes = steps.reduce((sum, s) => sum + s.nodes.length, 0)
    this.bytes = program.bytes + entryBytes + steps.length * stepBytes + nodes * nodeBytes
    const costs = steps.map((s) => s.cost)
    this.microseconds = totalCost(costs.slice(prologueSteps)).microseconds
    this.prologueMicroseconds = totalCost(costs.slice(0, prologueSteps)).microseconds
  }

  /** Whether this variant serves a call. */
  matches(args: FlatArguments): boolean {
    if (args.tensors.length !== this.keys.length || args.numbers.length !== this.numberCount || args.statics.length !== this.statics.length)
      return false
    if (this.gradEnabled !== gradMode.enabled || this.program.native !== (nativeBackend() !== undefined)) return false
    for (let i = 0; i < this.keys.length; i++) {
      const t = args.tensors[i]
      const k = this.keys[i]
      if (t.dtype !== k.dtype || !sameShape(t.shape, k.shape) || t.requiresGrad !== k.requiresGrad) return false
      if (k.requiresGrad && !this.matchesLeaf(t, k, args.tensors)) return false
    }
    for (const [i, present] of this.trace.argumentGrads) if ((args.tensors[i].leafGrad !== undefined) !== present) return false
    for (let i = 0; i < this.statics.length; i++) if (!Object.is(args.statics[i], this.statics[i])) return false
    const { guards, fields } = this.trace
    for (let i = 0; i < guards.length; i++) if (!Object.is(guards[i].read(), guards[i].expected)) return false
    for (let i = 0; i < fields.length; i++) if (!fields[i].holds()) return false
    return true
  }

  /** Of an argument that requires gradients. */
  private matchesLeaf(t: Tensor, k: ArgumentKey, args: readonly Tensor[]): boolean {
    return (t.gradNode === undefined) === k.leaf && args.indexOf(t) === k.first && !this.trace.grads.has(t) && !isHooked(t)
  }

  /** Whether the next call has no prologue to run. */
  get prepared(): boolean {
    return this.program.prologue?.current ?? true
  }

  /** Microseconds the next call is estimated to take. */
  get estimate(): number {
    return this.microseconds + (this.prepared ? 0 : this.prologueMicroseconds)
  }

  /**
   * Corrects the estimate by what a run took. One slow run says little (code not compiled yet, a thread that lost its core) and counts as
   * twice the estimate at most, so that it does not send a small program to the queue for good.
   */
  observe(microseconds: number): void {
    this.microseconds += (Math.min(microseconds, 2 * this.microseconds) - this.microseconds) * 0.1
  }

  /** Runs on this thread. */
  runSync(args: FlatArguments): unknown {
    const call = this.bind(args, false)
    for (const s of call.reads) s.waitToRead()
    for (const s of call.writes) s.waitToWrite()
    this.stamp(call)
    this.allocateOutputs(call)
    this.program.runSync(call.slots, call.whole)
    this.ended(call)
    for (const [t, requiresGrad] of call.marked) t.requiresGrad = requiresGrad
    showGrads(call.grads)
    return this.result(call)
  }

  /** As `runSync`; a failed run gives its random numbers back. Nobody else can have drawn any meanwhile. */
  runAtomic(args: FlatArguments): unknown {
    if (this.trace.randomBlocks === 0) return this.runSync(args)
    const before = getRandomState()
    try {
      return this.runSync(args)
    } catch (error) {
      setRandomState(before)
      throw error
    }
  }

  /**
   * Queues a run, or has it wait where too many are queued. Gradients are shown at once; reading them waits. A failed run puts them back.
   */
  submit(args: FlatArguments): Promise<unknown> {
    const { queue } = this
    const call = this.bind(args, true)
    this.stamp(call)
    const place = backlogs[queue].add({
      bytes: this.outputBytes + call.copied + callBytes,
      takeCopies: () => copyExposed(call),
      submit: () => {
        this.allocateOutputs(call)
        return this.program.submit(call.slots, queue, call.whole)
      },
    })
    const { ticket, done } = place
    for (const s of call.reads) s.queued(ticket, queue, false)
    for (const s of call.writes) s.queued(ticket, queue, true)
    for (const [t, requiresGrad] of call.marked) t.requiresGrad = requiresGrad
    showQueuedGrads(call.grads)
    return done.then(
      (microseconds) => {
        place.end()
        if (microseconds !== undefined && !call.whole) this.observe(microseconds)
        this.ended(call)
        settleGrads(call.grads)
        return this.result(call)
      },
      (error) => {
        place.end()
        takeBackGrads(call.grads)
        throw error
      },
    )
  }

  private stamp(call: Call): void {
    if (call.whole) call.stamp = this.program.prologue?.stamp()
  }

  /** A call has ended well. */
  private ended(call: Call): void {
    if (call.whole) this.program.prologue?.computed(call.stamp)
  }

  private result(call: Call): unknown {
    let next = 0
    return mapTree(this.trace.result, (leaf) => (leaf === place ? call.outputs[next++] : leaf))
  }

  private bind(args: FlatArguments, queued: boolean): Call {
    const { program } = this
    const slots = new Array<Slot>(program.slots.length)
    const whole = !this.prepared
    const call: Call = {
      queued,
      whole,
      stamp: undefined,
      slots,
      copied: 0,
      made: 0,
      exposed: [],
      outputs: [],
      reads: [],
      writes: [],
      grads: this.gradients.take(args.tensors),
      marked: this.trace.marked.map(([index, requiresGrad]) => [args.tensors[index], requiresGrad]),
    }
    let produced = 0
    for (let i = 0; i < program.slots.length; i++) {
      // the gradients a call leaves come in the order of their slots
      call.slots[i] =
        program.slots[i].kind === 'gradOutput' ? (call.grads[produced++].after as Tensor).storage.bytes : this.bindSlot(i, args, call)
    }
    if (program.prologue !== undefined) (whole ? call.writes : call.reads).push(program.prologue.guard)
    for (const { after } of call.grads) if (after !== undefined) call.writes.push(after.storage)
    return call
  }

  /** The tensor of this call that a leaf of the trace is. */
  private leafOf(leaf: Tensor, args: FlatArguments): Tensor {
    const index = this.trace.argumentLeaves.get(leaf)
    return index === undefined ? leaf : args.tensors[index]
  }

  private bindSlot(i: number, args: FlatArguments, call: Call): Slot {
    const binding = this.program.slots[i]
    switch (binding.kind) {
      case 'argument':
        return argumentSlot(args.tensors[binding.index], call, this.trace.assigns)
      case 'numbers':
        return Float32Array.from(args.numbers)
      case 'random':
        return drawBlocks(this.trace.randomBlocks)
      case 'capture': {
        const { storage } = binding
        ;(this.program.writes[i] ? call.writes : call.reads).push(storage)
        if (!storage.shared) noteCopied(call, storage, storage.byteLength)
        return storage.bytes
      }
      case 'derived':
        return (this.program.prologue as Prologue).storages[binding.index].bytes
      case 'grad':
        return argumentSlot(this.leafOf(binding.leaf, args).leafGrad as Tensor, call, this.trace.assigns)
      case 'gradBefore': {
        const { leafGrad } = this.leafOf(binding.leaf, args)
        const there = leafGrad !== undefined && (leafGrad.constant !== undefined || !leafGrad.storage.disposed)
        return there ? argumentSlot(leafGrad, call, this.trace.assigns) : nothing
      }
      case 'output':
      case 'gradOutput':
        return nothing
    }
  }

  private allocateOutputs(call: Call): void {
    const outputs = this.outputMetas.map(({ shape, dtype }) =>
      Tensor.contiguous(Storage.allocate(sizeOf(shape) * itemSize(dtype)), shape, dtype),
    )
    this.program.slots.forEach((binding, i) => {
      if (binding.kind === 'output') call.slots[i] = outputs[binding.index].storage.bytes
    })
    call.outputs = outputs
  }
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
function copyExposed(call: Call): number {
  let copied = call.made
  if (call.exposed.length === 0) return copied
  call.slots.forEach((slot, i) => {
    if (!call.exposed.includes(slot.buffer)) return
    call.slots[i] = (slot as Uint8Array).slice()
    copied += slot.byteLength
  })
  return copied
}
