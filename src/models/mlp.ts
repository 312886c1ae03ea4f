/**
 * Fully connected networks.
 */
import { checkOptions, nn } from '../index.js'
import { checkDropout, checkSizes, modelError } from './check.js'

export interface MLPOptions {
  /** Makes the activation between layers; default ReLU. */
  activation?: () => nn.Layer
  /** Dropout behind each activation; default 0, none. */
  dropout?: number
}

/** Far fewer than a call may have arguments. */
const mostSizes = 10_000

/**
 * Linear layers of the given sizes with activations between them, as `nn.Sequential`: `[…, first size]` → `[…, last size]`.
 *
 *     const model = mlp([784, 256, 10])       // Linear(784, 256), ReLU(), Linear(256, 10)
 *
 * @throws ArgumentError `ERR_MODEL_OPTION` for fewer than two sizes, or more than 10,000.
 */
export function mlp(sizes: readonly number[], options: MLPOptions = {}): nn.Sequential {
  checkOptions('mlp', options, { activation: true, dropout: true })
  if (!Array.isArray(sizes) || sizes.length < 2) throw modelError('mlp', 'needs the sizes of at least input and output', sizes)
  if (sizes.length > mostSizes) throw modelError('mlp', `takes at most ${mostSizes} sizes, since its layers become arguments`, sizes.length)
  for (const size of sizes) checkSizes('mlp', { 'a size': size })
  const { activation = () => new nn.ReLU(), dropout = 0 } = options
  checkDropout('mlp', dropout)
  if (typeof activation !== 'function' || activation.prototype instanceof nn.Module)
    throw modelError('mlp', 'activation must be a function that makes a layer', activation)
  const layers: nn.Layer[] = []
  for (let i = 0; i + 1 < sizes.length; i++) {
    layers.push(new nn.Linear(sizes[i], sizes[i + 1]))
    if (i + 2 === sizes.length) break
    layers.push(activation())
    if (dropout > 0) layers.push(new nn.Dropout(dropout))
  }
  return new nn.Sequential(...layers)
}
