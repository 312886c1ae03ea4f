/** Draws of ops whose shapes and options are chosen by what a program has: movements, reductions, products, convolutions and the like. */
import { sizeOf } from '../../../src/base/shape.js'
import type { Builder } from './builder.js'

type Draw = (b: Builder) => number | undefined

const json = JSON.stringify
const any = (b: Builder, rank = 0): number => (b.random.chance(0.1) ? b.pick((s) => s.length >= rank) : undefined) ?? b.float(rank)
/** A dimension, from either end. */
const dimOf = (b: Builder, x: number): number => {
  const { length } = b.shapeAt(x)
  return length === 0 ? 0 : b.random.int(-length, length - 1)
}
const sizeAt = (b: Builder, x: number, dim: number): number => b.shapeAt(x).at(dim) ?? 1

/** A draw of one operand: the code is made from its shape. */
const of =
  (rank: number, code: (b: Builder, x: number) => string, pick = any): Draw =>
  (b) => {
    const x = pick(b, rank)
    return b.step(code(b, x), x)
  }

const movements: Draw[] = [
  of(0, () => '$0.reshape([-1])'),
  of(1, (b, x) => `$0.reshape(${json(regrouped(b, b.shapeAt(x)))})`),
  of(2, (b, x) => `$0.permute(${json(b.random.shuffle(b.shapeAt(x).map((_, d) => d)))})`),
  of(2, (b, x) => `$0.transpose(${dimOf(b, x)}, ${dimOf(b, x)})`),
  of(1, slice),
  of(1, slice),
  of(1, (b, x) => `$0.slice(${dimOf(b, x)}, -1, undefined, -${b.random.int(1, 2)})`),
  of(1, (b, x) => `$0.at(${b.random.int(0, Math.max(0, b.shapeAt(x)[0] - 1))})`),
  of(2, (b, x) => `$0.at(null, ${b.random.int(0, Math.max(0, b.shapeAt(x)[1] - 1))})`),
  of(0, (b, x) => `$0.unsqueeze(${b.random.int(0, b.shapeAt(x).length)})`),
  of(1, () => '$0.squeeze()'),
  of(
    0,
    (b, x) =>
      `$0.expand(${json([...(b.random.chance(0.4) ? [b.random.pick(b.dims)] : []), ...b.shapeAt(x).map((s) => (s === 1 && b.random.chance(0.7) ? b.random.pick(b.dims) : s))])})`,
  ),
  of(1, (b, x) => `cr.flip($0, ${dimOf(b, x)})`),
  of(1, (b, x) => `cr.roll($0, ${b.random.int(-2, 2)}, ${dimOf(b, x)})`),
  of(1, (b) => `$0.pad([${b.random.int(-1, 2)}, ${b.random.int(0, 2)}])`),
  of(2, (b) => `$0.pad([${b.random.int(0, 1)}, ${b.random.int(0, 1)}, ${b.random.int(-1, 2)}, ${b.random.int(0, 2)}], { value: 0.5 })`),
  of(1, (b, x) => `cr.split($0, ${b.random.int(1, Math.max(1, sizeAt(b, x, -1)))}, -1)[0]`),
  of(1, (b, x) => `cr.chunk($0, ${b.random.int(1, 3)}, ${dimOf(b, x)}).at(-1)`),
  of(0, () => '$0.clone()'),
  of(0, () => '$0.detach()'),
  of(0, (b) => `$0.to('${b.random.pick(['float32', 'int32', 'bool'])}')`),
  of(2, (b) => `cr.${b.random.pick(['tril', 'triu'])}($0, ${b.random.int(-1, 1)})`),
  of(1, (b, x) => `cr.repeatInterleave($0, ${b.random.int(1, 3)}, ${dimOf(b, x)})`),
  of(2, () => 'cr.diagonal($0)'),
  join('concat'),
  join('concat'),
  join('stack'),
]

function slice(b: Builder, x: number): string {
  const dim = dimOf(b, x)
  const size = sizeAt(b, x, dim)
  const start = b.random.int(0, Math.max(0, size - 1))
  const end = b.random.chance(0.3) ? 'undefined' : b.random.int(start, size)
  return `$0.slice(${dim}, ${start}, ${end}, ${b.random.pick([1, 1, 2, 3])})`
}

/** Another shape of the same number of elements. */
function regrouped(b: Builder, shape: readonly number[]): number[] {
  const out = [...shape]
  const at = b.random.int(0, out.length - 1)
  if (at + 1 < out.length && b.random.chance(0.6)) return [...out.slice(0, at), out[at] * out[at + 1], ...out.slice(at + 2)]
  const factor = [2, 3].find((f) => out[at] > 0 && out[at] % f === 0) ?? 1
  return [...out.slice(0, at), factor, out[at] / factor, ...out.slice(at + 1)]
}

function join(name: string): Draw {
  return (b) => {
    const x = any(b, name === 'concat' ? 1 : 0)
    const shape = b.shapeAt(x)
    const dim = shape.length === 0 ? 0 : b.random.int(0, shape.length - 1)
    const y = b.pick(
      (s, d) => d === b.dtypeAt(x) && s.length === shape.length && s.every((n, k) => n === shape[k] || (k === dim && name === 'concat')),
    )
    if (y === undefined) return undefined
    return b.random.chance(0.3) ? b.step(`cr.${name}([$0, $1, $0], ${dim})`, x, y) : b.step(`cr.${name}([$0, $1], ${dim})`, x, y)
  }
}

/** Options of a reduction: one dimension, several, all. */
function reduced(b: Builder, x: number): string {
  const rank = b.shapeAt(x).length
  const keep = b.random.chance(0.5) ? ', keepdim: true' : ''
  if (rank === 0 || b.random.chance(0.2)) return `{ ${keep.slice(2)} }`
  const dims = b.random.shuffle(b.shapeAt(x).map((_, d) => d)).slice(0, b.random.int(1, rank))
  return dims.length === 1 ? `{ dim: ${dims[0]}${keep} }` : `{ dim: ${json(dims)}${keep} }`
}

const reductions: Draw[] = [
  ...['sum', 'sum', 'mean', 'mean', 'amax', 'amin', 'prod', 'logsumexp', 'norm', 'variance', 'std'].map((name) =>
    of(
      0,
      (b, x) => `cr.${name}($0, ${reduced(b, x)})`,
      (b) => b.float(),
    ),
  ),
  ...['argmax', 'argmin'].map((name) => of(1, (b, x) => `cr.${name}($0, ${dimOf(b, x)})`)),
  ...['any', 'all', 'countNonzero'].map((name) => of(0, (b, x) => `cr.${name}($0, ${reduced(b, x)})`)),
  ...['softmax', 'logSoftmax', 'cumsum', 'cumprod', 'softmax'].map((name) =>
    of(
      1,
      (b, x) => `cr.${name}($0, ${dimOf(b, x)})`,
      (b, r) => b.float(r),
    ),
  ),
  of(1, (b, x) => `cr.sort($0, ${dimOf(b, x)}, { descending: ${b.random.chance(0.5)} }).values`),
  of(1, (b, x) => `cr.topk($0, ${b.random.int(0, sizeAt(b, x, -1))}).values`),
  of(2, () => 'cr.trace($0)'),
]

/** An operand of a wanted shape: from a value, or fresh. */
function operand(b: Builder, shape: readonly number[], share = 0.5): number | undefined {
  const from = b.random.chance(share) ? b.pick((s, d) => d === 'float32' && sizeOf(s) > 0) : undefined
  return from === undefined ? b.fresh(shape) : b.fit(from, shape)
}

function product(b: Builder): number | undefined {
  const x = b.float(2, 4)
  const shape = b.shapeAt(x)
  const [m, k] = shape.slice(-2)
  const n = b.random.pick([1, ...b.dims])
  const lead = b.random.chance(0.4) ? shape.slice(0, -2).map((s) => (b.random.chance(0.3) ? 1 : s)) : []
  switch (b.random.int(0, 6)) {
    case 0:
    case 1:
      return pair(b, '$0.matmul($1)', x, operand(b, [...lead, k, n]))
    case 2:
      return pair(b, '$0.matmul($1.transpose(-1, -2))', x, operand(b, [...lead, n, k]))
    case 3:
      return pair(b, '$0.transpose(-1, -2).matmul($1)', x, operand(b, [...lead, m, n]))
    case 4:
      return pair(b, '$0.matmul($1)', x, operand(b, [k]))
    case 5:
      return pair(b, '$1.matmul($0)', x, operand(b, [m]))
    default: {
      const [w, bias] = [operand(b, [k, n], 0.2), operand(b, [n], 0.2)]
      if (w === undefined || bias === undefined) return undefined
      return b.step(`$0.matmul($1).add($2).${b.random.pick(['relu', 'tanh', 'sigmoid', 'square'])}()`, x, w, bias)
    }
  }
}

const pair = (b: Builder, code: string, x: number, y: number | undefined): number | undefined =>
  y === undefined ? undefined : b.step(code, x, y)

/** A convolution of one to three dimensions, plain or transposed, of a value or of a fresh tensor. */
function convolution(b: Builder): number | undefined {
  const { random } = b
  const n = random.weighted({ 1: 3, 2: 6, 3: 1 })
  const spatial = Number(n)
  const groups = random.pick([1, 1, 1, 2, 3])
  const each = random.int(1, 3)
  const channels = groups * each
  const out = random.int(1, 3)
  const sizes = Array.from({ length: spatial }, () => random.pick([1, 2, 3, 4, 5, 7, 9]))
  const kernel = sizes.map((s) => random.int(1, Math.min(3, s + 1)))
  const transposed = random.chance(0.3)
  const options = {
    stride: random.pick([1, 1, 2, 3]),
    padding: kernel.map((k) => random.int(0, Math.floor(k / 2))),
    ...(random.chance(0.2) ? { dilation: 2 } : {}),
    groups,
  }
  const x = operand(b, [random.int(1, 3), channels, ...sizes])
  const w = operand(b, transposed ? [channels, out, ...kernel] : [out * groups, each, ...kernel], 0.3)
  if (x === undefined || w === undefined) return undefined
  const text = json(options).replace(/"/g, '')
  const name = transposed ? `convTranspose${n}d` : `conv${n}d`
  if (random.chance(0.3)) {
    const bias = operand(b, [out * groups], 0.3)
    return bias === undefined ? undefined : b.step(`cr.${name}($0, $1, { bias: $2, ...${text} })`, x, w, bias)
  }
  return b.step(`cr.${name}($0, $1, ${text})`, x, w)
}

function pool(b: Builder): number | undefined {
  const { random } = b
  const spatial = Number(random.weighted({ 1: 2, 2: 5, 3: 1 }))
  const shape = [random.int(1, 2), random.int(1, 3), ...Array.from({ length: spatial }, () => random.pick([1, 2, 3, 5, 8, 9]))]
  const own = b.pick((s, d) => d === 'float32' && s.length === spatial + 2 && random.chance(0.5))
  const x = own ?? operand(b, shape)
  if (x === undefined) return undefined
  const kernel = random.int(1, 3)
  const kind = random.pick(['max', 'avg'])
  const more = kind === 'avg' ? `, countIncludePad: ${random.chance(0.5)}` : random.chance(0.2) ? ', dilation: 2' : ''
  const options = `{ stride: ${random.int(1, 3)}, padding: ${random.int(0, Math.floor(kernel / 2))}, ceilMode: ${random.chance(0.3)}${more} }`
  return b.step(`cr.${kind}Pool${spatial}d($0, ${kernel}, ${options})`, x)
}

function norm(b: Builder): number | undefined {
  const x = b.float(2, 5)
  const shape = b.shapeAt(x)
  const [channels, last] = [shape[1], shape[shape.length - 1]]
  switch (b.random.int(0, 4)) {
    case 0:
      return b.step(`cr.layerNorm($0, [${last}])`, x)
    case 1: {
      const [w, bias] = [operand(b, [last], 0.2), operand(b, [last], 0.2)]
      return w === undefined || bias === undefined ? undefined : b.step(`cr.layerNorm($0, [${last}], { weight: $1, bias: $2 })`, x, w, bias)
    }
    case 2:
      return b.step(`cr.rmsNorm($0, [${last}])`, x)
    case 3:
      return b.step(`cr.groupNorm($0, ${channels % 2 === 0 && channels > 0 ? 2 : 1})`, x)
    default: {
      const [w, bias] = [operand(b, [channels], 0.2), operand(b, [channels], 0.2)]
      return w === undefined || bias === undefined
        ? undefined
        : b.step('cr.batchNorm($0, { training: true, weight: $1, bias: $2 })', x, w, bias)
    }
  }
}

/** Batch norm with running statistics: state that an op of the library writes. */
function running(b: Builder): number | undefined {
  const x = b.float(2, 5)
  const channels = b.shapeAt(x)[1]
  const state = (low: number): number => b.source('state', [channels], 'float32', { low, high: 2, fill: 'real' })
  const [mean, variance] = [state(-1), state(0.5)]
  return b.step('cr.batchNorm($0, { training: true, runningMean: $1, runningVar: $2, momentum: 0.3 })', x, mean, variance)
}

function attention(b: Builder): number | undefined {
  const { random } = b
  const lead = random.chance(0.5) ? [random.int(1, 2), random.int(1, 2)] : [random.int(1, 2)]
  const [rows, keys, size] = [random.pick(b.dims), random.pick(b.dims), random.pick([1, 2, 3, 4, 8])]
  const q = operand(b, [...lead, rows, size])
  const [k, v] = [operand(b, [...lead, keys, size]), operand(b, [...lead, keys, random.pick([size, 3])])]
  if (q === undefined || k === undefined || v === undefined) return undefined
  return b.step(`cr.scaledDotProductAttention($0, $1, $2, { isCausal: ${random.chance(0.4)} })`, q, k, v)
}

function gathering(b: Builder): number | undefined {
  const x = b.float(1)
  const dim = dimOf(b, x)
  const size = sizeAt(b, x, dim)
  if (size === 0) return undefined
  const count = b.random.pick(b.dims)
  if (b.random.chance(0.5)) return pair(b, `cr.indexSelect($0, $1, ${dim})`, x, b.fresh([count], 'int32', { low: 0, high: size - 1 }))
  const shape = b.shapeAt(x).map((s, d) => (d === (dim + b.shapeAt(x).length) % b.shapeAt(x).length ? count : s))
  const index = b.fresh(shape, 'int32', { low: 0, high: size - 1 })
  if (b.random.chance(0.5)) return pair(b, `cr.gather($0, $1, ${dim})`, x, index)
  const source = operand(b, shape)
  return source === undefined ? undefined : b.step(`cr.scatterAdd($0, ${dim}, $1, $2)`, x, index, source)
}

function random(b: Builder): number | undefined {
  const x = b.float()
  return b.step(
    b.random.pick([
      'cr.randLike($0).add($0)',
      'cr.randnLike($0)',
      `cr.bernoulli(${json(b.shapeAt(x))}, 0.5).mul($0)`,
      `cr.rand(${json(b.shapeAt(x))})`,
    ]),
    x,
  )
}

/** A state that takes a value of its shape. */
function write(b: Builder): number | undefined {
  const value = b.pick((s, d) => d === 'float32' && s.length <= 4)
  if (value === undefined) return undefined
  const shape = b.shapeAt(value)
  const states = b.nodes.flatMap((n, i) => (n.kind === 'state' && n.input.shape.join() === shape.join() ? [i] : []))
  b.write(states.length > 0 && b.random.chance(0.6) ? b.random.pick(states) : b.source('state', shape), value)
  return value
}

export const structured: readonly { readonly weight: number; readonly draws: readonly Draw[] }[] = [
  { weight: 18, draws: movements },
  { weight: 12, draws: reductions },
  { weight: 6, draws: [product] },
  { weight: 5, draws: [convolution] },
  { weight: 2, draws: [pool] },
  { weight: 3, draws: [norm, norm, running] },
  { weight: 1, draws: [attention] },
  { weight: 2, draws: [gathering] },
  { weight: 1.5, draws: [random] },
  { weight: 2.5, draws: [write] },
]
