/** What `memory()` and `threads()` tell. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, describe, expect, it } from 'vitest'
import { withBackend } from '../src/backend/select.js'
import { ArgumentError, compile, environment, memory, nn, rand, type Tensor, tensor, threads, zeros } from '../src/index.js'
import { backends, hasNative } from './support/backends.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
const megabyte = 2 ** 20
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5))

describe.each(backends)('memory() on %s', (which) => {
  const test = (name: string, fn: () => unknown): void => it(name, () => withBackend(which, fn as () => Promise<void>))

  test('counts tensors, and adds up', async () => {
    // a collection in between would count what the module loader and other tests left
    collect()
    await turn()
    collect()
    const before = memory()
    const kept = zeros([4 * megabyte])
    const after = memory()
    expect(after.tensors - before.tensors).toBeGreaterThanOrEqual(16 * megabyte)
    expect(after.tensors - before.tensors).toBeLessThan(20 * megabyte)
    const { tensors, pool, arenas, staging, programs, scratch, total } = after
    expect(total).toBe(tensors + pool + arenas + staging + programs + scratch)
    expect(kept.size).toBe(4 * megabyte)
  })

  test('names the largest, with where they were made, as long as they live', async () => {
    const kept = zeros([3, megabyte])
    const layer = new nn.Linear(1024, 1024)
    const { largest } = memory()
    const of = (bytes: number, kind: string) => largest.filter((o) => o.bytes === bytes && o.kind === kind)
    expect(of(12 * megabyte, 'tensor')[0].where).toMatch(/^at .*memory\.test\.ts:\d+:\d+/)
    expect(of(4 * megabyte, 'shared')[0].where).toMatch(/^at .*memory\.test\.ts:\d+:\d+/)
    expect(largest.map((o) => o.bytes)).toEqual(largest.map((o) => o.bytes).sort((a, b) => b - a))
    expect([kept.size, layer.inFeatures]).toEqual([3 * megabyte, 1024])
    const captured = zeros([7, megabyte / 4])
    const sevens = (): string[] => memory().largest.flatMap((o) => (o.bytes === 7 * megabyte ? [o.kind] : []))
    const before = sevens()
    compile((x: Tensor) => x.add(captured)).explain(kept.at(0, [0, 1]))
    expect([before, sevens()]).toEqual([['tensor'], ['shared']])
    expect(captured.size).toBe((7 * megabyte) / 4)
  })

  test('forgets what was disposed or collected', async () => {
    const count = (): number => memory().largest.filter((o) => o.bytes === 5 * megabyte).length
    const gone = count()
    const disposed = zeros([5, megabyte / 4])
    expect(count()).toBe(gone + 1)
    const { pool } = memory()
    disposed.dispose()
    expect(count()).toBe(gone)
    expect(memory().pool - pool).toBe(5 * megabyte)
    ;(() =>
      zeros([5, megabyte / 4])
        .sum()
        .item())()
    for (let i = 0; i < 50 && count() > gone; i++) {
      collect()
      await turn()
    }
    expect(count()).toBe(gone)
  })
})

describe.runIf(hasNative)('on the native backend', () => {
  const usual = hasNative ? threads() : 1
  afterAll(() => void threads(usual))

  it('memory() counts arenas, programs and the arguments of queued calls', async () => {
    const f = compile((x: Tensor) => x.matmul(x).tanh().matmul(x).sum())
    const x = rand([512, 512])
    const large = rand([2048, 2048])
    const before = memory()
    // none of the others is done before memory() is asked
    const slow = f(large)
    const calls = Array.from({ length: 8 }, () => f(x))
    const queued = memory()
    await Promise.all([slow, ...calls])
    expect(queued.programs).toBeGreaterThan(before.programs)
    expect(queued.staging - before.staging).toBeGreaterThanOrEqual((16 + 8) * megabyte)
    expect(memory().arenas).toBeGreaterThanOrEqual(2 * megabyte)
    expect(memory().scratch).toBeGreaterThan(0)
  })

  it('threads() tells and sets the number of threads', () => {
    for (const n of [1, 2, 7]) {
      expect(threads(n)).toBe(n)
      expect(threads()).toBe(n)
      expect(environment()).toMatchObject({ threads: n, threadsSource: 'set' })
    }
    for (const wrong of [0, -1, 1.5, 257, Number.NaN, Infinity, '2', null, true, {}]) {
      expect(() => threads(wrong as number)).toThrow(ArgumentError)
    }
    expect(threads()).toBe(7)
  })
})

it('the TypeScript backend has one thread', () => {
  withBackend('js', () => {
    expect(threads(4)).toBe(1)
    expect(threads()).toBe(1)
    expect(() => threads(0)).toThrow(ArgumentError)
    expect(tensor([1]).item()).toBe(1)
  })
})
