/** Anomaly mode: the first op that makes a NaN or an infinity is named, with the user's line and the ranges of what it worked on. */
import { afterEach, describe, expect, it } from 'vitest'
import { withBackend } from '../src/backend/select.js'
import {
  ArgumentError,
  anomaly,
  assign,
  compile,
  fit,
  full,
  losses,
  nn,
  optim,
  StateError,
  type Tensor,
  tensor,
  where,
  zeros,
} from '../src/index.js'
import { eagerHooks } from '../src/ops/core/dispatch.js'
import { context } from '../src/tensor/context.js'
import { backends } from './support/backends.js'

afterEach(() => anomaly(false))

const leaf = (data: number[] | number[][]): Tensor => tensor(data, { requiresGrad: true })

function failure(fn: () => unknown): string {
  try {
    fn()
  } catch (error) {
    expect(error).toBeInstanceOf(StateError)
    expect((error as StateError).code).toBe('ERR_ANOMALY')
    return (error as Error).message
  }
  throw new Error('did not fail')
}

describe.each(backends)('anomaly mode on %s', (which) => {
  const test = (name: string, fn: () => unknown): void => it(name, () => withBackend(which, fn as () => Promise<void>))

  test('off, nothing is looked at', () => {
    expect(tensor([0]).log().item()).toBe(-Infinity)
    expect(eagerHooks.afterOp).toBeUndefined()
    expect(context.anomaly).toBe(false)
  })

  test('names the op of the forward pass that is first, the line, and the ranges', () => {
    anomaly(true)
    const message = failure(() => {
      const y = tensor([[4, 0, 1]]).log()
      return y.sum()
    })
    expect(message).toMatch(/^log: the result is the first to hold 1 infinite of 3 \(at .*anomaly\.test\.ts:\d+:\d+\)/)
    expect(message).toContain('Inputs: float32 [1, 3] from 0 to 4.')
  })

  test('tells NaN from infinities, and numbers from tensors', () => {
    anomaly(true)
    expect(failure(() => tensor([-1, -4, 4]).sqrt())).toContain('sqrt: the result is the first to hold 2 NaN of 3')
    expect(failure(() => tensor([0, 1, -1]).div(0))).toMatch(/1 NaN and 2 infinite of 3.*from -1 to 1; the number 0\./)
    expect(failure(() => tensor([3e38]).mul(10))).toContain('mul: the result is the first to hold 1 infinite')
  })

  test('names what makes it in the backward pass, with the line of the forward pass', () => {
    anomaly(true)
    const x = leaf([0, 1])
    const message = failure(() => {
      const y = x.sqrt()
      y.sum().backward()
    })
    expect(message).toMatch(/^backward of sqrt: the gradient of input 0 is the first to hold 1 infinite of 2 \(at .*anomaly\.test\.ts:/)
    expect(message).toContain('Inputs: float32 [2] from 0 to 1.')
    expect(message).toContain('The gradient that came in: float32 [2] from 1 to 1.')
    expect(x.grad).toBeUndefined()
  })

  test('says so where only the backward pass is watched', () => {
    const y = leaf([0, 1]).sqrt().sum()
    expect(failure(() => anomaly(() => y.backward()))).toContain('its line is known where the forward pass, too')
  })

  test('a masked branch that is infinite is found where it is made', () => {
    anomaly(true)
    const x = leaf([0, 1])
    expect(failure(() => where(x.lt(0.5), 0, x.log()))).toContain('log: the result is the first')
  })

  test('NaN from outside is told from NaN made here, infinities from outside may pass', () => {
    anomaly(true)
    const message = failure(() => tensor([[1, Number.NaN]]).matmul(tensor([[1], [2]])))
    expect(message).toMatch(/^matmul: input 0 holds NaN already/)
    expect(message).toContain('float32 [1, 2] from 1 to 1, with 1 NaN; float32 [2, 1] from 1 to 2')
    expect(message).toContain('came in from outside')
    const x = leaf([[1, 2, 3]])
    const masked = where(tensor([[true, false, true]]), x, Number.NEGATIVE_INFINITY)
    losses.crossEntropy(masked, tensor([0], { dtype: 'int32' })).backward()
    expect(x.grad?.at(0, 1).item()).toBe(0)
    expect(
      tensor([1])
        .add(full([1], Infinity))
        .item(),
    ).toBe(Infinity)
    expect(failure(() => full([1], Infinity).sub(full([1], Infinity)))).toContain('sub: the result is the first to hold 1 NaN')
  })

  test('views and copies of a NaN are no offence, nor is reading it', async () => {
    anomaly(true)
    const x = tensor([[Number.NaN, 1]])
    expect(x.transpose().clone().toArray()).toEqual([[Number.NaN], [1]])
    expect((await x.read())[1]).toBe(1)
    assign(zeros([1, 2]), x)
  })

  test('strided and integer tensors', () => {
    anomaly(true)
    const x = tensor([
      [1, 0],
      [2, 3],
    ])
    expect(failure(() => x.transpose().log())).toContain('float32 [2, 2] from 0 to 3')
    expect(tensor([1, 2], { dtype: 'int32' }).add(1).toArray()).toEqual([2, 3])
    expect(zeros([0, 3]).log().shape).toEqual([0, 3])
  })

  test('compiled functions run op by op and say so', async () => {
    const w = leaf([1, 2])
    const f = compile(
      (x: Tensor) => {
        const y = w.mul(x).log().sum()
        y.backward()
        return y
      },
      { name: 'step' },
    )
    f.sync(tensor([1, 1]))
    w.grad = undefined
    const message = await anomaly(async () => {
      await expect(f(tensor([0, 1]))).rejects.toThrow('log: the result is the first to hold 1 infinite of 2')
      return failure(() => f.sync(tensor([0, 1])))
    })
    expect(message).toContain('Anomaly mode runs compile(step) op by op.')
    expect(message).toMatch(/\(at .*anomaly\.test\.ts:/)
    expect(context.anomaly).toBe(false)
    expect(f.sync(tensor([0, 1])).item()).toBe(-Infinity)
  })

  test('a scope ends with its function, or its promise, also when they fail', async () => {
    expect(anomaly(() => context.anomaly)).toBe(true)
    expect(context.anomaly).toBe(false)
    expect(() =>
      anomaly(() => {
        throw new Error('on purpose')
      }),
    ).toThrow('on purpose')
    const pending = anomaly(async () => {
      await new Promise((resolve) => setTimeout(resolve, 1))
      anomaly(() => 1)
      expect(context.anomaly).toBe(true)
      throw new Error('later')
    })
    expect(context.anomaly).toBe(true)
    await expect(pending).rejects.toThrow('later')
    expect(context.anomaly).toBe(false)
    expect(() => anomaly(3 as unknown as boolean)).toThrow(ArgumentError)
  })

  test('finds what spoils a fit', async () => {
    class Broken extends nn.Module {
      readonly linear = new nn.Linear(2, 2)
      forward(x: Tensor): Tensor {
        return this.linear.forward(x).relu().log()
      }
    }
    const model = new Broken()
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 })
    const train = fit.bind(undefined, model, [zeros([8, 2]), zeros([8, 2])], { loss: losses.mseLoss, optimizer, progress: false })
    assign(model.linear.bias as Tensor, -1)
    await expect(train()).rejects.toThrow(/anomaly\(true\)/)
    assign(model.linear.weight, 0)
    assign(model.linear.bias as Tensor, -1)
    await expect(anomaly(() => train())).rejects.toThrow(
      /log: the result is the first to hold 16 infinite of 16.*Anomaly mode runs compile\(fit\)/,
    )
    expect(context.anomaly).toBe(false)
  })

  test('optimizers take steps in it, also where a parameter has no gradient', () => {
    anomaly(true)
    const [a, b] = [leaf([1, 2]), leaf([3])]
    const optimizer = new optim.Adam([a, b], { lr: 0.1 })
    a.square().sum().backward()
    optimizer.step()
    expect((a.toArray() as number[])[0]).toBeCloseTo(0.9, 5)
    expect(b.item()).toBe(3)
  })
})
