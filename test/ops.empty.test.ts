/**
 * Zero in every dimension of every op case (test/ops.cases.ts), forward and backward, eager and compiled, on both backends: the result of the
 * float64 reference, or a typed error; never a crash, and never an error that calls itself a bug of the library.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as cr from '../src/index.js'
import { ChainruleError, compile, enableGrad, type Tensor } from '../src/index.js'
import { cases } from './ops.cases.js'
import { backends, onJs, onNative } from './support/backends.js'
import { type Case, doubles, makeInputs } from './support/cases.js'
import { expectClose } from './support/compare.js'
import { gradientOf } from './support/derive.js'

type Shapes = readonly (readonly number[])[]

// a second trace of each program would only take time
const environment = process.env.NODE_ENV
beforeAll(() => {
  process.env.NODE_ENV = 'production'
})
afterAll(() => {
  process.env.NODE_ENV = environment
})

/**
 * A zero in each place: in one dimension of one input, in the same dimension (from either end) of all inputs, in all dimensions of one size, and
 * in the batch together with each of these.
 */
function withZeros(shapes: Shapes): Shapes[] {
  const at = (empty: (size: number, input: number, d: number, rank: number) => boolean): Shapes =>
    shapes.map((shape, i) => shape.map((size, d) => (empty(size, i, d, shape.length) ? 0 : size)))
  const ranks = Math.max(0, ...shapes.map((s) => s.length))
  const variants: Shapes[] = []
  for (const size of new Set(shapes.flat())) variants.push(at((s) => s === size))
  for (let d = 0; d < ranks; d++) {
    for (let i = 0; i < shapes.length; i++) variants.push(at((_, input, dim) => input === i && dim === d))
    variants.push(
      at((_, __, dim) => dim === d),
      at((_, __, dim, rank) => rank - 1 - dim === d),
    )
  }
  const unique = new Map(variants.map((v) => [JSON.stringify(v), v]))
  unique.delete(JSON.stringify(shapes))
  return [...unique.values()]
}

/** The result, or the error's class where it is one of the library's own. */
function outcome(what: string, run: () => Tensor): Tensor | 'refused' {
  try {
    // one of a list of none is no tensor
    return (run() as Tensor | undefined) ?? 'refused'
  } catch (error) {
    const { code } = error as { code?: string }
    if (error instanceof ChainruleError && code !== 'ERR_PROGRAM_REFUSED') return 'refused'
    expect.fail(`${what}: ${(error as Error).stack}`)
  }
}

function agrees(what: string, run: () => Tensor, expected: Tensor | 'refused', tolerance: number): void {
  const found = outcome(what, run)
  if (found === 'refused' || expected === 'refused') expect(found === expected, `${what}: refused by one way only`).toBe(true)
  else expectClose(what, found, expected, tolerance)
}

/** Eager, and compiled twice. */
function eachWay(
  what: string,
  f: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  expected: Tensor | 'refused',
  tolerance: number,
): void {
  for (const which of backends) {
    const on = which === 'js' ? onJs : onNative
    on(() => {
      agrees(`${what}, ${which} eager`, () => f(...inputs), expected, tolerance)
      const compiled = compile(f)
      for (const call of ['first', 'second'])
        agrees(`${what}, ${which} compiled, ${call} call`, () => compiled.sync(...inputs), expected, tolerance)
    })
  }
}

function testZeros(c: Case, shapes: Shapes): void {
  const inputs = makeInputs(c, shapes)
  const what = `${c.name} ${JSON.stringify(shapes)}`
  const expected = onJs(() => outcome(what, () => c.call(...doubles(inputs))))
  eachWay(what, c.call, inputs, expected, c.tolerance)
  if (!c.gradient || expected === 'refused') return
  enableGrad(() => {
    const gradient = onJs(() => outcome(`gradient of ${what}`, () => gradientOf(c, expected.shape, 'float64')(...doubles(inputs))))
    eachWay(`gradient of ${what}`, gradientOf(c, expected.shape, 'float32'), inputs, gradient, c.tolerance * 10)
  })
}

describe('zero in every dimension', () => {
  it.each(cases.map((c) => [c.name, c] as const))('%s', (_name, c) => {
    for (const shapes of withZeros(c.sizes[0])) testZeros(c, shapes)
  })
})

const { nn, zeros } = cr
type Call = (x: Tensor) => Tensor

/** What draws numbers has no values to compare: shapes are. */
const random: Record<string, { shape: number[]; call: Call }> = {
  bernoulli: { shape: [2, 3], call: (x) => cr.bernoulli(x) },
  randLike: { shape: [2, 3], call: (x) => cr.randLike(x) },
  randnLike: { shape: [2, 3, 4], call: (x) => cr.randnLike(x) },
  gumbelSoftmax: { shape: [2, 3], call: (x) => cr.gumbelSoftmax(x) },
}

/** Layers, by the shape they take. Their own sizes stay. */
const layers: Record<string, { shape: number[]; free: number[]; make(): { forward(x: Tensor): unknown } }> = {
  LSTM: { shape: [5, 2, 3], free: [1], make: () => new nn.LSTM(3, 4, { numLayers: 2, bidirectional: true }) },
  GRU: { shape: [2, 5, 3], free: [0], make: () => new nn.GRU(3, 4, { batchFirst: true }) },
  RNN: { shape: [5, 2, 3], free: [1], make: () => new nn.RNN(3, 4) },
  TransformerEncoderLayer: { shape: [2, 5, 4], free: [0, 1], make: () => new nn.TransformerEncoderLayer(4, 2) },
  LayerNorm: { shape: [2, 5, 4], free: [0, 1], make: () => new nn.LayerNorm(4) },
  Dropout: { shape: [2, 3], free: [0], make: () => new nn.Sequential(new nn.Linear(3, 3), new nn.Dropout(0.5)) },
  Conv2d: { shape: [2, 3, 6, 6], free: [0], make: () => new nn.Conv2d(3, 4, 3) },
  Linear: { shape: [2, 7, 3], free: [0, 1], make: () => new nn.Linear(3, 4) },
}

describe.each(backends)('on %s', (which) => {
  const on = which === 'js' ? onJs : onNative

  it.each(Object.keys(random))('%s of nothing is nothing', (name) => {
    const { shape, call } = random[name]
    on(() => {
      for (let d = 0; d < shape.length; d++) {
        const x = zeros(shape.map((s, i) => (i === d ? 0 : s)))
        expect(call(x).shape).toEqual(x.shape)
        const compiled = compile(call)
        for (let i = 0; i < 3; i++) expect(compiled.sync(x).shape).toEqual(x.shape)
      }
    })
  })

  it.each(Object.keys(layers))('%s takes and gives back nothing, and leaves gradients of 0', (name) => {
    const { shape, free, make } = layers[name]
    on(() => {
      for (const d of free) {
        const x = zeros(shape.map((s, i) => (i === d ? 0 : s)))
        const layer = make()
        const first = (y: unknown): Tensor => (Array.isArray(y) ? y[0] : y) as Tensor
        const expected = first(layer.forward(x)).shape
        const compiled = compile((x: Tensor) => first(layer.forward(x)))
        for (let i = 0; i < 2; i++) expect(compiled.sync(x).shape).toEqual(expected)
        const step = compile((x: Tensor) => {
          const loss = first(layer.forward(x)).sum()
          loss.backward()
          return loss
        })
        for (let i = 0; i < 2; i++) expect(step.sync(x).item()).toBe(0)
      }
    })
  })
})

describe.each(backends)('norms of nothing on %s', (which) => {
  const on = which === 'js' ? onJs : onNative
  const vector = (): cr.nn.Parameter => new nn.Parameter(cr.ones([3]))

  it('rmsNorm and layerNorm over an empty dimension', () => {
    on(() => {
      for (const norm of [cr.rmsNorm, cr.layerNorm]) {
        expect(norm(zeros([2, 0]), [0], { weight: zeros([0]) }).shape).toEqual([2, 0])
        expect(compile((x: Tensor) => norm(x, [3, 0])).sync(zeros([2, 3, 0])).shape).toEqual([2, 3, 0])
      }
    })
  })

  it('groupNorm of empty images, with gradients of 0', () => {
    on(() => {
      for (const shape of [
        [2, 3, 0],
        [0, 3, 4],
      ]) {
        const [weight, bias] = [vector(), vector()]
        const y = cr.groupNorm(zeros(shape), 3, { weight, bias })
        y.sum().backward()
        expect(y.shape).toEqual(shape)
        expect([weight.grad, bias.grad].map((g) => g?.toArray())).toEqual([
          [0, 0, 0],
          [0, 0, 0],
        ])
      }
    })
  })

  // as in PyTorch: a batch without samples trains nothing
  it.each([
    ['batchNorm', [0, 3], (x: Tensor, o: object) => cr.batchNorm(x, { ...o, training: true })],
    ['batchNorm of empty images', [2, 3, 0, 4], (x: Tensor, o: object) => cr.batchNorm(x, { ...o, training: true })],
    ['instanceNorm', [2, 3, 0], (x: Tensor, o: object) => cr.instanceNorm(x, o)],
    ['instanceNorm of no images', [0, 3, 4], (x: Tensor, o: object) => cr.instanceNorm(x, o)],
  ] as const)('%s leaves running statistics, and gradients of 0', (_name, shape, norm) => {
    on(() => {
      const [weight, bias, runningMean, runningVar] = [vector(), vector(), cr.full([3], 2), cr.full([3], 5)]
      const step = (x: Tensor): Tensor => {
        const y = norm(x, { weight, bias, runningMean, runningVar })
        y.sum().backward()
        return y
      }
      for (const run of [step, compile(step).sync]) {
        for (const p of [weight, bias]) p.grad = undefined
        expect(run(zeros(shape)).shape).toEqual(shape)
        expect(runningMean.toArray()).toEqual([2, 2, 2])
        expect(runningVar.toArray()).toEqual([5, 5, 5])
        expect(weight.grad?.toArray()).toEqual([0, 0, 0])
        expect(bias.grad?.toArray()).toEqual([0, 0, 0])
      }
    })
  })
})

describe('results that no tensor can hold', () => {
  it('too many dimensions', () => {
    const deep = zeros([1, 1, 1, 1, 1, 1, 1, 1])
    for (const call of [
      () => deep.unsqueeze(0),
      () => cr.stack([deep, deep]),
      () => cr.oneHot(deep.to('int32'), 3),
      () => cr.diagEmbed(deep),
    ])
      expect(call).toThrow(expect.objectContaining({ code: 'ERR_RANK_TOO_HIGH' }))
  })

  it('too many elements', () => {
    expect(() => cr.diagEmbed(zeros([1]), 2 ** 31)).toThrow(expect.objectContaining({ code: 'ERR_TOO_LARGE' }))
    expect(() => cr.diagEmbed(zeros([0]), 2 ** 31)).toThrow(expect.objectContaining({ code: 'ERR_TOO_LARGE' }))
  })
})
