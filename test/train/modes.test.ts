/** Which modules train and which are in evaluation while `fit` and `generate` run: what the user's flags say, and nothing else. */
import { describe, expect, test } from 'vitest'
import { DataLoader, fit, losses, manualSeed, nn, optim, randn, StateError, type Tensor } from '../../src/index.js'
import { GPT } from '../../src/models/index.js'
import { mlp, points, setup } from './helpers.js'

const { x, y } = points(300)

/** A body with batch norm and dropout, and a head. */
class Net extends nn.Module {
  readonly body = new nn.Sequential(new nn.Linear(2, 8), new nn.BatchNorm1d(8), new nn.Dropout(0.5))
  readonly head = new nn.Linear(8, 3)
  forward(t: Tensor): Tensor {
    return this.head.forward(this.body.forward(t))
  }
  get norm(): nn.BatchNorm1d {
    return this.body[1] as nn.BatchNorm1d
  }
  get statistics(): number[] {
    const { runningMean, runningVar, numBatchesTracked } = this.norm
    return [runningMean, runningVar, numBatchesTracked].flatMap((t) => [...(t as Tensor).data])
  }
}

/** The net with a body as if trained before, in evaluation. */
function pretrained(frozen: boolean): { model: Net; optimizer: optim.SGD } {
  manualSeed(3)
  const model = new Net()
  model.norm.runningMean?.data.fill(0.3)
  model.norm.runningVar?.data.fill(2)
  model.body.requiresGrad_(!frozen).eval()
  const params = frozen ? model.head.parameters() : model.parameters()
  return { model, optimizer: new optim.SGD(params, { lr: 0.1 }) }
}

const loss = losses.crossEntropy
const refusal = { code: 'ERR_FIT_EVALUATION', message: expect.stringContaining('Call model.train() first') }

describe.each([true, false])('modes of fit (compile: %s)', (compile) => {
  const quiet = { loss, compile, progress: false as const }

  test('modules train, validation evaluates, and the flags stay', async () => {
    const seen: boolean[] = []
    class Spy extends nn.Module {
      readonly net = mlp()
      forward(t: Tensor): Tensor {
        seen.push(this.net[1].training)
        return this.net.forward(t)
      }
    }
    const model = new Spy()
    model.net[2].eval()
    await fit(model, [x, y], { ...setup(model), validation: [x, y], compile })
    // the validation data is tried first
    expect(seen[0]).toBe(false)
    expect(seen).toContain(true)
    expect(seen.at(-1)).toBe(false)
    expect(model.modules().map((m) => m.training)).toEqual([true, true, true, true, false])
  })

  test.each([true, false])('a body in evaluation keeps its running statistics and drops nothing (weights frozen: %s)', async (frozen) => {
    const { model, optimizer } = pretrained(frozen)
    const before = model.statistics
    await fit(model, [x, y], { ...quiet, optimizer, epochs: 2, shuffle: false, validation: [x, y] })
    expect(model.statistics).toEqual(before)
    // by hand, where the flags always counted
    const hand = pretrained(frozen)
    for (let epoch = 0; epoch < 2; epoch++) {
      for await (const [bx, by] of new DataLoader([x, y], { batchSize: 32 })) {
        hand.optimizer.zeroGrad()
        loss(hand.model.forward(bx), by).backward()
        hand.optimizer.step()
      }
    }
    const wanted = hand.model.parameters().flatMap((p) => [...p.data])
    model
      .parameters()
      .flatMap((p) => [...p.data])
      .forEach((w, i) => void expect(w).toBeCloseTo(wanted[i], 4))
  })

  test('flags changed between epochs count from then on', async () => {
    const model = new Net()
    const seen: number[][] = []
    for await (const { epoch } of fit(model, [x, y], { ...quiet, optimizer: new optim.SGD(model.parameters()), epochs: 4 })) {
      seen.push(model.statistics)
      if (epoch === 1) model.body.eval()
      if (epoch === 3) model.body.train()
    }
    expect(seen[1]).toEqual(seen[0])
    expect(seen[2]).toEqual(seen[0])
    expect(seen[3].at(-1)).toBe(20)
  })

  test('predictions meanwhile, and judging the body alone, change nothing', async () => {
    const model = new Net()
    for await (const _ of fit(model, [x, y], { ...quiet, optimizer: new optim.SGD(model.parameters()), epochs: 2 }))
      await model.body.predict(x)
    expect(model.statistics.at(-1)).toBe(20)
  })

  test('a model that is in evaluation as a whole is refused, before and between epochs', async () => {
    const model = new Net().eval()
    const options = { ...quiet, optimizer: new optim.SGD(model.parameters()), epochs: 2 }
    const before = model.statistics
    await expect(fit(model, [x, y], options)).rejects.toThrow(StateError)
    await expect(fit(model, [x, y], options)).rejects.toMatchObject(refusal)
    expect(model.statistics).toEqual(before)
    model.train()
    const training = fit(model, [x, y], options)
    const judged = (async () => {
      for await (const _ of training) model.eval().forward(randn([2, 2]))
    })()
    await expect(judged).rejects.toMatchObject(refusal)
    // the head alone in training was meant so
    model.head.train()
    await fit(model, [x, y], options)
  })
})

test('generate leaves a frozen part in evaluation', () => {
  const model = new GPT({ vocabSize: 5, blockSize: 4, nLayer: 2, nHead: 1, nEmbd: 4, dropout: 0.1 })
  model.children()[0].eval()
  const before = model.modules().map((m) => m.training)
  expect(before.filter((t) => !t).length).toBeGreaterThan(0)
  model.generate([[1, 2]], 2)
  expect(model.modules().map((m) => m.training)).toEqual(before)
})
