/**
 * LBFGS: quasi-Newton steps from the last changes of parameters and gradients, with a line search if asked for. Its steps look at losses, so it runs
 * eagerly; what it calls may be compiled.
 */

import { ArgumentError, checkOptions, isFunction, StateError, showValue } from '../base/errors.js'
import { assign } from '../ops/basic/assign.js'
import { zerosLike } from '../ops/basic/creation.js'
import { abs, add, mul, neg, sub } from '../ops/basic/elementwise.js'
import { concat } from '../ops/basic/join.js'
import { clone, narrow, reshape } from '../ops/basic/movement.js'
import { amax, sum } from '../ops/basic/reduce.js'
import { refuseInTrace, stateZeros } from '../ops/basic/state.js'
import { enableGrad, noGrad } from '../ops/core/grad-mode.js'
import { Tensor, tensor } from '../tensor/tensor.js'
import { gradientOf } from './gradient.js'
import { makeGroups, Optimizer, type OptimizerParameters, ParameterGroup, type StateEntry, tensorEntry } from './optimizer.js'
import { type Probe, strongWolfe } from './wolfe.js'

export interface LBFGSOptions {
  /** Step length to begin with; default 1. */
  lr?: number
  /** Iterations a step; default 20. */
  maxIter?: number
  /** Calls of the closure a step; default 1.25·maxIter. */
  maxEval?: number
  /** Ends when no gradient is larger; default 1e-7. */
  toleranceGrad?: number
  /** Ends when loss and parameters change less; default 1e-9. */
  toleranceChange?: number
  /** How many changes are kept; each takes twice the memory of the parameters. Default 100. */
  historySize?: number
  /** 'strong_wolfe', or none (the default). */
  lineSearchFn?: 'strong_wolfe' | null
  /** Climb instead of descend; default false. */
  maximize?: boolean
}

type Filled = Required<LBFGSOptions>

const dot = (a: Tensor, b: Tensor): number => sum(mul(a, b)).item()
const largest = (a: Tensor): number => (a.size === 0 ? 0 : amax(abs(a)).item())

/** Numbers that go on from step to step; in a `stateDict()` in this order. */
const numberNames = ['n_iter', 'func_evals', 't', 'H_diag', 'prev_loss', 'history'] as const
type Numbers = Record<(typeof numberNames)[number], number>

/**
 * Limited-memory BFGS, for full batches and small problems. `step` takes a closure that clears the gradients, computes the loss, calls `backward()` and returns
 * the loss; it is called several times a step. Source: Nocedal and Wright 2006, algorithms 7.4 and 3.5, `torch.optim.LBFGS`.
 *
 *     const optimizer = new optim.LBFGS(model.parameters(), { lineSearchFn: 'strong_wolfe' })
 *     const closure = compile(() => { optimizer.zeroGrad(); const loss = lossOf(model); loss.backward(); return loss })
 *     const loss = optimizer.step(closure.sync)
 *
 * @throws ArgumentError `ERR_PARAMETERS` (none, twice, groups), `ERR_NOT_A_LEAF` or `ERR_HYPERPARAMETER`; DTypeError.
 */
export class LBFGS extends Optimizer {
  private readonly options: Filled
  private readonly numbers: Numbers = { n_iter: 0, func_evals: 0, t: 0, H_diag: 1, prev_loss: 0, history: 0 }
  private readonly direction: Tensor
  private readonly previous: Tensor
  /** Changes of gradients and of parameters, a row each, the oldest first. */
  private readonly gradientChanges: Tensor
  private readonly parameterChanges: Tensor
  /** 1 / (y·s) for each row. */
  private readonly curvatures: Tensor

  constructor(params: OptimizerParameters<LBFGSOptions>, options: LBFGSOptions = {}) {
    checkOptions('LBFGS', options, {
      lr: true,
      maxIter: true,
      maxEval: true,
      toleranceGrad: true,
      toleranceChange: true,
      historySize: true,
      lineSearchFn: true,
      maximize: true,
    })
    const {
      maxIter = 20,
      lr = 1,
      toleranceGrad = 1e-7,
      toleranceChange = 1e-9,
      historySize = 100,
      lineSearchFn = null,
      maximize = false,
    } = options
    const { maxEval = Number.isInteger(maxIter) ? Math.floor((maxIter * 5) / 4) : 1 } = options
    const all: Filled = { lr, maxIter, maxEval, toleranceGrad, toleranceChange, historySize, lineSearchFn, maximize }
    for (const name of ['maxIter', 'maxEval', 'historySize'] as const) {
      if (!Number.isInteger(all[name]) || all[name] < 1)
        throw new ArgumentError('ERR_HYPERPARAMETER', `LBFGS: ${name} must be an integer from 1, received ${showValue(all[name])}.`)
    }
    if (lineSearchFn !== null && lineSearchFn !== 'strong_wolfe')
      throw new ArgumentError(
        'ERR_HYPERPARAMETER',
        `LBFGS: lineSearchFn must be 'strong_wolfe' or null, received ${showValue(lineSearchFn)}.`,
      )
    const groups = makeGroups<LBFGSOptions, ParameterGroup>(
      'LBFGS',
      params,
      all,
      (list) => new ParameterGroup('LBFGS', list, { lr, maximize, weightDecay: undefined }),
    )
    if (groups.length > 1) throw new ArgumentError('ERR_PARAMETERS', `LBFGS: takes one group of parameters, received ${groups.length}.`)
    super(groups)
    const size = groups[0].params.reduce((n, p) => n + p.size, 0)
    this.options = all
    this.direction = stateZeros('LBFGS', [size])
    this.previous = stateZeros('LBFGS', [size])
    this.gradientChanges = stateZeros('LBFGS', [historySize, size])
    this.parameterChanges = stateZeros('LBFGS', [historySize, size])
    this.curvatures = stateZeros('LBFGS', [historySize], 'float64')
  }

  protected update(): never {
    throw new Error('LBFGS updates in its own step')
  }

  protected override entries(): Map<string, StateEntry> {
    const { numbers } = this
    const entries = super.entries()
    entries.delete('groups.0.step')
    const set = (name: string, entry: StateEntry): void => void entries.set(`state.0.${name}`, entry)
    set('d', tensorEntry(this.direction))
    set('prev_flat_grad', tensorEntry(this.previous))
    set('old_dirs', tensorEntry(this.gradientChanges))
    set('old_stps', tensorEntry(this.parameterChanges))
    for (const [name, all] of [
      ['ro', this.curvatures],
      ['numbers', undefined],
    ] as const) {
      if (all !== undefined) set(name, { ...tensorEntry(all), read: () => tensor(all.data) })
      else
        set(name, {
          shape: [numberNames.length],
          dtype: 'float64',
          read: () => tensor(Float64Array.from(numberNames, (key) => numbers[key])),
          write: (value) => numberNames.forEach((key, i) => void (numbers[key] = value.data[i])),
        })
    }
    return entries
  }

  private flatGradient(): Tensor {
    const { params, maximize } = this.groups[0]
    const parts = params.map((p) => reshape(gradientOf(p) ?? zerosLike(p), [p.size]))
    // a copy: the gradients' memory is used again by the next call of a compiled closure
    const flat = parts.length === 1 ? clone(parts[0]) : concat(parts)
    return maximize ? neg(flat) : flat
  }

  /** p ← start + length·direction. */
  private place(start: readonly Tensor[], length: number, direction: Tensor): void {
    let at = 0
    this.groups[0].params.forEach((p, i) => {
      assign(p, add(start[i], mul(reshape(narrow(direction, 0, at, p.size), p.shape), length)))
      at += p.size
    })
  }

  /** Loss and gradient at the parameters as they are. */
  private evaluate(closure: () => Tensor): { loss: number; gradient: Tensor; given: Tensor } {
    const given = enableGrad(closure)
    if (!(given instanceof Tensor) || given.size !== 1)
      throw new ArgumentError('ERR_CLOSURE', `LBFGS: the closure must return the loss, one number, received ${showValue(given)}.`)
    const loss = given.item()
    return { loss: this.groups[0].maximize ? -loss : loss, gradient: this.flatGradient(), given }
  }

  private row(matrix: Tensor, i: number): Tensor {
    return reshape(narrow(matrix, 0, i, 1), [matrix.shape[1]])
  }

  /** Keeps the last change, if the loss is curved upwards along it. */
  private remember(gradient: Tensor): void {
    const { numbers, gradientChanges, parameterChanges, curvatures } = this
    const y = sub(gradient, this.previous)
    const s = mul(this.direction, numbers.t)
    const ys = dot(y, s)
    if (!(ys > 1e-10)) return
    const { historySize } = this.options
    const ro = curvatures.data
    if (numbers.history === historySize) {
      for (const matrix of [gradientChanges, parameterChanges])
        if (historySize > 1) assign(narrow(matrix, 0, 0, historySize - 1), clone(narrow(matrix, 0, 1, historySize - 1)))
      ro.copyWithin(0, 1)
      numbers.history--
    }
    assign(this.row(gradientChanges, numbers.history), y)
    assign(this.row(parameterChanges, numbers.history), s)
    ro[numbers.history++] = 1 / ys
    numbers.H_diag = ys / dot(y, y)
  }

  /** −H·g by the two-loop recursion. */
  private newDirection(gradient: Tensor): Tensor {
    const { history, H_diag } = this.numbers
    const ro = this.curvatures.data
    const al = new Array<number>(history)
    let q = neg(gradient)
    for (let i = history - 1; i >= 0; i--) {
      al[i] = dot(this.row(this.parameterChanges, i), q) * ro[i]
      q = sub(q, mul(this.row(this.gradientChanges, i), al[i]))
    }
    let r = mul(q, H_diag)
    for (let i = 0; i < history; i++) {
      const be = dot(this.row(this.gradientChanges, i), r) * ro[i]
      r = add(r, mul(this.row(this.parameterChanges, i), al[i] - be))
    }
    return r
  }

  /** Iterates until a limit or a tolerance is reached; returns the loss at the beginning. */
  override step(closure?: () => Tensor): Tensor {
    if (!isFunction(closure))
      throw new StateError(
        'ERR_CLOSURE',
        'LBFGS: step needs a function that computes the loss and its gradients: optimizer.step(() => { …; loss.backward(); return loss }). fit() cannot give it one.',
      )
    refuseInTrace('LBFGS.step')
    return noGrad(() => this.iterate(closure))
  }

  private iterate(closure: () => Tensor): Tensor {
    const { numbers, options } = this
    const { maxIter, maxEval, toleranceGrad, toleranceChange, lineSearchFn } = options
    const { lr, params } = this.groups[0]
    let { loss, gradient, given } = this.evaluate(closure)
    const first = given
    let evaluations = 1
    numbers.func_evals++
    if (largest(gradient) <= toleranceGrad) return first
    for (let iteration = 1; iteration <= maxIter; iteration++) {
      numbers.n_iter++
      if (numbers.n_iter > 1) this.remember(gradient)
      const d = this.newDirection(gradient)
      assign(this.direction, d)
      assign(this.previous, gradient)
      numbers.prev_loss = loss
      numbers.t = numbers.n_iter === 1 ? Math.min(1, 1 / sum(abs(gradient)).item()) * lr : lr
      const slope = dot(gradient, d)
      if (slope > -toleranceChange) break
      const start = params.map((p) => clone(p))
      let calls = 0
      if (lineSearchFn !== null) {
        const probe = (length: number): Probe<Tensor> => {
          this.place(start, length, d)
          const at = this.evaluate(closure)
          return { length, loss: at.loss, gradient: at.gradient, slope: dot(at.gradient, d) }
        }
        const from: Probe<Tensor> = { length: 0, loss, gradient, slope }
        const found = strongWolfe(probe, from, numbers.t, largest(d), { toleranceChange, most: maxEval - evaluations })
        ;({ loss, gradient } = found.at)
        numbers.t = found.at.length
        calls = found.calls
        this.place(start, numbers.t, d)
      } else {
        this.place(start, numbers.t, d)
        if (iteration < maxIter) {
          ;({ loss, gradient } = this.evaluate(closure))
          calls = 1
        }
      }
      evaluations += calls
      numbers.func_evals += calls
      if (evaluations >= maxEval || largest(gradient) <= toleranceGrad) break
      if (largest(d) * numbers.t <= toleranceChange || Math.abs(loss - numbers.prev_loss) < toleranceChange) break
    }
    return first
  }
}
