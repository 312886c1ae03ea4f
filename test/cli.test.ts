/** The command `chainrule`, as a user runs it (dist/cli.cjs). */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { hasNative } from './support/backends.js'

const root = resolve(import.meta.dirname, '..')
const cli = join(root, 'dist/cli.cjs')
const folder = mkdtempSync(join(tmpdir(), 'chainrule-cli-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function chainrule(args: string[], env: Record<string, string> = {}): { status: number | null; stdout: string; stderr: string } {
  if (!existsSync(cli)) throw new Error('dist/ is missing: run npm test, or npm run build:ts first')
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('CHAINRULE_') && !name.startsWith('VITEST'))
  return spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8', env: { ...Object.fromEntries(inherited), ...env } })
}

describe('chainrule', () => {
  it('says what it can do, and its version', () => {
    expect(chainrule(['--help']).stdout).toMatch(/doctor[\s\S]*bench[\s\S]*demo/)
    expect(chainrule(['--version']).stdout.trim()).toBe(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version)
  })

  it('refuses what it does not know, and guesses what was meant', () => {
    const { status, stderr } = chainrule(['docter'])
    expect(status).toBe(1)
    expect(stderr).toContain('Did you mean doctor?')
  })

  it('brings its command-line library along', () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    expect(dependencies).toBeUndefined()
    expect(readFileSync(cli, 'utf8')).not.toMatch(/require\("commander"\)/)
    expect(readFileSync(join(root, 'dist/cli.licenses.txt'), 'utf8')).toContain('MIT')
  })
})

describe('chainrule doctor', () => {
  it.runIf(hasNative)('finds every instruction set right', { timeout: 60_000 }, () => {
    const { status, stdout, stderr } = chainrule(['doctor', '--json'])
    expect(stderr).toBe('')
    const report = JSON.parse(stdout)
    expect(report.environment.backend).toBe('native')
    expect(existsSync(report.environment.binary)).toBe(true)
    expect(report.binarySha256).toMatch(/^[0-9a-f]{64}$/)
    expect(report.selfTest.map((v: { isa: string }) => v.isa)).toEqual(report.environment.isas)
    for (const verdict of report.selfTest) {
      expect(verdict).toMatchObject({ ok: true, failures: {} })
      expect(verdict.gflops).toBeGreaterThan(0)
      expect(verdict.peak).toBeGreaterThan(0)
    }
    expect(status).toBe(0)
  })

  it.runIf(hasNative)('says which families are wrong', { timeout: 60_000 }, () => {
    // stands in for a binary with a fault: the real one, but its matrix products are off
    const real = join(root, 'build/chainrule.node')
    const wrong = join(folder, 'wrong.cjs')
    writeFileSync(
      wrong,
      `const real = require(${JSON.stringify(real)})
       module.exports = { ...real, runOne(words, count, slots) {
         const status = real.runOne(words, count, slots)
         const out = slots.at(-1)
         if (words[12 + 4 * words[4]] === 3 && out) new Float32Array(out.buffer, out.byteOffset, 1)[0] += 1
         return status
       } }`,
    )
    const { status, stdout } = chainrule(['doctor', '--isa', 'scalar'], { CHAINRULE_BINARY: wrong })
    expect(stdout).toMatch(/scalar: WRONG/)
    expect(status).toBe(1)
  })

  it.runIf(hasNative)('survives a binary that crashes', { timeout: 60_000 }, () => {
    const crashing = join(folder, 'crashing.cjs')
    const real = join(root, 'build/chainrule.node')
    writeFileSync(
      crashing,
      `module.exports = { ...require(${JSON.stringify(real)}), runOne() { process.kill(process.pid, 'SIGILL'); while (true); } }`,
    )
    const { status, stdout } = chainrule(['doctor', '--isa', 'scalar'], { CHAINRULE_BINARY: crashing })
    expect(stdout).toContain('crashed with SIGILL')
    expect(status).toBe(1)
  })

  it('says why the native backend does not run', { timeout: 60_000 }, () => {
    const { status, stdout } = chainrule(['doctor', '--quick'], { CHAINRULE_BINARY: join(folder, 'missing.node') })
    expect(stdout).toMatch(/backend +TypeScript \(slow\)\. .*no native binary could be loaded/)
    expect(stdout).toContain('missing.node: not there')
    expect(status).toBe(1)
  })

  it.runIf(hasNative)('names the instruction sets there are when asked for another', { timeout: 60_000 }, () => {
    const { status, stdout } = chainrule(['doctor', '--isa', 'avx9'])
    expect(stdout).toMatch(/avx9: WRONG[\s\S]*no instruction set 'avx9' on this machine; there are: .*scalar/)
    expect(status).toBe(1)
  })
})
