/** Compiling ahead: `prepare` has no effect but that later calls find their program, lets the event loop answer, and is right whatever happens meanwhile. */
import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/backend/select.js'
import {
  compile,
  fit,
  getRandomState,
  losses,
  manualSeed,
  nn,
  noGrad,
  optim,
  rand,
  randint,
  randn,
  type Tensor,
  tensor,
} from '../../src/index.js'
import { backends } from '../support/backends.js'

const list = (t: Tensor | undefined): unknown => t?.toArray()
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function training() {
  const model = new nn.Sequential(new nn.Linear(4, 8), new nn.Dropout(0.5), new nn.Linear(8, 3))
  const optimizer = new optim.Adam(model.parameters())
  let traces = 0
  const step = compile((x: Tensor, y: Tensor) => {
    traces++
    optimizer.zeroGrad()
    const loss = losses.crossEntropy(model.forward(x), y)
    loss.backward()
    optimizer.step()
    return loss
  })
  return { model, optimizer, step, traces: () => traces }
}

const batch = (n: number): [Tensor, Tensor] => [randn([n, 4]), randint(3, [n])]

describe.each(backends)('prepare on %s', (which) => {
  const test = (name: string, fn: () => unknown): void => it(name, () => withBackend(which, fn as () => Promise<void>))

  test('compiles, and changes nothing', async () => {
    const { model, step, traces } = training()
    const shapes = batch(5)
    const before = [list(model.parameters()[0]), getRandomState()]
    await step.prepare(...shapes)
    expect([list(model.parameters()[0]), getRandomState()]).toEqual(before)
    expect(model.parameters().every((p) => p.grad === undefined)).toBe(true)
    const traced = traces()
    await step(...batch(5))
    expect(traces()).toBe(traced)
    expect(step.variants).toBe(1)
    await step.prepare(...batch(5))
    expect(step.variants).toBe(1)
  })

  test('the event loop goes on, and calls made meanwhile need not wait', async () => {
    const { step } = training()
    let turns = 0
    let over = false
    const preparing = step.prepare(...batch(5)).then(() => void (over = true))
    while (!over) {
      turns++
      await turn()
    }
    await preparing
    expect(turns).toBeGreaterThan(4)
    const other = training()
    const slow = other.step.prepare(...batch(3))
    const loss = other.step.sync(...batch(3))
    expect(Number.isFinite(loss.item())).toBe(true)
    await slow
    await Promise.all([other.step.prepare(...batch(6)), other.step.prepare(...batch(6)), other.step.prepare(...batch(7))])
    await other.step(...batch(6))
  })

  test('what changes meanwhile is seen by the call', async () => {
    for (let pause = 0; pause < 8; pause++) {
      manualSeed(1)
      const { model, step } = training()
      const frozen = model.parameters()[0]
      const preparing = step.prepare(...batch(4))
      for (let i = 0; i < pause; i++) await turn()
      model.eval()
      frozen.requiresGrad = false
      await preparing
      const [x, y] = batch(4)
      const before = list(frozen)
      const expected = noGrad(() => losses.crossEntropy(model.forward(x), y).item())
      expect((await step(x, y)).item()).toBeCloseTo(expected, 5)
      expect(list(frozen)).toEqual(before)
    }
  })

  test('says what is wrong, as the call does', async () => {
    const { step } = training()
    await expect(step.prepare(randn([3, 5]), randint(3, [3]))).rejects.toThrow('features')
    let calls = 0
    await expect(compile((x: Tensor) => x.mul(calls++)).prepare(tensor([1]))).rejects.toThrow('two traces')
    const noGradient = compile((x: Tensor) => x.mul(2))
    const inside = noGrad(() => ({ done: noGradient.prepare(rand([3])) }))
    await inside.done
    await compile((x: Tensor) => x.mul(2), { eager: true }).prepare(rand([3]))
    noGrad(() => noGradient.sync(rand([3])))
    expect(noGradient.variants).toBe(1)
  })

  test('fit trains the same, over batches of several sizes', async () => {
    const last: number[] = []
    for (const eager of [true, false]) {
      manualSeed(2)
      const model = new nn.Linear(4, 3)
      const optimizer = new optim.Adam(model.parameters())
      const options = { loss: losses.crossEntropy, optimizer, epochs: 2, batchSize: 32, progress: false, compile: !eager } as const
      last.push((await fit(model, batchOf(70), options)).epochs[1].loss)
    }
    expect(last[1]).toBeCloseTo(last[0], 4)
  })
})

const batchOf = (n: number): [Tensor, Tensor] => {
  const x = randn([n, 4])
  return [x, x.argmax(1).remainder(3).to('int32')]
}
