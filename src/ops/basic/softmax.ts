/**
 * Rows of class scores: softmax, log-softmax, and cross-entropy with class indices. The kernels exist for speed and precision; each
 * gradient's own gradient is a composition.
 */
import { registerLoop } from '../../backend/registry.js'
import { indexError } from '../../backend/status.js'
import { DTypeError, ShapeError } from '../../base/errors.js'
import { normalizeDim } from '../../base/shape.js'
import { type Instruction, type Lookup, Opcode, type View } from '../../ir/format.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import { dimOf } from '../core/along.js'
import { apply, checkTensor } from '../core/dispatch.js'
import { type Dense, defineOp } from '../core/table.js'
import { exp, mul, sub, where } from './elementwise.js'
import { oneHot } from './gather.js'
import { permute, unsqueeze } from './movement.js'
import { moveLast, sum } from './reduce.js'

/** Shifted exponentials of one row in double precision: the maximum and log Σ. */
function logSumRow(x: Dense['data'], at: number, n: number): { top: number; logTotal: number } {
  let top = Number.NEGATIVE_INFINITY
  for (let i = 0; i < n; i++) top = x[at + i] > top || Number.isNaN(x[at + i]) ? x[at + i] : top
  if (top === Number.NEGATIVE_INFINITY) top = Number.NaN
  let total = 0
  for (let i = 0; i < n; i++) total += Math.exp(x[at + i] - top)
  return { top, logTotal: Math.log(total) }
}

const rowLength = (x: Dense): number => x.shape[x.shape.length - 1]

const softmaxRow = defineOp<undefined>({
  name: 'softmax',
  infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
  gradient: ({ outputs: [y] }, g) => [mul(y, sub(g, sum(mul(g, y), { dim: -1, keepdim: true })))],
  lower: (inputs, outputs) => [{ opcode: Opcode.softmax, inputs, outputs, scalars: [0] }],
  reference: ([x], [y]) => {
    const n = rowLength(x)
    for (let at = 0; n > 0 && at < y.data.length; at += n) {
      const { top, logTotal } = logSumRow(x.data, at, n)
      for (let i = at; i < at + n; i++) y.data[i] = Math.exp(x.data[i] - top - logTotal)
    }
  },
})

const logSoftmaxRow = defineOp<undefined>({
  name: 'logSoftmax',
  infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
  gradient: ({ outputs: [y] }, g) => [sub(g, mul(exp(y), sum(g, { dim: -1, keepdim: true })))],
  lower: (inputs, outputs) => [{ opcode: Opcode.softmax, inputs, outputs, scalars: [1] }],
  reference: ([x], [y]) => {
    const n = rowLength(x)
    for (let at = 0; n > 0 && at < y.data.length; at += n) {
      const { top, logTotal } = logSumRow(x.data, at, n)
      for (let i = at; i < at + n; i++) y.data[i] = x.data[i] - top - logTotal
    }
  },
})

registerLoop(Opcode.softmax, (inputs, outputs, [mode]) => (mode === 0 ? softmaxRow : logSoftmaxRow).reference(inputs, outputs, undefined))

function overLast(row: typeof softmaxRow, x: Tensor, dim: number): Tensor {
  checkTensor(row.name, 'x', x)
  if (x.dtype !== 'float32' && x.dtype !== 'float64')
    throw new DTypeError('ERR_DTYPE', `${row.name}: needs a float tensor, received ${x.dtype}. Convert with .to('float32').`)
  if (x.ndim === 0) throw new ShapeError('ERR_RANK', `${row.name}: needs at least one dimension, received a scalar.`)
  const d = normalizeDim(row.name, dim, x.ndim)
  if (d === x.ndim - 1) return apply(row, [x], undefined)
  const { moved, back } = moveLast(x, d)
  return permute(apply(row, [moved], undefined), back)
}

/** eˣ / Σ eˣ along `dim`. */
export function softmax<T extends Tensor>(x: T, dim?: number | { dim?: number }): Tensor<ShapeOf<T>>
export function softmax(x: Tensor, dim?: number | { dim?: number }): Tensor {
  return overLast(softmaxRow, x, dimOf('softmax', dim, -1))
}

/** log(softmax(x)) along `dim`, without its cancellation. */
export function logSoftmax<T extends Tensor>(x: T, dim?: number | { dim?: number }): Tensor<ShapeOf<T>>
export function logSoftmax(x: Tensor, dim?: number | { dim?: number }): Tensor {
  return overLast(logSoftmaxRow, x, dimOf('logSoftmax', dim, -1))
}

interface CrossEntropyAttrs {
  readonly ignoreIndex: number
  /** Whose labels they are, for errors. */
  readonly lookup: Lookup
}

function eachRow(
  logits: Dense,
  targets: Dense,
  { ignoreIndex, lookup }: CrossEntropyAttrs,
  visit: (row: number, target: number | undefined) => void,
): void {
  const n = rowLength(logits)
  targets.data.forEach((t, i) => {
    if (t !== ignoreIndex && (t < 0 || t >= n)) throw indexError(lookup, t, i, n)
  })
  targets.data.forEach((t, i) => visit(i, t === ignoreIndex ? undefined : t))
}

function lowerTargets<B>(
  opcode: Opcode,
  inputs: readonly View<B>[],
  outputs: readonly View<B>[],
  { ignoreIndex, lookup }: CrossEntropyAttrs,
): Instruction<B> {
  return { opcode, inputs, outputs, scalars: [ignoreIndex], lookup: { ...lookup, size: inputs[0].shape[1] } }
}

const crossEntropyRow = defineOp<CrossEntropyAttrs>({
  name: 'crossEntropy',
  infer: ([logits]) => [{ shape: [logits.shape[0]], dtype: logits.dtype }],
  gradient: ({ inputs: [logits, targets], attrs }, g) => [apply(crossEntropyGradRow, [logits, targets, g], attrs)],
  lower: (inputs, outputs, attrs) => [lowerTargets(Opcode.crossEntropy, inputs, outputs, attrs)],
  reference: ([logits, targets], [y], attrs) => {
    const n = rowLength(logits)
    eachRow(logits, targets, attrs, (row, target) => {
      const { top, logTotal } = logSumRow(logits.data, row * n, n)
      y.data[row] = target === undefined ? 0 : logTotal + top - logits.data[row * n + target]
    })
  },
})

const crossEntropyGradRow = defineOp<CrossEntropyAttrs>({
  name: 'crossEntropyGrad',
  infer: ([logits]) => [{ shape: logits.shape, dtype: logits.dtype }],
  gradient: ({ inputs: [logits, targets, g], attrs, needs }, gg) => {
    // y = (p - onehot)·g by row, with p = softmax(logits); ignored rows are zero
    const kept = targets.ne(attrs.ignoreIndex)
    const rows = unsqueeze(kept, 1)
    const p = softmax(where(rows, logits, 0))
    const scaled = where(rows, mul(gg, unsqueeze(g, 1)), 0)
    const forLogits = mul(p, sub(scaled, sum(mul(scaled, p), { dim: -1, keepdim: true })))
    const hot = oneHot(where(kept, targets, 0), logits.shape[1]).to(logits.dtype)
    const forG = where(kept, sum(mul(gg, sub(p, hot)), { dim: -1 }), 0)
    return [needs[0] ? forLogits : undefined, undefined, needs[2] ? forG : undefined]
  },
  lower: (inputs, outputs, attrs) => [lowerTargets(Opcode.crossEntropyGrad, inputs, outputs, attrs)],
  reference: ([logits, targets, g], [y], attrs) => {
    const n = rowLength(logits)
    eachRow(logits, targets, attrs, (row, target) => {
      const { top, logTotal } = logSumRow(logits.data, row * n, n)
      for (let i = 0; i < n; i++) {
        const p = Math.exp(logits.data[row * n + i] - top - logTotal)
        y.data[row * n + i] = target === undefined ? 0 : (p - (i === target ? 1 : 0)) * g.data[row]
      }
    })
  },
})

for (const [opcode, row] of [[Opcode.crossEntropy, crossEntropyRow] as const, [Opcode.crossEntropyGrad, crossEntropyGradRow] as const]) {
  registerLoop(opcode, (inputs, outputs, [ignoreIndex]) =>
    row.reference(inputs, outputs, { ignoreIndex, lookup: { op: row.name, shape: inputs[1].shape } }),
  )
}

/**
 * @internal -log softmax(logits)[target] for each row of `logits: [R, C]`, with targets `[R]` int32 or uint8; rows whose target is
 * `ignoreIndex` give 0. `losses.crossEntropy` is the public form; `lookup` says what the user gave.
 */
export function crossEntropyRows(
  logits: Tensor,
  targets: Tensor,
  ignoreIndex: number,
  lookup: Lookup = { op: 'crossEntropy', shape: targets.shape, what: 'classes' },
): Tensor {
  return apply(crossEntropyRow, [logits, targets], { ignoreIndex, lookup })
}
