/**
 * Padding layers over signals `[N, C, L]`, images `[N, C, H, W]` and volumes `[N, C, D, H, W]`.
 */
import { ArgumentError, showValue } from '../base/errors.js'
import { type PadMode, pad } from '../ops/basic/pad.js'
import type { Rank } from '../ops/layers/spatial.js'
import type { Tensor } from '../tensor/tensor.js'
import { checkNumber } from './check.js'
import { PlanesLayer } from './planes.js'

/** One amount for all sides, or `[left, right]`. Negative amounts crop. */
export type Padding1d = number | readonly [number, number]
/** One amount for all sides, or `[left, right, top, bottom]`. Negative amounts crop. */
export type Padding2d = number | readonly [number, number, number, number]
/** One amount for all sides, or `[left, right, top, bottom, front, back]`. Negative amounts crop. */
export type Padding3d = number | readonly [number, number, number, number, number, number]

const sides = ['left', 'right', 'top', 'bottom', 'front', 'back']

/** Amounts as pad() takes them. @throws ArgumentError `ERR_LAYER_OPTION`. */
function amounts(layer: string, rank: Rank, padding: number | readonly number[]): number[] {
  const list = typeof padding === 'number' ? new Array<number>(2 * rank).fill(padding) : padding
  if (Array.isArray(list) && list.length === 2 * rank && list.every(Number.isInteger)) return [...list]
  throw new ArgumentError(
    'ERR_LAYER_OPTION',
    `${layer}: padding must be an integer or [${sides.slice(0, 2 * rank).join(', ')}], received ${showValue(padding)}.`,
  )
}

const show = (padding: readonly number[]): string =>
  padding.every((p) => p === padding[0]) ? String(padding[0]) : `[${padding.join(', ')}]`

abstract class Pad<R extends Rank, L extends string> extends PlanesLayer<R, L> {
  readonly padding: readonly number[]
  readonly mode: PadMode
  readonly value: number
  constructor(rank: R, padding: number | readonly number[], mode: PadMode, value = 0) {
    super(rank)
    this.padding = amounts(new.target.name, rank, padding)
    this.mode = mode
    this.value = checkNumber(new.target.name, 'value', value)
  }
  protected compute(x: Tensor): Tensor {
    return pad(x, this.padding, { mode: this.mode, value: this.value })
  }
  override extraRepr(): string {
    return show(this.padding)
  }
}

/** Zeros around signals `[N, C, L]`. Source: `torch.nn.ZeroPad1d`. */
export class ZeroPad1d extends Pad<1, 'ZeroPad1d'> {
  constructor(padding: Padding1d) {
    super(1, padding, 'constant')
  }
}

/** Mirrored borders around signals `[N, C, L]`. Source: `torch.nn.ReflectionPad1d`. */
export class ReflectionPad1d extends Pad<1, 'ReflectionPad1d'> {
  constructor(padding: Padding1d) {
    super(1, padding, 'reflect')
  }
}

/** The outermost elements repeated around signals `[N, C, L]`. Source: `torch.nn.ReplicationPad1d`. */
export class ReplicationPad1d extends Pad<1, 'ReplicationPad1d'> {
  constructor(padding: Padding1d) {
    super(1, padding, 'replicate')
  }
}

/** The opposite side continued around signals `[N, C, L]`. Source: `torch.nn.CircularPad1d`. */
export class CircularPad1d extends Pad<1, 'CircularPad1d'> {
  constructor(padding: Padding1d) {
    super(1, padding, 'circular')
  }
}

/** Zeros around images `[N, C, H, W]`. Source: `torch.nn.ZeroPad2d`. */
export class ZeroPad2d extends Pad<2, 'ZeroPad2d'> {
  constructor(padding: Padding2d) {
    super(2, padding, 'constant')
  }
}

/** Mirrored borders around images `[N, C, H, W]`. Source: `torch.nn.ReflectionPad2d`. */
export class ReflectionPad2d extends Pad<2, 'ReflectionPad2d'> {
  constructor(padding: Padding2d) {
    super(2, padding, 'reflect')
  }
}

/** The outermost elements repeated around images `[N, C, H, W]`. Source: `torch.nn.ReplicationPad2d`. */
export class ReplicationPad2d extends Pad<2, 'ReplicationPad2d'> {
  constructor(padding: Padding2d) {
    super(2, padding, 'replicate')
  }
}

/** The opposite side continued around images `[N, C, H, W]`. Source: `torch.nn.CircularPad2d`. */
export class CircularPad2d extends Pad<2, 'CircularPad2d'> {
  constructor(padding: Padding2d) {
    super(2, padding, 'circular')
  }
}

/** Zeros around volumes `[N, C, D, H, W]`. Source: `torch.nn.ZeroPad3d`. */
export class ZeroPad3d extends Pad<3, 'ZeroPad3d'> {
  constructor(padding: Padding3d) {
    super(3, padding, 'constant')
  }
}

/** Mirrored borders around volumes `[N, C, D, H, W]`. Source: `torch.nn.ReflectionPad3d`. */
export class ReflectionPad3d extends Pad<3, 'ReflectionPad3d'> {
  constructor(padding: Padding3d) {
    super(3, padding, 'reflect')
  }
}

/** The outermost elements repeated around volumes `[N, C, D, H, W]`. Source: `torch.nn.ReplicationPad3d`. */
export class ReplicationPad3d extends Pad<3, 'ReplicationPad3d'> {
  constructor(padding: Padding3d) {
    super(3, padding, 'replicate')
  }
}

/** The opposite side continued around volumes `[N, C, D, H, W]`. Source: `torch.nn.CircularPad3d`. */
export class CircularPad3d extends Pad<3, 'CircularPad3d'> {
  constructor(padding: Padding3d) {
    super(3, padding, 'circular')
  }
}

/** A value around; its print shows it. */
abstract class ConstantPad<R extends Rank, L extends string> extends Pad<R, L> {
  constructor(rank: R, padding: number | readonly number[], value: number) {
    super(rank, padding, 'constant', value)
  }
  override extraRepr(): string {
    return `${super.extraRepr()}, ${this.value}`
  }
}

/** A value around signals `[N, C, L]`. Source: `torch.nn.ConstantPad1d`. */
export class ConstantPad1d extends ConstantPad<1, 'ConstantPad1d'> {
  constructor(padding: Padding1d, value: number) {
    super(1, padding, value)
  }
}

/** A value around images `[N, C, H, W]`. Source: `torch.nn.ConstantPad2d`. */
export class ConstantPad2d extends ConstantPad<2, 'ConstantPad2d'> {
  constructor(padding: Padding2d, value: number) {
    super(2, padding, value)
  }
}

/** A value around volumes `[N, C, D, H, W]`. Source: `torch.nn.ConstantPad3d`. */
export class ConstantPad3d extends ConstantPad<3, 'ConstantPad3d'> {
  constructor(padding: Padding3d, value: number) {
    super(3, padding, value)
  }
}
