/**
 * The footguns of compiling (DESIGN.md, rule 4), numbered; each on both backends, synchronous and awaited where it matters.
 */
import { describe, expect, it } from 'vitest'
import { assign, compile, grad, manualSeed, noGrad, rand, StateError, sum, type Tensor, tensor, zeros } from '../../src/index.js'
import { context } from '../../src/tensor/context.js'
import { backends, onJs, onNative } from '../support/backends.js'

const leaf = (data: number | number[] | number[][]): Tensor => tensor(data, { requiresGrad: true })
const list = (t: Tensor | undefined): unknown => t?.toArray()

describe.each(backends)('compile on %s', (which) => {
  const test = (name: string, fn: () => void): void => it(name, () => (which === 'js' ? onJs : onNative)(fn))

  test('1. state made outside is read at each call', () => {
    const w = tensor([1, 2])
    const f = compile((x: Tensor) => x.mul(w))
    expect(list(f.sync(tensor([10, 10])))).toEqual([10, 20])
    assign(w, tensor([3, 4]))
    expect(list(f.sync(tensor([10, 10])))).toEqual([30, 40])
    expect(f.variants).toBe(1)
  })

  test('2. what assign writes is seen outside, by views and by later reads inside', () => {
    const w = tensor([
      [1, 2],
      [3, 4],
    ])
    const row = w.at(1)
    const f = compile((x: Tensor) => {
      assign(w, w.add(x))
      return [w.mul(1), row.mul(1), w.sum()]
    })
    const [all, second, total] = f.sync(tensor([10, 20]))
    expect(list(w)).toEqual([
      [11, 22],
      [13, 24],
    ])
    expect(list(row)).toEqual([13, 24])
    expect(list(all)).toEqual([
      [11, 22],
      [13, 24],
    ])
    expect(list(second)).toEqual([13, 24])
    expect(total.item()).toBe(70)
    const views = compile(() => {
      const [first, corner] = [w.at(0), w.transpose().at(1).slice(0, 1)]
      assign(w, w.mul(10))
      return [first, corner.add(1)]
    })
    expect(views.sync().map(list)).toEqual([[110, 220], [241]])
  })

  test('3. numbers among the arguments are passed at run time', () => {
    const w = tensor([1])
    const step = compile((lr: Tensor, options: { decay: Tensor | number }) => {
      assign(w, w.sub(w.mul(lr)).mul(options.decay))
    })
    for (const [lr, decay, expected] of [
      [0.5, 1, 0.5],
      [0.1, 1, 0.45],
      [0, 2, 0.9],
    ]) {
      step.sync(lr, { decay })
      expect(w.item()).toBeCloseTo(expected, 6)
    }
    expect(step.variants).toBe(1)
  })

  test('4. what differs between two traces is an error that names it', () => {
    const x = tensor([1, 2])
    let number = 0
    expect(() => compile((x: Tensor) => x.mul(number++)).sync(x)).toThrow(/a number is .* the first time .* Pass it as an argument/)
    let calls = 0
    expect(() => compile((x: Tensor) => (calls++ % 2 === 0 ? x.exp() : x.sin())).sync(x)).toThrow(/exp the first time and sin the second/)
    let more = 0
    expect(() => compile((x: Tensor) => (more++ === 0 ? x.exp() : x.exp().sin())).sync(x)).toThrow(/sin/)
    expect(() => compile((x: Tensor) => x.add(tensor([1, 2]))).sync(x)).toThrow(/made anew each time.*Make it once, outside/)
    let width = 0
    expect(() => compile((x: Tensor) => x.narrow(0, 0, (width++ % 2) + 1).exp()).sync(x)).toThrow(StateError)
    let turn = 0
    const both = (x: Tensor): [Tensor, Tensor] => [x.exp(), x.sin()]
    expect(() => compile((x: Tensor) => both(x)[turn++ % 2]).sync(x)).toThrow(/returns something else/)
    expect(() => compile((x: Tensor) => [x.exp(), turn++]).sync(x)).toThrow(/returns something else/)
    const states = [zeros([2]), zeros([2])]
    expect(() => compile((x: Tensor) => assign(states[turn++ % 2], x.exp())).sync(x)).toThrow(/writes other tensors/)
    expect(() =>
      compile((x: Tensor) => {
        const state = tensor([0, 0])
        assign(state, x.exp())
        return state
      }).sync(x),
    ).toThrow(/writes other tensors.*Make state once, outside/)
    const leaves = states.map((t) => tensor(t.toArray(), { requiresGrad: true }))
    expect(() =>
      compile(
        (x: Tensor) =>
          void leaves
            .map((l) => l.mul(x))
            [turn++ % 2].sum()
            .backward(),
      ).sync(x),
    ).toThrow(StateError)
    expect(context.recorder).toBeUndefined()
  })

  test('5. reading data inside is an error that says so', () => {
    const x = tensor([1, 2])
    const readers: ((t: Tensor) => unknown)[] = [
      (t) => t.data,
      (t) => t.at(0).item(),
      (t) => t.toArray(),
      (t) => +t.sum(),
      (t) => `${t.sum().item()}`,
      (t) => t.storage,
    ]
    for (const read of readers) {
      const f = compile((x: Tensor) => {
        read(x)
        return x
      })
      expect(() => f.sync(x)).toThrow(StateError)
      expect(() => f.sync(x)).toThrow(/traced tensor/)
    }
    expect(context.recorder).toBeUndefined()
  })

  test('6. a traced tensor cannot be used after its trace', () => {
    let escaped: Tensor | undefined
    const f = compile((x: Tensor) => {
      escaped = x.mul(2)
      return escaped
    })
    f.sync(tensor([1]))
    const e = escaped as Tensor
    expect(() => e.add(1)).toThrow(/used after its trace ended/)
    expect(() => e.data).toThrow(StateError)
    expect(() => assign(tensor([1]), e)).toThrow(StateError)
    expect(() => compile((x: Tensor) => x.add(e)).sync(tensor([1]))).toThrow(/used after its trace ended/)
    expect(() => f.sync(e)).toThrow(StateError)
    expect(() => sum(e)).toThrow(StateError)
    expect(() => tensor([1]).mul(e)).toThrow(StateError)
    expect(() => e.reshape([1, 1])).toThrow(StateError)
  })

  test('7. async functions are refused', () => {
    expect(() => compile(async (x: Tensor) => x)).toThrow(/must not be async/)
    const hidden = compile((x: Tensor) => Promise.resolve(x))
    expect(() => hidden.sync(tensor([1]))).toThrow(/must not be async/)
    expect(context.recorder).toBeUndefined()
    expect(() => compile(3 as unknown as () => void)).toThrow(/expected a function/)
  })

  test('8. results of calls do not share memory', () => {
    const f = compile((x: Tensor) => x.add(1))
    const a = f.sync(tensor([1]))
    const b = f.sync(tensor([2]))
    expect([a.item(), b.item()]).toEqual([2, 3])
    expect(a.data.buffer === b.data.buffer && a.data.byteOffset === b.data.byteOffset).toBe(false)
  })

  test('9. results do not share memory with arguments, state or each other', () => {
    const w = tensor([
      [1, 2],
      [3, 4],
    ])
    const f = compile((x: Tensor) => {
      const y = x.mul(2)
      return { x, t: x.transpose(), y, again: y, part: y.at(0), captured: w.mul(1), column: w.slice(1, 0, 1), nested: [{ y }] }
    })
    const x = tensor([
      [5, 6],
      [7, 8],
    ])
    const r = f.sync(x)
    expect(list(r.x)).toEqual([
      [5, 6],
      [7, 8],
    ])
    expect(list(r.t)).toEqual([
      [5, 7],
      [6, 8],
    ])
    expect(list(r.again)).toEqual([
      [10, 12],
      [14, 16],
    ])
    expect(list(r.part)).toEqual([10, 12])
    expect(list(r.captured)).toEqual([
      [1, 2],
      [3, 4],
    ])
    expect(list(r.column)).toEqual([[1], [3]])
    expect(list(r.nested[0].y)).toEqual([
      [10, 12],
      [14, 16],
    ])
    assign(x, zeros([2, 2]))
    assign(w, zeros([2, 2]))
    assign(r.y, zeros([2, 2]))
    expect(list(r.x)).toEqual([
      [5, 6],
      [7, 8],
    ])
    expect(list(r.captured)).toEqual([
      [1, 2],
      [3, 4],
    ])
    expect(list(r.column)).toEqual([[1], [3]])
    expect(list(r.again)).toEqual([
      [10, 12],
      [14, 16],
    ])
    expect(list(r.part)).toEqual([10, 12])
  })

  test('10. a .grad left at the end is an effect, and tracing leaves none behind', () => {
    const w = leaf([1, 2])
    const f = compile((x: Tensor) => {
      w.grad = undefined
      const loss = w.mul(x).sum()
      loss.backward()
      return loss
    })
    expect(f.explain(tensor([3, 4]))).toContain('mul')
    expect(w.grad).toBeUndefined()
    f.sync(tensor([3, 4]))
    expect(list(w.grad)).toEqual([3, 4])
    f.sync(tensor([5, 6]))
    expect(list(w.grad)).toEqual([5, 6])
  })

  test('11. gradients accumulate across calls as in eager code', () => {
    const w = leaf([1, 2])
    const f = compile((x: Tensor) => {
      w.mul(x).sum().backward()
    })
    f.sync(tensor([3, 4]))
    f.sync(tensor([3, 4]))
    f.sync(tensor([1, 1]))
    expect(list(w.grad)).toEqual([7, 9])
    w.grad = undefined
    f.sync(tensor([1, 1]))
    expect(list(w.grad)).toEqual([1, 1])
    expect(f.variants).toBe(2)
  })

  test('12. a gradient held by the user survives later calls', () => {
    const w = leaf([1, 2])
    const f = compile((x: Tensor) => {
      w.grad = undefined
      w.mul(x).sum().backward()
    })
    f.sync(tensor([1, 1]))
    const held = w.grad as Tensor
    for (let i = 2; i < 6; i++) f.sync(tensor([i, i]))
    expect(list(held)).toEqual([1, 1])
    expect(list(w.grad)).toEqual([5, 5])
  })

  test('13. a gradient returned from the function is the current one', () => {
    const w = leaf([1, 2])
    w.mul(3).sum().backward()
    const f = compile(() => (w.grad as Tensor).mul(1))
    const same = compile(() => w.grad as Tensor)
    expect(list(f.sync())).toEqual([3, 3])
    expect(list(same.sync())).toEqual([3, 3])
    w.grad = tensor([7, 8])
    expect(list(f.sync())).toEqual([7, 8])
    expect(list(same.sync())).toEqual([7, 8])
  })

  test('14. requiresGrad, noGrad and which .grad exist choose the program', () => {
    const w = tensor([1, 2])
    const f = compile((x: Tensor) => {
      const y = w.mul(x).sum()
      if (y.requiresGrad) y.backward()
      return y
    })
    const x = tensor([3, 4])
    f.sync(x)
    expect(w.grad).toBeUndefined()
    w.requiresGrad = true
    noGrad(() => f.sync(x))
    expect(w.grad).toBeUndefined()
    f.sync(x)
    expect(list(w.grad)).toEqual([3, 4])
    w.requiresGrad = false
    f.sync(x)
    expect(list(w.grad)).toEqual([3, 4])
    w.grad = undefined
    f.sync(x)
    expect(w.grad).toBeUndefined()
  })

  test('15. gradients of arguments are taken inside', () => {
    const f = compile((x: Tensor) => grad((v) => v.pow(3).sum())(x))
    expect(list(f.sync(tensor([1, 2])))).toEqual([3, 12])
    const second = compile((x: Tensor) => grad((v) => grad((u) => u.pow(3).sum())(v).sum())(x))
    expect(list(second.sync(tensor([1, 2])))).toEqual([6, 12])
  })

  test('16. an exception inside leaves no trace, and the function can be called again', () => {
    const w = leaf([1])
    let fail = true
    const f = compile((x: Tensor) => {
      w.mul(x).sum().backward()
      if (fail) throw new Error('mine')
      return x
    })
    expect(() => f.sync(tensor([1]))).toThrow('mine')
    expect(w.grad).toBeUndefined()
    expect(context.recorder).toBeUndefined()
    fail = false
    f.sync(tensor([1]))
    expect(list(w.grad)).toEqual([1])
  })

  test('23. compiled functions inside compiled functions become part of them', () => {
    const w = tensor([2])
    const inner = compile((x: Tensor) => {
      assign(w, w.add(1))
      return x.mul(w)
    })
    const outer = compile((x: Tensor) => inner.sync(inner.sync(x)).add(1))
    expect(list(outer.sync(tensor([1])))).toEqual([13])
    expect(w.item()).toBe(4)
    expect(inner.variants).toBe(0)
  })

  test('24. printing a traced tensor shows its shape', () => {
    let text = ''
    compile((x: Tensor) => {
      text = `${String(x)} ${x.exp()}`
      return x
    }).sync(tensor([1, 2]))
    expect(text).toBe('Tensor([2], traced) Tensor([2], traced)')
  })

  test('28. random numbers are new at each call, as many as eager code draws, and tracing draws none', () => {
    const f = compile(() => [rand([5]), rand([3])])
    manualSeed(7)
    const eager = [rand([5]), rand([3]), rand([5]), rand([3])].map(list)
    manualSeed(7)
    f.explain()
    const compiled = [...f.sync(), ...f.sync()].map(list)
    expect(compiled).toEqual(eager)
    expect(compiled[0]).not.toEqual(compiled[2])
  })

  test('29. explain shows instructions and what was fused', () => {
    const w = tensor([
      [1, 2],
      [3, 4],
    ])
    const text = compile((x: Tensor) => x.matmul(w).add(1).tanh().sum(), { name: 'net' }).explain(zeros([3, 2]))
    expect(text).toMatch(/^net: \d+ instructions for \d+ operations/)
    expect(text).toMatch(/gemm .*matmul add tanh/)
    expect(text).toContain(which === 'js' ? 'TypeScript' : 'native')
  })

  test('30. results may be anything that holds tensors', () => {
    const w = tensor([4])
    expect(compile((x: Tensor) => ({ a: [x.exp(), null, 'text', 3], w, none: undefined })).sync(tensor([0]))).toMatchObject({
      a: [{ shape: [1] }, null, 'text', 3],
    })
    expect(compile(() => w).sync()).toBe(w)
    expect(compile(() => {}).sync()).toBeUndefined()
    expect(compile(() => 3).sync()).toBe(3)
    expect(list(compile(() => zeros([2])).sync())).toEqual([0, 0])
    expect(compile((lr: Tensor) => lr).sync(0.5) as unknown as number).toMatchObject({ shape: [] })
  })

  test('31. arguments may be strided views, constants and of any nesting', () => {
    const f = compile(({ batch: [x, y] }: { batch: Tensor[] }) => x.sub(y))
    const x = tensor([
      [1, 2],
      [3, 4],
    ])
    expect(list(f.sync({ batch: [x.transpose(), x] }))).toEqual([
      [0, 1],
      [-1, 0],
    ])
    expect(list(f.sync({ batch: [x.at(1).expand([2, 2]), x] }))).toEqual([
      [2, 2],
      [0, 0],
    ])
    expect(list(f.sync({ batch: [zeros([2, 2]), x.at([1]).expand([2, 2])] }))).toEqual([
      [-3, -4],
      [-3, -4],
    ])
  })

  test('32. float64 inside is an error that says so', () => {
    expect(() => compile((x: Tensor) => x.mul(2)).sync(tensor([1], { dtype: 'float64' }))).toThrow(/float64/)
  })
})
