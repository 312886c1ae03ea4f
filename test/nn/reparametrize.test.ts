/** Weight norm and spectral norm: values of PyTorch's definitions, names, training, clones, both eager and compiled. */
import { describe, expect, test } from 'vitest'
import { compile, manualSeed, nn, ones, optim, randn, type Tensor, tensor } from '../../src/index.js'

const numbers = (t: Tensor | undefined): number[] => [...((t as Tensor).data as unknown as number[])]
const close = (a: number[], b: number[], digits = 5): void => {
  expect(a).toHaveLength(b.length)
  a.forEach((x, i) => {
    expect(x).toBeCloseTo(b[i], digits)
  })
}

describe('weightNorm', () => {
  test('starts with the same weight under other names', () => {
    manualSeed(0)
    const layer = new nn.Linear(3, 2)
    const before = numbers(layer.weight)
    const x = randn([4, 3])
    const y = layer.forward(x)
    expect(nn.weightNorm(layer)).toBe(layer)
    expect(Object.keys(layer.stateDict()).sort()).toEqual(['bias', 'weight_g', 'weight_v'])
    expect(layer.stateDict().weight_g.shape).toEqual([2, 1])
    close(numbers(layer.weight), before)
    close(numbers(layer.forward(x)), numbers(y))
  })

  test('length and direction are learned apart', () => {
    const layer = new nn.Linear(2, 1, { bias: false })
    layer.weight.assign(tensor([[3, 4]]))
    nn.weightNorm(layer)
    layer
      .forward(tensor([[1, 0]]))
      .sum()
      .backward()
    const grads = Object.fromEntries(layer.namedParameters().map(([name, p]) => [name, numbers(p.grad)]))
    close(grads.weight_g, [0.6])
    // g/‖v‖ · (I − v vᵀ/‖v‖²) · x
    close(grads.weight_v, [1 - 0.36, -0.48])
  })

  test('over all dimensions, of a convolution, in a clone', () => {
    const conv = nn.weightNorm(new nn.Conv2d(2, 3, 3), { dim: null })
    expect(conv.stateDict().weight_g.shape).toEqual([])
    const copy = conv.clone()
    copy.stateTensors().get('weight_g')?.assign(tensor(0))
    expect(numbers(copy.weight).every((w) => w === 0)).toBe(true)
    expect(numbers(conv.weight).some((w) => w !== 0)).toBe(true)
  })
})

describe('spectralNorm', () => {
  test('divides by the largest singular value', () => {
    manualSeed(1)
    const layer = new nn.Linear(2, 2, { bias: false })
    layer.weight.assign(
      tensor([
        [3, 0],
        [0, 1],
      ]),
    )
    nn.spectralNorm(layer, { nPowerIterations: 20 })
    expect(Object.keys(layer.stateDict()).sort()).toEqual(['weight_orig', 'weight_u', 'weight_v'])
    close(numbers(layer.forward(ones([1, 2]))), [1, 1 / 3])
    const u = numbers(layer.stateDict().weight_u)
    layer.eval().forward(ones([1, 2]))
    expect(numbers(layer.stateDict().weight_u)).toEqual(u)
  })

  test('learns, eager and compiled alike', () => {
    manualSeed(2)
    const layer = nn.spectralNorm(new nn.ConvTranspose2d(2, 3, 2), { dim: 1 })
    const copy = layer.clone()
    const x = randn([2, 2, 3, 3])
    const run = (m: typeof layer, eager: boolean): Record<string, Tensor> => {
      const optimizer = new optim.SGD(m.parameters(), { lr: 0.1 })
      const step = compile(
        (a: Tensor) => {
          optimizer.zeroGrad()
          const loss = m.forward(a).square().mean()
          loss.backward()
          optimizer.step()
          return loss
        },
        { eager },
      )
      for (let i = 0; i < 3; i++) step.sync(x)
      return m.stateDict()
    }
    const a = run(layer, true)
    const b = run(copy, false)
    for (const [name, t] of Object.entries(a)) close(numbers(b[name]), numbers(t), 4)
  })

  test('says what is wrong', () => {
    const code = (f: () => unknown): unknown => {
      try {
        f()
      } catch (error) {
        return (error as { code: string }).code
      }
      return 'nothing thrown'
    }
    expect(code(() => nn.spectralNorm(new nn.ReLU()))).toBe('ERR_NOT_A_PARAMETER')
    expect(code(() => nn.weightNorm({} as nn.Module))).toBe('ERR_NOT_A_MODULE')
    expect(code(() => nn.weightNorm(nn.weightNorm(new nn.Linear(1, 1))))).toBe('ERR_NOT_A_PARAMETER')
    expect(code(() => nn.spectralNorm(new nn.Linear(1, 1), { nPowerIterations: 0 }))).toBe('ERR_LAYER_OPTION')
    expect(code(() => nn.weightNorm(new nn.Linear(1, 1), { dim: 2 }))).toBe('ERR_DIM_RANGE')
  })
})
