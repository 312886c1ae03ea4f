/**
 * Padding: with a value, or with what the tensor has inside. Reflection, replication and the circular way join views of the tensor.
 */
import { checkHeld } from '../../base/dtype.js'
import { ArgumentError, checkOptions, ShapeError, showShape, showValue } from '../../base/errors.js'
import { checkList } from '../../base/shape.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import type { Padded } from '../../types/index.js'
import { checkTensor } from '../core/dispatch.js'
import { concat } from './join.js'
import { expand, narrow, padConstant, slice } from './movement.js'

export type PadMode = 'constant' | 'reflect' | 'replicate' | 'circular'

const modes: readonly PadMode[] = ['constant', 'reflect', 'replicate', 'circular']

/** `n` slices that continue the tensor on one side of `dim`. */
function border(x: Tensor, dim: number, n: number, mode: PadMode, before: boolean): Tensor {
  const size = x.shape[dim]
  if (mode === 'circular') return narrow(x, dim, before ? size - n : 0, n)
  if (mode === 'replicate') {
    return expand(
      narrow(x, dim, before ? 0 : size - 1, 1),
      x.shape.map((s, d) => (d === dim ? n : s)),
    )
  }
  // the mirror is the outermost slice, which does not appear twice
  return slice(narrow(x, dim, before ? 1 : size - 1 - n, n), dim, -1, undefined, -1)
}

/** Amounts for one dimension as lists for all. */
function sides(x: Tensor, dim: number, before: number, after: number): [number[], number[]] {
  const at = (n: number): number[] => x.shape.map((_, d) => (d === dim ? n : 0))
  return [at(before), at(after)]
}

function padInside(x: Tensor, dim: number, before: number, after: number, mode: PadMode): Tensor {
  // what goes round is what cropping leaves, as in PyTorch; mirrors and copies are of the whole
  if (mode === 'circular' && before * after < 0) {
    const cropped = padConstant(x, ...sides(x, dim, Math.min(0, before), Math.min(0, after)), 0)
    return padInside(cropped, dim, Math.max(0, before), Math.max(0, after), mode)
  }
  const size = x.shape[dim]
  const most = mode === 'reflect' ? size - 1 : mode === 'circular' ? size : size > 0 ? Number.POSITIVE_INFINITY : 0
  if (before > most || after > most) {
    throw new ShapeError(
      'ERR_PAD',
      `pad: mode '${mode}' adds at most ${Math.max(0, most)} to dimension ${dim} of ${showShape(x.shape)}, received ${before} and ${after}.`,
    )
  }
  const parts: Tensor[] = []
  if (before > 0) parts.push(border(x, dim, before, mode, true))
  parts.push(x)
  if (after > 0) parts.push(border(x, dim, after, mode, false))
  const y = concat(parts, dim)
  const [cutBefore, cutAfter] = [Math.max(0, -before), Math.max(0, -after)]
  if (cutBefore + cutAfter === 0) return y
  if (cutBefore + cutAfter > y.shape[dim])
    throw new ShapeError('ERR_PAD', `pad: [${before}, ${after}] crops more than there is of ${showShape(x.shape)}.`)
  return narrow(y, dim, cutBefore, y.shape[dim] - cutBefore - cutAfter)
}

/**
 * Padding in PyTorch's order: `[left, right]` of the last dimension, then pairs towards the first. Negative amounts crop. `mode` is 'constant'
 * (the default, with `value`, default 0), 'reflect' (mirrored at the outermost element), 'replicate' (the outermost element again) or 'circular'.
 *
 *     pad(x, [1, 1, 2, 2], { value: 0 })   // last dimension by 1 on each side, the one before by 2
 *     pad(x, [3, 3], { mode: 'reflect' })
 *
 * @throws ShapeError when a border is larger than what can be reflected or repeated, or more is cropped than there is.
 */
export function pad<T extends Tensor, const P extends readonly number[]>(
  x: T,
  padding: P,
  options?: { mode?: PadMode; value?: number },
): Tensor<Padded<ShapeOf<T>, P>>
export function pad(x: Tensor, padding: readonly number[], options: { mode?: PadMode; value?: number } = {}): Tensor {
  checkOptions('pad', options, { mode: true, value: true })
  checkTensor('pad', 'x', x)
  checkList('pad', 'the padding', padding)
  const { mode = 'constant', value = 0 } = options
  if (!modes.includes(mode))
    throw new ArgumentError('ERR_OPTION', `pad: mode must be one of ${modes.join(', ')}, received ${showValue(mode)}.`)
  if (typeof value !== 'number') throw new ArgumentError('ERR_PAD', `pad: value must be a number, received ${showValue(value)}.`)
  if (mode === 'constant') checkHeld('pad', value, x.dtype)
  if (padding.length % 2 !== 0 || padding.length > 2 * x.ndim || !padding.every(Number.isInteger)) {
    throw new ArgumentError(
      'ERR_PAD',
      `pad: ${showValue(padding)} must be pairs of integers, at most one pair for each of the ${x.ndim} dimensions.`,
    )
  }
  const before = x.shape.map((_, i) => padding[2 * (x.ndim - 1 - i)] ?? 0)
  const after = x.shape.map((_, i) => padding[2 * (x.ndim - 1 - i) + 1] ?? 0)
  if (mode === 'constant') return padConstant(x, before, after, value)
  return x.shape.reduce((y, _, d) => (before[d] === 0 && after[d] === 0 ? y : padInside(y, d, before[d], after[d], mode)), x)
}
