/**
 * Whether gradients are recorded. In: a function. Out: what it gives, with `gradMode` changed while it runs.
 */
import { checkFunction, StateError } from '../../base/errors.js'

/** Whether ops note how to differentiate them (see `noGrad`), and where they were called (see `anomaly`). */
export const gradMode = { enabled: true, anomaly: false, nextNode: 1 }

/** Runs `fn` without noting how to differentiate what it does. */
export function noGrad<T>(fn: () => T): T {
  return withGradMode(false, 'noGrad', fn)
}

/** Runs `fn` with gradients noted, inside a `noGrad`. */
export function enableGrad<T>(fn: () => T): T {
  return withGradMode(true, 'enableGrad', fn)
}

function withGradMode<T>(enabled: boolean, name: string, fn: () => T): T {
  checkFunction(name, fn)
  const before = gradMode.enabled
  gradMode.enabled = enabled
  try {
    const result = fn()
    if (result instanceof Promise) {
      throw new StateError(
        'ERR_ASYNC_FUNCTION',
        `${name}: the function must not be async: other code would run in between. Await outside and compute inside.`,
      )
    }
    return result
  } finally {
    gradMode.enabled = before
  }
}
