/**
 * Padding layers over signals `[N, C, L]` and images `[N, C, H, W]`.
 */
import { ArgumentError, showValue } from '../errors.js'
import { type PadMode, pad } from '../ops/pad.js'
import type { Rank } from '../ops/window.js'
import type { ShapeOf, Tensor } from '../tensor.js'
import type { ExpectImages, ExpectSignals, SameChannels, SameSignals } from '../types.js'
import type { Rule } from './chain.js'
import { checkInput, checkNumber, checkPlanes } from './check.js'
import { Module } from './module.js'

interface SignalPadRule<Layer extends string> extends Rule {
  readonly error: ExpectSignals<Layer, number, this['in']>
  readonly out: SameSignals<this['in']>
}
interface ImagePadRule<Layer extends string> extends Rule {
  readonly error: ExpectImages<Layer, number, this['in']>
  readonly out: SameChannels<this['in']>
}

/** One amount for all sides, or `[left, right]`. Negative amounts crop. */
export type Padding1d = number | readonly [number, number]
/** One amount for all sides, or `[left, right, top, bottom]`. Negative amounts crop. */
export type Padding2d = number | readonly [number, number, number, number]

/** Amounts as pad() takes them. @throws ArgumentError `ERR_LAYER_OPTION`. */
function amounts(layer: string, rank: Rank, padding: number | readonly number[]): number[] {
  const list = typeof padding === 'number' ? new Array<number>(2 * rank).fill(padding) : padding
  if (Array.isArray(list) && list.length === 2 * rank && list.every(Number.isInteger)) return [...list]
  const sides = rank === 1 ? '[left, right]' : '[left, right, top, bottom]'
  throw new ArgumentError('ERR_LAYER_OPTION', `${layer}: padding must be an integer or ${sides}, received ${showValue(padding)}.`)
}

const show = (padding: readonly number[]): string =>
  padding.every((p) => p === padding[0]) ? String(padding[0]) : `[${padding.join(', ')}]`

/** What paddings of signals share. */
abstract class Pad1d<L extends string> extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: SignalPadRule<L>
  readonly padding: readonly number[]
  readonly mode: PadMode
  readonly value: number
  constructor(padding: Padding1d, mode: PadMode, value = 0) {
    super()
    this.padding = amounts(new.target.name, 1, padding)
    this.mode = mode
    this.value = checkNumber(new.target.name, 'value', value)
  }
  forward<T extends Tensor>(x: T & ExpectSignals<L, number, ShapeOf<T>>): Tensor<SameSignals<ShapeOf<T>>>
  forward(x: Tensor): Tensor {
    checkInput(this.constructor.name, x)
    checkPlanes(this.constructor.name, x, 1)
    return pad(x, this.padding, { mode: this.mode, value: this.value })
  }
  override extraRepr(): string {
    return show(this.padding)
  }
}

/** What paddings of images share. */
abstract class Pad2d<L extends string> extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: ImagePadRule<L>
  readonly padding: readonly number[]
  readonly mode: PadMode
  readonly value: number
  constructor(padding: Padding2d, mode: PadMode, value = 0) {
    super()
    this.padding = amounts(new.target.name, 2, padding)
    this.mode = mode
    this.value = checkNumber(new.target.name, 'value', value)
  }
  forward<T extends Tensor>(x: T & ExpectImages<L, number, ShapeOf<T>>): Tensor<SameChannels<ShapeOf<T>>>
  forward(x: Tensor): Tensor {
    checkInput(this.constructor.name, x)
    checkPlanes(this.constructor.name, x, 2)
    return pad(x, this.padding, { mode: this.mode, value: this.value })
  }
  override extraRepr(): string {
    return show(this.padding)
  }
}

/** Zeros around signals `[N, C, L]`. Source: `torch.nn.ZeroPad1d`. */
export class ZeroPad1d extends Pad1d<'ZeroPad1d'> {
  constructor(padding: Padding1d) {
    super(padding, 'constant')
  }
}

/** Mirrored borders around signals `[N, C, L]`. Source: `torch.nn.ReflectionPad1d`. */
export class ReflectionPad1d extends Pad1d<'ReflectionPad1d'> {
  constructor(padding: Padding1d) {
    super(padding, 'reflect')
  }
}

/** The outermost elements repeated around signals `[N, C, L]`. Source: `torch.nn.ReplicationPad1d`. */
export class ReplicationPad1d extends Pad1d<'ReplicationPad1d'> {
  constructor(padding: Padding1d) {
    super(padding, 'replicate')
  }
}

/** The opposite side continued around signals `[N, C, L]`. Source: `torch.nn.CircularPad1d`. */
export class CircularPad1d extends Pad1d<'CircularPad1d'> {
  constructor(padding: Padding1d) {
    super(padding, 'circular')
  }
}

/** A value around signals `[N, C, L]`. Source: `torch.nn.ConstantPad1d`. */
export class ConstantPad1d extends Pad1d<'ConstantPad1d'> {
  constructor(padding: Padding1d, value: number) {
    super(padding, 'constant', value)
  }
  override extraRepr(): string {
    return `${super.extraRepr()}, ${this.value}`
  }
}

/** Zeros around images `[N, C, H, W]`. Source: `torch.nn.ZeroPad2d`. */
export class ZeroPad2d extends Pad2d<'ZeroPad2d'> {
  constructor(padding: Padding2d) {
    super(padding, 'constant')
  }
}

/** Mirrored borders around images `[N, C, H, W]`. Source: `torch.nn.ReflectionPad2d`. */
export class ReflectionPad2d extends Pad2d<'ReflectionPad2d'> {
  constructor(padding: Padding2d) {
    super(padding, 'reflect')
  }
}

/** The outermost elements repeated around images `[N, C, H, W]`. Source: `torch.nn.ReplicationPad2d`. */
export class ReplicationPad2d extends Pad2d<'ReplicationPad2d'> {
  constructor(padding: Padding2d) {
    super(padding, 'replicate')
  }
}

/** The opposite side continued around images `[N, C, H, W]`. Source: `torch.nn.CircularPad2d`. */
export class CircularPad2d extends Pad2d<'CircularPad2d'> {
  constructor(padding: Padding2d) {
    super(padding, 'circular')
  }
}

/** A value around images `[N, C, H, W]`. Source: `torch.nn.ConstantPad2d`. */
export class ConstantPad2d extends Pad2d<'ConstantPad2d'> {
  constructor(padding: Padding2d, value: number) {
    super(padding, 'constant', value)
  }
  override extraRepr(): string {
    return `${super.extraRepr()}, ${this.value}`
  }
}
