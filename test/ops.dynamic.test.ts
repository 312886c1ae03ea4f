/** Ops that read their data: results whose size depends on it, answers that are one boolean; and random choices. Eager only where they must be. */
import { describe, expect, it } from 'vitest'
import {
  allclose,
  arange,
  bernoulli,
  bincount,
  compile,
  DataError,
  equal,
  eye,
  isclose,
  linspace,
  manualSeed,
  maskedSelect,
  max,
  multinomial,
  nonzero,
  ones,
  randint,
  randperm,
  StateError,
  sort,
  type Tensor,
  tensor,
  unique,
  zeros,
} from '../src/index.js'
import { backends, onJs, onNative } from './support/backends.js'

const list = (t: Tensor): number[] => [...t.data]

describe.each(backends)('on the %s backend', (which) => {
  const on = <T>(f: () => T): T => (which === 'js' ? onJs(f) : onNative(f))
  const test = (name: string, f: () => void): void => it(name, () => void on(f))

  test('nonzero gives positions in row-major order', () => {
    const found = nonzero(
      tensor([
        [0, 1, Number.NaN],
        [2, 0, 0],
      ]),
    )
    expect(found.shape).toEqual([3, 2])
    expect(list(found)).toEqual([0, 1, 0, 2, 1, 0])
    expect(nonzero(zeros([3, 2])).shape).toEqual([0, 2])
    expect(nonzero(tensor(5)).shape).toEqual([1, 0])
    expect(nonzero(zeros([0, 3])).shape).toEqual([0, 2])
  })

  test('maskedSelect broadcasts, and has a gradient', () => {
    const x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ])
    x.requiresGrad = true
    const y = maskedSelect(x, tensor([true, false, true]))
    expect(list(y)).toEqual([1, 3, 4, 6])
    y.mul(tensor([1, 2, 3, 4]))
      .sum()
      .backward()
    expect(list(x.grad as Tensor)).toEqual([1, 0, 2, 3, 0, 4])
    expect(list(maskedSelect(tensor([7, 8]), tensor([[true], [false]])))).toEqual([7, 8])
    expect(() => maskedSelect(x, ones([3]))).toThrow(/mask must be bool/)
  })

  test('at picks by tensors of truth', () => {
    const x = arange(12).reshape([3, 4])
    expect(list(x.at(x.gt(8)))).toEqual([9, 10, 11])
    expect(list(x.at(tensor([true, false, true])))).toEqual([0, 1, 2, 3, 8, 9, 10, 11])
    expect(x.at(null, tensor([true, false, false, true])).shape).toEqual([3, 2])
    expect(x.at(1, tensor([false, false, false, false])).shape).toEqual([0])
    expect(() => x.at(tensor([true, false]))).toThrow(/mask/)
    expect(() => compile((t: Tensor) => t.at(t.gt(8))).sync(x)).toThrow(/inside compile\(\)/)
  })

  test('unique sorts, counts and finds back', () => {
    const x = tensor([
      [3, 1, 3],
      [2, 1, 3],
    ])
    expect(list(unique(x))).toEqual([1, 2, 3])
    const { values, inverse, counts } = unique(x, { returnInverse: true, returnCounts: true })
    expect(list(counts)).toEqual([2, 1, 3])
    expect(inverse.shape).toEqual([2, 3])
    expect(list(values.indexSelect(inverse))).toEqual(list(x))
    expect(unique(zeros([0])).shape).toEqual([0])
    expect(list(unique(tensor([Number.NaN, 0, -0, Number.NaN])))).toEqual([0, Number.NaN, Number.NaN])
    expect(unique(tensor([true, false])).dtype).toBe('bool')
  })

  test('bincount counts and sums', () => {
    expect(list(bincount([1, 3, 1]))).toEqual([0, 2, 0, 1])
    expect(list(bincount([1, 3, 1], { minlength: 6 }))).toEqual([0, 2, 0, 1, 0, 0])
    expect(list(bincount([1, 0], { weights: tensor([0.5, 0.25]) }))).toEqual([0.25, 0.5])
    expect(list(bincount([1, 0, 1], { weights: tensor([true, true, false]) }))).toEqual([1, 1])
    expect(bincount([1, 0], { weights: tensor([200, 100], { dtype: 'uint8' }) }).dtype).toBe('int32')
    expect(bincount(zeros([0], { dtype: 'int32' })).shape).toEqual([0])
    expect(() => bincount([-1])).toThrow(DataError)
    expect(() => bincount(zeros([1, 1], { dtype: 'int32' }))).toThrow(/vector/)
    expect(() => bincount([1], { weights: ones([2]) })).toThrow(/weights/)
    expect(() => bincount([1], { minlength: -1 })).toThrow(/minlength/)
  })

  test('allclose and equal answer with a boolean', () => {
    const nan = tensor([Number.NaN, 1])
    expect(allclose(tensor([1, 2]), tensor([1, 2 + 1e-6]))).toBe(true)
    expect(allclose(tensor([1, 2]), tensor([1, 2.1]))).toBe(false)
    expect([allclose(nan, nan), allclose(nan, nan, { equalNan: true })]).toEqual([false, true])
    expect(allclose(tensor([Number.POSITIVE_INFINITY]), tensor([Number.POSITIVE_INFINITY]))).toBe(true)
    expect(allclose(tensor([Number.POSITIVE_INFINITY]), tensor([1]))).toBe(false)
    expect([equal(tensor([1]), tensor([1])), equal(tensor([1]), tensor([[1]])), equal(nan, nan)]).toEqual([true, false, false])
    expect(equal(tensor([1]), tensor([1], { dtype: 'int32' }))).toBe(false)
    expect(list(isclose(nan, nan))).toEqual([0, 1])
  })

  test('what depends on data is an error inside compile that says so', () => {
    const x = tensor([1, 0, 2])
    const mask = x.ne(0)
    for (const [name, f] of [
      ['nonzero', (t: Tensor) => nonzero(t)],
      ['maskedSelect', (t: Tensor) => maskedSelect(t, t.ne(0))],
      ['maskedSelect of what is outside', () => maskedSelect(x, mask)],
      ['unique', (t: Tensor) => unique(t)],
      ['bincount', (t: Tensor) => bincount(t.to('int32'))],
      ['allclose', (t: Tensor) => (allclose(t, t) ? t : t)],
      ['equal', (t: Tensor) => (equal(t, t) ? t : t)],
    ] as [string, (t: Tensor) => Tensor][]) {
      const error = (() => {
        try {
          compile(f).sync(x)
        } catch (e) {
          return e as StateError
        }
      })()
      expect(error, name).toBeInstanceOf(StateError)
      expect(error?.code, name).toBe('ERR_DATA_DEPENDENT')
      expect(error?.message, name).toMatch(/inside compile\(\)/)
    }
  })

  test('random choices: whole numbers, orders, draws by weight', () => {
    manualSeed(3)
    const whole = randint(-3, 4, [2000])
    expect(whole.dtype).toBe('int32')
    expect(list(unique(whole))).toEqual([-3, -2, -1, 0, 1, 2, 3])
    expect(Math.abs(whole.to('float32').mean().item())).toBeLessThan(0.2)
    expect(list(randint(1, [3]))).toEqual([0, 0, 0])
    expect(randint(-(2 ** 31), 2 ** 31, [4]).size).toBe(4)
    expect(() => randint(3, 3, [2])).toThrow(/low < high/)
    const order = randperm(1000)
    expect(list(sort(order).values)).toEqual(list(arange(1000)))
    expect(list(order)).not.toEqual(list(arange(1000)))
    expect(randperm(0).shape).toEqual([0])
    const weights = tensor([
      [0, 1, 3],
      [2, 0, 0],
    ])
    const drawn = multinomial(weights, 4000, { replacement: true })
    expect(drawn.shape).toEqual([2, 4000])
    expect(drawn.at(0).eq(2).to('float32').mean().item()).toBeCloseTo(0.75, 1)
    expect(max(drawn.at(1)).item()).toBe(0)
    for (let i = 0; i < 20; i++) expect(list(sort(multinomial(weights.at(0), 2)).values)).toEqual([1, 2])
    expect(list(bernoulli(tensor([0, 1])))).toEqual([0, 1])
    expect(bernoulli(ones([2, 2]).mul(0.5)).shape).toEqual([2, 2])
    for (const bad of [
      () => multinomial(weights, 2),
      () => multinomial(weights.at(0), 4),
      () => multinomial(tensor([-1, 2]), 1),
      () => multinomial(tensor([Number.NaN, 2]), 1),
      () => multinomial(tensor([0, 0]), 1, { replacement: true }),
      () => multinomial(tensor([1, 0], { dtype: 'int32' }), 1),
      () => multinomial(zeros([2, 2, 2]), 1),
      () => bernoulli(tensor([1.5])),
    ])
      expect(bad).toThrow(/multinomial|bernoulli/)
  })

  test('random choices are the same compiled, and new at each call', () => {
    const draw = (): Tensor[] => [randperm(20), randint(9, [4]), multinomial(ones([5]), 3)]
    manualSeed(1)
    const eager = draw().map(list)
    const compiled = compile(draw)
    manualSeed(1)
    expect(compiled.sync().map(list)).toEqual(eager)
    expect(compiled.sync().map(list)).not.toEqual(eager)
  })

  test('constants may be made inside a compiled function', () => {
    const f = (x: Tensor): Tensor =>
      x
        .add(arange(5000).to('float32'))
        .add(linspace(0, 1, 5000))
        .mul(eye(2).sum())
        .indexSelect([3, 1, 4999])
    const x = ones([5000])
    const [a, b] = [f(x), compile(f).sync(x)].map(list)
    a.forEach((value, i) => expect(b[i]).toBeCloseTo(value, 3))
    expect(list(compile(() => eye(2, 3, { dtype: 'int32' })).sync())).toEqual([1, 0, 0, 0, 1, 0])
    expect(list(compile(() => arange(1, 2, 0.25)).sync())).toEqual([1, 1.25, 1.5, 1.75])
  })
})
