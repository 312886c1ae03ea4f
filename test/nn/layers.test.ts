/** Layers: initial values, modes, and what they say to wrong input. Numbers are compared with PyTorch's in test/golden. */
import { describe, expect, test } from 'vitest'
import { manualSeed, nn, ones, type Tensor, tensor, zeros } from '../../src/index.js'

const thrown = (f: () => unknown): { name: string; code: string; message: string } => {
  try {
    f()
  } catch (error) {
    return error as { name: string; code: string; message: string }
  }
  throw new Error('nothing thrown')
}
const range = (t: Tensor): [number, number] => [t.amin().item(), t.amax().item()]

describe('initial values', () => {
  test('Linear and Conv2d are uniform in ±1/√fanIn', () => {
    manualSeed(0)
    const linear = new nn.Linear(100, 200)
    const conv = new nn.Conv2d(8, 32, 3, { groups: 2 })
    for (const [t, bound] of [
      [linear.weight, 0.1],
      [linear.bias, 0.1],
      [conv.weight, 1 / 6],
      [conv.bias, 1 / 6],
    ] as const) {
      const [low, high] = range(t as Tensor)
      expect(low).toBeGreaterThanOrEqual(-bound * 1.000001)
      expect(high).toBeLessThanOrEqual(bound * 1.000001)
      expect(high - low).toBeGreaterThan(1.7 * bound)
    }
    expect((linear.weight.std().item() * Math.sqrt(3)) / 0.1).toBeCloseTo(1, 1)
  })

  test('Embedding is normal, its padding row zero', () => {
    manualSeed(0)
    const e = new nn.Embedding(50, 40, { paddingIdx: 3 })
    expect(e.weight.std().item()).toBeCloseTo(0.98, 1)
    expect(e.weight.at(3).toArray()).toEqual(new Array(40).fill(0))
  })

  test('the same seed gives the same weights', () => {
    const make = (): unknown => {
      manualSeed(5)
      return new nn.Sequential(new nn.Linear(4, 4), new nn.Conv2d(1, 2, 3)).stateDict()['1.weight'].toArray()
    }
    expect(make()).toEqual(make())
  })

  test('init functions and their gains', () => {
    manualSeed(1)
    const w = zeros([64, 32, 3, 3])
    const { init } = nn
    expect(init.xavierUniform(w)).toBe(w)
    expect(range(w)[1]).toBeCloseTo(Math.sqrt(6 / (32 * 9 + 64 * 9)), 3)
    expect(init.xavierNormal(w, { gain: 2 }).std().item()).toBeCloseTo(2 * Math.sqrt(2 / (96 * 9)), 2)
    expect(init.kaimingNormal(w, { mode: 'fanOut', nonlinearity: 'relu' }).std().item()).toBeCloseTo(Math.sqrt(2 / (64 * 9)), 3)
    expect(init.eye(zeros([2, 3])).toArray()).toEqual([
      [1, 0, 0],
      [0, 1, 0],
    ])
    expect(init.constant(zeros([2], { dtype: 'int32' }), 3).toArray()).toEqual([3, 3])
    expect(init.calculateGain('leakyRelu', 0.2)).toBeCloseTo(Math.sqrt(2 / 1.04))
    expect(init.calculateGain('tanh')).toBeCloseTo(5 / 3)
    expect(thrown(() => init.kaimingUniform(zeros([3]))).code).toBe('ERR_INIT')
    expect(thrown(() => init.kaimingUniform(w, { mode: 'fan_in' as 'fanIn' })).code).toBe('ERR_INIT')
    expect(thrown(() => init.calculateGain('what' as 'relu')).code).toBe('ERR_INIT')
    expect(thrown(() => init.normal(w, { std: -1 })).code).toBe('ERR_INIT')
    expect(thrown(() => init.uniform(zeros([1], { dtype: 'int32' }))).code).toBe('ERR_DTYPE')
    const p = new nn.Parameter(zeros([2]))
    init.ones(p)
    expect([p.requiresGrad, p.gradNode, p.toArray()]).toEqual([true, undefined, [1, 1]])
  })
})

describe('Dropout', () => {
  test('drops and scales in training, passes in evaluation', () => {
    manualSeed(0)
    const drop = new nn.Dropout(0.25)
    const x = ones([1000])
    const y = drop.forward(x)
    const values = new Set(y.toArray() as number[])
    expect([...values].sort()).toEqual([0, Math.fround(Math.fround(1 / 0.75))])
    expect(y.mean().item()).toBeCloseTo(1, 1)
    expect(drop.eval().forward(x)).toBe(x)
    expect(new nn.Dropout(1).forward(x).sum().item()).toBe(0)
    expect(new nn.Dropout(0).forward(x)).toBe(x)
  })

  test('the gradient goes where values went', () => {
    const x = ones([50], { requiresGrad: true })
    const y = new nn.Dropout(0.5).forward(x)
    y.sum().backward()
    expect(x.grad?.toArray()).toEqual(y.toArray())
  })

  test.each([
    ['Dropout1d', [20, 30, 4]],
    ['Dropout2d', [20, 30, 2, 2]],
    ['Dropout3d', [20, 30, 1, 2, 2]],
  ] as const)('%s drops whole channels', (name, shape) => {
    manualSeed(0)
    const y = new nn[name](0.5).forward(ones([...shape]) as Tensor)
    const channels = y.reshape([600, 4])
    expect(
      channels
        .amax({ dim: 1 })
        .sub(channels.amin({ dim: 1 }))
        .abs()
        .sum()
        .item(),
    ).toBe(0)
    expect(new Set(y.data)).toEqual(new Set([0, 2]))
    expect(thrown(() => new nn[name]().forward(ones([2, 2]) as Tensor)).code).toBe('ERR_LAYER_INPUT')
  })

  test('p outside 0 to 1 is an error', () => {
    for (const p of [-0.1, 1.1, Number.NaN]) expect(thrown(() => new nn.Dropout(p)).code).toBe('ERR_LAYER_OPTION')
  })
})

describe('BatchNorm', () => {
  test('without momentum the running statistics are plain averages', () => {
    const norm = new nn.BatchNorm1d(1, { momentum: null })
    norm.forward(tensor([[0], [2]]))
    norm.forward(tensor([[4], [8]]))
    expect(norm.runningMean?.toArray()).toEqual([3.5])
    expect(norm.runningVar?.toArray()).toEqual([5])
    expect(norm.numBatchesTracked?.item()).toBe(2)
    expect(norm.numBatchesTracked?.dtype).toBe('int32')
    norm.resetParameters()
    expect(norm.stateDict().num_batches_tracked.item()).toBe(0)
  })

  test('without running statistics the batch decides in evaluation as well', () => {
    const norm = new nn.BatchNorm1d(1, { trackRunningStats: false, eps: 0 }).eval()
    expect(norm.forward(tensor([[1], [3]])).toArray()).toEqual([[-1], [1]])
    expect(Object.keys(norm.stateDict())).toEqual(['weight', 'bias'])
  })

  test('evaluation leaves the statistics alone', () => {
    const norm = new nn.BatchNorm2d(2).eval()
    norm.forward(ones([1, 2, 1, 1]))
    expect(norm.numBatchesTracked?.item()).toBe(0)
  })
})

describe('Embedding and Sequential', () => {
  test('uint8 indices, and no gradient for the padding', () => {
    const e = new nn.Embedding(3, 2, { paddingIdx: 0 })
    const y = e.forward(tensor(Uint8Array.of(0, 2, 0), { shape: [3] }))
    expect(y.shape).toEqual([3, 2])
    y.sum().backward()
    expect(e.weight.grad?.toArray()).toEqual([
      [0, 0],
      [0, 0],
      [1, 1],
    ])
  })

  test('Sequential is indexed and iterated', () => {
    const net = new nn.Sequential(new nn.Identity(), new nn.Flatten())
    expect(net.length).toBe(2)
    expect(net[1]).toBe(net.at(-1))
    expect([...net]).toEqual([net[0], net[1]])
    expect(net.forward(zeros([2, 3, 4])).shape).toEqual([2, 12])
    expect(thrown(() => net.at(2)).code).toBe('ERR_INDEX_RANGE')
    expect(new nn.Sequential().forward(ones([2])).toArray()).toEqual([1, 1])
  })

  test('empty batches pass', () => {
    expect(new nn.Linear(3, 2).forward(zeros([0, 3])).shape).toEqual([0, 2])
    expect(new nn.Linear(3, 2).forward(zeros([0, 5, 3])).shape).toEqual([0, 5, 2])
    expect(new nn.Linear(3, 2).forward(zeros([3])).shape).toEqual([2])
  })
})

describe('wrong input is named with what to write', () => {
  const cases: [string, () => unknown, string, string][] = [
    [
      'features',
      () => new nn.Linear(512, 256).forward(zeros([128, 9216]) as Tensor),
      'ShapeError',
      'Linear(512, 256) expects 512 features in the last dimension, received [128, 9216]. Change inFeatures to 9216.',
    ],
    [
      'scalar',
      () => new nn.Linear(2, 2).forward(zeros([]) as Tensor),
      'ShapeError',
      'Linear(2, 2) expects 2 features in the last dimension, received []. Add a dimension with .reshape([1, 1]).',
    ],
    [
      'raw pixels',
      () => new nn.Linear(2, 2).forward(zeros([1, 2], { dtype: 'uint8' })),
      'DTypeError',
      "Linear(2, 2): expects float32, received uint8 [1, 2]. Convert with .to('float32'), and scale pixels with .div(255).",
    ],
    [
      'no tensor',
      () => new nn.Linear(2, 2).forward([1, 2] as unknown as Tensor),
      'ArgumentError',
      'Linear(2, 2): the input must be a tensor, received an array. Make one with tensor(…).',
    ],
    [
      'channels',
      () => new nn.Conv2d(1, 32, 3).forward(zeros([4, 3, 8, 8]) as Tensor),
      'ShapeError',
      'Conv2d(1, 32, 3) expects 1 channels in [N, C, H, W], received [4, 3, 8, 8]. Change inChannels to 3.',
    ],
    [
      'channels last',
      () => new nn.Conv2d(3, 32, 3).forward(zeros([4, 8, 8, 3]) as Tensor),
      'ShapeError',
      'Conv2d(3, 32, 3) expects 3 channels in [N, C, H, W], received [4, 8, 8, 3]. Put the channels second: .permute([0, 3, 1, 2]).',
    ],
    [
      'rank',
      () => new nn.Conv2d(3, 32, 3).forward(zeros([3, 8, 8]) as Tensor),
      'ShapeError',
      'Conv2d(3, 32, 3): expects images [N, C, H, W], received [3, 8, 8]. Add the batch dimension with .unsqueeze(0), or the channels with .unsqueeze(1).',
    ],
    [
      'pool rank',
      () => new nn.MaxPool2d(2).forward(zeros([8, 8]) as Tensor),
      'ShapeError',
      'MaxPool2d: expects images [N, C, H, W], received [8, 8]. Reshape it.',
    ],
    [
      'norm channels',
      () => new nn.BatchNorm2d(8).forward(zeros([4, 3, 2, 2]) as Tensor),
      'ShapeError',
      'BatchNorm2d(8) expects 8 channels in dimension 1, received [4, 3, 2, 2]. Change numFeatures to 3.',
    ],
    [
      'norm rank',
      () => new nn.BatchNorm1d(8).forward(zeros([4, 8, 2, 2]) as Tensor),
      'ShapeError',
      'BatchNorm1d(8) expects [N, C] or [N, C, L], received [4, 8, 2, 2]. Use BatchNorm2d for images.',
    ],
    [
      'norm of one',
      () => new nn.BatchNorm1d(2).forward(zeros([1, 2])),
      'ShapeError',
      'BatchNorm1d(2) needs more than one value per channel to train, received [1, 2]. Use larger batches ({ dropLast: true }), or eval().',
    ],
    [
      'float indices',
      () => new nn.Embedding(3, 2).forward(tensor([1, 2])),
      'DTypeError',
      "Embedding(3, 2): indices must be int32 or uint8, received float32 [2]. Make them with tensor(ids, { dtype: 'int32' }).",
    ],
    ['features number', () => new nn.Linear(0, 2), 'ArgumentError', 'Linear: inFeatures must be an integer from 1, received 0.'],
    [
      'groups',
      () => new nn.Conv2d(3, 4, 3, { groups: 2 }),
      'ArgumentError',
      'Conv2d: groups must divide the channels, received 2 for 3 in and 4 out.',
    ],
    [
      'same with stride',
      () => new nn.Conv2d(3, 4, 3, { padding: 'same', stride: 2 }),
      'ArgumentError',
      "Conv2d: padding 'same' needs stride 1, received 2. Give the padding as a number.",
    ],
    [
      'padding mode',
      () => new nn.Conv3d(3, 4, 3, { paddingMode: 'constant' as 'zeros' }),
      'ArgumentError',
      "Conv3d: paddingMode must be one of zeros, reflect, replicate, circular, received 'constant'.",
    ],
    [
      'reflecting more than there is',
      () => new nn.Conv1d(1, 1, 3, { padding: 4, paddingMode: 'reflect' }).forward(zeros([1, 1, 4]) as Tensor),
      'ShapeError',
      "pad: mode 'reflect' adds at most 3 to dimension 2 of [1, 1, 4], received 4 and 4.",
    ],
    [
      'class for module',
      () => new nn.Sequential(nn.ReLU as unknown as nn.Layer),
      'ArgumentError',
      'Sequential: argument 0 must be a module, received a class or function; write new nn.…().',
    ],
    [
      'array of modules',
      () => new nn.Sequential([new nn.ReLU()] as unknown as nn.Layer),
      'ArgumentError',
      'Sequential: argument 0 must be a module, received an array; write ...layers.',
    ],
  ]
  test.each(cases)('%s', (_, run, name, message) => {
    const error = thrown(run)
    expect(error.message).toBe(message)
    expect(error.name).toBe(name)
  })

  test('an index out of range', () => {
    expect(thrown(() => new nn.Embedding(3, 2).forward(tensor([3], { dtype: 'int32' }))).code).toBe('ERR_INDEX_RANGE')
  })
})
