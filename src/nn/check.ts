/**
 * Checks that layers share: arguments of constructors, and what is fed to `forward`. Errors name the layer as one would write it.
 */
import type { DType } from '../base/dtype.js'
import { ArgumentError, DTypeError, ShapeError, showShape, showValue } from '../base/errors.js'
import { maxElements } from '../base/shape.js'
import { checkTensor } from '../ops/core/dispatch.js'
import { layouts, type Rank } from '../ops/layers/spatial.js'
import type { Tensor } from '../tensor/tensor.js'

/** @throws ArgumentError `ERR_LAYER_OPTION` unless `value` is an integer from `low`. */
export function checkInteger<N extends number>(layer: string, name: string, value: N, low = 1): N {
  if (!Number.isInteger(value) || value < low || value > maxElements) {
    const range = Number.isInteger(value) && value > maxElements ? `${low} to ${maxElements}` : `${low}`
    throw new ArgumentError('ERR_LAYER_OPTION', `${layer}: ${name} must be an integer from ${range}, received ${showValue(value)}.`)
  }
  return value
}

/** @throws ArgumentError `ERR_LAYER_OPTION` unless low ≤ `value` ≤ high. */
export function checkNumber(layer: string, name: string, value: number, low = -Infinity, high = Infinity): number {
  if (typeof value !== 'number' || !(value >= low && value <= high)) {
    const range = high === Infinity ? (low === -Infinity ? 'a number' : `a number from ${low}`) : `between ${low} and ${high}`
    throw new ArgumentError('ERR_LAYER_OPTION', `${layer}: ${name} must be ${range}, received ${showValue(value)}.`)
  }
  return value
}

/** @throws ArgumentError when `x` is no tensor; DTypeError `ERR_DTYPE` when it has not the dtype of the layer's parameters. */
export function checkInput(layer: string, x: unknown, dtype?: DType): asserts x is Tensor {
  checkTensor(layer, 'the input', x)
  if (dtype !== undefined ? x.dtype === dtype : x.dtype === 'float32' || x.dtype === 'float64') return
  const wanted = dtype ?? 'float32'
  const scale = x.dtype === 'uint8' ? `, and scale pixels with .div(255)` : ''
  throw new DTypeError(
    'ERR_DTYPE',
    `${layer}: expects ${wanted}, received ${x.dtype} ${showShape(x.shape)}. Convert with .to('${wanted}')${scale}.`,
  )
}

/** @throws ShapeError `ERR_LAYER_INPUT` unless `x` has `rank` dimensions behind samples and channels. */
export function checkPlanes(layer: string, x: Tensor, rank: Rank): void {
  if (x.ndim === rank + 2) return
  const remedy = x.ndim === rank + 1 ? ' Add the batch dimension with .unsqueeze(0), or the channels with .unsqueeze(1).' : ' Reshape it.'
  throw new ShapeError(
    'ERR_LAYER_INPUT',
    `${layer}: expects ${layouts[rank].what} ${layouts[rank].input}, received ${showShape(x.shape)}.${remedy}`,
  )
}

/** An options object for printing: the given parts that are not undefined, as `, { stride: 2 }`. */
export function showOptions(options: Readonly<Record<string, unknown>>): string {
  const parts = Object.entries(options).filter(([, value]) => value !== undefined)
  return parts.length === 0 ? '' : `, { ${parts.map(([name, value]) => `${name}: ${show(value)}`).join(', ')} }`
}

function show(value: unknown): string {
  return Array.isArray(value) ? `[${value.map(showValue).join(', ')}]` : showValue(value)
}
