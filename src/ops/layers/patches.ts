/**
 * Windows of images as columns, and columns summed back into images: one look-up, and its transpose.
 */
import { checkOptions, ShapeError, showShape } from '../../base/errors.js'
import { checkSize } from '../../base/shape.js'
import type { Tensor } from '../../tensor/tensor.js'
import type { AnyShape } from '../../types/index.js'
import { tableTensor } from '../basic/creation.js'
import { gatherRow, scatterAddRow } from '../basic/gather.js'
import { expand, reshape } from '../basic/movement.js'
import { pad } from '../basic/pad.js'
import { apply, checkFloat, checkTensor } from '../core/dispatch.js'
import { convSize } from './conv-rows.js'
import { checkPlanes, type Pair, pairOf, unfoldNames } from './spatial.js'

export interface UnfoldOptions {
  /** Distance between the kernel's cells; default 1. */
  dilation?: Pair
  /** Zeros on each side; default 0. */
  padding?: Pair
  /** Default 1. */
  stride?: Pair
}

interface Patches {
  /** Positions in a padded plane, `[kh·kw·windows]`. */
  readonly index: Tensor
  readonly kernel: readonly [number, number]
  readonly padding: readonly [number, number]
  /** Sizes of the padded plane. */
  readonly padded: readonly [number, number]
  readonly windows: number
}

function patches(op: string, size: readonly number[], kernelSize: Pair, o: UnfoldOptions): Patches {
  checkOptions(op, o, unfoldNames)
  const kernel = pairOf(op, 'kernelSize', kernelSize, 1, 'ERR_FOLD_OPTION')
  const dilation = pairOf(op, 'dilation', o.dilation ?? 1, 1, 'ERR_FOLD_OPTION')
  const padding = pairOf(op, 'padding', o.padding ?? 0, 0, 'ERR_FOLD_OPTION')
  const stride = pairOf(op, 'stride', o.stride ?? 1, 1, 'ERR_FOLD_OPTION')
  const count = (d: number): number => convSize(size[d], kernel[d], stride[d], padding[d], dilation[d])
  const [rows, columns] = [count(0), count(1)]
  if (rows < 1 || columns < 1) {
    throw new ShapeError(
      'ERR_CONV_SIZE',
      `${op}: the window ${kernel.join('x')} (dilation ${dilation.join('x')}) is larger than the padded image ${size.join('x')}, padding ${padding.join('x')}.`,
    )
  }
  checkSize(op, [...kernel, rows, columns])
  const padded: [number, number] = [size[0] + 2 * padding[0], size[1] + 2 * padding[1]]
  checkSize(op, padded)
  const index = tableTensor(`patches ${[kernel, stride, dilation, rows, columns, padded[1]].join(' ')}`, 'int32', () => {
    const positions = new Int32Array(kernel[0] * kernel[1] * rows * columns)
    let at = 0
    for (let p = 0; p < kernel[0]; p++)
      for (let q = 0; q < kernel[1]; q++)
        for (let i = 0; i < rows; i++)
          for (let j = 0; j < columns; j++)
            positions[at++] = (i * stride[0] + p * dilation[0]) * padded[1] + j * stride[1] + q * dilation[1]
    return positions
  })
  return { index, kernel, padding, padded, windows: rows * columns }
}

/**
 * The windows of `x: [N, C, H, W]` as columns: `[N, C·kh·kw, windows]`. Defaults: `dilation` 1, `padding` 0, `stride` 1.
 * Source: `torch.nn.functional.unfold` (im2col).
 *
 *     unfold(images, 3, { padding: 1 })     // [N, C, H, W] → [N, 9·C, H·W]
 *
 * @throws ShapeError for other ranks or windows larger than the image; ArgumentError for options out of range.
 */
export function unfold(x: Tensor, kernelSize: Pair, options: UnfoldOptions = {}): Tensor<AnyShape> {
  checkPlanes('unfold', x, 2)
  const [n, c, h, w] = x.shape
  const { index, kernel, padding, padded, windows } = patches('unfold', [h, w], kernelSize, options)
  const [ph, pw] = padding
  const flat = reshape(pad(x, [pw, pw, ph, ph]), [n, c, padded[0] * padded[1]])
  const columns = apply(gatherRow, [flat, expand(index, [n, c, index.size])], { axis: 2 })
  return reshape(columns, [n, c * kernel[0] * kernel[1], windows])
}

/**
 * Columns `x: [N, C·kh·kw, windows]` summed into an image `[N, C, H, W]` of `outputSize`, where windows overlap; the transpose of `unfold`.
 * Defaults: `dilation` 1, `padding` 0, `stride` 1. Source: `torch.nn.functional.fold` (col2im).
 *
 *     fold(columns, [28, 28], 3, { padding: 1 })
 *
 * @throws ShapeError `ERR_FOLD` when x does not have the rows and columns these windows have.
 */
export function fold(x: Tensor, outputSize: Pair, kernelSize: Pair, options: UnfoldOptions = {}): Tensor<AnyShape> {
  checkTensor('fold', 'x', x)
  checkFloat('fold', x)
  const size = pairOf('fold', 'outputSize', outputSize, 1, 'ERR_FOLD_OPTION')
  const { index, kernel, padding, padded, windows } = patches('fold', size, kernelSize, options)
  const cells = kernel[0] * kernel[1]
  if (x.ndim !== 3 || x.shape[1] % cells !== 0 || x.shape[2] !== windows) {
    throw new ShapeError(
      'ERR_FOLD',
      `fold: needs x [N, C·${cells}, ${windows}] for an image of ${size.join('x')} and windows of ${kernel.join('x')}, received ${showShape(x.shape)}.`,
    )
  }
  const [n, rows] = x.shape
  const c = rows / cells
  const columns = reshape(x, [n, c, cells * windows])
  const flat = apply(scatterAddRow, [columns, expand(index, columns.shape)], { axis: 2, size: padded[0] * padded[1] })
  const [ph, pw] = padding
  return pad(reshape(flat, [n, c, ...padded]), [-pw, -pw, -ph, -ph])
}
