/** `model.predict`: what `forward` gives in evaluation, for any number of rows, from any number of callers. */
import { describe, expect, test } from 'vitest'
import { assign, compile, fromBuffer, manualSeed, nn, noGrad, type Tensor, tensor } from '../../src/index.js'
import { onJs } from '../support/backends.js'

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

  describe.each([1, 3, 64, 200])('takes its input as it is at the call: %s rows', (n) => {
    const model = net()
    const values = wanted(model, n)
    const shape = [n, 3]
    const changes: Record<string, () => Promise<Tensor>> = {
      'a typed array filled anew': () => {
        const data = rows(n)
        const out = model.predict(data, { shape })
        data.fill(9)
        return out
      },
      'a typed array transferred': () => {
        const data = rows(n)
        const out = model.predict({ data, shape })
        structuredClone(data, { transfer: [data.buffer as ArrayBuffer] })
        return out
      },
      'a typed array resized': () => {
        const buffer = new (ArrayBuffer as unknown as new (bytes: number, options: object) => ArrayBuffer)(n * 12, {
          maxByteLength: n * 24,
        })
        const data = new Float32Array(buffer)
        data.set(rows(n))
        const out = model.predict(data, { shape })
        ;(buffer as unknown as { resize(n: number): void }).resize(0)
        return out
      },
      'shared memory': () => {
        const data = new Float32Array(new SharedArrayBuffer(n * 12))
        data.set(rows(n))
        const out = model.predict(fromBuffer(data, shape))
        data.fill(9)
        return out
      },
      'the data of a tensor written': () => {
        const x = tensor(rows(n), { shape })
        const out = model.predict(x)
        x.data.fill(9)
        return out
      },
      'a tensor assigned': () => {
        const x = tensor(rows(n), { shape })
        const out = model.predict(x)
        assign(x, x.mul(0))
        return out
      },
      'a tensor disposed': () => {
        const x = tensor(rows(n), { shape })
        const out = model.predict(x)
        x.dispose()
        for (let i = 0; i < 8; i++) tensor(new Float32Array(n * 3).fill(9))
        return out
      },
      'a tensor that becomes state': () => {
        const x = tensor(rows(n), { shape })
        const out = model.predict(x)
        compile(() => assign(x, x.mul(0))).sync()
        return out
      },
      'a view that is not contiguous': () => {
        const turned = new Float32Array(n * 3)
        rows(n).forEach((v, i) => void (turned[(i % 3) * n + Math.floor(i / 3)] = v))
        const x = fromBuffer(turned, [3, n])
        const out = model.predict(x.transpose(0, 1))
        turned.fill(9)
        return out
      },
    }
    test.each(Object.keys(changes))('%s', async (name) => {
      close(await changes[name](), values)
      const out = onJs(changes[name])
      close(await out, values)
    })
  })

  test('state that queued programs write is taken as those queued before the call leave it', async () => {
    const model = net()
    const x = tensor(new Float32Array(rows(200).length), { shape: [200, 3] })
    const source = tensor(rows(200), { shape: [200, 3] })
    const write = compile((to: Tensor, factor: Tensor) => {
      let y = to
      for (let i = 0; i < 200; i++) y = y.add(1).sub(1)
      assign(x, y.mul(factor))
    })
    await write(source, 0)
    const queued = [write(source, 1)]
    const out = model.predict(x)
    for (let i = 0; i < 20; i++) queued.push(write(source, 0))
    const first = await out
    const expected = wanted(model, 200)
    first.data.forEach((v, i) => void expect(v).toBeCloseTo(expected[i], 3))
    await Promise.all(queued)
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
