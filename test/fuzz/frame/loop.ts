/** Runs cases in this process and shrinks the first that fails. In: a fuzzer and a plan. Out: faults, and a note before whatever could end the process. */
import type { Fault, Fuzzer, Note, Path, Plan } from './fuzzer.js'
import { Random } from './random.js'

/** Checks of candidates and milliseconds that shrinking one fault may take. */
const shrinkBounds = { checks: 5000, duration: 60_000 }

export interface Reports {
  /** Called before each check. */
  note(note: Note): void
  fault(fault: Fault): void
}

/** Runs the cases of a plan; returns how many. */
export async function runPlan<Case>(fuzzer: Fuzzer<Case>, plan: Plan, reports: Reports): Promise<number> {
  const { seed, first, step, faults } = plan
  const cases = Math.min(plan.cases, fuzzer.total ?? plan.cases)
  const until = performance.now() + plan.duration
  let ran = 0
  let found = 0
  for (let index = first; index < cases && performance.now() < until; index += step) {
    reports.note({ index, path: [] })
    const c = fuzzer.generate(new Random(seed, index))
    const error = await failure(fuzzer, c)
    ran++
    if (error === undefined) continue
    const { at, path, error: last } = await shrink(fuzzer, index, [], c, reports, error)
    reports.fault({ seed, index, message: messageOf(last), code: fuzzer.print(at), steps: path.length })
    if (++found >= faults) break
  }
  return ran
}

/** The case that a path leads to. */
export function follow<Case>(fuzzer: Fuzzer<Case>, seed: number, index: number, path: Path): Case {
  let at = fuzzer.generate(new Random(seed, index))
  for (const k of path) {
    let i = 0
    for (const candidate of fuzzer.shrink?.(at) ?? []) {
      if (i++ < k) continue
      at = candidate
      break
    }
  }
  return at
}

interface Shrunk<Case> {
  readonly at: Case
  readonly path: Path
  readonly error: unknown
}

/**
 * Takes the first candidate that fails, again and again. With no `error` the case is one that ended the process: then candidates that
 * merely throw are not followed, since the note before the one that ends the process again is all that is wanted.
 */
export async function shrink<Case>(
  fuzzer: Fuzzer<Case>,
  index: number,
  start: Path,
  c: Case,
  reports: Pick<Reports, 'note'>,
  error?: unknown,
): Promise<Shrunk<Case>> {
  let smallest: Shrunk<Case> = { at: c, path: start, error }
  const until = performance.now() + shrinkBounds.duration
  let checks = 0
  for (let going = true; going; ) {
    going = false
    let k = 0
    for (const at of fuzzer.shrink?.(smallest.at) ?? []) {
      if (checks++ >= shrinkBounds.checks || performance.now() > until) return smallest
      const path = [...smallest.path, k++]
      reports.note({ index, path })
      const failed = await failure(fuzzer, at)
      if (failed === undefined || error === undefined) continue
      smallest = { at, path, error: failed }
      going = true
      break
    }
  }
  return smallest
}

/** What a check throws; never `undefined` where it throws. */
async function failure<Case>(fuzzer: Fuzzer<Case>, c: Case): Promise<unknown> {
  try {
    const result = fuzzer.check(c)
    // most checks are synchronous, and a turn of the event loop for each would cost more than some of them
    if (result !== undefined) await result
    return undefined
  } catch (error) {
    return error ?? new Error(`the check threw ${error}`)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
