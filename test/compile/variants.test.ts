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
    expect(f.variants).toBeLessThanOrEqual(16)
    expect(list(f.sync(tensor([5])))).toEqual([10])
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

describe('warnings', () => {
  it('name the function and its shapes at the third', async () => {
    const seen: string[] = []
    const listen = (w: Error): void => void seen.push(w.message)
    process.on('warning', listen)
    const f = compile((x: Tensor) => x.add(1), { name: 'myStep' })
    for (const n of [1, 2, 3, 4, 5]) f.sync(zeros([n]))
    await new Promise((resolve) => setTimeout(resolve, 10))
    process.off('warning', listen)
    const mine = seen.filter((m) => m.includes('myStep'))
    expect(mine).toHaveLength(1)
    expect(mine[0]).toContain('[1]; [2]; [3]')
  })
})
