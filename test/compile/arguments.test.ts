/** Leaves among the arguments of a compiled function: their gradients are effects of the call, as they are in eager code. */
import { describe, expect, it } from 'vitest'
import { assign, compile, GradientError, nn, optim, StateError, type Tensor, tensor } from '../../src/index.js'
import { backends, onJs, onNative } from '../support/backends.js'

const leaf = (data: number | number[] | number[][]): Tensor => tensor(data, { requiresGrad: true })
const list = (t: Tensor | undefined): unknown => t?.toArray()

describe.each(backends)('gradients of arguments on %s', (which) => {
  const run = <T>(fn: () => T): T => (which === 'js' ? onJs : onNative)(fn)
  const test = (name: string, fn: () => void): void => it(name, () => run(fn))

  test('accumulate over calls, for each tensor its own, and none else', () => {
    const eager = (x: Tensor, factor: Tensor): Tensor => {
      const loss = x.square().mul(factor).sum()
      loss.backward()
      return loss
    }
    const f = compile(eager)
    const twins = [
      [leaf([1, 2, 3]), leaf([4, 5, 6]), tensor([7, 8, 9])],
      [leaf([1, 2, 3]), leaf([4, 5, 6]), tensor([7, 8, 9])],
    ]
    for (const k of [0, 1, 0, 0, 1, 1, 0]) {
      const value = tensor(k + 1)
      expect(f.sync(twins[0][k], k + 1).item()).toBe(eager(twins[1][k], value).item())
      for (let i = 0; i < 2; i++) expect(list(twins[0][i].grad)).toEqual(list(twins[1][i].grad))
    }
    expect(() => eager(twins[1][2], tensor(1))).toThrow(GradientError)
    expect(() => f.sync(twins[0][2], 1)).toThrow(GradientError)
    // with and without a gradient there
    expect(f.variants).toBe(2)
  })

  test('a gradient that nobody looked at is not written by the calls for other tensors', () => {
    const f = compile((x: Tensor) => void x.square().sum().backward())
    const leaves = Array.from({ length: 5 }, (_, i) => leaf([i, 10 * i]))
    for (const x of leaves) f.sync(x)
    for (const x of leaves) f.sync(x)
    expect(leaves.map((x) => list(x.grad))).toEqual(leaves.map((x) => list(x.mul(4))))
    const [first] = leaves
    const held = first.grad as Tensor
    f.sync(first)
    f.sync(first)
    expect([list(held), list(first.grad)]).toEqual([
      [0, 0],
      [0, 0],
    ])
  })

  test('are read, cleared and set inside as outside', () => {
    const f = compile((x: Tensor) => {
      const before = x.grad === undefined ? x.mul(0) : x.grad.mul(1)
      x.grad = undefined
      x.mul(3).sum().backward()
      return before
    })
    const x = leaf([1, 2])
    expect(list(f.sync(x))).toEqual([0, 0])
    expect(list(f.sync(x))).toEqual([3, 3])
    x.grad = tensor([5, 6])
    expect(list(f.sync(x))).toEqual([5, 6])
    expect(list(x.grad)).toEqual([3, 3])
    const clear = compile((x: Tensor) => void (x.grad = undefined))
    const other = leaf([0, 0])
    for (const t of [other, x, other, x]) {
      clear.sync(t)
      expect(t.grad).toBeUndefined()
      t.grad = tensor([1, 1])
    }
    const double = compile((x: Tensor) => void (x.grad = x.mul(2)))
    double.sync(x)
    expect(list(x.grad)).toEqual([2, 4])
  })

  test('clearing a gradient of a captured leaf counts also where there was none when the function was traced', () => {
    const w = leaf([1, 2])
    const clear = compile(() => void (w.grad = undefined))
    for (let i = 0; i < 3; i++) {
      clear.sync()
      expect(w.grad).toBeUndefined()
      w.grad = tensor([1, 1])
    }
  })

  test('requiresGrad set inside stays set', () => {
    const attack = compile((x: Tensor) => {
      x.requiresGrad = true
      x.square().sum().backward()
      return (x.grad as Tensor).mul(1)
    })
    const x = tensor([1, 2])
    expect(list(attack.sync(x))).toEqual([2, 4])
    expect(x.requiresGrad).toBe(true)
    expect(list(x.grad)).toEqual([2, 4])
    expect(list(attack.sync(x))).toEqual([4, 8])
    const y = tensor([5, 5])
    expect(list(attack.sync(y))).toEqual([10, 10])
  })

  test('a tensor passed twice is one leaf', () => {
    const f = compile((x: Tensor, y: Tensor) => void x.mul(y).sum().backward())
    const x = leaf([2, 3])
    const y = leaf([5, 7])
    f.sync(x, y)
    f.sync(x, x)
    f.sync(y, x)
    // y; then 2x; then y
    expect(list(x.grad)).toEqual([14, 20])
    expect(list(y.grad)).toEqual([4, 6])
  })

  test('what cannot be is an error that says what to do, also where the program is there already', () => {
    const f = compile((x: Tensor) => void x.square().sum().backward())
    const x = leaf([1, 2])
    f.sync(x)
    const result = x.mul(2)
    for (let i = 0; i < 2; i++) expect(() => f.sync(result)).toThrow(/computed before the call.*detach\(\)/)
    expect(list(x.grad)).toEqual([2, 4])
    const hooked = leaf([1, 2])
    const handle = hooked.registerHook((g) => g.mul(10))
    for (let i = 0; i < 2; i++) expect(() => f.sync(hooked)).toThrow(/Call registerHook inside/)
    handle.remove()
    f.sync(hooked)
    expect(list(hooked.grad)).toEqual([2, 4])

    const w = leaf([1, 2])
    const optimizer = new optim.SGD([w], { lr: 1 })
    const step = compile((x: Tensor) => {
      x.mul(3).sum().backward()
      optimizer.step()
    })
    expect(() => step.sync(w)).toThrow(StateError)
    expect(() => step.sync(w)).toThrow(/is an argument and is also used from outside/)
    const both = compile((x: Tensor) => void x.mul(w).sum().backward())
    both.sync(leaf([3, 4]))
    expect(() => both.sync(w)).toThrow(/is an argument and is also used from outside/)
    expect(list(w.grad)).toEqual([3, 4])
  })

  test('a module and an input learn together', () => {
    const layer = new nn.Linear(2, 1, { bias: false })
    assign(layer.weight, tensor([[3, 4]]))
    const f = compile((x: Tensor) => {
      layer.zeroGrad()
      layer.forward(x).sum().backward()
    })
    const x = leaf([[1, 2]])
    for (let i = 1; i < 4; i++) {
      f.sync(x)
      expect(list(x.grad)).toEqual([[3 * i, 4 * i]])
      expect(list(layer.weight.grad)).toEqual([[1, 2]])
    }
  })

  it('awaited calls, several at once; failed ones change nothing', async () => {
    const table = tensor([
      [1, 1],
      [2, 2],
    ])
    const f = compile((x: Tensor, i: Tensor) => void x.mul(table.gather(i, 0)).sum().backward())
    const good = tensor([[0, 1]], { dtype: 'int32' })
    const bad = tensor([[0, 7]], { dtype: 'int32' })
    const x = leaf([[1, 2]])
    const y = leaf([[3, 4]])
    await run(() => f(x, good))
    await Promise.all(run(() => [f(x, good), f(y, good), f(x, good)]))
    expect(list(x.grad)).toEqual([[3, 6]])
    expect(list(y.grad)).toEqual([[1, 2]])
    const settled = await Promise.allSettled(run(() => [f(x, good), f(x, bad), f(x, good), f(y, bad)]))
    expect(settled.map((s) => s.status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected'])
    expect(list(x.grad)).toEqual([[5, 10]])
    expect(list(y.grad)).toEqual([[1, 2]])
    const fresh = leaf([[1, 2]])
    await expect(run(() => f(fresh, bad))).rejects.toThrow()
    expect(fresh.grad).toBeUndefined()
    expect(() => run(() => f.sync(x, bad))).toThrow()
    expect(list(x.grad)).toEqual([[5, 10]])
  })
})
