/** Metrics: values by hand, target forms, wrong input. */
import { describe, expect, test } from 'vitest'
import { metrics, tensor, zeros } from '../src/index.js'

const outputs = tensor([
  [3, 1, 2],
  [0, 5, 1],
  [1, 2, 9],
  [4, 3, 2],
])

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
    const code = (f: () => unknown): unknown => {
      try {
        f()
      } catch (error) {
        return (error as { code: string }).code
      }
      return undefined
    }
    expect(code(() => metrics.accuracy(outputs, zeros([4])))).toBe('ERR_LABEL_DTYPE')
    expect(code(() => metrics.accuracy(outputs, [0, 1]))).toBe('ERR_METRIC_SHAPE')
    expect(code(() => metrics.accuracy(zeros([4]), [0, 1, 0, 1]))).toBe('ERR_METRIC_SHAPE')
    expect(code(() => metrics.binaryAccuracy(zeros([4, 1]), zeros([4])))).toBe('ERR_METRIC_SHAPE')
    expect(code(() => metrics.topKAccuracy(outputs, [0, 0, 0, 0], { k: 0 }))).toBe('ERR_METRIC_OPTION')
    expect(code(() => metrics.topKAccuracy(outputs, [0, 0, 0, 7]))).toBe('ERR_INDEX_RANGE')
  })
})
