/**
 * What all optimizers share: groups of parameters with their hyper-parameters and state, the step, checkpoints. State is made in the
 * constructor, in memory that compiled programs use by reference; an update is tensor arithmetic, element by element, which `compile`
 * fuses into one pass over parameter, gradient and state.
 */
import { noGrad } from '../autograd/backward.js'
import { compile } from '../compile/compile.js'
import { ArgumentError, checkOptions, DTypeError, StateError } from '../errors.js'
import { add } from '../ops/elementwise.js'
import { concat } from '../ops/join.js'
import { clone, narrow } from '../ops/movement.js'
import { loadState, refuseInTrace, type StateDict, type StateSlot, type StateSource, stateZeros, tensorSlot } from '../ops/state.js'
import { Tensor, tensor } from '../tensor.js'
import { tracing } from '../tracing.js'
import { gradientOf, setGradient, tensorList } from './gradient.js'
import { Hyper, type HyperRange } from './hyper.js'

const positive: HyperRange = { low: 0 }

/** Hyper-parameters that every optimizer has. */
export interface OptimizerOptions {
  lr?: number
  weightDecay?: number
  /** Climb instead of descend; default false. */
  maximize?: boolean
}

/** Some parameters with hyper-parameters of their own; what is not given is taken from the optimizer's options. */
export type GroupOptions<O> = O & { params: Iterable<Tensor> | Tensor }

/** What optimizers are given: parameters, or groups of them. */
export type OptimizerParameters<O> = Iterable<Tensor> | readonly GroupOptions<O>[]

/** A parameter with a gradient, and its place in the group. */
export interface Update {
  readonly p: Tensor
  readonly g: Tensor
  readonly index: number
}

/** Some parameters, their hyper-parameters and their state. Numbers may be changed at any time between steps: `group.lr = 0.01`. */
export class ParameterGroup {
  readonly params: readonly Tensor[]
  readonly maximize: boolean
  /** @internal steps taken by each parameter, float32 `[params.length]`: parameters without a gradient are skipped and do not count */
  readonly steps: Tensor
  /** @internal tensors kept for each parameter, by PyTorch's names */
  readonly state = new Map<string, readonly Tensor[]>()
  /** @internal hyper-parameters by PyTorch's names */
  readonly hypers = new Map<string, Hyper<Record<string, (x: number) => number>>>()
  /** @internal */ readonly rate
  /** @internal */ readonly decay
  private readonly optimizer: string

  /** @internal */
  constructor(optimizer: string, params: readonly Tensor[], options: Required<OptimizerOptions>) {
    checkOptions(optimizer, options)
    this.optimizer = optimizer
    this.params = tensorList(optimizer, params)
    this.maximize = options.maximize
    this.steps = stateZeros(optimizer, [params.length])
    this.rate = this.hyper('lr', 'lr', options.lr, positive, { value: (x) => x })
    this.decay = this.hyper('weight_decay', 'weightDecay', options.weightDecay, positive, { value: (x) => x })
  }

  /** Learning rate. */
  get lr(): number {
    return this.rate.value
  }
  set lr(value: number) {
    this.rate.set(value)
  }

  /** Pull towards zero. */
  get weightDecay(): number {
    return this.decay.value
  }
  set weightDecay(value: number) {
    this.decay.set(value)
  }

  /** @internal registers a hyper-parameter under PyTorch's name; errors use ours */
  hyper<D extends Record<string, (x: number) => number>>(
    key: string,
    name: string,
    value: number,
    range: HyperRange,
    derived: D,
  ): Hyper<D> {
    const made = new Hyper(`${this.optimizer}: ${name}`, value, range, derived)
    this.hypers.set(key, made)
    return made
  }

  /** @internal a tensor of zeros for each parameter */
  zeros(key: string): readonly Tensor[] {
    const made = this.params.map((p) => stateZeros(this.optimizer, p.shape))
    this.state.set(key, made)
    return made
  }

  /** @internal the parameters that have a gradient */
  updates(): Update[] {
    return this.params.flatMap((p, index) => {
      const g = gradientOf(p)
      return g === undefined ? [] : [{ p, g, index }]
    })
  }

  /** @internal the step counts with this step counted, for those that have a gradient */
  countSteps(updates: readonly Update[]): Tensor {
    if (updates.length === this.params.length) return add(this.steps, 1)
    const present = new Set(updates.map((u) => u.index))
    return concat(this.params.map((_, i) => add(narrow(this.steps, 0, i, 1), present.has(i) ? 1 : 0)))
  }
}

function checkParameter(op: string, p: Tensor, seen: Set<Tensor>): void {
  if (p.traced)
    throw new StateError(
      'ERR_TRACED_ESCAPED',
      `${op}: a traced tensor cannot be optimized. Make parameters and the optimizer outside compile().`,
    )
  if (p.gradNode !== undefined) {
    throw new ArgumentError(
      'ERR_NOT_A_LEAF',
      `${op}: a parameter is the result of ${p.gradNode.row.name}, not a leaf. Pass the tensors that model.parameters() gives.`,
    )
  }
  if (p.dtype !== 'float32')
    throw new DTypeError('ERR_DTYPE', `${op}: parameters must be float32, received ${p.dtype}. Convert with .to('float32').`)
  if (seen.has(p))
    throw new ArgumentError(
      'ERR_PARAMETERS',
      `${op}: a parameter of shape [${p.shape.join(', ')}] is given twice. List each parameter once, in one group.`,
    )
  seen.add(p)
}

function isGroup<O>(x: unknown): x is GroupOptions<O> {
  return typeof x === 'object' && x !== null && !(x instanceof Tensor) && 'params' in x
}

/** Splits what a user passed into groups of checked parameters. */
function groupsOf<O extends object>(op: string, given: OptimizerParameters<O>, options: O): { params: Tensor[]; options: O }[] {
  const list = Array.isArray(given) ? (given as unknown[]) : undefined
  const grouped = list?.some((x) => isGroup(x)) ?? false
  const wanted = grouped ? (list as unknown[]) : [{ params: given }]
  const seen = new Set<Tensor>()
  return wanted.map((group, i) => {
    if (!isGroup<O>(group))
      throw new ArgumentError('ERR_PARAMETERS', `${op}: element ${i} is not a group { params, … }. Give groups only, or parameters only.`)
    const { params, ...own } = group
    const checked = tensorList(op, params)
    if (checked.length === 0) {
      throw new ArgumentError(
        'ERR_PARAMETERS',
        `${op}: ${grouped ? `group ${i} has` : 'there are'} no parameters. Assign layers to fields of the module, or to arrays in them.`,
      )
    }
    for (const p of checked) checkParameter(op, p, seen)
    const set = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined))
    return { params: checked, options: { ...options, ...set } as O }
  })
}

/**
 * Base class of optimizers: `step()` updates every parameter that has a gradient. Works the same inside `compile`.
 *
 *     optimizer.zeroGrad(); loss.backward(); optimizer.step()
 *     optimizer.lr = 1e-4                     // also between calls of a compiled step
 */
export abstract class Optimizer<G extends ParameterGroup = ParameterGroup> {
  /** The parameters in groups, each with its own numbers: `optimizer.groups[1].lr = 0`. */
  readonly groups: readonly G[]

  /** @internal */
  constructor(groups: readonly G[]) {
    this.groups = groups
  }

  /** Writes the new values of one group's parameters and state, without gradients recorded. */
  protected abstract update(group: G, updates: readonly Update[]): void

  /** The first group's learning rate; setting it sets that of all groups. */
  get lr(): number {
    return this.groups[0].lr
  }
  set lr(value: number) {
    for (const group of this.groups) group.lr = value
  }

  /** Outside `compile` a step is one program of its own, instead of a dozen ops for each parameter. */
  private readonly program = compile(() => this.updateAll(), { name: 'optimizer.step' })

  /** Updates every parameter that has a gradient, by one step. */
  step(): void {
    // memory that JavaScript holds a view of cannot be written by programs: such parameters are updated op by op
    const programmable = this.groups.every((group) => group.params.every((p) => p.storage.share()))
    if (tracing.recorder === undefined && programmable) this.program.sync()
    else this.updateAll()
  }

  private updateAll(): void {
    noGrad(() => {
      for (const group of this.groups) {
        const updates = group.updates()
        if (updates.length > 0) this.update(group, updates)
      }
    })
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const { params } of this.groups) for (const p of params) setGradient(p, undefined)
  }

  /**
   * Copies of all state and hyper-parameters by name, for checkpoints: `state.0.exp_avg` counts parameters through all groups,
   * `groups.0.lr` groups.
   */
  stateDict(): StateDict {
    const dict: StateDict = {}
    noGrad(() => {
      let first = 0
      this.groups.forEach((group, i) => {
        for (const [key, tensors] of group.state) {
          tensors.forEach((t, k) => {
            dict[`state.${first + k}.${key}`] = clone(t)
          })
        }
        dict[`groups.${i}.step`] = clone(group.steps)
        for (const [key, hyper] of group.hypers) dict[`groups.${i}.${key}`] = tensor(hyper.value)
        first += group.params.length
      })
    })
    return dict
  }

  /**
   * Continues from a `stateDict()` of an optimizer with the same parameters in the same order.
   *
   *     optimizer.loadStateDict(saved)
   *
   * @throws ArgumentError, ShapeError or DTypeError `ERR_STATE_DICT`, listing everything missing, unexpected and not fitting; nothing
   * is written then.
   */
  loadStateDict(dict: StateSource): void {
    refuseInTrace('loadStateDict')
    const slots = new Map<string, StateSlot>()
    let first = 0
    this.groups.forEach((group, i) => {
      for (const [key, tensors] of group.state) tensors.forEach((t, k) => void slots.set(`state.${first + k}.${key}`, tensorSlot(t)))
      slots.set(`groups.${i}.step`, tensorSlot(group.steps))
      for (const [key, hyper] of group.hypers) {
        slots.set(`groups.${i}.${key}`, {
          shape: [],
          dtype: 'float32',
          refuse: (value) => hyper.refuse(value.item()),
          write: (value) => hyper.set(value.item()),
        })
      }
      first += group.params.length
    })
    noGrad(() => loadState('loadStateDict', slots, dict, true))
  }

  /** Like `Adam(lr: 0.001, weightDecay: 0, 4 parameters)`. */
  toString(): string {
    const parts = this.groups.map(
      (g) => `lr: ${g.lr}, weightDecay: ${g.weightDecay}, ${g.params.length} parameter${g.params.length === 1 ? '' : 's'}`,
    )
    return `${this.constructor.name}(${parts.join(' | ')})`
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}

/** @internal builds the groups of an optimizer */
export function makeGroups<O extends object, G>(
  op: string,
  given: OptimizerParameters<O>,
  options: O,
  make: (params: readonly Tensor[], options: O) => G,
): G[] {
  refuseInTrace(op)
  return groupsOf(op, given, options).map((group) => make(group.params, group.options))
}
