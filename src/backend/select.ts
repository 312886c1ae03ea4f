/**
 * Which backend runs: the addon where it loads, else TypeScript. `CHAINRULE_BACKEND=js|native` forces one.
 */
import { ArgumentError } from '../errors.js'
import { loadAddon } from './loader.js'
import { NativeBackend } from './native.js'

let chosen: NativeBackend | null | undefined
/** One for the addon, which has one place for completions. */
let instance: NativeBackend | undefined

/** The native backend, or `undefined` where the TypeScript backend runs. Loads the addon at the first call. */
export function nativeBackend(): NativeBackend | undefined {
  if (chosen === undefined) chosen = choose()
  return chosen ?? undefined
}

function choose(): NativeBackend | null {
  const wanted = process.env.CHAINRULE_BACKEND
  if (wanted !== undefined && wanted !== '' && wanted !== 'js' && wanted !== 'native') {
    throw new ArgumentError('ERR_BACKEND_UNKNOWN', `CHAINRULE_BACKEND: must be 'js' or 'native', is '${wanted}'.`)
  }
  if (wanted === 'js') return null
  const result = loadAddon()
  if (result.addon !== undefined) {
    instance ??= new NativeBackend(result.addon)
    return instance
  }
  if (wanted === 'native' || result.fatal) throw result.error
  process.emitWarning(
    `${result.error.message}\nThe slow TypeScript backend is used instead; set CHAINRULE_BACKEND=native to make this an error.`,
    {
      type: 'ChainruleWarning',
      code: result.error.code,
    },
  )
  return null
}

/** Which backend is in use: 'native' or 'js'. */
export function backend(): 'native' | 'js' {
  return nativeBackend() === undefined ? 'js' : 'native'
}

/** Runs `fn` on the given backend, until its promise settles where it is async; for tests that compare the two. */
export function withBackend<T>(which: 'native' | 'js', fn: () => T): T {
  const before = chosen
  if (which === 'js') {
    chosen = null
  } else {
    const result = loadAddon()
    if (result.addon === undefined) throw result.error
    instance ??= new NativeBackend(result.addon)
    chosen = instance
  }
  const restore = (): void => {
    chosen = before
  }
  try {
    const result = fn()
    if (result instanceof Promise) return result.finally(restore) as T
    restore()
    return result
  } catch (error) {
    restore()
    throw error
  }
}
