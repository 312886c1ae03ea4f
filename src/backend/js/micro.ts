/**
 * Micro-programs: decoding with type checks, and running them tile by tile over strided operands. In: words, or a checked micro-program with
 * views. Out: results in memory. No code is generated: each operation is a loop over a tile that calls the function its row registered.
 */
import { type DType, isFloat, type TypedArray } from '../../base/dtype.js'
import { floatOfBits, type Micro, type MicroConstant, type MicroOp, MicroType, microType } from '../../ir/format.js'
import { type MicroOperation, type MicroSignature, microOperations } from '../registry.js'
import { maxMicroValues, type Reader } from './reader.js'

/** The type an operation yields, or `undefined` when its operands do not fit. */
function resultOf(signature: MicroSignature, a: MicroType, b: MicroType, c: MicroType): MicroType | undefined {
  const { f32, i32, mask } = MicroType
  const when = (fits: boolean, type: MicroType): MicroType | undefined => (fits ? type : undefined)
  switch (signature) {
    case 'T→T':
      return when(a !== mask, a)
    case 'F→F':
      return when(a === f32, f32)
    case 'TT→T':
      return when(a !== mask && a === b, a)
    case 'FF→F':
      return when(a === f32 && b === f32, f32)
    case 'TT→M':
      return when(a !== mask && a === b, mask)
    case 'MM→M':
      return when(a === mask && b === mask, mask)
    case 'M→M':
      return when(a === mask, mask)
    case 'MTT→T':
      return when(a === mask && b !== mask && b === c, b)
    case 'IM→F':
      return when(a !== f32, f32)
    case 'FM→I':
      return when(a !== i32, i32)
    case 'FI→M':
      return when(a !== mask, mask)
    case 'FFF→F':
      return when(a === f32 && b === f32 && c === f32, f32)
  }
}

/** A micro-program that passed all checks, with the type of each value. */
export interface CheckedMicro extends Micro {
  readonly operands: number
  readonly types: readonly MicroType[]
}

/** Reads and checks a micro-program over operands of these types, with this many results. */
export function readMicro(reader: Reader, operands: readonly MicroType[], results: number): CheckedMicro {
  const counts = [reader.next(), reader.next(), reader.next()]
  if (counts.some((n) => n < 0) || counts[2] !== results) reader.refuse('a micro-program of impossible size')
  const values = operands.length + counts[0] + counts[1]
  if (values > maxMicroValues) reader.refuse(`a micro-program of ${values} values`)
  reader.need(2 * counts[0] + 4 * counts[1] + counts[2])
  const types = [...operands]
  const constants: MicroConstant[] = []
  for (let i = 0; i < counts[0]; i++) {
    const type = reader.next()
    const bits = reader.next()
    if (type < 0 || type > 2 || (type === MicroType.mask && bits !== 0 && bits !== 1)) reader.refuse(`constant ${i} of a micro-program`)
    types.push(type as MicroType)
    constants.push({ type: type as MicroType, value: type === MicroType.f32 ? floatOfBits(bits) : bits })
  }
  const ops: MicroOp[] = []
  for (let i = 0; i < counts[1]; i++) ops.push(readOperation(reader, types, i))
  const list: number[] = []
  for (let i = 0; i < counts[2]; i++) {
    const value = reader.next()
    if (value < 0 || value >= types.length) reader.refuse(`result ${i} of a micro-program`)
    list.push(value)
  }
  return { constants, ops, results: list, operands: operands.length, types }
}

function readOperation(reader: Reader, types: MicroType[], i: number): MicroOp {
  const table = microOperations()
  const op = reader.next()
  const at = [reader.next(), reader.next(), reader.next()]
  const row = table[op] as MicroOperation | undefined
  if (row === undefined) return reader.refuse(`operation ${i} of a micro-program: there is no number ${op}`)
  if (at.some((value, k) => (k < row.arity ? value < 0 || value >= types.length : value !== 0)))
    reader.refuse(`an operand of ${row.name} in a micro-program`)
  const type = resultOf(row.signature, types[at[0]], types[at[1]], types[at[2]])
  if (type === undefined) return reader.refuse(`the operand types of ${row.name} in a micro-program`)
  types.push(type)
  return { op, a: at[0], b: at[1], c: at[2] }
}

/** Whether a value may be written to a view of this dtype. */
export function fits(type: MicroType, dtype: DType): boolean {
  return microType(dtype) === type
}

/** True where the micro-program hands on its first operand and does nothing else. */
export function isIdentity(micro: Micro): boolean {
  return micro.results.length === 1 && micro.results[0] === 0
}

/** Where an operand of a map lies, apart from its memory. */
export interface Layout {
  readonly dtype: DType
  readonly offset: number
  readonly strides: readonly number[]
}

/** Runs a prepared map over the memory of its inputs and outputs. */
export type MapRun = (inputs: readonly TypedArray[], outputs: readonly TypedArray[]) => void

const tile = 256
type Register = Float32Array | Float64Array | Int32Array

/** Registers are shared by all maps: one map runs at a time, and only its own constants outlive it. */
const registers = new Map<string, Register[]>()

function makeRegister(type: MicroType, wide: boolean): Register {
  return type !== MicroType.f32 ? new Int32Array(tile) : wide ? new Float64Array(tile) : new Float32Array(tile)
}

function sharedRegister(type: MicroType, wide: boolean, number: number): Register {
  const key = type === MicroType.f32 ? `f${wide}` : 'i'
  const list = registers.get(key) ?? []
  registers.set(key, list)
  list[number] ??= makeRegister(type, wide)
  return list[number]
}

/** Dimensions that every operand steps through as one are made one; sizes of 1 go. */
function collapse(shape: readonly number[], layouts: readonly Layout[]): { shape: number[]; strides: number[][] } {
  const sizes: number[] = []
  const strides: number[][] = layouts.map(() => [])
  for (let d = 0; d < shape.length; d++) {
    if (shape[d] === 1) continue
    const last = sizes.length - 1
    const joins = last >= 0 && layouts.every((l, i) => strides[i][last] === l.strides[d] * shape[d])
    if (joins) sizes[last] *= shape[d]
    else sizes.push(shape[d])
    layouts.forEach((l, i) => {
      if (joins) strides[i][last] = l.strides[d]
      else strides[i].push(l.strides[d])
    })
  }
  return sizes.length > 0 ? { shape: sizes, strides } : { shape: [1], strides: layouts.map(() => [0]) }
}

/** One operand's walk through the elements in row-major order, `count` from `start` on, a row at a time. */
class Walk {
  private readonly shape: readonly number[]
  private readonly strides: readonly number[]
  private readonly offset: number

  constructor(shape: readonly number[], strides: readonly number[], offset: number) {
    this.shape = shape
    this.strides = strides
    this.offset = offset
  }

  private rowStart(row: number): number {
    let at = this.offset
    let rest = row
    for (let d = this.shape.length - 2; d >= 0; d--) {
      const size = this.shape[d]
      const next = Math.floor(rest / size)
      at += (rest - next * size) * this.strides[d]
      rest = next
    }
    return at
  }

  load(data: TypedArray, start: number, count: number, out: Register): void {
    const inner = this.shape[this.shape.length - 1]
    const step = this.strides[this.strides.length - 1]
    let row = Math.floor(start / inner)
    let column = start - row * inner
    for (let done = 0; done < count; row++, column = 0) {
      const end = Math.min(count, done + inner - column)
      for (let at = this.rowStart(row) + column * step; done < end; done++, at += step) out[done] = data[at]
    }
  }

  store(data: TypedArray, start: number, count: number, from: Register): void {
    const inner = this.shape[this.shape.length - 1]
    const step = this.strides[this.strides.length - 1]
    let row = Math.floor(start / inner)
    let column = start - row * inner
    for (let done = 0; done < count; row++, column = 0) {
      const end = Math.min(count, done + inner - column)
      for (let at = this.rowStart(row) + column * step; done < end; done++, at += step) data[at] = from[done]
    }
  }
}

interface TileOp {
  readonly f: (a: number, b: number, c: number) => number
  readonly a: Register
  readonly b: Register
  readonly c: Register
  readonly out: Register
}

function runTile({ f, a, b, c, out }: TileOp, count: number): void {
  for (let i = 0; i < count; i++) out[i] = f(a[i], b[i], c[i])
}

/**
 * Binds a micro-program to a shape and the layouts of its operands and results. Values are kept in float32 between operations, so that a fused
 * map gives the bits its parts would give; in float64 where a view is.
 */
export function prepareMap(micro: CheckedMicro, shape: readonly number[], inputs: readonly Layout[], outputs: readonly Layout[]): MapRun {
  const wide = [...inputs, ...outputs].some(({ dtype }) => dtype === 'float64')
  const collapsed = collapse(shape, [...inputs, ...outputs])
  const walks = [...inputs, ...outputs].map(({ offset }, i) => new Walk(collapsed.shape, collapsed.strides[i], offset))
  const size = shape.reduce((n, s) => n * s, 1)
  const firstOp = micro.operands + micro.constants.length
  const values = micro.types.map((type, v) => {
    if (v < micro.operands || v >= firstOp) return sharedRegister(type, wide, v)
    return makeRegister(type, wide).fill(micro.constants[v - micro.operands].value)
  })
  const ops: TileOp[] = micro.ops.map(({ op, a, b, c }, i) => {
    const row = microOperations()[op]
    const f = row.integer !== undefined && micro.types[a] !== MicroType.f32 ? row.integer : row.scalar
    return { f, a: values[a], b: values[b], c: values[c], out: values[firstOp + i] }
  })
  return (ins, outs) => {
    for (let start = 0; start < size; start += tile) {
      const count = Math.min(tile, size - start)
      for (let i = 0; i < ins.length; i++) walks[i].load(ins[i], start, count, values[i])
      for (let i = 0; i < ops.length; i++) runTile(ops[i], count)
      for (let i = 0; i < outs.length; i++) walks[ins.length + i].store(outs[i], start, count, values[micro.results[i]])
    }
  }
}

/** A map that copies one view to another of the same shape and dtype. */
export function prepareCopy(shape: readonly number[], from: Layout, to: Layout): MapRun {
  const type = microType(from.dtype)
  return prepareMap({ constants: [], ops: [], results: [0], operands: 1, types: [type] }, shape, [from], [to])
}

/** The dtype that keeps values of a type, in the width the float views of an instruction have. */
export function dtypeOf(type: MicroType, wide: boolean): DType {
  return type === MicroType.f32 ? (wide ? 'float64' : 'float32') : type === MicroType.i32 ? 'int32' : 'bool'
}

/** The one float dtype among these, `undefined` when two meet. */
export function floatWidth(dtypes: readonly DType[]): 'float32' | 'float64' | undefined {
  const floats = new Set(dtypes.filter(isFloat))
  return floats.size > 1 ? undefined : floats.has('float64') ? 'float64' : 'float32'
}
