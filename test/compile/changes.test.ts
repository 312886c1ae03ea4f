/** Functions that are compiled at every call, because something they read is another each time, say what that is. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { compile, nn, ones, optim, type Tensor } from '../../src/index.js'

const warnings: string[] = []
const spy = (): void => {
  warnings.length = 0
  vi.spyOn(process, 'emitWarning').mockImplementation((text: string | Error, options?: unknown) => {
    if ((options as { code?: string })?.code === 'WARN_CHANGES') warnings.push(String(text))
  })
}

class Scaled extends nn.Module {
  scale = 1
  readonly bounds = { low: 0 }

  forward(x: Tensor): Tensor {
    return x.mul(this.scale).clamp(this.bounds.low, 100)
  }
}

describe('what is another at each call', () => {
  afterEach(() => vi.restoreAllMocks())

  it('is named once: a field', () => {
    spy()
    const net = new Scaled()
    const f = compile((x: Tensor) => net.forward(x), { name: 'scaled' })
    for (let i = 0; i < 9; i++) {
      net.scale = i
      expect(f.sync(ones([2])).toArray()).toEqual([i, i])
    }
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(/^compile\(scaled\): compiled 4 times .* another Scaled\.scale\. /)
  })

  it('is named: what a field holds', () => {
    spy()
    const net = new Scaled()
    const f = compile((x: Tensor) => net.forward(x))
    for (let i = 0; i < 6; i++) {
      net.bounds.low = i
      f.sync(ones([2]))
    }
    expect(warnings[0]).toContain('another Scaled.bounds.')
  })

  it('is named: an argument', () => {
    spy()
    const f = compile((x: Tensor, mode: string) => (mode === '' ? x : x.neg()))
    for (let i = 0; i < 6; i++) f.sync(ones([2]), `mode ${i}`)
    expect(warnings[0]).toMatch(/another argument that is neither a tensor nor a number \('mode 3'\)\./)
  })

  it('is nothing in what compiles a few times: modes, gradients, shapes, learning rates', () => {
    spy()
    const net = new nn.Sequential(new nn.Linear(2, 2), new nn.Dropout(0.5))
    const optimizer = new optim.SGD(net.parameters(), { lr: 0.1, momentum: 0.9 })
    const step = compile((x: Tensor) => {
      optimizer.zeroGrad()
      const loss = net.forward(x).sum()
      loss.backward()
      optimizer.step()
      return loss
    })
    for (let i = 0; i < 12; i++) {
      net.train(i % 3 > 0)
      optimizer.lr = 0.1 / (i + 1)
      step.sync(ones([1 + (i % 4), 2]))
    }
    expect(warnings).toEqual([])
  })
})
