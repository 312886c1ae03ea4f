/**
 * The interpreter of programs: the same words that the native runtime runs, in TypeScript. In: a program's words, and at each run the memory of
 * its slots. Out: results in that memory, or the error that the native backend would give.
 *
 * A step is a closure made once. Maps run tile by tile (micro.ts); the other opcodes run the loops that ops registered, on contiguous copies
 * where views are strided, and then their epilogue as one more map.
 */
import { type DType, itemSize, type TypedArray, viewMemory } from '../../base/dtype.js'
import { contiguousStrides, isContiguous, sizeOf } from '../../base/shape.js'
import { hasEpilogue, microType, Opcode, type View } from '../../ir/format.js'
import type { Slot } from '../binding.js'
import { type Dense, type Loop, loopOf } from '../registry.js'
import { type Describe, refused, StatusCode, statusError } from '../status.js'
import { checksIndices } from './check.js'
import { type DecodedInstruction, type DecodedProgram, decodeProgram } from './decode.js'
import { dtypeOf, isIdentity, type MapRun, prepareCopy, prepareMap } from './micro.js'

/** The memory of one run: a typed array for each buffer and dtype, made when first asked for. */
class Memory {
  private readonly program: DecodedProgram
  private readonly slots: readonly Slot[]
  private readonly arrays: Partial<Record<DType, TypedArray>>[]

  constructor(program: DecodedProgram, slots: readonly Slot[]) {
    this.program = program
    this.slots = slots
    this.arrays = program.buffers.map(() => ({}))
  }

  of({ buffer, dtype }: View<number>): TypedArray {
    const arrays = this.arrays[buffer]
    arrays[dtype] ??= this.make(buffer, dtype)
    return arrays[dtype]
  }

  private make(buffer: number, dtype: DType): TypedArray {
    const { slot, offset, bytes } = this.program.buffers[buffer]
    if (slot < 0) return viewMemory(dtype, arena, offset, bytes / itemSize(dtype))
    const memory = this.slots[slot]
    return viewMemory(dtype, memory.buffer, memory.byteOffset, Math.floor(memory.byteLength / itemSize(dtype)))
  }
}

/** Programs run one at a time and keep nothing in it, so they share one. */
let arena = new ArrayBuffer(0)
/** For tests that look for reads of what nobody wrote: a float of all ones is a NaN. */
const poisoned = process.env.CHAINRULE_POISON === '1'

function reserveArena(bytes: number): void {
  if (arena.byteLength < bytes) arena = new ArrayBuffer(bytes)
  if (poisoned) new Uint8Array(arena).fill(0xff)
}

type Step = (memory: Memory) => undefined | IndexFailure

/** An index out of range: its value and position. */
type IndexFailure = readonly [value: number, position: number]

/** A program ready to run on the TypeScript backend. */
export class JsProgram {
  private readonly program: DecodedProgram
  private readonly steps: readonly Step[]

  /**
   * @param words the program, as `encodeProgram` makes it; they are not kept
   * @throws BackendError (`ERR_PROGRAM_REFUSED`) when they break a rule of the format
   */
  constructor(words: Int32Array) {
    this.program = decodeProgram(words)
    this.steps = this.program.instructions.map(prepare)
  }

  /** Runs the program on the memory in `slots`, without its prologue where that is not wanted. */
  run(slots: readonly Slot[], describe: Describe = (i) => ({ what: i < 0 ? 'program' : `instruction ${i}` }), whole = true): void {
    this.program.slots.forEach(({ bytes, alignment }, s) => {
      const slot = slots[s] as Slot | undefined
      if (slot === undefined || slot.byteLength < bytes || slot.byteOffset % alignment !== 0)
        throw statusError([StatusCode.badSlot, -1, s, bytes], describe)
    })
    try {
      this.runSteps(slots, describe, whole ? 0 : this.program.prologue)
    } catch (error) {
      this.fallBack(slots)
      throw error
    }
  }

  private runSteps(slots: readonly Slot[], describe: Describe, first: number): void {
    try {
      reserveArena(this.program.arenaBytes)
    } catch {
      throw statusError([StatusCode.outOfMemory, -1, this.program.arenaBytes, 0], describe)
    }
    const memory = new Memory(this.program, slots)
    for (let i = first; i < this.steps.length; i++) {
      const failure = this.steps[i](memory)
      if (failure !== undefined) throw statusError([StatusCode.indexOutOfRange, i, ...failure], describe)
    }
  }

  /** What a failed run leaves: slots with a fallback get its contents. */
  private fallBack(slots: readonly Slot[]): void {
    this.program.slots.forEach(({ bytes, fallback }, s) => {
      if (fallback === undefined) return
      const to = bytesOf(slots[s], bytes)
      const from = bytesOf(slots[fallback], bytes)
      to.set(from)
      to.fill(0, from.length)
    })
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Slot, most: number): Uint8Array {
  return new Uint8Array(buffer, byteOffset, Math.min(byteLength, most))
}

function prepare(instruction: DecodedInstruction): Step {
  const { opcode, inputs, outputs, epilogue } = instruction
  // as the native runtime does: without results and without indices to look at there is nothing to do
  if (!checksIndices(opcode) && outputs.every((v) => sizeOf(v.shape) === 0)) return () => undefined
  if (opcode === Opcode.map && epilogue !== undefined) {
    const run = prepareMap(epilogue, outputs[0].shape, inputs, outputs)
    return (memory) => {
      run(
        inputs.map((v) => memory.of(v)),
        outputs.map((v) => memory.of(v)),
      )
      return undefined
    }
  }
  const loop = loopOf(opcode)
  if (loop === undefined) throw refused(`opcode ${opcode} has no loop on the TypeScript backend`)
  return structured(instruction, loop)
}

/** Makes the contiguous operand of a loop at each run. */
type Source = (memory: Memory) => Dense

function dense(shape: readonly number[], dtype: DType, data: TypedArray): Dense {
  return { shape, dtype, data }
}

function allocate(shape: readonly number[], dtype: DType): Dense {
  const n = sizeOf(shape)
  return dense(shape, dtype, viewMemory(dtype, new ArrayBuffer(n * itemSize(dtype)), 0, n))
}

const packed = ({ shape, dtype }: { shape: readonly number[]; dtype: DType }) => ({ dtype, offset: 0, strides: contiguousStrides(shape) })

/** A view's elements in row-major order: in place where they are so already. */
function materialise(view: View<number>): Source {
  const { shape, strides, offset, dtype } = view
  if (isContiguous(shape, strides)) return (memory) => dense(shape, dtype, memory.of(view).subarray(offset, offset + sizeOf(shape)))
  const copy = prepareCopy(shape, view, packed(view))
  return (memory) => {
    const out = allocate(shape, dtype)
    copy([memory.of(view)], [out.data])
    return out
  }
}

/** What a reduction folds: the prologue's values over the whole domain. */
function reduced({ inputs, prologue, prologueInputs = 0, domain = [] }: DecodedInstruction, wide: boolean): Source {
  if (prologue === undefined || (isIdentity(prologue) && prologueInputs > 0)) return materialise(inputs[0])
  const views = inputs.slice(0, prologueInputs)
  const dtype = dtypeOf(prologue.types[prologue.results[0]], wide)
  const run = prepareMap(prologue, domain, views, [packed({ shape: domain, dtype })])
  return (memory) => {
    const out = allocate(domain, dtype)
    run(
      views.map((v) => memory.of(v)),
      [out.data],
    )
    return out
  }
}

function structured(instruction: DecodedInstruction, loop: Loop): Step {
  const { opcode, inputs, outputs, epilogue, scalars } = instruction
  const wide = [...inputs, ...outputs].some((v) => v.dtype === 'float64')
  const own = !hasEpilogue(opcode) ? inputs.length : opcode === Opcode.reduce ? (instruction.prologueInputs ?? 0) : 2
  const sources = opcode === Opcode.reduce ? [reduced(instruction, wide)] : inputs.slice(0, own).map(materialise)
  const finish = hasEpilogue(opcode) && epilogue !== undefined ? afterwards(instruction, own, wide) : places(outputs)
  return (memory) => {
    const operands = sources.map((source) => source(memory))
    const failure = badIndex(instruction, operands)
    if (failure !== undefined) return failure
    const { results, store } = finish(memory)
    loop(operands, results, scalars)
    store()
    return undefined
  }
}

/** Where a loop writes, and what has to happen then. */
type Finish = (memory: Memory) => { results: Dense[]; store(): void }

/** Outputs without an epilogue: written in place where they are contiguous. */
function places(outputs: readonly View<number>[]): Finish {
  const copies = outputs.map((v): MapRun | undefined => (isContiguous(v.shape, v.strides) ? undefined : prepareCopy(v.shape, packed(v), v)))
  const direct = outputs.map(materialiseInPlace)
  return (memory) => {
    const results = outputs.map((v, i) => (copies[i] === undefined ? direct[i](memory) : allocate(v.shape, v.dtype)))
    return { results, store: () => copies.forEach((copy, i) => copy?.([results[i].data], [memory.of(outputs[i])])) }
  }
}

function materialiseInPlace(view: View<number>): Source {
  const { shape, dtype, offset } = view
  return (memory) => dense(shape, dtype, memory.of(view).subarray(offset, offset + sizeOf(shape)))
}

/** The epilogue: a map over the loop's result and the inputs that belong to it. */
function afterwards({ inputs, outputs, epilogue }: DecodedInstruction, own: number, wide: boolean): Finish {
  const [first] = outputs
  if (epilogue === undefined || (isIdentity(epilogue) && epilogue.types[0] === microType(first.dtype) && first.dtype !== 'uint8'))
    return places(outputs)
  const result = { shape: first.shape, dtype: dtypeOf(epilogue.types[0], wide) }
  const views = inputs.slice(own)
  const run = prepareMap(epilogue, first.shape, [packed(result), ...views], outputs)
  return (memory) => {
    const value = allocate(result.shape, result.dtype)
    return {
      results: [value],
      store: () =>
        run(
          [value.data, ...views.map((v) => memory.of(v))],
          outputs.map((v) => memory.of(v)),
        ),
    }
  }
}

/** The first index out of range, for opcodes that have indices. */
function badIndex({ opcode, outputs, scalars }: DecodedInstruction, operands: readonly Dense[]): IndexFailure | undefined {
  let limit: number
  let ignored: number | undefined
  switch (opcode) {
    case Opcode.gather:
      limit = operands[0].shape[scalars[0]]
      break
    case Opcode.scatterAdd:
      limit = outputs[0].shape[scalars[0]]
      break
    case Opcode.ctc:
      limit = operands[0].shape[2]
      break
    case Opcode.crossEntropy:
    case Opcode.crossEntropyGrad:
      limit = operands[0].shape[1]
      ignored = scalars[0]
      break
    default:
      return undefined
  }
  const { data } = operands[1]
  for (let i = 0; i < data.length; i++) if ((data[i] < 0 || data[i] >= limit) && data[i] !== ignored) return [data[i], i]
  return undefined
}

/** The same as a function: what compiled code asks for only where there is no native backend. */
export function jsProgram(words: Int32Array): JsProgram {
  return new JsProgram(words)
}
