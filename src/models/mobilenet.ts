/**
 * MobileNetV2 (Sandler et al. 2018) with torchvision's `state_dict` names.
 */
import { adaptiveAvgPool2d, checkOptions, nn, type Tensor } from '../index.js'
import { modelError } from './check.js'

type Images = Tensor<['batch', number, number, number]>

/** Convolution, batch norm, ReLU limited to 6. */
const convUnit = (i: number, o: number, kernel: number, stride: number, groups = 1): nn.Sequential =>
  new nn.Sequential(
    new nn.Conv2d(i, o, kernel, { stride, padding: (kernel - 1) / 2, groups, bias: false }),
    new nn.BatchNorm2d(o),
    new nn.ReLU6(),
  ) as nn.Sequential

/** Widens by a 1×1 convolution, filters each channel, narrows again; with a shortcut where sizes stay. */
class InvertedResidual extends nn.Module {
  conv: nn.Sequential
  readonly shortcut: boolean

  constructor(i: number, o: number, stride: number, expand: number) {
    super()
    const wide = i * expand
    const layers: nn.Layer[] = expand === 1 ? [] : [convUnit(i, wide, 1, 1) as nn.Layer]
    this.conv = new nn.Sequential(
      ...layers,
      convUnit(wide, wide, 3, stride, wide) as nn.Layer,
      new nn.Conv2d(wide, o, 1, { bias: false }),
      new nn.BatchNorm2d(o),
    )
    this.shortcut = stride === 1 && i === o
  }

  forward(x: Images): Images {
    const y = this.conv.forward(x)
    return this.shortcut ? x.add(y) : y
  }
}

export interface MobileNetV2Options {
  /** Default 1000, ImageNet's. */
  numClasses?: number
  /** Factor of all channel counts; default 1. */
  widthMult?: number
  /** Dropout before the classifier; default 0.2. */
  dropout?: number
}

/** The nearest multiple of 8 that is not more than 10% below, as in torchvision. */
function channels(wanted: number): number {
  const near = Math.max(8, Math.floor((wanted + 4) / 8) * 8)
  return near < 0.9 * wanted ? near + 8 : near
}

/** Expansion, channels, blocks and first stride of each stage. */
const stages = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const

/** Images `[N, 3, H, W]` → `[N, numClasses]`; made by `mobilenetV2`. */
export class MobileNetV2 extends nn.Module {
  features: nn.Sequential
  classifier: nn.Sequential

  constructor(options: MobileNetV2Options = {}) {
    checkOptions('MobileNetV2', options, { numClasses: true, widthMult: true, dropout: true })
    super()
    const { numClasses = 1000, widthMult = 1, dropout = 0.2 } = options
    if (typeof widthMult !== 'number' || !(widthMult > 0 && widthMult < 1000))
      throw modelError('MobileNetV2', 'widthMult must be a number above 0 and below 1000', widthMult)
    let at = channels(32 * widthMult)
    const last = channels(1280 * Math.max(1, widthMult))
    const layers: nn.Layer[] = [convUnit(3, at, 3, 2) as nn.Layer]
    for (const [expand, width, blocks, stride] of stages) {
      for (let i = 0; i < blocks; i++) {
        const o = channels(width * widthMult)
        layers.push(new InvertedResidual(at, o, i === 0 ? stride : 1, expand) as nn.Layer)
        at = o
      }
    }
    layers.push(convUnit(at, last, 1, 1) as nn.Layer)
    this.features = new nn.Sequential(...layers)
    this.classifier = new nn.Sequential(new nn.Dropout(dropout), new nn.Linear(last, numClasses)) as nn.Sequential
    this.apply((m) => {
      if (m instanceof nn.Conv2d) nn.init.kaimingNormal(m.weight, { mode: 'fanOut' })
      if (m instanceof nn.Linear) {
        nn.init.normal(m.weight, { std: 0.01 })
        if (m.bias !== undefined) nn.init.zeros(m.bias)
      }
    })
  }

  forward(x: Tensor<['batch', 3, 'height', 'width']>): Tensor<['batch', number]> {
    return this.classifier.forward(adaptiveAvgPool2d(this.features.forward(x), 1).flatten(1))
  }
}

/**
 * MobileNetV2, 3.5 million parameters. Source: `torchvision.models.mobilenet_v2`.
 *
 *     const model = mobilenetV2({ numClasses: 10 })
 */
export function mobilenetV2(options: MobileNetV2Options = {}): MobileNetV2 {
  return new MobileNetV2(options)
}
