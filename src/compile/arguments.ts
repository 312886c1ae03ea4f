/**
 * What compiled functions are called with and return: tensors and numbers nested in arrays and plain objects. In: any such tree. Out: its leaves
 * in order, and a way to build it again around others.
 */
import { type ShapeOf, Tensor } from '../tensor/tensor.js'
import type { Arguments } from './trace.js'

export interface FlatArguments extends Arguments {
  /** All else and where each thing stands, compared by identity: other values or other places make another program. */
  readonly statics: readonly unknown[]
}

/** Whether a function is written for a plain number, or an array of them, where it is given a tensor. */
type IsNumber<T> = 0 extends 1 & T
  ? false
  : [T] extends [readonly (infer Item)[]]
    ? IsNumber<Item>
    : [Extract<T, number>] extends [never]
      ? false
      : [Extract<T, Tensor>] extends [never]
        ? true
        : false

/** `unknown`, or the sentence that `tsc` shows where a parameter of a compiled function is typed as a number. */
export type NumbersAsTensors<F> = F extends (...args: infer A) => unknown
  ? true extends { [K in keyof A]: IsNumber<A[K]> }[number]
    ? 'compile gives the function a tensor for each number: write Tensor instead of number'
    : unknown
  : unknown

/** What a compiled function is called with: a number may stand for a tensor without dimensions. */
export type CallArguments<A> = {
  [K in keyof A]: A[K] extends Tensor ? (ShapeOf<A[K]> extends readonly [] ? A[K] | number : A[K]) : A[K]
}

/** What stands in `statics` for a tensor, a number, the beginning of an array or an object. */
const places = { tensor: Symbol('tensor'), number: Symbol('number'), array: Symbol('array'), object: Symbol('object') }

function isPlain(x: unknown): x is Record<string, unknown> {
  if (typeof x !== 'object' || x === null) return false
  const prototype = Object.getPrototypeOf(x)
  return prototype === Object.prototype || prototype === null
}

/** Visits the leaves of a tree in order; `visit` returns what takes the leaf's place. */
export function mapTree(x: unknown, visit: (leaf: unknown) => unknown): unknown {
  if (Array.isArray(x)) return x.map((part) => mapTree(part, visit))
  if (isPlain(x)) return Object.fromEntries(Object.entries(x).map(([key, part]) => [key, mapTree(part, visit)]))
  return visit(x)
}

export function flattenArguments(args: readonly unknown[]): FlatArguments {
  const tensors: Tensor[] = []
  const numbers: number[] = []
  const statics: unknown[] = []
  const walk = (x: unknown): void => {
    if (x instanceof Tensor) {
      tensors.push(x)
      statics.push(places.tensor)
    } else if (typeof x === 'number') {
      numbers.push(x)
      statics.push(places.number)
    } else if (Array.isArray(x)) {
      statics.push(places.array, x.length)
      x.forEach(walk)
    } else if (isPlain(x)) {
      const entries = Object.entries(x)
      statics.push(places.object, entries.length)
      for (const [key, part] of entries) {
        statics.push(key)
        walk(part)
      }
    } else {
      statics.push(x)
    }
  }
  args.forEach(walk)
  const rebuild: Arguments['rebuild'] = (newTensors, newNumbers) => {
    let t = 0
    let n = 0
    return mapTree([...args], (leaf) =>
      leaf instanceof Tensor ? newTensors[t++] : typeof leaf === 'number' ? newNumbers[n++] : leaf,
    ) as unknown[]
  }
  return { tensors, numbers, statics, rebuild }
}
