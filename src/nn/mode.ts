/**
 * Judging by a model without touching its flags: other calls may be training the same model at the same time.
 *
 * There is no counterpart that trains: a module that the user put into evaluation stays there until the user says otherwise, so training reads the flags.
 */

/** Whether all modules are in evaluation at this moment, whatever their flags say. */
export const judging = { on: false }

/**
 * @internal Runs `fn`, during which all modules are in evaluation, whatever their flags say. What is compiled inside does not depend on the
 * flags either. `fn` must not be async.
 */
export function inEvaluation<T>(fn: () => T): T {
  const before = judging.on
  judging.on = true
  try {
    return fn()
  } finally {
    judging.on = before
  }
}
