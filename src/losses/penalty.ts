/**
 * Penalties on the size of parameters, to be added to a loss.
 */
import { abs, add, square } from '../ops/basic/elementwise.js'
import { sum } from '../ops/basic/reduce.js'
import { tensorList } from '../ops/core/list.js'
import { Tensor } from '../tensor/tensor.js'
import { checkFloat } from './check.js'

function total(op: string, parameters: Iterable<Tensor> | Tensor, size: (p: Tensor) => Tensor): Tensor {
  let result: Tensor | undefined
  for (const p of tensorList(op, parameters)) {
    checkFloat(op, 'a parameter', p)
    const part = sum(size(p))
    result = result === undefined ? part : add(result, part)
  }
  return result ?? Tensor.scalar(0, 'float32')
}

/**
 * Σ|p| over all elements of the parameters, which makes many of them 0.
 *
 *     const loss = losses.mseLoss(model.forward(x), y).add(losses.l1Penalty(model.parameters()).mul(1e-4))
 *
 * @throws ArgumentError `ERR_PARAMETERS`.
 */
export function l1Penalty(parameters: Iterable<Tensor> | Tensor): Tensor {
  return total('l1Penalty', parameters, abs)
}

/** Σp² over all elements of the parameters; an optimizer's `weightDecay` does the same at less cost. @throws ArgumentError `ERR_PARAMETERS`. */
export function l2Penalty(parameters: Iterable<Tensor> | Tensor): Tensor {
  return total('l2Penalty', parameters, square)
}
