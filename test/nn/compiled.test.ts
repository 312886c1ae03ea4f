/** Modules, losses and optimizers inside `compile`: the same numbers as op by op, and what may change between calls does. */
import { describe, expect, test } from 'vitest'
import { compile, losses, manualSeed, metrics, nn, optim, rand, type Tensor, tensor } from '../../src/index.js'

type Make = (p: nn.Parameter[]) => optim.Optimizer

// no bias before batch norm: its gradient is rounding noise, of which Adam makes whole steps
const mlp = (): nn.Sequential =>
  new nn.Sequential(new nn.Linear(6, 8, { bias: false }), new nn.BatchNorm1d(8), new nn.GELU(), new nn.Dropout(0.3), new nn.Linear(8, 3))
const cnn = (): nn.Sequential =>
  new nn.Sequential(
    new nn.Conv2d(1, 3, 3, { padding: 1, bias: false }),
    new nn.BatchNorm2d(3),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
    new nn.Flatten(),
    new nn.Linear(12, 3),
  )

const optimizers: Record<string, Make> = {
  'SGD with everything': (p) => new optim.SGD(p, { lr: 0.1, momentum: 0.9, dampening: 0.1, weightDecay: 0.01 }),
  'SGD, Nesterov': (p) => new optim.SGD(p, { lr: 0.1, momentum: 0.9, nesterov: true }),
  Adam: (p) => new optim.Adam(p, { lr: 0.02, amsgrad: true, weightDecay: 0.1 }),
  AdamW: (p) => new optim.AdamW(p, { lr: 0.02 }),
}

/** Five steps with everything that may change in between; what was learned, and the last loss. */
function train(model: nn.Sequential, make: Make, shape: number[], eager: boolean): { loss: number; state: Record<string, Tensor> } {
  manualSeed(11)
  const optimizer = make(model.parameters())
  const step = compile(
    (x: Tensor, y: Tensor) => {
      const outputs = model.forward(x)
      const loss = losses.crossEntropy(outputs, y, { labelSmoothing: 0.1, weight: [1, 2, 1] })
      optimizer.zeroGrad()
      loss.backward()
      optim.clipGradNorm(model.parameters(), 1)
      optimizer.step()
      return [loss, metrics.accuracy(outputs, y)] as const
    },
    { eager },
  )
  const y = tensor(Int32Array.of(0, 1, 2, -100))
  let loss = 0
  for (let i = 0; i < 5; i++) {
    const x = rand([4, ...shape])
    if (i === 2) optimizer.lr *= 0.5
    if (i === 3) model.eval()
    if (i === 4) (model[0] as nn.Linear).weight.requiresGrad = false
    loss = step.sync(x, y)[0].item()
  }
  return { loss, state: { ...model.stateDict(), ...optimizer.stateDict() } }
}

describe.each(Object.entries(optimizers))('%s', (_, make) => {
  test.each([
    ['mlp', mlp, [6]],
    ['cnn', cnn, [1, 4, 4]],
  ] as const)('trains the %s as it does op by op', (_name, build, shape) => {
    manualSeed(2)
    const model = build()
    const copy = model.clone()
    const wanted = train(model, make, [...shape], true)
    const actual = train(copy, make, [...shape], false)
    expect(actual.loss).toBeCloseTo(wanted.loss, 4)
    for (const [name, t] of Object.entries(wanted.state)) {
      const a = actual.state[name].data
      t.data.forEach((x, i) => {
        expect(a[i], name).toBeCloseTo(x, 4)
      })
    }
  })
})

test('a weight decay that leaves 0 is noticed', () => {
  const p = new nn.Parameter(tensor([1]))
  const optimizer = new optim.SGD([p], { lr: 1 })
  const step = compile((x: Tensor) => {
    optimizer.zeroGrad()
    p.mul(x).sum().backward()
    optimizer.step()
  })
  step.sync(tensor([0.25]))
  expect(p.item()).toBe(0.75)
  optimizer.groups[0].weightDecay = 0.5
  step.sync(tensor([0]))
  expect(p.item()).toBe(0.375)
})

test('state cannot be made or set inside', () => {
  const p = new nn.Parameter(tensor([1]))
  const optimizer = new optim.SGD([p], { lr: 1 })
  const inside = (f: () => unknown): string => {
    try {
      compile((x: Tensor) => {
        f()
        return x
      }).sync(tensor([1]))
    } catch (error) {
      return (error as { code: string }).code
    }
    return 'nothing thrown'
  }
  expect(inside(() => new nn.Linear(1, 1))).toBe('ERR_STATE_IN_TRACE')
  expect(inside(() => new nn.Parameter([1]))).toBe('ERR_STATE_IN_TRACE')
  expect(inside(() => new optim.Adam([p]))).toBe('ERR_STATE_IN_TRACE')
  expect(inside(() => new nn.ReLU().eval())).toBe('ERR_STATE_IN_TRACE')
  expect(
    inside(() => {
      optimizer.lr = 2
    }),
  ).toBe('ERR_STATE_IN_TRACE')
  expect(optimizer.lr).toBe(1)
  expect(inside(() => nn.init.zeros(p))).toBe('ERR_STATE_IN_TRACE')
})
