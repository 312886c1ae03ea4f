/**
 * Stochastic gradient descent with momentum.
 */
import { ArgumentError, checkOptions, showValue } from '../base/errors.js'
import { assign } from '../ops/basic/assign.js'
import { add, eq, mul, sub, where } from '../ops/basic/elementwise.js'
import type { Tensor } from '../tensor/tensor.js'
import { type Hyper, plain } from './hyper.js'
import { entry, makeGroups, Optimizer, type OptimizerOptions, type OptimizerParameters, ParameterGroup, type Update } from './optimizer.js'

export interface SGDOptions extends OptimizerOptions {
  /** Learning rate; default 1e-3. */
  lr?: number
  /** Default 0: no momentum, and no memory for it until it is set. */
  momentum?: number
  /** Share of the gradient kept out of the momentum; default 0. */
  dampening?: number
  /** L2 penalty; default 0. */
  weightDecay?: number
  /** Nesterov's momentum; needs momentum and no dampening. Default false. */
  nesterov?: boolean
}

/** A group of `SGD`: `lr`, `weightDecay` and `momentum` may be changed between steps. */
export class SGDGroup extends ParameterGroup {
  declare readonly nesterov: boolean
  declare readonly dampening: number
  declare momentum: number
  /** @internal */ readonly pace: Hyper<typeof plain>

  /** @internal */
  constructor(params: readonly Tensor[], options: Required<SGDOptions>) {
    super('SGD', params, options)
    const { momentum, dampening, nesterov } = options
    if (!Number.isFinite(dampening))
      throw new ArgumentError('ERR_HYPERPARAMETER', `SGD: dampening must be a number, received ${showValue(dampening)}.`)
    if (nesterov && (momentum === 0 || dampening !== 0)) {
      throw new ArgumentError(
        'ERR_HYPERPARAMETER',
        `SGD: nesterov needs a momentum above 0 and no dampening, received momentum ${momentum} and dampening ${dampening}.`,
      )
    }
    this.fix({ nesterov, dampening })
    this.pace = this.hyper('momentum', 'momentum', momentum, { low: 0 }, plain)
    this.expose({ momentum: this.pace })
    this.keepUnlessZero('momentum_buffer', this.pace)
  }

  /** @internal */
  get buffers(): readonly Tensor[] | undefined {
    return this.pace.isZero ? undefined : this.state.get('momentum_buffer')
  }
}

/**
 * Stochastic gradient descent: b ← momentum·b + (1 − dampening)·g, p ← p − lr·b, where the first b is g itself and g contains
 * weightDecay·p. Source: `torch.optim.SGD`; Sutskever et al. 2013.
 *
 *     const optimizer = new optim.SGD(model.parameters(), { lr: 0.1, momentum: 0.9, nesterov: true })
 *     new optim.SGD([{ params: body.parameters() }, { params: head.parameters(), lr: 1 }], { lr: 0.1 })
 *
 * @throws ArgumentError `ERR_PARAMETERS` (none, twice), `ERR_NOT_A_LEAF` or `ERR_HYPERPARAMETER`; DTypeError.
 */
export class SGD extends Optimizer<SGDGroup> {
  constructor(params: OptimizerParameters<SGDOptions>, options: SGDOptions = {}) {
    checkOptions('SGD', options, { lr: true, momentum: true, dampening: true, weightDecay: true, nesterov: true, maximize: true })
    const { lr = 1e-3, momentum = 0, dampening = 0, weightDecay = 0, nesterov = false, maximize = false } = options
    const filled: Required<SGDOptions> = { lr, momentum, dampening, weightDecay, nesterov, maximize }
    super(makeGroups<SGDOptions, SGDGroup>('SGD', params, filled, (list, own) => new SGDGroup(list, own as Required<SGDOptions>)))
  }

  protected update(group: SGDGroup, updates: readonly Update[]): void {
    const { buffers, dampening } = group
    const lr = group.rate.tensors.value
    const momentum = group.pace.tensors.value
    // the first step takes the gradient whole; only for that steps are counted
    const fresh = buffers !== undefined && dampening !== 0 ? where(eq(group.steps, 0), 1, 1 - dampening) : undefined
    const steps = fresh === undefined ? undefined : group.countSteps(updates)
    for (const { p, g, index } of updates) {
      let d = group.descent(g, p)
      if (buffers !== undefined) {
        const taken = fresh === undefined ? d : mul(d, entry(fresh, index))
        const b = add(mul(buffers[index], momentum), taken)
        d = group.nesterov ? add(d, mul(b, momentum)) : b
        assign(buffers[index], b)
      }
      assign(p, sub(p, mul(d, lr)))
    }
    if (steps !== undefined) assign(group.steps, steps)
  }
}
