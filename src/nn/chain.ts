/**
 * How shapes pass through layers, for `tsc`: each layer has a rule, and `Sequential` applies one after the other. Types only. In: the types of layers
 * and of a shape. Out: the shape behind them, or the sentence that `tsc` shows at the layer that does not fit.
 */
import type { ShapeOf, Tensor } from '../tensor/tensor.js'
import type { AnyShape, Show } from '../types/index.js'
import type { Layer } from './container.js'

/** What a layer does to a shape. `in` is set, by intersection, to the shape it is fed; `error` is `unknown` where that fits. */
export interface Rule {
  readonly in: unknown
  readonly out: unknown
  readonly error: unknown
}

/** The rule of a layer that keeps shapes. */
export interface KeepRule extends Rule {
  readonly out: this['in']
}

/** The shape a layer gives for `S`: by its rule, or as its `forward` declares. */
type Out<L, S> = L extends { readonly __rule?: infer R extends Rule }
  ? (R & { readonly in: S })['out']
  : L extends { forward(x: never): infer Y }
    ? ShapeOf<Y>
    : AnyShape

/** `unknown` where a layer takes `S`, else a sentence. */
type Refusal<L, S> = L extends { readonly __rule?: infer R extends Rule }
  ? (R & { readonly in: S })['error']
  : L extends { forward(x: infer X): unknown }
    ? [Tensor<S>] extends [X]
      ? unknown
      : `this module expects ${Show<ShapeOf<X>>}, received ${Show<S>}`
    : unknown

/** The shape behind all layers. */
export type Through<L, S> = 0 extends 1 & L
  ? AnyShape
  : L extends readonly [infer First, ...infer Rest]
    ? Through<Rest, Out<First, S>>
    : L extends readonly []
      ? S
      : L extends readonly [...unknown[], infer Last]
        ? Out<Last, AnyShape>
        : AnyShape

/** For each layer `unknown`, or the sentence that says why it does not take what those before it give. */
type Refusals<L, S, Found extends unknown[] = []> = L extends readonly [infer First, ...infer Rest]
  ? Refusals<Rest, Out<First, S>, [...Found, Refusal<First, S>]>
  : Found

/** Layers as arguments, each checked against those before it; a plain `Module` says nothing of its `forward`. */
export type Chain<L> = { [K in keyof L]: L[K] & Link<L[K]> & At<Refusals<L, AnyShape>, K> }

type Link<M> = M extends Layer
  ? unknown
  : M extends { forward(...inputs: infer P): unknown }
    ? [never[], P] extends [P, never[]]
      ? unknown
      : Layer
    : Layer

type At<R, K> = K extends `${number}` ? (K extends keyof R ? R[K] : unknown) : unknown

/** `unknown` where all layers take what they get when the first is fed `S`, else the first sentence. */
export type ChainRefusal<L, S> = 0 extends 1 & L
  ? unknown
  : L extends readonly [infer First, ...infer Rest]
    ? unknown extends Refusal<First, S>
      ? ChainRefusal<Rest, Out<First, S>>
      : Refusal<First, S>
    : unknown

/** The rule of layers in a row. */
export interface ChainRule<L> extends Rule {
  readonly out: Through<L, this['in']>
  readonly error: ChainRefusal<L, this['in']>
}
