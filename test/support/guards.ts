/**
 * Guard bytes around everything that operations allocate. In: something to run. Out: what it gives; an assertion fails where bytes before or behind
 * any memory it was given have changed.
 */
import { expect } from 'vitest'
import { Storage } from '../../src/storage.js'

/** As long as the widest vector, and a multiple of every dtype's size. */
const guard = 64
const pattern = 0xa5

/** Runs `fn` on guarded memory: results of eager ops and of compiled functions, and what they allocate on the way. */
export function guarded<T>(what: string, fn: () => T): T {
  const { allocate } = Storage
  const given: Uint8Array[] = []
  Storage.allocate = (bytes) => {
    const all = new Uint8Array(bytes + 2 * guard).fill(pattern)
    given.push(all)
    return new Storage(all.subarray(guard, guard + bytes), false)
  }
  try {
    return fn()
  } finally {
    Storage.allocate = allocate
    for (const all of given) {
      const before = all.subarray(0, guard)
      const behind = all.subarray(all.length - guard)
      const intact = [before, behind].every((part) => part.every((byte) => byte === pattern))
      expect(intact, `${what}: bytes beside a result of ${all.length - 2 * guard} bytes were written`).toBe(true)
    }
  }
}
