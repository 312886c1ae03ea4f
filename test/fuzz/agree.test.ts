/** The bounds of the fuzzers: what rounding explains is let through, and nothing else. Disturbed runs have the values it may give. */
import { describe, expect, it } from 'vitest'
import * as cr from '../../src/index.js'
import { eachIsa, hasNative, onJs } from '../support/backends.js'
import { unit } from './agree/bound.js'
import { besideDoubles } from './agree/double.js'
import { disturbed, goesWild } from './agree/noise.js'

const equal = (x: number, ...shape: number[]): cr.Tensor => cr.full(shape, x)

/** Sums of n equal numbers, whose roundings all go the same way. */
const sums: Record<string, (x: number, n: number) => cr.Tensor> = {
  sum: (x, n) => cr.tensor(new Float32Array(n).fill(x)).sum(),
  'sum of rows': (x, n) => cr.sum(cr.tensor(new Float32Array(3 * n).fill(x), { shape: [n, 3] }), { dim: 0 }),
  matmul: (x, n) => cr.matmul(cr.tensor(new Float32Array(9 * n).fill(x), { shape: [9, n] }), equal(x, n, 17).add(0)),
  scatterAdd: (x, n) => cr.scatterAdd(cr.zeros([1]), cr.zeros([n], { dtype: 'int32' }), cr.tensor(new Float32Array(n).fill(x)), 0),
  conv2d: (x, n) => cr.conv2d(equal(x, 1, 1, 1, n).add(0), cr.tensor(new Float32Array(n).fill(x), { shape: [1, 1, 1, n] })),
}

describe.runIf(hasNative)('sums of equal numbers', () => {
  it.each(Object.keys(sums))('%s drifts no farther than is allowed', (name) => {
    eachIsa(() => {
      for (const n of [1, 64, 289, 1000, 1500])
        for (const x of [0.1, 0.534, 0.975, 1.103, 1.489]) besideDoubles(() => void sums[name](Math.fround(x), n))
    })
  })
})

it('the drift allowed is far from a term that is missing', () => {
  const terms = 1500
  expect(unit * (16 + terms / 2)).toBeLessThan(0.1 / terms)
})

const disturbedSums = (numbers: readonly number[], size: number): number[] =>
  Array.from({ length: 64 }, (_, seed) => onJs(() => disturbed(seed, size, () => cr.tensor(numbers).sum().item())))

describe('disturbed runs', () => {
  it('move a sum by a share of its terms, which keeps step with the size of disturbances', () => {
    const farthest = (size: number): number => Math.max(...disturbedSums([1000, -999], size).map((x) => Math.abs(x - 1)))
    expect(farthest(128 * unit)).toBeGreaterThan(1000 * unit)
    expect(farthest(128 * unit)).toBeLessThan(1000 * 256 * unit)
    expect(farthest(8 * unit)).toBeLessThan(1000 * 16 * unit)
  })

  it('let terms cancel to the last bit, and leave a bit, where the sum is that near to 0', () => {
    const near = disturbedSums([1, -1, 1e-16], 128 * unit)
    expect(near.filter((x) => x === 0).length).toBeGreaterThan(5)
    expect(near.filter((x) => x !== 0).length).toBeGreaterThan(5)
    expect(disturbedSums([1, -1, 0.01], 128 * unit)).not.toContain(0)
  })
})

describe.runIf(hasNative)('products and sums of exponentials', () => {
  it('a product that one order overflows or loses is not compared, any other is', () => {
    const product = (numbers: readonly number[]) => (): cr.Tensor => cr.tensor(numbers).prod()
    const zeroAndTwo = Array.from({ length: 336 }, (_, i) => (i % 2) * 2)
    const small = Array.from({ length: 336 }, (_, i) => (i % 2 === 0 ? 0.5 : 2))
    expect([zeroAndTwo, small].map((numbers) => onJs(() => goesWild(product(numbers))))).toEqual([true, true])
    expect(onJs(() => goesWild(product(small.slice(0, 200))))).toBe(false)
    eachIsa(() => besideDoubles(product(zeroAndTwo)))
  })

  it('softmax of long rows of few numbers drifts no farther than is allowed', () => {
    eachIsa(() => {
      for (const n of [7, 816, 1134, 4096])
        besideDoubles(() => void cr.softmax(cr.tensor(Float32Array.from({ length: n }, (_, i) => ((i * i) % 5) - 2)), -1))
    })
  })
})

describe('what only rounding decides', () => {
  const runs = (fn: () => cr.Tensor): unknown[][] =>
    Array.from({ length: 64 }, (_, seed) => onJs(() => disturbed(seed, 2 * unit, () => Array.from(fn().data as ArrayLike<number>))))

  it('comes out both ways: numbers a unit apart, noise that cancels, factors of a singular matrix', () => {
    const near = runs(() => cr.eq(cr.tensor([1]), cr.tensor([1 + 2 ** -23])))
    expect(new Set(near.flat()).size).toBe(2)
    const cancelled = runs(() => cr.any(cr.rfft(cr.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])).mul(1e-30)))
    expect(new Set(cancelled.flat())).toEqual(new Set([1]))
    const singular = runs(() => cr.svd(cr.ones([3, 3])).S)
    expect(Math.max(...singular.map((s) => s[2] as number))).toBeGreaterThan(0)
    expect(Math.max(...singular.map((s) => s[2] as number))).toBeLessThan(64 * unit)
  })

  it('and nothing else does: equal numbers stay equal, others different', () => {
    expect(runs(() => cr.eq(cr.tensor([1, 2, 3]), cr.tensor([1, 2.001, 3]))).every((r) => String(r) === '1,0,1')).toBe(true)
  })
})
