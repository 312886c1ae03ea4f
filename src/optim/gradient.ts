/**
 * How optimizers and clipping see the gradients of leaves. Inside `compile` a look at `.grad` is reported, since which gradients exist
 * decides what is recorded.
 */

import { context } from '../tensor/context.js'
import type { Tensor } from '../tensor/tensor.js'

/** The gradient of a leaf, without counting as held by the user. */
export function gradientOf(leaf: Tensor): Tensor | undefined {
  context.recorder?.lookAtGrad(leaf)
  return leaf.leafGrad
}
