/** Recurrent layers: names, packed sequences against each sequence alone, projections, and what is refused. */
import { describe, expect, it } from 'vitest'
import { ChainruleError, compile, concat, manualSeed, nn, randn, type Tensor, tensor, zeros } from '../../src/index.js'
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

describe('state dicts', () => {
  it('have the names and order of PyTorch', () => {
    const lstm = new nn.LSTM(3, 4, { numLayers: 2, bidirectional: true, projSize: 2 })
    const names = lstm.namedParameters().map(([name]) => name)
    const one = (suffix: string): string[] => ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh', 'weight_hr'].map((n) => n + suffix)
    expect(names).toEqual(['_l0', '_l0_reverse', '_l1', '_l1_reverse'].flatMap(one))
    expect(lstm.stateDict().weight_ih_l1.shape).toEqual([16, 4])
    expect(new nn.GRUCell(3, 4, { bias: false }).namedParameters().map(([name]) => name)).toEqual(['weight_ih', 'weight_hh'])
  })

  it('survive a copy', () => {
    const gru = new nn.GRU(3, 4)
    expect(Object.keys(gru.clone().stateDict())).toEqual(Object.keys(gru.stateDict()))
    expect(gru.parameters().every((p) => Math.abs(p.data[0]) <= 0.5)).toBe(true)
  })
})

describe('packed sequences', () => {
  const lengths = [2, 5, 1, 4]

  type Layer = nn.RNN | nn.GRU | nn.LSTM
  const outputs = (layer: Layer, x: Tensor | nn.PackedSequence): { output: Tensor | nn.PackedSequence; states: Tensor[] } => {
    const [output, state] = (layer as nn.GRU).forward(x as Tensor) as [Tensor | nn.PackedSequence, Tensor | Tensor[]]
    return { output, states: Array.isArray(state) ? state : [state] }
  }
  const layers: [string, () => Layer][] = [
    ['RNN', () => new nn.RNN(3, 4, { bidirectional: true, numLayers: 2 })],
    ['GRU', () => new nn.GRU(3, 4, { bidirectional: true, numLayers: 2 })],
    ['LSTM', () => new nn.LSTM(3, 4, { bidirectional: true, numLayers: 2 })],
    ['LSTM with projection', () => new nn.LSTM(3, 4, { bidirectional: true, projSize: 2 })],
  ]

  it.each(layers)('%s gives what each sequence gives alone', (_name, make) => {
    each(() => {
      manualSeed(1)
      const layer = make()
      const x = randn([6, 4, 3], { requiresGrad: true })
      const packed = nn.packPaddedSequence(x, lengths, { enforceSorted: false })
      const { output, states } = outputs(layer, packed)
      const [padded, own] = nn.padPackedSequence(output as nn.PackedSequence)
      expect(own.toArray()).toEqual(lengths)
      expect(padded.shape[0]).toBe(5)
      const seed = randn(padded.shape)
      padded
        .mul(seed)
        .sum()
        .add(concat(states.map((s) => s.reshape([s.size]))).sum())
        .backward()
      const together = layer.parameters().map((p) => p.grad as Tensor)
      const inputGrad = x.grad as Tensor
      layer.zeroGrad()
      lengths.forEach((n, b) => {
        const alone = x.detach().narrow(1, b, 1).narrow(0, 0, n).clone()
        alone.requiresGrad = true
        const one = outputs(layer, alone)
        expectClose(`output ${b}`, padded.narrow(1, b, 1).narrow(0, 0, n), one.output as Tensor, 1e-5)
        expect(
          padded
            .narrow(1, b, 1)
            .slice(0, n)
            .data.every((v) => v === 0),
        ).toBe(true)
        one.states.forEach((s, i) => expectClose(`state ${i} of ${b}`, states[i].narrow(1, b, 1), s, 1e-5))
        const part = seed.narrow(1, b, 1).narrow(0, 0, n)
        ;(one.output as Tensor)
          .mul(part)
          .sum()
          .add(concat(one.states.map((s) => s.reshape([s.size]))).sum())
          .backward()
        expectClose(`gradient of x ${b}`, inputGrad.narrow(1, b, 1).narrow(0, 0, n), alone.grad as Tensor, 1e-5)
      })
      layer.parameters().forEach((p, i) => expectClose(`gradient ${i}`, together[i], p.grad as Tensor, 1e-5))
    })
  })

  it('show PyTorch’s data and batch sizes, and pad as asked', () => {
    const x = tensor([
      [1, 2, 3],
      [4, 5, 0],
      [6, 0, 0],
    ]).unsqueeze(2)
    const packed = nn.packPaddedSequence(x, [3, 2, 1], { batchFirst: true })
    expect(packed.batchSizes).toEqual([3, 2, 1])
    expect(packed.data.reshape([6]).toArray()).toEqual([1, 4, 6, 2, 5, 3])
    const [padded] = nn.padPackedSequence(packed, { batchFirst: true, totalLength: 4, paddingValue: 9 })
    expect(padded.reshape([3, 4]).toArray()).toEqual([
      [1, 2, 3, 9],
      [4, 5, 9, 9],
      [6, 9, 9, 9],
    ])
    const listed = nn.packSequence([tensor([1, 2]), tensor([3, 4, 5])], { enforceSorted: false })
    expect(listed.data.toArray()).toEqual([3, 1, 4, 2, 5])
    expect(nn.padSequence([tensor([1, 2]), tensor([3])], { batchFirst: true, paddingValue: -1 }).toArray()).toEqual([
      [1, 2],
      [3, -1],
    ])
  })

  it('take lengths as arguments of a compiled function', () => {
    const gru = new nn.GRU(3, 4)
    const x = randn([5, 3, 3])
    const f = (a: Tensor, n: Tensor): Tensor => gru.forward(nn.packPaddedSequence(a, n, { enforceSorted: false }))[1]
    const compiled = compile(f)
    for (const n of [
      [1, 3, 5],
      [5, 5, 2],
    ]) {
      const given = tensor(n, { dtype: 'int32' })
      expectClose('hidden', compiled.sync(x, given), f(x, given), 1e-5)
    }
  })

  it('are refused when lengths do not fit', () => {
    const x = zeros([3, 2, 4])
    expect(code(() => nn.packPaddedSequence(x, [4, 1]))).toBe('ERR_LENGTHS')
    expect(code(() => nn.packPaddedSequence(x, [3, 0]))).toBe('ERR_LENGTHS')
    expect(code(() => nn.packPaddedSequence(x, [1, 3]))).toBe('ERR_LENGTHS')
    expect(code(() => nn.packPaddedSequence(x, [3, 2, 1]))).toBe('ERR_LENGTHS')
    expect(code(() => nn.packPaddedSequence(x, [2.5, 1]))).toBe('ERR_LENGTHS')
    expect(code(() => nn.packPaddedSequence(x, tensor([2, 1])))).toBe('ERR_DTYPE')
    expect(code(() => nn.padPackedSequence(nn.packPaddedSequence(x, [3, 1]), { totalLength: 2 }))).toBe('ERR_LENGTHS')
    expect(code(() => nn.padPackedSequence(x as unknown as nn.PackedSequence))).toBe('ERR_NOT_PACKED')
    expect(code(() => nn.padSequence([]))).toBe('ERR_EMPTY_LIST')
    expect(code(() => nn.padSequence([zeros([2, 3]), zeros([2, 4])]))).toBe('ERR_STACK')
  })
})

describe('layers', () => {
  it('read one sequence without a batch, and batch first', () => {
    each(() => {
      const lstm = new nn.LSTM(3, 4, { batchFirst: true })
      const x = randn([2, 5, 3])
      const [y, [h, c]] = lstm.forward(x)
      const [y0, [h0, c0]] = lstm.forward(x.at(0))
      expect([y0.shape, h0.shape, c0.shape]).toEqual([
        [5, 4],
        [1, 4],
        [1, 4],
      ])
      expectClose('output', y0, y.at(0), 1e-6)
      expectClose('hidden', h0, h.at(null, 0), 1e-6)
      expectClose('cell', c0, c.at(null, 0), 1e-6)
    })
  })

  it('go step by step as their cells do', () => {
    each(() => {
      const x = randn([4, 2, 3])
      const gru = new nn.GRU(3, 5)
      const gruCell = new nn.GRUCell(3, 5)
      const named = (state: Record<string, Tensor>): Record<string, Tensor> =>
        Object.fromEntries(Object.entries(state).map(([name, t]) => [name.replace('_l0', ''), t]))
      gruCell.loadStateDict(named(gru.stateDict()))
      const lstm = new nn.LSTM(3, 5)
      const lstmCell = new nn.LSTMCell(3, 5)
      lstmCell.loadStateDict(named(lstm.stateDict()))
      const rnn = new nn.RNN(3, 5, { nonlinearity: 'relu' })
      const rnnCell = new nn.RNNCell(3, 5, { nonlinearity: 'relu' })
      rnnCell.loadStateDict(named(rnn.stateDict()))
      let h: Tensor | undefined
      let r: Tensor | undefined
      let pair: [Tensor, Tensor] | undefined
      for (let t = 0; t < 4; t++) {
        h = gruCell.forward(x.at(t), h)
        r = rnnCell.forward(x.at(t), r)
        pair = lstmCell.forward(x.at(t), pair)
      }
      expectClose('gru', h as Tensor, gru.forward(x)[1].at(0), 1e-5)
      expectClose('rnn', r as Tensor, rnn.forward(x)[1].at(0), 1e-5)
      expectClose('lstm', (pair as [Tensor, Tensor])[1], lstm.forward(x)[1][1].at(0), 1e-5)
      expect(gruCell.forward(x.at(0, 0)).shape).toEqual([5])
    })
  })

  it('drop between layers while training', () => {
    const lstm = new nn.LSTM(3, 4, { numLayers: 2, dropout: 1 })
    const x = randn([4, 2, 3])
    const quiet = lstm.forward(x.mul(0))[0]
    expectClose('all dropped', lstm.forward(x)[0], quiet, 1e-6)
    lstm.eval()
    expect(lstm.forward(x)[0].sub(quiet).abs().amax().item()).toBeGreaterThan(1e-3)
  })

  it('refuse what does not fit', () => {
    const lstm = new nn.LSTM(3, 4, { numLayers: 2 })
    const x = zeros([5, 2, 3])
    const state = (...shape: number[]): Tensor => zeros(shape)
    expect(code(() => lstm.forward(zeros([5, 2, 4]) as Tensor))).toBe('ERR_LAYER_INPUT')
    expect(code(() => lstm.forward(zeros([3]) as Tensor))).toBe('ERR_LAYER_INPUT')
    expect(code(() => lstm.forward(zeros([0, 2, 3])))).toBe('ERR_LAYER_INPUT')
    expect(code(() => lstm.forward(x, [state(1, 2, 4), state(2, 2, 4)]))).toBe('ERR_LAYER_STATE')
    expect(code(() => lstm.forward(x, [state(2, 2, 4), state(2, 3, 4)]))).toBe('ERR_LAYER_STATE')
    expect(code(() => lstm.forward(x, state(2, 2, 4) as unknown as [Tensor, Tensor]))).toBe('ERR_LAYER_STATE')
    expect(code(() => lstm.forward(zeros([5, 2, 3], { dtype: 'int32' })))).toBe('ERR_DTYPE')
    expect(code(() => new nn.LSTM(3, 4, { projSize: 4 }))).toBe('ERR_LAYER_OPTION')
    expect(code(() => new nn.GRU(3, 0))).toBe('ERR_LAYER_OPTION')
    expect(code(() => new nn.RNN(3, 4, { nonlinearity: 'sigmoid' as 'tanh' }))).toBe('ERR_LAYER_OPTION')
    expect(code(() => new nn.GRUCell(3, 4).forward(zeros([2, 3]), zeros([3, 4])))).toBe('ERR_LAYER_STATE')
    expect(code(() => new nn.GRUCell(3, 4).forward(zeros([2, 2, 3])))).toBe('ERR_LAYER_INPUT')
  })
})
