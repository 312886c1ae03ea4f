/**
 * Activations: compositions of elementwise ops, which `compile` fuses into one map. Where a function has a kink its gradient is PyTorch's, and
 * what a choice does not take is kept finite, so that no gradient becomes 0·∞. With random numbers: random.ts.
 */
import { ArgumentError, checkOptions, ShapeError, showShape, showValue } from '../../base/errors.js'
import { normalizeDim } from '../../base/shape.js'
import { type ShapeOf, Tensor } from '../../tensor/tensor.js'
import { dimOf } from '../core/along.js'
import { checkTensor } from '../core/dispatch.js'
import {
  abs,
  add,
  div,
  exactGelu,
  exp,
  expm1,
  ge,
  gt,
  le,
  log1p,
  maximum,
  minimum,
  mul,
  neg,
  sigmoid,
  sign,
  sub,
  tanh,
  where,
} from './elementwise.js'
import { narrow, reshape } from './movement.js'

function checkReal(op: string, name: string, value: number): number {
  if (typeof value === 'number' && !Number.isNaN(value)) return value
  throw new ArgumentError('ERR_OPTION', `${op}: ${name} must be a number, received ${showValue(value)}.`)
}

/** A divisor. */
function checkScale(op: string, name: string, value: number): number {
  if (checkReal(op, name, value) !== 0 && Number.isFinite(value)) return value
  throw new ArgumentError('ERR_OPTION', `${op}: ${name} must be a finite number other than 0, received ${value}.`)
}

/** x above 0, `negativeSlope · x` below. */
export function leakyRelu<T extends Tensor>(x: T, negativeSlope?: number): Tensor<ShapeOf<T>>
export function leakyRelu(x: Tensor, negativeSlope = 0.01): Tensor {
  return where(gt(x, 0), x, mul(x, negativeSlope))
}

/**
 * Gaussian error linear unit, x·Φ(x) (Hendrycks and Gimpel 2016); `approximate: 'tanh'` for the tanh form.
 */
export function gelu<T extends Tensor>(x: T, options?: { approximate?: 'none' | 'tanh' }): Tensor<ShapeOf<T>>
export function gelu(x: Tensor, options: { approximate?: 'none' | 'tanh' } = {}): Tensor {
  checkOptions('gelu', options, { approximate: true })
  if (options.approximate === 'tanh') {
    const inner = mul(add(x, mul(mul(mul(x, x), x), 0.044715)), Math.sqrt(2 / Math.PI))
    return mul(mul(x, 0.5), add(tanh(inner), 1))
  }
  if (options.approximate !== undefined && options.approximate !== 'none') {
    throw new ArgumentError('ERR_OPTION', `gelu: approximate must be 'none' or 'tanh', received ${showValue(options.approximate)}.`)
  }
  return exactGelu(x)
}

/** x · sigmoid(x) (swish). */
export function silu<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function silu(x: Tensor): Tensor {
  return mul(x, sigmoid(x))
}

export interface SoftplusOptions {
  /** Steepness; default 1. */
  beta?: number
  /** x itself where beta·x is above this; default 20. */
  threshold?: number
}

/** log(1 + e^(beta·x)) / beta, without overflow. Source: `torch.nn.functional.softplus`. */
export function softplus<T extends Tensor>(x: T, options?: SoftplusOptions): Tensor<ShapeOf<T>>
export function softplus(x: Tensor, options: SoftplusOptions = {}): Tensor {
  checkOptions('softplus', options, { beta: true, threshold: true })
  const { beta = 1, threshold: limit = 20 } = options
  checkScale('softplus', 'beta', beta)
  checkReal('softplus', 'threshold', limit)
  const z = beta === 1 ? x : mul(x, beta)
  // log(1 + e^-|z|) + max(z, 0); both by one choice, so that the derivatives of all orders are right at 0 as well, unlike those of abs
  const positive = gt(z, 0)
  const soft = add(where(positive, z, 0), log1p(exp(where(positive, neg(z), z))))
  const y = beta === 1 ? soft : div(soft, beta)
  // from 20 on both are the same in float32
  return limit >= 20 ? y : where(gt(z, limit), x, y)
}

/** log(sigmoid(x)), without underflow. */
export function logSigmoid<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function logSigmoid(x: Tensor): Tensor {
  return neg(softplus(neg(x)))
}

/** `above`·x above 0, `below`·(e^(x / width) − 1) from 0 down: what the exponential units share. */
function exponentialUnit(x: Tensor, above: number, below: number, width: number): Tensor {
  const positive = gt(x, 0)
  const bounded = where(positive, 0, x)
  return where(positive, mul(x, above), mul(expm1(div(bounded, width)), below))
}

/** x above 0, alpha·(eˣ − 1) below; `alpha` is 1 by default. Source: Clevert et al. 2016, `torch.nn.functional.elu`. */
export function elu<T extends Tensor>(x: T, alpha?: number): Tensor<ShapeOf<T>>
export function elu(x: Tensor, alpha = 1): Tensor {
  return exponentialUnit(x, 1, checkReal('elu', 'alpha', alpha), 1)
}

// the fixed point at which mean 0 and variance 1 reproduce themselves, Klambauer et al. 2017, appendix 1
const seluScale = 1.0507009873554805
const seluAlpha = 1.6732632423543772

/** ELU scaled so that layers keep mean 0 and variance 1. Source: Klambauer et al. 2017, `torch.nn.functional.selu`. */
export function selu<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function selu(x: Tensor): Tensor {
  return exponentialUnit(x, seluScale, seluScale * seluAlpha, 1)
}

/** x above 0, alpha·(e^(x/alpha) − 1) below, smooth at 0; `alpha` is 1 by default. Source: Barron 2017, `torch.nn.functional.celu`. */
export function celu<T extends Tensor>(x: T, alpha?: number): Tensor<ShapeOf<T>>
export function celu(x: Tensor, alpha = 1): Tensor {
  return exponentialUnit(x, 1, checkScale('celu', 'alpha', alpha), alpha)
}

/** x · tanh(softplus(x)). Source: Misra 2019, `torch.nn.functional.mish`. */
export function mish<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function mish(x: Tensor): Tensor {
  return mul(x, tanh(softplus(x)))
}

/** x / (1 + |x|). */
export function softsign<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function softsign(x: Tensor): Tensor {
  return div(x, add(abs(x), 1))
}

/** x limited to [minVal, maxVal], by default −1 and 1; unlike `clamp` no gradient flows at the limits. Source: `torch.nn.functional.hardtanh`. */
export function hardtanh<T extends Tensor>(x: T, minVal?: number, maxVal?: number): Tensor<ShapeOf<T>>
export function hardtanh(x: Tensor, minVal = -1, maxVal = 1): Tensor {
  if (!(checkReal('hardtanh', 'minVal', minVal) <= checkReal('hardtanh', 'maxVal', maxVal)))
    throw new ArgumentError('ERR_OPTION', `hardtanh: minVal must not be above maxVal, received ${minVal} and ${maxVal}.`)
  return where(le(x, minVal), minVal, where(ge(x, maxVal), maxVal, x))
}

/** x limited to [0, 6]. */
export function relu6<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function relu6(x: Tensor): Tensor {
  return hardtanh(x, 0, 6)
}

/** x/6 + ½ limited to [0, 1]. Source: `torch.nn.functional.hardsigmoid`. */
export function hardsigmoid<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function hardsigmoid(x: Tensor): Tensor {
  return div(relu6(add(x, 3)), 6)
}

/** x · hardsigmoid(x). Source: Howard et al. 2019, `torch.nn.functional.hardswish`. */
export function hardswish<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function hardswish(x: Tensor): Tensor {
  return where(ge(x, 3), x, mul(x, hardsigmoid(x)))
}

/** x above `threshold`, `value` elsewhere. Source: `torch.nn.functional.threshold`. */
export function threshold<T extends Tensor>(x: T, threshold: number, value: number): Tensor<ShapeOf<T>>
export function threshold(x: Tensor, threshold: number, value: number): Tensor {
  return where(le(x, checkReal('threshold', 'threshold', threshold)), checkReal('threshold', 'value', value), x)
}

/** x moved towards 0 by `lambd` (default 0.5), 0 where it is nearer. Source: `torch.nn.functional.softshrink`. */
export function softshrink<T extends Tensor>(x: T, lambd?: number): Tensor<ShapeOf<T>>
export function softshrink(x: Tensor, lambd = 0.5): Tensor {
  if (!(checkReal('softshrink', 'lambd', lambd) >= 0))
    throw new ArgumentError('ERR_OPTION', `softshrink: lambd must be a number from 0, received ${showValue(lambd)}.`)
  return where(le(abs(x), lambd), 0, sub(x, mul(sign(x), lambd)))
}

/** 0 where |x| is at most `lambd` (default 0.5), x elsewhere. Source: `torch.nn.functional.hardshrink`. */
export function hardshrink<T extends Tensor>(x: T, lambd?: number): Tensor<ShapeOf<T>>
export function hardshrink(x: Tensor, lambd = 0.5): Tensor {
  return where(le(abs(x), checkReal('hardshrink', 'lambd', lambd)), 0, x)
}

/** x − tanh(x). */
export function tanhshrink<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function tanhshrink(x: Tensor): Tensor {
  return sub(x, tanh(x))
}

/**
 * x above 0, weight·x below, with a learnt `weight`: `[1]`, or one number for each channel, dimension 1 of `x: [N, C, …]`. Source:
 * He et al. 2015, `torch.nn.functional.prelu`.
 *
 * @throws ShapeError `ERR_PRELU` when the weight has another size.
 */
export function prelu<T extends Tensor>(x: T, weight: Tensor): Tensor<ShapeOf<T>>
export function prelu(x: Tensor, weight: Tensor): Tensor {
  checkTensor('prelu', 'x', x)
  checkTensor('prelu', 'the weight', weight)
  const channels = x.ndim < 2 ? 1 : x.shape[1]
  if (weight.ndim > 1 || (weight.size !== 1 && weight.size !== channels)) {
    throw new ShapeError(
      'ERR_PRELU',
      `prelu: the weight must be [1] or [${channels}], one number for each channel of ${showShape(x.shape)}, received ${showShape(weight.shape)}.`,
    )
  }
  const slope = reshape(weight, weight.size === 1 ? [] : [channels, ...x.shape.slice(2).map(() => 1)])
  return where(gt(x, 0), x, mul(x, slope))
}

/**
 * The first half along `dim` (default the last) gated by the second: a · sigmoid(b). `[…, 2n, …]` → `[…, n, …]`. Source: Dauphin et al. 2017,
 * `torch.nn.functional.glu`.
 *
 * @throws ShapeError `ERR_GLU` when the dimension cannot be halved.
 */
export function glu(x: Tensor, dim?: number | { dim?: number }): Tensor {
  checkTensor('glu', 'x', x)
  const d = normalizeDim('glu', dimOf('glu', dim, -1), x.ndim)
  const half = x.shape[d] / 2
  if (!Number.isInteger(half))
    throw new ShapeError('ERR_GLU', `glu: dimension ${d} of ${showShape(x.shape)} must be even, to be cut in halves.`)
  return mul(narrow(x, d, 0, half), sigmoid(narrow(x, d, half, half)))
}

export interface ClampOptions {
  min?: Tensor | number
  max?: Tensor | number
}

/**
 * x limited to [min, max]; the gradient is 0 outside and at the limits, as in PyTorch. Limits that are tensors broadcast with x and have gradients;
 * where x equals one, each gets half.
 *
 *     clamp(x, 0, 1)
 *     clamp(x, { min: 0 })
 */
export function clamp<T extends Tensor>(x: T, min?: number | { min?: number; max?: number }, max?: number): Tensor<ShapeOf<T>>
export function clamp(x: Tensor, min?: Tensor | number | ClampOptions, max?: Tensor | number): Tensor
export function clamp(x: Tensor, least?: Tensor | number | ClampOptions, most?: Tensor | number): Tensor {
  const { min, max } = limitsOf(least, most)
  if (min === undefined && max === undefined) throw new ArgumentError('ERR_CLAMP', 'clamp: needs min, max or both.')
  let y = x
  if (min !== undefined) y = typeof min === 'number' ? where(le(y, min), min, y) : maximum(y, min)
  if (max !== undefined) y = typeof max === 'number' ? where(ge(y, max), max, y) : minimum(y, max)
  return y
}

function limitsOf(least: Tensor | number | ClampOptions | undefined, most: Tensor | number | undefined): ClampOptions {
  if (typeof least !== 'object' || least === null || least instanceof Tensor) return { min: least, max: most }
  checkOptions<ClampOptions>('clamp', least, { min: true, max: true })
  if (most === undefined) return least
  throw new ArgumentError('ERR_CLAMP', 'clamp: takes two limits or one object, { min, max }, not both.')
}
