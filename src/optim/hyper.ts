/**
 * Hyper-parameters: numbers that a user may change between steps, also between calls of a compiled step. What a step computes with are
 * 0-d tensors, which compiled programs read at each call; what a user sees are numbers.
 */
import { noGrad } from '../autograd/backward.js'
import { ArgumentError, showValue } from '../errors.js'
import { assign } from '../ops/assign.js'
import { refuseInTrace, stateZeros } from '../ops/state.js'
import type { Tensor } from '../tensor.js'
import { tracing } from '../tracing.js'

/**
 * The shortest decimal that is the same float32. State is saved as float32; since all that is derived from a hyper-parameter starts from
 * this decimal, a run that is continued computes with the same bits, and 0.001 is read back as 0.001.
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

/** Numbers that steps compute from a hyper-parameter, as 0-d tensors. */
type Derived = Readonly<Record<string, (x: number) => number>>

/** One number, and the 0-d tensors derived from it. */
export class Hyper<D extends Derived> {
  readonly tensors: { readonly [K in keyof D]: Tensor }
  private readonly name: string
  private readonly range: HyperRange
  private readonly derived: D
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
    this.number = shortestDecimal(value)
    noGrad(() => {
      for (const [key, f] of Object.entries(this.derived)) assign(this.tensors[key], f(this.number))
    })
  }

  /** Whether it is 0. That decides what is recorded: a change from or to 0 makes `compile` record again. */
  get isZero(): boolean {
    const read = (): boolean => this.number === 0
    tracing.recorder?.observe(this, 'isZero', read)
    return read()
  }
}
