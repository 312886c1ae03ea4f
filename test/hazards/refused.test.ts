/** The refused n-th allocation, for every n until the call passes: a typed error, no state changed, and the next call right. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { hasNative, root } from '../support/backends.js'
import { runChild } from '../support/children.js'

/** Builds what refuses; undefined where that cannot be: it wants Linux with the GNU C library, and a compiler. */
function buildRefusal(folder: string): string | undefined {
  if (!hasNative || process.platform !== 'linux') return undefined
  const library = join(folder, 'refuse.so')
  const source = join(root, 'test', 'hazards', 'children', 'refuse.c')
  return spawnSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl']).status === 0 ? library : undefined
}

it('a refused allocation is an error and nothing else', { timeout: 120_000 }, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'chainrule-refused-'))
  try {
    const library = buildRefusal(folder)
    if (library === undefined) return context.skip()
    const count = join(folder, 'count')
    writeFileSync(count, Buffer.alloc(4096))
    const ended = await runChild('refused.mjs', [], 'native', [], 110_000, { LD_PRELOAD: library, REFUSE: count })
    expect(ended.stderr).toBe('')
    expect(ended.code, ended.signal ?? undefined).toBe(0)
    // each scenario met refusals: else the test tests nothing
    for (const [name, refusals] of Object.entries(JSON.parse(ended.stdout) as Record<string, number>))
      expect(refusals, name).toBeGreaterThan(1)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
