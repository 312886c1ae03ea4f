/**
 * Two-dimensional convolution (cross-correlation, as in PyTorch) and its two gradients: three ops closed under differentiation, since
 * the result is linear in the input and in the weight.
 */
import { registerLoop } from '../backend/registry.js'
import { ArgumentError, checkOptions, DTypeError, ShapeError, showShape, showValue } from '../errors.js'
import { identityMicro, Opcode } from '../ir/format.js'
import { checkSize, sizeOf } from '../shape.js'
import type { ShapeOf, Tensor } from '../tensor.js'
import type { FirstOf, Images } from '../types.js'
import { apply, checkTensor } from './dispatch.js'
import { add } from './elementwise.js'
import { pad, reshape } from './movement.js'
import { defineOp, type OpRow } from './table.js'

export type Pair = number | readonly [number, number]

interface ConvAttrs {
  readonly stride: readonly [number, number]
  readonly padding: readonly [number, number]
  readonly dilation: readonly [number, number]
  readonly groups: number
}
type GradAttrs = ConvAttrs & { readonly shape: readonly number[] }

const words = (a: ConvAttrs): number[] => [...a.stride, ...a.padding, ...a.dilation, a.groups]

const attrsOf = ([sh, sw, ph, pw, dh, dw, groups]: readonly number[]): ConvAttrs => ({
  stride: [sh, sw],
  padding: [ph, pw],
  dilation: [dh, dw],
  groups,
})

/** Calls `visit(x position, w position, y position)` for every multiply-add of a convolution. */
function eachProduct(
  x: readonly number[],
  w: readonly number[],
  y: readonly number[],
  a: ConvAttrs,
  visit: (xi: number, wi: number, yi: number) => void,
): void {
  const [n, c, h, wd] = x
  const [o, cg, kh, kw] = w
  const [, , ho, wo] = y
  const og = o / a.groups
  for (let b = 0; b < n; b++)
    for (let f = 0; f < o; f++)
      for (let i = 0; i < ho; i++)
        for (let j = 0; j < wo; j++) {
          const yi = ((b * o + f) * ho + i) * wo + j
          const c0 = Math.floor(f / og) * cg
          for (let d = 0; d < cg; d++)
            for (let p = 0; p < kh; p++) {
              const r = i * a.stride[0] - a.padding[0] + p * a.dilation[0]
              if (r < 0 || r >= h) continue
              for (let q = 0; q < kw; q++) {
                const s = j * a.stride[1] - a.padding[1] + q * a.dilation[1]
                if (s >= 0 && s < wd) visit(((b * c + c0 + d) * h + r) * wd + s, ((f * cg + d) * kh + p) * kw + q, yi)
              }
            }
        }
}

const flops = (y: readonly number[], w: readonly number[]): number => 2 * sizeOf(y) * sizeOf(w.slice(1))

function outputSize(op: string, x: readonly number[], w: readonly number[], a: ConvAttrs, d: 0 | 1): number {
  const size = Math.floor((x[2 + d] + 2 * a.padding[d] - a.dilation[d] * (w[2 + d] - 1) - 1) / a.stride[d]) + 1
  if (size < 1) {
    throw new ShapeError(
      'ERR_CONV_SIZE',
      `${op}: the kernel ${showShape(w.slice(2))} (dilation ${a.dilation.join('x')}) is larger than the padded input ${showShape(x)}, padding ${a.padding.join('x')}.`,
    )
  }
  return size
}

const convRow: OpRow<ConvAttrs> = defineOp<ConvAttrs>({
  name: 'conv2d',
  infer: ([x, w], a) => {
    const shape = [x.shape[0], w.shape[0], outputSize('conv2d', x.shape, w.shape, a, 0), outputSize('conv2d', x.shape, w.shape, a, 1)]
    checkSize('conv2d', shape)
    return [{ shape, dtype: x.dtype }]
  },
  gradient: ({ inputs: [x, w], attrs, needs }, g) => [
    needs[0] ? apply(inputGradRow, [g, w], { ...attrs, shape: x.shape }) : undefined,
    needs[1] ? apply(weightGradRow, [x, g], { ...attrs, shape: w.shape }) : undefined,
  ],
  lower: (inputs, outputs, a) => [{ opcode: Opcode.conv2d, inputs, outputs, scalars: words(a), epilogue: identityMicro }],
  reference: ([x, w], [y], a) => {
    y.data.fill(0)
    const acc = new Float64Array(y.data.length)
    eachProduct(x.shape, w.shape, y.shape, a, (xi, wi, yi) => {
      acc[yi] += x.data[xi] * w.data[wi]
    })
    y.data.set(acc)
  },
  flops: ([, w], [y]) => flops(y.shape, w.shape),
})

const inputGradRow: OpRow<GradAttrs> = defineOp<GradAttrs>({
  name: 'conv2dInputGrad',
  infer: ([g], { shape }) => [{ shape, dtype: g.dtype }],
  gradient: ({ inputs: [g, w], attrs, needs }, gg) => [
    needs[0] ? apply(convRow, [gg, w], attrs) : undefined,
    needs[1] ? apply(weightGradRow, [gg, g], { ...attrs, shape: w.shape }) : undefined,
  ],
  lower: (inputs, outputs, a) => [{ opcode: Opcode.conv2dInputGrad, inputs, outputs, scalars: words(a), epilogue: identityMicro }],
  reference: ([g, w], [x], a) => {
    const acc = new Float64Array(x.data.length)
    eachProduct(x.shape, w.shape, g.shape, a, (xi, wi, yi) => {
      acc[xi] += g.data[yi] * w.data[wi]
    })
    x.data.set(acc)
  },
  flops: ([g, w]) => flops(g.shape, w.shape),
})

const weightGradRow: OpRow<GradAttrs> = defineOp<GradAttrs>({
  name: 'conv2dWeightGrad',
  infer: ([x], { shape }) => [{ shape, dtype: x.dtype }],
  gradient: ({ inputs: [x, g], attrs, needs }, gg) => [
    needs[0] ? apply(inputGradRow, [g, gg], { ...attrs, shape: x.shape }) : undefined,
    needs[1] ? apply(convRow, [x, gg], attrs) : undefined,
  ],
  lower: (inputs, outputs, a) => [{ opcode: Opcode.conv2dWeightGrad, inputs, outputs, scalars: words(a) }],
  reference: ([x, g], [w], a) => {
    const acc = new Float64Array(w.data.length)
    eachProduct(x.shape, w.shape, g.shape, a, (xi, wi, yi) => {
      acc[wi] += x.data[xi] * g.data[yi]
    })
    w.data.set(acc)
  },
  flops: ([, g], [w]) => flops(g.shape, w.shape),
})

registerLoop(Opcode.conv2d, (inputs, outputs, scalars) => convRow.reference(inputs, outputs, attrsOf(scalars)))
registerLoop(Opcode.conv2dInputGrad, (inputs, outputs, scalars) =>
  inputGradRow.reference(inputs, outputs, { ...attrsOf(scalars), shape: outputs[0].shape }),
)
registerLoop(Opcode.conv2dWeightGrad, (inputs, outputs, scalars) =>
  weightGradRow.reference(inputs, outputs, { ...attrsOf(scalars), shape: outputs[0].shape }),
)

/** A number or a pair as a pair of integers from `low`. */
export function pairOf(op: string, name: string, value: Pair, low: number): [number, number] {
  const pair: readonly number[] = typeof value === 'number' ? [value, value] : value
  if (!Array.isArray(pair) || pair.length !== 2 || !pair.every((v) => Number.isInteger(v) && v >= low)) {
    throw new ArgumentError(
      'ERR_CONV_OPTION',
      `${op}: ${name} must be an integer from ${low} or a pair of them, received ${showValue(value)}.`,
    )
  }
  return [pair[0], pair[1]]
}

export interface Conv2dOptions {
  /** `[O]`, added to every pixel. */
  bias?: Tensor
  stride?: Pair
  /** Zeros on both sides, or `'same'` (with stride 1), or `'valid'`. */
  padding?: Pair | 'same' | 'valid'
  dilation?: Pair
  groups?: number
}

function checkOperands(x: Tensor, w: Tensor, groups: number): void {
  checkTensor('conv2d', 'x', x)
  checkTensor('conv2d', 'weight', w)
  if (x.dtype !== w.dtype || (x.dtype !== 'float32' && x.dtype !== 'float64')) {
    throw new DTypeError(
      'ERR_DTYPE',
      `conv2d: needs two float tensors of one dtype, received ${x.dtype} and ${w.dtype}. Convert with .to('float32').`,
    )
  }
  if (x.ndim !== 4 || w.ndim !== 4) {
    throw new ShapeError(
      'ERR_RANK',
      `conv2d: needs x [N, C, H, W] and weight [O, C/groups, kh, kw], received ${showShape(x.shape)} and ${showShape(w.shape)}.`,
    )
  }
  if (!Number.isInteger(groups) || groups < 1 || x.shape[1] % groups !== 0 || w.shape[0] % groups !== 0) {
    throw new ArgumentError(
      'ERR_CONV_GROUPS',
      `conv2d: groups = ${showValue(groups)} must divide the ${x.shape[1]} input and ${w.shape[0]} output channels.`,
    )
  }
  if (w.shape[1] * groups !== x.shape[1]) {
    throw new ShapeError(
      'ERR_CONV_CHANNELS',
      `conv2d: the weight ${showShape(w.shape)} with groups = ${groups} expects ${w.shape[1] * groups} input channels, x ${showShape(x.shape)} has ${x.shape[1]}.`,
    )
  }
  if (w.shape[2] < 1 || w.shape[3] < 1)
    throw new ShapeError('ERR_CONV_SIZE', `conv2d: the kernel of weight ${showShape(w.shape)} is empty.`)
}

/**
 * Convolution of `x: [N, C, H, W]` with `weight: [O, C/groups, kh, kw]`, giving `[N, O, Ho, Wo]` with
 * Ho = ⌊(H + 2·padding − dilation·(kh − 1) − 1) / stride⌋ + 1.
 *
 *     conv2d(images, weight, { bias, padding: 1 })
 *
 * @throws ShapeError when channels or sizes do not fit; ArgumentError for stride, padding, dilation or groups out of range.
 */
export function conv2d<T extends Tensor, W extends Tensor>(
  x: T,
  weight: W,
  options?: Conv2dOptions,
): Tensor<Images<ShapeOf<T>, FirstOf<ShapeOf<W>>>>
export function conv2d(x: Tensor, weight: Tensor, options: Conv2dOptions = {}): Tensor {
  checkOptions('conv2d', options)
  const groups = options.groups ?? 1
  checkOperands(x, weight, groups)
  const stride = pairOf('conv2d', 'stride', options.stride ?? 1, 1)
  const dilation = pairOf('conv2d', 'dilation', options.dilation ?? 1, 1)
  let padding: [number, number] = [0, 0]
  let input = x
  if (options.padding === 'same') {
    if (stride[0] !== 1 || stride[1] !== 1)
      throw new ArgumentError('ERR_CONV_OPTION', `conv2d: padding 'same' needs stride 1, received ${stride.join('x')}.`)
    const total = [dilation[0] * (weight.shape[2] - 1), dilation[1] * (weight.shape[3] - 1)]
    padding = [total[0] >> 1, total[1] >> 1]
    // an odd total pads one more row below and one more column on the right, as in PyTorch
    if (total[0] % 2 !== 0 || total[1] % 2 !== 0) input = pad(x, [0, total[1] % 2, 0, total[0] % 2])
  } else if (options.padding !== undefined && options.padding !== 'valid') {
    padding = pairOf('conv2d', 'padding', options.padding, 0)
  }
  const y = apply(convRow, [input, weight], { stride, padding, dilation, groups })
  const { bias } = options
  if (bias === undefined) return y
  checkTensor('conv2d', 'bias', bias)
  if (bias.ndim !== 1 || bias.shape[0] !== weight.shape[0]) {
    throw new ShapeError(
      'ERR_CONV_BIAS',
      `conv2d: bias ${showShape(bias.shape)} must have one element for each of the ${weight.shape[0]} output channels.`,
    )
  }
  return add(y, reshape(bias, [bias.shape[0], 1, 1]))
}
