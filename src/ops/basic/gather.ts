/**
 * Ops that move elements by index: gather, scatter-add, and the look-ups made of them.
 */
import { registerLoop } from '../../backend/registry.js'
import { indexError } from '../../backend/status.js'
import { ArgumentError, DTypeError, ShapeError, showShape, showValue } from '../../base/errors.js'
import { checkSize, contiguousStrides, normalizeDim, sizeOf } from '../../base/shape.js'
import { type Lookup, Opcode } from '../../ir/format.js'
import { type ShapeOf, Tensor } from '../../tensor/tensor.js'
import type { Append, Selected } from '../../types/index.js'
import { apply, checkTensor } from '../core/dispatch.js'
import type { IndexShape } from '../core/operands.js'
import { type Dense, defineOp, type OpRow } from '../core/table.js'
import { indexTensor } from './creation.js'
import { expand, reshape } from './movement.js'

interface GatherAttrs {
  readonly axis: number
  /** Whose indices they are, for errors; default this op's. */
  readonly lookup?: Lookup
}
/** Whether equal indices add up or the last of them stays. */
const ScatterMode = { add: 0, replace: 1 } as const

interface ScatterAttrs extends GatherAttrs {
  /** Size of the result along the axis. */
  readonly size: number
}

/** Calls `visit(position in the indexed operand, position in the other)`; checks every index first. */
function eachIndex(lookup: Lookup, index: Dense, indexed: readonly number[], axis: number, visit: (at: number, i: number) => void): void {
  const n = indexed[axis]
  index.data.forEach((k, i) => {
    if (k < 0 || k >= n) throw indexError(lookup, k, i, n)
  })
  const inner = sizeOf(indexed.slice(axis + 1))
  const run = index.shape[axis] * inner
  const strides = contiguousStrides(indexed)
  for (let i = 0; i < index.data.length; i++) visit(Math.floor(i / run) * n * inner + index.data[i] * strides[axis] + (i % inner), i)
}

const lookupOf = (op: string, { shape }: { readonly shape: readonly number[] }): Lookup => ({ op, shape })

export const gatherRow: OpRow<GatherAttrs> = defineOp<GatherAttrs>({
  name: 'gather',
  infer: ([x, index]) => [{ shape: index.shape, dtype: x.dtype }],
  gradient: ({ inputs: [x, index], attrs: { axis, lookup } }, g) => [
    apply(scatterAddRow, [g, index], { axis, size: x.shape[axis], lookup }),
  ],
  lower: (inputs, outputs, { axis, lookup = lookupOf('gather', inputs[1]) }) => [
    { opcode: Opcode.gather, inputs, outputs, scalars: [axis], lookup: { ...lookup, size: inputs[0].shape[axis] } },
  ],
  reference: ([x, index], [y], { axis, lookup = lookupOf('gather', index) }) => {
    eachIndex(lookup, index, x.shape, axis, (at, i) => {
      y.data[i] = x.data[at]
    })
  },
})

function scatterRow(name: string, mode: keyof typeof ScatterMode): OpRow<ScatterAttrs> {
  return defineOp<ScatterAttrs>({
    name,
    infer: ([source], { axis, size }) => [{ shape: source.shape.map((s, i) => (i === axis ? size : s)), dtype: source.dtype }],
    gradient: ({ inputs: [, index], attrs: { axis, lookup } }, g) => [apply(gatherRow, [g, index], { axis, lookup })],
    lower: (inputs, outputs, { axis, size, lookup = lookupOf(name, inputs[1]) }) => [
      { opcode: Opcode.scatterAdd, inputs, outputs, scalars: [axis, ScatterMode[mode]], lookup: { ...lookup, size } },
    ],
    reference: ([source, index], [y], { axis, lookup = lookupOf(name, index) }) => {
      y.data.fill(0)
      eachIndex(lookup, index, y.shape, axis, (at, i) => {
        y.data[at] = mode === 'add' ? y.data[at] + source.data[i] : source.data[i]
      })
    },
  })
}

export const scatterAddRow = scatterRow('scatterAdd', 'add')
const scatterReplaceRow = scatterRow('scatter', 'replace')

registerLoop(Opcode.gather, (inputs, outputs, [axis]) => gatherRow.reference(inputs, outputs, { axis }))
registerLoop(Opcode.scatterAdd, (inputs, outputs, [axis, mode]) =>
  (mode === ScatterMode.add ? scatterAddRow : scatterReplaceRow).reference(inputs, outputs, { axis, size: outputs[0].shape[axis] }),
)

/** @internal sums by index: `size` zeros along `dim`, to which each element of `source` is added at its index */
export function scatterSum(source: Tensor, index: Tensor, dim: number, size: number, lookup?: Lookup): Tensor {
  return apply(scatterAddRow, [source, index], { axis: dim, size, lookup })
}

/** @internal as `scatterSum`, but of equal indices the last stays */
export function scatterLast(source: Tensor, index: Tensor, dim: number, size: number, lookup?: Lookup): Tensor {
  return apply(scatterReplaceRow, [source, index], { axis: dim, size, lookup })
}

/** @internal an index given as a tensor or an array, checked */
export function checkIndex(op: string, index: Tensor | readonly number[]): Tensor {
  const t = Array.isArray(index) ? indexTensor(index as number[]) : (index as Tensor)
  checkTensor(op, 'the index', t)
  if (t.dtype !== 'int32' && t.dtype !== 'uint8')
    throw new DTypeError('ERR_DTYPE', `${op}: indices must be int32 or uint8, received ${t.dtype}. Convert with .to('int32').`)
  return t
}

/**
 * `out[i][j] = x[index[i][j]][j]` for `dim` 0, and so on: PyTorch's gather, with an index of the result's shape.
 *
 *     gather(logProbabilities, labels.unsqueeze(1), 1)
 *
 * @throws DataError when an index is out of range; ShapeError when the shapes do not fit.
 */
export function gather<I extends Tensor>(x: Tensor, index: I, dim: number): Tensor<ShapeOf<I>>
export function gather(x: Tensor, index: Tensor, dim: number): Tensor {
  checkTensor('gather', 'x', x)
  return pick(x, checkIndex('gather', index), dim)
}

/** @internal gather for an op of another name, whose user gave the indices as `lookup` says */
export function pick(x: Tensor, at: Tensor, dim: number, lookup?: Lookup): Tensor {
  const axis = normalizeDim('gather', dim, x.ndim)
  if (at.ndim !== x.ndim || at.shape.some((s, i) => i !== axis && s > x.shape[i])) {
    throw new ShapeError(
      'ERR_GATHER',
      `gather: the index ${showShape(at.shape)} must have as many dimensions as x ${showShape(x.shape)} and fit in it outside dim ${axis}.`,
    )
  }
  let source = x
  at.shape.forEach((s, i) => {
    if (i !== axis && s < x.shape[i]) source = source.narrow(i, 0, s)
  })
  return apply(gatherRow, [source, at], { axis, lookup })
}

/**
 * Slices of `x` along `dim` picked by a list of positions; an index of more dimensions puts them all in place of `dim` (an embedding).
 *
 *     indexSelect(table, ids)               // [V, D], ids [B, T] → [B, T, D]
 */
export function indexSelect<T extends Tensor, I extends Tensor | readonly number[], D extends number = 0>(
  x: T,
  index: I,
  dim?: D,
): Tensor<Selected<ShapeOf<T>, IndexShape<I>, D>>
export function indexSelect(x: Tensor, index: Tensor | readonly number[], dim = 0): Tensor {
  checkTensor('indexSelect', 'x', x)
  return pickSlices(x, checkIndex('indexSelect', index), dim, { op: 'indexSelect' })
}

/** @internal indexSelect for a layer or an op of another name */
export function pickSlices(x: Tensor, at: Tensor, dim: number, { op, what }: Pick<Lookup, 'op' | 'what'>): Tensor {
  const axis = normalizeDim(op, dim, x.ndim)
  const flat = reshape(at, [at.size])
  const ones = x.shape.map((_, i) => (i === axis ? at.size : 1))
  const wide = x.shape.map((s, i) => (i === axis ? at.size : s))
  const lookup = { op, shape: at.shape, repeat: sizeOf(x.shape.slice(axis + 1)), what }
  const picked = apply(gatherRow, [x, expand(reshape(flat, ones), wide)], { axis, lookup })
  return reshape(picked, [...x.shape.slice(0, axis), ...at.shape, ...x.shape.slice(axis + 1)])
}

// Written by index, and not compared with 0, 1, 2, …, so that a label out of range is said.
const oneHotRow = defineOp<{ classes: number; lookup: Lookup }>({
  name: 'oneHot',
  infer: ([one, index], { classes }) => [{ shape: [...index.shape.slice(0, -1), classes], dtype: one.dtype }],
  gradient: null,
  lower: (inputs, outputs, { classes, lookup }) => [
    {
      opcode: Opcode.scatterAdd,
      inputs,
      outputs,
      scalars: [inputs[1].shape.length - 1, ScatterMode.replace],
      lookup: { ...lookup, size: classes },
    },
  ],
  reference: (inputs, outputs, { classes, lookup }) =>
    scatterReplaceRow.reference(inputs, outputs, { axis: inputs[1].shape.length - 1, size: classes, lookup }),
})

/**
 * A row of `classes` numbers for each label: 1 at the label, 0 elsewhere, float32.
 *
 *     oneHot([2, 0], 3)                     // [[0, 0, 1], [1, 0, 0]]
 *
 * @throws DataError `ERR_INDEX_RANGE` for a label out of range.
 */
export function oneHot<I extends Tensor | readonly number[], N extends number>(labels: I, classes: N): Tensor<Append<IndexShape<I>, N>>
export function oneHot(labels: Tensor | readonly number[], classes: number): Tensor {
  const at = checkIndex('oneHot', labels)
  if (!Number.isInteger(classes) || classes < 1)
    throw new ArgumentError('ERR_CLASSES', `oneHot: the number of classes must be a positive integer, received ${showValue(classes)}.`)
  checkSize('oneHot', [...at.shape, classes])
  return oneHotOf(at, classes, { op: 'oneHot', shape: at.shape, what: 'classes' })
}

/** @internal oneHot of labels that were given to an op of another name */
export function oneHotOf(at: Tensor, classes: number, lookup: Lookup): Tensor {
  const column = [...at.shape, 1]
  return apply(oneHotRow, [expand(Tensor.scalar(1, 'float32'), column), reshape(at, column)], { classes, lookup })
}
