/**
 * The structured ops of normalization: statistics of groups of elements and the sums of their gradient, each in one pass over memory
 * (batch, group and instance norm), and rows normalized and scaled in one go (layer and RMS norm). `norm.ts` has the functions, and the
 * compositions that are the reference.
 */

import { registerLoop } from '../../backend/registry.js'
import { sizeOf } from '../../base/shape.js'
import { bitsOfFloat, floatOfBits, type Instruction, Opcode, type View } from '../../ir/format.js'
import { context } from '../../tensor/context.js'
import type { Tensor } from '../../tensor/tensor.js'
import { add, div, mul, rsqrt, square, sub } from '../basic/elementwise.js'
import { expand, reshape } from '../basic/movement.js'
import { mean, sum } from '../basic/reduce.js'
import { apply, applyAll } from '../core/dispatch.js'
import { broadcastView, microNumber } from '../core/micro.js'
import { type Dense, defineOp, type OpRow } from '../core/table.js'

/** Calls `visit(group, position)` for every element of `shape`, grouped by dimension 1. */
function eachInGroup(shape: readonly number[], visit: (group: number, at: number) => void): void {
  const [a, groups, b] = shape
  for (let i = 0, at = 0; i < a; i++) for (let g = 0; g < groups; g++) for (let j = 0; j < b; j++) visit(g, at++)
}

/** `[A, G, B]` with one number a group. */
const spread = (t: Tensor, like: Tensor): Tensor => reshape(t, [t.shape[0], ...like.shape.slice(2).map(() => 1)])

const momentsRow: OpRow<undefined> = defineOp<undefined>({
  name: 'moments',
  infer: ([{ shape, dtype }]) => [
    { shape: [shape[1]], dtype },
    { shape: [shape[1]], dtype },
  ],
  gradient: ({ inputs: [x], outputs: [average], upstream: [gMean, gVar] }) => {
    const n = x.size / x.shape[1]
    const parts: Tensor[] = []
    if (gMean !== undefined) parts.push(expand(spread(div(gMean, n), x), x.shape))
    if (gVar !== undefined) parts.push(mul(sub(x, spread(average, x)), spread(mul(gVar, 2 / n), x)))
    return [parts.length === 2 ? add(parts[0], parts[1]) : parts[0]]
  },
  lower: (inputs, outputs) => [{ opcode: Opcode.moments, inputs, outputs, scalars: [] }],
  reference: ([x], [average, variance]) => {
    const n = sizeOf(x.shape) / x.shape[1]
    const totals = new Float64Array(x.shape[1])
    eachInGroup(x.shape, (g, at) => {
      totals[g] += x.data[at]
    })
    const squares = new Float64Array(x.shape[1])
    eachInGroup(x.shape, (g, at) => {
      squares[g] += (x.data[at] - totals[g] / n) ** 2
    })
    totals.forEach((t, g) => {
      average.data[g] = t / n
      variance.data[g] = squares[g] / n
    })
  },
  flops: ([x]) => 4 * sizeOf(x.shape),
})

/** @internal mean and biased variance of each group of `x: [A, G, B]`, both `[G]` */
export function moments(x: Tensor): [mean: Tensor, variance: Tensor] {
  return applyAll(momentsRow, [x], undefined) as [Tensor, Tensor]
}

const normSumsRow: OpRow<undefined> = defineOp<undefined>({
  name: 'normSums',
  infer: ([, { shape, dtype }]) => [
    { shape: [shape[1]], dtype },
    { shape: [shape[1]], dtype },
  ],
  gradient: null,
  lower: (inputs, outputs) => [{ opcode: Opcode.normSums, inputs, outputs, scalars: [] }],
  reference: ([g, x, average, deviation], [plain, weighted]) => {
    const sums = [new Float64Array(x.shape[1]), new Float64Array(x.shape[1])]
    eachInGroup(x.shape, (group, at) => {
      sums[0][group] += g.data[at]
      sums[1][group] += g.data[at] * (x.data[at] - average.data[group])
    })
    plain.data.set(sums[0])
    sums[1].forEach((s, group) => {
      weighted.data[group] = s * deviation.data[group]
    })
  },
  flops: ([g]) => 4 * sizeOf(g.shape),
})

/** Σ g and Σ g · (x − mean) · rstd of each group, both `[G]`. */
function normSums(g: Tensor, x: Tensor, average: Tensor, deviation: Tensor): [Tensor, Tensor] {
  const flat = (t: Tensor): Tensor => reshape(t, [t.shape[0], t.shape[1], sizeOf(t.shape.slice(2))])
  if (!context.gradEnabled) return applyAll(normSumsRow, [flat(g), flat(x), average, deviation], undefined) as [Tensor, Tensor]
  const dim = [...x.shape.keys()].filter((d) => d !== 1)
  return [sum(g, { dim }), mul(sum(mul(g, sub(x, spread(average, x))), { dim }), deviation)]
}

// Its gradient is the whole of normalization's: what x does through mean and rstd is part of it, so that nothing flows to those. They carry
// gradients of their own (they are results of `moments`) for the second order.
const normalizeRow: OpRow<undefined> = defineOp<undefined>({
  name: 'normalize',
  infer: ([{ shape, dtype }]) => [{ shape, dtype }],
  gradient: ({ inputs: [x, average, deviation, weight] }, g) => {
    const n = x.size / x.shape[1]
    const [plain, weighted] = normSums(g, x, average, deviation)
    const scale = weight === undefined ? deviation : mul(deviation, weight)
    const slope = div(mul(weighted, deviation), n)
    const offset = div(plain, n)
    const gx = context.gradEnabled
      ? mul(sub(sub(g, spread(offset, x)), mul(sub(x, spread(average, x)), spread(slope, x))), spread(scale, x))
      : apply(normalizeGradRow, [g, x, average, slope, offset, scale], undefined)
    return [gx, undefined, undefined, ...(weight === undefined ? [] : [weighted, plain])]
  },
  // (x − mean) · (rstd · weight) + bias
  lower: (inputs, [y]) => [
    overGroups(
      1,
      inputs,
      y,
      inputs.length === 5
        ? [
            ['sub', 0, 1],
            ['mul', 2, 3],
            ['mul', 5, 6],
            ['add', 7, 4],
          ]
        : [
            ['sub', 0, 1],
            ['mul', 3, 2],
          ],
    ),
  ],
  reference: ([x, average, deviation, weight, bias], [y]) => {
    const shape = [x.shape[0], x.shape[1], sizeOf(x.shape.slice(2))]
    eachInGroup(shape, (g, at) => {
      const unit = (x.data[at] - average.data[g]) * deviation.data[g]
      y.data[at] = weight === undefined ? unit : unit * weight.data[g] + bias.data[g]
    })
  },
})

// An op of its own, so that a program computes x − mean again here and does not keep it from the forward pass.
const normalizeGradRow: OpRow<undefined> = defineOp<undefined>({
  name: 'normalizeGrad',
  infer: ([{ shape, dtype }]) => [{ shape, dtype }],
  gradient: null,
  // ((g − offset) − (x − mean) · slope) · scale
  lower: (inputs, [y]) => [
    overGroups(2, inputs, y, [
      ['sub', 1, 2],
      ['mul', 6, 3],
      ['sub', 0, 4],
      ['sub', 8, 7],
      ['mul', 9, 5],
    ]),
  ],
  reference: ([g, x, average, slope, offset, scale], [y]) => {
    eachInGroup([x.shape[0], x.shape[1], sizeOf(x.shape.slice(2))], (group, at) => {
      const slanted = (x.data[at] - average.data[group]) * slope.data[group]
      y.data[at] = (g.data[at] - offset.data[group] - slanted) * scale.data[group]
    })
  },
})

/** A map over `wide` operands of y's shape and vectors over its dimension 1; its steps take operands, then results of steps, by number. */
function overGroups<B>(
  wide: number,
  inputs: readonly View<B>[],
  y: View<B>,
  steps: readonly (readonly [name: string, a: number, b: number])[],
): Instruction<B> {
  const rest = y.shape.slice(2).map(() => 1)
  const views = inputs.map((v, i) =>
    i < wide ? v : broadcastView({ ...v, shape: [v.shape[0], ...rest], strides: [v.strides[0], ...rest.map(() => 0)] }, y.shape),
  )
  const ops = steps.map(([name, a, b]) => ({ op: microNumber(name), a, b, c: 0 }))
  const results = [inputs.length + steps.length - 1]
  return { opcode: Opcode.map, inputs: views, outputs: [y], scalars: [], epilogue: { constants: [], ops, results } }
}

/**
 * @internal `x: [A, G, …]` with each group at mean 0 and variance 1, times `weight: [G]` plus `bias: [G]` where given (both or neither), and the mean and
 * the biased variance, both `[G]`.
 */
export function normalizeGroups(x: Tensor, eps: number, weight?: Tensor, bias?: Tensor): { y: Tensor; mean: Tensor; variance: Tensor } {
  const [average, variance] = moments(reshape(x, [x.shape[0], x.shape[1], sizeOf(x.shape.slice(2))]))
  const deviation = rsqrt(add(variance, eps))
  const inputs = weight === undefined || bias === undefined ? [x, average, deviation] : [x, average, deviation, weight, bias]
  return { y: apply(normalizeRow, inputs, undefined), mean: average, variance }
}

/** How rows are normalized: `layer` to mean 0 and variance 1, `rms` to mean square 1. */
type RowsKind = 'layer' | 'rms'

interface RowsAttrs {
  readonly kind: RowsKind
  readonly eps: number
}

const rowWords = ({ kind, eps }: RowsAttrs): number[] => [kind === 'layer' ? 0 : 1, bitsOfFloat(eps)]
const rowAttrs = ([kind, eps]: readonly number[]): RowsAttrs => ({ kind: kind === 0 ? 'layer' : 'rms', eps: floatOfBits(eps) })

/** Rows `[R, K]` normalized, times `weight: [K]`, plus `bias: [K]`, either of which may be missing. */
function composedRows([x, weight, bias]: readonly (Tensor | undefined)[], { kind, eps }: RowsAttrs): Tensor {
  const rows = x as Tensor
  // centred once, so that its gradients meet in one place
  const centred = kind === 'layer' ? sub(rows, mean(rows, { dim: -1, keepdim: true })) : rows
  const unit = mul(centred, rsqrt(add(mean(square(centred), { dim: -1, keepdim: true }), eps)))
  const scaled = weight === undefined ? unit : mul(unit, weight)
  return bias === undefined ? scaled : add(scaled, bias)
}

/** Mean (0 for `rms`) and reciprocal deviation of one row. */
function rowStatistics(x: Dense['data'], at: number, k: number, { kind, eps }: RowsAttrs): [mean: number, deviation: number] {
  let total = 0
  if (kind === 'layer') for (let i = at; i < at + k; i++) total += x[i]
  // 0 for `rms` also where there is nothing to take a mean of
  const average = kind === 'layer' ? total / k : 0
  let squares = 0
  for (let i = at; i < at + k; i++) squares += (x[i] - average) ** 2
  return [average, 1 / Math.sqrt(squares / k + eps)]
}

const normRowsRow: OpRow<RowsAttrs> = defineOp<RowsAttrs>({
  name: 'normRows',
  infer: ([{ shape, dtype }]) => [
    { shape, dtype },
    { shape: [shape[0]], dtype },
    { shape: [shape[0]], dtype },
  ],
  composition: (inputs, attrs) => [composedRows(inputs, attrs)],
  gradient: ({ inputs, outputs: [, average, deviation], attrs }, g) => {
    const [x, weight] = inputs
    const operands = weight === undefined ? [g, x, average, deviation] : [g, x, average, deviation, weight]
    return applyAll(normRowsGradRow, operands, attrs).slice(0, inputs.length)
  },
  lower: (inputs, outputs, attrs) => [{ opcode: Opcode.normRows, inputs, outputs, scalars: rowWords(attrs) }],
  reference: ([x, weight, bias], [y, average, deviation], attrs) => {
    const [rows, k] = x.shape
    for (let r = 0; r < rows; r++) {
      const [m, d] = rowStatistics(x.data, r * k, k, attrs)
      average.data[r] = m
      deviation.data[r] = d
      for (let i = 0; i < k; i++) y.data[r * k + i] = (x.data[r * k + i] - m) * d * (weight?.data[i] ?? 1) + (bias?.data[i] ?? 0)
    }
  },
  flops: ([x]) => 8 * sizeOf(x.shape),
})

const normRowsGradRow: OpRow<RowsAttrs> = defineOp<RowsAttrs>({
  name: 'normRowsGrad',
  infer: ([, { shape, dtype }, , , weight]) => {
    const parameter = { shape: [shape[1]], dtype }
    return weight === undefined ? [{ shape, dtype }] : [{ shape, dtype }, parameter, parameter]
  },
  gradient: null,
  lower: (inputs, outputs, attrs) => [{ opcode: Opcode.normRowsGrad, inputs, outputs, scalars: [rowWords(attrs)[0]] }],
  reference: ([g, x, average, deviation, weight], [gx, gWeight, gBias], { kind }) => {
    const [rows, k] = x.shape
    const sums = [new Float64Array(k), new Float64Array(k)]
    for (let r = 0; r < rows; r++) {
      const unit = (i: number): number => (x.data[r * k + i] - average.data[r]) * deviation.data[r]
      const scaled = (i: number): number => g.data[r * k + i] * (weight?.data[i] ?? 1)
      let plain = 0
      let weighted = 0
      for (let i = 0; i < k; i++) {
        if (kind === 'layer') plain += scaled(i)
        weighted += scaled(i) * unit(i)
        sums[0][i] += g.data[r * k + i] * unit(i)
        sums[1][i] += g.data[r * k + i]
      }
      for (let i = 0; i < k; i++) gx.data[r * k + i] = deviation.data[r] * (scaled(i) - plain / k - (unit(i) * weighted) / k)
    }
    gWeight?.data.set(sums[0])
    gBias?.data.set(sums[1])
  },
  flops: ([g]) => 12 * sizeOf(g.shape),
})

registerLoop(Opcode.moments, (inputs, outputs) => momentsRow.reference(inputs, outputs, undefined))
registerLoop(Opcode.normSums, (inputs, outputs) => normSumsRow.reference(inputs, outputs, undefined))
registerLoop(Opcode.normRows, (inputs, outputs, words) => normRowsRow.reference(inputs, outputs, rowAttrs(words)))
registerLoop(Opcode.normRowsGrad, (inputs, outputs, [kind]) => normRowsGradRow.reference(inputs, outputs, rowAttrs([kind, 0])))

/**
 * @internal Rows `x: [R, K]` normalized, times `weight: [K]`, plus `bias: [K]`.
 */
export function normalizeRows(kind: RowsKind, x: Tensor, eps: number, weight?: Tensor, bias?: Tensor): Tensor {
  // the instruction takes a bias only beside a weight; without one a plain addition follows
  const inputs = weight === undefined ? [x] : bias === undefined ? [x, weight] : [x, weight, bias]
  const [y] = applyAll(normRowsRow, inputs, { kind, eps })
  return weight === undefined && bias !== undefined ? add(y, bias) : y
}
