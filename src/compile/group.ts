/**
 * A group: one instruction that grows while elementwise work joins it, as a map of its own, as the epilogue of a gemm, convolution or
 * reduction, or as a reduction's prologue. References inside are symbolic until `finish` numbers them.
 */

import { reshapeStrides, sameShape, sizeOf } from '../base/shape.js'
import { type Instruction, identityMicro, type Micro, type MicroConstant, MicroType, microType, Opcode, type View } from '../ir/format.js'
import { microNumber, microOperations, microResult } from '../ops/core/micro.js'
import type { Node } from './graph.js'
import type { Buf, Step } from './lower.js'

/** A value inside a group: an operand, a constant, an operation's result, or the finished product. */
type Ref = { readonly kind: 'input' | 'constant' | 'op'; readonly i: number } | { readonly kind: 'product' }

interface GroupOp {
  readonly op: number
  readonly args: Ref[]
}

export interface GroupOutput {
  view: View<Buf>
  readonly ref: Ref
}

const product: Ref = { kind: 'product' }

/** A view under another shape of the same size, if its strides allow. */
export function reshapeView(v: View<Buf>, shape: readonly number[]): View<Buf> | undefined {
  if (sameShape(v.shape, shape)) return v
  const strides = reshapeStrides(v.shape, v.strides, shape)
  return strides && { ...v, shape, strides }
}

/** How the indices of a view follow from those of a part of it: where it starts, and for each dimension how far each of its own goes. */
interface Part {
  readonly shape: readonly number[]
  readonly start: readonly number[]
  readonly steps: readonly (readonly number[])[]
}

/** `seen` as a part of `made`, a view of the same buffer; `undefined` where it is none, or too contorted to tell. */
function partOf(made: View<Buf>, seen: View<Buf>): Part | undefined {
  const { shape } = seen
  if (seen.buffer !== made.buffer || seen.dtype !== made.dtype || shape.includes(0)) return undefined
  const dims = [...made.shape.keys()].filter((d) => made.shape[d] > 1).sort((a, b) => made.strides[b] - made.strides[a])
  // a distance in elements as one in indices; right where all indices turn out to lie within the view
  const split = (distance: number): number[] | undefined => {
    const indices = made.shape.map(() => 0)
    let rest = distance
    for (const d of dims) {
      indices[d] = Math.trunc(rest / made.strides[d])
      rest -= indices[d] * made.strides[d]
    }
    return rest === 0 ? indices : undefined
  }
  const start = split(seen.offset - made.offset)
  const steps = shape.map((extent, i) => (extent === 1 ? made.shape.map(() => 0) : split(seen.strides[i])))
  if (start === undefined || steps.some((s) => s === undefined)) return undefined
  const known = steps as number[][]
  const within = made.shape.every((extent, d) => {
    const reach = (sign: 1 | -1): number => known.reduce((sum, s, i) => sum + (sign * s[d] > 0 ? s[d] * (shape[i] - 1) : 0), start[d])
    return reach(-1) >= 0 && reach(1) < extent
  })
  return within ? { shape, start, steps: known } : undefined
}

/** What the part of a view shows, of another view of the same shape. */
function partOfView(v: View<Buf>, { shape, start, steps }: Part): View<Buf> {
  const along = (indices: readonly number[]): number => indices.reduce((sum, n, d) => sum + n * v.strides[d], 0)
  return { ...v, shape, strides: steps.map(along), offset: v.offset + along(start) }
}

/**
 * Views of a map's shape as a reader sees them who looks at its result `made` through `seen`: under another shape, or a part of it.
 * `undefined` where that cannot be said with strides, or where the reader would have elements computed more than once.
 */
export function throughView(made: View<Buf>, seen: View<Buf>, views: readonly View<Buf>[]): View<Buf>[] | undefined {
  const whole = reshapeView(made, seen.shape)
  if (whole !== undefined && sameView(whole, seen)) {
    const reshaped = views.map((v) => reshapeView(v, seen.shape))
    return reshaped.some((v) => v === undefined) ? undefined : (reshaped as View<Buf>[])
  }
  const part = sizeOf(seen.shape) < sizeOf(made.shape) ? partOf(made, seen) : undefined
  return part && views.map((v) => partOfView(v, part))
}

export function sameView(a: View<Buf>, b: View<Buf>): boolean {
  return (
    a.buffer === b.buffer &&
    a.offset === b.offset &&
    a.dtype === b.dtype &&
    sameShape(a.shape, b.shape) &&
    a.strides.every((s, i) => s === b.strides[i] || a.shape[i] === 1)
  )
}

export class Group {
  /** The structured instruction work joins, or `undefined` for a map. */
  readonly base: Instruction<Buf> | undefined
  domain: readonly number[]
  inputs: View<Buf>[] = []
  outputs: GroupOutput[] = []
  nodes: Node[]
  private readonly constants: MicroConstant[] = []
  private readonly ops: GroupOp[] = []
  readonly fusable: boolean

  constructor(step: Step, fusable: boolean) {
    const { instruction } = step
    this.nodes = [...step.nodes]
    this.fusable = fusable
    if (instruction.opcode === Opcode.map) {
      this.base = undefined
      this.domain = instruction.outputs[0].shape
      this.adopt(instruction, instruction.inputs)
    } else {
      this.base = instruction
      this.domain = instruction.outputs[0].shape
      this.outputs = instruction.outputs.map((view) => ({ view, ref: product }))
    }
  }

  get viewCount(): number {
    return this.inputs.length + this.outputs.length
  }

  get opCount(): number {
    return this.ops.length
  }

  get isMap(): boolean {
    return this.base === undefined
  }

  /** All buffers the instruction reads. */
  reads(): Buf[] {
    const used = new Set<Buf>()
    for (const v of this.base?.inputs ?? []) used.add(v.buffer)
    const seen = this.ops.map(() => false)
    const pending: number[] = []
    const note = (r: Ref): void => {
      if (r.kind === 'input') used.add(this.inputs[r.i].buffer)
      else if (r.kind === 'op' && !seen[r.i]) {
        seen[r.i] = true
        pending.push(r.i)
      }
    }
    for (const o of this.outputs) note(o.ref)
    for (let i = pending.pop(); i !== undefined; i = pending.pop()) this.ops[i].args.forEach(note)
    return [...used]
  }

  /** Whether a map could join: its operands made here are read element for element, and all views fit one shape. */
  accepts(map: Instruction<Buf>): boolean {
    if (!this.fusable || sizeOf(map.outputs[0].shape) !== sizeOf(this.domain)) return false
    const sameDomain = sameShape(map.outputs[0].shape, this.domain)
    for (const v of map.inputs) {
      const seen = sameDomain ? v : reshapeView(v, this.domain)
      if (seen === undefined) return false
      const made = this.outputs.find((o) => o.view.buffer === v.buffer)
      if (made !== undefined && (!sameView(made.view, seen) || v.dtype === 'uint8')) return false
    }
    return map.outputs.every((v) => sameDomain || reshapeView(v, this.domain) !== undefined)
  }

  /** Takes the work of a map in; `accepts` said it fits. */
  join(map: Instruction<Buf>, nodes: readonly Node[]): void {
    this.adopt(
      map,
      map.inputs.map((v) => reshapeView(v, this.domain) as View<Buf>),
    )
    for (const n of nodes) if (!this.nodes.includes(n)) this.nodes.push(n)
  }

  private adopt(map: Instruction<Buf>, inputs: readonly View<Buf>[]): void {
    const micro = map.epilogue ?? identityMicro
    const refs: Ref[] = inputs.map((v) => {
      const made = this.outputs.find((o) => o.view.buffer === v.buffer)
      return made?.ref ?? this.input(v)
    })
    for (const c of micro.constants) refs.push(this.constant(c))
    for (const o of micro.ops) {
      const arity = microOperations()[o.op].arity
      refs.push(
        this.operation(
          o.op,
          [o.a, o.b, o.c].slice(0, arity).map((k) => refs[k]),
        ),
      )
    }
    map.outputs.forEach((v, i) => {
      this.outputs.push({ view: reshapeView(v, this.domain) as View<Buf>, ref: refs[micro.results[i]] })
    })
  }

  /** Whether an earlier map could move into this group: its results are read here element for element. */
  acceptsEarlier(earlier: Group): boolean {
    if (!this.fusable || !earlier.fusable || !earlier.isMap || sizeOf(earlier.domain) !== sizeOf(this.domain)) return false
    const made = earlier.outputs.map((o) => reshapeView(o.view, this.domain))
    if (made.some((v) => v === undefined) || earlier.inputs.some((v) => reshapeView(v, this.domain) === undefined)) return false
    for (const v of this.inputs) {
      const k = earlier.outputs.findIndex((o) => o.view.buffer === v.buffer)
      if (k >= 0 && (!sameView(made[k] as View<Buf>, v) || v.dtype === 'uint8')) return false
    }
    return (this.base?.inputs ?? []).every((v) => !earlier.outputs.some((o) => o.view.buffer === v.buffer))
  }

  /** Takes an earlier map in; `acceptsEarlier` said it fits. */
  absorb(earlier: Group): void {
    const before = this.outputs
    this.outputs = []
    this.join(earlier.finish() as Instruction<Buf>, earlier.nodes)
    const made = this.outputs
    const resolve = (r: Ref): Ref => {
      if (r.kind !== 'input') return r
      const { buffer } = this.inputs[r.i]
      return made.find((o) => o.view.buffer === buffer)?.ref ?? r
    }
    for (const o of this.ops) o.args.forEach((a, k) => void (o.args[k] = resolve(a)))
    this.outputs = [...made, ...before.map((o) => ({ view: o.view, ref: resolve(o.ref) }))]
  }

  private input(v: View<Buf>): Ref {
    let i = this.inputs.findIndex((w) => sameView(v, w))
    if (i < 0) i = this.inputs.push(v) - 1
    return { kind: 'input', i }
  }

  private constant(c: MicroConstant): Ref {
    let i = this.constants.findIndex((d) => d.type === c.type && Object.is(d.value, c.value))
    if (i < 0) i = this.constants.push(c) - 1
    return { kind: 'constant', i }
  }

  private operation(op: number, args: Ref[]): Ref {
    const same = (a: Ref, b: Ref): boolean => a.kind === b.kind && (a.kind === 'product' || a.i === (b as { i: number }).i)
    let i = this.ops.findIndex((o) => o.op === op && o.args.every((a, k) => same(a, args[k])))
    if (i < 0) i = this.ops.push({ op, args }) - 1
    return { kind: 'op', i }
  }

  /** Drops results nobody reads any more. */
  keepOutputs(needed: (buffer: Buf) => boolean): void {
    this.outputs = this.outputs.filter((o) => needed(o.view.buffer))
  }

  /** The finished instruction; `undefined` when nothing is left of it. */
  finish(): Instruction<Buf> | undefined {
    if (this.outputs.length === 0) return undefined
    const { base } = this
    if (base !== undefined && !this.fusable) return base
    if (base === undefined) {
      const { micro, inputs } = this.micro(0)
      return { opcode: Opcode.map, inputs, outputs: this.outputs.map((o) => o.view), scalars: [], epilogue: micro }
    }
    const { micro, inputs } = this.micro(1)
    return { ...base, inputs: [...base.inputs, ...inputs], outputs: this.outputs.map((o) => o.view), epilogue: micro }
  }

  /** The same work as the prologue of a reduction; only for maps with one result. */
  asPrologue(): { micro: Micro; inputs: View<Buf>[] } {
    return this.micro(0)
  }

  private micro(products: 0 | 1): { micro: Micro; inputs: View<Buf>[] } {
    const order = this.liveOrder()
    const fused = this.formFma(order)
    const kept = order.filter((i) => !fused.absorbed.has(i))
    const inputs = this.inputs.map(() => -1)
    const constants = this.constants.map(() => -1)
    const argsOf = (i: number): Ref[] => fused.fma.get(i) ?? this.ops[i].args
    const usedInputs: View<Buf>[] = []
    const usedConstants: MicroConstant[] = []
    const touch = (r: Ref): void => {
      if (r.kind === 'input' && inputs[r.i] < 0) inputs[r.i] = usedInputs.push(this.inputs[r.i]) - 1
      if (r.kind === 'constant' && constants[r.i] < 0) constants[r.i] = usedConstants.push(this.constants[r.i]) - 1
    }
    for (const i of kept) argsOf(i).forEach(touch)
    for (const o of this.outputs) touch(o.ref)
    const opNumber = new Map(kept.map((i, k) => [i, k]))
    const number = (r: Ref): number => {
      if (r.kind === 'product') return 0
      if (r.kind === 'input') return products + inputs[r.i]
      if (r.kind === 'constant') return products + usedInputs.length + constants[r.i]
      return products + usedInputs.length + usedConstants.length + (opNumber.get(r.i) as number)
    }
    const fma = microNumber('fma')
    const ops = kept.map((i) => {
      const [a, b, c] = argsOf(i).map(number)
      return { op: fused.fma.has(i) ? fma : this.ops[i].op, a, b: b ?? 0, c: c ?? 0 }
    })
    return { micro: { constants: usedConstants, ops, results: this.outputs.map((o) => number(o.ref)) }, inputs: usedInputs }
  }

  /** The operations the results need, each after its operands. */
  private liveOrder(): number[] {
    const order: number[] = []
    const state = this.ops.map(() => 0)
    const pending = this.outputs.flatMap((o) => (o.ref.kind === 'op' ? [o.ref.i] : [])).reverse()
    while (pending.length > 0) {
      const i = pending[pending.length - 1]
      if (state[i] === 0) {
        state[i] = 1
        for (const a of this.ops[i].args) if (a.kind === 'op' && state[a.i] === 0) pending.push(a.i)
      } else {
        pending.pop()
        if (state[i] === 1) {
          state[i] = 2
          order.push(i)
        }
      }
    }
    return order
  }

  private typeOf(r: Ref, memo: Map<number, MicroType>): MicroType {
    if (r.kind === 'product') return microType(this.base?.outputs[0].dtype ?? 'float32')
    if (r.kind === 'input') return microType(this.inputs[r.i].dtype)
    if (r.kind === 'constant') return this.constants[r.i].type
    let type = memo.get(r.i)
    if (type === undefined) {
      const { op, args } = this.ops[r.i]
      type = microResult(op, this.typeOf(args[0], memo), args.length > 1 ? this.typeOf(args[1], memo) : MicroType.f32)
      memo.set(r.i, type)
    }
    return type
  }

  /** Sums of a product that nothing else needs become one operation. */
  private formFma(order: readonly number[]): { fma: Map<number, Ref[]>; absorbed: Set<number> } {
    const add = microNumber('add')
    const mul = microNumber('mul')
    const uses = this.ops.map(() => 0)
    for (const i of order) for (const a of this.ops[i].args) if (a.kind === 'op') uses[a.i]++
    for (const o of this.outputs) if (o.ref.kind === 'op') uses[o.ref.i]++
    const memo = new Map<number, MicroType>()
    for (const i of order) this.typeOf({ kind: 'op', i }, memo)
    const fma = new Map<number, Ref[]>()
    const absorbed = new Set<number>()
    for (const i of order) {
      const o = this.ops[i]
      if (o.op !== add || memo.get(i) !== MicroType.f32) continue
      const k = o.args.findIndex((a) => a.kind === 'op' && this.ops[a.i].op === mul && uses[a.i] === 1)
      if (k < 0) continue
      const factor = (o.args[k] as { i: number }).i
      absorbed.add(factor)
      fma.set(i, [...this.ops[factor].args, o.args[1 - k]])
    }
    return { fma, absorbed }
  }
}
