/**
 * Networks that learn a short code for their input: an autoencoder, and the variational one, which can also make new samples.
 */
import { checkOptions, nn, randn, type Tensor } from '../index.js'
import { checkTensors, modelError } from './check.js'
import { mlp } from './mlp.js'

export interface AutoencoderOptions {
  /** Sizes between input and code; default `[128, 64]`. */
  hidden?: readonly number[]
}

/**
 * Fully connected encoder and decoder: `[N, features]` → code `[N, code]` → `[N, features]`. Default: `hidden` `[128, 64]`.
 *
 *     const model = new Autoencoder(784, 16)
 *     const loss = losses.mseLoss(model.forward(x), x)
 */
export class Autoencoder extends nn.Module {
  encoder: nn.Sequential
  decoder: nn.Sequential

  constructor(features: number, code: number, options: AutoencoderOptions = {}) {
    checkOptions('Autoencoder', options, { hidden: true })
    super()
    const { hidden = [128, 64] } = options
    if (!Array.isArray(hidden)) throw modelError('Autoencoder', 'hidden must be an array of sizes', hidden)
    this.encoder = mlp([features, ...hidden, code])
    this.decoder = mlp([code, ...[...hidden].reverse(), features])
  }

  forward(x: Tensor<['batch', number]>): Tensor<['batch', number]> {
    return this.decoder.forward(this.encoder.forward(x))
  }
}

export interface VAEOptions {
  /** Size of the hidden layers; default 400. */
  hidden?: number
  /** Size of the code; default 20. */
  latent?: number
}

/**
 * Variational autoencoder (Kingma and Welling 2013) as in PyTorch's examples, whose `state_dict` names it has: `[N, features]` in 0…1 → the logits of
 * their reconstruction, the code's mean and log-variance. Defaults: `hidden` 400, `latent` 20.
 *
 *     const model = new VAE(784)
 *     const [logits, mu, logVar] = model.forward(x)
 *     const likelihood = losses.binaryCrossEntropyWithLogits(logits, x, { reduction: 'sum' })
 *     likelihood.add(model.divergence(mu, logVar)).backward()
 *     model.sample(16)                        // [16, 784]
 */
export class VAE extends nn.Module {
  fc1: nn.Linear
  fc21: nn.Linear
  fc22: nn.Linear
  fc3: nn.Linear
  fc4: nn.Linear

  constructor(features: number, options: VAEOptions = {}) {
    checkOptions('VAE', options, { hidden: true, latent: true })
    super()
    const { hidden = 400, latent = 20 } = options
    this.fc1 = new nn.Linear(features, hidden)
    this.fc21 = new nn.Linear(hidden, latent)
    this.fc22 = new nn.Linear(hidden, latent)
    this.fc3 = new nn.Linear(latent, hidden)
    this.fc4 = new nn.Linear(hidden, features)
  }

  /** The mean and log-variance of the code. */
  encode(x: Tensor<['batch', number]>): [mu: Tensor<['batch', number]>, logVar: Tensor<['batch', number]>] {
    const h = this.fc1.forward(x).relu()
    return [this.fc21.forward(h), this.fc22.forward(h)]
  }

  /** The logits of what a code stands for. */
  decode(z: Tensor<['batch', number]>): Tensor<['batch', number]> {
    return this.fc4.forward(this.fc3.forward(z).relu())
  }

  forward(
    x: Tensor<['batch', number]>,
  ): [logits: Tensor<['batch', number]>, mu: Tensor<['batch', number]>, logVar: Tensor<['batch', number]>] {
    const [mu, logVar] = this.encode(x)
    const z = mu.add(logVar.mul(0.5).exp().mul(randn(mu.shape)))
    return [this.decode(z), mu, logVar]
  }

  /** The Kullback–Leibler divergence of the code from N(0, 1), summed: −½ Σ(1 + logVar − mu² − e^logVar). */
  divergence(mu: Tensor, logVar: Tensor): Tensor<[]> {
    checkTensors('VAE.divergence', { mu, logVar })
    return logVar.add(1).sub(mu.square()).sub(logVar.exp()).sum().mul(-0.5)
  }

  /** New samples in 0…1. */
  sample(count: number): Tensor<['batch', number]> {
    return this.decode(randn([count, this.fc3.inFeatures])).sigmoid()
  }
}
