/**
 * Containers that hold modules or parameters under PyTorch's names and leave the wiring to whoever reads them. Arrays and plain objects as fields
 * of a module do the same; these can be printed, iterated and grown.
 */
import { ArgumentError, StateError, showValue } from '../errors.js'
import { Module } from './module.js'
import { Parameter } from './parameter.js'

function refuseForward(layer: string): never {
  throw new StateError('ERR_NO_FORWARD', `${layer}: has no forward of its own. Loop over it: for (const part of list) x = part.forward(x).`)
}

function checkModule(layer: string, what: string, x: unknown): void {
  if (x instanceof Module) return
  throw new ArgumentError('ERR_NOT_A_MODULE', `${layer}: ${what} must be a module, received ${showValue(x)}.`)
}

/** Numbered members. They are the module's own fields '0', '1', …, so that they are named so without a rule of their own. */
abstract class Numbered<T extends object> extends Module implements Iterable<T> {
  readonly [index: number]: T
  /** How many there are. */
  length = 0

  constructor(members: Iterable<T>) {
    super()
    this.extend(members)
  }

  /** Throws unless x can be a member. */
  protected abstract check(x: unknown, index: number): void

  /** Adds one at the end. Returns the list. */
  append(member: T): this {
    this.check(member, this.length)
    ;(this as Record<number, T>)[this.length++] = member
    return this
  }

  /** Adds all at the end. Returns the list. */
  extend(members: Iterable<T>): this {
    if (typeof members !== 'object' || members === null || !(Symbol.iterator in members))
      throw new ArgumentError('ERR_NOT_A_LIST', `${this.constructor.name}: expected an array of members, received ${showValue(members)}.`)
    for (const member of members) this.append(member)
    return this
  }

  /** The member at a position; negative ones count from the end. @throws ArgumentError `ERR_INDEX_RANGE` where there is none. */
  at(index: number): T {
    const member = this[index < 0 ? index + this.length : index]
    if (member === undefined)
      throw new ArgumentError(
        'ERR_INDEX_RANGE',
        `${this.constructor.name}: has ${this.length} members, there is none at ${showValue(index)}.`,
      )
    return member
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let i = 0; i < this.length; i++) yield this[i]
  }

  /** @throws StateError `ERR_NO_FORWARD`. */
  forward(): never {
    return refuseForward(this.constructor.name)
  }
}

/**
 * Modules in a list, named '0', '1', …. Source: `torch.nn.ModuleList`.
 *
 *     readonly blocks = new nn.ModuleList(Array.from({ length: 4 }, () => new Block()))
 *     for (const block of this.blocks) x = block.forward(x)
 *
 * @throws ArgumentError `ERR_NOT_A_MODULE`.
 */
export class ModuleList<M extends Module = Module> extends Numbered<M> {
  constructor(modules: Iterable<M> = []) {
    super(modules)
  }
  protected check(x: unknown, index: number): void {
    checkModule('ModuleList', `member ${index}`, x)
  }
}

/**
 * Parameters in a list, named '0', '1', …. Source: `torch.nn.ParameterList`.
 *
 * @throws ArgumentError `ERR_NOT_A_PARAMETER`.
 */
export class ParameterList<P extends Parameter = Parameter> extends Numbered<P> {
  constructor(parameters: Iterable<P> = []) {
    super(parameters)
  }
  protected check(x: unknown, index: number): void {
    if (x instanceof Parameter) return
    throw new ArgumentError(
      'ERR_NOT_A_PARAMETER',
      `ParameterList: member ${index} must be a Parameter, received ${showValue(x)}. Make one with new nn.Parameter(tensor).`,
    )
  }
}

/**
 * Modules by name. Source: `torch.nn.ModuleDict`.
 *
 *     readonly heads = new nn.ModuleDict({ digits: new nn.Linear(64, 10), parity: new nn.Linear(64, 2) })
 *     this.heads.get('digits').forward(x)                 // heads.digits.weight in the state dict
 *
 * @throws ArgumentError `ERR_NOT_A_MODULE`; `ERR_STATE_NAME` for a name that is empty, contains a dot or is one of a module's own.
 */
export class ModuleDict<M extends Record<string, Module> = Record<string, Module>> extends Module {
  constructor(modules: M = {} as M) {
    super()
    if (typeof modules !== 'object' || modules === null || modules instanceof Module)
      throw new ArgumentError('ERR_NOT_A_MODULE', `ModuleDict: expected an object of modules, received ${showValue(modules)}.`)
    for (const [name, module] of Object.entries(modules)) this.set(name, module)
  }

  /** Adds a module, or replaces one. Returns the dictionary. */
  set(name: string, module: Module): this {
    checkModule('ModuleDict', `'${showValue(name)}'`, module)
    if (typeof name !== 'string' || name === '' || name.includes('.') || (name in this && !this.has(name))) {
      throw new ArgumentError(
        'ERR_STATE_NAME',
        `ModuleDict: '${showValue(name)}' cannot name a module: names are not empty, without dots, and none of a module's own fields and methods.`,
      )
    }
    ;(this as unknown as Record<string, Module>)[name] = module
    return this
  }

  /** Whether there is a module of this name. */
  has(name: string): boolean {
    return Object.hasOwn(this, name) && (this as unknown as Record<string, unknown>)[name] instanceof Module
  }

  /** The module of a name. @throws ArgumentError `ERR_INDEX_RANGE` where there is none. */
  get<K extends keyof M & string>(name: K): M[K] {
    if (this.has(name)) return (this as unknown as M)[name]
    throw new ArgumentError(
      'ERR_INDEX_RANGE',
      `ModuleDict: has no module '${showValue(name)}', only ${this.keys().join(', ') || 'none at all'}.`,
    )
  }

  /** The names. */
  keys(): (keyof M & string)[] {
    return this.namedChildren().map(([name]) => name)
  }

  /** How many modules there are. */
  get size(): number {
    return this.keys().length
  }

  *[Symbol.iterator](): Iterator<[string, Module]> {
    yield* this.namedChildren()
  }

  /** @throws StateError `ERR_NO_FORWARD`. */
  forward(): never {
    return refuseForward('ModuleDict')
  }
}
