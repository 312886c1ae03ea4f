/** The tarball installed by each package manager, into an empty folder with an awkward path, and a step trained there in both module systems. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { emptyFolder, run, tarball, tool, trained, writeUser } from './support.js'

const node = process.execPath

describe('installed and run with', () => {
  it.each([['npm'], ['npm --ignore-scripts']])('%s', (how) => {
    const folder = emptyFolder(how)
    writeUser(folder)
    const flags = how.endsWith('--ignore-scripts') ? ['--ignore-scripts'] : []
    expect(run('npm', ['install', tarball, '--no-audit', '--no-fund', ...flags], folder)).toMatchObject({ status: 0 })
    for (const program of ['user.mjs', 'user.cjs']) expect(run(node, [program], folder)).toEqual(trained)
  })

  it('pnpm', (context) => {
    const pnpm = tool('pnpm@10')
    if (pnpm === undefined) return context.skip('pnpm cannot be had from npm here')
    const folder = emptyFolder('pnpm')
    writeUser(folder)
    const installed = run(node, [join(pnpm, 'bin/pnpm.cjs'), 'add', tarball, '--store-dir', join(folder, 'store')], folder)
    expect(installed, installed.out).toMatchObject({ status: 0 })
    for (const program of ['user.mjs', 'user.cjs']) expect(run(node, [program], folder)).toEqual(trained)
  })

  it.for(['node-modules', 'pnp'])('yarn 4, %s', (linker, context) => {
    const yarn = tool('@yarnpkg/cli-dist@4')
    if (yarn === undefined) return context.skip('yarn cannot be had from npm here')
    const folder = emptyFolder(`yarn ${linker}`)
    writeUser(folder, { dependencies: { chainrule: `file:${tarball}` } })
    writeFileSync(join(folder, 'yarn.lock'), '')
    writeFileSync(join(folder, '.yarnrc.yml'), `nodeLinker: ${linker}\nenableGlobalCache: false\nenableTelemetry: false\n`)
    const cli = join(yarn, 'bin/yarn.js')
    const installed = run(node, [cli, 'install'], folder, { YARN_ENABLE_IMMUTABLE_INSTALLS: '0', CI: '' })
    expect(installed, installed.out).toMatchObject({ status: 0 })
    for (const program of ['user.mjs', 'user.cjs']) expect(run(node, [cli, 'node', program], folder)).toEqual(trained)
  })

  it('bun', (context) => {
    const bun = tool('@oven/bun-linux-x64@1.4.5')
    if (bun === undefined || process.platform !== 'linux') return context.skip('bun cannot be had from npm here')
    const folder = emptyFolder('bun')
    writeUser(folder)
    const installed = run(join(bun, 'bin/bun'), ['add', tarball], folder)
    expect(installed, installed.out).toMatchObject({ status: 0 })
    for (const program of ['user.mjs', 'user.cjs']) {
      expect(run(node, [program], folder)).toEqual(trained)
      expect(run(join(bun, 'bin/bun'), [program], folder)).toEqual(trained)
    }
  })

  it('npx, without installing', () => {
    const folder = emptyFolder('npx')
    const { status, out } = run('npx', ['--yes', '--package', tarball, 'chainrule', 'doctor', '--quick'], folder)
    expect({ status, native: out.includes('backend          native') }, out).toEqual({ status: 0, native: true })
  })
})
