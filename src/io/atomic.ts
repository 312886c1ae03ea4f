/**
 * Files that are either complete or absent.
 *
 * In: a path and the pieces of its new content. Out: the file, replaced in one step. A crash, a full disk or a second
 * writer leaves the old file or a new one, never half of either.
 */
import { randomBytes } from 'node:crypto'
import { type FileHandle, open, realpath, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { DataError } from '../errors.js'

/**
 * Writes `chunks` to a temporary file beside `path`, flushes it to the disk and renames it over `path`. A symbolic link
 * keeps pointing where it did; the file it names is replaced.
 *
 * @throws DataError `ERR_FILE_WRITE` with what the file system reports (`ENOSPC`, `EACCES`, …) as its cause, after removing the temporary file.
 *
 *     await writeFileAtomic('safetensors', 'model.safetensors', [header, weights])
 */
export async function writeFileAtomic(op: string, path: string, chunks: Iterable<Uint8Array>): Promise<void> {
  try {
    await write(path, chunks)
  } catch (cause) {
    const { code, syscall } = cause as NodeJS.ErrnoException
    if (typeof syscall !== 'string') throw cause
    const remedy = code === 'ENOENT' ? `There is no folder ${dirname(path)}: make it first.` : 'Check the path, the rights and the space.'
    throw new DataError('ERR_FILE_WRITE', `${op}: cannot write ${path}: ${code}. ${remedy}`, { cause })
  }
}

async function write(path: string, chunks: Iterable<Uint8Array>): Promise<void> {
  const target = await realpath(path).catch(() => path)
  const folder = dirname(target)
  const temporary = join(folder, `.${basename(target).slice(0, 64)}.${process.pid}.${randomBytes(6).toString('hex')}.tmp`)
  const file = await open(temporary, 'wx')
  try {
    try {
      for (const chunk of chunks) await writeAll(file, chunk)
      await file.sync()
    } finally {
      await file.close()
    }
    await replace(temporary, target)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw error
  }
  await syncFolder(folder)
}

/** `write` may take fewer bytes than it was given, and refuses more than 2 GiB at once. */
async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  const most = 2 ** 26
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, Math.min(most, bytes.length - at))
    at += bytesWritten
  }
}

/** On Windows a virus scanner or a reader that has the file open makes a rename fail for a moment. */
async function replace(from: string, to: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await rename(from, to)
      return
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? ''
      const passing = process.platform === 'win32' && ['EPERM', 'EACCES', 'EBUSY'].includes(code)
      if (!passing || attempt === 6) throw error
      await sleep(10 * 2 ** attempt)
    }
  }
}

/** Makes the new name itself durable. Not every system lets a folder be opened; the content is safe without it. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r')
    await handle.sync().finally(() => handle.close())
  } catch {
    // Windows, and some network file systems.
  }
}
