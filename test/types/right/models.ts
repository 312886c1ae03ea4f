/** Realistic models: none of this may be an error, and what is written beside them is what they give. */
import { compile, load, loadSafetensors, ones, parseSafetensors, type Tensor, tensor, zeros } from '../../../src/index.js'
import * as losses from '../../../src/losses/index.js'
import * as nn from '../../../src/nn/index.js'

declare const n: number
declare const deep: boolean
declare const images: Tensor<['batch', 1, 28, 28]>
declare const unknown: Tensor

// MLPs
export const mlp = new nn.Sequential(new nn.Linear(784, 256), new nn.ReLU(), new nn.Dropout(0.2), new nn.Linear(256, 10))
export const a1: Tensor<['batch', 10]> = mlp.forward(zeros([32, 784]))
export const a2: Tensor<['batch', 10]> = mlp.forward(unknown)
export const a3: Tensor<['batch', 10]> = mlp.forward(images.flatten(1))
export const a4: Tensor<['batch', 10]> = mlp.forward(images.reshape([-1, 784]))
export const a5: nn.Sequential = mlp
export const a6: nn.Module = mlp
export const a7: nn.Layer = mlp
export const a8 = mlp[0].forward(unknown)
export const a9: Tensor<['batch', 'time', 10]> = mlp.forward(zeros([32, 7, 784]))

// CNNs
export const cnn = new nn.Sequential(
  new nn.Conv2d(1, 32, 3, { padding: 1 }),
  new nn.BatchNorm2d(32),
  new nn.ReLU(),
  new nn.MaxPool2d(2),
  new nn.Conv2d(32, 64, 3),
  new nn.ReLU(),
  new nn.MaxPool2d(2),
  new nn.Flatten(),
  new nn.Linear(9216, 128),
  new nn.BatchNorm1d(128),
  new nn.GELU(),
  new nn.Linear(128, 10),
  new nn.Softmax(),
)
export const b1: Tensor<['batch', 10]> = cnn.forward(images)
export const b2: Tensor<[1, 10]> = cnn.forward(zeros([1, 1, 28, 28]))
export const b3: Tensor<['batch', 10]> = cnn.forward(unknown)
export const b4 = losses.crossEntropy(cnn.forward(images), [1, 2, 3])
export const b5 = new nn.Sequential(cnn, new nn.Linear(10, 2), mlp[1], new nn.Sequential(new nn.Linear(2, 3), new nn.Identity()))
export const b6: Tensor<['batch', 3]> = b5.forward(images)

// signals, volumes, normalization, resampling
export const signals = new nn.Sequential(
  new nn.Conv1d(4, 8, 3),
  new nn.BatchNorm1d(8),
  new nn.MaxPool1d(2),
  new nn.ConvTranspose1d(8, 4, 2),
  new nn.AdaptiveAvgPool1d(1),
  new nn.Flatten(),
  new nn.LayerNorm(4),
  new nn.Linear(4, 2),
)
export const s1: Tensor<['batch', 2]> = signals.forward(zeros([3, 4, 30]))
export const s2: Tensor<['batch', 2]> = signals.forward(unknown)
export const s3a: Tensor<['batch', 8, number, number, number]> = new nn.Sequential(
  new nn.Conv3d(1, 4, 3, { paddingMode: 'reflect', padding: 1 }),
  new nn.MaxPool3d(2),
  new nn.ConvTranspose3d(4, 8, 2),
  new nn.AdaptiveAvgPool3d([null, 1, 1]),
).forward(zeros([2, 1, 4, 4, 4]))
export const s3: Tensor<['batch', 3, number, number, number]> = new nn.Conv3d(1, 3, 2).forward(zeros([2, 1, 4, 4, 4]))
export const s4: Tensor<['batch', 1, number, number]> = new nn.Upsample({ scaleFactor: 2 }).forward(images)
export const s5: Tensor<['batch', 1, 28, 28]> = new nn.LayerNorm([28, 28]).forward(images)
export const s6 = new nn.LayerNorm(n).forward(images)
export const s7 = new nn.LayerNorm(n).forward(unknown)
export const s8: Tensor<['batch', 1, 28, 28]> = new nn.GroupNorm(1, 1).forward(images)
export const s9 = new nn.Sequential(new nn.Conv2d(1, 8, 3), new nn.GroupNorm(2, 8), new nn.PixelShuffle(2), new nn.Conv2d(2, 4, 3))
export const s10 = new nn.ModuleList([new nn.Linear(4, 4), new nn.Linear(4, 4)])
export const s11: nn.Module = s10
export const s12: Tensor<['batch', 5]> = new nn.Bilinear(3, 4, 5).forward(zeros([2, 3]), zeros([2, 4]))
export const s13: nn.Layer[] = [
  new nn.LayerNorm(3),
  new nn.RMSNorm([2, 3]),
  new nn.GroupNorm(1, 2),
  new nn.InstanceNorm2d(3),
  new nn.EmbeddingBag(3, 4),
]

// modules
class Net extends nn.Module {
  readonly fc1 = new nn.Linear(784, 256)
  readonly fc2 = new nn.Linear(256, 10)
  readonly drop = new nn.Dropout()
  forward(x: Tensor<['batch', 784]>) {
    const h = this.fc1.forward(x).relu()
    return this.fc2.forward(this.drop.forward(h))
  }
}
export const c1: Tensor<['batch', 10]> = new Net().forward(zeros([128, 784]))
export const c2: Tensor<['batch', 10]> = new Net().forward(tensor([[1]]))
export const c3 = new nn.Sequential(new nn.Flatten(), new Net(), new nn.Linear(10, 5))
export const c4: Tensor<['batch', 5]> = c3.forward(images)
export const c5 = new nn.Sequential(new nn.Linear(20, 784), new Net())

class Plain extends nn.Module {
  readonly conv1 = new nn.Conv2d(1, 8, 3)
  readonly conv2 = new nn.Conv2d(8, 16, [3, 5], { stride: 2 })
  readonly pool = new nn.AvgPool2d(2)
  readonly head = new nn.Linear(16 * 5 * 5, 10)
  forward(x: Tensor): Tensor {
    x = this.pool.forward(this.conv1.forward(x).relu())
    x = this.conv2.forward(x).relu()
    x = x.flatten(1)
    return this.head.forward(x)
  }
}
export const d1 = new nn.Sequential(new Plain(), new nn.ReLU(), new nn.Linear(10, 10))

class Residual extends nn.Module {
  readonly body: nn.Sequential
  readonly shortcut: nn.Layer
  constructor(inChannels: number, outChannels: number, stride = 1) {
    super()
    this.body = new nn.Sequential(
      new nn.Conv2d(inChannels, outChannels, 3, { stride, padding: 1, bias: false }),
      new nn.BatchNorm2d(outChannels),
      new nn.ReLU(),
      new nn.Conv2d(outChannels, outChannels, 3, { padding: 1, bias: false }),
      new nn.BatchNorm2d(outChannels),
    )
    this.shortcut = inChannels === outChannels ? new nn.Identity() : new nn.Conv2d(inChannels, outChannels, 1, { stride })
  }
  forward(x: Tensor<['batch', 'channels', 'height', 'width']>): Tensor<['batch', 'channels', 'height', 'width']> {
    return this.body.forward(x).add(this.shortcut.forward(x)).relu()
  }
}
export const resnet = new nn.Sequential(
  new nn.Conv2d(3, 64, 7, { stride: 2 }),
  new nn.MaxPool2d(3, { stride: 2, padding: 1 }),
  new Residual(64, 64),
  new Residual(64, 128, 2),
  new nn.AvgPool2d(7),
  new nn.Flatten(),
  new nn.Linear(512, 1000),
)
export const e1: Tensor<['batch', 1000]> = resnet.forward(zeros([2, 3, 224, 224]))

class Literal extends nn.Module {
  readonly conv1 = new nn.Conv2d(64, 64, 3, { padding: 'same' })
  readonly norm = new nn.BatchNorm2d(64)
  readonly conv2 = new nn.Conv2d(64, 128, 3, { padding: 1 })
  readonly project = deep ? new nn.Conv2d(64, 128, 1) : new nn.Sequential(new nn.ReLU(), new nn.Conv2d(64, 128, 1))
  readonly act = deep ? new nn.ReLU() : new nn.GELU()
  readonly maybe = deep ? new nn.Conv2d(64, 64, 1) : new nn.Identity()
  forward(x: Tensor<['batch', 64, 'h', 'w']>) {
    const same = this.maybe.forward(x)
    const h = this.act.forward(this.norm.forward(this.conv1.forward(x).add(same)))
    return this.conv2.forward(h).add(this.project.forward(x))
  }
}
export const e2: Tensor<['batch', 128, 10, 10]> = new Literal().forward(ones([2, 64, 10, 10]))

class Attention extends nn.Module {
  readonly qkv = new nn.Linear(64, 192)
  readonly out = new nn.Linear(64, 64, { bias: false })
  forward(x: Tensor<['batch', 'time', 64]>): Tensor<['batch', 'time', 64]> {
    const [batch, time] = x.shape
    const [q, k, v] = this.qkv
      .forward(x)
      .split(64, -1)
      .map((t) => t.reshape([batch, time, 4, 16]).permute([0, 2, 1, 3]))
    const weights = q.matmul(k.transpose(-2, -1)).div(4).softmax(-1)
    return this.out.forward(weights.matmul(v).permute([0, 2, 1, 3]).reshape([batch, time, 64]))
  }
}
class Block extends nn.Module {
  readonly attention = new Attention()
  readonly mlp = new nn.Sequential(new nn.Linear(64, 256), new nn.GELU(), new nn.Linear(256, 64))
  forward(x: Tensor<['batch', 'time', 64]>): Tensor<['batch', 'time', 64]> {
    const h = x.add(this.attention.forward(x))
    return h.add(this.mlp.forward(h))
  }
}
export class LanguageModel extends nn.Module {
  readonly tokens = new nn.Embedding(1000, 64)
  readonly positions = new nn.Embedding(128, 64)
  readonly blocks = [new Block(), new Block()]
  readonly stacked = new nn.Sequential(...Array.from({ length: 6 }, () => new Block()))
  readonly named = { first: new Block(), second: new Block() }
  readonly head = new nn.Linear(64, 1000)
  forward(ids: Tensor<['batch', 'time']>): Tensor<['batch', 'time', 1000]> {
    let h = this.tokens.forward(ids).add(this.positions.forward(tensor([0, 1, 2], { dtype: 'int32' })))
    for (const block of this.blocks) h = block.forward(h)
    for (const block of Object.values(this.named)) h = block.forward(h)
    return this.head.forward(this.stacked.forward(h))
  }
}
export const classifier = new nn.Sequential(new nn.Embedding(1000, 64), new Block(), new nn.Linear(64, 1000))
export const f1: Tensor<['b', 't', 1000]> = classifier.forward(tensor([[1, 2]], { dtype: 'int32' }))
export const f2: Tensor<[4, 7, 1000]> = classifier.forward(zeros([4, 7], { dtype: 'int32' }))

// sizes that are not known, arrays, spreads
export function build(sizes: number[], classes: number): nn.Sequential {
  const layers: nn.Layer[] = []
  for (let i = 1; i < sizes.length; i++) layers.push(new nn.Linear(sizes[i - 1], sizes[i]), new nn.ReLU())
  const head = new nn.Linear(sizes[sizes.length - 1], classes)
  return new nn.Sequential(...layers, head)
}
export const width = deep ? 512 : 256
export const g1 = new nn.Sequential(new nn.Linear(784, width), new nn.BatchNorm1d(width), new nn.Linear(width, 10))
export const g2: Tensor<['batch', 10]> = g1.forward(zeros([n, 784]))
export const g3 = new nn.Sequential(
  new nn.Linear(784, 256),
  deep ? new nn.ReLU() : new nn.Tanh(),
  deep ? new nn.Linear(256, 64) : new nn.Linear(256, 10),
)
export const g4: Tensor = g3.forward(unknown)
export const config: { hidden: number; layers: number } = JSON.parse('{}')
export const g5 = new nn.Sequential(new nn.Linear(784, config.hidden), new nn.SiLU(), new nn.Linear(config.hidden, 10))
export const g6: Tensor<[3, 10]> = g5.forward(zeros([3, 784]))
export const g7 = build([784, 100, 10], 10).forward(unknown)
const wide = [new nn.Linear(64, 64), new nn.Linear(64, 64)]
export const g8 = new nn.Sequential(new nn.Linear(10, 64), ...wide, new nn.Linear(64, 10))
export const g9: Tensor<['batch', 10]> = g8.forward(zeros([n, 10]))
export const g10: Tensor = wide.reduce((h: Tensor, layer) => layer.forward(h), unknown)
export const g11: nn.Linear[] = [new nn.Linear(1, 2), new nn.Linear(3, 4)]
export const g12: Tensor = g11[0].forward(zeros([5, 9]))
export const g13: Record<string, nn.Layer> = { a: new nn.Linear(1, 2), b: new Net(), c: mlp, d: new nn.Flatten(), e: new Plain() }
export const g14 = new nn.Sequential()
export const g15 = new nn.Sequential(new nn.Flatten(), new nn.Linear(n, n), new nn.Linear(10, 10))
export const g16 = new nn.Sequential(new nn.Linear(10, 5), new nn.Flatten(0), new nn.Linear(320, 2))
export const g17: nn.Linear = new nn.Linear(3, 4)
export const g18: nn.Conv2d = new nn.Conv2d(3, 4, 1)
export const g19: nn.Embedding | nn.BatchNorm2d = new nn.Embedding(3, 4)
export const layerFor = (i: number, o: number) => new nn.Linear(i, o)
export const g20 = new nn.Sequential(layerFor(1, 2), layerFor(7, 8))
export class Tower<I extends number, O extends number> extends nn.Module {
  readonly layer: nn.Linear<I, O>
  constructor(input: I, output: O) {
    super()
    this.layer = new nn.Linear(input, output)
  }
  forward(x: Tensor<['batch', I]>): Tensor {
    return this.layer.forward<Tensor>(x)
  }
}
export const g21: Tensor = new Tower(4, 5).forward(zeros([2, 4]))
class Scaled extends nn.Linear {
  override forward(x: Tensor): Tensor {
    return super.forward(x).mul(2)
  }
}
export const g22 = new Scaled(3, 4).forward(unknown)
class Recurrent extends nn.Module {
  readonly input = new nn.Linear(8, 16)
  readonly hidden = new nn.Linear(16, 16)
  forward(x: Tensor<['time', 'batch', 8]>): Tensor<['batch', 16]> {
    let h = zeros([x.shape[1], 16])
    for (let t = 0; t < x.shape[0]; t++) h = this.input.forward(x.at(t)).add(this.hidden.forward(h)).tanh()
    return h
  }
}
export const g23 = new nn.Sequential(new Recurrent(), new nn.Linear(16, 2)).forward(zeros([5, 2, 8]))
class Tied extends nn.Module {
  readonly table = new nn.Embedding(100, 32)
  readonly scale = new nn.Parameter(ones([32]))
  readonly offset = this.registerBuffer('offset', zeros([32]))
  forward(ids: Tensor): Tensor<['batch', 'time', 100]> {
    const h = this.table.forward(ids).mul(this.scale).add(this.offset)
    return h.matmul(this.table.weight.transpose())
  }
}
export const g24 = new Tied().forward(zeros([2, 3]))
class TwoInputs extends nn.Module {
  readonly left = new nn.Linear(4, 8)
  readonly right = new nn.Linear(6, 8)
  forward({ a, b }: { a: Tensor<['batch', 4]>; b: Tensor<['batch', 6]> }, scale?: Tensor) {
    const sum = this.left.forward(a).add(this.right.forward(b))
    return scale === undefined ? sum : sum.mul(scale)
  }
}
export const g25: Tensor<['batch', 8]> = new TwoInputs().forward({ a: zeros([2, 4]), b: zeros([2, 6]) })
class Masked extends nn.Module {
  forward<S>(x: Tensor<S>, mask?: Tensor): Tensor<S> {
    return mask === undefined ? x : x.clone()
  }
}
export const g26: Tensor<['batch', 3]> = new nn.Sequential(new nn.Linear(2, 3), new Masked(), new nn.Linear(3, 3)).forward(unknown)

export const train = compile((x: Tensor<['batch', 784]>, y: Tensor) => {
  const loss = losses.crossEntropy(mlp.forward(x), y)
  loss.backward()
  return loss
})
export const g27: Promise<Tensor> = train(zeros([32, 784]), zeros([32], { dtype: 'int32' }))
export const g28: Tensor = train.sync(unknown, unknown)
export const copy: typeof mlp = mlp.clone().eval()

// weights: what files hold is what models take
export async function weights(model: nn.Module, bytes: Uint8Array): Promise<readonly string[]> {
  model.loadStateDict(await loadSafetensors('model.safetensors'))
  model.loadStateDict(parseSafetensors(bytes).tensors)
  model.loadStateDict(mlp.stateDict())
  await load(mlp, new URL('file:///model.safetensors'), { filter: (name) => !name.startsWith('head.') })
  const { missingKeys, unexpectedKeys } = model.loadStateDict({ weight: zeros([2]) }, { strict: false })
  return [...missingKeys, ...unexpectedKeys]
}
