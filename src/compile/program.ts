/**
 * From a trace to something that runs: lower, schedule, plan, encode, load. In: a trace and what it returns. Out: a program with the list of
 * what its slots are bound to at each call.
 */

import { types } from 'node:util'
import type { ProgramHandle, Slot } from '../backend/binding.js'
import { jsProgram } from '../backend/js/program.js'
import { enqueue } from '../backend/js/queue.js'
import type { NativeBackend } from '../backend/native.js'
import type { Describe } from '../backend/status.js'
import { encodeProgram } from '../ir/format.js'
import { tableHash } from '../ops/core/micro.js'
import { Effort } from './effort.js'
import { schedule } from './fuse.js'
import type { Value } from './graph.js'
import type { Locate } from './locate.js'
import { type Binding, Buf, type Layout, lower, type Step } from './lower.js'
import { plan, unitsOf } from './plan.js'
import { divide, Prologue } from './prologue.js'
import { describe, type StepSummary, summarize } from './summary.js'
import type { Trace } from './trace.js'

export interface Program extends Layout {
  readonly steps: readonly StepSummary[]
  readonly arenaBytes: number
  /** What it takes of memory beside JavaScript's objects: instructions, weights that kernels transformed, what the prologue makes. */
  readonly bytes: number
  readonly commitIndex: number
  /** Without `whole` the prologue is left out. */
  runSync(slots: readonly Slot[], whole: boolean): void
  /** The promise settles with the microseconds the run took, where they are measured. */
  submit(slots: readonly Slot[], queue: 0 | 1, whole: boolean): { ticket: number; done: Promise<number | undefined> }
  readonly native: boolean
  /** How many of the steps, the first ones, are the prologue. */
  readonly prologueSteps: number
  readonly prologue: Prologue | undefined
}

function collectBuffers(steps: readonly Step[]): Buf[] {
  const buffers = new Set<Buf>()
  for (const { instruction } of steps) {
    for (const v of instruction.inputs) buffers.add(v.buffer)
    for (const v of instruction.outputs) buffers.add(v.buffer)
  }
  return [...buffers]
}

/**
 * A call that fails leaves in each gradient what was there before, for the calls that were queued behind it and add to that. Adds buffers for what was
 * there; returns the number of the buffer that each gradient falls back on.
 */
function gradientFallbacks(buffers: Buf[]): Map<Buf, number> {
  const found = new Map<Buf, number>()
  for (const b of [...buffers]) {
    if (b.binding?.kind !== 'gradOutput') continue
    found.set(b, buffers.push(new Buf(b.bytes, b.dtype, { kind: 'gradBefore', leaf: b.binding.leaf })) - 1)
  }
  return found
}

export interface ProgramOptions {
  /** The backend it runs on; TypeScript's where there is none. */
  readonly native: NativeBackend | undefined
  readonly queue: 0 | 1
  readonly frozen: boolean
  /** The user's line that made a node of the graph, as text to append to a message. */
  readonly locate: Locate | undefined
}

/** Work that may be interrupted where it yields, so that the event loop answers in between, or done at once. */
export type Phases<T> = Generator<void, T, void>

/** Builds and loads the program of a trace whose returned tensors are `outputs`. */
export function* buildProgram(trace: Trace, outputs: readonly Value[], numbers: number, options: ProgramOptions): Phases<Program> {
  const { queue, frozen, native, locate } = options
  const lowered = lower(trace, outputs, numbers)
  yield
  const effort = new Effort(lowered.steps.length)
  const division = divide(lowered, effort)
  const prologue = division && new Prologue(division.sources, division.derived, queue, frozen)
  const first = division === undefined ? [] : schedule(division.prologue, effort).steps
  yield
  const main = schedule(division?.rest ?? lowered, effort)
  yield
  const all = [...first, ...main.steps]
  const commitIndex = first.length + main.commitIndex
  const { words, ...encoded } = encode(all, commitIndex, first.length, effort)
  const steps = all.map(summarize)
  const describeStep: Describe = (i) => {
    const step = steps[i] as StepSummary | undefined
    return step === undefined ? { what: 'program' } : { what: describe(step), line: locate?.(step.nodes[0]), lookup: step.lookup }
  }
  yield
  const runs = native === undefined ? onInterpreter(words, describeStep, encoded.writes) : onNative(native, words, describeStep)
  const kept = division?.derived.reduce((sum, b) => sum + b.bytes, 0) ?? 0
  return { steps, commitIndex, prologue, prologueSteps: first.length, ...encoded, ...runs, bytes: runs.bytes + kept }
}

/** A program's words, and what it needs to be called. */
interface Encoded extends Layout, Pick<Program, 'arenaBytes'> {
  readonly words: Int32Array
}

function encode(steps: readonly Step[], commitIndex: number, prologue: number, effort: Effort): Encoded {
  const memory = plan(steps, effort)
  const buffers = collectBuffers(steps)
  const fallbacks = gradientFallbacks(buffers)
  const external = buffers.filter((b) => b.binding !== undefined)
  const slotOf = new Map(external.map((b, i) => [b, i]))
  const words = encodeProgram<Buf>({
    instructions: steps.map((s) => s.instruction),
    buffers,
    place: (b) => {
      const slot = slotOf.get(b)
      if (slot !== undefined) return { kind: 'slot', slot, fallback: fallbacks.get(b) }
      return { kind: 'arena', offset: memory.offsets.get(b) as number, size: unitsOf(b) }
    },
    slots: external.length,
    arenaUnits: memory.arenaUnits,
    commitIndex,
    prologue,
    tableHash: tableHash(),
  })
  const written = new Set(steps.flatMap((s) => s.instruction.outputs.map((v) => v.buffer)))
  return {
    words,
    arenaBytes: memory.arenaUnits * 64,
    slots: external.map((b) => b.binding as Binding),
    writes: external.map((b) => written.has(b)),
  }
}

function onNative(native: NativeBackend, words: Int32Array, describe: Describe): Pick<Program, 'runSync' | 'submit' | 'native' | 'bytes'> {
  const handle: ProgramHandle = native.load(words)
  return {
    native: true,
    bytes: native.bytesOf(handle),
    runSync: (slots, whole) => native.runSync(handle, slots, whole, describe),
    submit: (slots, queue, whole) => native.submit(handle, slots, queue, whole, describe),
  }
}

/** The interpreter runs on the event loop. What JavaScript could change until then is copied, as the addon does. */
function onInterpreter(
  words: Int32Array,
  describe: Describe,
  writes: readonly boolean[],
): Pick<Program, 'runSync' | 'submit' | 'native' | 'bytes'> {
  const program = jsProgram(words)
  return {
    native: false,
    // decoded, a word is a part of an object
    bytes: words.byteLength * 8,
    runSync: (slots, whole) => program.run(slots, describe, whole),
    submit: (slots, _queue, whole) => {
      const kept = slots.map((s, i) => (writes[i] || types.isSharedArrayBuffer(s.buffer) ? s : (s as Uint8Array).slice()))
      return enqueue(() => program.run(kept, describe, whole))
    },
  }
}
