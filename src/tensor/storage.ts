/**
 * Storage: the memory of tensors, and what keeps background programs and JavaScript apart on it.
 *
 * Memory is V8's own, since Electron forbids buffers of other memory. State that background programs use by reference (parameters, buffers, optimizer state) lies
 * in a SharedArrayBuffer, which cannot be detached. A storage knows the tickets of the queued programs that read and write it:
 * whoever wants to read waits for the writers, whoever wants to write waits for both.
 */
import { tickets } from '../backend/tickets.js'
import { BackendError, deepStack, StateError, userLine } from '../base/errors.js'

/** A large piece of memory, and where it was asked for. */
export interface Owner {
  readonly bytes: number
  /** `tensor` memory is freed by the garbage collector; `shared` memory is what background programs use by reference: parameters, buffers, optimizer state, gradients. */
  readonly kind: 'tensor' | 'shared'
  /** The line of the program, as in a stack. */
  readonly where: string
}

/** In development, large storages that are alive. A loop that never yields hears of no deaths: beyond a number no more are noted. */
const owners = new Set<Owner>()
const ownerMinimum = 1024 * 1024
const mostOwners = 4096
const deaths = new FinalizationRegistry<Owner>((owner) => void owners.delete(owner))

/** Pooled bytes and the largest storages alive, largest first. */
export function storageUse(): { pool: number; largest: Owner[] } {
  return { pool: pooledBytes, largest: [...owners].sort((a, b) => b.bytes - a.bytes).slice(0, 10) }
}

/** A freed buffer, and where the memory was asked for, as `Owner` has it, if its next owner will be of the same kind. */
interface Pooled {
  readonly memory: Uint8Array
  readonly where: string | undefined
}

/** Freed buffers by size class, for reuse: fresh memory is dear (2 µs per 4 KB page), and small buffers cost a call into the engine. */
const pool = new Map<number, Pooled[]>()
let pooledBytes = 0
const poolMinimum = 256
const poolLimit = 256 * 1024 * 1024
/** From here on the engine's zeroing costs more than a call out for memory that is not zeroed. */
const zeroingMost = 64 * 1024

/** Sizes are rounded up to an eighth of a power of two. */
function sizeClass(bytes: number): number {
  const step = bytes < 2 ** 31 ? 2 ** Math.max(0, 28 - Math.clz32(bytes)) : 2 ** Math.max(0, Math.floor(Math.log2(bytes)) - 3)
  return Math.ceil(bytes / step) * step
}

/** Memory, or an error that says how much was asked for. */
function attempt<T>(bytes: number, allocate: () => T): T {
  try {
    return allocate()
  } catch (cause) {
    throw new BackendError('ERR_OUT_OF_MEMORY', `tensor: the system refused ${bytes} bytes of memory. Work in smaller batches.`, { cause })
  }
}

/** Zeroed memory that cannot be detached. */
function sharedMemory(bytes: number): Uint8Array {
  return new Uint8Array(
    attempt(bytes, () => new SharedArrayBuffer(Math.max(1, bytes))),
    0,
    bytes,
  )
}

/** Up to how many bytes a copy is cheaper than waiting. */
const replaceable = 4096

export class Storage {
  /** All bytes of this storage, or `undefined` once disposed. */
  private memory: Uint8Array | undefined
  readonly byteLength: number
  shared: boolean
  /** True for memory that only the library's own `.grad` of one leaf refers to, as long as nobody looks at that. */
  sole = false
  /** Counts writes by the library; caches of what was derived from the contents compare it. */
  version = 0
  /** True once JavaScript got hold of the memory and may write it unseen. */
  exposed = false
  /** Tickets of the last queued programs that read this storage, one a queue. */
  private readonly lastReaders = [0, 0]
  /** Ticket of the last queued program that writes it; writers share one queue. */
  private lastWriter = 0

  /** How many readers `lend` gave this memory to. Whoever is about to change the memory leaves it to them. */
  private lent = 0

  private owner: Owner | undefined

  /** `where` the memory was asked for, if that is known. */
  constructor(memory: Uint8Array, shared: boolean, where?: string) {
    this.memory = memory
    this.byteLength = memory.byteLength
    this.shared = shared
    if (memory.byteLength >= ownerMinimum && process.env.NODE_ENV !== 'production') this.noteOwner(where)
  }

  private noteOwner(where = userLine(deepStack()).slice(2, -1)): void {
    if (owners.size >= mostOwners) return
    this.owner = { bytes: this.byteLength, kind: this.shared ? 'shared' : 'tensor', where }
    owners.add(this.owner)
    deaths.register(this, this.owner, this)
  }

  /** Returns where the memory was asked for, if that was noted. */
  private forgetOwner(): string | undefined {
    if (this.owner === undefined) return undefined
    const { where } = this.owner
    owners.delete(this.owner)
    deaths.unregister(this)
    this.owner = undefined
    return where
  }

  /** Memory whose contents are unspecified; `passing` if it is one of those that are recycled. */
  static allocate(bytes: number, passing = false): Storage {
    if (bytes < poolMinimum) return new Storage(new Uint8Array(bytes), false)
    const size = sizeClass(bytes)
    const free = pool.get(size)?.pop()
    if (free !== undefined) {
      pooledBytes -= size
      const { memory } = free
      const own = memory.byteLength === bytes ? memory : new Uint8Array(memory.buffer, 0, bytes)
      return new Storage(own, false, passing ? free.where : undefined)
    }
    const memory = attempt(size, () => (size < zeroingMost ? new Uint8Array(size) : Buffer.allocUnsafeSlow(size)))
    return new Storage(size === bytes && size < zeroingMost ? memory : new Uint8Array(memory.buffer, 0, bytes), false)
  }

  /** Zeroed memory that background programs may use by reference. */
  static allocateShared(bytes: number): Storage {
    return new Storage(sharedMemory(bytes), true)
  }

  /** As `allocateShared`, side by side in one piece of memory, each from a cache line on. */
  static allocateSideBySide(sizes: readonly number[]): Storage[] {
    const starts = [0]
    for (const bytes of sizes) starts.push(starts[starts.length - 1] + Math.ceil(bytes / 64) * 64)
    const { buffer } = sharedMemory(starts[sizes.length])
    return sizes.map((bytes, i) => new Storage(new Uint8Array(buffer, starts[i], bytes), true))
  }

  /** The bytes, for native code and typed-array views. Throws where they are gone. */
  get bytes(): Uint8Array {
    const memory = this.memory
    if (memory === undefined) {
      throw new StateError('ERR_TENSOR_DISPOSED', 'tensor: used after dispose(). Dispose a tensor only when nothing needs it any more.')
    }
    if (memory.byteLength !== this.byteLength) {
      throw new StateError(
        'ERR_BUFFER_DETACHED',
        `tensor: its memory was transferred or resized (${this.byteLength} bytes expected, ${memory.byteLength} left). Copy with tensor() instead of fromBuffer() where buffers are handed on.`,
      )
    }
    return memory
  }

  get disposed(): boolean {
    return this.memory === undefined
  }

  /**
   * Moves the contents to shared memory, so that background programs can use them by reference. Impossible once JavaScript holds a
   * view of the old memory.
   */
  share(): boolean {
    if (this.shared) return true
    if (this.exposed) return false
    this.waitForAll()
    const { bytes } = this
    const shared = sharedMemory(bytes.byteLength)
    shared.set(bytes)
    this.memory = shared
    this.lent = 0
    this.shared = true
    const where = this.forgetOwner()
    if (where !== undefined) this.noteOwner(where)
    return true
  }

  /**
   * The contents as they are now, to be read later. Memory that the library alone can write is lent: copied when somebody is about to change
   * it, which seldom happens; other memory is copied now. To be given to `takeBack` when read.
   */
  lend(): Storage {
    this.waitToRead()
    if (this.shared || this.exposed) {
      const copy = Storage.allocate(this.byteLength)
      copy.bytes.set(this.bytes)
      return copy
    }
    const loan = new Storage(this.bytes, false)
    loan.forgetOwner()
    this.lent++
    return loan
  }

  takeBack(loan: Storage): void {
    if (this.lent > 0 && loan.memory === this.memory) this.lent--
  }

  /** Called before the memory is changed, or handed to who could change it. */
  private leaveLent(): void {
    if (this.lent === 0) return
    const memory = Storage.allocate(this.byteLength).bytes
    memory.set(this.bytes)
    this.memory = memory
    this.lent = 0
  }

  /** Notes that a queued program reads, or writes, this storage. */
  queued(ticket: number, queue: 0 | 1, writes: boolean): void {
    if (writes) {
      this.lastWriter = ticket
      this.version++
    } else {
      this.lastReaders[queue] = ticket
    }
  }

  /** Whether a queued program that is not done yet writes this storage. */
  get beingWritten(): boolean {
    if (this.lastWriter !== 0 && tickets.completed(this.lastWriter)) this.lastWriter = 0
    return this.lastWriter !== 0
  }

  /** Notes that JavaScript gets hold of the memory. Whatever reads it from now on without being asked to wait has its own copy. */
  handOut(): void {
    if (!this.shared) for (const ticket of this.lastReaders) if (ticket !== 0) tickets.admit(ticket)
    this.leaveLent()
    this.exposed = true
  }

  /** Blocks until no queued program writes this storage. */
  waitToRead(): void {
    if (this.lastWriter !== 0) {
      tickets.wait(this.lastWriter)
      this.lastWriter = 0
    }
  }

  /** Blocks until no queued program reads or writes this storage, then counts a write. */
  waitToWrite(): void {
    this.waitForAll()
    this.leaveLent()
    this.version++
  }

  /**
   * Called before the whole contents are overwritten: as `waitToWrite`, but where only queued readers are in the way of a few numbers, they
   * keep the memory as it is, and this storage goes on with fresh memory. So a learning rate can be set without waiting for the steps queued
   * before.
   */
  waitToReplace(): void {
    if (this.idle || !this.shared || this.exposed || this.byteLength > replaceable || this.beingWritten) {
      this.waitToWrite()
      return
    }
    this.memory = sharedMemory(this.byteLength)
    this.lastReaders.fill(0)
    this.version++
  }

  private waitForAll(): void {
    this.waitToRead()
    for (let queue = 0; queue < 2; queue++) {
      if (this.lastReaders[queue] !== 0) {
        tickets.wait(this.lastReaders[queue])
        this.lastReaders[queue] = 0
      }
    }
  }

  /** Resolves when no queued program writes this storage. */
  async readable(): Promise<void> {
    while (this.lastWriter !== 0) {
      const ticket = this.lastWriter
      if (!tickets.completed(ticket)) await tickets.done(ticket)
      if (this.lastWriter === ticket) this.lastWriter = 0
    }
  }

  /** Gives the memory back for reuse. Harmless when called twice. */
  dispose(): void {
    if (this.memory === undefined) return
    this.waitForAll()
    this.version++
    this.release(undefined)
  }

  /**
   * As `dispose`, for memory of the library's own that nothing refers to any more, but never waits: what queued programs use is left to the
   * collector.
   */
  recycle(): void {
    if (this.memory !== undefined && this.idle) this.release(this.owner?.where)
  }

  /** Whether no queued program uses this storage. */
  get idle(): boolean {
    return !this.beingWritten && this.lastReaders.every((ticket) => ticket === 0 || tickets.completed(ticket))
  }

  private release(where: string | undefined): void {
    const memory = this.memory as Uint8Array
    const { lent } = this
    this.memory = undefined
    this.lent = 0
    this.forgetOwner()
    if (lent > 0) return
    const size = memory.buffer.byteLength
    if (this.shared || this.exposed || size < poolMinimum || sizeClass(size) !== size || pooledBytes + size > poolLimit) return
    pooledBytes += size
    const list = pool.get(size)
    const free: Pooled = { memory, where }
    if (list === undefined) pool.set(size, [free])
    else list.push(free)
  }
}
