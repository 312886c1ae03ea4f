/**
 * The two functions a training consists of, compiled: one learns from a batch, one judges by it. In: the model, loss, optimizer, metrics.
 * Out: functions from a batch to its loss and metrics, as 0-d tensors.
 */

import { backwardTo } from '../autograd/backward.js'
import { ArgumentError, ShapeError, showShape } from '../base/errors.js'
import { compile } from '../compile/compile.js'
import type { Module } from '../nn/module.js'
import { assign } from '../ops/basic/assign.js'
import { div } from '../ops/basic/elementwise.js'
import { clone } from '../ops/basic/movement.js'
import { noGrad } from '../ops/core/grad-mode.js'
import { gradientOf } from '../optim/gradient.js'
import type { Optimizer } from '../optim/optimizer.js'
import { context, within } from '../tensor/context.js'
import { getRandomState, setRandomState } from '../tensor/random.js'
import { Tensor } from '../tensor/tensor.js'
import { checkGradients, checkMode, strangersAmong } from './checks.js'
import { explainFailure, Gate } from './gate.js'
import type { Metrics } from './history.js'
import type { FitOptions } from './options.js'
import { checkMean, isWhole, type MetricState, stateOf } from './whole.js'

/** What is computed of a batch: its loss, 0-d, and what each metric needs of it. */
export interface Figures {
  readonly loss: Tensor
  readonly metrics: readonly MetricState[]
}

/** What is done with a batch; `prepare` compiles for batches like it. */
export interface BatchStep {
  (x: Tensor, y: Tensor): Promise<Figures>
  prepare(x: Tensor, y: Tensor): Promise<void>
}

export interface Steps {
  /** Updates the parameters. Fails without having changed anything when the loss is not finite, or a step before has failed. */
  readonly train: BatchStep
  /** Adds to the gradients only; fails as `train` does. */
  readonly gather: BatchStep
  /** Updates the parameters by the gradients of `count` batches, unless a step before has failed. */
  apply(count: number): Promise<void>
  /** Changes nothing. */
  readonly judge: BatchStep
  /** Throws for metrics that are no means over samples and say nothing of it, found by a batch. */
  checkMetrics(x: Tensor, y: Tensor): void
  /** Whether code of the user sees the batches themselves. */
  readonly eager: boolean
}

/** What a forward and a backward pass give. */
interface Pass {
  readonly outputs: Tensor
  readonly loss: Tensor
  /** Leaves that got a gradient and that nobody updates. */
  readonly strangers: readonly Tensor[]
}

type Forward = { forward(x: Tensor): Tensor }

function scalar(what: string, value: unknown): Tensor {
  if (!(value instanceof Tensor)) {
    throw new ArgumentError(
      'ERR_FIT_FIGURE',
      `fit: ${what} must return a tensor with one number, received ${value instanceof Promise ? 'a promise; it must not be async' : typeof value}.${typeof value === 'number' ? ' Leave out item().' : ''}`,
    )
  }
  if (value.size !== 1) {
    throw new ShapeError(
      'ERR_FIT_FIGURE',
      `fit: ${what} must return one number, received shape ${showShape(value.shape)}. ${what === 'the loss' ? 'Reduce it with mean().' : 'Reduce it with mean(), or make one of counts over the whole set with metrics.wholeSet({ update, compute }).'}`,
    )
  }
  return value
}

export function makeSteps<M extends Metrics>(model: Module, options: FitOptions<M>): Steps {
  const { optimizer, loss: lossOf } = options
  const metrics = Object.entries(options.metrics ?? {})
  const { compile: how = true } = options
  const cacheBytes = typeof how === 'object' ? how.cacheBytes : undefined
  const eager = how === false || process.env.CHAINRULE_COMPILE === '0' || context.anomaly
  const forward = (x: Tensor): Tensor => (model as unknown as Forward).forward(x)

  const figures = (outputs: Tensor, y: Tensor, loss: Tensor): Figures =>
    noGrad(() => ({ loss: loss.detach(), metrics: metrics.map(([name, metric]) => stateOf(name, metric, outputs, y, scalar)) }))

  const pass = (x: Tensor, y: Tensor): Pass => {
    checkMode(model)
    const outputs = forward(x)
    const loss = scalar('the loss', lossOf(outputs, y))
    return { outputs, loss, strangers: strangersAmong(backwardTo(loss), model, optimizer) }
  }

  const gate = new Gate()
  const gather = (x: Tensor, y: Tensor): Figures => {
    const { outputs, loss, strangers } = pass(x, y)
    checkGradients(model, optimizer, strangers)
    return figures(outputs, y, loss)
  }

  // while tracing nothing has happened when a check fails; where ops run at once, the first call has to be undone
  let first = eager
  const gatherEagerly = (x: Tensor, y: Tensor): Figures => {
    const undo = first ? remember(model, optimizer) : undefined
    first = false
    try {
      const { outputs, loss, strangers } = pass(x, y)
      if (undo !== undefined && strangers.length > 0) {
        // leaves that a loss makes for itself, for a gradient penalty, are others each time; in a trace they are told apart by being traced
        undo()
        const again = pass(x, y)
        for (const leaf of [...strangers, ...again.strangers]) leaf.replaceGrad(undefined)
        checkGradients(
          model,
          optimizer,
          again.strangers.filter((leaf) => strangers.includes(leaf)),
        )
        return figures(again.outputs, y, again.loss)
      }
      if (undo !== undefined) checkGradients(model, optimizer, strangers)
      return figures(outputs, y, loss)
    } catch (error) {
      undo?.()
      throw error
    }
  }

  const collect = (x: Tensor, y: Tensor, turn: number | Tensor): Figures => {
    const measured = eager ? gatherEagerly(x, y) : gather(x, y)
    gate.pass(turn, measured.loss)
    return measured
  }
  const learn = (x: Tensor, y: Tensor, turn: number | Tensor): Figures => {
    optimizer.zeroGrad()
    // all that can be wrong comes before the update
    const measured = collect(x, y, turn)
    optimizer.step()
    // nobody looks at the gradients: cleared in here, they need no memory after the step
    optimizer.zeroGrad()
    return measured
  }

  const apply = (count: number | Tensor, turn: number | Tensor): void => {
    gate.pass(turn)
    noGrad(() => {
      for (const { params } of optimizer.groups) {
        for (const p of params) {
          const g = gradientOf(p)
          if (g !== undefined) p.replaceGrad(div(g, count), true)
        }
      }
    })
    optimizer.step()
    optimizer.zeroGrad()
  }

  const judge = (x: Tensor, y: Tensor): Figures =>
    noGrad(() =>
      within({ evaluating: true }, () => {
        const outputs = forward(x)
        return figures(outputs, y, scalar('the loss', lossOf(outputs, y)))
      }),
    )

  const checkMetrics = (x: Tensor, y: Tensor): void => {
    const own = metrics.filter(([, metric]) => !isWhole(metric))
    if (own.length === 0) return
    const random = getRandomState()
    const outputs = outputsFor(() => noGrad(() => within({ evaluating: true }, () => forward(x))))
    setRandomState(random)
    if (outputs !== undefined) for (const [name, metric] of own) checkMean(name, metric, outputs, y)
  }

  const update = compile(apply, { name: 'fit, update', eager })
  const modules = [model]
  return {
    train: gated(compile(learn, { name: 'fit', eager, cacheBytes, modules }), gate),
    gather: gated(compile(collect, { name: 'fit', eager, cacheBytes, modules }), gate),
    apply: (count) => update(count, gate.next()).catch(rethrow),
    judge: compile(judge, { name: 'fit, validation', eager, cacheBytes, modules }),
    checkMetrics,
    eager,
  }
}

const rethrow = (error: unknown): never => {
  throw explainFailure(error)
}

interface NumberedStep {
  (x: Tensor, y: Tensor, turn: number): Promise<Figures>
  prepare(x: Tensor, y: Tensor, turn: number): Promise<void>
}

/** A step that counts itself. */
function gated(step: NumberedStep, gate: Gate): BatchStep {
  const counted = (x: Tensor, y: Tensor): Promise<Figures> => step(x, y, gate.next()).catch(rethrow)
  return Object.assign(counted, { prepare: (x: Tensor, y: Tensor) => step.prepare(x, y, 0) })
}

/** A model's outputs; what is wrong with it the step will say. */
function outputsFor(run: () => unknown): Tensor | undefined {
  try {
    const outputs = run()
    return outputs instanceof Tensor ? outputs : undefined
  } catch {
    return undefined
  }
}

/** What a step changes, kept: returns the function that puts it back. Gradients are forgotten. */
function remember(model: Module, optimizer: Optimizer): () => void {
  const random = getRandomState()
  const buffers = noGrad(() => model.buffers().map((b) => [b, clone(b)] as const))
  return () => {
    setRandomState(random)
    noGrad(() => buffers.forEach(([buffer, before]) => void assign(buffer, before)))
    optimizer.zeroGrad()
    model.zeroGrad()
  }
}
