/**
 * Reductions of parts of elementwise results: every way to look at a result, operands that are broadcast, strided or backwards, every kind of
 * reduction. Compiled as eager, and the elementwise work joins the reduction where it can.
 */
import { describe, expect, it } from 'vitest'
import { reshapeStrides } from '../../src/base/shape.js'
import * as ops from '../../src/index.js'
import { argmax, compile, manualSeed, norm, type Tensor, tensor, trace } from '../../src/index.js'
import { backends, onJs, onNative } from '../support/backends.js'
import { worstDifference } from '../support/difference.js'

const shape = [5, 4, 6]

/** Small whole numbers: sums of their products are exact, and the greatest appears more than once. */
const integers = (size: readonly number[]): Tensor => ops.randint(-3, 4, size).to('float32')

/** What the elementwise work reads: tensors made outside that have, or broadcast to, the shape. */
const operands: Record<string, () => Tensor> = {
  whole: () => integers(shape),
  row: () => integers([6]),
  column: () => integers([4, 1]),
  planes: () => integers([5, 1, 1]),
  single: () => integers([1, 1, 1]),
  transposed: () => integers([5, 6, 4]).transpose(1, 2),
  permuted: () => integers([6, 5, 4]).permute([1, 2, 0]),
  everySecond: () => integers([5, 4, 12]).slice(2, 0, 12, 2),
  flipped: () => integers(shape).slice(0, 4, undefined, -1).flip(2),
  expanded: () => integers([5, 1, 6]).expand(shape),
}

const views: Record<string, (x: Tensor) => Tensor> = {
  all: (x) => x,
  at: (x) => x.at(2),
  'at the last': (x) => x.at(-1),
  'narrow 0': (x) => x.narrow(0, 1, 3),
  'narrow 1': (x) => x.narrow(1, 2, 2),
  'narrow 2': (x) => x.narrow(2, 1, 4),
  'narrow twice': (x) => x.narrow(2, 1, 4).narrow(0, 2, 2),
  'one of a dimension': (x) => x.narrow(1, 3, 1),
  'the first token': (x) => x.narrow(1, 0, 1).squeeze(1),
  'every second': (x) => x.slice(2, 1, undefined, 2),
  'every third, flattened': (x) => x.slice(0, 0, undefined, 3).flatten(),
  chunk: (x) => ops.chunk(x, 2, 2)[1],
  flip: (x) => x.flip(1),
  'backwards, a part': (x) => x.flip(2).narrow(2, 1, 3),
  diagonal: (x) => ops.diagonal(x, { dim1: 0, dim2: 2 }),
  'a diagonal beside': (x) => ops.diagonal(x, { offset: 1, dim1: 1, dim2: 2 }),
  transposed: (x) => x.transpose(0, 2),
  'transposed part': (x) => x.transpose(0, 2).narrow(0, 1, 2),
  'reshaped part': (x) => x.reshape([20, 6]).narrow(0, 3, 9),
  'part of rows merged': (x) => x.reshape([10, 12]).narrow(1, 5, 4),
  'part, reshaped': (x) => x.narrow(0, 1, 2).reshape([4, 12]),
  split: (x) => x.reshape([5, 2, 2, 6]).narrow(1, 1, 1).squeeze(1),
  expanded: (x) => x.narrow(1, 1, 1).expand([5, 3, 6]),
}

const reductions: Record<string, (x: Tensor) => Tensor> = {
  sum: (x) => x.sum(),
  'sum of the last': (x) => x.sum({ dim: -1 }),
  'sum of the first': (x) => x.sum({ dim: 0, keepdim: true }),
  mean: (x) => x.mean(),
  prod: (x) => x.prod({ dim: -1 }),
  amax: (x) => x.amax({ dim: 0 }),
  amin: (x) => x.amin(),
  argmax: (x) => argmax(x, -1),
  'argmax of all': (x) => argmax(x),
  norm: (x) => norm(x),
  'norm of the first': (x) => norm(x, { dim: 0 }),
  variance: (x) => ops.variance(x, { dim: -1 }),
  logsumexp: (x) => x.logsumexp({ dim: -1 }),
  softmax: (x) => x.softmax(-1).sum({ dim: 0 }),
  trace: (x) => (x.ndim === 2 ? trace(x) : trace(x.reshape([x.size / x.shape[x.ndim - 1], x.shape[x.ndim - 1]]))),
  'two sums': (x) => x.sum().add(x.exp().sum()),
}

function same(label: string, actual: Tensor, expected: Tensor): void {
  expect(actual.shape, label).toEqual(expected.shape)
  const worst = worstDifference(actual.data, expected.data, 2e-6)
  if (worst !== undefined) expect.fail(`${label}: ${actual.data[worst]} at ${worst}, eager ${expected.data[worst]}`)
}

describe.each(backends)('reductions of parts on %s', (which) => {
  const test = (name: string, fn: () => void): void => it(name, () => (which === 'js' ? onJs : onNative)(fn))

  for (const [viewName, view] of Object.entries(views)) {
    test(`${viewName}: every operand`, () => {
      manualSeed(7)
      const one = integers(shape)
      for (const [i, [name, make]] of Object.entries(operands).entries()) {
        const other = make()
        for (const [k, [kind, reduce]] of Object.entries(reductions).entries()) {
          // every operand with the sum of all and a third of the others
          if (k % 3 !== i % 3 && kind !== 'sum') continue
          const f = (x: Tensor, y: Tensor) => reduce(view(x.mul(y).add(other)))
          const g = compile(f)
          const expected = f(one, other)
          for (const call of [1, 2]) same(`${kind} of ${viewName}, ${name}, call ${call}`, g.sync(one, other), expected)
          if (kind !== 'sum' && kind !== 'argmax') continue
          // captured alone, in the prologue of the program, and the broadcast operand by itself
          same(`${kind} of ${viewName}, ${name}, captured`, compile((s: Tensor) => f(one, other).add(s)).sync(tensor(0)), expected)
          const h = (y: Tensor) => reduce(view(y.expand(shape).mul(2).add(1)))
          same(`${kind} of ${viewName}, ${name}, alone`, compile(h).sync(other), h(other))
        }
      }
    })
  }

  test('gradients of a token', () => {
    manualSeed(1)
    const [x, scale] = [integers([3, 5, 4]), integers([4])]
    const f = (y: Tensor, s: Tensor) => ops.valueAndGrad((c: Tensor, d: Tensor) => c.mul(d).tanh().narrow(1, 0, 1).mean())(y, s)[1]
    const expected = f(x, scale)
    compile(f)
      .sync(x, scale)
      .forEach((g, i) => void same(`gradient ${i}`, g, expected[i]))
  })

  test('bytes are cut off before they are reduced', () => {
    const x = tensor([1.5, 300.25, -1])
    for (const f of [(t: Tensor) => t.to('uint8').amax(), (t: Tensor) => t.mul(2).to('uint8').narrow(0, 0, 2).sum()])
      same('bytes', compile(f).sync(x), f(x))
  })

  test('what a reduction shows of a result is all that is computed', () => {
    const f = compile((a: Tensor, b: Tensor) => a.mul(b).narrow(1, 1, 8).sum({ dim: 1 }))
    expect(f.explain(ops.ones([4, 1]), ops.ones([9]))).toMatch(/^\w+: 1 instructions/)
    const cls = compile((a: Tensor, b: Tensor) => a.add(b).at(0).sum())
    expect(cls.explain(ops.ones([4, 3]), ops.ones([3]))).toMatch(/^\w+: 1 instructions/)
    // elements that are read again and again are computed once
    const again = compile((a: Tensor) => a.exp().expand([100, 3]).sum({ dim: 1 }))
    expect(again.explain(ops.ones([1, 3]))).toMatch(/^\w+: 2 instructions/)
  })
})

describe('strides under another shape', () => {
  it('are none where the sizes differ, and always come to an end', () => {
    expect(reshapeStrides([4, 9], [0, 1], [4, 8])).toBeUndefined()
    expect(reshapeStrides([4, 9], [9, 1], [4, 8])).toBeUndefined()
    expect(reshapeStrides([4, 9], [0, 1], [36, 2])).toBeUndefined()
    expect(reshapeStrides([0, 9], [9, 1], [2, 3])).toBeUndefined()
    for (const odd of [Number.NaN, Number.POSITIVE_INFINITY, -3, 0.5]) {
      expect(reshapeStrides([odd, 3], [0, 1], [3, odd, 2])).toBeUndefined()
      expect(reshapeStrides([4, 3], [0, 1], [odd, 3])).toBeUndefined()
      expect(reshapeStrides([4, odd], [0, 1], [odd, odd])).toBeUndefined()
    }
    expect(reshapeStrides([4, 9], [0, 1], [2, 2, 3, 3])).toEqual([0, 0, 3, 1])
    expect(reshapeStrides([4, 9], [9, 0], [36])).toBeUndefined()
  })
})
