/** Arguments of a wrong kind, where JavaScript would have gone on or thrown an error of its own: typed errors that say what was received. */
import { describe, expect, it } from 'vitest'
import { showValue } from '../src/base/errors.js'
import {
  ArgumentError,
  ArrayDataset,
  add,
  ChainruleError,
  compile,
  concat,
  conv1d,
  cov,
  customGradient,
  datasets,
  fftfreq,
  grad,
  gradientFlow,
  gumbelSoftmax,
  losses,
  maxPool2d,
  metrics,
  nn,
  ones,
  optim,
  parseSafetensors,
  permute,
  pinverse,
  quantile,
  rand,
  randn,
  saveCheckpoint,
  split,
  stack,
  tensor,
  unflatten,
  variance,
} from '../src/index.js'
import * as models from '../src/models/index.js'

type Loose = (...args: unknown[]) => unknown
const loose = (fn: unknown): Loose => fn as Loose
const made = (Class: unknown, ...args: unknown[]): object => new (Class as new (...args: unknown[]) => object)(...args)
const symbol = Symbol('s')
const sgd = (): optim.SGD => new optim.SGD([new nn.Parameter(ones([1]))], { lr: 1, momentum: 0.5 })
const bare = Object.create(null) as object

describe('how messages show what was received', () => {
  it.each([
    [symbol, 'a symbol'],
    [bare, 'an object'],
    [[bare, symbol, [1]], '[an object, a symbol, […]]'],
    ['x'.repeat(1000), `'${'x'.repeat(200)}…'`],
    [new Float32Array(1000), 'a Float32Array of 4000 bytes'],
    [
      new Proxy([1], {
        get: () => {
          throw new Error('no')
        },
      }),
      'an object',
    ],
    [{ toString: () => 'y'.repeat(1000) }, `${'y'.repeat(200)}…`],
  ])('%#', (value, shown) => {
    expect(showValue(value)).toBe(shown)
  })
})

describe('models', () => {
  const translator = new models.Seq2SeqTransformer(5, 5, {
    embSize: 4,
    nhead: 1,
    dimFeedforward: 4,
    numEncoderLayers: 1,
    numDecoderLayers: 1,
  })
  const gpt = new models.GPT({ blockSize: 4, vocabSize: 4, nLayer: 1, nHead: 1, nEmbd: 4 })
  const tokens = ones([1, 2], { dtype: 'int32' })

  it('predict of a model that takes two inputs names the missing one', async () => {
    await expect(translator.predict(tokens)).rejects.toMatchObject({
      code: 'ERR_NOT_A_TENSOR',
      message: expect.stringContaining('the target must be a tensor, received undefined'),
    })
  })

  it.each([
    ['a size in a string', () => made(models.DCGANGenerator, { width: '8' }), 'width must be an integer from 1'],
    ['a symbol', () => made(models.UNet, 1, 2, { width: symbol }), 'received a symbol'],
    ['a width', () => made(models.MobileNetV2, { widthMult: '1' }), 'widthMult'],
    ['no list', () => made(models.Autoencoder, 4, 2, { hidden: 8 }), 'hidden must be an array of sizes'],
    ['no end of layers', () => made(models.GPT, { nLayer: 2 ** 31 }), 'nLayer must be an integer from 1 to 10000'],
    ['another block', () => made(models.ResNet, 'small', [1, 1, 1, 1]), "'basic' or 'bottleneck'"],
    ['three depths', () => made(models.ResNet, 'basic', [1, 1, 1]), 'the depths are four'],
    ['no depth', () => made(models.CifarResNet, symbol), 'depth must be 6n + 2'],
    ['caches of no kind', () => gpt.forward(tokens, null as never), 'the caches are 1, one for each layer'],
    ['no tokens', () => gpt.forward(null as never), 'the input must be a tensor, received null'],
    ['no rows', () => gpt.generate([[0.5]], 1), 'rows of tokens of one length'],
    ['no start', () => translator.generate([[1]], { start: symbol as never, end: 2 }), 'start must be an integer from 0'],
    ['no activation', () => loose(models.mlp)([1, 2, 3], { activation: 'relu' }), 'activation must be a function'],
  ])('%s', (_, call, said) => {
    expect(call).toThrow(ChainruleError)
    expect(call).toThrow(said)
  })
})

describe('layers and what is around them', () => {
  it.each([
    ['{ out: null }', () => add(tensor([1]), 1, { out: null as never }), 'add: { out } must be a tensor, received null'],
    ['limits of initial values', () => loose(nn.init.uniform)(tensor([1]), { high: symbol }), 'received 0 and a symbol'],
    ['a gain', () => loose(nn.init.xavierUniform)(ones([2, 2]), { gain: '1' }), "gain must be a number, received '1'"],
    ['a position', () => new nn.Sequential(new nn.ReLU()).at(symbol as never), 'there is none at a symbol'],
    ['a name', () => new nn.ModuleDict({}).get(bare as never), 'has no module an object'],
    ['apply', () => loose(nn.Module.prototype.apply).call(new nn.ReLU()), 'apply: expected a function'],
    ['grad', () => loose(grad)(null), 'grad: expected a function, received null'],
    ['an optimizer', () => loose(gradientFlow)(new nn.Linear(1, 1), () => 1, { optimizer: null }), 'expected an optimizer, received null'],
    ['a class for a function', () => loose(grad)(nn.Linear), "grad: expected a function, received the class 'Linear'"],
    ['a list with holes', () => loose(concat)(new Array(3)), 'concat: tensor 0 must be a tensor'],
    ['a stack with holes', () => loose(stack)(new Array(3)), 'stack: tensor 0 must be a tensor'],
    ['sequences with holes', () => loose(nn.padSequence)(new Array(3)), 'padSequence: sequence 0 must be a tensor'],
    ['quantiles with holes', () => loose(quantile)(ones([2]), new Array(3)), 'q must be between 0 and 1'],
    ['modules with holes', () => loose(compile)(() => 1, { modules: new Array(3) }), 'modules must be an array of modules'],
    ['a spacing', () => loose(fftfreq)(4, symbol), 'fftfreq: the spacing of samples must be a number, received a symbol'],
    ['a deviation', () => loose(randn)([2], { std: symbol }), 'are numbers, received a symbol'],
    ['a dtype', () => loose(rand)([2], { dtype: bare }), 'unknown dtype'],
    ['an interpolation', () => loose(quantile)(ones([2]), 0.5, { interpolation: 'toString' }), 'interpolation must be one of'],
    ['a number of outputs', () => loose(customGradient)({ forward: () => {}, backward: () => {}, outputs: symbol }), 'outputs must be'],
    ['members that are numbers', () => new nn.ModuleList(new Float32Array(2) as never), 'expected an array of members'],
    ['an iterator that is none', () => new nn.ModuleList({ [Symbol.iterator]: () => ({}) } as never), 'expected an array of members'],
    ['a filter', () => loose(parseSafetensors)(new Uint8Array(8), { filter: -1 }), 'expected a function, received -1'],
    ['a rate that is none', () => made(optim.lrScheduler.LambdaLR, sgd(), () => symbol), 'what lrLambda gives must be a number'],
    ['parameters of no iterator', () => made(optim.SGD, { [Symbol.iterator]: () => ({}) }, { lr: 1 }), 'needs a list of tensors'],
    ['a scale', () => made(optim.lrScheduler.CyclicLR, sgd(), 0, 1, { scaleFn: null }), 'scaleFn: expected a function, received null'],
    ['what scales', () => made(optim.lrScheduler.CyclicLR, sgd(), 0, 1, { scaleMode: 'epoch' }), "'cycle' or 'iterations'"],
    ['iterations', () => made(optim.LBFGS, [new nn.Parameter(ones([1]))], { maxIter: symbol }), 'maxIter must be an integer from 1'],
    ['padding of a pool', () => new nn.AvgPool1d(2, { padding: 2 }), 'AvgPool1d: padding 2 is more than half the kernel 2'],
    ['steps of a pool', () => new nn.MaxPool2d(2, { stride: 0 }), 'MaxPool2d: stride must be an integer from 1'],
    ['a size beyond 32 bits', () => new nn.RNN(2, 2, { numLayers: 2 ** 31 }), 'numLayers must be an integer from 1 to 2147483647'],
  ])('%s', (_, call, said) => {
    expect(call).toThrow(ArgumentError)
    expect(call).toThrow(said)
  })

  it.each([
    ['variance', () => loose(variance)(tensor([1, 2]), { correction: symbol }), 'variance: correction must be a number, received a symbol'],
    ['cov', () => loose(cov)(ones([2, 2]), { correction: bare }), 'cov: correction must be a number'],
    ['pinverse', () => loose(pinverse)(ones([2, 2]), { rtol: 1n }), 'pinverse: rtol must be a number'],
    ['gumbelSoftmax', () => loose(gumbelSoftmax)(ones([2]), { tau: symbol }), 'tau must be above 0, received a symbol'],
    ['huberLoss', () => loose(losses.huberLoss)(ones([2]), ones([2]), { delta: symbol }), 'delta must be above 0, received a symbol'],
    ['infoNceLoss', () => loose(losses.infoNceLoss)(ones([2, 2]), ones([2, 2]), { temperature: bare }), 'temperature must be above 0'],
    ['weights', () => loose(losses.mseLoss)(ones([1]), ones([1]), { weight: symbol }), 'weight'],
    ['class weights', () => loose(losses.crossEntropy)(ones([1, 2]), [0], { weight: [symbol, 1] }), 'received symbol'],
    ['a state', () => loose(metrics.r2Score.compute)(undefined), 'a state is tensors and numbers by name'],
    ['modules', () => loose(compile)((x: unknown) => x, { modules: 1 }), 'compile: modules must be an array'],
    ['a name', () => loose(compile)((x: unknown) => x, { name: symbol }), 'compile: name must be a string'],
    ['a parameter', () => loose(nn.weightNorm)(new nn.Linear(1, 1), { name: bare }), 'has no parameter an object'],
  ])('numbers and names: %s', (_, call, said) => {
    expect(call).toThrow(ChainruleError)
    expect(call).toThrow(said)
  })

  it.each([
    ['dataDir', 1, 'the path of a folder'],
    ['cacheDir', 'a\0b', 'the path of a folder'],
    ['mirrors', [symbol], 'an array of addresses'],
    ['signal', 1, 'an AbortSignal'],
  ])('datasets: %s', async (name, value, said) => {
    const options = { cacheDir: '/nowhere', download: false, [name]: value }
    await expect(datasets.mnist(options as object)).rejects.toMatchObject({
      code: 'ERR_DATA_SOURCE',
      message: expect.stringContaining(said),
    })
  })

  it.each(['optimizer', 'scheduler', 'loader'])('checkpoints: %s', async (name) => {
    const checkpoint = { model: new nn.Linear(1, 1), [name]: null }
    await expect(saveCheckpoint('/nowhere/x', checkpoint as never)).rejects.toMatchObject({
      code: 'ERR_CHECKPOINT',
      message: expect.stringContaining(`${name} must be one of the library's, received null`),
    })
  })

  it('refuses fields nested without end', () => {
    let nested: unknown = 1
    for (let i = 0; i < 10_000; i++) nested = [nested]
    const layer = Object.assign(new nn.ReLU(), { nested })
    expect(() => layer.parameters()).toThrow('module: nested is nested more than 1000 deep')
    expect(() => layer.parameters()).toThrow(ArgumentError)
  })

  it('prints options of any kind', () => {
    expect(String(made(nn.LSTM, 2, 2, { batchFirst: bare }))).toContain('batchFirst')
  })
})

describe('shapes', () => {
  it.each([
    ['more dimensions than there can be', () => ones([2]).sum({ dim: new Array(2 ** 31) }), '2147483648 dimensions are named'],
    ['an order of nothing', () => loose(permute)(ones([2]), new Array(2 ** 31)), 'permute: dims must be an array of integers'],
    ['a shape of nothing', () => ones([2]).reshape(new Array(2 ** 31)), 'reshape: the shape must be an array of integers'],
    ['a stride beyond 32 bits', () => conv1d(ones([1, 1, 4]), ones([1, 1, 2]), { stride: 2 ** 31 }), 'from 1 to 2147483647'],
    ['a window beyond 32 bits', () => maxPool2d(ones([1, 1, 4, 4]), 2, { stride: 1e300 }), 'from 1 to 2147483647'],
    [
      'rows of nothing',
      () => new ArrayDataset([tensor([1, 2]), tensor([1, 2])]).batch(new Array(2) as never),
      'index undefined is outside',
    ],
    [
      'a history beyond memory',
      () => made(optim.LBFGS, [new nn.Parameter(ones([2]))], { historySize: 2 ** 31 }),
      'more than 2147483647 elements',
    ],
    ['pieces of no size', () => loose(split)(ones([2]), [1n]), 'split: [1] does not cut dimension 0'],
    ['pieces of a symbol', () => ones([2]).split([symbol as never]), 'split: [a symbol] does not cut'],
    ['a size that is none', () => loose(unflatten)(ones([4]), 0, [symbol]), 'unflatten: sizes are integers, received a symbol'],
  ])('%s', (_, call, said) => {
    expect(call).toThrow(ChainruleError)
    expect(call).toThrow(said)
  })
})

it('what is nested too deeply is named, in a module as elsewhere', () => {
  const net = new nn.Linear(1, 1) as nn.Linear & { data?: unknown }
  net.data = JSON.parse(`${'['.repeat(10_000)}${']'.repeat(10_000)}`)
  expect(() => net.clone()).toThrow('nested deeper than 1000 levels')
})

it('a state dict by names that are none', () => {
  expect(() => new nn.ReLU().loadStateDict(new Map([[symbol, tensor([1])]]) as never)).toThrow('unexpected: a symbol')
})
