/**
 * DCGAN (Radford et al. 2015) as in PyTorch's examples, whose `state_dict` names it has: a generator of 64×64 images and its critic.
 */
import { checkOptions, nn, type Tensor } from '../index.js'
import { checkSizes } from './check.js'

export interface DCGANOptions {
  /** Channels of the images; default 3. */
  channels?: number
  /** Channels of the largest layer; default 64. */
  width?: number
}

/** N(0, 0.02) for convolutions, N(1, 0.02) for the scales of batch norm. */
function initialize(model: nn.Module): void {
  model.apply((m) => {
    if (m instanceof nn.Conv2d || m instanceof nn.ConvTranspose2d) nn.init.normal(m.weight, { std: 0.02 })
    if (m instanceof nn.BatchNorm2d && m.weight !== undefined) nn.init.normal(m.weight, { mean: 1, std: 0.02 })
  })
}

/**
 * Noise `[N, latent, 1, 1]` → images `[N, channels, 64, 64]` in −1…1. Defaults: `latent` 100, `channels` 3, `width` 64.
 *
 *     const generator = new DCGANGenerator()
 *     const fakes = generator.forward(randn([16, 100, 1, 1]))
 */
export class DCGANGenerator extends nn.Module {
  main: nn.Sequential
  readonly latent: number
  constructor(options: DCGANOptions & { latent?: number } = {}) {
    checkOptions('DCGANGenerator', options, { channels: true, width: true, latent: true })
    super()
    const { channels = 3, width = 64, latent = 100 } = options
    checkSizes('DCGANGenerator', { channels, width, latent })
    this.latent = latent
    const unit = (i: number, o: number, stride: number, padding: number): nn.Layer[] => [
      new nn.ConvTranspose2d(i, o, 4, { stride, padding, bias: false }),
      new nn.BatchNorm2d(o),
      new nn.ReLU(),
    ]
    this.main = new nn.Sequential(
      ...unit(latent, width * 8, 1, 0),
      ...unit(width * 8, width * 4, 2, 1),
      ...unit(width * 4, width * 2, 2, 1),
      ...unit(width * 2, width, 2, 1),
      new nn.ConvTranspose2d(width, channels, 4, { stride: 2, padding: 1, bias: false }),
      new nn.Tanh(),
    )
    initialize(this)
  }
  forward(noise: Tensor<['batch', number, 1, 1]>): Tensor<['batch', number, number, number]> {
    return this.main.forward(noise)
  }
}

/**
 * Images `[N, channels, 64, 64]` → logits `[N]` of being real; goes with `losses.binaryCrossEntropyWithLogits`. Defaults: `channels` 3, `width` 64.
 * PyTorch's example ends with a sigmoid, which has no parameters.
 */
export class DCGANDiscriminator extends nn.Module {
  main: nn.Sequential
  constructor(options: DCGANOptions = {}) {
    checkOptions('DCGANDiscriminator', options, { channels: true, width: true })
    super()
    const { channels = 3, width = 64 } = options
    checkSizes('DCGANDiscriminator', { channels, width })
    const conv = (i: number, o: number, stride = 2, padding = 1): nn.Layer => new nn.Conv2d(i, o, 4, { stride, padding, bias: false })
    const unit = (i: number, o: number): nn.Layer[] => [conv(i, o), new nn.BatchNorm2d(o), new nn.LeakyReLU(0.2)]
    this.main = new nn.Sequential(
      conv(channels, width),
      new nn.LeakyReLU(0.2),
      ...unit(width, width * 2),
      ...unit(width * 2, width * 4),
      ...unit(width * 4, width * 8),
      conv(width * 8, 1, 1, 0),
    )
    initialize(this)
  }
  forward(images: Tensor<['batch', number, 64, 64]>): Tensor<['batch']> {
    return this.main.forward(images).flatten(0)
  }
}
