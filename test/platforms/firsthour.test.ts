/**
 * The first hour of a stranger (lines 1, 5 and 6 of the test that our research of users' complaints ends with): the package installs in seconds with
 * no tool and no network, a mistyped shape says how to mend it, and a long run keeps its memory and ends with 0. The other lines, training
 * beside a server, going on after a restart and PyTorch's files, are in test/train, test/io and test/golden.
 */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { emptyFolder, installedFolder, run, tarball, trained, writeUser } from './support.js'

describe('the first hour', () => {
  it('installs with nothing but Node, and without a network', () => {
    const folder = emptyFolder('bare machine')
    writeUser(folder)
    // no compiler, no Python, no git: Node, npm and a shell are all there is
    const bin = join(folder, 'bin')
    mkdirSync(bin)
    for (const name of ['node', 'npm', 'sh', 'env', 'uname'])
      symlinkSync(name === 'node' ? process.execPath : run('sh', ['-c', `command -v ${name}`], folder).out.trim(), join(bin, name))
    // a port where nobody listens
    const nowhere = 'http://127.0.0.1:9'
    const env = { PATH: bin, npm_config_registry: nowhere, npm_config_cache: join(folder, 'cache'), npm_config_fetch_retries: '0' }
    const installed = run('npm', ['install', tarball, '--no-audit', '--no-fund'], folder, env)
    expect(installed.status, installed.out).toBe(0)
    for (const program of ['user.mjs', 'user.cjs']) expect(run('node', [program], folder, { PATH: bin })).toEqual(trained)
  })

  it('names the number to write when a shape is mistyped', () => {
    const program = `
      const { nn, randn, tensor, losses, matmul } = require('chainrule')
      const attempt = (fn) => { try { fn() } catch (error) { console.log(error.code + ': ' + error.message) } }
      attempt(() => new nn.Linear(784, 10).forward(randn([32, 748])))
      attempt(() => matmul(randn([128, 784]), randn([512, 256])))
      attempt(() => losses.crossEntropy(randn([4, 10]), tensor([1, 2, 10, 3], { dtype: 'int32' })).item())
      attempt(() => new nn.Sequential(new nn.Conv2d(1, 8, 3), new nn.Flatten(), new nn.Linear(100, 10)).forward(randn([2, 1, 28, 28])))`
    writeFileSync(join(installedFolder(), 'mistakes.cjs'), program)
    const { status, out } = run(process.execPath, ['mistakes.cjs'], installedFolder())
    expect(status).toBe(0)
    const lines = out.trim().split('\n')
    for (const [i, numbers] of [['784', '748'], ['784', '512'], ['10'], ['5408', '100']].entries()) {
      expect(lines[i]).toMatch(/^ERR_/)
      for (const n of numbers) expect(lines[i]).toContain(n)
    }
  })

  it('keeps its memory over thousands of steps and ends with 0', () => {
    const program = `
      import { fit, losses, nn, optim, randn, tensor } from 'chainrule'
      const model = new nn.Sequential(new nn.Conv2d(1, 4, 3), new nn.ReLU(), new nn.Flatten(), new nn.Linear(144, 4))
      const optimizer = new optim.Adam(model.parameters(), { lr: 1e-3 })
      const data = [randn([512, 1, 8, 8]), tensor(Int32Array.from({ length: 512 }, (_, i) => i % 4))]
      const steps = (epochs) => fit(model, data, { loss: losses.crossEntropy, optimizer, epochs, batchSize: 8, progress: false })
      const rss = () => { gc(); return process.memoryUsage.rss() / 2 ** 20 }
      await steps(20)
      const before = rss()
      for (let i = 0; i < 8; i++) await steps(20)
      const grown = rss() - before
      console.log(grown < 24 ? 'flat' : 'grew by ' + grown.toFixed(0) + ' MB')`
    writeFileSync(join(installedFolder(), 'night.mjs'), program)
    expect(run(process.execPath, ['--expose-gc', 'night.mjs'], installedFolder())).toEqual({ status: 0, out: 'flat\n' })
  })
})
