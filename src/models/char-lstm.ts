/**
 * A recurrent language model over characters. In: tokens. Out: scores for the next token at each position, or new tokens.
 */
import { checkOptions, narrow, nn, reshape, type Tensor, tensor } from '../index.js'
import { checkPrompt, checkSampling, checkTokens } from './check.js'
import { generating, type SampleOptions, sample, sampleNames } from './sample.js'

export interface CharLSTMOptions {
  /** Width of the token vectors; default 64. */
  embedding?: number
  /** Default 256. */
  hidden?: number
  /** Default 2. */
  numLayers?: number
  /** Between the layers and before the scores; default 0. */
  dropout?: number
}

/** The hidden and cell states after the tokens seen. */
export type CharLSTMState = [hidden: Tensor, cell: Tensor]

/**
 * Embedding, LSTM, linear layer: tokens int32 `[T, B]` → scores `[T, B, vocabSize]`. state_dict names `emb`, `lstm`, `head`. Source: Karpathy 2015, "The
 * unreasonable effectiveness of recurrent neural networks".
 *
 *     const model = new CharLSTM(65)
 *     const loss = losses.crossEntropy(model.forward(x).reshape([-1, 65]), y.reshape([-1]))
 *     model.generate([0], 200, { temperature: 0.8 })
 *
 * @throws ShapeError `ERR_LAYER_INPUT` for tokens that are not `[T, B]`.
 */
export class CharLSTM extends nn.Module {
  emb: nn.Embedding
  lstm: nn.LSTM
  head: nn.Linear
  private readonly drop: nn.Dropout

  constructor(vocabSize: number, options: CharLSTMOptions = {}) {
    checkOptions('CharLSTM', options, { embedding: true, hidden: true, numLayers: true, dropout: true })
    super()
    const { embedding = 64, hidden = 256, numLayers = 2, dropout: p = 0 } = options
    this.emb = new nn.Embedding(vocabSize, embedding)
    this.lstm = new nn.LSTM(embedding, hidden, { numLayers, dropout: p })
    this.head = new nn.Linear(hidden, vocabSize)
    this.drop = new nn.Dropout(p)
  }

  forward(tokens: Tensor): Tensor {
    return this.step(tokens)[0]
  }

  /** Scores, and the state to continue from. */
  step(tokens: Tensor, state?: CharLSTMState): [Tensor, CharLSTMState] {
    checkTokens('CharLSTM', 'the input', tokens, '[T, B]')
    const [y, next] = this.lstm.forward(this.emb.forward(tokens) as Tensor, state)
    return [this.head.forward(this.drop.forward(y)), next]
  }

  /** Continues the prompt by `count` tokens; returns all. Options: `temperature` (default 1; 0 takes the likeliest), `topK`. @throws ArgumentError `ERR_PROMPT`. */
  generate(prompt: readonly number[], count: number, options: SampleOptions = {}): number[] {
    checkOptions('generate', options, sampleNames)
    checkSampling('count', count, 0, true)
    checkPrompt(prompt)
    const tokens: number[] = [...prompt]
    generating(this, () => {
      let state: CharLSTMState | undefined
      for (let seen = 0; tokens.length < prompt.length + count; ) {
        // A long prompt is read in stretches: the memory does not grow with its length.
        const fresh = tokens.slice(seen, seen + 256)
        const [scores, next] = this.step(tensor(fresh, { dtype: 'int32', shape: [fresh.length, 1] }), state)
        state = next
        seen += fresh.length
        if (seen < tokens.length) continue
        tokens.push(sample(reshape(narrow(scores, 0, fresh.length - 1, 1), [1, scores.shape[2]]), options)[0])
      }
    })
    return tokens
  }
}
