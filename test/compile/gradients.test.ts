/**
 * The gradients that compiled calls leave: one set to spare for all variants of all functions, never memory that somebody looks at, and as eager
 * code has them whatever the order of shapes, functions and failures.
 */
import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/backend/select.js'
import { compile, DataError, losses, manualSeed, nn, optim, rand, randint, randn, type Tensor, tensor } from '../../src/index.js'
import { backends } from '../support/backends.js'

const list = (t: Tensor | undefined): unknown => t?.toArray()
const product = compile((x: Tensor) => x.matmul(x).sum())
const large = rand([400, 400])

/** Keeps the queue busy, so that small calls are queued and not run in place. */
const occupy = (): Promise<Tensor> => product(large)

/** A step whose gradients stay after it, as code that begins with zeroGrad() leaves them. */
function stepOf(model: nn.Linear, how: 'zero first' | 'piling up' = 'zero first') {
  const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 })
  const body = (x: Tensor, y: Tensor): Tensor => {
    if (how === 'zero first') optimizer.zeroGrad()
    const loss = losses.crossEntropy(model.forward(x), y)
    loss.backward()
    if (how === 'zero first') optimizer.step()
    return loss
  }
  return { body, step: compile(body) }
}

const batch = (n: number): [Tensor, Tensor] => [randn([n, 4]), randint(3, [n])]

describe.each(backends)('gradients of compiled calls on %s', (which) => {
  const test = (name: string, fn: () => unknown): void => it(name, () => withBackend(which, fn as () => Promise<void>))

  test('lie in two sets of memory, whatever the number of shapes', async () => {
    const model = new nn.Linear(4, 3)
    const { step } = stepOf(model)
    const places = new Set<ArrayBufferLike>()
    for (let i = 0; i < 40; i++) {
      const args = batch(1 + ((i * 7) % 12))
      if (i % 2 === 0) step.sync(...args)
      else await step(...args)
      places.add(model.weight.leafGrad?.storage.bytes.buffer as ArrayBufferLike)
    }
    expect(step.variants).toBe(12)
    expect(places.size).toBe(2)
  })

  test('are shared by functions that take turns: gradients gathered by one and used by another', () => {
    const model = new nn.Linear(4, 3)
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 })
    const gather = stepOf(model, 'piling up').step
    const update = compile(() => {
      optimizer.step()
      optimizer.zeroGrad()
    })
    const places = new Set<ArrayBufferLike>()
    for (let i = 0; i < 20; i++) {
      gather.sync(...batch(2 + (i % 3)))
      places.add(model.weight.leafGrad?.storage.bytes.buffer as ArrayBufferLike)
      if (i % 4 === 3) update.sync()
    }
    expect(places.size).toBe(2)
  })

  test('that somebody looked at are never written again', async () => {
    manualSeed(3)
    const model = new nn.Linear(4, 3)
    const { step } = stepOf(model)
    const seen: { grad: Tensor; values: unknown }[] = []
    for (let i = 0; i < 30; i++) {
      await step(...batch(1 + (i % 5)))
      if (i % 4 === 0) seen.push({ grad: model.weight.grad as Tensor, values: list(model.weight.grad) })
      if (i % 7 === 0) seen.push({ grad: model.bias?.grad as Tensor, values: list(model.bias?.grad) })
    }
    for (const { grad, values } of seen) expect(list(grad)).toEqual(values)
    expect(new Set(seen.map(({ grad }) => grad.storage)).size).toBe(seen.length)
  })

  test('queued over several shapes, with failures in between, are those of the calls that did not fail', async () => {
    for (const how of ['zero first', 'piling up'] as const) {
      manualSeed(5)
      const [a, b] = [new nn.Linear(4, 3), new nn.Linear(4, 3)]
      b.loadStateDict(a.stateDict())
      const { step } = stepOf(a, how)
      const { body } = stepOf(b, how)
      for (let round = 0; round < 6; round++) {
        const calls = Array.from({ length: 8 }, (_, i) => {
          const [x, y] = batch(1 + ((i * 5 + round) % 4))
          const fails = (i * 3 + round) % 5 === 0
          return { x, y: fails ? y.add(7).to('int32') : y, fails }
        })
        const occupied = occupy()
        const settled = await Promise.allSettled(calls.map(({ x, y }) => step(x, y)))
        await occupied
        for (const [i, { x, y, fails }] of calls.entries()) {
          expect(settled[i].status).toBe(fails ? 'rejected' : 'fulfilled')
          if (!fails) body(x, y)
        }
        for (const name of ['weight', 'bias'] as const) {
          const [mine, theirs] = [a[name] as Tensor, b[name] as Tensor]
          const [got, expected] = [mine.leafGrad?.data ?? [], theirs.leafGrad?.data ?? []]
          expect(got.length).toBe(expected.length)
          expected.forEach((value, i) => void expect(got[i]).toBeCloseTo(value, 5))
          theirs.data.forEach((value, i) => void expect(mine.data[i]).toBeCloseTo(value, 5))
        }
      }
    }
  })

  test('a failed call of one shape leaves those of another', async () => {
    const model = new nn.Linear(4, 3)
    const { step } = stepOf(model)
    await step(...batch(3))
    await step(...batch(2))
    const before = list(model.weight.leafGrad)
    const wrong = tensor([5], { dtype: 'int32' })
    await expect(step(randn([1, 4]), wrong)).rejects.toThrow(DataError)
    expect(() => step.sync(randn([1, 4]), wrong)).toThrow(DataError)
    expect(list(model.weight.grad)).toEqual(before)
  })
})
