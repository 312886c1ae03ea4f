/**
 * Recurrent layers: RNN, LSTM and GRU over sequences, in layers and directions. The work of one layer and direction is `ops/layers/recurrent.ts`; here are
 * parameters under PyTorch's names, the wiring, and the checks.
 */
import { ArgumentError, checkOptions, ShapeError, showShape, showValue } from '../base/errors.js'
import { sameShape } from '../base/shape.js'
import { dropout } from '../ops/basic/dropout.js'
import { add } from '../ops/basic/elementwise.js'
import { concat, stack } from '../ops/basic/join.js'
import { matmul } from '../ops/basic/matmul.js'
import { narrow, reshape, transpose, unsqueeze } from '../ops/basic/movement.js'
import { gateCount, type RecurrentKind, type RecurrentResult, recurrent } from '../ops/layers/recurrent.js'
import { empty, type ShapeOf, Tensor } from '../tensor/tensor.js'
import type { ExpectLast, WithLast } from '../types/index.js'
import { checkInput, checkInteger, checkNumber, showOptions } from './check.js'
import { uniform } from './init.js'
import { Module } from './module.js'
import { PackedSequence } from './packed.js'
import { Parameter } from './parameter.js'

export interface RecurrentOptions {
  /** Layers on top of each other; default 1. */
  numLayers?: number
  /** Learned biases; default true. */
  bias?: boolean
  /** Input and output `[B, T, …]`; default false, `[T, B, …]`. States are `[layers · directions, B, …]` either way. */
  batchFirst?: boolean
  /** Share of each layer's output but the last's that training sets to 0; default 0. */
  dropout?: number
  /** A second set of weights reads each sequence from its end; outputs are twice as wide. Default false. */
  bidirectional?: boolean
}

const optionNames = { numLayers: true, bias: true, batchFirst: true, dropout: true, bidirectional: true, projSize: true } as const

/** The parameters of one layer and direction. */
export interface RecurrentWeights {
  /** `[G·H, in]` */
  weightIh: Parameter
  /** `[G·H, P]` */
  weightHh: Parameter
  /** `[G·H]` */
  biasIh: Parameter | undefined
  biasHh: Parameter | undefined
  /** `[P, H]` where the hidden state is projected. */
  weightHr: Parameter | undefined
}

/** Input seen time first and in batches. */
interface Sequences {
  readonly x: Tensor
  readonly lengths: Tensor | undefined
  /** Given without a batch dimension. */
  readonly single: boolean
}

/** What RNN, LSTM and GRU share. */
abstract class Recurrent extends Module {
  readonly inputSize: number
  readonly hiddenSize: number
  readonly numLayers: number
  readonly batchFirst: boolean
  readonly dropout: number
  readonly bidirectional: boolean
  readonly projSize: number
  /** By layer, forward then backward: entry `layer · directions + direction`. */
  readonly weights: readonly RecurrentWeights[]
  protected abstract readonly kind: RecurrentKind

  constructor(
    inputSize: number,
    hiddenSize: number,
    gates: number,
    options: RecurrentOptions & { projSize?: number },
    more: Record<string, true> = {},
  ) {
    super()
    const layer = this.constructor.name
    checkOptions(layer, options, { ...optionNames, ...more })
    this.inputSize = checkInteger(layer, 'inputSize', inputSize)
    this.hiddenSize = checkInteger(layer, 'hiddenSize', hiddenSize)
    this.numLayers = checkInteger(layer, 'numLayers', options.numLayers ?? 1)
    this.batchFirst = options.batchFirst ?? false
    this.dropout = checkNumber(layer, 'dropout', options.dropout ?? 0, 0, 1)
    this.bidirectional = options.bidirectional ?? false
    this.projSize = checkInteger(layer, 'projSize', options.projSize ?? 0, 0)
    if (this.projSize >= hiddenSize && this.projSize > 0)
      throw new ArgumentError(
        'ERR_LAYER_OPTION',
        `${layer}: projSize must be smaller than hiddenSize ${hiddenSize}, received ${this.projSize}.`,
      )
    const bias = options.bias ?? true
    const weights: RecurrentWeights[] = []
    for (let l = 0; l < this.numLayers; l++) {
      for (let d = 0; d < this.directions; d++) {
        const suffix = `_l${l}${d === 1 ? '_reverse' : ''}`
        const parameter = (name: string, ...shape: number[]): Parameter =>
          this.registerParameter(name + suffix, new Parameter(empty(shape)))
        const rows = gates * hiddenSize
        weights.push({
          weightIh: parameter('weight_ih', rows, l === 0 ? inputSize : this.outputSize * this.directions),
          weightHh: parameter('weight_hh', rows, this.outputSize),
          biasIh: bias ? parameter('bias_ih', rows) : undefined,
          biasHh: bias ? parameter('bias_hh', rows) : undefined,
          weightHr: this.projSize > 0 ? parameter('weight_hr', this.projSize, hiddenSize) : undefined,
        })
      }
    }
    this.weights = weights
    this.resetParameters()
  }

  /** Draws new initial values, uniform in ±1/√hiddenSize. */
  resetParameters(): void {
    const bound = 1 / Math.sqrt(this.hiddenSize)
    for (const p of this.parameters()) uniform(p, { low: -bound, high: bound })
  }

  private get directions(): number {
    return this.bidirectional ? 2 : 1
  }

  /** Of the hidden state. */
  private get outputSize(): number {
    return this.projSize > 0 ? this.projSize : this.hiddenSize
  }

  private get label(): string {
    return `${this.constructor.name}(${this.inputSize}, ${this.hiddenSize})`
  }

  private open(input: unknown): Sequences {
    if (input instanceof PackedSequence) {
      this.checkFeatures(input.padded, 3)
      return { x: input.padded, lengths: input.lengths, single: false }
    }
    checkInput(this.label, input, this.weights[0].weightIh.dtype)
    this.checkFeatures(input, 2, 3)
    if (input.ndim === 2) return { x: unsqueeze(input, 1), lengths: undefined, single: true }
    return { x: this.batchFirst ? transpose(input, 0, 1) : input, lengths: undefined, single: false }
  }

  private checkFeatures(x: Tensor, ...ranks: number[]): void {
    const order = this.batchFirst ? '[B, T, ' : '[T, B, '
    if (!ranks.includes(x.ndim)) {
      throw new ShapeError(
        'ERR_LAYER_INPUT',
        `${this.label} expects ${order}${this.inputSize}], received ${showShape(x.shape)}. ${x.ndim < 2 ? 'Add dimensions with .unsqueeze(0).' : 'Reshape it.'}`,
      )
    }
    if (x.shape[x.ndim - 1] !== this.inputSize) {
      throw new ShapeError(
        'ERR_LAYER_INPUT',
        `${this.label} expects ${this.inputSize} features in the last dimension, received ${showShape(x.shape)}. Change inputSize to ${x.shape[x.ndim - 1]}.`,
      )
    }
    const time = x.ndim === 3 && this.batchFirst ? 1 : 0
    if (x.shape[time] === 0) throw new ShapeError('ERR_LAYER_INPUT', `${this.label}: there are no time steps in ${showShape(x.shape)}.`)
  }

  /** An initial state for every layer and direction, `[L·D, B, size]`; undefined for zeros. */
  private openState(name: string, state: Tensor | undefined, size: number, { x, single }: Sequences): Tensor | undefined {
    if (state === undefined) return undefined
    checkInput(`${this.label}: ${name}`, state, x.dtype)
    const count = this.numLayers * this.directions
    const wanted = single ? [count, size] : [count, x.shape[1], size]
    if (!sameShape(state.shape, wanted)) {
      throw new ShapeError(
        'ERR_LAYER_STATE',
        `${this.label}: ${name} must be ${showShape(wanted)} (layers · directions, ${single ? '' : 'batch, '}size), received ${showShape(state.shape)}.`,
      )
    }
    return single ? unsqueeze(state, 1) : state
  }

  /** Runs all layers. `states` are the initial hidden and cell state. */
  protected run(
    input: unknown,
    initial: Tensor | undefined,
    initialCell?: Tensor,
  ): [output: Tensor | PackedSequence, hidden: Tensor, cell: Tensor | undefined] {
    const sequences = this.open(input)
    const hidden = this.openState('the hidden state', initial, this.outputSize, sequences)
    const cell = this.openState('the cell state', initialCell, this.hiddenSize, sequences)
    const ends: RecurrentResult[] = []
    let x = sequences.x
    for (let l = 0; l < this.numLayers; l++) {
      const results: RecurrentResult[] = []
      for (let d = 0; d < this.directions; d++) {
        const at = l * this.directions + d
        const one = (states: Tensor | undefined): Tensor | undefined =>
          states && reshape(narrow(states, 0, at, 1), [states.shape[1], states.shape[2]])
        results.push(this.direction(x, this.weights[at], d === 1, one(hidden), one(cell), sequences.lengths))
      }
      ends.push(...results)
      x = results.length === 1 ? results[0].output : concat([results[0].output, results[1].output], 2)
      if (l < this.numLayers - 1 && this.training) x = dropout(x, this.dropout)
    }
    const states = (all: readonly Tensor[]): Tensor => {
      const joined = stack(all)
      return sequences.single ? reshape(joined, [joined.shape[0], joined.shape[2]]) : joined
    }
    const cells = ends.map((r) => r.cell).filter((c) => c !== undefined)
    return [this.close(x, input, sequences.single), states(ends.map((r) => r.hidden)), cells.length > 0 ? states(cells) : undefined]
  }

  private close(output: Tensor, input: unknown, single: boolean): Tensor | PackedSequence {
    if (input instanceof PackedSequence) return input.with(output)
    if (single) return reshape(output, [output.shape[0], output.shape[2]])
    return this.batchFirst ? transpose(output, 0, 1) : output
  }

  private direction(
    x: Tensor,
    { weightIh, weightHh, biasIh, biasHh, weightHr }: RecurrentWeights,
    reverse: boolean,
    hidden: Tensor | undefined,
    cell: Tensor | undefined,
    lengths: Tensor | undefined,
  ): RecurrentResult {
    const [steps, batch, features] = x.shape
    const { kind } = this
    // the recurrent bias of a GRU belongs inside its reset gate; the sum comes before the product, which it then joins
    const bias = biasIh === undefined || biasHh === undefined ? undefined : kind === 'gru' ? biasIh : add(biasIh, biasHh)
    const product = matmul(reshape(x, [steps * batch, features]), transpose(weightIh))
    const projected = reshape(bias === undefined ? product : add(product, bias), [steps, batch, weightIh.shape[0]])
    return recurrent({
      kind,
      reverse,
      projected,
      weight: weightHh,
      bias: kind === 'gru' ? biasHh : undefined,
      hidden,
      cell,
      lengths,
      projection: weightHr,
    })
  }

  override extraRepr(): string {
    const { numLayers, batchFirst, dropout: p, bidirectional, projSize } = this
    const options = showOptions({
      numLayers: numLayers === 1 ? undefined : numLayers,
      bias: this.weights[0].biasIh === undefined ? false : undefined,
      batchFirst: batchFirst || undefined,
      dropout: p === 0 ? undefined : p,
      bidirectional: bidirectional || undefined,
      projSize: projSize === 0 ? undefined : projSize,
    })
    return `${this.inputSize}, ${this.hiddenSize}${options}`
  }
}

/** The output's type for a tensor or packed sequences. */
type Output<T> = T extends PackedSequence ? PackedSequence : Tensor<WithLast<ShapeOf<T>, number>>
type Input<Layer extends string, I extends number, T> = T extends PackedSequence ? T : T & ExpectLast<Layer, I, ShapeOf<T>>

/**
 * Elman's recurrent network: hₜ = tanh(W_ih·xₜ + b_ih + W_hh·hₜ₋₁ + b_hh), or ReLU with `nonlinearity: 'relu'`. Input `[T, B, in]`, `[B, T, in]` with
 * `batchFirst`, `[T, in]` for one sequence, or a `PackedSequence`; returns the hidden states of the last layer at all steps, and those of all
 * layers after the last step `[layers · directions, B, H]`. Source: Elman 1990, `torch.nn.RNN`.
 *
 *     const rnn = new nn.RNN(10, 20, { numLayers: 2 })
 *     const [output, hn] = rnn.forward(x)               // [5, 3, 10] → [5, 3, 20], [2, 3, 20]
 *
 * @throws ShapeError `ERR_LAYER_INPUT`, `ERR_LAYER_STATE`; ArgumentError `ERR_LAYER_OPTION`.
 */
export class RNN<I extends number = number> extends Recurrent {
  protected readonly kind: 'tanh' | 'relu'

  constructor(inputSize: I, hiddenSize: number, options: RecurrentOptions & { nonlinearity?: 'tanh' | 'relu' } = {}) {
    super(inputSize, hiddenSize, gateCount('tanh'), options, { nonlinearity: true })
    this.kind = checkNonlinearity('RNN', options.nonlinearity)
  }

  forward<T extends Tensor | PackedSequence>(x: Input<'RNN', I, T>, h0?: Tensor): [Output<T>, Tensor]
  forward(x: Tensor | PackedSequence, h0?: Tensor): [Tensor | PackedSequence, Tensor] {
    const [output, hn] = this.run(x, h0)
    return [output, hn]
  }
}

export interface LSTMOptions extends RecurrentOptions {
  /** The hidden state is a learned projection to this size (Sak et al. 2014); default 0, none. */
  projSize?: number
}

/**
 * Long short-term memory, gates in the order i, f, g, o. Input as for `RNN`; the state is a pair `[h0, c0]`. Source: Hochreiter and Schmidhuber
 * 1997, `torch.nn.LSTM`.
 *
 *     const lstm = new nn.LSTM(64, 256, { numLayers: 2 })
 *     const [output, [hn, cn]] = lstm.forward(x)        // [64, 32, 64] → [64, 32, 256], [2, 32, 256], [2, 32, 256]
 *
 * @throws ShapeError `ERR_LAYER_INPUT`, `ERR_LAYER_STATE`; ArgumentError `ERR_LAYER_OPTION`.
 */
export class LSTM<I extends number = number> extends Recurrent {
  protected readonly kind = 'lstm'

  constructor(inputSize: I, hiddenSize: number, options: LSTMOptions = {}) {
    super(inputSize, hiddenSize, gateCount('lstm'), options)
  }

  forward<T extends Tensor | PackedSequence>(x: Input<'LSTM', I, T>, state?: readonly [Tensor, Tensor]): [Output<T>, [Tensor, Tensor]]
  forward(x: Tensor | PackedSequence, state?: readonly [Tensor, Tensor]): [Tensor | PackedSequence, [Tensor, Tensor]] {
    const [output, hn, cn] = this.run(x, ...checkPair('LSTM', state))
    return [output, [hn, cn as Tensor]]
  }
}

/**
 * Gated recurrent unit, gates in the order r, z, n, the reset gate behind the product as in cuDNN. Input as for `RNN`. Source: Cho et al. 2014,
 * `torch.nn.GRU`.
 *
 *     const gru = new nn.GRU(10, 20, { bidirectional: true })
 *     const [output, hn] = gru.forward(x)               // [5, 3, 10] → [5, 3, 40], [2, 3, 20]
 *
 * @throws ShapeError `ERR_LAYER_INPUT`, `ERR_LAYER_STATE`; ArgumentError `ERR_LAYER_OPTION`.
 */
export class GRU<I extends number = number> extends Recurrent {
  protected readonly kind = 'gru'

  constructor(inputSize: I, hiddenSize: number, options: RecurrentOptions = {}) {
    super(inputSize, hiddenSize, gateCount('gru'), options)
  }

  forward<T extends Tensor | PackedSequence>(x: Input<'GRU', I, T>, h0?: Tensor): [Output<T>, Tensor]
  forward(x: Tensor | PackedSequence, h0?: Tensor): [Tensor | PackedSequence, Tensor] {
    const [output, hn] = this.run(x, h0)
    return [output, hn]
  }
}

/** @internal */
export function checkNonlinearity(layer: string, nonlinearity: 'tanh' | 'relu' = 'tanh'): 'tanh' | 'relu' {
  if (nonlinearity === 'tanh' || nonlinearity === 'relu') return nonlinearity
  throw new ArgumentError('ERR_LAYER_OPTION', `${layer}: nonlinearity must be 'tanh' or 'relu', received ${showValue(nonlinearity)}.`)
}

/** @internal the hidden and the cell state of an LSTM */
export function checkPair(layer: string, state: readonly [Tensor, Tensor] | undefined): readonly [Tensor?, Tensor?] {
  if (state === undefined) return []
  if (Array.isArray(state) && state.length === 2) return state
  const what = state instanceof Tensor ? 'a tensor' : showValue(state)
  throw new ArgumentError('ERR_LAYER_STATE', `${layer}: the state is a pair [h0, c0], received ${what}.`)
}
