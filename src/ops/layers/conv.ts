/**
 * Convolution over signals, images and volumes. Two dimensions are the op (conv-rows.ts); one is two of height 1, and three are two
 * with the cells along the depth as further channels.
 */
import { ArgumentError, checkOptions, DTypeError, ShapeError, showShape, showValue } from '../../base/errors.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import type { FirstOf, Images, Signals, Volumes } from '../../types/index.js'
import { add } from '../basic/elementwise.js'
import { stack } from '../basic/join.js'
import { permute, reshape, slice, unsqueeze } from '../basic/movement.js'
import { pad } from '../basic/pad.js'
import { apply, checkTensor } from '../core/dispatch.js'
import { convRow, convSize } from './conv-rows.js'
import { layouts, type Pair, type Rank, type Single, sizesOf, type Triple } from './spatial.js'

interface ConvOptions<P> {
  /** `[O]`, added to every cell. */
  bias?: Tensor
  /** Default 1. */
  stride?: P
  /** Zeros on both sides, or `'same'` (with stride 1), or `'valid'`. Default 0. */
  padding?: P | 'same' | 'valid'
  /** Default 1. */
  dilation?: P
  /** Groups of channels that are convolved apart. Default 1. */
  groups?: number
}
export type Conv1dOptions = ConvOptions<Single>
export type Conv2dOptions = ConvOptions<Pair>
export type Conv3dOptions = ConvOptions<Triple>

/** The options of one call, checked: a number for each spatial dimension. */
interface Geometry {
  readonly stride: readonly number[]
  readonly padding: readonly number[]
  readonly dilation: readonly number[]
  readonly groups: number
}

/** Checks what convolutions of all ranks, transposed ones too, expect of their operands. `layout` is the weight's, for messages. */
export function checkOperands(op: string, rank: Rank, x: unknown, w: unknown, layout: string): asserts x is Tensor {
  checkTensor(op, 'x', x)
  checkTensor(op, 'weight', w)
  if (x.dtype !== w.dtype || (x.dtype !== 'float32' && x.dtype !== 'float64')) {
    throw new DTypeError(
      'ERR_DTYPE',
      `${op}: needs two float tensors of one dtype, received ${x.dtype} and ${w.dtype}. Convert with .to('float32').`,
    )
  }
  if (x.ndim !== rank + 2 || w.ndim !== rank + 2) {
    throw new ShapeError(
      'ERR_RANK',
      `${op}: needs x ${layouts[rank].input} and weight [${layout}, ${layouts[rank].kernel}], received ${showShape(x.shape)} and ${showShape(w.shape)}.`,
    )
  }
  if (w.shape.slice(2).some((k) => k < 1))
    throw new ShapeError('ERR_CONV_SIZE', `${op}: the kernel of weight ${showShape(w.shape)} is empty.`)
}

/** @throws ShapeError `ERR_CONV_BIAS` unless there is one element for each of `channels`. */
export function checkBias(op: string, bias: Tensor | undefined, channels: number): void {
  if (bias === undefined) return
  checkTensor(op, 'bias', bias)
  if (bias.ndim === 1 && bias.shape[0] === channels) return
  throw new ShapeError(
    'ERR_CONV_BIAS',
    `${op}: bias ${showShape(bias.shape)} must have one element for each of the ${channels} output channels.`,
  )
}

/** y with `bias: [C]` added to its channels, dimension 1. */
export function addBias(y: Tensor, bias: Tensor | undefined): Tensor {
  return bias === undefined ? y : add(y, reshape(bias, [bias.shape[0], ...y.shape.slice(2).map(() => 1)]))
}

function checkChannels(op: string, x: Tensor, w: Tensor, groups: number): void {
  if (!Number.isInteger(groups) || groups < 1 || x.shape[1] % groups !== 0 || w.shape[0] % groups !== 0) {
    throw new ArgumentError(
      'ERR_CONV_GROUPS',
      `${op}: groups = ${showValue(groups)} must divide the ${x.shape[1]} input and ${w.shape[0]} output channels.`,
    )
  }
  if (w.shape[1] * groups !== x.shape[1]) {
    throw new ShapeError(
      'ERR_CONV_CHANNELS',
      `${op}: the weight ${showShape(w.shape)} with groups = ${groups} expects ${w.shape[1] * groups} input channels, x ${showShape(x.shape)} has ${x.shape[1]}.`,
    )
  }
}

/** Checks everything; pads x where 'same' needs more on one side than on the other. */
function prepare(op: string, rank: Rank, x: Tensor, w: Tensor, o: ConvOptions<number | readonly number[]>): { input: Tensor } & Geometry {
  checkOptions(op, o, { bias: true, stride: true, padding: true, dilation: true, groups: true })
  checkOperands(op, rank, x, w, 'O, C/groups')
  const groups = o.groups ?? 1
  checkChannels(op, x, w, groups)
  checkBias(op, o.bias, w.shape[0])
  const stride = sizesOf(op, 'stride', o.stride ?? 1, rank, 1)
  const dilation = sizesOf(op, 'dilation', o.dilation ?? 1, rank, 1)
  const kernel = w.shape.slice(2)
  let padding = kernel.map(() => 0)
  let input = x
  if (o.padding === 'same') {
    if (stride.some((s) => s !== 1))
      throw new ArgumentError('ERR_CONV_OPTION', `${op}: padding 'same' needs stride 1, received ${stride.join('x')}.`)
    const total = kernel.map((k, i) => dilation[i] * (k - 1))
    padding = total.map((t) => t >> 1)
    // an odd total pads one more cell at the end, as in PyTorch
    if (total.some((t) => t % 2 !== 0))
      input = pad(
        x,
        total.reverse().flatMap((t) => [0, t % 2]),
      )
  } else if (o.padding !== undefined && o.padding !== 'valid') {
    padding = sizesOf(op, 'padding', o.padding, rank, 0)
  }
  const sizes = kernel.map((k, i) => convSize(input.shape[2 + i], k, stride[i], padding[i], dilation[i]))
  if (sizes.some((s) => s < 1)) {
    throw new ShapeError(
      'ERR_CONV_SIZE',
      `${op}: the kernel ${showShape(kernel)} (dilation ${dilation.join('x')}) is larger than the padded input ${showShape(x.shape)}, padding ${padding.join('x')}.`,
    )
  }
  return { input, stride, padding, dilation, groups }
}

/**
 * Convolution of `x: [N, C, L]` with `weight: [O, C/groups, k]`, giving `[N, O, Lo]` with
 * Lo = ⌊(L + 2·padding − dilation·(k − 1) − 1) / stride⌋ + 1. Source: `torch.nn.functional.conv1d`.
 *
 *     conv1d(signals, weight, { bias, padding: 1 })
 *
 * @throws ShapeError when channels or sizes do not fit; ArgumentError for stride, padding, dilation or groups out of range.
 */
export function conv1d<T extends Tensor, W extends Tensor>(
  x: T,
  weight: W,
  options?: Conv1dOptions,
): Tensor<Signals<ShapeOf<T>, FirstOf<ShapeOf<W>>>>
export function conv1d(x: Tensor, weight: Tensor, options: Conv1dOptions = {}): Tensor {
  const { input, stride, padding, dilation, groups } = prepare('conv1d', 1, x, weight, options)
  const y = apply(convRow, [unsqueeze(input, 2), unsqueeze(weight, 2)], {
    stride: [1, stride[0]],
    padding: [0, padding[0]],
    dilation: [1, dilation[0]],
    groups,
  })
  const [n, c, , l] = y.shape
  return addBias(reshape(y, [n, c, l]), options.bias)
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
  const { input, ...geometry } = prepare('conv2d', 2, x, weight, options)
  return addBias(apply(convRow, [input, weight], geometry), options.bias)
}

/**
 * Convolution of `x: [N, C, D, H, W]` with `weight: [O, C/groups, kd, kh, kw]`, giving `[N, O, Do, Ho, Wo]`. Takes memory for kd copies of x.
 * Source: `torch.nn.functional.conv3d`.
 *
 *     conv3d(volumes, weight, { bias, padding: 1 })
 *
 * @throws ShapeError when channels or sizes do not fit; ArgumentError for stride, padding, dilation or groups out of range.
 */
export function conv3d<T extends Tensor, W extends Tensor>(
  x: T,
  weight: W,
  options?: Conv3dOptions,
): Tensor<Volumes<ShapeOf<T>, FirstOf<ShapeOf<W>>>>
export function conv3d(x: Tensor, weight: Tensor, options: Conv3dOptions = {}): Tensor {
  const { input, stride, padding, dilation, groups } = prepare('conv3d', 3, x, weight, options)
  const [n, c] = x.shape
  const [o, cg, kd, kh, kw] = weight.shape
  const padded = padding[0] === 0 ? input : pad(input, [0, 0, 0, 0, padding[0], padding[0]])
  const depth = convSize(padded.shape[2], kd, stride[0], 0, dilation[0])
  // the planes that one output plane sees lie kd by kd: each output plane is an image of C·kd channels
  const taps = Array.from({ length: kd }, (_, p) => {
    const first = p * dilation[0]
    return slice(padded, 2, first, first + (depth - 1) * stride[0] + 1, stride[0])
  })
  const planes = permute(stack(taps, 2), [0, 3, 1, 2, 4, 5])
  const [height, width] = input.shape.slice(3)
  const y = apply(convRow, [reshape(planes, [n * depth, c * kd, height, width]), reshape(weight, [o, cg * kd, kh, kw])], {
    stride: [stride[1], stride[2]],
    padding: [padding[1], padding[2]],
    dilation: [dilation[1], dilation[2]],
    groups,
  })
  const [, , ho, wo] = y.shape
  return addBias(permute(reshape(y, [n, depth, o, ho, wo]), [0, 2, 1, 3, 4]), options.bias)
}
