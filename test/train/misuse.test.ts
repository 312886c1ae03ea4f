/** What can go wrong with `fit`, and that it is said before anything has changed. */
import { describe, expect, test } from 'vitest'
import {
  ArgumentError,
  DataLoader,
  fit,
  GradientError,
  getRandomState,
  losses,
  manualSeed,
  metrics,
  nn,
  optim,
  ShapeError,
  StateError,
  type Tensor,
  tensor,
} from '../../src/index.js'
import { mlp, points, setup, weights } from './helpers.js'

const { x, y } = points(96)

/** That a fit fails as expected and leaves the model, its buffers and its gradients as they were. */
async function refused(
  model: nn.Module,
  options: Parameters<typeof fit>[2],
  code: string,
  message: RegExp | string,
  data: unknown = [x, y],
): Promise<void> {
  const before = weights(model)
  const error = await fit(model, data as never, options).then(
    () => expect.unreachable(),
    (e: unknown) => e as Error & { code: string },
  )
  if (typeof message === 'string') expect(error.message).toContain(message)
  else expect(error.message).toMatch(message)
  expect(error.code).toBe(code)
  expect(weights(model)).toEqual(before)
  for (const p of model.parameters()) expect(p.grad).toBeUndefined()
}

describe.each([true, false])('before training (compile: %s)', (compile) => {
  test('a parameter that the optimizer does not hold', async () => {
    const model = mlp()
    const [first] = model
    const optimizer = new optim.SGD(first.parameters(), { lr: 0.1 })
    await refused(
      model,
      { ...setup(model), optimizer, compile },
      'ERR_FIT_OPTIMIZER',
      "parameters '2.weight', '2.bias' of the model are used but not given to the optimizer",
    )
    const most = new optim.SGD(model.parameters().slice(1), { lr: 0.1 })
    await refused(
      model,
      { ...setup(model), optimizer: most, compile },
      'ERR_FIT_OPTIMIZER',
      "parameter '0.weight' of the model is used but not given",
    )
    // frozen ones need not be
    first.requiresGrad_(false)
    await fit(model, [x, y], { ...setup(model), optimizer: new optim.SGD(model[2].parameters(), { lr: 0.1 }), compile })
  })

  test('what is no signal, and an iterator that is none', async () => {
    const model = mlp()
    await refused(model, { ...setup(model), compile, signal: new AbortController() as never }, 'ERR_SIGNAL', 'Pass its .signal.')
    await refused(model, { ...setup(model), compile, signal: {} as never }, 'ERR_SIGNAL', 'must be an AbortSignal')
    const broken = { [Symbol.iterator]: () => ({}) }
    await refused(model, { ...setup(model), compile }, 'ERR_FIT_DATA', 'Write a generator', broken)
    await refused(model, { ...setup(model), compile }, 'ERR_FIT_DATA', 'received undefined', () => undefined)
  })

  test('the optimizer of another model', async () => {
    const model = mlp()
    await refused(model, { ...setup(mlp()), compile }, 'ERR_FIT_OPTIMIZER', 'none of the parameters of this model')
  })

  test('layers in private fields and closures, plain tensors, models that only the loss knows', async () => {
    const outside = new nn.Linear(2, 2)
    class Net extends nn.Module {
      readonly #body = new nn.Linear(2, 2)
      readonly head = new nn.Linear(2, 3)
      readonly scale = tensor([1], { requiresGrad: true })
      get body(): nn.Linear {
        return this.#body
      }
      forward(t: Tensor): Tensor {
        return this.head.forward(this.#body.forward(outside.forward(t)).tanh()).mul(this.scale)
      }
    }
    const model = new Net()
    const hidden = [...model.body.parameters(), ...outside.parameters(), model.scale]
    await refused(
      model,
      { ...setup(model), compile },
      'ERR_FIT_OPTIMIZER',
      /a (parameter|tensor) of shape \[.*\], a .* and 1 more get gradients but belong neither to the model nor to the optimizer.*#private/,
    )
    for (const leaf of hidden) expect(leaf.grad).toBeUndefined()
    outside.requiresGrad_(false)
    model.body.requiresGrad_(false)
    await refused(
      model,
      { ...setup(model), compile },
      'ERR_FIT_OPTIMIZER',
      'fit: a tensor of shape [1] gets a gradient but belongs neither',
    )
    model.scale.requiresGrad = false
    await fit(model, [x, y], { ...setup(model), compile })
    // a teacher in the loss, until it is frozen
    const [pupil, teacher] = [mlp(), mlp(1)]
    const loss = (outputs: Tensor): Tensor => losses.mseLoss(outputs, teacher.forward(outputs.narrow(1, 0, 2)))
    await refused(pupil, { ...setup(pupil), loss, compile }, 'ERR_FIT_OPTIMIZER', 'freeze what is not to learn')
    for (const p of teacher.parameters()) expect(p.grad).toBeUndefined()
    teacher.requiresGrad_(false)
    await fit(pupil, [x, y], { ...setup(pupil), loss, compile })
  })

  test('leaves that the loss makes for itself, and its parameters that the optimizer holds, are in order', async () => {
    const trained = async (own: boolean): Promise<number[]> => {
      const model = mlp()
      const scale = new nn.Parameter(tensor([1]))
      const loss = (outputs: Tensor, targets: Tensor): Tensor => {
        const known = losses.crossEntropy(outputs.mul(scale), targets)
        if (!own) return known
        const at = outputs.detach()
        at.requiresGrad = true
        return known.add(at.square().mean())
      }
      const optimizer = new optim.SGD([...model.parameters(), scale], { lr: 0.1 })
      await fit(model, [x, y], { loss, optimizer, epochs: 2, compile, progress: false, shuffle: false })
      expect(scale.item()).not.toBe(1)
      return [...weights(model), scale.item()]
    }
    expect(await trained(true)).toEqual(await trained(false))
  })

  test('a parameter without a gradient', async () => {
    class Net extends nn.Module {
      readonly used = new nn.Linear(2, 3)
      readonly spare = new nn.Linear(2, 3)
      readonly norm = new nn.BatchNorm1d(2)
      readonly drop = new nn.Dropout(0.1)
      forward(t: Tensor): Tensor {
        return this.used.forward(this.drop.forward(this.norm.forward(t)))
      }
    }
    const model = new Net()
    const state = getRandomState()
    await refused(
      model,
      { ...setup(model), shuffle: false, compile },
      'ERR_FIT_NO_GRADIENT',
      "parameters 'spare.weight', 'spare.bias' were given to the optimizer but get no gradient",
    )
    expect(getRandomState()).toEqual(state)
    model.spare.requiresGrad_(false)
    await fit(model, [x, y], { ...setup(model), compile })
  })

  test('a loss that is no number, shapes that do not fit', async () => {
    const model = mlp()
    const options = { ...setup(model), compile }
    await refused(model, { ...options, loss: (o: Tensor) => o }, 'ERR_FIT_FIGURE', 'must return one number, received shape [32, 3]')
    await refused(model, { ...options, loss: (() => 3) as never }, 'ERR_FIT_FIGURE', 'received number')
    await refused(model, { ...options, metrics: { odd: (o: Tensor) => o } }, 'ERR_FIT_FIGURE', 'the metric odd must return one number')
    await expect(fit(mlp(), [new Float32Array(96), y], options)).rejects.toThrow(ShapeError)
    await refused(model, { ...options, validation: [[[1, 2, 3]], [0]] }, 'ERR_LAYER_INPUT', /expects 2 features/)
  })
})

test('options that make no sense', async () => {
  const model = mlp()
  const base = setup(model)
  const wrong = async (options: object, message: string): Promise<void> => {
    await expect(fit(model, [x, y], { ...base, ...options })).rejects.toThrow(message)
  }
  await wrong({ epochs: -1 }, 'epochs must be a whole number from 0, received -1')
  await wrong({ batchSize: 1.5 }, 'batchSize must be')
  await wrong({ metrics: [metrics.accuracy] }, 'metrics must be functions by name, like { accuracy: metrics.accuracy }, received an array')
  await wrong({ metrics: { loss: metrics.accuracy } }, 'a metric needs a name of its own')
  await wrong(
    { metrics: { counts: metrics.confusionMatrix } },
    'the metric counts must return one number, received shape [3, 3]. Reduce it with mean(), or make one of counts',
  )
  await wrong({ metrics: { three: () => 3 } }, 'received number. Leave out item().')
  await wrong({ epoch: 3 }, "unknown option 'epoch'")
  await wrong({ loss: undefined }, 'loss must be a function')
  await wrong({ optimizer: {} }, 'optimizer must be an optimizer')
  await wrong({ progress: 'yes' }, 'progress must be')
  await wrong({ metrics: { a: 'accuracy' } }, 'the metric a must be a function')
  await wrong({ earlyStopping: {} }, 'patience must be')
  await wrong({ earlyStopping: { patience: 1, monitor: 'valLoss' } }, 'monitor must be one of loss, or a function')
  await expect(fit({} as never, [x, y], base)).rejects.toThrow(ArgumentError)
  await expect(fit(model, [x, y], undefined as never)).rejects.toThrow('third argument')
  await expect(fit(model, new DataLoader([x, y]), { ...base, batchSize: 3 })).rejects.toThrow('a DataLoader has its own batchSize')
  await expect(
    fit(
      model,
      [
        [x, y],
        [x, y],
      ] as never,
      { ...base, seed: 3 },
    ),
  ).rejects.toThrow('has its own seed')
  for (const data of [null, 5, 'text', {}, new Float32Array(3)])
    await expect(fit(model, data as never, base)).rejects.toThrow('expected [inputs, targets]')
  await expect(fit(model, [x, y.subarray(1)], base)).rejects.toThrow('must agree in their first dimension')
  await expect(fit(model, [x] as never, base)).rejects.toThrow('expected [inputs, targets]')
  await expect(fit(model, [[], []] as never, base)).rejects.toThrow('expected [inputs, targets], received an array of 0')
})

test('data that runs out', async () => {
  const model = mlp()
  const once = (function* () {
    yield [x, y] as const
  })()
  await expect(fit(model, once, { ...setup(model), epochs: 2 })).rejects.toThrow('no batch in epoch 2: a generator can be used once')
  await expect(fit(model, [x, y], { ...setup(model), batchSize: 100, dropLast: true })).rejects.toThrow('smaller than one batch')
  await expect(fit(model, async function* () {}, setup(model))).rejects.toThrow('gave no batch')
  const fails = async function* (): AsyncGenerator<readonly unknown[]> {
    yield [x, y]
    throw new Error('disk on fire')
  }
  await expect(fit(model, fails, setup(model))).rejects.toThrow('disk on fire')
  await expect(fit(model, () => [5] as never, setup(model))).rejects.toThrow('is no [inputs, targets] pair')
})

test('two at once', async () => {
  const model = mlp()
  const first = fit(model, [x, y], { ...setup(model), epochs: 20 })
  const second = fit(model[0], [x, y], setup(model))
  await expect(second).rejects.toThrow(StateError)
  await first
  await fit(model, [x, y], setup(model))
})

describe('a loss that is not finite', () => {
  test('names NaN in the data', async () => {
    const model = mlp()
    const bad = Float32Array.from(x.data)
    bad[100] = Number.NaN
    const run = fit(model, [{ ...x, data: bad }, y], { ...setup(model), shuffle: false })
    await expect(run).rejects.toThrow('the loss became NaN at step 2 (epoch 1)')
    await expect(run).rejects.toThrow('the inputs of that batch hold 1 NaN or infinite values')
    await expect(run).rejects.toMatchObject({ code: 'ERR_LOSS_NOT_FINITE' })
  })

  test('advises on scale and learning rate', async () => {
    manualSeed(0)
    const model = new nn.Linear(2, 1)
    const large = { ...x, data: x.data.map((v) => v * 255) }
    const targets = { data: new Float32Array(96).fill(1), shape: [96, 1], dtype: 'float32' as const }
    const run = fit(model, [large, targets], {
      loss: losses.mseLoss,
      optimizer: new optim.SGD(model.parameters(), { lr: 10 }),
      epochs: 50,
      progress: false,
    })
    await expect(run).rejects.toThrow(/Scale the inputs.*Lower the learning rate: it is 10.00/)
    await expect(run).rejects.toBeInstanceOf(StateError)
  })

  describe.each([true, false])('restoreBest puts back the weights of the best epoch (compile: %s)', (compile) => {
    // a batch of the third epoch is spoilt
    const batches = (bad: number): (() => Generator<readonly unknown[]>) => {
      let epoch = 0
      return function* () {
        epoch++
        for (let i = 0; i < 3; i++) {
          const data = x.data.slice(64 * i, 64 * i + 64)
          if (epoch === bad && i === 1) data[5] = Number.NaN
          yield [{ ...x, data, shape: [32, 2] }, y.slice(32 * i, 32 * i + 32)]
        }
      }
    }
    const earlyStopping = { patience: Infinity, restoreBest: true }

    test('and what the optimizer had gathered, so that training can go on', async () => {
      const model = mlp()
      const options = { ...setup(model), epochs: 5, earlyStopping, compile }
      const kept: number[][] = []
      const judged = async (): Promise<void> => {
        for await (const _ of fit(model, batches(3), options)) kept.push(weights(model))
      }
      await expect(judged()).rejects.toThrow(/The weights of epoch 2, the best, are put back\.$/)
      expect(kept).toHaveLength(2)
      expect(weights(model)).toEqual(kept[1])
      await fit(model, batches(0), options)
      const whole = mlp()
      await fit(whole, batches(0), { ...options, ...setup(whole), epochs: 7 })
      expect(weights(model)).toEqual(weights(whole))
    })

    test('or those from before, when no epoch had ended', async () => {
      const model = mlp()
      const before = weights(model)
      await expect(fit(model, batches(1), { ...setup(model), earlyStopping, compile })).rejects.toThrow(
        'The weights from before fit are put back.',
      )
      expect(weights(model)).toEqual(before)
    })

    test('never weights that the last step of an epoch has spoilt', async () => {
      // the loss is finite, its gradient is not: √ at 0
      const model = new nn.Linear(1, 1)
      model.weight.data.fill(1)
      model.bias?.data.fill(0)
      const before = weights(model)
      const loss = (o: Tensor, t: Tensor): Tensor => o.sub(t).abs().sum().sqrt()
      const run = fit(
        model,
        [
          [[1], [2]],
          [[1], [2]],
        ],
        { ...setup(model), loss, epochs: 3, earlyStopping, compile },
      )
      await expect(run).rejects.toThrow('The weights from before fit are put back.')
      expect(weights(model)).toEqual(before)
    })
  })

  describe.each([true, false])('keeps the weights from before the step (compile: %s)', (compile) => {
    /** Batches of 8 of an epoch; number `bad` holds a number that is none. */
    const batches = (count: number, bad = -1, value = Number.NaN) =>
      function* (): Generator<readonly unknown[]> {
        for (let i = 0; i < count; i++) {
          const data = x.data.slice(16 * i, 16 * i + 16)
          if (i === bad) data[5] = value
          yield [{ ...x, data, shape: [8, 2] }, y.slice(8 * i, 8 * i + 8)]
        }
      }
    const moments = (o: optim.Optimizer): number[][] => o.moments().map((t) => [...t.data].map(Number))
    const train = async (data: () => Generator<readonly unknown[]>, more: object = {}) => {
      const model = mlp()
      const options = { ...setup(model), compile, ...more }
      const error = await fit(model, data, options).then(
        () => undefined,
        (e: unknown) => e as StateError,
      )
      return { weights: weights(model), moments: moments(options.optimizer), error }
    }

    test('and what the optimizer had gathered, whatever is queued behind it', async () => {
      const wanted = await train(batches(4))
      const got = await train(batches(12, 4))
      expect(got.error?.code).toBe('ERR_LOSS_NOT_FINITE')
      expect(got.error?.message).toMatch(/became NaN at step 5 \(epoch 1\).*The weights are those from before that step\.$/)
      expect(got.weights).toEqual(wanted.weights)
      expect(got.moments).toEqual(wanted.moments)
    })

    test('in the very first step too', async () => {
      const got = await train(batches(3, 0))
      expect(got.error?.message).toContain('became NaN at step 1')
      expect(got.weights).toEqual(weights(mlp()))
    })

    test.each([1, -1])('where the loss is infinite (%s)', async (sign) => {
      const infinite = (o: Tensor): Tensor => o.square().sum().mul(3e38).mul(3e38).mul(sign)
      const got = await train(batches(3), { loss: infinite })
      expect(got.error?.message).toContain(`became ${sign * Number.POSITIVE_INFINITY} at step 1`)
      expect(got.weights).toEqual(weights(mlp()))
    })

    test('with several batches a step', async () => {
      const wanted = await train(batches(6), { accumulate: 3 })
      for (const bad of [6, 7, 8]) {
        const got = await train(batches(12, bad), { accumulate: 3 })
        expect(got.error?.message).toContain(`became NaN at step ${bad + 1} `)
        expect(got.weights).toEqual(wanted.weights)
      }
      // the last group is not full
      const got = await train(batches(7, 6), { accumulate: 3 })
      expect(got.error?.message).toContain('became NaN at step 7 ')
      expect(got.weights).toEqual(wanted.weights)
    })

    test('says so where the step before has spoilt them: a finite loss whose gradient is not', async () => {
      const model = new nn.Linear(1, 1)
      model.weight.data.fill(1)
      model.bias?.data.fill(0)
      const ones = [[1], [1]]
      const loss = (o: Tensor, t: Tensor): Tensor => o.sub(t).abs().sum().sqrt()
      const run = fit(model, [ones, ones], { ...setup(model), loss, epochs: 3, compile })
      await expect(run).rejects.toThrow(/at step 2 .*The weights are spoilt now/)
    })

    test('those who watch steps see the loss', async () => {
      const model = mlp()
      const seen: number[] = []
      const watch = async (): Promise<void> => {
        for await (const { loss } of fit(model, batches(6, 2), { ...setup(model), compile }).steps()) seen.push(await loss)
      }
      await expect(watch()).rejects.toThrow('became NaN at step 3')
      expect(seen.slice(0, 2).every(Number.isFinite)).toBe(true)
      expect(seen[2]).toBeNaN()
    })
  })

  test('nothing that leads to the loss learns', async () => {
    const model = mlp().requiresGrad_(false)
    await expect(fit(model, [x, y], setup(model))).rejects.toThrow(GradientError)
  })
})
