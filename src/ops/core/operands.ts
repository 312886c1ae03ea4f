/** How ops take dimensions, indices and pairs of operands, as types: what functions and methods of one name share. Types only. */
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import type * as shapes from '../../types/index.js'

/** One place of an index: a position, `[start, end, step]`, `null` for everything, or a tensor of positions or of truth. */
export type Index = number | readonly [number?, (number | null)?, number?] | null | Tensor

/** A list of dimensions, one, or none for all. */
export type Dims = number | readonly number[] | undefined

/** Options of reductions; the literal types of `dim` and `keepdim` decide the result's shape. */
export interface ReduceBy<D extends Dims, K extends boolean> {
  /** Default: all dimensions. */
  dim?: D
  /** Keep reduced dimensions with size 1; default false. */
  keepdim?: K
}

/** What is left of them where the dimension stands in front. */
export interface Keep<K extends boolean> {
  /** Keep reduced dimensions with size 1; default false. */
  keepdim?: K
}

/** Options of reductions that need a dimension. */
export interface DimBy<D extends Dims, K extends boolean> extends Keep<K> {
  dim: D
}

/** `unknown` where two operands broadcast, else a sentence. */
export type Meets<Op extends string, A, B> = shapes.ExpectBroadcast<Op, ShapeOf<A>, ShapeOf<B>>

/** The shape two operands broadcast to. */
export type Broadcast<A, B> = shapes.Broadcast<ShapeOf<A>, ShapeOf<B>>

/** The shape of an index given as a tensor or as a plain array. */
export type IndexShape<I> = I extends Tensor ? ShapeOf<I> : [number]
