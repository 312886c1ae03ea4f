/** The rules of maps, reductions, products, classification, look-ups and random numbers (docs/program-format.md), as in native/runtime/check.cc. */
import { isFloat } from '../../../base/dtype.js'
import { maxElements, maxRank, sizeOf } from '../../../base/shape.js'
import { MicroType, microType, Opcode, type View } from '../../../ir/format.js'
import type { Attributes, Checker } from '../checker.js'
import { readMicro } from '../micro.js'

export function map(check: Checker): Attributes {
  check.atLeast(0, 1)
  check.shapesFrom(0, check.outputs[0].shape)
  return { scalars: [], epilogue: check.epilogue([], 0) }
}

export function reduce(check: Checker): Attributes {
  const [kind, prologueInputs, rank] = check.attributes([0, 5], [0, check.inputs.length], [0, maxRank])
  check.atLeast(0, 1)
  const domain = Array.from({ length: rank }, () => check.reader.next())
  check.require(domain.every((d) => d >= 0) && sizeOf(domain.map((d) => Math.max(1, d))) <= maxElements, 'an impossible domain')
  for (const v of check.inputs.slice(0, prologueInputs)) check.shape(v, domain)
  const out = check.outputs[0].shape
  check.rank(rank, check.outputs[0])
  check.require(
    out.every((s, d) => s === domain[d] || s === 1),
    'the output does not fit the domain',
  )
  check.shapesFrom(prologueInputs, out)
  // sums and products have a value over nothing; where nothing comes out, nothing is asked for
  check.require(kind < 2 || sizeOf(domain) > 0 || sizeOf(out) === 0, 'a maximum or minimum of nothing')
  const prologue = readMicro(
    check.reader,
    check.inputs.slice(0, prologueInputs).map((v) => microType(v.dtype)),
    1,
  )
  const type = prologue.types[prologue.results[0]]
  check.require(type !== MicroType.mask, 'a reduction of masks')
  return {
    scalars: [kind],
    domain,
    prologueInputs,
    prologue,
    epilogue: check.epilogue([kind >= 4 ? MicroType.i32 : type], prologueInputs),
  }
}

export function gemm(check: Checker): Attributes {
  check.atLeast(2, 1)
  const [a, b] = check.inputs
  const c = check.outputs[0].shape
  const rank = c.length
  check.float(a, b)
  check.require(rank >= 2, 'a product of less than two dimensions')
  check.rank(rank, a, b)
  const batch = c.slice(0, -2)
  check.shape(a, [...batch, c[rank - 2], b.shape[rank - 2]])
  check.shape(b, [...batch, a.shape[rank - 1], c[rank - 1]])
  check.shapesFrom(2, c)
  return { scalars: [], epilogue: check.epilogue([MicroType.f32], 2) }
}

export function softmax(check: Checker): Attributes {
  check.counts(1, 1)
  const scalars = check.attributes([0, 1])
  check.float(check.inputs[0], check.outputs[0])
  check.require(check.inputs[0].shape.length >= 1, 'a softmax of a scalar')
  check.shape(check.outputs[0], check.inputs[0].shape)
  return { scalars }
}

export function crossEntropy(check: Checker, gradient: boolean): Attributes {
  check.counts(gradient ? 3 : 2, 1)
  const scalars = check.attributes([-(2 ** 31), maxElements])
  const [logits, targets] = check.inputs
  const rows = gradient ? check.inputs[2] : check.outputs[0]
  check.float(logits, rows, check.outputs[0])
  check.index(targets)
  check.rank(2, logits)
  check.shape(targets, [logits.shape[0]])
  check.shape(rows, [logits.shape[0]])
  if (gradient) check.shape(check.outputs[0], logits.shape)
  return { scalars }
}

/** gather: large is x, moved is y. scatterAdd: large is y, moved is src. */
export function gather(check: Checker, large: View<number>, moved: View<number>): Attributes {
  check.counts(2, 1)
  const scatter = check.opcode === Opcode.scatterAdd
  const axes = [0, large.shape.length - 1] as const
  const scalars = scatter ? check.attributes(axes, [0, 1]) : check.attributes(axes)
  const [axis, replaces] = scalars
  check.index(check.inputs[1])
  check.require(large.dtype === moved.dtype, 'dtypes differ')
  check.require(!scatter || replaces === 1 || isFloat(large.dtype) || large.dtype === 'int32', `scatterAdd does not add ${large.dtype}`)
  check.rank(large.shape.length, moved)
  check.shape(check.inputs[1], moved.shape)
  check.require(
    large.shape.every((s, d) => d === axis || s === moved.shape[d]),
    'sizes differ outside the axis',
  )
  return { scalars }
}

export function random(check: Checker): Attributes {
  check.counts(1, 1)
  const any = [-(2 ** 31), maxElements] as const
  const scalars = check.attributes([0, 3], any, any, any)
  const [state] = check.inputs
  const [y] = check.outputs
  check.require(state.dtype === 'int32', 'the state of a generator is not int32')
  check.shape(state, [4])
  const fits = scalars[0] === 3 ? y.dtype === 'int32' : isFloat(y.dtype) || (scalars[0] === 2 && y.dtype === 'bool')
  check.require(fits, `random numbers into ${y.dtype}`)
  check.contiguous(y)
  return { scalars }
}
