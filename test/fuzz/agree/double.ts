/**
 * Each op of the native backend against the same op in float64, from the same operands: what differs is the error of this op alone. In:
 * something to run op by op. Out: an error for the first op that is off by more than its own condition explains.
 */
import type { Tensor } from '../../../src/index.js'
import { denseOf, eagerHooks } from '../../../src/ops/core/dispatch.js'
import type { OpRow } from '../../../src/ops/core/table.js'
import { describe, excess, unit } from './bound.js'
import { disturbances, drift, lost, wild } from './noise.js'
import { inDoubles } from './reference.js'

/** Rows whose attributes name the result's dtype, and numbers that are drawn: both are compared as whole runs. */
const left = new Set(['to', 'random', 'checkpoint'])
/** How far operands are disturbed: native results are as exact as those of operands this near. */
const size = 16 * unit
/** Rows that round a mean on the way, which moves all of a row's elements the same way: more than their operands' own rounding does. */
const rough = new Set(['normRows', 'normRowsGrad', 'normalize', 'normalizeGrad', 'normSums', 'moments'])

/** Runs `fn`, and each of its ops again in float64. */
export function besideDoubles<T>(fn: () => T): T {
  const before = eagerHooks.afterOp
  let inside = false
  eagerHooks.afterOp = (row, inputs, outputs, attrs) => {
    if (inside || row.view !== undefined || left.has(row.name) || !outputs.some((t) => t.dtype === 'float32')) return
    // gradients are added in place: the operands are gone
    if (inputs.some((t) => t.constant === undefined && outputs.some((o) => o.storage === t.storage))) return
    inside = true
    try {
      check(row, inputs, outputs, attrs)
    } finally {
      inside = false
    }
  }
  try {
    return fn()
  } finally {
    eagerHooks.afterOp = before
  }
}

function check(row: OpRow<never>, inputs: readonly Tensor[], outputs: readonly Tensor[], attrs: unknown): void {
  const factor = rough.has(row.name) ? 16 : 1
  const floor = lost(row, inputs, outputs)
  const units = 16 + drift(row, inputs, outputs)
  if (wild(row, inputs, outputs)) return
  const expected = inDoubles(row, inputs, outputs, attrs)
  const disturbed: (ArrayLike<number> | undefined)[][] = []
  for (let i = 0; i < outputs.length; i++) {
    if (outputs[i].dtype !== 'float32') continue
    const actual = denseOf(outputs[i], outputs[i].shape)
    const e = Float64Array.from(expected[i], Math.fround)
    for (let tries = 0; ; tries++) {
      const found = excess(
        e,
        actual,
        disturbed.map((d) => d[i] as ArrayLike<number>),
        units,
      )
      if (found === undefined || Math.abs(found.actual - found.expected) <= floor) break
      if (tries === 12) throw new Error(`${row.name} beside float64: output ${i}, ${describe(found, outputs[i].shape)}`)
      // where nothing but the last bit differs none is needed
      for (let k = 0; k < 2 ** Math.min(tries, 2); k++)
        disturbed.push(inDoubles(row, inputs, outputs, attrs, disturber(disturbances(disturbed.length), factor)))
    }
  }
}

const disturber = (next: () => number, factor: number) => (): number => size * next() * factor
