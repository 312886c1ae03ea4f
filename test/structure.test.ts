/** What must stay true of the source as such: floors, generated files, build files that agree, and a package that both module systems can use. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const text = (path: string): string => readFileSync(join(root, path), 'utf8')

interface ImportRules {
  checkImports(files: readonly string[], read: (file: string) => string): string[]
  checkSource(): string[]
}

describe('imports', async () => {
  const path = '../scripts/check-imports.js'
  const { checkImports, checkSource } = (await import(path)) as ImportRules

  it('point down', () => {
    expect(checkSource()).toEqual([])
  })

  it('that point up or in a circle are found', () => {
    const check = (sources: Record<string, string>): string[] => checkImports(Object.keys(sources), (file) => sources[file])
    expect(check({ 'tensor/t.ts': "import { add } from '../ops/basic/add.js'", 'ops/basic/add.ts': '' })).toEqual([
      expect.stringContaining('a floor above'),
    ])
    expect(check({ 'ops/basic/a.ts': "import type { T } from '../arrays/b.js'", 'ops/arrays/b.ts': '' })).toEqual([
      expect.stringContaining('a floor above'),
    ])
    expect(check({ 'ir/a.ts': "import type { T } from '../tensor/t.js'", 'tensor/t.ts': '' })).toEqual([
      expect.stringContaining('a floor above'),
    ])
    expect(check({ 'ops/basic/a.ts': "import {\n  b,\n} from './b.js'", 'ops/basic/b.ts': "export * from './a.js'" })).toEqual([
      expect.stringContaining('circle: ops/basic/a.ts'),
    ])
    expect(
      check({
        'ops/basic/a.ts': "import { b } from './b.js'",
        'ops/basic/b.ts': "import { type A } from './a.js'\nlet x: import('./a.js').A",
      }),
    ).toEqual([])
    expect(check({ 'ops/basic/a.ts': "import './b.js'" })).toEqual([expect.stringContaining('does not exist')])
    expect(check({ 'elsewhere/a.ts': '' })).toEqual([expect.stringContaining('on no floor')])
    expect(check({ 'ops/basic/a.ts': "/** @example import { b } from '../../nn/b.js' */\n// import '../../nn/b.js'" })).toEqual([])
  })
})

describe('native code', () => {
  it('is generated from the op table as it is now', () => {
    const { status, stderr } = spawnSync(process.execPath, ['scripts/generate.js', '--check'], { cwd: root, encoding: 'utf8' })
    expect(status, stderr.slice(0, 1000)).toBe(0)
  })

  const sourcesIn = (build: string): string[] => [...new Set(build.match(/native\/(?:addon|runtime|kernels)\/[\w.]+\.cc/g))].sort()
  // paths in an included file are relative to its own folder
  const gyp = `${text('binding.gyp')}${text('native/kernels.gypi').replaceAll('"kernels/', '"native/kernels/')}`

  it('is all built by CMake', () => {
    const files = ['addon', 'runtime', 'kernels'].flatMap((folder) =>
      readdirSync(join(root, 'native', folder))
        .filter((name) => name.endsWith('.cc'))
        .map((name) => `native/${folder}/${name}`),
    )
    const included = files.filter((file) => files.some((other) => text(other).includes(`#include "${file.split('/').at(-1)}"`)))
    expect(sourcesIn(text('CMakeLists.txt'))).toEqual(files.filter((file) => !included.includes(file)).sort())
  })

  it('is built from the same sources, with the same instruction sets, by node-gyp', () => {
    expect(sourcesIn(gyp)).toEqual(sourcesIn(text('CMakeLists.txt')))
    // the twin is for tests only
    const options = [...text('CMakeLists.txt').matchAll(/set\(ISA_OPTIONS_(?!avx512_twin)\w+ ([^)"]+)\)/g)].flatMap(([, flags]) =>
      flags.trim().split(/\s+/),
    )
    expect(options).toContain('-mavx2')
    for (const option of options) expect(gyp).toContain(option)
    for (const define of ['NAPI_VERSION=8', 'NODE_API_NO_EXTERNAL_BUFFERS_ALLOWED']) {
      expect(gyp).toContain(define)
      expect(`${text('CMakeLists.txt')}${text('cmake/addon.cmake')}`).toContain(define)
    }
  })
})

describe('the package', () => {
  it('has types for both module systems', () => {
    if (!existsSync(join(root, 'dist/index.d.cts'))) throw new Error('dist/ is missing: run npm test, or npm run build:ts first')
    mkdirSync(join(root, 'build'), { recursive: true })
    const folder = mkdtempSync(join(root, 'build/consumer-'))
    try {
      mkdirSync(join(folder, 'node_modules'))
      symlinkSync(root, join(folder, 'node_modules/chainrule'), 'dir')
      const use =
        'const t: Tensor = tensor([1, 2]).add(1)\nexport const n: number = t.size\n// @ts-expect-error not a dtype\ntensor([1], { dtype: "float" })\n'
      writeFileSync(join(folder, 'a.mts'), `import { type Tensor, tensor } from 'chainrule'\n${use}`)
      writeFileSync(join(folder, 'b.cts'), `import { type Tensor, tensor } from 'chainrule'\n${use}`)
      writeFileSync(
        join(folder, 'c.cts'),
        `import chainrule = require('chainrule')\nexport const t: chainrule.Tensor = chainrule.tensor([1])\n`,
      )
      const tsc = join(root, 'node_modules/typescript/bin/tsc')
      const options = [
        '--ignoreConfig',
        '--strict',
        '--noEmit',
        '--module',
        'node16',
        '--target',
        'es2022',
        '--lib',
        'es2023,esnext.disposable',
        '--types',
        'node',
        '--typeRoots',
        join(root, 'node_modules/@types'),
      ]
      const { stdout } = spawnSync(process.execPath, [tsc, ...options, 'a.mts', 'b.cts', 'c.cts'], { cwd: folder, encoding: 'utf8' })
      expect(stdout).toBe('')
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
