/**
 * What the elements of a tensor lie between, for messages about NaN and infinities.
 */
import { showShape } from '../base/errors.js'
import { denseOf } from '../ops/core/dispatch.js'
import type { Tensor } from '../tensor/tensor.js'

/** Of the finite elements; `low` is above `high` where there are none. */
export interface Range {
  readonly low: number
  readonly high: number
  readonly nan: number
  readonly infinite: number
}

/** The range of a tensor's elements, or `undefined` where its memory is gone. Waits for queued programs that write it. */
export function rangeOf(t: Tensor): Range | undefined {
  if (t.constant === undefined) {
    if (t.storage.disposed) return undefined
    t.storage.waitToRead()
  }
  let low = Infinity
  let high = -Infinity
  let nan = 0
  let infinite = 0
  for (const x of t.constant === undefined ? denseOf(t, t.shape) : [t.constant]) {
    if (x - x === 0) {
      if (x < low) low = x
      if (x > high) high = x
    } else if (Number.isNaN(x)) nan++
    else infinite++
  }
  return { low, high, nan, infinite }
}

function short(x: number): string {
  return String(Number(x.toPrecision(4)))
}

/** `2 NaN and 1 infinite`, of what is not finite; empty where all is. */
export function describeBroken({ nan, infinite }: Range): string {
  const parts = [nan > 0 ? `${nan} NaN` : '', infinite > 0 ? `${infinite} infinite` : '']
  return parts.filter((p) => p !== '').join(' and ')
}

/** `float32 [2, 3] from 0 to 5, with 1 NaN`. */
export function describeRange(t: Tensor): string {
  if (t.constant !== undefined) return `the number ${t.constant}`
  const range = rangeOf(t)
  const what = `${t.dtype} ${showShape(t.shape)}`
  if (range === undefined) return `${what}, disposed`
  const { low, high } = range
  const broken = describeBroken(range)
  const finite = low <= high ? ` from ${short(low)} to ${short(high)}` : ''
  return `${what}${finite}${broken === '' ? '' : `${finite === '' ? ' of' : ', with'} ${broken}`}`
}
