/**
 * What does not count must not count: a product with 0 is no way to leave something out where numbers are not finite. And divisions by counts, which
 * a product with the reciprocal does not replace. On each backend, eager and compiled; PyTorch's own values are in test/golden/special.json.
 */
import { describe, expect, it } from 'vitest'
import { withBackend } from '../src/backend/select.js'
import {
  amax,
  compile,
  det,
  eigh,
  eye,
  floor,
  hessian,
  hypot,
  logaddexp,
  losses,
  mean,
  metrics,
  norm,
  oneHot,
  quantile,
  searchsorted,
  svd,
  type Tensor,
  tensor,
  valueAndGrad,
  zeros,
} from '../src/index.js'
import { backends } from './support/backends.js'

const inf = Number.POSITIVE_INFINITY
const nan = Number.NaN
const numbers = (t: Tensor): number[] => Array.from(t.data, Number)

/** Values and first gradient, the same eager and compiled. */
function derivative(f: (x: Tensor) => Tensor, x: Tensor): number[] {
  const g = (t: Tensor): Tensor => [valueAndGrad((a: Tensor) => f(a).sum())(t)[1]].flat()[0] as Tensor
  const eager = numbers(g(x))
  const compiled = compile(g)
  for (const _ of [1, 2]) expect(numbers(compiled.sync(x))).toEqual(eager)
  return eager.map((v) => v + 0)
}

function value(f: (x: Tensor) => Tensor, x: Tensor): number[] {
  const eager = numbers(f(x))
  const compiled = compile(f)
  for (const _ of [1, 2]) expect(numbers(compiled.sync(x))).toEqual(eager)
  return eager
}

describe.each(backends)('on the %s backend', (backend) => {
  const on = (name: string, run: () => void): void => it(name, () => withBackend(backend, run))

  on('vectors that nothing depends on have no gradient, whatever else is asked', () => {
    const alone = (x: Tensor): Tensor => svd(x).S.sum()
    expect(derivative(alone, eye(3))).toEqual(numbers(eye(3)))
    // the other outputs are used as well, their gradients are 0
    const beside = (x: Tensor): Tensor => {
      const { U, S, Vh } = svd(x)
      return S.sum().add(U.mul(0).sum()).add(Vh.mul(0).sum())
    }
    expect(derivative(beside, eye(3))).toEqual(numbers(eye(3)))
    const both = (x: Tensor): Tensor => {
      const { eigenvalues, eigenvectors } = eigh(x)
      return eigenvalues.sum().add(eigenvectors.mul(0).sum())
    }
    expect(derivative(both, eye(2))).toEqual([1, 0, 0, 1])
    // a vector of a value that is not repeated has a gradient, beside two that are
    const third = tensor([1, 2, 3])
    const last = (x: Tensor): Tensor => eigh(x).eigenvectors.at(null, 2).mul(third).sum()
    const at = tensor([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 3],
    ])
    expect(derivative(last, at)).toEqual([0, 0, 0.25, 0, 0, 0.5, 0.25, 0.5, 0])
  })

  on('the second derivative of eigenvalues is finite where they are equal', () => {
    const trace = hessian((x: Tensor) => eigh(x).eigenvalues.sum(), eye(2)) as Tensor
    expect(numbers(trace).map((v) => v + 0)).toEqual(new Array(16).fill(0))
    const squares = hessian((x: Tensor) => eigh(x).eigenvalues.square().sum(), eye(2)) as Tensor
    expect(numbers(squares).every(Number.isFinite)).toBe(true)
  })

  on('a determinant that overflows spoils only its own gradient', () => {
    const x = eye(2).mul(1e30)
    expect(det(x).item()).toBe(inf)
  })

  on('steps are flat, also under gradients that are not finite', () => {
    expect(derivative((x) => floor(x).mul(inf), tensor([0.5, 1.5]))).toEqual([0, 0])
  })

  on('what is not the greatest has no gradient, also when that of the greatest is infinite', () => {
    expect(derivative((x) => amax(x).mul(inf), tensor([1, 3, 2]))).toEqual([0, inf, 0])
  })

  on('hypot: lengths and gradients of large, small and infinite numbers', () => {
    const other = tensor([nan, 4, 0, 4e-44])
    expect(value((x) => hypot(x, other), tensor([-inf, 3, 0, 3e-44]))).toEqual([inf, 5, 0, Math.fround(5e-44)])
    expect(derivative((x) => hypot(x, 0), tensor([0, 3e38, -2]))).toEqual([0, 1, -1])
  })

  on('logaddexp is smooth where both are equal, and has derivatives of ½ each where both are infinite or not', () => {
    const h = hessian((x: Tensor) => logaddexp(x.at(0), x.at(1)), zeros([2])) as Tensor
    expect(numbers(h)).toEqual([0.25, -0.25, -0.25, 0.25])
    const others = tensor([inf, -inf, -inf, nan])
    expect(value((x) => logaddexp(x, others), tensor([inf, -inf, 1, 1]))).toEqual([inf, -inf, 1, nan])
    const beside = tensor([-inf, inf, 0])
    expect(derivative((x) => logaddexp(x, beside), tensor([1, 1, -0]))).toEqual([1, 0, 0.5])
    expect(derivative((x) => logaddexp(x, inf), tensor([inf])).every(Number.isFinite)).toBe(true)
  })

  on('a norm of order 0 counts, and has a gradient of 0', () => {
    expect(derivative((x) => norm(x, { p: 0 }), tensor([3, 0, -inf]))).toEqual([0, 0, 0])
    expect(norm(tensor([3, 0, nan, -inf]), { p: 0 }).item()).toBe(3)
  })

  on('what is ignored does not count: rows of losses', () => {
    const x = tensor([
      [nan, inf, 1],
      [1, 2, 3],
    ])
    const labels = tensor([-100, 2])
    const y = labels.to('int32')
    const clean = tensor([[1, 2, 3]])
    const two = tensor([2]).to('int32')
    const none = tensor([-100, -100]).to('int32')
    for (const f of [losses.crossEntropy, losses.nllLoss, losses.focalLoss]) {
      const alone = derivative((t) => f(t, two), clean)
      expect(derivative((t) => f(t, y), x)).toEqual([0, 0, 0, ...alone])
      expect(derivative((t) => f(t, y, { weight: [1, 2, 3] }), x)).toEqual([0, 0, 0, ...alone])
      expect(derivative((t) => f(t, none), x)).toEqual([0, 0, 0, 0, 0, 0])
    }
    // to the second order
    const second = (t: Tensor): Tensor => [valueAndGrad((a: Tensor) => losses.crossEntropy(a, y))(t)[1]].flat()[0].square().sum()
    const [, g] = valueAndGrad(second)(x)
    expect(numbers([g].flat()[0]).every(Number.isFinite)).toBe(true)
  })

  on('a class that cannot be and is not is no loss', () => {
    const logits = tensor([[-inf, 1, 2]])
    const target = tensor([[0, 1, 0]])
    const byIndex = losses.crossEntropy(logits, [1]).item()
    expect(losses.crossEntropy(logits, target).item()).toBeCloseTo(byIndex, 6)
    expect(derivative((x) => losses.crossEntropy(x, target), logits).every(Number.isFinite)).toBe(true)
    expect(losses.klDiv(tensor([-inf, 0]), tensor([0, 1]), { reduction: 'sum' }).item()).toBe(0)
    // its target has a gradient elsewhere
    expect(derivative((t) => losses.crossEntropy(zeros([1, 2]), t), tensor([[0, 1]])).map((v) => v.toFixed(3))).toEqual(['0.693', '0.693'])
  })

  on('focal losses of what is known for certain have no slope, whatever gamma', () => {
    const first = tensor([0]).to('int32')
    const sure = tensor([1, 0])
    for (const gamma of [0, 0.5, 1, 2]) {
      expect(derivative((x) => losses.focalLoss(x, first, { gamma }), tensor([[200, 0]]))).toEqual([0, 0])
      expect(derivative((x) => losses.sigmoidFocalLoss(x, sure, { gamma }), tensor([200, -200]))).toEqual([0, 0])
    }
  })

  on('labels out of range are said', () => {
    for (const label of [3, -1, 2 ** 31 - 1]) {
      const refused = expect.objectContaining({ code: 'ERR_INDEX_RANGE' })
      const labels = tensor([0, label]).to('int32')
      expect(() => oneHot(labels, 3)).toThrow(refused)
      expect(() => compile((t: Tensor) => oneHot(t, 3)).sync(labels)).toThrow(refused)
      expect(() => metrics.confusionMatrix(zeros([2, 3]), labels)).toThrow(refused)
    }
    expect(numbers(oneHot(tensor([2, 0], { dtype: 'uint8' }), 3))).toEqual([0, 0, 1, 1, 0, 0])
    expect(numbers(compile((t: Tensor) => oneHot(t, 2).add(1)).sync(tensor([[1], [0]]).to('int32')))).toEqual([1, 2, 2, 1])
  })

  on('NaN is behind all numbers, and quantiles beside infinities are these', () => {
    expect(numbers(searchsorted(tensor([1, 2, nan]), tensor([nan, 1.5, 2])))).toEqual([3, 1, 1])
    const x = tensor([-inf, 0, 1, inf])
    expect(numbers(quantile(x, [0, 0.1, 0.3, 0.5, 0.8, 0.95, 1]))).toEqual([-inf, -inf, -inf, 0.5, inf, inf, inf])
    expect(numbers(quantile(x, [0.1, 0.5, 0.9], { interpolation: 'midpoint' }))).toEqual([-inf, 0.5, inf])
    expect(numbers(quantile(tensor([-inf, inf]), [0, 0.5, 1]))).toEqual([-inf, nan, inf])
    expect(quantile(tensor([-3e38, 3e38]), 0.5).item()).toBe(0)
    expect(derivative((t) => quantile(t, 0.3), x)).toEqual([Math.fround(1 - 0.9), 1 - Math.fround(1 - 0.9), 0, 0].map(Math.fround))
  })

  on('means are divided, not multiplied by a reciprocal', () => {
    const hits = (n: number, of: number): Tensor => tensor(Float32Array.from({ length: of }, (_, i) => Number(i < n)))
    for (const [n, of] of [
      [145, 200],
      [7, 49],
      [41, 82],
      [1, 3],
      [93, 100],
    ]) {
      expect(value(mean, hits(n, of))).toEqual([Math.fround(n / of)])
      const rows = hits(n, of).reshape([1, of]).expand([5, of])
      expect(value((x) => mean(x, { dim: 1 }), rows)).toEqual(new Array(5).fill(Math.fround(n / of)))
      expect(value((x) => x.add(0).mean({ dim: 1 }).mul(1), rows)).toEqual(new Array(5).fill(Math.fround(n / of)))
    }
  })
})
