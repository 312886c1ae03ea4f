/**
 * Functions with gradients of their own. In: how to compute, and how gradients flow back, both in ops. Out: a function of tensors that
 * `backward`, `grad` and `compile` treat like any op.
 */
import { ArgumentError, checkOptions, GradientError, isFunction, showShape, showValue } from '../../base/errors.js'
import { broadcastShapes, sameShape } from '../../base/shape.js'
import { Tensor } from '../../tensor/tensor.js'
import { detach } from '../core/alias.js'
import { checkTensor, checkTensors, noteGradient } from '../core/dispatch.js'
import { noGrad } from '../core/grad-mode.js'
import type { GradientContext, OpRow } from '../core/table.js'
import { zerosLike } from './creation.js'

type Several<T> = T | readonly T[]

/** What a backward rule may look at. */
export interface CustomContext {
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  /** What `forward` put aside. */
  readonly saved: readonly Tensor[]
  /** Which inputs want a gradient. */
  readonly needs: readonly boolean[]
}

export interface CustomFunction {
  /** Shown in errors. */
  name?: string
  /** Computes the output or outputs. Gradients are not recorded; `save(…)` puts tensors aside for `backward`. */
  forward(this: void, inputs: readonly Tensor[], save: (...tensors: Tensor[]) => void): Several<Tensor>
  /** Gradients for the inputs, one each (`undefined` for none), from those of the outputs. */
  backward(this: void, gradients: readonly Tensor[], context: CustomContext): Several<Tensor | undefined>
}

/**
 * A function of tensors with a gradient of its own; works under `compile`, and to second order where `backward` computes from inputs and outputs
 * (what was saved counts as constant). Source: `torch.autograd.Function`.
 *
 *     const roundSte = customGradient({ forward: ([x]) => x.round(), backward: ([g]) => g })      // straight through
 *     const y = roundSte(x)
 *
 * @throws ArgumentError when `forward` does not give tensors; GradientError `ERR_CUSTOM_GRADIENT` when `backward` gives gradients that do not fit.
 */
export function customGradient(definition: CustomFunction & { outputs?: 1 }): (...inputs: Tensor[]) => Tensor
export function customGradient(definition: CustomFunction & { outputs: number }): (...inputs: Tensor[]) => Tensor[]
export function customGradient(definition: CustomFunction & { outputs?: number }): (...inputs: Tensor[]) => Tensor | Tensor[] {
  checkOptions('customGradient', definition, { name: true, forward: true, backward: true, outputs: true })
  const { name = 'customGradient', forward, backward, outputs: count = 1 } = definition
  if (typeof name !== 'string') throw new ArgumentError('ERR_OPTION', `customGradient: name must be a string, received ${showValue(name)}.`)
  if (!Number.isInteger(count) || count < 1)
    throw new ArgumentError('ERR_OPTION', `${name}: outputs must be an integer from 1, received ${showValue(count)}.`)
  if (!isFunction(forward) || !isFunction(backward))
    throw new ArgumentError('ERR_NOT_A_FUNCTION', `${name}: needs { forward, backward }, both functions.`)
  return (...inputs) => {
    checkTensors(name, 'input', inputs)
    const saved: Tensor[] = []
    const made = [noGrad(() => forward(inputs, (...tensors) => void saved.push(...tensors)))].flat() as Tensor[]
    if (made.length !== count)
      throw new ArgumentError('ERR_CUSTOM_OUTPUTS', `${name}: forward gave ${made.length} outputs, { outputs } says ${count}.`)
    const outputs = made.map((t, i) => {
      checkTensor(name, `output ${i}`, t)
      // a handle of its own: what forward returns may be an input, or known elsewhere
      return detach(t)
    })
    noteGradient(customRow(name, backward, saved), inputs, undefined, outputs)
    return count === 1 ? outputs[0] : outputs
  }
}

/** A row for one call; not part of the op table, for it is never recorded or lowered. */
function customRow(name: string, backward: CustomFunction['backward'], saved: readonly Tensor[]): OpRow<undefined> {
  return {
    name,
    foreign: true,
    infer: (inputs) => [...inputs],
    gradient: (context) => {
      const { inputs, outputs, needs, upstream } = context as GradientContext<undefined>
      const gradients = upstream.map((g, i) => g ?? zerosLike(outputs[i]))
      const given = [backward(gradients, { inputs, outputs, saved, needs })].flat() as (Tensor | undefined)[]
      return checkGradients(name, inputs, given)
    },
    reference: () => {
      throw new Error(`${name} has no loops`)
    },
  }
}

function checkGradients(name: string, inputs: readonly Tensor[], given: readonly (Tensor | undefined)[]): readonly (Tensor | undefined)[] {
  if (given.length !== inputs.length)
    throw new GradientError('ERR_CUSTOM_GRADIENT', `${name}: backward gave ${given.length} gradients for ${inputs.length} inputs.`)
  given.forEach((g, i) => {
    if (g === undefined) return
    checkTensor(name, `gradient ${i}`, g)
    const { shape } = inputs[i]
    const wide = broadcastShapes(shape, g.shape)
    if (wide === undefined || !sameShape(wide, g.shape) || !(g instanceof Tensor))
      throw new GradientError(
        'ERR_CUSTOM_GRADIENT',
        `${name}: backward gave gradient ${i} of shape ${showShape(g.shape)} for an input of shape ${showShape(shape)}.`,
      )
  })
  return given
}
