/** Memory stays flat over thousands of steps, also in loops that never yield to the event loop. */
import { describe, expect, it } from 'vitest'
import { backends, hasNative } from '../support/backends.js'
import { runChild } from '../support/children.js'

const megabyte = 2 ** 20

/** Until the garbage collector has found its sizes; eager steps make more garbage. */
const warmUp = { compiled: 1000, eager: 10_000 }

describe('resident memory does not grow over 5,000 steps', () => {
  const [which] = hasNative ? (['native'] as const) : backends
  it.each(['compiled, never yielding', 'compiled, awaited', 'eager, never yielding', 'eager, awaited', 'eager with large results'])(
    '%s',
    { timeout: 120_000 },
    async (how) => {
      const before = how.startsWith('compiled') ? warmUp.compiled : warmUp.eager
      const ended = await runChild('memory.mjs', [how, String(before), String(before + 5000)], which, [], 110_000)
      expect(ended.code, ended.stderr).toBe(0)
      const { warm, end } = JSON.parse(ended.stdout) as { warm: number; end: number }
      const growth = end - warm
      expect(growth, `${(warm / megabyte).toFixed(1)} MB, then ${(end / megabyte).toFixed(1)} MB`).toBeLessThan(
        Math.max(0.05 * warm, 10 * megabyte),
      )
    },
  )
})
