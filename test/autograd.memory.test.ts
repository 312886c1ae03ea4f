/** The memory of gradients is used again as soon as nothing refers to it, and not before. */
import { describe, expect, it } from 'vitest'
import { withBackend } from '../src/backend/select.js'
import { assign, checkpoint, compile, customGradient, losses, memory, nn, noGrad, optim, type Tensor, tensor, zeros } from '../src/index.js'
import { backends } from './support/backends.js'

const many = (value: number): Tensor => tensor(new Float32Array(512).fill(value), { requiresGrad: true })

/** Takes whatever memory of small gradients is free, and spoils it. */
function spoil(): void {
  for (let i = 0; i < 40; i++) noGrad(() => zeros([512]).add(Number.NaN))
}

const first = (t: Tensor | undefined): number => (t as Tensor).toArray()[0 as never]

describe.each(backends)('gradients on %s', (which) => {
  const test = (name: string, fn: () => void): void => it(name, () => withBackend(which, fn))

  test('that somebody holds stay as they are', () => {
    const w = many(3)
    const seen: Tensor[] = []
    for (let i = 0; i < 3; i++) {
      w.grad = undefined
      w.mul(w).sum().backward()
      seen.push(w.grad as unknown as Tensor)
      spoil()
    }
    w.mul(2).sum().backward()
    spoil()
    expect(seen.map(first)).toEqual([6, 6, 6])
    expect(first(w.grad)).toBe(8)
  })

  test('that nobody holds are overwritten where they are added to, and given back when they are forgotten', () => {
    const w = many(3)
    w.mul(w).sum().backward()
    const { storage } = w.leafGrad as Tensor
    w.mul(w).sum().backward()
    expect((w.leafGrad as Tensor).storage).toBe(storage)
    expect(first(w.leafGrad)).toBe(12)
    const { pool } = memory()
    new optim.SGD([w], { lr: 1 }).zeroGrad()
    expect(storage.disposed).toBe(true)
    expect(memory().pool - pool).toBe(2048)
  })

  test('that leaves share are each their own', () => {
    const [a, b, c] = [many(1), many(2), many(3)]
    const y = a.add(b)
    y.mul(c).sum().backward()
    const optimizer = new optim.SGD([a], { lr: 1 })
    optimizer.zeroGrad()
    spoil()
    expect(first(b.grad)).toBe(3)
    expect(first(c.grad)).toBe(3)
    a.reshape([2, 256]).sum().backward(many(5).sum().mul(0).add(1).detach())
    spoil()
    expect(first(a.grad)).toBe(1)
  })

  test('of leaves have memory of their own, that can be written', () => {
    const [a, b, scalar] = [
      tensor([1, 2, 3], { requiresGrad: true }),
      tensor([1, 2, 3], { requiresGrad: true }),
      tensor(3, { requiresGrad: true }),
    ]
    const seed = tensor([5, 6, 7])
    const write = (t: Tensor, value: Tensor | number): unknown => {
      assign(t.grad as Tensor, value)
      return (t.grad as Tensor).toArray()
    }
    for (const createGraph of [false, true]) {
      for (const t of [a, b, scalar]) t.grad = undefined
      a.sum().backward(undefined, { createGraph })
      expect(write(a, tensor([7, 8, 9]))).toEqual([7, 8, 9])
      a.mean().mul(3).backward(undefined, { createGraph })
      a.mul(2).mean().mul(3).backward(undefined, { createGraph })
      expect(write(a, (a.grad as unknown as Tensor).detach())).toEqual([10, 11, 12])
      a.grad = undefined
      for (let i = 0; i < 3; i++) a.sum().mul(2).backward(undefined, { createGraph })
      expect((a.grad as unknown as Tensor).toArray()).toEqual([6, 6, 6])
      a.grad = undefined
      a.add(b).mul(seed).sum().backward(undefined, { createGraph })
      expect(write(a, 1)).toEqual([1, 1, 1])
      expect((b.grad as unknown as Tensor).toArray()).toEqual([5, 6, 7])
      a.grad = undefined
      a.backward(seed, { createGraph })
      expect(write(a, 1)).toEqual([1, 1, 1])
      expect(seed.toArray()).toEqual([5, 6, 7])
      scalar.backward(undefined, { createGraph })
      expect(write(scalar, 4)).toBe(4)
      expect((scalar.grad as unknown as Tensor).item()).toBe(4)
    }
  })

  test('that a hook or a rule of the user saw are theirs', () => {
    const kept: Tensor[] = []
    const keep = (g: Tensor): void =>
      void kept.push(
        g,
        noGrad(() => g.mul(2)),
      )
    const twice = customGradient({
      forward: ([x]) => x.mul(2),
      backward: ([g]) => {
        keep(g)
        return g.mul(2)
      },
    })
    const w = many(3)
    const h = w.mul(4)
    const handle = h.registerHook(keep)
    twice(h.mul(w)).sum().backward()
    spoil()
    expect(kept.map(first)).toEqual([1, 2, 6, 12])
    expect(first(w.grad)).toBe(48)
    handle.remove()
  })

  test('and what a recomputed function makes stays, too', () => {
    const kept: Tensor[] = []
    const w = many(3)
    const segment = (x: Tensor): Tensor => {
      noGrad(() => kept.push(x.mul(10)))
      return x.mul(x)
    }
    checkpoint(segment, w.mul(2)).sum().backward()
    spoil()
    expect(kept.map(first)).toEqual([60, 60])
    expect(first(w.grad)).toBe(24)
  })

  test('clipped twice in one call, and clipped gradients, are whole', () => {
    const w = many(0)
    w.mul(1).sum().backward()
    optim.clipGradNorm([w, w], 1)
    spoil()
    expect(first(w.grad)).toBeCloseTo(1 / Math.sqrt(1024), 5)
    optim.clipGradValue([w], 0.01)
    spoil()
    expect(first(w.grad)).toBeCloseTo(0.01, 6)
  })

  test('seen before a trace, or before a call that failed, stay', async () => {
    const w = many(3)
    w.mul(w).sum().backward()
    const held = w.grad as unknown as Tensor
    const labels = tensor(new Int32Array([0]))
    const step = compile((y: Tensor) => {
      w.grad = undefined
      const loss = losses.crossEntropy(w.reshape([1, 512]), y)
      loss.backward()
      return loss
    })
    step.explain(labels)
    w.replaceGrad(undefined)
    spoil()
    expect(first(held)).toBe(6)
    w.mul(w).sum().backward()
    const again = w.grad as unknown as Tensor
    await step(tensor(new Int32Array([512]))).catch(() => undefined)
    w.replaceGrad(undefined)
    spoil()
    expect(first(again)).toBe(6)
  })

  test('of second order are right, and so are those taken twice from one graph', () => {
    const w = many(3)
    const loss = w.mul(w).mul(w).sum()
    loss.backward(undefined, { createGraph: true })
    spoil()
    const g = w.grad as unknown as Tensor
    w.grad = undefined
    g.sum().backward()
    expect(first(w.grad)).toBe(18)
    loss.backward()
    spoil()
    expect(first(w.grad)).toBe(45)
  })

  test('train a model op by op as a compiled step does', () => {
    const results = [false, true].map((eager) => {
      const model = new nn.Sequential(new nn.Linear(16, 64), new nn.Tanh(), new nn.Linear(64, 4))
      model.parameters().forEach((p, i) => {
        noGrad(() => p.assign(p.mul(0).add(0.01 * (i + 1))))
      })
      const optimizer = new optim.Adam(model.parameters(), { lr: 0.1 })
      const x = tensor(Float32Array.from({ length: 128 }, (_, i) => Math.sin(i))).reshape([8, 16])
      const y = tensor(Int32Array.from({ length: 8 }, (_, i) => i % 4))
      const step = compile(
        (a: Tensor, b: Tensor) => {
          const loss = losses.crossEntropy(model.forward(a), b)
          loss.backward()
          optim.clipGradNorm(model.parameters(), 1)
          optimizer.step()
          optimizer.zeroGrad()
          return loss
        },
        { eager },
      )
      return Array.from({ length: 20 }, () => step.sync(x, y).item())
    })
    results[0].forEach((value, i) => void expect(value).toBeCloseTo(results[1][i], 4))
  })
})
