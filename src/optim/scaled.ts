/**
 * Optimizers that divide by the size of past gradients: Adagrad by the root of their sum, RMSprop and Adadelta by that of a running mean.
 */
import { checkOptions } from '../base/errors.js'
import { assign } from '../ops/basic/assign.js'
import { add, div, maximum, mul, sqrt, square, sub } from '../ops/basic/elementwise.js'
import type { Tensor } from '../tensor/tensor.js'
import { type Hyper, plain } from './hyper.js'
import { towards } from './moments.js'
import { entry, makeGroups, Optimizer, type OptimizerOptions, type OptimizerParameters, ParameterGroup, type Update } from './optimizer.js'

const fromShare = { value: (x: number): number => x, rest: (x: number): number => 1 - x }

export interface AdagradOptions extends OptimizerOptions {
  /** Learning rate; default 1e-2. */
  lr?: number
  /** The rate of step t is lr / (1 + (t − 1)·lrDecay); default 0. */
  lrDecay?: number
  /** What the sums start from; default 0. */
  initialAccumulatorValue?: number
  /** Added to the denominator; default 1e-10. */
  eps?: number
}

/** A group of `Adagrad`: `lr`, `lrDecay`, `weightDecay` and `eps` may be changed between steps. */
export class AdagradGroup extends ParameterGroup {
  declare lrDecay: number
  declare eps: number
  /** @internal */ readonly slowing: Hyper<typeof plain>
  /** @internal */ readonly floor: Hyper<typeof plain>
  /** @internal */ readonly sums: readonly Tensor[]

  /** @internal */
  constructor(params: readonly Tensor[], options: Required<AdagradOptions>) {
    super('Adagrad', params, options)
    this.slowing = this.hyper('lr_decay', 'lrDecay', options.lrDecay, { low: 0 }, plain)
    this.floor = this.hyper('eps', 'eps', options.eps, { low: 0 }, plain)
    this.expose({ lrDecay: this.slowing, eps: this.floor })
    this.sums = this.keep('sum', this.checked('initialAccumulatorValue', options.initialAccumulatorValue, { low: 0 }))
  }
}

/**
 * Steps divided by the root of the sum of all squared gradients: p ← p − lr·g / (√Σg² + eps). Source: Duchi et al. 2011, `torch.optim.Adagrad`.
 *
 *     const optimizer = new optim.Adagrad(model.parameters(), { lr: 0.1 })
 *
 * @throws ArgumentError `ERR_PARAMETERS` (none, twice), `ERR_NOT_A_LEAF` or `ERR_HYPERPARAMETER`; DTypeError.
 */
export class Adagrad extends Optimizer<AdagradGroup> {
  constructor(params: OptimizerParameters<AdagradOptions>, options: AdagradOptions = {}) {
    checkOptions('Adagrad', options, {
      lr: true,
      lrDecay: true,
      weightDecay: true,
      initialAccumulatorValue: true,
      eps: true,
      maximize: true,
    })
    const { lr = 1e-2, lrDecay = 0, weightDecay = 0, initialAccumulatorValue = 0, eps = 1e-10, maximize = false } = options
    const all: Required<AdagradOptions> = { lr, lrDecay, weightDecay, initialAccumulatorValue, eps, maximize }
    super(
      makeGroups<AdagradOptions, AdagradGroup>(
        'Adagrad',
        params,
        all,
        (list, own) => new AdagradGroup(list, own as Required<AdagradOptions>),
      ),
    )
  }

  protected update(group: AdagradGroup, updates: readonly Update[]): void {
    const steps = group.countSteps(updates)
    const rates = div(group.rate.tensors.value, add(mul(sub(steps, 1), group.slowing.tensors.value), 1))
    for (const { p, g, index } of updates) {
      const d = group.descent(g, p)
      const total = add(group.sums[index], square(d))
      assign(p, sub(p, mul(entry(rates, index), div(d, add(sqrt(total), group.floor.tensors.value)))))
      assign(group.sums[index], total)
    }
    assign(group.steps, steps)
  }
}

export interface RMSpropOptions extends OptimizerOptions {
  /** Learning rate; default 1e-2. */
  lr?: number
  /** Decay of the running mean square; default 0.99. */
  alpha?: number
  /** Added to the denominator; default 1e-8. */
  eps?: number
  /** Default 0. */
  momentum?: number
  /** Divide by the standard deviation instead of the mean square's root; default false. */
  centered?: boolean
}

/** A group of `RMSprop`: `lr`, `alpha`, `weightDecay`, `eps` and `momentum` may be changed between steps. */
export class RMSpropGroup extends ParameterGroup {
  declare alpha: number
  declare eps: number
  declare momentum: number
  declare readonly centered: boolean
  /** @internal */ readonly share: Hyper<typeof fromShare>
  /** @internal */ readonly floor: Hyper<typeof plain>
  /** @internal */ readonly pace: Hyper<typeof plain>
  /** @internal */ readonly squares: readonly Tensor[]
  /** @internal */ readonly means: readonly Tensor[] | undefined

  /** @internal */
  constructor(params: readonly Tensor[], options: Required<RMSpropOptions>) {
    super('RMSprop', params, options)
    this.fix({ centered: options.centered })
    this.share = this.hyper('alpha', 'alpha', options.alpha, { low: 0 }, fromShare)
    this.floor = this.hyper('eps', 'eps', options.eps, { low: 0 }, plain)
    this.pace = this.hyper('momentum', 'momentum', options.momentum, { low: 0 }, plain)
    this.expose({ alpha: this.share, eps: this.floor, momentum: this.pace })
    this.squares = this.keep('square_avg')
    this.keepUnlessZero('momentum_buffer', this.pace)
    this.means = options.centered ? this.keep('grad_avg') : undefined
  }

  /** @internal */
  get buffers(): readonly Tensor[] | undefined {
    return this.pace.isZero ? undefined : this.state.get('momentum_buffer')
  }
}

/**
 * Steps divided by the root of a running mean square: v ← α·v + (1 − α)·g², p ← p − lr·g / (√v + eps), with momentum if asked for. Source: Hinton 2012,
 * Graves 2013, `torch.optim.RMSprop`.
 *
 *     const optimizer = new optim.RMSprop(model.parameters(), { lr: 1e-3, momentum: 0.9, centered: true })
 *
 * @throws ArgumentError `ERR_PARAMETERS` (none, twice), `ERR_NOT_A_LEAF` or `ERR_HYPERPARAMETER`; DTypeError.
 */
export class RMSprop extends Optimizer<RMSpropGroup> {
  constructor(params: OptimizerParameters<RMSpropOptions>, options: RMSpropOptions = {}) {
    checkOptions('RMSprop', options, {
      lr: true,
      alpha: true,
      eps: true,
      weightDecay: true,
      momentum: true,
      centered: true,
      maximize: true,
    })
    const { lr = 1e-2, alpha = 0.99, eps = 1e-8, weightDecay = 0, momentum = 0, centered = false, maximize = false } = options
    const all: Required<RMSpropOptions> = { lr, alpha, eps, weightDecay, momentum, centered, maximize }
    super(
      makeGroups<RMSpropOptions, RMSpropGroup>(
        'RMSprop',
        params,
        all,
        (list, own) => new RMSpropGroup(list, own as Required<RMSpropOptions>),
      ),
    )
  }

  protected update(group: RMSpropGroup, updates: readonly Update[]): void {
    const { buffers } = group
    const lr = group.rate.tensors.value
    const steps = group.countSteps(updates)
    for (const { p, g, index } of updates) {
      const d = group.descent(g, p)
      const v = towards(group.squares[index], square(d), group.share)
      let spread = v
      if (group.means !== undefined) {
        const mean = towards(group.means[index], d, group.share)
        // rounding may take the difference below 0
        spread = maximum(sub(v, square(mean)), 0)
        assign(group.means[index], mean)
      }
      let move = div(d, add(sqrt(spread), group.floor.tensors.value))
      if (buffers !== undefined) {
        move = add(mul(buffers[index], group.pace.tensors.value), move)
        assign(buffers[index], move)
      }
      assign(p, sub(p, mul(move, lr)))
      assign(group.squares[index], v)
    }
    assign(group.steps, steps)
  }
}

export interface AdadeltaOptions extends OptimizerOptions {
  /** Factor of the step; default 1. */
  lr?: number
  /** Decay of the running mean squares; default 0.9. */
  rho?: number
  /** Added under the roots; default 1e-6. */
  eps?: number
}

/** A group of `Adadelta`: `lr`, `rho`, `weightDecay` and `eps` may be changed between steps. */
export class AdadeltaGroup extends ParameterGroup {
  declare rho: number
  declare eps: number
  /** @internal */ readonly share: Hyper<typeof fromShare>
  /** @internal */ readonly floor: Hyper<typeof plain>
  /** @internal */ readonly squares: readonly Tensor[]
  /** @internal */ readonly deltas: readonly Tensor[]

  /** @internal */
  constructor(params: readonly Tensor[], options: Required<AdadeltaOptions>) {
    super('Adadelta', params, options)
    this.share = this.hyper('rho', 'rho', options.rho, { low: 0, high: 1 + Number.EPSILON }, fromShare)
    this.floor = this.hyper('eps', 'eps', options.eps, { low: 0 }, plain)
    this.expose({ rho: this.share, eps: this.floor })
    this.squares = this.keep('square_avg')
    this.deltas = this.keep('acc_delta')
  }
}

/**
 * Steps in the units of the parameters: d = g·√(Δ + eps) / √(v + eps), p ← p − lr·d, with running means v of g² and Δ of d². Source: Zeiler 2012,
 * `torch.optim.Adadelta`.
 *
 *     const optimizer = new optim.Adadelta(model.parameters())
 *
 * @throws ArgumentError `ERR_PARAMETERS` (none, twice), `ERR_NOT_A_LEAF` or `ERR_HYPERPARAMETER`; DTypeError.
 */
export class Adadelta extends Optimizer<AdadeltaGroup> {
  constructor(params: OptimizerParameters<AdadeltaOptions>, options: AdadeltaOptions = {}) {
    checkOptions('Adadelta', options, { lr: true, rho: true, eps: true, weightDecay: true, maximize: true })
    const { lr = 1, rho = 0.9, eps = 1e-6, weightDecay = 0, maximize = false } = options
    const all: Required<AdadeltaOptions> = { lr, rho, eps, weightDecay, maximize }
    super(
      makeGroups<AdadeltaOptions, AdadeltaGroup>(
        'Adadelta',
        params,
        all,
        (list, own) => new AdadeltaGroup(list, own as Required<AdadeltaOptions>),
      ),
    )
  }

  protected update(group: AdadeltaGroup, updates: readonly Update[]): void {
    const eps = group.floor.tensors.value
    const steps = group.countSteps(updates)
    for (const { p, g, index } of updates) {
      const d = group.descent(g, p)
      const v = towards(group.squares[index], square(d), group.share)
      const delta = mul(div(sqrt(add(group.deltas[index], eps)), sqrt(add(v, eps))), d)
      assign(p, sub(p, mul(delta, group.rate.tensors.value)))
      assign(group.squares[index], v)
      assign(group.deltas[index], towards(group.deltas[index], square(delta), group.share))
    }
    assign(group.steps, steps)
  }
}
