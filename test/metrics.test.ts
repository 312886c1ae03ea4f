/** Metrics: values by hand, target forms, wrong input. */
import { describe, expect, test } from 'vitest'
import { fit, losses, metrics, nn, optim, type Tensor, tensor, zeros } from '../src/index.js'

const outputs = tensor([
  [3, 1, 2],
  [0, 5, 1],
  [1, 2, 9],
  [4, 3, 2],
])

function code(f: () => unknown): unknown {
  try {
    f()
  } catch (error) {
    return (error as { code: string }).code
  }
  return undefined
}

describe('metrics', () => {
  test('accuracy with indices, plain arrays, rows and pixels', () => {
    expect(metrics.accuracy(outputs, tensor(Uint8Array.of(0, 1, 2, 2))).item()).toBe(0.75)
    expect(metrics.accuracy(outputs, [0, 1, 1, 1]).item()).toBe(0.5)
    expect(
      metrics
        .accuracy(
          outputs,
          tensor([
            [1, 0, 0],
            [1, 0, 0],
            [0, 0, 1],
            [1, 0, 0],
          ]),
        )
        .item(),
    ).toBe(0.75)
    const pixels = outputs.reshape([2, 2, 3]).permute([0, 2, 1])
    expect(
      metrics
        .accuracy(
          pixels,
          tensor(
            [
              [0, 1],
              [2, 2],
            ],
            { dtype: 'int32' },
          ),
        )
        .item(),
    ).toBe(0.75)
    expect(metrics.accuracy(outputs, [0, 1, 2, 0]).shape).toEqual([])
  })

  test('top k', () => {
    const labels = [2, 2, 0, 2]
    expect([1, 2, 3].map((k) => metrics.topKAccuracy(outputs, labels, { k }).item())).toEqual([0, 0.5, 1])
  })

  test('labels that do not count, and labels that no output can be', () => {
    expect(metrics.accuracy(outputs, [0, -100, 1, -100]).item()).toBe(0.5)
    expect(metrics.accuracy(outputs, [0, 2, 1, 9], { ignoreIndex: 9 }).item()).toBeCloseTo(1 / 3, 7)
    expect(metrics.accuracy(outputs, tensor(Uint8Array.of(255, 1, 2, 255)), { ignoreIndex: 255 }).item()).toBe(1)
    expect(metrics.accuracy(outputs, [-100, -100, -100, -100]).item()).toBeNaN()
    expect(metrics.topKAccuracy(outputs, [2, -100, 0, 2], { k: 2 }).item()).toBeCloseTo(1 / 3, 7)
    expect(metrics.confusionMatrix(outputs, [0, -100, 1, -100]).toArray()).toEqual([
      [1, 0, 0],
      [0, 0, 1],
      [0, 0, 0],
    ])
    for (const labels of [
      [0, 1, 2, 3],
      [0, -1, 2, 1],
      [0, 1, 2, 2 ** 31 - 1],
    ]) {
      expect(code(() => metrics.accuracy(outputs, labels))).toBe('ERR_INDEX_RANGE')
      expect(code(() => metrics.topKAccuracy(outputs, labels, { k: 1 }))).toBe('ERR_INDEX_RANGE')
      expect(code(() => metrics.confusionMatrix(outputs, labels))).toBe('ERR_INDEX_RANGE')
    }
    expect(code(() => metrics.accuracy(outputs, [0, 1, 2, 0], { ignoreIndex: 0.5 }))).toBe('ERR_METRIC_OPTION')
  })

  test('over the whole set, samples that do not count weigh nothing, however the batches fall', async () => {
    const x = tensor([
      [3, 1, 2],
      [0, 5, 1],
      [1, 2, 9],
      [4, 3, 2],
      [4, 3, 2],
    ])
    const y = tensor([0, -100, -100, 1, 1], { dtype: 'int32' })
    class Same extends nn.Module {
      readonly scale = new nn.Parameter(tensor([1]))
      forward(t: Tensor): Tensor {
        return t.mul(this.scale)
      }
    }
    for (const batchSize of [1, 2, 3, 5]) {
      const model = new Same()
      const history = await fit(model, [x, y], {
        loss: (o, t) => losses.crossEntropy(o, t, { reduction: 'sum' }),
        optimizer: new optim.SGD(model.parameters(), { lr: 0 }),
        epochs: 1,
        batchSize,
        progress: false,
        metrics: { accuracy: metrics.accuracy },
      })
      expect(history.last?.metrics.accuracy).toBeCloseTo(1 / 3, 7)
    }
  })

  test('binary accuracy and errors', () => {
    expect(metrics.binaryAccuracy(tensor([-1, 2, 3, -4]), tensor([0, 1, 0, 0])).item()).toBe(0.75)
    expect(metrics.binaryAccuracy(tensor([0.4, 0.6]), tensor(Uint8Array.of(1, 1)), { threshold: 0.5 }).item()).toBe(0.5)
    expect(metrics.meanAbsoluteError(tensor([1, 4]), tensor([0, 1])).item()).toBe(2)
    expect(metrics.meanSquaredError(tensor([1, 4]), tensor([0, 1])).item()).toBe(5)
  })

  test('confusion matrix: true classes in rows', () => {
    expect(metrics.confusionMatrix(outputs, [0, 1, 1, 0]).toArray()).toEqual([
      [2, 0, 0],
      [0, 1, 1],
      [0, 0, 0],
    ])
  })

  test('no gradients', () => {
    const x = zeros([2, 2], { requiresGrad: true })
    expect(metrics.meanSquaredError(x, zeros([2, 2])).requiresGrad).toBe(false)
  })

  test('wrong input', () => {
    expect(code(() => metrics.accuracy(outputs, zeros([4])))).toBe('ERR_LABEL_DTYPE')
    expect(code(() => metrics.accuracy(outputs, [0, 1]))).toBe('ERR_METRIC_SHAPE')
    expect(code(() => metrics.accuracy(zeros([4]), [0, 1, 0, 1]))).toBe('ERR_METRIC_SHAPE')
    expect(code(() => metrics.binaryAccuracy(zeros([4, 1]), zeros([4])))).toBe('ERR_METRIC_SHAPE')
    expect(code(() => metrics.topKAccuracy(outputs, [0, 0, 0, 0], { k: 0 }))).toBe('ERR_METRIC_OPTION')
    expect(code(() => metrics.topKAccuracy(outputs, [0, 0, 0, 7]))).toBe('ERR_INDEX_RANGE')
  })
})
