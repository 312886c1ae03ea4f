/**
 * One time step of a recurrent layer: RNNCell, LSTMCell, GRUCell. In: `[B, in]` or `[in]` and the state before. Out: the state after.
 */
import { checkOptions, ShapeError, showShape } from '../base/errors.js'
import { sameShape } from '../base/shape.js'
import { add, relu, tanh } from '../ops/basic/elementwise.js'
import { matmul } from '../ops/basic/matmul.js'
import { expand, reshape, transpose, unsqueeze } from '../ops/basic/movement.js'
import { gateCount, gruStep, lstmStep } from '../ops/layers/recurrent.js'
import { empty, type ShapeOf, Tensor } from '../tensor/tensor.js'
import type { ExpectLast, WithLast } from '../types/index.js'
import { checkInput, checkInteger, showOptions } from './check.js'
import { uniform } from './init.js'
import { Module } from './module.js'
import { Parameter } from './parameter.js'
import { checkNonlinearity, checkPair } from './recurrent.js'

export interface RecurrentCellOptions {
  /** Learned biases; default true. */
  bias?: boolean
}

/** What the cells share: weights and checks. */
abstract class RecurrentCell extends Module {
  readonly inputSize: number
  readonly hiddenSize: number
  weightIh: Parameter
  weightHh: Parameter
  biasIh: Parameter | undefined
  biasHh: Parameter | undefined

  constructor(inputSize: number, hiddenSize: number, gates: number, options: RecurrentCellOptions, more: Record<string, true> = {}) {
    super()
    const layer = this.constructor.name
    checkOptions(layer, options, { bias: true, ...more })
    this.inputSize = checkInteger(layer, 'inputSize', inputSize)
    this.hiddenSize = checkInteger(layer, 'hiddenSize', hiddenSize)
    const rows = gates * hiddenSize
    const parameter = (name: string, ...shape: number[]): Parameter => this.registerParameter(name, new Parameter(empty(shape)))
    this.weightIh = parameter('weight_ih', rows, inputSize)
    this.weightHh = parameter('weight_hh', rows, hiddenSize)
    if (options.bias ?? true) {
      this.biasIh = parameter('bias_ih', rows)
      this.biasHh = parameter('bias_hh', rows)
    }
    this.resetParameters()
  }

  /** Draws new initial values, uniform in ±1/√hiddenSize. */
  resetParameters(): void {
    const bound = 1 / Math.sqrt(this.hiddenSize)
    for (const p of this.parameters()) uniform(p, { low: -bound, high: bound })
  }

  private get label(): string {
    return `${this.constructor.name}(${this.inputSize}, ${this.hiddenSize})`
  }

  /** The input as a batch. */
  protected open(x: unknown): Tensor {
    checkInput(this.label, x, this.weightIh.dtype)
    if ((x.ndim !== 1 && x.ndim !== 2) || x.shape[x.ndim - 1] !== this.inputSize) {
      throw new ShapeError(
        'ERR_LAYER_INPUT',
        `${this.label} expects [B, ${this.inputSize}] or [${this.inputSize}], received ${showShape(x.shape)}.`,
      )
    }
    return x.ndim === 1 ? unsqueeze(x, 0) : x
  }

  /** A state as a batch; zeros where none is given. */
  protected openState(name: string, state: Tensor | undefined, x: Tensor): Tensor {
    const batch = x.ndim === 1 ? 1 : x.shape[0]
    if (state === undefined) return expand(Tensor.scalar(0, this.weightHh.dtype), [batch, this.hiddenSize])
    checkInput(`${this.label}: ${name}`, state, this.weightHh.dtype)
    const wanted = x.ndim === 1 ? [this.hiddenSize] : [batch, this.hiddenSize]
    if (!sameShape(state.shape, wanted))
      throw new ShapeError('ERR_LAYER_STATE', `${this.label}: ${name} must be ${showShape(wanted)}, received ${showShape(state.shape)}.`)
    return x.ndim === 1 ? unsqueeze(state, 0) : state
  }

  /** What comes from the input and from the hidden state, `[B, G·H]` each. */
  protected sums(x: Tensor, hidden: Tensor): [Tensor, Tensor] {
    const along = (t: Tensor, weight: Tensor, bias: Tensor | undefined): Tensor => {
      const product = matmul(t, transpose(weight))
      return bias === undefined ? product : add(product, bias)
    }
    return [along(x, this.weightIh, this.biasIh), along(hidden, this.weightHh, this.biasHh)]
  }

  protected close(state: Tensor, x: Tensor): Tensor {
    return x.ndim === 1 ? reshape(state, [this.hiddenSize]) : state
  }

  override extraRepr(): string {
    return `${this.inputSize}, ${this.hiddenSize}${showOptions({ bias: this.biasIh === undefined ? false : undefined })}`
  }
}

/**
 * One step of an `RNN`: h' = tanh(W_ih·x + b_ih + W_hh·h + b_hh), or ReLU. Source: `torch.nn.RNNCell`.
 *
 *     h = cell.forward(x, h)                            // [B, in], [B, H] → [B, H]; zeros without h
 *
 * @throws ShapeError `ERR_LAYER_INPUT`, `ERR_LAYER_STATE`.
 */
export class RNNCell<I extends number = number> extends RecurrentCell {
  readonly nonlinearity: 'tanh' | 'relu'

  constructor(inputSize: I, hiddenSize: number, options: RecurrentCellOptions & { nonlinearity?: 'tanh' | 'relu' } = {}) {
    super(inputSize, hiddenSize, gateCount('tanh'), options, { nonlinearity: true })
    this.nonlinearity = checkNonlinearity('RNNCell', options.nonlinearity)
  }

  forward<T extends Tensor>(x: T & ExpectLast<'RNNCell', I, ShapeOf<T>>, h?: Tensor): Tensor<WithLast<ShapeOf<T>, number>>
  forward(x: Tensor, h?: Tensor): Tensor {
    const [a, b] = this.sums(this.open(x), this.openState('the hidden state', h, x))
    return this.close(this.nonlinearity === 'tanh' ? tanh(add(a, b)) : relu(add(a, b)), x)
  }
}

/**
 * One step of an `LSTM`. Source: `torch.nn.LSTMCell`.
 *
 *     ;[h, c] = cell.forward(x, [h, c])                 // [B, in] → [B, H] each; zeros without a state
 *
 * @throws ShapeError `ERR_LAYER_INPUT`, `ERR_LAYER_STATE`.
 */
export class LSTMCell<I extends number = number> extends RecurrentCell {
  constructor(inputSize: I, hiddenSize: number, options: RecurrentCellOptions = {}) {
    super(inputSize, hiddenSize, gateCount('lstm'), options)
  }

  forward<T extends Tensor>(x: T & ExpectLast<'LSTMCell', I, ShapeOf<T>>, state?: readonly [Tensor, Tensor]): [Tensor, Tensor]
  forward(x: Tensor, state?: readonly [Tensor, Tensor]): [Tensor, Tensor] {
    const [h, c] = checkPair('LSTMCell', state)
    const [a, b] = this.sums(this.open(x), this.openState('the hidden state', h, x))
    const [output, cell] = lstmStep(add(a, b), this.openState('the cell state', c, x))
    return [this.close(output, x), this.close(cell, x)]
  }
}

/**
 * One step of a `GRU`. Source: `torch.nn.GRUCell`.
 *
 *     h = cell.forward(x, h)                            // [B, in], [B, H] → [B, H]; zeros without h
 *
 * @throws ShapeError `ERR_LAYER_INPUT`, `ERR_LAYER_STATE`.
 */
export class GRUCell<I extends number = number> extends RecurrentCell {
  constructor(inputSize: I, hiddenSize: number, options: RecurrentCellOptions = {}) {
    super(inputSize, hiddenSize, gateCount('gru'), options)
  }

  forward<T extends Tensor>(x: T & ExpectLast<'GRUCell', I, ShapeOf<T>>, h?: Tensor): Tensor<WithLast<ShapeOf<T>, number>>
  forward(x: Tensor, h?: Tensor): Tensor {
    const opened = this.open(x)
    const hidden = this.openState('the hidden state', h, x)
    const [a, b] = this.sums(opened, hidden)
    return this.close(gruStep(a, b, hidden), x)
  }
}
