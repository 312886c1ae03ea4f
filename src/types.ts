/**
 * Shapes as types: what `tsc` knows of a tensor's dimensions, and the relations it checks. In: shapes as tuples, `['batch', 784]`. Out: the
 * shape of a result, or the sentence that `tsc` shows where shapes do not fit. `nn/chain.ts` carries them through layers.
 *
 * A dimension is a literal number, a name for a size known only at run time ('batch'), or `number` for an unknown one. An open shape,
 * `[...number[], 256]`, has an unknown number of dimensions before those that are known; `any` is a shape nothing is known of. Only literals
 * are compared, and nothing is computed: `flatten` and convolutions give `number`. So correct code is never an error, and where types
 * do not see a mistake, the error at run time does.
 */

/** A literal size, a name for a size known only at run time, or `number`. */
export type Dim = number | string

/** The dimensions of a tensor, outermost first. */
export type Shape = readonly Dim[]

/** A shape nothing is known of, which fits every other. */
// biome-ignore lint/suspicious/noExplicitAny: an unknown shape must be assignable both ways
export type AnyShape = any

/** A dimension as tensors carry it: names, `number` and choices (`256 | 512`) become `any`, which fits every size. */
export type EraseDim<D, All = D> = D extends number ? (number extends D ? AnyShape : [All] extends [D] ? D : AnyShape) : AnyShape

/** A shape as tensors carry it, for assignments between them. */
export type Erase<S> = S extends readonly unknown[]
  ? number extends S['length']
    ? AnyShape
    : { readonly [K in keyof S]: EraseDim<S[K]> }
  : AnyShape

/** The last dimension as tensors carry it; also open shapes have one. */
export type EraseLast<S> = S extends readonly [...unknown[], infer D] ? EraseDim<D> : AnyShape

type ShowDim<D> = number extends D ? '?' : string extends D ? '?' : D extends Dim ? `${D}` : '?'

type ShowDims<S> = S extends readonly []
  ? ''
  : S extends readonly [infer D]
    ? ShowDim<D>
    : S extends readonly [infer D, ...infer Rest]
      ? `${ShowDim<D>}, ${ShowDims<Rest>}`
      : S extends readonly [...infer Start, infer D]
        ? `${ShowDims<Start>}, ${ShowDim<D>}`
        : '...'

/** A shape as text: `[batch, 784]`, `[..., 256]`. */
export type Show<S> = `[${ShowDims<S>}]`

/** A shape given as an array of sizes: `zeros([2, 3])`, `reshape([32, -1])`. */
export type Sizes<A> = A extends readonly unknown[]
  ? IsOpen<A> extends true
    ? AnyShape
    : { -readonly [K in keyof A]: A[K] extends -1 ? number : A[K] }
  : AnyShape

/** True where nothing but `any` and the like is known: the number of dimensions is unknown. */
type IsOpen<S> = S extends readonly unknown[] ? (number extends S['length'] ? true : false) : true

// ---- what layers expect and give ------------------------------------------------------------------------------------------------

/** `unknown` where the last dimension is `I`, else a sentence. */
export type ExpectLast<Layer extends string, I extends number, S> = S extends readonly [...unknown[], infer D]
  ? [EraseDim<D>] extends [EraseDim<I>]
    ? unknown
    : `${Layer} expects ${I} feature${I extends 1 ? '' : 's'}, received ${Show<S>}`
  : S extends readonly []
    ? `${Layer} expects ${I} feature${I extends 1 ? '' : 's'}, received a single number`
    : unknown

/** The shape with another last dimension. */
export type WithLast<S, O> = 0 extends 1 & S
  ? [...number[], O]
  : S extends readonly [...infer Start, unknown]
    ? [...Start, O]
    : [...number[], O]

/** The shape with one dimension more at the end. */
export type Append<S, O> = 0 extends 1 & S ? [...number[], O] : S extends readonly unknown[] ? [...S, O] : [...number[], O]

/** `unknown` where a dimension of the shape is the number of channels, else a sentence. */
type ExpectChannels<Layer extends string, C extends number, D, S> = [EraseDim<D>] extends [EraseDim<C>]
  ? unknown
  : `${Layer} expects ${C} channel${C extends 1 ? '' : 's'}, received ${Show<S>}`

type ShowChannels<C> = ShowDim<C> extends '?' ? 'C' : ShowDim<C>

/** `unknown` where the shape is `[N, C, L]`, else a sentence. */
export type ExpectSignals<Layer extends string, C extends number, S> =
  true extends IsOpen<S>
    ? unknown
    : S extends readonly [unknown, infer D, unknown]
      ? ExpectChannels<Layer, C, D, S>
      : `${Layer} expects [N, ${ShowChannels<C>}, L], received ${Show<S>}`

/** `unknown` where the shape is `[N, C, H, W]`, else a sentence. */
export type ExpectImages<Layer extends string, C extends number, S> =
  true extends IsOpen<S>
    ? unknown
    : S extends readonly [unknown, infer D, unknown, unknown]
      ? ExpectChannels<Layer, C, D, S>
      : `${Layer} expects images [N, ${ShowChannels<C>}, H, W], received ${Show<S>}`

/** `unknown` where the shape is `[N, C, D, H, W]`, else a sentence. */
export type ExpectVolumes<Layer extends string, C extends number, S> =
  true extends IsOpen<S>
    ? unknown
    : S extends readonly [unknown, infer D, unknown, unknown, unknown]
      ? ExpectChannels<Layer, C, D, S>
      : `${Layer} expects volumes [N, ${ShowChannels<C>}, D, H, W], received ${Show<S>}`

/** `unknown` where dimension 1 is `C` or unknown, else a sentence. */
export type ExpectSecond<Layer extends string, C extends number, S> =
  true extends IsOpen<S>
    ? unknown
    : S extends readonly [unknown, infer D, ...unknown[]]
      ? ExpectChannels<Layer, C, D, S>
      : `${Layer} expects [N, ${ShowChannels<C>}, ...], received ${Show<S>}`

/** `unknown` where the last dimensions are those of `D`, else a sentence. */
export type ExpectTail<Layer extends string, D, S> = true extends IsOpen<D> | (0 extends 1 & S ? true : false)
  ? unknown
  : TailFits<S, D> extends true
    ? unknown
    : `${Layer} expects ${Show<D>} in the last dimensions, received ${Show<S>}`

type TailFits<S, D> = D extends readonly [...infer DStart, infer DLast]
  ? S extends readonly [...infer SStart, infer SLast]
    ? [EraseDim<SLast>] extends [EraseDim<DLast>]
      ? TailFits<SStart, DStart>
      : false
    : S extends readonly []
      ? false
      : true
  : true

/** Signals with `O` channels and a length that is not followed. */
export type Signals<S, O> =
  true extends IsOpen<S> ? [number, O, number] : S extends readonly [infer N, ...unknown[]] ? [N, O, number] : AnyShape

/** Images with `O` channels and a height and width that are not followed. */
export type Images<S, O> =
  true extends IsOpen<S> ? [number, O, number, number] : S extends readonly [infer N, ...unknown[]] ? [N, O, number, number] : AnyShape

/** Volumes with `O` channels and sizes that are not followed. */
export type Volumes<S, O> =
  true extends IsOpen<S>
    ? [number, O, number, number, number]
    : S extends readonly [infer N, ...unknown[]]
      ? [N, O, number, number, number]
      : AnyShape

/** Samples and channels as they are, spatial sizes that are not followed, however many there are. */
export type Rescaled<S> =
  true extends IsOpen<S>
    ? AnyShape
    : S extends readonly [infer N, infer C, ...infer Sizes]
      ? [N, C, ...{ [K in keyof Sizes]: number }]
      : AnyShape

/** Signals with the channels they have. */
export type SameSignals<S> =
  true extends IsOpen<S> ? [number, number, number] : S extends readonly [infer N, infer C, ...unknown[]] ? [N, C, number] : AnyShape

/** Images with the channels they have. */
export type SameChannels<S> =
  true extends IsOpen<S>
    ? [number, number, number, number]
    : S extends readonly [infer N, infer C, ...unknown[]]
      ? [N, C, number, number]
      : AnyShape

/** `unknown` where the shape is `[N, C]` or `[N, C, L]`, else a sentence. */
export type ExpectFeatures<Layer extends string, C extends number, S> =
  true extends IsOpen<S>
    ? unknown
    : S extends readonly [unknown, infer D] | readonly [unknown, infer D, unknown]
      ? [EraseDim<D>] extends [EraseDim<C>]
        ? unknown
        : `${Layer} expects ${C} feature${C extends 1 ? '' : 's'}, received ${Show<S>}`
      : `${Layer} expects [N, ${ShowDim<C> extends '?' ? 'C' : C}] or [N, ${ShowDim<C> extends '?' ? 'C' : C}, L], received ${Show<S>}`

// ---- relations between two shapes -----------------------------------------------------------------------------------------------

type DimsClash<A, B> = [EraseDim<A>] extends [EraseDim<B> | 1] ? false : [EraseDim<B>] extends [1] ? false : true

type Clash<A, B> = A extends readonly [...infer AStart, infer AD]
  ? B extends readonly [...infer BStart, infer BD]
    ? DimsClash<AD, BD> extends true
      ? true
      : Clash<AStart, BStart>
    : false
  : false

/** `unknown` where two shapes broadcast, else a sentence. */
export type ExpectBroadcast<Op extends string, A, B> = [A] extends [B]
  ? unknown
  : Clash<A, B> extends true
    ? `${Op}: shapes do not broadcast: ${Show<A>} with ${Show<B>}`
    : unknown

type MeetDim<A, B> = [A, B] extends [B, A]
  ? A
  : A extends 1
    ? B
    : B extends 1
      ? A
      : number extends A
        ? B extends number
          ? B
          : number
        : number extends B
          ? A extends number
            ? A
            : number
          : A extends number
            ? A
            : B extends number
              ? B
              : number

/** The shape two shapes broadcast to. */
export type Broadcast<A, B> = 0 extends (1 & A) | (1 & B)
  ? AnyShape
  : [A, B] extends [B, A]
    ? A
    : A extends readonly [...infer AStart, infer AD]
      ? B extends readonly [...infer BStart, infer BD]
        ? [...Spread<Broadcast<AStart, BStart>>, MeetDim<AD, BD>]
        : B extends readonly []
          ? A
          : number[]
      : A extends readonly []
        ? B extends readonly unknown[]
          ? B
          : number[]
        : number[]

type Spread<S> = S extends readonly unknown[] ? S : number[]

/** `unknown` where two shapes are equal, else a sentence. */
export type ExpectSame<Op extends string, A, B> = A extends unknown
  ? B extends unknown
    ? [Compared<A, B>] extends [Compared<B, A>]
      ? unknown
      : `${Op}: input and target must have one shape, received ${Show<A>} and ${Show<B>}`
    : never
  : never

/** What can be compared of A with B: all dimensions, or only the last. */
type Compared<A, B> = true extends IsOpen<A> | IsOpen<B> ? EraseLast<A> : Erase<A>

/** The dimension of the right operand that a matrix product sums over. */
type Inner<B> = B extends readonly [infer K] ? K : B extends readonly [...unknown[], infer K, unknown] ? K : AnyShape

/** `unknown` where the inner dimensions of a matrix product agree, else a sentence. */
export type ExpectMatMul<A, B> = A extends readonly [...unknown[], infer K]
  ? [EraseDim<K>] extends [EraseDim<Inner<B>>]
    ? unknown
    : `matmul: inner dimensions differ: ${Show<A>} x ${Show<B>} (${ShowDim<K>} vs ${ShowDim<Inner<B>>})`
  : unknown

/** The shape of a matrix product. */
export type MatMul<A, B> = 0 extends 1 & B
  ? AnyShape
  : B extends readonly [unknown]
    ? 0 extends 1 & A
      ? AnyShape
      : A extends readonly [...infer Start, unknown]
        ? Start
        : AnyShape
    : B extends readonly [...infer BBatch, unknown, infer N]
      ? 0 extends 1 & A
        ? [...number[], N]
        : A extends readonly [unknown]
          ? [...BBatch, N]
          : A extends readonly [...infer ABatch, infer M, unknown]
            ? [...Spread<Broadcast<ABatch, BBatch>>, M, N]
            : [...number[], N]
      : AnyShape

// ---- dimensions by number -------------------------------------------------------------------------------------------------------

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
