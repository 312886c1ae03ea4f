/** Memory stays flat over thousands of steps, also in loops that never yield to the event loop. */
import { describe, expect, it } from 'vitest'
import { backends, hasNative } from '../support/backends.js'
import { runChild } from '../support/children.js'

const megabyte = 2 ** 20
const [which] = hasNative ? (['native'] as const) : backends

interface Measured {
  readonly peaks: { readonly first: number; readonly last: number; readonly all: number }
  readonly warm: number
  readonly end: number
}

async function measure(how: string, before: number, steps: number, flags: readonly string[]): Promise<Measured> {
  // freed memory is to be given back: what the C library keeps for later is not ours
  const malloc = { MALLOC_MMAP_THRESHOLD_: '16384', MALLOC_TRIM_THRESHOLD_: '131072' }
  const ended = await runChild('memory.mjs', [how, String(before), String(steps)], which, flags, 110_000, malloc)
  expect(ended.code, ended.stderr).toBe(0)
  return JSON.parse(ended.stdout) as Measured
}

const show = (from: number, to: number): string => `${(from / megabyte).toFixed(1)} MB, then ${(to / megabyte).toFixed(1)} MB`

describe('resident memory does not grow', () => {
  // V8's heap has its size after some 10,000 steps
  it.each(['compiled, never yielding', 'compiled, awaited'])('by 2% from step 20,000 to 80,000: %s', { timeout: 120_000 }, async (how) => {
    const { first, last } = (await measure(how, 20_000, 80_000, [])).peaks
    expect(last - first, show(first, last)).toBeLessThan(0.02 * first)
  })

  // Eager steps make garbage, and at any one moment the collector is somewhere on its way up or down: what counts is what is left after a
  // collection, and that it hears of the garbage, 2 to 5 GB here, in time.
  it.each(['eager, never yielding', 'eager, awaited', 'eager with large results'])(
    'from step 10,000 to 20,000: %s',
    { timeout: 120_000 },
    async (how) => {
      // the young generation has its full size from the start, which it otherwise reaches sooner or later
      const { peaks, warm, end } = await measure(how, 10_000, 20_000, ['--expose-gc', '--min-semi-space-size=16'])
      expect(end - warm, show(warm, end)).toBeLessThan(Math.max(0.05 * warm, 10 * megabyte))
      expect(peaks.all - end, show(end, peaks.all)).toBeLessThan(128 * megabyte)
    },
  )

  // programs, gradients, arenas, tables: what belongs to a shape is bounded, and goes with its program
  it.each([
    ['200 shapes', 1000, 10_000],
    ['200 shapes, few of them kept', 400, 1200],
  ] as const)('by what shapes leave behind: %s', { timeout: 120_000 }, async (how, before, steps) => {
    const { warm, end } = await measure(how, before, steps, ['--expose-gc', '--no-warnings'])
    expect(end - warm, show(warm, end)).toBeLessThan(Math.max(0.05 * warm, 10 * megabyte))
  })
})
