/**
 * The instruction and program formats (docs/program-format.md): how an instruction looks in TypeScript and how it becomes words.
 * In: instructions over buffers of any handle type `B`. Out: an `Int32Array`. Decoded by native/runtime/program and by backend/js.
 */
import { type DType, dtypeTag } from '../base/dtype.js'

export const Opcode = {
  map: 1,
  reduce: 2,
  gemm: 3,
  conv2d: 4,
  conv2dInputGrad: 5,
  conv2dWeightGrad: 6,
  maxPool2d: 7,
  avgPool2d: 8,
  avgPool2dGrad: 9,
  softmax: 10,
  crossEntropy: 11,
  crossEntropyGrad: 12,
  gather: 13,
  scatterAdd: 14,
  random: 15,
  collective: 16,
  scan: 20,
  sort: 21,
  linalg: 22,
  fft: 23,
  ctc: 24,
  moments: 30,
  normSums: 31,
  normRows: 32,
  normRowsGrad: 33,
  recurrent: 40,
  recurrentGrad: 41,
  attention: 42,
  attentionGrad: 43,
} as const
export type Opcode = (typeof Opcode)[keyof typeof Opcode]

export const ReduceKind = { sum: 0, prod: 1, max: 2, min: 3, argmax: 4, argmin: 5 } as const
export type ReduceKind = keyof typeof ReduceKind

export const ScanKind = { sum: 0, prod: 1, linear: 2 } as const
export type ScanKind = keyof typeof ScanKind

export const LinalgKind = { cholesky: 0, solve: 1, solveTriangular: 2, determinant: 3, qr: 4, svd: 5, eigh: 6 } as const
export type LinalgKind = keyof typeof LinalgKind

export const FftKind = { forward: 0, inverse: 1, fromReal: 2, toReal: 3 } as const
export type FftKind = keyof typeof FftKind

export const CtcKind = { loss: 0, gradient: 1 } as const
export type CtcKind = keyof typeof CtcKind

/** A strided window on a buffer; offset and strides count elements. */
export interface View<B> {
  readonly buffer: B
  readonly dtype: DType
  readonly offset: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]
  /** A number known when the instruction is made; lowering puts it into the micro-program. */
  readonly constant?: number
}

/** Types of values inside a micro-program. */
export const MicroType = { f32: 0, i32: 1, mask: 2 } as const
export type MicroType = (typeof MicroType)[keyof typeof MicroType]

export interface MicroConstant {
  readonly type: MicroType
  readonly value: number
}

/** One operation: the number of its row among the elementwise ops, and up to three values. */
export interface MicroOp {
  readonly op: number
  readonly a: number
  readonly b: number
  readonly c: number
}

/** Elementwise work in SSA form: values are the operands, then the constants, then one per operation. */
export interface Micro {
  readonly constants: readonly MicroConstant[]
  readonly ops: readonly MicroOp[]
  readonly results: readonly number[]
}

/** The micro-program that hands on its first operand. */
export const identityMicro: Micro = { constants: [], ops: [], results: [0] }

/** Whose indices an instruction reads, for errors: what the user gave, and to what. */
export interface Lookup {
  /** The op or layer. */
  readonly op: string
  /** The shape the user gave them in. */
  readonly shape: readonly number[]
  /** How many elements in a row of the instruction's operand one of them stands for; default 1. */
  readonly repeat?: number
  /** What they count: rows, classes. */
  readonly what?: string
}

export interface Instruction<B> {
  readonly opcode: Opcode
  readonly inputs: readonly View<B>[]
  readonly outputs: readonly View<B>[]
  /** Plain attribute words, before any micro-program. */
  readonly scalars: readonly number[]
  /** The reduced domain's shape and the work before the reduction, over the first `prologueInputs` inputs. */
  readonly domain?: readonly number[]
  readonly prologue?: Micro
  readonly prologueInputs?: number
  /** For a map its whole work; for gemm, conv and reduce what happens to the finished value. */
  readonly epilogue?: Micro
  region?: boolean
  /** Whose indices the second input holds, and how many things they are to choose from. */
  readonly lookup?: Lookup & { readonly size: number }
  /** The second input changes only before runs of the whole program: what a kernel makes of it may be kept. */
  keep?: boolean
}

/** True where the opcode ends with an epilogue micro-program. */
export function hasEpilogue(opcode: Opcode): boolean {
  return opcode <= Opcode.conv2dInputGrad
}

/** How many inputs come before the epilogue's own. */
export function epilogueStart<B>(instruction: Instruction<B>): number {
  switch (instruction.opcode) {
    case Opcode.map:
      return 0
    case Opcode.reduce:
      return instruction.prologueInputs ?? 0
    default:
      return 2
  }
}

export function microType(dtype: DType): MicroType {
  return dtype === 'float32' || dtype === 'float64' ? MicroType.f32 : dtype === 'bool' ? MicroType.mask : MicroType.i32
}

export const formatMagic = 0x31505243
export const formatVersion = 3
export const headerWords = 12
/** In an instruction's header: it joins the parallel region of the one before it; it keeps what it makes of its second input. */
export const regionFlag = 1
export const keepFlag = 2

export type BufferPlace =
  | {
      readonly kind: 'slot'
      readonly slot: number /** Number of the buffer whose contents it has after a failed run. */
      readonly fallback?: number
    }
  | { readonly kind: 'arena'; readonly offset: number; readonly size: number }

export interface ProgramSpec<B> {
  readonly instructions: readonly Instruction<B>[]
  readonly buffers: readonly B[]
  place(buffer: B): BufferPlace
  readonly slots: number
  /** In units of 64 bytes. */
  readonly arenaUnits: number
  readonly commitIndex: number
  /** How many instructions the prologue has; default 0. */
  readonly prologue?: number
  readonly tableHash: number
}

const floatBits = new Float32Array(1)
const intBits = new Int32Array(floatBits.buffer)

export function bitsOfFloat(value: number): number {
  floatBits[0] = value
  return intBits[0]
}

export function floatOfBits(bits: number): number {
  intBits[0] = bits
  return floatBits[0]
}

/** A growing array of words. */
class Words {
  words = new Int32Array(256)
  length = 0
  push(word: number): void {
    if (this.length === this.words.length) {
      const grown = new Int32Array(this.words.length * 2)
      grown.set(this.words)
      this.words = grown
    }
    this.words[this.length++] = word
  }
  pushMicro(micro: Micro): void {
    this.push(micro.constants.length)
    this.push(micro.ops.length)
    this.push(micro.results.length)
    for (const c of micro.constants) {
      this.push(c.type)
      this.push(c.type === MicroType.f32 ? bitsOfFloat(c.value) : c.type === MicroType.mask ? (c.value ? 1 : 0) : c.value)
    }
    for (const o of micro.ops) {
      this.push(o.op)
      this.push(o.a)
      this.push(o.b)
      this.push(o.c)
    }
    for (const r of micro.results) this.push(r)
  }
  pushView<B>(view: View<B>, buffer: number): void {
    const { shape, strides } = view
    this.push(buffer)
    this.push(dtypeTag(view.dtype))
    this.push(view.offset)
    this.push(shape.length)
    for (let i = 0; i < shape.length; i++) this.push(shape[i])
    for (let i = 0; i < shape.length; i++) this.push(strides[i])
  }
}

function pushAttributes<B>(out: Words, instruction: Instruction<B>): void {
  const i = instruction
  if (i.opcode === Opcode.reduce) {
    const domain = i.domain ?? []
    out.push(i.scalars[0])
    out.push(i.prologueInputs ?? 0)
    out.push(domain.length)
    for (const d of domain) out.push(d)
    out.pushMicro(i.prologue ?? identityMicro)
  } else {
    for (const s of i.scalars) out.push(s)
  }
  if (hasEpilogue(i.opcode)) out.pushMicro(i.epilogue ?? identityMicro)
}

function pushInstruction<B>(out: Words, instruction: Instruction<B>, bufferIndex: (b: B) => number): void {
  const start = out.length
  out.push(instruction.opcode)
  out.push(0)
  out.push(instruction.inputs.length)
  out.push(instruction.outputs.length)
  out.push(0)
  out.push(instruction.region ? regionFlag : instruction.keep ? keepFlag : 0)
  for (const v of instruction.inputs) out.pushView(v, bufferIndex(v.buffer))
  for (const v of instruction.outputs) out.pushView(v, bufferIndex(v.buffer))
  const attributes = out.length
  pushAttributes(out, instruction)
  out.words[start + 1] = out.length - start
  out.words[start + 4] = out.length - attributes
}

function pushHeader(out: Words, tableHash: number, buffers: number, instructions: number): void {
  out.push(formatMagic)
  out.push(formatVersion)
  out.push(tableHash | 0)
  out.push(0)
  out.push(buffers)
  out.push(instructions)
  for (let i = 6; i < headerWords; i++) out.push(0)
}

/** Encodes a whole program. */
export function encodeProgram<B>(spec: ProgramSpec<B>): Int32Array {
  const out = new Words()
  pushHeader(out, spec.tableHash, spec.buffers.length, spec.instructions.length)
  out.words[7] = spec.commitIndex
  out.words[8] = spec.arenaUnits
  out.words[9] = spec.slots
  out.words[11] = spec.prologue ?? 0
  const index = new Map<B, number>()
  spec.buffers.forEach((buffer, i) => {
    index.set(buffer, i)
    const place = spec.place(buffer)
    out.push(place.kind === 'slot' ? 0 : 1)
    out.push(place.kind === 'slot' ? place.slot : place.offset)
    out.push(place.kind === 'slot' ? (place.fallback ?? -1) + 1 : place.size)
    out.push(0)
  })
  for (const i of spec.instructions) pushInstruction(out, i, (b) => index.get(b) as number)
  out.words[10] = out.length
  return out.words.slice(0, out.length)
}

const scratch = new Words()

/**
 * Encodes one instruction as a program whose buffers are the external slots in `buffers`. The words returned are
 * scratch memory that the next call overwrites; `length` says how many count.
 */
export function encodeOne<B>(instruction: Instruction<B>, buffers: readonly B[], tableHash: number): { words: Int32Array; length: number } {
  const out = scratch
  out.length = 0
  pushHeader(out, tableHash, buffers.length, 1)
  out.words[7] = 1
  out.words[9] = buffers.length
  for (let i = 0; i < buffers.length; i++) {
    out.push(0)
    out.push(i)
    out.push(0)
    out.push(0)
  }
  pushInstruction(out, instruction, (b) => buffers.indexOf(b))
  out.words[10] = out.length
  return out
}
