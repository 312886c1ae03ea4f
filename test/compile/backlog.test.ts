/**
 * More calls than a queue holds: they wait in JavaScript, and nobody can tell but by the memory. On both backends.
 */
import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/backend/select.js'
import { firstWaiting } from '../../src/backend/tickets.js'
import { assign, compile, DataError, fromBuffer, losses, memory, nn, type Tensor, tensor, zeros } from '../../src/index.js'
import { backends, hasNative } from '../support/backends.js'
import { runChild } from '../support/children.js'
import { detach } from '../support/memory.js'

const many = 1500

/** A state that calls add to, and a call that takes a while first, so that none is run in place. */
function counter() {
  const state = tensor([0, 0, 0])
  const large = zeros([200, 200])
  const slow = compile((x: Tensor) => x.matmul(x).sum())
  const add = compile((x: Tensor) => {
    assign(state, state.add(x))
    return state.mul(1)
  })
  return { state, add, occupy: () => [slow(large), slow(large), slow(large)] }
}

const values = (t: Tensor): number[] => t.toArray() as number[]

describe.each(backends)('a crowded queue on %s', (which) => {
  const test = (name: string, fn: () => Promise<void>): void => it(name, () => withBackend(which, fn))

  test('resolves all calls in order', async () => {
    const { state, add, occupy } = counter()
    const occupied = occupy()
    const seen: number[] = []
    const one = tensor([1, 0, 0])
    const calls = Array.from({ length: many }, () => add(one).then((t) => void seen.push(values(t)[0])))
    await Promise.all([...calls, ...occupied])
    expect(seen).toEqual(Array.from({ length: many }, (_, i) => i + 1))
    expect(values(state)).toEqual([many, 0, 0])
  })

  test('a state that is read at once has all the calls before it behind it', async () => {
    const { state, add, occupy } = counter()
    const calls: Promise<unknown>[] = occupy()
    for (let i = 0; i < many; i++) calls.push(add(tensor([1, 0, 0])))
    expect(values(state)[0]).toBe(many)
    for (let i = 0; i < many; i++) calls.push(add(tensor([1, 0, 0])))
    const reading = state.read()
    calls.push(add(tensor([0, 1, 0])))
    expect((await reading)[0]).toBe(2 * many)
    calls.push(...occupy())
    for (let i = 0; i < many; i++) calls.push(add(tensor([1, 0, 0])))
    assign(state, state.mul(2))
    expect(add.sync(tensor([0, 0, 5])).toArray()).toEqual([6 * many, 2, 5])
    await Promise.all(calls)
    expect(values(state)).toEqual([6 * many, 2, 5])
  })

  test('arguments are those of the call, however late it is queued', async () => {
    const { add, occupy } = counter()
    const calls: Promise<unknown>[] = occupy()
    for (let i = 0; i < many; i++) calls.push(add(tensor([0, 0, 0])))
    const plain = tensor([1, 2, 3])
    const handed = tensor([10, 20, 30])
    const own = new Float32Array([100, 200, 300])
    const wide = tensor([
      [1000, 0],
      [2000, 0],
      [3000, 0],
    ])
    const wrapped = fromBuffer(own)
    const results = [plain, handed, wrapped, wide.transpose().at(0)].map((t) => add(t))
    expect((plain.storage as unknown as { lastReaders: number[] }).lastReaders[0]).toBeGreaterThanOrEqual(firstWaiting)
    own.fill(-1)
    detach(own.buffer)
    handed.data.fill(-1)
    assign(plain, -1)
    assign(wide, -1)
    expect((await Promise.all(results)).map(values)).toEqual([
      [1, 2, 3],
      [11, 22, 33],
      [111, 222, 333],
      [1111, 2222, 3333],
    ])
    await Promise.all(calls)
  })

  test('failures stay where they are, gradients pile up', async () => {
    const { occupy } = counter()
    const w = tensor([[0.1, -0.2, 0.3]], { requiresGrad: true })
    const step = compile((x: Tensor, y: Tensor) => {
      const loss = losses.crossEntropy(x.matmul(w), y)
      loss.backward()
      return loss
    })
    const x = tensor([[1], [2]])
    const labels = [tensor([0, 1], { dtype: 'int32' }), tensor([0, 7], { dtype: 'int32' })]
    await step(x, labels[0])
    const once = values(w.grad?.at(0) as Tensor)
    w.grad = undefined
    const calls: Promise<unknown>[] = []
    const occupied = occupy()
    for (let i = 0; i < many; i++) calls.push(step(x, labels[i % 3 === 1 ? 1 : 0]))
    const settled = await Promise.allSettled(calls)
    settled.forEach((r, i) => expect(r.status).toBe(i % 3 === 1 ? 'rejected' : 'fulfilled'))
    expect((settled[1] as PromiseRejectedResult).reason).toBeInstanceOf(DataError)
    values((w.grad as unknown as Tensor).at(0)).forEach((g, i) => expect(g / (once[i] * (many / 3) * 2)).toBeCloseTo(1, 3))
    await Promise.all(occupied)
  })

  test('predictions do not stand behind it', async () => {
    const { add, occupy } = counter()
    const model = new nn.Linear(3, 2)
    await model.predict(zeros([1, 3]))
    let done = 0
    const calls: Promise<unknown>[] = occupy()
    for (let i = 0; i < 2 * many; i++) calls.push(add(tensor([1, 0, 0])).then(() => done++))
    await model.predict(zeros([1, 3]))
    if (which === 'native') expect(done).toBeLessThan(many)
    await Promise.all(calls)
  })

  test('large arguments and results do not take more than the bound', async () => {
    const f = compile((x: Tensor) => x.add(1))
    const x = zeros([2 ** 20])
    let most = 0
    const calls: Promise<void>[] = []
    const before = memory().total
    for (let i = 0; i < (which === 'native' ? 300 : 60); i++) {
      calls.push(f(x).then((t) => t.dispose()))
      if (i % 20 === 0) most = Math.max(most, memory().total - before)
    }
    most = Math.max(most, memory().total - before)
    await Promise.all(calls)
    expect(most).toBeLessThan(160 * 2 ** 20)
  })

  test('what has to be copied waits in place beyond the bound', async () => {
    const f = compile((x: Tensor) => x.at([0, 4]).sum())
    const own = fromBuffer(new Float32Array(2 ** 20).fill(1))
    const calls: Promise<Tensor>[] = []
    for (let i = 0; i < 200; i++) {
      calls.push(f(own))
      own.data[0] = i
    }
    expect((await Promise.all(calls)).map((t) => t.item())).toEqual([4, ...Array.from({ length: 199 }, (_, i) => i + 3)])
  })
})

describe.runIf(hasNative)('100,000 calls that nobody awaits in between', () => {
  it('take bounded memory and resolve in order', { timeout: 120_000 }, async () => {
    const ended = await runChild('crowd.mjs', ['100000'], 'native', [], 110_000)
    expect(ended.code, ended.stderr).toBe(0)
    const { inOrder, grown } = JSON.parse(ended.stdout) as { inOrder: boolean; grown: number }
    expect(inOrder).toBe(true)
    // their arguments and results alone would be 6.5 GB
    expect(grown).toBeLessThan(768 * 2 ** 20)
  })
})
