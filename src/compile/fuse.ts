/**
 * Fusion and scheduling. One rule: elementwise work joins the latest instruction it depends on when that one runs over the same
 * elements, or else one beside it that reads the same data; what feeds only a reduction joins the reduction. In: lowered steps. Out: steps in running order, writes of state last.
 */

import { contiguousStrides } from '../base/shape.js'
import { hasEpilogue, identityMicro, Opcode, type View } from '../ir/format.js'
import { lowerMicro } from '../ops/core/micro.js'
import type { Storage } from '../tensor/storage.js'
import type { Effort } from './effort.js'
import { Group, sameView, throughView } from './group.js'
import { Buf, isWhole, type Lowered, type Result, type Step } from './lower.js'

export interface Schedule {
  readonly steps: readonly Step[]
  /** Index of the first step that writes state. */
  readonly commitIndex: number
}

/** Micro-programs stay small enough for their tiles to stay in the first-level cache. */
const maxOps = 64
const maxViews = 48

function countReaders(steps: readonly Step[]): Map<Buf, number> {
  const readers = new Map<Buf, number>()
  for (const { instruction } of steps)
    for (const b of new Set(instruction.inputs.map((v) => v.buffer))) readers.set(b, (readers.get(b) ?? 0) + 1)
  return readers
}

/** Maps whose results only end up in state: they wait until nothing can fail any more. */
function updateSteps(steps: readonly Step[], results: readonly Result[]): Set<Step> {
  const forUpdate = new Set<Buf>()
  const forOthers = new Set<Buf>()
  for (const r of results) (r.target.kind === 'state' ? forUpdate : forOthers).add(r.view.buffer)
  const update = new Set<Step>()
  for (let i = steps.length - 1; i >= 0; i--) {
    const { instruction } = steps[i]
    const outputs = instruction.outputs.map((v) => v.buffer)
    const late = instruction.opcode === Opcode.map && outputs.every((b) => forUpdate.has(b) && !forOthers.has(b) && !b.parts)
    if (late) update.add(steps[i])
    for (const v of instruction.inputs) (late ? forUpdate : forOthers).add(v.buffer)
  }
  return update
}

/** Groups in running order, with where each buffer was last written and read. */
class Scheduler {
  readonly slots: (Group | undefined)[] = []
  private readonly writer = new Map<Buf, number>()
  private readonly readersOf = new Map<Buf, number[]>()
  private readonly joinedReads = new Map<Buf, number>()
  /** Later steps do not join groups before this one. */
  private floor = 0
  /** What is computed anew in the backward pass stays behind what was scheduled when that began: it would be kept in memory instead. */
  private readonly scopeFloors = new Map<number, number>()
  private readonly readers: Map<Buf, number>
  private readonly needed: ReadonlySet<Buf>

  constructor(
    readers: Map<Buf, number>,
    needed: ReadonlySet<Buf>,
    private readonly effort: Effort,
  ) {
    this.readers = readers
    this.needed = needed
  }

  /** Continues behind everything scheduled so far. */
  barrier(): void {
    this.floor = this.slots.length
  }

  add(step: Step): void {
    const { instruction } = step
    this.effort.spend(1 + instruction.inputs.length)
    if (instruction.opcode === Opcode.map && this.joinExisting(step)) return
    const merged = instruction.opcode === Opcode.reduce ? this.withPrologue(step) : step
    const parts = instruction.outputs.some((v) => v.buffer.parts)
    const group = new Group(merged, instruction.opcode === Opcode.map ? !parts : hasEpilogue(instruction.opcode))
    const at = this.slots.push(group) - 1
    this.note(merged, at)
  }

  private note(step: Step, at: number): void {
    for (const v of step.instruction.inputs) this.noteReader(v.buffer, at)
    for (const v of step.instruction.outputs) this.writer.set(v.buffer, at)
  }

  private noteReader(buffer: Buf, at: number): void {
    const list = this.readersOf.get(buffer)
    if (list === undefined) this.readersOf.set(buffer, [at])
    else if (!list.includes(at)) list.push(at)
  }

  private floorOf(step: Step): number {
    const { scope } = step.nodes[0]
    if (scope === 0) return this.floor
    let floor = this.scopeFloors.get(scope)
    if (floor === undefined) {
      floor = this.slots.length
      this.scopeFloors.set(scope, floor)
    }
    return Math.max(floor, this.floor)
  }

  private joinExisting(step: Step): boolean {
    const { instruction } = step
    const floor = this.floorOf(step)
    let latest = -1
    for (const v of instruction.inputs) latest = Math.max(latest, this.writer.get(v.buffer) ?? -1)
    // parts of one buffer are written in order, after whatever wrote it before
    let after = -1
    for (const v of instruction.outputs) after = Math.max(after, this.writer.get(v.buffer) ?? -1)
    const candidates = [latest, ...instruction.inputs.flatMap((v) => this.readersOf.get(v.buffer)?.slice(-4) ?? [])]
    for (const at of candidates) {
      this.effort.spend(1)
      if (at < floor || at < latest || at <= after) continue
      const group = this.slots[at]
      if (group === undefined || (at !== latest && !group.isMap)) continue
      this.effort.spend(group.viewCount)
      if (!this.fits(group) || !group.accepts(instruction)) continue
      const inside = group.outputs.map((o) => o.view.buffer).filter((b) => instruction.inputs.some((v) => v.buffer === b))
      for (const b of new Set(inside)) this.joinedReads.set(b, (this.joinedReads.get(b) ?? 0) + 1)
      group.join(instruction, step.nodes)
      this.note(step, at)
      this.sinkInto(at, instruction)
      return true
    }
    return false
  }

  /** Moves the other maps that made a joined step's operands down to the group it joined, where nobody in between reads them. */
  private sinkInto(at: number, instruction: Step['instruction']): void {
    const group = this.slots[at] as Group
    const sources = new Set(instruction.inputs.map((v) => this.writer.get(v.buffer) ?? -1))
    for (const w of sources) {
      const earlier = this.slots[w]
      this.effort.spend(1)
      if (w < this.floor || w >= at || earlier === undefined || !group.acceptsEarlier(earlier)) continue
      if (group.opCount + earlier.opCount > maxOps || group.viewCount + earlier.viewCount > maxViews) continue
      const readBetween = earlier.outputs.some((o) => this.readersOf.get(o.view.buffer)?.some((r) => r > w && r < at))
      if (readBetween) continue
      for (const o of earlier.outputs) {
        if (group.inputs.some((v) => v.buffer === o.view.buffer))
          this.joinedReads.set(o.view.buffer, (this.joinedReads.get(o.view.buffer) ?? 0) + 1)
      }
      group.absorb(earlier)
      this.slots[w] = undefined
      for (const v of earlier.inputs) this.noteReader(v.buffer, at)
      for (const o of earlier.outputs) this.writer.set(o.view.buffer, at)
    }
  }

  private fits(group: Group): boolean {
    return group.opCount < maxOps && group.viewCount < maxViews
  }

  /** A reduction takes in the map that computes what it alone reads. */
  private withPrologue(step: Step): Step {
    const { instruction } = step
    const [input] = instruction.inputs
    const at = this.writer.get(input.buffer)
    const group = at === undefined || at < this.floor ? undefined : this.slots[at]
    const simple = instruction.inputs.length === 1 && (instruction.prologue === undefined || instruction.prologue === identityMicro)
    if (group === undefined || at === undefined || !group.isMap || !group.fusable || !simple) return step
    if (this.readsLeft(input.buffer) !== 1 || this.needed.has(input.buffer)) return step
    if (group.outputs.some((o) => o.view.buffer !== input.buffer && (this.needed.has(o.view.buffer) || this.readsLeft(o.view.buffer) > 0)))
      return step
    const made = group.outputs.find((o) => o.view.buffer === input.buffer)
    // storing bytes cuts numbers off, so a result of bytes has to be stored
    if (made === undefined || made.view.dtype === 'uint8') return step
    const { outputs } = group
    group.outputs = [made]
    const { micro, inputs: used } = group.asPrologue()
    group.outputs = outputs
    const inputs = throughView(made.view, input, used)
    if (inputs === undefined) return step
    this.slots[at] = undefined
    return {
      nodes: [...group.nodes, ...step.nodes],
      instruction: {
        ...instruction,
        inputs,
        prologue: micro,
        prologueInputs: inputs.length,
      },
    }
  }

  /** How many steps read a buffer other than those that joined the group that makes it. */
  private readsLeft(buffer: Buf): number {
    return (this.readers.get(buffer) ?? 0) - (this.joinedReads.get(buffer) ?? 0)
  }

  finish(): Step[] {
    const steps: Step[] = []
    // a result counts as read when any other group reads it
    const readElsewhere = new Set<Buf>(this.needed)
    for (const g of this.slots) g?.reads().forEach((b) => void readElsewhere.add(b))
    for (const group of this.slots) {
      if (group === undefined) continue
      if (group.fusable) group.keepOutputs((b) => readElsewhere.has(b) || b.parts || b.binding !== undefined)
      const instruction = group.finish()
      if (instruction !== undefined) steps.push({ instruction, nodes: group.nodes })
    }
    return steps
  }
}

/** Schedules everything: computing first, updates of state last, then the copies that are left. */
export function schedule(lowered: Lowered, effort: Effort): Schedule {
  const { results } = lowered
  const { steps, results: unique } = separateResults(inlineComparisons(lowered.steps, results), results)
  const update = updateSteps(steps, unique)
  const copies = bindResults(unique)
  const scheduler = new Scheduler(
    countReaders([...steps, ...copies]),
    new Set([...unique.map((r) => r.view.buffer), ...boundResults(steps)]),
    effort,
  )
  for (const s of steps) if (!update.has(s)) scheduler.add(s)
  for (const c of copies) scheduler.add(c)
  scheduler.barrier()
  for (const s of steps) if (update.has(s)) scheduler.add(s)
  const ordered = scheduler.finish()
  const written = writeStates(ordered, unique, lowered.captures)
  const all = [...written.steps, ...written.copies]
  const commitIndex = all.findIndex(({ instruction }) => instruction.outputs.some((v) => v.buffer.binding?.kind === 'capture'))
  return { steps: markRegions(all), commitIndex: commitIndex < 0 ? all.length : commitIndex }
}

/** What steps make that is kept for others to read. */
function boundResults(steps: readonly Step[]): Buf[] {
  return steps.flatMap((s) => s.instruction.outputs.flatMap((v) => (v.buffer.binding === undefined ? [] : [v.buffer])))
}

/**
 * Computes comparisons with a constant where they are used instead of storing masks: the number compared is in memory anyway.
 */
function inlineComparisons(steps: readonly Step[], results: readonly Result[]): Step[] {
  const wanted = new Set([...results.map((r) => r.view.buffer), ...boundResults(steps)])
  const cheap = new Map<Buf, Step>()
  const kept = new Set<Step>()
  const out = steps.map((step) => {
    const { instruction } = step
    let merged = step
    for (const v of instruction.inputs) {
      const maker = cheap.get(v.buffer)
      if (maker === undefined) continue
      const group = new Group(maker, true)
      if (instruction.opcode === Opcode.map && group.accepts(merged.instruction)) {
        const outputs = [...group.outputs]
        group.join(merged.instruction, merged.nodes)
        group.outputs = group.outputs.filter((o) => !outputs.includes(o))
        merged = { instruction: group.finish() as Step['instruction'], nodes: group.nodes }
      } else {
        kept.add(maker)
      }
    }
    const [result] = instruction.outputs
    const alone = instruction.opcode === Opcode.map && instruction.inputs.length === 1 && instruction.epilogue?.ops.length === 1
    if (alone && result.dtype === 'bool' && !result.buffer.parts && instruction.inputs[0].dtype !== 'bool') {
      cheap.set(result.buffer, merged)
      if (wanted.has(result.buffer)) kept.add(merged)
    }
    return merged
  })
  const dropped = new Set([...cheap.values()].filter((s) => !kept.has(s)))
  return out.filter((s) => !dropped.has(s))
}

/** Gives each result a buffer of its own: what is returned twice, or is a view of something else, is copied. */
function separateResults(steps: readonly Step[], results: readonly Result[]): { steps: Step[]; results: Result[] } {
  const taken = new Set<Buf>()
  const out: Step[] = [...steps]
  const separated = results.map((r) => {
    if (r.target.kind === 'state') return r
    const { view } = r
    if (isWhole(view) && view.buffer.binding === undefined && !taken.has(view.buffer)) {
      taken.add(view.buffer)
      return r
    }
    const { shape, dtype } = r.value
    const buffer = new Buf(bytesOf(r.value), dtype)
    taken.add(buffer)
    const target: View<Buf> = { buffer, dtype, offset: 0, shape, strides: contiguousStrides(shape) }
    out.push({ instruction: lowerMicro(undefined, [view], target), nodes: [r.value.node] })
    return { ...r, view: target }
  })
  return { steps: out, results: separated }
}

function bytesOf(v: Result['value']): number {
  return v.shape.reduce((n, d) => n * d, 1) * (v.dtype === 'uint8' || v.dtype === 'bool' ? 1 : 4)
}

/** Binds returned buffers to their slots. A state's new value that is itself outside memory is copied before any state changes. */
function bindResults(results: Result[]): Step[] {
  const early: Step[] = []
  results.forEach((r, i) => {
    if (r.target.kind === 'output') r.view.buffer.binding = { kind: 'output', index: r.target.index }
    else if (r.target.kind === 'gradOutput') r.view.buffer.binding = { kind: 'gradOutput', leaf: r.target.leaf }
    else if (r.view.constant === undefined && r.view.buffer.binding?.kind === 'capture') {
      const { shape, dtype } = r.value
      const target: View<Buf> = { buffer: new Buf(bytesOf(r.value), dtype), dtype, offset: 0, shape, strides: contiguousStrides(shape) }
      early.push({ instruction: lowerMicro(undefined, [r.view], target), nodes: [r.value.node] })
      results[i] = { ...r, view: target }
    }
  })
  return early
}

/**
 * Lets the maps that compute new state write it directly where nobody needs the old contents afterwards, and copies the rest at the end.
 */
function writeStates(
  steps: readonly Step[],
  results: readonly Result[],
  captures: ReadonlyMap<Storage, Buf>,
): { steps: Step[]; copies: Step[] } {
  const rename = new Map<Buf, Buf>()
  const copies: Step[] = []
  const places = new Places(steps)
  for (const r of results) {
    if (r.target.kind !== 'state') continue
    const { storage } = r.target
    const state = captures.get(storage) ?? new Buf(storage.byteLength, r.value.dtype, { kind: 'capture', storage })
    const { buffer } = r.view
    if (isWhole(r.view) && buffer.binding === undefined && !rename.has(buffer) && places.writableInPlace(buffer, state)) {
      rename.set(buffer, state)
    } else {
      const target: View<Buf> = {
        buffer: state,
        dtype: r.value.dtype,
        offset: 0,
        shape: r.value.shape,
        strides: contiguousStrides(r.value.shape),
      }
      copies.push({ instruction: lowerMicro(undefined, [r.view], target), nodes: [r.value.node] })
    }
  }
  const swap = (v: View<Buf>): View<Buf> => (rename.has(v.buffer) ? { ...v, buffer: rename.get(v.buffer) as Buf } : v)
  const renamed = steps.map((s) => ({
    nodes: s.nodes,
    instruction: { ...s.instruction, inputs: s.instruction.inputs.map(swap), outputs: s.instruction.outputs.map(swap) },
  }))
  return {
    steps: renamed,
    copies: copies.map((c) => ({ ...c, instruction: { ...c.instruction, inputs: c.instruction.inputs.map(swap) } })),
  }
}

/** Where the buffers of steps in running order are made and read. */
class Places {
  private readonly made = new Map<Buf, number>()
  private readonly lastRead = new Map<Buf, number>()
  /** From here on all steps are maps. */
  private readonly onlyMaps: number

  constructor(private readonly steps: readonly Step[]) {
    let onlyMaps = 0
    for (const [i, { instruction }] of steps.entries()) {
      for (const v of instruction.outputs) if (!this.made.has(v.buffer)) this.made.set(v.buffer, i)
      for (const v of instruction.inputs) this.lastRead.set(v.buffer, i)
      if (instruction.opcode !== Opcode.map) onlyMaps = i + 1
    }
    this.onlyMaps = onlyMaps
  }

  /**
   * True when only a map makes `buffer`, and no later step reads the old state, and the map itself reads it element for element. All steps from there on
   * must be maps, so that nothing that can fail comes after the write.
   */
  writableInPlace(buffer: Buf, state: Buf): boolean {
    const at = this.made.get(buffer)
    if (at === undefined || at < this.onlyMaps || buffer.parts || buffer.bytes !== state.bytes) return false
    const { inputs, outputs } = this.steps[at].instruction
    const made = outputs.find((v) => v.buffer === buffer) as View<Buf>
    const aligned = inputs.every((v) => v.buffer !== state || sameView({ ...v, buffer }, made))
    return aligned && (this.lastRead.get(state) ?? 0) <= at
  }
}

/** Consecutive maps that do not touch each other's results may run as one parallel region. */
function markRegions(steps: readonly Step[]): Step[] {
  let written = new Set<Buf>()
  let read = new Set<Buf>()
  return steps.map((s, i) => {
    const { instruction } = s
    const isMap = instruction.opcode === Opcode.map
    const previous = i > 0 && steps[i - 1].instruction.opcode === Opcode.map
    const free =
      instruction.inputs.every((v) => !written.has(v.buffer)) &&
      instruction.outputs.every((v) => !written.has(v.buffer) && !read.has(v.buffer))
    const region = isMap && previous && free
    if (!region) {
      written = new Set()
      read = new Set()
    }
    for (const v of instruction.outputs) written.add(v.buffer)
    for (const v of instruction.inputs) read.add(v.buffer)
    return { ...s, instruction: { ...instruction, region } }
  })
}
