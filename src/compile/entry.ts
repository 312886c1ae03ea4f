/**
 * One compiled variant of a function: its program, on what it depends, and how it is run. In: a trace. Out: results of calls, some of which may be
 * made while the program is still being built.
 */

import { isHooked } from '../autograd/hooks.js'
import { nativeBackend } from '../backend/select.js'
import { itemSize } from '../base/dtype.js'
import { showValue } from '../base/errors.js'
import { sameShape, sizeOf } from '../base/shape.js'
import type { Meta } from '../tensor/context.js'
import { context } from '../tensor/context.js'
import { getRandomState, setRandomState } from '../tensor/random.js'
import { Storage } from '../tensor/storage.js'
import { Tensor } from '../tensor/tensor.js'
import { type FlatArguments, mapTree } from './arguments.js'
import { Backlog } from './backlog.js'
import { arrangeSlots, bindCall, type Call, type Callee, copyExposed } from './call.js'
import { totalCost } from './cost.js'
import { Gradients, settleGrads, showGrads, showQueuedGrads, takeBackGrads } from './gradients.js'
import type { Graph } from './graph.js'
import type { Locate } from './locate.js'
import { foreseenLayout, type Layout } from './lower.js'
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

export class Entry implements Callee {
  /** Without the graph, and with `place` where the function returned a tensor. */
  readonly trace: Omit<Trace, 'graph'>
  /** Slots of the program, or those foreseen while it is being built. */
  layout: Layout
  gradients: Gradients
  /** What it takes of memory, roughly; 0 while it is being built. */
  bytes = 0
  /** Milliseconds it took to compile. */
  took = 0
  /** Operations of the trace. */
  readonly size: number
  private built: Program | undefined
  /** What is left to do until there is a program. */
  private phases: Phases<Program> | undefined
  /** Until then, what the trace recorded. */
  private graph: Graph | undefined
  private failure: { readonly error: unknown } | undefined
  /** Microseconds a run is estimated to take, the prologue left out. */
  private microseconds = 0
  private prologueMicroseconds = 0
  /** Ahead of other programs where this one only reads. */
  private readonly queue: 0 | 1
  private readonly keys: readonly ArgumentKey[]
  private readonly statics: readonly unknown[]
  private readonly numberCount: number
  private readonly gradEnabled: boolean
  private readonly native: boolean
  private readonly outputBytes: number
  private readonly outputMetas: readonly Meta[]

  /** What is built later belongs to the arguments, and to the modes, of now: those of the trace, which was made just before. */
  constructor(args: FlatArguments, trace: Trace, options: EntryOptions) {
    const outputs: ReturnType<typeof valueOfTraced>[] = []
    const result = mapTree(trace.result, (leaf) => {
      if (!(leaf instanceof Tensor && leaf.traced)) return leaf
      outputs.push(valueOfTraced(leaf))
      return place
    })
    const { graph, ...seen } = trace
    this.trace = { ...seen, result }
    this.graph = graph
    this.size = graph.nodes.length
    this.keys = args.tensors.map((t) => keyOf(t, args.tensors))
    this.statics = args.statics
    this.numberCount = args.numbers.length
    this.gradEnabled = context.gradEnabled
    this.outputMetas = outputs.map(({ shape, dtype }) => ({ shape, dtype }))
    this.outputBytes = this.outputMetas.reduce((sum, { shape, dtype }) => sum + sizeOf(shape) * itemSize(dtype), 0)
    this.queue = options.ahead && trace.assigns.size === 0 && trace.grads.size === 0 ? 1 : 0
    // of now, whatever another caller forces until it is built
    const native = nativeBackend()
    this.native = native !== undefined
    this.phases = buildProgram(trace, outputs, args.numbers.length, { ...options, native, queue: this.queue })
    this.layout = foreseenLayout(trace, outputs)
    this.gradients = this.gradientsOf(this.layout)
  }

  private gradientsOf({ slots }: Layout): Gradients {
    const { grads, argumentLeaves } = this.trace
    const produced = slots.flatMap((s) => (s.kind === 'gradOutput' ? [s.leaf] : []))
    return new Gradients(grads, produced, argumentLeaves)
  }

  /** Whether there is no program yet. */
  get building(): boolean {
    return this.phases !== undefined
  }

  /** Does the next phase of building, between which anything may happen. False where none is left. */
  advance(): boolean {
    const { phases } = this
    if (phases !== undefined) {
      const start = performance.now()
      try {
        const { done, value } = phases.next()
        if (done) this.complete(value)
      } catch (error) {
        this.failure = { error }
        this.endBuilding()
      }
      this.took += performance.now() - start
    }
    if (this.failure !== undefined) throw this.failure.error
    return this.building
  }

  /** The program, which is built now where it is not there yet. */
  get program(): Program {
    while (this.built === undefined) this.advance()
    return this.built
  }

  get prologue(): Prologue | undefined {
    return this.built?.prologue
  }

  private endBuilding(): void {
    this.phases = undefined
    this.graph?.release()
    this.graph = undefined
  }

  private complete(program: Program): void {
    this.endBuilding()
    this.built = program
    this.layout = program
    this.gradients = this.gradientsOf(program)
    const { steps, prologueSteps } = program
    const nodes = steps.reduce((sum, s) => sum + s.nodes.length, 0)
    this.bytes = program.bytes + entryBytes + steps.length * stepBytes + nodes * nodeBytes
    const costs = steps.map((s) => s.cost)
    this.microseconds = totalCost(costs.slice(prologueSteps)).microseconds
    this.prologueMicroseconds = totalCost(costs.slice(0, prologueSteps)).microseconds
  }

  /** Submits what waited for the program. */
  release(): void {
    backlogs[this.queue].pump()
  }

  /** Whether this variant serves a call. */
  matches(args: FlatArguments): boolean {
    if (args.tensors.length !== this.keys.length || args.numbers.length !== this.numberCount || args.statics.length !== this.statics.length)
      return false
    if (this.gradEnabled !== context.gradEnabled || this.native !== (nativeBackend() !== undefined)) return false
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

  /** What keeps this variant from serving a call with arguments of the same shapes, where that can be named. */
  difference(args: FlatArguments): string | undefined {
    const { guards, fields } = this.trace
    for (const f of fields) if (!f.holds()) return f.changed()
    const guard = guards.find((g) => !Object.is(g.read(), g.expected))
    if (guard !== undefined) return `${guard.owner.constructor.name}.${guard.key}`
    const other = args.statics.findIndex((s, i) => !Object.is(s, this.statics[i]))
    return other < 0 ? undefined : `argument that is neither a tensor nor a number (${showValue(args.statics[other])})`
  }

  /** Of an argument that requires gradients. */
  private matchesLeaf(t: Tensor, k: ArgumentKey, args: readonly Tensor[]): boolean {
    return (t.gradNode === undefined) === k.leaf && args.indexOf(t) === k.first && !this.trace.grads.has(t) && !isHooked(t)
  }

  /** Whether the next call has no prologue to run. */
  get prepared(): boolean {
    return this.built?.prologue?.current ?? true
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
    const { program } = this
    const call = bindCall(this, args, false, !this.prepared)
    for (const s of call.reads) s.waitToRead()
    for (const s of call.writes) s.waitToWrite()
    this.stamp(call)
    this.allocateOutputs(call)
    program.runSync(call.slots, call.whole)
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
   * Queues a run, or has it wait where too many are queued, or for the program. Gradients are shown at once; reading them waits. A failed run puts
   * them back.
   */
  submit(args: FlatArguments): Promise<unknown> {
    const { queue } = this
    const call = bindCall(this, args, true, !this.prepared)
    this.stamp(call)
    const place = backlogs[queue].add({
      bytes: this.outputBytes + call.copied + callBytes,
      callee: this,
      takeCopies: () => copyExposed(call),
      submit: () => {
        const { program } = this
        if (call.layout !== program) return this.submitForeseen(call, program)
        this.allocateOutputs(call)
        return program.submit(call.slots, queue, call.whole)
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

  /**
   * For a call made before there was a program. Which state the prologue reads then is not known, so what such a call computes of it serves no other.
   */
  private submitForeseen(call: Call, program: Program): ReturnType<Program['submit']> {
    call.whole = program.prologue !== undefined
    arrangeSlots(call, this)
    this.allocateOutputs(call)
    const submitted = program.submit(call.slots, this.queue, call.whole)
    program.prologue?.guard.queued(submitted.ticket, this.queue, true)
    return submitted
  }

  private stamp(call: Call): void {
    if (call.whole) call.stamp = this.prologue?.stamp()
  }

  /** A call has ended well. */
  private ended(call: Call): void {
    if (call.whole) this.prologue?.computed(call.stamp)
  }

  private result(call: Call): unknown {
    let next = 0
    return mapTree(this.trace.result, (leaf) => (leaf === place ? call.outputs[next++] : leaf))
  }

  private allocateOutputs(call: Call): void {
    const outputs = this.outputMetas.map(({ shape, dtype }) =>
      Tensor.contiguous(Storage.allocate(sizeOf(shape) * itemSize(dtype)), shape, dtype),
    )
    this.layout.slots.forEach((binding, i) => {
      if (binding.kind === 'output') call.slots[i] = outputs[binding.index].storage.bytes
    })
    call.outputs = outputs
  }
}
