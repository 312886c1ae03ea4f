/** Hyper-parameters that change: between construction and the first step, between steps, in groups, by loading. Eager steps and compiled ones follow alike. */
import { describe, expect, test } from 'vitest'
import { withBackend } from '../src/backend/select.js'
import { ArgumentError, compile, manualSeed, nn, optim, randn, type Tensor, tensor } from '../src/index.js'
import { backends } from './support/backends.js'

type Numbers = Record<string, number | readonly [number, number]>
// biome-ignore lint/suspicious/noExplicitAny: options and fields go by name
type Loose = any

/** Optimizers, options that they are made with, and what each of them can be changed to. */
const family: [name: string, options: object, changes: Numbers][] = [
  ['SGD', { lr: 0.1 }, { lr: 0.03, weightDecay: 0.1, momentum: 0.8 }],
  ['SGD', { lr: 0.1, momentum: 0.9, dampening: 0.3, weightDecay: 0.1 }, { lr: 0.03, weightDecay: 0, momentum: 0 }],
  ['SGD', { lr: 0.1, momentum: 0.9, nesterov: true }, { momentum: 0.5 }],
  ['Adam', { lr: 0.1, amsgrad: true }, { lr: 0.03, weightDecay: 0.1, betas: [0.5, 0.9], eps: 0.1 }],
  ['AdamW', { lr: 0.1 }, { lr: 0.03, weightDecay: 0, betas: [0.5, 0.9], eps: 0.1 }],
  ['Adamax', { lr: 0.1 }, { lr: 0.03, weightDecay: 0.1, betas: [0.5, 0.9], eps: 0.1 }],
  ['NAdam', { lr: 0.1 }, { lr: 0.03, weightDecay: 0.1, betas: [0.5, 0.9], eps: 0.1, momentumDecay: 0.5 }],
  ['RAdam', { lr: 0.1, betas: [0.9, 0.99], decoupledWeightDecay: true }, { lr: 0.03, weightDecay: 0.1, betas: [0.5, 0.9], eps: 0.1 }],
  ['Adagrad', { lr: 0.1 }, { lr: 0.03, weightDecay: 0.1, lrDecay: 0.5, eps: 0.1 }],
  ['RMSprop', { lr: 0.02 }, { lr: 0.03, weightDecay: 0.1, alpha: 0.5, eps: 0.1, momentum: 0.8 }],
  ['RMSprop', { lr: 0.02, momentum: 0.9, centered: true }, { momentum: 0, alpha: 0.5 }],
  ['Adadelta', { lr: 1 }, { lr: 0.3, weightDecay: 0.1, rho: 0.5, eps: 0.1 }],
  ['Rprop', { lr: 0.1 }, { lr: 0.03, etas: [0.3, 1.5], stepSizes: [0.02, 0.05] }],
  ['Lion', { lr: 0.1 }, { lr: 0.03, weightDecay: 0.1, betas: [0.05, 0.2] }],
  ['Muon', { lr: 0.1 }, { lr: 0.03, weightDecay: 0, momentum: 0.5, eps: 10 }],
]
const cases = family.flatMap(([name, options, changes]) =>
  Object.entries(changes).map(([key, value]) => [name, key, value, options] as const),
)

const ways = ['eager', 'step', 'compiled'] as const
type Way = (typeof ways)[number]

/** An optimizer, and what happens to it before step i. */
interface Lane {
  readonly make: (p: readonly Tensor[]) => optim.Optimizer
  at?(i: number, o: optim.Optimizer): void
}

/** What the weights of each lane are after some steps. All lanes train equal models in one function: it is compiled once. */
function race(lanes: readonly Lane[], way: Way, steps = 9): number[][] {
  const runners = lanes.map(({ make, at }) => {
    manualSeed(4)
    const model = new nn.Linear(3, 2, { bias: false })
    const [x, y] = [randn([8, 3]), randn([8, 2])]
    return { model, x, y, optimizer: make(model.parameters()), at }
  })
  const step = (): void => {
    for (const { model, x, y, optimizer } of runners) {
      optimizer.zeroGrad()
      model.forward(x).sub(y).square().mean().backward()
      optimizer.step()
    }
  }
  const call = way === 'compiled' ? compile(step).sync : way === 'step' ? step : compile(step, { eager: true }).sync
  for (let i = 0; i < steps; i++) {
    for (const { at, optimizer } of runners) at?.(i, optimizer)
    call()
  }
  return runners.map(({ model }) => [...model.weight.data])
}

const maker =
  (name: string, options: object) =>
  (params: readonly Tensor[]): optim.Optimizer =>
    new (optim as Loose)[name](params, options)
const set = (optimizer: optim.Optimizer, key: string, value: unknown): void => void ((optimizer.groups[0] as Loose)[key] = value)

describe.each(backends)('on %s', (backend) => {
  test.each(cases)('%s: %s set to %s', (name, key, value, options) =>
    withBackend(backend, () => {
      const constructed = maker(name, { ...options, [key]: value })
      const plain = maker(name, options)
      const original = (plain([new nn.Parameter([[1]])] as Loose).groups[0] as Loose)[key]
      const loadFrom = (o: optim.Optimizer): void => o.loadStateDict(constructed((o.groups as Loose)[0].params).stateDict())
      const lanes: readonly Lane[] = [
        { make: constructed },
        { make: plain },
        { make: plain, at: (i, o) => void (i === 0 && set(o, key, value)) },
        { make: (params) => plain([{ params, [key]: value }] as Loose) },
        { make: plain, at: (i, o) => void (i === 0 && loadFrom(o)) },
        { make: plain, at: (i, o) => void (i === 2 ? set(o, key, value) : i === 7 && set(o, key, original)) },
      ]
      const [eager, step, compiled] = ways.map((way) => {
        const [wanted, untouched, before, grouped, loaded, between] = race(lanes, way)
        expect(untouched, 'it makes a difference').not.toEqual(wanted)
        expect(before, `${way}, set before the first step`).toEqual(wanted)
        expect(grouped, `${way}, in a group`).toEqual(wanted)
        expect(loaded, `${way}, loaded before the first step`).toEqual(wanted)
        if (!(name === 'Rprop' && key === 'lr')) expect(between, `${way}, set between steps`).not.toEqual(untouched)
        return between
      })
      // between steps, and back: all ways alike
      eager.forEach((w, i) => void expect(step[i]).toBeCloseTo(w, 4))
      eager.forEach((w, i) => void expect(compiled[i]).toBeCloseTo(w, 4))
    }),
  )
})

describe('a momentum that comes later', () => {
  const gradients = (p: nn.Parameter, optimizer: optim.Optimizer, at: (i: number) => void, steps: number, way: Way): number[] => {
    const call = way === 'compiled' ? compile(() => optimizer.step()).sync : () => optimizer.step()
    return Array.from({ length: steps }, (_, i) => {
      at(i)
      p.grad = tensor([i + 1])
      call()
      return p.item()
    })
  }
  const near = (got: number[], wanted: number[]): void => got.forEach((v, i) => void expect(v).toBeCloseTo(wanted[i], 5))

  // values of PyTorch 2.14.1: the momentum goes to 0.8 before the third step, to 0 before the fifth, to 0.5 before the sixth
  test.each([
    ['without dampening', {}, [-0.1, -0.3, -0.6, -1.24, -1.74, -2.66]],
    ['with dampening', { dampening: 0.3 }, [-0.1, -0.3, -0.6, -1.12, -1.62, -2.3]],
  ] as const)('SGD %s', (_, more, wanted) => {
    for (const way of ways) {
      const p = new nn.Parameter([0])
      const optimizer = new optim.SGD([p], { lr: 0.1, ...more })
      expect(Object.keys(optimizer.stateDict())).not.toContain('state.0.momentum_buffer')
      const later: Record<number, number> = { 2: 0.8, 4: 0, 5: 0.5 }
      near(
        gradients(p, optimizer, (i) => void (later[i] !== undefined && (optimizer.groups[0].momentum = later[i])), 6, way),
        [...wanted],
      )
      // a state with a buffer loads into an optimizer that has none yet
      const other = new optim.SGD([new nn.Parameter([0])], { lr: 0.1, ...more })
      other.loadStateDict(optimizer.stateDict())
      expect(other.stateDict()['state.0.momentum_buffer'].toArray()).toEqual(optimizer.stateDict()['state.0.momentum_buffer'].toArray())
    }
  })

  test('OneCycleLR moves the momentum of an SGD that was made without one', () => {
    // PyTorch 2.14.1: rate, momentum and parameter of each step
    const wanted = [
      [0.01200000000000001, 0.95, -0.0120000001],
      [0.29832463063527354, 0.8505584586887436, -0.8623918295],
      [0.24352369618492892, 0.8688255099070633, -2.1960830688],
      [0.13879113080009253, 0.9037365046793212, -3.4381856918],
      [0.04004325905664918, 0.9366525935914912, -3.9740653038],
      [1.2e-6, 0.95, -3.9740877151],
    ]
    for (const way of ways) {
      const p = new nn.Parameter([0])
      const optimizer = new optim.SGD([p], { lr: 0.1 })
      const scheduler = new optim.lrScheduler.OneCycleLR(optimizer, 0.3, { totalSteps: 6 })
      const got = gradients(
        p,
        optimizer,
        (i) => {
          if (i > 0) scheduler.step()
          expect(optimizer.lr).toBeCloseTo(wanted[i][0], 12)
          expect(optimizer.groups[0].momentum).toBeCloseTo(wanted[i][1], 12)
        },
        6,
        way,
      )
      near(
        got,
        wanted.map((w) => w[2]),
      )
    }
    expect(() => new optim.lrScheduler.OneCycleLR(new optim.RMSprop([new nn.Parameter([0])]), 0.3, { totalSteps: 6 })).not.toThrow()
    expect(() => new optim.lrScheduler.OneCycleLR(new optim.Adagrad([new nn.Parameter([0])]), 0.3, { totalSteps: 6 })).toThrow(
      'Pass { cycleMomentum: false }',
    )
  })
})

test('Rprop takes the rate of its first step', () => {
  // PyTorch 2.14.1: lr 0.01 at construction, 0.5 before the first step, 3 after it
  const wanted = [
    [-0.5, 0.5],
    [-1.1, 1.1],
    [-1.1, 1.82],
    [-1.4, 2.684],
  ]
  for (const compiled of [true, false]) {
    const p = new nn.Parameter([0, 0])
    const optimizer = new optim.Rprop([p], { lr: 0.01 })
    const call = compiled ? compile(() => optimizer.step()).sync : () => optimizer.step()
    optimizer.lr = 0.5
    wanted.forEach((w, i) => {
      p.grad = tensor([i === 2 ? -1 : 1, -1])
      call()
      w.forEach((v, k) => void expect(p.data[k]).toBeCloseTo(v, 5))
      if (i === 0) optimizer.lr = 3
    })
  }
})

test('what cannot change says so, and a name that does not exist is refused', () => {
  const p = [new nn.Parameter([1])]
  for (const [name, key] of [
    ['SGD', 'nesterov'],
    ['SGD', 'dampening'],
    ['SGD', 'maximize'],
    ['Adam', 'amsgrad'],
    ['RMSprop', 'centered'],
    ['NAdam', 'decoupledWeightDecay'],
    ['RAdam', 'decoupledWeightDecay'],
  ]) {
    const [group] = maker(name, {})(p).groups as Loose
    const before = group[key]
    expect(() => {
      group[key] = !before
    }, `${name} ${key}`).toThrow(ArgumentError)
    expect(group[key]).toBe(before)
  }
  const [group] = new optim.Adam(p).groups as Loose
  expect(() => {
    group.weight_decay = 0.1
  }).toThrow(TypeError)
  expect(() => {
    group.betas = 0.9
  }).toThrow('Adam: betas must be a pair such as [0.9, 0.999], received 0.9.')
  expect(() => {
    group.betas = [0.5, 2]
  }).toThrow(ArgumentError)
  expect(group.betas).toEqual([0.9, 0.999])
})
