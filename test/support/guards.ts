/**
 * Guard bytes around everything that operations allocate. In: something to run. Out: what it gives; an error where bytes before or behind
 * any memory it was given have changed. What is read there is NaN.
 */
import { Storage } from '../../src/tensor/storage.js'

/** As long as the widest vector, and a multiple of every dtype's size. */
const guard = 64
const pattern = 0xff

/** Runs `fn` on guarded memory: results of eager ops and of compiled functions, and what they allocate on the way. */
export function guarded<T>(what: string, fn: () => T): T {
  const { allocate } = Storage
  const given: Uint8Array[] = []
  Storage.allocate = (bytes) => {
    const all = new Uint8Array(bytes + 2 * guard).fill(pattern)
    given.push(all)
    return new Storage(all.subarray(guard, guard + bytes), false)
  }
  const result = unguarded(fn, allocate)
  for (const all of given) {
    const before = all.subarray(0, guard)
    const behind = all.subarray(all.length - guard)
    const intact = [before, behind].every((part) => part.every((byte) => byte === pattern))
    if (!intact) throw new Error(`${what}: bytes beside a result of ${all.length - 2 * guard} bytes were written`)
  }
  return result
}

/** Runs `fn`; allocations are as before when it ends. */
function unguarded<T>(fn: () => T, allocate: typeof Storage.allocate): T {
  try {
    return fn()
  } finally {
    Storage.allocate = allocate
  }
}
