/**
 * Metrics over a whole set: each batch gives a few tensors, those of all batches are joined, and
 * the figure is made of them at the end. In: a metric and the state of each batch. Out: one number.
 *
 * States are joined in float64: counts stay exact, and sums over many batches do not drift.
 */

import { ArgumentError, checkFunction, checkOptions, ShapeError, showKind, showShape } from '../base/errors.js'
import { sameShape } from '../base/shape.js'
import { div, mul, to } from '../ops/basic/elementwise.js'
import { narrow } from '../ops/basic/movement.js'
import { sum } from '../ops/basic/reduce.js'
import { denseOf } from '../ops/core/dispatch.js'
import { noGrad } from '../ops/core/grad-mode.js'
import { Tensor, tensor } from '../tensor/tensor.js'

/** What a batch contributes, by names of your own. */
export type MetricState<K extends string = string> = { readonly [name in K]: Tensor }

/** The three parts of a metric over a whole set. */
export interface WholeSet<K extends string = string> {
  /** What a batch contributes: tensors, whose shapes do not depend on the batch, and numbers. */
  readonly update: (outputs: Tensor, targets: Tensor) => { readonly [name in K]: Tensor | number }
  /** Joins what two parts of the set contributed; default: adds. */
  readonly merge?: (a: MetricState<K>, b: MetricState<K>) => MetricState<K>
  /** The figure, from what all batches contributed, in float64. */
  readonly compute: (state: MetricState<K>) => Tensor | number
}

/** A metric over a whole set. Called, it gives the figure of one batch alone. */
export interface WholeSetMetric<K extends string = string> extends WholeSet<K> {
  (outputs: Tensor, targets: Tensor): Tensor
}

/**
 * What a metric is: `metrics.accuracy`, a function of your own that gives a mean over samples, or
 * one made by `metrics.wholeSet`.
 */
export type Metric = (outputs: Tensor, targets: Tensor) => Tensor

/** Numbers as tensors. */
function tensorsOf<K extends string>(
  contributed: { readonly [name in K]: Tensor | number },
  what: string,
  rule = 'update must return',
): MetricState<K> {
  const wrong = (received: unknown): ArgumentError =>
    new ArgumentError('ERR_METRIC_STATE', `${what}: ${rule} tensors and numbers by name, { hits, count }, received ${showKind(received)}.`)
  if (typeof contributed !== 'object' || contributed === null || Array.isArray(contributed) || contributed instanceof Tensor)
    throw wrong(contributed)
  const entries = Object.entries<Tensor | number>(contributed).map(([name, value]): [string, Tensor] => {
    if (typeof value !== 'number' && !(value instanceof Tensor)) throw wrong(value)
    return [name, typeof value === 'number' ? Tensor.scalar(value, 'float32') : value.detach()]
  })
  return Object.fromEntries(entries) as MetricState<K>
}

/** The state of a batch, as 64-bit floats, which join without rounding errors that add up. */
function doubled<K extends string>(state: MetricState<K>): MetricState<K> {
  return Object.fromEntries(Object.entries<Tensor>(state).map(([name, t]) => [name, to(t, 'float64')])) as MetricState<K>
}

/** Sums over the states of batches, element by element. */
class Sums {
  private readonly sums = new Map<string, { readonly shape: readonly number[]; readonly data: Float64Array }>()

  add(state: MetricState): void {
    for (const [name, t] of Object.entries(state)) {
      let own = this.sums.get(name)
      if (own === undefined) {
        own = { shape: t.shape, data: new Float64Array(t.size) }
        this.sums.set(name, own)
      } else if (!sameShape(t.shape, own.shape)) {
        throw new ShapeError(
          'ERR_METRIC_STATE',
          `metric: ${name} has shape ${showShape(own.shape)} in one batch and ${showShape(t.shape)} in another. What update returns must not depend on the batch.`,
        )
      }
      if (t.size === 1) own.data[0] += t.item()
      else denseOf(t, t.shape).forEach((x, i) => void (own.data[i] += x))
    }
  }

  get state(): MetricState | undefined {
    if (this.sums.size === 0) return undefined
    return Object.fromEntries([...this.sums].map(([name, { shape, data }]) => [name, tensor(data.slice(), { shape, dtype: 'float64' })]))
  }
}

function figureOf(value: Tensor | number): Tensor {
  return typeof value === 'number' ? Tensor.scalar(value, 'float32') : value
}

/**
 * A metric over the whole set, for `fit`: `update` says what a batch contributes, contributions are
 * added up (or joined by `merge`) in float64, and `compute` makes the figure of them at the end.
 * For all figures that are no means over samples, such as F1 scores.
 *
 *     const perplexity = metrics.wholeSet({
 *       update: (outputs, targets) => ({ loss: losses.crossEntropy(outputs, targets, { reduction: 'sum' }), count: targets.size }),
 *       compute: ({ loss, count }) => loss.div(count).exp(),
 *     })
 *
 * @throws ArgumentError unless `update` and `compute` are functions; `ERR_METRIC_STATE` for what
 *   `update` returns.
 */
export function wholeSet<K extends string>(spec: WholeSet<K>): WholeSetMetric<K> {
  checkOptions('wholeSet', spec, { update: true, merge: true, compute: true })
  const { update, merge, compute } = spec
  checkFunction('wholeSet: update', update)
  if (merge !== undefined) checkFunction('wholeSet: merge', merge)
  checkFunction('wholeSet: compute', compute)
  const metric = (outputs: Tensor, targets: Tensor): Tensor =>
    noGrad(() => figureOf(compute(tensorsOf(update(outputs, targets), 'wholeSet'))))
  return Object.assign(metric, { update, merge: merge && joining(merge), compute: computing(compute) })
}

/** `compute` of states that are what they should be; anybody may call it. */
const computing =
  <K extends string>(compute: WholeSet<K>['compute']): WholeSet<K>['compute'] =>
  (state) =>
    compute(tensorsOf(state, 'compute', 'a state is'))

/** As `computing`, of two states. */
const joining =
  <K extends string>(merge: NonNullable<WholeSet<K>['merge']>): NonNullable<WholeSet<K>['merge']> =>
  (a, b) =>
    merge(tensorsOf(a, 'merge', 'a state is'), tensorsOf(b, 'merge', 'a state is'))

/**
 * What elements contribute to a mean, and which of them do where some may not: 1 for one that
 * counts, 0 for another.
 */
export interface Scores {
  readonly scores: Tensor
  readonly counted?: Tensor
}

function partsOf({ scores, counted }: Scores): { sum: Tensor; count: Tensor | number } {
  return counted === undefined ? { sum: sum(scores), count: scores.size } : { sum: sum(mul(scores, counted)), count: sum(counted) }
}

/** The mean of the elements that count; NaN where none does. */
export function meanOf(scores: Scores): Tensor {
  const { sum, count } = partsOf(scores)
  return div(sum, count)
}

/**
 * Makes a function that averages scores over elements a metric over a whole set too, of which each
 * element counts once whatever the batches.
 */
export function countElements(metric: Metric, scores: (outputs: Tensor, targets: Tensor) => Scores): void {
  const parts: WholeSet<'sum' | 'count'> = {
    update: (outputs, targets) => partsOf(scores(outputs, targets)),
    compute: computing(({ sum, count }) => div(sum, count)),
  }
  Object.assign(metric, parts)
}

/** Whether a metric is made of sums over batches, as opposed to a mean over samples. */
export const isWhole = (metric: Metric): metric is WholeSetMetric => 'update' in metric && 'compute' in metric

/**
 * What `fit` computes of a metric for each batch: its state, or where it is a mean over samples
 * that mean.
 */
export function stateOf(
  name: string,
  metric: Metric,
  outputs: Tensor,
  targets: Tensor,
  single: (what: string, value: unknown) => Tensor,
): MetricState {
  const what = `the metric ${name}`
  return isWhole(metric) ? tensorsOf(metric.update(outputs, targets), `fit: ${what}`) : { mean: single(what, metric(outputs, targets)) }
}

/** A metric's figure over the batches so far. */
export class Tally {
  private readonly metric: Metric
  private readonly sums = new Sums()
  private merged: MetricState | undefined
  private sum = 0
  private samples = 0

  constructor(metric: Metric) {
    this.metric = metric
  }

  add(state: MetricState, samples: number): void {
    const { metric } = this
    if (!isWhole(metric)) {
      this.sum += state.mean.item() * samples
      this.samples += samples
      return
    }
    const { merge } = metric
    if (merge === undefined) this.sums.add(state)
    else this.merged = noGrad(() => (this.merged === undefined ? doubled(state) : merge(this.merged, doubled(state))))
  }

  get value(): number {
    const { metric } = this
    if (!isWhole(metric)) return this.sum / this.samples
    const state = metric.merge === undefined ? this.sums.state : this.merged
    return state === undefined ? Number.NaN : noGrad(() => figureOf(metric.compute(state)).item())
  }
}

/** Means of 32-bit floats over a few thousand samples agree to this part. */
const close = 2e-5

/**
 * Refuses a metric that is no mean over samples, found by the outputs of one batch: of a mean, that
 * of the batch follows from those of its parts. Averaged over batches it would be a wrong number
 * without a word.
 *
 * @throws ArgumentError `ERR_METRIC_NOT_A_MEAN`.
 */
export function checkMean(name: string, metric: Metric, outputs: Tensor, targets: Tensor): void {
  const [rows] = outputs.shape
  if (isWhole(metric) || outputs.ndim === 0 || targets.ndim === 0 || rows < 2 || targets.shape[0] !== rows) return
  const few = Math.max(1, Math.floor(rows / 4))
  const of = (start: number, size: number): number => metric(narrow(outputs, 0, start, size), narrow(targets, 0, start, size)).item()
  let figures: [whole: number, first: number, rest: number]
  try {
    figures = noGrad(() => [metric(outputs, targets).item(), of(0, few), of(few, rows - few)])
  } catch {
    // what is wrong with it the step will say
    return
  }
  const [whole, first, rest] = figures
  const mean = (first * few + rest * (rows - few)) / rows
  const size = Math.max(Math.abs(whole), Math.abs(first), Math.abs(rest))
  if (!Number.isFinite(whole) || Math.abs(whole - mean) <= close * size + 1e-6) return
  const show = (x: number): string => String(Number(x.toPrecision(4)))
  throw new ArgumentError(
    'ERR_METRIC_NOT_A_MEAN',
    `fit: the metric ${name} is no mean over samples: it is ${show(whole)} for a batch of ${rows}, ${show(first)} for the first ${few} of them and ${show(rest)} for the rest. ` +
      'The average over batches would be a wrong number. Write metrics.wholeSet({ update, compute }), where update gives what batches add up to, or take metrics.r2Score, rootMeanSquaredError and the like.',
  )
}
