/**
 * Paths of files, and what the file system says about them. In: what a user gave as a path, an error of the system. Out: a path as a string, an
 * error of the library that names the path and the remedy.
 */
import type { Stats } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { types } from 'node:util'
import { ArgumentError, DataError, showKind } from '../base/errors.js'

/** Where a file is: a path, a `file:` URL, or the bytes of a path in UTF-8. */
export type FilePath = string | URL | Uint8Array

/**
 * The path as a string.
 *
 * @throws ArgumentError `ERR_PATH` for anything that cannot be the path of a file.
 */
export function checkPath(op: string, path: unknown): string {
  const text = textOf(op, path)
  if (text === '') throw wrongPath(op, "''")
  // the system takes the path to end there: another file
  if (text.includes('\0')) throw wrongPath(op, `${JSON.stringify(text)}, which holds a NUL character`)
  return text
}

function textOf(op: string, path: unknown): string {
  if (typeof path === 'string') return path
  try {
    if (path instanceof URL) return fileURLToPath(path)
    if (types.isUint8Array(path)) return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(new Uint8Array(path))
  } catch (cause) {
    throw wrongPath(op, path instanceof URL ? path.href : 'bytes that are no UTF-8', cause)
  }
  throw wrongPath(op, showKind(path))
}

function wrongPath(op: string, received: string, cause?: unknown): ArgumentError {
  const options = cause === undefined ? undefined : { cause }
  return new ArgumentError('ERR_PATH', `${op}: expected the path of a file, received ${received}. Pass a string or a file: URL.`, options)
}

/** What helps, by the system's code. */
const remedies: Readonly<Record<string, string>> = {
  EACCES: 'This user may not: check the rights of the file and its folder.',
  EPERM: 'This user may not: check the rights of the file and its folder.',
  EROFS: 'The file system is mounted read-only: choose another folder.',
  ENOSPC: 'The disk is full: make room, or choose another folder.',
  EDQUOT: 'The quota is used up: make room, or choose another folder.',
  EISDIR: 'It is a folder: name a file in it.',
  ENOTDIR: 'A part of the path is a file, not a folder.',
  ELOOP: 'Its symbolic links lead in a circle.',
  ENAMETOOLONG: 'The name is too long for this file system.',
  EBUSY: 'Something holds the file, or it is mounted by itself: close it, or mount its folder instead.',
  EMFILE: 'Too many files are open in this process.',
}

/** Whether an error is the file system's, and not one of the caller's own. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string'
}

/** The system's refusal to read or write a file, as an error of the library. */
export function fileError(op: string, action: 'read' | 'write', path: string, cause: unknown): DataError {
  const { code = '', message } = cause as NodeJS.ErrnoException
  const missing = action === 'read' ? 'There is no such file: check the path.' : `There is no folder ${dirname(path)}: make it first.`
  const remedy = code === 'ENOENT' ? missing : (remedies[code] ?? 'Check the path, the rights and the space.')
  const reason = code === '' || code === 'UNKNOWN' ? message : code
  return new DataError(action === 'read' ? 'ERR_FILE_READ' : 'ERR_FILE_WRITE', `${op}: cannot ${action} ${path}: ${reason}. ${remedy}`, {
    cause,
  })
}

/** What something that is no regular file is. */
export function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a folder'
  if (stats.isFIFO()) return 'a FIFO'
  if (stats.isSocket()) return 'a socket'
  return 'a device'
}
