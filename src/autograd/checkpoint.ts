/**
 * Recomputing instead of keeping: a part of a model whose intermediates are dropped after the forward pass and made again in the backward one.
 */
import { checkFunction } from '../base/errors.js'
import { alias, detach } from '../ops/core/alias.js'
import { checkTensor, checkTensors, gradNodes, noteGradient } from '../ops/core/dispatch.js'
import { enableGrad } from '../ops/core/grad-mode.js'
import type { OpRow } from '../ops/core/table.js'
import { context, within } from '../tensor/context.js'
import { getRandomState, setRandomState } from '../tensor/random.js'
import type { GradNode, Tensor } from '../tensor/tensor.js'
import { walk } from './backward.js'

type Segment = (...inputs: Tensor[]) => Tensor

const isFloating = (t: Tensor): boolean => t.dtype === 'float32' || t.dtype === 'float64'

/**
 * Runs `fn` without keeping what it computes on the way; `backward` runs it again. Saves memory for about a third more time. Random numbers are the same
 * in both runs, and state that `fn` writes (running statistics) is written once. Works under `compile`. Source: Chen et al. 2016,
 * `torch.utils.checkpoint.checkpoint`.
 *
 *     for (const block of this.blocks) x = checkpoint((h) => block.forward(h), x)
 *
 * @throws ArgumentError when `fn` is no function of tensors that gives a tensor.
 */
export function checkpoint(fn: Segment, ...inputs: Tensor[]): Tensor {
  checkFunction('checkpoint', fn)
  checkTensors('checkpoint', 'input', inputs)
  if (!context.gradEnabled) return fn(...inputs)
  const random = position()
  const first = run(fn, inputs)
  // the graph tells what else the function uses, and is dropped
  const used = outsiders(first.result, new Set(first.variables), first.since)
  const output = detach(first.result)
  const row: OpRow<undefined> = {
    name: 'checkpoint',
    foreign: true,
    infer: (metas) => [...metas],
    gradient: (_context, g) => again(random, () => gradients(fn, inputs, used, g)),
    reference: () => {
      throw new Error('checkpoint has no loops')
    },
  }
  noteGradient(row, [...inputs, ...used], undefined, [output])
  return output
}

interface Ran {
  readonly variables: readonly Tensor[]
  readonly result: Tensor
  /** Nodes from this number on were made by the run. */
  readonly since: number
}

/** Runs the segment on variables of its own, with gradients recorded. */
function run(fn: Segment, inputs: readonly Tensor[]): Ran {
  return enableGrad(() => {
    const variables = inputs.map((t) => (isFloating(t) && t.requiresGrad ? alias(t) : t))
    const since = gradNodes.next
    const result = fn(...variables)
    checkTensor('checkpoint', 'the result', result)
    return { variables, result, since }
  })
}

/** Tensors made before the run that it uses and that want gradients: parameters, and results of earlier ops. */
function outsiders(result: Tensor, variables: ReadonlySet<Tensor>, since: number): Tensor[] {
  const found = new Set<Tensor>()
  const seen = new Set<GradNode>()
  const pending = [result]
  for (let t = pending.pop(); t !== undefined; t = pending.pop()) {
    const node = t.gradNode
    if (variables.has(t)) continue
    if (node === undefined || node.id < since) {
      if (t.requiresGrad) found.add(t)
    } else if (!seen.has(node)) {
      seen.add(node)
      pending.push(...node.inputs)
    }
  }
  return [...found]
}

function gradients(fn: Segment, inputs: readonly Tensor[], used: readonly Tensor[], g: Tensor): (Tensor | undefined)[] {
  const { variables, result } = run(fn, inputs)
  const asked = [...variables, ...used]
  const wanted = new Set(asked.filter((t) => t.requiresGrad))
  const grads = walk([result], [g], wanted, wanted)
  return asked.map((t) => grads.get(t))
}

interface Position {
  readonly eager: ReturnType<typeof getRandomState> | undefined
  readonly traced: number
}

/** Where the random numbers stand. */
function position(): Position {
  const { recorder } = context
  return recorder === undefined ? { eager: getRandomState(), traced: 0 } : { eager: undefined, traced: recorder.randomPosition() }
}

/** Runs something a second time: with the random numbers of then, without writing state, and under `compile` without sharing anything with the first. */
function again<T>({ eager, traced }: Position, fn: () => T): T {
  const { recorder } = context
  if (recorder !== undefined) return within({ writesSuspended: true }, () => recorder.recompute(traced, fn))
  if (eager === undefined) return within({ writesSuspended: true }, fn)
  const now = getRandomState()
  setRandomState(eager)
  try {
    return within({ writesSuspended: true }, fn)
  } finally {
    setRandomState(now)
  }
}
