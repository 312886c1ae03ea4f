/** Every layer, with random options: trained and in evaluation, op by op and compiled and by `predict`, between elementwise work. */
import type { Tensor } from '../../src/index.js'
import { denseOf } from '../../src/ops/core/dispatch.js'
import { backends, onJs, onNative } from '../support/backends.js'
import { agree } from './agree/agree.js'
import { make, plain, strided, writable } from './agree/inputs.js'
import { run } from './agree/scenario.js'
import type { Fuzzer } from './frame/fuzzer.js'
import type { Random } from './frame/random.js'
import { type LayerCase, modelOf, printLayer, scenarioOf } from './layers/case.js'
import { drawLayer } from './layers/catalogue.js'

const fronts = ['', 'x.mul(q)', 'x.add(q).relu()', 'x.mul(0.5)', 'q.sub(x)', 'x.sigmoid()']
const behinds = ['', 'x.add(r)', 'x.mul(r).relu()', 'x.sub(0.3).tanh()', 'r.sub(x)', 'x.maximum(r)', 'x.square()']
const optimizers = [
  '',
  '',
  'new cr.optim.SGD(p, { lr: 0.1, momentum: 0.9 })',
  'new cr.optim.SGD(p, { lr: 0.1 })',
  'new cr.optim.AdamW(p, { lr: 0.01 })',
  'new cr.optim.RMSprop(p, { lr: 0.01 })',
]

function generate(random: Random): LayerCase {
  const { make: code, inputs, call = 'layer.forward($0)', rows } = drawLayer(random)
  const training = random.chance(0.5)
  const given = inputs.map(({ shape, below, dtype }, i) => {
    const input =
      dtype === 'bool'
        ? plain(shape, 'bool', i + 1)
        : plain(shape, below === undefined ? 'float32' : 'int32', i + 1, below === undefined ? {} : { low: 0, high: below - 1 })
    const other = random.chance(0.25) ? strided(input, random) : input
    return training && !writable(other) ? input : other
  })
  const c: LayerCase = {
    make: code,
    call,
    inputs: given,
    rows,
    front: given[0].dtype === 'float32' ? random.pick(fronts) : '',
    behind: '',
    operands: [operand(given[0].shape, 21, random, rows), plain([], 'float32', 22)],
    training,
    optimizer: training ? random.pick(optimizers) : '',
    sets: random.pick([
      [0, 1],
      [0, 0],
      [0, 1, 0],
    ]),
    changes: random.chance(0.5),
  }
  return withBehind(c, random)
}

/** An operand that broadcasts against a shape; without a batch dimension where rows are to stay apart. */
function operand(shape: readonly number[], seed: number, random: Random, rows: boolean): LayerCase['operands'][0] {
  const some = shape.map((s, d) => (random.chance(0.5) && !(rows && d === 0) ? s : 1))
  const input = plain(random.chance(0.5) ? some.slice(random.int(0, some.length)) : some, 'float32', seed)
  return random.chance(0.3) ? strided(input, random) : input
}

/** Work behind, with an operand for the shape the layer gives. */
function withBehind(c: LayerCase, random: Random): LayerCase {
  const behind = random.pick(behinds)
  try {
    const { values } = onJs(() => run({ ...scenarioOf({ ...c, training: false, optimizer: '' }), calls: 1 }, 'eager'))
    const results = values.filter(({ name }) => name.startsWith('result'))
    if (results.length === 0 || results.some(({ dtype }) => dtype !== 'float32')) return c
    const shape = results[0].shape
    // other results have other shapes, with which only a number broadcasts
    return { ...c, behind, operands: [c.operands[0], results.length > 1 ? plain([], 'float32', 22) : operand(shape, 22, random, c.rows)] }
  } catch {
    // a fault, for the check to find
    return c
  }
}

function check(c: LayerCase): void | Promise<void> {
  agree(scenarioOf(c))
  if (!c.training && c.rows && c.inputs.length === 1) return predicted(c)
}

/** `predict` of a batch and of a part of it, beside `forward`. */
async function predicted(c: LayerCase): Promise<void> {
  for (const which of backends) {
    const on = which === 'js' ? onJs : onNative
    await on(async () => {
      const model = modelOf(c)
      const forward = (model as unknown as { forward(x: Tensor): Tensor }).forward.bind(model)
      const x = make(c.inputs[0])
      let expected: Tensor
      try {
        expected = forward(x)
      } catch {
        return
      }
      if (expected.ndim === 0 || expected.shape[0] !== x.shape[0]) return
      const options = { batchSize: Math.max(1, x.shape[0] - 1) }
      const results = [await model.predict(x), await model.predict(x, options), await model.predict(x)]
      for (const [i, actual] of results.entries()) near(`predict on ${which}, call ${i + 1}`, actual, expected)
    })
  }
}

/** Rows in batches of other sizes go through other blocks of a kernel; all else is the same. */
function near(what: string, actual: Tensor, expected: Tensor): void {
  if (actual.shape.join() !== expected.shape.join()) throw new Error(`${what}: [${actual.shape}], expected [${expected.shape}]`)
  const [a, e] = [actual, expected].map((t) => Array.from(denseOf(t, t.shape)))
  const scale = e.reduce((most, x) => (Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most), 1)
  for (let i = 0; i < e.length; i++) {
    if (Object.is(a[i], e[i]) || Math.abs(a[i] - e[i]) <= 1e-4 * scale || (Number.isNaN(a[i]) && Number.isNaN(e[i]))) continue
    throw new Error(`${what}: element ${i} of [${expected.shape}] is ${a[i]}, forward gives ${e[i]}`)
  }
}

function* shrink(c: LayerCase): Iterable<LayerCase> {
  if (c.training) yield { ...c, training: false, optimizer: '' }
  if (c.optimizer !== '') yield { ...c, optimizer: '' }
  if (c.front !== '') yield { ...c, front: '' }
  if (c.behind !== '') yield { ...c, behind: '' }
  for (let n = 1; n < c.sets.length; n++) yield { ...c, sets: c.sets.slice(0, n) }
  if (c.changes) yield { ...c, changes: false }
  if (c.sets.some((s) => s > 0)) yield { ...c, sets: c.sets.map(() => 0) }
  for (const [i, input] of c.inputs.entries())
    if (input.views.length > 0) yield { ...c, inputs: c.inputs.map((x, k) => (k === i ? { ...x, views: [], base: x.shape } : x)) }
  const [front, behind] = c.operands
  if (front.views.length > 0) yield { ...c, operands: [{ ...front, views: [], base: front.shape }, behind] }
  if (behind.views.length > 0) yield { ...c, operands: [front, { ...behind, views: [], base: behind.shape }] }
}

export const fuzzer: Fuzzer<LayerCase> = {
  name: 'layers',
  about: 'every layer gives the same op by op and compiled on both backends, in training with its gradients and state, and by predict',
  generate,
  check,
  shrink,
  print: printLayer,
}
