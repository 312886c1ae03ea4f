/**
 * Statuses of runs and loads (docs/program-format.md, "Status") as errors. In: a status of either backend and a way to say which op was
 * meant. Out: an error that names it.
 */
import { ArgumentError, BackendError, type ChainruleError, DataError, showShape } from '../base/errors.js'
import { sizeOf } from '../base/shape.js'
import type { Lookup } from '../ir/format.js'
import type { StatusWords } from './binding.js'

/** What errors say of an instruction. */
export interface Place {
  /** The op it came from, and shapes. */
  readonly what: string
  /** The user's line, as text to append. */
  readonly line?: string
  /** Whose indices it reads. */
  readonly lookup?: Lookup & { readonly size: number }
}

/** Says which op an instruction came from, for errors; -1 stands for the whole program. */
export type Describe = (instruction: number) => Place

export const StatusCode = { outOfMemory: 1, indexOutOfRange: 2, cancelled: 3, badSlot: 4, singular: 5, tableMismatch: 18 } as const

/** The error for a status that is not ok. */
export function statusError([code, instruction, d0, d1]: StatusWords, describe: Describe): ChainruleError {
  const { what, line = '', lookup } = describe(instruction)
  const where = `${what}${line}`
  switch (code) {
    case StatusCode.outOfMemory:
      return new BackendError('ERR_OUT_OF_MEMORY', `${where}: the system refused the memory this needs. Use smaller batches.`)
    case StatusCode.indexOutOfRange:
      if (lookup !== undefined) return indexError(lookup, d0, d1, lookup.size, line)
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

/** What index errors were made of, so that they can be said of another shape. */
const indexErrors = new WeakMap<object, { readonly lookup: Lookup; readonly value: number; readonly made: (rowOf: RowOf) => DataError }>()
/** Where a row of a batch stands in what the user gave. */
type RowOf = (row: number) => number

/** The error for an index out of range, the same on both backends; `position` counts the elements of an instruction's operand. */
export function indexError(lookup: Lookup, value: number, position: number, size: number, line = ''): DataError {
  const { op, shape, repeat = 1, what } = lookup
  const made = (rowOf: RowOf): DataError => {
    let rest = Math.floor(position / repeat) % Math.max(1, sizeOf(shape))
    const at = shape.map((_, d) => {
      const below = sizeOf(shape.slice(d + 1))
      const index = Math.floor(rest / below)
      rest -= index * below
      return d === 0 ? rowOf(index) : index
    })
    const where = at.length === 0 ? '' : at.length === 1 ? ` at position ${at[0]}` : ` at ${showShape(at)}`
    const range = what === undefined ? '' : ` for ${size} ${what}`
    const allowed = size === 0 ? 'there is nothing to choose from' : `allowed are 0 to ${size - 1}`
    const message = `${op}: index ${value}${where} is out of range${range}: ${allowed}. Check the labels or indices.${line}`
    return new DataError('ERR_INDEX_RANGE', message)
  }
  const error = made((row) => row)
  indexErrors.set(error, { lookup, value, made })
  return error
}

/** An error of a batch of `rows` as one of the data it was taken from; one that is not about an index of a row stays as it is. */
export function ofWhole(error: unknown, rows: number, rowOf: RowOf): unknown {
  const known = indexErrors.get(error as object)
  return known !== undefined && known.lookup.shape[0] === rows ? known.made(rowOf) : error
}

/** The index that an error is about, of a look-up by `op`. */
export function indexIn(error: unknown, op: string): number | undefined {
  const known = indexErrors.get(error as object)
  return known?.lookup.op === op ? known.value : undefined
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
