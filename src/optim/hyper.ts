/**
 * Hyper-parameters: numbers that a user may change between steps, also between calls of a compiled step. What a step computes with are
 * 0-d tensors, which compiled programs read at each call; what a user sees are numbers, in double precision, so that schedules can go on from them.
 */

import { ArgumentError, showValue } from '../base/errors.js'
import { assign } from '../ops/basic/assign.js'
import { refuseInTrace, stateZeros } from '../ops/basic/state.js'
import { noGrad } from '../ops/core/grad-mode.js'
import { context } from '../tensor/context.js'
import type { Tensor } from '../tensor/tensor.js'

/**
 * The shortest decimal that is the same float32: what a number was that was saved as float32.
 */
export function shortestDecimal(x: number): number {
  const wanted = Math.fround(x)
  for (let digits = 1; digits < 10; digits++) {
    const short = Number(wanted.toPrecision(digits))
    if (Math.fround(short) === wanted) return short
  }
  return wanted
}

export interface HyperRange {
  readonly low: number
  /** Excluded. */
  readonly high?: number
}

/** The number itself. */
export const plain = { value: (x: number): number => x }

/** Numbers that steps compute from a hyper-parameter, as 0-d tensors. */
type Derived = Readonly<Record<string, (x: number) => number>>

/** One number, and the 0-d tensors derived from it. */
export class Hyper<D extends Derived> {
  readonly tensors: { readonly [K in keyof D]: Tensor }
  private readonly name: string
  private readonly range: HyperRange
  private readonly derived: D
  private readonly followers: Hyper<Derived>[] = []
  private readonly listeners: ((value: number) => void)[] = []
  private number = 0

  constructor(name: string, value: number, range: HyperRange, derived: D) {
    this.name = name
    this.range = range
    this.derived = derived
    this.tensors = Object.fromEntries(Object.keys(derived).map((key) => [key, stateZeros(name, [])])) as { [K in keyof D]: Tensor }
    this.set(value)
  }

  get value(): number {
    return this.number
  }

  /** What is wrong with a value; `undefined` when it can be set. */
  refuse(value: number): string | undefined {
    const { low, high = Infinity } = this.range
    if (typeof value === 'number' && value >= low && value < high) return undefined
    return `must be ${high === Infinity ? `a number from ${low}` : `from ${low} up to but without ${high}`}, received ${showValue(value)}`
  }

  set(value: number): void {
    const refused = this.refuse(value)
    if (refused !== undefined) throw new ArgumentError('ERR_HYPERPARAMETER', `${this.name} ${refused}.`)
    refuseInTrace(`${this.name} =`)
    for (const listener of this.listeners) listener(value)
    this.number = value
    this.write(Object.values(this.derived).map((f) => f(value)))
    for (const follower of this.followers) follower.set(value)
  }

  /** @internal calls `listener` with the value, now and before each change */
  whenSet(listener: (value: number) => void): void {
    listener(this.number)
    this.listeners.push(listener)
  }

  /** @internal more numbers derived from this one */
  also<E extends Derived>(name: string, derived: E): Hyper<E> {
    const follower = new Hyper(name, this.number, this.range, derived)
    this.followers.push(follower as unknown as Hyper<Derived>)
    return follower
  }

  /** Steps that are queued go on computing with the old numbers: `assign` leaves them that memory, and does not wait. */
  private write(numbers: readonly number[]): void {
    const tensors = Object.values(this.tensors) as Tensor[]
    noGrad(() => tensors.forEach((t, i) => void assign(t, numbers[i])))
  }

  /** Whether it is 0. That decides what is recorded: a change from or to 0 makes `compile` record again. */
  get isZero(): boolean {
    const read = (): boolean => this.number === 0
    context.recorder?.observe(this, 'isZero', read)
    return read()
  }
}
