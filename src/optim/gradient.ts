/**
 * How optimizers and clipping see the gradients of leaves. Inside `compile` a look at `.grad` is reported, since which gradients exist
 * decides what is recorded.
 */
import { ArgumentError, showKind } from '../errors.js'
import { Tensor } from '../tensor.js'
import { tracing } from '../tracing.js'

/** The gradient of a leaf, without counting as held by the user. */
export function gradientOf(leaf: Tensor): Tensor | undefined {
  tracing.recorder?.lookAtGrad(leaf)
  return leaf.leafGrad
}

/** A tensor or an iterable of them as an array, checked. */
export function tensorList(op: string, parameters: Iterable<Tensor> | Tensor): Tensor[] {
  const iterable = parameters instanceof Tensor ? [parameters] : parameters
  if (iterable === null || iterable === undefined || typeof iterable[Symbol.iterator] !== 'function') {
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
