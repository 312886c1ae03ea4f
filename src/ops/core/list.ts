/**
 * Lists of tensors: what optimizers, clipping and penalties are given. In: whatever a user passes. Out: an array of tensors.
 */
import { ArgumentError, showKind } from '../../base/errors.js'
import { Tensor } from '../../tensor/tensor.js'

/** Whether `for … of` can walk over something: its iterator is made, and has a `next`. */
export function isIterable(x: unknown): x is Iterable<unknown> {
  // a typed array is none of objects, and one without its memory cannot even be walked
  if (typeof x !== 'object' || x === null || ArrayBuffer.isView(x)) return false
  if (Array.isArray(x)) return true
  const { [Symbol.iterator]: iterate } = x as Partial<Iterable<unknown>>
  return typeof iterate === 'function' && typeof iterate.call(x)?.next === 'function'
}

/** A tensor or an iterable of them as an array, checked. */
export function tensorList(op: string, parameters: Iterable<Tensor> | Tensor): Tensor[] {
  const iterable = parameters instanceof Tensor ? [parameters] : parameters
  if (!isIterable(iterable)) {
    const advice =
      typeof iterable === 'object' && iterable !== null && 'parameters' in iterable
        ? 'Pass model.parameters().'
        : 'Pass an array of parameters.'
    throw new ArgumentError('ERR_PARAMETERS', `${op}: needs a list of tensors, received ${showKind(iterable)}. ${advice}`)
  }
  const list = [...iterable]
  list.forEach((p, i) => {
    if (!(p instanceof Tensor))
      throw new ArgumentError('ERR_PARAMETERS', `${op}: element ${i} is no tensor but ${showKind(p)}. Pass model.parameters().`)
  })
  return list
}
