/**
 * The backends as tests use them. Out: whether the native one was built, and ways to run something on one of them under each instruction set
 * or number of threads.
 */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { NativeBackend } from '../../src/backend/native.js'
import { nativeBackend, withBackend } from '../../src/backend/select.js'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** A binary that exists must load: only a checkout without one does without. */
export const hasNative =
  process.env.CHAINRULE_BACKEND !== 'js' && existsSync(process.env.CHAINRULE_BINARY ?? join(root, 'build', 'chainrule.node'))

export function native(): NativeBackend {
  return withBackend('native', () => nativeBackend() as NativeBackend)
}

export const onJs = <T>(fn: () => T): T => withBackend('js', fn)
export const onNative = <T>(fn: () => T): T => withBackend('native', fn)

/** The backends there are. */
export const backends: ('js' | 'native')[] = hasNative ? ['js', 'native'] : ['js']

/** Runs `fn` under each instruction set of this machine. */
export function eachIsa(fn: (isa: string) => void): void {
  const backend = native()
  const { isa, isas } = backend.info()
  try {
    for (const name of isas) {
      backend.forceIsa(name)
      onNative(() => fn(name))
    }
  } finally {
    backend.forceIsa(isa)
  }
}

/** Runs `fn` with 1, 2 and 7 threads. */
export function eachThreadCount(fn: (threads: number) => void): void {
  const backend = native()
  const { threads } = backend.info()
  try {
    for (const n of [1, 2, 7]) {
      backend.threads(n)
      onNative(() => fn(n))
    }
  } finally {
    backend.threads(threads)
  }
}
