/** Language models: names, generation against plain forward passes, that they learn, and what is refused. */
import { describe, expect, it } from 'vitest'
import { ChainruleError, compile, losses, manualSeed, noGrad, optim, type Tensor, tensor } from '../src/index.js'
import { CharLSTM, GPT, Seq2SeqTransformer } from '../src/models/index.js'

const code = (call: () => unknown): string => {
  try {
    call()
  } catch (e) {
    if (e instanceof ChainruleError) return e.code
    throw e
  }
  return 'nothing thrown'
}

const ints = (x: number[][]): Tensor => tensor(x, { dtype: 'int32' })
const tiny = { vocabSize: 7, blockSize: 6, nLayer: 2, nHead: 2, nEmbd: 8 }

describe('GPT', () => {
  it('has the names of nanoGPT, the output layer being the token embedding', () => {
    const model = new GPT({ ...tiny, nLayer: 1 })
    const pair = (of: string): string[] => [`${of}.weight`, `${of}.bias`]
    const block = ['ln_1', 'attn.c_attn', 'attn.c_proj', 'ln_2', 'mlp.c_fc', 'mlp.c_proj'].flatMap((n) => pair(`transformer.h.0.${n}`))
    expect(Object.keys(model.stateDict()).sort()).toEqual(
      ['lm_head.weight', 'transformer.wte.weight', 'transformer.wpe.weight', ...block, ...pair('transformer.ln_f')].sort(),
    )
    expect(model.lmHead.weight).toBe(model.transformer.wte.weight)
    expect(new GPT({ ...tiny, bias: false }).namedParameters().filter(([name]) => name.endsWith('bias'))).toEqual([])
  })

  it('generates with its cache what it does without', () => {
    manualSeed(0)
    const model = new GPT(tiny)
    const rows = [
      [1, 2],
      [3, 4],
    ]
    const made = model.generate(rows, 8, { temperature: 0 })
    const plain = rows.map((r) => [...r])
    for (let n = 0; n < 8; n++) {
      const scores = noGrad(() => model.forward(ints(plain.map((r) => r.slice(-6)))))
      const last = scores
        .narrow(1, scores.shape[1] - 1, 1)
        .argmax(-1)
        .reshape([2])
        .toArray() as number[]
      last.forEach((t, i) => void plain[i].push(t))
    }
    expect(made).toEqual(plain)
    expect(model.training).toBe(true)
    manualSeed(5)
    const drawn = model.generate(rows, 20, { temperature: 0.8, topK: 3 })
    manualSeed(5)
    expect(model.generate(rows, 20, { temperature: 0.8, topK: 3 })).toEqual(drawn)
  })

  it('learns a sequence', () => {
    manualSeed(1)
    const model = new GPT({ ...tiny, bias: false })
    const optimizer = new optim.AdamW(model.parameters(), { lr: 0.01 })
    const x = ints([[0, 1, 2, 3, 4, 5]])
    const y = ints([[1, 2, 3, 4, 5, 6]])
    const step = compile(() => {
      const loss = losses.crossEntropy(model.forward(x).reshape([-1, 7]), y.reshape([-1]))
      optimizer.zeroGrad()
      loss.backward()
      optimizer.step()
      return loss
    })
    let loss = Number.NaN
    for (let i = 0; i < 150; i++) loss = step.sync().item()
    expect(loss).toBeLessThan(0.1)
    expect(model.generate([[0]], 5, { temperature: 0 })).toEqual([[0, 1, 2, 3, 4, 5]])
  })

  it('refuses what does not fit', () => {
    const model = new GPT(tiny)
    expect(code(() => new GPT({ ...tiny, nHead: 3 }))).toBe('ERR_HEADS')
    expect(code(() => new GPT({ ...tiny, nLayer: 0 }))).toBe('ERR_LAYER_OPTION')
    expect(code(() => model.forward(ints([[0, 1, 2, 3, 4, 5, 6]])))).toBe('ERR_LAYER_INPUT')
    expect(code(() => model.forward(tensor([0, 1], { dtype: 'int32' })))).toBe('ERR_LAYER_INPUT')
    expect(code(() => model.generate([], 3))).toBe('ERR_PROMPT')
    expect(code(() => model.generate([[1], [1, 2]], 3))).toBe('ERR_PROMPT')
    expect(code(() => model.generate([[1]], -1))).toBe('ERR_SAMPLE')
    expect(code(() => model.generate([[1]], 1, { temperature: -1 }))).toBe('ERR_SAMPLE')
    expect(code(() => model.generate([[1]], 1, { topK: 0 }))).toBe('ERR_SAMPLE')
  })
})

describe('CharLSTM', () => {
  it('generates step by step what it gives at once', () => {
    manualSeed(2)
    const model = new CharLSTM(7, { embedding: 4, hidden: 6 })
    const made = model.generate([3, 1], 6, { temperature: 0 })
    const scores = noGrad(() => model.forward(ints(made.slice(0, -1).map((t) => [t]))))
    expect(scores.argmax(-1).reshape([7]).toArray()).toEqual([expect.any(Number), ...made.slice(2)])
    expect(Object.keys(model.stateDict())).toEqual(
      expect.arrayContaining(['emb.weight', 'lstm.weight_ih_l0', 'lstm.bias_hh_l1', 'head.weight', 'head.bias']),
    )
    expect(code(() => model.generate([], 2))).toBe('ERR_PROMPT')
    expect(code(() => model.forward(tensor([1], { dtype: 'int32' })))).toBe('ERR_LAYER_INPUT')
  })
})

describe('Seq2SeqTransformer', () => {
  it('learns to copy backwards', () => {
    manualSeed(3)
    const model = new Seq2SeqTransformer(8, 8, {
      ...{ numEncoderLayers: 1, numDecoderLayers: 1, embSize: 16, nhead: 2, dimFeedforward: 32, dropout: 0, maxLength: 16, padding: 0 },
    })
    const optimizer = new optim.Adam(model.parameters(), { lr: 3e-3 })
    const source = [
      [3, 4, 5, 6],
      [6, 3, 5, 4],
      [5, 5, 3, 0],
    ]
    const target = [
      [1, 6, 5, 4, 3, 2],
      [1, 4, 5, 3, 6, 2],
      [1, 3, 5, 5, 2, 0],
    ]
    const x = ints(source)
    const y = ints(target)
    const step = compile(() => {
      const scores = model.forward(x, y.narrow(1, 0, 5))
      const loss = losses.crossEntropy(scores.reshape([-1, 8]), y.narrow(1, 1, 5).reshape([-1]), { ignoreIndex: 0 })
      optimizer.zeroGrad()
      loss.backward()
      optimizer.step()
      return loss
    })
    let loss = Number.NaN
    for (let i = 0; i < 200; i++) loss = step.sync().item()
    expect(loss).toBeLessThan(0.1)
    expect(model.generate(source, { start: 1, end: 2 })).toEqual([target[0], target[1], target[2].slice(0, 5)])
    const names = Object.keys(model.stateDict())
    expect(names).toEqual(expect.arrayContaining(['generator.weight', 'src_tok_emb.embedding.weight', 'transformer.encoder.norm.weight']))
    expect(names.some((n) => n.includes('pe'))).toBe(false)
    expect(code(() => model.forward(tensor([1], { dtype: 'int32' }), y))).toBe('ERR_LAYER_INPUT')
  })
})
