/** One layer between elementwise work: as code that runs and is printed, and as a scenario. */

import type { Tensor } from '../../../src/index.js'
import * as cr from '../../../src/index.js'
import { codeOf, type Input, make, plain } from '../agree/inputs.js'
import type { Scenario, Setup } from '../agree/scenario.js'

export interface LayerCase {
  readonly make: string
  readonly call: string
  readonly inputs: readonly Input[]
  readonly rows: boolean
  /** Elementwise work on the first input and on the results, with an operand `q` of its own; empty for none. */
  readonly front: string
  readonly behind: string
  readonly operands: readonly [front: Input, behind: Input]
  readonly training: boolean
  /** Code that makes the optimizer, empty for none. */
  readonly optimizer: string
  readonly sets: readonly number[]
  /** Parameters and statistics change between the first call and the second. */
  readonly changes: boolean
}

const { nn } = cr
const xs = (c: LayerCase): string[] => c.inputs.map((_, i) => `x${i}`)
const fillIn = (code: string, names: readonly string[]): string => code.replace(/\$(\d)/g, (_, i) => names[Number(i)])

function forwardCode(c: LayerCase): string[] {
  const names = xs(c)
  const front = c.front === '' ? [] : [`const y = ${c.front.replace(/\bx\b/g, 'x0')}`]
  const inner = fillIn(c.call, c.front === '' ? names : ['y', ...names.slice(1)])
  return [...front, `const results = [${inner}].flat(2)`, `const z = results.map((x) => ${c.behind === '' ? 'x' : c.behind})`]
}

function functionCode(c: LayerCase): string {
  const training = c.training
    ? [
        'layer.zeroGrad()',
        ...forwardCode(c),
        "const loss = z.filter((t) => t.dtype === 'float32').map((t) => t.mul(0.7).add(0.1).tanh().mean()).reduce((a, b) => a.add(b))",
        'if (loss.requiresGrad) loss.backward()',
        ...(c.optimizer === '' ? [] : ['optimizer.step()']),
      ]
    : forwardCode(c)
  return `(${xs(c).join(', ')}) => {\n${[...training, 'return z'].map((s) => `  ${s}\n`).join('')}}`
}

/** Initial values that are none of the usual ones, 0 and 1, which hide mistakes; the same for every way of running. */
export function fillState(layer: cr.nn.Module, seed: number): void {
  cr.noGrad(() => {
    for (const [i, [name, t]] of Object.entries(layer.stateDict()).entries()) {
      if (t.dtype !== 'float32') continue
      const target = stateOf(layer).find(([n]) => n === name)?.[1]
      if (target === undefined || /^(pe|positions|cos|sin)/.test(name)) continue
      const positive = /var|_g$|original0/i.test(name)
      cr.assign(target, make(plain(t.shape, 'float32', seed + i, positive ? { low: 0.3, high: 2 } : { low: -0.8, high: 0.8 })))
    }
  })
}

function stateOf(layer: cr.nn.Module): [string, Tensor][] {
  return [...layer.namedParameters(), ...layer.namedBuffers()]
}

export function scenarioOf(c: LayerCase): Scenario {
  const source = functionCode(c)
  const setup = (): Setup => {
    const layer = new Function('cr', 'nn', `return ${c.make}`)(cr, nn) as cr.nn.Module
    fillState(layer, 17)
    if (!c.training) layer.eval()
    const [front, behind] = c.operands.map((o) => make(o))
    const parameters = layer.parameters()
    const optimizer =
      c.optimizer === '' || parameters.length === 0 ? undefined : new Function('cr', 'p', `return ${c.optimizer}`)(cr, parameters)
    const build = new Function(
      'cr',
      'layer',
      'q',
      'r',
      'optimizer',
      `return ${source.replace('optimizer.step()', optimizer === undefined ? '' : 'optimizer.step()')}`,
    )
    let args: Tensor[] = []
    return {
      fn: build(cr, layer, front, behind, optimizer) as Setup['fn'],
      args: (call) => {
        args = c.inputs.map((input) => make(input, c.sets[call]))
        if (c.training) for (const t of args) if (t.dtype === 'float32') t.requiresGrad = true
        return args
      },
      effects: () =>
        c.training ? [...stateOf(layer).map(([, t]) => t), ...parameters.map((p) => p.grad), ...args.map((t) => t.grad)] : [],
      after: (call) => {
        if (call === 0 && c.changes) fillState(layer, 91)
      },
    }
  }
  return { calls: c.sets.length, setup }
}

/** The layer as a model of its own, for `predict`. */
export function modelOf(c: LayerCase): cr.nn.Module {
  const code = `return class Model extends cr.nn.Module {
    constructor(layer, q, r) { super(); this.layer = layer; this.q = q; this.r = r }
    forward(x0) { const { layer, q, r } = this; ${forwardCode(c).join(';')}; return z[0] }
  }`
  const Model = new Function('cr', code)(cr) as new (...args: unknown[]) => cr.nn.Module
  const layer = new Function('cr', 'nn', `return ${c.make}`)(cr, nn) as cr.nn.Module
  fillState(layer, 17)
  return new Model(layer, ...c.operands.map((o) => make(o))).eval()
}

export function printLayer(c: LayerCase): string {
  const [front, behind] = c.operands
  return [
    '// results with { CHAINRULE_BACKEND=js, native } x { f(…), compile(f).sync(…) } must agree; so must predict where f takes one batch',
    "import * as cr from 'chainrule'",
    'const { nn } = cr',
    `const layer = ${c.make}`,
    '// its state is that of fillState(layer, 17) of test/fuzz/layers/case.ts',
    ...(c.training ? [] : ['layer.eval()']),
    ...(c.optimizer === '' ? [] : ['const p = layer.parameters()', `const optimizer = ${c.optimizer}`]),
    ...(c.front === '' ? [] : [`const q = ${codeOf(front)}`]),
    ...(c.behind === '' ? [] : [`const r = ${codeOf(behind)}`]),
    `const f = ${functionCode(c)}`,
    'const g = cr.compile(f)',
    ...c.sets.flatMap((set, call) => [
      ...(call === 1 && c.changes ? ['// fillState(layer, 91)'] : []),
      `console.log(...g.sync(${c.inputs.map((i) => codeOf(i, set)).join(', ')}).map(String))`,
    ]),
    ...(c.training
      ? ['for (const [name, t] of [...layer.namedParameters(), ...layer.namedBuffers()]) console.log(name, String(t), String(t.grad))']
      : []),
  ].join('\n')
}
