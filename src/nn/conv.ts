/**
 * Convolution layers over signals `[N, C, L]`, images `[N, C, H, W]` and volumes `[N, C, D, H, W]`. `R` is the number of spatial dimensions, `L` the
 * layer's name for what `tsc` says, `I` and `O` are the channels.
 */
import { ArgumentError, checkOptions, type OptionNames, ShapeError, showShape, showValue } from '../base/errors.js'
import { pad } from '../ops/basic/pad.js'
import { conv1d, conv2d, conv3d } from '../ops/layers/conv.js'
import { checkOutputPadding, convTranspose1d, convTranspose2d, convTranspose3d } from '../ops/layers/conv-transpose.js'
import { layouts, type Pair, type Rank, type Single, type SizeOf, sizesOf, type Triple } from '../ops/layers/spatial.js'
import { empty, type ShapeOf, type Tensor } from '../tensor/tensor.js'
import type { ExpectPlanes, Planes } from '../types/index.js'
import type { Rule } from './chain.js'
import { checkInput, checkInteger, checkPlanes, showOptions } from './check.js'
import { kaimingUniform, uniform } from './init.js'
import { Module } from './module.js'
import { Parameter } from './parameter.js'

type PaddingMode = 'zeros' | 'reflect' | 'replicate' | 'circular'

const paddingModes: readonly PaddingMode[] = ['zeros', 'reflect', 'replicate', 'circular']

interface ConvLayerOptions<P> {
  /** Default 1. */
  stride?: P
  /** Cells on each side; default 0. `'same'` keeps the size (stride 1), `'valid'` is 0. */
  padding?: P | 'same' | 'valid'
  /** What the padding holds: 'zeros' (default), or what the input has inside, as `pad` does it. */
  paddingMode?: PaddingMode
  /** Distance between the kernel's cells; default 1. */
  dilation?: P
  /** Groups of channels that are convolved apart; default 1. */
  groups?: number
  /** Add a learned bias to each output channel; default true. */
  bias?: boolean
}
export type Conv1dLayerOptions = ConvLayerOptions<Single>
export type Conv2dLayerOptions = ConvLayerOptions<Pair>
export type Conv3dLayerOptions = ConvLayerOptions<Triple>

interface ConvTransposeLayerOptions<P> {
  /** Distance in the output between the cells of the input; default 1. */
  stride?: P
  /** Cells cut off on each side of the output; default 0. */
  padding?: P
  /** Cells more at the end of the output, less than the stride or the dilation; default 0. */
  outputPadding?: P
  /** Groups of channels that are convolved apart; default 1. */
  groups?: number
  /** Add a learned bias to each output channel; default true. */
  bias?: boolean
  /** Distance between the kernel's cells; default 1. */
  dilation?: P
}
export type ConvTranspose1dLayerOptions = ConvTransposeLayerOptions<Single>
export type ConvTranspose2dLayerOptions = ConvTransposeLayerOptions<Pair>
export type ConvTranspose3dLayerOptions = ConvTransposeLayerOptions<Triple>

type Sizes = number | readonly number[]

/** A number for each spatial dimension. */
type Tuple<R> = R extends 1 ? readonly [number] : R extends 2 ? readonly [number, number] : readonly [number, number, number]

/** The weight's shape; its first dimension are the output channels, or the input channels of transposed convolutions. */
type Weight<R, C> = R extends 1 ? [C, number, number] : R extends 2 ? [C, number, number, number] : [C, number, number, number, number]

interface ConvRule<R extends Rank, L extends string, I extends number, O> extends Rule {
  readonly error: ExpectPlanes<R, L, I, this['in']>
  readonly out: Planes<R, this['in'], O>
}
const commonNames = { stride: true, padding: true, dilation: true, groups: true, bias: true } as const
const forwardNames: OptionNames<ConvLayerOptions<Sizes>> = { ...commonNames, paddingMode: true }
const transposedNames: OptionNames<ConvTransposeLayerOptions<Sizes>> = { ...commonNames, outputPadding: true }

/** Arguments as one would write them: equal sizes as one number. */
const showSizes = (sizes: readonly number[]): string => (sizes.every((s) => s === sizes[0]) ? String(sizes[0]) : `[${sizes.join(', ')}]`)

/** What an option's print shows: nothing for the usual value. */
const unless = (usual: number, sizes: readonly number[]): number | readonly number[] | undefined =>
  sizes.some((s) => s !== sizes[0]) ? sizes : sizes[0] === usual ? undefined : sizes[0]

/** What all convolutions share: channels, sizes, parameters. `C` are the channels that come first in the weight. */
abstract class Convolution<R extends Rank, L extends string, I extends number, O extends number, C> extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: ConvRule<R, L, I, O>
  readonly inChannels: I
  readonly outChannels: O
  readonly kernelSize: Tuple<R>
  readonly stride: Tuple<R>
  readonly dilation: Tuple<R>
  readonly groups: number
  weight: Parameter<Weight<R, C>>
  bias: Parameter<[O]> | undefined

  constructor(rank: R, inChannels: I, outChannels: O, kernelSize: Sizes, options: ConvLayerOptions<Sizes>, transposed: boolean) {
    const layer = new.target.name
    if (transposed) checkOptions(layer, options as ConvTransposeLayerOptions<Sizes>, transposedNames)
    else checkOptions(layer, options, forwardNames)
    super()
    const { groups = 1 } = options
    this.inChannels = checkInteger(layer, 'inChannels', inChannels)
    this.outChannels = checkInteger(layer, 'outChannels', outChannels)
    const sizes = (name: string, value: Sizes): Tuple<R> => sizesOf(layer, name, value, rank, 1) as readonly number[] as Tuple<R>
    this.kernelSize = sizes('kernelSize', kernelSize)
    this.stride = sizes('stride', options.stride ?? 1)
    this.dilation = sizes('dilation', options.dilation ?? 1)
    this.groups = checkInteger(layer, 'groups', groups)
    if (inChannels % groups !== 0 || outChannels % groups !== 0) {
      throw new ArgumentError(
        'ERR_LAYER_OPTION',
        `${layer}: groups must divide the channels, received ${groups} for ${inChannels} in and ${outChannels} out.`,
      )
    }
    const channels = transposed ? [inChannels, outChannels / groups] : [outChannels, inChannels / groups]
    this.weight = new Parameter(empty([...channels, ...this.kernelSize]) as Tensor as Tensor<Weight<R, C>>)
    this.bias = (options.bias ?? true) ? new Parameter(empty([outChannels])) : undefined
    this.resetParameters()
  }

  /** The function, without the checks of a layer. */
  protected abstract convolve(x: Tensor): Tensor

  forward<T extends Tensor>(x: T & ExpectPlanes<R, L, I, ShapeOf<T>>): Tensor<Planes<R, ShapeOf<T>, O>>
  forward(x: Tensor): Tensor {
    this.checkChannels(x)
    return this.convolve(x)
  }

  /** Draws new initial values. */
  resetParameters(): void {
    kaimingUniform(this.weight, { a: Math.sqrt(5) })
    // PyTorch's fan-in: all of the weight but its first dimension, for transposed ones too
    const bound = 1 / Math.sqrt(this.weight.size / this.weight.shape[0])
    if (this.bias !== undefined) uniform(this.bias, { low: -bound, high: bound })
  }

  /** Throws unless x fits. */
  private checkChannels(x: unknown): asserts x is Tensor {
    const { name, inChannels } = this
    const rank = this.kernelSize.length as Rank
    checkInput(name, x, this.weight.dtype)
    checkPlanes(name, x, rank)
    if (x.shape[1] === inChannels) return
    const order = [0, rank + 1, ...Array.from({ length: rank }, (_, i) => i + 1)]
    const remedy =
      x.shape[rank + 1] === inChannels ? `Put the channels second: .permute([${order.join(', ')}]).` : `Change inChannels to ${x.shape[1]}.`
    throw new ShapeError(
      'ERR_LAYER_INPUT',
      `${name} expects ${inChannels} channels in ${layouts[rank].input}, received ${showShape(x.shape)}. ${remedy}`,
    )
  }

  protected get name(): string {
    return `${this.constructor.name}(${this.inChannels}, ${this.outChannels}, ${showSizes(this.kernelSize)})`
  }

  /** The arguments; `more` are the options of one kind of layer. */
  protected describe(more: Readonly<Record<string, unknown>>): string {
    const options = showOptions({
      stride: unless(1, this.stride),
      ...more,
      dilation: unless(1, this.dilation),
      groups: this.groups === 1 ? undefined : this.groups,
      bias: this.bias === undefined ? false : undefined,
    })
    return `${this.inChannels}, ${this.outChannels}, ${showSizes(this.kernelSize)}${options}`
  }
}

/** Convolutions proper: from large to small. */
abstract class ForwardConvolution<R extends Rank, L extends string, I extends number, O extends number> extends Convolution<R, L, I, O, O> {
  readonly padding: Tuple<R> | 'same' | 'valid'
  readonly paddingMode: PaddingMode

  constructor(rank: R, inChannels: I, outChannels: O, kernelSize: Sizes, options: ConvLayerOptions<Sizes>) {
    super(rank, inChannels, outChannels, kernelSize, options, false)
    const { padding = 0, paddingMode = 'zeros' } = options
    const layer = new.target.name
    this.padding =
      padding === 'same' || padding === 'valid' ? padding : (sizesOf(layer, 'padding', padding, rank, 0) as readonly number[] as Tuple<R>)
    if (padding === 'same' && this.stride.some((s) => s !== 1)) {
      throw new ArgumentError(
        'ERR_LAYER_OPTION',
        `${layer}: padding 'same' needs stride 1, received ${showSizes(this.stride)}. Give the padding as a number.`,
      )
    }
    if (!paddingModes.includes(paddingMode)) {
      throw new ArgumentError(
        'ERR_LAYER_OPTION',
        `${layer}: paddingMode must be one of ${paddingModes.join(', ')}, received ${showValue(paddingMode)}.`,
      )
    }
    this.paddingMode = paddingMode
  }

  /** The input and what to give to the function: what is not padded with zeros is padded here. */
  protected prepared(x: Tensor): { input: Tensor; options: PreparedOptions<R, O> } {
    const { bias, stride, padding, dilation, groups, paddingMode } = this
    const options = { bias, stride, padding, dilation, groups } as unknown as PreparedOptions<R, O>
    if (paddingMode === 'zeros' || padding === 'valid') return { input: x, options }
    const sides = this.kernelSize.map((k: number, i: number): [number, number] => {
      const whole = dilation[i] * (k - 1)
      // an odd number pads one more cell at the end, as in PyTorch
      return padding === 'same' ? [whole >> 1, whole - (whole >> 1)] : [padding[i] as number, padding[i] as number]
    })
    return { input: pad(x, sides.reverse().flat(), { mode: paddingMode }), options: { ...options, padding: 'valid' } }
  }

  override extraRepr(): string {
    const { padding, paddingMode } = this
    return this.describe({
      padding: typeof padding === 'string' ? padding : unless(0, padding),
      paddingMode: paddingMode === 'zeros' ? undefined : paddingMode,
    })
  }
}

/** The options of the functions. */
interface PreparedOptions<R extends Rank, O> {
  bias?: Tensor<[O]>
  stride: SizeOf<R>
  padding: SizeOf<R> | 'same' | 'valid'
  dilation: SizeOf<R>
  groups: number
}

/**
 * One-dimensional convolution `[N, inChannels, L]` → `[N, outChannels, Lo]` with
 * Lo = ⌊(L + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1, `weight: [out, in/groups, k]` and `bias: [out]`, both
 * initialized uniformly in ±1/√(in/groups·k). Source: `torch.nn.Conv1d`.
 *
 *     const layer = new nn.Conv1d(16, 32, 3, { padding: 1 })
 *     layer.forward(signals)                  // [128, 16, 100] → [128, 32, 100]
 *
 * @throws ShapeError `ERR_LAYER_INPUT` for other ranks or channels; ArgumentError for options out of range.
 */
export class Conv1d<I extends number = number, O extends number = number> extends ForwardConvolution<1, 'Conv1d', I, O> {
  constructor(inChannels: I, outChannels: O, kernelSize: Single, options: Conv1dLayerOptions = {}) {
    super(1, inChannels, outChannels, kernelSize, options)
  }
  protected convolve(x: Tensor): Tensor {
    const { input, options } = this.prepared(x)
    return conv1d(input, this.weight, options)
  }
}

/**
 * Two-dimensional convolution `[N, inChannels, H, W]` → `[N, outChannels, Ho, Wo]` with
 * Ho = ⌊(H + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1, `weight: [out, in/groups, kh, kw]` and `bias: [out]`, both
 * initialized uniformly in ±1/√(in/groups·kh·kw). Source: `torch.nn.Conv2d`.
 *
 *     const layer = new nn.Conv2d(1, 32, 3, { padding: 1 })
 *     layer.forward(images)                   // [128, 1, 28, 28] → [128, 32, 28, 28]
 *
 * @throws ShapeError `ERR_LAYER_INPUT` for other ranks or channels; ArgumentError for options out of range.
 */
export class Conv2d<I extends number = number, O extends number = number> extends ForwardConvolution<2, 'Conv2d', I, O> {
  constructor(inChannels: I, outChannels: O, kernelSize: Pair, options: Conv2dLayerOptions = {}) {
    super(2, inChannels, outChannels, kernelSize, options)
  }
  protected convolve(x: Tensor): Tensor {
    const { input, options } = this.prepared(x)
    return conv2d(input, this.weight, options)
  }
}

/**
 * Three-dimensional convolution `[N, inChannels, D, H, W]` → `[N, outChannels, Do, Ho, Wo]` with
 * Do = ⌊(D + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1, `weight: [out, in/groups, kd, kh, kw]` and `bias: [out]`, both
 * initialized uniformly in ±1/√(in/groups·kd·kh·kw). Source: `torch.nn.Conv3d`.
 *
 *     const layer = new nn.Conv3d(1, 8, 3, { padding: 1 })
 *     layer.forward(volumes)                  // [4, 1, 16, 64, 64] → [4, 8, 16, 64, 64]
 *
 * @throws ShapeError `ERR_LAYER_INPUT` for other ranks or channels; ArgumentError for options out of range.
 */
export class Conv3d<I extends number = number, O extends number = number> extends ForwardConvolution<3, 'Conv3d', I, O> {
  constructor(inChannels: I, outChannels: O, kernelSize: Triple, options: Conv3dLayerOptions = {}) {
    super(3, inChannels, outChannels, kernelSize, options)
  }
  protected convolve(x: Tensor): Tensor {
    const { input, options } = this.prepared(x)
    return conv3d(input, this.weight, options)
  }
}

/** Transposed convolutions: from small to large. */
abstract class TransposedConvolution<R extends Rank, L extends string, I extends number, O extends number> extends Convolution<
  R,
  L,
  I,
  O,
  I
> {
  readonly padding: Tuple<R>
  readonly outputPadding: Tuple<R>

  constructor(rank: R, inChannels: I, outChannels: O, kernelSize: Sizes, options: ConvTransposeLayerOptions<Sizes>) {
    super(rank, inChannels, outChannels, kernelSize, options, true)
    const layer = new.target.name
    const sizes = (name: string, value: Sizes): Tuple<R> => sizesOf(layer, name, value, rank, 0) as readonly number[] as Tuple<R>
    this.padding = sizes('padding', options.padding ?? 0)
    this.outputPadding = sizes('outputPadding', options.outputPadding ?? 0)
    checkOutputPadding(layer, this.outputPadding, this.stride, this.dilation)
  }

  override extraRepr(): string {
    return this.describe({ padding: unless(0, this.padding), outputPadding: unless(0, this.outputPadding) })
  }
}

/**
 * Transposed convolution `[N, inChannels, L]` → `[N, outChannels, Lo]` with
 * Lo = (L − 1)·stride − 2·padding + dilation·(kernel − 1) + outputPadding + 1, `weight: [in, out/groups, k]` and `bias: [out]`, both
 * initialized uniformly in ±1/√(out/groups·k). Source: `torch.nn.ConvTranspose1d`.
 *
 *     new nn.ConvTranspose1d(16, 8, 4, { stride: 2, padding: 1 }).forward(signals)        // [N, 16, 50] → [N, 8, 100]
 *
 * @throws ShapeError `ERR_LAYER_INPUT` for other ranks or channels; ArgumentError for options out of range.
 */
export class ConvTranspose1d<I extends number = number, O extends number = number> extends TransposedConvolution<
  1,
  'ConvTranspose1d',
  I,
  O
> {
  constructor(inChannels: I, outChannels: O, kernelSize: Single, options: ConvTranspose1dLayerOptions = {}) {
    super(1, inChannels, outChannels, kernelSize, options)
  }
  protected convolve(x: Tensor): Tensor {
    const { bias, stride, padding, outputPadding, dilation, groups } = this
    return convTranspose1d(x, this.weight, { bias, stride, padding, outputPadding, dilation, groups })
  }
}

/**
 * Transposed convolution `[N, inChannels, H, W]` → `[N, outChannels, Ho, Wo]` with
 * Ho = (H − 1)·stride − 2·padding + dilation·(kernel − 1) + outputPadding + 1, `weight: [in, out/groups, kh, kw]` and `bias: [out]`, both
 * initialized uniformly in ±1/√(out/groups·kh·kw). Source: `torch.nn.ConvTranspose2d`.
 *
 *     new nn.ConvTranspose2d(64, 32, 4, { stride: 2, padding: 1 }).forward(images)        // [N, 64, 16, 16] → [N, 32, 32, 32]
 *
 * @throws ShapeError `ERR_LAYER_INPUT` for other ranks or channels; ArgumentError for options out of range.
 */
export class ConvTranspose2d<I extends number = number, O extends number = number> extends TransposedConvolution<
  2,
  'ConvTranspose2d',
  I,
  O
> {
  constructor(inChannels: I, outChannels: O, kernelSize: Pair, options: ConvTranspose2dLayerOptions = {}) {
    super(2, inChannels, outChannels, kernelSize, options)
  }
  protected convolve(x: Tensor): Tensor {
    const { bias, stride, padding, outputPadding, dilation, groups } = this
    return convTranspose2d(x, this.weight, { bias, stride, padding, outputPadding, dilation, groups })
  }
}

/**
 * Transposed convolution `[N, inChannels, D, H, W]` → `[N, outChannels, Do, Ho, Wo]` with
 * Do = (D − 1)·stride − 2·padding + dilation·(kernel − 1) + outputPadding + 1, `weight: [in, out/groups, kd, kh, kw]` and `bias: [out]`, both
 * initialized uniformly in ±1/√(out/groups·kd·kh·kw). Source: `torch.nn.ConvTranspose3d`.
 *
 *     new nn.ConvTranspose3d(16, 8, 2, { stride: 2 }).forward(volumes)        // [N, 16, 8, 32, 32] → [N, 8, 16, 64, 64]
 *
 * @throws ShapeError `ERR_LAYER_INPUT` for other ranks or channels; ArgumentError for options out of range.
 */
export class ConvTranspose3d<I extends number = number, O extends number = number> extends TransposedConvolution<
  3,
  'ConvTranspose3d',
  I,
  O
> {
  constructor(inChannels: I, outChannels: O, kernelSize: Triple, options: ConvTranspose3dLayerOptions = {}) {
    super(3, inChannels, outChannels, kernelSize, options)
  }
  protected convolve(x: Tensor): Tensor {
    const { bias, stride, padding, outputPadding, dilation, groups } = this
    return convTranspose3d(x, this.weight, { bias, stride, padding, outputPadding, dilation, groups })
  }
}
