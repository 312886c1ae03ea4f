/** Empty tensors anywhere in a program, over several calls: whatever an instruction leaves out, the others run, and state is written at each call. */
import { describe, expect, it } from 'vitest'
import { compile, losses, manualSeed, nn, ones, optim, randn, type Tensor, tensor, zeros } from '../../src/index.js'
import { backends, onJs, onNative } from '../support/backends.js'
import { expectClose } from '../support/compare.js'

const none = zeros([0, 4])

describe.each(backends)('empty tensors in a program on %s', (which) => {
  const test = (name: string, fn: () => void): void => it(name, () => (which === 'js' ? onJs : onNative)(fn))

  test('first, in the middle and last', () => {
    const b = tensor([1, 2, 3])
    const orders: Record<string, (none: Tensor, b: Tensor) => Tensor[]> = {
      first: (none, b) => [none.div(32), b.mul(3).sum()],
      last: (none, b) => [b.mul(3).sum(), none.div(32)],
      between: (none, b) => [b.cumsum(0), none.cumsum(1), b.mul(3).sum()],
      alone: (none) => [none.div(32)],
      twice: (none, b) => [none.cumsum(0), none.matmul(ones([4, 0])), b.mul(3).sum(), none.sum({ dim: 1 })],
    }
    for (const [name, f] of Object.entries(orders)) {
      const compiled = compile(f)
      for (let call = 0; call < 4; call++) {
        const expected = f(none, b)
        compiled.sync(none, b).forEach((t, i) => void expectClose(`${name}, call ${call}`, t, expected[i], 0))
      }
    }
  })

  test('in what is kept between calls, and behind it', () => {
    // the prologue computes what depends on captured tensors alone
    const scale = new nn.Parameter(tensor([2, 3, 4]))
    const empty = new nn.Parameter(zeros([0, 3]))
    const f = compile((x: Tensor) => [
      empty.mul(empty).add(1),
      scale.mul(scale).sqrt().mul(x.sum()),
      x.narrow(0, 0, 0).mul(2),
      empty.mul(3).sum({ dim: 0 }).add(x),
    ])
    for (let call = 1; call < 5; call++) {
      const [a, b, c, d] = f.sync(tensor([call, 0, 0]))
      expect([a.shape, c.shape]).toEqual([[0, 3], [0]])
      expect(b.toArray()).toEqual([2 * call, 3 * call, 4 * call])
      expect(d.toArray()).toEqual([call, 0, 0])
    }
  })

  test('among writes of state', () => {
    for (const emptyFirst of [true, false]) {
      const count = new nn.Parameter(tensor([0]))
      const empty = new nn.Parameter(zeros([0]))
      const f = compile((x: Tensor) => {
        if (emptyFirst) empty.assign(empty.add(1))
        count.assign(count.add(x))
        if (!emptyFirst) empty.assign(empty.add(1))
        return empty.sum()
      })
      for (let call = 0; call < 3; call++) expect(f.sync(tensor([1])).item()).toBe(0)
      expect(count.toArray()).toEqual([3])
    }
  })

  test('a detector without positives trains as eager code does', () => {
    const build = (): ((positives: Tensor, x: Tensor, y: Tensor) => Tensor[]) => {
      manualSeed(0)
      const classes = new nn.Linear(4, 2)
      const boxes = new nn.Linear(4, 4)
      const optimizer = new optim.SGD([...classes.parameters(), ...boxes.parameters()], { lr: 0.1 })
      return (positives, x, y) => {
        const boxLoss = losses.smoothL1Loss(boxes.forward(positives), positives, { reduction: 'sum' })
        const loss = losses.crossEntropy(classes.forward(x), y).add(boxLoss)
        optimizer.zeroGrad()
        loss.backward()
        optimizer.step()
        return [loss, classes.weight.sum()]
      }
    }
    manualSeed(1)
    const x = randn([8, 4])
    const y = tensor(Int32Array.from([0, 1, 0, 1, 0, 1, 0, 1]))
    const eager = build()
    const compiled = compile(build())
    // some batches have positives, most have none
    for (const positives of [none, none, ones([3, 4]), none, none]) {
      const expected = eager(positives, x, y)
      compiled.sync(positives, x, y).forEach((t, i) => void expectClose('training', t, expected[i], 1e-5))
    }
  })
})
