/** The package as npm would publish it: what is in the tarball, how large it is, and that it works from a folder nobody chose for us. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as source from '../src/index.js'
import { hasNative } from './support/backends.js'

const root = resolve(import.meta.dirname, '..')
const megabyte = 1e6
/** A space and letters beyond ASCII: paths that have broken native packages before. */
const folder = mkdtempSync(join(tmpdir(), 'chainrule päckage 包 '))
const installed = join(folder, 'node_modules/chainrule')
let files: string[] = []
let tarball = 0

function run(command: string, args: string[], cwd: string, env: Record<string, string> = {}): { status: number | null; out: string } {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('CHAINRULE_') && !name.startsWith('VITEST'))
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: { ...Object.fromEntries(inherited), ...env },
  })
  return { status, out: error === undefined ? `${stdout}${stderr}` : error.message }
}

beforeAll(() => {
  if (!existsSync(join(root, 'dist/index.d.ts'))) throw new Error('dist/ is missing: run npm test, or npm run build:ts first')
  const packed = run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], root)
  const name = readdirSync(folder).find((file) => file.endsWith('.tgz'))
  if (name === undefined) throw new Error(packed.out)
  tarball = statSync(join(folder, name)).size
  mkdirSync(installed, { recursive: true })
  run('tar', ['-xzf', join(folder, name), '-C', installed, '--strip-components=1'], folder)
  files = readdirSync(installed, { recursive: true })
    .map((file) => String(file).replaceAll('\\', '/'))
    .filter((file) => statSync(join(installed, file)).isFile())
    .sort()
  writeFileSync(join(folder, 'package.json'), '{ "name": "user", "private": true }')
}, 120_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Without a prebuilt binary of this platform, the one of the checkout stands in. */
const env: Record<string, string> = hasNative ? { CHAINRULE_BINARY: join(root, 'build/chainrule.node') } : {}

describe('the tarball', () => {
  it('has what users need', () => {
    const needed = ['dist/index.mjs', 'dist/index.cjs', 'dist/index.d.ts', 'dist/index.d.cts', 'dist/chainrule.cjs', 'dist/cli.cjs']
    const more = ['bench/run.js', 'examples/demo.js', 'binding.gyp', 'CMakeLists.txt', 'native/addon/module.cc', 'README.md', 'LICENSE']
    expect(files).toEqual(expect.arrayContaining([...needed, ...more]))
  })

  it('has nothing else', () => {
    const allowed =
      /^(dist\/|prebuilds\/[\w-]+\/node\.napi[\w.]*\.node$|bench\/(import|measure|peak|run|session|tables|timing|workloads)\.js$|examples\/demo\.js$|native\/(?!test|bench)|cmake\/|docs\/[\w-]+\.md$|[\w.]+$)/
    expect(files.filter((file) => !allowed.test(file))).toEqual([])
    expect(files.filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))).toEqual([])
  })

  it('has every page that its own pages link to', () => {
    for (const page of files.filter((file) => file.endsWith('.md'))) {
      const links = readFileSync(join(installed, page), 'utf8').matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)
      for (const [, link] of links) expect(files, `${page} links to ${link}`).toContain(join(dirname(page), link))
    }
  })

  it('takes 10 MB packed and 20 MB unpacked at most', () => {
    const unpacked = files.reduce((sum, file) => sum + statSync(join(installed, file)).size, 0)
    expect(tarball).toBeLessThanOrEqual(10 * megabyte)
    expect(unpacked).toBeLessThanOrEqual(20 * megabyte)
  })

  it('runs nothing when it is installed and needs no other package', () => {
    const { scripts, dependencies, optionalDependencies, gypfile } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))
    for (const name of ['preinstall', 'install', 'postinstall', 'prepare']) expect(scripts[name]).toBeUndefined()
    expect({ dependencies, optionalDependencies, gypfile }).toEqual({
      dependencies: undefined,
      optionalDependencies: undefined,
      gypfile: false,
    })
  })

  it('has no paths of the machine that built it', () => {
    for (const file of files.filter((name) => /\.(node|cjs|mjs|d\.ts)$/.test(name)))
      expect(readFileSync(join(installed, file)).includes(root), file).toBe(false)
  })
})

describe('the parts of the library', () => {
  /** What the names stand for, those of namespaces included. */
  const outline = (surface: object): object =>
    Object.fromEntries(
      Object.entries(surface)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, value]) => [name, typeof value === 'object' && value !== null ? outline(value) : typeof value]),
    )

  it('have the names of the source', () => {
    expect(outline(createRequire(import.meta.url)(join(root, 'dist/index.cjs')))).toEqual(outline({ ...source }))
  })

  it('leave a core that is read quickly', () => {
    expect(statSync(join(root, 'dist/chainrule.cjs')).size).toBeLessThan(175_000)
  })

  it('are read when they are used', () => {
    const parts = `Object.keys(require.cache).flatMap((file) => /chainrule\\.(\\w+)\\.cjs$/.exec(file)?.[1] ?? []).sort().join()`
    const code = (use: string): string => `const c = require('chainrule'); ${use}; console.log(${parts})`
    const read = (use: string): string => run(process.execPath, ['-e', code(use)], root).out.trim()
    expect(read('')).toBe('')
    expect(read('c.ones([2]).add(1).sum()')).toBe('')
    expect(read('c.rfft(c.ones([4]))')).toBe('arrays')
    expect(read('c.ones([2, 2]).inverse; c.nn; c.losses; c.metrics; c.datasets')).toBe('')
    expect(read('c.optim.lrScheduler')).toBe('nn')
    expect(read('c.compile((x) => x.add(1))')).toBe('compile')
  })

  it.each(['mjs', 'cjs'])('are one implementation, whoever asks first (%s)', (kind) => {
    const [first, second] = kind === 'mjs' ? ['imported', 'required'] : ['required', 'imported']
    const code = `
      import { createRequire } from 'node:module'
      const load = { imported: () => import('chainrule'), required: () => createRequire(import.meta.url)('chainrule') }
      const a = await load.${first}(), layer = new a.nn.Linear(2, 2)
      const b = await load.${second}()
      console.log(a.nn === b.nn, layer instanceof b.nn.Linear, layer.weight instanceof b.Tensor, a.fit === b.fit)`
    writeFileSync(join(folder, 'both.mjs'), code)
    expect(run(process.execPath, ['both.mjs'], folder, env).out).toBe('true true true true\n')
  })

  it('are no lines of the user: errors name those', () => {
    const code = `const c = require('chainrule')\nfunction ofTheUser() { c.anomaly(true); c.losses.mseLoss(c.ones([1]).log().log(), c.ones([1])) }\ntry { ofTheUser() } catch (error) { console.log(error.message) }`
    writeFileSync(join(folder, 'line.cjs'), code)
    expect(run(process.execPath, ['line.cjs'], folder, env).out).toMatch(/ofTheUser \(.*line\.cjs:2/)
  })
})

describe('the installed package', () => {
  const training = `
    const net = new c.nn.Linear(2, 1), optimizer = new c.optim.SGD(net.parameters(), { lr: 0.1 })
    const step = c.compile((x, y) => { const loss = c.losses.mseLoss(net.forward(x), y); optimizer.zeroGrad(); loss.backward(); optimizer.step(); return loss })
    step(c.ones([4, 2]), c.ones([4, 1])).then((loss) => console.log('loss', Number.isFinite(loss.item())))`

  it.each([
    ['ES modules', 'user.mjs', `import * as c from 'chainrule'\n${training}`],
    ['CommonJS', 'user.cjs', `const c = require('chainrule')\n${training}`],
  ])('trains a step in %s', (_, name, code) => {
    writeFileSync(join(folder, name), code)
    expect(run(process.execPath, [name], folder, env)).toEqual({ status: 0, out: 'loss true\n' })
  })

  it('has the commands doctor and bench', { timeout: 60_000 }, () => {
    const cli = join(installed, 'dist/cli.cjs')
    expect(run(process.execPath, [cli, 'doctor', '--quick'], folder, env).out).toContain(hasNative ? 'native' : 'TypeScript')
    const bench = run(process.execPath, [cli, 'bench', 'tiny', '--mode', 'sync', '--seconds', '0.1', '--json'], folder, env)
    expect(bench, bench.out).toMatchObject({ status: 0 })
    expect(bench.out).toContain('"workload":"tiny"')
    if (hasNative) expect(JSON.parse(bench.out.trim()).peak_gflops).toBeGreaterThan(0)
    const ops = run(process.execPath, [cli, 'bench', '--ops', 'sum'], folder, env)
    expect(ops).toMatchObject({ status: 1, out: expect.stringContaining('only a checkout of chainrule has') })
  })
})
