/**
 * Tensors that runs begin with: their numbers, and the strides through which they are seen. In: a description, plain data. Out: a tensor made
 * afresh, and the code that makes it.
 */
import { type DType, isFloat, type TypedArray, viewMemory } from '../../../src/base/dtype.js'
import { contiguousStrides, sizeOf } from '../../../src/base/shape.js'
import { type Tensor, tensor } from '../../../src/index.js'
import type { Random } from '../frame/random.js'
import { leaf } from './noise.js'

/** `real` in quarters of a thousandth, `ties` few whole numbers, `special` with infinities, NaN and the largest and smallest numbers. */
export type Fill = 'real' | 'ties' | 'special'

export interface Input {
  readonly shape: readonly number[]
  readonly dtype: DType
  readonly fill: Fill
  readonly low: number
  readonly high: number
  readonly seed: number
  /** Methods by which the tensor is made from one that lies in memory without gaps, of `base`'s shape. */
  readonly views: readonly View[]
  readonly base: readonly number[]
}

type View = readonly [method: 'slice' | 'permute' | 'expand' | 'at', ...args: unknown[]]

const specials = [0, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 3e38, -1e30, 1e-30, 1e-40, 1, -1]

/** An input without gaps. */
export function plain(
  shape: readonly number[],
  dtype: DType,
  seed: number,
  range: Partial<Pick<Input, 'fill' | 'low' | 'high'>> = {},
): Input {
  const [low, high] = isFloat(dtype) ? [-2, 2] : dtype === 'bool' ? [0, 1] : [0, 3]
  return { shape, dtype, fill: 'real', low, high, seed, views: [], base: shape, ...range }
}

/** How the elements of a tensor lie in memory. */
export const layouts = ['plain', 'transposed', 'stepped', 'flipped', 'expanded', 'offset'] as const
export type Layout = (typeof layouts)[number]

/** The same numbers through other strides, drawn. */
export function strided(input: Input, random: Random): Input {
  let out = input
  for (let n = random.chance(0.25) ? 2 : 1; n > 0; n--) out = laidOut(out, random.pick(layouts.slice(1)), random)
  return out
}

/** The same numbers in another layout, where the shape allows it. */
export function laidOut(input: Input, layout: Layout, random: Random): Input {
  const { shape, base, views } = input
  if (base.length === 0 || sizeOf(shape) === 0) return input
  const sizes = base.flatMap((s, d) => (s > 1 || layout !== 'expanded' ? [d] : []))
  if (sizes.length === 0) return input
  const dim = random.pick(sizes)
  const size = base[dim]
  const put = (x: number): number[] => base.map((s, d) => (d === dim ? x : s))
  const step = random.int(1, 3)
  const lead = random.int(0, 2)
  const order = random.shuffle(base.map((_, d) => d))
  switch (layout) {
    case 'plain':
      return input
    case 'transposed':
      return { ...input, views: [['permute', order], ...views], base: base.map((_, d) => base[order.indexOf(d)]) }
    case 'stepped':
      return { ...input, views: [['slice', dim, lead, lead + (size - 1) * step + 1, step], ...views], base: put(lead + size * step) }
    case 'flipped':
      return { ...input, views: [['slice', dim, -1, undefined, -1], ...views] }
    case 'expanded':
      return { ...input, views: [['expand', base], ...views], base: put(1) }
    case 'offset':
      return base.length > 6 ? input : { ...input, views: [['at', 1], ...views], base: [2, ...base] }
  }
}

/** Whether every element has memory of its own, so that it can be written. */
export function writable(input: Input): boolean {
  return !input.views.some(([method]) => method === 'expand')
}

/** The numbers of an input, of another set with another `set`. */
export function numbers({ shape, dtype, fill, low, high, seed }: Input, set = 0): number[] {
  let state = Math.imul(seed * 31 + set + 1, 0x9e3779b1) | 1
  const next = (): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
  return Array.from({ length: sizeOf(shape) }, () => {
    if (!isFloat(dtype) || fill === 'ties') return Math.min(high, low + Math.floor(next() * (high - low + 1)))
    if (fill === 'special' && next() < 0.3) return Math.fround(specials[Math.floor(next() * specials.length)])
    return Math.round((low + next() * (high - low)) * 4000) / 4000
  })
}

/** What was laid out, since a case is run in many ways from the same inputs. */
const laid = new WeakMap<Input, Map<number, TypedArray>>()

/** The memory of the base: the numbers where the views show it, and between them what nobody may read. Only to be copied. */
function memory(input: Input, set: number): TypedArray {
  let sets = laid.get(input)
  if (sets === undefined) laid.set(input, (sets = new Map()))
  let data = sets.get(set)
  if (data === undefined) sets.set(set, (data = layOut(input, set)))
  return data
}

function layOut(input: Input, set: number): TypedArray {
  const { base, dtype, views } = input
  const poison = isFloat(dtype) ? Number.NaN : dtype === 'bool' ? 1 : 99
  const blank = tensor(new Float64Array(sizeOf(base)), { shape: base, dtype })
  const seen = through(blank, views)
  const { bytes } = blank.storage
  const data = viewMemory(dtype, bytes.buffer, bytes.byteOffset, sizeOf(base)).fill(poison)
  const { shape, strides, offset } = seen
  const steps = contiguousStrides(shape)
  for (const [i, x] of numbers(input, set).entries()) {
    let at = offset
    for (let d = 0; d < shape.length; d++) at += (Math.floor(i / steps[d]) % shape[d]) * strides[d]
    data[at] = x
  }
  return data
}

function through(t: Tensor, views: readonly View[]): Tensor {
  let out = t
  for (const [method, ...args] of views) out = (out[method] as (...args: unknown[]) => Tensor).apply(out, args)
  return out
}

/** The tensor. */
export function make(input: Input, set = 0): Tensor {
  const t = tensor(memory(input, set), { shape: input.base, dtype: input.dtype })
  return through(input.fill === 'ties' ? t : leaf(t), input.views)
}

/** The code that makes it. */
export function codeOf(input: Input, set = 0): string {
  const { base, dtype, views } = input
  const array = { float32: 'Float32Array', float64: 'Float64Array', int32: 'Int32Array', uint8: 'Uint8Array', bool: 'Uint8Array' }[dtype]
  const list = Array.from(memory(input, set), (x) => (Object.is(x, -0) ? '-0' : String(Number(x.toPrecision(8)))))
  const chain = views.map(
    ([method, ...args]) => `.${method}(${args.map((a) => (a === undefined ? 'undefined' : JSON.stringify(a))).join(', ')})`,
  )
  return `cr.tensor(${array}.of(${list.join(', ')}), { shape: ${JSON.stringify(base)}${dtype === 'bool' ? ", dtype: 'bool'" : ''} })${chain.join('')}`
}
