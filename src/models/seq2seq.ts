/**
 * A Transformer encoder-decoder for sequences of tokens, as of translation. In: source and target tokens. Out: scores for the next target token.
 */
import { checkOptions, eq, mul, narrow, nn, type OptionNames, reshape, type Tensor, tensor } from '../index.js'
import { checkLayers, checkRows, checkSampling, checkSizes, checkTokens, modelError } from './check.js'
import { generating, type SampleOptions, sample, sampleNames } from './sample.js'

export interface Seq2SeqTransformerOptions {
  /** Default 3 each. */
  numEncoderLayers?: number
  numDecoderLayers?: number
  /** Width; default 512. */
  embSize?: number
  /** Default 8. */
  nhead?: number
  /** Default 512. */
  dimFeedforward?: number
  /** Default 0.1. */
  dropout?: number
  /** Longest sequence; default 5000. */
  maxLength?: number
  /** The token of padding, which nobody attends to; default: none. */
  padding?: number
}

const optionNames: OptionNames<Seq2SeqTransformerOptions> = {
  numEncoderLayers: true,
  numDecoderLayers: true,
  embSize: true,
  nhead: true,
  dimFeedforward: true,
  dropout: true,
  maxLength: true,
  padding: true,
}

/** Token vectors times √size, under the names of the tutorial. */
class TokenEmbedding extends nn.Module {
  embedding: nn.Embedding
  private readonly factor: number
  constructor(vocabSize: number, size: number) {
    super()
    this.embedding = new nn.Embedding(vocabSize, size)
    this.factor = Math.sqrt(size)
  }
  forward(tokens: Tensor): Tensor {
    return mul(this.embedding.forward(tokens), this.factor)
  }
}

/**
 * The encoder-decoder of PyTorch's translation tutorial, batch first: source int32 `[B, S]` and target int32 `[B, T]` → scores `[B, T, targetVocab]`; target position i sees
 * 0 … i. state_dict names as there (`transformer`, `generator`, `src_tok_emb.embedding`, `tgt_tok_emb.embedding`); the positions' table is not part of it. Source:
 * Vaswani et al. 2017.
 *
 *     const model = new Seq2SeqTransformer(8000, 6000, { embSize: 256, padding: 1 })
 *     const scores = model.forward(source, target.slice(1, 0, -1))
 *     model.generate([[5, 9, 3]], { start: 2, end: 3 })             // [[2, …, 3]]
 *
 * @throws ShapeError `ERR_LAYER_INPUT` for tokens that are not `[B, T]`; ArgumentError `ERR_HEADS`, `ERR_LAYER_OPTION`.
 */
export class Seq2SeqTransformer extends nn.Module {
  transformer: nn.Transformer
  generator: nn.Linear
  srcTokEmb: TokenEmbedding
  tgtTokEmb: TokenEmbedding
  private readonly positions: nn.PositionalEncoding
  private readonly padding: number | undefined

  constructor(sourceVocab: number, targetVocab: number, options: Seq2SeqTransformerOptions = {}) {
    checkOptions('Seq2SeqTransformer', options, optionNames)
    super()
    const { numEncoderLayers = 3, numDecoderLayers = 3, embSize = 512, nhead = 8, dimFeedforward = 512, dropout = 0.1, maxLength } = options
    checkSizes('Seq2SeqTransformer', { sourceVocab, targetVocab, embSize, nhead, dimFeedforward })
    checkLayers('Seq2SeqTransformer', { numEncoderLayers, numDecoderLayers })
    if (options.padding !== undefined && !Number.isInteger(options.padding))
      throw modelError('Seq2SeqTransformer', 'padding must be a token', options.padding)
    this.transformer = new nn.Transformer(embSize, nhead, { numEncoderLayers, numDecoderLayers, dimFeedforward, dropout, batchFirst: true })
    this.generator = new nn.Linear(embSize, targetVocab)
    this.srcTokEmb = this.registerModule('src_tok_emb', new TokenEmbedding(sourceVocab, embSize))
    this.tgtTokEmb = this.registerModule('tgt_tok_emb', new TokenEmbedding(targetVocab, embSize))
    this.positions = new nn.PositionalEncoding(embSize, { dropout, maxLength, batchFirst: true, persistent: false })
    this.padding = options.padding
    for (const p of this.parameters()) if (p.ndim > 1) nn.init.xavierUniform(p)
  }

  forward(source: Tensor, target: Tensor): Tensor {
    return this.decode(target, this.encode(source), source)
  }

  /** The encoder's output for the source, `[B, S, embSize]`. */
  encode(source: Tensor): Tensor {
    checkTokens('Seq2SeqTransformer', 'the source', source)
    return this.transformer.encoder.forward(this.positions.forward(this.srcTokEmb.forward(source)), {
      srcKeyPaddingMask: this.paddingOf(source),
    })
  }

  /** Scores for the tokens behind each target position, given the encoder's output and the source it came from. */
  decode(target: Tensor, memory: Tensor, source: Tensor): Tensor {
    checkTokens('Seq2SeqTransformer', 'the target', target)
    checkTokens('Seq2SeqTransformer', 'the source', source)
    const y = this.transformer.decoder.forward(this.positions.forward(this.tgtTokEmb.forward(target)), memory, {
      tgtIsCausal: true,
      memoryKeyPaddingMask: this.paddingOf(source),
    })
    return this.generator.forward(y)
  }

  private paddingOf(tokens: Tensor): Tensor | undefined {
    return this.padding === undefined ? undefined : eq(tokens, this.padding)
  }

  /**
   * Translates rows of source tokens (of one length), one token at a time, until each row gave `end` or `maxTokens` (default: the source's length + 5) came; rows of
   * target tokens from `start` to `end`. `temperature` 0 (default) takes the likeliest. @throws ArgumentError `ERR_PROMPT`.
   */
  generate(
    source: readonly (readonly number[])[],
    options: SampleOptions & { start: number; end: number; maxTokens?: number },
  ): number[][] {
    checkOptions('generate', options, { ...sampleNames, start: true, end: true, maxTokens: true })
    checkRows('the source', source)
    const { start, end, temperature = 0, topK, maxTokens = source[0].length + 5 } = options
    for (const [name, token] of Object.entries({ start, end })) checkSampling(name, token, 0, true)
    checkSampling('maxTokens', maxTokens, 0, true)
    return generating(this, () => {
      const from = tensor(source as number[][], { dtype: 'int32' })
      const memory = this.encode(from)
      const rows = source.map(() => [start])
      for (let n = 0; n < maxTokens && rows.some((r) => !r.includes(end, 1)); n++) {
        const scores = this.decode(tensor(rows, { dtype: 'int32' }), memory, from)
        const last = reshape(narrow(scores, 1, n, 1), [rows.length, scores.shape[2]])
        sample(last, { temperature, topK }).forEach((token, i) => void rows[i].push(token))
      }
      return rows.map((r) => (r.includes(end, 1) ? r.slice(0, r.indexOf(end, 1) + 1) : r))
    })
  }
}
