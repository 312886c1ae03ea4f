/** Attention layers: masks against each other, names, caches, positions, Transformer stacks, and what is refused. */
import { describe, expect, it } from 'vitest'
import {
  arange,
  ChainruleError,
  compile,
  full,
  manualSeed,
  nn,
  noGrad,
  ones,
  randn,
  scaledDotProductAttention,
  type Tensor,
  tensor,
  zeros,
} from '../../src/index.js'
import { backends, onJs, onNative } from '../support/backends.js'
import { expectClose } from '../support/compare.js'

const code = (call: () => unknown): string => {
  try {
    call()
  } catch (e) {
    if (e instanceof ChainruleError) return e.code
    throw e
  }
  return 'nothing thrown'
}

const each = (f: () => void): void => {
  for (const which of backends) (which === 'js' ? onJs : onNative)(f)
}

const later = (n: number): Tensor => tensor(Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => j > i)))

describe('scaledDotProductAttention', () => {
  it('gives zeros, and no gradient, where nothing may be attended to', () => {
    each(() => {
      const [q, k, v] = [randn([3, 4], { requiresGrad: true }), randn([3, 4]), randn([3, 4])]
      const attnMask = tensor([
        [true, false, false],
        [false, false, false],
        [true, true, true],
      ])
      const y = scaledDotProductAttention(q, k, v, { attnMask })
      y.sum().backward()
      expect(y.at(1).toArray()).toEqual([0, 0, 0, 0])
      expect((q.grad as Tensor).at(1).toArray()).toEqual([0, 0, 0, 0])
      const added = attnMask.logicalNot().to('float32').mul(-1e30)
      expectClose('added instead', scaledDotProductAttention(q, k, v, { attnMask: added }).at(0), y.at(0), 1e-5)
    })
  })

  it('stays finite with large scores and many keys', () => {
    each(() => {
      const q = randn([1, 2, 70, 16]).mul(60)
      const y = scaledDotProductAttention(q, q, q, { isCausal: true })
      expect(y.data.every(Number.isFinite)).toBe(true)
      expectClose('first row', y.at(0, 0, 0), q.at(0, 0, 0), 1e-5)
    })
  })

  it('drops weights', () => {
    const v = randn([5, 4])
    expect(scaledDotProductAttention(v, v, v, { dropoutP: 1 }).data.every((x) => x === 0)).toBe(true)
    manualSeed(3)
    expect(
      scaledDotProductAttention(v, v, v, { dropoutP: 0.5 })
        .sub(scaledDotProductAttention(v, v, v))
        .abs()
        .amax()
        .item(),
    ).toBeGreaterThan(1e-3)
  })
})

describe('a row whose keys are all masked', () => {
  const which = { js: onJs, native: onNative }

  // PyTorch 2.14: finite masks leave equal weights, however low they are, and -∞ leaves none
  it.each(backends.flatMap((b) => [-3.4028234663852886e38, -1e9, -5000, 700].map((mask) => [b, mask] as const)))(
    '%s, by %d',
    (backend, low) => {
      which[backend](() => {
        const keys = 131
        const mask = full([1, keys], low)
        const v = new nn.Parameter(arange(keys).to('float32').reshape([1, 1, keys, 1]))
        const [q, k] = [zeros([1, 1, 1, 2]), ones([1, 1, keys, 2])]
        const step = (): Tensor => {
          v.grad = undefined
          const loss = scaledDotProductAttention(q, k, v, { attnMask: mask }).sum()
          loss.backward()
          return loss
        }
        const compiled = compile(step)
        for (const run of [step, () => compiled.sync(), () => compiled.sync()]) {
          expect(run().item()).toBeCloseTo(65, 3)
          expectClose('the gradient', v.grad as Tensor, full([1, 1, keys, 1], 1 / keys), 1e-5)
        }
      })
    },
  )
})

describe('MultiheadAttention', () => {
  it('has the names of PyTorch, and its initial values', () => {
    const names = (m: nn.Module): string[] => Object.keys(m.stateDict())
    expect(names(new nn.MultiheadAttention(8, 2))).toEqual(['in_proj_weight', 'in_proj_bias', 'out_proj.weight', 'out_proj.bias'])
    expect(names(new nn.MultiheadAttention(8, 2, { kdim: 4, vdim: 6, bias: false }))).toEqual([
      'q_proj_weight',
      'k_proj_weight',
      'v_proj_weight',
      'out_proj.weight',
    ])
    const layer = new nn.MultiheadAttention(8, 2)
    expect(layer.stateDict()['out_proj.bias'].data.every((x) => x === 0)).toBe(true)
    expect(Object.keys(layer.clone().stateDict())).toEqual(names(layer))
  })

  it('gives the same with masks of all kinds, with and without weights', () => {
    each(() => {
      const layer = new nn.MultiheadAttention(8, 2, { batchFirst: true })
      const x = randn([3, 5, 8])
      const padding = tensor([
        [false, false, false, false, true],
        [false, false, false, true, true],
        [false, false, false, false, false],
      ])
      const [y, weights] = layer.forward(x, x, x, { attnMask: later(5), keyPaddingMask: padding })
      expect((weights as Tensor).shape).toEqual([3, 5, 5])
      expectClose('weights sum to one', (weights as Tensor).sum({ dim: -1 }), zeros([3, 5]).add(1), 1e-5)
      const ways: nn.MultiheadAttentionCall[] = [
        { isCausal: true, keyPaddingMask: padding },
        { attnMask: later(5).to('float32').mul(-1e9), keyPaddingMask: padding },
        { attnMask: later(5), keyPaddingMask: padding.to('float32').mul(-1e9) },
        { attnMask: later(5).expand([6, 5, 5]), keyPaddingMask: padding },
      ]
      for (const masks of ways) {
        for (const needWeights of [true, false]) expectClose('another way', layer.forward(x, x, x, { ...masks, needWeights })[0], y, 1e-4)
      }
      const [, byHead] = layer.forward(x, x, x, { averageAttnWeights: false })
      expect((byHead as Tensor).shape).toEqual([3, 2, 5, 5])
      const alone = x.at(0)
      expectClose('without a batch', layer.forward(alone, alone, alone)[0], layer.forward(x, x, x)[0].at(0), 1e-5)
      const shifted = new nn.MultiheadAttention(8, 2)
      shifted.loadStateDict(layer.stateDict())
      const t = x.transpose(0, 1)
      expectClose('time first', shifted.forward(t, t, t)[0].transpose(0, 1), layer.forward(x, x, x)[0], 1e-5)
    })
  })

  it('attends across, with keys and values of other sizes', () => {
    each(() => {
      const layer = new nn.MultiheadAttention(8, 4, { kdim: 3, vdim: 5, batchFirst: true })
      const [y] = layer.forward(randn([2, 4, 8]), randn([2, 6, 3]), randn([2, 6, 5]))
      expect(y.shape).toEqual([2, 4, 8])
      const same = new nn.MultiheadAttention(8, 4, { batchFirst: true })
      const [q, k] = [randn([2, 4, 8]), randn([2, 6, 8])]
      expectClose('shared keys and values', same.forward(q, k, k)[0], same.forward(q, k, k.clone())[0], 1e-5)
    })
  })

  it('refuses what does not fit', () => {
    const layer = new nn.MultiheadAttention(8, 2, { batchFirst: true })
    const x = zeros([3, 5, 8])
    expect(code(() => new nn.MultiheadAttention(8, 3))).toBe('ERR_HEADS')
    expect(code(() => layer.forward(zeros([3, 5, 7]), x, x))).toBe('ERR_LAYER_INPUT')
    expect(code(() => layer.forward(x, zeros([2, 5, 8]), zeros([2, 5, 8])))).toBe('ERR_LAYER_INPUT')
    expect(code(() => layer.forward(x, zeros([3, 6, 8]), zeros([3, 5, 8])))).toBe('ERR_LAYER_INPUT')
    expect(code(() => layer.forward(x, x, x, { attnMask: zeros([4, 5]) }))).toBe('ERR_MASK')
    expect(code(() => layer.forward(x, x, x, { attnMask: zeros([5, 5], { dtype: 'int32' }) }))).toBe('ERR_DTYPE')
    expect(code(() => layer.forward(x, x, x, { keyPaddingMask: zeros([5, 3]) }))).toBe('ERR_MASK')
    expect(code(() => layer.forward(x.to('int32'), x, x))).toBe('ERR_DTYPE')
  })
})

describe('KeyValueCache', () => {
  it('gives, step by step, what causal attention gives at once', () => {
    each(() => {
      const [q, k, v] = [randn([2, 3, 6, 4]), randn([2, 3, 6, 4]), randn([2, 3, 6, 4])]
      const whole = scaledDotProductAttention(q, k, v, { isCausal: true })
      const cache = new nn.KeyValueCache(2, 3, 6, 4)
      for (let t = 0; t < 6; t++) {
        const [keys, values] = cache.append(k.narrow(2, t, 1), v.narrow(2, t, 1))
        expectClose(`step ${t}`, scaledDotProductAttention(q.narrow(2, t, 1), keys, values), whole.narrow(2, t, 1), 1e-5)
      }
      expect(code(() => cache.append(k.narrow(2, 0, 1), v.narrow(2, 0, 1)))).toBe('ERR_CACHE_FULL')
      cache.clear()
      expect(cache.length).toBe(0)
      expect(code(() => cache.append(k.narrow(1, 0, 1), v))).toBe('ERR_CACHE_SHAPE')
      expect(code(() => compile(() => cache.append(k, v)[0]).sync())).toBe('ERR_STATE_IN_TRACE')
    })
  })
})

describe('positions', () => {
  it('turn so that scores depend on distances', () => {
    each(() => {
      for (const interleaved of [true, false]) {
        const rotary = new nn.RotaryEmbedding(8, { interleaved })
        const q = randn([1, 8]).expand([10, 8])
        const k = randn([1, 8]).expand([10, 8])
        const scores = rotary.forward(q).matmul(rotary.forward(k).transpose())
        expectClose('distance 2', scores.at(2, 0), scores.at(9, 7), 1e-5)
        expectClose('offset', rotary.forward(q.narrow(0, 0, 3), { offset: 4 }), rotary.forward(q).narrow(0, 4, 3), 1e-6)
        expect(rotary.forward(q).at(0).toArray()).toEqual(q.at(0).toArray())
      }
      expect(code(() => new nn.RotaryEmbedding(7))).toBe('ERR_LAYER_OPTION')
      expect(code(() => new nn.RotaryEmbedding(8, { maxLength: 4 }).forward(zeros([5, 8])))).toBe('ERR_LAYER_INPUT')
    })
  })

  it('are sines and cosines', () => {
    const encoding = new nn.PositionalEncoding(4, { dropout: 0, batchFirst: true })
    const row = encoding
      .forward(zeros([2, 6, 4]))
      .at(1, 5)
      .toArray() as number[]
    const wanted = [Math.sin(5), Math.cos(5), Math.sin(0.05), Math.cos(0.05)]
    row.forEach((x, i) => expect(x).toBeCloseTo(wanted[i], 6))
    expect(Object.keys(encoding.stateDict())).toEqual(['pe'])
    expect(code(() => encoding.forward(zeros([2, 6, 5])))).toBe('ERR_LAYER_INPUT')
  })
})

describe('Transformer', () => {
  it('has the names of PyTorch', () => {
    const names = Object.keys(new nn.Transformer(8, 2, { numEncoderLayers: 1, numDecoderLayers: 1, dimFeedforward: 16 }).stateDict())
    const attention = (of: string): string[] =>
      ['in_proj_weight', 'in_proj_bias', 'out_proj.weight', 'out_proj.bias'].map((n) => `${of}.${n}`)
    const pair = (of: string): string[] => [`${of}.weight`, `${of}.bias`]
    expect(names).toEqual([
      ...attention('encoder.layers.0.self_attn'),
      ...['linear1', 'linear2', 'norm1', 'norm2'].flatMap((n) => pair(`encoder.layers.0.${n}`)),
      ...pair('encoder.norm'),
      ...attention('decoder.layers.0.self_attn'),
      ...attention('decoder.layers.0.multihead_attn'),
      ...['linear1', 'linear2', 'norm1', 'norm2', 'norm3'].flatMap((n) => pair(`decoder.layers.0.${n}`)),
      ...pair('decoder.norm'),
    ])
  })

  it('does not look ahead, nor at padding', () => {
    each(() => {
      const model = new nn.Transformer(8, 2, {
        numEncoderLayers: 2,
        numDecoderLayers: 2,
        dimFeedforward: 16,
        batchFirst: true,
        activation: 'gelu',
        normFirst: true,
      }).eval()
      const [source, target] = [randn([2, 5, 8]), randn([2, 4, 8])]
      const padding = tensor([
        [false, false, false, true, true],
        [false, false, false, false, false],
      ])
      const masks = { tgtIsCausal: true, srcKeyPaddingMask: padding, memoryKeyPaddingMask: padding }
      const y = noGrad(() => model.forward(source, target, masks))
      const shorter = model.forward(source, target.narrow(1, 0, 2), masks)
      expectClose('first two positions', y.narrow(1, 0, 2), shorter, 1e-4)
      expectClose(
        'without the padding',
        y.narrow(0, 0, 1),
        model.forward(source.narrow(0, 0, 1).narrow(1, 0, 3), target.narrow(0, 0, 1), { tgtIsCausal: true }),
        1e-4,
      )
      const masked = model.forward(source, target, {
        ...masks,
        tgtIsCausal: false,
        tgtMask: nn.Transformer.generateSquareSubsequentMask(4),
      })
      expectClose('with a mask instead', masked, y, 1e-4)
      expectClose('compiled', compile((a: Tensor, b: Tensor) => model.forward(a, b, masks)).sync(source, target), y, 1e-4)
    })
  })

  it('drops while training only', () => {
    const layer = new nn.TransformerEncoderLayer(8, 2, { dimFeedforward: 16 })
    const x = randn([3, 2, 8])
    expect(layer.forward(x).sub(layer.forward(x)).abs().amax().item()).toBeGreaterThan(1e-4)
    layer.eval()
    expect(layer.forward(x).sub(layer.forward(x)).abs().amax().item()).toBe(0)
    expect(code(() => new nn.TransformerEncoderLayer(8, 2, { activation: 'swish' as 'relu' }))).toBe('ERR_LAYER_OPTION')
    expect(code(() => layer.forward(x, { srcMask: zeros([2, 2]) }))).toBe('ERR_MASK')
  })
})
