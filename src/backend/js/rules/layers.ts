/** The rules of recurrent layers, attention and normalization (docs/program-format.md), as in native/runtime/check_layers.cc. */
import { isFloat } from '../../../base/dtype.js'
import { maxElements } from '../../../base/shape.js'
import type { View } from '../../../ir/format.js'
import type { Attributes, Checker } from '../checker.js'

/** Operands in the order of docs/program-format.md; which of them are there, kind and flags say. */
export function recurrent(check: Checker, gradient: boolean): Attributes {
  const [kind, flags] = check.attributes([0, 3], [0, 31])
  const [state, lengths, bias, cells] = [2, 4, 8, 16].map((flag) => (flags & flag) !== 0)
  const lstm = kind === 2
  const gru = kind === 3
  const gated = lstm || gru
  check.require(!(bias && (gradient || !gru)) && !(cells && !(gradient && lstm)), `flags ${flags} do not fit the kind`)
  const sequence = gradient ? check.inputs[0] : check.outputs[0]
  check.require(sequence?.shape.length === 3, 'a sequence has three dimensions')
  const [steps, batch, size] = sequence.shape
  const rows = size * (lstm ? 4 : gru ? 3 : 1)
  const there = (shapes: readonly (false | number[])[]): number[][] => shapes.filter((x): x is number[] => x !== false)
  const all = [steps, batch, size]
  const sums = [steps, batch, rows]
  const gates = [steps, batch, 4 * size]
  const one = [batch, size]
  const inputs = there([
    ...(gradient ? [all, cells && all, all, lstm && all, gated && gates] : [sums]),
    [rows, size],
    bias && [rows],
    state && one,
    state && lstm && one,
    lengths && [batch],
  ])
  const outputs = there(gradient ? [sums, gru && sums, state && one, state && lstm && one] : [all, lstm && all, gated && gates])
  check.counts(inputs.length, outputs.length)
  inputs.forEach((shape, i) => {
    const view = check.inputs[i]
    check.shape(view, shape)
    if (lengths && i === inputs.length - 1) check.require(view.dtype === 'int32', `lengths are ${view.dtype}`)
    else check.float(view)
  })
  outputs.forEach((shape, i) => {
    check.float(check.outputs[i])
    check.shape(check.outputs[i], shape)
    check.contiguous(check.outputs[i])
  })
  return { scalars: check.scalars }
}

/** Q, K, V, (Y, log-sums, gradient of Y), (mask) to Y and log-sums, or to the gradients of Q, K, V. */
export function attention(check: Checker, gradient: boolean): Attributes {
  const [, flags] = check.attributes([-(2 ** 31), maxElements], [0, 3])
  const mask = (flags & 2) !== 0
  const given = gradient ? 6 : 3
  check.counts(given + (mask ? 1 : 0), gradient ? 3 : 2)
  const [q, k, v] = check.inputs
  check.rank(4, q, k, v)
  const [batch, heads, rows, size] = q.shape
  const keys = k.shape[2]
  const width = v.shape[3]
  check.require(size >= 1 && size <= 512 && width >= 1 && width <= 512, `heads of ${size} and ${width} numbers`)
  const forQ = [batch, heads, rows, size]
  const forK = [batch, heads, keys, size]
  const forV = [batch, heads, keys, width]
  const forY = [batch, heads, rows, width]
  const sums = [batch, heads, rows]
  const inputs = gradient ? [forQ, forK, forV, forY, sums, forY] : [forQ, forK, forV]
  const outputs = gradient ? [forQ, forK, forV] : [forY, sums]
  inputs.forEach((shape, i) => check.shape(check.inputs[i], shape))
  check.float(...check.inputs.slice(0, given), ...check.outputs)
  if (mask) {
    const { dtype } = check.inputs[given]
    check.shape(check.inputs[given], [batch, heads, rows, keys])
    check.require(isFloat(dtype) || dtype === 'bool', `the mask is ${dtype}`)
  }
  outputs.forEach((shape, i) => {
    const view = check.outputs[i]
    check.shape(view, shape)
    const last = shape.length - 1
    check.require(shape[last] <= 1 || view.strides[last] === 1, 'a result whose rows are strided')
  })
  return { scalars: check.scalars }
}

/** moments: x → mean, variance; normSums: g, x, mean, rstd → sums. */
export function groups(check: Checker, sums: boolean): Attributes {
  check.attributes()
  check.counts(sums ? 4 : 1, 2)
  const x = check.inputs[sums ? 1 : 0]
  check.require(x?.shape.length === 3, 'groups are of three dimensions')
  const vectors = [...check.inputs.slice(2), ...check.outputs]
  for (const view of check.inputs.slice(0, 2)) check.float(view)
  if (sums) check.shape(check.inputs[0], x.shape)
  for (const view of vectors) {
    check.float(view)
    check.shape(view, [x.shape[1]])
  }
  return { scalars: check.scalars }
}

/** x, (weight, (bias)) → y, mean, rstd; or g, x, mean, rstd, (weight) → gradients. */
export function normRows(check: Checker, gradient: boolean): Attributes {
  check.attributes(
    ...((gradient
      ? [[0, 1]]
      : [
          [0, 1],
          [-(2 ** 31), 2 ** 31 - 1],
        ]) as [number, number][]),
  )
  const { inputs, outputs } = check
  const x = inputs[gradient ? 1 : 0]
  check.require(x?.shape.length === 2, 'rows are of two dimensions')
  const [rows, columns] = x.shape
  const weights = gradient ? inputs.length - 4 : inputs.length - 1
  check.require(weights >= 0 && weights <= (gradient ? 1 : 2), 'the number of operands')
  check.counts(inputs.length, gradient ? 1 + 2 * weights : 3)
  const wide = [rows, columns]
  const shapes = gradient ? [wide, wide, [rows], [rows], [columns]] : [wide, [columns], [columns]]
  const results = gradient ? [wide, [columns], [columns]] : [wide, [rows], [rows]]
  const all = (views: readonly View<number>[], wanted: readonly number[][]): void =>
    views.forEach((view, i) => {
      check.float(view)
      check.shape(view, wanted[i])
    })
  all(inputs, shapes)
  all(outputs, results)
  for (const view of outputs) check.contiguous(view)
  return { scalars: check.scalars }
}
