/**
 * Where a token stands in its sequence: rotary and sinusoidal encodings.
 */
import { ArgumentError, checkOptions, ShapeError, showShape } from '../base/errors.js'
import { checkShape } from '../base/shape.js'
import { dropout } from '../ops/basic/dropout.js'
import { add, mul, neg } from '../ops/basic/elementwise.js'
import { concat, stack } from '../ops/basic/join.js'
import { narrow, reshape, slice } from '../ops/basic/movement.js'
import { type ShapeOf, type Tensor, tensor } from '../tensor/tensor.js'
import { checkInput, checkInteger, checkNumber, showOptions } from './check.js'
import { Module } from './module.js'

/** sin and cos of position · frequency, `[positions, size / 2]` each. */
function angles(positions: number, size: number, base: number): { sin: Tensor; cos: Tensor } {
  const half = size / 2
  checkShape('positions', [positions, half])
  const table = (f: (x: number) => number): Tensor => {
    const values = new Float32Array(positions * half)
    for (let i = 0; i < half; i++) {
      const frequency = base ** ((-2 * i) / size)
      for (let p = 0; p < positions; p++) values[p * half + i] = f(p * frequency)
    }
    return tensor(values, { shape: [positions, half] })
  }
  return { sin: table(Math.sin), cos: table(Math.cos) }
}

function checkEven(layer: string, name: string, size: number): number {
  checkInteger(layer, name, size, 2)
  if (size % 2 !== 0) throw new ArgumentError('ERR_LAYER_OPTION', `${layer}: ${name} must be even, received ${size}.`)
  return size
}

export interface RotaryEmbeddingOptions {
  /** Longest sequence; default 4096. */
  maxLength?: number
  /** The slowest wavelength is about 2π · base; default 10,000. */
  base?: number
  /** Turn neighbours (x₀, x₁), (x₂, x₃), … as in the paper and torchtune; false turns (xᵢ, xᵢ₊ₙ⸝₂) as LLaMA's checkpoints on Hugging Face. Default true. */
  interleaved?: boolean
}

/**
 * Rotary position embedding: turns pairs of features of queries and keys by angles that grow with the position, so that scores depend on
 * distances. `[…, T, size]` → the same; `offset` is the position of the first row (as many as a `KeyValueCache` holds). Source: Su et al. 2021, "RoFormer";
 * `torchtune.modules.RotaryPositionalEmbeddings`.
 *
 *     const rotary = new nn.RotaryEmbedding(64)
 *     q = rotary.forward(q)                        // [B, heads, T, 64]
 *
 * @throws ShapeError `ERR_LAYER_INPUT` for another size or more positions than `maxLength`.
 */
export class RotaryEmbedding extends Module {
  readonly size: number
  readonly maxLength: number
  readonly base: number
  readonly interleaved: boolean
  private readonly sin: Tensor
  private readonly cos: Tensor

  constructor(size: number, options: RotaryEmbeddingOptions = {}) {
    checkOptions('RotaryEmbedding', options, { maxLength: true, base: true, interleaved: true })
    super()
    this.size = checkEven('RotaryEmbedding', 'size', size)
    this.maxLength = checkInteger('RotaryEmbedding', 'maxLength', options.maxLength ?? 4096)
    this.base = checkNumber('RotaryEmbedding', 'base', options.base ?? 10_000, 1)
    this.interleaved = options.interleaved ?? true
    const { sin, cos } = angles(this.maxLength, size, this.base)
    this.sin = this.registerBuffer('sin', sin, { persistent: false })
    this.cos = this.registerBuffer('cos', cos, { persistent: false })
  }

  forward<T extends Tensor>(x: T, options?: { offset?: number }): Tensor<ShapeOf<T>>
  forward(x: Tensor, options: { offset?: number } = {}): Tensor {
    const name = `RotaryEmbedding(${this.size})`
    checkOptions(name, options, { offset: true })
    checkInput(name, x, this.sin.dtype)
    const offset = checkInteger(name, 'offset', options.offset ?? 0, 0)
    if (x.ndim < 2 || x.shape[x.ndim - 1] !== this.size)
      throw new ShapeError('ERR_LAYER_INPUT', `${name} expects […, T, ${this.size}], received ${showShape(x.shape)}.`)
    const steps = x.shape[x.ndim - 2]
    if (offset + steps > this.maxLength)
      throw new ShapeError(
        'ERR_LAYER_INPUT',
        `${name}: positions up to ${offset + steps} exceed maxLength ${this.maxLength}. Pass a larger one.`,
      )
    const sin = narrow(this.sin, 0, offset, steps)
    const cos = narrow(this.cos, 0, offset, steps)
    const half = this.size / 2
    const [a, b] = this.interleaved
      ? [slice(x, -1, 0, undefined, 2), slice(x, -1, 1, undefined, 2)]
      : [narrow(x, -1, 0, half), narrow(x, -1, half, half)]
    const turned = [add(mul(a, cos), neg(mul(b, sin))), add(mul(b, cos), mul(a, sin))]
    return this.interleaved ? reshape(stack(turned, -1), x.shape) : concat(turned, -1)
  }

  override extraRepr(): string {
    const { base, interleaved } = this
    return `${this.size}${showOptions({ base: base === 10_000 ? undefined : base, interleaved: interleaved ? undefined : false })}`
  }
}

export interface PositionalEncodingOptions {
  /** Default 0.1. */
  dropout?: number
  /** Longest sequence; default 5000. */
  maxLength?: number
  /** `[B, T, size]`; default false, `[T, B, size]`. */
  batchFirst?: boolean
  /** The table is part of `stateDict()`; default true. */
  persistent?: boolean
}

/**
 * Adds the fixed sinusoidal encoding to `[T, B, size]` (`[B, T, size]` with `batchFirst`), then drops. Defaults: `dropout` 0.1, `maxLength` 5000. Source:
 * Vaswani et al. 2017; the module of PyTorch's transformer tutorial, with its buffer `pe: [maxLength, 1, size]`.
 *
 *     const positions = new nn.PositionalEncoding(512)
 *     encoder.forward(positions.forward(table.forward(tokens)))
 *
 * @throws ShapeError `ERR_LAYER_INPUT` for another size or more positions than `maxLength`.
 */
export class PositionalEncoding extends Module {
  readonly size: number
  readonly dropout: number
  readonly maxLength: number
  readonly batchFirst: boolean
  readonly pe: Tensor

  constructor(size: number, options: PositionalEncodingOptions = {}) {
    checkOptions('PositionalEncoding', options, { dropout: true, maxLength: true, batchFirst: true, persistent: true })
    super()
    this.size = checkEven('PositionalEncoding', 'size', size)
    this.dropout = checkNumber('PositionalEncoding', 'dropout', options.dropout ?? 0.1, 0, 1)
    this.maxLength = checkInteger('PositionalEncoding', 'maxLength', options.maxLength ?? 5000)
    this.batchFirst = options.batchFirst ?? false
    const { sin, cos } = angles(this.maxLength, size, 10_000)
    this.pe = this.registerBuffer('pe', reshape(stack([sin, cos], -1), [this.maxLength, 1, size]), {
      persistent: options.persistent ?? true,
    })
  }

  forward<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
  forward(x: Tensor): Tensor {
    const name = `PositionalEncoding(${this.size})`
    checkInput(name, x, this.pe.dtype)
    const time = this.batchFirst ? 1 : 0
    if (x.ndim !== 3 || x.shape[2] !== this.size || x.shape[time] > this.maxLength) {
      const order = this.batchFirst ? `[B, T, ${this.size}]` : `[T, B, ${this.size}]`
      throw new ShapeError('ERR_LAYER_INPUT', `${name} expects ${order} with T up to ${this.maxLength}, received ${showShape(x.shape)}.`)
    }
    const rows = narrow(this.pe, 0, 0, x.shape[time])
    const y = add(x, this.batchFirst ? reshape(rows, [x.shape[1], this.size]) : rows)
    return this.training ? dropout(y, this.dropout) : y
  }

  override extraRepr(): string {
    return `${this.size}${showOptions({ dropout: this.dropout === 0.1 ? undefined : this.dropout, batchFirst: this.batchFirst || undefined })}`
  }
}
