/**
 * The fluent methods of tensors: every op that starts from one tensor, under the same name.
 */
import { type BackwardOptions, backward } from '../autograd/backward.js'
import type { DType } from '../dtype.js'
import { ArgumentError, ShapeError, showShape } from '../errors.js'
import { Tensor } from '../tensor.js'
import * as activations from './activations.js'
import { alias, detach } from './alias.js'
import { assign } from './assign.js'
import * as elementwise from './elementwise.js'
import type { OutOption, TensorLike } from './elementwise.js'
import * as gathers from './gather.js'
import { matmul } from './matmul.js'
import * as movement from './movement.js'
import * as reduces from './reduce.js'
import type { ReduceOptions, VarianceOptions } from './reduce.js'
import * as rows from './softmax.js'

/** One place of an index: a position, `[start, end, step]`, or `null` for everything. */
export type Index = number | readonly [number?, (number | null)?, number?] | null

declare module '../tensor.js' {
  // biome-ignore lint/suspicious/noExplicitAny: merges with the class, whose default this repeats
  // biome-ignore lint/correctness/noUnusedVariables: the parameter is required for merging
  interface Tensor<S = any> {
    neg(options?: OutOption): Tensor
    abs(options?: OutOption): Tensor
    sign(options?: OutOption): Tensor
    floor(options?: OutOption): Tensor
    ceil(options?: OutOption): Tensor
    round(options?: OutOption): Tensor
    trunc(options?: OutOption): Tensor
    sqrt(options?: OutOption): Tensor
    rsqrt(options?: OutOption): Tensor
    reciprocal(options?: OutOption): Tensor
    exp(options?: OutOption): Tensor
    expm1(options?: OutOption): Tensor
    log(options?: OutOption): Tensor
    log1p(options?: OutOption): Tensor
    sin(options?: OutOption): Tensor
    cos(options?: OutOption): Tensor
    tanh(options?: OutOption): Tensor
    sigmoid(options?: OutOption): Tensor
    erf(options?: OutOption): Tensor
    square(options?: OutOption): Tensor
    relu(options?: OutOption): Tensor
    add(other: TensorLike, options?: OutOption): Tensor
    sub(other: TensorLike, options?: OutOption): Tensor
    mul(other: TensorLike, options?: OutOption): Tensor
    div(other: TensorLike, options?: OutOption): Tensor
    pow(exponent: TensorLike, options?: OutOption): Tensor
    maximum(other: TensorLike, options?: OutOption): Tensor
    minimum(other: TensorLike, options?: OutOption): Tensor
    eq(other: TensorLike): Tensor
    ne(other: TensorLike): Tensor
    lt(other: TensorLike): Tensor
    le(other: TensorLike): Tensor
    gt(other: TensorLike): Tensor
    ge(other: TensorLike): Tensor
    logicalAnd(other: Tensor): Tensor
    logicalOr(other: Tensor): Tensor
    logicalNot(): Tensor
    /** Converts to another dtype. */
    to(dtype: DType): Tensor
    leakyRelu(negativeSlope?: number): Tensor
    gelu(options?: { approximate?: 'none' | 'tanh' }): Tensor
    silu(): Tensor
    softplus(): Tensor
    logSigmoid(): Tensor
    clamp(min?: number, max?: number): Tensor
    softmax(dim?: number): Tensor
    logSoftmax(dim?: number): Tensor
    sum(options?: ReduceOptions): Tensor
    mean(options?: ReduceOptions): Tensor
    prod(options?: ReduceOptions): Tensor
    amax(options?: ReduceOptions): Tensor
    amin(options?: ReduceOptions): Tensor
    argmax(dim?: number, options?: { keepdim?: boolean }): Tensor
    argmin(dim?: number, options?: { keepdim?: boolean }): Tensor
    variance(options?: VarianceOptions): Tensor
    std(options?: VarianceOptions): Tensor
    norm(options?: ReduceOptions): Tensor
    logsumexp(options?: ReduceOptions): Tensor
    matmul(other: Tensor, options?: OutOption): Tensor
    reshape(shape: readonly number[]): Tensor
    flatten(startDim?: number, endDim?: number): Tensor
    squeeze(dim?: number): Tensor
    unsqueeze(dim: number): Tensor
    permute(dims: readonly number[]): Tensor
    transpose(dim0?: number, dim1?: number): Tensor
    expand(shape: readonly number[]): Tensor
    slice(dim: number, start?: number, end?: number, step?: number): Tensor
    narrow(dim: number, start: number, size: number): Tensor
    split(size: number | readonly number[], dim?: number): Tensor[]
    pad(padding: readonly number[], options?: { value?: number }): Tensor
    gather(index: Tensor, dim: number): Tensor
    indexSelect(index: Tensor | readonly number[], dim?: number): Tensor
    /** A copy in memory of its own. */
    clone(): Tensor
    /** The same values, cut off from gradients. */
    detach(): Tensor
    /** @internal */
    alias(): Tensor
    /** Writes `value` into this tensor in place. */
    assign(value: TensorLike): void
    /**
     * A part: one entry for each dimension from the first; missing ones are taken whole. A number drops its dimension.
     *
     *     x.at(0)                  // the first row
     *     x.at(null, [1, -1])      // all rows, columns 1 up to but without the last
     */
    at(...index: Index[]): Tensor
    /** Adds gradients to the `.grad` of every leaf this tensor depends on. */
    backward(gradient?: Tensor, options?: BackwardOptions): void
  }
}

function at(x: Tensor, ...index: Index[]): Tensor {
  if (index.length > x.ndim) throw new ShapeError('ERR_INDEX_RANK', `at: ${index.length} indices for ${x.ndim} dimensions ${showShape(x.shape)}.`)
  const start: number[] = []
  const step: number[] = []
  const shape: number[] = []
  x.shape.forEach((size, d) => {
    const i = index[d] ?? null
    if (typeof i === 'number') {
      const p = i < 0 ? i + size : i
      if (!Number.isInteger(i) || p < 0 || p >= size) throw new ShapeError('ERR_INDEX_RANGE', `at: index ${i} is out of range for dimension ${d} of ${showShape(x.shape)}.`)
      start.push(p)
      step.push(1)
      shape.push(1)
    } else if (i === null) {
      start.push(0)
      step.push(1)
      shape.push(size)
    } else if (Array.isArray(i)) {
      const by = i[2] ?? 1
      const part = movement.slicePart('at', size, i[0] ?? undefined, i[1] ?? undefined, by)
      start.push(part.start)
      step.push(by)
      shape.push(part.size)
    } else {
      throw new ArgumentError('ERR_INDEX', `at: an index is a number, [start, end, step] or null, received ${String(i)}.`)
    }
  })
  const part = movement.sliceBy(x, { start, step, shape })
  return movement.reshape(part, shape.filter((_, d) => typeof index[d] !== 'number'))
}

const { neg, abs, sign, floor, ceil, round, trunc, sqrt, rsqrt, reciprocal, exp, expm1, log, log1p, sin, cos, tanh, sigmoid, erf } = elementwise
const { square, relu, add, sub, mul, div, pow, maximum, minimum, eq, ne, lt, le, gt, ge, logicalAnd, logicalOr, logicalNot, to } = elementwise
const { leakyRelu, gelu, silu, softplus, logSigmoid, clamp } = activations
const { softmax, logSoftmax } = rows
const { sum, mean, prod, amax, amin, argmax, argmin, variance, std, norm, logsumexp } = reduces
const { reshape, flatten, squeeze, unsqueeze, permute, transpose, expand, slice, narrow, split, pad, clone } = movement
const { gather, indexSelect } = gathers

const methods = {
  neg, abs, sign, floor, ceil, round, trunc, sqrt, rsqrt, reciprocal, exp, expm1, log, log1p, sin, cos, tanh, sigmoid, erf,
  square, relu, add, sub, mul, div, pow, maximum, minimum, eq, ne, lt, le, gt, ge, logicalAnd, logicalOr, logicalNot, to,
  leakyRelu, gelu, silu, softplus, logSigmoid, clamp, softmax, logSoftmax,
  sum, mean, prod, amax, amin, argmax, argmin, variance, std, norm, logsumexp,
  matmul, reshape, flatten, squeeze, unsqueeze, permute, transpose, expand, slice, narrow, split, pad, clone,
  gather, indexSelect, detach, alias, assign, at, backward,
}

/** Installs the methods on the tensor class; called once, by the entry file. */
export function installMethods(): void {
  for (const [name, op] of Object.entries(methods)) {
    const f = op as unknown as (x: Tensor, ...rest: unknown[]) => unknown
    Object.defineProperty(Tensor.prototype, name, {
      configurable: true,
      writable: true,
      value(this: Tensor, ...rest: unknown[]): unknown {
        return f(this, ...rest)
      },
    })
  }
}
