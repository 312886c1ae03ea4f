/**
 * Comparing results. In: tensors or arrays. Out: nothing, or an assertion that shows the worst element and where it is.
 */
import { expect } from 'vitest'
import { showShape } from '../../src/base/errors.js'
import type { Tensor } from '../../src/index.js'
import { worstDifference } from './difference.js'

export function copyOf(t: Tensor): ArrayLike<number> {
  return t.data.slice()
}

/** Every element of `actual` is that of `expected`, up to `tolerance` relative to it or to one. */
export function expectClose(what: string, actual: Tensor, expected: Tensor, tolerance: number): void {
  expect(showShape(actual.shape), `${what}: shape`).toBe(showShape(expected.shape))
  const a = actual.data
  const e = expected.data
  const worst = worstDifference(a, e, tolerance)
  if (worst !== undefined)
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
