/**
 * Child processes that use the library as a user's program would. In: a script under test/hazards/children. Out: how it ended and what it printed.
 */
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { buildSync } from 'esbuild'
import { root } from './backends.js'

let bundled: string | undefined

/** The library as one file, made from the sources. It lies where a source file would lie, so that the binary is found. */
export function bundle(): string {
  if (bundled === undefined) {
    bundled = join(root, 'build', `test-${process.pid}`, 'index.mjs')
    const directory = dirname(bundled)
    process.on('exit', () => rmSync(directory, { recursive: true, force: true }))
    buildSync({
      entryPoints: [join(root, 'src', 'index.ts')],
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile: bundled,
      logLevel: 'error',
    })
  }
  return bundled
}

export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a script to its end; kills it after `timeout` milliseconds. */
export function runChild(
  script: string,
  args: readonly string[],
  backend: 'js' | 'native',
  flags: readonly string[] = [],
  timeout = 60_000,
  more: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const file = join(root, 'test', 'hazards', 'children', script)
  const env = { ...process.env, CHAINRULE_BACKEND: backend, CHAINRULE_BUNDLE: bundle(), NODE_ENV: 'production', NODE_OPTIONS: '', ...more }
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...flags, file, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (d) => void (stdout += d))
    child.stderr.on('data', (d) => void (stderr += d))
    const timer = setTimeout(() => child.kill('SIGKILL'), timeout)
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, stdout, stderr })
    })
  })
}
