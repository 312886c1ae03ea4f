/**
 * Containers that hold modules or parameters under PyTorch's names and leave the wiring to whoever reads them. Arrays and plain objects as fields
 * of a module do the same; these can be printed, iterated and grown.
 */
import { ArgumentError, StateError, showValue } from '../base/errors.js'
import { isIterable } from '../ops/core/list.js'
import { Module } from './module.js'
import { Parameter } from './parameter.js'

function refuseForward(layer: string): never {
  throw new StateError('ERR_NO_FORWARD', `${layer}: has no forward of its own. Loop over it: for (const part of list) x = part.forward(x).`)
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
    if (!isIterable(members))
      throw new ArgumentError('ERR_NOT_A_LIST', `${this.constructor.name}: expected an array of members, received ${showValue(members)}.`)
    for (const member of members) this.append(member)
    return this
  }

  /** The member at a position; negative ones count from the end. @throws ArgumentError `ERR_INDEX_RANGE` where there is none. */
  at(index: number): T {
    const member = Number.isInteger(index) ? this[index < 0 ? index + this.length : index] : undefined
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
    if (x instanceof Module) return
    throw new ArgumentError('ERR_NOT_A_MODULE', `ModuleList: member ${index} must be a module, received ${showValue(x)}.`)
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

/** Named members, the module's own fields under those names. */
abstract class Named<M extends Record<string, object>> extends Module {
  constructor(members: M) {
    super()
    if (typeof members !== 'object' || members === null || this.isMember(members))
      this.refuse(`expected an object of ${this.kind()}s, received ${showValue(members)}.`)
    for (const [name, member] of Object.entries(members)) this.set(name, member as M[string])
  }

  /** What members are called in messages. */
  protected abstract kind(): string
  protected abstract isMember(x: unknown): boolean
  /** Throws for what is no member. */
  protected abstract refuse(problem: string): never

  /** Adds a member, or replaces one. Returns the dictionary. */
  set(name: string, member: M[string]): this {
    const layer = this.constructor.name
    if (!this.isMember(member)) this.refuse(`${showValue(name)} must be a ${this.kind()}, received ${showValue(member)}.`)
    if (typeof name !== 'string' || name === '' || name.includes('.') || (name in this && !this.has(name))) {
      throw new ArgumentError(
        'ERR_STATE_NAME',
        `${layer}: ${showValue(name)} cannot name a ${this.kind()}: names are not empty, without dots, and none of a module's own fields and methods.`,
      )
    }
    ;(this as unknown as Record<string, object>)[name] = member
    return this
  }

  /** Whether there is a member of this name. */
  has(name: string): boolean {
    return typeof name === 'string' && Object.hasOwn(this, name) && this.isMember((this as unknown as Record<string, unknown>)[name])
  }

  /** The member of a name. @throws ArgumentError `ERR_INDEX_RANGE` where there is none. */
  get<K extends keyof M & string>(name: K): M[K] {
    if (this.has(name)) return (this as unknown as M)[name]
    throw new ArgumentError(
      'ERR_INDEX_RANGE',
      `${this.constructor.name}: has no ${this.kind()} ${showValue(name)}, only ${this.keys().join(', ') || 'none at all'}.`,
    )
  }

  /** The names. */
  keys(): (keyof M & string)[] {
    return Object.keys(this).filter((name) => this.has(name))
  }

  /** How many there are. */
  get size(): number {
    return this.keys().length
  }

  *[Symbol.iterator](): Iterator<[string, M[string]]> {
    for (const name of this.keys()) yield [name, this.get(name)]
  }

  /** @throws StateError `ERR_NO_FORWARD`. */
  forward(): never {
    return refuseForward(this.constructor.name)
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
export class ModuleDict<M extends Record<string, Module> = Record<string, Module>> extends Named<M> {
  constructor(modules: M = {} as M) {
    super(modules)
  }
  protected kind(): string {
    return 'module'
  }
  protected isMember(x: unknown): boolean {
    return x instanceof Module
  }
  protected refuse(problem: string): never {
    throw new ArgumentError('ERR_NOT_A_MODULE', `ModuleDict: ${problem}`)
  }
}

/**
 * Parameters by name. Source: `torch.nn.ParameterDict`.
 *
 *     readonly scales = new nn.ParameterDict({ left: new nn.Parameter(ones([8])), right: new nn.Parameter(ones([8])) })
 *     x.mul(this.scales.get('left'))                      // scales.left in the state dict
 *
 * @throws ArgumentError `ERR_NOT_A_PARAMETER`; `ERR_STATE_NAME` for a name that is empty, contains a dot or is one of a module's own.
 */
export class ParameterDict<M extends Record<string, Parameter> = Record<string, Parameter>> extends Named<M> {
  constructor(parameters: M = {} as M) {
    super(parameters)
  }
  protected kind(): string {
    return 'parameter'
  }
  protected isMember(x: unknown): boolean {
    return x instanceof Parameter
  }
  protected refuse(problem: string): never {
    throw new ArgumentError('ERR_NOT_A_PARAMETER', `ParameterDict: ${problem} Make parameters with new nn.Parameter(tensor).`)
  }
}
