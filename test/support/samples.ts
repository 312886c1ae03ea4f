/**
 * Arguments that fit, for the public functions, constructors and methods that take options. In: a path of `surface.ts`. Out: fresh arguments
 * each time, in front of the options those that are needed, and in the options what is required. Paths without a row here take vectors.
 */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as cr from '../../src/index.js'
import { nn, ones, optim, Tensor, tensor } from '../../src/index.js'
import * as models from '../../src/models/index.js'

const vector = (): Tensor => tensor([1, 2, 3, 4])
const matrix = (): Tensor =>
  tensor([
    [2, 1],
    [1, 3],
  ])
const labels = (): Tensor => tensor([1, 0], { dtype: 'int32' })
const leaf = (): Tensor => tensor([1, 2], { requiresGrad: true })
/** `[N, C, …]` with so many spatial dimensions of 4. */
const planes = (rank: number): Tensor => ones([1, 2, ...new Array(rank).fill(4)])
const kernel = (rank: number): Tensor => ones([2, 2, ...new Array(rank).fill(2)])
const layer = (): nn.Linear => new nn.Linear(4, 4)
const sequence = (): Tensor => ones([3, 1, 4])
const boxes = (): Tensor => tensor([[0, 0, 1, 1]])
const sgd = (params: Iterable<Tensor> = [leaf()]): optim.SGD => new optim.SGD(params, { lr: 0.1 })
const somewhere = (): string => join(tmpdir(), `chainrule-samples-${process.pid}`)
const fitting = (): unknown[] => {
  const model = new nn.Linear(1, 1)
  const optimizer = sgd(model.parameters())
  const x = ones([2, 1])
  const scheduler = { scheduler: new optim.lrScheduler.StepLR(optimizer, 1) }
  return [model, [x, x], { loss: cr.losses.mseLoss, optimizer, progress: false, earlyStopping: { patience: 1 }, scheduler }]
}

/** `f1d`, `f2d` and `f3d` at once. */
function eachRank(name: string, args: (rank: number) => unknown[]): Record<string, () => unknown[]> {
  return Object.fromEntries([1, 2, 3].map((rank) => [`${name}${rank}d`, () => args(rank)]))
}

function all(names: string, args: () => unknown[]): Record<string, () => unknown[]> {
  return Object.fromEntries(names.split(' ').map((name) => [name, args]))
}

const samples: Record<string, () => unknown[]> = {
  // arrays of numbers
  ...all('ones zeros rand randn', () => [[2]]),
  ...all('empty', () => [[2]]),
  ...all('hannWindow hammingWindow eye', () => [4]),
  arange: () => [0, 4, 1],
  linspace: () => [0, 1, 4],
  full: () => [[2], 1],
  eye: () => [2, 2],
  tensor: () => [[1, 2]],
  meshgrid: () => [[vector(), vector()]],
  bernoulli: () => [[2], 0.5],
  multinomial: () => [vector(), 1],
  setRandomState: () => [cr.getRandomState()],
  // operations
  ...all('sum mean prod amax amin argmax argmin variance std logsumexp any all countNonzero', () => [vector(), 0]),
  ...all('sort argsort max min median', () => [vector(), 0]),
  cosineSimilarity: () => [matrix(), matrix(), 1],
  topk: () => [vector(), 1, 0],
  kthvalue: () => [vector(), 1, 0],
  quantile: () => [vector(), 0.5, 0],
  bincount: () => [labels()],
  diagonal: () => [matrix()],
  scatterReduce: () => [vector(), labels(), tensor([1, 2]), 0, 'sum'],
  pad: () => [vector(), [1, 1]],
  stft: () => [ones([16]), 8],
  istft: () => [cr.stft(ones([16]), 8), 8],
  irfft: () => [cr.rfft(vector())],
  ...all('fft ifft', () => [ones([4, 2])]),
  ...all('qr svd pinverse cholesky eigh cov', () => [matrix()]),
  solveTriangular: () => [matrix(), matrix()],
  matmul: () => [matrix(), matrix()],
  cdist: () => [matrix(), matrix()],
  scaledDotProductAttention: () => [ones([1, 2, 4]), ones([1, 2, 4]), ones([1, 2, 4])],
  layerNorm: () => [vector(), [4]],
  rmsNorm: () => [vector(), [4]],
  groupNorm: () => [planes(1), 1],
  batchNorm: () => [planes(1), {}],
  instanceNorm: () => [planes(1), {}],
  localResponseNorm: () => [planes(1), 2],
  ...eachRank('conv', (rank) => [planes(rank), kernel(rank)]),
  ...eachRank('convTranspose', (rank) => [planes(rank), kernel(rank)]),
  ...eachRank('avgPool', (rank) => [planes(rank), 2]),
  ...eachRank('maxPool', (rank) => [planes(rank), 2]),
  unfold: () => [planes(2), 2],
  fold: () => [ones([1, 4, 9]), 4, 2],
  interpolate: () => [planes(2), { scaleFactor: 2 }],
  // gradients and compilation
  backward: () => [leaf().sum(), undefined],
  compile: () => [(x: Tensor) => x],
  customGradient: () => [{ forward: ([x]: Tensor[]) => x, backward: ([g]: Tensor[]) => g }],
  // losses and metrics
  ...all('losses.crossEntropy losses.focalLoss losses.nllLoss losses.multiMarginLoss', () => [matrix(), labels()]),
  'losses.multilabelMarginLoss': () => [
    matrix(),
    tensor(
      [
        [0, -1],
        [1, -1],
      ],
      { dtype: 'int32' },
    ),
  ],
  ...all('losses.binaryCrossEntropy', () => [tensor([0.5]), tensor([1])]),
  ...all('losses.boxIouLoss losses.generalizedBoxIouLoss', () => [boxes(), boxes()]),
  ...all('losses.cosineEmbeddingLoss', () => [matrix(), matrix(), tensor([1, -1])]),
  ...all('losses.tripletMarginLoss', () => [matrix(), matrix(), matrix()]),
  'losses.infoNceLoss': () => [matrix(), matrix()],
  'losses.ctcLoss': () => [ones([3, 1, 2]), tensor([[1]], { dtype: 'int32' }), [3], [1]],
  ...all('metrics.topKAccuracy', () => [matrix(), labels()]),
  gradientFlow: () => [
    layer(),
    () =>
      layer()
        .forward(ones([1, 4]))
        .sum(),
  ],
  // training
  fit: fitting,
  // data
  collate: () => [[[[1], [2]]]],
  ArrayDataset: () => [
    [
      [[1], [2]],
      [0, 1],
    ],
  ],
  DataLoader: () => [
    [
      [[1], [2]],
      [0, 1],
    ],
  ],
  'DataLoader.setState': () => [{ epoch: 0, batch: 0 }],
  ...all('datasets.mnist datasets.fashionMnist', () => [{ cacheDir: somewhere(), download: false }]),
  'datasets.syntheticDigits': () => [{ train: 1, test: 1 }],
  // files
  save: () => [layer(), somewhere()],
  load: () => [layer(), somewhere()],
  saveCheckpoint: () => [somewhere(), { model: layer() }],
  loadCheckpoint: () => [somewhere(), { model: layer() }],
  saveNpy: () => [somewhere(), { data: new Float32Array(1), shape: [1], dtype: 'float32' }],
  loadSafetensors: () => [somewhere()],
  parseSafetensors: () => [cr.serializeSafetensors({})],
  saveSafetensors: () => [somewhere(), {}],
  serializeSafetensors: () => [{}],
  // layers
  ...all('nn.init.uniform nn.init.normal', () => [vector()]),
  ...all('nn.init.xavierUniform nn.init.xavierNormal nn.init.kaimingUniform nn.init.kaimingNormal', () => [matrix()]),
  'nn.packPaddedSequence': () => [sequence(), [3]],
  'nn.packSequence': () => [[ones([3, 4])]],
  'nn.padPackedSequence': () => [nn.packSequence([ones([3, 4])])],
  'nn.padSequence': () => [[ones([3, 4])]],
  ...all('nn.weightNorm nn.spectralNorm', () => [layer()]),
  ...all('nn.GELU nn.Softplus', () => []),
  'nn.PReLU': () => [1],
  'nn.Parameter': () => [vector()],
  ...all('nn.MultiheadAttention nn.TransformerEncoderLayer nn.TransformerDecoderLayer', () => [4, 2]),
  'nn.MultiheadAttention.forward': () => [sequence(), sequence(), sequence()],
  'nn.Transformer': () => [4, 2, { numEncoderLayers: 1, numDecoderLayers: 1, dimFeedforward: 4 }],
  ...all('nn.Transformer.forward nn.TransformerDecoder.forward nn.TransformerDecoderLayer.forward', () => [sequence(), sequence()]),
  ...all('nn.TransformerEncoder.forward nn.TransformerEncoderLayer.forward', () => [sequence()]),
  'nn.TransformerEncoder': () => [new nn.TransformerEncoderLayer(4, 2, { dimFeedforward: 4 }), 1],
  'nn.TransformerDecoder': () => [new nn.TransformerDecoderLayer(4, 2, { dimFeedforward: 4 }), 1],
  ...eachRank('nn.BatchNorm', () => [2]),
  ...eachRank('nn.InstanceNorm', () => [2]),
  ...eachRank('nn.Conv', () => [2, 2, 2]),
  ...eachRank('nn.ConvTranspose', () => [2, 2, 2]),
  ...eachRank('nn.AvgPool', () => [2]),
  ...eachRank('nn.MaxPool', () => [2]),
  ...all('nn.RNN nn.GRU nn.LSTM nn.RNNCell nn.GRUCell nn.LSTMCell nn.Linear', () => [4, 4]),
  ...all('nn.Embedding nn.EmbeddingBag', () => [4, 2]),
  'nn.EmbeddingBag.forward': () => [tensor([[0, 1]], { dtype: 'int32' })],
  'nn.Bilinear': () => [2, 2, 2],
  'nn.GroupNorm': () => [1, 2],
  ...all('nn.LayerNorm nn.RMSNorm nn.PositionalEncoding nn.RotaryEmbedding', () => [4]),
  'nn.RotaryEmbedding.forward': () => [ones([1, 1, 3, 4])],
  ...all('nn.LocalResponseNorm nn.Unfold', () => [2]),
  'nn.Fold': () => [4, 2],
  'nn.Upsample': () => [{ scaleFactor: 2 }],
  'nn.Module.registerBuffer': () => ['buffer', vector()],
  'nn.Module.loadStateDict': () => [layer().stateDict()],
  'nn.Module.predict': () => [ones([1, 4])],
  // optimizers and schedules
  ...all(
    'optim.Adam optim.AdamW optim.LBFGS optim.Adamax optim.NAdam optim.RAdam optim.Adadelta optim.Adagrad optim.RMSprop optim.SGD optim.Lion optim.Rprop',
    () => [[{ params: [leaf()] }], { lr: 0.1 }],
  ),
  'optim.Muon': () => [[{ params: [tensor([[1, 2]], { requiresGrad: true })] }]],
  'optim.AveragedModel': () => [layer()],
  'optim.clipGradNorm': () => [[leaf()], 1],
  'optim.lrScheduler.CosineAnnealingLR': () => [sgd(), 1],
  'optim.lrScheduler.CosineAnnealingWarmRestarts': () => [sgd(), 1],
  'optim.lrScheduler.CyclicLR': () => [sgd(), 0.1, 1, { cycleMomentum: false }],
  'optim.lrScheduler.OneCycleLR': () => [sgd(), 1, { totalSteps: 10, cycleMomentum: false }],
  ...all('optim.lrScheduler.ConstantLR optim.lrScheduler.LinearLR optim.lrScheduler.PolynomialLR', () => [sgd()]),
  'optim.lrScheduler.ReduceLROnPlateau': () => [sgd()],
  'optim.lrScheduler.MultiStepLR': () => [sgd(), [1]],
  ...all('optim.lrScheduler.StepLR', () => [sgd(), 1]),
  'optim.lrScheduler.SWALR': () => [sgd(), 0.1],
  // models
  Autoencoder: () => [4, 2],
  VAE: () => [4],
  CharLSTM: () => [4],
  'CharLSTM.generate': () => [[1], 1],
  GPT: () => [{ blockSize: 4, vocabSize: 4, nLayer: 1, nHead: 1, nEmbd: 4 }],
  'GPT.generate': () => [[[1]], 1],
  ...all('LeNet MobileNetV2 mobilenetV2 DCGANGenerator DCGANDiscriminator resnet18 resnet20 resnet34 resnet50', () => []),
  mlp: () => [[4, 2]],
  CifarResNet: () => [20],
  ResNet: () => ['basic', [1, 1, 1, 1]],
  Seq2SeqTransformer: () => [4, 4, { embSize: 4, nhead: 1, dimFeedforward: 4 }],
  'Seq2SeqTransformer.generate': () => [[[1]], { start: 1, end: 2, maxTokens: 1 }],
  UNet: () => [1, 2],
}

/** What methods are called on; of a class without a row here, what its constructor makes of its sample. */
const instances: Record<string, () => object> = {
  'nn.Module': layer,
  'optim.Optimizer': sgd,
  Tensor: vector,
  Fit: () => (cr.fit as (...args: unknown[]) => object)(...fitting()),
  GradientFlow: () => cr.gradientFlow(layer(), () => ones([1, 4]).sum()),
}

export function sampleArguments(path: string): unknown[] | undefined {
  if (Object.hasOwn(samples, path)) return samples[path]()
  // a method of tensors is the function of the same name, the tensor being its first argument
  const [, method] = /^Tensor\.(\w+)$/.exec(path) ?? []
  return method !== undefined && Object.hasOwn(samples, method) ? samples[method]().slice(1) : undefined
}

/** What a path names, ready to be called with arguments. */
export function callableAt(path: string, kind: 'function' | 'constructor' | 'method' | 'static'): (...args: unknown[]) => unknown {
  type Parts = Record<string, unknown>
  const names = path.split('.')
  const found = (list: readonly string[]): unknown =>
    list.reduce<unknown>((from, name) => (from as Parts | undefined)?.[name], { ...cr, ...models })
  if (kind === 'constructor') {
    const Class = found(names) as new (...args: unknown[]) => object
    return (...args) => new Class(...args)
  }
  if (kind === 'function') return (...args) => (found(names) as (...args: unknown[]) => unknown)(...args)
  const owner = names.slice(0, -1)
  const method = names[names.length - 1]
  if (kind === 'static') return (...args) => (found(owner) as Record<string, (...args: unknown[]) => unknown>)[method](...args)
  const ownerPath = owner.join('.')
  return (...args) => {
    // of a tensor's method, the tensor its function's sample begins with
    const receiver = ownerPath === 'Tensor' && Object.hasOwn(samples, method) ? samples[method]()[0] : undefined
    const make = instances[ownerPath] ?? (() => callableAt(ownerPath, 'constructor')(...(sampleArguments(ownerPath) ?? [])) as object)
    const instance = (receiver instanceof Tensor ? receiver : make()) as Record<string, (...args: unknown[]) => unknown>
    return instance[method](...args)
  }
}
