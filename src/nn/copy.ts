/**
 * Deep copies of modules, without calling constructors. In: a module. Out: one with the same fields and its own memory; what was
 * shared inside the original is shared inside the copy.
 */

import { ArgumentError } from '../base/errors.js'
import { clone } from '../ops/basic/movement.js'
import { stateCopy } from '../ops/basic/state.js'
import { noGrad } from '../ops/core/grad-mode.js'
import { Tensor } from '../tensor/tensor.js'
import { Parameter } from './parameter.js'

/** So deep may what a module holds be: each level takes some of the stack. */
const deepest = 1000

/** Copies `root`; `isModule` tells apart objects that are copied from foreign ones that are kept. */
export function deepCopy<T extends object>(root: T, isModule: (x: object) => boolean): T {
  const copies = new Map<object, object>()

  const copyTensor = (t: Tensor): Tensor => {
    if (t instanceof Parameter) return new Parameter(t, { requiresGrad: t.requiresGrad })
    const leafGrad = t.gradNode === undefined && t.requiresGrad
    // shared memory stays shared memory: buffers are used by background programs
    const own = noGrad(() => (t.constant === undefined && t.storage.shared ? stateCopy('clone', t) : clone(t)))
    if (leafGrad) own.requiresGrad = true
    return own
  }

  let depth = 0
  const copy = (x: unknown): unknown => {
    if (typeof x !== 'object' || x === null) return x
    if (depth > deepest)
      throw new ArgumentError('ERR_CLONE', `clone: a field is nested deeper than ${deepest} levels. Keep such data outside of the module.`)
    depth++
    const made = copyObject(x)
    depth--
    return made
  }

  const copyObject = (x: object): object => {
    const known = copies.get(x)
    if (known !== undefined) return known
    const remember = <O extends object>(made: O): O => {
      copies.set(x, made)
      return made
    }
    if (x instanceof Tensor) return remember(x.traced ? x : copyTensor(x))
    if (Array.isArray(x)) {
      const out: unknown[] = remember([])
      for (const part of x) out.push(copy(part))
      return out
    }
    if (x instanceof Map) {
      const out = remember(new Map<unknown, unknown>())
      for (const [key, value] of x) out.set(copy(key), copy(value))
      return out
    }
    if (x instanceof Set) {
      const out = remember(new Set<unknown>())
      for (const part of x) out.add(copy(part))
      return out
    }
    const prototype: object | null = Object.getPrototypeOf(x)
    if (!isModule(x) && prototype !== Object.prototype && prototype !== null) return x
    const out = remember(Object.create(prototype) as object)
    for (const key of Reflect.ownKeys(x)) {
      const property = Object.getOwnPropertyDescriptor(x, key) as PropertyDescriptor
      if ('value' in property) property.value = copy(property.value)
      Object.defineProperty(out, key, property)
    }
    return out
  }

  return copy(root) as T
}
