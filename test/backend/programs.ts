/**
 * Helpers of the backend tests: instructions over memory of their own, made into programs and run by the interpreter.
 */
import { JsProgram } from '../../src/backend/js/program.js'
import { tableHash } from '../../src/backend/registry.js'
import { type DType, itemSize, type TypedArray, viewMemory } from '../../src/base/dtype.js'
import '../../src/index.js'
import { contiguousStrides, sizeOf } from '../../src/base/shape.js'
import { encodeOne, encodeProgram, type Instruction, type Micro, MicroType, type View } from '../../src/ir/format.js'
import { microNumber } from '../../src/ops/core/micro.js'
import { type Dense, opTable } from '../../src/ops/core/table.js'

/** A buffer of a test program: an external slot. */
export interface Memory {
  readonly data: TypedArray
}

export function memory(dtype: DType, contents: number | readonly number[]): Memory {
  const n = typeof contents === 'number' ? contents : contents.length
  const data = viewMemory(dtype, new ArrayBuffer(n * itemSize(dtype)), 0, n)
  if (typeof contents !== 'number') data.set(contents)
  return { data }
}

/** A row-major view of new memory. */
export function packed(dtype: DType, shape: readonly number[], contents?: readonly number[]): View<Memory> {
  return { buffer: memory(dtype, contents ?? sizeOf(shape)), dtype, offset: 0, shape, strides: contiguousStrides(shape) }
}

/** The same elements as a view whose memory lies otherwise: dimensions reversed, every second element, an offset. */
export function scattered(view: View<Memory>): View<Memory> {
  const { shape, dtype } = view
  const reversed = contiguousStrides([...shape].reverse()).reverse()
  const strides = reversed.map((s) => 2 * s)
  const out = { buffer: memory(dtype, 2 * sizeOf(shape) + 3), dtype, offset: 3, shape, strides }
  write(out, read(view))
  return out
}

/** Positions of a view's elements in its memory, in row-major order. */
function positions({ offset, shape, strides }: View<Memory>): number[] {
  let at = [offset]
  shape.forEach((size, d) => {
    at = at.flatMap((p) => Array.from({ length: size }, (_, i) => p + i * strides[d]))
  })
  return at
}

export function read(view: View<Memory>): number[] {
  return positions(view).map((p) => view.buffer.data[p])
}

export function write(view: View<Memory>, values: readonly number[]): void {
  positions(view).forEach((p, i) => {
    view.buffer.data[p] = values[i]
  })
}

/** A micro-program written as `[name, a, b, c]` lines. */
export function micro(
  constants: readonly (number | boolean)[],
  ops: readonly (readonly [string, ...number[]])[],
  results: readonly number[],
): Micro {
  return {
    constants: constants.map((c) =>
      typeof c === 'boolean' ? { type: MicroType.mask, value: c ? 1 : 0 } : { type: MicroType.f32, value: c },
    ),
    ops: ops.map(([name, a, b = 0, c = 0]) => ({ op: microNumber(name), a, b, c })),
    results,
  }
}

function buffersOf(instructions: readonly Instruction<Memory>[]): Memory[] {
  return [...new Set(instructions.flatMap((i) => [...i.inputs, ...i.outputs].map((v) => v.buffer)))]
}

/** The words of one instruction, and what to bind to its slots. */
export function encode(instruction: Instruction<Memory>): { words: Int32Array; slots: Uint8Array[] } {
  const buffers = buffersOf([instruction])
  const { words, length } = encodeOne(instruction, buffers, tableHash())
  return { words: words.slice(0, length), slots: buffers.map(slotOf) }
}

export function slotOf({ data }: Memory): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

/** Encodes and runs one instruction. */
export function run(instruction: Instruction<Memory>): void {
  const { words, slots } = encode(instruction)
  new JsProgram(words).run(slots)
}

export interface Place {
  /** In units of 64 bytes; buffers without one are slots. */
  readonly offset: number
  readonly size: number
}

/** The words of a program; buffers with a place lie in the arena, the others are slots in the order of first use. */
export function encodeAll(
  instructions: readonly Instruction<Memory>[],
  arena: ReadonlyMap<Memory, Place> = new Map(),
  commitIndex = instructions.length,
): { words: Int32Array; slots: Uint8Array[] } {
  const buffers = buffersOf(instructions)
  const external = buffers.filter((b) => !arena.has(b))
  const words = encodeProgram<Memory>({
    instructions,
    buffers,
    place: (b) => {
      const place = arena.get(b)
      return place === undefined ? { kind: 'slot', slot: external.indexOf(b) } : { kind: 'arena', ...place }
    },
    slots: external.length,
    arenaUnits: Math.max(0, ...[...arena.values()].map((p) => p.offset + p.size)),
    commitIndex,
    tableHash: tableHash(),
  })
  return { words, slots: external.map(slotOf) }
}

/** What the plain loops of an op's row give for these inputs. */
export function reference(name: string, inputs: readonly View<Memory>[], attrs: unknown): Dense[] {
  const row = opTable().get(name)
  if (row === undefined) throw new Error(`no op ${name}`)
  const operands = inputs.map((v): Dense => ({ shape: v.shape, dtype: v.dtype, data: packed(v.dtype, v.shape, read(v)).buffer.data }))
  const metas = row.infer(operands, attrs as never)
  const outputs = metas.map(({ shape, dtype }): Dense => ({ shape, dtype, data: memory(dtype, sizeOf(shape)).data }))
  row.reference(operands, outputs, attrs as never)
  return outputs
}

/** Runs an op's instruction with packed and with scattered operands; returns the outputs beside those of its plain loops. */
export function compare(
  name: string,
  inputs: readonly View<Memory>[],
  attrs: unknown,
  options: { packedOutput?: boolean } = {},
): { got: number[]; want: number[] }[] {
  const row = opTable().get(name)
  const want = reference(name, inputs, attrs)
  const results: { got: number[]; want: number[] }[] = []
  for (const spread of [false, true]) {
    const arrange = spread ? scattered : (v: View<Memory>) => v
    const outputs = want.map(({ shape, dtype }) => {
      const v = packed(dtype, shape)
      return options.packedOutput === true ? v : arrange(v)
    })
    const instructions = row?.lower?.(inputs.map(arrange), outputs, attrs as never) ?? []
    const { words, slots } = encodeAll(instructions)
    new JsProgram(words).run(slots)
    outputs.forEach((v, i) => void results.push({ got: read(v), want: [...want[i].data] }))
  }
  return results
}

/** Numbers that repeat only late, between -2 and 2. */
export function numbers(shape: readonly number[], seed = 1): View<Memory> {
  return packed(
    'float32',
    shape,
    Array.from({ length: sizeOf(shape) }, (_, i) => ((((i + seed) * 7919) % 4001) - 2000) / 1000),
  )
}
