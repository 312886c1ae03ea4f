/** When a compiled function is compiled anew, when it is not compiled at all, and what it warns about. Numbered on from footguns.test.ts. */
import { describe, expect, it } from 'vitest'
import { arange, compile, sub, type Tensor, tensor, zeros } from '../../src/index.js'
import { backends, onJs, onNative } from '../support/backends.js'

const list = (t: Tensor | undefined): unknown => t?.toArray()

describe.each(backends)('variants on %s', (which) => {
  const test = (name: string, fn: () => void): void => it(name, () => (which === 'js' ? onJs : onNative)(fn))

  test('25. eager runs the same code op by op', () => {
    let runs = 0
    const f = compile(
      (x: Tensor) => {
        runs++
        return x.mul(x.at(0).item())
      },
      { eager: true },
    )
    expect(list(f.sync(tensor([2, 3])))).toEqual([4, 6])
    f.sync(tensor([2, 3]))
    expect(runs).toBe(2)
    process.env.CHAINRULE_COMPILE = '0'
    const g = compile((x: Tensor) => x.mul(x.at(0).item()))
    delete process.env.CHAINRULE_COMPILE
    expect(list(g.sync(tensor([2, 3])))).toEqual([4, 6])
  })

  test('26. other shapes and dtypes compile anew; the third shape warns once', () => {
    const f = compile((x: Tensor) => x.add(x), { name: 'shapes' })
    expect(list(f.sync(tensor([1])))).toEqual([2])
    expect(list(f.sync(tensor([1, 2])))).toEqual([2, 4])
    expect(f.sync(tensor([1], { dtype: 'int32' })).dtype).toBe('int32')
    expect(f.variants).toBe(3)
    expect(list(f.sync(tensor([5])))).toEqual([10])
    expect(f.variants).toBe(3)
    for (let n = 3; n < 40; n++) f.sync(zeros([n]))
    expect(f.variants).toBe(40)
    expect(list(f.sync(tensor([5])))).toEqual([10])
    expect(f.variants).toBe(40)
  })

  test('35. programs beyond cacheBytes are dropped, the least recently used first, and are right when they come back', () => {
    let traced = 0
    const body = (x: Tensor): Tensor => {
      traced++
      return x.mul(2).sum()
    }
    const f = compile(body, { name: 'small cache', cacheBytes: 100_000 })
    const run = (n: number): number => {
      const before = traced
      expect(f.sync(zeros([n]).add(1)).item()).toBe(2 * n)
      return traced - before
    }
    for (let n = 1; n <= 30; n++) expect(run(n)).toBe(2)
    expect(f.variants).toBeLessThan(10)
    expect(f.variants).toBeGreaterThan(2)
    expect(run(30)).toBe(0)
    expect(run(29)).toBe(0)
    expect(run(1)).toBe(2)
    // used often, it stays
    for (let n = 31; n < 60; n++) {
      run(n)
      expect(run(1)).toBe(0)
    }
    // the one just compiled stays, whatever it takes
    const one = compile(body, { cacheBytes: 0 })
    one.sync(zeros([3]))
    expect(one.variants).toBe(1)
    const before = traced
    one.sync(zeros([3]))
    expect(traced).toBe(before)
    one.sync(zeros([4]))
    expect(one.variants).toBe(1)
    const all = compile(body, { cacheBytes: Number.POSITIVE_INFINITY })
    for (let n = 1; n <= 30; n++) all.sync(zeros([n]))
    expect(all.variants).toBe(30)
    for (const cacheBytes of [-1, Number.NaN, '1 GB' as unknown as number])
      expect(() => compile(body, { cacheBytes })).toThrow(/compile: cacheBytes is a number of bytes/)
  })

  test('27. other values that are no tensors choose the program', () => {
    const f = compile((x: Tensor, how: string, flags: { twice?: boolean; list: boolean[] }) => {
      const y = how === 'exp' ? x.exp() : x.neg()
      return flags.twice ? y.mul(2) : y
    })
    const x = tensor([0])
    expect(f.sync(x, 'exp', { list: [] }).item()).toBe(1)
    expect(f.sync(x, 'neg', { list: [] }).item()).toBe(-0)
    expect(f.sync(x, 'exp', { twice: true, list: [] }).item()).toBe(2)
    expect(f.sync(x, 'exp', { list: [true] }).item()).toBe(1)
    expect(f.variants).toBe(4)
  })

  test('33. where tensors and numbers stand among the arguments chooses the program', () => {
    const f = compile((x: Tensor, plus?: Tensor, times?: Tensor) => {
      const y = plus === undefined ? x : x.add(plus)
      return times === undefined ? y : y.mul(times)
    })
    const [x, y] = [tensor([10, 20]), tensor([1, 2])]
    expect(list(f.sync(x, y, undefined))).toEqual([11, 22])
    expect(list(f.sync(x, undefined, y))).toEqual([10, 40])
    const difference = compile((a: Tensor | number, b: Tensor | number) => sub(a, b))
    expect(list(difference.sync(x, 2))).toEqual([8, 18])
    expect(list(difference.sync(2, x))).toEqual([-8, -18])
    const first = compile((a: Tensor | Tensor[], b: Tensor | Tensor[]) =>
      Array.isArray(a) ? a[0].mul(2) : Array.isArray(b) ? a.mul(3) : a,
    )
    expect(list(first.sync([x], y))).toEqual([20, 40])
    expect(list(first.sync(x, [y]))).toEqual([30, 60])
    const nested = compile((o: { a: { b: Tensor; c?: Tensor }; c?: Tensor }) => (o.c === undefined ? o.a.b.add(1) : o.a.b.add(2)))
    expect(list(nested.sync({ a: { b: x, c: y } }))).toEqual([11, 21])
    expect(list(nested.sync({ a: { b: x }, c: y }))).toEqual([12, 22])
  })

  test('34. lists and countings of any number of functions stay what they were from one trace to the next', () => {
    const x = zeros([700])
    for (let f = 0; f < 30; f++) {
      const lists = Array.from({ length: 10 }, (_, k) => [10 * f + k, 600 - f - 30 * k])
      const sum = compile((x: Tensor) =>
        lists
          .map((list, k) =>
            x
              .indexSelect(list)
              .sum()
              .add(arange(10 * f + k + 1).sum()),
          )
          .reduce((a, b) => a.add(b)),
      )
      const total = lists.reduce((n, _, k) => n + ((10 * f + k) * (10 * f + k + 1)) / 2, 0)
      expect(sum.sync(x).item()).toBe(total)
    }
  })
})

/** Messages of warnings that `run` gives. */
async function warningsOf(run: () => void): Promise<string[]> {
  const seen: string[] = []
  const listen = (w: Error): void => void seen.push(w.message)
  process.on('warning', listen)
  run()
  await new Promise((resolve) => setTimeout(resolve, 10))
  process.off('warning', listen)
  return seen
}

describe('warnings', () => {
  it('name the cost when programs are dropped, once', async () => {
    const f = compile((x: Tensor) => x.add(1), { name: 'dropped', cacheBytes: 60_000 })
    const seen = await warningsOf(() => {
      for (let n = 1; n < 20; n++) f.sync(zeros([n]))
    })
    const mine = seen.filter((m) => m.includes('compile(dropped): programs'))
    expect(mine).toHaveLength(1)
    expect(mine[0]).toMatch(
      /^compile\(dropped\): programs for \d combinations of shapes take more than cacheBytes, 0\.0600 MB \(0\.0\d+ MB each\)\. .* in \d+ ms each/,
    )
    expect((await warningsOf(() => void f.sync(zeros([1])))).filter((m) => m.includes('dropped'))).toEqual([])
  })

  it('name the function and its shapes at the third', async () => {
    const f = compile((x: Tensor) => x.add(1), { name: 'myStep' })
    const seen = await warningsOf(() => {
      for (const n of [1, 2, 3, 4, 5]) f.sync(zeros([n]))
    })
    const mine = seen.filter((m) => m.includes('myStep'))
    expect(mine).toHaveLength(1)
    expect(mine[0]).toContain('[1]; [2]; [3]')
  })
})
