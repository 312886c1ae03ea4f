/**
 * Running moments of gradients: what Adam and its relatives share.
 */
import { ArgumentError, showValue } from '../base/errors.js'
import { add, expm1, maximum, mul, neg, square, sub } from '../ops/basic/elementwise.js'
import type { Tensor } from '../tensor/tensor.js'
import { type Hyper, type HyperRange, plain } from './hyper.js'
import { type OptimizerOptions, ParameterGroup } from './optimizer.js'

export interface MomentOptions extends OptimizerOptions {
  /** Decay of the running mean and of the running mean square, from 0 and below 1; default [0.9, 0.999]. */
  betas?: readonly [number, number]
  /** Added to the denominator; default 1e-8. */
  eps?: number
}

export const below1: HyperRange = { low: 0, high: 1 }
// 1 − β is taken in double precision, and 1 − βᵗ = −expm1(t·log β): both would cancel in float32
const fromBeta = { value: (b: number): number => b, rest: (b: number): number => 1 - b, log: (b: number): number => Math.log(b) }

/** A decay, and what steps compute from it. */
export type Beta = Hyper<typeof fromBeta>

/** `mean` moved towards `value`: mean·β + value·(1 − β). */
export function towards(mean: Tensor, value: Tensor, beta: Hyper<{ rest: (b: number) => number }>): Tensor {
  return add(mean, mul(sub(value, mean), beta.tensors.rest))
}

/** 1 − βᵗ: how much of a running mean that began at zero is filled. */
export function filled(steps: Tensor, beta: Beta): Tensor {
  // a parameter that never had a gradient has no steps, and no use for its entry: it must only not be a division by zero
  return neg(expm1(mul(maximum(steps, 1), beta.tensors.log)))
}

/** A group with two betas and a running mean. */
export class BetaGroup extends ParameterGroup {
  /** @internal */ readonly beta1: Beta
  /** @internal */ readonly beta2: Beta
  /** @internal */ readonly expAvg: readonly Tensor[]

  /** @internal */
  constructor(name: string, params: readonly Tensor[], options: Required<OptimizerOptions> & { betas: readonly [number, number] }) {
    super(name, params, options)
    const betas = this.checkPair(options.betas)
    this.beta1 = this.hyper('beta1', 'betas[0]', betas[0], below1, fromBeta)
    this.beta2 = this.hyper('beta2', 'betas[1]', betas[1], below1, fromBeta)
    this.expAvg = this.keep('exp_avg')
  }

  get betas(): readonly [number, number] {
    return [this.beta1.value, this.beta2.value]
  }
  set betas(pair: readonly [number, number]) {
    const [first, second] = this.checkPair(pair)
    const before = this.beta1.value
    this.beta1.set(first)
    try {
      this.beta2.set(second)
    } catch (error) {
      this.beta1.set(before)
      throw error
    }
  }

  private checkPair(betas: readonly [number, number]): readonly [number, number] {
    if (Array.isArray(betas) && betas.length === 2) return betas
    throw new ArgumentError(
      'ERR_HYPERPARAMETER',
      `${this.optimizer}: betas must be a pair such as [0.9, 0.999], received ${showValue(betas)}.`,
    )
  }
}

/** A group of Adam's kind: `lr`, `weightDecay`, `betas` and `eps` may be changed between steps. */
export class MomentGroup extends BetaGroup {
  /** Added to the denominator. */
  declare eps: number
  /** @internal */ readonly floor: Hyper<typeof plain>
  /** @internal the running mean square, or maximum */ readonly second: readonly Tensor[]

  /** @internal */
  constructor(name: string, params: readonly Tensor[], options: Required<MomentOptions>, second = 'exp_avg_sq') {
    super(name, params, options)
    this.floor = this.hyper('eps', 'eps', options.eps, { low: 0 }, plain)
    this.expose({ eps: this.floor })
    this.second = this.keep(second)
  }

  /** @internal the running mean and mean square with a gradient taken in */
  moments(g: Tensor, index: number): { m: Tensor; v: Tensor } {
    return { m: towards(this.expAvg[index], g, this.beta1), v: towards(this.second[index], square(g), this.beta2) }
  }
}
