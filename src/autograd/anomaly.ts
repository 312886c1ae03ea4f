/**
 * Anomaly mode: every op that runs, forward and backward, is checked for NaN and infinities, and the first that makes one is an error. In: eager
 * ops as they run, gradients as the walk delivers them. Out: an error that names the op, the user's line and the ranges of its inputs.
 *
 * Off, it costs one comparison an op. Compiled functions run op by op while it is on.
 */
import { ArgumentError, deepStack, isFunction, StateError, showValue, userLine } from '../base/errors.js'
import { eagerHooks } from '../ops/core/dispatch.js'
import type { OpRow } from '../ops/core/table.js'
import { context } from '../tensor/context.js'
import type { GradNode, Tensor } from '../tensor/tensor.js'
import { describeBroken, describeRange, type Range, rangeOf } from './value-range.js'

let always = false
/** Calls of `anomaly(fn)` that have not ended. */
let scopes = 0

function install(): void {
  context.anomaly = always || scopes > 0
  eagerHooks.afterOp = context.anomaly ? checkOp : undefined
}

/**
 * Switches anomaly mode on or off, or runs a function in it: the first operation whose result holds a NaN or an infinity that its inputs
 * did not is an error, in the forward pass and in the backward pass. Where `fn` is asynchronous, until its promise settles.
 *
 *     anomaly(true)
 *     await anomaly(() => fit(model, data, options))
 *
 * All elements are looked at, and compiled functions, also those of `fit`, run op by op: for finding a mistake, not for training. A NaN that
 * comes in from outside, in data or parameters, is reported by the first operation that meets it; infinities from outside, such as those of
 * a mask, are not.
 *
 * @throws StateError `ERR_ANOMALY` from the operation or from `backward()`.
 */
export function anomaly(on: boolean): void
export function anomaly<T>(fn: () => T): T
export function anomaly<T>(what: boolean | (() => T)): T | undefined {
  if (typeof what === 'boolean') {
    always = what
    install()
    return undefined
  }
  if (!isFunction(what)) {
    throw new ArgumentError('ERR_ANOMALY_ARGUMENT', `anomaly: expected true, false or a function, received ${showValue(what)}.`)
  }
  return scoped(what)
}

function scoped<T>(fn: () => T): T {
  scopes++
  install()
  const leave = (): void => {
    scopes--
    install()
  }
  let later = false
  try {
    const result = fn()
    if (result instanceof Promise) {
      later = true
      return result.finally(leave) as T
    }
    if (isThenable(result)) {
      later = true
      result.then(leave, leave)
    }
    return result
  } finally {
    if (!later) leave()
  }
}

function isThenable(x: unknown): x is PromiseLike<unknown> {
  return typeof x === 'object' && x !== null && typeof (x as { then?: unknown }).then === 'function'
}

/** Runs `fn` without checking each op: inside a gradient rule what counts is what comes out. */
export function unwatched<T>(fn: () => T): T {
  const { afterOp } = eagerHooks
  eagerHooks.afterOp = undefined
  try {
    return fn()
  } finally {
    eagerHooks.afterOp = afterOp
  }
}

type Verdict = { readonly kind: 'made'; readonly range: Range } | { readonly kind: 'met'; readonly source: number }

/** Whether `t` holds what none of `sources` holds already; an infinity may be handed on, a NaN may not. */
function judge(t: Tensor, sources: readonly Tensor[]): Verdict | undefined {
  if (t.traced || (t.dtype !== 'float32' && t.dtype !== 'float64')) return undefined
  const range = rangeOf(t)
  if (range === undefined || range.nan + range.infinite === 0) return undefined
  const before = sources.map((s) => rangeOf(s))
  if (range.nan > 0) {
    const source = before.findIndex((r) => r !== undefined && r.nan > 0)
    return source < 0 ? { kind: 'made', range } : { kind: 'met', source }
  }
  return before.some((r) => r !== undefined && r.infinite > 0) ? undefined : { kind: 'made', range }
}

function listed(tensors: readonly Tensor[]): string {
  return tensors.length === 0 ? 'none' : tensors.map(describeRange).join('; ')
}

function mode(): string {
  return context.opByOp === undefined ? '' : ` Anomaly mode runs ${context.opByOp} op by op.`
}

const outside = 'It came in from outside: look at the data, and at parameters that were spoilt before anomaly mode was on.'

function checkOp(row: OpRow<never>, inputs: readonly Tensor[], outputs: readonly Tensor[]): void {
  // views and copies only hand on
  if (row.view !== undefined || row.copies) return
  for (const t of outputs) {
    const verdict = judge(t, inputs)
    if (verdict === undefined) continue
    const where = userLine(deepStack())
    throw new StateError(
      'ERR_ANOMALY',
      verdict.kind === 'met'
        ? `${row.name}: input ${verdict.source} holds NaN already${where}. Inputs: ${listed(inputs)}. ${outside}${mode()}`
        : `${row.name}: the result is the first to hold ${describeBroken(verdict.range)} of ${t.size}${where}. Inputs: ${listed(inputs)}. Keep them where ${row.name} is finite: scale them, clamp() them, or add a small number to what is divided by or goes into a logarithm or root.${mode()}`,
    )
  }
}

/** Checks the gradient that an op's rule gives for input `i`; `upstream` is what came in for each output. */
export function checkGradient(node: GradNode, i: number, gradient: Tensor, upstream: readonly (Tensor | undefined)[]): void {
  const arrived = upstream.filter((g) => g !== undefined)
  const verdict = judge(gradient, [...arrived, ...node.inputs, ...node.outputs])
  if (verdict === undefined) return
  const where = node.stack === undefined ? ' (its line is known where the forward pass, too, runs in anomaly mode)' : userLine(node.stack)
  const values = `Inputs: ${listed(node.inputs)}. The gradient that came in: ${listed(arrived)}.`
  throw new StateError(
    'ERR_ANOMALY',
    verdict.kind === 'met'
      ? `backward of ${node.row.name}: ${verdict.source < arrived.length ? 'the gradient that came in' : 'what it works with'} holds NaN already${where}. ${values} ${outside}${mode()}`
      : `backward of ${node.row.name}: the gradient of input ${i} is the first to hold ${describeBroken(verdict.range)} of ${gradient.size}${where}. ${values} Keep the inputs away from where ${node.row.name} has no finite slope.${mode()}`,
  )
}
