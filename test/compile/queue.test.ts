/**
 * Calls that run later: order, what waits for what, failures that change nothing, memory taken away meanwhile. On both backends.
 */
import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/backend/select.js'
import {
  assign,
  ChainruleError,
  compile,
  DataError,
  fromBuffer,
  losses,
  nn,
  noGrad,
  optim,
  StateError,
  Tensor,
  tensor,
  zeros,
} from '../../src/index.js'
import { stateZeros } from '../../src/ops/basic/state.js'
import { backends } from '../support/backends.js'
import { detach, resizableBuffer } from '../support/memory.js'

const list = (t: Tensor | undefined): unknown => t?.toArray()

/** A classifier with momentum, by hand, and its compiled step. */
function classifier() {
  const w = tensor(
    [
      [0.1, -0.2, 0.3],
      [0.4, 0.5, -0.6],
    ],
    { requiresGrad: true },
  )
  const v = zeros([2, 3])
  const step = compile((x: Tensor, y: Tensor) => {
    w.grad = undefined
    const loss = losses.crossEntropy(x.matmul(w), y)
    loss.backward()
    noGrad(() => {
      assign(v, v.mul(0.9).add(w.grad as Tensor))
      assign(w, w.sub(v.mul(0.1)))
    })
    return loss
  })
  return { w, v, step }
}

const x = (): Tensor =>
  tensor([
    [1, 2],
    [3, 4],
    [5, 6],
  ])
const good = (): Tensor => tensor([0, 1, 2], { dtype: 'int32' })
const wrong = (): Tensor => tensor([0, 3, 2], { dtype: 'int32' })

describe.each(backends)('queue on %s', (which) => {
  const test = (name: string, fn: () => Promise<void>): void => it(name, () => withBackend(which, fn))

  test('resolves 1,000 calls that nobody awaited in between, in order', async () => {
    const count = tensor([0])
    const add = compile((x: Tensor) => {
      assign(count, count.add(x))
      return count.mul(1)
    })
    const order: number[] = []
    const calls: Promise<void>[] = []
    for (let i = 0; i < 1000; i++) calls.push(add(tensor([1])).then((t) => void order.push(t.item())))
    await Promise.all(calls)
    expect(order).toEqual(Array.from({ length: 1000 }, (_, i) => i + 1))
    expect(count.item()).toBe(1000)
  })

  test('keeps two compiled functions in the order of their calls', async () => {
    const s = tensor([1])
    const double = compile(() => assign(s, s.mul(2)))
    const increment = compile(() => assign(s, s.add(1)))
    const calls: Promise<void>[] = []
    for (let i = 0; i < 10; i++) calls.push(double(), increment())
    await Promise.all(calls)
    expect(s.item()).toBe(2047)
  })

  test('an eager read waits for queued writers, .sync too', async () => {
    const s = zeros([64, 64])
    const add = compile(() => assign(s, s.add(1)))
    const calls = Array.from({ length: 50 }, () => add())
    expect(s.sum().item()).toBe(50 * 4096)
    calls.push(add(), add())
    expect(s.at(0, 0).item()).toBe(52)
    calls.push(add())
    expect(
      compile(() => s.mean())
        .sync()
        .item(),
    ).toBe(53)
    calls.push(add())
    expect((s.toArray() as number[][])[3][3]).toBe(54)
    calls.push(add())
    expect(s.data[0]).toBe(55)
    await Promise.all(calls)
  })

  test('read() waits without blocking', async () => {
    const s = zeros([16])
    const add = compile(() => assign(s, s.add(1)))
    const calls = [add(), add(), add()]
    expect((await s.read())[0]).toBe(3)
    await Promise.all(calls)
  })

  test('an eager write waits for queued readers and writers', async () => {
    const s = tensor([1, 2, 3])
    const read = compile((x: Tensor) => s.mul(x))
    const write = compile(() => assign(s, s.add(100)))
    const first = Array.from({ length: 20 }, () => read(tensor([1, 1, 1])))
    assign(s, tensor([7, 8, 9]))
    const second = read(tensor([1, 1, 1]))
    const third = write()
    assign(s, tensor([0, 0, 0]))
    for (const t of await Promise.all(first)) expect(list(t)).toEqual([1, 2, 3])
    expect(list(await second)).toEqual([7, 8, 9])
    await third
    expect(list(s)).toEqual([0, 0, 0])
  })

  test('a few numbers are written without waiting for those who read them', async () => {
    const rate = stateZeros('test', [])
    assign(rate, 1)
    const large = zeros([300, 300])
    const f = compile((x: Tensor) => x.matmul(x).sum().add(rate))
    const before = [f(large), f(large)]
    const { bytes } = rate.storage
    const written = rate.storage.version
    assign(rate, 2)
    // they go on reading the memory they were given
    expect(rate.storage.bytes).not.toBe(bytes)
    expect(rate.storage.version).toBe(written + 1)
    assign(rate, rate.add(1))
    const after = f(large)
    expect((await Promise.all([...before, after])).map((t) => t.item())).toEqual([1, 1, 3])
    const idle = rate.storage.bytes
    assign(rate, 4)
    expect(rate.storage.bytes).toBe(idle)
    const rates: Promise<Tensor>[] = []
    for (let i = 0; i < 50; i++) {
      assign(rate, i)
      rates.push(f(large))
    }
    expect((await Promise.all(rates)).map((t) => t.item())).toEqual(Array.from({ length: 50 }, (_, i) => i))
    expect(rate.item()).toBe(49)
  })

  test('arguments are those of the call, whatever happens to them afterwards', async () => {
    const f = compile((x: Tensor) => x.mul(1).sum())
    const results: Promise<Tensor>[] = []
    const a = tensor([1, 2, 3])
    for (let i = 0; i < 10; i++) {
      results.push(f(a))
      assign(a, a.mul(2))
    }
    const memory = new Float32Array([1, 1, 1])
    const b = fromBuffer(memory)
    results.push(f(b))
    memory.fill(50)
    const shared = new Float32Array(new SharedArrayBuffer(24)).fill(2)
    const c = fromBuffer(shared)
    results.push(f(c.at([0, 3])), f(c.at([3, 6])))
    shared.fill(50)
    const expected = [...Array.from({ length: 10 }, (_, i) => 6 * 2 ** i), 3, 6, 6]
    expect((await Promise.all(results)).map((t) => t.item())).toEqual(expected)
  })

  test('gradients are shown at the call and waited for when read', async () => {
    const { w, step } = classifier()
    const call = step(x(), good())
    expect(w.grad?.shape).toEqual([2, 3])
    expect((list(w.grad) as number[][]).flat().every(Number.isFinite)).toBe(true)
    await call
  })

  test("a gradient that was disposed is in nobody's way", async () => {
    const { w, step } = classifier()
    await step(x(), good())
    w.grad?.dispose()
    await step(x(), good())
    w.grad?.dispose()
    step.sync(x(), good())
    expect((list(w.grad) as number[][]).flat().every(Number.isFinite)).toBe(true)
  })

  test('a label out of range rejects, changes nothing, and later calls work', async () => {
    const { w, v, step } = classifier()
    await step(x(), good())
    const [before, momentum, gradient] = [list(w), list(v), list(w.grad)]
    await expect(step(x(), wrong())).rejects.toThrow(DataError)
    await expect(step(x(), wrong())).rejects.toThrow(/crossEntropy.*3.*position 1/)
    expect([list(w), list(v), list(w.grad)]).toEqual([before, momentum, gradient])
    expect(() => step.sync(x(), wrong())).toThrow(DataError)
    expect([list(w), list(v), list(w.grad)]).toEqual([before, momentum, gradient])
    const loss = await step(x(), good())
    expect(Number.isFinite(loss.item())).toBe(true)
    expect(list(w)).not.toEqual(before)
  })

  test('a failure between queued calls leaves the others as if it had not been there', async () => {
    const [a, b] = [classifier(), classifier()]
    const results = await Promise.allSettled([a.step(x(), good()), a.step(x(), wrong()), a.step(x(), good()), a.step(x(), wrong())])
    expect(results.map((r) => r.status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected'])
    await b.step(x(), good())
    await b.step(x(), good())
    expect([list(a.w), list(a.v), list(a.w.grad)]).toEqual([list(b.w), list(b.v), list(b.w.grad)])
  })

  test('writes before the failing operation are undone too, those of several states alike', async () => {
    const [a, b] = [
      tensor([1, 2]),
      tensor([
        [1, 2],
        [3, 4],
      ]),
    ]
    const f = compile((i: Tensor) => {
      assign(a, a.add(1))
      assign(b, b.transpose().mul(a))
      const picked = b.indexSelect(i)
      assign(a, picked.sum({ dim: 0 }))
      return picked
    })
    await f(tensor([0], { dtype: 'int32' }))
    const before = [list(a), list(b)]
    await expect(f(tensor([2], { dtype: 'int32' }))).rejects.toThrow(DataError)
    expect([list(a), list(b)]).toEqual(before)
  })

  test('optimizers and modules are left unchanged too', async () => {
    const model = new nn.Sequential(new nn.Linear(2, 8), new nn.BatchNorm1d(8), new nn.ReLU(), new nn.Linear(8, 3))
    const optimizer = new optim.Adam(model.parameters(), { lr: 0.1 })
    const step = compile((x: Tensor, y: Tensor) => {
      const loss = losses.crossEntropy(model.forward(x), y)
      optimizer.zeroGrad()
      loss.backward()
      optimizer.step()
      return loss
    })
    const first = (await step(x(), good())).item()
    const snapshot = (): string =>
      JSON.stringify(Object.entries(model.stateDict()).map(([k, t]) => [k, list(t)])) + JSON.stringify(optimizerState(optimizer))
    const before = snapshot()
    await expect(step(x(), wrong())).rejects.toThrow(DataError)
    expect(snapshot()).toBe(before)
    let last = 0
    for (let i = 0; i < 20; i++) last = (await step(x(), good())).item()
    expect(last).toBeLessThan(first)
  })

  test('an unhandled failure of one call does not stop the queue', async () => {
    const f = compile((i: Tensor) => tensorOfTen.mul(1).indexSelect(i))
    const tensorOfTen = tensor([...Array(10).keys()])
    const calls = Array.from({ length: 40 }, (_, i) => f(tensor([i % 2 === 0 ? i / 4 : 10 + i], { dtype: 'int32' })))
    const settled = await Promise.allSettled(calls)
    settled.forEach((r, i) => expect(r.status).toBe(i % 2 === 0 ? 'fulfilled' : 'rejected'))
  })

  test('buffers transferred or resized before a call are typed errors', async () => {
    const f = compile((x: Tensor) => x.add(1).sum())
    const moved = new Float32Array(4)
    const a = fromBuffer(moved)
    detach(moved.buffer)
    expect(() => a.sum()).toThrow(StateError)
    expect(() => a.data).toThrow(/transferred or resized/)
    expect(() => f.sync(a)).toThrow(StateError)
    await expect((async () => f(a))()).rejects.toThrow(StateError)
    const resizable = resizableBuffer(16, 64)
    const b = fromBuffer(new Float32Array(resizable, 0, 4))
    const whole = fromBuffer(new Float32Array(resizable))
    resizable.resize(8)
    expect(() => b.mul(2)).toThrow(ChainruleError)
    expect(() => f.sync(b)).toThrow(ChainruleError)
    expect(() => whole.mul(2)).toThrow(ChainruleError)
    expect(() => assign(b, 1)).toThrow(ChainruleError)
  })

  test('buffers transferred or resized while calls run are harmless', async () => {
    const captured = zeros([256, 256])
    const state = zeros([256, 256])
    const f = compile((x: Tensor, y: Tensor) => {
      const z = x.matmul(captured.add(y)).tanh()
      assign(state, state.add(z))
      return [z, z.sum()]
    })
    f.sync(zeros([256, 256]), zeros([256, 256]))
    for (let round = 0; round < 5; round++) {
      const memory = resizableBuffer(256 * 256 * 4, 256 * 256 * 8)
      const a = fromBuffer(new Float32Array(memory, 0, 256 * 256), [256, 256])
      const b = tensor(new Float32Array(256 * 256).fill(0.01), { shape: [256, 256] })
      const exposed = b.data.buffer as ArrayBuffer
      const calls = [f(a, b), f(b, a), f(a, a)]
      memory.resize(16)
      detach(exposed)
      const results = await Promise.all(calls)
      for (const [z, total] of results) {
        expect(z.shape).toEqual([256, 256])
        expect(Number.isFinite(total.item())).toBe(true)
        const out = z.data.buffer as ArrayBuffer
        if (out instanceof ArrayBuffer) detach(out)
      }
    }
    expect(Number.isFinite(state.sum().item())).toBe(true)
  })

  test('captured memory that is not shared is read at the call', async () => {
    const memory = new Float32Array([1, 2, 3])
    const w = fromBuffer(memory)
    const f = compile((x: Tensor) => x.mul(w))
    const first = f(tensor([1, 1, 1]))
    memory.fill(9)
    const second = f(tensor([1, 1, 1]))
    detach(memory.buffer)
    expect(list(await first)).toEqual([1, 2, 3])
    expect(list(await second)).toEqual([9, 9, 9])
    expect(() => f.sync(tensor([1, 1, 1]))).toThrow(StateError)
  })

  test('disposed tensors are typed errors, dispose waits for queued work', async () => {
    const f = compile((x: Tensor) => x.add(1))
    const big = zeros([64, 512])
    const calls = [f(big), f(big)]
    big.dispose()
    for (const t of await Promise.all(calls)) expect(t.at(0, 0).item()).toBe(1)
    expect(() => big.add(1)).toThrow(/dispose/)
    expect(() => f.sync(big)).toThrow(StateError)
    expect(() => big.data).toThrow(StateError)
    expect(String(big)).toContain('disposed')
    big.dispose()
    const w = zeros([4])
    const g = compile((x: Tensor) => x.mul(w))
    g.sync(zeros([4]))
    w.dispose()
    expect(() => g.sync(zeros([4]))).toThrow(StateError)
  })
})

function optimizerState(optimizer: object): unknown {
  const state = (optimizer as { stateDict?: () => Record<string, Tensor> }).stateDict?.()
  return state === undefined ? null : Object.entries(state).map(([k, t]) => [k, t instanceof Tensor ? t.toArray() : t])
}
