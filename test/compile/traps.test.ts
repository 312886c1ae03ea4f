/** Chance and clocks inside a compiled function: an error that says what to use instead, every time, and nothing changed outside. */
import { describe, expect, test } from 'vitest'
import { compile, nn, rand, StateError, type Tensor, tensor } from '../../src/index.js'

const x = tensor([1, 2])
const code = (fn: () => unknown): unknown => {
  try {
    return fn()
  } catch (error) {
    return [(error as StateError).code, (error as Error).message]
  }
}

const sources: Record<string, [code: string, call: () => unknown]> = {
  'Math.random': ['ERR_TRACE_RANDOM', () => Math.random() < 0.5],
  'crypto.getRandomValues': ['ERR_TRACE_RANDOM', () => crypto.getRandomValues(new Uint8Array(1))],
  'crypto.randomUUID': ['ERR_TRACE_RANDOM', () => crypto.randomUUID()],
  'Date.now': ['ERR_TRACE_CLOCK', () => Date.now()],
  'new Date': ['ERR_TRACE_CLOCK', () => new Date()],
  Date: ['ERR_TRACE_CLOCK', () => Date()],
  'performance.now': ['ERR_TRACE_CLOCK', () => performance.now()],
  'process.hrtime': ['ERR_TRACE_CLOCK', () => process.hrtime()],
  'process.hrtime.bigint': ['ERR_TRACE_CLOCK', () => process.hrtime.bigint()],
}

describe('inside a compiled function', () => {
  test.each(Object.keys(sources))('%s', async (name) => {
    const [expected, call] = sources[name]
    const before = [Math.random, Date, Date.now, performance.now, process.hrtime, crypto.getRandomValues]
    for (let i = 0; i < 3; i++) {
      // also where the number decides nothing that two traces would show
      for (const used of [() => call(), () => void call()]) {
        const f = compile((t: Tensor) => (used() === 3 ? t.exp() : t.sin()), { name: 'step' })
        const [found, message] = code(() => f.sync(x)) as [string, string]
        expect(found).toBe(expected)
        expect(message).toMatch(/^compile\(step\): .*traps\.test\.ts.*as an argument|outside/)
        await expect(f(x)).rejects.toThrow(StateError)
      }
    }
    expect([Math.random, Date, Date.now, performance.now, process.hrtime, crypto.getRandomValues]).toEqual(before)
    for (const [, there] of Object.values(sources)) expect(there).not.toThrow()
    expect(Object.hasOwn(performance, 'now')).toBe(false)
  })

  test('in forward under predict; dates that are given are dates', async () => {
    class Chance extends nn.Module {
      forward(t: Tensor): Tensor {
        return Math.random() < 0.5 ? t : t.mul(2)
      }
    }
    await expect(new Chance().predict([[1]])).rejects.toThrow(/Math\.random.*Use rand\(\)/)
    const year = compile((t: Tensor) => {
      const day = new Date(2020, 1, 1)
      expect(day instanceof Date).toBe(true)
      expect(Date.UTC(1970, 0)).toBe(0)
      return t.add(day.getFullYear()).add(rand([2]).mul(0))
    })
    expect(year.sync(x).toArray()).toEqual([2021, 2022])
  })

  test('op by op they are what they are', () => {
    const f = compile((t: Tensor) => t.mul(Math.random() < 2 ? 3 : 0), { eager: true })
    expect(f.sync(x).toArray()).toEqual([3, 6])
  })
})
