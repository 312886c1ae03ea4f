/** The op cases (op-cases.ts) as one script that a program elsewhere runs, and what they must give. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { expect } from 'vitest'
import { root, run } from './support.js'

/** Two, as this machine may have: more that spin would wait for each other. */
export const quiet = { CHAINRULE_THREADS: '2', CHAINRULE_TEST_THREADS: '2', CHAINRULE_HINTS: '0', NODE_ENV: 'production' }

let script: { program: string; reference: string } | undefined
/** Made once in a process. */
export async function opCases(): Promise<{ program: string; reference: string }> {
  if (script !== undefined) return script
  const folder = join(root, 'build/platforms')
  mkdirSync(folder, { recursive: true })
  const [program, reference] = [join(folder, 'op-cases.mjs'), join(folder, 'op-cases.json')]
  await build({
    ...{ entryPoints: [join(root, 'test/platforms/op-cases.ts')], outfile: program },
    ...{ bundle: true, platform: 'node', format: 'esm', logLevel: 'error' },
  })
  expect(run(process.execPath, [program, 'reference', reference], root, { CHAINRULE_BACKEND: 'js', CHAINRULE_HINTS: '0' })).toEqual({
    status: 0,
    out: '',
  })
  script = { program, reference }
  return script
}
