/**
 * Comparing results. In: tensors or arrays. Out: nothing, or an assertion that shows the worst element and where it is.
 */
import { expect } from 'vitest'
import { showShape } from '../../src/errors.js'
import type { Tensor } from '../../src/index.js'

export function copyOf(t: Tensor): ArrayLike<number> {
  return t.data.slice()
}

/** Every element of `actual` is that of `expected`, up to `tolerance` relative to it or to one. */
export function expectClose(what: string, actual: Tensor, expected: Tensor, tolerance: number): void {
  expect(showShape(actual.shape), `${what}: shape`).toBe(showShape(expected.shape))
  const a = actual.data
  const e = expected.data
  let worst = -1
  let excess = 0
  for (let i = 0; i < e.length; i++) {
    if (Object.is(a[i], e[i]) || a[i] === e[i]) continue
    const over =
      Number.isFinite(e[i]) && Number.isFinite(a[i])
        ? Math.abs(a[i] - e[i]) / (tolerance * Math.max(1, Math.abs(e[i])))
        : Number.POSITIVE_INFINITY
    if (over > 1 && over > excess) {
      excess = over
      worst = i
    }
  }
  if (worst >= 0)
    expect.fail(`${what}: element ${worst} of ${showShape(expected.shape)} is ${a[worst]}, expected ${e[worst]} (tolerance ${tolerance})`)
}

/** The same bits everywhere; NaN equals NaN. */
export function expectSame(what: string, actual: Tensor, expected: Tensor): void {
  expect(actual.dtype, `${what}: dtype`).toBe(expected.dtype)
  expect(showShape(actual.shape), `${what}: shape`).toBe(showShape(expected.shape))
  const a = actual.data
  const e = expected.data
  for (let i = 0; i < e.length; i++)
    if (!Object.is(a[i], e[i])) expect.fail(`${what}: element ${i} of ${showShape(expected.shape)} is ${a[i]}, expected ${e[i]} exactly`)
}
