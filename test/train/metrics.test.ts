/** Metrics in `fit`: what it reports is the metric of the whole set, however the set is cut into batches. */
import { describe, expect, test } from 'vitest'
import { compile, fit, losses, manualSeed, metrics, nn, noGrad, optim, randn, type Tensor, tensor } from '../../src/index.js'
import { mlp, points, setup } from './helpers.js'

manualSeed(1)
const x = randn([70, 3])
const y = x
  .mul(tensor([1, -2, 0.5]))
  .sum({ dim: 1, keepdim: true })
  .add(randn([70, 1]).mul(0.3))
  .add(5)

/** A model that stays as it is, and its figures over all data at once. */
function still(): {
  model: nn.Linear
  outputs: Tensor
  options: { loss: typeof losses.mseLoss; optimizer: optim.SGD; progress: false; batchSize: number }
} {
  manualSeed(2)
  const model = new nn.Linear(3, 1)
  const outputs = noGrad(() => model.forward(x))
  return {
    model,
    outputs,
    options: { loss: losses.mseLoss, optimizer: new optim.SGD(model.parameters(), { lr: 0 }), progress: false, batchSize: 16 },
  }
}

/** R² as a reader of PyTorch code would write it. */
const r2 = (o: Tensor, t: Tensor): Tensor => t.sub(o).square().sum().div(t.sub(t.mean()).square().sum()).neg().add(1)
const rmse = (o: Tensor, t: Tensor): Tensor => t.sub(o).square().mean().sqrt()

/** The mean of F1 scores over classes, through counts. */
const f1 = metrics.wholeSet({
  update: (outputs, targets) => ({ counts: metrics.confusionMatrix(outputs, targets) }),
  compute: ({ counts }) => {
    const right = counts.diagonal()
    return right
      .mul(2)
      .div(counts.sum({ dim: 0 }).add(counts.sum({ dim: 1 })))
      .mean()
  },
})

describe.each([true, false])('over a whole set (compile: %s)', (compiled) => {
  test('R² and RMSE are those of all data at once, though the last batch is uneven', async () => {
    const { model, outputs, options } = still()
    const whole = { r2: r2(outputs, y).item(), rmse: rmse(outputs, y).item() }
    expect(whole.r2).toBeLessThan(0)
    const chosen = { r2: metrics.r2Score, rmse: metrics.rootMeanSquaredError }
    const { last } = await fit(model, [x, y], { ...options, metrics: chosen, validation: [x, y], compile: compiled })
    for (const name of ['r2', 'rmse'] as const) {
      expect(last?.metrics[name]).toBeCloseTo(whole[name], 4)
      expect(last?.valMetrics?.[name]).toBeCloseTo(whole[name], 4)
    }
  })

  test('an F1 score through counts', async () => {
    const model = mlp()
    const data = points(100)
    const options = { ...setup(model, 0), metrics: { f1, accuracy: metrics.accuracy }, batchSize: 32, compile: compiled }
    const { last } = await fit(model, [data.x, data.y], options)
    const outputs = noGrad(() => model.forward(tensor(data.x.data, { shape: [100, 2] })))
    expect(last?.metrics.f1).toBeCloseTo(f1(outputs, tensor(data.y)).item(), 6)
    // counts, not float32 quotients: 29 of 100 is 0.29
    const hits = metrics.confusionMatrix(outputs, tensor(data.y)).diagonal().sum().item()
    expect(last?.metrics.accuracy).toBe(hits / 100)
  })

  test('a function that is no mean over samples is refused before anything is trained', async () => {
    const perplexity = (o: Tensor, t: Tensor): Tensor => losses.mseLoss(o, t).exp()
    const middle = (o: Tensor, t: Tensor): Tensor => o.sub(t).abs().median()
    for (const [name, metric] of Object.entries({ r2, rmse, perplexity, middle })) {
      const { model, options } = still()
      const run = fit(model, [x, y], { ...options, metrics: { [name]: metric }, compile: compiled })
      await expect(run).rejects.toMatchObject({
        code: 'ERR_METRIC_NOT_A_MEAN',
        message: expect.stringMatching(
          new RegExp(`the metric ${name} is no mean over samples: it is .* for a batch of 16, .*metrics.wholeSet`),
        ),
      })
    }
  })

  test('means over samples of your own are averaged as ever', async () => {
    const { model, outputs, options } = still()
    const within = (o: Tensor, t: Tensor): Tensor => o.sub(t).abs().lt(5).to('float32').mean()
    const top = (o: Tensor, t: Tensor): Tensor => metrics.binaryAccuracy(o, t.gt(5).to('float32'), { threshold: 5 })
    const bias = (o: Tensor, t: Tensor): Tensor => o.sub(t).mean()
    const { last } = await fit(model, [x, y], { ...options, metrics: { within, top, bias, loss2: losses.l1Loss }, compile: compiled })
    expect(last?.metrics.within).toBeCloseTo(within(outputs, y).item(), 6)
    expect(last?.metrics.top).toBeCloseTo(top(outputs, y).item(), 6)
    expect(last?.metrics.bias).toBeCloseTo(bias(outputs, y).item(), 5)
    expect(last?.metrics.loss2).toBeCloseTo(losses.l1Loss(outputs, y).item(), 5)
  })

  test('a metric that sees single batches by its nature says so', async () => {
    const { model, options } = still()
    const spread = metrics.wholeSet({
      update: (o) => ({ sum: o.amax().sub(o.amin()), batches: 1 }),
      compute: ({ sum, batches }) => sum.div(batches),
    })
    const { last } = await fit(model, [x, y], { ...options, metrics: { spread }, shuffle: false, batchSize: 35, compile: compiled })
    const outputs = noGrad(() => model.forward(x))
    const of = (at: number): number => {
      const part = outputs.narrow(0, at, 35)
      return part.amax().sub(part.amin()).item()
    }
    expect(last?.metrics.spread).toBeCloseTo((of(0) + of(35)) / 2, 5)
  })

  test('what update returns is checked', async () => {
    const { model, options } = still()
    const run = (update: never): Promise<unknown> =>
      fit(model, [x, y], { ...options, metrics: { odd: metrics.wholeSet({ update, compute: () => 0 }) }, compile: compiled }).then()
    await expect(run((() => 3) as never)).rejects.toMatchObject({
      code: 'ERR_METRIC_STATE',
      message: expect.stringContaining('the metric odd: update must return'),
    })
    await expect(run((() => ({ a: 'b' })) as never)).rejects.toMatchObject({ code: 'ERR_METRIC_STATE' })
    await expect(run(((o: Tensor) => ({ all: o })) as never)).rejects.toMatchObject({
      code: 'ERR_METRIC_STATE',
      message: expect.stringContaining('all has shape [16, 1] in one batch and [6, 1] in another'),
    })
  })
})

describe('values', () => {
  // the examples of sklearn.metrics.r2_score
  test('R²', () => {
    expect(metrics.r2Score(tensor([2.5, 0, 2, 8]), tensor([3, -0.5, 2, 7])).item()).toBeCloseTo(0.9486081, 6)
    const many = [
      tensor([
        [0, 2],
        [-1, 2],
        [8, -5],
      ]),
      tensor([
        [0.5, 1],
        [-1, 1],
        [7, -6],
      ]),
    ] as const
    expect(metrics.r2Score(...many).item()).toBeCloseTo(0.9368005, 6)
    expect(metrics.r2Score(tensor([-2, -2, -2]), tensor([-2, -2, -2])).item()).toBe(1)
    expect(metrics.r2Score(tensor([-2, -2, -1]), tensor([-2, -2, -2])).item()).toBe(0)
    expect(metrics.r2Score(tensor([1]), tensor([1])).item()).toBeNaN()
    expect(metrics.r2Score(tensor([3, 2, 1]), tensor([1, 2, 3], { dtype: 'int32' })).item()).toBe(-3)
    expect(
      compile(metrics.r2Score)
        .sync(...many)
        .item(),
    ).toBeCloseTo(0.9368005, 6)
    expect(() => metrics.r2Score(tensor([1, 2]), tensor([[1], [2]]))).toThrow(/one shape/)
  })

  test('R² of targets far from zero, joined over batches', async () => {
    manualSeed(3)
    const model = new nn.Linear(1, 1)
    const inputs = Float32Array.from({ length: 90 }, (_, i) => i / 90)
    const targets = inputs.map((v, i) => 4000 + v + ((i * 7) % 5) / 50)
    noGrad(() => {
      model.weight.data.fill(1)
      model.bias?.data.fill(4000)
    })
    const options = {
      loss: losses.mseLoss,
      optimizer: new optim.SGD(model.parameters(), { lr: 0 }),
      progress: false as const,
      metrics: { r2: metrics.r2Score },
    }
    const data = [
      { data: inputs, shape: [90, 1] },
      { data: targets, shape: [90, 1] },
    ] as never
    const { last } = await fit(model, data, { ...options, batchSize: 7, shuffle: false })
    const mean = targets.reduce((a, b) => a + b, 0) / 90
    const outputs = inputs.map((v) => Math.fround(v + 4000))
    const over = (f: (t: number, i: number) => number): number => targets.reduce((a, t, i) => a + f(t, i), 0)
    const wanted = 1 - over((t, i) => (t - outputs[i]) ** 2) / over((t) => (t - mean) ** 2)
    expect(last?.metrics.r2).toBeCloseTo(wanted, 5)
  })

  test('RMSE', () => {
    expect(metrics.rootMeanSquaredError(tensor([1, 4]), tensor([0, 1])).item()).toBeCloseTo(Math.sqrt(5), 6)
  })
})
