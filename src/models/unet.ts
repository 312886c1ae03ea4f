/**
 * U-Net (Ronneberger et al. 2015), padded and with batch norm, with the `state_dict` names of the widespread `milesial/Pytorch-UNet`.
 */
import { checkOptions, concat, nn, type Tensor } from '../index.js'
import { checkSizes } from './check.js'

type Images = Tensor<['batch', number, number, number]>

/** Twice convolution, batch norm, ReLU. */
class DoubleConv extends nn.Module {
  double_conv: nn.Sequential
  constructor(i: number, o: number) {
    super()
    const unit = (from: number): nn.Layer[] => [
      new nn.Conv2d(from, o, 3, { padding: 1, bias: false }),
      new nn.BatchNorm2d(o),
      new nn.ReLU(),
    ]
    this.double_conv = new nn.Sequential(...unit(i), ...unit(o))
  }
  forward(x: Images): Images {
    return this.double_conv.forward(x)
  }
}

/** Half the size, then convolutions. */
class Down extends nn.Module {
  maxpool_conv: nn.Sequential
  constructor(i: number, o: number) {
    super()
    this.maxpool_conv = new nn.Sequential(new nn.MaxPool2d(2), new DoubleConv(i, o) as nn.Layer) as nn.Sequential
  }
  forward(x: Images): Images {
    return this.maxpool_conv.forward(x)
  }
}

/** Twice the size, beside what was seen at that size on the way down, then convolutions. */
class Up extends nn.Module {
  up: nn.ConvTranspose2d
  conv: DoubleConv
  constructor(i: number, o: number) {
    super()
    this.up = new nn.ConvTranspose2d(i, i / 2, 2, { stride: 2 })
    this.conv = new DoubleConv(i, o)
  }
  forward(x: Images, skipped: Images): Images {
    const y = this.up.forward(x)
    const [dy, dx] = [skipped.shape[2] - y.shape[2], skipped.shape[3] - y.shape[3]]
    return this.conv.forward(concat([skipped, y.pad([dx >> 1, dx - (dx >> 1), dy >> 1, dy - (dy >> 1)])], 1))
  }
}

class OutConv extends nn.Module {
  conv: nn.Conv2d
  constructor(i: number, o: number) {
    super()
    this.conv = new nn.Conv2d(i, o, 1)
  }
  forward(x: Images): Images {
    return this.conv.forward(x)
  }
}

export interface UNetOptions {
  /** Channels at full size, doubled at each of the four halvings; default 64. */
  width?: number
}

/**
 * Segmentation: images `[N, channels, H, W]` → logits `[N, classes, H, W]`, of any size from 16×16. 31 million parameters at `width` 64.
 *
 *     const model = new UNet(3, 2, { width: 16 })
 *     const loss = losses.crossEntropy(model.forward(images), masks)
 */
export class UNet extends nn.Module {
  inc: DoubleConv
  down1: Down
  down2: Down
  down3: Down
  down4: Down
  up1: Up
  up2: Up
  up3: Up
  up4: Up
  outc: OutConv

  constructor(channels: number, classes: number, options: UNetOptions = {}) {
    checkOptions('UNet', options, { width: true })
    super()
    const w = options.width ?? 64
    checkSizes('UNet', { channels, classes, width: w })
    this.inc = new DoubleConv(channels, w)
    this.down1 = new Down(w, 2 * w)
    this.down2 = new Down(2 * w, 4 * w)
    this.down3 = new Down(4 * w, 8 * w)
    this.down4 = new Down(8 * w, 16 * w)
    this.up1 = new Up(16 * w, 8 * w)
    this.up2 = new Up(8 * w, 4 * w)
    this.up3 = new Up(4 * w, 2 * w)
    this.up4 = new Up(2 * w, w)
    this.outc = new OutConv(w, classes)
  }

  forward(x: Tensor<['batch', number, 'height', 'width']>): Images {
    const x1 = this.inc.forward(x)
    const x2 = this.down1.forward(x1)
    const x3 = this.down2.forward(x2)
    const x4 = this.down3.forward(x3)
    const bottom = this.down4.forward(x4)
    const y = this.up2.forward(this.up1.forward(bottom, x4), x3)
    return this.outc.forward(this.up4.forward(this.up3.forward(y, x2), x1))
  }
}
