/**
 * Adam and AdamW: steps scaled by running estimates of the gradient's mean and square.
 */
import { ArgumentError, checkOptions, showValue } from '../errors.js'
import { assign } from '../ops/assign.js'
import { add, div, expm1, maximum, mul, neg, rsqrt, sqrt, square, sub } from '../ops/elementwise.js'
import { narrow, reshape } from '../ops/movement.js'
import type { Tensor } from '../tensor.js'
import type { Hyper, HyperRange } from './hyper.js'
import { makeGroups, Optimizer, type OptimizerOptions, type OptimizerParameters, ParameterGroup, type Update } from './optimizer.js'

export interface AdamOptions extends OptimizerOptions {
  /** Learning rate; default 1e-3. */
  lr?: number
  /** Decay of the running mean and of the running mean square, from 0 and below 1; default [0.9, 0.999]. */
  betas?: readonly [number, number]
  /** Added to the denominator; default 1e-8. */
  eps?: number
  /** `Adam`: L2 penalty, default 0. `AdamW`: decay of the parameters themselves, default 0.01. */
  weightDecay?: number
  /** Divide by the greatest mean square so far (Reddi et al. 2018); default false. */
  amsgrad?: boolean
}

const below1: HyperRange = { low: 0, high: 1 }
// 1 − β is taken in double precision, and 1 − βᵗ = −expm1(t·log β): both would cancel in float32
const fromBeta = { rest: (b: number): number => 1 - b, log: (b: number): number => Math.log(b) }

/** A group of `Adam` or `AdamW`: `lr`, `weightDecay`, `betas` and `eps` may be changed between steps. */
export class AdamGroup extends ParameterGroup {
  readonly amsgrad: boolean
  /** @internal */ readonly beta1: Hyper<typeof fromBeta>
  /** @internal */ readonly beta2: Hyper<typeof fromBeta>
  /** @internal */ readonly floor: Hyper<{ value: (x: number) => number }>
  /** @internal */ readonly expAvg: readonly Tensor[]
  /** @internal */ readonly expAvgSq: readonly Tensor[]
  /** @internal */ readonly maxExpAvgSq: readonly Tensor[] | undefined

  /** @internal */
  constructor(name: string, params: readonly Tensor[], options: Required<AdamOptions>) {
    super(name, params, options)
    const { betas, eps, amsgrad } = options
    if (!Array.isArray(betas) || betas.length !== 2) {
      throw new ArgumentError('ERR_HYPERPARAMETER', `${name}: betas must be a pair such as [0.9, 0.999], received ${showValue(betas)}.`)
    }
    this.beta1 = this.hyper('beta1', 'betas[0]', betas[0], below1, fromBeta)
    this.beta2 = this.hyper('beta2', 'betas[1]', betas[1], below1, fromBeta)
    this.floor = this.hyper('eps', 'eps', eps, { low: 0 }, { value: (x) => x })
    this.amsgrad = amsgrad
    this.expAvg = this.zeros('exp_avg')
    this.expAvgSq = this.zeros('exp_avg_sq')
    this.maxExpAvgSq = amsgrad ? this.zeros('max_exp_avg_sq') : undefined
  }

  get betas(): readonly [number, number] {
    return [this.beta1.value, this.beta2.value]
  }
  set betas([first, second]: readonly [number, number]) {
    this.beta1.set(first)
    this.beta2.set(second)
  }

  get eps(): number {
    return this.floor.value
  }
  set eps(value: number) {
    this.floor.set(value)
  }
}

/** Adam's update; `decoupled` decays the parameters apart from the gradient. */
function update(group: AdamGroup, updates: readonly Update[], decoupled: boolean): void {
  const { beta1, beta2, maxExpAvgSq } = group
  const lr = group.rate.tensors.value
  const decay = group.decay.isZero ? undefined : group.decay.tensors.value
  // Numbers of the whole step, for all parameters at once. Those with a gradient only now have smaller step counts.
  const steps = group.countSteps(updates)
  // those that never had one count 0 steps, and 1 − β⁰ is not to be divided by
  const taken = updates.length === group.params.length ? steps : maximum(steps, 1)
  const sizes = div(lr, neg(expm1(mul(taken, beta1.tensors.log))))
  const scales = rsqrt(neg(expm1(mul(taken, beta2.tensors.log))))
  const pull = decay !== undefined && decoupled ? mul(lr, decay) : undefined
  for (const { p, g, index } of updates) {
    const number = (t: Tensor): Tensor => reshape(narrow(t, 0, index, 1), [])
    let d = group.maximize ? neg(g) : g
    if (decay !== undefined && !decoupled) d = add(d, mul(p, decay))
    const m = add(group.expAvg[index], mul(sub(d, group.expAvg[index]), beta1.tensors.rest))
    const v = add(group.expAvgSq[index], mul(sub(square(d), group.expAvgSq[index]), beta2.tensors.rest))
    const top = maxExpAvgSq === undefined ? v : maximum(maxExpAvgSq[index], v)
    const denominator = add(mul(sqrt(top), number(scales)), group.floor.tensors.value)
    // p comes in by way of the step, so that one map does it all
    const stepped = sub(p, mul(number(sizes), div(m, denominator)))
    assign(p, pull === undefined ? stepped : sub(stepped, mul(p, pull)))
    assign(group.expAvg[index], m)
    assign(group.expAvgSq[index], v)
    if (maxExpAvgSq !== undefined) assign(maxExpAvgSq[index], top)
  }
  assign(group.steps, steps)
}

function adamGroups(name: string, params: OptimizerParameters<AdamOptions>, options: AdamOptions, usualDecay: number): AdamGroup[] {
  const { lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = usualDecay, amsgrad = false, maximize = false } = options
  const filled: Required<AdamOptions> = { lr, betas, eps, weightDecay, amsgrad, maximize }
  return makeGroups<AdamOptions, AdamGroup>(name, params, filled, (list, own) => new AdamGroup(name, list, own as Required<AdamOptions>))
}

/**
 * Adam: p ← p − lr·m̂ / (√v̂ + eps), with m and v running means of g and g², corrected for their start at zero; g contains
 * weightDecay·p. Source: Kingma and Ba 2015, `torch.optim.Adam`.
 *
 *     const optimizer = new optim.Adam(model.parameters(), { lr: 1e-3 })
 *     optimizer.lr *= 0.5
 *
 * @throws ArgumentError `ERR_PARAMETERS` (none, twice), `ERR_NOT_A_LEAF` or `ERR_HYPERPARAMETER`; DTypeError.
 */
export class Adam extends Optimizer<AdamGroup> {
  constructor(params: OptimizerParameters<AdamOptions>, options: AdamOptions = {}) {
    checkOptions('Adam', options)
    super(adamGroups('Adam', params, options, 0))
  }

  protected update(group: AdamGroup, updates: readonly Update[]): void {
    update(group, updates, false)
  }
}

/**
 * Adam whose weight decay acts on the parameters themselves: p ← p·(1 − lr·weightDecay) − lr·m̂ / (√v̂ + eps). Source: Loshchilov and
 * Hutter 2019, `torch.optim.AdamW`.
 *
 *     const optimizer = new optim.AdamW(model.parameters(), { lr: 3e-4, weightDecay: 0.1 })
 *     new optim.AdamW([{ params: weights }, { params: biases, weightDecay: 0 }], { lr: 3e-4 })
 *
 * @throws ArgumentError `ERR_PARAMETERS` (none, twice), `ERR_NOT_A_LEAF` or `ERR_HYPERPARAMETER`; DTypeError.
 */
export class AdamW extends Optimizer<AdamGroup> {
  constructor(params: OptimizerParameters<AdamOptions>, options: AdamOptions = {}) {
    checkOptions('AdamW', options)
    super(adamGroups('AdamW', params, options, 0.01))
  }

  protected update(group: AdamGroup, updates: readonly Update[]): void {
    update(group, updates, true)
  }
}
