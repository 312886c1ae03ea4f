/** Activations: gradients at kinks and far out, layers, random choices. Values are compared with PyTorch's in test/golden. */
import { describe, expect, test } from 'vitest'
import { withBackend } from '../src/backend/select.js'
import * as cr from '../src/index.js'
import { grad, gumbelSoftmax, manualSeed, nn, tensor, zeros } from '../src/index.js'
import { backends } from './support/backends.js'

type F = (x: cr.Tensor) => cr.Tensor
const at = [-Infinity, -3, -1, -0.5, 0, 0.5, 1, 3, 6, Infinity]
const first = (f: F) => grad((x) => f(x).sum())
const second = (f: F) => grad((x) => first(f)(x).sum())

/** From `torch.autograd.grad` in float64. */
const slopes: [string, F, number[]][] = [
  ['elu', (x) => cr.elu(x, 0.5), [0, 0.024893534, 0.18393972, 0.30326533, 0.5, 1, 1, 1, 1, 1]],
  ['selu', cr.selu, [0, 0.08753061, 0.6467686, 1.06634115, 1.75809934, 1.05070099, 1.05070099, 1.05070099, 1.05070099, 1.05070099]],
  ['celu', (x) => cr.celu(x, 2), [0, 0.22313016, 0.60653066, 0.77880078, 1, 1, 1, 1, 1, 1]],
  ['hardswish', cr.hardswish, [0, 0, 1 / 6, 1 / 3, 0.5, 2 / 3, 5 / 6, 1, 1, 1]],
  ['hardsigmoid', cr.hardsigmoid, [0, 0, 1 / 6, 1 / 6, 1 / 6, 1 / 6, 1 / 6, 0, 0, 0]],
  ['hardtanh', cr.hardtanh, [0, 0, 0, 1, 1, 1, 0, 0, 0, 0]],
  ['relu6', cr.relu6, [0, 0, 0, 0, 0, 1, 1, 1, 0, 0]],
  ['softshrink', cr.softshrink, [1, 1, 1, 0, 0, 0, 1, 1, 1, 1]],
  ['hardshrink', cr.hardshrink, [1, 1, 1, 0, 0, 0, 1, 1, 1, 1]],
  ['threshold', (x) => cr.threshold(x, 0.5, 20), [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]],
  ['leakyRelu', cr.leakyRelu, [0.01, 0.01, 0.01, 0.01, 0.01, 1, 1, 1, 1, 1]],
  ['softplus', (x) => cr.softplus(x, { beta: 2, threshold: 1 }), [0, 0.002472623, 0.11920292, 0.26894142, 0.5, 0.73105858, 1, 1, 1, 1]],
  ['softsign', cr.softsign, [NaN, 0.0625, 0.25, 0.44444444, 1, 0.44444444, 0.25, 0.0625, 0.02040816, NaN]],
]

/** Of second order. */
const curvatures: [string, F, number[]][] = [
  ['elu', (x) => cr.elu(x, 0.5), [0, 0.024893534, 0.18393972, 0.30326533, 0.5, 0, 0, 0, 0, 0]],
  ['hardswish', cr.hardswish, [0, 0, 1 / 3, 1 / 3, 1 / 3, 1 / 3, 1 / 3, 0, 0, 0]],
  ['hardtanh', cr.hardtanh, at.map(() => 0)],
]

describe.each(backends)('gradients at kinks and far out on %s', (backend) => {
  test.each(slopes)('%s', (_, f, wanted) => {
    const got = withBackend(backend, () => [...first(f)(tensor(at)).data])
    got.forEach((g, i) =>
      Number.isNaN(wanted[i]) ? expect(g, `at ${at[i]}`).toBeNaN() : expect(g, `at ${at[i]}`).toBeCloseTo(wanted[i], 6),
    )
  })
  test.each(curvatures)('%s, second order', (name, f, wanted) => {
    const got = withBackend(backend, () => [...second(f)(tensor(at)).data])
    // the exponential units have no second derivative at 0: PyTorch says 0, the limit from below is as good
    got.forEach((g, i) => void (name === 'elu' && at[i] === 0 ? 0 : expect(g, `at ${at[i]}`).toBeCloseTo(wanted[i], 6)))
  })
})

describe('gumbelSoftmax', () => {
  test('soft samples are distributions; hard ones are one-hot, with the soft gradient', () => {
    manualSeed(1)
    const logits = zeros([5, 4, 3])
    const soft = gumbelSoftmax(logits, { tau: 0.5, dim: 1 })
    for (const s of soft.sum({ dim: 1 }).data) expect(s).toBeCloseTo(1, 5)
    const x = tensor([[1, 2, 3]], { requiresGrad: true })
    const hard = gumbelSoftmax(x, { hard: true })
    expect([...hard.data].map((v) => Math.round(v * 1e6) / 1e6).sort()).toEqual([0, 0, 1])
    hard
      .mul(tensor([[1, 2, 4]]))
      .sum()
      .backward()
    expect(Math.abs(x.grad?.sum().item() ?? 1)).toBeLessThan(1e-6)
    expect(x.grad?.abs().sum().item()).toBeGreaterThan(0)
    const tall = gumbelSoftmax(zeros([2, 3, 4]), { hard: true, dim: 0 })
    for (const s of tall.sum({ dim: 0 }).data) expect(s).toBeCloseTo(1, 5)
  })

  test('categories come as often as they should', () => {
    manualSeed(2)
    const logits = tensor([Math.log(1), Math.log(2), Math.log(5)]).expand([8000, 3])
    const counts = gumbelSoftmax(logits, { hard: true }).sum({ dim: 0 }).data
    ;[1000, 2000, 5000].forEach((n, i) => expect(Math.abs(counts[i] - n)).toBeLessThan(150))
    expect(() => gumbelSoftmax(logits, { tau: 0 })).toThrow('tau must be above 0')
  })
})

describe('layers', () => {
  const x = tensor([[-4, -0.3, 0, 0.3, 2, 7]])
  const same: [nn.Layer, F][] = [
    [new nn.ReLU6(), cr.relu6],
    [new nn.ELU(0.5), (x) => cr.elu(x, 0.5)],
    [new nn.SELU(), cr.selu],
    [new nn.CELU(2), (x) => cr.celu(x, 2)],
    [new nn.Mish(), cr.mish],
    [new nn.Softplus({ beta: 3 }), (x) => cr.softplus(x, { beta: 3 })],
    [new nn.Softsign(), cr.softsign],
    [new nn.LogSigmoid(), cr.logSigmoid],
    [new nn.Hardsigmoid(), cr.hardsigmoid],
    [new nn.Hardswish(), cr.hardswish],
    [new nn.Hardtanh(-2, 2), (x) => cr.hardtanh(x, -2, 2)],
    [new nn.Tanhshrink(), cr.tanhshrink],
    [new nn.Softshrink(0.1), (x) => cr.softshrink(x, 0.1)],
    [new nn.Hardshrink(), cr.hardshrink],
    [new nn.Threshold(0.1, -5), (x) => cr.threshold(x, 0.1, -5)],
    [new nn.GLU(), cr.glu],
  ]
  test.each(same.map(([layer, f]) => [String(layer), layer, f] as const))('%s', (_, layer, f) => {
    expect([...layer.forward(x).data]).toEqual([...f(x).data])
  })

  test('PReLU learns its slopes', () => {
    const layer = new nn.PReLU(3, { init: 0.5 })
    expect(Object.keys(layer.stateDict())).toEqual(['weight'])
    expect(String(layer)).toBe('PReLU(3)')
    const y = layer.forward(tensor([[-2, 4, -6]]))
    expect(y.toArray()).toEqual([[-1, 4, -3]])
    y.sum().backward()
    expect(layer.weight.grad?.toArray()).toEqual([-2, 0, -6])
    expect(() => layer.forward(zeros([2, 4]))).toThrow('the weight must be [1] or [4]')
  })

  test('wrong arguments', () => {
    expect(() => new nn.CELU(0)).toThrow('alpha must not be 0')
    expect(() => new nn.Hardtanh(2, 1)).toThrow('maxVal')
    expect(() => new nn.Softplus({ beta: 0 })).toThrow('beta')
    expect(() => new nn.PReLU(0)).toThrow('numParameters')
    expect(() => new nn.Softshrink(-1)).toThrow('lambd')
  })
})
