/** `fit`: that it learns, on all kinds of data, with the same bits as the loop by hand. */
import { describe, expect, test } from 'vitest'
import {
  ArrayDataset,
  compile,
  DataLoader,
  fit,
  fromBuffer,
  losses,
  manualSeed,
  metrics,
  nn,
  optim,
  type Tensor,
  tensor,
} from '../../src/index.js'
import { mlp, points, setup, weights } from './helpers.js'

const { x, y } = points(300)

describe('fit', () => {
  test('learns, and tells how it went', async () => {
    const model = mlp()
    const history = await fit(model, [x, y], { ...setup(model), epochs: 8, validation: [x, y], metrics: { accuracy: metrics.accuracy } })
    expect(history.epochs.map((e) => e.epoch)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(history.stopped).toBe('finished')
    expect(history.steps).toBe(8 * 10)
    expect(history.loss).toHaveLength(8)
    expect(history.loss[7]).toBeLessThan(history.loss[0] / 2)
    expect(history.valLoss[7]).toBeLessThan(0.5)
    expect(history.last?.metrics.accuracy).toBeGreaterThan(0.85)
    expect(history.last?.valMetrics?.accuracy).toBeGreaterThan(0.85)
    expect(history.last).toMatchObject({ steps: 10, samples: 300 })
    expect(history.last?.samplesPerSecond).toBeGreaterThan(0)
    for (const p of model.parameters()) expect(p.grad).toBeUndefined()
  })

  test('does what the loop by hand does, compiled or not', async () => {
    const byHand = mlp()
    const optimizer = new optim.Adam(byHand.parameters(), { lr: 0.02 })
    const step = compile((bx: Tensor, by: Tensor) => {
      optimizer.zeroGrad()
      const loss = losses.crossEntropy(byHand.forward(bx), by)
      loss.backward()
      optimizer.step()
      return loss
    })
    for (let epoch = 0; epoch < 2; epoch++) for await (const [bx, by] of new DataLoader([x, y], { batchSize: 64 })) await step(bx, by)
    const model = mlp()
    await fit(model, [x, y], { ...setup(model), batchSize: 64, shuffle: false, epochs: 2 })
    expect(weights(model)).toEqual(weights(byHand))
    const eager = mlp()
    await fit(eager, [x, y], { ...setup(eager), batchSize: 64, shuffle: false, epochs: 2, compile: false })
    weights(eager).forEach((w, i) => {
      expect(w).toBeCloseTo(weights(byHand)[i], 4)
    })
  })

  test('takes data in every form, and sees the same in all of them', async () => {
    const shape = [300, 2]
    const batches = (): [Tensor, Tensor][] => {
      const all: [Tensor, Tensor][] = []
      for (let i = 0; i < 300; i += 32)
        all.push([fromBuffer(x.data.slice(2 * i, 2 * i + 64), [Math.min(32, 300 - i), 2]), tensor(y.slice(i, i + 32))])
      return all
    }
    const rows = Array.from({ length: 300 }, (_, i) => [x.data[2 * i], x.data[2 * i + 1]])
    const forms = {
      tensors: [tensor(x.data, { shape }), tensor(y)],
      'a transposed view': [
        tensor(Float32Array.from([...rows.map((r) => r[0]), ...rows.map((r) => r[1])]), { shape: [2, 300] }).transpose(0, 1),
        y,
      ],
      fields: [x, { data: y, shape: [300], dtype: 'int32' }],
      'nested arrays': [rows, [...y]],
      ArrayDataset: new ArrayDataset([x, y]),
      'samples one by one': { length: 300, get: (i: number) => [Float32Array.of(...rows[i]), Int32Array.of(y[i])] as const },
      'bulk data set': { length: 300, batch: async (i: Int32Array) => new ArrayDataset([x, y]).batch(i) },
      DataLoader: new DataLoader([x, y], { batchSize: 32 }),
      'an array of batches': batches(),
      'a function': async function* () {
        yield* batches()
      },
    } as const
    let first: number[] | undefined
    for (const [name, data] of Object.entries(forms)) {
      const own = name === 'DataLoader' || name === 'an array of batches' || name === 'a function'
      const model = mlp()
      const loss = (o: Tensor, t: Tensor): Tensor => losses.crossEntropy(o, t.reshape([-1]))
      await fit(model, data as never, { ...setup(model), loss, epochs: 2, ...(own ? {} : { shuffle: false }) })
      first ??= weights(model)
      expect(weights(model), name).toEqual(first)
    }
  })

  test('shuffles by the generator or by its own seed, reproducibly', async () => {
    const run = async (options: { seed?: number; shuffle?: boolean }, generator: number): Promise<number[]> => {
      const model = mlp()
      manualSeed(generator)
      await fit(model, [x, y], { ...setup(model), epochs: 2, ...options })
      return weights(model)
    }
    expect(await run({}, 1)).toEqual(await run({}, 1))
    expect(await run({}, 1)).not.toEqual(await run({}, 2))
    expect(await run({ seed: 3 }, 1)).toEqual(await run({ seed: 3 }, 2))
    expect(await run({ seed: 3 }, 1)).not.toEqual(await run({ seed: 4 }, 1))
    expect(await run({ shuffle: false }, 1)).toEqual(await run({ shuffle: false }, 2))
  })

  test('keeps or drops a partial batch, and weights it by its samples', async () => {
    const model = mlp()
    const options = { ...setup(model, 0), shuffle: false, batchSize: 128 }
    const kept = await fit(model, [x, y], options)
    expect(kept.last).toMatchObject({ steps: 3, samples: 300 })
    const whole = losses.crossEntropy(model.forward(tensor(x.data, { shape: [300, 2] })), tensor(y)).item()
    expect(kept.loss[0]).toBeCloseTo(whole, 5)
    expect((await fit(model, [x, y], { ...options, dropLast: true })).last).toMatchObject({ steps: 2, samples: 256 })
    expect((await fit(model, [x, y], { ...options, batchSize: 1000 })).last).toMatchObject({ steps: 1, samples: 300 })
  })

  test('updates batch norm and draws dropout anew each step', async () => {
    manualSeed(4)
    const model = new nn.Sequential(new nn.Linear(2, 8), new nn.BatchNorm1d(8), new nn.Dropout(0.5), new nn.Linear(8, 3))
    await fit(model, [x, y], { ...setup(model), epochs: 2, validation: [x, y] })
    const norm = model[1] as nn.BatchNorm1d
    expect(norm.numBatchesTracked?.item()).toBe(20)
    const a = (await fit(model, [x, y], { ...setup(model, 0), shuffle: false })).loss[0]
    const b = (await fit(model, [x, y], { ...setup(model, 0), shuffle: false })).loss[0]
    expect(a).not.toBe(b)
  })

  test('learns numbers, from plain arrays', async () => {
    manualSeed(0)
    const model = new nn.Linear(1, 1)
    const inputs = Array.from({ length: 64 }, (_, i) => [i / 32 - 1])
    const targets = inputs.map(([v]) => [3 * v - 1])
    const history = await fit(model, [inputs, targets], {
      loss: losses.mseLoss,
      optimizer: new optim.SGD(model.parameters(), { lr: 0.3 }),
      epochs: 60,
      progress: false,
    })
    expect(history.loss.at(-1)).toBeLessThan(1e-5)
    expect(model.weight.item()).toBeCloseTo(3, 2)
  })

  test('takes a changed learning rate at once', async () => {
    const model = mlp()
    const options = setup(model)
    let before: number[] = []
    for await (const { epoch } of fit(model, [x, y], { ...options, epochs: 3 })) {
      if (epoch === 2) before = weights(model)
      options.optimizer.lr = epoch === 1 ? 0.01 : 0
    }
    expect(weights(model)).toEqual(before)
  })
})

test('no epochs left: nothing happens, and the history is empty', async () => {
  const model = mlp()
  const before = weights(model)
  const history = await fit(model, [x, y], {
    ...setup(model),
    epochs: 0,
    validation: [x, y],
    earlyStopping: { patience: 1, restoreBest: true },
  })
  expect(history).toMatchObject({ epochs: [], steps: 0, stopped: 'finished', bestEpoch: undefined, last: undefined })
  expect(weights(model)).toEqual(before)
  await expect(fit(model, [x, y], { ...setup(model), epochs: -1 })).rejects.toThrow('epochs must be a whole number from 0, received -1')
})

describe('labels of data sets that hand out samples', () => {
  const rows = Array.from({ length: 20 }, (_, i) => [i / 20, 1 - i / 20])
  const seen = async (target: (i: number) => unknown, loss: (o: Tensor, t: Tensor) => Tensor): Promise<string[]> => {
    const dtypes: string[] = []
    const data = { length: 20, get: (i: number) => [rows[i], target(i)] as never }
    const watch = (o: Tensor, t: Tensor): Tensor => {
      dtypes.push(t.dtype)
      return loss(o, t)
    }
    const model = mlp()
    await fit(model, data, { ...setup(model), loss: watch, batchSize: 5, shuffle: false, compile: false, validation: data })
    return [...new Set(dtypes)]
  }

  test('whole numbers are int32, as in a pair of arrays; others float32, and typed arrays what they are', async () => {
    expect(await seen((i) => i % 3, losses.crossEntropy)).toEqual(['int32'])
    const mean = (o: Tensor, t: Tensor): Tensor => o.mean().sub(t.to('float32').mean()).square()
    expect(await seen((i) => i + 0.5, mean)).toEqual(['float32'])
    expect(await seen((i) => Float32Array.of(i), mean)).toEqual(['float32'])
    // one that is not whole, and none of the later ones is a label
    expect(await seen((i) => (i === 7 ? 0.5 : i), mean)).toEqual(['int32', 'float32'])
  })
})

describe('early stopping', () => {
  test('ends when nothing improves, with the best weights', async () => {
    const model = mlp()
    const kept: number[][] = []
    const options = { ...setup(model), epochs: 50, earlyStopping: { patience: 2, minDelta: 10, restoreBest: true } }
    const run = fit(model, [x, y], options)
    for await (const epoch of run) {
      expect(epoch.epoch).toBeLessThan(4)
      kept.push(weights(model))
    }
    const history = await run
    expect(history).toMatchObject({ stopped: 'early', bestEpoch: 1 })
    expect(history.epochs).toHaveLength(3)
    expect(weights(model)).toEqual(kept[0])
  })

  test('patience may be infinite: all epochs, and the best weights in the end', async () => {
    const model = mlp()
    let value = 0
    const earlyStopping = { patience: Infinity, monitor: () => [3, 1, 2, 2][value++], restoreBest: true }
    const kept: number[][] = []
    const run = fit(model, [x, y], { ...setup(model), epochs: 4, earlyStopping })
    for await (const _ of run) kept.push(weights(model))
    expect(await run).toMatchObject({ stopped: 'finished', bestEpoch: 2 })
    expect(weights(model)).toEqual(kept[1])
  })

  test('a figure that is NaN all along never improves: training ends, and its weights stay', async () => {
    const model = mlp()
    const kept: number[][] = []
    const earlyStopping = { patience: 2, monitor: () => Number.NaN, restoreBest: true }
    const run = fit(model, [x, y], { ...setup(model), epochs: 9, earlyStopping })
    for await (const _ of run) kept.push(weights(model))
    const history = await run
    expect(history).toMatchObject({ stopped: 'early', bestEpoch: undefined })
    expect(history.epochs).toHaveLength(2)
    expect(weights(model)).toEqual(kept[1])
  })

  test('watches metrics upwards, validation, and functions', async () => {
    const watch = async (monitor: string | (() => number)): Promise<number> => {
      const model = mlp()
      const history = await fit(model, [x, y], {
        ...setup(model, 0),
        epochs: 9,
        validation: [x, y],
        metrics: { accuracy: metrics.accuracy },
        earlyStopping: { patience: 1, monitor },
      })
      return history.epochs.length
    }
    expect(await watch('valAccuracy')).toBe(2)
    expect(await watch('accuracy')).toBe(2)
    expect(await watch('valLoss')).toBe(2)
    let falling = 0
    expect(await watch(() => --falling)).toBe(9)
  })
})
