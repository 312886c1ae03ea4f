/**
 * Residual networks (He et al. 2015): those for ImageNet with torchvision's `state_dict` names, and those for CIFAR.
 */
import { adaptiveAvgPool2d, checkOptions, maxPool2d, nn, type Tensor } from '../index.js'
import { checkLayers, modelError } from './check.js'

type Images = Tensor<['batch', number, number, number]>

/** He's initial values for what a ReLU follows, as in torchvision. */
function initialize(model: nn.Module): void {
  model.apply((m) => {
    if (m instanceof nn.Conv2d) nn.init.kaimingNormal(m.weight, { mode: 'fanOut', nonlinearity: 'relu' })
  })
}

const conv3x3 = (i: number, o: number, stride: number): nn.Conv2d => new nn.Conv2d(i, o, 3, { stride, padding: 1, bias: false })
const conv1x1 = (i: number, o: number, stride: number): nn.Conv2d => new nn.Conv2d(i, o, 1, { stride, bias: false })

/** The shortcut of a block that changes sizes; `undefined` for one that does not. */
function projection(i: number, o: number, stride: number): nn.Sequential | undefined {
  return stride === 1 && i === o ? undefined : (new nn.Sequential(conv1x1(i, o, stride), new nn.BatchNorm2d(o)) as nn.Sequential)
}

/** Channels of a block's output for each of its width. */
const expansion = { basic: 1, bottleneck: 4 }

/** Two 3×3 convolutions beside a shortcut. */
class BasicBlock extends nn.Module {
  conv1: nn.Conv2d
  bn1: nn.BatchNorm2d
  conv2: nn.Conv2d
  bn2: nn.BatchNorm2d
  downsample: nn.Sequential | undefined

  constructor(inChannels: number, width: number, stride: number) {
    super()
    this.conv1 = conv3x3(inChannels, width, stride)
    this.bn1 = new nn.BatchNorm2d(width)
    this.conv2 = conv3x3(width, width, 1)
    this.bn2 = new nn.BatchNorm2d(width)
    this.downsample = projection(inChannels, width, stride)
  }

  forward(x: Images): Images {
    const y = this.bn1.forward(this.conv1.forward(x)).relu()
    const shortcut = this.downsample === undefined ? x : this.downsample.forward(x)
    return this.bn2.forward(this.conv2.forward(y)).add(shortcut).relu()
  }
}

/** A 3×3 convolution between two 1×1 ones, which narrow and widen, beside a shortcut. The stride is at the 3×3 one, as in torchvision. */
class Bottleneck extends nn.Module {
  conv1: nn.Conv2d
  bn1: nn.BatchNorm2d
  conv2: nn.Conv2d
  bn2: nn.BatchNorm2d
  conv3: nn.Conv2d
  bn3: nn.BatchNorm2d
  downsample: nn.Sequential | undefined

  constructor(inChannels: number, width: number, stride: number) {
    super()
    const wide = width * expansion.bottleneck
    this.conv1 = conv1x1(inChannels, width, 1)
    this.bn1 = new nn.BatchNorm2d(width)
    this.conv2 = conv3x3(width, width, stride)
    this.bn2 = new nn.BatchNorm2d(width)
    this.conv3 = conv1x1(width, wide, 1)
    this.bn3 = new nn.BatchNorm2d(wide)
    this.downsample = projection(inChannels, wide, stride)
  }

  forward(x: Images): Images {
    const a = this.bn1.forward(this.conv1.forward(x)).relu()
    const b = this.bn2.forward(this.conv2.forward(a)).relu()
    const shortcut = this.downsample === undefined ? x : this.downsample.forward(x)
    return this.bn3.forward(this.conv3.forward(b)).add(shortcut).relu()
  }
}

export interface ResNetOptions {
  /** Default 1000, ImageNet's. */
  numClasses?: number
}

/**
 * A residual network for images `[N, 3, H, W]` → `[N, numClasses]`, usually of 224×224; made by `resnet18`, `resnet34`, `resnet50`. Its state dict
 * is that of `torchvision.models`.
 */
export class ResNet extends nn.Module {
  conv1: nn.Conv2d = new nn.Conv2d(3, 64, 7, { stride: 2, padding: 3, bias: false })
  bn1: nn.BatchNorm2d = new nn.BatchNorm2d(64)
  layer1: nn.Sequential
  layer2: nn.Sequential
  layer3: nn.Sequential
  layer4: nn.Sequential
  fc: nn.Linear

  constructor(block: 'basic' | 'bottleneck', depths: readonly [number, number, number, number], options: ResNetOptions = {}) {
    checkOptions('ResNet', options, { numClasses: true })
    super()
    if (block !== 'basic' && block !== 'bottleneck') throw modelError('ResNet', "the block must be 'basic' or 'bottleneck'", block)
    if (!Array.isArray(depths) || depths.length !== 4) throw modelError('ResNet', 'the depths are four, one for each stage', depths)
    for (const depth of depths) checkLayers('ResNet', { 'a depth': depth })
    const Block = block === 'basic' ? BasicBlock : Bottleneck
    let channels = 64
    const stage = (depth: number, width: number, stride: number): nn.Sequential => {
      const blocks = Array.from({ length: depth }, (_, i) => {
        const made = new Block(channels, width, i === 0 ? stride : 1)
        channels = width * expansion[block]
        return made as nn.Layer
      })
      return new nn.Sequential(...blocks)
    }
    this.layer1 = stage(depths[0], 64, 1)
    this.layer2 = stage(depths[1], 128, 2)
    this.layer3 = stage(depths[2], 256, 2)
    this.layer4 = stage(depths[3], 512, 2)
    this.fc = new nn.Linear(512 * expansion[block], options.numClasses ?? 1000)
    initialize(this)
  }

  forward(x: Tensor<['batch', 3, 'height', 'width']>): Tensor<['batch', number]> {
    const stem = maxPool2d(this.bn1.forward(this.conv1.forward(x)).relu(), 3, { stride: 2, padding: 1 })
    const features = this.layer4.forward(this.layer3.forward(this.layer2.forward(this.layer1.forward(stem))))
    return this.fc.forward(adaptiveAvgPool2d(features, 1).flatten(1))
  }
}

/** ResNet-18, 11.7 million parameters. Source: `torchvision.models.resnet18`. */
export function resnet18(options: ResNetOptions = {}): ResNet {
  return new ResNet('basic', [2, 2, 2, 2], options)
}

/** ResNet-34, 21.8 million parameters. Source: `torchvision.models.resnet34`. */
export function resnet34(options: ResNetOptions = {}): ResNet {
  return new ResNet('basic', [3, 4, 6, 3], options)
}

/** ResNet-50, 25.6 million parameters. Source: `torchvision.models.resnet50`. */
export function resnet50(options: ResNetOptions = {}): ResNet {
  return new ResNet('bottleneck', [3, 4, 6, 3], options)
}

/** A block whose shortcut, where sizes change, takes every second pixel and fills up channels with zeros: no parameters (option A). */
class PlainBlock extends nn.Module {
  conv1: nn.Conv2d
  bn1: nn.BatchNorm2d
  conv2: nn.Conv2d
  bn2: nn.BatchNorm2d
  readonly stride: number
  readonly more: number

  constructor(inChannels: number, width: number, stride: number) {
    super()
    this.conv1 = conv3x3(inChannels, width, stride)
    this.bn1 = new nn.BatchNorm2d(width)
    this.conv2 = conv3x3(width, width, 1)
    this.bn2 = new nn.BatchNorm2d(width)
    this.stride = stride
    this.more = width - inChannels
  }

  forward(x: Images): Images {
    const y = this.bn2.forward(this.conv2.forward(this.bn1.forward(this.conv1.forward(x)).relu()))
    return y.add(this.shortcut(x)).relu()
  }

  private shortcut(x: Tensor): Tensor {
    const { stride, more } = this
    const thin = stride === 1 ? x : x.slice(2, 0, undefined, stride).slice(3, 0, undefined, stride)
    return more === 0 ? thin : thin.pad([0, 0, 0, 0, more >> 1, more - (more >> 1)])
  }
}

/**
 * A residual network for CIFAR's images `[N, 3, 32, 32]` → `[N, numClasses]` with `depth` = 6n + 2 layers (section 4.2 of the paper); made by
 * `resnet20`.
 *
 * @throws ArgumentError `ERR_MODEL_OPTION` for other depths.
 */
export class CifarResNet extends nn.Module {
  conv: nn.Conv2d = conv3x3(3, 16, 1)
  bn: nn.BatchNorm2d = new nn.BatchNorm2d(16)
  body: nn.Sequential
  fc: nn.Linear

  constructor(depth: number, options: ResNetOptions = {}) {
    checkOptions('CifarResNet', options, { numClasses: true })
    super()
    const each = Number.isInteger(depth) && depth <= 10_000 ? (depth - 2) / 6 : 0
    if (!Number.isInteger(each) || each < 1) throw modelError('CifarResNet', 'depth must be 6n + 2 (20, 32, 44, 56, 110)', depth)
    let channels = 16
    const blocks = [16, 32, 64].flatMap((width, stage) =>
      Array.from({ length: each }, (_, i) => {
        const made = new PlainBlock(channels, width, stage > 0 && i === 0 ? 2 : 1)
        channels = width
        return made as nn.Layer
      }),
    )
    this.body = new nn.Sequential(...blocks)
    this.fc = new nn.Linear(64, options.numClasses ?? 10)
    initialize(this)
  }

  forward(x: Tensor<['batch', 3, 'height', 'width']>): Tensor<['batch', number]> {
    const y = this.body.forward(this.bn.forward(this.conv.forward(x)).relu())
    return this.fc.forward(adaptiveAvgPool2d(y, 1).flatten(1))
  }
}

/** ResNet-20 for CIFAR, 0.27 million parameters. Default: `numClasses` 10. */
export function resnet20(options: ResNetOptions = {}): CifarResNet {
  return new CifarResNet(20, options)
}
