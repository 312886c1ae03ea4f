/**
 * The heart of three fuzzers: a scenario must come out the same op by op in TypeScript, op by op in native code (each op beside float64),
 * and compiled on both backends, call after call. In: a scenario. Out: an error that says which way differs, and where.
 */
import { hasNative, onJs, onNative } from '../../support/backends.js'
import { guarded } from '../../support/guards.js'
import { compare, unit } from './bound.js'
import { besideDoubles } from './double.js'
import { disturbed, goesWild } from './noise.js'
import { type Outcome, run, type Scenario } from './scenario.js'

/** Each op may be off by a few units; disturbed by this much, few runs show where that leads. */
const size = 128 * unit
/**
 * The same and smaller: what rounding does need not grow with it. Where an optimizer makes a step of whatever gradient there is, a small
 * disturbance may end at a place (a row of two numbers that are nearly equal, in front of a norm) which larger ones leap over; and only one
 * of a unit or two is likely to end at the very number that something is compared with. What is lost is said of a whole tensor, by its worst
 * row: for the others it is a unit only where it is made much smaller.
 */
const sizes = [1, 8, 64, 512, 4096, 32768].map((part) => size / part)
/** Disturbed runs before a difference is taken for a fault. */
const most = 16 * sizes.length

/** Errors of ops that look at the numbers they are given, where they can. */
const looks = new Set(['ERR_LOSS_RANGE', 'ERR_PROBABILITY'])

/** Throws where a way of running differs from the others. */
export function agree(scenario: Scenario): void {
  const expected = onJs(() => run(scenario, 'eager'))
  const spread: Outcome[] = []
  const same = (way: string, actual: Outcome): void => {
    for (;;) {
      const found = differs(expected, actual, spread)
      if (found === undefined) return
      // sums of such numbers are not defined, and nothing that follows from them
      if (spread.length === 1 && goesWild(() => onJs(() => run(scenario, 'eager')))) return
      if (spread.length >= most) throw new Error(`${way}: ${found}`)
      for (let i = Math.max(1, spread.length); i > 0; i--) {
        const seed = spread.length
        spread.push(onJs(() => disturbed(seed, sizes[seed % sizes.length], () => run(scenario, 'eager'))))
      }
    }
  }
  same(
    'compiled in TypeScript',
    during('compiled in TypeScript', () => onJs(() => run(scenario, 'compiled'))),
  )
  if (!hasNative) return
  same(
    'op by op in native code',
    during('op by op in native code', () => onNative(() => besideDoubles(() => run(scenario, 'eager')))),
  )
  same(
    'compiled in native code',
    during('compiled in native code', () => onNative(() => guarded('compiled', () => run(scenario, 'compiled')))),
  )
}

/** Says of an error which way of running it came from. */
function during<T>(way: string, fn: () => T): T {
  try {
    return fn()
  } catch (error) {
    throw new Error(`${way}: ${error instanceof Error ? error.stack : error}`, { cause: error })
  }
}

function differs(expected: Outcome, actual: Outcome, disturbed: readonly Outcome[]): string | undefined {
  // op by op the numbers are looked at, which a compiled function cannot
  if (expected.error !== undefined && looks.has(expected.error)) return undefined
  // where rounding decides whether there is an error, nothing is left to compare
  if (disturbed.some((d) => d.error !== expected.error || d.values.length !== expected.values.length)) return undefined
  if (expected.error !== actual.error)
    return `ends with ${actual.error ?? 'no error'} (${actual.message ?? ''}), expected ${expected.error ?? 'none'} (${expected.message ?? ''})`
  if (expected.values.length !== actual.values.length) return `${actual.values.length} values, expected ${expected.values.length}`
  for (let i = 0; i < expected.values.length; i++) {
    const found = compare(
      expected.values[i],
      actual.values[i],
      disturbed.map((d) => d.values[i]),
    )
    if (found !== undefined) return found
  }
  return undefined
}
