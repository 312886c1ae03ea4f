import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ArgumentError, DataError } from '../../src/base/errors.js'
import { loadMnist } from '../../src/data/mnist.js'

const data = process.env.CHAINRULE_DATA ?? join(import.meta.dirname, '..', '..', '..', 'shared', 'data')
const present = existsSync(join(data, 'mnist')) && existsSync(join(data, 'fashion-mnist'))

describe('loadMnist', () => {
  // A user's machine has no data; everything but the real pixels is tested in source.test.ts and idx.test.ts.
  it.skipIf(!present)('reads MNIST', { timeout: 60_000 }, async () => {
    const { train, test } = await loadMnist({ dataDir: data, download: false })
    expect(train.shape).toEqual([60000, 1, 28, 28])
    expect(test.shape).toEqual([10000, 1, 28, 28])
    expect([...train.labels.subarray(0, 10)]).toEqual([5, 0, 4, 1, 9, 2, 1, 3, 1, 4])
    expect([...test.labels.subarray(0, 5)]).toEqual([7, 2, 1, 0, 4])
    let sum = 0
    let squares = 0
    for (let i = 0; i < train.images.length; i++) {
      sum += train.images[i]
      squares += train.images[i] ** 2
    }
    const mean = sum / train.images.length
    expect(mean).toBeCloseTo(0.1307, 4)
    expect(Math.sqrt(squares / train.images.length - mean * mean)).toBeCloseTo(0.3081, 4)
    expect(Math.max(...train.images.subarray(0, 784))).toBe(1)
  })

  it.skipIf(!present)('reads the first pictures of Fashion-MNIST', async () => {
    const { train, test } = await loadMnist({ name: 'fashion-mnist', train: 100, test: 10, dataDir: data, download: false })
    expect(train.shape).toEqual([100, 1, 28, 28])
    expect(train.images.length).toBe(78400)
    expect(train.labels.length).toBe(100)
    expect([...train.labels.subarray(0, 5)]).toEqual([9, 0, 0, 3, 0])
    expect([...test.labels]).toEqual([9, 2, 1, 1, 6, 1, 4, 6, 5, 7])
  })

  it('says where it looked', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'chainrule-mnist-'))
    try {
      const work = loadMnist({ dataDir: folder, cacheDir: folder, download: false })
      await expect(work).rejects.toThrow(DataError)
      await expect(work).rejects.toThrow(/train-images-idx3-ubyte\.gz was not found[\s\S]*CHAINRULE_DATA[\s\S]*syntheticDigits/)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('refuses unknown names and counts', async () => {
    await expect(loadMnist({ name: 'toString' as 'mnist' })).rejects.toThrow(ArgumentError)
    await expect(loadMnist({ train: 0 })).rejects.toThrow('train must be a whole number above 0, received 0')
    await expect(loadMnist({ test: 1.5 })).rejects.toThrow(ArgumentError)
  })
})
