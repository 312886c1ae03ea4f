/**
 * The recorded graph: values and the nodes that make them. In: what the recorder reports. Out: nodes in order of recording, with common
 * subexpressions found and constants folded as they arrive. Lowered by `lower.ts`.
 */
import { type DType, heldBy } from '../base/dtype.js'
import { deepError } from '../base/errors.js'
import { copyStrided, sameShape } from '../base/shape.js'
import { microOperations } from '../ops/core/micro.js'
import { defineOp, type OpRow, type Strided } from '../ops/core/table.js'
import type { Meta } from '../tensor/context.js'
import type { Storage } from '../tensor/storage.js'
import type { Tensor } from '../tensor/tensor.js'

/** Where a value comes from that no node computes. */
export type Source =
  | { readonly kind: 'argument'; readonly index: number }
  | { readonly kind: 'number'; readonly index: number }
  | { readonly kind: 'capture'; readonly storage: Storage }
  | { readonly kind: 'grad'; readonly leaf: Tensor }
  | { readonly kind: 'random' }
  | { readonly kind: 'constant'; readonly value: number }

export interface Value {
  readonly id: number
  readonly node: Node
  readonly shape: readonly number[]
  readonly dtype: DType
  /** The number all elements are, where known. */
  readonly constant: number | undefined
  readonly graph: Graph
}

export interface Node {
  readonly id: number
  readonly name: string
  readonly row: OpRow<never> | undefined
  readonly source: Source | undefined
  readonly inputs: readonly Value[]
  readonly attrs: unknown
  readonly outputs: Value[]
  /** Above 0: computed anew in the backward pass, not to be shared with the rest or moved before it. */
  readonly scope: number
  /** All that tells it from other nodes of one graph; empty for sources. */
  readonly key: string
  /** Holds the stack of where it was made, where that was asked for. */
  readonly made: Error | undefined
}

/**
 * Looks at a flat base with any strides: how a captured tensor sees its storage. What was assigned to that may itself be a look at every
 * second element of something, or at one element again and again: steps are counted in the base's own.
 */
export const asStridedRow = defineOp<Strided>({
  name: 'asStrided',
  infer: ([x], { shape }) => [{ shape, dtype: x.dtype }],
  gradient: null,
  view: ({ strides: [step], offset: start }, { shape, strides, offset }) => ({
    shape,
    strides: strides.map((s) => s * step),
    offset: start + offset * step,
  }),
  reference: ([x], [y], { shape, strides, offset }) => copyStrided(x.data, offset, shape, strides, y.data),
})

export class Graph {
  readonly nodes: Node[] = []
  private readonly known = new Map<string, Node>()
  private values = 0
  private scope = 0
  private scopes = 0

  /** `keepStacks` costs more than all the rest: to explain something that went wrong. */
  constructor(private readonly keepStacks: boolean) {}

  source(source: Source, meta: Meta): Value {
    const constant = source.kind === 'constant' ? source.value : undefined
    return this.add({ name: source.kind, row: undefined, source, inputs: [], attrs: undefined, key: '' }, [meta], constant).outputs[0]
  }

  /** The values of an op on the inputs, computed once however often it is asked for. */
  apply(row: OpRow<never>, inputs: readonly Value[], attrs: unknown, metas: readonly Meta[]): readonly Value[] {
    const folded = foldConstant(row, inputs, metas[0])
    if (folded !== undefined) return [this.constant(folded, metas[0])]
    const same = simplify(row, inputs, metas[0])
    if (same !== undefined) return [same]
    const key = keyOf(this.scope, row.name, inputs, attrs)
    let node = this.known.get(key)
    if (node === undefined) {
      node = this.add({ name: row.name, row, source: undefined, inputs, attrs, key }, metas, undefined)
      this.known.set(key, node)
    }
    return node.outputs
  }

  /** What `fn` does is computed again, even where its values are known from before. */
  scoped<T>(fn: () => T): T {
    const before = this.scope
    this.scope = ++this.scopes
    try {
      return fn()
    } finally {
      this.scope = before
    }
  }

  constant(value: number, meta: Meta): Value {
    const key = `=${meta.dtype}|${Object.is(value, -0) ? '-0' : value}|${meta.shape.join()}`
    let node = this.known.get(key)
    if (node === undefined) {
      node = this.source({ kind: 'constant', value }, meta).node
      this.known.set(key, node)
    }
    return node.outputs[0]
  }

  private add(
    what: Pick<Node, 'name' | 'row' | 'source' | 'inputs' | 'attrs' | 'key'>,
    metas: readonly Meta[],
    constant: number | undefined,
  ): Node {
    const node: Node = {
      id: this.nodes.length,
      ...what,
      outputs: [],
      scope: this.scope,
      made: this.keepStacks ? deepError() : undefined,
    }
    for (const m of metas) node.outputs.push({ id: this.values++, node, shape: m.shape, dtype: m.dtype, constant, graph: this })
    this.nodes.push(node)
    return node
  }

  /** Lets go of all that a program does not need once it is built; values still know their shapes, and their graph. */
  release(): void {
    const nothing = { inputs: [], attrs: undefined, outputs: [] }
    for (const node of this.nodes) Object.assign(node, nothing)
    this.nodes.length = 0
    this.known.clear()
  }
}

function keyOf(scope: number, name: string, inputs: readonly Value[], attrs: unknown): string {
  let key = `${scope}|${name}`
  for (const v of inputs) key += `,${v.id}`
  return attrs === undefined ? key : `${key}|${textOf(attrs)}`
}

/** Attributes as text, in which all numbers stay apart from each other. By hand: `JSON.stringify` takes ten times as long where it has to do that. */
function textOf(x: unknown): string {
  if (typeof x === 'number') return Object.is(x, -0) ? '-0' : `${x}`
  if (typeof x === 'string') return JSON.stringify(x)
  if (typeof x !== 'object' || x === null) return String(x)
  if (Array.isArray(x)) {
    let list = '['
    for (const part of x) list += `${textOf(part)},`
    return `${list}]`
  }
  let text = '{'
  for (const name in x) text += `${name}:${textOf(x[name as keyof typeof x])},`
  return `${text}}`
}

function foldConstant(row: OpRow<never>, inputs: readonly Value[], meta: Meta): number | undefined {
  if (inputs.length === 0 || inputs.some((v) => v.constant === undefined)) return undefined
  const [a, b, c] = inputs.map((v) => v.constant as number)
  if (row.view !== undefined) return a
  if (row.micro === undefined) return undefined
  const operation = microOperations()[row.micro]
  const integer = meta.dtype === 'int32' && operation.integer !== undefined
  const value = integer ? (operation.integer as (a: number, b: number) => number)(a, b) : operation.scalar(a, b, c)
  // sums and products of integers wrap around, as in memory
  return meta.dtype === 'int32' ? value | 0 : heldBy(meta.dtype, value)
}

/** Operations that change nothing: x·1, x+0, x-0, x/1, and views of the same shape. */
function simplify(row: OpRow<never>, inputs: readonly Value[], meta: Meta): Value | undefined {
  const keeps = (x: Value, other: Value, neutral: number): Value | undefined =>
    other.constant === neutral && sameShape(x.shape, meta.shape) && x.dtype === meta.dtype ? x : undefined
  const [a, b] = inputs
  switch (row.name) {
    case 'mul':
      return keeps(a, b, 1) ?? keeps(b, a, 1)
    case 'add':
      return keeps(a, b, 0) ?? keeps(b, a, 0)
    case 'sub':
      return keeps(a, b, 0)
    case 'div':
      return keeps(a, b, 1)
    case 'reshape':
    case 'expand':
      return sameShape(a.shape, meta.shape) ? a : undefined
    case 'alias':
      return a
    default:
      return undefined
  }
}
