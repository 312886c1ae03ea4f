/**
 * The footguns of compiling that have to do with state written inside, numbered on from footguns.test.ts.
 */
import { describe, expect, it } from 'vitest'
import { assign, compile, full, noGrad, StateError, type Tensor, tensor, zeros } from '../../src/index.js'
import { backends, onJs, onNative } from '../support/backends.js'

const leaf = (data: number | number[] | number[][]): Tensor => tensor(data, { requiresGrad: true })
const list = (t: Tensor | undefined): unknown => t?.toArray()

describe.each(backends)('effects on %s', (which) => {
  const test = (name: string, fn: () => void): void => it(name, () => (which === 'js' ? onJs : onNative)(fn))

  test('17. states can be exchanged', () => {
    const a = tensor([1, 2])
    const b = tensor([3, 4])
    const f = compile(() => {
      const before = a.mul(1)
      assign(a, b)
      assign(b, before)
    })
    f.sync()
    expect([list(a), list(b)]).toEqual([
      [3, 4],
      [1, 2],
    ])
    f.sync()
    expect([list(a), list(b)]).toEqual([
      [1, 2],
      [3, 4],
    ])
    const rotate = compile(() => {
      const [x, y] = [a.mul(1), b.mul(1)]
      assign(a, y.add(x))
      assign(b, x.sub(y))
    })
    rotate.sync()
    expect([list(a), list(b)]).toEqual([
      [4, 6],
      [-2, -2],
    ])
  })

  test('18. the last of several writes counts, and reads see those before them', () => {
    const a = tensor([1])
    const seen = compile(() => {
      const out: Tensor[] = []
      for (let i = 0; i < 3; i++) {
        assign(a, a.mul(2).add(i))
        out.push(a.mul(1))
      }
      return out
    }).sync()
    expect(seen.map((t) => t.item())).toEqual([2, 5, 12])
    expect(a.item()).toBe(12)
  })

  test('19. strided, constant and broadcast values are assigned', () => {
    const a = tensor([
      [1, 2],
      [3, 4],
    ])
    const f = compile((x: Tensor) => assign(a, x.transpose()))
    f.sync(
      tensor([
        [5, 6],
        [7, 8],
      ]),
    )
    expect(list(a)).toEqual([
      [5, 7],
      [6, 8],
    ])
    compile(() => assign(a, a.transpose())).sync()
    expect(list(a)).toEqual([
      [5, 6],
      [7, 8],
    ])
    compile(() => assign(a, 3)).sync()
    expect(list(a)).toEqual([
      [3, 3],
      [3, 3],
    ])
    compile((x: Tensor) => assign(a, x)).sync(tensor([1, 2]))
    expect(list(a)).toEqual([
      [1, 2],
      [1, 2],
    ])
    compile(() => assign(a, zeros([2, 2]).add(a.sum()))).sync()
    expect(list(a)).toEqual([
      [6, 6],
      [6, 6],
    ])
  })

  test('20. an argument may be the state that is written', () => {
    const a = tensor([
      [1, 2],
      [3, 4],
    ])
    const b = tensor([
      [0, 0],
      [0, 0],
    ])
    const f = compile((x: Tensor) => {
      assign(a, x.transpose().add(10))
      assign(b, x.mul(2))
      return x.add(1)
    })
    const out = f.sync(a)
    expect(list(a)).toEqual([
      [11, 13],
      [12, 14],
    ])
    expect(list(b)).toEqual([
      [2, 4],
      [6, 8],
    ])
    expect(list(out)).toEqual([
      [2, 3],
      [4, 5],
    ])
    const c = zeros([3, 2, 2])
    const d = zeros([2])
    const g = compile((x: Tensor) => {
      assign(a, x.add(1))
      assign(c, x.expand([3, 2, 2]))
      assign(d, x.at(0))
    })
    g.sync(a)
    expect(list(a)).toEqual([
      [12, 14],
      [13, 15],
    ])
    expect(list(c.at(2))).toEqual([
      [11, 13],
      [12, 14],
    ])
    expect(list(d)).toEqual([11, 13])
    g.sync(a.transpose())
    expect(list(a)).toEqual([
      [13, 14],
      [15, 16],
    ])
    expect(list(d)).toEqual([12, 13])
  })

  test('21. only whole tensors made outside can be written', () => {
    const a = tensor([
      [1, 2],
      [3, 4],
    ])
    expect(() => compile(() => assign(a.at(0), 1)).sync()).toThrow(StateError)
    expect(() => compile((x: Tensor) => assign(x, 1)).sync(a)).toThrow(/made inside the compiled function/)
    expect(list(a)).toEqual([
      [1, 2],
      [3, 4],
    ])
    const seen = tensor([1, 2])
    seen.data[0] = 5
    expect(() => compile(() => assign(seen, 1)).sync()).toThrow(/handed out by .data/)
  })

  test('22. memory handed out by .data is read as it is at the call', () => {
    const w = tensor([1, 2])
    const { data } = w
    const f = compile((x: Tensor) => x.mul(w))
    expect(list(f.sync(tensor([1, 1])))).toEqual([1, 2])
    data[0] = 9
    expect(list(f.sync(tensor([1, 1])))).toEqual([9, 2])
  })

  test('33. a change in place between use and backward is an error in compiled code too', () => {
    const w = leaf([1, 2])
    const f = compile((x: Tensor) => {
      const loss = w.square().mul(x).sum()
      assign(w, w.mul(0))
      loss.backward()
    })
    expect(() => f.sync(tensor([1, 1]))).toThrow(/input 0 of square, shape \[2\], was changed in place/)
    expect(list(w)).toEqual([1, 2])
    expect(w.grad).toBeUndefined()
  })

  test('34. capturing a tensor does not count as changing it', () => {
    const w = leaf([1, 2])
    const y = w.square().sum()
    compile(() => noGrad(() => w.add(1))).sync()
    y.backward()
    expect(list(w.grad)).toEqual([2, 4])
  })

  test('36. gradients lie side by side, in the order they are produced, and stay apart', () => {
    const first = leaf([[0.5, -0.3]])
    const second = leaf([[0.2], [0.1]])
    const step = compile((x: Tensor) => {
      first.grad = undefined
      second.grad = undefined
      x.matmul(first).tanh().matmul(second).sum().backward()
    })
    const x = tensor([[1], [2]])
    const places = new Set<ArrayBufferLike>()
    for (let i = 0; i < 4; i++) {
      step.sync(x)
      const [a, b] = [first.leafGrad?.storage.bytes, second.leafGrad?.storage.bytes] as [Uint8Array, Uint8Array]
      expect(a.buffer).toBe(b.buffer)
      expect([a.byteOffset - b.byteOffset, a.byteLength, b.byteLength]).toEqual([64, 8, 8])
      places.add(a.buffer)
    }
    expect(places.size).toBe(2)
    const kept = second.grad as Tensor
    const before = list(kept)
    for (let i = 0; i < 3; i++) step.sync(tensor([[3], [4]]))
    expect(list(kept)).toEqual(before)
    expect(list(second.grad)).not.toEqual(before)
  })

  test('35. a training step equals eager steps, lr by schedule', () => {
    const make = (): { w: Tensor; v: Tensor; step: (x: Tensor, lr: Tensor | number) => Tensor } => {
      const w = leaf([
        [0.5, -0.3],
        [0.2, 0.1],
      ])
      const v = zeros([2, 2])
      const step = (x: Tensor, lr: Tensor | number): Tensor => {
        w.grad = undefined
        const loss = x.matmul(w).tanh().square().mean()
        loss.backward()
        noGrad(() => {
          assign(v, v.mul(0.9).add(w.grad as Tensor))
          assign(w, w.sub(v.mul(lr)))
        })
        return loss
      }
      return { w, v, step }
    }
    const eager = make()
    const compiled = make()
    const step = compile(compiled.step)
    const x = tensor([
      [1, 2],
      [-1, 0.5],
      [0.3, -0.7],
    ])
    for (let i = 0; i < 10; i++) {
      const a = eager.step(x, 0.1 / (1 + i))
      const b = step.sync(x, 0.1 / (1 + i))
      expect(b.item()).toBeCloseTo(a.item(), 5)
    }
    const [a, b] = [eager.w.data, (compiled.w.toArray() as number[][]).flat()]
    a.forEach((value, i) => expect(b[i]).toBeCloseTo(value, 5))
    expect(step.variants).toBeLessThanOrEqual(2)
  })

  test('36. a state shows what was assigned to it also where that is seen through strides', () => {
    const run = (f: (x: Tensor) => Tensor): unknown[] => {
      const state = zeros([2, 2])
      const body = (x: Tensor): Tensor[] => {
        assign(state, f(x))
        return [state.at(1), state.slice(1, 1), state.transpose(), state.reshape([4]).slice(0, 1, undefined, 2)]
      }
      const x = tensor([1, 2, 3, 4, 5, 6, 7, 8])
      const expected = body(x).map(list)
      expect(compile(body).sync(x).map(list)).toEqual(expected)
      expect(list(state)).toEqual(list(f(x).expand([2, 2])))
      return expected
    }
    expect(run((x) => x.slice(0, 0, undefined, 2).reshape([2, 2]))).toEqual([
      [5, 7],
      [[3], [7]],
      [
        [1, 5],
        [3, 7],
      ],
      [3, 7],
    ])
    expect(run((x) => x.slice(0, 3, undefined, -1).reshape([2, 2]))[0]).toEqual([2, 1])
    expect(run((x) => x.at(2))).toEqual([
      [3, 3],
      [[3], [3]],
      [
        [3, 3],
        [3, 3],
      ],
      [3, 3],
    ])
    expect(run((x) => x.slice(0, 1, 3))[0]).toEqual([2, 3])
  })

  test('37. a view shows what was written later, detached as well', () => {
    const state = tensor([[1, 2]])
    const body = (x: Tensor): Tensor[] => {
      const seen = [state.reshape([-1]), state.reshape([-1]).detach(), state.detach().at(0)]
      assign(state, x)
      return [...seen, ...seen.map((t) => t.mul(2))]
    }
    const x = tensor([[3, 4]])
    const results = compile(body).sync(x).map(list)
    expect(results).toEqual([...Array(3).fill([3, 4]), ...Array(3).fill([6, 8])])
    expect(body(x).map(list)).toEqual(results)
  })

  test('38. numbers are the same in a trace as in memory: whole ones in integers, truth in bool', () => {
    const body = (x: Tensor): Tensor[] => [
      full([2], 2.7).to('int32'),
      full([], 300).to('uint8'),
      full([1], 0.5).to('bool'),
      full([], 2147483647, { dtype: 'int32' }).add(full([], 1, { dtype: 'int32' })),
      full([], 0.1).mul(x),
    ]
    const x = tensor([1, 3])
    expect(compile(body).sync(x).map(list)).toEqual(body(x).map(list))
    expect(body(x).slice(0, 4).map(list)).toEqual([[2, 2], 44, [true], -2147483648])
  })

  test('39. numbers that a dtype does not hold are refused, in a trace and outside', () => {
    const bool = tensor([true])
    const whole = tensor([1], { dtype: 'int32' })
    for (const call of [
      () => bool.pad([1, 0], { value: 0.5 }),
      () => whole.pad([1, 0], { value: 0.5 }),
      () => full([1], 300, { dtype: 'uint8' }),
      () => full([1], 2 ** 31, { dtype: 'int32' }),
      () => void assign(whole, 1.5),
    ]) {
      expect(call).toThrow(/does not go into/)
      expect(() => compile(call).sync()).toThrow(/does not go into/)
    }
    expect(list(bool.pad([1, 1], { value: 1 }))).toEqual([true, true, true])
    expect(list(compile(() => bool.pad([1, 1], { value: 1 })).sync())).toEqual([true, true, true])
  })
})
