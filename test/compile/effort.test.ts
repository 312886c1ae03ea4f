/** Compilation ends: its work is bounded by the size of the graph, and ordinary functions need a small part of the bound. */
import { expect, it, vi } from 'vitest'
import { Effort } from '../../src/compile/effort.js'
import { compile, losses, nn, optim, rand, randint, StateError, type Tensor } from '../../src/index.js'

it('work without an end is an error', () => {
  for (const units of [1, 1000, Number.NaN]) {
    const effort = new Effort(2)
    expect(() => {
      for (;;) effort.spend(units)
    }).toThrow(StateError)
  }
})

it('ordinary functions need a hundredth of the bound', () => {
  const spend = vi.spyOn(Effort.prototype, 'spend')
  const used: number[] = []
  const note = (): void => void used.push(Math.max(...spend.mock.contexts.map((e) => (e as Effort).share)))
  // long chains, many readers of one value, many states
  const chain = compile((x: Tensor) => {
    let y = x
    for (let i = 0; i < 2000; i++) y = i % 7 === 0 ? y.softmax(-1) : y.mul(x).add(i)
    return y
  })
  chain.explain(rand([3, 5]))
  note()
  const readers = compile((x: Tensor) => Array.from({ length: 600 }, (_, i) => x.mul(i).sum({ dim: i % 2 })))
  readers.explain(rand([3, 5]))
  note()
  const model = new nn.Sequential(...Array.from({ length: 60 }, () => new nn.Linear(4, 4)))
  const optimizer = new optim.Adam(model.parameters())
  const step = compile((x: Tensor, y: Tensor) => {
    optimizer.zeroGrad()
    losses.crossEntropy(model.forward(x), y).backward()
    optimizer.step()
  })
  step.explain(rand([3, 4]), randint(4, [3]))
  note()
  spend.mockRestore()
  for (const share of used) expect(share).toBeLessThan(0.01)
})
