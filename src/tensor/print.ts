/**
 * How tensors print: like NumPy, columns aligned, summarized when large. In: a tensor. Out: text.
 */
import { isFloat, itemSize, viewMemory } from '../base/dtype.js'
import { showShape } from '../base/errors.js'
import type { NestedArray, Tensor } from './tensor.js'

/** Above this many elements only the edges of each dimension are shown. */
const summarizeAbove = 1000
const edge = 3

/** A number with at most four decimals, or in exponent form when that would hide it. */
function showFloat(x: number): string {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? 'nan' : x > 0 ? 'inf' : '-inf'
  if (Number.isInteger(x) && Math.abs(x) < 1e8) return `${x}.`
  const size = Math.abs(x)
  return size >= 1e8 || size < 1e-4 ? x.toExponential(4) : String(Number(x.toFixed(4)))
}

/** Positions shown along a dimension; -1 stands for the gap. */
function shown(length: number, summarize: boolean): number[] {
  if (!summarize || length <= 2 * edge) return Array.from({ length }, (_, i) => i)
  return [0, 1, 2, -1, length - 3, length - 2, length - 1]
}

export function formatTensor(t: Tensor): string {
  const kind = t.dtype === 'float32' ? '' : `, dtype: ${t.dtype}`
  if (t.traced) return `Tensor(${showShape(t.shape)}${kind}, traced)`
  if (t.constant === undefined && t.storage.disposed) return `Tensor(${showShape(t.shape)}${kind}, disposed)`
  if (t.size === 0) return `Tensor([], shape: ${showShape(t.shape)}${kind})`
  const summarize = t.size > summarizeAbove
  const show = (x: NestedArray): string => (isFloat(t.dtype) ? showFloat(x as number) : String(x))
  const at = reader(t)
  const cells: string[] = []
  const collect = (dim: number, offset: number): void => {
    if (dim === t.ndim) {
      cells.push(show(at(offset)))
      return
    }
    for (const i of shown(t.shape[dim], summarize)) if (i >= 0) collect(dim + 1, offset + i * t.strides[dim])
  }
  collect(0, t.offset)
  const width = cells.reduce((w, c) => Math.max(w, c.length), 0)
  let next = 0
  const build = (dim: number): string => {
    if (dim === t.ndim) return cells[next++].padStart(t.ndim === 0 ? 0 : width)
    const parts = shown(t.shape[dim], summarize).map((i) => (i < 0 ? '…' : build(dim + 1)))
    const last = dim === t.ndim - 1
    const gap = last ? ', ' : `,${'\n'.repeat(t.ndim - dim - 1)}${' '.repeat('Tensor('.length + dim + 1)}`
    return `[${parts.join(gap)}]`
  }
  const body = build(0)
  const shape = summarize ? `, shape: ${showShape(t.shape)}` : ''
  const grad = t.gradNode !== undefined ? `, from: ${t.gradNode.row.name}` : ''
  return `Tensor(${body}${shape}${kind}${grad})`
}

function reader(t: Tensor): (offset: number) => NestedArray {
  if (t.constant !== undefined) return () => t.constant as number
  const { storage, dtype } = t
  storage.waitToRead()
  const { buffer, byteOffset, byteLength } = storage.bytes
  const data = viewMemory(dtype, buffer, byteOffset, Math.floor(byteLength / itemSize(dtype)))
  return dtype === 'bool' ? (i) => data[i] !== 0 : (i) => data[i]
}
