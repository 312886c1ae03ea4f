import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ArgumentError } from '../../src/base/errors.js'
import { syntheticDigits } from '../../src/data/digits.js'

describe('syntheticDigits', () => {
  it('has the form of MNIST', () => {
    const { train, test } = syntheticDigits({ train: 105, test: 20 })
    expect(train.shape).toEqual([105, 1, 28, 28])
    expect(test.shape).toEqual([20, 1, 28, 28])
    expect(train.images.length).toBe(105 * 784)
    for (const value of train.images) {
      if (!(value >= 0 && value <= 1 && Math.fround(Math.round(value * 255) / 255) === value)) throw new Error(`pixel ${value}`)
    }
  })

  it('balances the classes', () => {
    const counts = new Array<number>(10).fill(0)
    for (const label of syntheticDigits({ train: 1000, test: 0 }).train.labels) counts[label]++
    expect(counts).toEqual(new Array(10).fill(100))
  })

  it('depends on the seed alone, and not on how many are asked for', () => {
    const few = syntheticDigits({ train: 30, test: 10, seed: 3 })
    const many = syntheticDigits({ train: 300, test: 10, seed: 3 })
    expect(many.train.images.subarray(0, few.train.images.length)).toEqual(few.train.images)
    expect(many.train.labels.subarray(0, 30)).toEqual(few.train.labels)
    expect(syntheticDigits({ train: 30, test: 10, seed: 4 }).train.images).not.toEqual(few.train.images)
    expect(few.test.images).not.toEqual(few.train.images.subarray(0, few.test.images.length))
  })

  it('never draws the same picture twice', () => {
    const { train, test } = syntheticDigits({ train: 500, test: 500 })
    const seen = new Set<string>()
    for (const { images } of [train, test]) {
      for (let i = 0; i < 500; i++)
        seen.add(
          createHash('sha1')
            .update(images.subarray(i * 784, (i + 1) * 784))
            .digest('hex'),
        )
    }
    expect(seen.size).toBe(1000)
  })

  it('keeps ink inside the picture and classes apart', () => {
    const { train, test } = syntheticDigits({ train: 2000, test: 500 })
    let edge = 0
    const means = Array.from({ length: 10 }, () => new Float64Array(784))
    for (let i = 0; i < 2000; i++) {
      for (let k = 0; k < 784; k++) {
        means[train.labels[i]][k] += train.images[i * 784 + k] / 200
        if ((k < 28 || k >= 756) && train.images[i * 784 + k] > 0.5) edge++
      }
    }
    expect(edge).toBeLessThan(2000)
    // The nearest class mean is a poor classifier: better than chance by far, and far from solving it.
    let right = 0
    for (let i = 0; i < 500; i++) {
      const distances = means.map((mean) => mean.reduce((sum, value, k) => sum + (value - test.images[i * 784 + k]) ** 2, 0))
      if (distances.indexOf(Math.min(...distances)) === test.labels[i]) right++
    }
    expect(right / 500).toBeGreaterThan(0.5)
    expect(right / 500).toBeLessThan(0.9)
  })

  it('draws at other sizes', () => {
    for (const size of [8, 17, 64]) {
      const { train } = syntheticDigits({ train: 10, test: 0, size })
      expect(train.shape).toEqual([10, 1, size, size])
      for (let i = 0; i < 10; i++) expect(Math.max(...train.images.subarray(i * size * size, (i + 1) * size * size))).toBeGreaterThan(0.4)
    }
  })

  it('refuses what is not whole or out of range', () => {
    for (const options of [{ train: -1 }, { test: 0.5 }, { size: 7 }, { size: NaN }, { seed: 0.5 }, { train: 2 ** 40 }]) {
      expect(() => syntheticDigits(options)).toThrow(ArgumentError)
    }
    expect(() => syntheticDigits({ size: 4 })).toThrow('size must be a whole number from 8 to 1024, received 4')
  })
})
