/**
 * Files that are either complete or absent.
 *
 * In: a path and the pieces of its new content. Out: the file, replaced in one step. A crash, a full disk or a second writer leaves the old file or a
 * new one, never half of either.
 */
import type { Stats } from 'node:fs'
import { access, constants, type FileHandle, open, readlink, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { DataError } from '../base/errors.js'
import { checkPath, type FilePath, fileError, isSystemError, kindOf } from './path.js'
import { removeLeftovers, temporaryFor } from './temporary.js'

/**
 * Writes `chunks` to a temporary file beside `path`, flushes it to the disk and renames it over `path`.
 *
 * - The file keeps its mode and, where this user may set them, its owner and group. A new file gets what the umask leaves.
 * - A symbolic link keeps pointing where it did; the file it names is replaced, or made. Other hard links keep the old content.
 * - A file that this user may not write is not replaced, and neither is a folder, a FIFO, a socket or a disk. Character devices (`/dev/null`) are
 *   written into.
 * - Temporary files of processes that were killed while they saved to the same path are removed.
 * - Calls for one path in this thread are done in their order: the last call's content stays.
 * - On Windows a file that another program holds open is tried for again for about half a second.
 *
 * @throws ArgumentError `ERR_PATH`; DataError `ERR_FILE_WRITE` with what the file system reports (`ENOSPC`, `EACCES`, …) as its cause,
 *   after removing the temporary file.
 *
 *     await writeFileAtomic('safetensors', 'model.safetensors', [header, weights])
 */
export async function writeFileAtomic(op: string, path: FilePath, chunks: Iterable<Uint8Array>): Promise<void> {
  const name = checkPath(op, path)
  await inOrder(resolve(name), async () => {
    try {
      await write(op, name, chunks)
    } catch (cause) {
      throw isSystemError(cause) ? fileError(op, 'write', name, cause) : cause
    }
  })
}

/** The last write under way for each path. */
const underWay = new Map<string, Promise<void>>()

async function inOrder(path: string, work: () => Promise<void>): Promise<void> {
  const before = underWay.get(path)
  const mine = before === undefined ? work() : before.then(work, work)
  underWay.set(path, mine)
  try {
    await mine
  } finally {
    if (underWay.get(path) === mine) underWay.delete(path)
  }
}

async function write(op: string, path: string, chunks: Iterable<Uint8Array>): Promise<void> {
  const old = await stat(path).catch((error) => {
    if (error.code === 'ENOENT' && !/[\\/]$/.test(path)) return undefined
    throw error
  })
  if (old !== undefined && !old.isFile()) return writeSpecial(op, path, old, chunks)
  // Replacing asks for no right to the file itself.
  if (old !== undefined) await access(path, constants.W_OK)
  const target = await targetOf(path)
  const temporary = temporaryFor(target)
  // A private file's successor is private from the start.
  const file = await open(temporary, 'wx', old === undefined ? 0o666 : 0o600)
  try {
    try {
      await removeLeftovers(target, (await file.stat()).mtimeMs)
      for (const chunk of chunks) await writeAll(op, path, file, chunk)
      if (old !== undefined) await keepRights(file, old)
      await file.sync()
    } finally {
      await file.close()
    }
    await replace(temporary, target)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw error
  }
  await syncFolder(dirname(target))
}

/** What is no file is never replaced: the next program to use it would find a file in its place. */
async function writeSpecial(op: string, path: string, old: Stats, chunks: Iterable<Uint8Array>): Promise<void> {
  if (old.isCharacterDevice()) {
    const device = await open(path, 'w')
    try {
      for (const chunk of chunks) await writeAll(op, path, device, chunk)
    } finally {
      await device.close()
    }
    return
  }
  throw new DataError('ERR_FILE_WRITE', `${op}: cannot write ${path}: it is ${kindOf(old)}, which is not replaced. Name a file.`)
}

/** Where the file is, behind all links; where it will be, if there is none yet. */
async function targetOf(path: string): Promise<string> {
  let at = path
  for (let links = 0; links < 40; links++) {
    try {
      return await realpath(at)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    const folder = await realpath(dirname(at))
    const link = await readlink(at).catch(() => undefined)
    if (link === undefined) return join(folder, basename(at))
    at = resolve(folder, link)
  }
  throw Object.assign(new Error('too many symbolic links'), { code: 'ELOOP', syscall: 'realpath' })
}

async function keepRights(file: FileHandle, old: Stats): Promise<void> {
  if (process.platform === 'win32') return
  let { mode } = old
  const own = await file.stat()
  if (own.uid !== old.uid || own.gid !== old.gid) {
    const kept = await file.chown(old.uid, old.gid).then(
      () => true,
      () => false,
    )
    // What the old group might do, this one may not, unless everybody might.
    if (!kept && own.gid !== old.gid) mode = (mode & ~0o070) | ((mode & 0o007) << 3)
  }
  // some file systems have one mode for all and refuse this
  if ((mode ^ own.mode) & 0o7777) await file.chmod(mode & 0o7777)
}

/** `write` may take fewer bytes than it was given, and refuses more than 2 GiB at once. */
async function writeAll(op: string, path: string, file: FileHandle, bytes: Uint8Array): Promise<void> {
  const most = 2 ** 26
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, Math.min(most, bytes.length - at))
    // some network file systems and devices say so instead of an error, and would for ever
    if (bytesWritten === 0)
      throw new DataError(
        'ERR_FILE_WRITE',
        `${op}: cannot write ${path}: the file system took ${at} of ${bytes.length} bytes and then none. Check the space and the mount.`,
      )
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
