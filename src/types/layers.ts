/** What layers expect of shapes, as `unknown` or the sentence that `tsc` shows, and the shapes they give. */
import type { AnyShape, EraseDim, IsOpen, Show, ShowDim } from './dims.js'

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

/** Signals, images or volumes, by their number of spatial dimensions. */
export type ExpectPlanes<R, Layer extends string, C extends number, S> = R extends 1
  ? ExpectSignals<Layer, C, S>
  : R extends 2
    ? ExpectImages<Layer, C, S>
    : ExpectVolumes<Layer, C, S>

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

/** Volumes with the channels they have. */
export type SameVolumes<S> =
  true extends IsOpen<S>
    ? [number, number, number, number, number]
    : S extends readonly [infer N, infer C, ...unknown[]]
      ? [N, C, number, number, number]
      : AnyShape

/** Signals, images or volumes of `O` channels, by their number of spatial dimensions. */
export type Planes<R, S, O> = R extends 1 ? Signals<S, O> : R extends 2 ? Images<S, O> : Volumes<S, O>

/** The same with the channels they have. */
export type SamePlanes<R, S> = R extends 1 ? SameSignals<S> : R extends 2 ? SameChannels<S> : SameVolumes<S>

/** `unknown` where the shape is `[N, C]` or `[N, C, L]`, else a sentence. */
export type ExpectFeatures<Layer extends string, C extends number, S> =
  true extends IsOpen<S>
    ? unknown
    : S extends readonly [unknown, infer D] | readonly [unknown, infer D, unknown]
      ? [EraseDim<D>] extends [EraseDim<C>]
        ? unknown
        : `${Layer} expects ${C} feature${C extends 1 ? '' : 's'}, received ${Show<S>}`
      : `${Layer} expects [N, ${ShowDim<C> extends '?' ? 'C' : C}] or [N, ${ShowDim<C> extends '?' ? 'C' : C}, L], received ${Show<S>}`
