/**
 * Derivatives of functions of tensors as a whole: products with vectors from either side, Jacobians, Hessians. All are made of backward walks, so
 * they need gradient rules only, nest, and work under `compile`.
 */
import { ArgumentError, checkFunction, GradientError, ShapeError, showShape } from '../base/errors.js'
import { sameShape } from '../base/shape.js'
import { arangeTensor, zeros, zerosLike } from '../ops/basic/creation.js'
import { eq, to } from '../ops/basic/elementwise.js'
import { stack } from '../ops/basic/join.js'
import { narrow, reshape } from '../ops/basic/movement.js'
import { alias } from '../ops/core/alias.js'
import { checkTensor, checkTensors } from '../ops/core/dispatch.js'
import { enableGrad } from '../ops/core/grad-mode.js'
import { Tensor } from '../tensor/tensor.js'
import { walk } from './backward.js'
import { valueAndGrad } from './functional.js'

type TensorFunction = (...args: Tensor[]) => Tensor

/** A function at a point: its value, variables of its own, and the walk back from any gradient. */
interface Point {
  readonly value: Tensor
  readonly variables: readonly Tensor[]
  pull(gradient: Tensor): Tensor[]
}

function pointOf(op: string, fn: TensorFunction, primals: readonly Tensor[]): Point {
  checkFunction(op, fn)
  checkTensors(op, 'input', primals)
  const variables = primals.map((t, i) => {
    if (t.dtype !== 'float32' && t.dtype !== 'float64')
      throw new ArgumentError('ERR_GRAD_DTYPE', `${op}: only float tensors have derivatives, input ${i} is ${t.dtype}.`)
    return alias(t)
  })
  const value = enableGrad(() => fn(...variables))
  checkTensor(op, 'the result', value)
  const wanted = new Set(variables)
  const pull = (gradient: Tensor): Tensor[] => {
    checkTensor(op, 'the gradient', gradient)
    if (!sameShape(gradient.shape, value.shape))
      throw new ShapeError(
        'ERR_SEED_SHAPE',
        `${op}: the gradient given has shape ${showShape(gradient.shape)}, the result ${showShape(value.shape)}.`,
      )
    const grads = walk([value], [gradient], wanted)
    return variables.map((v) => grads.get(v) ?? zerosLike(v))
  }
  return { value, variables, pull }
}

/**
 * The value of `fn` and its pullback: a function from a gradient of the value to gradients of all inputs (vector-Jacobian products). Source:
 * `torch.func.vjp`.
 *
 *     const [y, pullback] = vjp((x) => x.sin(), x)
 *     const [dx] = pullback(ones([3]))
 */
export function vjp(fn: TensorFunction, ...primals: Tensor[]): [value: Tensor, pullback: (gradient: Tensor) => Tensor[]] {
  const { value, pull } = pointOf('vjp', fn, primals)
  return [value, (gradient) => enableGrad(() => pull(gradient))]
}

/**
 * The value of `fn` and its derivative in the direction of the tangents (Jacobian-vector product). Source: `torch.func.jvp`.
 *
 *     const [y, dy] = jvp((x) => x.sin(), [x], [ones([3])])
 *
 * @throws ShapeError when a tangent has not its input's shape.
 */
export function jvp(fn: TensorFunction, primals: readonly Tensor[], tangents: readonly Tensor[]): [value: Tensor, tangent: Tensor] {
  if (!Array.isArray(primals) || !Array.isArray(tangents) || primals.length !== tangents.length)
    throw new ArgumentError('ERR_TANGENTS', 'jvp: needs an array of inputs and one of as many tangents.')
  const { value, pull } = pointOf('jvp', fn, primals)
  primals.forEach((t, i) => {
    checkTensor('jvp', `tangent ${i}`, tangents[i])
    if (!sameShape(t.shape, tangents[i].shape))
      throw new ShapeError('ERR_TANGENTS', `jvp: tangent ${i} has shape ${showShape(tangents[i].shape)}, its input ${showShape(t.shape)}.`)
  })
  return enableGrad(() => {
    // the pullback is linear in its argument: its own pullback is the derivative
    const seed = alias(zerosLike(value))
    const pulled = pull(seed)
    const along = pulled.flatMap((g, i) => (g.requiresGrad ? [{ g, tangent: tangents[i] }] : []))
    const back = walk(
      along.map(({ g }) => g),
      along.map(({ tangent }) => tangent),
      new Set([seed]),
    ).get(seed)
    return [value, back ?? zerosLike(value)]
  })
}

/**
 * All partial derivatives of `fn` at the inputs: for a result of shape `R` and an input of shape `I` a tensor of shape `[...R, ...I]`; an array of them when the
 * inputs are an array. One backward walk an element of the result: for small functions. Source: `torch.autograd.functional.jacobian`.
 *
 *     jacobian((x) => x.square(), tensor([1, 2]))           // [[2, 0], [0, 4]]
 */
export function jacobian(fn: TensorFunction, inputs: Tensor): Tensor
export function jacobian(fn: TensorFunction, inputs: readonly Tensor[]): Tensor[]
export function jacobian(fn: TensorFunction, inputs: Tensor | readonly Tensor[]): Tensor | Tensor[] {
  const list = inputs instanceof Tensor ? [inputs] : inputs
  if (!Array.isArray(list)) throw new ArgumentError('ERR_NOT_A_TENSOR', 'jacobian: needs a tensor or an array of tensors.')
  const { value, pull } = pointOf('jacobian', fn, list)
  const n = value.size
  const rows = enableGrad(() => {
    const units = n === 0 ? undefined : to(eq(reshape(arangeTensor(n), [n, 1]), arangeTensor(n)), value.dtype)
    return Array.from({ length: n }, (_, i) => pull(reshape(narrow(units as Tensor, 0, i, 1), value.shape)))
  })
  const all = list.map((t, i) => {
    const shape = [...value.shape, ...t.shape]
    return n === 0 ? zeros(shape, { dtype: t.dtype }) : enableGrad(() => reshape(stack(rows.map((row) => row[i])), shape))
  })
  return inputs instanceof Tensor ? all[0] : all
}

/**
 * All second derivatives of `fn`, which gives a single number: `[...I, ...I]` for an input of shape `I`; for an array of inputs the blocks `[i][j]`. Source:
 * `torch.autograd.functional.hessian`.
 *
 *     hessian((x) => x.pow(3).sum(), tensor([1, 2]))        // [[6, 0], [0, 12]]
 *
 * @throws GradientError when `fn` does not give a single number.
 */
export function hessian(fn: TensorFunction, inputs: Tensor): Tensor
export function hessian(fn: TensorFunction, inputs: readonly Tensor[]): Tensor[][]
export function hessian(fn: TensorFunction, inputs: Tensor | readonly Tensor[]): Tensor | Tensor[][] {
  checkFunction('hessian', fn)
  const gradient = (i: number): TensorFunction => {
    const both = valueAndGrad(fn)
    return (...args) => both(...args)[1][i]
  }
  if (inputs instanceof Tensor) return jacobian(gradient(0), inputs)
  if (!Array.isArray(inputs)) throw new GradientError('ERR_NOT_A_TENSOR', 'hessian: needs a tensor or an array of tensors.')
  return inputs.map((_, i) => jacobian(gradient(i), inputs))
}
