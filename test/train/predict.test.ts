/** `model.predict`: what `forward` gives in evaluation, for any number of rows, from any number of callers. */
import { describe, expect, test } from 'vitest'
import { manualSeed, nn, noGrad, type Tensor, tensor } from '../../src/index.js'

function net(): nn.Sequential {
  manualSeed(0)
  const model = new nn.Sequential(new nn.Linear(3, 8), new nn.BatchNorm1d(8), new nn.ReLU(), new nn.Dropout(0.5), new nn.Linear(8, 2))
  for (const t of model.buffers()) if (t.dtype === 'float32') t.data.forEach((_, i, data) => void (data[i] = 0.5 + i / 8))
  return model
}

const rows = (n: number): Float32Array => Float32Array.from({ length: n * 3 }, (_, i) => Math.sin(i))

/** What forward gives, op by op. */
function wanted(model: nn.Sequential, n: number): number[] {
  const copy = model.clone().eval()
  return noGrad(() => [...copy.forward(tensor(rows(n), { shape: [n, 3] })).data])
}

function close(t: Tensor, values: number[]): void {
  expect(t.size).toBe(values.length)
  t.data.forEach((v, i) => {
    expect(v).toBeCloseTo(values[i], 5)
  })
}

describe('predict', () => {
  test.each([0, 1, 2, 3, 5, 31, 64, 65, 200])('%s rows', async (n) => {
    const model = net()
    const out = await model.predict(tensor(rows(n), { shape: [n, 3] }))
    expect(out.shape).toEqual([n, 2])
    close(out, wanted(model, n))
    expect(out.requiresGrad).toBe(false)
    expect(model.modules().every((m) => m.training)).toBe(true)
  })

  test('the mode of the model does not matter, and is not compiled twice', async () => {
    let traces = 0
    class Counting extends nn.Module {
      readonly net = net()
      forward(x: Tensor): Tensor {
        traces++
        expect(this.training).toBe(false)
        return this.net.forward(x)
      }
    }
    const model = new Counting()
    const first = await model.predict(rows(4), { shape: [4, 3] })
    const before = traces
    model.eval()
    const second = await model.predict(rows(4), { shape: [4, 3] })
    expect(model.training).toBe(false)
    model.train()
    const third = await model.predict(rows(3), { shape: [3, 3] })
    expect(traces).toBe(before)
    expect([...second.data]).toEqual([...first.data])
    expect([...third.data]).toEqual([...first.data].slice(0, 6))
  })

  test('takes tensors, views, typed arrays, fields and nested arrays', async () => {
    const model = net()
    const values = wanted(model, 4)
    const data = rows(4)
    const nested = Array.from({ length: 4 }, (_, i) => [...data.slice(3 * i, 3 * i + 3)])
    const turned = Float32Array.from({ length: 12 }, (_, i) => data[(i % 4) * 3 + Math.floor(i / 4)])
    close(await model.predict(nested), values)
    close(await model.predict({ data, shape: [4, 3] }), values)
    close(await model.predict(tensor(turned, { shape: [3, 4] }).transpose(0, 1)), values)
    const part = tensor(rows(8), { shape: [8, 3], requiresGrad: true })
    close(await model.predict(part.narrow(0, 0, 4)), values)
    close(await model.predict(part, { batchSize: 3 }), wanted(model, 8))
  })

  test('many calls at once, in batches of all sizes', async () => {
    const model = net()
    const sizes = Array.from({ length: 100 }, (_, i) => 1 + ((i * 37) % 90))
    const outs = await Promise.all(sizes.map((n) => model.predict(rows(n), { shape: [n, 3] })))
    const all = wanted(model, 90)
    outs.forEach((out, i) => {
      close(out, all.slice(0, sizes[i] * 2))
    })
  })

  test('sees new weights at once', async () => {
    const model = net()
    await model.predict(rows(2), { shape: [2, 3] })
    const other = net()
    other.loadStateDict(Object.fromEntries(Object.entries(other.stateDict()).map(([name, t]) => [name, name === '4.bias' ? t.add(1) : t])))
    model.loadStateDict(other.stateDict())
    close(await model.predict(rows(2), { shape: [2, 3] }), wanted(other, 2))
  })

  test('sees layers that were replaced, at any depth, and parameters', async () => {
    class Tuned extends nn.Module {
      body = net()
      head: nn.Layer = new nn.Linear(2, 3)
      scale = new nn.Parameter([1])
      forward(x: Tensor): Tensor {
        return this.head.forward(this.body.forward(x)).mul(this.scale)
      }
    }
    const model = new Tuned()
    const x = tensor(rows(4), { shape: [4, 3] })
    const now = (): number[] => [...noGrad(() => model.clone().eval().forward(x)).data]
    expect((await model.predict(x)).shape).toEqual([4, 3])
    model.head = new nn.Linear(2, 5)
    expect((await model.predict(x)).shape).toEqual([4, 5])
    close(await model.predict(x), now())
    ;(model.body as unknown as nn.Layer[])[0] = new nn.Linear(3, 8)
    close(await model.predict(x), now())
    model.scale = new nn.Parameter([2])
    close(await model.predict(x), now())
  })

  test('refuses what it cannot do', async () => {
    const model = net()
    await expect(model.predict(5 as never)).rejects.toThrow('expected a tensor')
    await expect(model.predict(tensor(5))).rejects.toThrow('needs a batch')
    await expect(model.predict(rows(2), { shape: [2, 2] })).rejects.toThrow('needs 4 elements')
    await expect(model.predict(rows(2), { shape: [3, 2] })).rejects.toThrow('expects 3 features')
    await expect(model.predict([[1, 2, 3]], { batchSize: 0 })).rejects.toThrow('batchSize must be')
    class Sum extends nn.Module {
      forward(x: Tensor): Tensor {
        return x.sum()
      }
    }
    await expect(
      new Sum().predict([
        [1, 2],
        [3, 4],
      ]),
    ).rejects.toThrow('does not count samples')
  })
})
