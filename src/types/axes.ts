/** Dimensions by number: reductions, transpositions, indexing. */
import type { AnyShape, EraseDim, IsOpen } from './dims.js'
import type { Spread } from './relations.js'

type FromEnd<S, P, Count extends unknown[] = []> = S extends readonly unknown[]
  ? Count['length'] extends P
    ? S['length']
    : S extends readonly [...infer Start, unknown]
      ? FromEnd<Start, P, [...Count, 0]>
      : never
  : never

/** A dimension's position from the start; `number` where that is unknown. */
export type Axis<S, D> = number extends D ? number : `${D & number}` extends `-${infer P extends number}` ? FromEnd<S, P> : D

type Without<S, Axes, Kept extends unknown[] = [], Count extends unknown[] = []> = S extends readonly [infer D, ...infer Rest]
  ? Without<Rest, Axes, Count['length'] extends Axes ? Kept : [...Kept, D], [...Count, 0]>
  : Kept

/** The shape with the dimension at `Axes` replaced. */
type Replace<S, Axes, D> = { [K in keyof S]: K extends `${Axes & number}` ? D : S[K] }

type ReduceAxes<S, Axes, Keep> =
  true extends IsOpen<S>
    ? AnyShape
    : [Axes] extends [never]
      ? AnyShape
      : number extends Axes
        ? AnyShape
        : Keep extends true
          ? Replace<S, Axes, 1>
          : Without<S, Axes>

/** The shape after a reduction over `D`: nothing (all), a dimension, or a list of them. */
export type Reduced<S, D, Keep> = boolean extends Keep
  ? AnyShape
  : D extends undefined
    ? Keep extends true
      ? true extends IsOpen<S>
        ? AnyShape
        : { [K in keyof S]: 1 }
      : []
    : D extends number
      ? ReduceAxes<S, Axis<S, D>, Keep>
      : D extends readonly number[]
        ? number extends D['length'] | D[number]
          ? AnyShape
          : ReduceAxes<S, { [K in keyof D]: Axis<S, D[K]> }[number], Keep>
        : AnyShape

/** The shape with the dimension `D` of size `To`. */
export type Resized<S, D, To = number> =
  true extends IsOpen<S>
    ? AnyShape
    : D extends number
      ? number extends Axis<S, D>
        ? AnyShape
        : [Axis<S, D>] extends [never]
          ? AnyShape
          : Replace<S, Axis<S, D>, To>
      : AnyShape

type At<S, I> = S extends readonly unknown[] ? (I extends keyof S ? S[I] : I extends number ? S[I] : number) : number

type Swap<S, A, B> = number extends A | B
  ? AnyShape
  : { [K in keyof S]: K extends `${A & number}` ? At<S, B> : K extends `${B & number}` ? At<S, A> : S[K] }

/** The shape with two dimensions swapped. */
export type Transposed<S, A, B> =
  true extends IsOpen<S>
    ? AnyShape
    : [A, B] extends [-2, -1]
      ? S extends readonly [...infer Start, infer Y, infer X]
        ? [...Start, X, Y]
        : AnyShape
      : A extends number
        ? B extends number
          ? Swap<S, Axis<S, A>, Axis<S, B>>
          : AnyShape
        : AnyShape

/** The shape with its dimensions in another order. */
export type Permuted<S, Order> = true extends IsOpen<S> | IsOpen<Order>
  ? AnyShape
  : { -readonly [K in keyof Order]: number extends Order[K] ? number : At<S, Axis<S, Order[K]>> }

/** The shape with a dimension of size `To` inserted at `D`. */
export type Inserted<S, D, To> =
  true extends IsOpen<S>
    ? AnyShape
    : D extends number
      ? number extends D
        ? AnyShape
        : S extends readonly unknown[]
          ? InsertAt<S, Axis<readonly [...S, 0], D>, To>
          : AnyShape
      : AnyShape

type InsertAt<S, I, To, Before extends unknown[] = []> = S extends readonly unknown[]
  ? Before['length'] extends I
    ? [...Before, To, ...S]
    : S extends readonly [infer D, ...infer Rest]
      ? InsertAt<Rest, I, To, [...Before, D]>
      : AnyShape
  : AnyShape

/** The shape with the dimensions from `From` to `To` as one; its size is only known where they are one already. */
export type Flattened<S, From, To> =
  true extends IsOpen<S>
    ? [From, To] extends [1, -1]
      ? [number, number]
      : [From, To] extends [0, -1]
        ? [number]
        : AnyShape
    : [From, To] extends [1, -1]
      ? S extends readonly [infer N, ...infer Rest]
        ? [N, OneOf<Rest>]
        : AnyShape
      : [From, To] extends [0, -1]
        ? [OneOf<S>]
        : AnyShape

type OneOf<S> = S extends readonly [infer D] ? D : number

/** The shape without the dimension `D`, where its size is 1. */
export type Squeezed<S, D> =
  true extends IsOpen<S>
    ? AnyShape
    : D extends number
      ? number extends Axis<S, D>
        ? AnyShape
        : 1 extends EraseDim<At<S, Axis<S, D>>>
          ? [EraseDim<At<S, Axis<S, D>>>] extends [1]
            ? 0 extends 1 & EraseDim<At<S, Axis<S, D>>>
              ? AnyShape
              : Without<S, Axis<S, D>>
            : AnyShape
          : S
      : AnyShape

/** The shape after indexing: a number drops its dimension, a slice makes its size unknown, `null` keeps it; tensors are not followed. */
export type Indexed<S, I> = true extends IsOpen<S> | IsOpen<I>
  ? AnyShape
  : I extends readonly (number | null | readonly unknown[])[]
    ? IndexedBy<S, I>
    : AnyShape

type IndexedBy<S, I> = I extends readonly [infer First, ...infer Others]
  ? S extends readonly [infer D, ...infer Rest]
    ? First extends number
      ? IndexedBy<Rest, Others>
      : [...(First extends null ? [D] : [number]), ...Spread<IndexedBy<Rest, Others>>]
    : AnyShape
  : S

/** The shape after padding: `[left, right]` of the last dimension, then pairs towards the first. */
export type Padded<S, P> = true extends IsOpen<S> | IsOpen<P>
  ? AnyShape
  : P extends readonly [unknown, unknown, ...infer Pairs]
    ? S extends readonly [...infer Start, unknown]
      ? [...Spread<Padded<Start, Pairs>>, number]
      : AnyShape
    : S

/** The first dimension. */
export type FirstOf<S> = At<S, 0>

/** The shape with the dimension `D` replaced by the shape of an index. */
export type Selected<S, I, D> = true extends IsOpen<S> | IsOpen<I>
  ? AnyShape
  : D extends number
    ? number extends D
      ? AnyShape
      : S extends readonly unknown[]
        ? SelectAt<S, I, Axis<S, D>>
        : AnyShape
    : AnyShape

type SelectAt<S, I, A, Before extends unknown[] = []> = S extends readonly [infer D, ...infer Rest]
  ? Before['length'] extends A
    ? [...Before, ...Spread<I>, ...Rest]
    : SelectAt<Rest, I, A, [...Before, D]>
  : AnyShape
