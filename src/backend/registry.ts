/**
 * What ops register with the backends, which lie below them: micro-operations as functions of numbers, and plain loops for structured
 * opcodes. In: rows from `src/ops`. Out: the tables the interpreter runs, and the hash both sides of the program format compare.
 */
import type { DType, TypedArray } from '../base/dtype.js'
import { formatVersion, Opcode } from '../ir/format.js'

/** Which types a micro-operation takes and gives: T is f32 or i32, the same everywhere. */
export type MicroSignature = 'T→T' | 'F→F' | 'TT→T' | 'FF→F' | 'TT→M' | 'MM→M' | 'M→M' | 'MTT→T' | 'IM→F' | 'FM→I' | 'FI→M' | 'FFF→F'

export interface MicroOperation {
  readonly name: string
  readonly arity: number
  readonly signature: MicroSignature
  /** The operation on numbers; masks are 0 and 1. */
  readonly scalar: (a: number, b: number, c: number) => number
  /** The same for int32, where it differs. */
  readonly integer?: (a: number, b: number) => number
}

/** A contiguous operand of a reference loop. */
export interface Dense {
  readonly shape: readonly number[]
  readonly dtype: DType
  readonly data: TypedArray
}

/**
 * Computes one structured instruction, without its micro-programs, from contiguous inputs into contiguous outputs; `scalars` are its plain
 * attribute words (docs/program-format.md, "Opcodes"). A reduce gets its domain as the one input.
 */
export type Loop = (inputs: readonly Dense[], outputs: readonly Dense[], scalars: readonly number[]) => void

const operations: MicroOperation[] = []
const loops = new Map<Opcode, Loop>()

/** Adds a micro-operation and returns its number. */
export function defineMicro(operation: MicroOperation): number {
  operations.push(operation)
  return operations.length - 1
}

/** All micro-operations, by number. */
export function microOperations(): readonly MicroOperation[] {
  return operations
}

/** Says how an opcode is computed. */
export function registerLoop(opcode: Opcode, loop: Loop): void {
  if (loops.has(opcode)) throw new Error(`opcode ${opcode} has two loops`)
  loops.set(opcode, loop)
}

/** The loop of an opcode; `undefined` for map, which needs none, and for what is reserved. */
export function loopOf(opcode: Opcode): Loop | undefined {
  return loops.get(opcode)
}

/** FNV-1a over the format's version and the names and numbers of opcodes and micro-operations, as an unsigned 32-bit number. */
export function tableHash(): number {
  const opcodes = Object.entries(Opcode).map(([name, number]) => `${name}=${number}`)
  const text = [`format=${formatVersion}`, ...opcodes, ...operations.map(({ name }, i) => `${name}=${i}`)].join(';')
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}
