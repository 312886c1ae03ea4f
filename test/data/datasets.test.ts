/** The ready-made data sets, and loaders as users see them: tensors. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ArrayDataset, DataLoader, datasets, Tensor } from '../../src/index.js'

test('synthetic digits, in the form fit takes', () => {
  const { train, test } = datasets.syntheticDigits({ train: 30, test: 20, seed: 3 })
  expect(train).toBeInstanceOf(ArrayDataset)
  expect([train.length, test.length]).toEqual([30, 20])
  const [x, y] = train.batch(Int32Array.of(0, 7))
  expect([x.shape, x.dtype, y.shape, y.dtype]).toEqual([[2, 1, 28, 28], 'float32', [2], 'uint8'])
})

test('MNIST that is nowhere says where it looked and what needs no files', async () => {
  const empty = await mkdtemp(join(tmpdir(), 'chainrule-'))
  try {
    for (const load of [datasets.mnist, datasets.fashionMnist]) {
      await expect(load({ dataDir: empty, cacheDir: empty, download: false })).rejects.toThrow('syntheticDigits()')
    }
  } finally {
    await rm(empty, { recursive: true })
  }
})

test('a loader gives tensors; lists of whole numbers as targets are class labels', async () => {
  const rows = [
    [1, 2],
    [3, 4],
    [5, 6],
  ]
  for await (const [x, y] of new DataLoader([rows, [0, 1, 2]], { batchSize: 3 })) {
    expect(x).toBeInstanceOf(Tensor)
    expect([x.dtype, y.dtype]).toEqual(['float32', 'int32'])
    expect([x.toArray(), y.toArray()]).toEqual([rows, [0, 1, 2]])
  }
  for await (const [, y] of new DataLoader([rows, [0, 1.5, 2]])) expect(y.dtype).toBe('float32')
  for await (const [, y] of new DataLoader([rows, [0, 1, 2]], { dtypes: ['float32', 'float32'] })) expect(y.dtype).toBe('float32')
  for await (const [, y] of new DataLoader([rows, [true, false, true]])) expect(y.dtype).toBe('bool')
})
