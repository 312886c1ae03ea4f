/** The hint that shows `compile`: after a hundred steps op by op, once, and only to whoever has not chosen that. */
import { describe, expect, it } from 'vitest'
import { hasNative } from '../support/backends.js'
import { runChild } from '../support/children.js'

async function warnings(way: string, backend: 'js' | 'native', env: Record<string, string> = {}): Promise<string[]> {
  const ended = await runChild('hint.mjs', [way], backend, [], 60_000, env)
  expect(ended.code, ended.stderr).toBe(0)
  return JSON.parse(ended.stdout) as string[]
}

describe.runIf(hasNative)('the hint', () => {
  it.each(['eager', 'functional'])('comes once (%s)', async (way) => {
    expect(await warnings(way, 'native')).toEqual(['HINT_COMPILE'])
  })

  it.each(['few steps', 'compiled', 'eager on purpose', 'fit op by op'])('does not come (%s)', async (way) => {
    expect(await warnings(way, 'native')).toEqual([])
  })

  it('can be turned off, and is not for those without a native backend or who turned compiling off', async () => {
    expect(await warnings('eager', 'native', { CHAINRULE_HINTS: '0' })).toEqual([])
    expect(await warnings('eager', 'js')).toEqual([])
    expect(await warnings('compiled', 'native', { CHAINRULE_COMPILE: '0' })).toEqual([])
    expect(await warnings('eager', 'native', { CHAINRULE_COMPILE: '0' })).toEqual([])
  })
})
