/**
 * Awaited calls of a function whose program is still being built, in turns of the event loop: what a call reads and leaves is that of the moment it was
 * made, whatever happens until it runs.
 */
import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/backend/select.js'
import {
  assign,
  compile,
  fromBuffer,
  getRandomState,
  losses,
  manualSeed,
  nn,
  optim,
  rand,
  randint,
  randn,
  setRandomState,
  type Tensor,
  tensor,
  zeros,
} from '../../src/index.js'
import { backends } from '../support/backends.js'

const list = (t: Tensor | undefined | null): unknown => t?.toArray()
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Operations enough for a program that is built in turns. */
function deep(x: Tensor): Tensor {
  let y = x
  for (let i = 0; i < 40; i++) y = y.mul(1 + i / 64).tanh()
  return y
}

/** A training step of a deep network with dropout, made the same each time. */
function training() {
  manualSeed(3)
  const layers = Array.from({ length: 8 }, () => [new nn.Linear(6, 6), new nn.BatchNorm1d(6), new nn.Tanh(), new nn.Dropout(0.2)]).flat()
  const model = new nn.Sequential(...layers, new nn.Linear(6, 3))
  const optimizer = new optim.AdamW(model.parameters(), { lr: 0.01 })
  const step = compile((x: Tensor, y: Tensor) => {
    optimizer.zeroGrad()
    const loss = losses.crossEntropy(model.forward(x), y)
    loss.backward()
    optimizer.step()
    return loss
  })
  const x = randn([8, 6])
  const y = randint(3, [8])
  const state = (): unknown => [Object.values(model.stateDict()).map(list), model.parameters().map((p) => list(p.grad)), getRandomState()]
  return { model, step, x, y, state }
}

describe.each(backends)('awaited calls on %s', (which) => {
  const test = (name: string, fn: () => unknown): void => it(name, () => withBackend(which, fn as () => Promise<void>))

  test('the event loop goes on while a large program is built', async () => {
    const { step, x, y } = training()
    let turns = 0
    let over = false
    const loss = step(x, y).then((t) => {
      over = true
      return t
    })
    while (!over) {
      turns++
      await turn()
    }
    expect(turns).toBeGreaterThan(4)
    expect(Number.isFinite((await loss).item())).toBe(true)
  })

  test('several calls at once are those of sync, one after the other', async () => {
    const one = training()
    const expected = [1, 2, 3, 4].map(() => one.step.sync(one.x, one.y).item())
    const expectedState = one.state()
    const other = training()
    const losses = await Promise.all([1, 2, 3, 4].map(() => other.step(other.x, other.y)))
    expect(losses.map((t) => t.item())).toEqual(expected)
    expect(other.state()).toEqual(expectedState)
    expect(other.step.variants).toBe(1)
  })

  test('whatever asks for a result has it, before the program would have been there', async () => {
    const one = training()
    one.step.sync(one.x, one.y)
    const expected = one.state()
    for (let pause = 0; pause < 7; pause++) {
      const other = training()
      const pending = other.step(other.x, other.y)
      for (let i = 0; i < pause; i++) await turn()
      expect(other.state()).toEqual(expected)
      await pending
    }
  })

  test('sync calls between awaited ones come in their turn', async () => {
    const one = training()
    const expected = [1, 2, 3].map(() => one.step.sync(one.x, one.y).item())
    const other = training()
    const first = other.step(other.x, other.y)
    const second = other.step.sync(other.x, other.y).item()
    const third = other.step(other.x, other.y)
    expect([(await first).item(), second, (await third).item()]).toEqual(expected)
    expect(other.state()).toEqual(one.state())
  })

  test('arguments are read as they are at the call', async () => {
    const f = compile((x: Tensor, k: Tensor) => deep(x).mul(k))
    const expected = list(deep(tensor([1, 2, 3])).mul(2))
    const memory = Float32Array.of(1, 2, 3)
    const pending = f(fromBuffer(memory), 2)
    memory.fill(9)
    expect(list(await pending)).toEqual(expected)

    const moved = Float32Array.of(1, 2, 3, 4)
    const expectedMoved = list(deep(tensor([1, 2, 3, 4])).mul(2))
    const transferred = f(fromBuffer(moved), 2)
    structuredClone(moved.buffer, { transfer: [moved.buffer] })
    expect(list(await transferred)).toEqual(expectedMoved)

    const own = tensor([1, 2])
    const written = f(own, 2)
    assign(own, tensor([7, 7]))
    expect(list(await written)).toEqual(list(deep(tensor([1, 2])).mul(2)))

    const gone = tensor([[1, 2]])
    const late = f(gone, 2)
    gone.dispose()
    expect(list(await late)).toEqual(list(deep(tensor([[1, 2]])).mul(2)))
  })

  test('captured tensors are read as they are at the call', async () => {
    const scale = tensor([1, 2, 3])
    const f = compile((x: Tensor) => deep(x.mul(scale)))
    const expected = list(deep(tensor([1, 2, 3])))
    const pending = f(tensor([1, 1, 1]))
    assign(scale, tensor([0, 0, 0]))
    expect(list(await pending)).toEqual(expected)
    expect(list(await f(tensor([1, 1, 1])))).toEqual([0, 0, 0])
  })

  test('what is computed of captured tensors alone is that of each call', async () => {
    const w = tensor([
      [0.1, 0.2],
      [0.3, 0.4],
    ])
    const f = compile((x: Tensor) => x.matmul(deep(w).transpose(0, 1)))
    const x = tensor([
      [1, 0],
      [0, 1],
    ])
    const now = (): unknown => list(x.matmul(deep(w).transpose(0, 1)))
    const expected: unknown[] = []
    const pending: Promise<Tensor>[] = []
    for (let i = 0; i < 4; i++) {
      expected.push(now())
      pending.push(f(x))
      // a queued write, behind the call
      if (i % 2 === 0) assign(w, w.mul(-2))
      else await turn()
    }
    const got = (await Promise.all(pending)).map(list)
    for (let i = 0; i < 4; i++) expect(JSON.stringify(got[i])).toBe(JSON.stringify(expected[i]))
  })

  test('programs that write what a waiting one reads come behind it', async () => {
    const state = zeros([3])
    const small = compile((x: Tensor) => assign(state, state.add(x)))
    const large = compile((x: Tensor) => deep(x.add(state)))
    const ones = tensor([1, 1, 1])
    await small(ones)
    const results = [large(ones), small(ones), large(ones), small(ones), large(ones)]
    const [a, , c, , e] = (await Promise.all(results)) as Tensor[]
    expect([list(a), list(c), list(e)]).toEqual([2, 3, 4].map((n) => list(deep(tensor([n, n, n])))))
    expect(list(state)).toEqual([3, 3, 3])
  })

  test('random numbers are those of the order of calls', async () => {
    const drop = new nn.Dropout(0.5)
    const make = (): ((x: Tensor) => Tensor)[] => [(x) => deep(drop.forward(x)), (x) => x.add(rand([4]))]
    manualSeed(11)
    const [large, small] = make().map((fn) => compile(fn))
    const x = tensor([1, 2, 3, 4])
    const expected = [large.sync(x), small.sync(x), rand([4]), large.sync(x)].map(list)
    manualSeed(11)
    const [other, otherSmall] = make().map((fn) => compile(fn))
    const state = getRandomState()
    const pending = [other(x), otherSmall(x), rand([4]), other(x)]
    expect((await Promise.all(pending)).map(list)).toEqual(expected)
    setRandomState(state)
    expect(list(await other(x))).toEqual(expected[0])
  })

  test('gradients of leaves and of arguments are there at the call', async () => {
    const w = tensor([0.5, -0.5], { requiresGrad: true })
    const run = compile((x: Tensor) => {
      const y = deep(x.mul(w)).sum()
      y.backward()
      return y
    })
    const eager = (x: Tensor): unknown[] => {
      const own = tensor([0.5, -0.5], { requiresGrad: true })
      deep(x.mul(own)).sum().backward()
      return [list(own.grad), list(x.grad)]
    }
    const x = tensor([1, 2], { requiresGrad: true })
    const pending = run(x)
    expect(w.grad).toBeDefined()
    const got = [list(w.grad), list(x.grad)]
    const [ofW, ofX] = eager(tensor([1, 2], { requiresGrad: true })) as number[][]
    ;(got[0] as number[]).forEach((g, i) => expect(g).toBeCloseTo(ofW[i], 6))
    ;(got[1] as number[]).forEach((g, i) => expect(g).toBeCloseTo(ofX[i], 6))
    await pending
    await run(x)
    ;(list(w.grad) as number[]).forEach((g, i) => expect(g).toBeCloseTo(2 * ofW[i], 5))
  })

  test('a call that fails puts back what it showed, and those behind it run', async () => {
    const table = tensor(
      [
        [1, 2],
        [3, 4],
      ],
      { requiresGrad: true },
    )
    const f = compile((i: Tensor) => {
      const y = deep(table.indexSelect(i)).sum()
      y.backward()
      return y
    })
    const bad = f(tensor([5], { dtype: 'int32' }))
    const good = f(tensor([1], { dtype: 'int32' }))
    await expect(bad).rejects.toMatchObject({ code: 'ERR_INDEX_RANGE' })
    expect(Number.isFinite((await good).item())).toBe(true)
    const [first, second] = list(table.grad) as number[][]
    expect(first).toEqual([0, 0])
    expect(second.every((g) => g !== 0)).toBe(true)
  })

  test('predictions pass a training step that is being built', async () => {
    const { model, step, x, y } = training()
    const before = list(await model.predict(x))
    const order: string[] = []
    const training1 = step(x, y).then(() => order.push('step'))
    const rows = model.predict(x).then((t) => {
      order.push('predict')
      return list(t)
    })
    expect(await rows).toEqual(before)
    await training1
    expect(order.sort()).toEqual(['predict', 'step'])
  })

  test('prepare, explain and calls share one program', async () => {
    const { step, x, y } = training()
    const pending = [step(x, y), step.prepare(x, y), step(x, y)]
    expect(step.explain(x, y)).toContain('matmul')
    await Promise.all(pending)
    expect(step.variants).toBe(1)
  })

  test('many shapes at once, within a small cache', async () => {
    const f = compile((x: Tensor) => deep(x), { cacheBytes: 1 })
    const sizes = Array.from({ length: 12 }, (_, i) => i + 1)
    const results = await Promise.all(sizes.map((n) => f(tensor(Array.from({ length: n }, (_, i) => i)))))
    for (const [i, n] of sizes.entries()) expect(list(results[i])).toEqual(list(deep(tensor(Array.from({ length: n }, (_, k) => k)))))
    expect(f.variants).toBeLessThan(13)
  })
})

it('a program that is built later runs on the backend of its call', async () => {
  const f = compile(deep)
  const x = tensor([1, 2, 3])
  const [first, second] = backends.map((which) => {
    let pending: Promise<Tensor> | undefined
    withBackend(which, () => {
      pending = f(x)
    })
    return pending as Promise<Tensor>
  })
  const eager = backends.map((which) => withBackend(which, () => list(deep(x))))
  for (const [i, result] of [await first, await second].entries()) {
    ;(list(result) as number[]).forEach((y, k) => expect(y).toBeCloseTo((eager[i] as number[])[k], 5))
  }
  expect(f.variants).toBe(2)
})
