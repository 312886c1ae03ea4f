/**
 * Initial values for parameters. Each function overwrites a tensor in place, without recording gradients, and returns it. Numbers come
 * from the generator that `manualSeed` starts.
 */

import { ArgumentError, checkOptions, isNumber, ShapeError, showShape, showValue } from '../base/errors.js'
import { sizeOf } from '../base/shape.js'
import { assign } from '../ops/basic/assign.js'
import { eye as identity } from '../ops/basic/creation.js'
import { rand, randn } from '../ops/basic/random.js'
import { refuseInTrace } from '../ops/basic/state.js'
import { checkDTypes, checkTensor } from '../ops/core/dispatch.js'
import { noGrad } from '../ops/core/grad-mode.js'
import type { Tensor } from '../tensor/tensor.js'

export type Nonlinearity = 'linear' | 'conv2d' | 'sigmoid' | 'tanh' | 'relu' | 'leakyRelu' | 'selu'

export interface KaimingOptions {
  /** Negative slope of the leaky ReLU that follows; default 0. */
  a?: number
  /** Keep the variance in the forward pass (`fanIn`, default) or in the backward pass (`fanOut`). */
  mode?: 'fanIn' | 'fanOut'
  /** Default `leakyRelu`. */
  nonlinearity?: Nonlinearity
}

function write(op: string, target: Tensor, value: () => Tensor | number): Tensor {
  checkTensor(op, 'the target', target)
  refuseInTrace(op)
  noGrad(() => assign(target, value()))
  return target
}

type FloatType = 'float32' | 'float64'
function floatType(op: string, t: Tensor): FloatType {
  checkTensor(op, 'the target', t)
  checkDTypes(op, t, ['float32', 'float64'])
  return t.dtype as FloatType
}

/**
 * Uniform numbers in [low, high), by default [0, 1).
 *
 *     init.uniform(layer.weight, { low: -0.1, high: 0.1 })
 */
export function uniform(target: Tensor, options: { low?: number; high?: number } = {}): Tensor {
  checkOptions('uniform', options, { low: true, high: true })
  const { low = 0, high = 1 } = options
  const dtype = floatType('init.uniform', target)
  if (!(isNumber(low) && isNumber(high) && low <= high))
    throw new ArgumentError(
      'ERR_INIT',
      `init.uniform: low and high are numbers, low not above high, received ${showValue(low)} and ${showValue(high)}.`,
    )
  return write('init.uniform', target, () => rand(target.shape, { low, high, dtype }))
}

/**
 * Normal numbers, by default of mean 0 and standard deviation 1.
 *
 *     init.normal(layer.weight, { std: 0.02 })
 */
export function normal(target: Tensor, options: { mean?: number; std?: number } = {}): Tensor {
  checkOptions('normal', options, { mean: true, std: true })
  const { mean = 0, std = 1 } = options
  const dtype = floatType('init.normal', target)
  if (!isNumber(mean)) throw new ArgumentError('ERR_INIT', `init.normal: mean must be a number, received ${showValue(mean)}.`)
  if (!(isNumber(std) && std >= 0)) throw new ArgumentError('ERR_INIT', `init.normal: std must be at least 0, received ${showValue(std)}.`)
  return write('init.normal', target, () => randn(target.shape, { mean, std, dtype }))
}

/** One number everywhere: `init.constant(layer.bias, 0.1)`. */
export function constant(target: Tensor, value: number): Tensor {
  return write('init.constant', target, () => value)
}

/** Zeros everywhere. */
export function zeros(target: Tensor): Tensor {
  return constant(target, 0)
}

/** Ones everywhere. */
export function ones(target: Tensor): Tensor {
  return constant(target, 1)
}

/** The identity, for a matrix. @throws ShapeError `ERR_INIT` for other ranks. */
export function eye(target: Tensor): Tensor {
  const dtype = floatType('init.eye', target)
  if (target.ndim !== 2) throw new ShapeError('ERR_INIT', `init.eye: needs a matrix, received ${showShape(target.shape)}.`)
  return write('init.eye', target, () => identity(target.shape[0], target.shape[1], { dtype }))
}

/**
 * The factor by which a nonlinearity's inputs are to be larger, to keep their variance. `parameter` is the negative slope of `leakyRelu`.
 * Source: `torch.nn.init.calculate_gain`.
 *
 *     init.calculateGain('relu')              // √2
 *     init.calculateGain('leakyRelu', 0.2)
 */
export function calculateGain(nonlinearity: Nonlinearity, parameter = 0.01): number {
  if (!isNumber(parameter))
    throw new ArgumentError('ERR_INIT', `init.calculateGain: the parameter must be a number, received ${showValue(parameter)}.`)
  switch (nonlinearity) {
    case 'linear':
    case 'conv2d':
    case 'sigmoid':
      return 1
    case 'tanh':
      return 5 / 3
    case 'relu':
      return Math.SQRT2
    case 'leakyRelu':
      return Math.sqrt(2 / (1 + parameter ** 2))
    case 'selu':
      return 3 / 4
    default:
      throw new ArgumentError(
        'ERR_INIT',
        `init.calculateGain: unknown nonlinearity ${showValue(nonlinearity)}. Known: linear, conv2d, sigmoid, tanh, relu, leakyRelu, selu.`,
      )
  }
}

/** Inputs and outputs of one unit: `[out, in, …kernel]`. */
function fans(op: string, target: Tensor): { fanIn: number; fanOut: number } {
  floatType(op, target)
  if (target.ndim < 2)
    throw new ShapeError(
      'ERR_INIT',
      `${op}: needs at least two dimensions [out, in, …], received ${showShape(target.shape)}. Use init.uniform or init.normal.`,
    )
  const field = sizeOf(target.shape.slice(2))
  return { fanIn: target.shape[1] * field, fanOut: target.shape[0] * field }
}

function xavierStd(op: string, target: Tensor, gain: number): number {
  if (!isNumber(gain)) throw new ArgumentError('ERR_INIT', `${op}: gain must be a number, received ${showValue(gain)}.`)
  const { fanIn, fanOut } = fans(op, target)
  return fanIn + fanOut === 0 ? 0 : gain * Math.sqrt(2 / (fanIn + fanOut))
}

/**
 * Uniform in ±gain·√(6 / (fanIn + fanOut)). Source: Glorot and Bengio 2010.
 *
 *     init.xavierUniform(layer.weight, { gain: init.calculateGain('tanh') })
 */
export function xavierUniform(target: Tensor, options: { gain?: number } = {}): Tensor {
  checkOptions('xavierUniform', options, { gain: true })
  const bound = Math.sqrt(3) * xavierStd('init.xavierUniform', target, options.gain ?? 1)
  return uniform(target, { low: -bound, high: bound })
}

/** Normal of standard deviation gain·√(2 / (fanIn + fanOut)). Source: Glorot and Bengio 2010. */
export function xavierNormal(target: Tensor, options: { gain?: number } = {}): Tensor {
  checkOptions('xavierNormal', options, { gain: true })
  return normal(target, { std: xavierStd('init.xavierNormal', target, options.gain ?? 1) })
}

function kaimingStd(op: string, target: Tensor, options: KaimingOptions): number {
  const { a = 0, mode = 'fanIn', nonlinearity = 'leakyRelu' } = options
  if (mode !== 'fanIn' && mode !== 'fanOut')
    throw new ArgumentError('ERR_INIT', `${op}: mode must be 'fanIn' or 'fanOut', received ${showValue(mode)}.`)
  const fan = fans(op, target)[mode]
  return fan === 0 ? 0 : calculateGain(nonlinearity, a) / Math.sqrt(fan)
}

/**
 * Uniform in ±gain·√(3 / fan), for layers followed by a ReLU. Source: He et al. 2015.
 *
 *     init.kaimingUniform(layer.weight, { nonlinearity: 'relu' })
 */
export function kaimingUniform(target: Tensor, options: KaimingOptions = {}): Tensor {
  checkOptions('kaimingUniform', options, { a: true, mode: true, nonlinearity: true })
  const bound = Math.sqrt(3) * kaimingStd('init.kaimingUniform', target, options)
  return uniform(target, { low: -bound, high: bound })
}

/** Normal of standard deviation gain / √fan, for layers followed by a ReLU. Source: He et al. 2015. */
export function kaimingNormal(target: Tensor, options: KaimingOptions = {}): Tensor {
  checkOptions('kaimingNormal', options, { a: true, mode: true, nonlinearity: true })
  return normal(target, { std: kaimingStd('init.kaimingNormal', target, options) })
}
