/**
 * Which backend runs: the addon where it loads, else TypeScript. `CHAINRULE_BACKEND=js|native` forces one.
 */
import { ArgumentError, showValue } from '../base/errors.js'
import { loadAddon, platformTarget } from './loader.js'
import { NativeBackend } from './native.js'

const mostThreads = 256

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
    throw new ArgumentError('ERR_BACKEND_UNKNOWN', `CHAINRULE_BACKEND: must be 'js' or 'native', is ${showValue(wanted)}.`)
  }
  checkThreads(process.env.CHAINRULE_THREADS)
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

/** Native code reads the variable itself, and would go on with the default. */
function checkThreads(wanted: string | undefined): void {
  if (wanted === undefined || wanted === '' || (/^\d+$/.test(wanted) && Number(wanted) >= 1 && Number(wanted) <= mostThreads)) return
  throw new ArgumentError(
    'ERR_THREADS',
    `CHAINRULE_THREADS: must be a whole number from 1 to ${mostThreads}, is ${showValue(wanted)}. Unset it to have one thread a physical core.`,
  )
}

/** Which backend is in use: 'native' or 'js'. */
export function backend(): 'native' | 'js' {
  return nativeBackend() === undefined ? 'js' : 'native'
}

/**
 * The number of threads that kernels run on; with an argument, sets it first, for the whole process, once what runs now is done. Results
 * do not depend on it. `CHAINRULE_THREADS` sets it from outside; the default is the number of physical cores, within the limit of a container.
 * The TypeScript backend has one thread, whatever is asked for.
 *
 *     threads(4)
 *
 * @throws ArgumentError `ERR_THREADS` for anything but whole numbers from 1 to 256.
 */
export function threads(count?: number): number {
  if (count !== undefined && !(Number.isInteger(count) && count >= 1 && count <= mostThreads)) {
    throw new ArgumentError('ERR_THREADS', `threads: expected a whole number from 1 to ${mostThreads}, received ${showValue(count)}.`)
  }
  const native = nativeBackend()
  if (native === undefined) return 1
  if (count !== undefined) native.threads(count)
  return native.info().threads
}

/** The package's version; set by scripts/build-ts.js. */
declare const VERSION: string | undefined

/** What `environment` tells. */
export interface Environment {
  /** Of the package. */
  readonly version: string
  /** Platform, processor and, where it is musl, C library: `linux-x64-musl`. */
  readonly target: string
  readonly backend: 'native' | 'js'
  /** Why the native backend does not run. */
  readonly reason?: string
  /** The file of the native binary. */
  readonly binary?: string
  /** The instruction set in use. */
  readonly isa?: string
  /** Those this machine has, best first. */
  readonly isas: readonly string[]
  readonly threads?: number
  /** What set the number of threads: 'environment', 'cores', 'cgroup' (a container's quota) or 'set' (by the program). */
  readonly threadsSource?: string
}

/**
 * What runs here: backend, binary, instruction set, threads. `npx chainrule doctor` shows it, with a self-test.
 *
 *     console.log(environment().isa) // 'avx2'
 */
export function environment(): Environment {
  const version = typeof VERSION === 'undefined' ? 'development' : VERSION
  const native = nativeBackend()
  const target = platformTarget()
  if (native === undefined) {
    const reason = process.env.CHAINRULE_BACKEND === 'js' ? 'CHAINRULE_BACKEND=js' : loadAddon().error?.message
    return { version, target, backend: 'js', reason, isas: [] }
  }
  const { path, isa, isas, threads, threadsSource } = native.info()
  return { version, target, backend: 'native', binary: path, isa, isas, threads, threadsSource }
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
