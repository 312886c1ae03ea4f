/**
 * Optimizers that look at the signs of gradients: Rprop with a step size for each element, Lion with a momentum.
 */
import { ArgumentError, checkOptions, isNumber, showValue } from '../base/errors.js'
import { assign } from '../ops/basic/assign.js'
import { eq, gt, lt, maximum, minimum, mul, sign, sub, where } from '../ops/basic/elementwise.js'
import type { Tensor } from '../tensor/tensor.js'
import { type Hyper, plain } from './hyper.js'
import { BetaGroup, towards } from './moments.js'
import { entry, makeGroups, Optimizer, type OptimizerOptions, type OptimizerParameters, ParameterGroup, type Update } from './optimizer.js'

export interface RpropOptions {
  /** The first step size; default 1e-2. It may be set until the first step. */
  lr?: number
  /** Factors of the step sizes after a change of sign and without; default [0.5, 1.2]. */
  etas?: readonly [number, number]
  /** The least and the greatest step size; default [1e-6, 50]. */
  stepSizes?: readonly [number, number]
  /** Climb instead of descend; default false. */
  maximize?: boolean
}

type Pair = readonly [number, number]

function checkPair(name: string, pair: Pair, fits: (a: number, b: number) => boolean, rule: string): Pair {
  if (Array.isArray(pair) && pair.length === 2 && pair.every(isNumber) && fits(pair[0], pair[1])) return pair
  throw new ArgumentError('ERR_HYPERPARAMETER', `Rprop: ${name} must be ${rule}, received ${showValue(pair)}.`)
}

const checkEtas = (pair: Pair): Pair => checkPair('etas', pair, (a, b) => a > 0 && a < 1 && b > 1, 'a pair around 1 such as [0.5, 1.2]')
const checkSizes = (pair: Pair): Pair => checkPair('stepSizes', pair, (a, b) => a >= 0 && a <= b, 'a pair in order such as [1e-6, 50]')

/** A group of `Rprop`: `etas` and `stepSizes` may be changed between steps, `lr` until the first. */
export class RpropGroup extends ParameterGroup {
  /** @internal */ readonly shrink: Hyper<typeof plain>
  /** @internal */ readonly grow: Hyper<typeof plain>
  /** @internal */ readonly least: Hyper<typeof plain>
  /** @internal */ readonly most: Hyper<typeof plain>
  /** @internal */ readonly previous: readonly Tensor[]
  /** @internal */ readonly sizes: readonly Tensor[]

  /** @internal */
  constructor(params: readonly Tensor[], options: Required<RpropOptions>) {
    super('Rprop', params, { ...options, weightDecay: undefined })
    const { etas, stepSizes } = options
    checkEtas(etas)
    checkSizes(stepSizes)
    this.shrink = this.hyper('eta_minus', 'etas[0]', etas[0], { low: 0 }, plain)
    this.grow = this.hyper('eta_plus', 'etas[1]', etas[1], { low: 0 }, plain)
    this.least = this.hyper('step_size_min', 'stepSizes[0]', stepSizes[0], { low: 0 }, plain)
    this.most = this.hyper('step_size_max', 'stepSizes[1]', stepSizes[1], { low: 0 }, plain)
    this.previous = this.keep('prev')
    this.sizes = this.keep('step_size', options.lr)
  }

  get etas(): Pair {
    return [this.shrink.value, this.grow.value]
  }
  set etas(pair: Pair) {
    const [shrink, grow] = checkEtas(pair)
    this.shrink.set(shrink)
    this.grow.set(grow)
  }

  get stepSizes(): Pair {
    return [this.least.value, this.most.value]
  }
  set stepSizes(pair: Pair) {
    const [least, most] = checkSizes(pair)
    this.least.set(least)
    this.most.set(most)
  }
}

/**
 * Resilient propagation: each element has a step size of its own, which grows while its gradient keeps its sign and shrinks when that changes. For full
 * batches. Source: Riedmiller and Braun 1993, `torch.optim.Rprop`.
 *
 *     const optimizer = new optim.Rprop(model.parameters())
 *
 * @throws ArgumentError `ERR_PARAMETERS` (none, twice), `ERR_NOT_A_LEAF` or `ERR_HYPERPARAMETER`; DTypeError.
 */
export class Rprop extends Optimizer<RpropGroup> {
  constructor(params: OptimizerParameters<RpropOptions>, options: RpropOptions = {}) {
    checkOptions('Rprop', options, { lr: true, etas: true, stepSizes: true, maximize: true })
    const { lr = 1e-2, etas = [0.5, 1.2], stepSizes = [1e-6, 50], maximize = false } = options
    const all: Required<RpropOptions> = { lr, etas, stepSizes, maximize }
    super(makeGroups<RpropOptions, RpropGroup>('Rprop', params, all, (list, own) => new RpropGroup(list, own as Required<RpropOptions>)))
  }

  protected update(group: RpropGroup, updates: readonly Update[]): void {
    const { shrink, grow, least, most } = group
    const steps = group.countSteps(updates)
    // the first step takes the rate as it is then
    const fresh = eq(group.steps, 0)
    for (const { p, g, index } of updates) {
      const d = group.descent(g)
      const turn = mul(d, group.previous[index])
      const turned = lt(turn, 0)
      const factor = where(gt(turn, 0), grow.tensors.value, where(turned, shrink.tensors.value, 1))
      const before = where(entry(fresh, index), group.rate.tensors.value, group.sizes[index])
      const size = minimum(maximum(mul(before, factor), least.tensors.value), most.tensors.value)
      // after a change of sign the element waits
      const kept = where(turned, 0, d)
      assign(p, sub(p, mul(sign(kept), size)))
      assign(group.sizes[index], size)
      assign(group.previous[index], kept)
    }
    assign(group.steps, steps)
  }
}

export interface LionOptions extends OptimizerOptions {
  /** Learning rate; default 1e-4, a third to a tenth of Adam's. */
  lr?: number
  /** Shares of the old in the step's direction and in the momentum; default [0.9, 0.99]. */
  betas?: readonly [number, number]
  /** Decay of the parameters themselves; default 0. */
  weightDecay?: number
}

/**
 * Steps of one size, in the direction of the sign of a momentum: p ← p − lr·(sign(β₁·m + (1 − β₁)·g) + weightDecay·p), m ← β₂·m + (1 − β₂)·g. Half of Adam's
 * memory. Source: Chen et al. 2023.
 *
 *     const optimizer = new optim.Lion(model.parameters(), { lr: 1e-4, weightDecay: 0.1 })
 *
 * @throws ArgumentError `ERR_PARAMETERS` (none, twice), `ERR_NOT_A_LEAF` or `ERR_HYPERPARAMETER`; DTypeError.
 */
export class Lion extends Optimizer<BetaGroup> {
  constructor(params: OptimizerParameters<LionOptions>, options: LionOptions = {}) {
    checkOptions('Lion', options, { lr: true, betas: true, weightDecay: true, maximize: true })
    const { lr = 1e-4, betas = [0.9, 0.99], weightDecay = 0, maximize = false } = options
    const all: Required<LionOptions> = { lr, betas, weightDecay, maximize }
    super(makeGroups<LionOptions, BetaGroup>('Lion', params, all, (list, own) => new BetaGroup('Lion', list, own as Required<LionOptions>)))
  }

  protected update(group: BetaGroup, updates: readonly Update[]): void {
    const lr = group.rate.tensors.value
    const pull = group.pull()
    const steps = group.countSteps(updates)
    for (const { p, g, index } of updates) {
      const d = group.descent(g)
      const m = group.expAvg[index]
      const stepped = sub(p, mul(sign(towards(m, d, group.beta1)), lr))
      assign(p, pull === undefined ? stepped : sub(stepped, mul(p, pull)))
      assign(m, towards(m, d, group.beta2))
    }
    assign(group.steps, steps)
  }
}
