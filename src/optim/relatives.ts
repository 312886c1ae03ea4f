/**
 * Adam's relatives: Adamax, NAdam, RAdam. They keep Adam's moments, and differ in what they divide by and how they look ahead.
 */
import { checkOptions } from '../base/errors.js'
import { assign } from '../ops/basic/assign.js'
import { abs, add, div, exp, expm1, lt, maximum, mul, ne, sqrt, square, sub, where } from '../ops/basic/elementwise.js'
import type { Tensor } from '../tensor/tensor.js'
import type { Hyper } from './hyper.js'
import { filled, MomentGroup, type MomentOptions, towards } from './moments.js'
import { entry, makeGroups, Optimizer, type OptimizerParameters, type Update } from './optimizer.js'

/** Defaults: `lr` 2e-3, `betas` [0.9, 0.999], `eps` 1e-8, `weightDecay` 0 (L2 penalty). */
export interface AdamaxOptions extends MomentOptions {}

function filledIn(options: MomentOptions, lr: number): Required<MomentOptions> {
  return { lr, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0, maximize: false, ...withoutUndefined(options) }
}

function withoutUndefined<O extends object>(options: O): O {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as O
}

/**
 * Adam with the greatest gradient in place of the mean square: u ← max(β₂·u, |g| + eps), p ← p − lr·m̂ / u. Source: Kingma and Ba 2015,
 * `torch.optim.Adamax`.
 *
 *     const optimizer = new optim.Adamax(model.parameters())
 *
 * @throws ArgumentError `ERR_PARAMETERS` (none, twice), `ERR_NOT_A_LEAF` or `ERR_HYPERPARAMETER`; DTypeError.
 */
export class Adamax extends Optimizer<MomentGroup> {
  constructor(params: OptimizerParameters<AdamaxOptions>, options: AdamaxOptions = {}) {
    checkOptions('Adamax', options, { lr: true, betas: true, eps: true, weightDecay: true, maximize: true })
    const make = (list: readonly Tensor[], own: AdamaxOptions): MomentGroup =>
      new MomentGroup('Adamax', list, own as Required<MomentOptions>, 'exp_inf')
    super(makeGroups<AdamaxOptions, MomentGroup>('Adamax', params, filledIn(options, 2e-3), make))
  }

  protected update(group: MomentGroup, updates: readonly Update[]): void {
    const steps = group.countSteps(updates)
    const sizes = div(group.rate.tensors.value, filled(steps, group.beta1))
    for (const { p, g, index } of updates) {
      const d = group.descent(g, p)
      const m = towards(group.expAvg[index], d, group.beta1)
      const u = maximum(mul(group.second[index], group.beta2.tensors.value), add(abs(d), group.floor.tensors.value))
      assign(p, sub(p, mul(entry(sizes, index), div(m, u))))
      assign(group.expAvg[index], m)
      assign(group.second[index], u)
    }
    assign(group.steps, steps)
  }
}

/** Defaults: `lr` 2e-3 (`RAdam`: 1e-3), `betas` [0.9, 0.999], `eps` 1e-8, `weightDecay` 0. */
export interface RAdamOptions extends MomentOptions {
  /** Whether the decay acts on the parameters themselves, as in AdamW, or is an L2 penalty; default false. */
  decoupledWeightDecay?: boolean
}

export interface NAdamOptions extends RAdamOptions {
  /** How fast the momentum reaches β₁; default 4e-3. */
  momentumDecay?: number
}

const fromDecay = { log: (x: number): number => x * Math.log(0.96) }

/** A group of `NAdam`: `momentumDecay` may be changed between steps as well. */
export class NAdamGroup extends MomentGroup {
  declare momentumDecay: number
  declare readonly decoupledWeightDecay: boolean
  /** @internal products of all momentums so far, one for each parameter */
  readonly products: Tensor
  /** @internal */ readonly fading: Hyper<typeof fromDecay>

  /** @internal */
  constructor(params: readonly Tensor[], options: Required<NAdamOptions>) {
    super('NAdam', params, options)
    this.fix({ decoupledWeightDecay: options.decoupledWeightDecay })
    this.fading = this.hyper('momentum_decay', 'momentumDecay', options.momentumDecay, { low: 0 }, fromDecay)
    this.expose({ momentumDecay: this.fading })
    this.products = this.counter('mu_product', 1)
  }

  /** @internal the momentum of step t */
  momentum(steps: Tensor): Tensor {
    return mul(sub(1, mul(exp(mul(steps, this.fading.tensors.log)), 0.5)), this.beta1.tensors.value)
  }
}

/**
 * Adam that looks ahead, with Nesterov's momentum. Source: Dozat 2016, `torch.optim.NAdam`.
 *
 *     const optimizer = new optim.NAdam(model.parameters(), { lr: 2e-3 })
 *
 * @throws ArgumentError `ERR_PARAMETERS` (none, twice), `ERR_NOT_A_LEAF` or `ERR_HYPERPARAMETER`; DTypeError.
 */
export class NAdam extends Optimizer<NAdamGroup> {
  constructor(params: OptimizerParameters<NAdamOptions>, options: NAdamOptions = {}) {
    checkOptions('NAdam', options, {
      lr: true,
      betas: true,
      eps: true,
      weightDecay: true,
      maximize: true,
      decoupledWeightDecay: true,
      momentumDecay: true,
    })
    const { momentumDecay = 4e-3, decoupledWeightDecay = false } = options
    const all: Required<NAdamOptions> = { ...filledIn(options, 2e-3), lr: options.lr ?? 2e-3, momentumDecay, decoupledWeightDecay }
    super(makeGroups<NAdamOptions, NAdamGroup>('NAdam', params, all, (list, own) => new NAdamGroup(list, own as Required<NAdamOptions>)))
  }

  protected update(group: NAdamGroup, updates: readonly Update[]): void {
    const lr = group.rate.tensors.value
    const decoupled = group.decoupledWeightDecay
    const pull = decoupled ? group.pull() : undefined
    const steps = group.countSteps(updates)
    const now = group.momentum(steps)
    const next = group.momentum(add(steps, 1))
    const product = where(ne(steps, group.steps), mul(group.products, now), group.products)
    const forGradient = div(mul(sub(1, now), lr), sub(1, product))
    const forMean = div(mul(next, lr), sub(1, mul(product, next)))
    const scales = filled(steps, group.beta2)
    for (const { p, g, index } of updates) {
      const d = group.descent(g, decoupled ? undefined : p)
      const { m, v } = group.moments(d, index)
      const denominator = add(sqrt(div(v, entry(scales, index))), group.floor.tensors.value)
      const stepped = sub(p, div(add(mul(d, entry(forGradient, index)), mul(m, entry(forMean, index))), denominator))
      assign(p, pull === undefined ? stepped : sub(stepped, mul(p, pull)))
      assign(group.expAvg[index], m)
      assign(group.second[index], v)
    }
    assign(group.steps, steps)
    assign(group.products, product)
  }
}

/**
 * ρ∞ = 2/(1 − β₂) − 1 is the length of the running mean square; that of step t is ρ∞ − 2t·βᵗ/(1 − βᵗ), the difference of two numbers that are nearly equal at
 * first. With z = −t·log β it is (ρ∞ + 2/log β) + t·h(z), h(z) = 2/z − 2/(eᶻ − 1), where nothing cancels.
 */
const fromBeta2 = {
  offset: (b: number): number => 2 / (1 - b) - 1 + 2 / Math.log(b),
  slope: (b: number): number => -Math.log(b),
  scale: (b: number): number => {
    const most = 2 / (1 - b) - 1
    return most / ((most - 4) * (most - 2))
  },
}

/** A group of `RAdam`. */
export class RAdamGroup extends MomentGroup {
  declare readonly decoupledWeightDecay: boolean
  /** @internal */ readonly variance: Hyper<typeof fromBeta2>

  /** @internal */
  constructor(params: readonly Tensor[], options: Required<RAdamOptions>) {
    super('RAdam', params, options)
    this.fix({ decoupledWeightDecay: options.decoupledWeightDecay })
    this.variance = this.beta2.also('RAdam: betas[1]', fromBeta2)
  }

  /** @internal ρ of step t */
  length(steps: Tensor): Tensor {
    const { offset, slope } = this.variance.tensors
    const z = mul(steps, slope)
    const far = sub(div(2, z), div(2, expm1(z)))
    // the series of h, whose next term is below float32's precision for z under 1
    const z2 = square(z)
    const tail = add(mul(z2, 1 / 604800), -1 / 15120)
    const near = add(mul(add(mul(add(mul(tail, z2), 1 / 360), z2), -1 / 6), z), 1)
    return add(offset, mul(steps, where(lt(z, 1), near, far)))
  }
}

/**
 * Adam that waits with its scaling until the mean square is known well enough. Source: Liu et al. 2020, `torch.optim.RAdam`.
 *
 *     const optimizer = new optim.RAdam(model.parameters())
 *
 * @throws ArgumentError `ERR_PARAMETERS` (none, twice), `ERR_NOT_A_LEAF` or `ERR_HYPERPARAMETER`; DTypeError.
 */
export class RAdam extends Optimizer<RAdamGroup> {
  constructor(params: OptimizerParameters<RAdamOptions>, options: RAdamOptions = {}) {
    checkOptions('RAdam', options, { lr: true, betas: true, eps: true, weightDecay: true, maximize: true, decoupledWeightDecay: true })
    const { decoupledWeightDecay = false } = options
    const all: Required<RAdamOptions> = { ...filledIn(options, 1e-3), decoupledWeightDecay }
    super(makeGroups<RAdamOptions, RAdamGroup>('RAdam', params, all, (list, own) => new RAdamGroup(list, own as Required<RAdamOptions>)))
  }

  protected update(group: RAdamGroup, updates: readonly Update[]): void {
    const decoupled = group.decoupledWeightDecay
    const pull = decoupled ? group.pull() : undefined
    const steps = group.countSteps(updates)
    const sizes = div(group.rate.tensors.value, filled(steps, group.beta1))
    const length = group.length(steps)
    const scaled = lt(5, length)
    const rectified = sqrt(maximum(div(mul(mul(sub(length, 4), sub(length, 2)), group.variance.tensors.scale), length), 0))
    const scales = mul(rectified, sqrt(filled(steps, group.beta2)))
    for (const { p, g, index } of updates) {
      const { m, v } = group.moments(group.descent(g, decoupled ? undefined : p), index)
      const factor = div(entry(scales, index), add(sqrt(v), group.floor.tensors.value))
      const stepped = sub(p, mul(mul(m, entry(sizes, index)), where(entry(scaled, index), factor, 1)))
      assign(p, pull === undefined ? stepped : sub(stepped, mul(p, pull)))
      assign(group.expAvg[index], m)
      assign(group.second[index], v)
    }
    assign(group.steps, steps)
  }
}
