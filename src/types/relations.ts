/** Relations between two shapes: broadcasting, equality, matrix products. */
import type { AnyShape, Erase, EraseDim, EraseLast, IsOpen, Show, ShowDim } from './dims.js'

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

export type Spread<S> = S extends readonly unknown[] ? S : number[]

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
