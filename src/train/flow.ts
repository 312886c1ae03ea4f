/**
 * How gradients flow through a model: norms by layer, units that never answer, saturation, and what that means in words. In: a model and a function that
 * computes its loss. Out: a report. Nothing is changed.
 */

import { ArgumentError, checkOptions, isFunction, showValue } from '../base/errors.js'
import { Module } from '../nn/module.js'
import { assign } from '../ops/basic/assign.js'
import { clone } from '../ops/basic/movement.js'
import { noGrad } from '../ops/core/grad-mode.js'
import { Optimizer } from '../optim/optimizer.js'
import { getRandomState, setRandomState } from '../tensor/random.js'
import { Tensor } from '../tensor/tensor.js'

/** What one layer showed. */
export interface LayerFlow {
  /** As in `namedModules()`. */
  readonly name: string
  readonly type: string
  /** Euclidean norms over the layer's own parameters; `undefined` where it has none, or none with a gradient. */
  readonly weightNorm: number | undefined
  readonly gradNorm: number | undefined
  /** Root mean square of a gradient element. */
  readonly gradRms: number | undefined
  /** |change| / |weights| of a step of the optimizer, where one was given. About 1e-3 is usual. */
  readonly updateRatio: number | undefined
  /** Root mean square of the gradient that arrives at the layer's output. */
  readonly outputGradRms: number | undefined
  /** Share of units (dimension 1) that were 0 for the whole batch; for ReLU and ReLU6. */
  readonly dead: number | undefined
  /** Share of outputs at the flat ends; for Sigmoid, Tanh and their hard forms. */
  readonly saturated: number | undefined
}

/** The report of `gradientFlow`: print it, or read `layers` and `findings`. */
export class GradientFlow {
  readonly loss: number
  readonly layers: readonly LayerFlow[]
  /** What is wrong, in words; empty when nothing is. */
  readonly findings: readonly string[]

  /** @internal */
  constructor(loss: number, layers: readonly LayerFlow[]) {
    this.loss = loss
    this.layers = layers
    this.findings = judge(loss, layers)
  }

  toString(): string {
    const head = ['layer', 'type', 'weights', 'gradient', 'rms', 'update', 'at output', 'dead', 'saturated']
    const number = (x: number | undefined): string => (x === undefined ? '' : x === 0 ? '0' : x.toExponential(1))
    const share = (x: number | undefined): string => (x === undefined ? '' : `${Math.round(x * 100)}%`)
    const rows = this.layers.map((l) => [
      l.name,
      l.type,
      number(l.weightNorm),
      number(l.gradNorm),
      number(l.gradRms),
      number(l.updateRatio),
      number(l.outputGradRms),
      share(l.dead),
      share(l.saturated),
    ])
    const widths = head.map((h, i) => Math.max(h.length, ...rows.map((r) => r[i].length)))
    const lines = [head, ...rows].map((r) =>
      r
        .map((cell, i) => cell.padEnd(widths[i]))
        .join('  ')
        .trimEnd(),
    )
    const verdict = this.findings.length === 0 ? ['Nothing conspicuous.'] : this.findings
    return [`loss ${this.loss}`, ...lines, ...verdict].join('\n')
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}

/** Where functions are flat: outside of this they are called saturated. */
const flat: Readonly<Record<string, readonly [low: number, high: number]>> = {
  Sigmoid: [0.02, 0.98],
  Hardsigmoid: [0, 1],
  Tanh: [-0.98, 0.98],
  Hardtanh: [-1, 1],
}

/** What is noted while the model runs. */
interface Seen {
  outputs: Tensor[]
  /** Σ g² and the number of elements at the output. */
  square: number
  count: number
}

const sumSquares = (t: Tensor): number => {
  let total = 0
  for (const x of t.data) total += x * x
  return total
}

/** Share of the units of dimension 1 (or of all elements of a vector) that are 0 everywhere. */
function deadShare(outputs: readonly Tensor[]): number {
  const alive = new Set<number>()
  let units = 0
  for (const t of outputs) {
    const { data } = t
    units = t.ndim < 2 ? t.size : t.shape[1]
    const inner = t.ndim < 2 ? 1 : t.shape.slice(2).reduce((a, b) => a * b, 1)
    data.forEach((x, i) => void (x !== 0 && alive.add(Math.floor(i / inner) % units)))
  }
  return units === 0 ? 0 : 1 - alive.size / units
}

function saturatedShare(outputs: readonly Tensor[], [low, high]: readonly [number, number]): number {
  let out = 0
  let all = 0
  for (const t of outputs) {
    for (const x of t.data) if (x <= low || x >= high) out++
    all += t.size
  }
  return all === 0 ? 0 : out / all
}

/** Lets each layer without children tell what it gives, while `run` runs. */
function watched<T>(leaves: readonly Module[], run: () => T): { result: T; seen: Map<Module, Seen> } {
  const seen = new Map<Module, Seen>()
  for (const module of leaves) {
    const own: Seen = { outputs: [], square: 0, count: 0 }
    seen.set(module, own)
    const forward = module.forward.bind(module) as (...inputs: unknown[]) => unknown
    const value = (...inputs: unknown[]): unknown => {
      const y = forward(...inputs)
      if (y instanceof Tensor) {
        own.outputs.push(y)
        if (y.requiresGrad) {
          y.registerHook((g) => {
            own.square += sumSquares(g)
            own.count += g.size
          })
        }
      }
      return y
    }
    Object.defineProperty(module, 'forward', { value, configurable: true, writable: true, enumerable: false })
  }
  try {
    return { result: run(), seen }
  } finally {
    for (const module of leaves) Reflect.deleteProperty(module, 'forward')
  }
}

/**
 * Runs `lossOf` and its backward pass once, and reports by layer: norms of weights and gradients, dead ReLU units, saturation, and with an `optimizer` how far a
 * step would move the weights; `findings` names vanishing and exploding gradients and the like. The model, its buffers, gradients, the optimizer and the random
 * generator are left as they were. Functions in `forward` that are no layers are not seen.
 *
 *     console.log(gradientFlow(model, () => losses.crossEntropy(model.forward(x), y), { optimizer }))
 *
 * @throws ArgumentError unless given a model and a function that returns the loss.
 */
export function gradientFlow(model: Module, lossOf: () => Tensor, options: { optimizer?: Optimizer } = {}): GradientFlow {
  checkOptions('gradientFlow', options, { optimizer: true })
  if (!(model instanceof Module))
    throw new ArgumentError('ERR_NOT_A_MODULE', `gradientFlow: expected a model, received ${showValue(model)}.`)
  if (!isFunction(lossOf))
    throw new ArgumentError(
      'ERR_NOT_A_FUNCTION',
      `gradientFlow: expected a function that computes the loss, received ${showValue(lossOf)}.`,
    )
  if (options.optimizer !== undefined && !(options.optimizer instanceof Optimizer))
    throw new ArgumentError('ERR_OPTIMIZER', `gradientFlow: expected an optimizer, received ${showValue(options.optimizer)}.`)
  const parameters = model.parameters()
  const before = parameters.map((p) => ({ p, grad: p.leafGrad, seen: p.gradSeen }))
  const buffers = noGrad(() => model.buffers().map((b) => [b, clone(b)] as const))
  const random = getRandomState()
  const named = model.namedModules()
  const leaves = named.filter(([, m]) => m.children().length === 0).map(([, m]) => m)
  try {
    for (const p of parameters) p.leafGrad = undefined
    const { result, seen } = watched(leaves, () => {
      const loss = lossOf()
      if (!(loss instanceof Tensor) || loss.size !== 1)
        throw new ArgumentError('ERR_CLOSURE', `gradientFlow: the function must return the loss, one number, received ${showValue(loss)}.`)
      loss.backward()
      return loss
    })
    const ratios = options.optimizer === undefined ? undefined : updateRatios(parameters, options.optimizer)
    const layers = named.map(([name, module]) => layerFlow(name, module, seen.get(module), ratios))
    return new GradientFlow(
      result.item(),
      layers.filter((l) => l.weightNorm !== undefined || l.dead !== undefined || l.saturated !== undefined),
    )
  } finally {
    for (const { p, grad, seen } of before) {
      p.leafGrad = grad
      p.gradSeen = seen
    }
    noGrad(() => buffers.forEach(([b, value]) => void assign(b, value)))
    setRandomState(random)
  }
}

/** Σ of squared changes by a step that is taken and undone. */
function updateRatios(parameters: readonly Tensor[], optimizer: Optimizer): Map<Tensor, number> {
  const kept = noGrad(() => parameters.map((p) => clone(p)))
  const state = optimizer.stateDict()
  optimizer.step()
  const moved = new Map(parameters.map((p, i) => [p, noGrad(() => sumSquares(p.sub(kept[i])))]))
  noGrad(() => parameters.forEach((p, i) => void assign(p, kept[i])))
  optimizer.loadStateDict(state)
  return moved
}

function layerFlow(name: string, module: Module, seen: Seen | undefined, moved: ReadonlyMap<Tensor, number> | undefined): LayerFlow {
  const own = module.ownParameters().map(([, p]) => p)
  const total = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0)
  const grads = own.flatMap((p) => (p.leafGrad === undefined ? [] : [p.leafGrad]))
  const weight = Math.sqrt(total(own.map(sumSquares)))
  const gradient = Math.sqrt(total(grads.map(sumSquares)))
  const type = module.constructor.name
  const ends = flat[type]
  const outputs = seen?.outputs ?? []
  return {
    name,
    type,
    weightNorm: own.length === 0 ? undefined : weight,
    gradNorm: grads.length === 0 ? undefined : gradient,
    gradRms: grads.length === 0 ? undefined : gradient / Math.sqrt(total(grads.map((g) => g.size))),
    updateRatio:
      moved === undefined || own.length === 0 || weight === 0 ? undefined : Math.sqrt(total(own.map((p) => moved.get(p) ?? 0))) / weight,
    outputGradRms: seen === undefined || seen.count === 0 ? undefined : Math.sqrt(seen.square / seen.count),
    dead: (type === 'ReLU' || type === 'ReLU6') && outputs.length > 0 ? deadShare(outputs) : undefined,
    saturated: ends !== undefined && outputs.length > 0 ? saturatedShare(outputs, ends) : undefined,
  }
}

const percent = (x: number): string => `${Math.round(x * 100)}%`

/** What the figures mean. */
function judge(loss: number, layers: readonly LayerFlow[]): string[] {
  const found: string[] = []
  if (!Number.isFinite(loss)) found.push(`The loss is ${loss}. Look for the first layer that gives NaN or infinity (anomaly mode).`)
  const weighted = layers.filter((l) => l.weightNorm !== undefined)
  for (const l of weighted) {
    if (l.gradNorm === undefined) found.push(`${l.name} (${l.type}) gets no gradient: it is not used, or lies behind detach() or noGrad.`)
    else if (!Number.isFinite(l.gradNorm))
      found.push(`The gradient of ${l.name} (${l.type}) is not finite: gradients explode. Lower the learning rate or clip them.`)
  }
  const known = weighted.filter((l) => Number.isFinite(l.gradRms ?? Number.NaN))
  const [first, last] = [known[0], known[known.length - 1]]
  if (first !== undefined && first !== last) {
    const ratio = (first.gradRms as number) / (last.gradRms as number)
    const from = `from ${last.gradRms?.toExponential(1)} in ${last.name} to ${first.gradRms?.toExponential(1)} in ${first.name}`
    if (ratio < 1e-3)
      found.push(
        `Gradients vanish towards the input: ${from}. Use ReLU or GELU, normalization, residual connections, or another initialization.`,
      )
    else if (ratio > 1e3)
      found.push(`Gradients explode towards the input: ${from}. Use normalization, smaller initial weights, or clipGradNorm.`)
  }
  const large = known.filter((l) => (l.gradRms as number) > 1e3)
  if (large.length > 0)
    found.push(
      `Gradients are very large in ${large.map((l) => l.name).join(', ')}: gradients explode. Scale inputs and targets, or use clipGradNorm.`,
    )
  for (const l of layers) {
    if (l.dead !== undefined && l.dead > 0.4)
      found.push(
        `${percent(l.dead)} of the units of ${l.name} (${l.type}) are dead: 0 for the whole batch. Lower the learning rate, or use LeakyReLU or GELU.`,
      )
    if (l.saturated !== undefined && l.saturated > 0.5)
      found.push(
        `${percent(l.saturated)} of the outputs of ${l.name} (${l.type}) are saturated, where no gradient passes. Scale its inputs down, or normalize them.`,
      )
  }
  found.push(...judgeSteps(layers, first !== last && (first?.gradRms ?? 0) < 1e-3 * (last?.gradRms ?? 0)))
  return found
}

/** `a, b, c and 3 more`. */
function listed(layers: readonly LayerFlow[]): string {
  const names = layers.slice(0, 4).map((l) => l.name)
  return layers.length > 4 ? `${names.join(', ')} and ${layers.length - 4} more` : names.join(', ')
}

/** Mean square roots of gradients that no learning rate makes up for. */
const vanished = 1e-7

/** What the sizes of gradients and steps mean, each piece of advice once. `vanish`: that gradients vanish towards the input was said. */
function judgeSteps(layers: readonly LayerFlow[], vanish: boolean): string[] {
  const found: string[] = []
  const fast = layers.filter((l) => (l.updateRatio ?? 0) > 0.1)
  const slow = layers.filter((l) => (l.updateRatio ?? 1) < 1e-6 && (l.gradNorm ?? 0) > 0)
  const gone = layers.filter((l) => (l.gradRms ?? 1) < vanished)
  if (fast.length > 0) {
    const most = Math.max(...fast.map((l) => l.updateRatio as number))
    found.push(`A step moves ${listed(fast)} by up to ${percent(most)} of the weights' size: the learning rate is too high.`)
  }
  if (vanish) return found
  if (gone.length > 0)
    found.push(
      `Gradients have vanished in ${listed(gone)}: below ${vanished}. Look at what lies behind: saturated or dead units, a loss of tiny numbers. Use normalization, residual connections, or another initialization.`,
    )
  const lazy = slow.filter((l) => !gone.includes(l))
  if (lazy.length > 0) {
    const least = Math.min(...lazy.map((l) => l.updateRatio as number))
    found.push(
      `A step moves ${listed(lazy)} by as little as ${least.toExponential(1)} of the weights' size: hardly anything is learnt. Raise the learning rate.`,
    )
  }
  return found
}
