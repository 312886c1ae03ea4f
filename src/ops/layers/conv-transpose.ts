/**
 * Transposed convolution: the gradient of a convolution with respect to its input, as an op of its own. Over volumes it is one over the planes, which
 * gives each plane's share of every plane it reaches, and one along the depth, which adds the shares up.
 */
import { ArgumentError, checkOptions, ShapeError, showShape, showValue } from '../../base/errors.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import type { Images, Signals, Volumes } from '../../types/index.js'
import { eye } from '../basic/creation.js'
import { expand, permute, reshape, unsqueeze } from '../basic/movement.js'
import { pad } from '../basic/pad.js'
import { apply } from '../core/dispatch.js'
import { addBias, checkBias, checkOperands } from './conv.js'
import { inputGradRow } from './conv-rows.js'
import { type Pair, type Rank, type Single, sizesOf, type Triple } from './spatial.js'

interface ConvTransposeOptions<P> {
  /** `[O]`, added to every cell. */
  bias?: Tensor
  /** Distance in the output between the cells of the input. Default 1. */
  stride?: P
  /** Cells cut off on both sides of the output. Default 0. */
  padding?: P
  /** Cells more at the end of the output; less than the stride or the dilation. Default 0. */
  outputPadding?: P
  /** Groups of channels that are convolved apart. Default 1. */
  groups?: number
  /** Default 1. */
  dilation?: P
}
export type ConvTranspose1dOptions = ConvTransposeOptions<Single>
export type ConvTranspose2dOptions = ConvTransposeOptions<Pair>
export type ConvTranspose3dOptions = ConvTransposeOptions<Triple>

interface Geometry {
  readonly stride: readonly number[]
  readonly padding: readonly number[]
  readonly outputPadding: readonly number[]
  readonly dilation: readonly number[]
  readonly groups: number
  /** Sizes of the output. */
  readonly sizes: readonly number[]
}

/** @throws ArgumentError `ERR_CONV_OPTION` unless each is less than the stride or the dilation. */
export function checkOutputPadding(
  op: string,
  outputPadding: readonly number[],
  stride: readonly number[],
  dilation: readonly number[],
): void {
  if (outputPadding.every((p, i) => p < Math.max(stride[i], dilation[i]))) return
  throw new ArgumentError(
    'ERR_CONV_OPTION',
    `${op}: outputPadding must be less than the stride or the dilation, received ${outputPadding.join('x')} with stride ${stride.join('x')} and dilation ${dilation.join('x')}.`,
  )
}

function prepare(op: string, rank: Rank, x: Tensor, w: Tensor, o: ConvTransposeOptions<number | readonly number[]>): Geometry {
  checkOptions(op, o, { bias: true, stride: true, padding: true, outputPadding: true, groups: true, dilation: true })
  checkOperands(op, rank, x, w, 'C, O/groups')
  const groups = o.groups ?? 1
  if (!Number.isInteger(groups) || groups < 1 || x.shape[1] % groups !== 0) {
    throw new ArgumentError('ERR_CONV_GROUPS', `${op}: groups = ${showValue(groups)} must divide the ${x.shape[1]} input channels.`)
  }
  if (w.shape[0] !== x.shape[1]) {
    throw new ShapeError(
      'ERR_CONV_CHANNELS',
      `${op}: the weight ${showShape(w.shape)} expects ${w.shape[0]} input channels, x ${showShape(x.shape)} has ${x.shape[1]}.`,
    )
  }
  checkBias(op, o.bias, w.shape[1] * groups)
  const stride = sizesOf(op, 'stride', o.stride ?? 1, rank, 1)
  const padding = sizesOf(op, 'padding', o.padding ?? 0, rank, 0)
  const outputPadding = sizesOf(op, 'outputPadding', o.outputPadding ?? 0, rank, 0)
  const dilation = sizesOf(op, 'dilation', o.dilation ?? 1, rank, 1)
  checkOutputPadding(op, outputPadding, stride, dilation)
  const sizes = x.shape
    .slice(2)
    .map((s, i) => (s - 1) * stride[i] - 2 * padding[i] + dilation[i] * (w.shape[2 + i] - 1) + outputPadding[i] + 1)
  if (sizes.some((s) => s < 1) || x.shape.slice(2).includes(0)) {
    throw new ShapeError(
      'ERR_CONV_SIZE',
      `${op}: nothing is left of the output of x ${showShape(x.shape)} with kernel ${showShape(w.shape.slice(2))}: ${showShape(sizes)}. Use less padding.`,
    )
  }
  return { stride, padding, outputPadding, dilation, groups, sizes }
}

/** The op itself, over images. */
function transposed(x: Tensor, w: Tensor, g: Geometry): Tensor {
  const channels = w.shape[1] * g.groups
  const attrs = { stride: g.stride, dilation: g.dilation, groups: g.groups }
  if (g.outputPadding.every((p, i) => p < g.stride[i])) {
    return apply(inputGradRow, [x, w], { ...attrs, padding: g.padding, shape: [x.shape[0], channels, ...g.sizes] })
  }
  // a convolution of so many cells would have further outputs: take all there is, then cut and fill
  const whole = g.sizes.map((s, i) => s + 2 * g.padding[i] - g.outputPadding[i])
  const y = apply(inputGradRow, [x, w], { ...attrs, padding: [0, 0], shape: [x.shape[0], channels, ...whole] })
  return pad(
    y,
    [1, 0].flatMap((i) => [-g.padding[i], g.outputPadding[i] - g.padding[i]]),
  )
}

/**
 * Transposed convolution of `x: [N, C, L]` with `weight: [C, O/groups, k]`, giving `[N, O, Lo]` with
 * Lo = (L − 1)·stride − 2·padding + dilation·(k − 1) + outputPadding + 1. Source: `torch.nn.functional.conv_transpose1d`.
 *
 *     convTranspose1d(signals, weight, { stride: 2 })
 *
 * @throws ShapeError when channels or sizes do not fit; ArgumentError for options out of range.
 */
export function convTranspose1d<T extends Tensor>(
  x: T,
  weight: Tensor,
  options?: ConvTranspose1dOptions,
): Tensor<Signals<ShapeOf<T>, number>>
export function convTranspose1d(x: Tensor, weight: Tensor, options: ConvTranspose1dOptions = {}): Tensor {
  const { groups, ...g } = prepare('convTranspose1d', 1, x, weight, options)
  const y = transposed(unsqueeze(x, 2), unsqueeze(weight, 2), {
    stride: [1, ...g.stride],
    padding: [0, ...g.padding],
    outputPadding: [0, ...g.outputPadding],
    dilation: [1, ...g.dilation],
    groups,
    sizes: [1, ...g.sizes],
  })
  return addBias(reshape(y, [y.shape[0], y.shape[1], y.shape[3]]), options.bias)
}

/**
 * Transposed convolution of `x: [N, C, H, W]` with `weight: [C, O/groups, kh, kw]`, giving `[N, O, Ho, Wo]` with
 * Ho = (H − 1)·stride − 2·padding + dilation·(kh − 1) + outputPadding + 1. Source: `torch.nn.functional.conv_transpose2d`.
 *
 *     convTranspose2d(images, weight, { stride: 2, padding: 1, outputPadding: 1 })        // doubles height and width for a 3×3 kernel
 *
 * @throws ShapeError when channels or sizes do not fit; ArgumentError for options out of range.
 */
export function convTranspose2d<T extends Tensor>(
  x: T,
  weight: Tensor,
  options?: ConvTranspose2dOptions,
): Tensor<Images<ShapeOf<T>, number>>
export function convTranspose2d(x: Tensor, weight: Tensor, options: ConvTranspose2dOptions = {}): Tensor {
  return addBias(transposed(x, weight, prepare('convTranspose2d', 2, x, weight, options)), options.bias)
}

/**
 * Transposed convolution of `x: [N, C, D, H, W]` with `weight: [C, O/groups, kd, kh, kw]`, giving `[N, O, Do, Ho, Wo]` with
 * Do = (D − 1)·stride − 2·padding + dilation·(kd − 1) + outputPadding + 1. Takes memory for kd times D planes of the output.
 * Source: `torch.nn.functional.conv_transpose3d`.
 *
 *     convTranspose3d(volumes, weight, { stride: 2 })
 *
 * @throws ShapeError when channels or sizes do not fit; ArgumentError for options out of range.
 */
export function convTranspose3d<T extends Tensor>(
  x: T,
  weight: Tensor,
  options?: ConvTranspose3dOptions,
): Tensor<Volumes<ShapeOf<T>, number>>
export function convTranspose3d(x: Tensor, weight: Tensor, options: ConvTranspose3dOptions = {}): Tensor {
  const g = prepare('convTranspose3d', 3, x, weight, options)
  const [n, c, d, height, width] = x.shape
  const [, share, kd, kh, kw] = weight.shape
  const [depth, h, w] = g.sizes
  const o = share * g.groups
  const last = (list: readonly number[]): number[] => list.slice(1)
  const planes = reshape(permute(x, [0, 2, 1, 3, 4]), [n * d, c, height, width])
  const shares = transposed(planes, reshape(weight, [c, share * kd, kh, kw]), {
    stride: last(g.stride),
    padding: last(g.padding),
    outputPadding: last(g.outputPadding),
    dilation: last(g.dilation),
    groups: g.groups,
    sizes: [h, w],
  })
  // share p of a plane goes p·dilation planes further: a kernel of one 1 for each
  const ones = reshape(expand(eye(kd, kd, { dtype: x.dtype }), [o, kd, kd]), [o * kd, 1, kd, 1])
  const first = ([size]: readonly number[], across: number): number[] => [size, across]
  const y = transposed(permute(reshape(shares, [n, d, o * kd, h * w]), [0, 2, 1, 3]), ones, {
    stride: first(g.stride, 1),
    padding: first(g.padding, 0),
    outputPadding: first(g.outputPadding, 0),
    dilation: first(g.dilation, 1),
    groups: Math.max(1, o),
    sizes: [depth, h * w],
  })
  return addBias(reshape(y, [n, o, depth, h, w]), options.bias)
}
