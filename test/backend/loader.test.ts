/** Which backend runs and how the binary is found, in processes of their own on the built package (dist/), since both are decided once. */
import { spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadAddon } from '../../src/backend/loader.js'
import { tableHash } from '../../src/backend/registry.js'
import '../../src/index.js'

const root = resolve(import.meta.dirname, '../..')
const binary = join(root, 'build/chainrule.node')
const esm = pathToFileURL(join(root, 'dist/index.mjs')).href
const cjs = join(root, 'dist/index.cjs')
let folder: string

beforeAll(() => {
  if (!existsSync(cjs)) throw new Error('dist/ is missing: run npm test, or npm run build:ts first')
  folder = mkdtempSync(join(tmpdir(), 'chainrule-loader-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Outcome {
  status: number | null
  out: string
  err: string
}

/** Runs an ES module with these variables; `CHAINRULE_*` of this process do not count. */
function node(code: string, env: Record<string, string> = {}): Outcome {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('CHAINRULE_') && !name.startsWith('VITEST') && name !== 'NODE_OPTIONS',
  )
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    env: { ...Object.fromEntries(inherited), ...env },
    encoding: 'utf8',
  })
  return { status, out: stdout.trim(), err: stderr }
}

const program = `import { backend, tensor } from '${esm}'
try { const y = tensor([1, 2]).add(1).mul(2); console.log(backend(), y.toArray().join()) } catch (e) { console.log(e.name, e.code, e.message) }`

/** A module that stands in for a binary: `require` does not mind. */
function fake(name: string, code: string): string {
  const path = join(folder, `${name}.cjs`)
  writeFileSync(path, code)
  return path
}

describe('CHAINRULE_BACKEND', () => {
  it('js runs without the addon and without a warning', () => {
    expect(node(program, { CHAINRULE_BACKEND: 'js' })).toEqual({ status: 0, out: 'js 4,6', err: '' })
  })

  it('native fails loudly when there is no binary, and says where it looked', () => {
    const missing = join(folder, 'missing.node')
    const { out } = node(program, { CHAINRULE_BACKEND: 'native', CHAINRULE_BINARY: missing })
    expect(out).toContain('BackendError ERR_NATIVE_MISSING chainrule: no native binary could be loaded')
    for (const part of [`${process.platform}-${process.arch}`, process.version, `${missing}: not there`, 'npm run build:native'])
      expect(out).toContain(part)
  })

  it('unset falls back with one warning', () => {
    const { status, out, err } = node(program, { CHAINRULE_BINARY: join(folder, 'missing.node') })
    expect({ status, out }).toEqual({ status: 0, out: 'js 4,6' })
    expect(err.match(/ChainruleWarning/g)).toHaveLength(1)
    expect(err).toContain('[ERR_NATIVE_MISSING]')
    expect(err).toContain('CHAINRULE_BACKEND=native')
  })

  it('of another name is an error', () => {
    expect(node(program, { CHAINRULE_BACKEND: 'cuda' }).out).toContain(
      "ArgumentError ERR_BACKEND_UNKNOWN CHAINRULE_BACKEND: must be 'js' or 'native', is 'cuda'",
    )
  })
})

describe('CHAINRULE_THREADS', () => {
  it.each(['abc', '0', '-1', '2.5', '1e2', '257', ' '])('of %j is an error on both backends', (wanted) => {
    for (const CHAINRULE_BACKEND of ['js', ''])
      expect(node(program, { CHAINRULE_THREADS: wanted, CHAINRULE_BACKEND }).out).toContain(
        `ArgumentError ERR_THREADS CHAINRULE_THREADS: must be a whole number from 1 to 256, is '${wanted}'`,
      )
  })

  it('that is empty counts as unset', () => {
    expect(node(program, { CHAINRULE_THREADS: '', CHAINRULE_BACKEND: 'js' })).toEqual({ status: 0, out: 'js 4,6', err: '' })
  })

  it.runIf(existsSync(binary))('of a number is taken', () => {
    const code = `import { environment } from '${esm}'; const { threads, threadsSource } = environment(); console.log(threads, threadsSource)`
    expect(node(code, { CHAINRULE_THREADS: '3' }).out).toBe('3 environment')
  })
})

describe('CHAINRULE_BINARY', () => {
  it('is named where the file it names is not there', () => {
    const { out, err } = node(program, { CHAINRULE_BINARY: join(folder, 'missing.node') })
    expect(out).toBe('js 4,6')
    expect(err).toContain('CHAINRULE_BINARY names this file, so no other is tried')
  })

  it.each(['exports.other = 1', 'module.exports = null', 'module.exports = { info: 1 }'])('may lead to any module: %s', (code) => {
    const { out } = node(program, { CHAINRULE_BACKEND: 'native', CHAINRULE_BINARY: fake('other', code) })
    expect(out).toContain('BackendError ERR_NATIVE_MISSING')
    expect(out).toContain('other.cjs: is no binary of chainrule')
    expect(out).toContain('CHAINRULE_BINARY')
  })
})

describe.runIf(existsSync(binary))('CHAINRULE_ISA', () => {
  it('of a set that is not there names those that are', () => {
    expect(node(program, { CHAINRULE_ISA: 'avx9' }).out).toMatch(
      /^BackendError ERR_CHAINRULE_ISA .*CHAINRULE_ISA: no instruction set 'avx9' on this machine; there are: .*scalar/,
    )
  })
})

describe('a binary', () => {
  it('from another op table is refused', () => {
    const path = fake('stale', `exports.info = () => ({ tableHash: ${tableHash() ^ 1} })`)
    const { out } = node(program, { CHAINRULE_BACKEND: 'native', CHAINRULE_BINARY: path })
    expect(out).toContain('BackendError ERR_TABLE_MISMATCH')
    expect(out).toContain('was built from another op table')
    expect(node(program, { CHAINRULE_BINARY: path }).err).toContain('[ERR_TABLE_MISMATCH]')
  })

  it('that is damaged is reported with its reason', () => {
    const path = join(folder, 'damaged.node')
    writeFileSync(path, 'not a library')
    const { out } = node(program, { CHAINRULE_BACKEND: 'native', CHAINRULE_BINARY: path })
    expect(out).toContain('ERR_NATIVE_MISSING')
    expect(out).toMatch(/damaged\.node: .*(invalid|file too short|not a valid|slice is not valid)/i)
  })

  it('that lacks the instruction set asked for is an error, not a reason to be slow', () => {
    const path = fake('isa', `throw Object.assign(new TypeError("no instruction set 'avx9'"), { code: 'ERR_CHAINRULE_ISA' })`)
    expect(node(program, { CHAINRULE_BINARY: path }).out).toContain("BackendError ERR_CHAINRULE_ISA chainrule: no instruction set 'avx9'")
  })

  it('is loaded by the first op, not by the import', () => {
    const path = fake('loud', `console.log('loaded'); throw new Error('no')`)
    expect(node(`import '${esm}'; console.log('imported')`, { CHAINRULE_BINARY: path }).out).toBe('imported')
    expect(node(`import { tensor } from '${esm}'; console.log('imported'); tensor([1]).neg()`, { CHAINRULE_BINARY: path }).out).toBe(
      'imported\nloaded',
    )
  })

  it('is looked for in build/, then in prebuilds/', () => {
    const result = loadAddon()
    if (existsSync(binary)) expect(result).toMatchObject({ path: 'build/chainrule.node' })
    else expect(result.addon === undefined ? result.error.message : result.path).toContain('prebuilds/')
    const bundle = readFileSync(join(root, 'dist/chainrule.cjs'), 'utf8')
    for (const target of ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64', 'win32-x64', 'win32-arm64']) {
      const file = `node.napi${target.endsWith('arm64') ? '.armv8' : ''}.node`
      expect(bundle).toContain(`require("../prebuilds/${target}/${file}")`)
    }
  })

  it.runIf(existsSync(binary))('of a checkout is used from dist/', () => {
    expect(node(program, { CHAINRULE_BACKEND: 'native' })).toMatchObject({ out: 'native 4,6', err: '' })
  })

  it.runIf(existsSync(binary) && process.platform === 'linux' && process.arch === 'x64')('of an installed package is used', () => {
    const installed = join(folder, 'node_modules/chainrule')
    cpSync(join(root, 'dist'), join(installed, 'dist'), { recursive: true })
    mkdirSync(join(installed, 'prebuilds/linux-x64'), { recursive: true })
    copyFileSync(join(root, 'package.json'), join(installed, 'package.json'))
    for (const name of ['node.napi.node', 'node.napi.musl.node']) copyFileSync(binary, join(installed, 'prebuilds/linux-x64', name))
    const user = join(folder, 'user.mjs')
    writeFileSync(user, program.replace(esm, 'chainrule'))
    const { stdout } = spawnSync(process.execPath, [user], { encoding: 'utf8', env: { ...process.env, CHAINRULE_BACKEND: 'native' } })
    expect(stdout.trim()).toBe('native 4,6')
  })
})

describe('import and require', () => {
  it('in one process are one library', () => {
    const code = `import { createRequire } from 'node:module'
      const a = await import('${esm}')
      const b = createRequire('${esm}')('./index.cjs')
      console.log(Object.keys(b).every((name) => a[name] === b[name]), a.tensor([1]) instanceof b.Tensor)
      a.manualSeed(7); const x = b.rand([3]); b.manualSeed(7); const y = a.rand([3])
      console.log(x.toArray().join() === y.toArray().join())`
    expect(node(code, { CHAINRULE_BACKEND: 'js' })).toEqual({ status: 0, out: 'true true\ntrue', err: '' })
  })

  it('keep the names of classes', () => {
    const code = `import * as c from '${esm}'
      console.log(Object.entries(c).filter(([n, v]) => typeof v === 'function' && /^class/.test(String(v)) && v.name !== n).map(([n, v]) => n + ' ' + v.name).join())`
    expect(node(code).out).toBe('')
  })

  it('give the same names', () => {
    const code = `import * as a from '${esm}'; import { createRequire } from 'node:module'
      const b = createRequire('${esm}')('./index.cjs')
      console.log(Object.keys(a).sort().join() === Object.keys(b).sort().join(), 'compile' in b, 'matmul' in a)`
    expect(node(code).out).toBe('true true true')
  })
})
