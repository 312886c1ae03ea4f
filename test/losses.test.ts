/** Losses: reductions, weights, ignored labels, class layouts, limits, wrong input. Single values are compared with PyTorch's in test/golden. */
import { describe, expect, test } from 'vitest'
import { grad, losses, manualSeed, rand, randn, type Tensor, tensor, zeros } from '../src/index.js'

const { crossEntropy, nllLoss, mseLoss, binaryCrossEntropy, binaryCrossEntropyWithLogits, huberLoss, smoothL1Loss, l1Loss } = losses

const thrown = (f: () => unknown): { name: string; code: string; message: string } => {
  try {
    f()
  } catch (error) {
    return error as { name: string; code: string; message: string }
  }
  throw new Error('nothing thrown')
}
const int = (data: number[], shape = [data.length]): Tensor => tensor(Int32Array.from(data), { shape })
const logits = tensor([
  [1, 2, 3],
  [0, -1, 4],
  [2, 2, 2],
])

/** Losses of rows by the definition, in double precision. */
function byHand(rows: number[][], labels: number[], weight = [1, 1, 1], ignore = -100, smoothing = 0): { each: number[]; mean: number } {
  let sum = 0
  let weights = 0
  const each = rows.map((row, i) => {
    const total = Math.log(row.reduce((a, x) => a + Math.exp(x), 0))
    const t = labels[i]
    if (t === ignore) return 0
    const even = row.reduce((a, x, c) => a + weight[c] * (total - x), 0) / row.length
    const loss = (1 - smoothing) * weight[t] * (total - row[t]) + smoothing * even
    sum += loss
    weights += weight[t]
    return loss
  })
  return { each, mean: sum / weights }
}

const close = (actual: Tensor, wanted: number | number[]): void => {
  const list = [wanted].flat()
  expect(actual.size).toBe(list.length)
  const data = actual.data
  list.forEach((x, i) => expect(data[i]).toBeCloseTo(x, 5))
}

describe('crossEntropy', () => {
  const rows = logits.toArray() as number[][]

  test('labels as int32, uint8 and plain numbers', () => {
    const { mean } = byHand(rows, [0, 1, 2])
    close(crossEntropy(logits, int([0, 1, 2])), mean)
    close(crossEntropy(logits, tensor(Uint8Array.of(0, 1, 2))), mean)
    close(crossEntropy(logits, [0, 1, 2]), mean)
    close(crossEntropy(logits.at(1), 2), byHand([rows[1]], [2]).mean)
  })

  test('weights, ignored labels and smoothing together', () => {
    const weight = [0.5, 2, 3]
    for (const smoothing of [0, 0.2]) {
      for (const labels of [
        [0, 1, 2],
        [2, -100, 1],
        [1, 1, -100],
      ]) {
        const wanted = byHand(rows, labels, weight, -100, smoothing)
        const options = { weight, labelSmoothing: smoothing }
        close(crossEntropy(logits, int(labels), options), wanted.mean)
        close(crossEntropy(logits, int(labels), { ...options, reduction: 'none' }), wanted.each)
        close(
          crossEntropy(logits, int(labels), { ...options, reduction: 'sum' }),
          wanted.each.reduce((a, b) => a + b),
        )
        const plain = byHand(rows, labels, undefined, -100, smoothing)
        close(crossEntropy(logits, int(labels), { labelSmoothing: smoothing }), plain.mean)
      }
    }
  })

  test('an ignoreIndex within the classes, with uint8 labels too', () => {
    close(crossEntropy(logits, int([0, 1, 2]), { ignoreIndex: 1 }), byHand(rows, [0, 1, 2], undefined, 1).mean)
    close(crossEntropy(logits, tensor(Uint8Array.of(255, 1, 2)), { ignoreIndex: 255 }), byHand(rows, [255, 1, 2], undefined, 255).mean)
  })

  test('everything ignored is NaN in the mean and 0 in the sum, as in PyTorch', () => {
    const all = int([-100, -100, -100])
    expect(crossEntropy(logits, all).item()).toBeNaN()
    expect(crossEntropy(logits, all, { reduction: 'sum' }).item()).toBe(0)
  })

  test('ignored rows get no gradient', () => {
    const x = tensor(
      [
        [1, 2],
        [3, 4],
      ],
      { requiresGrad: true },
    )
    crossEntropy(x, int([-100, 0])).backward()
    expect(x.grad?.at(0).toArray()).toEqual([0, 0])
  })

  test('pixels: classes in dimension 1, the result in the labels’ shape', () => {
    manualSeed(0)
    const x = randn([2, 3, 4, 5])
    const labels = rand([2, 4, 5]).mul(3).floor().to('int32')
    const each = crossEntropy(x, labels, { reduction: 'none' })
    expect(each.shape).toEqual([2, 4, 5])
    const pixel = crossEntropy(x.at(1, null, 2, 3), labels.at(1, 2, 3))
    expect(each.at(1, 2, 3).item()).toBeCloseTo(pixel.item(), 6)
  })

  test('one-hot probabilities equal labels, with smoothing and weights', () => {
    const hot = tensor([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ])
    const options = { labelSmoothing: 0.1, reduction: 'none' } as const
    close(crossEntropy(logits, hot, options), byHand(rows, [0, 1, 2], undefined, -100, 0.1).each)
    const weight = [1, 2, 3]
    close(crossEntropy(logits, hot, { weight, reduction: 'none' }), byHand(rows, [0, 1, 2], weight).each)
    close(crossEntropy(logits, hot, { weight }), byHand(rows, [0, 1, 2], weight).each.reduce((a, b) => a + b) / 3)
  })

  test('nllLoss of log-probabilities is the same', () => {
    const options = { weight: [1, 2, 0.5], ignoreIndex: 0 }
    const labels = int([2, 0, 1])
    close(nllLoss(logits.logSoftmax(1), labels, options), crossEntropy(logits, labels, options).item())
  })
})

describe('elementwise losses', () => {
  test('reductions', () => {
    const x = tensor([1, 2, 4])
    const y = tensor([1, 0, 0])
    expect(mseLoss(x, y, { reduction: 'none' }).toArray()).toEqual([0, 4, 16])
    expect(mseLoss(x, y, { reduction: 'sum' }).item()).toBe(20)
    close(mseLoss(x, y), 20 / 3)
    expect(l1Loss(x, int([1, 0, 0]), { reduction: 'sum' }).item()).toBe(6)
    expect(huberLoss(x, y, { delta: 3, reduction: 'none' }).toArray()).toEqual([0, 2, 7.5])
    expect(smoothL1Loss(x, y, { beta: 0, reduction: 'none' }).toArray()).toEqual([0, 2, 4])
  })

  test('logits: no overflow, and the right gradient at 0, where untrained models start', () => {
    const x = tensor([0, 1000, -1000, 0], { requiresGrad: true })
    const loss = binaryCrossEntropyWithLogits(x, tensor([0, 0, 1, 1]), { reduction: 'none' })
    expect(loss.toArray()).toEqual([Math.fround(Math.LN2), 1000, 1000, Math.fround(Math.LN2)])
    loss.sum().backward()
    expect(x.grad?.toArray()).toEqual([0.5, 1, -1, -0.5])
    const second = grad((v) => grad((u) => binaryCrossEntropyWithLogits(u, zeros([1]), { reduction: 'sum' }))(v).sum())(tensor([0]))
    close(second, 0.25)
  })

  test('weights of logits', () => {
    const x = tensor([
      [0.5, -1],
      [2, 0],
    ])
    const y = tensor([
      [1, 0],
      [0, 1],
    ])
    const one = binaryCrossEntropyWithLogits(x, y, { reduction: 'none' })
    const weighted = binaryCrossEntropyWithLogits(x, y, { posWeight: [3, 5], weight: [2, 1], reduction: 'none' })
    const by = tensor([
      [6, 1],
      [2, 5],
    ])
    close(weighted, [...one.mul(by).data])
  })

  test('saturated probabilities give −100, and PyTorch’s gradients', () => {
    const p = tensor([0, 1, 0.5], { requiresGrad: true })
    const loss = binaryCrossEntropy(p, tensor([1, 0, 1]), { reduction: 'none' })
    close(loss, [100, 100, Math.LN2])
    loss.sum().backward()
    expect([...(p.grad as Tensor).data].map((g) => Number(g.toPrecision(6)))).toEqual([-1e12, 1e12, -2])
  })
})

describe('wrong input', () => {
  const x = zeros([4, 3])
  const cases: [string, () => unknown, string, string, string][] = [
    [
      'no broadcasting',
      () => mseLoss(zeros([32, 1]), zeros([32]) as Tensor),
      'ShapeError',
      'ERR_LOSS_SHAPE',
      'mseLoss: input and target must have one shape, received [32, 1] and [32]. Reshape one of them, for example with .reshape([32, 1]).',
    ],
    [
      'input not float',
      () => l1Loss(int([1]), zeros([1])),
      'DTypeError',
      'ERR_DTYPE',
      "l1Loss: the input must be float32, received int32 [1]. Convert with .to('float32').",
    ],
    [
      'target no tensor',
      () => mseLoss(zeros([1]), [1] as unknown as Tensor),
      'ArgumentError',
      'ERR_NOT_A_TENSOR',
      'mseLoss: the target must be a tensor, received an array. Make one with tensor(…).',
    ],
    [
      'reduction',
      () => mseLoss(x, x, { reduction: 'avg' as 'mean' }),
      'ArgumentError',
      'ERR_REDUCTION',
      "mseLoss: reduction must be 'mean', 'sum' or 'none', received 'avg'.",
    ],
    [
      'float labels',
      () => crossEntropy(x, zeros([4])),
      'DTypeError',
      'ERR_LABEL_DTYPE',
      "crossEntropy: labels must be int32 or uint8, received float32 [4]. Convert class indices with .to('int32'). Probabilities have the shape of the scores, [4, 3].",
    ],
    [
      'labels in a column',
      () => crossEntropy(x, int([0, 0, 0, 0], [4, 1])),
      'ShapeError',
      'ERR_LOSS_SHAPE',
      'crossEntropy: scores [4, 3] need labels [4], received [4, 1]. Reshape them with .reshape([4]).',
    ],
    [
      'one-hot integers',
      () => crossEntropy(x, zeros([4, 3], { dtype: 'int32' })),
      'ShapeError',
      'ERR_LOSS_SHAPE',
      "crossEntropy: scores [4, 3] need labels [4], received [4, 3]. Pass class indices, .argmax(1), or pass one-hot rows as floats, .to('float32').",
    ],
    [
      'too few labels',
      () => crossEntropy(x, [0, 1]),
      'ShapeError',
      'ERR_LOSS_SHAPE',
      'crossEntropy: scores [4, 3] need labels [4], received [2]. There must be one label for each element.',
    ],
    [
      'weights',
      () => crossEntropy(x, [0, 0, 0, 0], { weight: [1, 2] }),
      'ShapeError',
      'ERR_LOSS_WEIGHT',
      'crossEntropy: weight must have one element for each of the 3 classes, received [2].',
    ],
    [
      'smoothing',
      () => crossEntropy(x, [0, 0, 0, 0], { labelSmoothing: 2 }),
      'ArgumentError',
      'ERR_LOSS_OPTION',
      'crossEntropy: labelSmoothing must be between 0 and 1, received 2.',
    ],
    [
      'ignoreIndex',
      () => nllLoss(x, [0, 0, 0, 0], { ignoreIndex: 0.5 }),
      'ArgumentError',
      'ERR_LOSS_OPTION',
      'nllLoss: ignoreIndex must be an integer, received 0.5.',
    ],
    [
      'scalar scores',
      () => crossEntropy(zeros([]), 0),
      'ShapeError',
      'ERR_LOSS_SHAPE',
      'crossEntropy: scores must be [N, C], [N, C, …] or [C], received a scalar.',
    ],
    ['delta', () => huberLoss(x, x, { delta: 0 }), 'ArgumentError', 'ERR_LOSS_OPTION', 'huberLoss: delta must be above 0, received 0.'],
    [
      'posWeight',
      () => binaryCrossEntropyWithLogits(x, x, { posWeight: [1, 2] }),
      'ShapeError',
      'ERR_LOSS_WEIGHT',
      'binaryCrossEntropyWithLogits: posWeight [2] does not broadcast to the input [4, 3].',
    ],
  ]
  test.each(cases)('%s', (_, run, name, code, message) => {
    const error = thrown(run)
    expect([error.name, error.code, error.message]).toEqual([name, code, message])
  })

  test('labels out of range', () => {
    for (const labels of [
      [0, 3, 0, 0],
      [0, -1, 0, 0],
    ]) {
      expect(thrown(() => crossEntropy(x, labels)).code).toBe('ERR_INDEX_RANGE')
      expect(thrown(() => nllLoss(x, labels)).code).toBe('ERR_INDEX_RANGE')
      expect(thrown(() => crossEntropy(x, labels, { weight: [1, 1, 1] })).code).toBe('ERR_INDEX_RANGE')
    }
  })
})
