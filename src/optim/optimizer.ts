/**
 * What all optimizers share: groups of parameters with their hyper-parameters and state, the step, checkpoints. State is made in the
 * constructor, in memory that compiled programs use by reference; an update is tensor arithmetic, element by element, which `compile`
 * fuses into one pass over parameter, gradient and state.
 */

import { ArgumentError, checkObject, checkOptions, DTypeError, type OptionNames, StateError, showValue } from '../base/errors.js'
import { compile } from '../compile/compile.js'
import { assign } from '../ops/basic/assign.js'
import { add, mul, neg } from '../ops/basic/elementwise.js'
import { concat } from '../ops/basic/join.js'
import { clone, narrow, reshape } from '../ops/basic/movement.js'
import {
  entriesOf,
  loadState,
  refuseInTrace,
  type StateDict,
  type StateSlot,
  type StateSource,
  stateZeros,
  tensorSlot,
} from '../ops/basic/state.js'
import { enableGrad, noGrad } from '../ops/core/grad-mode.js'
import { tensorList } from '../ops/core/list.js'
import { context } from '../tensor/context.js'
import { Tensor, tensor } from '../tensor/tensor.js'
import { gradientOf } from './gradient.js'
import { Hyper, type HyperRange, plain, shortestDecimal } from './hyper.js'

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

/** What belongs to a name of a `stateDict()`, and where it comes from. */
export interface StateEntry extends StateSlot {
  read(): Tensor
}

/** @internal the entry of a tensor */
export function tensorEntry(t: Tensor): StateEntry {
  return { ...tensorSlot(t), read: () => clone(t) }
}

/** @internal one number of a vector, 0-d */
export function entry(t: Tensor, index: number): Tensor {
  return reshape(narrow(t, 0, index, 1), [])
}

type AnyHyper = Hyper<Record<string, (x: number) => number>>

/** Some parameters, their hyper-parameters and their state. Numbers may be changed at any time between steps: `group.lr = 0.01`. */
export class ParameterGroup {
  readonly params: readonly Tensor[]
  declare readonly maximize: boolean
  /** @internal the rate before any schedule changed it */
  initialLr: number | undefined = undefined
  /** @internal one number for each parameter, float32 `[params.length]`, by PyTorch's names */
  readonly counters = new Map<string, Tensor>()
  /** @internal steps taken by each parameter: parameters without a gradient are skipped and do not count */
  readonly steps: Tensor
  /** @internal tensors kept for each parameter, by PyTorch's names */
  readonly state = new Map<string, readonly Tensor[]>()
  /** @internal hyper-parameters by PyTorch's names */
  readonly hypers = new Map<string, AnyHyper>()
  /** @internal */ readonly rate: Hyper<typeof plain>
  /** @internal */ readonly decay: Hyper<typeof plain> | undefined
  /** Whose group it is, for messages. */
  protected readonly optimizer: string
  /** Keys of state that need not be there. */
  private readonly later = new Set<string>()

  /** @internal */
  constructor(optimizer: string, params: readonly Tensor[], options: { lr: number; maximize: boolean; weightDecay: number | undefined }) {
    checkObject(optimizer, options)
    if (typeof optimizer !== 'string')
      throw new ArgumentError(
        'ERR_PARAMETERS',
        `ParameterGroup: groups are made by optimizers, from { params, lr: 0.1 }; the name of one comes first, received ${showValue(optimizer)}.`,
      )
    this.optimizer = optimizer
    this.params = tensorList(optimizer, params)
    this.fix({ maximize: options.maximize })
    this.steps = this.counter('step', 0)
    this.rate = this.hyper('lr', 'lr', options.lr, positive, plain)
    if (options.weightDecay !== undefined) this.decay = this.hyper('weight_decay', 'weightDecay', options.weightDecay, positive, plain)
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
    return this.decay?.value ?? 0
  }
  set weightDecay(value: number) {
    if (this.decay === undefined) throw new ArgumentError('ERR_HYPERPARAMETER', `${this.optimizer}: there is no weight decay.`)
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

  /** @internal makes hyper-parameters fields to be read and set: `group.alpha = 0.9` */
  expose(hypers: Readonly<Record<string, { value: number; set(value: number): void }>>): void {
    for (const [name, hyper] of Object.entries(hypers))
      Object.defineProperty(this, name, { enumerable: true, get: () => hyper.value, set: (value: number) => hyper.set(value) })
  }

  /** @internal an option that is fixed, checked as hyper-parameters are */
  checked(name: string, value: number, range: HyperRange): number {
    return new Hyper(`${this.optimizer}: ${name}`, value, range, {}).value
  }

  /** @internal a tensor for each parameter, filled with a number */
  keep(key: string, value = 0): readonly Tensor[] {
    const made = this.params.map((p) => stateZeros(this.optimizer, p.shape))
    if (value !== 0) noGrad(() => made.forEach((t) => void assign(t, value)))
    this.state.set(key, made)
    return made
  }

  /** @internal a tensor for each parameter from the moment a hyper-parameter is not 0, which may be after construction */
  keepUnlessZero(key: string, hyper: { whenSet(listener: (value: number) => void): void }): void {
    this.later.add(key)
    hyper.whenSet((value) => void (value !== 0 && !this.state.has(key) && this.keep(key)))
  }

  /**
   * @internal For a `stateDict()` with these names: makes what it has and this group may have, and returns what this group has and it may lack, which then is zeros.
   * `first` is the number of the group's first parameter.
   */
  makeRoom(first: number, names: ReadonlySet<string>): Map<string, Tensor> {
    const absent = new Map<string, Tensor>()
    for (const key of this.later) {
      const given = this.params.some((_, k) => names.has(`state.${first + k}.${key}`))
      if (given && !this.state.has(key)) this.keep(key)
      if (!given) this.state.get(key)?.forEach((t, k) => void absent.set(`state.${first + k}.${key}`, t))
    }
    return absent
  }

  /** @internal options that are fixed at construction: they decide what is kept, so setting one later would mean nothing */
  fix(options: Readonly<Record<string, unknown>>): void {
    for (const [name, value] of Object.entries(options)) {
      const set = (): never => {
        throw new ArgumentError(
          'ERR_HYPERPARAMETER',
          `${this.optimizer}: ${name} is fixed at construction. Make a new optimizer, and load the old one's stateDict() if it fits.`,
        )
      }
      Object.defineProperty(this, name, { enumerable: true, get: () => value, set })
    }
  }

  /** @internal a number for each parameter */
  counter(key: string, value: number): Tensor {
    const made = stateZeros(this.optimizer, [this.params.length])
    if (value !== 0) noGrad(() => assign(made, value))
    this.counters.set(key, made)
    return made
  }

  /** @internal the gradient to descend by; with `p` the L2 penalty's is part of it */
  descent(g: Tensor, p?: Tensor): Tensor {
    const d = this.maximize ? neg(g) : g
    return p === undefined || this.decay === undefined || this.decay.isZero ? d : add(d, mul(p, this.decay.tensors.value))
  }

  /** @internal lr·weightDecay, by which decoupled decay pulls; `undefined` for none */
  pull(): Tensor | undefined {
    return this.decay === undefined || this.decay.isZero ? undefined : mul(this.rate.tensors.value, this.decay.tensors.value)
  }

  /** @internal places of this group in a `stateDict()`; `first` is the number of its first parameter, `index` its own */
  entries(first: number, index: number): [string, StateEntry][] {
    const found: [string, StateEntry][] = []
    for (const [key, tensors] of this.state) tensors.forEach((t, k) => void found.push([`state.${first + k}.${key}`, tensorEntry(t)]))
    for (const [key, t] of this.counters) found.push([`groups.${index}.${key}`, tensorEntry(t)])
    for (const [key, hyper] of this.hypers) found.push([`groups.${index}.${key}`, hyperEntry(hyper)])
    return found
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

/** Numbers are saved in double precision; those of older files were rounded. */
function hyperEntry(hyper: AnyHyper): StateEntry {
  const read = (value: Tensor): number => (value.dtype === 'float64' ? value.item() : shortestDecimal(value.item()))
  return {
    shape: [],
    dtype: 'float64',
    refuse: (value) => hyper.refuse(read(value)),
    write: (value) => hyper.set(read(value)),
    read: () => tensor(hyper.value, { dtype: 'float64' }),
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
  // throws where it was disposed of, or its memory transferred
  void p.storage.bytes
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
    if (grouped) checkOptions(`${op}: group ${i}`, group, { params: true, ...options } as unknown as OptionNames<GroupOptions<O>>)
    const checked = tensorList(op, params)
    if (checked.length === 0) {
      throw new ArgumentError(
        'ERR_PARAMETERS',
        `${op}: ${grouped ? `group ${i} has` : 'there are'} no parameters. Assign layers and nn.Parameters to fields of the module (not #private ones), or to arrays in them.`,
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
    if (!Array.isArray(groups) || groups.some((group: unknown) => !(group instanceof ParameterGroup)))
      throw new ArgumentError('ERR_PARAMETERS', `Optimizer: an array of ParameterGroups is expected, received ${showValue(groups)}.`)
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

  /** Updates every parameter that has a gradient, by one step. With a `closure`, which computes the loss and its gradients, that is called first. */
  step(closure?: () => Tensor): Tensor | undefined {
    const loss = closure === undefined ? undefined : enableGrad(closure)
    // memory that JavaScript holds a view of cannot be written by programs: such parameters are updated op by op
    const programmable = this.groups.every((group) => group.params.every((p) => p.storage.share()))
    if (context.recorder === undefined && programmable) this.program.sync()
    else this.updateAll()
    return loss
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
    for (const { params } of this.groups) for (const p of params) p.replaceGrad(undefined)
  }

  /** @internal what steps have gathered, without hyper-parameters: to go back to an earlier moment */
  moments(): Tensor[] {
    return this.groups.flatMap(({ state, counters }) => [...[...state.values()].flat(), ...counters.values()])
  }

  /** The groups, each with the number of its first parameter. */
  private numbered(): [group: G, first: number][] {
    let next = 0
    return this.groups.map((group) => {
      next += group.params.length
      return [group, next - group.params.length]
    })
  }

  /** @internal what a `stateDict()` consists of */
  protected entries(): Map<string, StateEntry> {
    return new Map(this.numbered().flatMap(([group, first], i) => group.entries(first, i)))
  }

  /**
   * Copies of all state and hyper-parameters by name, for checkpoints: `state.0.exp_avg` counts parameters through all groups,
   * `groups.0.lr` groups.
   */
  stateDict(): StateDict {
    return noGrad(() => Object.fromEntries([...this.entries()].map(([name, { read }]) => [name, read()])))
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
    const names = new Set<string>(entriesOf('loadStateDict', dict).keys())
    const absent = new Map(this.numbered().flatMap(([group, first]) => [...group.makeRoom(first, names)]))
    const entries = this.entries()
    for (const name of absent.keys()) entries.delete(name)
    noGrad(() => {
      loadState('loadStateDict', entries, dict)
      for (const t of absent.values()) assign(t, 0)
    })
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
  // a misspelt name would be a field that nobody reads
  return groupsOf(op, given, options).map((group) => Object.preventExtensions(make(group.params, group.options)))
}
