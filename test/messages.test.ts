/** Messages about shapes and indices speak of what the user gave: not of padded batches, shuffled orders or the ops inside. */
import { describe, expect, test } from 'vitest'
import { compile, fit, gather, losses, metrics, nn, noGrad, oneHot, optim, type Tensor, tensor, zeros } from '../src/index.js'
import { onJs } from './support/backends.js'

const ids = (data: number[] | number[][]): Tensor => tensor(data as number[], { dtype: 'int32' })

class Words extends nn.Module {
  readonly table = new nn.Embedding(10, 4)
  forward(x: Tensor): Tensor {
    return this.table.forward(x).mean({ dim: 1 })
  }
}

/** The code and message of what is thrown, or rejected. */
async function said(what: () => unknown): Promise<string> {
  try {
    await what()
  } catch (error) {
    return `${(error as { code?: string }).code} ${(error as Error).message}`
  }
  return 'nothing'
}

const images = new nn.Sequential(new nn.Conv2d(1, 2, 3), new nn.Flatten(), new nn.Linear(72, 2))
const linear = new nn.Linear(3, 2)

describe('shapes in predict', () => {
  const one = 'If it is one sample, give a batch of it: [x]'
  test.each([
    [
      'a sample for a batch',
      () => linear.predict([1, 2, 3]),
      'input [3], 3 samples of one number each,',
      'Linear(3, 2) expects 3 features',
      one,
    ],
    ['nothing', () => linear.predict([]), 'input [] has no samples', 'Linear(3, 2) expects 3 features', 'zeros([0, …])'],
    [
      'too few numbers',
      () => linear.predict([1, 2]),
      'input [2], 2 samples of one number each,',
      'Linear(3, 2) expects 3 features',
      'inFeatures',
    ],
    ['features', () => linear.predict(zeros([3, 4])), 'input [3, 4], 3 samples of [4] each,', 'expects 3 features', 'received [3, 4]'],
    ['many rows', () => linear.predict(zeros([100, 4])), 'input [100, 4], 100 samples', 'expects 3 features', 'received [100, 4]'],
    [
      'a type',
      () => linear.predict(ids([[1, 2, 3]])),
      'input [1, 3], 1 sample of [3] each,',
      'expects float32',
      "Convert with .to('float32')",
    ],
    ['an image', () => images.predict(zeros([1, 8, 8])), 'input [1, 8, 8], 1 sample of [8, 8] each,', 'images [N, C, H, W]', one],
    ['no channels', () => images.predict(zeros([5, 8, 8])), 'input [5, 8, 8], 5 samples', 'images [N, C, H, W]', '.unsqueeze(1)'],
    ['sizes', () => images.predict(zeros([3, 1, 8, 7])), 'input [3, 1, 8, 7]', 'Linear(72, 2) expects 72 features', 'received [3, 60]'],
  ])('%s', async (_, predict, ...parts) => {
    const text = await said(predict)
    for (const part of parts) expect(text).toContain(part)
    // what three, five and a hundred samples are padded to, or cut into
    expect(text).not.toMatch(/received \[(4|8|64)[,\]]/)
  })

  test('outputs that are no rows', async () => {
    class Sum extends nn.Module {
      forward(x: Tensor): Tensor {
        return x.sum(0)
      }
    }
    expect(await said(() => new Sum().predict(zeros([3, 5])))).toContain('predict: 3 samples gave an output of shape [5],')
    expect(await said(() => new Sum().predict(zeros([300, 5])))).toContain('predict: 300 samples gave an output,')
  })
})

describe.each([
  ['native', (f: () => Promise<void>) => f],
  ['TypeScript', (f: () => Promise<void>) => () => onJs(f)],
])('indices out of range, %s', (_, on) => {
  const embedding = 'ERR_INDEX_RANGE Embedding(10, 4): index'
  test(
    'predict',
    on(async () => {
      const words = new Words()
      expect(await said(() => words.predict(ids([[1, 2, 30]])))).toContain(`${embedding} 30 at [0, 2] is out of range for 10 rows`)
      const three = [
        [1, 2, 3],
        [1, 2, 3],
        [1, -2, 3],
      ]
      expect(await said(() => words.predict(ids(three)))).toContain(`${embedding} -2 at [2, 1] is`)
      const many = Array.from({ length: 200 }, (_, i) => [1, i === 150 ? 12 : 2])
      expect(await said(() => words.predict(ids(many)))).toContain(`${embedding} 12 at [150, 1] is`)
    }),
  )

  test(
    'forward, and compiled code',
    on(async () => {
      const words = new Words()
      const x = ids([[1, 2, 30]])
      const wanted = `${embedding} 30 at [0, 2] is out of range for 10 rows: allowed are 0 to 9. Check the labels or indices.`
      expect(await said(() => words.forward(x))).toBe(wanted)
      expect(await said(() => noGrad(() => words.forward(x)))).toBe(wanted)
      expect(await said(() => compile((t: Tensor) => words.forward(t))(x))).toContain(wanted)
      expect(await said(() => compile((t: Tensor) => words.forward(t).sum().backward())(x))).toContain(wanted)
      expect(await said(() => new nn.EmbeddingBag(10, 4).forward(x))).toContain('EmbeddingBag(10, 4): index 30 at [0, 2] is')
    }),
  )

  test.each([true, false])('fit names the sample, compile: %s', async (how) =>
    on(async () => {
      const y = Array.from({ length: 100 }, (_, i) => (i === 77 ? 5 : i % 2))
      const nll = (o: Tensor, t: Tensor): Tensor => losses.nllLoss(o.logSoftmax(1), t)
      for (const [name, loss] of [['crossEntropy', losses.crossEntropy] as const, ['nllLoss', nll] as const]) {
        const model = new nn.Linear(3, 2)
        const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 })
        const text = await said(() => fit(model, [zeros([100, 3]), y], { loss, optimizer, progress: false, compile: how }))
        expect(text).toContain(`ERR_INDEX_RANGE ${name}: index 5 at position 77 is out of range for 2 classes`)
      }
      const words = new nn.Sequential(new Words(), new nn.Linear(4, 2))
      const x = ids(Array.from({ length: 90 }, (_, i) => [3, i === 61 ? -1 : 2]))
      const optimizer = new optim.SGD(words.parameters(), { lr: 0.1 })
      const zeroes = Array.from({ length: 90 }, () => 0)
      const options = { loss: losses.crossEntropy, optimizer, progress: false, compile: how } as const
      expect(await said(() => fit(words, [x, zeroes], options))).toContain(`${embedding} -1 at [61, 1] is`)
    })(),
  )

  const x = zeros([3, 4])
  const positions = ids([0, 4])
  test.each<[string, string, (at: (...index: number[]) => Tensor) => unknown]>([
    ['crossEntropy', 'index 9 at [0, 3] is', () => losses.crossEntropy(zeros([1, 3, 4]), ids([[0, 1, 2, 9]]))],
    ['nllLoss', 'index -1 at [1, 0] is', () => losses.nllLoss(zeros([2, 3, 1]), ids([[0], [-1]]), { weight: [1, 2, 3] })],
    ['focalLoss', 'index 3 at position 1 is', () => losses.focalLoss(zeros([2, 3]), [0, 3], { weight: [1, 2, 3] })],
    ['multiMarginLoss', 'index 7 at position 1 is', () => losses.multiMarginLoss(zeros([2, 3]), [1, 7])],
    [
      'multilabelMarginLoss',
      'index 7 at [1, 1] is',
      () =>
        losses.multilabelMarginLoss(
          zeros([2, 2]),
          ids([
            [0, -1],
            [1, 7],
          ]),
        ),
    ],
    ['at', 'index 4 at [0, 1] is', () => x.at(null, ids([[0, 4]]))],
    ['at', 'index -5 at position 1 is', () => x.at(null, ids([0, -5]))],
    [
      'gather',
      'index 4 at [1, 1] is',
      () =>
        gather(
          x,
          ids([
            [0, 1],
            [2, 4],
          ]),
          1,
        ),
    ],
    ['scatter', 'index 4 at [0, 1] is', () => x.scatter(ids([[0, 4]]), 1, 1)],
    ['scatterAdd', 'index 4 at [0, 1] is', () => x.scatterAdd(ids([[0, 4]]), 1, 1)],
    ['indexAdd', 'index 4 at position 1 is', () => x.indexAdd(positions, zeros([3, 2]), 1)],
    ['indexCopy', 'index 4 at position 1 is', () => x.indexCopy(positions, zeros([3, 2]), 1)],
    ['take', 'index 12 at [1, 0] is', () => x.take(ids([[0], [12]]))],
    ['oneHot', 'index 7 at position 2 is out of range for 5 classes', () => oneHot([0, 3, 7], 5)],
  ])('%s: %s', async (name, text, run) =>
    on(async () => expect(await said(run as () => unknown)).toContain(`ERR_INDEX_RANGE ${name}: ${text}`))(),
  )

  test(
    'inside compile, where nothing can be looked at before',
    on(async () => {
      const add = zeros([3, 2])
      expect(await said(() => compile((t: Tensor) => x.indexAdd(t, add, 1))(positions))).toContain('indexAdd: index 4 at position 1 is')
      expect(await said(() => compile((t: Tensor) => x.take(t))(ids([0, 12])))).toContain('take: index 12 at position 1 is')
      expect(await said(() => compile((t: Tensor) => x.at(null, t))(positions))).toContain('at: index 4 at position 1 is')
    }),
  )
})

describe('labels that no output can be', () => {
  const labels = ids([0, 1, 2])
  test.each(['accuracy', 'topKAccuracy', 'confusionMatrix'] as const)('%s refuses them', async (name) => {
    const wanted = `ERR_INDEX_RANGE ${name}: index 2 at position 2 is out of range for 2 classes`
    const metric = (o: Tensor, t: Tensor): Tensor => metrics[name](o, t)
    const outputs = zeros([3, 2])
    expect(await said(() => metric(outputs, labels))).toContain(wanted)
    expect(await said(() => compile(metric)(outputs, labels))).toContain(wanted)
    await onJs(async () => expect(await said(() => compile(metric)(outputs, labels))).toContain(wanted))
    expect(await said(() => metric(zeros([1, 2, 2]), ids([[0, -1]])))).toContain('index -1 at [0, 1]')
  })

  // of multilabelMarginLoss only -1 ends a list of labels
  test.each([
    [
      'ctcLoss',
      'index 3 at [1, 1]',
      zeros([5, 2, 3]),
      [
        [1, 2],
        [1, 3],
      ],
      (x: Tensor, y: Tensor): Tensor => losses.ctcLoss(x, y, [5, 5], [2, 2]),
    ],
    ['ctcLoss', 'index 3 at position 1', zeros([5, 3]), [1, 3], (x: Tensor, y: Tensor): Tensor => losses.ctcLoss(x, y, [5], [2])],
    [
      'multilabelMarginLoss',
      'index -2 at [0, 1]',
      zeros([1, 3]),
      [[0, -2, -1]],
      (x: Tensor, y: Tensor): Tensor => losses.multilabelMarginLoss(x, y),
    ],
  ] as const)('%s: %s', async (name, text, x, y, run) => {
    const wanted = `ERR_INDEX_RANGE ${name}: ${text} is out of range for 3 classes`
    const targets = tensor(y as unknown as number[][], { dtype: 'int32' })
    expect(await said(() => run(x, targets))).toContain(wanted)
    expect(await said(() => compile(run)(x, targets))).toContain(wanted)
    await onJs(async () => expect(await said(() => compile(run)(x, targets))).toContain(wanted))
  })

  test('also in fit, and in its validation', async () => {
    const model = new nn.Linear(3, 2)
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 })
    const y = [0, 1, 0, 4]
    const half = (o: Tensor): Tensor => o.square().mean()
    const options = { loss: half, optimizer, progress: false, metrics: { accuracy: metrics.accuracy } } as const
    const wanted = 'accuracy: index 4 at position 3 is'
    expect(await said(() => fit(model, [zeros([4, 3]), y], options))).toContain(wanted)
    const validation = [zeros([4, 3]), y] as const
    expect(await said(() => fit(model, [zeros([4, 3]), [0, 1, 0, 1]], { ...options, validation }))).toContain(wanted)
  })
})
