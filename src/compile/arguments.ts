/**
 * What compiled functions are called with and return: tensors and numbers nested in arrays and plain objects. In: any such tree. Out: its leaves
 * in order, and a way to build it again around others.
 */
import { Tensor } from '../tensor.js'
import type { Arguments } from './trace.js'

export interface FlatArguments extends Arguments {
  /** All else and where each thing stands, compared by identity: other values or other places make another program. */
  readonly statics: readonly unknown[]
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
