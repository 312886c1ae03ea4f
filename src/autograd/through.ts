/**
 * Gradients of structured ops by their compositions: where the gradient itself has to be differentiable, a rule runs the composition of
 * simpler ops and walks back through that. In: the composition, an op's inputs and the gradients of its outputs. Out: gradients of the inputs.
 */
import { isFloat } from '../dtype.js'
import type { Tensor } from '../tensor.js'
import { enableGrad, walk } from './backward.js'

/**
 * @internal Gradients for those inputs that `needs` names, in differentiable ops.
 */
export function gradientThrough(
  composition: (inputs: readonly Tensor[]) => readonly Tensor[],
  inputs: readonly Tensor[],
  needs: readonly boolean[],
  upstream: readonly (Tensor | undefined)[],
): (Tensor | undefined)[] {
  return enableGrad(() => {
    // aliases, so that the walk ends here also where one input was computed from another
    const asked = inputs.map((t, i) => needs[i] && isFloat(t.dtype))
    const own = inputs.map((t, i) => (asked[i] ? t.alias() : t))
    const outputs = composition(own)
    const seeded = outputs.flatMap((t, i) => {
      const g = upstream[i]
      return g === undefined || !t.requiresGrad ? [] : [[t, g] as const]
    })
    const grads = walk(
      seeded.map(([t]) => t),
      seeded.map(([, g]) => g),
      new Set(own.filter((_, i) => asked[i])),
    )
    return own.map((t, i) => (asked[i] ? grads.get(t) : undefined))
  })
}
