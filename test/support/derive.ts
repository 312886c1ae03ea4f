/**
 * What follows from an op case: its gradient as a function, its place in a chain, directional derivatives. In: a case. Out: functions of tensors
 * that ordinary comparisons can be made with.
 */
import { isFloat } from '../../src/base/dtype.js'
import { concat, mul, sigmoid, sum, type Tensor, tensor, valueAndGrad } from '../../src/index.js'
import { type Case, generator } from './cases.js'

type Call = (...inputs: Tensor[]) => Tensor

/** Fixed weights, so that gradients of all elements count differently. */
export function weights(name: string, shape: readonly number[], dtype: Tensor['dtype']): Tensor {
  const random = generator(`weights ${name}`)
  const n = shape.reduce((p, d) => p * d, 1)
  return tensor(
    Float64Array.from({ length: n }, () => Math.fround(random() * 2 - 1)),
    { shape, dtype },
  )
}

/** The case as a function to a single number; `shape` is that of its result. */
function scalar(c: Case, shape: readonly number[], dtype: Tensor['dtype']): Call {
  const w = weights(c.name, shape, dtype)
  return (...inputs) => sum(mul(c.call(...inputs), w))
}

/** All gradients of the case, one after the other in a vector. */
export function gradientOf(c: Case, shape: readonly number[], dtype: Tensor['dtype']): Call {
  const both = valueAndGrad(scalar(c, shape, dtype))
  return (...inputs) => {
    const [, grads] = both(...inputs)
    return concat(inputs.flatMap((t, i) => (isFloat(t.dtype) ? [grads[i].reshape([-1])] : [])))
  }
}

/** The op between other elementwise work: its inputs come from a product and its result goes through a sigmoid. */
export function chained(c: Case): Call {
  return (...inputs) => {
    const result = c.call(...inputs.map((t) => (isFloat(t.dtype) ? mul(t, 1.5) : t)))
    return isFloat(result.dtype) ? sigmoid(result.add(0.1)) : result.to('float32').add(0.1)
  }
}

/** Inputs from which a chain makes those of the case. */
export function beforeChain(inputs: readonly Tensor[]): Tensor[] {
  return inputs.map((t) => (isFloat(t.dtype) ? t.mul(1 / 1.5) : t))
}

/**
 * The derivative of `f` (to a number) at `inputs` in a random direction: by its gradient, and by central differences with a step that halves, so
 * that what a kink nearby would do shows as disagreement of the two differences.
 */
export function directional(f: Call, inputs: readonly Tensor[], seed: string): { analytic: number; numeric: number } {
  const random = generator(`direction ${seed}`)
  const directions = inputs.map((t) =>
    isFloat(t.dtype)
      ? tensor(
          Float64Array.from({ length: t.size }, () => random() * 2 - 1),
          { shape: t.shape },
        )
      : undefined,
  )
  const [, grads] = valueAndGrad(f)(...inputs)
  let analytic = 0
  directions.forEach((d, i) => {
    if (d !== undefined) analytic += sum(mul(grads[i], d)).item()
  })
  const at = (h: number): number => f(...inputs.map((t, i) => (directions[i] === undefined ? t : t.add(mul(directions[i], h))))).item()
  const difference = (h: number): number => (at(h) - at(-h)) / (2 * h)
  const h = 1e-4
  // Richardson: the error falls with the fourth power of h
  return { analytic, numeric: (4 * difference(h / 2) - difference(h)) / 3 }
}

/** The gradient weighted to a number, whose own gradient is of second order. */
export function secondOrder(c: Case, shape: readonly number[], size: number): Call {
  const first = gradientOf(c, shape, 'float64')
  const u = weights(`${c.name} second`, [size], 'float64')
  return (...inputs) => sum(mul(first(...inputs), u))
}

export function firstOrder(c: Case, shape: readonly number[]): Call {
  return scalar(c, shape, 'float64')
}
