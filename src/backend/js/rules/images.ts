/** The rules of convolution and pooling (docs/program-format.md), as in native/runtime/check_images.cc. */

import { maxElements } from '../../../base/shape.js'
import { MicroType, type View } from '../../../ir/format.js'
import type { Attributes, Checker } from '../checker.js'

function convShapes(check: Checker, x: View<number>, w: View<number>, y: View<number>): void {
  const one = [1, maxElements] as const
  const zero = [0, maxElements] as const
  check.rank(4, x, w, y)
  const a = check.attributes(one, one, zero, zero, one, one, one)
  const groups = a[6]
  const fits = x.shape[0] === y.shape[0] && w.shape[0] === y.shape[1] && w.shape[1] * groups === x.shape[1] && w.shape[0] % groups === 0
  check.require(fits, 'batches or channels of a convolution differ')
  for (const d of [0, 1]) {
    const room = x.shape[2 + d] + 2 * a[2 + d] - a[4 + d] * (w.shape[2 + d] - 1) - 1
    check.require(w.shape[2 + d] >= 1 && room >= 0 && y.shape[2 + d] === Math.floor(room / a[d]) + 1, 'sizes of a convolution do not fit')
  }
}

export function conv(check: Checker, inputGrad: boolean): Attributes {
  check.atLeast(2, 1)
  const [first, w] = check.inputs
  const [out] = check.outputs
  check.float(first, w)
  if (inputGrad) convShapes(check, out, w, first)
  else convShapes(check, first, w, out)
  check.shapesFrom(2, out.shape)
  return { scalars: check.scalars, epilogue: check.epilogue([MicroType.f32], 2) }
}

export function convWeightGrad(check: Checker): Attributes {
  check.counts(2, 1)
  check.float(...check.inputs, ...check.outputs)
  convShapes(check, check.inputs[0], check.outputs[0], check.inputs[1])
  return { scalars: check.scalars }
}

/**
 * Rounding up is allowed as long as every window starts inside the input or the padding before it, also where not even the first lies inside the
 * padded input whole.
 */
function window(check: Checker, size: number, out: number, kernel: number, stride: number, padding: number, dilation: number): void {
  const reach = dilation * (kernel - 1) + 1
  const room = size + 2 * padding - reach
  check.require(padding < reach, 'padding as large as the window of a pooling')
  const up = Math.ceil(room / stride) + 1
  const fits = out === Math.floor(room / stride) + 1 || (out === up && (out - 1) * stride < size + padding)
  check.require(out >= 1 && fits, 'sizes of a pooling do not fit')
}

export function maxPool(check: Checker): Attributes {
  check.counts(1, 2)
  const one = [1, maxElements] as const
  const zero = [0, maxElements] as const
  const a = check.attributes(one, one, one, one, zero, zero, one, one)
  const [x] = check.inputs
  const [y, index] = check.outputs
  check.float(x, y)
  check.require(index.dtype === 'int32', 'the positions of a pooling are not int32')
  check.rank(4, x, y)
  check.shape(index, y.shape)
  check.require(x.shape[0] === y.shape[0] && x.shape[1] === y.shape[1], 'batches or channels of a pooling differ')
  for (const d of [0, 1]) window(check, x.shape[2 + d], y.shape[2 + d], a[d], a[2 + d], a[4 + d], a[6 + d])
  return { scalars: a }
}

export function avgPool(check: Checker, x: View<number>, y: View<number>): Attributes {
  check.counts(1, 1)
  const one = [1, maxElements] as const
  const zero = [0, maxElements] as const
  const a = check.attributes(one, one, one, one, zero, zero, [0, 1])
  check.float(x, y)
  check.rank(4, x, y)
  check.require(x.shape[0] === y.shape[0] && x.shape[1] === y.shape[1], 'batches or channels of a pooling differ')
  for (const d of [0, 1]) window(check, x.shape[2 + d], y.shape[2 + d], a[d], a[2 + d], a[4 + d], 1)
  return { scalars: a }
}
