/**
 * Overlap of boxes, for object detection. A box is [x1, y1, x2, y2] with x1 ≤ x2 and y1 ≤ y2.
 */
import { checkOptions, ShapeError, showShape } from '../base/errors.js'
import { sameShape } from '../base/shape.js'
import { add, div, maximum, minimum, mul, relu, sub } from '../ops/basic/elementwise.js'
import { narrow, reshape, unsqueeze } from '../ops/basic/movement.js'
import type { Tensor } from '../tensor/tensor.js'
import { checkFloat, checkOption, checkReduction, type LossOptions, reduceLoss } from './check.js'

/** The four coordinates of boxes `[…, 4]`, each `[…]`. */
function corners(op: string, name: string, boxes: Tensor): [Tensor, Tensor, Tensor, Tensor] {
  checkFloat(op, name, boxes)
  if (boxes.ndim < 1 || boxes.shape[boxes.ndim - 1] !== 4)
    throw new ShapeError(
      'ERR_BOXES',
      `${op}: ${name} must be [N, 4] with [x1, y1, x2, y2] in each row, received ${showShape(boxes.shape)}.`,
    )
  const at = (i: number): Tensor => reshape(narrow(boxes, -1, i, 1), boxes.shape.slice(0, -1))
  return [at(0), at(1), at(2), at(3)]
}

interface Overlap {
  readonly intersection: Tensor
  readonly union: Tensor
  /** Of the smallest box around both. */
  readonly hull: Tensor
}

function overlap(a: readonly Tensor[], b: readonly Tensor[]): Overlap {
  const [ax1, ay1, ax2, ay2] = a
  const [bx1, by1, bx2, by2] = b
  const area = (x1: Tensor, y1: Tensor, x2: Tensor, y2: Tensor): Tensor => mul(sub(x2, x1), sub(y2, y1))
  const width = relu(sub(minimum(ax2, bx2), maximum(ax1, bx1)))
  const height = relu(sub(minimum(ay2, by2), maximum(ay1, by1)))
  const intersection = mul(width, height)
  const union = sub(add(area(ax1, ay1, ax2, ay2), area(bx1, by1, bx2, by2)), intersection)
  return { intersection, union, hull: area(minimum(ax1, bx1), minimum(ay1, by1), maximum(ax2, bx2), maximum(ay2, by2)) }
}

/** Every box of the first with every box of the second. */
function pairs(op: string, boxes1: Tensor, boxes2: Tensor): Overlap {
  const a = corners(op, 'the first boxes', boxes1)
  const b = corners(op, 'the second boxes', boxes2)
  if (boxes1.ndim !== 2 || boxes2.ndim !== 2)
    throw new ShapeError(
      'ERR_BOXES',
      `${op}: needs boxes [N, 4] and [M, 4], received ${showShape(boxes1.shape)} and ${showShape(boxes2.shape)}.`,
    )
  return overlap(
    a.map((t) => unsqueeze(t, 1)),
    b.map((t) => unsqueeze(t, 0)),
  )
}

/** Intersection over union of all boxes `[N, 4]` with all boxes `[M, 4]`: `[N, M]`. Source: `torchvision.ops.box_iou`. @throws ShapeError `ERR_BOXES`. */
export function boxIou(boxes1: Tensor, boxes2: Tensor): Tensor {
  const { intersection, union } = pairs('boxIou', boxes1, boxes2)
  return div(intersection, union)
}

/**
 * `boxIou` less the share of the smallest box around both that neither fills, −1 … 1: `[N, 4]` and `[M, 4]` give `[N, M]`. Source: Rezatofighi et al. 2019,
 * `torchvision.ops.generalized_box_iou`.
 *
 * @throws ShapeError `ERR_BOXES`.
 */
export function generalizedBoxIou(boxes1: Tensor, boxes2: Tensor): Tensor {
  const { intersection, union, hull } = pairs('generalizedBoxIou', boxes1, boxes2)
  return sub(div(intersection, union), div(sub(hull, union), hull))
}

/** Box for box. */
function matched(op: string, boxes1: Tensor, boxes2: Tensor): Overlap {
  const a = corners(op, 'the first boxes', boxes1)
  const b = corners(op, 'the second boxes', boxes2)
  if (!sameShape(boxes1.shape, boxes2.shape))
    throw new ShapeError(
      'ERR_LOSS_SHAPE',
      `${op}: needs as many boxes as targets, received ${showShape(boxes1.shape)} and ${showShape(boxes2.shape)}.`,
    )
  return overlap(a, b)
}

export interface BoxLossOptions extends LossOptions {
  /** Keeps quotients finite; default 1e-7. */
  eps?: number
}

/** 1 − intersection over union, box for box, `[…, 4]`. Default: `reduction` 'none', as in torchvision. @throws ShapeError `ERR_BOXES`, `ERR_LOSS_SHAPE`. */
export function boxIouLoss(boxes1: Tensor, boxes2: Tensor, options: BoxLossOptions = {}): Tensor {
  checkOptions('boxIouLoss', options, { reduction: true, eps: true })
  const reduction = checkReduction('boxIouLoss', options.reduction ?? 'none')
  const eps = checkOption('boxIouLoss', 'eps', options.eps ?? 1e-7, 0)
  const { intersection, union } = matched('boxIouLoss', boxes1, boxes2)
  return reduceLoss(sub(1, div(intersection, add(union, eps))), reduction)
}

/**
 * 1 − generalized intersection over union, box for box, `[…, 4]`: boxes that do not touch have a gradient too. Default: `reduction` 'none', as in torchvision.
 * Source: Rezatofighi et al. 2019, `torchvision.ops.generalized_box_iou_loss`.
 *
 *     generalizedBoxIouLoss(boxes, wanted, { reduction: 'mean' })
 *
 * @throws ShapeError `ERR_BOXES`, `ERR_LOSS_SHAPE`.
 */
export function generalizedBoxIouLoss(boxes1: Tensor, boxes2: Tensor, options: BoxLossOptions = {}): Tensor {
  const op = 'generalizedBoxIouLoss'
  checkOptions(op, options, { reduction: true, eps: true })
  const reduction = checkReduction(op, options.reduction ?? 'none')
  const eps = checkOption(op, 'eps', options.eps ?? 1e-7, 0)
  const { intersection, union, hull } = matched(op, boxes1, boxes2)
  const iou = div(intersection, add(union, eps))
  return reduceLoss(sub(1, sub(iou, div(sub(hull, union), add(hull, eps)))), reduction)
}
