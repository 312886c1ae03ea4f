/**
 * Muon: momentum whose matrix is made orthogonal, so that every direction gets a step of the same size.
 */
import { ArgumentError, checkOptions, ShapeError, showShape, showValue } from '../base/errors.js'
import { norm } from '../ops/arrays/vector-norm.js'
import { assign } from '../ops/basic/assign.js'
import { add, div, maximum, mul, sub } from '../ops/basic/elementwise.js'
import { matmul } from '../ops/basic/matmul.js'
import { transpose } from '../ops/basic/movement.js'
import type { Tensor } from '../tensor/tensor.js'
import { type Hyper, plain } from './hyper.js'
import { towards } from './moments.js'
import { makeGroups, Optimizer, type OptimizerOptions, type OptimizerParameters, ParameterGroup, type Update } from './optimizer.js'

export interface MuonOptions extends OptimizerOptions {
  /** Learning rate; default 1e-3. */
  lr?: number
  /** Decay of the parameters themselves; default 0.1. */
  weightDecay?: number
  /** Default 0.95. */
  momentum?: number
  /** Default true. */
  nesterov?: boolean
  /** Coefficients of the polynomial a·x + b·x³ + c·x⁵ that is applied to the singular values; default [3.4445, −4.775, 2.0315]. */
  nsCoefficients?: readonly [number, number, number]
  /** How often it is applied; default 5. */
  nsSteps?: number
  /** The least norm divided by; default 1e-7. */
  eps?: number
  /** Factor of the rate by shape: 'original' √max(1, rows/columns), the default, or 'match_rms_adamw' 0.2·√max(rows, columns). */
  adjustLrFn?: 'original' | 'match_rms_adamw'
}

const fromMomentum = { value: (x: number): number => x, rest: (x: number): number => 1 - x }

/** A group of `Muon`: `lr`, `weightDecay`, `momentum` and `eps` may be changed between steps. */
export class MuonGroup extends ParameterGroup {
  declare momentum: number
  declare eps: number
  /** @internal */ readonly pace: Hyper<typeof fromMomentum>
  /** @internal */ readonly floor: Hyper<typeof plain>
  /** @internal */ readonly buffers: readonly Tensor[]
  /** @internal */ readonly options: Required<MuonOptions>

  /** @internal */
  constructor(params: readonly Tensor[], options: Required<MuonOptions>) {
    super('Muon', params, options)
    const { nsCoefficients, nsSteps, adjustLrFn } = options
    for (const p of params) {
      if (p.ndim !== 2)
        throw new ShapeError(
          'ERR_PARAMETERS',
          `Muon: parameters must be matrices, received ${showShape(p.shape)}. Give the others to AdamW.`,
        )
    }
    if (!Array.isArray(nsCoefficients) || nsCoefficients.length !== 3 || !nsCoefficients.every(Number.isFinite))
      throw new ArgumentError('ERR_HYPERPARAMETER', `Muon: nsCoefficients must be three numbers, received ${showValue(nsCoefficients)}.`)
    if (!Number.isInteger(nsSteps) || nsSteps < 1 || nsSteps >= 100)
      throw new ArgumentError('ERR_HYPERPARAMETER', `Muon: nsSteps must be an integer from 1 to 99, received ${showValue(nsSteps)}.`)
    if (adjustLrFn !== 'original' && adjustLrFn !== 'match_rms_adamw')
      throw new ArgumentError(
        'ERR_HYPERPARAMETER',
        `Muon: adjustLrFn must be 'original' or 'match_rms_adamw', received ${showValue(adjustLrFn)}.`,
      )
    this.options = options
    this.pace = this.hyper('momentum', 'momentum', options.momentum, { low: 0 }, fromMomentum)
    this.floor = this.hyper('eps', 'eps', options.eps, { low: 0 }, plain)
    this.expose({ momentum: this.pace, eps: this.floor })
    this.buffers = this.keep('momentum_buffer')
  }
}

/** The nearest matrix with all singular values about 1, by Newton and Schulz's iteration. */
function orthogonal(x: Tensor, { nsCoefficients: [a, b, c], nsSteps }: Required<MuonOptions>, eps: Tensor): Tensor {
  const tall = x.shape[0] > x.shape[1]
  let y = tall ? transpose(x) : x
  y = div(y, maximum(norm(y), eps))
  for (let i = 0; i < nsSteps; i++) {
    const gram = matmul(y, transpose(y))
    y = add(mul(y, a), matmul(add(mul(gram, b), mul(matmul(gram, gram), c)), y))
  }
  return tall ? transpose(y) : y
}

/**
 * For the matrices inside a network (not embeddings, heads, biases or gains, which go to AdamW). Source: Jordan 2024, `torch.optim.Muon`; computed in float32,
 * where PyTorch takes bfloat16.
 *
 *     const matrices = model.parameters().filter((p) => p.ndim === 2)
 *     const optimizer = new optim.Muon(matrices, { lr: 0.02 })
 *
 * @throws ShapeError `ERR_PARAMETERS` for other shapes; ArgumentError `ERR_PARAMETERS`, `ERR_NOT_A_LEAF` or `ERR_HYPERPARAMETER`; DTypeError.
 */
export class Muon extends Optimizer<MuonGroup> {
  constructor(params: OptimizerParameters<MuonOptions>, options: MuonOptions = {}) {
    checkOptions('Muon', options, {
      lr: true,
      weightDecay: true,
      momentum: true,
      nesterov: true,
      nsCoefficients: true,
      nsSteps: true,
      eps: true,
      adjustLrFn: true,
      maximize: true,
    })
    const { lr = 1e-3, weightDecay = 0.1, momentum = 0.95, nesterov = true, maximize = false } = options
    const { nsCoefficients = [3.4445, -4.775, 2.0315], nsSteps = 5, eps = 1e-7, adjustLrFn = 'original' } = options
    const all: Required<MuonOptions> = { lr, weightDecay, momentum, nesterov, nsCoefficients, nsSteps, eps, adjustLrFn, maximize }
    super(makeGroups<MuonOptions, MuonGroup>('Muon', params, all, (list, own) => new MuonGroup(list, own as Required<MuonOptions>)))
  }

  protected update(group: MuonGroup, updates: readonly Update[]): void {
    const { options, pace } = group
    const pull = group.pull()
    for (const { p, g, index } of updates) {
      const d = group.descent(g)
      const buffer = towards(group.buffers[index], d, pace)
      const direction = options.nesterov ? add(d, mul(sub(buffer, d), pace.tensors.value)) : buffer
      const [rows, columns] = p.shape
      const factor = options.adjustLrFn === 'original' ? Math.sqrt(Math.max(1, rows / columns)) : 0.2 * Math.sqrt(Math.max(rows, columns))
      const rate = mul(group.rate.tensors.value, factor)
      const stepped = sub(p, mul(orthogonal(direction, options, group.floor.tensors.value), rate))
      assign(p, pull === undefined ? stepped : sub(stepped, mul(p, pull)))
      assign(group.buffers[index], buffer)
    }
  }
}
