/**
 * Tensors that runs begin with: their numbers, and the strides through which they are seen. In: a description, plain data. Out: a tensor made
 * afresh, and the code that makes it.
 */
import { type DType, isFloat, type TypedArray, viewMemory } from '../../../src/dtype.js'
import { type Tensor, tensor } from '../../../src/index.js'
import { contiguousStrides, sizeOf } from '../../../src/shape.js'
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

/** The same numbers through other strides, drawn. */
export function strided(input: Input, random: Random): Input {
  let { base, views } = input
  const { shape } = input
  if (shape.length === 0 || sizeOf(shape) === 0) return input
  for (let n = random.chance(0.25) ? 2 : 1; n > 0; n--) {
    const dim = random.int(0, base.length - 1)
    const size = base[dim]
    const put = (x: number): number[] => base.map((s, d) => (d === dim ? x : s))
    const kind = random.pick(['transposed', 'stepped', 'flipped', 'expanded', 'offset'])
    if (kind === 'transposed' && base.length > 1) {
      const order = random.shuffle(base.map((_, d) => d))
      views = [['permute', order], ...views]
      const inner: number[] = []
      for (const [to, from] of order.entries()) inner[from] = base[to]
      base = inner
    } else if (kind === 'stepped') {
      const step = random.int(1, 3)
      const lead = random.int(0, 2)
      views = [['slice', dim, lead, lead + (size - 1) * step + 1, step], ...views]
      base = put(lead + size * step)
    } else if (kind === 'flipped') {
      views = [['slice', dim, -1, undefined, -1], ...views]
    } else if (kind === 'expanded' && size > 1) {
      views = [['expand', base], ...views]
      base = put(1)
    } else if (base.length < 6) {
      views = [['at', 1], ...views]
      base = [2, ...base]
    }
  }
  return { ...input, base, views }
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

/** The memory of the base: the numbers where the views show it, and between them what nobody may read. */
function memory(input: Input, set: number): TypedArray {
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
