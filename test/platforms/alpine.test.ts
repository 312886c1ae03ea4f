/**
 * The Dockerfile for Alpine in docs/serverless.md, as far as it goes without Docker and Alpine: its RUN line that deletes other platforms' binaries in
 * busybox's shell, and what is left in a folder as root that holds what Alpine has (musl, its ldd, no glibc) and Bun's musl build, since npm
 * has no Node for musl. The loader finds its binary itself there.
 */
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { bunOnMusl } from './musl.js'
import { has, installedFolder, programs, root, run, trained } from './support.js'

const dockerfile = readFileSync(join(root, 'docs/serverless.md'), 'latin1')
const prune = /^ +RUN (cd node_modules\/chainrule\/prebuilds.*)$/m.exec(dockerfile)?.[1] ?? ''
const machines = { x64: 'x86_64', arm64: 'aarch64' }
const files = { x64: 'linux-x64/node.napi.musl.node', arm64: 'linux-arm64/node.napi.armv8.musl.node' }

describe.each(['x64', 'arm64'] as const)('Alpine on %s', (arch) => {
  it('the Dockerfile leaves what the loader looks for', (context) => {
    if (!existsSync(join(root, 'prebuilds', files[arch]))) return context.skip(`no binary: npm run prebuilds -- linux-${arch}-musl`)
    if (!has('busybox')) return context.skip('apt-get install busybox-static')
    if (process.getuid?.() !== 0) return context.skip('chroot needs root')
    const bun = bunOnMusl(arch)
    if (typeof bun === 'string') return context.skip(bun)

    const folder = join(root, 'build/platforms', `alpine-${arch}`)
    rmSync(folder, { recursive: true, force: true })
    for (const name of ['bin', 'lib', 'usr/bin', 'usr/lib', 'app/node_modules', 'tmp', 'dev'])
      mkdirSync(join(folder, name), { recursive: true })
    const loader = `lib/ld-musl-${machines[arch]}.so.1`
    copyFileSync(run('which', ['busybox'], root).out.trim(), join(folder, 'bin/busybox'))
    copyFileSync(join('/', loader), join(folder, loader))
    copyFileSync(join('/', loader), join(folder, `usr/lib/libc.musl-${machines[arch]}.so.1`))
    copyFileSync(join(bun.env.LD_LIBRARY_PATH, 'libstdc++.so.6'), join(folder, 'usr/lib/libstdc++.so.6'))
    writeFileSync(join(folder, 'usr/bin/ldd'), `#!/bin/sh\nexec /${loader} --list "$@"\n`, { mode: 0o755 })
    const [program, emulator] = [...[bun.command, ...bun.args]].reverse()
    copyFileSync(program, join(folder, 'bin/bun'))
    if (emulator !== undefined) copyFileSync(run('which', [emulator], root).out.trim(), join(folder, 'bin/emulator'))
    for (const name of ['bun', 'busybox', ...(emulator === undefined ? [] : ['emulator'])]) chmodSync(join(folder, 'bin', name), 0o755)
    cpSync(join(installedFolder(), 'node_modules/chainrule'), join(folder, 'app/node_modules/chainrule'), { recursive: true })
    for (const [name, code] of Object.entries(programs)) writeFileSync(join(folder, 'app', name), code)
    writeFileSync(join(folder, 'app/which.cjs'), `const c = require('chainrule'); c.ones([1]).add(1); console.log(c.environment().binary)`)

    const inside = (...command: string[]) => run('chroot', [folder, ...command], root, {}, { timeout: 300_000 })
    const shell = (line: string) => inside('/bin/busybox', 'sh', '-c', `export PATH=/bin; cd /app && ${line}`)
    expect(prune).not.toBe('')
    expect(shell(`/bin/busybox --install -s /bin && ${prune}`)).toEqual({ status: 0, out: '' })
    const left = shell("cd node_modules/chainrule/prebuilds && find . -name '*.node'").out.trim().split('\n').sort()
    expect(left).toContain(`./${files[arch]}`)
    expect(left.filter((name) => !name.endsWith('.musl.node'))).toEqual([])

    const bunInside = `${emulator === undefined ? '' : '/bin/emulator '}/bin/bun`
    expect(shell(`CHAINRULE_BACKEND=native CHAINRULE_THREADS=2 ${bunInside} which.cjs`).out).toBe(
      `/app/node_modules/chainrule/prebuilds/${files[arch]}\n`,
    )
    for (const name of Object.keys(programs))
      expect(shell(`CHAINRULE_BACKEND=native CHAINRULE_THREADS=2 ${bunInside} ${name}`)).toEqual(trained)
  })
})
