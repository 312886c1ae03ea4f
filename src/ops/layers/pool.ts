/**
 * Pooling over windows of images `[N, C, H, W]`; of signals `[N, C, L]` as images of height 1; and of volumes `[N, C, D, H, W]` plane by plane, then
 * along the depth: greatest elements, means and their divisors are those of one dimension after the other.
 */
import { registerLoop } from '../../backend/registry.js'
import { ArgumentError, checkOptions, type OptionNames, ShapeError, showShape, showValue } from '../../base/errors.js'
import { Opcode } from '../../ir/format.js'
import type { Meta } from '../../tensor/context.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import type { SameChannels, SameSignals, SameVolumes } from '../../types/index.js'
import { tableTensor } from '../basic/creation.js'
import { mul } from '../basic/elementwise.js'
import { scatterAddRow } from '../basic/gather.js'
import { reshape, unsqueeze } from '../basic/movement.js'
import { apply, applyAll } from '../core/dispatch.js'
import { type Dense, defineOp, type OpRow } from '../core/table.js'
import {
  avgPoolNames,
  checkPlanes,
  dividedPoolNames,
  maxPoolNames,
  type Pair,
  type Rank,
  type Single,
  type SizeOf,
  sizesOf,
  type Triple,
} from './spatial.js'

interface PoolAttrs {
  readonly kernel: readonly number[]
  readonly stride: readonly number[]
  readonly padding: readonly number[]
  readonly dilation: readonly number[]
  readonly ceilMode: boolean
  readonly countIncludePad: boolean
}

/** Output size of one dimension; in ceil mode the last window still starts inside the input or its left padding. */
function poolSize(size: number, a: PoolAttrs, d: number): number {
  const span = size + 2 * a.padding[d] - a.dilation[d] * (a.kernel[d] - 1) - 1
  let out = (a.ceilMode ? Math.ceil(span / a.stride[d]) : Math.floor(span / a.stride[d])) + 1
  if (a.ceilMode && (out - 1) * a.stride[d] >= size + a.padding[d]) out--
  return out
}

const poolShape = (x: Meta, a: PoolAttrs): number[] => [x.shape[0], x.shape[1], poolSize(x.shape[2], a, 0), poolSize(x.shape[3], a, 1)]

/** Calls `visit(x position, y position)` for every cell inside the input of every window. */
function eachCell(x: readonly number[], y: readonly number[], a: PoolAttrs, visit: (xi: number, yi: number, plane: number) => void): void {
  const [, , h, w] = x
  const [n, c, ho, wo] = y
  for (let p = 0; p < n * c; p++)
    for (let i = 0; i < ho; i++)
      for (let j = 0; j < wo; j++)
        for (let u = 0; u < a.kernel[0]; u++)
          for (let v = 0; v < a.kernel[1]; v++) {
            const r = i * a.stride[0] - a.padding[0] + u * a.dilation[0]
            const s = j * a.stride[1] - a.padding[1] + v * a.dilation[1]
            if (r >= 0 && r < h && s >= 0 && s < w) visit((p * h + r) * w + s, (p * ho + i) * wo + j, r * w + s)
          }
}

const planes = (t: Tensor): Tensor => reshape(t, [t.shape[0] * t.shape[1], t.shape[2] * t.shape[3]])

const maxPoolRow = defineOp<PoolAttrs>({
  name: 'maxPool2d',
  infer: ([x], a) => {
    const shape = poolShape(x, a)
    return [
      { shape, dtype: x.dtype },
      { shape, dtype: 'int32' },
    ]
  },
  gradient: ({ inputs: [x], outputs: [, index] }, g) => {
    const [n, c, h, w] = x.shape
    const flat = apply(scatterAddRow, [planes(g), planes(index)], { axis: 1, size: h * w })
    return [reshape(flat, [n, c, h, w])]
  },
  lower: (inputs, outputs, a) => [
    { opcode: Opcode.maxPool2d, inputs, outputs, scalars: [...a.kernel, ...a.stride, ...a.padding, ...a.dilation] },
  ],
  reference: ([x], [y, index], a) => {
    y.data.fill(Number.NEGATIVE_INFINITY)
    index.data.fill(-1)
    eachCell(x.shape, y.shape, a, (xi, yi, cell) => {
      const v = x.data[xi]
      if (index.data[yi] < 0 || v > y.data[yi] || (Number.isNaN(v) && !Number.isNaN(y.data[yi]))) {
        y.data[yi] = v
        index.data[yi] = cell
      }
    })
    // a dilated window may step over the whole input
    for (let i = 0; i < index.data.length; i++) if (index.data[i] < 0) index.data[i] = 0
  },
})

/** Cells of window `at` along a dimension of `size`: those inside the input, or inside the padded input. */
function cellsOf(size: number, a: PoolAttrs, d: number, at: number): number {
  const start = at * a.stride[d] - a.padding[d]
  const low = a.countIncludePad ? -a.padding[d] : 0
  const high = size + (a.countIncludePad ? a.padding[d] : 0)
  return Math.min(start + a.kernel[d], high) - Math.max(start, low)
}

function divide(sums: Dense['data'], x: readonly number[], y: readonly number[], a: PoolAttrs): void {
  const [, , ho, wo] = y
  for (let i = 0; i < sums.length; i++) sums[i] /= cellsOf(x[2], a, 0, Math.floor(i / wo) % ho) * cellsOf(x[3], a, 1, i % wo)
}

const avgWords = (a: PoolAttrs): number[] => [...a.kernel, ...a.stride, ...a.padding, a.countIncludePad ? 1 : 0]

/** In programs the sizes say what the rounding was. */
const plainPool = { dilation: [1, 1], ceilMode: false, countIncludePad: false } as const

const avgAttrs = ([kh, kw, sh, sw, ph, pw, counted]: readonly number[]): PoolAttrs => ({
  ...plainPool,
  kernel: [kh, kw],
  stride: [sh, sw],
  padding: [ph, pw],
  countIncludePad: counted === 1,
})

const avgPoolRow: OpRow<PoolAttrs> = defineOp<PoolAttrs>({
  name: 'avgPool2d',
  infer: ([x], a) => [{ shape: poolShape(x, a), dtype: x.dtype }],
  gradient: ({ inputs: [x], attrs }, g) => [apply(avgPoolGradRow, [g], { ...attrs, shape: x.shape })],
  lower: (inputs, outputs, a) => [{ opcode: Opcode.avgPool2d, inputs, outputs, scalars: avgWords(a) }],
  reference: ([x], [y], a) => {
    const sums = new Float64Array(y.data.length)
    eachCell(x.shape, y.shape, a, (xi, yi) => {
      sums[yi] += x.data[xi]
    })
    divide(sums, x.shape, y.shape, a)
    y.data.set(sums)
  },
})

const avgPoolGradRow: OpRow<PoolAttrs & { shape: readonly number[] }> = defineOp<PoolAttrs & { shape: readonly number[] }>({
  name: 'avgPool2dGrad',
  infer: ([g], { shape }) => [{ shape, dtype: g.dtype }],
  gradient: ({ attrs }, gg) => [apply(avgPoolRow, [gg], attrs)],
  lower: (inputs, outputs, a) => [{ opcode: Opcode.avgPool2dGrad, inputs, outputs, scalars: avgWords(a) }],
  reference: ([g], [x], a) => {
    const shares = Float64Array.from(g.data)
    divide(shares, x.shape, g.shape, a)
    const sums = new Float64Array(x.data.length)
    eachCell(x.shape, g.shape, a, (xi, yi) => {
      sums[xi] += shares[yi]
    })
    x.data.set(sums)
  },
})

registerLoop(Opcode.maxPool2d, (inputs, outputs, [kh, kw, sh, sw, ph, pw, dh, dw]) =>
  maxPoolRow.reference(inputs, outputs, { ...plainPool, kernel: [kh, kw], stride: [sh, sw], padding: [ph, pw], dilation: [dh, dw] }),
)
registerLoop(Opcode.avgPool2d, (inputs, outputs, scalars) => avgPoolRow.reference(inputs, outputs, avgAttrs(scalars)))
registerLoop(Opcode.avgPool2dGrad, (inputs, outputs, scalars) =>
  avgPoolGradRow.reference(inputs, outputs, { ...avgAttrs(scalars), shape: outputs[0].shape }),
)

interface PoolOptions<P> {
  /** Default: the kernel size. */
  stride?: P
  /** At most half the kernel size. Default 0. */
  padding?: P
  /** Round the output size up. Default false. */
  ceilMode?: boolean
}
interface MaxPool<P> extends PoolOptions<P> {
  /** Default 1. */
  dilation?: P
}
interface AvgPool<P> extends PoolOptions<P> {
  /** Count padding in the divisor; default true. */
  countIncludePad?: boolean
}
interface Divided {
  /** Divide the sum of each window by this integer instead of the number of its cells. */
  divisorOverride?: number
}
export type MaxPoolOptions<R extends Rank> = MaxPool<SizeOf<R>>
export type AvgPoolOptions<R extends Rank> = AvgPool<SizeOf<R>> & (R extends 1 ? unknown : Divided)
export type MaxPool1dOptions = MaxPoolOptions<1>
export type MaxPool2dOptions = MaxPoolOptions<2>
export type MaxPool3dOptions = MaxPoolOptions<3>
export type AvgPool1dOptions = AvgPoolOptions<1>
export type AvgPool2dOptions = AvgPoolOptions<2>
export type AvgPool3dOptions = AvgPoolOptions<3>

type Sizes = number | readonly number[]

type Window = Pick<PoolAttrs, 'kernel' | 'padding' | 'stride' | 'dilation'>

/** @internal The sizes of a window and of its steps, checked; what a layer can say before it sees an input. */
export function poolWindow(op: string, rank: Rank, kernelSize: Sizes, o: Omit<MaxPool<Sizes>, 'ceilMode'>): Window {
  const size = (name: string, value: Sizes, low: number): number[] => sizesOf(op, name, value, rank, low, 'ERR_POOL_OPTION')
  const kernel = size('kernelSize', kernelSize, 1)
  const padding = size('padding', o.padding ?? 0, 0)
  if (padding.some((p, d) => p * 2 > kernel[d]))
    throw new ArgumentError('ERR_POOL_PADDING', `${op}: padding ${padding.join('x')} is more than half the kernel ${kernel.join('x')}.`)
  return { kernel, padding, stride: size('stride', o.stride ?? kernelSize, 1), dilation: size('dilation', o.dilation ?? 1, 1) }
}

/** Checks everything. */
function poolAttrs<O extends MaxPool<Sizes> & AvgPool<Sizes>>(
  op: string,
  rank: Rank,
  x: Tensor,
  kernelSize: Sizes,
  o: O,
  names: OptionNames<NoInfer<O>>,
): PoolAttrs {
  checkOptions(op, o, names)
  checkPlanes(op, x, rank)
  const window = poolWindow(op, rank, kernelSize, o)
  const { kernel, padding } = window
  const attrs = { ...window, ceilMode: o.ceilMode ?? false, countIncludePad: o.countIncludePad ?? true }
  if (kernel.some((_, d) => poolSize(x.shape[2 + d], attrs, d) < 1)) {
    throw new ShapeError(
      'ERR_POOL_SIZE',
      `${op}: the window ${kernel.join('x')} is larger than the padded input ${showShape(x.shape)}, padding ${padding.join('x')}.`,
    )
  }
  return attrs
}

/** Pools checked operands of one to three spatial dimensions. */
function pooled(row: OpRow<PoolAttrs>, x: Tensor, a: PoolAttrs): Tensor {
  const [n, c, d] = x.shape
  const images = (image: Tensor, of: (list: readonly number[], rest: number) => readonly number[]): Tensor =>
    applyAll(row, [image], {
      ...a,
      kernel: of(a.kernel, 1),
      stride: of(a.stride, 1),
      padding: of(a.padding, 0),
      dilation: of(a.dilation, 1),
    })[0]
  switch (a.kernel.length) {
    case 1: {
      const y = images(unsqueeze(x, 2), ([size], rest) => [rest, size])
      return reshape(y, [n, c, y.shape[3]])
    }
    case 2:
      return images(x, (sizes) => sizes)
    default: {
      const planes = images(reshape(x, [n, c * d, x.shape[3], x.shape[4]]), ([, ...sizes]) => sizes)
      const [, , h, w] = planes.shape
      const y = images(reshape(planes, [n, c, d, h * w]), ([size], rest) => [size, rest])
      return reshape(y, [n, c, y.shape[2], h, w])
    }
  }
}

/** Means of windows of two or three dimensions, or their sums over a divisor of the user's. */
function averaged(op: string, rank: 2 | 3, x: Tensor, kernelSize: Sizes, o: AvgPool<Sizes> & Divided): Tensor {
  const a = poolAttrs(op, rank, x, kernelSize, o, dividedPoolNames)
  const by = o.divisorOverride
  if (by === undefined) return pooled(avgPoolRow, x, a)
  if (!Number.isInteger(by) || by === 0)
    throw new ArgumentError('ERR_OPTION', `${op}: divisorOverride must be an integer other than 0, received ${showValue(by)}.`)
  const inside = { ...a, countIncludePad: false }
  const y = pooled(avgPoolRow, x, inside)
  const windows = y.shape.slice(2)
  const cells = windows.map((n, d) => Array.from({ length: n }, (_, at) => cellsOf(x.shape[2 + d], inside, d, at)))
  const key = `divisor ${JSON.stringify([x.shape.slice(2), windows, a.kernel, a.stride, a.padding, by])}`
  const shares = tableTensor(key, x.dtype as 'float32', () =>
    cells.reduce((table, side) => table.flatMap((count) => side.map((more) => count * more)), [1]).map((count) => count / by),
  )
  return mul(y, reshape(shares, windows))
}

/**
 * The greatest element of each window of `x: [N, C, L]`.
 *
 *     maxPool1d(x, 2)                       // halves the length
 */
export function maxPool1d<T extends Tensor>(x: T, kernelSize: Single, options?: MaxPool1dOptions): Tensor<SameSignals<ShapeOf<T>>>
export function maxPool1d(x: Tensor, kernelSize: Single, options: MaxPool1dOptions = {}): Tensor {
  return pooled(maxPoolRow, x, poolAttrs('maxPool1d', 1, x, kernelSize, options, maxPoolNames))
}

/**
 * The greatest element of each window of `x: [N, C, H, W]`.
 *
 *     maxPool2d(x, 2)                       // halves height and width
 *     maxPool2d(x, 3, { stride: 2, padding: 1 })
 */
export function maxPool2d<T extends Tensor>(x: T, kernelSize: Pair, options?: MaxPool2dOptions): Tensor<SameChannels<ShapeOf<T>>>
export function maxPool2d(x: Tensor, kernelSize: Pair, options: MaxPool2dOptions = {}): Tensor {
  return pooled(maxPoolRow, x, poolAttrs('maxPool2d', 2, x, kernelSize, options, maxPoolNames))
}

/**
 * The greatest element of each window of `x: [N, C, D, H, W]`. Source: `torch.nn.functional.max_pool3d`.
 *
 *     maxPool3d(x, 2)                       // halves depth, height and width
 */
export function maxPool3d<T extends Tensor>(x: T, kernelSize: Triple, options?: MaxPool3dOptions): Tensor<SameVolumes<ShapeOf<T>>>
export function maxPool3d(x: Tensor, kernelSize: Triple, options: MaxPool3dOptions = {}): Tensor {
  return pooled(maxPoolRow, x, poolAttrs('maxPool3d', 3, x, kernelSize, options, maxPoolNames))
}

/** The mean of each window of `x: [N, C, L]`. */
export function avgPool1d<T extends Tensor>(x: T, kernelSize: Single, options?: AvgPool1dOptions): Tensor<SameSignals<ShapeOf<T>>>
export function avgPool1d(x: Tensor, kernelSize: Single, options: AvgPool1dOptions = {}): Tensor {
  return pooled(avgPoolRow, x, poolAttrs('avgPool1d', 1, x, kernelSize, options, avgPoolNames))
}

/** The mean of each window of `x: [N, C, H, W]`. */
export function avgPool2d<T extends Tensor>(x: T, kernelSize: Pair, options?: AvgPool2dOptions): Tensor<SameChannels<ShapeOf<T>>>
export function avgPool2d(x: Tensor, kernelSize: Pair, options: AvgPool2dOptions = {}): Tensor {
  return averaged('avgPool2d', 2, x, kernelSize, options)
}

/** The mean of each window of `x: [N, C, D, H, W]`. Source: `torch.nn.functional.avg_pool3d`. */
export function avgPool3d<T extends Tensor>(x: T, kernelSize: Triple, options?: AvgPool3dOptions): Tensor<SameVolumes<ShapeOf<T>>>
export function avgPool3d(x: Tensor, kernelSize: Triple, options: AvgPool3dOptions = {}): Tensor {
  return averaged('avgPool3d', 3, x, kernelSize, options)
}
