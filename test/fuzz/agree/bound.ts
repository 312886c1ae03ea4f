/**
 * Comparing what should be equal up to rounding. In: the value it should be, what it is, and the same disturbed a few times. Out: where they
 * differ by more than rounding explains.
 */
import { rounds, type Value } from './scenario.js'

/** Half a unit in the last place of one, float32. */
export const unit = 2 ** -24
/** The largest float32. */
const largest = 3.4028234663852886e38
/** What is smaller may be flushed to zero. */
const tiny = 2 ** -126

export interface Excess {
  readonly at: number
  readonly actual: number
  readonly expected: number
  readonly allowed: number
}

/**
 * The first element of `actual` that is farther from `expected` than rounding explains: than three times its distance from the disturbed values, a tenth
 * of what is usual for such elements, and `units` units in the last place.
 */
export function excess(
  expected: ArrayLike<number>,
  actual: ArrayLike<number>,
  disturbed: readonly ArrayLike<number>[],
  units: number,
): Excess | undefined {
  const n = expected.length
  let same = true
  for (let i = 0; i < n && same; i++) same = expected[i] === actual[i] || Object.is(expected[i], actual[i])
  if (same) return undefined
  const usual = usualSpread(expected, disturbed)
  for (let i = 0; i < n; i++) {
    const [e, a] = [expected[i], actual[i]]
    if (e === a || (Number.isNaN(e) && Number.isNaN(a))) continue
    let allowed = units * unit * Math.abs(e) + usual + tiny
    for (const d of disturbed) allowed = Math.max(allowed, 3 * spread(e, d[i]) + units * unit * Math.abs(e) + usual)
    if (!Number.isFinite(e) || !Number.isFinite(a)) {
      // at the edge of overflow either may happen, and where the disturbed results differ in kind anything may
      if (Math.abs(e) > largest * 0.99 && Math.abs(a) > largest * 0.99 && Math.sign(e) === Math.sign(a)) continue
      if (disturbed.some((d) => kind(d[i]) !== kind(e))) continue
      return { at: i, actual: a, expected: e, allowed: 0 }
    }
    if (!(Math.abs(a - e) <= allowed)) return { at: i, actual: a, expected: e, allowed }
  }
  return undefined
}

function spread(e: number, d: number): number {
  if (Object.is(e, d)) return 0
  const distance = Math.abs(d - e)
  return Number.isNaN(distance) ? Number.POSITIVE_INFINITY : distance
}

const kind = (x: number): number => (Number.isNaN(x) ? 2 : Number.isFinite(x) ? 0 : Math.sign(x) * 3)

/** A tenth of the root mean square distance of the disturbed values, over the elements where they are finite. */
function usualSpread(expected: ArrayLike<number>, disturbed: readonly ArrayLike<number>[]): number {
  let sum = 0
  let count = 0
  for (const d of disturbed) {
    for (let i = 0; i < expected.length; i++) {
      const s = spread(expected[i], d[i])
      if (s === Number.POSITIVE_INFINITY) continue
      sum += s * s
      count++
    }
  }
  return count === 0 ? 0 : 0.1 * Math.sqrt(sum / count)
}

/** The same for whole numbers and truth, where disturbed values that differ say that rounding decides. */
export function difference(
  expected: ArrayLike<number>,
  actual: ArrayLike<number>,
  disturbed: readonly ArrayLike<number>[],
): Excess | undefined {
  for (let i = 0; i < expected.length; i++) {
    if (expected[i] === actual[i] || disturbed.some((d) => d[i] !== expected[i])) continue
    return { at: i, actual: actual[i], expected: expected[i], allowed: 0 }
  }
  return undefined
}

/** Where two values differ, in words. */
export function compare(expected: Value, actual: Value, disturbed: readonly Value[]): string | undefined {
  if (expected.dtype !== actual.dtype || expected.shape.join() !== actual.shape.join())
    return `${expected.name} is ${actual.dtype} [${actual.shape}], expected ${expected.dtype} [${expected.shape}]`
  const data = disturbed.map((v) => v.data)
  const found = rounds(expected) ? excess(expected.data, actual.data, data, 16) : difference(expected.data, actual.data, data)
  return found === undefined ? undefined : `${expected.name}, ${describe(found, expected.shape)}`
}

export function describe({ at, actual, expected, allowed }: Excess, shape: readonly number[]): string {
  return `element ${at} of [${shape}] is ${actual}, expected ${expected}, off by ${Math.abs(actual - expected)} where ${allowed} is explained by rounding`
}
