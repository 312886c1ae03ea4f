/**
 * Elements in another arrangement, all compositions of views, copies and look-ups: flip, roll, repeat, tile, chunk, unbind, meshgrid and the like.
 */
import { ArgumentError, checkOptions, ShapeError, showShape, showValue } from '../../base/errors.js'
import { checkList, checkShape, checkSize, normalizeDim, normalizeDims, sizeOf } from '../../base/shape.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import type { Resized, Transposed } from '../../types/index.js'
import { checkTensor } from '../core/dispatch.js'
import { indexSelect } from './gather.js'
import { concat, split } from './join.js'
import { clone, expand, narrow, permute, reshape, sliceBy, transpose, unsqueeze } from './movement.js'

/** The given dimensions (all by default) in reverse order, a view. */
export function flip<T extends Tensor>(x: T, dims?: number | readonly number[]): Tensor<ShapeOf<T>>
export function flip(x: Tensor, dims?: number | readonly number[]): Tensor {
  checkTensor('flip', 'x', x)
  const turned = normalizeDims('flip', dims, x.ndim)
  const at = (d: number): boolean => turned.includes(d)
  return sliceBy(x, {
    start: x.shape.map((s, d) => (at(d) ? Math.max(0, s - 1) : 0)),
    step: x.shape.map((_, d) => (at(d) ? -1 : 1)),
    shape: x.shape,
  })
}

/**
 * Elements moved on by `shifts` along `dims`, those that fall off the end coming in at the start; the flattened tensor without `dims`.
 *
 *     roll(x, 1, 0)
 *     roll(x, [1, -2], [0, 1])
 */
export function roll<T extends Tensor>(x: T, shifts: number | readonly number[], dims?: number | readonly number[]): Tensor<ShapeOf<T>>
export function roll(x: Tensor, shifts: number | readonly number[], dims?: number | readonly number[]): Tensor {
  checkTensor('roll', 'x', x)
  const by = typeof shifts === 'number' ? [shifts] : checkList('roll', 'shifts', shifts)
  if (!by.every(Number.isInteger)) throw new ArgumentError('ERR_ROLL', `roll: shifts are integers, received ${showValue(shifts)}.`)
  if (dims === undefined) {
    if (by.length !== 1) throw new ArgumentError('ERR_ROLL', `roll: several shifts ${showValue(shifts)} need as many dims.`)
    return reshape(roll(reshape(x, [x.size]), by, [0]), x.shape)
  }
  const along = (typeof dims === 'number' ? [dims] : checkList('roll', 'dims', dims)).map((d) => normalizeDim('roll', d, x.ndim))
  if (along.length !== by.length)
    throw new ArgumentError(
      'ERR_ROLL',
      `roll: ${by.length} shifts for ${along.length} dims, received ${showValue(shifts)} and ${showValue(dims)}.`,
    )
  return along.reduce((y, d, i) => {
    const n = y.shape[d]
    const cut = n === 0 ? 0 : ((-by[i] % n) + n) % n
    return cut === 0 ? y : concat([narrow(y, d, cut, n - cut), narrow(y, d, 0, cut)], d)
  }, x)
}

function checkRepeats(op: string, repeats: readonly number[]): readonly number[] {
  if (!checkList(op, 'the repeats', repeats).every((r) => Number.isInteger(r) && r >= 0))
    throw new ArgumentError('ERR_REPEAT', `${op}: repeats are integers from 0, received ${showValue(repeats)}.`)
  return repeats
}

/**
 * The tensor repeated `repeats[d]` times along each dimension; more repeats than dimensions add dimensions in front.
 *
 *     repeat(tensor([1, 2]), [3, 2])      // [3, 4]
 */
export function repeat(x: Tensor, repeats: readonly number[]): Tensor {
  checkTensor('repeat', 'x', x)
  checkRepeats('repeat', repeats)
  if (repeats.length < x.ndim) {
    throw new ShapeError(
      'ERR_REPEAT',
      `repeat: ${repeats.length} repeats for the ${x.ndim} dimensions of ${showShape(x.shape)}; give at least one for each. tile fills up with ones.`,
    )
  }
  const own = [...new Array<number>(repeats.length - x.ndim).fill(1), ...x.shape]
  const result = own.map((s, d) => s * repeats[d])
  checkShape('repeat', result)
  // two dimensions for each that is repeated, so that nothing exceeds the highest rank
  const pairs = own.flatMap((s, d) =>
    repeats[d] === 1
      ? [[s, s]]
      : s === 1
        ? [[1, repeats[d]]]
        : [
            [1, repeats[d]],
            [s, s],
          ],
  )
  if (pairs.length <= 8) {
    const wide = expand(
      reshape(
        x,
        pairs.map(([from]) => from),
      ),
      pairs.map(([, size]) => size),
    )
    return clone(reshape(wide, result))
  }
  return repeats.reduce(
    (y, r, d) => (r === 1 ? y : r === 0 ? narrow(y, d, 0, 0) : concat(new Array<Tensor>(r).fill(y), d)),
    reshape(x, own),
  )
}

/** As `repeat`, but fewer repeats than dimensions count for the last ones. */
export function tile(x: Tensor, repeats: readonly number[]): Tensor {
  checkTensor('tile', 'x', x)
  checkRepeats('tile', repeats)
  return repeat(x, [...new Array<number>(Math.max(0, x.ndim - repeats.length)).fill(1), ...repeats])
}

/**
 * Each element repeated in place along `dim` (of the flattened tensor without it): as often as a number says, or a list with one number for each.
 *
 *     repeatInterleave(tensor([1, 2]), 2)      // 1, 1, 2, 2
 */
export function repeatInterleave(x: Tensor, repeats: number | readonly number[], dim?: number): Tensor {
  checkTensor('repeatInterleave', 'x', x)
  const source = dim === undefined ? reshape(x, [x.size]) : x
  const d = normalizeDim('repeatInterleave', dim ?? 0, source.ndim)
  const n = source.shape[d]
  if (typeof repeats === 'number') {
    checkRepeats('repeatInterleave', [repeats])
    const wide = expand(unsqueeze(source, d + 1), [...source.shape.slice(0, d + 1), repeats, ...source.shape.slice(d + 1)])
    return reshape(wide, [...source.shape.slice(0, d), n * repeats, ...source.shape.slice(d + 1)])
  }
  checkRepeats('repeatInterleave', repeats)
  if (repeats.length !== n && repeats.length !== 1)
    throw new ShapeError(
      'ERR_REPEAT',
      `repeatInterleave: ${repeats.length} repeats for the ${n} elements of dim ${d} of ${showShape(source.shape)}.`,
    )
  const times = (i: number): number => repeats[repeats.length === 1 ? 0 : i]
  let total = 0
  for (let i = 0; i < n; i++) total += times(i)
  checkSize('repeatInterleave', [...source.shape.slice(0, d), total, ...source.shape.slice(d + 1)])
  const positions = Array.from({ length: n }, (_, i) => new Array<number>(times(i)).fill(i)).flat()
  return indexSelect(source, positions, d)
}

const maxChunks = 65_536

/** About `chunks` equal pieces along `dim`, at most 65,536, the last may be smaller; views. */
export function chunk<T extends Tensor, D extends number = 0>(x: T, chunks: number, dim?: D): Tensor<Resized<ShapeOf<T>, D>>[]
export function chunk(x: Tensor, chunks: number, dim = 0): Tensor[] {
  checkTensor('chunk', 'x', x)
  const d = normalizeDim('chunk', dim, x.ndim)
  // more are no use to anybody, and an empty dimension would give as many handles
  if (!Number.isInteger(chunks) || chunks < 1 || chunks > maxChunks)
    throw new ArgumentError(
      'ERR_CHUNK',
      `chunk: the number of chunks must be an integer from 1 to ${maxChunks}, received ${showValue(chunks)}.`,
    )
  if (x.shape[d] === 0) return new Array<Tensor>(chunks).fill(x)
  return split(x, Math.ceil(x.shape[d] / chunks), d)
}

/** The slices along `dim`, without it; views. */
export function unbind(x: Tensor, dim = 0): Tensor[] {
  checkTensor('unbind', 'x', x)
  const d = normalizeDim('unbind', dim, x.ndim)
  const rest = x.shape.filter((_, i) => i !== d)
  return Array.from({ length: x.shape[d] }, (_, i) => reshape(narrow(x, d, i, 1), rest))
}

/** The dimensions `source` moved to the places `destination`, the others in their order; a view. */
export function movedim(x: Tensor, source: number | readonly number[], destination: number | readonly number[]): Tensor {
  checkTensor('movedim', 'x', x)
  const list = (name: string, dims: number | readonly number[]): number[] =>
    (typeof dims === 'number' ? [dims] : checkList('movedim', name, dims)).map((d) => normalizeDim('movedim', d, x.ndim))
  const from = list('source', source)
  const to = list('destination', destination)
  if (from.length !== to.length || new Set(from).size !== from.length || new Set(to).size !== to.length) {
    throw new ShapeError(
      'ERR_MOVEDIM',
      `movedim: ${showValue(source)} and ${showValue(destination)} must be as many dimensions, each once.`,
    )
  }
  const others = [...x.shape.keys()].filter((d) => !from.includes(d))
  return permute(
    x,
    x.shape.map((_, d) => (to.includes(d) ? from[to.indexOf(d)] : (others.shift() as number))),
  )
}

/** Two dimensions swapped, a view: `transpose` under NumPy's name, without defaults. */
export function swapaxes<T extends Tensor, A extends number, B extends number>(
  x: T,
  axis0: A,
  axis1: B,
): Tensor<Transposed<ShapeOf<T>, A, B>>
export function swapaxes(x: Tensor, axis0: number, axis1: number): Tensor {
  return transpose(x, axis0, axis1)
}

/** One dimension as several, whose sizes multiply to its own; one may be -1. */
export function unflatten(x: Tensor, dim: number, sizes: readonly number[]): Tensor {
  checkTensor('unflatten', 'x', x)
  const d = normalizeDim('unflatten', dim, x.ndim)
  const wrong = checkList('unflatten', 'the sizes', sizes).findIndex((s) => !Number.isInteger(s))
  if (wrong >= 0) throw new ShapeError('ERR_UNFLATTEN', `unflatten: sizes are integers, received ${showValue(sizes[wrong])}.`)
  const known = sizes.reduce((n, s) => (s === -1 ? n : n * s), 1)
  const full = sizes.map((s) => (s === -1 && known > 0 ? x.shape[d] / known : s))
  if (!full.every((s) => Number.isInteger(s) && s >= 0) || sizeOf(full) !== x.shape[d]) {
    throw new ShapeError(
      'ERR_UNFLATTEN',
      `unflatten: ${showShape(sizes)} does not multiply to ${x.shape[d]}, dim ${d} of ${showShape(x.shape)}.`,
    )
  }
  return reshape(x, [...x.shape.slice(0, d), ...full, ...x.shape.slice(d + 1)])
}

/**
 * The coordinates of a grid: one tensor for each vector given, each varying along its own dimension. `indexing: 'xy'` swaps the first two.
 *
 *     const [rows, columns] = meshgrid([arange(3), arange(4)])      // both [3, 4]
 */
export function meshgrid(tensors: readonly Tensor[], options: { indexing?: 'ij' | 'xy' } = {}): Tensor[] {
  checkOptions('meshgrid', options, { indexing: true })
  if (!Array.isArray(tensors) || tensors.length === 0)
    throw new ArgumentError('ERR_EMPTY_LIST', 'meshgrid: needs an array of at least one vector.')
  const { indexing = 'ij' } = options
  if (indexing !== 'ij' && indexing !== 'xy')
    throw new ArgumentError('ERR_OPTION', `meshgrid: indexing must be 'ij' or 'xy', received ${showValue(indexing)}.`)
  tensors.forEach((t, i) => {
    checkTensor('meshgrid', `vector ${i}`, t)
    if (t.ndim > 1) throw new ShapeError('ERR_RANK', `meshgrid: needs vectors, vector ${i} is ${showShape(t.shape)}.`)
  })
  const list: readonly Tensor[] = tensors
  const shape = list.map((t) => t.size)
  const grids = list.map((t, i) =>
    expand(
      reshape(
        t,
        shape.map((s, d) => (d === i ? s : 1)),
      ),
      shape,
    ),
  )
  return indexing === 'xy' && list.length > 1 ? grids.map((g) => transpose(g, 0, 1)) : grids
}
