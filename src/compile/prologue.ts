/**
 * What a program computes from captured tensors alone, which it does not write (folded batch norm, transformed weights): computed by the
 * first call, kept, and computed again when one of those tensors has changed. In: lowered steps. Out: the steps divided in two, and what is
 * kept between calls. What a kernel makes of its weights is kept by the backend, in the same calls.
 */

import { sizeOf } from '../base/shape.js'
import { Opcode } from '../ir/format.js'
import { Storage } from '../tensor/storage.js'
import { elementsOf } from './cost.js'
import type { Effort } from './effort.js'
import type { Buf, Lowered, Step } from './lower.js'

export interface Division {
  /** Steps of the prologue, in order. */
  readonly prologue: Lowered
  readonly rest: Lowered
  /** The captured storages the prologue reads. */
  readonly sources: readonly Storage[]
  /** What the prologue makes and the rest reads; bound to slots from now on. */
  readonly derived: readonly Buf[]
}

/** Work on single numbers costs less than keeping its result: it is done wherever it is needed. */
function isTrifle({ instruction }: Step): boolean {
  return [...instruction.inputs, ...instruction.outputs].every((v) => sizeOf(v.shape) <= 1)
}

/** A map whose result is larger than its operands: where it is used that is computed from the cache, kept it would be read from memory. */
function spreads({ instruction }: Step): boolean {
  if (instruction.opcode !== Opcode.map) return false
  const read = instruction.inputs.reduce((sum, v) => sum + elementsOf(v), 0)
  return instruction.outputs.some((v) => sizeOf(v.shape) > read)
}

/** The steps that depend on nothing but `unwritten` buffers and each other. */
function independentSteps(steps: readonly Step[], unwritten: ReadonlyMap<Buf, Storage>, effort: Effort): Set<Step> {
  const chosen = new Set(steps.filter((s) => !spreads(s) || isTrifle(s)))
  // a buffer written in parts belongs to one side as a whole, so that a refusal may reach back
  for (let before = -1; before !== chosen.size; ) {
    before = chosen.size
    effort.spend(steps.length)
    const others = new Set<Buf>()
    for (const s of steps) if (!chosen.has(s)) for (const v of s.instruction.outputs) others.add(v.buffer)
    const made = new Set<Buf>()
    for (const s of steps) {
      if (!chosen.has(s)) continue
      const { inputs, outputs } = s.instruction
      const free = inputs.every(({ buffer }) => unwritten.has(buffer) || (made.has(buffer) && !others.has(buffer)))
      if (free && outputs.every((v) => !others.has(v.buffer))) {
        for (const v of outputs) made.add(v.buffer)
      } else {
        chosen.delete(s)
        for (const v of outputs) others.add(v.buffer)
      }
    }
  }
  return chosen
}

/** The steps among `candidates` that make, directly or not, what is read. */
function makersOf(wanted: Iterable<Buf>, candidates: readonly Step[]): Set<Step> {
  const read = new Set(wanted)
  const makers = new Set<Step>()
  for (const s of [...candidates].reverse()) {
    if (!s.instruction.outputs.some((v) => read.has(v.buffer))) continue
    makers.add(s)
    for (const v of s.instruction.inputs) read.add(v.buffer)
  }
  return makers
}

const inputsOf = (steps: Iterable<Step>): Buf[] => [...steps].flatMap((s) => s.instruction.inputs.map((v) => v.buffer))
const outputsOf = (steps: Iterable<Step>): Buf[] => [...steps].flatMap((s) => s.instruction.outputs.map((v) => v.buffer))

/** Opcodes whose kernels make something of their second input, the weights, before they begin. */
const preparing: ReadonlySet<Opcode> = new Set([Opcode.conv2d, Opcode.conv2dInputGrad])

/** The step, marked where its weights are settled before the calls that leave out the prologue. */
function keeping(step: Step, settled: ReadonlySet<Buf>): Step {
  const { instruction } = step
  if (!preparing.has(instruction.opcode) || !settled.has(instruction.inputs[1].buffer)) return step
  return { ...step, instruction: { ...instruction, keep: true } }
}

/** Divides a program; `undefined` where nothing is worth keeping. */
export function divide(lowered: Lowered, effort: Effort): Division | undefined {
  const { steps, results, captures } = lowered
  const written = new Set(results.flatMap(({ target }) => (target.kind === 'state' ? [target.storage] : [])))
  const unwritten = new Map<Buf, Storage>()
  for (const [storage, buffer] of captures) if (!written.has(storage)) unwritten.set(buffer, storage)
  const independent = independentSteps(steps, unwritten, effort)
  const derives = fromCaptures(steps, independent, unwritten)
  const worthy = new Set(steps.filter((s) => derives.has(s) && !isTrifle(s)))
  // what is neither kept nor depends on a call is done on both sides, where they need it
  const either = steps.filter((s) => independent.has(s) && !worthy.has(s))
  const own = steps.filter((s) => !independent.has(s))
  const settled = new Set([...unwritten.keys(), ...outputsOf(worthy)])
  const before = makersOf(inputsOf(worthy), either)
  const after = makersOf([...inputsOf(own), ...results.map((r) => r.view.buffer)], either)
  const prologue = steps.filter((s) => before.has(s) || worthy.has(s))
  const rest = steps.filter((s) => !independent.has(s) || after.has(s)).map((s) => keeping(s, settled))
  const read = new Set([...inputsOf(rest), ...results.map((r) => r.view.buffer)])
  const derived = [...new Set(outputsOf(worthy))].filter((b) => read.has(b))
  const kept = rest.filter((s) => s.instruction.keep).map((s) => s.instruction.inputs[1].buffer)
  if (worthy.size === 0 && kept.length === 0) return undefined
  for (const [index, buffer] of derived.entries()) buffer.binding = { kind: 'derived', index }
  const seen = new Set([...inputsOf(prologue), ...kept])
  return {
    prologue: { steps: prologue, results: [], captures },
    rest: { ...lowered, steps: rest },
    sources: [...unwritten].flatMap(([buffer, storage]) => (seen.has(buffer) ? [storage] : [])),
    derived,
  }
}

/** The independent steps that a captured tensor has a part in; the others make constants. */
function fromCaptures(steps: readonly Step[], independent: ReadonlySet<Step>, unwritten: ReadonlyMap<Buf, Storage>): Set<Step> {
  const derived = new Set<Buf>(unwritten.keys())
  const found = new Set<Step>()
  for (const s of steps) {
    if (!independent.has(s) || !s.instruction.inputs.some((v) => derived.has(v.buffer))) continue
    found.add(s)
    for (const v of s.instruction.outputs) derived.add(v.buffer)
  }
  return found
}

/** What is kept between calls of one program, and from which state of the sources. */
export class Prologue {
  /** Memory of the derived buffers, in the order of their numbers. */
  readonly storages: readonly Storage[]
  /** Written by calls that run the prologue, read by all others: neither at the same time as the other. */
  readonly guard = Storage.allocateShared(1)
  private versions: readonly number[] | undefined

  /**
   * @param queue the queue of the program, whose calls run in order
   * @param frozen writes that JavaScript may make through `.data` are none, says the user
   */
  constructor(
    private readonly sources: readonly Storage[],
    derived: readonly Buf[],
    private readonly queue: 0 | 1,
    private readonly frozen: boolean,
  ) {
    this.storages = Storage.allocateSideBySide(derived.map((b) => b.bytes))
  }

  /** Whether what is kept belongs to the sources as they are now. */
  get current(): boolean {
    const { versions, sources, frozen } = this
    return versions !== undefined && sources.every((s, i) => s.version === versions[i] && (frozen || !s.exposed))
  }

  /**
   * The state of the sources that a call made now finds when it runs; `undefined` where that is not known: a call that goes ahead of queued writes
   * comes before some of them.
   */
  stamp(): readonly number[] | undefined {
    const { sources, queue } = this
    if (queue === 1 && sources.some((s) => s.beingWritten)) return undefined
    return sources.map((s) => s.version)
  }

  /** Notes that a call which ran the prologue has ended well. */
  computed(stamp: readonly number[] | undefined): void {
    this.versions = stamp
  }
}
