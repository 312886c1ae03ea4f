/**
 * Decodes and checks whole programs (docs/program-format.md), as native/runtime/program.cc. In: words, from anywhere. Out: instructions whose
 * every element lies within its buffer, or a BackendError that says what is wrong with them.
 */
import { dtypes, itemSize } from '../../base/dtype.js'
import { distinctIndices, maxElements, maxRank, sizeOf } from '../../base/shape.js'
import { formatMagic, formatVersion, headerWords, type Instruction, keepFlag, Opcode, regionFlag, type View } from '../../ir/format.js'
import { tableHash } from '../registry.js'
import { StatusCode, statusError } from '../status.js'
import { canFail, checkInstruction } from './check.js'
import type { Attributes, Operands } from './checker.js'
import { elementRange, overlap, type Placed, place, sameElements } from './overlap.js'
import { maxSlots, Reader } from './reader.js'

export type DecodedInstruction = Operands & Attributes & Pick<Instruction<number>, 'region'>

/** Where a buffer lies: in a slot given at each call, or in the arena (slot -1), in bytes. */
export interface DecodedBuffer {
  readonly slot: number
  readonly offset: number
  readonly bytes: number
  /** The buffer it falls back on. */
  readonly fallback?: number
}

/** What a slot has to offer. */
export interface SlotNeed {
  bytes: number
  alignment: number
  written: boolean
  /** The slot whose contents it has after a failed run. */
  fallback: number | undefined
}

export interface DecodedProgram {
  readonly instructions: readonly DecodedInstruction[]
  readonly buffers: readonly DecodedBuffer[]
  readonly slots: readonly SlotNeed[]
  readonly arenaBytes: number
  /** How many instructions the prologue has. */
  readonly prologue: number
}

const unit = 64
const bufferWords = 4
const opcodes: ReadonlySet<number> = new Set(Object.values(Opcode))

/** Decodes a program, or throws. */
export function decodeProgram(words: Int32Array): DecodedProgram {
  const reader = new Reader(words, 0, words.length)
  const header = readHeader(reader)
  const slots: SlotNeed[] = Array.from({ length: header.slots }, () => ({ bytes: 0, alignment: 1, written: false, fallback: undefined }))
  const buffers = readBuffers(reader, header)
  const instructions: DecodedInstruction[] = []
  for (let i = 0; i < header.instructions; i++) {
    const instruction = readInstruction(words, reader, i, buffers, slots)
    reader.where = `instruction ${i}`
    if (i >= header.commit && canFail(instruction.opcode)) reader.refuse('it can fail, but comes after the commit index')
    if (instruction.region && instructions[i - 1]?.opcode !== Opcode.map) reader.refuse('a region without a map before it')
    checkAliasing(instruction, buffers, reader)
    instructions.push(instruction)
  }
  reader.where = 'program'
  if (reader.at !== words.length) reader.refuse('it has words left over')
  checkRegions(instructions, buffers, reader)
  noteFallbacks(buffers, slots, reader)
  return { instructions, buffers, slots, arenaBytes: header.arenaBytes, prologue: header.prologue }
}

interface Header {
  buffers: number
  instructions: number
  commit: number
  slots: number
  arenaBytes: number
  prologue: number
}

function readHeader(reader: Reader): Header {
  reader.need(headerWords)
  const [magic, version, hash, flags, buffers, instructions, symbols, commit, arena, slots, total, prologue] = Array.from(
    { length: headerWords },
    () => reader.next(),
  )
  if (magic !== formatMagic || version !== formatVersion) reader.refuse('not a program of this format')
  if (hash !== (tableHash() | 0)) throw statusError([StatusCode.tableMismatch, -1, hash, tableHash()], () => ({ what: 'program' }))
  if (total !== reader.end) reader.refuse(`it has ${reader.end} words, its header says ${total}`)
  if (flags !== 0) reader.refuse('a reserved word is not zero')
  if (symbols !== 0) reader.refuse('symbolic extents are not supported')
  if (
    [buffers, instructions, commit, arena, slots].some((n) => n < 0) ||
    commit > instructions ||
    prologue < 0 ||
    prologue > commit ||
    slots > maxSlots
  )
    reader.refuse('impossible counts')
  reader.need(bufferWords * buffers)
  return { buffers, instructions, commit, slots, arenaBytes: arena * unit, prologue }
}

function readBuffers(reader: Reader, header: Header): DecodedBuffer[] {
  return Array.from({ length: header.buffers }, (_, i) => {
    const [kind, place, size, flags] = [reader.next(), reader.next(), reader.next(), reader.next()]
    const bad =
      flags !== 0 || place < 0 || size < 0 || (kind !== 0 && kind !== 1) || (kind === 0 && (size > header.buffers || place >= header.slots))
    if (bad) reader.refuse(`buffer ${i}`)
    if (kind === 0) return { slot: place, offset: 0, bytes: 0, fallback: size === 0 ? undefined : size - 1 }
    if ((place + size) * unit > header.arenaBytes) reader.refuse(`buffer ${i} ends beyond the arena`)
    return { slot: -1, offset: place * unit, bytes: size * unit }
  })
}

/** After the instructions, when it is known what is written. */
function noteFallbacks(buffers: readonly DecodedBuffer[], slots: readonly SlotNeed[], reader: Reader): void {
  buffers.forEach(({ slot, fallback }, i) => {
    if (fallback === undefined) return
    const other = buffers[fallback].slot
    if (other < 0 || other === slot || !slots[slot].written || slots[other].written) reader.refuse(`the fallback of buffer ${i}`)
    slots[slot].fallback = other
  })
}

function readInstruction(
  words: Int32Array,
  outer: Reader,
  i: number,
  buffers: readonly DecodedBuffer[],
  slots: SlotNeed[],
): DecodedInstruction {
  const start = outer.at
  outer.where = `instruction ${i}`
  const [opcode, size, inputCount, outputCount, attributes, mark] = Array.from({ length: 6 }, () => outer.next())
  if (size < 6 || inputCount < 0 || outputCount < 0 || attributes < 0) outer.refuse('impossible counts')
  outer.at = start
  outer.need(size)
  if (size < 6 + 4 * (inputCount + outputCount) + attributes) outer.refuse('its operands do not fit its size')
  if (!opcodes.has(opcode)) outer.refuse(`there is no opcode ${opcode}`)
  const region = mark === regionFlag
  if (region && opcode !== Opcode.map) outer.refuse('a region of anything but maps')
  if (mark !== 0 && !region && !(mark === keepFlag && inputCount > 1)) outer.refuse('a mark that there is not')
  const reader = new Reader(words, start + 6, start + size)
  reader.where = outer.where
  const read = (count: number, output: boolean): View<number>[] =>
    Array.from({ length: count }, (_, k) => readView(reader, k, output, buffers, slots))
  const inputs = read(inputCount, false)
  const outputs = read(outputCount, true)
  if (reader.end - reader.at !== attributes) reader.refuse('its attributes do not fit its size')
  outer.at = start + size
  const operands: Operands = { opcode: opcode as Opcode, inputs, outputs }
  return { ...operands, ...checkInstruction(operands, reader), region }
}

function readView(reader: Reader, k: number, output: boolean, buffers: readonly DecodedBuffer[], slots: SlotNeed[]): View<number> {
  const name = `${output ? 'output' : 'input'} ${k}`
  reader.need(4)
  const [buffer, type, offset, rank] = [reader.next(), reader.next(), reader.next(), reader.next()]
  if (buffer < 0 || buffer >= buffers.length) reader.refuse(`${name}: there is no buffer ${buffer}`)
  if (type < 0 || type >= dtypes.length) reader.refuse(`${name}: dtype or layout ${type} is not supported`)
  if (rank < 0 || rank > maxRank) reader.refuse(`${name}: rank ${rank}`)
  reader.need(2 * rank)
  const shape = Array.from({ length: rank }, () => reader.next())
  const strides = Array.from({ length: rank }, () => reader.next())
  const view: View<number> = { buffer, dtype: dtypes[type], offset, shape, strides }
  if (shape.some((s) => s < 0) || sizeOf(shape.map((s) => Math.max(1, s))) > maxElements)
    reader.refuse(`${name}: shape [${shape.join(', ')}]`)
  if (output && !distinctIndices(view)) reader.refuse(`${name}: two of its indices meet`)
  const range = elementRange(view)
  const width = itemSize(view.dtype)
  const place = buffers[buffer]
  const inside =
    range === undefined || (range.low >= 0 && range.high <= maxElements && (place.slot >= 0 || (range.high + 1) * width <= place.bytes))
  if (offset < 0 || !inside) reader.refuse(`${name}: it reaches beyond its buffer`)
  if (place.slot >= 0) {
    const need = slots[place.slot]
    need.alignment = Math.max(need.alignment, width)
    if (output) need.written = true
    if (range !== undefined) need.bytes = Math.max(need.bytes, (range.high + 1) * width)
  }
  return view
}

function placed(view: View<number>, buffers: readonly DecodedBuffer[]): Placed {
  const { slot, offset } = buffers[view.buffer]
  return place(view, slot, offset)
}

/** An output overlaps another operand only in a map, and only where both views are equal. */
function checkAliasing({ opcode, inputs, outputs }: DecodedInstruction, buffers: readonly DecodedBuffer[], reader: Reader): void {
  const ins = inputs.map((v) => placed(v, buffers))
  const outs = outputs.map((v) => placed(v, buffers))
  outs.forEach((out, o) => {
    for (const input of ins) {
      if (overlap(out, input) && !(opcode === Opcode.map && sameElements(out, input))) reader.refuse(`output ${o} overlaps an input`)
    }
    for (const other of outs.slice(0, o)) if (overlap(out, other)) reader.refuse(`output ${o} overlaps another`)
  })
}

/** Maps of a region may run at the same time: what one writes, no other touches. */
function checkRegions(instructions: readonly DecodedInstruction[], buffers: readonly DecodedBuffer[], reader: Reader): void {
  for (let first = 0; first < instructions.length; ) {
    let last = first + 1
    while (last < instructions.length && instructions[last].region) last++
    if (last - first > 1) checkRegion(instructions.slice(first, last), buffers, reader)
    first = last
  }
}

function checkRegion(region: readonly DecodedInstruction[], buffers: readonly DecodedBuffer[], reader: Reader): void {
  const accesses = region.flatMap(({ inputs, outputs }, at) => [
    ...inputs.map((v) => ({ at, written: false, place: placed(v, buffers) })),
    ...outputs.map((v) => ({ at, written: true, place: placed(v, buffers) })),
  ])
  accesses.sort((a, b) => a.place.space - b.place.space || a.place.low - b.place.low)
  accesses.forEach((a, i) => {
    for (let k = i + 1; k < accesses.length; k++) {
      const b = accesses[k]
      if (b.place.space !== a.place.space || b.place.low >= a.place.high) break
      if (a.at !== b.at && (a.written || b.written) && overlap(a.place, b.place)) reader.refuse('maps of one region depend on each other')
    }
  })
}
