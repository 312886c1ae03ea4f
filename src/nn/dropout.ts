/**
 * Dropout: of elements, of whole channels.
 */
import { ShapeError, showShape } from '../base/errors.js'
import { dropout } from '../ops/basic/dropout.js'
import type { ShapeOf, Tensor } from '../tensor/tensor.js'
import type { KeepRule } from './chain.js'
import { checkInput, checkNumber } from './check.js'
import { Module } from './module.js'

/** What all kinds share; they differ in the shape of what is drawn. */
abstract class Drop extends Module {
  /** For the type checker only: what the layer does to shapes. */
  declare readonly __rule?: KeepRule
  readonly p: number
  constructor(p = 0.5) {
    super()
    this.p = checkNumber(new.target.name, 'p', p, 0, 1)
  }

  /** The shape of the mask for x, which is broadcast. */
  protected abstract maskShape(x: Tensor): readonly number[]

  forward<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
  forward(x: Tensor): Tensor {
    checkInput(this.constructor.name, x)
    const shape = this.maskShape(x)
    return this.training ? dropout(x, this.p, shape) : x
  }
  override extraRepr(): string {
    return String(this.p)
  }
}

/**
 * In training sets each element to 0 with probability `p` (default 0.5) and divides the others by 1 − p; in evaluation passes everything.
 * Source: Srivastava et al. 2014, `torch.nn.Dropout`.
 *
 *     const drop = new nn.Dropout(0.2)
 *     drop.forward(x)                         // any shape
 *
 * @throws ArgumentError `ERR_LAYER_OPTION` unless 0 ≤ p ≤ 1.
 */
export class Dropout extends Drop {
  protected maskShape(x: Tensor): readonly number[] {
    return x.shape
  }
}

function channelMask(layer: string, x: Tensor, ndim: number, input: string): readonly number[] {
  if (x.ndim !== ndim) throw new ShapeError('ERR_LAYER_INPUT', `${layer}: expects ${input}, received ${showShape(x.shape)}. Reshape it.`)
  return x.shape.map((s, i) => (i < 2 ? s : 1))
}

/**
 * Drops whole channels of `[N, C, L]`, in training: each is 0 with probability `p` (default 0.5), the others are divided by 1 − p.
 * Source: Tompson et al. 2015, `torch.nn.Dropout1d`.
 */
export class Dropout1d extends Drop {
  protected maskShape(x: Tensor): readonly number[] {
    return channelMask('Dropout1d', x, 3, 'signals [N, C, L]')
  }
}

/**
 * Drops whole channels of images `[N, C, H, W]`, in training: each is 0 with probability `p` (default 0.5), the others are divided by 1 − p.
 * Source: Tompson et al. 2015, `torch.nn.Dropout2d`.
 */
export class Dropout2d extends Drop {
  protected maskShape(x: Tensor): readonly number[] {
    return channelMask('Dropout2d', x, 4, 'images [N, C, H, W]')
  }
}

/**
 * Drops whole channels of volumes `[N, C, D, H, W]`, in training: each is 0 with probability `p` (default 0.5), the others are divided by 1 − p.
 * Source: Tompson et al. 2015, `torch.nn.Dropout3d`.
 */
export class Dropout3d extends Drop {
  protected maskShape(x: Tensor): readonly number[] {
    return channelMask('Dropout3d', x, 5, 'volumes [N, C, D, H, W]')
  }
}
