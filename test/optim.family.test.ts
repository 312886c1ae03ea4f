/** What all optimizers must do: learn, run compiled as they do eagerly, fuse, go on from a checkpoint bit for bit; and what only some do. Steps are compared with PyTorch's in test/golden. */
import { describe, expect, test } from 'vitest'
import { withBackend } from '../src/backend/select.js'
import { compile, manualSeed, nn, optim, randn, type Tensor, tensor, zeros } from '../src/index.js'
import { backends } from './support/backends.js'

type Make = (params: readonly Tensor[]) => optim.Optimizer
const family: [string, Make][] = [
  ['SGD', (p) => new optim.SGD(p, { lr: 0.1, momentum: 0.9, weightDecay: 1e-4 })],
  ['Adam', (p) => new optim.Adam(p, { lr: 0.1, amsgrad: true })],
  ['AdamW', (p) => new optim.AdamW(p, { lr: 0.1 })],
  ['Adamax', (p) => new optim.Adamax(p, { lr: 0.1 })],
  ['NAdam', (p) => new optim.NAdam(p, { lr: 0.1 })],
  ['RAdam', (p) => new optim.RAdam(p, { lr: 0.1 })],
  ['Adagrad', (p) => new optim.Adagrad(p, { lr: 0.5 })],
  ['RMSprop', (p) => new optim.RMSprop(p, { lr: 0.02, momentum: 0.5, centered: true })],
  ['Adadelta', (p) => new optim.Adadelta(p, { lr: 10 })],
  ['Rprop', (p) => new optim.Rprop(p)],
  ['Lion', (p) => new optim.Lion(p, { lr: 0.04 })],
  [
    'Muon',
    (p) =>
      new optim.Muon(
        p.filter((t) => t.ndim === 2),
        { lr: 0.06, weightDecay: 0 },
      ),
  ],
]

/** Lines of numbers to be fitted, with no bias where only matrices are trained. */
function problem(): { model: nn.Linear; lossOf: () => Tensor } {
  manualSeed(4)
  const model = new nn.Linear(3, 2, { bias: false })
  const x = randn([64, 3])
  const y = x.matmul(
    tensor([
      [1, -1],
      [-2, 0.5],
      [3, 2],
    ]),
  )
  return { model, lossOf: () => model.forward(x).sub(y).square().mean() }
}

function run(make: Make, steps: number, way: 'eager' | 'compiled' | 'step compiled', restoreAt = -1): { weights: number[]; loss: number } {
  const { model, lossOf } = problem()
  let optimizer = make(model.parameters())
  const step = (): Tensor => {
    optimizer.zeroGrad()
    const loss = lossOf()
    loss.backward()
    optimizer.step()
    return loss
  }
  let call = way === 'eager' ? step : way === 'compiled' ? compile(step).sync : step
  let loss = 0
  for (let i = 0; i < steps; i++) {
    if (i === restoreAt) {
      const state = optimizer.stateDict()
      optimizer = make(model.parameters())
      optimizer.loadStateDict(state)
      call = way === 'compiled' ? compile(step).sync : step
    }
    loss = call().item()
  }
  return { weights: [...model.weight.data], loss }
}

describe.each(backends)('on %s', (backend) => {
  test.each(family)('%s learns, eager and compiled alike, and goes on from a saved state bit for bit', (_, make) =>
    withBackend(backend, () => {
      const eager = run(make, 150, 'eager')
      expect(eager.loss).toBeLessThan(0.05)
      const compiled = run(make, 150, 'compiled')
      compiled.weights.forEach((w, i) => expect(w).toBeCloseTo(eager.weights[i], 1))
      expect(run(make, 20, 'compiled', 10).weights).toEqual(run(make, 20, 'compiled').weights)
      expect(run(make, 20, 'eager', 7).weights).toEqual(run(make, 20, 'eager').weights)
    }),
  )
})

describe('fusion', () => {
  test.each(family.filter(([name]) => name !== 'Muon'))('%s: one pass over each parameter and its state', (_, make) => {
    const params = [new nn.Parameter(zeros([64, 33])), new nn.Parameter(zeros([129]))]
    const optimizer = make(params)
    for (const p of params) p.grad = zeros(p.shape)
    const text = compile(() => optimizer.step()).explain()
    const passes = (shape: string): number => text.split('\n').filter((line) => line.includes(`→ ${shape}`)).length
    expect([passes('[2112]') + passes('[64, 33]'), passes('[129]')], text).toEqual([1, 1])
  })
})

describe('each of its kind', () => {
  const withGrad = (p: Tensor, ...data: number[]): void => {
    p.grad = tensor(data)
  }
  const param = (...data: number[]): nn.Parameter => new nn.Parameter(tensor(data))

  test('Lion: the sign of the mean, then the momentum', () => {
    const p = param(1, 1)
    const optimizer = new optim.Lion([p], { lr: 0.1, betas: [0.5, 0.75], weightDecay: 0.5 })
    withGrad(p, 2, -4)
    optimizer.step()
    // m = 0.25·g; p·(1 − lr·wd) − lr·sign
    expect([...p.data].map((v) => Number(v.toFixed(6)))).toEqual([0.85, 1.05])
    expect(optimizer.stateDict()['state.0.exp_avg'].toArray()).toEqual([0.5, -1])
    withGrad(p, -0.25, 0.5)
    optimizer.step()
    // 0.5·m + 0.5·g keeps the sign of m
    expect([...p.data].map((v) => Number(v.toFixed(6)))).toEqual([0.7075, 1.0975])
  })

  test('Muon makes steps orthogonal', () => {
    manualSeed(0)
    for (const shape of [
      [4, 7],
      [7, 4],
    ]) {
      const p = new nn.Parameter(zeros(shape))
      const optimizer = new optim.Muon([p], { lr: 1, weightDecay: 0, adjustLrFn: 'match_rms_adamw' })
      p.grad = randn(shape)
      optimizer.step()
      const q = p.div(0.2 * Math.sqrt(7))
      const gram = shape[0] < shape[1] ? q.matmul(q.transpose()) : q.transpose().matmul(q)
      // the polynomial brings singular values near 1, not to it
      const diagonal = [0, 1, 2, 3].map((i) => gram.at(i, i).item())
      for (const d of diagonal) expect(d).toBeGreaterThan(0.4)
      for (const d of diagonal) expect(d).toBeLessThan(1.4)
    }
    expect(() => new optim.Muon([param(1)])).toThrow('parameters must be matrices, received [1]. Give the others to AdamW.')
  })

  test('numbers of groups change between steps, and are saved in double precision', () => {
    const optimizer = new optim.RMSprop([param(1)], { lr: 1 / 3 })
    const [group] = optimizer.groups
    group.alpha = 0.5
    group.eps = 1e-3
    expect([group.alpha, group.eps, group.lr]).toEqual([0.5, 1e-3, 1 / 3])
    const other = new optim.RMSprop([param(1)])
    other.loadStateDict(optimizer.stateDict())
    expect([other.groups[0].alpha, other.lr]).toEqual([0.5, 1 / 3])
    expect(() => {
      group.alpha = -1
    }).toThrow('RMSprop: alpha must be a number from 0, received -1.')
    const rprop = new optim.Rprop([param(1)])
    expect(rprop.groups[0].weightDecay).toBe(0)
    expect(() => {
      rprop.groups[0].weightDecay = 1
    }).toThrow('there is no weight decay')
  })

  test('state by PyTorch’s names', () => {
    const names = (optimizer: optim.Optimizer): string[] =>
      Object.keys(optimizer.stateDict()).flatMap((name) => (name.startsWith('state.0.') ? [name.slice(8)] : []))
    const p = [param(1)]
    expect(names(new optim.Adamax(p))).toEqual(['exp_avg', 'exp_inf'])
    expect(names(new optim.RMSprop(p, { momentum: 0.1, centered: true }))).toEqual(['square_avg', 'momentum_buffer', 'grad_avg'])
    expect(names(new optim.Adagrad(p))).toEqual(['sum'])
    expect(names(new optim.Adadelta(p))).toEqual(['square_avg', 'acc_delta'])
    expect(names(new optim.Rprop(p))).toEqual(['prev', 'step_size'])
    expect(new optim.Adagrad(p, { initialAccumulatorValue: 0.5 }).stateDict()['state.0.sum'].toArray()).toEqual([0.5])
    expect(new optim.NAdam(p).stateDict()['groups.0.mu_product'].toArray()).toEqual([1])
  })

  test('parameters without a gradient wait, in NAdam too', () => {
    const [a, b] = [param(1), param(1)]
    const optimizer = new optim.NAdam([a, b], { lr: 0.1 })
    withGrad(a, 1)
    optimizer.step()
    const first = a.item()
    a.grad = undefined
    withGrad(b, 1)
    optimizer.step()
    expect([a.item(), b.item()]).toEqual([first, first])
  })

  test('step with a closure', () => {
    const p = param(3)
    const optimizer = new optim.SGD([p], { lr: 0.5 })
    const loss = optimizer.step(() => {
      optimizer.zeroGrad()
      const l = p.square().sum()
      l.backward()
      return l
    })
    expect([loss?.item(), p.item()]).toEqual([9, 0])
  })

  test('wrong options', () => {
    const p = [param(1)]
    expect(() => new optim.Rprop(p, { etas: [1.2, 0.5] })).toThrow('etas must be a pair around 1')
    expect(() => new optim.Rprop(p, { stepSizes: [1, 0.5] })).toThrow('stepSizes must be a pair in order')
    expect(() => new optim.Adadelta(p, { rho: 1.5 })).toThrow('rho')
    expect(() => new optim.NAdam(p, { momentumDecay: -1 })).toThrow('momentumDecay')
    expect(() => new optim.Adagrad(p, { initialAccumulatorValue: -1 })).toThrow('initialAccumulatorValue')
    expect(() => new optim.Lion(p, { betas: [0.9, 1] })).toThrow('betas[1]')
    expect(() => new optim.Muon([new nn.Parameter(zeros([2, 2]))], { nsSteps: 0 })).toThrow('nsSteps')
  })
})

describe('LBFGS', () => {
  const make = (p: Tensor, options: optim.LBFGSOptions = {}): optim.LBFGS => new optim.LBFGS([p], { historySize: 5, ...options })

  test('goes on from a saved state bit for bit', () => {
    const go = (restore: boolean): unknown => {
      let p = new nn.Parameter(tensor([-1.2, 1]))
      let optimizer = make(p, { maxIter: 3, historySize: 2, lineSearchFn: 'strong_wolfe' })
      for (let i = 0; i < 6; i++) {
        if (restore && i === 3) {
          const state = optimizer.stateDict()
          p = new nn.Parameter(p.detach())
          optimizer = make(p, { maxIter: 3, historySize: 2, lineSearchFn: 'strong_wolfe' })
          optimizer.loadStateDict(state)
        }
        optimizer.step(() => {
          optimizer.zeroGrad()
          const loss = p.at(1).sub(p.at(0).square()).square().mul(100).add(p.at(0).neg().add(1).square())
          loss.backward()
          return loss
        })
      }
      return p.toArray()
    }
    expect(go(true)).toEqual(go(false))
  })

  test('fits a small network', () => {
    const { model, lossOf } = problem()
    const optimizer = new optim.LBFGS(model.parameters(), { lineSearchFn: 'strong_wolfe' })
    const closure = compile(() => {
      optimizer.zeroGrad()
      const loss = lossOf()
      loss.backward()
      return loss
    })
    optimizer.step(closure.sync)
    expect(lossOf().item()).toBeLessThan(1e-8)
  })

  test('wrong use', () => {
    const p = new nn.Parameter(tensor([1]))
    expect(() => make(p).step()).toThrow('step needs a function')
    expect(() => make(p).step((() => Promise.resolve(1)) as never)).toThrow('must not be async')
    expect(() => make(p, { lineSearchFn: 'x' as never })).toThrow('lineSearchFn')
    expect(() => new optim.LBFGS([{ params: p }, { params: new nn.Parameter([1]) }])).toThrow('takes one group')
    expect(() => make(p, { maxIter: 0 })).toThrow('maxIter')
  })
})

describe('schedules', () => {
  const { lrScheduler } = optim

  test('a compiled step follows without tracing again, also while steps are queued', async () => {
    const p = new nn.Parameter(zeros([4096]))
    const optimizer = new optim.SGD([p], { lr: 1 })
    const scheduler = new lrScheduler.ExponentialLR(optimizer, 0.5)
    const step = compile(() => {
      optimizer.zeroGrad()
      p.sum().backward()
      optimizer.step()
    })
    const queued: Promise<unknown>[] = []
    for (let i = 0; i < 10; i++) {
      queued.push(step())
      scheduler.step()
    }
    await Promise.all(queued)
    expect(p.at(0).item()).toBeCloseTo(-(2 - 2 ** -9), 6)
    expect(step.variants).toBeLessThanOrEqual(2)
    expect(optimizer.lr).toBe(2 ** -10)
  })

  test('groups have their own rates', () => {
    const optimizer = new optim.SGD([{ params: new nn.Parameter([1]) }, { params: new nn.Parameter([1]), lr: 1 }], { lr: 0.1 })
    const scheduler = new lrScheduler.LambdaLR(optimizer, [(e) => 1 / (e + 1), (e) => 0.5 ** e])
    scheduler.step()
    expect(scheduler.getLastLr()).toEqual([0.05, 0.5])
    const plateau = new lrScheduler.ReduceLROnPlateau(optimizer, { patience: 0, minLr: [0.04, 0.01] })
    for (let i = 0; i < 3; i++) plateau.step(tensor(1))
    expect(plateau.getLastLr()).toEqual([0.04, 0.010000000000000002].map((x) => expect.closeTo(x, 12)))
  })

  test('what a user sets is gone on from', () => {
    const optimizer = new optim.SGD([new nn.Parameter([1])], { lr: 1 })
    const scheduler = new lrScheduler.StepLR(optimizer, 1)
    optimizer.lr = 0.5
    scheduler.step()
    expect(optimizer.lr).toBe(0.05)
  })

  test('wrong use', () => {
    const optimizer = new optim.Adagrad([new nn.Parameter([1])])
    expect(() => new lrScheduler.StepLR(3 as never, 1)).toThrow('the first argument must be an optimizer')
    expect(() => new lrScheduler.StepLR(optimizer, 0.5)).toThrow('stepSize must be an integer from 1')
    expect(() => new lrScheduler.LinearLR(optimizer, { startFactor: 0 })).toThrow('startFactor')
    expect(() => new lrScheduler.LambdaLR(optimizer, 3 as never)).toThrow('lrLambda must be a function')
    expect(() => new lrScheduler.OneCycleLR(optimizer, 0.1, { totalSteps: 3 })).toThrow('neither momentum nor betas')
    expect(() => new lrScheduler.OneCycleLR(optimizer, 0.1)).toThrow('needs totalSteps')
    expect(() => new lrScheduler.CyclicLR(optimizer, [1, 2], 0.1)).toThrow('2 values for 1 parameter groups')
    const one = new lrScheduler.OneCycleLR(optimizer, 0.1, { totalSteps: 2, cycleMomentum: false })
    one.step()
    one.step()
    expect(() => one.step()).toThrow('the cycle has 2 steps')
    const plateau = new lrScheduler.ReduceLROnPlateau(optimizer)
    expect(() => new lrScheduler.SequentialLR(optimizer, [plateau as never], [])).toThrow('ReduceLROnPlateau has to stand alone')
    expect(() => new lrScheduler.SequentialLR(optimizer, [one], [1])).toThrow('1 schedules need 0 milestones')
    expect(() => new lrScheduler.ChainedScheduler([])).toThrow('at least one schedule')
    expect(() => plateau.step('x' as never)).toThrow('needs the figure')
    expect(() => plateau.loadStateDict({})).toThrow('last_epoch is missing')
    expect(() => new lrScheduler.StepLR(optimizer, 1).loadStateDict(plateau.stateDict())).toThrow('base_lrs must have 1 numbers')
  })
})
