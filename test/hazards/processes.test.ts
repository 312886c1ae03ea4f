/** Processes and workers that end in the middle of queued work: with the exit code they asked for, and without a crash. */
import { describe, expect, it } from 'vitest'
import { backends } from '../support/backends.js'
import { type Ended, runChild } from '../support/children.js'

function expectEnd(ended: Ended, code: number): void {
  expect(ended.signal, ended.stderr).toBeNull()
  expect(ended.code, ended.stderr).toBe(code)
}

describe.each(backends)('a process on %s', (which) => {
  it.each(['exit', 'exit later'])('ends at once with process.exit() (%s)', async (how) => {
    expectEnd(await runChild('ending.mjs', [how], which), 7)
  })

  it.each(['throw', 'throw at once'])('ends with an uncaught exception (%s)', async (how) => {
    const ended = await runChild('ending.mjs', [how], which)
    expectEnd(ended, 1)
    expect(ended.stderr).toContain('uncaught on purpose')
  })

  it('ends with an unhandled rejection', async () => {
    const ended = await runChild('ending.mjs', ['reject'], which)
    expectEnd(ended, 1)
    expect(ended.stderr).toContain('unhandled on purpose')
  })

  it('may run steps in its exit handler', async () => {
    expectEnd(await runChild('ending.mjs', ['in exit handler'], which), 7)
  })

  it.each(['finish', 'unawaited'])('stays alive until queued steps are done (%s)', async (how) => {
    const ended = await runChild('ending.mjs', [how], which)
    expectEnd(ended, 0)
    expect(ended.stdout).toContain('finished')
  })
})

describe.each(backends)('workers on %s', (which) => {
  it('train at the same time as the main thread', async () => {
    const ended = await runChild('workers.mjs', ['main too'], which)
    expectEnd(ended, 0)
    expect(ended.stdout).toContain('done')
  })

  it('eight at once get the same bits', async () => {
    const ended = await runChild('workers.mjs', ['eight'], which)
    expectEnd(ended, 0)
    expect(ended.stdout).toContain('done')
  })

  it('can be terminated in the middle of a step', async () => {
    const ended = await runChild('workers.mjs', ['terminate'], which)
    expectEnd(ended, 0)
    expect(ended.stdout).toContain('done')
  })

  it('do not hold up process.exit()', async () => {
    expectEnd(await runChild('workers.mjs', ['exit'], which), 7)
  })

  it('that change indices while operations use them do no harm', async () => {
    const ended = await runChild('racing.mjs', [], which)
    expectEnd(ended, 0)
    expect(ended.stdout).toContain('done')
  })
})
