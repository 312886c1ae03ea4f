/**
 * How the op cases are written (test/ops.cases.ts): a case names an op or composition, says how to make its inputs and how to call it; everything
 * else (test/ops.test.ts) follows from it. In: domains and shapes. Out: tensors with values that depend on nothing but the case.
 */
import { type DType, isFloat } from '../../src/base/dtype.js'
import { type Tensor, tensor } from '../../src/index.js'

/** Which values an input takes. */
export interface Domain {
  readonly dtype: DType
  readonly low: number
  readonly high: number
  /** Points near which no value lies: kinks and poles. */
  readonly avoid?: readonly number[]
  /** All values differ clearly: for choices among them. */
  readonly distinct?: boolean
}

export const real: Domain = { dtype: 'float32', low: -2, high: 2 }
export const smooth = (...avoid: number[]): Domain => ({ ...real, avoid })
export const positive: Domain = { dtype: 'float32', low: 0.3, high: 3 }
export const within = (low: number, high: number): Domain => ({ dtype: 'float32', low, high })
export const distinct: Domain = { ...real, distinct: true }
export const ints = (low: number, high: number, dtype: DType = 'int32'): Domain => ({ dtype, low, high })
export const bools: Domain = { dtype: 'bool', low: 0, high: 1 }

type Shapes = readonly (readonly number[])[]
/** What has to fail with a typed error. */
export type Bad = readonly [what: string, call: () => unknown]

export interface Case {
  readonly name: string
  readonly call: (...inputs: Tensor[]) => Tensor
  readonly inputs: readonly Domain[]
  /** Shapes of the inputs, one entry for each variant tested; the first is also used for gradients. */
  readonly sizes: readonly Shapes[]
  /** Large enough for several chunks. */
  readonly large?: Shapes
  /** False where there is no gradient to check. */
  readonly gradient: boolean
  /** Relative and absolute tolerance in float32. */
  readonly tolerance: number
  /** Elementwise in all inputs: infinities, NaN and the like are tried. */
  readonly special: boolean
  /** The call with `{ out }`. */
  readonly into?: (out: Tensor, ...inputs: Tensor[]) => Tensor
  readonly bad: readonly Bad[]
  /** What else than a tensor an input may be. */
  readonly accepts?: (x: unknown) => boolean
}

type Options = Partial<Omit<Case, 'name' | 'call' | 'inputs' | 'sizes'>>

/** Vector widths are 4 and 8, unrolled to 16 and 32. */
const lengths = [7, 0, 1, 3, 4, 5, 8, 9, 13, 31, 33, 67]

/** A case with shapes of its own. */
export function op(name: string, inputs: readonly Domain[], sizes: readonly Shapes[], call: Case['call'], options: Options = {}): Case {
  return { name, inputs, sizes, call, gradient: true, tolerance: 2e-5, special: false, bad: [], ...options }
}

/** A function of one tensor, element by element. */
export function unary(name: string, domain: Domain, call: (x: Tensor) => Tensor, options: Options = {}): Case {
  const sizes = [...lengths.map((n) => [[n]]), [[]], [[3, 5]], [[2, 1, 9]]] as Shapes[]
  return op(name, [domain], sizes, call, { special: isFloat(domain.dtype), large: [[20011]], ...options })
}

/** A function of two tensors, element by element, with broadcasting. */
export function binary(name: string, a: Domain, b: Domain, call: (a: Tensor, b: Tensor) => Tensor, options: Options = {}): Case {
  const equal = lengths.map((n) => [[n], [n]])
  const broadcast = [
    [[3, 5], [5]],
    [
      [1, 7],
      [4, 1],
    ],
    [[], [3, 3]],
    [
      [2, 1, 3],
      [2, 1],
    ],
    [[2, 9], []],
    [[0, 3], [3]],
  ]
  return op(name, [a, b], [[[2, 3], [3]], ...equal, ...broadcast], call, {
    special: isFloat(a.dtype) && isFloat(b.dtype),
    large: [[73, 211], [211]],
    ...options,
  })
}

/** A reduction of one tensor. */
export function reduction(
  name: string,
  domain: Domain,
  call: (x: Tensor, options: { dim?: number | number[]; keepdim?: boolean }) => Tensor,
  options: Options & { empty?: boolean } = {},
): Case[] {
  const shapes = [
    [3, 5],
    [1, 1],
    [2, 7],
    [8, 9],
    [33, 4],
    [5, 67],
    [4, 16],
  ]
  const planes = [
    [2, 3, 5],
    [1, 9, 1],
    [4, 7, 8],
    [3, 1, 33],
  ]
  const { empty = true, ...rest } = options
  const make = (label: string, sizes: number[][], how: Parameters<typeof call>[1], large = [129, 517]): Case =>
    op(
      `${name} ${label}`,
      [domain],
      sizes.map((s) => [s]),
      (x) => call(x, how),
      { large: [large], ...rest },
    )
  return [
    make('of all', [...shapes, [7], [], ...(empty ? [[0]] : [])], {}),
    make('of rows', [...shapes, [7], ...(empty ? [[3, 0]] : []), [0, 3]], { dim: -1 }),
    make('of columns', [...shapes, ...(empty ? [[0, 3]] : []), [3, 0]], { dim: 0, keepdim: true }),
    make('of the middle', planes, { dim: 1 }, [17, 33, 65]),
    make('of the outer two', planes, { dim: [0, -1] }, [17, 33, 65]),
  ]
}

/** A small fast generator, so that values depend on nothing else. */
export function generator(text: string): () => number {
  let state = 2166136261
  for (const c of text) state = Math.imul(state ^ c.charCodeAt(0), 16777619)
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return (state >>> 0) / 2 ** 32
  }
}

/** Values of a domain, exactly representable in its dtype. */
export function values({ dtype, low, high, avoid = [], distinct = false }: Domain, n: number, random: () => number): number[] {
  if (!isFloat(dtype)) return Array.from({ length: n }, () => low + Math.floor(random() * (high - low + 1)))
  if (distinct) {
    const order = Array.from({ length: n }, (_, i) => i)
    for (let i = n - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1))
      ;[order[i], order[j]] = [order[j], order[i]]
    }
    return order.map((k) => Math.fround(low + ((k + 0.5) / n) * (high - low)))
  }
  return Array.from({ length: n }, () => {
    let x = low + random() * (high - low)
    while (avoid.some((a) => Math.abs(x - a) < 0.1)) x = low + random() * (high - low)
    return Math.fround(x)
  })
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1)

/** The inputs of a case for one variant. */
export function makeInputs(c: Pick<Case, 'name' | 'inputs'>, shapes: Shapes): Tensor[] {
  const random = generator(`${c.name}${JSON.stringify(shapes)}`)
  return c.inputs.map((domain, i) => tensor(values(domain, sizeOf(shapes[i]), random), { dtype: domain.dtype }).reshape(shapes[i]))
}

/** The same numbers in float64, where they are floats. */
export function doubles(inputs: readonly Tensor[]): Tensor[] {
  return inputs.map((t) => (t.dtype === 'float32' ? t.to('float64') : t))
}

/** The same elements seen through other strides; what lies between them is poison. */
export const layouts: Record<string, (t: Tensor) => Tensor | undefined> = {
  transposed: (t) => (t.ndim < 2 ? undefined : copy(t.transpose(0, -1)).transpose(0, -1)),
  'in steps': (t) => (t.ndim < 1 ? undefined : spread(t, t.ndim - 1, 3, 1)),
  'rows in steps': (t) => (t.ndim < 2 ? undefined : spread(t, 0, 2, 0)),
  backwards: (t) => (t.ndim < 1 || t.size === 0 ? undefined : copy(t.slice(-1, -1, undefined, -1)).slice(-1, -1, undefined, -1)),
  offset: (t) => (t.ndim < 1 ? undefined : spread(t, 0, 1, 3)),
  expanded: (t) => (t.ndim < 1 || t.size === 0 ? undefined : t.narrow(0, 0, 1).expand(t.shape)),
}

function copy(t: Tensor): Tensor {
  return tensor(Float64Array.from(t.data), { dtype: t.dtype, shape: t.shape })
}

/** Elements along `dim` lie `step` apart behind `lead` others, all in memory full of poison. */
function spread(t: Tensor, dim: number, step: number, lead: number): Tensor {
  const shape = t.shape.map((s, d) => (d === dim ? s * step + lead + 1 : s))
  const poison = isFloat(t.dtype) ? Number.NaN : t.dtype === 'int32' ? -(2 ** 31) : 255
  const view = filled(shape, t.dtype, poison).slice(dim, lead, lead + t.shape[dim] * step, step)
  view.assign(t)
  return view
}

function filled(shape: readonly number[], dtype: DType, value: number): Tensor {
  const t = tensor(new Float64Array(sizeOf(shape)), { dtype, shape })
  t.data.fill(value)
  return t
}
