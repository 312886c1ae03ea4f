/** What people write who come from PyTorch, TensorFlow.js or brain.js: it works, or a message says what to write instead. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import * as cr from '../src/index.js'
import {
  compile,
  DataLoader,
  fit,
  load,
  loadCheckpoint,
  losses,
  metrics,
  nn,
  ones,
  optim,
  rand,
  randn,
  save,
  saveCheckpoint,
  type Tensor,
  tensor,
  zeros,
} from '../src/index.js'

/** Calls as JavaScript makes them, with no types in the way. */
// biome-ignore lint/suspicious/noExplicitAny: what is tried here is what the types forbid
type Loose = any

const [x, y] = [randn([8, 4]), randn([8, 1])]
const linear = (): nn.Linear => new nn.Linear(4, 1)
const parameters = (): readonly Tensor[] => linear().parameters()
const training = (model: nn.Module, more: object = {}): Loose => ({
  loss: losses.mseLoss,
  optimizer: new optim.Adam(model.parameters()),
  progress: false,
  ...more,
})

async function message(call: () => unknown): Promise<string> {
  try {
    await call()
  } catch (error) {
    const { name, code, message } = error as Error & { code?: string }
    return `${name} ${code} ${message}`
  }
  return expect.unreachable('nothing was thrown')
}

describe('options that do not exist', () => {
  const calls: [name: string, call: () => unknown, said: string][] = [
    ['PyTorch spelling', () => new optim.AdamW(parameters(), { weight_decay: 0.1 } as Loose), "'weight_decay'. Write weightDecay."],
    ['another library', () => new optim.Adam(parameters(), { learningRate: 0.1 } as Loose), "'learningRate'. Known: lr, "],
    ['a group', () => new optim.SGD([{ params: parameters(), decay: 1 }] as Loose), "SGD: group 0: unknown option 'decay'"],
    ['a schedule', () => new optim.lrScheduler.StepLR(new optim.SGD(parameters()), 3, { rate: 1 } as Loose), "'rate'. Known: gamma."],
    ...(
      [
        [
          'conv2d',
          () => cr.conv2d(zeros([1, 1, 4, 4]), zeros([1, 1, 3, 3]), { pad: 1 } as Loose),
          'bias, stride, padding, dilation, groups',
        ],
        ['maxPool2d', () => cr.maxPool2d(zeros([1, 1, 4, 4]), 2, { strides: 1 } as Loose), 'stride, padding, dilation, ceilMode'],
        [
          'avgPool1d',
          () => cr.avgPool1d(zeros([1, 1, 4]), 2, { divisorOverride: 3 } as Loose),
          'stride, padding, ceilMode, countIncludePad',
        ],
        ['layerNorm', () => cr.layerNorm(zeros([2, 4]), 4, { epsilon: 1 } as Loose), 'weight, bias, eps'],
        ['rfft', () => cr.rfft(zeros([4]), { axis: 0 } as Loose), 'n, dim, norm'],
      ] as const
    ).map(([op, call, known]): [string, () => unknown, string] => [op, call, `Known: ${known}.`]),
    ['Linear', () => new nn.Linear(4, 4, { activation: 'relu' } as Loose), "Linear: unknown option 'activation'. Known: bias."],
    ['Conv2d', () => new nn.Conv2d(1, 4, 3, { pad: 1 } as Loose), "Conv2d: unknown option 'pad'. Known: stride, padding, "],
    ['ConvTranspose2d', () => new nn.ConvTranspose2d(1, 4, 3, { output_padding: 1 } as Loose), 'Write outputPadding.'],
    ['MaxPool2d', () => new nn.MaxPool2d(2, { strides: 2 } as Loose), "MaxPool2d: unknown option 'strides'"],
    ['LSTM', () => new nn.LSTM(4, 4, { batch_first: true } as Loose), "LSTM: unknown option 'batch_first'. Write batchFirst."],
    ['Transformer', () => new nn.Transformer(8, 2, { dim_feedforward: 8 } as Loose), 'Write dimFeedforward.'],
    ['a loss', () => losses.crossEntropy(randn([2, 3]), [0, 1], { label_smoothing: 0.1 } as Loose), 'Write labelSmoothing.'],
    ['an operation', () => x.sum({ keep_dim: true } as Loose), "sum: unknown option 'keep_dim'. Known: dim, keepdim."],
    ['predict', () => linear().predict(x, { batch_size: 2 } as Loose), 'Write batchSize.'],
    ['DataLoader', () => new DataLoader([x, y], { batch_size: 2 } as Loose), 'Write batchSize.'],
    [
      'early stopping',
      () => fit(linear(), [x, y], training(linear(), { earlyStopping: { patience: 1, restoreBestWeights: true } })),
      'Known: patience,',
    ],
    ['save', () => save(linear(), 'x', { format: 'pt' } as Loose), "save: unknown option 'format'"],
    [
      'backward',
      () =>
        linear()
          .forward(x)
          .sum()
          .backward(undefined, { retainGraph: true } as Loose),
      'Known: createGraph.',
    ],
    ['compile', () => compile((t: Tensor) => t, { fullgraph: true } as Loose), "compile: unknown option 'fullgraph'"],
    ['tensor, as in TensorFlow.js', () => tensor([1, 2, 3, 4], [2, 2] as Loose), 'tensor: options are an object, received [2, 2].'],
  ]
  test.each(calls)('%s', async (_, call, said) => {
    const text = await message(call)
    expect(text).toContain('ArgumentError ERR_OPTIONS ')
    expect(text).toContain(said)
  })

  it('lets names of tensors be what they are', async () => {
    const model = new nn.BatchNorm1d(4)
    model.loadStateDict(model.stateDict())
  })
})

describe('a promise in place of a tensor or of data', () => {
  const calls: [name: string, call: () => unknown][] = [
    ['in a loss', () => losses.mseLoss(linear().predict(x) as Loose, y)],
    ['in arithmetic', () => y.add(linear().predict(x) as Loose)],
    ['to fit', () => fit(linear(), Promise.resolve([x, y]) as Loose, training(linear()))],
    ['to predict', () => linear().predict(Promise.resolve(x) as Loose)],
    ['to an optimizer', () => new optim.Adam(Promise.resolve(parameters()) as Loose)],
  ]
  test.each(calls)('%s', async (_, call) => {
    expect(await message(call)).toContain('received a promise (await it).')
  })
})

describe('rows of typed arrays', () => {
  const rows = [Float32Array.of(1, 2), Float32Array.of(3, 4)]

  it('are nested arrays, of their type', () => {
    expect(tensor(rows).toArray()).toEqual([
      [1, 2],
      [3, 4],
    ])
    expect(tensor([[Int32Array.of(1)], [Int32Array.of(2)]])).toMatchObject({ shape: [2, 1, 1], dtype: 'int32' })
    expect(tensor([Uint8Array.of(0, 7)], { dtype: 'bool' }).toArray()).toEqual([[false, true]])
    expect(tensor([Float32Array.of(1, 2), [3, 4]]).toArray()).toEqual([
      [1, 2],
      [3, 4],
    ])
    expect(tensor([[0.5], Int32Array.of(1)], { dtype: 'float32' }).toArray()).toEqual([[0.5], [1]])
    expect(tensor([new Float32Array(0)]).shape).toEqual([1, 0])
  })

  it('train and predict', async () => {
    const model = new nn.Linear(2, 1)
    const { epochs } = await fit(model, [rows, rows.map((r) => r.subarray(0, 1))], training(model))
    expect(epochs[0].samples).toBe(2)
    await fit(model, [rows, [[1], [2]]], training(model))
    expect((await model.predict(rows)).shape).toEqual([2, 1])
    const labels = new nn.Linear(2, 3)
    await fit(labels, [rows, Uint8Array.of(0, 2)], training(labels, { loss: losses.crossEntropy }))
  })

  it('that do not fit are refused', async () => {
    expect(await message(() => tensor([Int32Array.of(1), [1.5]]))).toContain(
      'DTypeError ERR_DTYPE_MIXED tensor: rows of int32 and of float32',
    )
    expect(await message(() => tensor([[1.5], Int32Array.of(1)]))).toContain('ERR_DTYPE_MIXED')
    expect(await message(() => tensor([Uint8Array.of(1), Float32Array.of(1.5)]))).toContain('ERR_DTYPE_MIXED')
    expect(await message(() => tensor([Float32Array.of(1, 2), Float32Array.of(1)]))).toContain(
      'expected 2 at depth 1, received an array of 1',
    )
    expect(await message(() => tensor([Float32Array.of(1), Float32Array.of(1, 2)]))).toContain(
      'expected 1 at depth 1, received an array of 2',
    )
    expect(await message(() => tensor([new BigInt64Array(1)] as Loose))).toContain('BigInt64Array has no dtype here')
    const model = new nn.Linear(2, 1)
    const train = (inputs: Loose): Promise<unknown> => fit(model, [inputs, [[1], [2]]], training(model)) as Loose
    expect(await message(() => train([Float32Array.of(1, 2), Float32Array.of(1)]))).toContain('found an array of 1')
    expect(await message(() => train([Int32Array.of(1, 2), [1.5, 2]]))).toContain('fit: inputs: rows of int32 and of float32 do not mix')
    expect(await message(() => train([[1.5, 2], Int32Array.of(1, 2)]))).toContain('do not mix')
  })
})

describe('tensors made wrongly', () => {
  const calls: [name: string, call: () => unknown, said: string][] = [
    ['sizes one by one', () => (zeros as Loose)(2, 3), 'zeros: a shape is an array of sizes, received 2. Write it in brackets.'],
    ['a bad size', () => ones([-1]), 'ones: sizes are integers from 0, received [-1].'],
    ['a bad dtype', () => zeros([1], { dtype: 'float' } as Loose), "zeros: unknown dtype 'float'. Known: float32, "],
    ['a bad dtype of tensor', () => tensor([1], { dtype: 'float' } as Loose), "tensor: unknown dtype 'float'."],
    ['a bad size of rand', () => rand([1.5]), 'rand: sizes are integers from 0'],
    ['a bad size of randn', () => randn([1.5]), 'randn: sizes are integers from 0'],
    ['a tensor', () => tensor(x as Loose), 'received a tensor. Join tensors with stack([…])'],
    ['tensors', () => tensor([x, x] as Loose), 'received a tensor. Join tensors with stack([…])'],
    ['nothing', () => tensor(undefined as Loose), 'received undefined.'],
    ['null', () => tensor([1, null] as Loose), 'received null.'],
    ['text', () => tensor(['a'] as Loose), "received string 'a'."],
    [
      'a number out of range',
      () => tensor([300], { dtype: 'uint8' }),
      'DataError ERR_DATA_RANGE tensor: 300 at element 0 is no uint8 value.',
    ],
    ['NaN as an integer', () => tensor([0, Number.NaN], { dtype: 'int32' }), 'tensor: NaN at element 1 is no int32 value.'],
  ]
  test.each(calls)('%s', async (_, call, said) => {
    expect(await message(call)).toContain(said)
  })
})

describe('fit and predict', () => {
  // the recipe of docs/coming-from.md
  it.each([0, 1, 2, 3, 4, 5, 6, 7])('learn XOR as brain.js does, seed %i', async (seed) => {
    cr.manualSeed(seed)
    const net = new nn.Sequential(new nn.Linear(2, 8), new nn.Tanh(), new nn.Linear(8, 1), new nn.Sigmoid())
    const [inputs, outputs] = [
      [
        [0, 0],
        [0, 1],
        [1, 0],
        [1, 1],
      ],
      [[0], [1], [1], [0]],
    ]
    const optimizer = new optim.Adam(net.parameters(), { lr: 0.1 })
    const training = fit(net, [inputs, outputs], { loss: losses.mseLoss, optimizer, epochs: 2000, progress: false })
    for await (const { loss } of training) if (loss < 0.005) break
    expect((await net.predict(inputs)).round().toArray()).toEqual(outputs)
  })

  it('says how inputs and targets are given', async () => {
    expect(await message(() => (fit as Loose)(linear(), x, y))).toContain(
      'received Tensor. Inputs and targets go together: fit(model, [x, y], { … }).',
    )
    expect(await message(() => (fit as Loose)(linear(), [[1]], [[1]]))).toContain('received an array. Inputs and targets go together')
    expect(await message(() => (fit as Loose)(linear(), [x, y]))).toMatch(/received undefined\.$/)
  })

  it('names what was received', async () => {
    const model = linear()
    const refused = (more: object): Promise<string> => message(() => fit(model, [x, y], training(model, more)))
    expect(await refused({ optimizer: optim.Adam })).toContain('received the class Adam.')
    expect(await refused({ optimizer: 'adam' })).toContain("received 'adam'.")
    expect(await refused({ epochs: '3' })).toContain("received '3'.")
    expect(await refused({ earlyStopping: true })).toContain('earlyStopping must be { patience, … }, received true.')
    expect(await refused({ earlyStopping: {} })).toContain('patience must be a whole number from 0, or Infinity, received undefined.')
    expect(await refused({ earlyStopping: { patience: 1, monitor: 'val_loss' } })).toContain("received 'val_loss'.")
  })

  it('asks for numbers where a file gave text', async () => {
    const said = "fit: inputs: expected numbers, found '1'. Convert text with Number(…)."
    expect(await message(() => fit(linear(), [[['1', '2', '3', '4']], [[1]]] as Loose, training(linear())))).toContain(said)
  })

  it('says where parameters are found', async () => {
    class Hidden extends nn.Module {
      readonly #layer = linear()
      forward(t: Tensor): Tensor {
        return this.#layer.forward(t)
      }
    }
    expect(await message(() => new optim.Adam(new Hidden().parameters()))).toContain('(not #private ones)')
  })

  it('takes one sample for a batch only where that can be', async () => {
    expect(await message(() => linear().predict([1, 2, 3, 4]))).toContain(
      'give one sample as [x], a typed array with its { shape: [1, …] }.',
    )
    expect(await message(() => linear().predict(new Float32Array(4)))).toContain('give one sample as [x]')
  })

  it('explains a forward that gives no tensor', async () => {
    class Later extends nn.Module {
      readonly layer = linear()
      async forward(t: Tensor): Promise<Tensor> {
        return this.layer.forward(t)
      }
    }
    class Nothing extends (nn.Module as Loose) {}
    class Forgot extends nn.Module {
      forward(): void {}
    }
    expect(await message(() => new Later().predict(x))).toContain('received a promise: it must not be async')
    expect(await message(() => (new Nothing() as Loose).predict(x))).toContain(
      'ERR_PREDICT_OUTPUT predict: Nothing has no forward(x) method.',
    )
    expect(await message(() => new Forgot().predict(x))).toContain('must return one tensor, received undefined.')
  })
})

describe('measures', () => {
  it('accuracy of one output a sample is refused: its greatest is always right', async () => {
    const said = 'For one output a sample use binaryAccuracy.'
    expect(await message(() => metrics.accuracy(y, y))).toContain(said)
    expect(await message(() => metrics.accuracy(y, tensor([0, 1, 0, 1, 0, 1, 0, 1], { dtype: 'int32' })))).toContain(said)
  })

  it('labels in arrays are whole numbers', async () => {
    expect(await message(() => losses.crossEntropy(randn([2, 3]), [0.5, 1]))).toContain(
      'ERR_LABEL_DTYPE crossEntropy: labels must be whole numbers, received 0.5.',
    )
    expect(await message(() => losses.nllLoss(randn([2, 3]), [[0], [Number.NaN]]))).toContain('NaN')
  })
})

describe('files', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'chainrule-newcomers-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  it('of torch.save are recognized', async () => {
    const path = join(folder, 'model.pt')
    await writeFile(path, Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(100)]))
    expect(await message(() => load(linear(), path))).toContain("save_file(model.state_dict(), 'model.safetensors')")
  })

  it('in a folder that is not there are refused with its name', async () => {
    const path = join(folder, 'none', 'model.safetensors')
    const said = `DataError ERR_FILE_WRITE safetensors: cannot write ${path}: ENOENT. There is no folder ${join(folder, 'none')}: make it first.`
    expect(await message(() => save(linear(), path))).toBe(said)
    expect(await message(() => saveCheckpoint(path, { model: linear() }))).toBe(said)
  })

  it('need a checkpoint to go into or come from', async () => {
    expect(await message(() => (saveCheckpoint as Loose)(join(folder, 'a')))).toContain('ERR_OPTIONS saveCheckpoint: options are an object')
    expect(await message(() => (loadCheckpoint as Loose)(join(folder, 'a')))).toContain('ERR_OPTIONS loadCheckpoint: options are an object')
  })
})

it('JSON has the nested arrays of a tensor', () => {
  expect(
    JSON.stringify({
      scores: tensor([
        [1, 2],
        [3, Number.NaN],
      ]),
      yes: tensor([true]),
    }),
  ).toBe('{"scores":[[1,2],[3,null]],"yes":[true]}')
})
