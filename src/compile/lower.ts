/**
 * Lowering: graph values become views of buffers, graph nodes become instructions. In: a trace. Out: unfused instructions in order, and
 * what has to be copied where at the end. Views cost nothing here; dead nodes are left out.
 */
import type { DType } from '../base/dtype.js'
import { itemSize } from '../base/dtype.js'
import { contiguousStrides, isContiguous, sizeOf } from '../base/shape.js'
import type { Instruction, View } from '../ir/format.js'
import { lowerMicro } from '../ops/core/micro.js'
import type { Storage } from '../tensor/storage.js'
import type { Tensor } from '../tensor/tensor.js'
import type { Node, Value } from './graph.js'
import type { Trace } from './trace.js'

/** What an external buffer is bound to at each call. */
export type Binding =
  | { readonly kind: 'argument'; readonly index: number }
  | { readonly kind: 'numbers' }
  | { readonly kind: 'random' }
  | { readonly kind: 'capture'; readonly storage: Storage }
  /** What the program's prologue makes; kept between calls. */
  | { readonly kind: 'derived'; readonly index: number }
  | { readonly kind: 'grad'; readonly leaf: Tensor }
  | { readonly kind: 'output'; readonly index: number }
  | { readonly kind: 'gradOutput'; readonly leaf: Tensor }
  /** The gradient that a leaf has before the call, where it has one; for a call that fails. */
  | { readonly kind: 'gradBefore'; readonly leaf: Tensor }

/** What the slots of a program are bound to, and which of them it writes. */
export interface Layout {
  readonly slots: readonly Binding[]
  readonly writes: readonly boolean[]
}

/** A block of memory of a program: bound to something outside, or in the arena. */
export class Buf {
  static next = 0
  readonly id = Buf.next++
  readonly bytes: number
  readonly dtype: DType
  binding: Binding | undefined
  /** Several instructions write parts of it: nothing is fused across. */
  parts = false
  constructor(bytes: number, dtype: DType, binding?: Binding) {
    this.bytes = bytes
    this.dtype = dtype
    this.binding = binding
  }
}

/** An instruction with the nodes it came from. */
export interface Step {
  instruction: Instruction<Buf>
  nodes: readonly Node[]
}

/** A result of the program: a value of the graph, and where it goes. */
export interface Result {
  readonly value: Value
  readonly view: View<Buf>
  readonly target:
    | { readonly kind: 'output'; readonly index: number }
    | { readonly kind: 'gradOutput'; readonly leaf: Tensor }
    | { readonly kind: 'state'; readonly storage: Storage }
}

export interface Lowered {
  readonly steps: readonly Step[]
  readonly results: readonly Result[]
  /** Buffers of captured storages, to be found when they are written. */
  readonly captures: ReadonlyMap<Storage, Buf>
}

/** Nodes that something wanted depends on. */
function liveNodes(wanted: readonly Value[]): Set<Node> {
  const live = new Set<Node>()
  const pending = wanted.map((v) => v.node)
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (live.has(node)) continue
    live.add(node)
    for (const v of node.inputs) pending.push(v.node)
  }
  return live
}

class Lowering {
  readonly steps: Step[] = []
  readonly views = new Map<Value, View<Buf>>()
  readonly captures = new Map<Storage, Buf>()
  private numberBuf: Buf | undefined
  private readonly constants = new Map<string, View<Buf>>()

  constructor(
    numberCount: number,
    /** Products whose every reader wants them transposed: they are written that way. */
    private readonly transposed: ReadonlySet<Node>,
  ) {
    if (numberCount > 0) this.numberBuf = new Buf(numberCount * 4, 'float32', { kind: 'numbers' })
  }

  lowerNode(node: Node): void {
    if (node.source !== undefined) {
      this.views.set(node.outputs[0], this.sourceView(node))
      return
    }
    const row = node.row as NonNullable<Node['row']>
    const inputs = node.inputs.map((v) => this.views.get(v) as View<Buf>)
    if (row.view !== undefined) {
      this.views.set(node.outputs[0], this.look(node, inputs[0]))
      return
    }
    const outputs = node.outputs.map((v) => (this.transposed.has(node) ? this.freshTransposed(v) : this.fresh(v)))
    const lower = row.lower as NonNullable<typeof row.lower>
    const instructions = lower(inputs, outputs, node.attrs as never)
    if (instructions.length > 1) for (const o of outputs) o.buffer.parts = true
    for (const i of instructions) this.steps.push({ instruction: this.materialize(i, node), nodes: [node] })
    node.outputs.forEach((v, i) => this.views.set(v, outputs[i]))
  }

  /** The view of a result that is going to be copied or renamed. */
  viewOf(value: Value): View<Buf> {
    return this.views.get(value) as View<Buf>
  }

  private look(node: Node, input: View<Buf>): View<Buf> {
    const row = node.row as NonNullable<Node['row']>
    const [out] = node.outputs
    if (input.constant !== undefined) return { ...input, shape: out.shape, strides: out.shape.map(() => 0) }
    let seen = row.view?.(input, node.attrs as never)
    if (seen !== undefined) return { ...input, ...seen }
    const copy = this.fresh(node.inputs[0])
    this.steps.push({ instruction: lowerMicro(undefined, [input], copy), nodes: [node] })
    seen = row.view?.(copy, node.attrs as never)
    return { ...copy, ...seen }
  }

  private sourceView(node: Node): View<Buf> {
    const [out] = node.outputs
    const source = node.source as NonNullable<Node['source']>
    const bytes = sizeOf(out.shape) * itemSize(out.dtype)
    const whole = (buffer: Buf): View<Buf> => ({
      buffer,
      dtype: out.dtype,
      offset: 0,
      shape: out.shape,
      strides: contiguousStrides(out.shape),
    })
    switch (source.kind) {
      case 'constant':
        return { ...whole(new Buf(0, out.dtype)), strides: out.shape.map(() => 0), constant: source.value }
      case 'number':
        return { ...whole(this.numberBuf as Buf), offset: source.index }
      case 'capture': {
        const buffer = new Buf(bytes, out.dtype, { kind: 'capture', storage: source.storage })
        this.captures.set(source.storage, buffer)
        return whole(buffer)
      }
      case 'grad':
        return whole(new Buf(bytes, out.dtype, { kind: 'grad', leaf: source.leaf }))
      case 'random':
        return whole(new Buf(bytes, out.dtype, { kind: 'random' }))
      default:
        return whole(new Buf(bytes, out.dtype, { kind: 'argument', index: source.index }))
    }
  }

  private fresh(v: { shape: readonly number[]; dtype: DType }): View<Buf> {
    const buffer = new Buf(sizeOf(v.shape) * itemSize(v.dtype), v.dtype)
    return { buffer, dtype: v.dtype, offset: 0, shape: v.shape, strides: contiguousStrides(v.shape) }
  }

  private freshTransposed(v: Value): View<Buf> {
    const { shape } = v
    const rank = shape.length
    const swapped = [...shape.slice(0, -2), shape[rank - 1], shape[rank - 2]]
    const strides = contiguousStrides(swapped)
    const view = this.fresh(v)
    return { ...view, strides: [...strides.slice(0, -2), strides[rank - 1], strides[rank - 2]] }
  }

  /** Gives constants memory where an instruction other than a map wants them as operands. */
  private materialize(instruction: Instruction<Buf>, node: Node): Instruction<Buf> {
    if (instruction.inputs.every((v) => v.constant === undefined)) return instruction
    const inputs = instruction.inputs.map((v) => {
      if (v.constant === undefined) return v
      const key = `${v.dtype}${v.constant}`
      let one = this.constants.get(key)
      if (one === undefined) {
        one = this.fresh({ shape: [], dtype: v.dtype })
        this.constants.set(key, one)
        this.steps.push({ instruction: lowerMicro(undefined, [{ ...one, constant: v.constant }], one), nodes: [node] })
      }
      return { ...one, shape: v.shape, strides: v.shape.map(() => 0) }
    })
    return { ...instruction, inputs }
  }
}

/** Matrix products that are only read with their last two dimensions swapped (weight gradients of `x · Wᵀ`). */
function transposedProducts(live: ReadonlySet<Node>, wanted: readonly Value[]): Set<Node> {
  const readers = new Map<Node, Node[]>()
  for (const node of live) {
    for (const v of node.inputs) {
      if (v.node.name !== 'matmul') continue
      const list = readers.get(v.node)
      if (list === undefined) readers.set(v.node, [node])
      else list.push(node)
    }
  }
  const direct = new Set(wanted.map((v) => v.node))
  const swaps = (n: Node): boolean => {
    if (n.name !== 'permute') return false
    const { dims } = n.attrs as { dims: readonly number[] }
    const r = dims.length
    return dims.every((d, i) => d === (i === r - 1 ? r - 2 : i === r - 2 ? r - 1 : i))
  }
  return new Set([...live].filter((n) => n.name === 'matmul' && !direct.has(n) && readers.get(n)?.every(swaps)))
}

/** The values that a program is for, and where each goes. */
function wantedOf(trace: Trace, outputs: readonly Value[]): { value: Value; target: Result['target'] }[] {
  return [
    ...outputs.map((value, index) => ({ value, target: { kind: 'output' as const, index } })),
    ...[...trace.grads].flatMap(([leaf, value]) => (value === undefined ? [] : [{ value, target: { kind: 'gradOutput' as const, leaf } }])),
    ...[...trace.assigns].map(([storage, value]) => ({ value, target: { kind: 'state' as const, storage } })),
  ]
}

/**
 * What the program of a trace is going to be bound to, known before it is built: in another order, without results and what the prologue keeps, and
 * with a few slots more than it needs in the end.
 */
export function foreseenLayout(trace: Trace, outputs: readonly Value[]): Layout {
  const wanted = wantedOf(trace, outputs)
  const captures = new Set(trace.assigns.keys())
  const slots: Binding[] = []
  let numbers = false
  for (const { source } of liveNodes(wanted.map((w) => w.value))) {
    if (source === undefined || source.kind === 'constant') continue
    if (source.kind === 'number') numbers = true
    else if (source.kind === 'capture') captures.add(source.storage)
    else slots.push(source)
  }
  if (numbers) slots.push({ kind: 'numbers' })
  for (const storage of captures) slots.push({ kind: 'capture', storage })
  for (const { target } of wanted) {
    if (target.kind === 'gradOutput') slots.push(target, { kind: 'gradBefore', leaf: target.leaf })
  }
  return { slots, writes: slots.map((s) => s.kind === 'capture' && trace.assigns.has(s.storage)) }
}

/** Lowers what the results of a trace depend on. `outputs` are the tensors returned, in order. */
export function lower(trace: Trace, outputs: readonly Value[], numberCount: number): Lowered {
  const wanted = wantedOf(trace, outputs)
  const live = liveNodes(wanted.map((w) => w.value))
  const lowering = new Lowering(
    numberCount,
    transposedProducts(
      live,
      wanted.map((w) => w.value),
    ),
  )
  for (const node of trace.graph.nodes) if (live.has(node)) lowering.lowerNode(node)
  const results = wanted.map((w) => ({ ...w, view: lowering.viewOf(w.value) }))
  return { steps: lowering.steps, results, captures: lowering.captures }
}

/** Whether a view is a whole buffer of its own, in row-major order. */
export function isWhole(v: View<Buf>): boolean {
  return (
    v.constant === undefined && v.offset === 0 && isContiguous(v.shape, v.strides) && sizeOf(v.shape) * itemSize(v.dtype) === v.buffer.bytes
  )
}
