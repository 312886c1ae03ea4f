/**
 * Gradients of functions: `grad` and `valueAndGrad`, which nest for higher orders and never touch `.grad`.
 */
import { checkFunction, GradientError, showShape } from '../base/errors.js'
import { zerosLike } from '../ops/basic/creation.js'
import { expand } from '../ops/basic/movement.js'
import { detach } from '../ops/core/alias.js'
import { checkTensor } from '../ops/core/dispatch.js'
import { enableGrad } from '../ops/core/grad-mode.js'
import { type GradNode, Tensor } from '../tensor/tensor.js'
import { walk } from './backward.js'
import { countStep } from './hint.js'

type TensorFunction = (...args: Tensor[]) => Tensor

/**
 * A function that returns the value of `fn` (a single number) and its gradients with respect to all float tensors among the arguments.
 *
 *     const [loss, [dw, db]] = valueAndGrad((w, b) => model(w, b))(w, b)
 *
 * @throws GradientError when `fn` does not return a single number.
 */
export function valueAndGrad(fn: TensorFunction): (...args: Tensor[]) => [Tensor, Tensor[]] {
  checkFunction('grad', fn)
  return (...args) => {
    // aliases of the arguments, so that nested calls keep their variables apart
    const variables = args.map((t, i) => {
      checkTensor('grad', `argument ${i}`, t)
      return alias(t)
    })
    const [value, grads] = enableGrad((): [Tensor, Tensor[]] => {
      const result = fn(...variables)
      if (!(result instanceof Tensor) || result.size !== 1) {
        const what = result instanceof Tensor ? `shape ${showShape(result.shape)}` : typeof result
        throw new GradientError(
          'ERR_NOT_SCALAR',
          `grad: the function must return a single number, received ${what}. Reduce it with sum() or mean().`,
        )
      }
      countStep()
      const wanted = new Set(variables)
      const found = walk([result], [expand(Tensor.scalar(1, result.dtype), result.shape)], wanted)
      const grads = variables.map((v) => found.get(v) ?? zerosLike(v))
      // a graph that ends at our own variables only is of no use outside, and would grow with every step of a loop
      const own = onlyLeadsTo([result, ...grads], wanted)
      return own ? [detach(result), grads.map(detach)] : [result, grads]
    })
    return [value, grads]
  }
}

/**
 * The gradient function of `fn` with respect to its first argument.
 *
 *     grad((x) => x.pow(3).sum())(tensor([2]))      // [12]
 *     grad((x) => grad((y) => y.pow(3).sum())(x).sum())(tensor([2]))   // [12], the second derivative
 */
export function grad(fn: TensorFunction): (...args: Tensor[]) => Tensor {
  const both = valueAndGrad(fn)
  return (...args) => both(...args)[1][0]
}

/** True when every leaf behind the results is one of `variables`. */
function onlyLeadsTo(results: readonly Tensor[], variables: ReadonlySet<Tensor>): boolean {
  const seen = new Set<GradNode>()
  const pending = [...results]
  for (let t = pending.pop(); t !== undefined; t = pending.pop()) {
    const node = t.gradNode
    if (node === undefined) {
      if (t.requiresGrad && !variables.has(t)) return false
    } else if (!seen.has(node)) {
      seen.add(node)
      pending.push(...node.inputs)
    }
  }
  return true
}

function alias(t: Tensor): Tensor {
  const float = t.dtype === 'float32' || t.dtype === 'float64'
  if (!float) return t
  return t.alias()
}
