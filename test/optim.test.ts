/** Optimizers: groups, numbers that change, skipped parameters, checkpoints, clipping, wrong input. Steps are compared with PyTorch's in test/golden. */
import { describe, expect, test } from 'vitest'
import { manualSeed, nn, ones, optim, randn, type Tensor, tensor, zeros } from '../src/index.js'
import { shortestDecimal } from '../src/optim/hyper.js'

const thrown = (f: () => unknown): { name: string; code: string; message: string } => {
  try {
    f()
  } catch (error) {
    return error as { name: string; code: string; message: string }
  }
  throw new Error('nothing thrown')
}
const param = (...data: number[]): nn.Parameter => new nn.Parameter(tensor(data))
const withGrad = (p: Tensor, ...data: number[]): void => {
  p.grad = tensor(data)
}

describe('steps', () => {
  test('state is shared memory, made in the constructor', () => {
    const optimizer = new optim.Adam([param(1, 2)], { amsgrad: true })
    const dict = Object.keys(optimizer.stateDict())
    expect(dict).toEqual([
      'state.0.exp_avg',
      'state.0.exp_avg_sq',
      'state.0.max_exp_avg_sq',
      'groups.0.step',
      'groups.0.lr',
      'groups.0.weight_decay',
      'groups.0.beta1',
      'groups.0.beta2',
      'groups.0.eps',
    ])
    const [group] = optimizer.groups
    for (const t of [group.steps, ...group.expAvg, ...group.expAvgSq, group.rate.tensors.value]) expect(t.storage.shared).toBe(true)
  })

  test('parameters without a gradient are skipped, and do not count the step', () => {
    const a = param(1)
    const b = param(1)
    const optimizer = new optim.Adam([a, b], { lr: 0.1 })
    for (let i = 0; i < 3; i++) {
      withGrad(a, 1)
      optimizer.step()
    }
    expect(b.item()).toBe(1)
    expect(optimizer.groups[0].steps.toArray()).toEqual([3, 0])
    // its first step has the size of a first step, however late it comes
    withGrad(b, 1)
    optimizer.step()
    expect(b.item()).toBeCloseTo(0.9, 6)
    optimizer.zeroGrad()
    optimizer.step()
    expect(optimizer.groups[0].steps.toArray()).toEqual([4, 1])
  })

  test('dampening starts with the whole gradient, for each parameter', () => {
    const a = param(0)
    const b = param(0)
    const optimizer = new optim.SGD([a, b], { lr: 1, momentum: 0.5, dampening: 0.5 })
    withGrad(a, 1)
    optimizer.step()
    withGrad(b, 1)
    optimizer.step()
    expect([a.item(), b.item()]).toEqual([-2, -1])
  })

  test('a step records no gradients and keeps those there are', () => {
    const p = param(1, 2)
    const optimizer = new optim.AdamW([p])
    p.mul(p).sum().backward()
    optimizer.step()
    expect(p.gradNode).toBeUndefined()
    expect(p.grad?.toArray()).toEqual([2, 4])
    optimizer.zeroGrad()
    expect(p.grad).toBeUndefined()
  })

  test('gradients of any layout, also shared by two parameters at one step and not at the next', () => {
    const a = new nn.Parameter(zeros([2, 3]))
    const b = new nn.Parameter(zeros([2, 3]))
    const optimizer = new optim.SGD([a, b], { lr: 1 })
    const g = tensor([
      [1, 2],
      [3, 4],
      [5, 6],
    ]).transpose()
    a.grad = g
    b.grad = g
    optimizer.step()
    expect(a.neg().toArray()).toEqual(g.toArray())
    b.grad = ones([2, 3])
    optimizer.step()
    expect([a.neg().sum().item(), b.neg().toArray()]).toEqual([42, g.add(1).toArray()])
  })

  test('it learns', () => {
    manualSeed(3)
    const x = randn([64, 3])
    const y = x.matmul(tensor([[1], [-2], [3]])).add(0.5)
    for (const make of [
      (p: nn.Parameter[]) => new optim.SGD(p, { lr: 0.1, momentum: 0.9, nesterov: true }),
      (p: nn.Parameter[]) => new optim.Adam(p, { lr: 0.1 }),
      (p: nn.Parameter[]) => new optim.AdamW(p, { lr: 0.1 }),
    ]) {
      const model = new nn.Linear(3, 1)
      const optimizer = make(model.parameters())
      let last = 0
      for (let i = 0; i < 120; i++) {
        optimizer.zeroGrad()
        const loss = model.forward(x).sub(y).square().mean()
        loss.backward()
        optimizer.step()
        last = loss.item()
      }
      expect(last).toBeLessThan(0.01)
    }
  })
})

describe('numbers', () => {
  test('lr and the others change between steps', () => {
    const p = param(1)
    const optimizer = new optim.SGD([p], { lr: 0.5, weightDecay: 0 })
    withGrad(p, 1)
    optimizer.step()
    expect(p.item()).toBe(0.5)
    optimizer.lr = 0.25
    optimizer.step()
    expect(p.item()).toBe(0.25)
    optimizer.groups[0].weightDecay = 4
    optimizer.step()
    expect(p.item()).toBe(-0.25)
    optimizer.lr *= 2
    expect(optimizer.lr).toBe(0.5)
    const adam = new optim.Adam([p])
    adam.groups[0].betas = [0.8, 0.99]
    adam.groups[0].eps = 0.5
    expect([adam.groups[0].betas, adam.groups[0].eps]).toEqual([[0.8, 0.99], 0.5])
  })

  test('groups have their own, and the optimizer sets all', () => {
    const a = param(1)
    const b = param(1)
    const optimizer = new optim.SGD([{ params: [a] }, { params: b, lr: 1, momentum: 0.5 }], { lr: 0.1 })
    expect(optimizer.groups.map((g) => [g.lr, g.momentum])).toEqual([
      [0.1, 0],
      [1, 0.5],
    ])
    expect(String(optimizer)).toBe('SGD(lr: 0.1, weightDecay: 0, 1 parameter | lr: 1, weightDecay: 0, 1 parameter)')
    optimizer.lr = 0.3
    expect(optimizer.groups.map((g) => g.lr)).toEqual([0.3, 0.3])
    expect([...optimizer.groups[1].state.keys()]).toEqual(['momentum_buffer'])
  })

  test('decimals survive float32', () => {
    for (const x of [0.001, 0.1, 0.3, 1e-8, 0.999, 3e-4, 0, 1, 0.9999, 123.456]) expect(shortestDecimal(x)).toBe(x)
    expect(shortestDecimal(Math.fround(0.001))).toBe(0.001)
    expect(Math.fround(shortestDecimal(Math.PI))).toBe(Math.fround(Math.PI))
  })
})

describe('checkpoints', () => {
  test('ten steps, restore, ten steps equal twenty, bit for bit', () => {
    const run = (restore: boolean): unknown => {
      const make = (p: nn.Parameter): optim.Optimizer => new optim.AdamW([p], { lr: 0.013, betas: [0.87, 0.9973], amsgrad: true })
      let p = param(1, -2, 3)
      let optimizer = make(p)
      for (let i = 0; i < 20; i++) {
        if (restore && i === 10) {
          const [saved, state] = [p.clone(), optimizer.stateDict()]
          p = new nn.Parameter(saved.detach())
          optimizer = new optim.AdamW([p], { amsgrad: true })
          optimizer.loadStateDict(state)
          expect(optimizer.lr).toBe(0.013 / 2 ** 2)
        }
        withGrad(p, Math.sin(i), Math.cos(i), i % 3)
        optimizer.step()
        if (i % 4 === 3) optimizer.lr /= 2
      }
      return p.toArray()
    }
    expect(run(true)).toEqual(run(false))
  })

  test('what does not fit is listed, and nothing is written', () => {
    const optimizer = new optim.SGD([param(1), param(1, 2)], { lr: 0.1, momentum: 0.9 })
    const dict = optimizer.stateDict()
    delete dict['state.0.momentum_buffer']
    dict['state.1.momentum_buffer'] = zeros([3])
    dict['groups.0.momentum'] = tensor(-1)
    dict['groups.0.lr'] = tensor(0.5)
    const error = thrown(() => optimizer.loadStateDict(dict))
    expect(error.code).toBe('ERR_STATE_DICT')
    expect(error.message).toContain('missing: state.0.momentum_buffer')
    expect(error.message).toContain('state.1.momentum_buffer: expected [2], received [3]')
    expect(error.message).toContain('groups.0.momentum: must be a number from 0, received -1')
    expect(optimizer.lr).toBe(0.1)
  })
})

describe('clipping', () => {
  test('norms of any kind; nothing to clip is 0', () => {
    const p = param(0, 0)
    const q = param(0)
    expect(optim.clipGradNorm([p, q], 1).item()).toBe(0)
    withGrad(p, 3, -4)
    expect(optim.clipGradNorm([p, q], 10).item()).toBe(5)
    expect(p.grad?.toArray()).toEqual([3, -4])
    withGrad(q, 12)
    expect(optim.clipGradNorm([p, q], 100, { normType: 1 }).item()).toBe(19)
    expect(optim.clipGradNorm([p, q], 100, { normType: 3 }).item()).toBeCloseTo(Math.cbrt(27 + 64 + 1728), 3)
    expect(optim.clipGradNorm(p, 2, { normType: Infinity }).item()).toBe(4)
    expect(p.grad?.toArray()).toEqual([1.5, -2].map((x) => expect.closeTo(x, 5)))
    optim.clipGradValue([p], 0.5)
    expect(p.grad?.toArray()).toEqual([0.5, -0.5])
  })

  test('wrong arguments', () => {
    expect(thrown(() => optim.clipGradNorm([], -1)).code).toBe('ERR_CLIP')
    expect(thrown(() => optim.clipGradNorm([], 1, { normType: 0 })).code).toBe('ERR_CLIP')
    const broken = param(0)
    withGrad(broken, Number.NaN)
    expect(thrown(() => optim.clipGradNorm([broken], 1, { errorIfNonfinite: true })).code).toBe('ERR_NONFINITE')
    expect(thrown(() => optim.clipGradValue([], Number.NaN)).code).toBe('ERR_CLIP')
    expect(thrown(() => optim.clipGradNorm(new nn.ReLU() as unknown as Tensor[], 1)).message).toContain('Pass model.parameters().')
  })
})

describe('wrong input', () => {
  const p = param(1)
  const cases: [string, () => unknown, string, string][] = [
    [
      'nothing',
      () => new optim.SGD([]),
      'ERR_PARAMETERS',
      'SGD: there are no parameters. Assign layers and nn.Parameters to fields of the module (not #private ones), or to arrays in them.',
    ],
    [
      'an empty group',
      () => new optim.SGD([{ params: [p] }, { params: [] }]),
      'ERR_PARAMETERS',
      'SGD: group 1 has no parameters. Assign layers and nn.Parameters to fields of the module (not #private ones), or to arrays in them.',
    ],
    [
      'twice',
      () => new optim.Adam([p, p]),
      'ERR_PARAMETERS',
      'Adam: a parameter of shape [1] is given twice. List each parameter once, in one group.',
    ],
    [
      'in two groups',
      () => new optim.Adam([{ params: [p] }, { params: [p] }]),
      'ERR_PARAMETERS',
      'Adam: a parameter of shape [1] is given twice. List each parameter once, in one group.',
    ],
    [
      'no leaf',
      () => new optim.Adam([p.mul(2)]),
      'ERR_NOT_A_LEAF',
      'Adam: a parameter is the result of mul, not a leaf. Pass the tensors that model.parameters() gives.',
    ],
    [
      'a model',
      () => new optim.Adam(new nn.Linear(1, 1) as unknown as Tensor[]),
      'ERR_PARAMETERS',
      'Adam: needs a list of tensors, received object. Pass model.parameters().',
    ],
    [
      'named parameters',
      () => new optim.Adam(new nn.Linear(1, 1).namedParameters() as unknown as Tensor[]),
      'ERR_PARAMETERS',
      'Adam: element 0 is no tensor but an array. Pass model.parameters().',
    ],
    [
      'mixed',
      () => new optim.Adam([{ params: [p] }, p] as unknown as Tensor[]),
      'ERR_PARAMETERS',
      'Adam: element 1 is not a group { params, … }. Give groups only, or parameters only.',
    ],
    [
      'integers',
      () => new optim.Adam([ones([1], { dtype: 'int32' })]),
      'ERR_DTYPE',
      "Adam: parameters must be float32, received int32. Convert with .to('float32').",
    ],
    ['lr', () => new optim.Adam([p], { lr: -1 }), 'ERR_HYPERPARAMETER', 'Adam: lr must be a number from 0, received -1.'],
    [
      'lr later',
      () => {
        new optim.SGD([p]).lr = Number.NaN
      },
      'ERR_HYPERPARAMETER',
      'SGD: lr must be a number from 0, received NaN.',
    ],
    [
      'betas',
      () => new optim.AdamW([p], { betas: [0.9, 1] }),
      'ERR_HYPERPARAMETER',
      'AdamW: betas[1] must be from 0 up to but without 1, received 1.',
    ],
    [
      'one beta',
      () => new optim.AdamW([p], { betas: 0.9 as unknown as [number, number] }),
      'ERR_HYPERPARAMETER',
      'AdamW: betas must be a pair such as [0.9, 0.999], received 0.9.',
    ],
    [
      'nesterov',
      () => new optim.SGD([p], { nesterov: true }),
      'ERR_HYPERPARAMETER',
      'SGD: nesterov needs a momentum above 0 and no dampening, received momentum 0 and dampening 0.',
    ],
    [
      'nesterov later',
      () => {
        ;(new optim.SGD([p]).groups[0] as { nesterov: boolean }).nesterov = true
      },
      'ERR_HYPERPARAMETER',
      "SGD: nesterov is fixed at construction. Make a new optimizer, and load the old one's stateDict() if it fits.",
    ],
  ]
  test.each(cases)('%s', (_, run, code, message) => {
    const error = thrown(run)
    expect(error.message).toBe(message)
    expect(error.code).toBe(code)
  })
})
