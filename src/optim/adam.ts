/**
 * Adam and AdamW: steps scaled by running estimates of the gradient's mean and square.
 */
import { checkOptions } from '../base/errors.js'
import { assign } from '../ops/basic/assign.js'
import { add, div, maximum, mul, rsqrt, sqrt, sub } from '../ops/basic/elementwise.js'
import type { Tensor } from '../tensor/tensor.js'
import { filled, MomentGroup, type MomentOptions } from './moments.js'
import { entry, makeGroups, Optimizer, type OptimizerParameters, type Update } from './optimizer.js'

export interface AdamOptions extends MomentOptions {
  /** Learning rate; default 1e-3. */
  lr?: number
  /** `Adam`: L2 penalty, default 0. `AdamW`: decay of the parameters themselves, default 0.01. */
  weightDecay?: number
  /** Divide by the greatest mean square so far (Reddi et al. 2018); default false. */
  amsgrad?: boolean
}

/** A group of `Adam` or `AdamW`: `lr`, `weightDecay`, `betas` and `eps` may be changed between steps. */
export class AdamGroup extends MomentGroup {
  declare readonly amsgrad: boolean
  /** @internal */ readonly maxExpAvgSq: readonly Tensor[] | undefined

  /** @internal */
  constructor(name: string, params: readonly Tensor[], options: Required<AdamOptions>) {
    super(name, params, options)
    this.fix({ amsgrad: options.amsgrad })
    this.maxExpAvgSq = options.amsgrad ? this.keep('max_exp_avg_sq') : undefined
  }

  /** @internal */
  get expAvgSq(): readonly Tensor[] {
    return this.second
  }
}

/** Adam's update; `decoupled` decays the parameters apart from the gradient. */
function update(group: AdamGroup, updates: readonly Update[], decoupled: boolean): void {
  const { beta1, beta2, maxExpAvgSq } = group
  const lr = group.rate.tensors.value
  // Numbers of the whole step, for all parameters at once. Those with a gradient only now have smaller step counts.
  const steps = group.countSteps(updates)
  const sizes = div(lr, filled(steps, beta1))
  const scales = rsqrt(filled(steps, beta2))
  const pull = decoupled ? group.pull() : undefined
  for (const { p, g, index } of updates) {
    const { m, v } = group.moments(group.descent(g, decoupled ? undefined : p), index)
    const top = maxExpAvgSq === undefined ? v : maximum(maxExpAvgSq[index], v)
    const denominator = add(mul(sqrt(top), entry(scales, index)), group.floor.tensors.value)
    // p comes in by way of the step, so that one map does it all
    const stepped = sub(p, mul(entry(sizes, index), div(m, denominator)))
    assign(p, pull === undefined ? stepped : sub(stepped, mul(p, pull)))
    assign(group.expAvg[index], m)
    assign(group.second[index], v)
    if (maxExpAvgSq !== undefined) assign(maxExpAvgSq[index], top)
  }
  assign(group.steps, steps)
}

function adamGroups(name: string, params: OptimizerParameters<AdamOptions>, options: AdamOptions, usualDecay: number): AdamGroup[] {
  const { lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = usualDecay, amsgrad = false, maximize = false } = options
  const filledIn: Required<AdamOptions> = { lr, betas, eps, weightDecay, amsgrad, maximize }
  return makeGroups<AdamOptions, AdamGroup>(name, params, filledIn, (list, own) => new AdamGroup(name, list, own as Required<AdamOptions>))
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
    checkOptions('Adam', options, { lr: true, betas: true, eps: true, weightDecay: true, maximize: true, amsgrad: true })
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
    checkOptions('AdamW', options, { lr: true, betas: true, eps: true, weightDecay: true, maximize: true, amsgrad: true })
    super(adamGroups('AdamW', params, options, 0.01))
  }

  protected update(group: AdamGroup, updates: readonly Update[]): void {
    update(group, updates, true)
  }
}
