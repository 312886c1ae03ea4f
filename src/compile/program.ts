/**
 * From a trace to something that runs: lower, schedule, plan, encode, load. In: a trace and what it returns. Out: a program with the list of
 * what its slots are bound to at each call.
 */

import type { ProgramHandle, Slot } from '../backend/binding.js'
import { jsProgram } from '../backend/js/program.js'
import { enqueue } from '../backend/js/queue.js'
import type { NativeBackend } from '../backend/native.js'
import { nativeBackend } from '../backend/select.js'
import { showShape, userLine } from '../errors.js'
import { encodeProgram, type Instruction, Opcode } from '../ir/format.js'
import { tableHash } from '../ops/micro.js'
import { type Schedule, schedule } from './fuse.js'
import type { Value } from './graph.js'
import { type Binding, Buf, lower, type Step } from './lower.js'
import { type Plan, plan } from './plan.js'
import { divide, Prologue } from './prologue.js'
import type { Trace } from './trace.js'

export interface Program {
  readonly words: Int32Array
  readonly steps: readonly Step[]
  readonly plan: Plan
  readonly commitIndex: number
  /** What each slot is bound to. */
  readonly slots: readonly Binding[]
  /** Which slots the program writes. */
  readonly writes: readonly boolean[]
  runSync(slots: readonly Slot[]): void
  /** The promise settles with the microseconds the run took, where they are measured. */
  submit(slots: readonly Slot[], queue: 0 | 1): { ticket: number; done: Promise<number | undefined> }
  readonly native: boolean
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

/** The programs of a compiled function. */
export interface Programs {
  /** What a call runs; where there is a prologue, with what that made. */
  readonly main: Program
  /** The prologue and all the rest, and what the prologue keeps. */
  readonly first?: { readonly program: Program; readonly prologue: Prologue; readonly steps: readonly Step[] }
}

/** Builds and loads what runs a trace whose returned tensors are `outputs`. */
export function buildPrograms(
  trace: Trace,
  outputs: readonly Value[],
  numbers: number,
  options: { readonly queue: 0 | 1; readonly frozen: boolean },
): Programs {
  const lowered = lower(trace, outputs, numbers)
  const division = divide(lowered)
  if (division === undefined) return { main: load(schedule(lowered)) }
  const { steps } = schedule(division.prologue)
  const { words, slots } = encode({ steps, commitIndex: steps.length })
  const sources = slots.flatMap((b) => (b.kind === 'capture' ? [b.storage] : []))
  const signature = Int32Array.from([...words, ...slots.map((b) => (b.kind === 'derived' ? b.index : -1))])
  const prologue = Prologue.of({ ...options, sources, signature }, division.derived)
  // one program and not two, so that no training step comes between the prologue and what uses it
  const rest = schedule(division.rest)
  const program = load({ steps: [...steps, ...rest.steps], commitIndex: steps.length + rest.commitIndex })
  return { main: load(rest), first: { program, prologue, steps } }
}

function encode({ steps, commitIndex }: Schedule): Pick<Program, 'words' | 'plan' | 'slots' | 'writes'> {
  const memory = plan(steps)
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
      return { kind: 'arena', offset: memory.offsets.get(b) as number, size: Math.max(1, Math.ceil(b.bytes / 64)) }
    },
    slots: external.length,
    arenaUnits: memory.arenaUnits,
    commitIndex,
    tableHash: tableHash(),
  })
  const written = new Set(steps.flatMap((s) => s.instruction.outputs.map((v) => v.buffer)))
  return { words, plan: memory, slots: external.map((b) => b.binding as Binding), writes: external.map((b) => written.has(b)) }
}

function load(scheduled: Schedule): Program {
  const encoded = encode(scheduled)
  const { words, writes } = encoded
  const describe = (i: number): string => describeStep(scheduled.steps[i])
  const native = nativeBackend()
  const runs = native === undefined ? onInterpreter(words, describe, writes) : onNative(native, words, describe)
  return { ...scheduled, ...encoded, ...runs }
}

function onNative(
  native: NativeBackend,
  words: Int32Array,
  describe: (i: number) => string,
): Pick<Program, 'runSync' | 'submit' | 'native'> {
  const handle: ProgramHandle = native.load(words)
  return {
    native: true,
    runSync: (slots) => native.runSync(handle, slots, describe),
    submit: (slots, queue) => native.submit(handle, slots, queue, describe),
  }
}

/** The interpreter runs on the event loop. What JavaScript could change until then is copied, as the addon does. */
function onInterpreter(
  words: Int32Array,
  describe: (i: number) => string,
  writes: readonly boolean[],
): Pick<Program, 'runSync' | 'submit' | 'native'> {
  const program = jsProgram(words)
  return {
    native: false,
    runSync: (slots) => program.run(slots, describe),
    submit: (slots) => {
      const kept = slots.map((s, i) => (writes[i] || s.buffer instanceof SharedArrayBuffer ? s : (s as Uint8Array).slice()))
      return enqueue(() => program.run(kept, describe))
    },
  }
}

/** An instruction as errors and `explain` name it: the ops it came from, shapes, the user's line. */
export function describeStep(step: Step | undefined): string {
  if (step === undefined) return 'program'
  const names = [...new Set(step.nodes.filter((n) => n.row !== undefined).map((n) => n.name))]
  const shapes = step.instruction.inputs.slice(0, 4).map((v) => showShape(v.shape))
  return `${names.join(' + ')} ${shapes.join(', ')}${userLine(step.nodes.find((n) => n.stack !== undefined)?.stack)}`
}

/** The opcode's name. */
export function opcodeName(instruction: Instruction<Buf>): string {
  return Object.entries(Opcode).find(([, code]) => code === instruction.opcode)?.[0] ?? String(instruction.opcode)
}
