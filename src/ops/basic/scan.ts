/**
 * Running results along one dimension: cumulative sum and product, and the linear recurrence that their gradients are made of. One opcode, a kind
 * for each. Floats are accumulated in double precision on every backend. Running extremes are a composition.
 */
import { registerLoop } from '../../backend/registry.js'
import { isFloat } from '../../base/dtype.js'
import { ArgumentError, checkOptions, DTypeError, ShapeError, showShape, showValue } from '../../base/errors.js'
import { normalizeDim, sizeOf } from '../../base/shape.js'
import { Opcode, ScanKind } from '../../ir/format.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import type { Resized } from '../../types/index.js'
import { detach } from '../core/alias.js'
import { dimOf } from '../core/along.js'
import { apply, checkTensor } from '../core/dispatch.js'
import { type Dense, defineOp, type GradientRule, type OpRow } from '../core/table.js'
import { arangeTensor } from './creation.js'
import { logicalNot, logicalOr, lt, mul, ne, sub, to, where } from './elementwise.js'
import { gather } from './gather.js'
import { concat } from './join.js'
import { clone, expand, narrow, padConstant, reshape, slice } from './movement.js'
import type { Sorted } from './sort.js'

interface ScanAttrs {
  readonly dim: number
}

const steps: Record<ScanKind, (total: number, x: number, b: number, integer: boolean) => number> = {
  sum: (total, x, _b, integer) => (integer ? (total + x) | 0 : total + x),
  prod: (total, x, _b, integer) => (integer ? Math.imul(total, x) : total * x),
  linear: (total, a, b) => total * a + b,
}

function referenceScan(kind: ScanKind, inputs: readonly Dense[], [y]: readonly Dense[], { dim }: ScanAttrs): void {
  const a = inputs[0].data
  const b = inputs[inputs.length - 1].data
  const n = y.shape[dim]
  const inner = sizeOf(y.shape.slice(dim + 1))
  const step = steps[kind]
  const integer = !isFloat(y.dtype)
  for (let i = 0; i < y.data.length; i += n * inner) {
    for (let j = i; j < i + inner; j++) {
      let total = kind === 'prod' ? 1 : 0
      for (let at = j; at < j + n * inner; at += inner) {
        total = step(total, a[at], b[at], integer)
        y.data[at] = total
      }
    }
  }
}

const kindNames = Object.keys(ScanKind) as ScanKind[]
registerLoop(Opcode.scan, (inputs, outputs, [kind, dim]) => referenceScan(kindNames[kind], inputs, outputs, { dim }))

function scan(name: string, kind: ScanKind, gradient: GradientRule<ScanAttrs>): OpRow<ScanAttrs> {
  return defineOp<ScanAttrs>({
    name,
    infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
    gradient,
    lower: (inputs, outputs, { dim }) => [{ opcode: Opcode.scan, inputs, outputs, scalars: [ScanKind[kind], dim] }],
    reference: (i, o, attrs) => referenceScan(kind, i, o, attrs),
    flops: ([x]) => sizeOf(x.shape) * (kind === 'linear' ? 2 : 1),
  })
}

const sumRow = scan('cumsum', 'sum', ({ attrs: { dim } }, g) => [backwards(apply(sumRow, [backwards(g, dim)], { dim }), dim)])

const prodRow = scan('cumprod', 'prod', ({ inputs: [x], outputs: [y], attrs: { dim } }, g) => {
  // what comes before an element times what its successors contribute: right with any number of zeros
  return [mul(delayed(y, dim, 1), weightedTail(x, g, dim))]
})

const linearRow: OpRow<ScanAttrs> = scan('linearRecurrence', 'linear', ({ inputs: [a], outputs: [y], attrs: { dim }, needs }, g) => {
  const tail = weightedTail(a, g, dim)
  return [needs[0] ? mul(tail, delayed(y, dim, 0)) : undefined, tail]
})

/** One dimension in reverse order, a view. */
function backwards(x: Tensor, dim: number): Tensor {
  return slice(x, dim, -1, undefined, -1)
}

/** Elements along `dim` moved on by one; the first becomes `first`. */
function delayed(x: Tensor, dim: number, first: number): Tensor {
  const n = x.shape[dim]
  if (n === 0) return x
  const along = (amount: number): number[] => x.shape.map((_, d) => (d === dim ? amount : 0))
  return padConstant(narrow(x, dim, 0, n - 1), along(1), along(0), first)
}

/** s[i] = g[i] + a[i+1]·s[i+1]: what flows back through y[i] = a[i]·y[i-1] + … */
function weightedTail(a: Tensor, g: Tensor, dim: number): Tensor {
  return backwards(apply(linearRow, [delayed(backwards(a, dim), dim, 0), backwards(g, dim)], { dim }), dim)
}

function running(row: OpRow<ScanAttrs>, x: Tensor, dim: number): Tensor {
  checkTensor(row.name, 'x', x)
  const wide = x.dtype === 'bool' || x.dtype === 'uint8' ? to(x, 'int32') : x
  const d = normalizeDim(row.name, dim, Math.max(1, x.ndim))
  return x.ndim === 0 ? reshape(apply(row, [reshape(wide, [1])], { dim: d }), []) : apply(row, [wide], { dim: d })
}

/** Running sum along `dim`; bool and uint8 give int32. */
export function cumsum<T extends Tensor>(x: T, dim: number | { dim: number }): Tensor<ShapeOf<T>>
export function cumsum(x: Tensor, dim: number | { dim: number }): Tensor {
  return running(sumRow, x, dimOf('cumsum', dim))
}

/** Running product along `dim`; bool and uint8 give int32. */
export function cumprod<T extends Tensor>(x: T, dim: number | { dim: number }): Tensor<ShapeOf<T>>
export function cumprod(x: Tensor, dim: number | { dim: number }): Tensor {
  return running(prodRow, x, dimOf('cumprod', dim))
}

/**
 * y[i] = a[i] · y[i-1] + b[i] along `dim`, from y[-1] = 0: discounted sums, moving averages, state-space layers. Both are float and of one shape.
 *
 *     linearRecurrence(full(r.shape, 0.99), r, 0)
 */
export function linearRecurrence<T extends Tensor>(a: T, b: Tensor, dim: number): Tensor<ShapeOf<T>>
export function linearRecurrence(a: Tensor, b: Tensor, dim: number): Tensor {
  checkTensor('linearRecurrence', 'a', a)
  checkTensor('linearRecurrence', 'b', b)
  if (!isFloat(a.dtype) || a.dtype !== b.dtype)
    throw new DTypeError('ERR_DTYPE', `linearRecurrence: needs two float tensors of one dtype, received ${a.dtype} and ${b.dtype}.`)
  if (a.ndim !== b.ndim || a.shape.some((s, i) => s !== b.shape[i])) {
    throw new ShapeError('ERR_SHAPE', `linearRecurrence: a ${showShape(a.shape)} and b ${showShape(b.shape)} must have one shape.`)
  }
  return apply(linearRow, [a, b], { dim: normalizeDim('linearRecurrence', dim, a.ndim) })
}

/** Running extremes and their positions, in log₂ n rounds: each element meets the one 1, 2, 4, … before it, which stands for all in between. */
function runningExtreme(op: 'cummax' | 'cummin', x: Tensor, dim: number): Sorted<never> {
  checkTensor(op, 'x', x)
  const d = normalizeDim(op, dim, Math.max(1, x.ndim))
  if (x.ndim === 0) return { values: clone(x), indices: reshape(arangeTensor(1), []) }
  const n = x.shape[d]
  let best = isFloat(x.dtype) ? detach(x) : to(x, 'int32')
  let indices = expand(
    reshape(
      arangeTensor(n),
      x.shape.map((_, i) => (i === d ? n : 1)),
    ),
    x.shape,
  )
  for (let s = 1; s < n; s *= 2) {
    const here = narrow(best, d, s, n - s)
    const before = narrow(best, d, 0, n - s)
    const no = op === 'cummax' ? lt(here, before) : lt(before, here)
    // of equals the last is taken; NaN is taken and kept
    const taken = isFloat(x.dtype) ? logicalOr(ne(here, here), logicalNot(logicalOr(no, ne(before, before)))) : logicalNot(no)
    const round = (t: Tensor): Tensor => concat([narrow(t, d, 0, s), where(taken, narrow(t, d, s, n - s), narrow(t, d, 0, n - s))], d)
    best = round(best)
    indices = round(indices)
  }
  return { values: gather(x, indices, d), indices }
}

/**
 * The greatest element so far along `dim`, and where it is (the last of equals, which alone gets the gradient). NaN wins.
 *
 *     const { values, indices } = cummax(x, 0)
 */
export function cummax<T extends Tensor>(x: T, dim: number | { dim: number }): Sorted<ShapeOf<T>>
export function cummax(x: Tensor, dim: number | { dim: number }): Sorted<never> {
  return runningExtreme('cummax', x, dimOf('cummax', dim))
}

/** The least element so far along `dim`, as `cummax`. */
export function cummin<T extends Tensor>(x: T, dim: number | { dim: number }): Sorted<ShapeOf<T>>
export function cummin(x: Tensor, dim: number | { dim: number }): Sorted<never> {
  return runningExtreme('cummin', x, dimOf('cummin', dim))
}

/** Differences of neighbours along `dim` (default the last), `n` times (default 1). */
export function diff<T extends Tensor, D extends number = -1>(x: T, options?: { n?: number; dim?: D }): Tensor<Resized<ShapeOf<T>, D>>
export function diff(x: Tensor, options: { n?: number; dim?: number } = {}): Tensor {
  checkOptions('diff', options, { n: true, dim: true })
  checkTensor('diff', 'x', x)
  const { n = 1, dim = -1 } = options
  const d = normalizeDim('diff', dim, x.ndim)
  if (!Number.isInteger(n) || n < 0) throw new ArgumentError('ERR_DIFF', `diff: n must be an integer from 0, received ${showValue(n)}.`)
  let y = x
  for (let i = 0; i < n && y.shape[d] > 0; i++) y = sub(narrow(y, d, 1, y.shape[d] - 1), narrow(y, d, 0, y.shape[d] - 1))
  return y
}
