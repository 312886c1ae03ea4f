/**
 * A bound on the work of compiling, proportional to the graph. The passes need a small part of it; one that does not come to an end, for whatever reason,
 * becomes an error instead of a process that hangs. In: how much there is to compile. Out: nothing, or an error.
 */
import { StateError } from '../base/errors.js'

/** Units of work, each a few views looked at, for an operation. */
const perOperation = 20_000

export class Effort {
  private left: number

  constructor(private readonly operations: number) {
    this.left = (operations + 50) * perOperation
  }

  spend(units: number): void {
    this.left -= units
    // not `< 0`: a count that is no number is spent as well
    if (this.left >= 0) return
    throw new StateError(
      'ERR_COMPILE_EFFORT',
      `compile: gave up on a function of ${this.operations} operations, which took ${perOperation} times as much work and did not come to an end. This is a bug in chainrule: please report it with the function. compile(fn, { eager: true }) runs it op by op.`,
    )
  }

  /** How much of all was spent, from 0 to 1. */
  get share(): number {
    return 1 - this.left / ((this.operations + 50) * perOperation)
  }
}
