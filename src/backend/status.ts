/**
 * Statuses of runs and loads (docs/program-format.md, "Status") as errors. In: a status of either backend and a way to say which op was
 * meant. Out: an error that names it.
 */
import { ArgumentError, BackendError, type ChainruleError, DataError } from '../errors.js'
import type { StatusWords } from './binding.js'

/** Says which op an instruction came from, for errors; -1 stands for the whole program. */
export type Describe = (instruction: number) => string

export const StatusCode = { outOfMemory: 1, indexOutOfRange: 2, cancelled: 3, badSlot: 4, singular: 5, tableMismatch: 18 } as const

/** The error for a status that is not ok. */
export function statusError([code, instruction, d0, d1]: StatusWords, describe: Describe): ChainruleError {
  const where = describe(instruction)
  switch (code) {
    case StatusCode.outOfMemory:
      return new BackendError('ERR_OUT_OF_MEMORY', `${where}: the system refused the memory this needs. Use smaller batches.`)
    case StatusCode.indexOutOfRange:
      return new DataError('ERR_INDEX_RANGE', `${where}: index ${d0} at position ${d1} is out of range. Check the labels or indices.`)
    case StatusCode.cancelled:
      return new BackendError('ERR_CANCELLED', `${where}: cancelled before it was done.`)
    case StatusCode.badSlot:
      return new ArgumentError(
        'ERR_BUFFER_DETACHED',
        `${where}: the memory of operand ${d0} is too small (${d1} bytes needed): it was transferred or resized.`,
      )
    case StatusCode.singular:
      return singularError(where, d0, d1)
    case StatusCode.tableMismatch:
      return new BackendError(
        'ERR_TABLE_MISMATCH',
        'chainrule: the native binary was built from another op table. Reinstall the package, or run npm run build:native.',
      )
    default:
      return refused(`${where}: the native runtime refused the program (code ${code}, details ${d0}, ${d1})`)
  }
}

/** The error for a matrix that has no inverse or no Cholesky factor, the same on both backends. */
export function singularError(where: string, matrix: number, row: number): DataError {
  return new DataError(
    'ERR_SINGULAR',
    `${where}: matrix ${matrix} of the batch is singular, or for cholesky not positive definite (seen at row ${row}). Check the data, or add a small multiple of the identity.`,
  )
}

/** The error for a program that no encoder of ours makes. */
export function refused(what: string): BackendError {
  return new BackendError('ERR_PROGRAM_REFUSED', `${what}. This is a bug in chainrule; please report it.`)
}
