/**
 * Weights computed from other parameters: weight norm and spectral norm. The module keeps its class; its parameter becomes a property that is computed
 * when it is read, from parameters and buffers with PyTorch's names.
 */

import { ArgumentError, checkOptions, showValue } from '../base/errors.js'
import { normalizeDim } from '../base/shape.js'
import { norm } from '../ops/arrays/vector-norm.js'
import { assign } from '../ops/basic/assign.js'
import { div, maximum, mul } from '../ops/basic/elementwise.js'
import { matmul } from '../ops/basic/matmul.js'
import { clone, permute, reshape } from '../ops/basic/movement.js'
import { randn } from '../ops/basic/random.js'
import { sum } from '../ops/basic/reduce.js'
import { noGrad } from '../ops/core/grad-mode.js'
import type { Tensor } from '../tensor/tensor.js'
import { checkInteger, checkNumber } from './check.js'
import { Module } from './module.js'
import { Parameter } from './parameter.js'

/** The parameter in a field of the module's own. @throws ArgumentError `ERR_NOT_A_MODULE`, `ERR_NOT_A_PARAMETER`. */
function parameterOf(op: string, module: unknown, name: string): Parameter {
  if (!(module instanceof Module)) throw new ArgumentError('ERR_NOT_A_MODULE', `${op}: expected a module, received ${showValue(module)}.`)
  const found: unknown = typeof name === 'string' ? Object.getOwnPropertyDescriptor(module, name)?.value : undefined
  if (found instanceof Parameter) return found
  throw new ArgumentError('ERR_NOT_A_PARAMETER', `${op}: ${module.constructor.name} has no parameter ${showValue(name)} of its own.`)
}

/** Puts a computed property in the place of a parameter. `this` of the function is the module, so that it holds for clones too. */
function compute(module: Module, name: string, get: (this: Module) => Tensor): void {
  Object.defineProperty(module, name, { get, configurable: true, enumerable: false })
}

const state = (module: Module, name: string): Tensor => module.stateTensors().get(name) as Tensor

function checkDim(op: string, dim: number, weight: Tensor): number {
  return normalizeDim(op, dim, weight.ndim)
}

/**
 * Splits a module's weight into its length `weight_g` and its direction `weight_v`: weight = g · v / ‖v‖, the norm taken over all dimensions but `dim`
 * (`null`: over all). Returns the module. Defaults: `name` 'weight', `dim` 0. Source: Salimans and Kingma 2016,
 * `torch.nn.utils.weight_norm`.
 *
 *     const layer = nn.weightNorm(new nn.Linear(20, 40))
 *
 * @throws ArgumentError `ERR_NOT_A_PARAMETER` where the module has no such parameter.
 */
export function weightNorm<M extends Module>(module: M, options: { name?: string; dim?: number | null } = {}): M {
  checkOptions('weightNorm', options, { name: true, dim: true })
  const { name = 'weight', dim = 0 } = options
  const weight = parameterOf('weightNorm', module, name)
  const kept = dim === null ? undefined : checkDim('weightNorm: dim', dim, weight)
  const lengthOf = (v: Tensor): Tensor =>
    kept === undefined ? norm(v) : norm(v, { dim: [...v.shape.keys()].filter((d) => d !== kept), keepdim: true })
  module.registerParameter(`${name}_g`, new Parameter(noGrad(() => lengthOf(weight))))
  module.registerParameter(`${name}_v`, new Parameter(weight))
  compute(module, name, function () {
    const v = state(this, `${name}_v`)
    return mul(v, div(state(this, `${name}_g`), lengthOf(v)))
  })
  return module
}

export interface SpectralNormOptions {
  /** Default 'weight'. */
  name?: string
  /** Steps of the power iteration at each forward in training; default 1. */
  nPowerIterations?: number
  /** Least length that is divided by; default 1e-12. */
  eps?: number
  /** The dimension of the outputs; default 0. */
  dim?: number
}

/**
 * Divides a module's weight by its largest singular value, which a power iteration over the forwards in training estimates. The state dict has `weight_orig`,
 * `weight_u` and `weight_v`. Returns the module. Defaults: `name` 'weight', `nPowerIterations` 1, `eps` 1e-12, `dim` 0 (give 1 for transposed
 * convolutions). Source: Miyato et al. 2018, `torch.nn.utils.spectral_norm`.
 *
 *     const critic = nn.spectralNorm(new nn.Conv2d(3, 64, 4, { stride: 2 }))
 *
 * @throws ArgumentError `ERR_NOT_A_PARAMETER` where the module has no such parameter.
 */
export function spectralNorm<M extends Module>(module: M, options: SpectralNormOptions = {}): M {
  checkOptions('spectralNorm', options, { name: true, nPowerIterations: true, eps: true, dim: true })
  const { name = 'weight', nPowerIterations = 1, eps = 1e-12, dim = 0 } = options
  const weight = parameterOf('spectralNorm', module, name)
  const first = checkDim('spectralNorm: dim', dim, weight)
  checkInteger('spectralNorm', 'nPowerIterations', nPowerIterations)
  checkNumber('spectralNorm', 'eps', eps, 0)
  const order = [first, ...[...weight.shape.keys()].filter((d) => d !== first)]
  const matrixOf = (t: Tensor): Tensor => reshape(permute(t, order), [t.shape[first], t.size / t.shape[first]])
  const unit = (t: Tensor): Tensor => div(t, maximum(norm(t), eps))
  const dtype = weight.dtype as 'float32' | 'float64'
  const rows = weight.shape[first]
  module.registerParameter(`${name}_orig`, new Parameter(weight))
  for (const [part, size] of [
    ['u', rows],
    ['v', weight.size / rows],
  ] as const)
    module.registerBuffer(
      `${name}_${part}`,
      noGrad(() => unit(randn([size], { dtype }))),
    )
  compute(module, name, function () {
    const original = state(this, `${name}_orig`)
    // copies, since the next forward moves them while a gradient may still need these
    const [u, v] = ['u', 'v'].map((part) => noGrad(() => clone(state(this, `${name}_${part}`))))
    return div(original, sum(mul(u, matmul(matrixOf(original), v))))
  })
  const { forward } = module
  const iterating = function (this: Module, ...inputs: never[]): unknown {
    if (this.training) noGrad(() => iterate(this))
    return forward.apply(this, inputs)
  }
  const iterate = (m: Module): void => {
    const matrix = matrixOf(state(m, `${name}_orig`))
    let u = state(m, `${name}_u`)
    let v = u
    for (let i = 0; i < nPowerIterations; i++) {
      v = unit(matmul(u, matrix))
      u = unit(matmul(matrix, v))
    }
    assign(state(m, `${name}_v`), v)
    assign(state(m, `${name}_u`), u)
  }
  Object.defineProperty(module, 'forward', { value: iterating, configurable: true, writable: true, enumerable: false })
  return module
}
