/**
 * Automatic differentiation beyond single ops (those are in ops.test.ts): what `.grad` holds and when, graphs of unusual shape and size, errors, nesting.
 * On both backends.
 */
import { describe, expect, it } from 'vitest'
import {
  argmax,
  assign,
  backward,
  clone,
  compile,
  detach,
  enableGrad,
  GradientError,
  grad,
  maxPool2d,
  noGrad,
  ones,
  optim,
  StateError,
  stack,
  sum,
  type Tensor,
  tensor,
  where,
  zeros,
} from '../src/index.js'
import { context } from '../src/tensor/context.js'
import { backends, onJs, onNative } from './support/backends.js'

const leaf = (data: number | number[] | number[][]): Tensor => tensor(data, { requiresGrad: true })
const list = (t: Tensor | undefined): unknown => t?.toArray()

describe.each(backends)('autograd on %s', (which) => {
  const test = (name: string, fn: () => void): void => it(name, () => (which === 'js' ? onJs : onNative)(fn))

  test('backward fills .grad of leaves only', () => {
    const x = leaf([1, 2, 3])
    const y = x.mul(2)
    const z = y.square().sum()
    z.backward()
    expect(list(x.grad)).toEqual([8, 16, 24])
    expect(y.grad).toBeUndefined()
    expect(z.grad).toBeUndefined()
  })

  test('gradients accumulate until they are cleared', () => {
    const x = leaf([1, 2])
    x.mul(3).sum().backward()
    x.mul(4).sum().backward()
    expect(list(x.grad)).toEqual([7, 7])
    x.grad = undefined
    x.mul(5).sum().backward()
    expect(list(x.grad)).toEqual([5, 5])
  })

  test('null clears a gradient as undefined does, for everything that reads it; what is no gradient is refused', () => {
    const x = leaf([1, 2])
    const optimizer = new optim.SGD([x], { lr: 1 })
    for (const step of [() => x.mul(3).sum().backward(), compile(() => void x.mul(3).sum().backward()).sync]) {
      for (let call = 0; call < 3; call++) {
        step()
        expect(list(x.grad)).toEqual([3, 3])
        x.grad = null
        expect(x.grad).toBeUndefined()
        optimizer.step()
        expect(optim.clipGradNorm([x], 1).item()).toBe(0)
      }
    }
    compile(() => void (x.grad = null)).sync()
    expect(list(x)).toEqual([1, 2])
    optimizer.zeroGrad()
    expect(x.grad).toBeUndefined()
    expect(() => void (x.grad = 3 as never)).toThrow(/grad: a gradient is a tensor.*received 3/)
    expect(() => void (x.grad = tensor([1, 2, 3]))).toThrow(/\[2\], received \[3\]/)
  })

  test('a gradient held by the user is not changed by later calls', () => {
    const x = leaf([1, 2])
    x.sum().backward()
    const first = x.grad as Tensor
    x.sum().backward()
    expect(list(first)).toEqual([1, 1])
    expect(list(x.grad)).toEqual([2, 2])
  })

  test('one graph can be walked twice', () => {
    const x = leaf([3])
    const y = x.square().sum()
    y.backward()
    y.backward()
    expect(list(x.grad)).toEqual([12])
  })

  test('a seed weights the outputs; without one a single number is needed', () => {
    const x = leaf([1, 2, 3])
    expect(() => x.mul(2).backward()).toThrow(GradientError)
    expect(() => x.mul(2).backward()).toThrow(/needs a single number, received shape \[3\]/)
    x.mul(2).backward(tensor([1, 10, 100]))
    expect(list(x.grad)).toEqual([2, 20, 200])
    expect(() => x.mul(2).backward(tensor([1, 2]))).toThrow(/gradient given has shape \[2\]/)
  })

  test('a 1-element result of any rank has a backward', () => {
    const x = leaf([[2]])
    x.square().backward()
    expect(list(x.grad)).toEqual([[4]])
  })

  test('a leaf that is itself the result', () => {
    const x = leaf(3)
    x.backward()
    expect(list(x.grad)).toBe(1)
  })

  test('diamonds, repeated operands, unused outputs', () => {
    const x = leaf([2])
    const a = x.mul(3)
    const b = a.add(a).mul(a)
    x.exp()
    b.mul(x).add(x.mul(x)).sum().backward()
    // 18x³ + x² → 54x² + 2x
    expect(list(x.grad)).toEqual([220])
  })

  test('branches of different length meet once', () => {
    const x = leaf([1.5])
    let y = x.mul(1)
    for (let i = 0; i < 20; i++) y = y.add(y)
    y.sum().backward()
    expect(list(x.grad)).toEqual([2 ** 20])
  })

  test('broadcasting is undone', () => {
    const a = leaf([[1], [2]])
    const b = leaf([1, 2, 3])
    const c = leaf(2)
    a.mul(b).mul(c).sum().backward()
    expect(list(a.grad)).toEqual([[12], [12]])
    expect(list(b.grad)).toEqual([6, 6, 6])
    expect(list(c.grad)).toBe(18)
    expect(a.grad?.shape).toEqual([2, 1])
    expect(c.grad?.shape).toEqual([])
  })

  test('a chain of 300,000 operations', () => {
    const x = leaf([1])
    let y: Tensor = x
    for (let i = 0; i < 300_000; i++) y = y.add(0)
    y.sum().backward()
    expect(list(x.grad)).toEqual([1])
  })

  test('a fan of 100,000 uses', () => {
    const x = leaf([1])
    const parts: Tensor[] = []
    for (let i = 0; i < 1000; i++) parts.push(x.mul(i))
    stack(parts).sum().backward()
    expect(list(x.grad)).toEqual([499500])
  })

  test('detach cuts, and shares memory', () => {
    const x = leaf([2, 3])
    const d = detach(x)
    expect(d.requiresGrad).toBe(false)
    x.mul(d).sum().backward()
    expect(list(x.grad)).toEqual([2, 3])
    assign(d, tensor([7, 8]))
    expect(list(x)).toEqual([7, 8])
  })

  test('noGrad and enableGrad nest, and end with errors too', () => {
    const x = leaf([1])
    noGrad(() => {
      expect(x.mul(2).requiresGrad).toBe(false)
      expect(enableGrad(() => x.mul(2).requiresGrad)).toBe(true)
      expect(x.mul(2).requiresGrad).toBe(false)
    })
    expect(() =>
      noGrad(() => {
        throw new Error('inside')
      }),
    ).toThrow('inside')
    expect(context.gradEnabled).toBe(true)
    expect(x.mul(2).requiresGrad).toBe(true)
  })

  test('noGrad refuses async functions', () => {
    expect(() => noGrad(async () => {})).toThrow(StateError)
    expect(context.gradEnabled).toBe(true)
  })

  test('nothing to differentiate is an error that says so', () => {
    expect(() => tensor([1]).sum().backward()).toThrow(/requiresGrad/)
    const x = leaf([1])
    expect(() => noGrad(() => x.sum()).backward()).toThrow(GradientError)
  })

  test('a result whose gradient does not exist names the op', () => {
    const x = leaf([[1, 2, 3]])
    // integers and masks end a graph
    expect(argmax(x).requiresGrad).toBe(false)
    expect(x.gt(0).requiresGrad).toBe(false)
    expect(() => argmax(x).to('float32').backward()).toThrow(GradientError)
  })

  test('a change in place between use and backward is an error', () => {
    const x = leaf([1, 2])
    const w = leaf([3, 4])
    const y = x.mul(w).sum()
    noGrad(() => assign(w, tensor([5, 6])))
    expect(() => y.backward()).toThrow(StateError)
    expect(() => y.backward()).toThrow(/input 1 of mul, shape \[2\], was changed in place/)
    expect(x.grad).toBeUndefined()
  })

  test('also through a view of the memory', () => {
    const x = leaf([
      [1, 2],
      [3, 4],
    ])
    const y = x.square().sum()
    noGrad(() => assign(x.at(0), tensor([9, 9])))
    expect(() => y.backward()).toThrow(/changed in place/)
  })

  test('an output changed in place is noticed where its rule needs it', () => {
    const x = leaf([1, 2])
    const y = x.exp()
    expect(() => assign(y, tensor([0, 0]))).toThrow(StateError)
    assign(y.detach(), tensor([0, 0]))
    expect(() => y.sum().backward()).toThrow(/changed in place/)
  })

  test('changes after backward are fine', () => {
    const x = leaf([1, 2])
    for (let i = 0; i < 5; i++) {
      x.grad = undefined
      x.square().sum().backward()
      noGrad(() => assign(x, x.sub((x.grad as Tensor).mul(0.5))))
      expect(list(x)).toEqual([0, 0])
    }
  })

  test('assign to a result with a graph is refused', () => {
    const x = leaf([1])
    expect(() => assign(x.mul(2), tensor([1]))).toThrow(/Assign to leaves only/)
  })

  test('out is refused where gradients are recorded', () => {
    const x = leaf([1])
    expect(() => x.mul(2, { out: tensor([0]) })).toThrow(/noGrad/)
    const out = tensor([0])
    expect(noGrad(() => x.mul(2, { out }))).toBe(out)
    expect(list(out)).toEqual([2])
  })

  test('requiresGrad has its rules', () => {
    expect(tensor([1]).requiresGrad).toBe(false)
    expect(() => tensor([1], { dtype: 'int32', requiresGrad: true })).toThrow(/only float tensors/)
    const x = leaf([1])
    const y = x.mul(2)
    expect(y.requiresGrad).toBe(true)
    expect(() => {
      y.requiresGrad = false
    }).toThrow(/only leaves/)
    x.requiresGrad = false
    expect(x.mul(2).requiresGrad).toBe(false)
    const z = tensor([2])
    const before = z.mul(3)
    z.requiresGrad = true
    expect(before.requiresGrad).toBe(false)
  })

  test('only what wants a gradient gets one', () => {
    const x = leaf([1, 2])
    const c = tensor([3, 4])
    x.mul(c).sum().backward()
    expect(c.grad).toBeUndefined()
  })

  test('second order by createGraph', () => {
    const x = leaf([2])
    backward(x.pow(4).sum(), undefined, { createGraph: true })
    const g = x.grad as Tensor
    expect(list(g)).toEqual([32])
    expect(g.requiresGrad).toBe(true)
    x.grad = undefined
    g.sum().backward()
    expect(list(x.grad)).toEqual([48])
  })

  test('without createGraph gradients have no graph', () => {
    const x = leaf([2])
    x.square().sum().backward()
    expect(x.grad?.requiresGrad).toBe(false)
  })

  test('where blocks the gradient of the side not taken', () => {
    const x = leaf([-1, 4])
    where(x.gt(0), x.sqrt(), zeros([2]))
      .sum()
      .backward()
    const g = list(x.grad) as number[]
    expect(g[1]).toBe(0.25)
  })

  test('a graph that is dropped in a loop is collected', () => {
    let w = leaf([1, 2, 3])
    for (let i = 0; i < 2000; i++) w = noGrad(() => w.sub(grad((v) => v.square().sum())(w).mul(0.01)))
    expect(w.gradNode).toBeUndefined()
    expect(Math.abs(w.at(0).item())).toBeLessThan(1e-6)
  })

  test('a loop of grad on plain tensors grows no graph, also outside noGrad', () => {
    let w = tensor([1, 2, 3])
    for (let i = 0; i < 200; i++) w = w.sub(grad((v) => v.square().sum())(w).mul(0.1))
    expect(w.gradNode).toBeUndefined()
    expect(w.requiresGrad).toBe(false)
  })

  test('values of two outputs: only the first carries gradients', () => {
    const x = tensor(
      [
        [
          [
            [1, 3],
            [2, 0],
          ],
        ],
      ],
      { requiresGrad: true },
    )
    maxPool2d(x, 2).sum().backward()
    expect(list(x.grad)).toEqual([
      [
        [
          [0, 1],
          [0, 0],
        ],
      ],
    ])
  })

  test('zero-size tensors', () => {
    const x = tensor([], { requiresGrad: true })
    x.mul(2).sum().backward()
    expect(x.grad?.shape).toEqual([0])
  })

  test('integers among the operands', () => {
    const x = leaf([1, 2])
    x.mul(tensor([3, 4], { dtype: 'int32' }))
      .sum()
      .backward()
    expect(list(x.grad)).toEqual([3, 4])
    expect(list(x.grad)).toEqual([3, 4])
  })

  test('sum of a clone, and of a tensor expanded', () => {
    const x = leaf([1, 2])
    clone(x)
      .add(x.expand([3, 2]))
      .sum()
      .backward()
    expect(list(x.grad)).toEqual([6, 6])
    expect(list(ones([2]).mul(sum(x)))).toEqual([3, 3])
  })
})

describe('float64', () => {
  it('gradients stay float64', () => {
    const x = tensor([1, 2], { dtype: 'float64', requiresGrad: true })
    x.exp().sum().backward()
    expect(x.grad?.dtype).toBe('float64')
    expect(x.grad?.toArray()).toEqual([Math.E, Math.exp(2)])
  })

  it('flows through a conversion', () => {
    const x = tensor([1, 2], { requiresGrad: true })
    x.to('float64').square().sum().backward()
    expect(x.grad?.dtype).toBe('float32')
    expect(x.grad?.toArray()).toEqual([2, 4])
  })
})
