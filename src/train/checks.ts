/**
 * That all of a model learns: checks of a step before anything is updated. In: the model, the optimizer, what the backward pass met. Out: nothing, or an
 * error that names what would silently not learn.
 */
import { GradientError, StateError, showShape } from '../base/errors.js'
import type { Module } from '../nn/module.js'
import { Parameter } from '../nn/parameter.js'
import type { Optimizer } from '../optim/optimizer.js'
import type { Tensor } from '../tensor/tensor.js'

/**
 * A module that was put into evaluation stays there while its model trains. All of them at once are a call of `eval()` that was forgotten: dropout and batch
 * norm would not train, without a word. Compiled steps come back here when a flag that was looked at has changed.
 */
export function checkMode(model: Module): void {
  if (model.modules().some((m) => m.training)) return
  throw new StateError(
    'ERR_FIT_EVALUATION',
    'fit: all of the model is in evaluation, where dropout and batch norm do not train. Call model.train() first; then eval() on the parts that are to stay as they are.',
  )
}

const heldBy = (optimizer: Optimizer): Set<Tensor> => new Set(optimizer.groups.flatMap((group) => group.params))

/** Leaves that got a gradient but are neither the model's nor the optimizer's; those made while tracing, which end with the step, are not meant. */
export function strangersAmong(leaves: readonly Tensor[], model: Module, optimizer: Optimizer): Tensor[] {
  const known = heldBy(optimizer)
  for (const p of model.parameters()) known.add(p)
  return leaves.filter((leaf) => !leaf.traced && !known.has(leaf))
}

/**
 * After `backward`, before anything is updated: every leaf with a gradient must be in the optimizer's hands, and every parameter in its hands have a gradient.
 * Otherwise a part of the model would silently not learn.
 */
export function checkGradients(model: Module, optimizer: Optimizer, strangers: readonly Tensor[]): void {
  const held = heldBy(optimizer)
  const named = model.namedParameters()
  const forgotten = named.filter(([, p]) => p.requiresGrad && p.leafGrad !== undefined && !held.has(p))
  if (forgotten.length > 0 && !named.some(([, p]) => held.has(p))) {
    throw new GradientError(
      'ERR_FIT_OPTIMIZER',
      'fit: the optimizer holds none of the parameters of this model. Make it with new optim.…(model.parameters()), after the model is complete.',
    )
  }
  if (forgotten.length > 0) {
    const [names, are, them] = listed(forgotten.map(([name]) => name))
    throw new GradientError(
      'ERR_FIT_OPTIMIZER',
      `fit: ${names} of the model ${are} used but not given to the optimizer. Give it model.parameters(), or freeze ${them} with requiresGrad = false.`,
    )
  }
  if (strangers.length > 0) throw strange(strangers)
  const name = new Map<Tensor, string>(named.map(([key, p]) => [p, key]))
  const idle = [...held].filter((p) => p.requiresGrad && p.leafGrad === undefined)
  if (idle.length > 0) {
    const [names, , them] = listed(idle.map((p) => name.get(p) ?? `${showShape(p.shape)}, which is not the model's,`))
    throw new GradientError(
      'ERR_FIT_NO_GRADIENT',
      `fit: ${names} ${idle.length === 1 ? 'was' : 'were'} given to the optimizer but ${idle.length === 1 ? 'gets' : 'get'} no gradient. Use ${them} in forward (and not behind detach() or noGrad), or leave ${them} out.`,
    )
  }
}

/** Layers in `#private` fields or closures, plain tensors, and models that only the loss knows. */
function strange(leaves: readonly Tensor[]): GradientError {
  const shown = leaves.slice(0, 4).map((t) => `a ${t instanceof Parameter ? 'parameter' : 'tensor'} of shape ${showShape(t.shape)}`)
  if (leaves.length > 4) shown.push(`${leaves.length - 4} more`)
  const what = shown.length === 1 ? shown[0] : `${shown.slice(0, -1).join(', ')} and ${shown[shown.length - 1]}`
  const one = leaves.length === 1
  return new GradientError(
    'ERR_FIT_OPTIMIZER',
    `fit: ${what} ${one ? 'gets a gradient but belongs' : 'get gradients but belong'} neither to the model nor to the optimizer, so ${one ? 'it' : 'they'} would not learn. ` +
      'Assign layers and nn.Parameters to fields of the module (not #private ones, nor variables outside), or freeze what is not to learn with requiresGrad = false.',
  )
}

/** `parameter 'a'`, `parameters 'a', 'b' and 4 more`, with the words that go with them. */
function listed(names: readonly string[]): [string, are: string, them: string] {
  const shown = names
    .slice(0, 6)
    .map((n) => (n.startsWith('[') ? n : `'${n}'`))
    .join(', ')
  if (names.length === 1) return [`parameter ${shown}`, 'is', 'it']
  return [`parameters ${shown}${names.length > 6 ? ` and ${names.length - 6} more` : ''}`, 'are', 'them']
}
