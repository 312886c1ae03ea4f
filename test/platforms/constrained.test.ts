/**
 * The installed package where servers and functions in a cloud run it: nothing to write to, no home folder, no shared memory, a share of one processor,
 * little memory. What needs rights that this user lacks says so.
 */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, type TestContext } from 'vitest'
import { has, installedFolder, type Outcome, run, trained } from './support.js'

const node = process.execPath

/** Runs one of the user's programs in a control group of its own with the given settings, or skips. */
function inGroup(
  context: TestContext,
  controller: 'cpu' | 'memory',
  settings: Record<'v1' | 'v2', Record<string, string>>,
  program: string,
): Outcome {
  const unified = existsSync('/sys/fs/cgroup/cgroup.controllers')
  const name = `chainrule-test-${process.pid}`
  const folder = join('/sys/fs/cgroup', ...(unified ? [] : [controller]), name)
  try {
    mkdirSync(folder)
    for (const [file, value] of Object.entries(settings[unified ? 'v2' : 'v1'])) writeFileSync(join(folder, file), value)
  } catch (error) {
    if (existsSync(folder)) rmdirSync(folder)
    return context.skip(`no control group can be made: ${(error as Error).message}`)
  }
  try {
    const script = `echo $$ > "$1/cgroup.procs" && exec "$2" "$3"`
    return run('sh', ['-c', script, 'sh', folder, node, program], installedFolder())
  } finally {
    rmdirSync(folder)
  }
}

describe('where there is little', () => {
  it('a file system that cannot be written to, no shared memory, no home', (context) => {
    if (!has('unshare')) return context.skip('unshare is not there')
    const folder = installedFolder()
    const script = `mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && umount -l /dev/shm; cd "$1" && exec "$2" user.mjs`
    const outcome = run('unshare', ['--mount', 'sh', '-c', script, 'sh', folder, node], folder, { HOME: '/nowhere', TMPDIR: '/nowhere' })
    if (/not permitted|permission denied/i.test(outcome.out)) return context.skip('namespaces need root')
    expect(outcome).toEqual(trained)
  })

  it('no environment at all', () => {
    const script = `exec env -i CHAINRULE_BACKEND=native "$1" user.cjs`
    expect(run('sh', ['-c', script, 'sh', node], installedFolder())).toEqual(trained)
  })

  it('a quota of one processor: one thread, and it says why', (context) => {
    const program = `const c = require('chainrule'); c.ones([1]).add(1); const { threads, threadsSource } = c.environment(); console.log(threads, threadsSource)`
    writeFileSync(join(installedFolder(), 'threads.cjs'), program)
    const settings = { v1: { 'cpu.cfs_period_us': '100000', 'cpu.cfs_quota_us': '100000' }, v2: { 'cpu.max': '100000 100000' } }
    expect(run(node, ['threads.cjs'], installedFolder(), { CHAINRULE_THREADS: '' }).out).toMatch(/^\d+ cores\n$/)
    expect(inGroup(context, 'cpu', settings, 'threads.cjs')).toEqual({ status: 0, out: '1 cgroup\n' })
    expect(inGroup(context, 'cpu', settings, 'user.mjs')).toEqual(trained)
  })

  it('128 MB of memory', (context) => {
    const settings = { v1: { 'memory.limit_in_bytes': '128M' }, v2: { 'memory.max': '128M' } }
    expect(inGroup(context, 'memory', settings, 'user.mjs')).toEqual(trained)
  })

  it('an allocation that the system refuses is an error, and the next one works', (context) => {
    const program = `
      const c = require('chainrule')
      const large = (x) => x.matmul(x.transpose(0, 1)).softmax(-1).sum()
      const codes = []
      const note = (error) => codes.push(error.code)
      try { c.ones([40000, 40000]) } catch (error) { note(error) }
      try { large(c.ones([40000, 1])) } catch (error) { note(error) }
      try { c.compile(large).sync(c.ones([40000, 1])) } catch (error) { note(error) }
      c.compile(large)(c.ones([40000, 1])).catch(note).then(() => console.log(codes.join(), c.ones([3]).add(1).toArray().join()))`
    writeFileSync(join(installedFolder(), 'refused.cjs'), program)
    // what Node itself reserves differs by version; 6.4 GB is more than what is left
    const limited = (file: string): Outcome => run('sh', ['-c', `ulimit -v 5000000 && exec "$1" "$2"`, 'sh', node, file], installedFolder())
    if (limited('user.cjs').status !== 0) return context.skip('Node does not start with 5 GB of address space here')
    expect(limited('refused.cjs')).toEqual({ status: 0, out: `${Array(4).fill('ERR_OUT_OF_MEMORY').join()} 2,2,2\n` })
  })
})
