/**
 * Indexing: positions, slices, everything, and tensors of positions or of truth. In: a tensor and one entry for each dimension. Out: a view where
 * only positions and slices are asked for, else what the tensors pick.
 */
import { ArgumentError, DTypeError, ShapeError, showShape, showValue } from '../../base/errors.js'
import { broadcastShapes, checkSize, contiguousStrides, sizeOf } from '../../base/shape.js'
import { Tensor } from '../../tensor/tensor.js'
import { checkTensor } from '../core/dispatch.js'
import type { Index } from '../core/operands.js'
import { nonzero } from './dynamic.js'
import { add, ge, logicalAnd, lt, mul, to, where } from './elementwise.js'
import { pickSlices } from './gather.js'
import { expand, narrow, permute, reshape, sliceBy, slicePart, squeeze } from './movement.js'

/** Tensors of bool as the tensors of positions they stand for, one for each of their dimensions. */
function withoutMasks(x: Tensor, index: readonly Index[]): Index[] {
  let d = 0
  return index.flatMap((i): Index[] => {
    if (!(i instanceof Tensor) || i.dtype !== 'bool') {
      d++
      return [i]
    }
    const covered = x.shape.slice(d, d + i.ndim)
    if (i.ndim === 0 || i.shape.some((s, k) => s !== covered[k]))
      throw new ShapeError('ERR_MASK', `at: the mask ${showShape(i.shape)} does not fit dimensions ${d}… of ${showShape(x.shape)}.`)
    d += i.ndim
    const found = nonzero(i)
    return Array.from({ length: i.ndim }, (_, k) => squeeze(narrow(found, 1, k, 1), 1))
  })
}

/** The part that positions and slices leave; dimensions of positions have size 1. */
function basicPart(x: Tensor, index: readonly Index[]): Tensor {
  const start: number[] = []
  const step: number[] = []
  const shape: number[] = []
  x.shape.forEach((size, d) => {
    const i = index[d] ?? null
    if (typeof i === 'number') {
      const p = i < 0 ? i + size : i
      if (!Number.isInteger(i) || p < 0 || p >= size)
        throw new ShapeError('ERR_INDEX_RANGE', `at: index ${i} is out of range for dimension ${d} of ${showShape(x.shape)}.`)
      start.push(p)
      step.push(1)
      shape.push(1)
    } else if (i === null || i instanceof Tensor) {
      start.push(0)
      step.push(1)
      shape.push(size)
    } else if (Array.isArray(i)) {
      const by = i[2] ?? 1
      const part = slicePart('at', size, i[0] ?? undefined, i[1] ?? undefined, by)
      start.push(part.start)
      step.push(by)
      shape.push(part.size)
    } else {
      throw new ArgumentError('ERR_INDEX', `at: an index is a number, [start, end, step], null or a tensor, received ${showValue(i)}.`)
    }
  })
  return sliceBy(x, { start, step, shape })
}

/** Positions in the dimensions `dims`, of sizes `sizes`, as positions in all of them together; -1, which is refused, where one is out of range. */
function joined(tensors: readonly Tensor[], sizes: readonly number[], shape: readonly number[]): Tensor {
  const strides = contiguousStrides(sizes)
  const parts = tensors.map((t, i) => {
    if (t.dtype !== 'int32' && t.dtype !== 'uint8')
      throw new DTypeError('ERR_DTYPE', `at: indices must be int32, uint8 or bool, received ${t.dtype}. Convert with .to('int32').`)
    const whole = to(t, 'int32')
    // what is out of range stays as it was given
    const counted = where(logicalAnd(lt(whole, 0), ge(whole, -sizes[i])), add(whole, sizes[i]), whole)
    if (tensors.length === 1) return { at: counted, inside: undefined }
    return { at: mul(counted, strides[i]), inside: logicalAnd(ge(counted, 0), lt(counted, sizes[i])) }
  })
  const sum = parts.map((p) => p.at).reduce((a, b) => add(a, b))
  const inside = parts.map((p) => p.inside).reduce((a, b) => a && b && logicalAnd(a, b))
  return expand(inside === undefined ? sum : where(inside, sum, -1), shape)
}

/** Slices picked by tensors of positions, which broadcast: as in NumPy in their place if they are neighbours, else in front. */
function picked(x: Tensor, dims: readonly number[], tensors: readonly Tensor[]): Tensor {
  const shape = tensors
    .map((t): readonly number[] => t.shape)
    .reduce((a, b) => {
      const both = broadcastShapes(a, b)
      if (both === undefined)
        throw new ShapeError(
          'ERR_BROADCAST',
          `at: tensors of positions do not broadcast: ${tensors.map((t) => showShape(t.shape)).join(', ')}.`,
        )
      return both
    })
  checkSize('at', shape)
  if (dims.length === 1) return pickSlices(x, joined(tensors, [x.shape[dims[0]]], shape), dims[0], { op: 'at' })
  const rest = [...x.shape.keys()].filter((d) => !dims.includes(d))
  const sizes = dims.map((d) => x.shape[d])
  const table = reshape(permute(x, [...dims, ...rest]), [sizeOf(sizes), ...rest.map((d) => x.shape[d])])
  const y = pickSlices(table, joined(tensors, sizes, shape), 0, { op: 'at' })
  const neighbours = dims.every((d, i) => i === 0 || d === dims[i - 1] + 1)
  const front = neighbours ? dims[0] : 0
  const order = [...y.shape.keys()]
  const picks = order.splice(0, shape.length)
  order.splice(front, 0, ...picks)
  return permute(y, order)
}

/**
 * A part of `x`: one entry for each dimension from the first, missing ones are taken whole. A number drops its dimension, `[start, end, step]` cuts it,
 * `null` takes it whole; a tensor of int32 or uint8 picks positions, one of bool (eager only) where it is true.
 */
export function at(x: Tensor, ...index: Index[]): Tensor {
  checkTensor('at', 'x', x)
  const entries = withoutMasks(x, index)
  if (entries.length > x.ndim)
    throw new ShapeError('ERR_INDEX_RANK', `at: ${entries.length} indices for ${x.ndim} dimensions ${showShape(x.shape)}.`)
  const part = basicPart(x, entries)
  const kept = part.shape.flatMap((_, d) => (typeof entries[d] === 'number' ? [] : [d]))
  const seen = reshape(
    part,
    kept.map((d) => part.shape[d]),
  )
  const dims = kept.flatMap((d, i) => (entries[d] instanceof Tensor ? [i] : []))
  return dims.length === 0
    ? seen
    : picked(
        seen,
        dims,
        dims.map((i) => entries[kept[i]] as Tensor),
      )
}
