/**
 * How far rounding may carry a result: the same ops run with the result of each disturbed at random, and what comes out is looked at. That
 * measures the condition of the whole computation where it is, cancellation and kinks included, so that no bound has to be guessed. (Monte
 * Carlo arithmetic; Parker 1997.)
 */

import { itemSize, type TypedArray, viewMemory } from '../../../src/base/dtype.js'
import { isContiguous } from '../../../src/base/shape.js'
import type { Tensor } from '../../../src/index.js'
import { denseOf, eagerHooks } from '../../../src/ops/core/dispatch.js'
import type { OpRow } from '../../../src/ops/core/table.js'
import { unit } from './bound.js'
import { inDoubles } from './reference.js'

/** Rows whose results are exact, whoever computes them: choices, copies, whole numbers. */
const exact = new Set(
  ['to', 'floor', 'ceil', 'round', 'trunc', 'sign', 'neg', 'abs', 'relu', 'maximum', 'minimum', 'where', 'fmod'].concat([
    'concat',
    'pad',
    'gather',
    'contiguous',
    'sort',
    'maxPool2d',
    'diagonalEmbed',
  ]),
)

/** Rows that add up many terms, whose rounding is a share of the terms and not of the result. */
const sums = new Set(
  [
    'sum',
    'cumsum',
    'scatterAdd',
    'matmul',
    'conv2d',
    'conv2dInputGrad',
    'conv2dWeightGrad',
    'avgPool2d',
    'avgPool2dGrad',
    'moments',
  ].concat(
    ['normSums', 'linearRecurrence', 'attention', 'attentionGrad', 'recurrent', 'recurrentGrad', 'crossEntropyGrad', 'ctcGrad'],
    ['fft forward', 'fft inverse', 'fft fromReal', 'fft toReal', 'det'],
  ),
)

/**
 * What is lost whatever the result is, because something larger is rounded on the way: by sums their terms, by logarithms of sums
 * the largest term, by activations a number near one, by norms the mean, which is then taken from numbers of its own size and the rest multiplied by 1/√variance.
 */
export function lost(row: OpRow<never>, inputs: readonly Tensor[], outputs: readonly Tensor[]): number {
  const product = (...list: readonly Tensor[]): number => list.reduce((p, t) => p * Math.min(1e4, largestOf(t)), 4 * unit)
  if (sums.has(row.name)) {
    const terms = inputs.reduce((n, t) => n + t.size, 0) / Math.max(1, outputs[0].size)
    return product(...inputs) * Math.sqrt(Math.min(64, Math.max(1, terms)))
  }
  switch (row.name) {
    case 'gelu':
    case 'geluSlope':
    case 'crossEntropy':
    case 'logSoftmax':
    case 'slogdet':
    case 'ctc':
      return product(inputs[0])
    case 'normRows':
      return product(...inputs, outputs[2])
    case 'normalize':
    case 'normRowsGrad':
    case 'normalizeGrad':
      return product(...inputs)
    default:
      return 0
  }
}

/**
 * By how many units in its last place a sum may drift from the right one. Each addition rounds by at most a unit of the sum so far. Of terms that
 * differ the roundings cancel, and disturbed terms show what is left; of equal ones all go the same way, and sums so far that grow evenly are half the
 * result on average: half a unit for each addition of those that follow each other. A sum of a run has four sums at least side by side, one of rows
 * begins again after 64; products add up one after the other.
 */
export function drift(row: OpRow<never>, inputs: readonly Tensor[], outputs: readonly Tensor[]): number {
  // the sum of a row's exponentials: four at least side by side
  if (row.name === 'softmax') return (inputs[0].shape.at(-1) ?? 1) / 8
  if (!sums.has(row.name)) return 0
  const terms = termsOf(inputs, outputs)
  return (row.name === 'sum' ? 64 + terms / 4 : terms) / 2
}

/** How many terms an element of a sum has, about: of a product of matrices exactly. */
function termsOf(inputs: readonly Tensor[], outputs: readonly Tensor[]): number {
  const results = Math.max(1, outputs[0].size)
  const together = inputs.reduce((n, t) => n + t.size, 0) / results
  return inputs.length < 2 ? together : Math.max(together, Math.sqrt((inputs[0].size * inputs[1].size) / results))
}

/** The largest finite magnitude, at least 1. */
export function largestOf(t: Tensor): number {
  let most = 1
  if (t.dtype !== 'float32' || t.constant !== undefined) return most
  for (const x of denseOf(t, t.shape)) if (Math.abs(x) < Number.POSITIVE_INFINITY) most = Math.max(most, Math.abs(x))
  return most
}

/** A disturbance from -1 to 1. */
export function disturbances(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1) | 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state / 2 ** 31
  }
}

/** Disturbs what goes in; set while disturbed. */
let ofLeaves: ((t: Tensor) => void) | undefined

/** Fresh data on its way into a run. Numbers that are to meet exactly (ties, whole numbers) do not go through here. */
export function leaf(t: Tensor): Tensor {
  if (t.dtype === 'float32') ofLeaves?.(t)
  return t
}

/** Runs `fn` with what goes in and each result of an op multiplied by a number within `size` of one; what is lost on the way keeps step. */
export function disturbed<T>(seed: number, size: number, fn: () => T): T {
  const next = disturbances(seed)
  const before = eagerHooks.afterOp
  eagerHooks.afterOp = (row, inputs, outputs, attrs) => {
    if (row.view !== undefined || exact.has(row.name)) return
    if (decompositions.has(row.name)) return decompose(row, inputs, outputs, attrs, size, next)
    if (row.name === 'eq' || row.name === 'ne') return confuse(inputs, outputs[0], size, next)
    if (row.name === 'random') return disturbDrawn(outputs[0], attrs as { kind: string; b: number }, size, next)
    const most = Math.max(size, unit * drift(row, inputs, outputs))
    for (const t of outputs) if (t.dtype === 'float32') disturb(t, most, next)
    const displaced = lost(row, inputs, outputs)
    if (displaced > 0) for (const t of outputs) if (t.dtype === 'float32') displace(t, (displaced * size) / (16 * unit), next)
  }
  ofLeaves = (t) => disturb(t, size, next)
  try {
    return fn()
  } finally {
    ofLeaves = undefined
    eagerHooks.afterOp = before
  }
}

/** The elements of a tensor as they lie in memory, to be changed unseen; nothing where they do not follow each other. */
function dataOf(t: Tensor): TypedArray | undefined {
  if (t.constant !== undefined || !isContiguous(t.shape, t.strides)) return undefined
  const { bytes } = t.storage
  return viewMemory(t.dtype, bytes.buffer, bytes.byteOffset + t.offset * itemSize(t.dtype), t.size)
}

/** Disturbs a tensor in place, unseen. */
export function disturb(t: Tensor, size: number, next: () => number): void {
  const data = dataOf(t)
  for (let i = 0; data !== undefined && i < data.length; i++) data[i] *= 1 + size * next()
}

/** Factors of a matrix, which are not a function of it where singular values meet: those of a matrix near by are as right. */
const decompositions = new Set(['svd', 'eigh', 'qr'])

function decompose(
  row: OpRow<never>,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  attrs: unknown,
  size: number,
  next: () => number,
): void {
  // what should be 0 may be of any size below, and is divided by
  const share = size * 2 ** (-15 * (1 + next()))
  const values = inDoubles(row, inputs, outputs, attrs, () => share * next())
  outputs.forEach((t, i) => {
    dataOf(t)?.set(values[i])
  })
}

/** Numbers that differ by rounding alone may be equal, which disturbed ones hardly are. Those that are equal may be so on purpose. */
function confuse([a, b]: readonly Tensor[], result: Tensor, size: number, next: () => number): void {
  if (a.dtype !== 'float32' || b.dtype !== 'float32') return
  const [x, y] = [a, b].map((t) => denseOf(t, result.shape))
  const data = dataOf(result)
  for (let i = 0; data !== undefined && i < data.length; i++) {
    const distance = Math.abs(x[i] - y[i])
    if (distance > 0 && distance <= 4 * (size + unit) * Math.abs(x[i]) && next() > 0) data[i] = 1 - data[i]
  }
}

/** Normal numbers are a radius times a cosine, which is exact to a share of the radius; the others are exact. */
function disturbDrawn(t: Tensor, { kind, b }: { kind: string; b: number }, size: number, next: () => number): void {
  if (kind !== 'normal' || t.dtype !== 'float32') return
  displace(t, b * size, next)
}

function displace(t: Tensor, distance: number, next: () => number): void {
  const data = dataOf(t)
  if (data === undefined) return
  // of many terms that cancel all may, or none, and so by lot for each tensor
  const likely = Math.max(0, 1.5 * next())
  for (let i = 0; i < data.length; i++) {
    // terms that cancel may do so to the last bit, which random numbers never do: behind a division that is another kind of result
    const cancels = Math.abs(data[i]) <= distance && 0.5 + 0.5 * next() < likely
    data[i] = cancels ? 0 : data[i] + distance * next()
  }
}

/** Sums of many terms beyond this may overflow on the way, and an infinity among the terms is NaN in one order and not in another. */
const wildest = 1e15

/** Whether an op that is not elementwise meets numbers of which only sums or products in one order are defined. */
export function wild(row: OpRow<never>, inputs: readonly Tensor[], outputs: readonly Tensor[]): boolean {
  if (row.name === 'prod') return wildProduct(inputs[0], outputs[0])
  if (row.micro !== undefined || row.view !== undefined || row.copies || exact.has(row.name)) return false
  return inputs.some((t) => t.dtype === 'float32' && t.constant === undefined && !denseOf(t, t.shape).every((x) => Math.abs(x) < wildest))
}

/**
 * Whether a product may overflow or lose bits on the way: in one order the terms above one come first, in another those below. What is taken for a
 * result's terms are the largest and the smallest of the whole tensor, so many as a result has.
 */
function wildProduct(x: Tensor, y: Tensor): boolean {
  if (x.dtype !== 'float32') return false
  const powers = Array.from(denseOf(x, x.shape), (v) => (v === 0 ? 0 : Math.log2(Math.abs(v)))).sort((a, b) => a - b)
  const terms = x.size / Math.max(1, y.size)
  const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0)
  const up = sum(powers.slice(-terms).filter((p) => p > 0))
  const down = sum(powers.slice(0, terms).filter((p) => p < 0))
  return !(up < 127 && down > -126)
}

/** Whether that happens anywhere in `fn`. */
export function goesWild(fn: () => unknown): boolean {
  let found = false
  const before = eagerHooks.afterOp
  eagerHooks.afterOp = (row, inputs, outputs) => {
    found ||= wild(row, inputs, outputs) || (row.name !== 'prod' && wild(row, outputs, outputs))
  }
  try {
    fn()
  } finally {
    eagerHooks.afterOp = before
  }
  return found
}
