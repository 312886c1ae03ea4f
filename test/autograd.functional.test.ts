/** `grad` and `valueAndGrad`: nesting, variables, errors. On both backends. */
import { describe, expect, it } from 'vitest'
import { GradientError, grad, noGrad, type Tensor, tensor, valueAndGrad } from '../src/index.js'
import { backends, onJs, onNative } from './support/backends.js'

const leaf = (data: number | number[] | number[][]): Tensor => tensor(data, { requiresGrad: true })
const list = (t: Tensor | undefined): unknown => t?.toArray()

describe.each(backends)('gradients of functions on %s', (which) => {
  const test = (name: string, fn: () => void): void => it(name, () => (which === 'js' ? onJs : onNative)(fn))

  test('grad nests to any order', () => {
    const f = (x: Tensor): Tensor => x.pow(5).sum()
    const d1 = grad(f)
    const d2 = grad((x) => d1(x).sum())
    const d3 = grad((x) => d2(x).sum())
    const d4 = grad((x) => d3(x).sum())
    expect(list(d4(tensor([2])))).toEqual([240])
  })

  test('nested grad of different variables does not confuse them', () => {
    // d/dx (x · d/dy (x + y)) = 1 (Siskind and Pearlmutter's example of perturbation confusion)
    const outer = grad((x) => x.mul(grad((y) => x.add(y).sum())(tensor([1]))).sum())
    expect(list(outer(tensor([1])))).toEqual([1])
    // d/dx (x · d/dy (x·y²) at 3) = d/dx (6x²) = 12x
    const mixed = grad((x) => x.mul(grad((y) => x.mul(y.square()).sum())(tensor([3]))).sum())
    expect(list(mixed(tensor([2])))).toEqual([24])
  })

  test('valueAndGrad gives gradients of all arguments and leaves .grad alone', () => {
    const w = leaf([1, 2])
    const b = leaf(3)
    const [value, [dw, db]] = valueAndGrad((w, b) => w.mul(b).sum())(w, b)
    expect(value.item()).toBe(9)
    expect(list(dw)).toEqual([3, 3])
    expect(list(db)).toBe(3)
    expect(w.grad).toBeUndefined()
    const [, [unused]] = valueAndGrad((_x: Tensor) => b.mul(1).sum())(w)
    expect(list(unused)).toEqual([0, 0])
  })

  test('one tensor passed twice counts as two variables', () => {
    const x = tensor([3])
    const [, [a, b]] = valueAndGrad((a, b) => a.square().mul(b).sum())(x, x)
    expect(list(a)).toEqual([18])
    expect(list(b)).toEqual([9])
  })

  test('a function that returns its argument, or a constant', () => {
    expect(list(grad((x) => x)(tensor(3)))).toBe(1)
    expect(list(grad(() => tensor(3))(tensor([1, 2])))).toEqual([0, 0])
  })

  test('grad refuses results that are no single number, and works inside noGrad', () => {
    expect(() => grad((x) => x.mul(2))(tensor([1, 2]))).toThrow(/must return a single number, received shape \[2\]/)
    expect(() => grad(() => 3 as unknown as Tensor)(tensor([1]))).toThrow(GradientError)
    expect(() => grad((x) => x)(3 as unknown as Tensor)).toThrow(/must be a tensor/)
    expect(list(noGrad(() => grad((x) => x.square().sum())(tensor([2]))))).toEqual([4])
  })

  test('a Hessian-vector product equals the analytic one', () => {
    const a = tensor([
      [2, 1],
      [1, 3],
    ])
    const f = (x: Tensor): Tensor => x.matmul(a).mul(x).sum().mul(0.5)
    const v = tensor([1, -1])
    const hv = grad((x) => grad(f)(x).mul(v).sum())
    expect(list(hv(tensor([5, 7])))).toEqual([1, -2])
  })
})
