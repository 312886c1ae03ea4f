/** The frame of the fuzzers: what it makes of a check that throws, ends its process or hangs. */
import { spawnSync } from 'node:child_process'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { hasNative, root } from '../support/backends.js'
import { fuzzer } from './frame/faulty.js'
import { Random } from './frame/random.js'
import { showFault, watch } from './frame/watch.js'

const plan = { seed: 3, first: 0, step: 1, cases: 1000, duration: Number.MAX_SAFE_INTEGER, faults: 2 }

describe('the frame of the fuzzers', () => {
  afterEach(() => vi.unstubAllEnvs())

  const failing = Array.from({ length: plan.cases }, (_, i) => i).filter((i) => fuzzer.generate(new Random(plan.seed, i)).includes(7))

  it('draws the same case from the same seed and index', () => {
    expect(failing.length).toBeGreaterThan(20)
    expect(fuzzer.generate(new Random(3, 5))).toEqual(fuzzer.generate(new Random(3, 5)))
    expect(fuzzer.generate(new Random(3, 5))).not.toEqual(fuzzer.generate(new Random(3, 6)))
    expect(fuzzer.generate(new Random(3, 5))).not.toEqual(fuzzer.generate(new Random(4, 5)))
  })

  for (const [how, message] of [
    ['throw', 'there is a 7'],
    ['reject', 'there is a 7'],
    ['end', 'SIGABRT'],
    ['hang', 'did not end'],
    ['wait', 'nothing was left that it could wait for'],
  ]) {
    it(`finds and shrinks cases that ${how}`, { timeout: 120_000 }, async () => {
      vi.stubEnv('FAULTY', how)
      const faults = how === 'hang' ? 1 : 2
      const { cases, faults: found } = await watch(fuzzer.name, { ...plan, faults })
      expect(found.map(({ index }) => index)).toEqual(failing.slice(0, faults))
      expect(cases).toBe(failing[faults - 1] + 1)
      for (const fault of found) {
        expect(fault.code).toBe('check([7])')
        expect(showFault('lists', fault)).toContain(message)
      }
    })
  }

  it.runIf(hasNative)('ends at once where what was asked for cannot run', { timeout: 120_000 }, () => {
    for (const [name, value, message] of [
      ['CHAINRULE_BINARY', '/nowhere/chainrule.node', 'not there'],
      ['CHAINRULE_ISA', 'abacus', 'abacus'],
    ]) {
      const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/fuzz.js', 'programs', '--cases', '1'], {
        cwd: root,
        env: { ...process.env, [name]: value },
        encoding: 'utf8',
      })
      expect(stderr).toContain(message)
      expect([status, stdout]).toEqual([2, ''])
    }
  })

  it('divides the cases among processes and ends where there is no fault', async () => {
    const totals = await watch(fuzzer.name, { ...plan, first: 1, step: 3, cases: failing[0], faults: 1 })
    expect(totals.faults).toEqual([])
    expect(totals.cases).toBe(Math.ceil((failing[0] - 1) / 3))
  })
})
