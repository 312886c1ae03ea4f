/** A fuzzer as a test: the same cases each time, few enough for `npm test`, in a process of their own as everywhere. */
import { expect, it } from 'vitest'
import type { Fuzzer } from './fuzzer.js'
import { showFault, watch } from './watch.js'

export function fuzzTest<Case>({ name, about }: Fuzzer<Case>, cases: number, seed = 1): void {
  it(`${name}: ${about}`, { timeout: 300_000 }, async () => {
    const totals = await watch(name, { seed, first: 0, step: 1, cases, duration: Number.MAX_SAFE_INTEGER, faults: 1 })
    for (const fault of totals.faults) expect.fail(showFault(name, fault))
    expect(totals.cases).toBe(cases)
  })
}
