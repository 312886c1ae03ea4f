import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { ArgumentError, ShapeError } from '../../src/base/errors.js'
import { collate, type Field } from '../../src/data/collate.js'
import { ArrayDataset, DataLoader } from '../../src/data/loader.js'
import { Tensor } from '../../src/tensor/tensor.js'

const inputs = { data: Float32Array.from({ length: 30 }, (_, i) => i), shape: [10, 3], dtype: 'float32' as const }
const labels = Uint8Array.from({ length: 10 }, (_, i) => i)

async function labelsOf(loader: AsyncIterable<readonly Field[]>): Promise<number[][]> {
  const all: number[][] = []
  for await (const [, y] of loader) all.push([...y.data])
  return all
}

describe('ArrayDataset', () => {
  it('gathers rows', () => {
    const data = new ArrayDataset([inputs, labels])
    expect(data.length).toBe(10)
    const [x, y] = data.batch(Int32Array.of(9, 0, 1, 2, 0))
    expect(x).toEqual({ data: Float32Array.of(27, 28, 29, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2), shape: [5, 3], dtype: 'float32' })
    expect(y).toEqual({ data: Uint8Array.of(9, 0, 1, 2, 0), shape: [5], dtype: 'uint8' })
  })

  it('takes numbers in arrays, booleans and clamped arrays', () => {
    const data = new ArrayDataset([
      [
        [0, 1],
        [1, 0],
      ],
      [true, false],
    ])
    expect(data.fields[0]).toEqual({ data: Float32Array.of(0, 1, 1, 0), shape: [2, 2], dtype: 'float32' })
    expect(data.fields[1]).toEqual({ data: Uint8Array.of(1, 0), shape: [2], dtype: 'bool' })
    expect(
      new ArrayDataset(
        [
          [1, 2],
          [3, 4],
        ],
        { dtypes: ['float32', 'int32'] },
      ).fields[1].data,
    ).toEqual(Int32Array.of(3, 4))
    expect(new ArrayDataset([Uint8ClampedArray.of(1), [1]]).fields[0]).toEqual({ data: Uint8Array.of(1), shape: [1], dtype: 'uint8' })
  })

  it('refuses what does not fit', () => {
    expect(() => new ArrayDataset([inputs, labels.subarray(1)])).toThrow(ShapeError)
    expect(() => new ArrayDataset([inputs, labels.subarray(1)])).toThrow('inputs has 10 samples, targets has 9')
    expect(
      () =>
        new ArrayDataset([
          [[1, 2], [3]],
          [0, 1],
        ]),
    ).toThrow('nested arrays must agree')
    expect(
      () =>
        new ArrayDataset([
          [[1], 2],
          [0, 1],
        ]),
    ).toThrow(ShapeError)
    expect(() => new ArrayDataset([{ ...inputs, shape: [10, 4] }, labels])).toThrow('holds 40 elements, the data 30')
    expect(() => new ArrayDataset([5, labels])).toThrow('scalar')
    expect(() => new ArrayDataset([null as unknown as number, labels])).toThrow(ArgumentError)
    expect(() => new ArrayDataset([new Int16Array(2) as unknown as Int32Array, labels])).toThrow('Int16Array has no dtype')
    expect(
      () =>
        new ArrayDataset(
          [
            [1, 2],
            [0.5, 1],
          ],
          { dtypes: ['float32', 'int32'] },
        ),
    ).toThrow('no int32 value')
    for (const index of [-1, 10])
      expect(() => new ArrayDataset([inputs, labels]).batch(Int32Array.of(index))).toThrow(`index ${index} is outside`)
  })
})

describe('collate', () => {
  it('stacks samples', () => {
    const [x, y, z] = collate(
      [
        [[[1, 2]], 3, Int32Array.of(7)],
        [[[4, 5]], 6, Int32Array.of(8)],
      ],
      ['float32', 'uint8'],
    )
    expect(x).toEqual({ data: Float32Array.of(1, 2, 4, 5), shape: [2, 1, 2], dtype: 'float32' })
    expect(y).toEqual({ data: Uint8Array.of(3, 6), shape: [2], dtype: 'uint8' })
    expect(z).toEqual({ data: Int32Array.of(7, 8), shape: [2, 1], dtype: 'int32' })
  })

  it('refuses samples that differ', () => {
    expect(() => collate([])).toThrow(ArgumentError)
    expect(() => collate([[1, 2], [1]])).toThrow('sample 1 is not an array of 2 fields')
    expect(() => collate([[[1]], [[1, 2]]])).toThrow('field 0 of sample 1 has shape [2], the first sample [1]')
    expect(() => collate([[Float32Array.of(1)], [Int32Array.of(1)]])).toThrow('is int32, the first sample float32')
  })
})

describe('DataLoader', () => {
  it('cuts batches in order', async () => {
    const loader = new DataLoader([inputs, labels], { batchSize: 4 })
    expect(loader.length).toBe(3)
    expect(await labelsOf(loader)).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9],
    ])
    expect(await labelsOf(new DataLoader([inputs, labels], { batchSize: 4, dropLast: true }))).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
    ])
    for await (const [x] of loader) expect(x.shape[1]).toBe(3)
    expect(loader.epoch).toBe(2)
  })

  it('shuffles each epoch anew, reproducibly, and every sample once', async () => {
    const make = (seed: number): DataLoader => new DataLoader([inputs, labels], { batchSize: 4, shuffle: true, seed })
    const loader = make(1)
    const epochs = [await labelsOf(loader), await labelsOf(loader), await labelsOf(loader)]
    for (const epoch of epochs) expect(epoch.flat().sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(epochs[0]).not.toEqual(epochs[1])
    const again = make(1)
    again.epoch = 1
    expect(await labelsOf(again)).toEqual(epochs[1])
    expect(await labelsOf(again)).toEqual(epochs[2])
    expect(await labelsOf(make(2))).not.toEqual(epochs[0])
  })

  it('shuffles without favour', () => {
    const loader = new DataLoader(
      [
        [1, 2, 3, 4],
        [1, 2, 3, 4],
      ],
      { shuffle: true },
    )
    const counts = new Map<string, number>()
    for (let epoch = 0; epoch < 24_000; epoch++) {
      const order = loader.order(epoch).join()
      counts.set(order, (counts.get(order) ?? 0) + 1)
    }
    expect(counts.size).toBe(24)
    // Chi-squared with 23 degrees of freedom: above 50 once in a thousand.
    const chi = [...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)
    expect(chi).toBeLessThan(50)
  })

  it('resumes in the middle of an epoch', async () => {
    const options = { batchSize: 3, shuffle: true, seed: 5 }
    const whole = new DataLoader([inputs, labels], options)
    const expected = [...(await labelsOf(whole)), ...(await labelsOf(whole))]
    for (let stop = 1; stop <= 8; stop++) {
      const first = new DataLoader([inputs, labels], options)
      const seen: number[][] = []
      let state = first.state()
      outer: for (let epoch = 0; epoch < 2; epoch++) {
        for await (const [, y] of first) {
          seen.push([...y.data])
          state = first.state()
          if (seen.length === stop) break outer
        }
      }
      expect(first.state()).toEqual(state)
      const second = new DataLoader([inputs, labels], options)
      second.setState(JSON.parse(JSON.stringify(state)))
      while (seen.length < 8) seen.push(...(await labelsOf(second)))
      expect(seen).toEqual(expected)
    }
  })

  it('goes to the next epoch after break', async () => {
    const loader = new DataLoader([inputs, labels], { shuffle: true })
    for await (const _ of loader) break
    expect(loader.epoch).toBe(0)
    expect((await labelsOf(loader)).flat()).toEqual([...loader.order(1)])
    expect(loader.state()).toEqual({ epoch: 2, batch: 0 })
  })

  it('keeps two iterations at once apart', async () => {
    const loader = new DataLoader([inputs, labels], { shuffle: true })
    const a = loader[Symbol.asyncIterator]()
    const b = loader[Symbol.asyncIterator]()
    const seen: number[][] = [[], []]
    for (let i = 0; i < 10; i++) {
      for (const [k, iterator] of [a, b].entries()) {
        const { value } = await iterator.next()
        if (value) seen[k].push(value[1].data[0])
      }
    }
    expect(seen).toEqual([[...loader.order(0)], [...loader.order(1)]])
  })

  it('makes batches of samples, given at once or later', async () => {
    const now = { length: 5, get: (i: number) => [Float32Array.of(i, i), i] as const }
    const later = {
      length: 5,
      get: async (i: number) => {
        await sleep(5 - i)
        return now.get(i)
      },
    }
    for (const dataset of [now, later]) {
      const loader = new DataLoader(dataset, { batchSize: 2, dtypes: ['float32', 'int32'] })
      const batches: unknown[] = []
      for await (const batch of loader) batches.push(batch)
      const seen = (batches[0] as Tensor[]).map(({ data, shape, dtype }) => ({ data, shape, dtype }))
      expect(seen).toEqual([
        { data: Float32Array.of(0, 0, 1, 1), shape: [2, 2], dtype: 'float32' },
        { data: Int32Array.of(0, 1), shape: [2], dtype: 'int32' },
      ])
      for (const part of batches[0] as unknown[]) expect(part).toBeInstanceOf(Tensor)
      expect(batches.length).toBe(3)
    }
  })

  it('uses a collate of the user', async () => {
    const dataset = { length: 3, get: (i: number) => `word ${i}` }
    const loader = new DataLoader(dataset, { batchSize: 2, collate: (words: string[]) => words.join('+') })
    const all: string[] = []
    for await (const batch of loader) all.push(batch)
    expect(all).toEqual(['word 0+word 1', 'word 2'])
  })

  it.each([0, 1, 3])('has %i batches made ahead, and no more', async (prefetch) => {
    let made = 0
    const dataset = {
      length: 8,
      batch: async (indices: Int32Array) => {
        made++
        await sleep(1)
        return indices[0]
      },
    }
    const loader = new DataLoader(dataset, { prefetch })
    let used = 0
    for await (const first of loader) {
      expect(first).toBe(used++)
      await sleep(2)
      expect(made).toBe(Math.min(8, used + prefetch))
    }
  })

  it('hands an error of the data set to the one who asks, after the batches before it, and only once', async () => {
    const rejections: unknown[] = []
    const note = (reason: unknown): void => {
      rejections.push(reason)
    }
    process.on('unhandledRejection', note)
    for (const later of [true, false]) {
      const batch = (indices: Int32Array): number | Promise<number> => {
        const value = (): number => {
          if (indices[0] >= 2) throw new Error(`disk ${indices[0]}`)
          return indices[0]
        }
        return later ? sleep(1).then(value) : value()
      }
      const seen: number[] = []
      const loader = new DataLoader({ length: 6, batch }, { prefetch: 4 })
      await expect(
        (async () => {
          for await (const value of loader) seen.push(value)
        })(),
      ).rejects.toThrow('disk 2')
      expect(seen).toEqual([0, 1])
      for await (const _ of new DataLoader({ length: 6, batch }, { prefetch: 4 })) break
    }
    await sleep(20)
    process.off('unhandledRejection', note)
    expect(rejections).toEqual([])
  })

  it('lets timers run while synchronous data is used synchronously', async () => {
    let ticks = 0
    const timer = setInterval(() => ticks++, 1)
    const start = performance.now()
    for await (const _ of new DataLoader([new Float32Array(200), new Uint8Array(200)])) {
      const until = performance.now() + 1
      while (performance.now() < until);
    }
    clearInterval(timer)
    expect(performance.now() - start).toBeGreaterThan(150)
    expect(ticks).toBeGreaterThan(4)
  })

  it('refuses bad options when it is made', () => {
    for (const options of [{ batchSize: 0 }, { batchSize: 1.5 }, { prefetch: -1 }, { seed: NaN }, { batchSize: 11, dropLast: true }]) {
      expect(() => new DataLoader([inputs, labels], options)).toThrow(ArgumentError)
    }
    expect(() => new DataLoader([new Float32Array(0), new Uint8Array(0)])).toThrow('not one batch: 0 samples')
    expect(() => new DataLoader([inputs, labels.subarray(2)])).toThrow('inputs has 10 samples, targets has 8')
    expect(() => new DataLoader({ length: 3 } as unknown as { length: number; get(i: number): number[] })).toThrow(ArgumentError)
    const loader = new DataLoader([inputs, labels])
    expect(() => {
      loader.epoch = -1
    }).toThrow(ArgumentError)
    expect(() => loader.setState({ epoch: 0, batch: 11 })).toThrow('beyond the 10 batches')
  })
})
