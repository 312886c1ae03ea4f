/**
 * Ops whose result's shape depends on data: nonzero, maskedSelect, unique, bincount. They read their input, and so run eagerly only; inside `compile`
 * they are an error that says what to use instead.
 */
import { type TypedArray, viewMemory } from '../../base/dtype.js'
import { ArgumentError, checkOptions, DataError, ShapeError, showShape, showValue } from '../../base/errors.js'
import { broadcast, sizeOf } from '../../base/shape.js'
import { type Tensor, tensor } from '../../tensor/tensor.js'
import { checkTensor, copyOf } from '../core/dispatch.js'
import { to } from '../core/pointwise.js'
import { checkMask, refuseTraced } from './compare.js'
import { full } from './creation.js'
import { checkIndex, scatterSum } from './gather.js'
import { expand, reshape } from './movement.js'
import { take } from './scatter.js'
import { sort } from './sort.js'

/** The elements in row-major order, a copy. */
function elementsOf(x: Tensor): TypedArray {
  const copy = copyOf(x)
  const { bytes } = copy.storage
  return viewMemory(copy.dtype, bytes.buffer, bytes.byteOffset, copy.size)
}

/** Positions in row-major order of what is true or not zero. */
function positionsOf(x: Tensor): Int32Array {
  const data = elementsOf(x)
  let count = 0
  for (let i = 0; i < data.length; i++) if (data[i] !== 0) count++
  const found = new Int32Array(count)
  let next = 0
  for (let i = 0; i < data.length; i++) if (data[i] !== 0) found[next++] = i
  return found
}

/**
 * Where x is not zero: int32 `[count, dimensions]`, in row-major order. Eager only.
 *
 * @throws StateError (`ERR_DATA_DEPENDENT`) inside `compile`.
 */
export function nonzero(x: Tensor): Tensor {
  refuseTraced('nonzero', "the result's size", 'Compute with the mask itself, using where or maskedFill.')
  checkTensor('nonzero', 'x', x)
  const positions = positionsOf(x)
  const out = new Int32Array(positions.length * x.ndim)
  positions.forEach((position, i) => {
    let rest = position
    for (let d = x.ndim - 1; d >= 0; d--) {
      out[i * x.ndim + d] = rest % x.shape[d]
      rest = Math.floor(rest / x.shape[d])
    }
  })
  return tensor(out, { shape: [positions.length, x.ndim] })
}

/**
 * The elements of x where the bool mask is true, as a vector, in row-major order; both broadcast. Eager only.
 *
 * @throws StateError (`ERR_DATA_DEPENDENT`) inside `compile`; DTypeError when the mask is not bool.
 */
export function maskedSelect(x: Tensor, mask: Tensor): Tensor<[number]>
export function maskedSelect(x: Tensor, mask: Tensor): Tensor {
  refuseTraced('maskedSelect', "the result's size", 'Use where or maskedFill, and reduce with the mask.')
  checkTensor('maskedSelect', 'x', x)
  checkTensor('maskedSelect', 'the mask', mask)
  const shape = broadcast('maskedSelect', x.shape, mask.shape)
  return take(expand(x, shape), tensor(positionsOf(expand(checkMask('maskedSelect', mask, shape), shape))))
}

/** The distinct elements in rising order; where asked for, the place of each element of x among them and how often each occurs (both int32). */
export interface Unique {
  readonly values: Tensor<[number]>
  readonly inverse: Tensor
  readonly counts: Tensor<[number]>
}

/**
 * The distinct elements of x in rising order, NaN last and each for itself. With `returnInverse` or `returnCounts` an object `{ values, inverse, counts }`.
 * Eager only.
 *
 *     unique(tensor([3, 1, 3]))                                        // 1, 3
 *     const { values, counts } = unique(labels, { returnCounts: true })
 *
 * @throws StateError (`ERR_DATA_DEPENDENT`) inside `compile`.
 */
export function unique(x: Tensor): Tensor<[number]>
export function unique(x: Tensor, options: { returnInverse?: boolean; returnCounts?: boolean }): Unique
export function unique(x: Tensor, options?: { returnInverse?: boolean; returnCounts?: boolean }): Tensor | Unique {
  refuseTraced('unique', "the result's size", 'Call it outside and pass its result in.')
  if (options !== undefined) checkOptions('unique', options, { returnInverse: true, returnCounts: true })
  checkTensor('unique', 'x', x)
  const { values, indices } = sort(reshape(x, [x.size]).detach())
  const sorted = elementsOf(values)
  const order = elementsOf(indices)
  const inverse = new Int32Array(x.size)
  const starts: number[] = []
  for (let i = 0; i < sorted.length; i++) {
    if (i === 0 || sorted[i] !== sorted[i - 1]) starts.push(i)
    inverse[order[i]] = starts.length - 1
  }
  const distinct = take(values, tensor(Int32Array.from(starts))) as Tensor<[number]>
  if (!options?.returnInverse && !options?.returnCounts) return distinct
  const counts = Int32Array.from(starts, (s, i) => (starts[i + 1] ?? sorted.length) - s)
  return { values: distinct, inverse: tensor(inverse, { shape: x.shape }), counts: tensor(counts) as Tensor<[number]> }
}

/**
 * How often each number 0, 1, … occurs in a vector of int32 or uint8, as int32; with `weights` their sums instead. At least `minlength` numbers long.
 * Eager only: the greatest number decides the length.
 *
 * @throws StateError (`ERR_DATA_DEPENDENT`) inside `compile`; DataError for negative numbers.
 */
export function bincount(x: Tensor | readonly number[], options: { weights?: Tensor; minlength?: number } = {}): Tensor<[number]> {
  checkOptions('bincount', options, { weights: true, minlength: true })
  refuseTraced('bincount', "the result's size", 'Use scatterAdd into zeros of a known size.')
  const at = checkIndex('bincount', x)
  const { weights, minlength = 0 } = options
  if (at.ndim !== 1) throw new ShapeError('ERR_RANK', `bincount: needs a vector, received ${showShape(at.shape)}. Use reshape([-1]).`)
  if (!Number.isInteger(minlength) || minlength < 0)
    throw new ArgumentError('ERR_BINCOUNT', `bincount: minlength must be an integer from 0, received ${showValue(minlength)}.`)
  if (weights !== undefined) {
    checkTensor('bincount', 'the weights', weights)
    if (weights.ndim !== 1 || weights.size !== at.size)
      throw new ShapeError(
        'ERR_BINCOUNT',
        `bincount: ${sizeOf(at.shape)} numbers need as many weights, received ${showShape(weights.shape)}.`,
      )
  }
  let greatest = -1
  elementsOf(at).forEach((n, i) => {
    if (n < 0) throw new DataError('ERR_BINCOUNT', `bincount: the numbers must not be negative, received ${n} at position ${i}.`)
    greatest = Math.max(greatest, n)
  })
  const shares = weights ?? full(at.shape, 1, { dtype: 'int32' })
  const counted = shares.dtype === 'uint8' || shares.dtype === 'bool' ? to(shares, 'int32') : shares
  return scatterSum(counted, at, 0, Math.max(minlength, greatest + 1)) as Tensor<[number]>
}
