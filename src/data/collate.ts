/**
 * From samples to batches: stacking values of one shape and dtype into typed arrays.
 *
 * In: what a user's data set hands out (numbers, nested arrays, typed arrays, arrays with a shape). Out: fields, each a
 * typed array with shape and dtype, ready to become tensors.
 */
import { arrayKind, checkDType, type DType, dtypeOfArray, itemSize, type TypedArray, viewMemory } from '../base/dtype.js'
import { ArgumentError, DataError, DTypeError, ShapeError, showKind, showShape, showValue } from '../base/errors.js'
import { checkList, checkShape, maxRank, sizeOf } from '../base/shape.js'

/** A typed array with its shape: one side of a batch (`[batch, …]`), or one value of a sample. */
export interface Field {
  readonly data: TypedArray
  readonly shape: readonly number[]
  readonly dtype: DType
}

/** A typed array with its shape as users write it: the dtype is that of the array; `bool` makes bytes booleans. */
export interface ShapedArray {
  readonly data: TypedArray
  readonly shape: readonly number[]
  readonly dtype?: DType
}

/** Numbers in arrays in arrays, the innermost rows typed arrays or not. */
export type Nested = number | boolean | TypedArray | Uint8ClampedArray | readonly Nested[]

/** What a field can be made from. A plain typed array is one-dimensional; plain numbers become float32. */
export type FieldLike = ShapedArray | TypedArray | Uint8ClampedArray | Nested

/** Fresh memory for `count` elements. */
export function allocate(dtype: DType, count: number): TypedArray {
  return viewMemory(dtype, new ArrayBuffer(count * itemSize(dtype)), 0, count)
}

/**
 * Anything field-like as a field. Typed arrays are wrapped, not copied; a typed array keeps its type, plain numbers become
 * float32 (or `dtype`), plain booleans bool.
 *
 * @throws ShapeError `ERR_DATA_RAGGED` for nested arrays of unequal lengths, `ERR_DATA_SHAPE` for data that does not fill its shape;
 *   DTypeError for typed arrays without a dtype here.
 *
 *     toField([[0, 1], [1, 0]], 'inputs').shape   // [2, 2]
 */
export function toField(value: FieldLike, what: string, dtype?: DType): Field {
  if (ArrayBuffer.isView(value)) {
    const own = dtypeOfArray(value)
    const clamped = arrayKind(value) === 'Uint8ClampedArray'
    const data = clamped ? new Uint8Array(value.buffer, value.byteOffset, value.length) : (value as TypedArray)
    return { data, shape: [data.length], dtype: own === 'uint8' && dtype === 'bool' ? 'bool' : own }
  }
  if (typeof value === 'number' || typeof value === 'boolean' || Array.isArray(value)) return fromNested(value as Nested, what, dtype)
  const field = value as Field | null | undefined
  if (!field || !ArrayBuffer.isView(field.data) || !Array.isArray(field.shape)) {
    throw new ArgumentError(
      'ERR_DATA_FIELD',
      `${what}: expected a typed array, { data, shape }, or numbers in arrays, received ${showKind(value)}.`,
    )
  }
  const count = sizeOf(checkShape(what, field.shape))
  if (count !== field.data.length) {
    throw new ShapeError(
      'ERR_DATA_SHAPE',
      `${what}: shape ${showShape(field.shape)} holds ${count} elements, the data ${field.data.length}.`,
    )
  }
  const own = dtypeOfArray(field.data)
  return { data: field.data, shape: field.shape, dtype: field.dtype === 'bool' && own === 'uint8' ? 'bool' : own }
}

function fromNested(value: Nested, what: string, dtype: DType | undefined): Field {
  const shape: number[] = []
  let first: Nested = value
  // one dimension too many is enough to refuse; arrays that contain themselves have no end
  while (Array.isArray(first) && shape.length <= maxRank) {
    shape.push(first.length)
    if (first.length === 0) break
    first = first[0]
  }
  if (dtype !== undefined) checkDType('dataset', dtype)
  const own = ArrayBuffer.isView(first) ? dtypeOfArray(first) : undefined
  if (ArrayBuffer.isView(first)) shape.push(first.length)
  const kind = dtype ?? own ?? (typeof first === 'boolean' ? 'bool' : 'float32')
  const data = allocate(
    kind,
    shape.reduce((product, extent) => product * extent, 1),
  )
  let at = 0
  const fill = (part: Nested, axis: number): void => {
    if (axis === shape.length) {
      if (typeof part === 'string')
        throw new ArgumentError('ERR_DATA_FIELD', `${what}: expected numbers, found ${showValue(part)}. Convert text with Number(…).`)
      if (typeof part !== 'number' && typeof part !== 'boolean') throw ragged(what, shape, part)
      data[at] = Number(part)
      // A label of 2.5 or -1 as uint8 would silently become another label; NaN in float data is for the loss to catch.
      const isFloat = kind === 'float32' || kind === 'float64'
      if ((!isFloat && data[at] !== Number(part)) || (kind === 'bool' && data[at] > 1)) {
        throw new DataError('ERR_DATA_RANGE', `${what}: ${part} at element ${at} is no ${kind} value. Pass another dtype.`)
      }
      at++
      return
    }
    if (axis === shape.length - 1 && ArrayBuffer.isView(part)) {
      if (part.length !== shape[axis]) throw ragged(what, shape, part)
      if (dtypeOfArray(part) !== kind) throw mixed(what, kind, dtypeOfArray(part))
      data.set(part, at)
      at += part.length
      return
    }
    if (!Array.isArray(part) || part.length !== shape[axis]) throw ragged(what, shape, part)
    if (own !== undefined && own !== 'float32' && axis === shape.length - 1) throw mixed(what, kind, 'float32')
    for (const item of part as readonly Nested[]) fill(item, axis + 1)
  }
  fill(value, 0)
  return { data, shape, dtype: kind }
}

/** Rows of several types would be converted in silence. */
function mixed(what: string, first: DType, other: DType): DTypeError {
  return new DTypeError('ERR_DTYPE_MIXED', `${what}: rows of ${first} and of ${other} do not mix. Make them of one type.`)
}

function ragged(what: string, shape: readonly number[], part: unknown): ShapeError {
  const found = Array.isArray(part) || ArrayBuffer.isView(part) ? `an array of ${(part as TypedArray).length}` : showKind(part)
  return new ShapeError(
    'ERR_DATA_RAGGED',
    `${what}: nested arrays must agree with the first, of shape ${showShape(shape)}; found ${found}. Pad or crop.`,
  )
}

/**
 * Stacks samples into a batch: sample field k becomes batch field k, with a new first axis.
 *
 * @param samples at least one; each an array of fields, `[input, target]`.
 * @param dtypes for fields of plain numbers, default float32: `['float32', 'int32']` for class labels.
 * @throws ShapeError `ERR_DATA_SAMPLE` when samples differ in shape, DTypeError when they differ in dtype.
 *
 *     const [x, y] = collate([[Float32Array.of(1, 2), 0], [Float32Array.of(3, 4), 1]], ['float32', 'int32'])
 *     console.log(x.shape, y.shape)   // [2, 2] [2]
 */
export function collate(samples: readonly (readonly FieldLike[])[], dtypes: readonly DType[] = []): Field[] {
  checkList('collate', 'the samples', samples)
  if (!Array.isArray(dtypes))
    throw new ArgumentError('ERR_NOT_A_LIST', `collate: the dtypes must be an array, received ${showValue(dtypes)}.`)
  const wrong = samples.findIndex((sample) => !Array.isArray(sample) || sample.length !== samples[0].length)
  if (samples.length === 0 || wrong >= 0) {
    throw new ArgumentError(
      'ERR_DATA_SAMPLE',
      samples.length === 0
        ? 'collate: no samples. Pass at least one.'
        : `collate: sample ${wrong} is not an array of ${samples[0]?.length ?? 2} fields like the first. Return [input, target], or pass { collate }.`,
    )
  }
  return samples[0].map((head, k) => {
    const first = toField(head, `collate: field ${k} of sample 0`, dtypes[k])
    const width = first.data.length
    const data = allocate(first.dtype, samples.length * width)
    samples.forEach((sample, i) => {
      const what = `collate: field ${k} of sample ${i}`
      const field = i === 0 ? first : toField(sample[k], what, dtypes[k])
      if (field.shape.length !== first.shape.length || field.shape.some((extent, axis) => extent !== first.shape[axis])) {
        throw new ShapeError(
          'ERR_DATA_SAMPLE',
          `${what} has shape ${showShape(field.shape)}, the first sample ${showShape(first.shape)}. Pad or crop, or pass { collate }.`,
        )
      }
      if (field.dtype !== first.dtype) {
        throw new DTypeError(
          'ERR_DATA_SAMPLE',
          `${what} is ${field.dtype}, the first sample ${first.dtype}. Return one dtype, or pass { dtypes }.`,
        )
      }
      data.set(field.data, i * width)
    })
    return { data, shape: [samples.length, ...first.shape], dtype: first.dtype }
  })
}
