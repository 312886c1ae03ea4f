/**
 * The base class of layers and models. Parameters, buffers and children are found by walking a module's own fields when somebody asks,
 * so a model is an ordinary class with ordinary fields. Names are those of PyTorch's `state_dict`.
 */

import { ArgumentError, checkFunction, checkOptions, showValue } from '../base/errors.js'
import { clone as cloneTensor } from '../ops/basic/movement.js'
import {
  type IncompatibleKeys,
  type LoadStateOptions,
  loadState,
  refuseInTrace,
  type StateDict,
  type StateSlot,
  type StateSource,
  stateCopy,
  tensorSlot,
} from '../ops/basic/state.js'
import { checkTensor } from '../ops/core/dispatch.js'
import { noGrad } from '../ops/core/grad-mode.js'
import { context } from '../tensor/context.js'
import type { ShapeOf, Tensor } from '../tensor/tensor.js'
import { deepCopy } from './copy.js'
import { Parameter } from './parameter.js'
import { type PredictInput, type PredictOptions, predict } from './predict.js'
import { describeModule, summarize } from './print.js'
import { noteClass, watchModules } from './watch.js'

interface Buffer {
  readonly tensor: Tensor
  readonly persistent: boolean
}

/** What a module keeps about itself, out of sight of the walk over its fields. */
interface Registry {
  training: boolean
  /** Names that differ from the fields' own. */
  readonly parameters: Map<string, Parameter>
  readonly children: Map<string, Module>
  readonly buffers: Map<string, Buffer>
}

const registry = Symbol('registry')

/** One thing found in a module's own fields, containers opened. */
type Member = readonly [name: string, value: Parameter | Module]

function isPlain(x: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(x)
  return prototype === Object.prototype || prototype === null
}

function isEmpty(x: unknown): boolean {
  return typeof x === 'object' && x !== null && (Array.isArray(x) || isPlain(x)) && Object.keys(x).length === 0
}

/** Names grow with it, and so does the stack. */
const mostLevels = 1000

/** Adds the parameters and modules in `value`, an array or plain object, and in what that holds. */
function collect(name: string, value: unknown, found: Member[], open: Set<object>): void {
  if (typeof value !== 'object' || value === null) return
  if (value instanceof Parameter || value instanceof Module) {
    found.push([name, value])
  } else if ((Array.isArray(value) || isPlain(value)) && !open.has(value)) {
    if (open.size >= mostLevels) {
      const field = name.slice(0, name.indexOf('.'))
      throw new ArgumentError('ERR_MODULE_DEPTH', `module: ${field} is nested more than ${mostLevels} deep. Make it flatter.`)
    }
    open.add(value)
    for (const [key, part] of Object.entries(value)) collect(`${name}.${key}`, part, found, open)
    open.delete(value)
  }
}

/**
 * Base class of all layers and models. Assign parameters, modules, and arrays or plain objects of them to fields; write `forward`.
 * Source: `torch.nn.Module`.
 *
 *     class Net extends nn.Module {
 *       readonly blocks = [new nn.Linear(4, 8), new nn.Linear(8, 2)]          // blocks.0.weight, blocks.0.bias, blocks.1.weight, …
 *       forward(x: Tensor) { return this.blocks[1].forward(this.blocks[0].forward(x).relu()) }
 *     }
 */
export abstract class Module {
  // bundlers rename classes that mention themselves; users see this name
  static {
    Object.defineProperty(Module, 'name', { value: 'Module' })
  }

  declare private readonly [registry]: Registry

  /** @throws StateError `ERR_STATE_IN_TRACE` inside `compile`. */
  constructor() {
    refuseInTrace(new.target.name)
    noteClass(new.target.prototype, Module.prototype)
    const own: Registry = { training: true, parameters: new Map(), children: new Map(), buffers: new Map() }
    Object.defineProperty(this, registry, { value: own, writable: true })
  }

  /** Computes the output. Called by name: `model.forward(x)`. */
  abstract forward(...inputs: never[]): unknown

  /** True while the module is to learn (the default): dropout drops, batch norm uses the batch's statistics. Set by `train` and `eval`. */
  get training(): boolean {
    if (context.evaluating) return false
    const own = this[registry]
    context.modules?.noticed(this)
    context.recorder?.observe(this, 'training', () => own.training)
    return own.training
  }

  /**
   * Registers a tensor that belongs to the state but is not trained. The contents are copied into shared memory; keep the result in a
   * readonly field and change it with `assign`. Not persistent buffers are left out of `stateDict()`.
   *
   *     readonly runningMean = this.registerBuffer('running_mean', zeros([64]))
   *
   * @throws ArgumentError `ERR_STATE_NAME` for a name that is taken, empty or contains a dot.
   */
  registerBuffer<T extends Tensor>(name: string, tensor: T, options: { persistent?: boolean } = {}): Tensor<ShapeOf<T>> {
    checkOptions('registerBuffer', options, { persistent: true })
    checkTensor('registerBuffer', 'the buffer', tensor)
    this.checkName('registerBuffer', name)
    const own = stateCopy('registerBuffer', tensor.requiresGrad ? tensor.detach() : tensor)
    this[registry].buffers.set(name, { tensor: own, persistent: options.persistent ?? true })
    return own
  }

  /**
   * Registers a parameter under another name than its field's, for state dicts that have to match PyTorch's.
   *
   *     readonly inputWeight = this.registerParameter('weight_ih_l0', new nn.Parameter(zeros([20, 6])))
   *
   * @throws ArgumentError `ERR_STATE_NAME` for a name that is taken, empty or contains a dot.
   */
  registerParameter<P extends Parameter>(name: string, parameter: P): P {
    if (!(parameter instanceof Parameter)) {
      throw new ArgumentError(
        'ERR_NOT_A_PARAMETER',
        `registerParameter: ${showValue(name)} must be a Parameter. Make one with new nn.Parameter(tensor).`,
      )
    }
    this.checkName('registerParameter', name)
    this[registry].parameters.set(name, parameter)
    return parameter
  }

  /**
   * Registers a child module under another name than its field's, for state dicts that have to match PyTorch's.
   *
   *     readonly selfAttn = this.registerModule('self_attn', new nn.MultiheadAttention(64, 4))
   *
   * @throws ArgumentError `ERR_STATE_NAME` for a name that is taken, empty or contains a dot; `ERR_NOT_A_MODULE`.
   */
  registerModule<M extends Module>(name: string, module: M): M {
    if (!(module instanceof Module)) throw new ArgumentError('ERR_NOT_A_MODULE', `registerModule: ${showValue(name)} must be a module.`)
    this.checkName('registerModule', name)
    this[registry].children.set(name, module)
    return module
  }

  private checkName(op: string, name: string): void {
    const { parameters, children, buffers } = this[registry]
    if (typeof name !== 'string' || name === '' || name.includes('.')) {
      throw new ArgumentError('ERR_STATE_NAME', `${op}: a name is a non-empty string without dots, received ${showValue(name)}.`)
    }
    if (parameters.has(name) || children.has(name) || buffers.has(name)) {
      throw new ArgumentError('ERR_STATE_NAME', `${op}: ${this.constructor.name} has registered '${name}' already. Choose another name.`)
    }
  }

  /** Own parameters and child modules, by name. */
  private members(): Member[] {
    const found: Member[] = []
    const watch = context.modules
    for (const [key, value] of watch?.entries(this) ?? Object.entries(this)) {
      const before = found.length
      collect(key, value, found, new Set())
      // what is no member now, and hardly will be, does not have to stay as it is
      if (found.length > before || value === undefined || value === null || isEmpty(value)) watch?.note(this, key, value)
    }
    const { parameters, children } = this[registry]
    if (parameters.size + children.size === 0) return found
    const renamed = new Set<unknown>([...parameters.values(), ...children.values()])
    return [...parameters, ...children, ...found.filter(([, value]) => !renamed.has(value))]
  }

  /** @internal parameters of this module itself, not of its children */
  ownParameters(): [string, Parameter][] {
    return this.members().filter((m): m is [string, Parameter] => m[1] instanceof Parameter)
  }

  /** Direct children with their names, those in arrays and plain objects included. */
  namedChildren(): [string, Module][] {
    return this.members().filter((m): m is [string, Module] => m[1] instanceof Module)
  }

  /** Direct children, each once. */
  children(): Module[] {
    return [...new Set(this.namedChildren().map(([, child]) => child))]
  }

  /** This module under the name '' and all below it, each once, parents first. */
  namedModules(): [string, Module][] {
    const found = new Map<Module, string>()
    const walk = (module: Module, name: string): void => {
      if (found.has(module)) return
      found.set(module, name)
      for (const [key, child] of module.namedChildren()) walk(child, name === '' ? key : `${name}.${key}`)
    }
    walk(this, '')
    return [...found].map(([module, name]) => [name, module])
  }

  /** This module and all below it, each once, parents first. */
  modules(): Module[] {
    return this.namedModules().map(([, module]) => module)
  }

  /** All parameters with their names; one that is shared is listed once, under its first name. */
  namedParameters(): [string, Parameter][] {
    const found = new Map<Parameter, string>()
    for (const [prefix, module] of this.namedModules()) {
      for (const [name, p] of module.ownParameters()) if (!found.has(p)) found.set(p, prefix === '' ? name : `${prefix}.${name}`)
    }
    return [...found].map(([p, name]) => [name, p])
  }

  /**
   * All parameters, each once: what an optimizer takes.
   *
   *     const optimizer = new optim.Adam(model.parameters())
   */
  parameters(): Parameter[] {
    return this.namedParameters().map(([, p]) => p)
  }

  /** All buffers with their names, each once. */
  namedBuffers(): [string, Tensor][] {
    const found = new Map<Tensor, string>()
    for (const [prefix, module] of this.namedModules()) {
      for (const [name, { tensor }] of module[registry].buffers)
        if (!found.has(tensor)) found.set(tensor, prefix === '' ? name : `${prefix}.${name}`)
    }
    return [...found].map(([tensor, name]) => [name, tensor])
  }

  /** All buffers, each once. */
  buffers(): Tensor[] {
    return this.namedBuffers().map(([, tensor]) => tensor)
  }

  /** Switches this module and all below it to training (or, with false, to evaluation). Returns the module. */
  train(mode = true): this {
    if (context.recorder !== undefined) refuseInTrace(mode ? 'train' : 'eval')
    for (const module of this.modules()) module[registry].training = mode
    return this
  }

  /** Switches this module and all below it to evaluation: dropout passes, batch norm uses its running statistics. Returns the module. */
  eval(): this {
    return this.train(false)
  }

  /** @internal the tensors themselves under the names of `stateDict()`: a shared parameter under each of its names */
  stateTensors(): Map<string, Tensor> {
    const state = new Map<string, Tensor>()
    const path = new Set<Module>()
    const walk = (module: Module, prefix: string): void => {
      if (path.has(module)) return
      path.add(module)
      for (const [name, p] of module.ownParameters()) state.set(prefix + name, p)
      for (const [name, { tensor, persistent }] of module[registry].buffers) if (persistent) state.set(prefix + name, tensor)
      for (const [name, child] of module.namedChildren()) walk(child, `${prefix}${name}.`)
      path.delete(module)
    }
    walk(this, '')
    return state
  }

  /**
   * Copies of all parameters and persistent buffers by name, as PyTorch's `state_dict`.
   *
   *     const best = model.stateDict()      // { '0.weight': Tensor, '0.bias': Tensor, … }
   *     model.loadStateDict(best)
   */
  stateDict(): StateDict {
    return noGrad(() => Object.fromEntries([...this.stateTensors()].map(([name, t]) => [name, cloneTensor(t)])))
  }

  /**
   * Writes tensors into the parameters and buffers of the same names. Floats are converted to the dtype in place, integers too.
   * Defaults: `strict` true, `filter` all. Returns the names that did not occur on both sides, as PyTorch does: none with `strict`.
   *
   *     model.loadStateDict(other.stateDict())
   *     model.loadStateDict(await loadSafetensors('model.safetensors'))
   *     model.loadStateDict(pretrained, { filter: (name) => !name.startsWith('head.') })         // all but the head
   *     const { missingKeys, unexpectedKeys } = model.loadStateDict(pretrained, { strict: false }) // what is there
   *
   * @throws ArgumentError, ShapeError or DTypeError `ERR_STATE_DICT`, listing everything missing, unexpected and not fitting; nothing
   * is written then.
   */
  loadStateDict(dict: StateSource, options: LoadStateOptions = {}): IncompatibleKeys {
    checkOptions('loadStateDict', options, { strict: true, filter: true })
    const slots = new Map<string, StateSlot>([...this.stateTensors()].map(([name, t]) => [name, tensorSlot(t)]))
    return noGrad(() => loadState('loadStateDict', slots, dict, options))
  }

  /**
   * A deep copy with memory of its own; parameters shared inside stay shared. No constructor runs. Plain fields, arrays, objects, maps and
   * sets are copied; functions and foreign objects are kept as they are, and `#private` fields cannot be carried over.
   *
   *     const target = model.clone().requiresGrad_(false)
   */
  clone(): this {
    refuseInTrace('clone')
    return deepCopy(this, (x): x is Module => x instanceof Module)
  }

  /**
   * Runs a batch `[N, …]` through the model in evaluation mode, on a background thread, without touching `training`. Large batches are split, odd
   * ones padded, so rows must not depend on each other. Calls may overlap, also with `fit`, whose queued steps they pass. The input is taken as
   * it is at the call: a buffer may be filled anew right after. Default: `batchSize` 64.
   *
   *     const digits = (await model.predict(x)).argmax(1).toArray()
   *     await model.predict(new Float32Array(784), { shape: [1, 784] })
   *
   * @throws ArgumentError `ERR_PREDICT_INPUT`, `ERR_PREDICT_OPTION`; ShapeError `ERR_PREDICT_OUTPUT`; what `forward` throws.
   */
  predict(x: PredictInput, options: PredictOptions = {}): Promise<Tensor> {
    return predict(this, x, options)
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const p of this.parameters()) p.replaceGrad(undefined)
  }

  /** Sets whether gradients are collected for all parameters. Returns the module. */
  requiresGrad_(wanted = true): this {
    for (const p of this.parameters()) p.requiresGrad = wanted
    return this
  }

  /** Calls `fn` on every module below, then on this one. Returns the module: `model.apply((m) => { … })`. */
  apply(fn: (module: Module) => void): this {
    checkFunction('apply', fn)
    for (const child of this.children()) child.apply(fn)
    fn(this)
    return this
  }

  /** The arguments that printing shows, as one would write them: `784, 256`. */
  extraRepr(): string {
    return ''
  }

  /** A table of all modules: name, type, parameter shapes and counts, with the totals. */
  summary(): string {
    return summarize(this)
  }

  toString(): string {
    return describeModule(this)
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return describeModule(this)
  }
}

watchModules((x): x is Module => x instanceof Module)
