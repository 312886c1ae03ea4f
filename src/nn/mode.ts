/**
 * Running a model in a given mode without touching its flags: other calls may be using the same model at the same time.
 */

/** The mode every module reports while `withMode` runs a function; `undefined` outside, where modules report their own. */
export const forced: { training: boolean | undefined } = { training: undefined }

/**
 * @internal Runs `fn`, during which all modules are in training, or in evaluation, whatever their flags say. What is compiled inside does
 * not depend on the flags either. `fn` must not be async.
 */
export function withMode<T>(training: boolean, fn: () => T): T {
  const before = forced.training
  forced.training = training
  try {
    return fn()
  } finally {
    forced.training = before
  }
}
