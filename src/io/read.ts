/**
 * Reading files of which nothing is known. In: a path, or bytes in memory. Out: pieces of at most a megabyte, so that neither memory nor the event
 * loop is held by the size of a file; a typed error for whatever is no regular file.
 */
import { constants, type FileHandle, open } from 'node:fs/promises'
import { setImmediate as turn } from 'node:timers/promises'
import { DataError } from '../base/errors.js'
import { checkPath, type FilePath, fileError, isSystemError, kindOf } from './path.js'

/** Bytes that can be read anywhere. */
export interface Bytes {
  readonly size: number
  /** The bytes from `at`, which have to be there. They hold until the next call. */
  read(at: number, length: number): Promise<Uint8Array>
}

const pieceSize = 2 ** 20

/**
 * Opens a file, hands its bytes to `use` and closes it. The file is as long as it is now, whatever becomes of it.
 *
 * @throws ArgumentError `ERR_PATH`; DataError `ERR_FILE_READ` with what the file system reports, for folders, FIFOs and devices, which have no
 *   end or none yet, and for a file that shrinks meanwhile. What `use` throws passes.
 */
export async function withFile<T>(op: string, path: FilePath, use: (bytes: Bytes, name: string) => Promise<T>): Promise<T> {
  const name = checkPath(op, path)
  try {
    // without waiting: opening a FIFO would last until somebody writes to it
    const file = await open(name, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    try {
      const stats = await file.stat()
      if (!stats.isFile()) {
        throw new DataError('ERR_FILE_READ', `${op}: cannot read ${name}: it is ${kindOf(stats)}. Name a file.`)
      }
      return await use(new FileBytes(op, name, file, stats.size), name)
    } finally {
      await file.close()
    }
  } catch (cause) {
    throw isSystemError(cause) ? fileError(op, 'read', name, cause) : cause
  }
}

/** What was read last is kept, so that small things beside each other cost one call of the system. */
class FileBytes implements Bytes {
  private readonly own: Uint8Array<ArrayBuffer>
  private window: Uint8Array<ArrayBuffer> = new Uint8Array(0)
  private start = 0

  constructor(
    private readonly op: string,
    private readonly name: string,
    private readonly file: FileHandle,
    readonly size: number,
  ) {
    this.own = new Uint8Array(Math.min(size, pieceSize))
  }

  async read(at: number, length: number): Promise<Uint8Array> {
    const from = at - this.start
    if (from >= 0 && from + length <= this.window.length) return this.window.subarray(from, from + length)
    // whole pieces where that will do: what is asked for from the last to the first would be read again for each
    const piece = at - (at % pieceSize)
    const start = at + length <= piece + pieceSize ? piece : at
    const window =
      length > pieceSize
        ? allocate(length, (n) => new Uint8Array(n), this.name)
        : this.own.subarray(0, Math.min(pieceSize, this.size - start))
    this.window = new Uint8Array(0)
    for (let done = 0; done < window.length; ) {
      const { bytesRead } = await this.file.read(window, done, Math.min(2 ** 26, window.length - done), start + done)
      if (bytesRead === 0) {
        const reason = `it shrank from ${this.size} to ${start + done} bytes while it was read`
        throw new DataError('ERR_FILE_READ', `${this.op}: cannot read ${this.name}: ${reason}. Load it again.`)
      }
      done += bytesRead
    }
    this.window = window
    this.start = start
    return window.subarray(at - start, at - start + length)
  }
}

/** Bytes in memory. */
export function bytesOf(memory: Uint8Array): Bytes {
  return { size: memory.length, read: async (at, length) => memory.subarray(at, at + length) }
}

/** The bytes from `at`, piece by piece; each holds until the next is asked for. */
export async function* piecesOf(bytes: Bytes, at: number, length: number): AsyncGenerator<Uint8Array, void, undefined> {
  const end = at + length
  for (let from = at; from < end; from += pieceSize) yield await bytes.read(from, Math.min(pieceSize, end - from))
}

/**
 * Memory for what a file holds.
 *
 * @throws DataError `ERR_FILE_MEMORY` when there is not so much.
 */
export function allocate<A>(count: number, make: (count: number) => A, what: string): A {
  try {
    return make(count)
  } catch (cause) {
    const message = `${what}: ${count} elements are more than this process can hold at once. Read less of it, or split the file.`
    throw new DataError('ERR_FILE_MEMORY', message, { cause })
  }
}

/** Lets the event loop turn whenever work has held it for some milliseconds. */
export class Turns {
  private since = performance.now()
  async take(): Promise<void> {
    if (performance.now() - this.since < 4) return
    await turn()
    this.since = performance.now()
  }
}

/** Does work that can be interrupted, in pieces between which the event loop turns. */
export async function inTurns<T>(work: Generator<undefined, T>): Promise<T> {
  const turns = new Turns()
  for (;;) {
    const { done, value } = work.next()
    if (done) return value
    await turns.take()
  }
}

/** Does it without interruption. */
export function atOnce<T>(work: Generator<undefined, T>): T {
  for (;;) {
    const { done, value } = work.next()
    if (done) return value
  }
}
