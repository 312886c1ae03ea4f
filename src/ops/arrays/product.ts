/**
 * Products over any dimensions. The gradient is made of products of what stands before and behind each element, so that zeros are no exception, whatever
 * the order of the derivative.
 */
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import type { Reduced } from '../../types/index.js'
import { flip } from '../basic/arrange.js'
import { mul, to } from '../basic/elementwise.js'
import { expand, inverseOrder, narrow, padConstant, permute, reshape } from '../basic/movement.js'
import { type ReduceAttrs, type ReduceOptions, reduce, reduceNames, reduction } from '../basic/reduce.js'
import { cumprod } from '../basic/scan.js'
import { along } from '../core/along.js'
import { checkTensor } from '../core/dispatch.js'
import type { Dims, Keep, ReduceBy } from '../core/operands.js'
import type { GradientRule } from '../core/table.js'

/** Products of the elements before each one in a row of `x: [M, N]`. */
function productBefore(x: Tensor): Tensor {
  return cumprod(narrow(padConstant(x, [0, 1], [0, 0], 1), 1, 0, x.shape[1]), 1)
}

function prodGradient(this: void, { inputs: [x], attrs: { dims } }: Parameters<GradientRule<ReduceAttrs>>[0], g: Tensor): Tensor[] {
  const wide = expand(g, x.shape)
  if (x.size === 0) return [wide]
  const order = [...x.shape.keys()].filter((d) => !dims.includes(d)).concat(dims)
  const n = dims.reduce((product, d) => product * x.shape[d], 1)
  const moved = permute(x, order)
  const rows = reshape(moved, [x.size / n, n])
  const others = mul(productBefore(rows), flip(productBefore(flip(rows, 1)), 1))
  return [mul(wide, permute(reshape(others, moved.shape), inverseOrder(order)))]
}

const prodRow = reduction('prod', 'prod', prodGradient)

/** Product; an empty one is 1. */
export function prod<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
  x: T,
  dim?: D | ReduceBy<D, K>,
  options?: Keep<K>,
): Tensor<Reduced<ShapeOf<T>, D, K>>
export function prod(x: Tensor, dim?: ReduceOptions['dim'] | ReduceOptions, rest?: Keep<boolean>): Tensor {
  const options = along<ReduceOptions>('prod', dim, rest, reduceNames)
  checkTensor('prod', 'x', x)
  return reduce(prodRow, x.dtype === 'bool' ? to(x, 'int32') : x, options)
}
