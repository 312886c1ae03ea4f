/**
 * How much memory the library holds, by kind. In: V8's counters, the addon's, the pool's. Out: bytes.
 */
import { nativeBackend } from '../backend/select.js'
import { type Owner, storageUse } from './storage.js'

export type { Owner } from './storage.js'

/** Bytes by kind, of this thread's environment. */
export interface MemoryUse {
  /**
   * Tensors that are alive or not yet collected, and whatever else the program keeps in array buffers: V8 counts them and frees them. Views and
   * tensors that share memory count once.
   */
  readonly tensors: number
  /** Large buffers that `dispose()` gave back, kept for reuse. */
  readonly pool: number
  /** Where programs keep intermediate results: as large as the largest program needs, for each queue, and shared by all. */
  readonly arenas: number
  /** Copies of the arguments of calls that are queued or running, and some blocks kept for the next. */
  readonly staging: number
  /** Compiled programs. */
  readonly programs: number
  /** Packing buffers of the threads, those of the whole process. */
  readonly scratch: number
  /** All of them. */
  readonly total: number
  /** The ten largest pieces from 1 MB up, with the line of the program that asked for them; in development only (`NODE_ENV` is not 'production'). */
  readonly largest: readonly Owner[]
}

/**
 * How much memory is in use, by kind, and in development where the largest pieces were made. Nothing is collected for the answer: for what is
 * really alive, call `gc()` before it (`node --expose-gc`).
 *
 *     console.log(memory())          // { tensors: 12_582_912, pool: 0, arenas: 4_198_400, … }
 */
export function memory(): MemoryUse {
  const { pool, largest } = storageUse()
  const { arenas, staging, programs, scratch } = nativeBackend()?.memory() ?? { arenas: 0, staging: 0, programs: 0, scratch: 0 }
  const tensors = Math.max(0, process.memoryUsage().arrayBuffers - pool)
  return { tensors, pool, arenas, staging, programs, scratch, total: tensors + pool + arenas + staging + programs + scratch, largest }
}
