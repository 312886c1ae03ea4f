/** Shrinks programs: without outputs, steps, writes, calls and differentiation, with plain sources and small sizes. */
import { ChainruleError } from '../../../src/index.js'
import { onJs } from '../../support/backends.js'
import { type Input, make, plain } from '../agree/inputs.js'
import { evaluate } from './builder.js'
import { dtypeOf, isSource, type Node, type Program, scope, shapeOf } from './program.js'

/** Smaller programs, each by a measure, so that shrinking ends. */
export function* shrinkProgram(p: Program): Iterable<Program> {
  const most = weight(p)
  for (const candidate of candidates(p)) if (weight(candidate) < most) yield candidate
}

function weight(p: Program): number {
  let sum = { plain: 0, backward: 300, gradient: 300, second: 600 }[p.mode]
  sum += 200 * p.outputs.length + 50 * p.sets.length + p.sets.reduce((a, b) => a + b, 0)
  sum += 20 * p.changed.length + (p.update ? 20 : 0) + (p.zero ? 0 : 10)
  for (const n of p.nodes) {
    sum += n.kind === 'step' ? 1000 + n.code.length : 500
    sum += shapeOf(n).reduce((a, b) => a + b + 1, 0)
    if (!isSource(n)) continue
    const { views, fill } = n.input
    sum += (n.kind === 'argument' ? 0 : 40) + 30 * views.length + { ties: 0, real: 5, special: 10 }[fill]
  }
  return sum
}

function* candidates(p: Program): Iterable<Program> {
  if (p.mode !== 'plain') yield pruned({ ...p, mode: 'plain' })
  if (p.mode === 'second') yield { ...p, mode: 'gradient' }
  if (p.outputs.length > 1) for (const o of [...p.outputs].reverse()) yield pruned({ ...p, outputs: [o] })
  yield* withoutSteps(p)
  if (p.changed.length > 0) yield { ...p, changed: [] }
  if (p.update) yield { ...p, update: false }
  if (!p.zero) yield { ...p, zero: true }
  for (let i = 0; i < p.outputs.length && p.outputs.length > 1; i++) yield pruned({ ...p, outputs: p.outputs.filter((_, k) => k !== i) })
  for (let n = 1; n < p.sets.length; n++) yield { ...p, sets: p.sets.slice(0, n) }
  if (p.sets.some((s) => s !== 0)) yield { ...p, sets: p.sets.map(() => 0) }
  yield* plainer(p)
  yield* smaller(p)
}

/** A step gives way to a fresh argument, or to one of its operands; a write to nothing; an earlier step to an output. */
function* withoutSteps(p: Program): Iterable<Program> {
  const put = (i: number, node: Node): Program => pruned({ ...p, nodes: p.nodes.map((n, k) => (k === i ? node : n)) })
  for (let i = p.nodes.length - 1; i >= 0; i--) {
    const n = p.nodes[i]
    if (n.kind === 'write') yield pruned(without(p, i))
    if (n.kind !== 'step') continue
    const operand = n.args.find((a) => shapeOf(p.nodes[a]).join() === n.shape.join() && dtypeOf(p.nodes[a]) === n.dtype)
    if (!p.outputs.includes(i)) yield put(i, { kind: 'argument', input: plain(n.shape, n.dtype, i + 1) })
    else if (p.outputs.length === 1) {
      // what this output was made of, in its place
      for (const a of n.args) if (!isSource(p.nodes[a])) yield pruned({ ...p, outputs: [a] })
    }
    if (operand !== undefined) yield pruned(redirected(p, i, operand))
  }
}

function* plainer(p: Program): Iterable<Program> {
  const put = (i: number, node: Node): Program => ({ ...p, nodes: p.nodes.map((n, k) => (k === i ? node : n)) })
  for (const [i, n] of p.nodes.entries()) {
    if (!isSource(n)) continue
    const { input } = n
    if (n.kind !== 'argument' && n.kind !== 'state' && !p.nodes.some((w) => w.kind === 'write' && w.target === i))
      yield { ...put(i, { ...n, kind: 'argument' }), changed: p.changed.filter((c) => c !== i) }
    if (input.views.length > 0) yield put(i, { ...n, input: { ...input, views: [], base: input.shape } })
    if (input.fill === 'special') yield put(i, { ...n, input: { ...input, fill: 'real' } })
    if (input.fill === 'real' && input.dtype === 'float32' && input.high >= 1 && input.low <= -1)
      yield put(i, { ...n, input: { ...input, fill: 'ties', low: -2, high: 2 } })
  }
}

/** Smaller sizes, wherever they stand. */
function* smaller(p: Program): Iterable<Program> {
  const sizes = [...new Set(p.nodes.flatMap((n) => [...shapeOf(n)]))].filter((s) => s > 1).sort((a, b) => b - a)
  const inSources = (from: number, to: number): Program => ({
    ...p,
    nodes: p.nodes.map((n) => (isSource(n) ? { ...n, input: resized(n.input, from, to) } : n)),
  })
  const inCode = (from: number, to: number): Program => {
    const { nodes, ...rest } = inSources(from, to)
    const text = new RegExp(`\\b${from}\\b`, 'g')
    return {
      ...rest,
      nodes: nodes.map((n) =>
        n.kind === 'step' ? { ...n, code: n.code.replace(text, (m, at: number) => (n.code[at - 1] === '$' ? m : String(to))) } : n,
      ),
    }
  }
  for (const from of sizes) {
    for (const to of [1, 2, 3, from >> 1, from - 1].filter((t, i, all) => t < from && t > 0 && all.indexOf(t) === i)) {
      for (const candidate of [inSources(from, to), inCode(from, to)]) {
        const ready = settled(candidate)
        if (ready !== undefined) yield ready
      }
    }
  }
  for (const [i, n] of p.nodes.entries()) {
    if (!isSource(n)) continue
    for (const [d, s] of shapeOf(n).entries()) {
      if (s < 2) continue
      const shape = shapeOf(n).map((x, k) => (k === d ? 1 : x))
      const input = { ...n.input, shape, base: shape, views: [] }
      const ready = settled({ ...p, nodes: p.nodes.map((m, k) => (k === i ? { ...n, input } : m)) })
      if (ready !== undefined) yield ready
    }
  }
}

function resized(input: Input, from: number, to: number): Input {
  if (!input.shape.includes(from)) return input
  const shape = input.shape.map((s) => (s === from ? to : s))
  return { ...input, shape, base: shape, views: [] }
}

/** The program with the shapes that its steps have now; `undefined` where one of them no longer fits. */
function settled(p: Program): Program | undefined {
  return onJs(() => {
    const values: ReturnType<typeof make>[] = []
    try {
      const nodes = p.nodes.map((n, i): Node => {
        if (isSource(n)) {
          values[i] = make(n.input)
          return n
        }
        if (n.kind === 'write') {
          scope.cr.assign(values[n.target], values[n.value])
          return n
        }
        values[i] = evaluate(
          n.code,
          n.args.map((a) => values[a]),
        )
        return { ...n, shape: values[i].shape, dtype: values[i].dtype }
      })
      return { ...p, nodes }
    } catch (error) {
      if (error instanceof ChainruleError) return undefined
      return p
    }
  })
}

/** Without what nothing needs: writes and what they write are needed as long as they are there. */
function pruned(p: Program): Program {
  const needed = new Set(p.outputs)
  for (const [i, n] of p.nodes.entries()) if (n.kind === 'write') for (const k of [i, n.target, n.value]) needed.add(k)
  for (let i = p.nodes.length - 1; i >= 0; i--) {
    const n = p.nodes[i]
    if (n.kind === 'step' && needed.has(i)) for (const a of n.args) needed.add(a)
  }
  let out = p
  for (let i = p.nodes.length - 1; i >= 0; i--) if (!needed.has(i)) out = without(out, i)
  return out
}

/** Without one node, which nothing names. */
function without(p: Program, gone: number): Program {
  const at = (i: number): number => (i > gone ? i - 1 : i)
  return {
    ...p,
    nodes: p.nodes.flatMap((n, i) => (i === gone ? [] : [renamed(n, at)])),
    outputs: p.outputs.filter((o) => o !== gone).map(at),
    changed: p.changed.filter((c) => c !== gone).map(at),
  }
}

/** What named one node names another. */
function redirected(p: Program, from: number, to: number): Program {
  const at = (i: number): number => (i === from ? to : i)
  return { ...p, nodes: p.nodes.map((n, i) => (i === from ? n : renamed(n, at))), outputs: [...new Set(p.outputs.map(at))] }
}

function renamed(n: Node, at: (i: number) => number): Node {
  if (n.kind === 'step') return { ...n, args: n.args.map(at) }
  return n.kind === 'write' ? { ...n, target: at(n.target), value: at(n.value) } : n
}
