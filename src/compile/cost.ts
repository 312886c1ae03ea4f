/**
 * What a program costs: multiply-adds, bytes moved, and a rough time, from its instructions alone.
 */
import { itemSize } from '../base/dtype.js'
import type { View } from '../ir/format.js'
import type { Meta } from '../tensor/context.js'
import type { Buf, Step } from './lower.js'

export interface Cost {
  readonly flops: number
  readonly bytes: number
  /** A guess for deciding whether a call is worth a thread switch. */
  readonly microseconds: number
}

/** Elements of memory that a view shows; those it repeats count once. */
export function elementsOf({ shape, strides }: View<Buf>): number {
  return shape.reduce((n, d, i) => (strides[i] === 0 ? n : n * d), 1)
}

export function stepCost(step: Step): Cost {
  let flops = 0
  for (const n of step.nodes) {
    if (n.row?.flops === undefined) continue
    const flopsOf = n.row.flops as (i: readonly Meta[], o: readonly Meta[], a: unknown) => number
    flops += flopsOf(n.inputs, n.outputs, n.attrs)
  }
  let bytes = 0
  for (const v of [...step.instruction.inputs, ...step.instruction.outputs]) {
    bytes += elementsOf(v) * itemSize(v.dtype)
  }
  return { flops, bytes, microseconds: 0.3 + flops / 3e4 + bytes / 1e4 }
}

export function totalCost(costs: readonly Cost[]): Cost {
  const total = { flops: 0, bytes: 0, microseconds: 0.5 }
  for (const { flops, bytes, microseconds } of costs) {
    total.flops += flops
    total.bytes += bytes
    total.microseconds += microseconds
  }
  return total
}
