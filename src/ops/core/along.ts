/**
 * Dimensions as ops take them. In: a dimension by itself and options behind it, `sum(x, 1, { keepdim: true })`, or all of it in one object,
 * `sum(x, { dim: 1, keepdim: true })`. Out: one object, checked.
 */
import { ArgumentError, checkOptions, type OptionNames } from '../../base/errors.js'
import type { Dims } from './operands.js'

const nothing = {}

/**
 * One object of what is given in either form.
 *
 * @throws ArgumentError `ERR_OPTIONS` for unknown names, what is no object, and a dimension that is given twice.
 */
export function along<O extends { dim?: Dims }>(
  op: string,
  first: O['dim'] | O,
  rest: Omit<O, 'dim'> | undefined,
  names: OptionNames<NoInfer<O>>,
): O {
  const alone = typeof first === 'number' || Array.isArray(first)
  if (!alone && first !== undefined) {
    checkOptions<O>(op, first as O, names)
    if (rest !== undefined) throw twice(op)
    return first as O
  }
  if (rest === undefined) return (alone ? { dim: first } : nothing) as O
  checkOptions<O>(op, rest as O, names)
  if (!alone) return rest as O
  if ('dim' in rest) throw twice(op)
  return { ...rest, dim: first } as O
}

function twice(op: string): ArgumentError {
  return new ArgumentError(
    'ERR_OPTIONS',
    `${op}: the dimension goes in front of the options or into them, not both. Use one object, { dim: …, … }.`,
  )
}

/** The dimension alone, for ops that take nothing else; `usual` where none is given. */
export function dimOf(op: string, given: number | { dim?: number } | undefined, usual?: number): number {
  if (given === undefined && usual !== undefined) return usual
  // what is neither is said where it is compared with the shape
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return given as unknown as number
  checkOptions<{ dim?: number }>(op, given, { dim: true })
  return given.dim ?? (usual as number)
}
