/**
 * Random tensors. One row; the state is an operand, so that programs draw new numbers at each call.
 */
import { registerLoop } from '../backend/registry.js'
import type { DType } from '../dtype.js'
import { ArgumentError, checkOptions, showValue } from '../errors.js'
import { bitsOfFloat, floatOfBits, Opcode } from '../ir/format.js'
import { drawBlocks, philox, stateTensor } from '../random.js'
import { checkShape, sizeOf } from '../shape.js'
import type { Tensor } from '../tensor.js'
import { tracing } from '../tracing.js'
import type { Sizes } from '../types.js'
import { apply } from './dispatch.js'
import { defineOp } from './table.js'

const kinds = { uniform: 0, normal: 1, bernoulli: 2 } as const

interface RandomAttrs {
  readonly kind: keyof typeof kinds
  readonly a: number
  readonly b: number
  /** In blocks of four numbers. */
  readonly offset: number
  readonly shape: readonly number[]
  readonly dtype: DType
}

const unit = 2 ** -24

/** Four numbers of one block. */
function fillBlock(kind: RandomAttrs['kind'], a: number, b: number, w: Uint32Array, out: Float64Array): void {
  if (kind === 'normal') {
    for (let p = 0; p < 4; p += 2) {
      const r = Math.sqrt(-2 * Math.log(((w[p] >>> 8) + 1) * unit))
      const angle = 2 * Math.PI * (w[p + 1] >>> 8) * unit
      out[p] = a + b * r * Math.cos(angle)
      out[p + 1] = a + b * r * Math.sin(angle)
    }
    return
  }
  for (let p = 0; p < 4; p++) {
    const u = (w[p] >>> 8) * unit
    out[p] = kind === 'uniform' ? a + (b - a) * u : u < Math.fround(a) ? 1 : 0
  }
}

const randomRow = defineOp<RandomAttrs>({
  name: 'random',
  infer: (_i, { shape, dtype }) => [{ shape, dtype }],
  gradient: null,
  lower: (inputs, outputs, { kind, a, b, offset }) => [
    { opcode: Opcode.random, inputs, outputs, scalars: [kinds[kind], bitsOfFloat(a), bitsOfFloat(b), offset] },
  ],
  reference: ([state], [y], { kind, a, b, offset }) => {
    const words = new Uint32Array(4)
    const values = new Float64Array(4)
    for (let i = 0; i < y.data.length; i++) {
      if (i % 4 === 0) {
        philox(state.data as Int32Array, offset + i / 4, words)
        fillBlock(kind, a, b, words, values)
      }
      y.data[i] = values[i % 4]
    }
  },
})

const kindNames = Object.keys(kinds) as (keyof typeof kinds)[]

registerLoop(Opcode.random, (inputs, [y], [kind, a, b, offset]) =>
  randomRow.reference(inputs, [y], { kind: kindNames[kind], a: floatOfBits(a), b: floatOfBits(b), offset, shape: y.shape, dtype: y.dtype }),
)

function draw(kind: RandomAttrs['kind'], shape: readonly number[], a: number, b: number, dtype: DType): Tensor {
  checkShape(kind, shape)
  const blocks = Math.ceil(sizeOf(shape) / 4)
  const { recorder } = tracing
  const from = recorder !== undefined ? recorder.random(blocks) : { state: stateTensor(drawBlocks(blocks)), offset: 0 }
  return apply(randomRow, [from.state], { kind, a, b, offset: from.offset, shape: [...shape], dtype })
}

export interface RandomOptions {
  dtype?: 'float32' | 'float64'
  requiresGrad?: boolean
}

function withGrad(t: Tensor, options: RandomOptions): Tensor {
  if (options.requiresGrad) t.requiresGrad = true
  return t
}

/** Uniform numbers in [low, high), by default [0, 1). */
export function rand<const D extends readonly number[]>(
  shape: D,
  options?: RandomOptions & { low?: number; high?: number },
): Tensor<Sizes<D>>
export function rand(shape: readonly number[], options: RandomOptions & { low?: number; high?: number } = {}): Tensor {
  checkOptions('rand', options)
  return withGrad(draw('uniform', shape, options.low ?? 0, options.high ?? 1, options.dtype ?? 'float32'), options)
}

/** Normal numbers with the given mean and standard deviation, by default 0 and 1. */
export function randn<const D extends readonly number[]>(
  shape: D,
  options?: RandomOptions & { mean?: number; std?: number },
): Tensor<Sizes<D>>
export function randn(shape: readonly number[], options: RandomOptions & { mean?: number; std?: number } = {}): Tensor {
  checkOptions('randn', options)
  return withGrad(draw('normal', shape, options.mean ?? 0, options.std ?? 1, options.dtype ?? 'float32'), options)
}

/** 1 with probability `p`, else 0, as float32 (or bool). */
export function bernoulli<const D extends readonly number[]>(
  shape: D,
  p: number,
  options?: { dtype?: 'float32' | 'bool' | 'float64' },
): Tensor<Sizes<D>>
export function bernoulli(shape: readonly number[], p: number, options: { dtype?: 'float32' | 'bool' | 'float64' } = {}): Tensor {
  checkOptions('bernoulli', options)
  if (typeof p !== 'number' || !(p >= 0 && p <= 1))
    throw new ArgumentError('ERR_PROBABILITY', `bernoulli: p must be between 0 and 1, received ${showValue(p)}.`)
  return draw('bernoulli', shape, p, 0, options.dtype ?? 'float32')
}
