/**
 * The fluent methods of tensors: every op that starts from one tensor, under the same name.
 */
import { backward } from '../autograd/backward.js'
import { registerHook } from '../autograd/hooks.js'
import { Tensor } from '../tensor.js'
import type { AnyShape } from '../types.js'
import * as activations from './activations.js'
import { alias, detach } from './alias.js'
import * as arrange from './arrange.js'
import { assign } from './assign.js'
import { at } from './at.js'
import * as comparisons from './compare.js'
import * as diagonals from './diagonal.js'
import * as dynamics from './dynamic.js'
import * as elementwise from './elementwise.js'
import type { FluentTensor } from './fluent.js'
import * as functions from './functions.js'
import * as gathers from './gather.js'
import * as joins from './join.js'
import * as linalg from './linalg.js'
import * as products from './matmul.js'
import * as movement from './movement.js'
import * as padding from './pad.js'
import * as reduces from './reduce.js'
import * as scans from './scan.js'
import * as scatters from './scatter.js'
import * as rows from './softmax.js'
import * as sorts from './sort.js'
import * as statistics from './statistics.js'
import * as norms from './vector-norm.js'

export type { Index } from './fluent.js'

declare module '../tensor.js' {
  // merges with the class, whose default this repeats
  interface Tensor<S = AnyShape> extends FluentTensor {}
}

const { neg, abs, sign, floor, ceil, round, trunc, sqrt, rsqrt, reciprocal, exp, expm1, log, log1p, sin, cos, tanh, sigmoid, erf } =
  elementwise
const { square, relu, add, sub, mul, div, pow, maximum, minimum, eq, ne, lt, le, gt, ge, logicalAnd, logicalOr, logicalNot, to } =
  elementwise
const { leakyRelu, gelu, silu, softplus, logSigmoid, clamp, elu, selu, celu, mish, softsign, hardtanh, relu6 } = activations
const { hardsigmoid, hardswish, softshrink, hardshrink, tanhshrink, threshold, prelu, glu } = activations
const { softmax, logSoftmax } = rows
const { sum, mean, prod, amax, amin, argmax, argmin, variance, std, logsumexp } = reduces
const { reshape, flatten, squeeze, unsqueeze, permute, transpose, expand, slice, narrow, clone } = movement
const { split } = joins
const { gather, indexSelect } = gathers
const { matmul } = products
const { tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh, atan2, fmod, remainder, floorDivide, exp2, log2, log10, frac, lerp } =
  functions
const { isnan, isinf, isfinite, nanToNum, logicalXor, any, all, countNonzero, isclose, allclose, equal, maskedFill } = comparisons
const { cumsum, cumprod, diff } = scans
const { sort, argsort, topk } = sorts
const { max, min, kthvalue, median, quantile } = statistics
const { norm } = norms
const { dot, outer } = products
const { flip, roll, repeat, tile, repeatInterleave, chunk, unbind, movedim, swapaxes, unflatten } = arrange
const { pad } = padding
const { diag, diagonal, trace, tril, triu } = diagonals
const { scatter, scatterAdd, indexAdd, indexCopy, take } = scatters
const { nonzero, maskedSelect, unique } = dynamics
const { inverse, cholesky, det } = linalg

const methods = {
  neg,
  abs,
  sign,
  floor,
  ceil,
  round,
  trunc,
  sqrt,
  rsqrt,
  reciprocal,
  exp,
  expm1,
  log,
  log1p,
  sin,
  cos,
  tanh,
  sigmoid,
  erf,
  square,
  relu,
  add,
  sub,
  mul,
  div,
  pow,
  maximum,
  minimum,
  eq,
  ne,
  lt,
  le,
  gt,
  ge,
  logicalAnd,
  logicalOr,
  logicalNot,
  to,
  leakyRelu,
  gelu,
  silu,
  softplus,
  logSigmoid,
  clamp,
  elu,
  selu,
  celu,
  mish,
  softsign,
  hardtanh,
  relu6,
  hardsigmoid,
  hardswish,
  softshrink,
  hardshrink,
  tanhshrink,
  threshold,
  prelu,
  glu,
  softmax,
  logSoftmax,
  sum,
  mean,
  prod,
  amax,
  amin,
  argmax,
  argmin,
  variance,
  std,
  norm,
  logsumexp,
  matmul,
  reshape,
  flatten,
  squeeze,
  unsqueeze,
  permute,
  transpose,
  expand,
  slice,
  narrow,
  split,
  pad,
  clone,
  gather,
  indexSelect,
  tan,
  asin,
  acos,
  atan,
  sinh,
  cosh,
  asinh,
  acosh,
  atanh,
  atan2,
  fmod,
  remainder,
  floorDivide,
  exp2,
  log2,
  log10,
  frac,
  lerp,
  isnan,
  isinf,
  isfinite,
  nanToNum,
  logicalXor,
  any,
  all,
  countNonzero,
  isclose,
  allclose,
  equal,
  maskedFill,
  cumsum,
  cumprod,
  diff,
  sort,
  argsort,
  topk,
  max,
  min,
  kthvalue,
  median,
  quantile,
  dot,
  outer,
  flip,
  roll,
  repeat,
  tile,
  repeatInterleave,
  chunk,
  unbind,
  movedim,
  swapaxes,
  unflatten,
  diag,
  diagonal,
  trace,
  tril,
  triu,
  scatter,
  scatterAdd,
  indexAdd,
  indexCopy,
  take,
  nonzero,
  maskedSelect,
  unique,
  inverse,
  cholesky,
  det,
  detach,
  alias,
  assign,
  at,
  backward,
  registerHook,
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
