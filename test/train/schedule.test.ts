/** What `fit` does with schedules and accumulated gradients, averages of weights, and the report on gradients. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  compile,
  fit,
  gradientFlow,
  loadCheckpoint,
  losses,
  manualSeed,
  nn,
  ones,
  optim,
  randn,
  saveCheckpoint,
  type Tensor,
  tensor,
} from '../../src/index.js'
import { mlp, points, setup, weights } from './helpers.js'

const { lrScheduler } = optim
const { x, y } = points(96)
const options = { batchSize: 16, shuffle: false, progress: false, loss: losses.crossEntropy } as const
const sgd = (model: nn.Module, lr = 0.1, momentum = 0): optim.SGD => new optim.SGD(model.parameters(), { lr, momentum })

describe('schedules', () => {
  test.each([true, false])('after each epoch (compile: %s)', async (compiled) => {
    const model = mlp()
    const optimizer = sgd(model)
    const scheduler = new lrScheduler.StepLR(optimizer, 1, { gamma: 0.5 })
    const rates: number[] = []
    for await (const _ of fit(model, [x, y], { ...options, optimizer, scheduler, epochs: 3, compile: compiled })) rates.push(optimizer.lr)
    expect(rates).toEqual([0.05, 0.025, 0.0125])
    // the same by hand
    const other = mlp()
    const by = sgd(other)
    for (let epoch = 0; epoch < 3; epoch++) {
      await fit(other, [x, y], { ...options, optimizer: by, compile: compiled })
      by.lr /= 2
    }
    expect(weights(model)).toEqual(weights(other))
  })

  test.each([true, false])('after each step (compile: %s)', async (compiled) => {
    const run = async (byFit: boolean): Promise<number[]> => {
      const model = mlp()
      const optimizer = sgd(model, 0.1, 0.9)
      const scheduler = new lrScheduler.OneCycleLR(optimizer, 0.2, { totalSteps: 12 })
      if (byFit) await fit(model, [x, y], { ...options, optimizer, scheduler, epochs: 2, compile: compiled })
      else
        for (let e = 0; e < 2; e++)
          for await (const _ of fit(model, [x, y], { ...options, optimizer, compile: compiled }).steps()) scheduler.step()
      expect(scheduler.lastEpoch).toBe(12)
      return weights(model)
    }
    const [a, b] = [await run(true), await run(false)]
    a.forEach((w, i) => expect(w).toBeCloseTo(b[i], 5))
  })

  test('by the validation loss, or another figure', async () => {
    const model = mlp()
    const optimizer = sgd(model, 1e-9)
    const scheduler = new lrScheduler.ReduceLROnPlateau(optimizer, { patience: 0, factor: 0.5, eps: 0 })
    await fit(model, [x, y], { ...options, optimizer, scheduler, epochs: 4, validation: [x, y] })
    expect(optimizer.lr).toBe(1e-9 / 8)
    const steps = new lrScheduler.ExponentialLR(optimizer, 0.5)
    await fit(model, [x, y], { ...options, optimizer, scheduler: { scheduler: steps, every: 'step' } })
    expect(steps.lastEpoch).toBe(6)
    let seen = 0
    const watched = new lrScheduler.ReduceLROnPlateau(optimizer)
    await fit(model, [x, y], { ...options, optimizer, scheduler: { scheduler: watched, monitor: (e) => (seen = e.loss) } })
    expect(seen).toBeGreaterThan(0)
  })

  test('wrong ones', async () => {
    const model = mlp()
    const optimizer = sgd(model)
    const refused = async (scheduler: unknown, message: string): Promise<void> =>
      expect(fit(model, [x, y], { ...options, optimizer, scheduler: scheduler as never })).rejects.toThrow(message)
    await refused({}, 'scheduler must be a schedule')
    await refused(new lrScheduler.StepLR(sgd(model), 1), 'must belong to the optimizer')
    await refused({ scheduler: new lrScheduler.StepLR(optimizer, 1), every: 'batch' }, "every must be 'epoch' or 'step'")
    await refused({ scheduler: new lrScheduler.ReduceLROnPlateau(optimizer), monitor: 'valLoss' }, 'scheduler.monitor must be one of loss')
    await expect(fit(model, [x, y], { ...options, optimizer, accumulate: 0 })).rejects.toThrow('accumulate')
    await expect(fit(model, [x, y], { ...options, optimizer: new optim.LBFGS(model.parameters()) })).rejects.toThrow(
      'step needs a function',
    )
  })

  describe('in checkpoints', () => {
    let folder = ''
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'chainrule-'))
    })
    afterAll(() => rm(folder, { recursive: true, force: true }))

    test('a training goes on bit for bit, rates included', async () => {
      const build = (): { model: nn.Sequential; optimizer: optim.RMSprop; scheduler: optim.lrScheduler.LRScheduler } => {
        const model = mlp()
        const optimizer = new optim.RMSprop(model.parameters(), { lr: 0.01, momentum: 0.5 })
        return { model, optimizer, scheduler: new lrScheduler.CosineAnnealingLR(optimizer, 6, { etaMin: 1e-4 }) }
      }
      const go = (b: ReturnType<typeof build>, epochs: number) =>
        fit(b.model, [x, y], { ...options, optimizer: b.optimizer, scheduler: b.scheduler, epochs })
      const whole = build()
      await go(whole, 6)
      const first = build()
      await go(first, 2)
      await saveCheckpoint(join(folder, 'a'), first)
      const second = build()
      await loadCheckpoint(join(folder, 'a'), second)
      expect(second.optimizer.lr).toBe(first.optimizer.lr)
      await go(second, 4)
      expect(weights(second.model)).toEqual(weights(whole.model))
      expect(second.optimizer.lr).toBe(whole.optimizer.lr)
      await saveCheckpoint(join(folder, 'b'), { model: first.model })
      await expect(loadCheckpoint(join(folder, 'b'), { model: second.model, scheduler: second.scheduler })).rejects.toThrow(
        'without a schedule',
      )
      const other = new lrScheduler.ReduceLROnPlateau(second.optimizer)
      await expect(loadCheckpoint(join(folder, 'a'), { model: second.model, scheduler: other })).rejects.toThrow('of another kind')
    })
  })
})

describe('accumulated gradients', () => {
  test.each([true, false])('are those of the larger batch (compile: %s)', async (compiled) => {
    const run = async (batchSize: number, accumulate: number): Promise<number[]> => {
      const model = mlp()
      await fit(model, [x, y], { ...options, batchSize, accumulate, optimizer: sgd(model, 0.3, 0.9), epochs: 3, compile: compiled })
      return weights(model)
    }
    const wanted = await run(48, 1)
    ;(await run(16, 3)).forEach((w, i) => expect(w).toBeCloseTo(wanted[i], 5))
    // 96 = 4·20 + 16 samples: the last group of an epoch is smaller
    const odd = await run(20, 4)
    expect(odd.every(Number.isFinite)).toBe(true)
    expect(odd).not.toEqual(wanted)
  })

  test('by hand', () => {
    const model = mlp()
    const optimizer = sgd(model)
    const part = compile((a: Tensor, b: Tensor) => losses.crossEntropy(model.forward(a), b).div(2).backward())
    const update = compile(() => {
      optimizer.step()
      optimizer.zeroGrad()
    })
    const [a, b] = [tensor(x.data, { shape: x.shape }), tensor(y)]
    part.sync(a.narrow(0, 0, 48), b.narrow(0, 0, 48))
    part.sync(a.narrow(0, 48, 48), b.narrow(0, 48, 48))
    update.sync()
    const other = mlp()
    losses.crossEntropy(other.forward(a), b).backward()
    sgd(other).step()
    weights(model).forEach((w, i) => expect(w).toBeCloseTo(weights(other)[i], 6))
  })
})

describe('averages of weights', () => {
  test('exponential and equal ones, eager and compiled', () => {
    for (const way of [(f: () => void) => f, (f: () => void) => compile(f).sync]) {
      const model = new nn.Linear(1, 1, { bias: false })
      const ema = new optim.AveragedModel(model, { decay: 0.9 })
      const swa = new optim.AveragedModel(model)
      const update = way(() => {
        ema.updateParameters(model)
        swa.updateParameters(model)
      })
      for (const w of [1, 2, 6]) {
        model.weight.assign(w)
        update()
      }
      expect(ema.module.weight.item()).toBeCloseTo((1 * 0.9 + 0.2) * 0.9 + 0.6, 5)
      expect(swa.module.weight.item()).toBeCloseTo(3, 5)
      expect(Object.keys(swa.stateDict())).toEqual(['n_averaged', 'module.weight'])
      expect(swa.forward(tensor([[2]])).item()).toBeCloseTo(6, 5)
      expect(model.weight.requiresGrad).toBe(true)
    }
    expect(() => new optim.AveragedModel(new nn.ReLU(), { decay: 2 })).toThrow('decay')
    expect(() => new optim.AveragedModel(3 as never)).toThrow('expected a model')
  })

  test('updateBn measures statistics anew', async () => {
    manualSeed(0)
    const model = new nn.Sequential(new nn.BatchNorm1d(2), new nn.Linear(2, 1))
    model.eval()
    const batches = [randn([32, 2]).add(3), randn([32, 2]).add(5)]
    await optim.updateBn(batches, model)
    const norm = model[0] as nn.BatchNorm1d
    const mean = batches.map((b) => b.mean({ dim: 0 }).at(0).item()).reduce((a, b) => a + b) / 2
    expect(norm.runningMean?.at(0).item()).toBeCloseTo(mean, 4)
    expect([norm.momentum, norm.training, norm.numBatchesTracked?.item()]).toEqual([0.1, false, 2])
    await expect(optim.updateBn([3], model)).rejects.toThrow('batches must be tensors')
  })
})

describe('gradientFlow', () => {
  const data = randn([64, 8])
  const target = randn([64, 1])
  const report = (model: nn.Layer, more = {}): ReturnType<typeof gradientFlow> =>
    gradientFlow(model, () => losses.mseLoss(model.forward(data), target), more)

  test('a sound network', () => {
    manualSeed(1)
    const model = new nn.Sequential(new nn.Linear(8, 32), new nn.ReLU(), new nn.Linear(32, 1))
    const optimizer = new optim.Adam(model.parameters(), { lr: 1e-3 })
    const before = weights(model)
    ;(model[0] as nn.Linear).weight.grad = ones([32, 8])
    const flow = report(model, { optimizer })
    expect(flow.findings).toEqual([])
    expect(flow.layers.map((l) => l.name)).toEqual(['0', '1', '2'])
    expect(flow.layers[0].updateRatio).toBeGreaterThan(1e-4)
    expect(flow.layers[1].dead).toBeLessThan(0.4)
    expect(flow.layers[2].outputGradRms).toBeGreaterThan(0)
    expect(String(flow)).toContain('Nothing conspicuous.')
    // nothing has changed
    expect(weights(model)).toEqual(before)
    expect((model[0] as nn.Linear).weight.grad?.sum().item()).toBe(256)
    expect((model[2] as nn.Linear).weight.grad).toBeUndefined()
    expect(optimizer.stateDict()['groups.0.step'].sum().item()).toBe(0)
    expect(Object.hasOwn(model[0], 'forward')).toBe(false)
  })

  test('vanishing: a deep stack of sigmoids', () => {
    manualSeed(2)
    const layers = Array.from({ length: 12 }, () => [new nn.Linear(8, 8), new nn.Sigmoid()]).flat()
    const flow = report(new nn.Sequential(...(layers as nn.Layer[]), new nn.Linear(8, 1)) as unknown as nn.Layer)
    expect(flow.findings.join()).toContain('Gradients vanish towards the input')
  })

  test('advice is given once, and where gradients have vanished a higher rate is none', () => {
    manualSeed(2)
    const stack = (layer: () => nn.Layer, n = 18): nn.Sequential =>
      new nn.Sequential(
        ...(Array.from({ length: n }, () => [new nn.Linear(8, 8), layer()]).flat() as nn.Layer[]),
        new nn.Linear(8, 1),
      ) as never
    const sigmoids = stack(() => new nn.Sigmoid())
    const deep = report(sigmoids as never, { optimizer: new optim.SGD(sigmoids.parameters(), { lr: 0.01 }) })
    expect(deep.findings.filter((f) => f.includes('Gradients vanish towards the input'))).toHaveLength(1)
    expect(deep.findings.join()).not.toContain('learning rate')
    // sound gradients, a rate that is too low: one sentence for all
    const sound = stack(() => new nn.Tanh(), 5)
    const slow = report(sound as never, { optimizer: new optim.Adam(sound.parameters(), { lr: 1e-9 }) })
    expect(slow.findings).toHaveLength(1)
    expect(slow.findings[0]).toMatch(/^A step moves 0, 2, 4, 6 and 2 more by as little as .* Raise the learning rate\.$/)
    // all gradients are tiny alike
    const tiny = gradientFlow(sound, () => losses.mseLoss(sound.forward(data as never) as Tensor, target).mul(1e-12), {
      optimizer: new optim.SGD(sound.parameters(), { lr: 0.01 }),
    })
    expect(tiny.findings).toHaveLength(1)
    expect(tiny.findings[0]).toContain('Gradients have vanished in 0, 2, 4, 6 and 2 more')
  })

  test('exploding, saturated, dead, unused', () => {
    manualSeed(3)
    const wide = new nn.Sequential(
      ...(Array.from({ length: 12 }, () => new nn.Linear(8, 8)) as nn.Layer[]),
      new nn.Linear(8, 1),
    ) as unknown as nn.Sequential
    for (const p of wide.parameters()) if (p.ndim === 2) p.assign(p.mul(20).detach())
    expect(report(wide).findings.join()).toContain('explode')
    const flat = new nn.Sequential(new nn.Linear(8, 8), new nn.Tanh(), new nn.Linear(8, 1))
    flat.parameters()[0].assign(flat.parameters()[0].mul(100).detach())
    expect(report(flat).findings.join()).toMatch(/\d+% of the outputs of 1 \(Tanh\) are saturated/)
    const dead = new nn.Sequential(new nn.Linear(8, 8), new nn.ReLU(), new nn.Linear(8, 1))
    dead.parameters()[1].assign(-100)
    expect(report(dead).findings.join()).toContain('100% of the units of 1 (ReLU) are dead')
    class Idle extends nn.Module {
      readonly used = new nn.Linear(8, 1)
      readonly spare = new nn.Linear(8, 1)
      forward(t: Tensor): Tensor {
        return this.used.forward(t)
      }
    }
    expect(report(new Idle()).findings.join()).toContain('spare (Linear) gets no gradient')
    const fast = new nn.Sequential(new nn.Linear(8, 1))
    expect(report(fast, { optimizer: new optim.Adam(fast.parameters(), { lr: 10 }) }).findings.join()).toContain(
      'the learning rate is too high',
    )
  })

  test('wrong use', () => {
    const model = mlp()
    expect(() => gradientFlow(3 as never, () => tensor(1))).toThrow('expected a model')
    expect(() => gradientFlow(model, 3 as never)).toThrow('expected a function')
    expect(() => gradientFlow(model, () => tensor([1, 2]))).toThrow('must return the loss')
    expect(setup(model).progress).toBe(false)
  })
})
