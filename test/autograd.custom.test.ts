/** Custom functions, recomputation, hooks, and derivatives as a whole: eager and compiled, on both backends. */
import { beforeEach, describe, expect, test } from 'vitest'
import { withBackend } from '../src/backend/select.js'
import * as cr from '../src/index.js'
import {
  backward,
  checkpoint,
  compile,
  customGradient,
  grad,
  hessian,
  jacobian,
  jvp,
  manualSeed,
  nn,
  ones,
  type Tensor,
  tensor,
  valueAndGrad,
  vjp,
  zeros,
} from '../src/index.js'
import { backends } from './support/backends.js'

const list = (t: Tensor | undefined): number[] => [...(t?.data ?? [])]
const near = (t: Tensor | undefined, wanted: number[], digits = 5): void => {
  expect(t?.size).toBe(wanted.length)
  list(t).forEach((x, i) => expect(x, `element ${i}`).toBeCloseTo(wanted[i], digits))
}
const cube = customGradient({ name: 'cube', forward: ([x]) => x.pow(3), backward: ([g], { inputs: [x] }) => g.mul(x.square()).mul(3) })

describe.each(backends)('on %s', (backend) => {
  const on = <T>(f: () => T): T => withBackend(backend, f)
  const ways: [string, (f: (...a: Tensor[]) => Tensor) => (...a: Tensor[]) => Tensor][] = [
    ['eager', (f) => f],
    ['compiled', (f) => compile(f).sync],
  ]

  describe.each(ways)('%s', (_, way) => {
    test('a custom gradient, its gradient, and theirs', () =>
      on(() => {
        const x = tensor([1, -2, 3])
        near(way((t) => cube(t))(x), [1, -8, 27])
        near(way(grad((t) => cube(t).sum()))(x), [3, 12, 27])
        near(way(grad((t) => grad((u) => cube(u).sum())(t).sum()))(x), [6, -12, 18])
        const half = customGradient({ forward: ([t]) => t.round(), backward: ([g]) => g.mul(0.5) })
        near(way(grad((t) => half(t.mul(2)).sum()))(x), [1, 1, 1])
      }))

    test('saved tensors, several inputs, missing gradients, broadcasting', () =>
      on(() => {
        const f = customGradient({
          forward: ([a, b], save) => {
            const e = a.exp()
            save(e)
            return e.mul(b)
          },
          backward: ([g], { inputs: [, b], saved: [e], needs }) => [g.mul(e).mul(b), needs[1] ? g.mul(e) : undefined],
        })
        const a = tensor([0, 1])
        const b = tensor([2])
        const both = way((x, y) => cr.concat(valueAndGrad((u, v) => f(u, v).sum())(x, y)[1]))(a, b)
        near(both, [2, 2 * Math.E, 1 + Math.E])
      }))

    test('two outputs, one unused', () =>
      on(() => {
        const f = customGradient({
          outputs: 2,
          forward: ([x]) => [x.sin(), x.cos()],
          backward: ([gs, gc], { outputs: [s, c] }) => gs.mul(c).sub(gc.mul(s)),
        })
        const x = tensor([0.5])
        near(way(grad((t) => f(t)[0].sum()))(x), [Math.cos(0.5)])
        near(way(grad((t) => f(t)[1].sum()))(x), [-Math.sin(0.5)])
        near(way(grad((t) => f(t)[0].mul(f(t)[1]).sum()))(x), [Math.cos(1)])
      }))

    test('checkpoint gives the same gradients, also of captured parameters and to second order', () =>
      on(() => {
        manualSeed(1)
        const layer = new nn.Linear(3, 3)
        const x = tensor([[1, 2, 3]])
        const block = (t: Tensor): Tensor => layer.forward(t).tanh().mul(t)
        const run = (f: (t: Tensor) => Tensor) => {
          const step = way((t) => {
            for (const p of layer.parameters()) p.grad = undefined
            const loss = f(f(t.mul(1)))
              .square()
              .sum()
            loss.backward()
            return loss
          })
          const loss = step(x).item()
          return [loss, ...layer.parameters().flatMap((p) => list(p.grad))]
        }
        const plain = run(block)
        const again = run((t) => checkpoint(block, t))
        again.forEach((v, i) => expect(v).toBeCloseTo(plain[i], 4))
        const second = (f: (t: Tensor) => Tensor): number[] =>
          list(
            way(
              grad((t) =>
                grad((u) => f(u).sum())(t)
                  .square()
                  .sum(),
              ),
            )(x),
          )
        const wanted = second(block)
        second((t) => checkpoint(block, t)).forEach((v, i) => expect(v).toBeCloseTo(wanted[i], 4))
      }))

    test('checkpoint around what was computed outside and is used inside', () =>
      on(() => {
        const w = tensor([2], { requiresGrad: true })
        const f = way((x) => {
          const outer = w.square()
          const loss = checkpoint((t) => t.mul(outer).mul(w), x.mul(outer)).sum()
          w.grad = undefined
          loss.backward()
          return w.grad as unknown as Tensor
        })
        // x·w⁵ → 5x·w⁴
        near(f(tensor([3])), [240])
      }))

    test('checkpoint draws the same random numbers twice, and writes state once', () =>
      on(() => {
        manualSeed(3)
        const norm = new nn.BatchNorm1d(4)
        const drop = new nn.Dropout(0.5)
        const x = ones([8, 4])
          .mul(tensor([1, 2, 3, 4]))
          .add(tensor([1, 2, 3, 4, 5, 6, 7, 8]).reshape([8, 1]).square())
        const both = way((t) => {
          const [y, [g]] = valueAndGrad((u) =>
            checkpoint((v) => drop.forward(norm.forward(v).add(v)), u)
              .mul(t)
              .sum(),
          )(t)
          return cr.concat([y.reshape([1]), g.reshape([-1])])
        })(x)
        expect(norm.numBatchesTracked?.item()).toBe(1)
        // the sum is linear in the mask: dropped elements have gradient zero but for what comes through the statistics
        expect(Number.isFinite(both.sum().item())).toBe(true)
        manualSeed(5)
        const masked = way((t) => {
          const [y, [g]] = valueAndGrad((u) => checkpoint((v) => drop.forward(v), u).sum())(t)
          return cr.stack([y, g.mul(t).sum()])
        })(x)
        const [value, viaGradient] = list(masked)
        expect(viaGradient).toBeCloseTo(value, 2)
        const next = way(() => cr.rand([1]))()
        expect(next.item()).toBeGreaterThanOrEqual(0)
      }))

    test('products with vectors, Jacobians, Hessians', () =>
      on(() => {
        const x = tensor([0.5, 1, 2])
        const v = tensor([1, -1, 0.5])
        const f = (t: Tensor): Tensor => cr.stack([t.sum(), t.square().sum(), t.prod()])
        const J = [1, 1, 1, 1, 2, 4, 2, 1, 0.5]
        near(way((t) => jacobian(f, t))(x), J)
        near(way((t, u) => vjp(f, t)[1](u)[0])(x, v), [1 - 1 + 1, 1 - 2 + 0.5, 1 - 4 + 0.25])
        near(way((t, u) => jvp(f, [t], [u])[1])(x, v), [0.5, 1 - 2 + 2, 2 - 1 + 0.25])
        near(way((t) => hessian((u) => u.pow(3).sum().add(u.prod()), t))(x), [3, 2, 1, 2, 6, 0.5, 1, 0.5, 12])
        const [ja, jb] = jacobian((a, b) => a.mul(b), [tensor([1, 2]), tensor([3, 4])])
        expect([ja.toArray(), jb.toArray()]).toEqual([
          [
            [3, 0],
            [0, 4],
          ],
          [
            [1, 0],
            [0, 2],
          ],
        ])
        const blocks = hessian((a, b) => a.mul(b).sum().add(a.square().sum()), [tensor([1]), tensor([2])])
        expect(blocks.map((row) => row.map((t) => t.item()))).toEqual([
          [2, 1],
          [1, 0],
        ])
        expect(jacobian((t) => t.matmul(tensor([[1], [2]])), zeros([3, 2])).shape).toEqual([3, 1, 3, 2])
        expect(jacobian((t) => t, zeros([0])).shape).toEqual([0, 0])
        // a function that does not depend on its input, and one that is linear in it
        near(way((t, u) => jvp((a) => a.mul(0), [t], [u])[1])(x, v), [0, 0, 0])
        near(way((t, u) => jvp((a) => a.mul(2).sum(), [t], [u])[1])(x, v), [1])
        expect(list(jvp(() => tensor([1]), [x], [v])[1])).toEqual([0])
      }))

    test('hooks see and replace gradients', () =>
      on(() => {
        const w = tensor([1, 2], { requiresGrad: true })
        const seen: number[][] = []
        const step = way((x) => {
          w.grad = undefined
          const y = w.mul(x)
          y.registerHook((g) => g.mul(10))
          y.square().sum().backward()
          return w.grad as unknown as Tensor
        })
        near(step(tensor([1, 1])), [20, 40])
        const handle = w.registerHook((g) => g.add(1))
        near(step(tensor([1, 1])), [21, 41])
        w.registerHook((g) => void (g.traced || seen.push(list(g))))
        near(step(tensor([1, 1])), [21, 41])
        handle.remove()
        near(step(tensor([1, 1])), [20, 40])
        handle.remove()
      }))
  })
})

describe('hooks', () => {
  test('a leaf’s hook runs once, when its gradient is complete, before it is added', () => {
    const w = tensor([3], { requiresGrad: true })
    const seen: number[] = []
    w.registerHook((g) => void seen.push(g.item()))
    w.mul(w).add(w).sum().backward()
    w.mul(2).sum().backward()
    expect(seen).toEqual([7, 2])
    expect(w.grad?.item()).toBe(9)
    checkpoint((t) => t.mul(w), tensor([1]))
      .sum()
      .backward()
    expect(seen).toEqual([7, 2, 1])
  })

  test('wrong use', () => {
    const w = tensor([3, 4], { requiresGrad: true })
    expect(() => tensor([1]).registerHook(() => undefined)).toThrow('wants no gradient')
    expect(() => w.registerHook(3 as never)).toThrow('expected a function')
    w.registerHook(() => zeros([3]))
    expect(() => w.sum().backward()).toThrow('the hook returned shape [3]')
  })
})

describe('checkpoint', () => {
  const plans: Record<string, number> = {}
  beforeEach(() => manualSeed(0))
  test.each([false, true])('memory of a compiled step (checkpoint: %s)', (use) => {
    const layers = Array.from({ length: 12 }, () => new nn.Linear(64, 64))
    const block =
      (k: number) =>
      (t: Tensor): Tensor =>
        layers.slice(k, k + 4).reduce((h, layer) => layer.forward(h).gelu().sin().sigmoid(), t.mul(2).tanh())
    const step = compile((x: Tensor) => {
      let h = x
      for (let k = 0; k < 12; k += 4) h = use ? checkpoint(block(k), h) : block(k)(h)
      const loss = h.square().mean()
      loss.backward()
      return loss
    })
    const text = step.explain(zeros([512, 64]))
    const [, number, unit] = /arena ([\d.]+) (\w*)B/.exec(text) ?? []
    plans[String(use)] = Number(number) * { k: 1e3, M: 1e6 }[unit as 'k' | 'M']
    if (use) {
      expect(plans.true).toBeGreaterThan(0)
      expect(plans.true).toBeLessThan(0.7 * plans.false)
    }
  })

  test('passes under noGrad, and refuses what is no function', () => {
    expect(cr.noGrad(() => checkpoint((t) => t.mul(2), tensor([2]))).item()).toBe(4)
    expect(() => checkpoint(3 as never)).toThrow('expected a function')
    expect(() => checkpoint(() => 3 as never, tensor([1], { requiresGrad: true }))).toThrow('the result must be a tensor')
  })

  test('a result that wants no gradient', () => {
    expect(checkpoint((t) => t.mul(2), tensor([2])).requiresGrad).toBe(false)
  })
})

describe('customGradient', () => {
  test('gradients that do not fit are errors', () => {
    const x = tensor([1, 2], { requiresGrad: true })
    const wrong =
      (backwardRule: () => never): (() => void) =>
      () =>
        customGradient({ name: 'mine', forward: ([t]) => t.mul(2), backward: backwardRule })(x)
          .sum()
          .backward()
    expect(wrong(() => zeros([3]) as never)).toThrow('mine: backward gave gradient 0 of shape [3] for an input of shape [2]')
    expect(wrong(() => [zeros([2]), zeros([2])] as never)).toThrow('mine: backward gave 2 gradients for 1 inputs')
    expect(wrong(() => 3 as never)).toThrow('gradient 0 must be a tensor')
    expect(() => customGradient({} as never)).toThrow('needs { forward, backward }')
    expect(() => customGradient({ forward: () => 3 as never, backward: () => undefined })(x)).toThrow('output 0 must be a tensor')
    expect(() => customGradient({ forward: ([t]) => [t, t], backward: () => undefined })(x)).toThrow('forward gave 2 outputs')
  })

  test('an input handed through is not mixed up with the output', () => {
    const same = customGradient({ forward: ([t]) => t, backward: ([g]) => g.mul(3) })
    const x = tensor([1], { requiresGrad: true })
    same(same(x)).backward()
    expect(x.grad?.item()).toBe(9)
    backward(x.mul(1))
    expect(x.grad?.item()).toBe(10)
  })
})
