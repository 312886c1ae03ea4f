/**
 * The ways people write a call who come from PyTorch or NumPy: a dimension in front or among the options, options where PyTorch has positions.
 * All ways give the same numbers, or a message says what to write.
 */
import { describe, expect, it } from 'vitest'
import * as cr from '../src/index.js'
import { arange, type ChainruleError, eye, losses, nn, ones, optim, randn, type Tensor, tensor, zeros } from '../src/index.js'

/** Calls as JavaScript makes them, with no types in the way. */
// biome-ignore lint/suspicious/noExplicitAny: what is tried here is what the types forbid
type Loose = any

const x = tensor([
  [3, 1, 2],
  [4, 6, 5],
])

/** Numbers and shape of what a call gives, also of `{ values, indices }`. */
function numbers(result: unknown): unknown {
  if (result instanceof cr.Tensor) return { shape: result.shape, data: [...result.data], dtype: result.dtype }
  return Object.fromEntries(Object.entries(result as object).map(([name, t]) => [name, numbers(t)]))
}

function message(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    return `${(error as ChainruleError).code} ${(error as Error).message}`
  }
  return expect.unreachable('nothing was thrown')
}

describe('a dimension', () => {
  /** Arguments in front of the dimension, by op. */
  const ops: Record<string, unknown[]> = Object.fromEntries([
    ...'sum mean prod amax amin argmax argmin variance std logsumexp any all countNonzero max min median'.split(' ').map((op) => [op, []]),
    ...'softmax logSoftmax cumsum cumprod cummax cummin sort argsort'.split(' ').map((op) => [op, []]),
    ['topk', [2]],
    ['kthvalue', [2]],
    ['quantile', [0.5]],
  ])
  const keepsDim = new Set('softmax logSoftmax cumsum cumprod cummax cummin sort argsort topk'.split(' '))

  it.each(Object.entries(ops))('%s in front or among the options, of functions and methods', (op, front) => {
    const call = (cr as Loose)[op] as (...args: unknown[]) => unknown
    for (const dim of [0, 1, -1]) {
      const expected = numbers(call(x, ...front, dim))
      expect(numbers(call(x, ...front, { dim }))).toEqual(expected)
      expect(numbers((x as Loose)[op](...front, dim))).toEqual(expected)
      expect(numbers((x as Loose)[op](...front, { dim }))).toEqual(expected)
      if (keepsDim.has(op)) continue
      const kept = numbers(call(x, ...front, { dim, keepdim: true }))
      expect(numbers(call(x, ...front, dim, { keepdim: true }))).toEqual(kept)
      expect(kept).not.toEqual(expected)
    }
  })

  it.each('sum mean prod amax amin variance std logsumexp any all countNonzero'.split(' '))('%s over several', (op) => {
    const call = (cr as Loose)[op] as (...args: unknown[]) => unknown
    expect(numbers(call(x, [0, 1]))).toEqual(numbers(call(x)))
    expect(numbers(call(x, [0, -1], { keepdim: true }))).toEqual(numbers(call(x, { dim: [0, 1], keepdim: true })))
  })

  it('the numbers are those of PyTorch', () => {
    expect(x.sum(1).toArray()).toEqual([6, 15])
    expect(x.mean(0).toArray()).toEqual([3.5, 3.5, 3.5])
    expect(x.max({ dim: 1 }).values.toArray()).toEqual([3, 6])
    expect(x.argmax({ dim: 0, keepdim: true }).toArray()).toEqual([[1, 1, 1]])
    expect(x.sort({ dim: 1, descending: true }).values.toArray()).toEqual([
      [3, 2, 1],
      [6, 5, 4],
    ])
    expect(x.quantile(0.5, 1).toArray()).toEqual([2, 5])
    expect(x.variance(1, { correction: 0 }).shape).toEqual([2])
    expect(cr.cosineSimilarity(x, x, 1).shape).toEqual([2])
  })

  it.each([
    ['twice', () => (x as Loose).sum(1, { dim: 1 }), 'ERR_OPTIONS sum: the dimension goes in front of the options or into them'],
    ['two objects', () => (x as Loose).sum({ dim: 1 }, { keepdim: true }), 'not both'],
    ['PyTorch’s keepdim', () => (x as Loose).sum(1, true), 'Name it, for example { keepdim: true }.'],
    ['PyTorch’s keepdim of max', () => (x as Loose).max(1, true), 'Name it, for example { keepdim: true }.'],
    ['keepdim alone', () => (x as Loose).max({ keepdim: true }), 'max: options need a dimension'],
    ['of two tensors', () => (x as Loose).max(x, { keepdim: true }), 'max: of two tensors there are no options'],
    ['several of one', () => (x as Loose).argmax([0, 1]), 'argmax: takes one dimension, received [0, 1]'],
    ['the order of a norm', () => (x as Loose).norm(1), 'Name it, for example { p: 1 }.'],
    ['a text', () => (x as Loose).softmax('1'), 'ERR_DIM_RANGE softmax: dim'],
    ['misspelt', () => (x as Loose).softmax({ axis: 1 }), "softmax: unknown option 'axis'. Known: dim."],
  ])('said: %s', (_, call, said) => {
    expect(message(call)).toContain(said)
  })
})

describe('options where PyTorch has positions', () => {
  it('clamp', () => {
    expect(x.clamp({ min: 2 }).toArray()).toEqual(x.clamp(2).toArray())
    expect(x.clamp({ max: 4 }).toArray()).toEqual(x.clamp(undefined, 4).toArray())
    expect(cr.clamp(x, { min: zeros([3]).add(2), max: 5 }).toArray()).toEqual([
      [3, 2, 2],
      [4, 5, 5],
    ])
    expect(message(() => (x as Loose).clamp({ min: 1 }, 2))).toContain('clamp: takes two limits or one object')
    expect(message(() => (x as Loose).clamp({ low: 1 }))).toContain("clamp: unknown option 'low'. Known: min, max.")
  })

  it('arange and eye', () => {
    expect(numbers(arange(3, { dtype: 'float32' }))).toEqual({ shape: [3], data: [0, 1, 2], dtype: 'float32' })
    expect(numbers(arange(1, 3, { dtype: 'float32' }))).toEqual({ shape: [2], data: [1, 2], dtype: 'float32' })
    expect(numbers(arange(0, 4, 2, { dtype: 'float32' }))).toEqual({ shape: [2], data: [0, 2], dtype: 'float32' })
    expect(numbers(arange(2, undefined, undefined, { dtype: 'float32' }))).toEqual({ shape: [2], data: [0, 1], dtype: 'float32' })
    expect(numbers(eye(2, { dtype: 'int32' }))).toEqual({ shape: [2, 2], data: [1, 0, 0, 1], dtype: 'int32' })
    expect(eye(1, 2, { dtype: 'int32' }).shape).toEqual([1, 2])
    expect(message(() => (arange as Loose)(3, { dtype: 'float32' }, 1))).toContain('options come last')
    expect(message(() => (arange as Loose)(3, null))).toContain('options are an object, received null')
    expect(message(() => (arange as Loose)(3, 'x'))).toContain("arange: expected numbers, received 'x'")
  })

  it('multinomial as a method', () => {
    expect(tensor([0, 1, 0]).multinomial(4, { replacement: true }).toArray()).toEqual([1, 1, 1, 1])
  })

  it('one number as a weight', () => {
    const [logits, labels] = [tensor([0.5, -1, 2]), tensor([1, 0, 1])]
    const bce = losses.binaryCrossEntropyWithLogits
    // the mean of (1 − y)·x + (1 + 2y)·log(1 + e⁻ˣ)
    expect(bce(logits, labels, { posWeight: 3 }).item()).toBeCloseTo(0.7054, 3)
    expect(bce(logits, labels, { posWeight: 3 }).item()).toBe(bce(logits, labels, { posWeight: [3] }).item())
    expect(bce(logits, labels, { weight: 2 }).item()).toBeCloseTo(2 * bce(logits, labels).item(), 6)
  })

  it.each([
    [
      'SGD',
      () => new (optim.SGD as Loose)([tensor([1], { requiresGrad: true })], 0.1),
      'SGD: options are an object, received 0.1. Name it, for example { lr: 0.1 }.',
    ],
    [
      'Linear',
      () => new (nn.Linear as Loose)(2, 2, false),
      'Linear: options are an object, received false. Name it, for example { bias: false }.',
    ],
    ['MaxPool2d', () => new (nn.MaxPool2d as Loose)(2, 2), 'Name it, for example { stride: 2 }.'],
    ['a loss', () => (losses.mseLoss as Loose)(x, x, 'sum'), "Name it, for example { reduction: 'sum' }."],
    ['interpolate', () => (cr.interpolate as Loose)(ones([1, 1, 2, 2]), 4), 'Name it, for example { size: 4 }.'],
  ])('said: %s', (_, call, said) => {
    expect(message(call)).toContain(said)
  })
})

describe('messages name what was called and what to do', () => {
  it.each([
    [
      'indexAdd',
      () => x.indexAdd([0, 5], ones([2, 3])),
      'ERR_INDEX_RANGE indexAdd: index 5 at position 1 is out of range: allowed are 0 to 1.',
    ],
    ['indexCopy', () => x.indexCopy([-1], ones([1, 3])), 'ERR_INDEX_RANGE indexCopy: index -1 at position 0'],
    ['take', () => x.take([0, 6]), 'ERR_INDEX_RANGE take: index 6 at position 1 is out of range: allowed are 0 to 5.'],
    ['the dtype of indexAdd', () => x.indexAdd([0], tensor([[1, 2, 3]], { dtype: 'int32' })), 'indexAdd: x is float32, the source int32'],
    ['pools', () => cr.maxPool2d(ones([1, 1, 4, 4]), 0), 'ERR_POOL_OPTION maxPool2d: kernelSize must be an integer from 1'],
    ['layers of pools', () => new nn.AvgPool2d(0), 'ERR_POOL_OPTION AvgPool2d: kernelSize'],
    ['windows', () => cr.unfold(ones([1, 1, 4, 4]), 0), 'ERR_FOLD_OPTION unfold: kernelSize'],
    ['convolutions', () => cr.conv2d(ones([1, 1, 4, 4]), ones([1, 1, 2, 2]), { stride: 0 }), 'ERR_CONV_OPTION conv2d: stride'],
    ['a plain image', () => cr.interpolate(ones([4, 4]), { scaleFactor: 2 }), 'received [4, 4]. Add dimensions with .unsqueeze(0)'],
    [
      'the mode',
      () => cr.interpolate(ones([1, 1, 4]), { size: 8, mode: 'bilinear' }),
      "interpolate: mode 'bilinear' needs [N, C] and 2 sizes behind",
    ],
    ['diceLoss', () => losses.diceLoss(randn([2]).add(9), x.at(0) as Loose), 'diceLoss: input and target must have one shape'],
    ['diceLoss of a number', () => losses.diceLoss(tensor(0.5), tensor(1)), 'diceLoss: needs at least one dimension'],
  ] as [string, () => unknown, string][])('%s', (_, call, said) => {
    expect(message(call)).toContain(said)
  })
})

describe('patience without end', () => {
  const data = [randn([8, 1]), randn([8, 1])] as [Tensor, Tensor]
  it('of fit and of a schedule', async () => {
    const model = new nn.Linear(1, 1)
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 })
    const scheduler = new optim.lrScheduler.ReduceLROnPlateau(optimizer, { patience: Number.POSITIVE_INFINITY })
    const earlyStopping = { patience: Number.POSITIVE_INFINITY, restoreBest: true }
    const options = { loss: losses.mseLoss, optimizer, scheduler, earlyStopping, epochs: 3, progress: false } as const
    expect((await cr.fit(model, data, options)).epochs.length).toBe(3)
    expect(optimizer.lr).toBe(0.1)
  })
})
