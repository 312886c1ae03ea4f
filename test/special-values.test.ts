/**
 * Every function of numbers at zeros of both signs, the smallest and largest numbers, infinities, NaN and the places where kernels change
 * their formula: PyTorch's values and gradients (test/golden/special-values.json), on each backend and instruction set, eager and compiled.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import * as cr from '../src/index.js'
import { compile, type Tensor, tensor } from '../src/index.js'
import { opTable } from '../src/ops/core/table.js'
import { eachIsa, hasNative, onJs } from './support/backends.js'

type Num = number | string
interface Case {
  readonly name: string
  /** In float32, and the elements for which the same in float64 gives another number. */
  readonly out: readonly Num[]
  readonly double: readonly (readonly [at: number, value: Num])[]
  readonly grads: readonly (readonly Num[] | null)[]
  readonly gradsDouble: readonly (readonly (readonly [at: number, value: Num])[])[]
}
interface Group {
  readonly cases: readonly Case[]
}
const file = JSON.parse(readFileSync(new URL('./golden/special-values.json', import.meta.url), 'utf8')) as {
  unary: Group & { x: readonly Num[] }
  binary: Group & { values: readonly Num[] }
  rows: Group & { values: readonly Num[] }
}

type Op = (...inputs: Tensor[]) => Tensor
const toFloat = (t: Tensor): Tensor => cr.to(t, 'float32')
const along = { dim: 1 }

/** Cross-entropy of the scores x and 0. */
const twoClasses = (x: Tensor, label: number): Tensor =>
  cr.losses.crossEntropy(cr.stack([x, cr.zerosLike(x)], 1), cr.full(x.shape, label, { dtype: 'int32' }), { reduction: 'none' })

/** What is called otherwise than `cr.name(x)`. */
const others: Record<string, Op> = {
  geluTanh: (x) => cr.gelu(x, { approximate: 'tanh' }),
  isnan: (x) => toFloat(cr.isnan(x)),
  isinf: (x) => toFloat(cr.isinf(x)),
  isfinite: (x) => toFloat(cr.isfinite(x)),
  clamp: (x) => cr.clamp(x, -1, 1),
  pow2: (x) => cr.pow(x, 2),
  pow3: (x) => cr.pow(x, 3),
  powHalf: (x) => cr.pow(x, 0.5),
  pow0: (x) => cr.pow(x, 0),
  powMinus1: (x) => cr.pow(x, -1),
  twoToThe: (x) => cr.pow(2, x),
  eq: (a, b) => toFloat(cr.eq(a, b)),
  ne: (a, b) => toFloat(cr.ne(a, b)),
  lt: (a, b) => toFloat(cr.lt(a, b)),
  le: (a, b) => toFloat(cr.le(a, b)),
  'bce of 1': (x) => cr.losses.binaryCrossEntropyWithLogits(x, cr.onesLike(x), { reduction: 'none' }),
  'bce of 0': (x) => cr.losses.binaryCrossEntropyWithLogits(x, cr.zerosLike(x), { reduction: 'none' }),
  mse: (x) => cr.losses.mseLoss(x, cr.onesLike(x), { reduction: 'none' }),
  l1: (x) => cr.losses.l1Loss(x, cr.onesLike(x), { reduction: 'none' }),
  smoothL1: (x) => cr.losses.smoothL1Loss(x, cr.onesLike(x), { reduction: 'none' }),
  huber: (x) => cr.losses.huberLoss(x, cr.onesLike(x), { reduction: 'none' }),
  softMargin: (x) => cr.losses.softMarginLoss(x, cr.onesLike(x), { reduction: 'none' }),
  poisson: (x) => cr.losses.poissonNllLoss(x, cr.onesLike(x), { reduction: 'none' }),
  'crossEntropy of 0': (x) => twoClasses(x, 0),
  'crossEntropy of 1': (x) => twoClasses(x, 1),
  ...Object.fromEntries(
    Object.entries({
      sum: cr.sum,
      mean: cr.mean,
      prod: cr.prod,
      amax: cr.amax,
      amin: cr.amin,
      logsumexp: cr.logsumexp,
      norm: cr.norm,
      variance: cr.variance,
      std: cr.std,
    }).map(([n, reduce]) => [n, (x: Tensor) => reduce(x, along)]),
  ),
  argmax: (x) => toFloat(cr.argmax(x, 1)),
  argmin: (x) => toFloat(cr.argmin(x, 1)),
  softmax: (x) => cr.softmax(x, 1),
  logSoftmax: (x) => cr.logSoftmax(x, 1),
  cumsum: (x) => cr.cumsum(x, 1),
  cumprod: (x) => cr.cumprod(x, 1),
  cummax: (x) => cr.cummax(x, 1).values,
  cummin: (x) => cr.cummin(x, 1).values,
  max: (x) => cr.max(x, 1).values,
  sort: (x) => cr.sort(x, 1).values,
  median: (x) => cr.median(x, 1).values,
  norm1: (x) => cr.norm(x, { p: 1, dim: 1 }),
  normInf: (x) => cr.norm(x, { p: Infinity, dim: 1 }),
}
const opOf = (name: string): Op => others[name] ?? (cr as unknown as Record<string, Op>)[name]

/**
 * Where this library differs from PyTorch, on purpose (docs/coming-from.md): which differences, and why. Each has to be there still.
 */
const differ: Record<string, readonly [where: RegExp, why: string]> = {
  sign: [/ sign (NaN|-0): /, 'NaN is no number with a sign; a zero keeps its own'],
  relu6: [/ relu6 -0: 0,/, 'zeros are equal'],
  logSigmoid: [/ logSigmoid .*: -0, not 0/, 'it comes to 0 from below'],
  powHalf: [/ powHalf (-0|-Infinity): /, 'a power as IEEE 754 and C define it, also where it could be a root'],
  atan2: [/ gradient \d of atan2 .*Infinity.*: -?0, not NaN/, 'the angle of an infinite point does not change'],
  hypot: [/ gradient \d of hypot \(-?0, -?0\): -?0, not NaN/, 'a corner has the gradient 0'],
  logaddexp: [/ gradient \d of logaddexp \((-Infinity, -Infinity|Infinity, Infinity)\)/, 'equal infinities: one of them is the sum'],
  logsumexp: [/ gradient 0 of logsumexp .*Infinity.*: NaN, not 0/, 'beside an infinity, whose own gradient is NaN'],
  variance: [/ gradient 0 of variance .*Infinity.*: NaN, not -?Infinity/, 'around an infinite mean'],
  softMargin: [/ gradient 0 of softMargin .*: -1, not NaN/, 'the slope far out is that of a line'],
  'bce of 0': [/ bce of 0 -(50|87): /, 'small losses are kept on both sides'],
  'bce of 1': [/ bce of 1 -Infinity: Infinity,/, 'as certain as wrong'],
  cumprod: [/ gradient 0 of cumprod .*Infinity/, 'zeros times infinities'],
}

/** What is smaller may be flushed to zero. */
const tiny = 2 ** -126
/** Differences of a few units in the last place. */
const relative = 2e-6

/** Of what is computed from numbers near one. */
const absolute = 2.5e-7
const fromOne = new Set(['gelu', 'geluTanh'])
/** Which of two zeros is greater is nobody's business, nor from which side a loss comes to 0. */
const anyZero = new Set(['amax', 'amin', 'maximum', 'minimum', 'crossEntropy of 0', 'crossEntropy of 1'])

function near(a: number, e: number, slack: number, signs: boolean): boolean {
  if (Number.isNaN(e) || Number.isNaN(a)) return Object.is(a, e)
  if (a === e) return !signs || Object.is(a, e)
  return Math.abs(a - e) <= relative * Math.abs(e) + slack
}

/** The elements that are neither what float32 nor what float64 gives in PyTorch, as text. */
function differences(
  actual: ArrayLike<number>,
  wanted: readonly Num[],
  double: Case['double'],
  [slack, signs]: readonly [slack: number, signs: boolean],
  of: (i: number) => string | undefined,
): string[] {
  const also = new Map(double.map(([i, v]) => [i, Number(v)]))
  return wanted.flatMap((w, i) => {
    const [a, e] = [actual[i], Number(w)]
    const other = also.get(i)
    const where = of(i)
    if (where === undefined || near(a, e, slack, signs) || (other !== undefined && near(a, other, slack, signs))) return []
    const show = (x: number): string => (Object.is(x, -0) ? '-0' : `${x}`)
    return [`${where}: ${show(a)}, not ${show(e)}${other === undefined ? '' : ` or ${show(other)}`}`]
  })
}

function inputsOf(group: string): { inputs: () => Tensor[]; of: (i: number, each: number) => string } {
  if (group === 'unary') {
    const x = file.unary.x.map(Number)
    return { inputs: () => [tensor(x)], of: (i) => (Object.is(x[i], -0) ? '-0' : `${x[i]}`) }
  }
  const values = file[group as 'binary' | 'rows'].values.map(Number)
  const n = values.length
  const show = (k: number): string => (Object.is(values[k], -0) ? '-0' : `${values[k]}`)
  if (group === 'binary') {
    const pairs = values.flatMap((a) => values.map((b) => [a, b]))
    return {
      inputs: () => [tensor(pairs.map(([a]) => a)), tensor(pairs.map(([, b]) => b))],
      of: (i) => `(${show(Math.floor(i / n))}, ${show(i % n)})`,
    }
  }
  const rows = values.flatMap((a) => values.flatMap((b) => values.map((c) => [a, b, c])))
  return {
    inputs: () => [tensor(rows)],
    of: (i, each) => `[${rows[Math.floor(i / each)].map((x) => (Object.is(x, -0) ? '-0' : x)).join()}] ${i % each}`,
  }
}

/** Where an op differs, in its values and gradients. */
function check(group: 'unary' | 'binary' | 'rows', c: Case): string[] {
  const { inputs, of } = inputsOf(group)
  const op = opOf(c.name)
  const found: string[] = []
  const ways: [string, (f: (...t: Tensor[]) => Tensor[]) => (...t: Tensor[]) => Tensor[]][] = [
    ['eager', (f) => f],
    ['compiled', (f) => compile(f).sync],
  ]
  for (const [way, make] of ways) {
    const given = inputs()
    const each = Math.max(1, c.out.length / given[0].shape[0])
    const [y] = make((...t) => [op(...t)])(...given)
    found.push(
      ...differences(
        y.data,
        c.out,
        c.double,
        [fromOne.has(c.name) ? absolute : tiny, !anyZero.has(c.name)],
        (i) => `${way} ${c.name} ${of(i, each)}`,
      ),
    )
    if (c.grads.every((g) => g === null)) continue
    const width = given[0].size / given[0].shape[0]
    const gradients = make((...t) => [cr.valueAndGrad((...q: Tensor[]) => op(...q).sum())(...t)[1]].flat() as Tensor[])(...given)
    c.grads.forEach((g, k) => {
      if (g !== null)
        found.push(
          ...differences(gradients[k].data, g, c.gradsDouble[k], [absolute, false], (i) => {
            const where = of(i, width)
            return where.includes('NaN') ? undefined : `${way} gradient ${k} of ${c.name} ${where}`
          }),
        )
    })
  }
  return found
}

describe.each(['unary', 'binary', 'rows'] as const)('%s', (group) => {
  test.each(file[group].cases.map((c) => [c.name, c] as const))('%s', (_, c) => {
    const found = onJs(() => check(group, c)).map((f) => `TypeScript: ${f}`)
    if (hasNative) eachIsa((isa) => found.push(...check(group, c).map((f) => `${isa}: ${f}`)))
    const allowed = differ[c.name]?.[0] ?? /^$/
    expect(found.filter((f) => !allowed.test(f))).toEqual([])
    // a difference that is gone is no longer said to be there
    expect(found.length > 0).toBe(c.name in differ)
  })
})

test('every elementwise op is among them', () => {
  // of masks, and a part of gelu's gradient
  const without = ['geluSlope', 'logicalAnd', 'logicalOr', 'logicalNot', 'where']
  const names = new Set([...file.unary.cases, ...file.binary.cases].map((c) => c.name))
  const missing = [...opTable().values()].filter((row) => row.micro !== undefined && !names.has(row.name)).map((row) => row.name)
  expect(missing).toEqual(without)
})

describe('whole numbers at their limits', () => {
  const values = [-(2 ** 31), -(2 ** 31) + 1, -65536, -1, 0, 1, 2, 65536, 2 ** 31 - 1]
  const wrap = (x: bigint): number => Number(BigInt.asIntN(32, x))
  const floorDiv = (a: bigint, b: bigint): bigint => (b === 0n ? 0n : a / b - (a % b !== 0n && a < 0n !== b < 0n ? 1n : 0n))
  const unary: Record<string, readonly [op: Op, exact: (a: bigint) => bigint]> = {
    neg: [cr.neg as Op, (a) => -a],
    abs: [cr.abs as Op, (a) => (a < 0n ? -a : a)],
    sign: [cr.sign as Op, (a) => (a > 0n ? 1n : a < 0n ? -1n : 0n)],
    square: [cr.square as Op, (a) => a * a],
    relu: [cr.relu as Op, (a) => (a < 0n ? 0n : a)],
  }
  const binary: Record<string, readonly [op: Op, exact: (a: bigint, b: bigint) => bigint]> = {
    add: [cr.add as Op, (a, b) => a + b],
    sub: [cr.sub as Op, (a, b) => a - b],
    mul: [cr.mul as Op, (a, b) => a * b],
    maximum: [cr.maximum as Op, (a, b) => (a > b ? a : b)],
    minimum: [cr.minimum as Op, (a, b) => (a < b ? a : b)],
    fmod: [cr.fmod as Op, (a, b) => (b === 0n ? 0n : a % b)],
    remainder: [cr.remainder as Op, (a, b) => (b === 0n ? 0n : a - b * floorDiv(a, b))],
    floorDivide: [cr.floorDivide as Op, floorDiv],
    eq: [cr.eq as Op, (a, b) => BigInt(a === b)],
    lt: [cr.lt as Op, (a, b) => BigInt(a < b)],
    le: [cr.le as Op, (a, b) => BigInt(a <= b)],
  }
  const pairs = values.flatMap((a) => values.map((b) => [a, b] as const))
  const ints = (data: readonly number[]): Tensor => tensor(data as number[], { dtype: 'int32' })
  const everywhere = (run: () => void): void => {
    onJs(run)
    if (hasNative) eachIsa(run)
  }

  test.each(Object.entries(unary))('%s', (_, [op, exact]) => {
    const wanted = values.map((a) => wrap(exact(BigInt(a))))
    everywhere(() => {
      for (const f of [op, compile(op).sync]) expect([...f(ints(values)).data]).toEqual(wanted)
    })
  })

  test.each(Object.entries(binary))('%s', (_, [op, exact]) => {
    const wanted = pairs.map(([a, b]) => wrap(exact(BigInt(a), BigInt(b))))
    everywhere(() => {
      for (const f of [op, compile(op).sync])
        expect([...f(ints(pairs.map(([a]) => a)), ints(pairs.map(([, b]) => b))).data].map(Number)).toEqual(wanted)
    })
  })
})

describe('a NaN in one pixel', () => {
  // PyTorch keeps it to the 3×3 pixels that see it; the transforms for 3×3 kernels of many channels carry it through their tiles of 4×4
  const [row, column, size] = [10, 13, 24]
  const tile = (i: number): number => Math.floor(i / 4)
  const broken = (): boolean[] => {
    const weight = tensor(
      Float32Array.from({ length: 16 * 16 * 9 }, (_, i) => Math.sin(i)),
      { shape: [16, 16, 3, 3] },
    )
    const pixels = Float32Array.from({ length: 16 * size * size }, (_, i) => Math.cos(i))
    pixels[5 * size * size + row * size + column] = Number.NaN
    const y = cr.conv2d(tensor(pixels, { shape: [1, 16, size, size] }), weight, { padding: 1 })
    return [...cr.isnan(y).data].map(Boolean)
  }
  const sees = (i: number, j: number): boolean => Math.abs(i - row) <= 1 && Math.abs(j - column) <= 1
  const places = Array.from({ length: 16 * size * size }, (_, k) => [Math.floor(k / size) % size, k % size] as const)

  test('reaches what sees it, in TypeScript that alone', () => {
    expect(onJs(broken)).toEqual(places.map(([i, j]) => sees(i, j)))
  })

  test.skipIf(!hasNative)('in native code at most its tiles of 4×4 pixels', () => {
    eachIsa(() => {
      broken().forEach((is, k) => {
        const [i, j] = places[k]
        if (sees(i, j)) expect(is).toBe(true)
        const near = [-1, 0, 1].some((d) => tile(row + d) === tile(i)) && [-1, 0, 1].some((d) => tile(column + d) === tile(j))
        if (!near) expect(is).toBe(false)
      })
    })
  })
})
