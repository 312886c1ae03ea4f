/**
 * The two functions a training consists of, compiled: one learns from a batch, one judges by it. In: the model, loss, optimizer, metrics.
 * Out: functions from a batch to its loss and metrics, as 0-d tensors.
 */
import { noGrad } from '../autograd/backward.js'
import { compile } from '../compile/compile.js'
import { ArgumentError, GradientError, ShapeError, StateError, showShape } from '../errors.js'
import { inEvaluation } from '../nn/mode.js'
import type { Module } from '../nn/module.js'
import { assign } from '../ops/assign.js'
import { gradMode } from '../ops/dispatch.js'
import { mul } from '../ops/elementwise.js'
import { clone } from '../ops/movement.js'
import { gradientOf } from '../optim/gradient.js'
import type { Optimizer } from '../optim/optimizer.js'
import { getRandomState, setRandomState } from '../random.js'
import { Tensor } from '../tensor.js'
import type { Metrics } from './history.js'
import type { FitOptions } from './options.js'

/** Loss and metrics of a batch, each a 0-d tensor. */
export type Figures = readonly Tensor[]

export interface Steps {
  /** Updates the parameters. */
  train(x: Tensor, y: Tensor): Promise<Figures>
  /** Adds to the gradients only. */
  gather(x: Tensor, y: Tensor): Promise<Figures>
  /** Updates the parameters by the gradients of `count` batches. */
  apply(count: number): Promise<void>
  /** Changes nothing. */
  judge(x: Tensor, y: Tensor): Promise<Figures>
  /** Whether code of the user sees the batches themselves. */
  readonly eager: boolean
}

type Forward = { forward(x: Tensor): Tensor }

function scalar(what: string, value: unknown): Tensor {
  if (!(value instanceof Tensor)) {
    throw new ArgumentError(
      'ERR_FIT_FIGURE',
      `fit: ${what} must return a tensor with one number, received ${value instanceof Promise ? 'a promise; it must not be async' : typeof value}.`,
    )
  }
  if (value.size !== 1) {
    throw new ShapeError(
      'ERR_FIT_FIGURE',
      `fit: ${what} must return one number, received shape ${showShape(value.shape)}. Reduce it with mean().`,
    )
  }
  return value
}

export function makeSteps<M extends Metrics>(model: Module, options: FitOptions<M>): Steps {
  const { optimizer, loss: lossOf } = options
  const metrics = Object.entries(options.metrics ?? {})
  const eager = options.compile === false || process.env.CHAINRULE_COMPILE === '0' || gradMode.anomaly
  const forward = (x: Tensor): Tensor => (model as unknown as Forward).forward(x)

  const figures = (outputs: Tensor, y: Tensor, loss: Tensor): Figures =>
    noGrad(() => [loss.detach(), ...metrics.map(([name, metric]) => scalar(`the metric ${name}`, metric(outputs, y)))])

  const gather = (x: Tensor, y: Tensor): Figures => {
    checkMode(model)
    const outputs = forward(x)
    const loss = scalar('the loss', lossOf(outputs, y))
    loss.backward()
    checkGradients(model, optimizer)
    return figures(outputs, y, loss)
  }

  const learn = (x: Tensor, y: Tensor): Figures => {
    optimizer.zeroGrad()
    // all that can be wrong comes before the update
    const measured = gather(x, y)
    optimizer.step()
    // nobody looks at the gradients: cleared in here, they need no memory after the step
    optimizer.zeroGrad()
    return measured
  }

  const apply = (share: number | Tensor): void => {
    noGrad(() => {
      for (const { params } of optimizer.groups) {
        for (const p of params) {
          const g = gradientOf(p)
          if (g !== undefined) p.replaceGrad(mul(g, share), true)
        }
      }
    })
    optimizer.step()
    optimizer.zeroGrad()
  }

  const judge = (x: Tensor, y: Tensor): Figures =>
    noGrad(() =>
      inEvaluation(() => {
        const outputs = forward(x)
        return figures(outputs, y, scalar('the loss', lossOf(outputs, y)))
      }),
    )

  const once = (step: typeof learn): typeof learn => (eager ? undone(model, optimizer, step) : step)
  const update = compile(apply, { name: 'fit, update', eager })
  return {
    train: compile(once(learn), { name: 'fit', eager }),
    gather: compile(once(gather), { name: 'fit', eager }),
    apply: (count) => update(1 / count),
    judge: compile(judge, { name: 'fit, validation', eager }),
    eager,
  }
}

/** While tracing nothing has happened when a check fails; where ops run at once, the first call has to be undone. */
function undone(model: Module, optimizer: Optimizer, step: (x: Tensor, y: Tensor) => Figures): (x: Tensor, y: Tensor) => Figures {
  let first = true
  return (x, y) => {
    if (!first) return step(x, y)
    first = false
    const random = getRandomState()
    const buffers = noGrad(() => model.buffers().map((b) => [b, clone(b)] as const))
    try {
      return step(x, y)
    } catch (error) {
      setRandomState(random)
      noGrad(() => buffers.forEach(([buffer, before]) => void assign(buffer, before)))
      optimizer.zeroGrad()
      model.zeroGrad()
      throw error
    }
  }
}

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

/**
 * After `backward`, before anything is updated: every parameter with a gradient must be in the optimizer's hands, and every one in its
 * hands have a gradient. Otherwise a part of the model would silently not learn.
 */
function checkGradients(model: Module, optimizer: Optimizer): void {
  const held = new Set(optimizer.groups.flatMap((group) => group.params))
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

/** `parameter 'a'`, `parameters 'a', 'b' and 4 more`, with the words that go with them. */
function listed(names: readonly string[]): [string, are: string, them: string] {
  const shown = names
    .slice(0, 6)
    .map((n) => (n.startsWith('[') ? n : `'${n}'`))
    .join(', ')
  if (names.length === 1) return [`parameter ${shown}`, 'is', 'it']
  return [`parameters ${shown}${names.length > 6 ? ` and ${names.length - 6} more` : ''}`, 'are', 'them']
}
