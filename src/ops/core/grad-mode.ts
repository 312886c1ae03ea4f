/**
 * Whether gradients are recorded. In: a function. Out: what it gives, with gradients recorded or not while it runs.
 */
import { checkFunction, StateError } from '../../base/errors.js'
import { within } from '../../tensor/context.js'

/** Runs `fn` without noting how to differentiate what it does. */
export function noGrad<T>(fn: () => T): T {
  return withGradients(false, 'noGrad', fn)
}

/** Runs `fn` with gradients noted, inside a `noGrad`. */
export function enableGrad<T>(fn: () => T): T {
  return withGradients(true, 'enableGrad', fn)
}

function withGradients<T>(gradEnabled: boolean, name: string, fn: () => T): T {
  checkFunction(name, fn)
  return within({ gradEnabled }, () => {
    const result = fn()
    if (result instanceof Promise)
      throw new StateError(
        'ERR_ASYNC_FUNCTION',
        `${name}: the function must not be async: other code would run in between. Await outside and compute inside.`,
      )
    return result
  })
}
