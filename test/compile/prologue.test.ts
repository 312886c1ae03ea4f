/**
 * What a compiled function computes from captured tensors alone is kept between calls, and never stale.
 */
import { describe, expect, it } from 'vitest'
import {
  assign,
  compile,
  concat,
  fromBuffer,
  manualSeed,
  mul,
  nn,
  noGrad,
  optim,
  rand,
  randn,
  type Tensor,
  tensor,
  where,
} from '../../src/index.js'
import { backends, onJs, onNative } from '../support/backends.js'

const kept = (text: string): boolean => text.includes('prologue')
const list = (t: Tensor): unknown => t.toArray()

describe.each(backends)('the prologue on %s', (which) => {
  const test = (name: string, fn: () => void | Promise<void>): void => it(name, () => (which === 'js' ? onJs : onNative)(fn as () => void))

  /** f(x) = x · w², with what it should be. */
  const squares = (options = {}) => {
    const w = tensor([1, 2, 3])
    return { w, f: compile((x: Tensor) => x.mul(w.mul(w)), options) }
  }
  const x = tensor([1, 1, 2])

  test('is found, and leaves the rest to each call', () => {
    const { f } = squares()
    const text = f.explain(x)
    expect(text).toMatch(
      /^anonymous: 1 instructions[^\n]*\n[^\n]*map[^\n]* mul\nprologue[^\n]*1 instructions, 12 B kept\n[^\n]*map[^\n]* mul$/,
    )
    expect([list(f.sync(x)), list(f.sync(x)), list(f.sync(x))]).toEqual([
      [1, 4, 18],
      [1, 4, 18],
      [1, 4, 18],
    ])
  })

  test('is run again when the library wrote a source, in whatever way', async () => {
    const { w, f } = squares()
    const model = new nn.Linear(2, 1, { bias: false })
    const total = compile((s: Tensor) => s.add(noGrad(() => mul(model.weight, model.weight)).sum()))
    expect(list(f.sync(x))).toEqual([1, 4, 18])
    assign(w, tensor([2, 2, 2]))
    expect(list(f.sync(x))).toEqual([4, 4, 8])
    expect(list(await f(x))).toEqual([4, 4, 8])
    const write = compile((s: Tensor) => assign(w, w.add(s)))
    void write(tensor(1))
    expect(list(await f(x))).toEqual([9, 9, 18])
    void write(tensor(1))
    expect(list(f.sync(x))).toEqual([16, 16, 32])
    mul(w, 0, { out: w })
    expect(list(f.sync(x))).toEqual([0, 0, 0])

    model.loadStateDict({ weight: tensor([[1, 2]]) })
    expect(total.sync(tensor(0)).item()).toBe(5)
    expect((await total(tensor(0))).item()).toBe(5)
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.5 })
    model
      .forward(tensor([[1, 1]]))
      .sum()
      .backward()
    optimizer.step()
    expect(total.sync(tensor(0)).item()).toBe(0.5 ** 2 + 1.5 ** 2)
    model.loadStateDict({ weight: tensor([[3, 0]]) })
    expect(total.sync(tensor(0)).item()).toBe(9)
  })

  test('a tensor whose memory was handed out is read at each call, unless it is frozen', () => {
    const { w, f } = squares()
    expect(list(f.sync(x))).toEqual([1, 4, 18])
    const memory = w.data as Float32Array
    memory.set([3, 3, 3])
    expect(list(f.sync(x))).toEqual([9, 9, 18])
    memory.set([1, 1, 1])
    expect(list(f.sync(x))).toEqual([1, 1, 2])

    const frozen = squares({ frozen: true })
    const inside = frozen.w.data as Float32Array
    expect(list(frozen.f.sync(x))).toEqual([1, 4, 18])
    inside.set([3, 3, 3])
    expect(list(frozen.f.sync(x))).toEqual([1, 4, 18])
    assign(frozen.w, tensor([2, 2, 2]))
    expect(list(frozen.f.sync(x))).toEqual([4, 4, 8])

    const wrapped = new Float32Array([1, 2, 3])
    const outside = fromBuffer(wrapped)
    const g = compile((y: Tensor) => y.mul(outside.mul(outside)))
    expect(list(g.sync(x))).toEqual([1, 4, 18])
    wrapped.fill(0)
    expect(list(g.sync(x))).toEqual([0, 0, 0])
  })

  test('the first call gives the same bits as those after it', async () => {
    manualSeed(5)
    const model = new nn.Sequential(new nn.Conv2d(3, 8, 3, { padding: 1 }), new nn.BatchNorm2d(8), new nn.ReLU(), new nn.Conv2d(8, 4, 3))
    const [, norm] = [...model.modules()].filter((m) => m instanceof nn.BatchNorm2d || m === model) as [nn.Module, nn.BatchNorm2d<8>]
    noGrad(() => {
      assign(norm.runningMean as Tensor, randn([8]))
      assign(norm.runningVar as Tensor, rand([8]).add(0.5))
      assign(norm.weight as Tensor, randn([8]))
    })
    model.eval()
    const images = randn([2, 3, 9, 9])
    const f = compile((batch: Tensor) => noGrad(() => model.forward(batch as Tensor<[2, 3, 9, 9]>)))
    expect(kept(f.explain(images))).toBe(true)
    const first = list(f.sync(images))
    expect(list(f.sync(images))).toEqual(first)
    expect(list(await f(images))).toEqual(first)
    const eager = noGrad(() => model.forward(images as Tensor<[2, 3, 9, 9]>))
    expect(
      noGrad(() => f.sync(images).sub(eager))
        .abs()
        .max()
        .item(),
    ).toBeLessThan(1e-5)
  })

  test('what the function writes itself is not kept, what it returns is a copy', () => {
    const { w } = squares()
    const f = compile((y: Tensor) => {
      const square = w.mul(w)
      assign(w, w.add(1))
      return square.mul(y)
    })
    expect(kept(f.explain(x))).toBe(false)
    expect([list(f.sync(x)), list(f.sync(x))]).toEqual([
      [1, 4, 18],
      [4, 9, 32],
    ])
    const v = tensor([1, 2])
    const g = compile(() => v.mul(3))
    const one = g.sync()
    ;(one.data as Float32Array).fill(7)
    expect([list(g.sync()), list(one)]).toEqual([
      [3, 6],
      [7, 7],
    ])
    const target = tensor([0, 0])
    const copy = compile(() => assign(target, v.mul(2)))
    copy.sync()
    expect(list(target)).toEqual([2, 4])
    assign(v, tensor([5, 5]))
    assign(target, tensor([0, 0]))
    copy.sync()
    expect(list(target)).toEqual([10, 10])
  })

  test('a tensor put together from parts, comparisons and reductions are kept', () => {
    const a = tensor([1, 2])
    const b = tensor([3, -4])
    const f = compile((y: Tensor) =>
      where(concat([a, b]).gt(0), y, 0)
        .mul(a.mul(b).sum())
        .add(concat([a, y.narrow(0, 0, 2)])),
    )
    const y = tensor([1, 2, 3, 4])
    const expected = [1 * -5 + 1, 2 * -5 + 2, 3 * -5 + 1, 0 + 2]
    expect(kept(f.explain(y))).toBe(true)
    expect([list(f.sync(y)), list(f.sync(y))]).toEqual([expected, expected])
    assign(b, tensor([-3, 4]))
    expect(list(f.sync(y))).toEqual([1 * 5 + 1, 2 * 5 + 2, 0 + 1, 4 * 5 + 2])
  })

  test('what is larger than what it is made of is computed where it is used, and so are single numbers', () => {
    const a = rand([3, 1])
    const b = rand([1, 3])
    const y = rand([3, 3])
    expect(kept(compile((z: Tensor) => z.add(a.add(b))).explain(y))).toBe(false)
    const rate = tensor(0.5)
    expect(kept(compile((z: Tensor) => z.mul(rate.mul(rate).sub(1))).explain(y))).toBe(false)
  })

  test('a call that fails keeps nothing', async () => {
    const table = tensor([10, 20, 30])
    const index = tensor([0, 7, 1], { dtype: 'int32' })
    const f = compile((y: Tensor) => y.mul(table.gather(index, 0)))
    const calls = [f(x), f(x)]
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'ERR_INDEX_RANGE' })
    expect(() => f.sync(x)).toThrow(expect.objectContaining({ code: 'ERR_INDEX_RANGE' }))
    assign(index, tensor([2, 1, 0], { dtype: 'int32' }))
    expect(list(f.sync(x))).toEqual([30, 20, 20])
    assign(index, tensor([0, 0, 9], { dtype: 'int32' }))
    expect(() => f.sync(x)).toThrow()
    assign(index, tensor([2, 1, 0], { dtype: 'int32' }))
    expect(list(await f(x))).toEqual([30, 20, 20])
  })

  test('each variant keeps its own, and none is stale', () => {
    const w = randn([64, 64])
    const f = compile((y: Tensor) => y.mul(w.mul(w).sum({ dim: 0 })))
    const ones = (n: number): Tensor => randn([n, 64]).mul(0).add(1)
    const [one] = list(f.sync(ones(1))) as number[][]
    expect((list(f.sync(ones(2))) as number[][])[1]).toEqual(one)
    assign(w, w.mul(2))
    const two = list(f.sync(ones(2))) as number[][]
    expect(two[0]).toEqual(one.map((v) => v * 4))
    expect((list(f.sync(ones(1))) as number[][])[0]).toEqual(two[0])
  })

  test('weights of convolutions are kept as the kernels want them', async () => {
    manualSeed(3)
    const layers = [
      new nn.Conv2d(2, 5, 3), // the first layer's way, the direct one, groups, Winograd's
      new nn.Conv2d(24, 17, 3, { stride: 2, padding: 1 }),
      new nn.Conv2d(8, 8, 3, { groups: 4, padding: 1 }),
      new nn.Conv2d(32, 32, 3, { padding: 1 }),
      new nn.Conv2d(48, 40, 1),
    ] as nn.Conv2d[]
    const inputs = layers.map((layer) => randn([1, layer.inChannels, 16, 16]))
    const run = compile((...images: Tensor[]) =>
      noGrad(() => images.map((image, i) => layers[i].forward(image as Tensor<[1, number, 16, 16]>))),
    )
    const same = compile((...images: Tensor[]) =>
      noGrad(() => images.map((image, i) => layers[i].forward(image as Tensor<[1, number, 16, 16]>))),
    )
    expect(run.explain(...inputs).match(/keeps its weights/g)).toHaveLength(5)
    const first = run.sync(...inputs).map(list)
    for (let i = 0; i < 2; i++) expect(run.sync(...inputs).map(list)).toEqual(first)
    expect((await run(...inputs)).map(list)).toEqual(first)
    noGrad(() => {
      for (const { weight } of layers) assign(weight, weight.mul(-2))
    })
    const after = (await run(...inputs)).map(list)
    expect(run.sync(...inputs).map(list)).toEqual(after)
    expect(after).not.toEqual(first)
    expect(after).toEqual(same.sync(...inputs).map(list))
    const [, { weight }] = layers
    ;(weight.data as Float32Array).fill(0)
    const [, zero] = run.sync(...inputs)
    expect(
      list(
        zero
          .sub(layers[1].bias?.reshape([1, -1, 1, 1]) as Tensor)
          .abs()
          .max(),
      ),
    ).toBe(0)
  })

  test('functions that use the same tensors in other places do not share what they keep', () => {
    const [a, b] = [tensor([1, 2, 3]), tensor([10, 20, 30])]
    const one = tensor([1, 1, 1])
    const f = compile((x: Tensor) => x.mul(a.sub(b)))
    const g = compile((x: Tensor) => {
      const first = x.add(a)
      return first.mul(0).add(b.sub(a))
    })
    const results = compile((x: Tensor) => [x.mul(a.mul(b)), x.mul(a.div(b))])
    const swapped = compile((x: Tensor) => {
      const [quotient, product] = [a.div(b), a.mul(b)]
      return [x.mul(product), x.mul(quotient)]
    })
    for (let i = 0; i < 2; i++) {
      expect(list(f.sync(one))).toEqual([-9, -18, -27])
      expect(list(g.sync(one))).toEqual([9, 18, 27])
      expect(results.sync(one).map(list)).toEqual(swapped.sync(one).map(list))
    }
  })

  test('a disposed source is an error, not what it was', () => {
    const { w, f } = squares()
    f.sync(x)
    w.dispose()
    expect(() => f.sync(x)).toThrow(expect.objectContaining({ code: 'ERR_TENSOR_DISPOSED' }))
  })
})

describe('the prologue beside queued training', () => {
  it('predictions made during training use weights of one moment', async () => {
    await onNative(async () => {
      // w and its mirror are written together: a prediction that mixed two moments would not give 0
      const w = new nn.Parameter(tensor([1, 1, 1, 1]))
      const mirror = new nn.Parameter(tensor([1, 1, 1, 1]))
      const step = compile((s: Tensor) =>
        noGrad(() => {
          assign(w, w.add(s))
          assign(mirror, mirror.add(s))
        }),
      )
      class Difference extends nn.Module {
        readonly w = w
        readonly mirror = mirror
        forward(x: Tensor): Tensor {
          return x.mul(this.w.mul(this.w)).sub(x.mul(this.mirror).mul(this.mirror))
        }
      }
      const model = new Difference()
      const ones = tensor([[1, 1, 1, 1]])
      for (let round = 0; round < 50; round++) {
        const steps = Array.from({ length: 8 }, () => step(tensor(1)))
        const seen = await Promise.all(Array.from({ length: 4 }, () => model.predict(ones)))
        for (const s of seen) expect(list(s)).toEqual([[0, 0, 0, 0]])
        await Promise.all(steps)
        expect(list(await model.predict(ones))).toEqual([[0, 0, 0, 0]])
      }
    })
  })
})
