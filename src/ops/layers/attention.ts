/**
 * Scaled dot-product attention (Vaswani et al. 2017). In: queries, keys and values; out: softmax(q·kᵀ·scale + mask)·v. One instruction each way, in
 * tiles with a running maximum and sum (Dao et al. 2022, "FlashAttention"), so that no [L, S] matrix is in memory; the reference is the
 * composition below, which also serves dropout and gradients of masks.
 */
import { registerLoop } from '../../backend/registry.js'
import { ArgumentError, checkOptions, DTypeError, isNumber, type OptionNames, ShapeError, showShape, showValue } from '../../base/errors.js'
import { broadcastShapes, sameShape, sizeOf } from '../../base/shape.js'
import { bitsOfFloat, floatOfBits, Opcode, type View } from '../../ir/format.js'
import type { Meta } from '../../tensor/context.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import type { WithLast } from '../../types/index.js'
import { arangeTensor } from '../basic/creation.js'
import { dropout } from '../basic/dropout.js'
import { add, div, exp, le, logicalAnd, maximum, mul, sub, to, where } from '../basic/elementwise.js'
import { matmul } from '../basic/matmul.js'
import { expand, reshape, transpose, unsqueeze } from '../basic/movement.js'
import { amax, sum } from '../basic/reduce.js'
import { applyAll, checkTensor } from '../core/dispatch.js'
import { type Dense, defineOp, type OpRow } from '../core/table.js'

export interface AttentionOptions {
  /** bool: true = may attend; float: added to the scores. Broadcasts to `[…, L, S]`. */
  attnMask?: Tensor
  /** Share of the attention weights set to 0, also outside training; default 0. */
  dropoutP?: number
  /** Query i attends to keys 0 … i only; default false. Not together with `attnMask`. */
  isCausal?: boolean
  /** Factor of the scores; default 1/√E. */
  scale?: number
  /** Let several query heads share a key and value head: `[…, H, L, E]` with `[…, H/n, S, E]`. Default false. */
  enableGqa?: boolean
}

const optionNames: OptionNames<AttentionOptions> = { attnMask: true, dropoutP: true, isCausal: true, scale: true, enableGqa: true }

interface AttentionAttrs {
  readonly scale: number
  readonly causal: boolean
  readonly mask: boolean
}

/** The kernel's limit for the sizes of heads. */
const maxHeadSize = 512

// ---- the composition ----------------------------------------------------------------------------------------------------------------

/** @internal The weights of attention `[…, L, S]`: softmax of the scores, and zeros where a query may attend to nothing. */
export function attentionWeights(q: Tensor, k: Tensor, { scale, causal, mask }: { scale: number; causal: boolean; mask?: Tensor }): Tensor {
  let scores = mul(matmul(q, transpose(k)), scale)
  const [rows, keys] = scores.shape.slice(-2)
  let allowed: Tensor | undefined
  if (causal) allowed = le(arangeTensor(keys), unsqueeze(arangeTensor(rows), 1))
  if (mask !== undefined && mask.dtype === 'bool') allowed = allowed === undefined ? mask : logicalAnd(allowed, mask)
  else if (mask !== undefined) scores = add(scores, mask)
  if (allowed !== undefined) scores = where(allowed, scores, Number.NEGATIVE_INFINITY)
  if (keys === 0) return scores
  // a row of nothing but -∞ gives zeros: no maximum below the lowest finite score is taken off
  const top = maximum(amax(scores, { dim: -1, keepdim: true }), -3.4028234663852886e38).detach()
  const shifted = exp(sub(scores, top))
  // the largest of a row is 1, so that its sum is at least that
  return div(shifted, maximum(sum(shifted, { dim: -1, keepdim: true }), 0.5))
}

function composition(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | undefined, attrs: AttentionAttrs, p = 0): Tensor {
  return matmul(dropout(attentionWeights(q, k, { ...attrs, mask }), p), v)
}

// ---- plain loops ------------------------------------------------------------------------------------------------------------------------

type Numbers = Dense['data']

/** How positions of the results follow each other: as the instruction's views, or as the row's outputs with heads behind positions. */
type Layout = 'heads first' | 'positions first'

interface Loops {
  readonly heads: number
  readonly rows: number
  readonly keys: number
  readonly size: number
  readonly width: number
  /**
   * The weights of one query, from its scaled and masked scores, and the log-sum-exp of those. Weights are not made from that: where the greatest
   * score is far from 0 its digits do not hold the sum.
   */
  weightsOf(m: number, i: number, weights: Float64Array): { logTotal: number }
  /** Where position `i` of head `m` is in a result of `n` positions of `width` numbers. */
  place(m: number, i: number, n: number, width: number): number
}

function loopsOf(inputs: readonly Dense[], mask: Dense | undefined, { scale, causal }: AttentionAttrs, layout: Layout): Loops {
  const [q, k, v] = inputs
  const [batch, heads, rows, size] = q.shape
  const keys = k.shape[2]
  const hasScore = (m: number, i: number, j: number): number => {
    if (causal && j > i) return Number.NEGATIVE_INFINITY
    let total = 0
    for (let e = 0; e < size; e++) total += q.data[(m * rows + i) * size + e] * k.data[(m * keys + j) * size + e]
    if (mask === undefined) return total * scale
    const at = mask.data[(m * rows + i) * keys + j]
    return mask.dtype === 'bool' ? (at ? total * scale : Number.NEGATIVE_INFINITY) : total * scale + at
  }
  return {
    heads: batch * heads,
    rows,
    keys,
    size,
    width: v.shape[3],
    weightsOf(m, i, weights) {
      let top = Number.NEGATIVE_INFINITY
      for (let j = 0; j < keys; j++) {
        weights[j] = hasScore(m, i, j)
        top = Math.max(top, weights[j])
      }
      if (top === Number.NEGATIVE_INFINITY) {
        weights.fill(0)
        return { logTotal: Number.POSITIVE_INFINITY }
      }
      let total = 0
      for (let j = 0; j < keys; j++) total += weights[j] = Math.exp(weights[j] - top)
      for (let j = 0; j < keys; j++) weights[j] /= total
      return { logTotal: top + Math.log(total) }
    },
    place: (m, i, n, width) =>
      layout === 'heads first' ? (m * n + i) * width : ((Math.floor(m / heads) * n + i) * heads + (m % heads)) * width,
  }
}

function runForward(inputs: readonly Dense[], [y, logSums]: readonly Dense[], attrs: AttentionAttrs, layout: Layout): void {
  const [, , v] = inputs
  const loops = loopsOf(inputs, attrs.mask ? inputs[3] : undefined, attrs, layout)
  const { heads, rows, keys, width } = loops
  const weights = new Float64Array(keys)
  const totals = new Float64Array(width)
  for (let m = 0; m < heads; m++) {
    for (let i = 0; i < rows; i++) {
      const { logTotal } = loops.weightsOf(m, i, weights)
      logSums.data[m * rows + i] = logTotal
      totals.fill(0)
      for (let j = 0; j < keys; j++) {
        const p = weights[j]
        if (p !== 0) for (let e = 0; e < width; e++) totals[e] += p * v.data[(m * keys + j) * width + e]
      }
      y.data.set(totals, loops.place(m, i, rows, width))
    }
  }
}

/** Whether the digits of a log-sum may not hold the sum: a mask of -1e9 for all keys takes it so far from 0. Infinity stands for no keys. */
function isFar(logSum: number): boolean {
  return Math.abs(logSum) > 1024 && logSum !== Number.POSITIVE_INFINITY
}

function runBackward(inputs: readonly Dense[], outputs: readonly Dense[], attrs: AttentionAttrs, layout: Layout): void {
  const [q, k, v, y, logSums, gy] = inputs
  const [gq, gk, gv] = outputs
  const loops = loopsOf(inputs, attrs.mask ? inputs[6] : undefined, attrs, layout)
  const { heads, rows, keys, size, width } = loops
  const weights = new Float64Array(keys)
  const forQ = new Float64Array(rows * size)
  const forK = new Float64Array(keys * size)
  const forV = new Float64Array(keys * width)
  for (let m = 0; m < heads; m++) {
    for (const t of [forQ, forK, forV]) t.fill(0)
    for (let i = 0; i < rows; i++) {
      const { logTotal } = loops.weightsOf(m, i, weights)
      const given = logSums.data[m * rows + i]
      // as native code: weights follow from the log-sums that are given, where their digits hold the sum
      const share = isFar(given) || logTotal === Number.POSITIVE_INFINITY ? 1 : Math.exp(logTotal - given)
      const at = loops.place(m, i, rows, width)
      let delta = 0
      for (let e = 0; e < width; e++) delta += gy.data[at + e] * y.data[at + e]
      for (let j = 0; j < keys; j++) {
        const p = weights[j] * share
        if (p === 0) continue
        let gp = 0
        for (let e = 0; e < width; e++) {
          gp += gy.data[at + e] * v.data[(m * keys + j) * width + e]
          forV[j * width + e] += p * gy.data[at + e]
        }
        const gs = p * (gp - delta) * attrs.scale
        for (let e = 0; e < size; e++) {
          forQ[i * size + e] += gs * k.data[(m * keys + j) * size + e]
          forK[j * size + e] += gs * q.data[(m * rows + i) * size + e]
        }
      }
    }
    const store = (from: Float64Array, to: Numbers, n: number, each: number): void => {
      for (let i = 0; i < n; i++) to.set(from.subarray(i * each, (i + 1) * each), loops.place(m, i, n, each))
    }
    store(forQ, gq.data, rows, size)
    store(forK, gk.data, keys, size)
    store(forV, gv.data, keys, width)
  }
}

// ---- rows -------------------------------------------------------------------------------------------------------------------------------

const swapped = <T>([a, b, c, d]: readonly T[]): T[] => [a, c, b, d]

/** A result kept with heads behind positions, `[B, L, H, E]`, as the instruction sees it. */
function headsFirst<B>(v: View<B>): View<B> {
  return { ...v, shape: swapped(v.shape), strides: swapped(v.strides) }
}

const scalarsOf = ({ scale, causal, mask }: AttentionAttrs): number[] => [bitsOfFloat(scale), (causal ? 1 : 0) | (mask ? 2 : 0)]
const attrsOf = ([scale, flags]: readonly number[]): AttentionAttrs => ({
  scale: floatOfBits(scale),
  causal: (flags & 1) !== 0,
  mask: (flags & 2) !== 0,
})

/** Multiply-adds of `products` matrix products of all queries and keys. */
const flopsOf =
  (products: number) =>
  ([q, k]: readonly Meta[], _outputs: readonly Meta[], { causal }: AttentionAttrs): number =>
    (products * 2 * sizeOf(q.shape) * k.shape[2]) / (causal ? 2 : 1)

// Results have heads behind positions, `[B, L, H, E]`: joining the heads, which is what comes next, then moves nothing.
const attentionRow: OpRow<AttentionAttrs> = defineOp<AttentionAttrs>({
  name: 'attention',
  infer: ([q, , v]) => [
    { shape: swapped([q.shape[0], q.shape[1], q.shape[2], v.shape[3]]), dtype: q.dtype },
    { shape: q.shape.slice(0, 3), dtype: q.dtype },
  ],
  composition: ([q, k, v, mask], attrs) => [transpose(composition(q, k, v, mask, attrs), 1, 2)],
  beyondRule: ({ inputs, attrs, needs }) => attrs.mask && needs[3] && inputs[3].dtype !== 'bool',
  gradient: ({ inputs, outputs, attrs, needs }, gy) => {
    const [q, k, v, ...mask] = inputs
    const grads = applyAll(attentionGradRow, [q, k, v, ...outputs, gy, ...mask], attrs)
    return [...grads.map((g, i) => (needs[i] ? transpose(g, 1, 2) : undefined)), ...mask.map(() => undefined)]
  },
  lower: (inputs, [y, logSums], attrs) => [
    { opcode: Opcode.attention, inputs, outputs: [headsFirst(y), logSums], scalars: scalarsOf(attrs) },
  ],
  reference: (inputs, outputs, attrs) => runForward(inputs, outputs, attrs, 'positions first'),
  flops: flopsOf(2),
})

const attentionGradRow = defineOp<AttentionAttrs>({
  name: 'attentionGrad',
  infer: (inputs) => inputs.slice(0, 3).map(({ shape, dtype }) => ({ shape: swapped(shape), dtype })),
  gradient: null,
  lower: ([q, k, v, y, logSums, gy, ...mask], outputs, attrs) => [
    {
      opcode: Opcode.attentionGrad,
      inputs: [q, k, v, headsFirst(y), logSums, headsFirst(gy), ...mask],
      outputs: outputs.map(headsFirst),
      scalars: scalarsOf(attrs),
    },
  ],
  reference: (inputs, outputs, attrs) => runBackward(inputs, outputs, attrs, 'positions first'),
  flops: flopsOf(5),
})

registerLoop(Opcode.attention, (inputs, outputs, scalars) => runForward(inputs, outputs, attrsOf(scalars), 'heads first'))
registerLoop(Opcode.attentionGrad, (inputs, outputs, scalars) => runBackward(inputs, outputs, attrsOf(scalars), 'heads first'))

// ---- the function -----------------------------------------------------------------------------------------------------------------------

const op = 'scaledDotProductAttention'

function checkOperands(q: unknown, k: unknown, v: unknown): void {
  for (const [name, t] of [
    ['the queries', q],
    ['the keys', k],
    ['the values', v],
  ] as const) {
    checkTensor(op, name, t)
    if (t.dtype !== 'float32' && t.dtype !== 'float64')
      throw new DTypeError(
        'ERR_DTYPE',
        `${op}: ${name} must be float32, received ${t.dtype} ${showShape(t.shape)}. Convert with .to('float32').`,
      )
    if (t.ndim < 2) throw new ShapeError('ERR_RANK', `${op}: ${name} must be […, L, E], received ${showShape(t.shape)}.`)
  }
  const [a, b, c] = [q, k, v] as Tensor[]
  if (a.dtype !== b.dtype || a.dtype !== c.dtype)
    throw new DTypeError('ERR_DTYPE', `${op}: dtypes differ: ${a.dtype}, ${b.dtype} and ${c.dtype}. Convert with .to('float32').`)
  if (a.shape[a.ndim - 1] !== b.shape[b.ndim - 1])
    throw new ShapeError(
      'ERR_ATTENTION_SHAPE',
      `${op}: queries ${showShape(a.shape)} and keys ${showShape(b.shape)} differ in their last dimension (${a.shape[a.ndim - 1]} vs ${b.shape[b.ndim - 1]}).`,
    )
  if (b.shape[b.ndim - 2] !== c.shape[c.ndim - 2])
    throw new ShapeError(
      'ERR_ATTENTION_SHAPE',
      `${op}: there are ${b.shape[b.ndim - 2]} keys ${showShape(b.shape)} but ${c.shape[c.ndim - 2]} values ${showShape(c.shape)}.`,
    )
}

/** Key or value heads repeated for the query heads that share them. */
function repeatHeads(t: Tensor, heads: number): Tensor {
  const own = t.shape[t.ndim - 3]
  if (own === heads) return t
  if (!(own > 0 && heads % own === 0))
    throw new ShapeError('ERR_HEADS', `${op}: ${heads} query heads are no multiple of ${own} key and value heads ${showShape(t.shape)}.`)
  const lead = t.shape.slice(0, -3)
  const tail = t.shape.slice(-2)
  return reshape(expand(unsqueeze(t, t.ndim - 2), [...lead, own, heads / own, ...tail]), [...lead, heads, ...tail])
}

function checkMask(mask: Tensor, scores: readonly number[], dtype: Tensor['dtype']): Tensor {
  checkTensor(op, 'attnMask', mask)
  if (mask.dtype !== 'bool' && mask.dtype !== dtype)
    throw new DTypeError(
      'ERR_DTYPE',
      `${op}: attnMask must be bool (true = may attend) or ${dtype} (added to the scores), received ${mask.dtype}. Convert with .to('bool').`,
    )
  const wide = broadcastShapes(mask.shape, scores)
  if (wide === undefined || !sameShape(wide, scores))
    throw new ShapeError(
      'ERR_MASK',
      `${op}: attnMask ${showShape(mask.shape)} does not broadcast to the scores ${showShape(scores)} ([…, L, S]).`,
    )
  return expand(mask, scores)
}

/** `[…, N, E]` as `[B, H, N, E]`. */
function fourDimensional(t: Tensor, lead: readonly number[]): Tensor {
  const tail = t.shape.slice(-2)
  const wide = expand(t, [...lead, ...tail])
  if (lead.length === 2) return wide
  return reshape(wide, [sizeOf(lead.slice(0, -1)), lead.length === 0 ? 1 : lead[lead.length - 1], ...tail])
}

/**
 * softmax(q·kᵀ·scale)·v of `q: […, L, E]`, `k: […, S, E]`, `v: […, S, Ev]`, giving `[…, L, Ev]`; leading dimensions broadcast. Where a query may attend to
 * nothing the result is 0. Without dropout no `[L, S]` matrix is made. Source: Vaswani et al. 2017, Dao et al. 2022,
 * `torch.nn.functional.scaled_dot_product_attention`.
 *
 *     scaledDotProductAttention(q, k, v, { isCausal: true })       // [B, H, T, D] each → [B, H, T, D]
 *
 * @throws ShapeError `ERR_ATTENTION_SHAPE`, `ERR_MASK`, `ERR_HEADS`, `ERR_BROADCAST`; ArgumentError `ERR_ATTENTION_OPTION` for `isCausal` with a mask
 * or a probability out of range.
 */
export function scaledDotProductAttention<Q extends Tensor, V extends Tensor>(
  q: Q,
  k: Tensor,
  v: V,
  options?: AttentionOptions,
): Tensor<WithLast<ShapeOf<Q>, ShapeOf<V> extends readonly [...unknown[], infer D] ? D : number>>
export function scaledDotProductAttention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  checkOptions(op, options, optionNames)
  checkOperands(q, k, v)
  const { attnMask, dropoutP = 0, isCausal = false, enableGqa = false } = options
  const size = q.shape[q.ndim - 1]
  const { scale = 1 / Math.sqrt(size) } = options
  if (!(isNumber(dropoutP) && dropoutP >= 0 && dropoutP <= 1))
    throw new ArgumentError('ERR_ATTENTION_OPTION', `${op}: dropoutP must be between 0 and 1, received ${showValue(dropoutP)}.`)
  if (typeof scale !== 'number')
    throw new ArgumentError('ERR_ATTENTION_OPTION', `${op}: scale must be a number, received ${showValue(scale)}.`)
  if (isCausal && attnMask !== undefined)
    throw new ArgumentError('ERR_ATTENTION_OPTION', `${op}: isCausal and attnMask exclude each other. Put the causal mask into attnMask.`)
  let keys = k
  let values = v
  if (enableGqa) {
    if (q.ndim < 3 || k.ndim < 3 || v.ndim < 3)
      throw new ShapeError(
        'ERR_HEADS',
        `${op}: enableGqa needs heads, […, H, L, E], received ${showShape(q.shape)} and ${showShape(k.shape)}.`,
      )
    keys = repeatHeads(k, q.shape[q.ndim - 3])
    values = repeatHeads(v, q.shape[q.ndim - 3])
  }
  const lead = leadOf(q, keys, values)
  const scores = [...lead, q.shape[q.ndim - 2], keys.shape[keys.ndim - 2]]
  const mask = attnMask === undefined ? undefined : checkMask(attnMask, scores, q.dtype)
  const attrs = { scale, causal: isCausal, mask: mask !== undefined }
  const width = values.shape[values.ndim - 1]
  if (dropoutP > 0 || Math.max(size, width) > maxHeadSize || size === 0 || width === 0)
    return composition(q, keys, values, mask, attrs, dropoutP)
  const inputs = [q, keys, values, ...(mask === undefined ? [] : [mask])].map((t) => fourDimensional(t, lead))
  const [y] = applyAll(attentionRow, inputs, attrs)
  return reshape(transpose(y, 1, 2), [...scores.slice(0, -1), width])
}

function leadOf(...operands: readonly Tensor[]): readonly number[] {
  return operands
    .map((t) => t.shape.slice(0, -2))
    .reduce((a, b) => {
      const both = broadcastShapes(a, b)
      if (both === undefined)
        throw new ShapeError(
          'ERR_BROADCAST',
          `${op}: leading dimensions do not broadcast: ${operands.map((t) => showShape(t.shape)).join(', ')}. For fewer key heads set enableGqa.`,
        )
      return both
    })
}

/** @internal bool `[L, S]`, true where key j ≤ query i */
export function causalMask(rows: number, keys = rows): Tensor {
  return to(le(arangeTensor(keys), unsqueeze(arangeTensor(rows), 1)), 'bool')
}
