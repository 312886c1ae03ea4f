/**
 * A random program: plain data from which code is made. The code that is printed is the code that runs.
 */

import type { DType } from '../../../src/base/dtype.js'
import { sizeOf } from '../../../src/base/shape.js'
import type { Tensor } from '../../../src/index.js'
import * as cr from '../../../src/index.js'
import { apply } from '../../../src/ops/core/dispatch.js'
import { opTable } from '../../../src/ops/core/table.js'
import { cases } from '../../ops.cases.js'
import { codeOf, type Input, make } from '../agree/inputs.js'
import type { Scenario, Setup } from '../agree/scenario.js'

/** An argument, or a tensor made outside: read only, written by the program (`state`), or one that gets gradients (`leaf`). */
export interface Source {
  readonly kind: 'argument' | 'captured' | 'state' | 'leaf'
  readonly input: Input
}

/** An op: `$0`, `$1` in the code are its operands, by their numbers in the list of nodes. */
export interface Step {
  readonly kind: 'step'
  readonly code: string
  readonly args: readonly number[]
  readonly shape: readonly number[]
  readonly dtype: DType
}

export interface Write {
  readonly kind: 'write'
  readonly target: number
  readonly value: number
}

export type Node = Source | Step | Write

export interface Program {
  readonly nodes: readonly Node[]
  readonly outputs: readonly number[]
  /** What is done with the values: returned, or differentiated, to the leaves, or to the arguments, once or twice. */
  readonly mode: 'plain' | 'backward' | 'gradient' | 'second'
  /** For `backward`: gradients are forgotten first, and leaves take a step at the end. */
  readonly zero: boolean
  readonly update: boolean
  /** Which set of numbers the arguments of each call have. */
  readonly sets: readonly number[]
  /** Tensors made outside that change between the first call and the second. */
  readonly changed: readonly number[]
  /** Gradients are looked at after each call, else after the last. */
  readonly look: boolean
}

export const isSource = (n: Node): n is Source => n.kind !== 'step' && n.kind !== 'write'

export function shapeOf(n: Node): readonly number[] {
  return n.kind === 'step' ? n.shape : n.kind === 'write' ? [] : n.input.shape
}

export function dtypeOf(n: Node): DType {
  return n.kind === 'step' ? n.dtype : n.kind === 'write' ? 'bool' : n.input.dtype
}

/** What code of steps may name. */
export const scope = {
  cr,
  /** A row of the op table that has no function of its own. */
  row: (name: string, ...inputs: Tensor[]): Tensor => apply(opTable().get(name) as never, inputs, undefined as never),
  /** The call of a case of test/ops.cases.ts. */
  caseOf: (name: string) => (cases.find((c) => c.name === name) as (typeof cases)[number]).call,
}

/** A step's code with names for its operands. */
export function fill(code: string, names: readonly string[]): string {
  return code.replace(/\$(\d)/g, (_, i) => names[Number(i)])
}

const name = (i: number): string => `v${i}`

function indicesOf(p: Program, ...kinds: readonly Node['kind'][]): number[] {
  return p.nodes.flatMap((n, i) => (kinds.includes(n.kind) ? [i] : []))
}

function statements({ nodes }: Program): string[] {
  return nodes.flatMap((n, i) => {
    if (n.kind === 'step') return [`const ${name(i)} = ${fill(n.code, n.args.map(name))}`]
    return n.kind === 'write' ? [`cr.assign(${name(n.target)}, ${name(n.value)})`] : []
  })
}

/** Ops that end in an error for some matrices. */
const mayFail = /\b(solve|inverse|cholesky)/

/** The outputs, and whatever may end in an error: compiled, an op that nobody looks at is not run. */
function outputsOf({ nodes, outputs }: Program): number[] {
  const failing = nodes.flatMap((n, i) => (n.kind === 'step' && mayFail.test(n.code) && !outputs.includes(i) ? [i] : []))
  return [...outputs, ...failing]
}

/** One number of all float outputs, whose gradients differ from element to element. */
function loss(p: Program): string {
  const { nodes } = p
  const terms = outputsOf(p).flatMap((i) => {
    if (dtypeOf(nodes[i]) !== 'float32') return []
    return [`${name(i)}.mul(0.7).add(0.1).tanh().${sizeOf(shapeOf(nodes[i])) === 0 ? 'sum' : 'mean'}()`]
  })
  return terms.slice(1).reduce((sum, t) => `${sum}.add(${t})`, terms[0] ?? 'cr.zeros([])')
}

/** The body of the function that is compiled. */
function body(p: Program): string[] {
  const names = outputsOf(p).map(name)
  if (p.mode === 'plain') return [...statements(p), `return [${names.join(', ')}]`]
  const leaves = indicesOf(p, 'leaf').map(name)
  if (p.mode === 'backward') {
    return [
      ...(p.zero ? leaves.map((l) => `${l}.grad = undefined`) : []),
      ...statements(p),
      `const loss = ${loss(p)}`,
      'loss.backward()',
      ...(p.update ? leaves.map((l) => `if (${l}.grad !== undefined) cr.noGrad(() => cr.assign(${l}, ${l}.sub(${l}.grad.mul(0.1))))`) : []),
      `return [${[...names, 'loss'].join(', ')}]`,
    ]
  }
  const variables = indicesOf(p, 'argument')
    .filter((i) => dtypeOf(p.nodes[i]) === 'float32')
    .map(name)
    .join(', ')
  const inner = [`const f = (${variables}) => {`, ...statements(p).map((s) => `  ${s}`), `  return ${loss(p)}`, '}']
  const first = [...inner, `const [loss, grads] = cr.valueAndGrad(f)(${variables})`, 'return [loss, ...grads]']
  if (p.mode === 'gradient') return first
  return [
    ...inner,
    `const steep = (${variables}) => {`,
    `  const [loss, grads] = cr.valueAndGrad(f)(${variables})`,
    '  return grads.reduce((sum, g) => sum.add(g.square().sum()), loss)',
    '}',
    `const [loss, grads] = cr.valueAndGrad(steep)(${variables})`,
    'return [loss, ...grads]',
  ]
}

function functionCode(p: Program): string {
  return `(${indicesOf(p, 'argument').map(name).join(', ')}) => {\n${body(p)
    .map((s) => `  ${s}\n`)
    .join('')}}`
}

/** The program as a scenario. */
export function scenarioOf(p: Program): Scenario {
  const outside = indicesOf(p, 'captured', 'state', 'leaf')
  const inputs = indicesOf(p, 'argument').map((i) => (p.nodes[i] as Source).input)
  const build = new Function(...Object.keys(scope), ...outside.map(name), `return ${functionCode(p)}`)
  const setup = (): Setup => {
    const tensors = new Map(outside.map((i) => [i, make((p.nodes[i] as Source).input)]))
    const all = (...kinds: readonly Node['kind'][]): Tensor[] => indicesOf(p, ...kinds).map((i) => tensors.get(i) as Tensor)
    const leaves = all('leaf')
    for (const t of leaves) t.requiresGrad = true
    const written = [...all('state'), ...leaves]
    let calls = 0
    return {
      fn: build(...Object.values(scope), ...tensors.values()) as Setup['fn'],
      args: (call) => inputs.map((input) => make(input, p.sets[call])),
      effects: () => [...written, ...(++calls === p.sets.length || p.look ? leaves.map((t) => t.grad) : [])],
      after: (call) => {
        if (call > 0) return
        cr.noGrad(() => {
          for (const i of p.changed) cr.assign(tensors.get(i) as Tensor, (tensors.get(i) as Tensor).mul(0.5).add(0.25))
        })
      },
    }
  }
  return { calls: p.sets.length, setup }
}

/** The program as a script that shows the results of all ways of running. */
export function printProgram(p: Program): string {
  const code = functionCode(p)
  const outside = indicesOf(p, 'captured', 'state', 'leaf')
  const args = (set: number): string =>
    indicesOf(p, 'argument')
      .map((i) => codeOf((p.nodes[i] as Source).input, set))
      .join(', ')
  const used = [...code.matchAll(/caseOf\('(.*?)'\)/g)].map(([, n]) => `// caseOf('${n}') is ${scope.caseOf(n)}`)
  return [
    '// results with { CHAINRULE_BACKEND=js, native } x { f(…), compile(f).sync(…) } must agree',
    ...(/row\(|caseOf\(/.test(code) ? ['// row and caseOf are those of test/fuzz/programs/program.ts'] : []),
    ...used,
    "import * as cr from 'chainrule'",
    ...outside.map((i) => `const ${name(i)} = ${codeOf((p.nodes[i] as Source).input)}`),
    ...indicesOf(p, 'leaf').map((i) => `${name(i)}.requiresGrad = true`),
    `const f = ${code}`,
    'const g = cr.compile(f)',
    ...p.sets.map((set, call) => {
      const changes =
        call === 1 ? p.changed.map((i) => `cr.noGrad(() => cr.assign(${name(i)}, ${name(i)}.mul(0.5).add(0.25)))\n`).join('') : ''
      return `${changes}console.log(...g.sync(${args(set)}).map(String))`
    }),
    ...[...indicesOf(p, 'state', 'leaf').map(name), ...indicesOf(p, 'leaf').map((i) => `${name(i)}.grad`)].map(
      (n) => `console.log(String(${n}))`,
    ),
  ].join('\n')
}
