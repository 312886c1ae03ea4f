/** Dimensions and shapes as types: how tensors carry them, and how errors show them. */

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

export type ShowDim<D> = number extends D ? '?' : string extends D ? '?' : D extends Dim ? `${D}` : '?'

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
export type IsOpen<S> = S extends readonly unknown[] ? (number extends S['length'] ? true : false) : true

/** Numbers nested as the shape says: `number[][]` for `['batch', 10]`, `any` where the number of dimensions is unknown. */
export type Nested<S, T = number> = true extends IsOpen<S> ? AnyShape : S extends readonly [unknown, ...infer Rest] ? Nested<Rest, T>[] : T
