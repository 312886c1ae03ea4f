/**
 * Whether strided views share memory, as native/runtime/overlap.cc. In: views and where their buffers lie. Out: exact answers, or "yes" where
 * one would take too long.
 */
import { itemSize } from '../../base/dtype.js'
import type { View } from '../../ir/format.js'

/** A view in an address space of its own: all arena buffers share one, each slot is one. */
export interface Placed {
  readonly view: View<number>
  readonly space: number
  /** Byte address of element 0, …, 0. */
  readonly start: number
  /** Bytes touched lie in [low, high); equal for an empty view. */
  readonly low: number
  readonly high: number
}

interface Term {
  readonly stride: number
  /** 0 ≤ index < extent. */
  readonly extent: number
}

/** The lowest and highest element a view touches; `undefined` when it is empty. */
export function elementRange({ offset, shape, strides }: View<number>): { low: number; high: number } | undefined {
  let low = offset
  let high = offset
  for (let d = 0; d < shape.length; d++) {
    if (shape[d] === 0) return undefined
    const reach = (shape[d] - 1) * strides[d]
    if (reach < 0) low += reach
    else high += reach
  }
  return { low, high }
}

export function place(view: View<number>, space: number, base: number): Placed {
  const size = itemSize(view.dtype)
  const start = base + view.offset * size
  const range = elementRange(view)
  if (range === undefined) return { view, space, start, low: start, high: start }
  return { view, space, start, low: base + range.low * size, high: base + (range.high + 1) * size }
}

/** Every index is at the same address in both. */
export function sameElements(a: Placed, b: Placed): boolean {
  const x = a.view
  const y = b.view
  if (a.space !== b.space || a.start !== b.start || itemSize(x.dtype) !== itemSize(y.dtype) || x.shape.length !== y.shape.length)
    return false
  return x.shape.every((extent, d) => extent === y.shape[d] && (extent <= 1 || x.strides[d] === y.strides[d]))
}

/**
 * Is there a choice of indices from term `k` on with sum(stride · index) = target? Terms are sorted by falling stride, all positive;
 * `reach[k]` is what the terms from k on can add.
 */
function reachable(terms: readonly Term[], reach: readonly number[], k: number, target: number, budget: { left: number }): boolean {
  if (target < 0 || target > reach[k]) return false
  if (k === terms.length) return target === 0
  if (--budget.left < 0) return true
  const { stride, extent } = terms[k]
  const least = Math.max(0, Math.ceil((target - reach[k + 1]) / stride))
  const most = Math.min(extent - 1, Math.floor(target / stride))
  for (let i = most; i >= least; i--) if (reachable(terms, reach, k + 1, target - i * stride, budget)) return true
  return false
}

/** Some byte belongs to both. */
export function overlap(a: Placed, b: Placed): boolean {
  if (a.space !== b.space || a.low >= b.high || b.low >= a.high || a.low === a.high || b.low === b.high) return false
  // An address of a is a.low + Σ |s|·i + byte, one of b likewise. They meet where Σa + byte − Σb − byte = b.low − a.low; writing an index of
  // b as extent − 1 − j makes every term positive.
  const terms: Term[] = []
  let target = b.low - a.low
  const add = ({ view }: Placed, negate: boolean): void => {
    const size = itemSize(view.dtype)
    const all = view.shape.map((extent, d) => ({ extent, stride: Math.abs(view.strides[d]) * size }))
    for (const term of [...all, { extent: size, stride: 1 }]) {
      if (term.stride === 0 || term.extent === 1) continue
      terms.push(term)
      if (negate) target += (term.extent - 1) * term.stride
    }
  }
  add(a, false)
  add(b, true)
  terms.sort((x, y) => y.stride - x.stride)
  const reach = new Array<number>(terms.length + 1).fill(0)
  for (let k = terms.length - 1; k >= 0; k--) reach[k] = reach[k + 1] + terms[k].stride * (terms[k].extent - 1)
  return reachable(terms, reach, 0, target, { left: 4096 })
}
