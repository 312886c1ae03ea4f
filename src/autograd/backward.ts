/**
 * The backward walk: from a result to the leaves, gradients by the rules of the op table. Un-broadcasting happens here and nowhere
 * else. Rules are ordinary ops, so gradients of gradients work and `compile` records the walk like anything else.
 */
import { isFloat } from '../base/dtype.js'
import { checkOptions, GradientError, ShapeError, StateError, showShape } from '../base/errors.js'
import { distinctIndices, sameShape } from '../base/shape.js'
import { add, to } from '../ops/basic/elementwise.js'
import { concat } from '../ops/basic/join.js'
import { clone, expand } from '../ops/basic/movement.js'
import { sumTo } from '../ops/basic/reduce.js'
import { checkTensor, versionOf } from '../ops/core/dispatch.js'
import { enableGrad, noGrad } from '../ops/core/grad-mode.js'
import type { GradientContext, GradientRule, OpRow, Stretch } from '../ops/core/table.js'
import { context } from '../tensor/context.js'
import { type GradNode, Tensor } from '../tensor/tensor.js'
import { checkGradient, unwatched } from './anomaly.js'
import { countStep } from './hint.js'
import { hooked, isHooked, observeHooks } from './hooks.js'
import { foreign, PassingMemory } from './passing.js'

/** Nodes that lead from the outputs to something wanted, newest first. */
function reachable(outputs: readonly Tensor[], wanted: ReadonlySet<Tensor> | undefined, ends: ReadonlySet<Tensor> | undefined): GradNode[] {
  const seen = new Set<GradNode>()
  const pending: GradNode[] = []
  const push = (t: Tensor): void => {
    if (t.gradNode !== undefined && !seen.has(t.gradNode) && !ends?.has(t)) {
      seen.add(t.gradNode)
      pending.push(t.gradNode)
    }
  }
  outputs.forEach(push)
  while (pending.length > 0) (pending.pop() as GradNode).inputs.forEach(push)
  const nodes = [...seen].sort((a, b) => b.id - a.id)
  if (wanted === undefined) return nodes
  // only walk paths that end at a requested tensor: creation order lets one pass decide it
  const useful = new Set<GradNode>()
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]
    if (node.inputs.some((t) => wanted.has(t) || (t.gradNode !== undefined && useful.has(t.gradNode)))) useful.add(node)
  }
  return nodes.filter((n) => useful.has(n))
}

function checkUnchanged(node: GradNode): void {
  const check = (t: Tensor, version: number, what: string): void => {
    if (versionOf(t) !== version) {
      throw new StateError(
        'ERR_MODIFIED_IN_PLACE',
        `backward: ${what} of ${node.row.name}, shape ${showShape(t.shape)}, was changed in place after it was used. Call backward() before assign(), or clone() first.`,
      )
    }
  }
  node.inputs.forEach((t, i) => check(t, node.versions[i], `input ${i}`))
  node.outputs.forEach((t, i) => check(t, node.versions[node.inputs.length + i], 'the result'))
}

/** Gradients of stretches of one tensor, put aside until that of the tensor is wanted. */
interface Piece extends Stretch {
  readonly grad: Tensor
}

/** Stretches of one dimension that do not overlap, zeros in between, as one tensor; the others one by one. */
function joined(t: Tensor, pieces: readonly Piece[]): Tensor {
  const { dim } = pieces[0]
  const own = pieces.filter((p) => p.dim === dim).sort((a, b) => a.start - b.start || a.size - b.size)
  const rest = pieces.filter((p) => p.dim !== dim)
  const parts: Tensor[] = []
  const zeros = (size: number): Tensor =>
    expand(
      Tensor.scalar(0, t.dtype),
      t.shape.map((s, d) => (d === dim ? size : s)),
    )
  let at = 0
  let last: Piece | undefined
  for (const p of own) {
    if (last !== undefined && p.start === last.start && p.size === last.size) parts.push(add(parts.pop() as Tensor, p.grad))
    else if (p.start < at) rest.push(p)
    else {
      if (p.start > at) parts.push(zeros(p.start - at))
      parts.push(p.grad)
      at = p.start + p.size
      last = p
    }
  }
  if (at < t.shape[dim]) parts.push(zeros(t.shape[dim] - at))
  const whole = concat(parts, dim)
  return rest.length === 0 ? whole : add(whole, joined(t, rest))
}

/** Gradients for those inputs that `needs` names, in differentiable ops: by a walk of its own through the row's composition. */
function throughComposition(row: OpRow<unknown>, { inputs, attrs, needs, upstream }: GradientContext<unknown>): (Tensor | undefined)[] {
  return enableGrad(() => {
    // aliases, so that the walk ends here also where one input was computed from another
    const asked = inputs.map((t, i) => needs[i] && isFloat(t.dtype))
    const own = inputs.map((t, i) => (asked[i] ? t.alias() : t))
    const seeded = (row.composition?.(own, attrs) ?? []).flatMap((t, i) => {
      const g = upstream[i]
      return g === undefined || !t.requiresGrad ? [] : [[t, g] as const]
    })
    const grads = walk(
      seeded.map(([t]) => t),
      seeded.map(([, g]) => g),
      new Set(own.filter((_, i) => asked[i])),
    )
    return own.map((t, i) => (asked[i] ? grads.get(t) : undefined))
  })
}

function applyRule(
  node: GradNode,
  upstream: readonly (Tensor | undefined)[],
  needs: readonly boolean[],
  memory: PassingMemory | undefined,
): readonly (Tensor | undefined)[] {
  const row = node.row as OpRow<unknown>
  if (row.gradient === null) {
    throw new GradientError('ERR_NO_GRADIENT', `backward: ${row.name} has no gradient. Use detach() on its input if none should flow.`)
  }
  checkUnchanged(node)
  if (upstream.every((g) => g === undefined)) return []
  const rule = row.gradient as GradientRule<unknown>
  // most ops have one output that carries gradients, the first; those with more look at all of them
  const first = upstream[0] ?? expand(Tensor.scalar(0, node.outputs[0].dtype), node.outputs[0].shape)
  const asked = { inputs: node.inputs, outputs: node.outputs, attrs: node.attrs, needs, upstream }
  if (row.composition !== undefined && (context.gradEnabled || row.beyondRule?.(asked))) return throughComposition(row, asked)
  const run = () => rule(asked, first)
  if (!row.foreign) return run()
  for (const g of upstream) memory?.show(g)
  return foreign(run)
}

/**
 * Gradients of the outputs, weighted by `seeds`, with respect to leaves (or `wanted` tensors). The walk does not go on behind `ends`.
 */
export function walk(
  outputs: readonly Tensor[],
  seeds: readonly Tensor[],
  wanted?: ReadonlySet<Tensor>,
  ends?: ReadonlySet<Tensor>,
): Map<Tensor, Tensor> {
  return walkIn(PassingMemory.begin(), outputs, seeds, wanted, ends)
}

function walkIn(memory: PassingMemory | undefined, ...args: Parameters<typeof walk>): Map<Tensor, Tensor> {
  return memory === undefined ? steps(memory, ...args) : memory.during(() => steps(memory, ...args))
}

function steps(
  memory: PassingMemory | undefined,
  outputs: readonly Tensor[],
  seeds: readonly Tensor[],
  wanted?: ReadonlySet<Tensor>,
  ends?: ReadonlySet<Tensor>,
): Map<Tensor, Tensor> {
  const grads = new Map<Tensor, Tensor>()
  const pieces = new Map<Tensor, Piece[]>()
  const keep = (t: Tensor, g: Tensor): void => {
    const before = grads.get(t)
    grads.set(t, g)
    memory?.hold(g)
    if (before !== undefined) memory?.drop(before)
  }
  const deliver = (t: Tensor, g: Tensor): void => {
    const sofar = grads.get(t)
    keep(t, sofar === undefined ? g : add(sofar, g))
  }
  const settle = (t: Tensor): void => {
    const own = pieces.get(t)
    if (own === undefined) return
    pieces.delete(t)
    deliver(t, joined(t, own))
    for (const { grad } of own) memory?.drop(grad)
  }
  observeHooks()
  const done = new Set<Tensor>()
  /** Nothing more will be added to the gradient of `t`. */
  const complete = (t: Tensor): void => {
    settle(t)
    const g = grads.get(t)
    if (g === undefined || done.has(t) || ends?.has(t)) return
    done.add(t)
    if (!isHooked(t)) return
    memory?.show(g)
    const seen = foreign(() => hooked(t, g))
    if (seen !== g) keep(t, seen)
  }
  outputs.forEach((t, i) => deliver(t, seeds[i]))
  for (const node of reachable(outputs, wanted, ends)) {
    for (const t of node.outputs) complete(t)
    const upstream = node.outputs.map((t) => grads.get(t))
    const needs = node.inputs.map((t) => t.gradNode !== undefined || t.requiresGrad || (wanted?.has(t) ?? false))
    const [input] = node.inputs
    const stretch = upstream[0] && (node.row as OpRow<unknown>).stretch?.(input, node.attrs)
    if (stretch !== undefined && upstream[0] !== undefined && needs[0]) {
      checkUnchanged(node)
      const own = pieces.get(input)
      memory?.hold(upstream[0])
      if (own === undefined) pieces.set(input, [{ ...stretch, grad: upstream[0] }])
      else own.push({ ...stretch, grad: upstream[0] })
    }
    const ruled = (): readonly (Tensor | undefined)[] => (stretch === undefined ? applyRule(node, upstream, needs, memory) : [])
    const results = context.anomaly ? unwatched(ruled) : ruled()
    node.inputs.forEach((t, i) => {
      const g = results[i]
      if (!needs[i] || g === undefined) return
      if (context.anomaly) checkGradient(node, i, g, upstream)
      deliver(t, sumTo(g.dtype === t.dtype ? g : to(g, t.dtype), t.shape))
    })
    // an intermediate's gradient is complete and used up here
    for (const t of node.outputs) {
      const g = grads.get(t)
      if (g === undefined || wanted?.has(t)) continue
      grads.delete(t)
      memory?.drop(g)
    }
    memory?.settle()
  }
  for (const t of [...pieces.keys(), ...grads.keys()]) complete(t)
  memory?.settle()
  return grads
}

export interface BackwardOptions {
  /** Note how to differentiate the gradients themselves, for second order. */
  createGraph?: boolean
}

function seedFor(t: Tensor, seed: Tensor | undefined): Tensor {
  if (seed !== undefined) {
    if (!sameShape(seed.shape, t.shape)) {
      throw new ShapeError(
        'ERR_SEED_SHAPE',
        `backward: the gradient given has shape ${showShape(seed.shape)}, the tensor ${showShape(t.shape)}.`,
      )
    }
    return seed
  }
  if (t.size !== 1) {
    throw new GradientError(
      'ERR_NOT_SCALAR',
      `backward: needs a single number, received shape ${showShape(t.shape)}. Reduce it with sum() or mean(), or give its gradient.`,
    )
  }
  return expand(Tensor.scalar(1, t.dtype), t.shape)
}

/** Adds the gradients of `t` to the `.grad` of every leaf it depends on. */
export function backward(t: Tensor, seed?: Tensor, options: BackwardOptions = {}): void {
  backwardTo(t, seed, options)
}

/** @internal `backward`, and which leaves it met */
export function backwardTo(t: Tensor, seed?: Tensor, options: BackwardOptions = {}): Tensor[] {
  checkOptions('backward', options, { createGraph: true })
  checkTensor('backward', 'the result', t)
  if (seed !== undefined) checkTensor('backward', 'the gradient given', seed)
  if (!t.requiresGrad) {
    throw new GradientError(
      'ERR_NO_GRAPH',
      'backward: nothing that leads to this tensor has requiresGrad. Set it on the parameters, and do not compute the loss inside noGrad.',
    )
  }
  countStep()
  const graph = options.createGraph ?? false
  const mode = graph ? enableGrad : noGrad
  return mode(() => {
    const memory = PassingMemory.begin()
    const grads = walkIn(memory, [t], [seedFor(t, seed)])
    const leaves = [...grads.keys()].filter((leaf) => leaf.gradNode === undefined && leaf.requiresGrad)
    for (const leaf of leaves) collect(leaf, grads.get(leaf) as Tensor, memory)
    return leaves
  })
}

/** Adds to the `.grad` of a leaf. */
function collect(leaf: Tensor, g: Tensor, memory: PassingMemory | undefined): void {
  const { recorder } = context
  // first, since the recorder then puts a stand-in there
  recorder?.lookAtGrad(leaf)
  const before = leaf.leafGrad
  const own = memory?.owns(g) ?? false
  if (before === undefined) {
    // written by whoever clips it, and added to: it must not be the seed, another leaf's, or an expanded number
    const whole = recorder !== undefined || (own && distinctIndices(g))
    leaf.replaceGrad(whole ? g : clone(g), memory !== undefined)
    return
  }
  if (memory !== undefined && leaf.gradIsOurs && before.storage.idle) add(before, g, { out: before })
  else leaf.replaceGrad(add(before, g), memory !== undefined)
  if (own) g.storage.recycle()
}
