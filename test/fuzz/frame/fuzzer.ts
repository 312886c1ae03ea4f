/**
 * What a fuzzer is. Each is a file of test/fuzz that exports `fuzzer`; the frame runs it in a process of its own (serve.ts, watch.ts), from
 * `npm run fuzz` and from the test beside it. A case is plain data: seed and index make it again anywhere.
 *
 * fast-check is not used here, since its parts that would serve do not fit: a step of a program depends on the shapes of all before it,
 * and what fast-check shrinks of such chains is the numbers drawn, not the program; a crash or a hang takes its runner along, so nothing
 * would shrink the faults that matter most. Both take a list of candidates that can be walked from outside.
 */
import type { Random } from './random.js'

export interface Fuzzer<Case> {
  /** The file's name, which `npm run fuzz -- name` takes. */
  readonly name: string
  /** One line: what is tried and what must hold. */
  readonly about: string
  /** Seconds after which a check counts as a hang; 30 by default. */
  readonly patience?: number
  /** How many cases there are, where all can be tried. */
  readonly total?: number
  /** Draws a case. Nothing else may be drawn from: no clock, no `Math.random`. */
  generate(random: Random): Case
  /** Throws where there is a fault. */
  check(c: Case): void | Promise<void>
  /** Smaller cases, the boldest first, made from the case alone. Each must be valid: its check may fail through a fault only. */
  shrink?(c: Case): Iterable<Case>
  /** The case as code to paste. */
  print(c: Case): string
}

/** A fault that was found, shrunk. */
export interface Fault {
  readonly seed: number
  readonly index: number
  readonly message: string
  /** The smallest case found, as code. */
  readonly code: string
  /** Steps by which it was shrunk. */
  readonly steps: number
}

/** Which cases are run. */
export interface Plan {
  readonly seed: number
  /** Cases `first`, `first + step`, … below `cases`. */
  readonly first: number
  readonly step: number
  /** How many cases there are at most. */
  readonly cases: number
  /** Milliseconds after which no further case begins; what a case is never depends on this. */
  readonly duration: number
  /** Ends after so many faults. */
  readonly faults: number
}

/** Which candidate of `shrink` was taken at each step, from the case as it was drawn. */
export type Path = readonly number[]

/** What was about to run, for whoever finds the process dead. */
export interface Note {
  readonly index: number
  readonly path: Path
}

export interface Totals {
  readonly cases: number
  readonly seconds: number
  readonly faults: readonly Fault[]
}
