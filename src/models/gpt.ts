/**
 * A decoder-only transformer in the shape and with the state_dict names of nanoGPT (Karpathy), which loads GPT-2's. In: tokens. Out: scores for
 * the next token at each position, or new tokens.
 */
import {
  ArgumentError,
  add,
  checkOptions,
  gelu,
  narrow,
  nn,
  reshape,
  ShapeError,
  scaledDotProductAttention,
  type Tensor,
  tensor,
  transpose,
} from '../index.js'
import { checkLayers, checkRows, checkSampling, checkSizes, checkTokens, modelError } from './check.js'
import { generating, type SampleOptions, sample, sampleNames } from './sample.js'

export interface GPTOptions {
  /** Longest sequence; default 1024. */
  blockSize?: number
  /** Default 50,304. */
  vocabSize?: number
  /** Default 12. */
  nLayer?: number
  /** Default 12. */
  nHead?: number
  /** Width; default 768. */
  nEmbd?: number
  /** Default 0. */
  dropout?: number
  /** Biases in linear layers and norms; default true, as GPT-2. Without is a bit better and faster. */
  bias?: boolean
}

type Config = Required<GPTOptions>

class CausalSelfAttention extends nn.Module {
  cAttn: nn.Linear
  cProj: nn.Linear
  readonly nHead: number
  readonly dropout: number
  private readonly residDropout: nn.Dropout

  constructor({ nEmbd, nHead, dropout, bias }: Config) {
    super()
    if (nEmbd % nHead !== 0) throw new ArgumentError('ERR_HEADS', `GPT: nEmbd ${nEmbd} is no multiple of nHead ${nHead}.`)
    this.cAttn = this.registerModule('c_attn', new nn.Linear(nEmbd, 3 * nEmbd, { bias }))
    this.cProj = this.registerModule('c_proj', new nn.Linear(nEmbd, nEmbd, { bias }))
    this.residDropout = new nn.Dropout(dropout)
    this.nHead = nHead
    this.dropout = dropout
  }

  /** With a cache, x holds the positions behind those it has; several at once only while it is empty. */
  forward(x: Tensor, cache?: nn.KeyValueCache): Tensor {
    const [batch, steps, width] = x.shape
    const all = reshape(this.cAttn.forward(x), [batch, steps, 3, this.nHead, width / this.nHead])
    const part = (i: number): Tensor => transpose(reshape(narrow(all, 2, i, 1), [batch, steps, this.nHead, width / this.nHead]), 1, 2)
    const [keys, values] = cache === undefined ? [part(1), part(2)] : cache.append(part(1), part(2))
    const y = scaledDotProductAttention(part(0), keys, values, { isCausal: steps > 1, dropoutP: this.training ? this.dropout : 0 })
    return this.residDropout.forward(this.cProj.forward(reshape(transpose(y, 1, 2), [batch, steps, width])))
  }
}

class FeedForward extends nn.Module {
  cFc: nn.Linear
  cProj: nn.Linear
  private readonly drop: nn.Dropout

  constructor({ nEmbd, dropout, bias }: Config) {
    super()
    this.cFc = this.registerModule('c_fc', new nn.Linear(nEmbd, 4 * nEmbd, { bias }))
    this.cProj = this.registerModule('c_proj', new nn.Linear(4 * nEmbd, nEmbd, { bias }))
    this.drop = new nn.Dropout(dropout)
  }

  forward(x: Tensor): Tensor {
    return this.drop.forward(this.cProj.forward(gelu(this.cFc.forward(x))))
  }
}

class Block extends nn.Module {
  ln1: nn.LayerNorm
  attn: CausalSelfAttention
  ln2: nn.LayerNorm
  mlp: FeedForward

  constructor(config: Config) {
    super()
    const { nEmbd, bias } = config
    this.ln1 = this.registerModule('ln_1', new nn.LayerNorm(nEmbd, { bias }))
    this.attn = this.registerModule('attn', new CausalSelfAttention(config))
    this.ln2 = this.registerModule('ln_2', new nn.LayerNorm(nEmbd, { bias }))
    this.mlp = new FeedForward(config)
  }

  forward(x: Tensor, cache?: nn.KeyValueCache): Tensor {
    const y = add(x, this.attn.forward(this.ln1.forward(x), cache))
    return add(y, this.mlp.forward(this.ln2.forward(y)))
  }
}

/**
 * GPT: token and position embeddings, `nLayer` blocks of causal attention and feed-forward with norms before, and a last norm; the output layer is the token
 * embedding. Tokens int32 `[B, T]` → scores `[B, T, vocabSize]`. Initial values as in nanoGPT (normal, 0.02; residual projections less). Source: Radford et al. 2019,
 * Karpathy's nanoGPT.
 *
 *     const model = new GPT({ vocabSize: 65, blockSize: 64, nLayer: 4, nHead: 4, nEmbd: 128, bias: false })
 *     const loss = losses.crossEntropy(model.forward(x).reshape([-1, 65]), y.reshape([-1]))
 *     model.generate([[0]], 100, { temperature: 0.8, topK: 40 })      // [[0, …]]
 *
 * @throws ShapeError `ERR_LAYER_INPUT` for tokens that are not `[B, T]` or longer than `blockSize`; ArgumentError `ERR_HEADS`, `ERR_LAYER_OPTION`.
 */
export class GPT extends nn.Module {
  readonly config: Readonly<Config>
  readonly transformer: {
    wte: nn.Embedding
    wpe: nn.Embedding
    drop: nn.Dropout
    h: Block[]
    ln_f: nn.LayerNorm
  }
  lmHead: nn.Linear

  constructor(options: GPTOptions = {}) {
    checkOptions('GPT', options, {
      blockSize: true,
      vocabSize: true,
      nLayer: true,
      nHead: true,
      nEmbd: true,
      dropout: true,
      bias: true,
    })
    super()
    const { blockSize = 1024, vocabSize = 50_304, nLayer = 12, nHead = 12, nEmbd = 768, dropout = 0, bias = true } = options
    checkSizes('GPT', { blockSize, vocabSize, nHead, nEmbd })
    checkLayers('GPT', { nLayer })
    this.config = { blockSize, vocabSize, nLayer, nHead, nEmbd, dropout, bias }
    this.transformer = {
      wte: new nn.Embedding(vocabSize, nEmbd),
      wpe: new nn.Embedding(blockSize, nEmbd),
      drop: new nn.Dropout(dropout),
      h: Array.from({ length: nLayer }, () => new Block(this.config)),
      ln_f: new nn.LayerNorm(nEmbd, { bias }),
    }
    const head = new nn.Linear(nEmbd, vocabSize, { bias: false })
    // one matrix under two names: what tokens look like, and what the last state is compared with
    Object.assign(head, { weight: this.transformer.wte.weight })
    this.lmHead = this.registerModule('lm_head', head)
    this.resetParameters()
  }

  /** Draws new initial values. */
  resetParameters(): void {
    for (const [name, p] of this.namedParameters()) {
      if (p.ndim === 2) nn.init.normal(p, { std: name.endsWith('c_proj.weight') ? 0.02 / Math.sqrt(2 * this.config.nLayer) : 0.02 })
      else nn.init.constant(p, name.endsWith('bias') ? 0 : 1)
    }
  }

  /** With caches, one a layer, `tokens` are those behind what the caches hold. */
  forward(tokens: Tensor, caches?: readonly nn.KeyValueCache[]): Tensor {
    const { blockSize, nLayer } = this.config
    checkTokens('GPT', 'the input', tokens)
    const whole = Array.isArray(caches) && caches.length === nLayer && caches.every((c) => c instanceof nn.KeyValueCache)
    if (caches !== undefined && !whole) throw modelError('GPT', `the caches are ${nLayer}, one for each layer`, caches)
    const past = caches === undefined ? 0 : caches[0].length
    if (past + tokens.shape[1] > blockSize) {
      const many = past === 0 ? '' : ` behind ${past} in the cache`
      throw new ShapeError(
        'ERR_LAYER_INPUT',
        `GPT: expects tokens [B, T] with T up to blockSize ${blockSize}, received [${tokens.shape.join(', ')}]${many}.`,
      )
    }
    const { wte, wpe, drop, h, ln_f } = this.transformer
    let x = drop.forward(add(wte.forward(tokens), narrow(wpe.weight, 0, past, tokens.shape[1])))
    h.forEach((block, i) => {
      x = block.forward(x, caches?.[i])
    })
    return this.lmHead.forward(ln_f.forward(x))
  }

  /**
   * Continues each row of tokens by `count` new ones, drawn from the scores; the rows with what was added. Runs eagerly, in evaluation, with a cache of keys and values
   * until `blockSize` is reached; beyond, with the last `blockSize` tokens at each step. Options: `temperature` (default 1; 0 takes the likeliest), `topK` (default: all).
   *
   * @throws ArgumentError `ERR_PROMPT` for rows that are empty or of different lengths.
   */
  generate(prompt: readonly (readonly number[])[], count: number, options: SampleOptions = {}): number[][] {
    checkOptions('generate', options, sampleNames)
    checkSampling('count', count, 0, true)
    checkRows('the prompt', prompt)
    return generating(this, () => this.continued(prompt, count, options))
  }

  private continued(prompt: readonly (readonly number[])[], count: number, options: SampleOptions): number[][] {
    const { blockSize, nHead, nEmbd, nLayer } = this.config
    const rows = prompt.map((row) => [...row])
    const caches = Array.from({ length: nLayer }, () => new nn.KeyValueCache(rows.length, nHead, blockSize, nEmbd / nHead))
    for (let n = 0; n < count; n++) {
      const { length } = rows[0]
      const cached = length <= blockSize
      const fresh = rows.map((row) => (cached ? row.slice(caches[0].length) : row.slice(-blockSize)))
      const scores = this.forward(tensor(fresh, { dtype: 'int32' }), cached ? caches : undefined)
      const last = reshape(narrow(scores, 1, scores.shape[1] - 1, 1), [rows.length, this.config.vocabSize])
      sample(last, options).forEach((token, i) => void rows[i].push(token))
    }
    return rows
  }
}
