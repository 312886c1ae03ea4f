/** Watching and stopping a training: loops over epochs and steps, break, abort; and that the event loop goes on meanwhile. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { fit, losses, manualSeed, nn, optim } from '../../src/index.js'
import { mlp, points, setup, weights } from './helpers.js'

const { x, y } = points(320)

describe('for await', () => {
  test('gives epochs, and training waits for the body', async () => {
    const model = mlp()
    const run = fit(model, [x, y], { ...setup(model), epochs: 3 })
    const seen: number[] = []
    for await (const { epoch, loss } of run) {
      expect(loss).toBeGreaterThan(0)
      const before = weights(model)
      await sleep(20)
      expect(weights(model)).toEqual(before)
      seen.push(epoch)
    }
    expect(seen).toEqual([1, 2, 3])
    expect((await run).epochs).toHaveLength(3)
  })

  test('gives epochs that have passed, also when all is over', async () => {
    const model = mlp()
    const run = fit(model, [x, y], { ...setup(model), epochs: 2 })
    await run
    const seen: number[] = []
    for await (const { epoch } of run) seen.push(epoch)
    expect(seen).toEqual([1, 2])
    for await (const _ of run.steps()) throw new Error('no step is to come')
  })

  test('break ends it after the epoch, and the promise resolves', async () => {
    const model = mlp()
    const run = fit(model, [x, y], { ...setup(model), epochs: 100 })
    for await (const { epoch } of run) if (epoch === 2) break
    const after = weights(model)
    const history = await run
    expect(history).toMatchObject({ stopped: 'break', steps: 20 })
    expect(history.epochs).toHaveLength(2)
    await sleep(20)
    expect(weights(model)).toEqual(after)
  })

  test('an error in the body is the body’s, and ends the training', async () => {
    const model = mlp()
    const run = fit(model, [x, y], { ...setup(model), epochs: 100 })
    const loop = async (): Promise<void> => {
      for await (const _ of run) throw new RangeError('mine')
    }
    await expect(loop()).rejects.toThrow('mine')
    expect((await run).stopped).toBe('break')
  })

  test.each([true, false])('steps: after break exactly those seen have been taken (compile: %s)', async (compile) => {
    const model = mlp()
    const run = fit(model, [x, y], { ...setup(model), epochs: 3, shuffle: false, compile })
    const losses: Promise<number>[] = []
    for await (const { step, epoch, loss } of run.steps()) {
      expect(epoch).toBe(Math.ceil(step / 10))
      losses.push(loss)
      if (step === 13) break
    }
    expect(losses).toHaveLength(13)
    expect(await run).toMatchObject({ stopped: 'break', steps: 13 })
    expect((await Promise.all(losses)).every((loss) => loss > 0)).toBe(true)
    const other = mlp()
    const again = fit(other, [x, y], { ...setup(other), epochs: 3, shuffle: false, compile })
    for await (const { step, loss } of again.steps()) {
      await loss
      if (step === 13) break
    }
    expect(weights(other)).toEqual(weights(model))
  })

  test('epochs and steps together', async () => {
    const model = mlp()
    const run = fit(model, [x, y], { ...setup(model), epochs: 2 })
    let steps = 0
    const watch = async (): Promise<void> => {
      for await (const _ of run.steps()) steps++
    }
    const watching = watch()
    for await (const { epoch } of run) expect(steps).toBeGreaterThanOrEqual(epoch * 10 - 1)
    await watching
    expect(steps).toBe(20)
  })
})

describe('signal', () => {
  test('rejects with its reason, wherever it is', async () => {
    const reason = new Error('enough')
    const model = mlp()
    await expect(fit(model, [x, y], { ...setup(model), signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const control = new AbortController()
    const run = fit(model, [x, y], { ...setup(model), epochs: 1e6, signal: control.signal })
    setTimeout(() => control.abort(reason), 50)
    await expect(run).rejects.toBe(reason)
    const after = weights(model)
    await sleep(20)
    expect(weights(model)).toEqual(after)
    // the model is free again
    await fit(model, [x, y], setup(model))
  })

  test('ends a loop that is waiting, and one whose body is running', async () => {
    const reason = new Error('enough')
    const model = mlp()
    for (const inBody of [true, false]) {
      const control = new AbortController()
      const run = fit(model, [x, y], { ...setup(model), epochs: 1e6, signal: control.signal })
      if (!inBody) setTimeout(() => control.abort(reason), 30)
      const loop = async (): Promise<void> => {
        for await (const _ of run) if (inBody) control.abort(reason)
      }
      await expect(loop()).rejects.toBe(reason)
      await expect(run).rejects.toBe(reason)
    }
  })

  test('does not wait for data that does not come', async () => {
    const model = mlp()
    const control = new AbortController()
    const hangs = async function* (): AsyncGenerator<[Float32Array, Int32Array]> {
      await new Promise(() => {})
      yield [x.data, y]
    }
    const run = fit(model, hangs, { ...setup(model), signal: control.signal })
    setTimeout(() => control.abort(), 20)
    await expect(run).rejects.toThrow('aborted')
  })
})

describe('the event loop', () => {
  test('goes on while training', async () => {
    manualSeed(0)
    const model = new nn.Sequential(new nn.Linear(2, 64), new nn.ReLU(), new nn.Linear(64, 3))
    const run = fit(model, [x, y], {
      loss: losses.crossEntropy,
      optimizer: new optim.SGD(model.parameters(), { lr: 0.01 }),
      epochs: 1e6,
      progress: false,
    })
    let turns = 0
    const timer = setInterval(() => turns++, 1)
    const watching = (async () => {
      for await (const _ of run) if (turns >= 30) break
    })()
    await watching
    clearInterval(timer)
    expect(turns).toBeGreaterThanOrEqual(30)
  })

  test('predictions are answered while training', async () => {
    const model = mlp()
    const run = fit(model, [x, y], { ...setup(model), epochs: 1e6 })
    let answers = 0
    const ask = async (): Promise<void> => {
      for (let n = 1; n <= 20; n++) {
        const out = await model.predict(new Float32Array(2 * n), { shape: [n, 2] })
        expect(out.shape).toEqual([n, 3])
        expect(out.data.every(Number.isFinite)).toBe(true)
        answers++
      }
    }
    await Promise.all([ask(), ask(), ask()])
    for await (const _ of run) break
    expect(answers).toBe(60)
    expect(model.training).toBe(true)
  })

  test('a training nobody looks at ends the process like any failed promise, one that is looped over does not', async () => {
    const failures: unknown[] = []
    const note = (error: unknown): void => void failures.push(error)
    process.on('unhandledRejection', note)
    try {
      const model = mlp()
      const run = fit(model, [x, y.subarray(1)], setup(model))
      await expect(
        (async () => {
          for await (const _ of run) expect.unreachable()
        })(),
      ).rejects.toThrow('must agree')
      await sleep(20)
      expect(failures).toEqual([])
    } finally {
      process.off('unhandledRejection', note)
    }
  })
})
