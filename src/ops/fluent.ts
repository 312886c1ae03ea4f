/**
 * The fluent methods as types: what each does to a shape. `methods.ts` merges them into the class `Tensor` and installs them. Here `this`
 * is a parameter, so that none of them depends on the shape of the class: what is assignable to what is decided by its fields alone.
 */
import type { BackwardOptions } from '../autograd/backward.js'
import type { GradientHook, HookHandle } from '../autograd/hooks.js'
import type { DType } from '../base/dtype.js'
import type { ShapeOf, Tensor } from '../tensor/tensor.js'
import type * as shapes from '../types/index.js'
import type { QuantileOptions } from './arrays/statistics.js'
import type { ClampOptions, SoftplusOptions } from './basic/activations.js'
import type { CloseOptions } from './basic/compare.js'
import type { Unique } from './basic/dynamic.js'
import type { PadMode } from './basic/pad.js'
import type { ScatterReduction } from './basic/scatter.js'
import type { Sorted, SortOptions, TopkOptions } from './basic/sort.js'
import type { Broadcast, DimBy, Dims, Index, IndexShape, Keep, Meets, ReduceBy } from './core/operands.js'
import type { OutOption, TensorLike } from './core/pointwise.js'

export interface FluentTensor {
  neg<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  abs<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  sign<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  floor<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  ceil<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  round<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  trunc<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  sqrt<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  rsqrt<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  reciprocal<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  exp<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  expm1<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  log<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  log1p<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  sin<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  cos<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  tanh<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  sigmoid<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  erf<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  square<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  relu<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  add<A extends Tensor, B extends TensorLike>(this: A, other: B & Meets<'add', A, B>, options?: OutOption): Tensor<Broadcast<A, B>>
  sub<A extends Tensor, B extends TensorLike>(this: A, other: B & Meets<'sub', A, B>, options?: OutOption): Tensor<Broadcast<A, B>>
  mul<A extends Tensor, B extends TensorLike>(this: A, other: B & Meets<'mul', A, B>, options?: OutOption): Tensor<Broadcast<A, B>>
  div<A extends Tensor, B extends TensorLike>(this: A, other: B & Meets<'div', A, B>, options?: OutOption): Tensor<Broadcast<A, B>>
  pow<A extends Tensor, B extends TensorLike>(this: A, exponent: B & Meets<'pow', A, B>, options?: OutOption): Tensor<Broadcast<A, B>>
  maximum<A extends Tensor, B extends TensorLike>(this: A, other: B & Meets<'maximum', A, B>, options?: OutOption): Tensor<Broadcast<A, B>>
  minimum<A extends Tensor, B extends TensorLike>(this: A, other: B & Meets<'minimum', A, B>, options?: OutOption): Tensor<Broadcast<A, B>>
  eq<A extends Tensor, B extends TensorLike>(this: A, other: B & Meets<'eq', A, B>): Tensor<Broadcast<A, B>>
  ne<A extends Tensor, B extends TensorLike>(this: A, other: B & Meets<'ne', A, B>): Tensor<Broadcast<A, B>>
  lt<A extends Tensor, B extends TensorLike>(this: A, other: B & Meets<'lt', A, B>): Tensor<Broadcast<A, B>>
  le<A extends Tensor, B extends TensorLike>(this: A, other: B & Meets<'le', A, B>): Tensor<Broadcast<A, B>>
  gt<A extends Tensor, B extends TensorLike>(this: A, other: B & Meets<'gt', A, B>): Tensor<Broadcast<A, B>>
  ge<A extends Tensor, B extends TensorLike>(this: A, other: B & Meets<'ge', A, B>): Tensor<Broadcast<A, B>>
  logicalAnd<A extends Tensor, B extends Tensor>(this: A, other: B & Meets<'logicalAnd', A, B>): Tensor<Broadcast<A, B>>
  logicalOr<A extends Tensor, B extends Tensor>(this: A, other: B & Meets<'logicalOr', A, B>): Tensor<Broadcast<A, B>>
  logicalNot<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  /** Converts to another dtype. */
  to<T extends Tensor>(this: T, dtype: DType): Tensor<ShapeOf<T>>
  leakyRelu<T extends Tensor>(this: T, negativeSlope?: number): Tensor<ShapeOf<T>>
  gelu<T extends Tensor>(this: T, options?: { approximate?: 'none' | 'tanh' }): Tensor<ShapeOf<T>>
  silu<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  softplus<T extends Tensor>(this: T, options?: SoftplusOptions): Tensor<ShapeOf<T>>
  logSigmoid<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  clamp<T extends Tensor>(this: T, min?: number | { min?: number; max?: number }, max?: number): Tensor<ShapeOf<T>>
  clamp(min?: Tensor | number | ClampOptions, max?: Tensor | number): Tensor
  elu<T extends Tensor>(this: T, alpha?: number): Tensor<ShapeOf<T>>
  selu<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  celu<T extends Tensor>(this: T, alpha?: number): Tensor<ShapeOf<T>>
  mish<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  softsign<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  hardtanh<T extends Tensor>(this: T, minVal?: number, maxVal?: number): Tensor<ShapeOf<T>>
  relu6<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  hardsigmoid<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  hardswish<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  softshrink<T extends Tensor>(this: T, lambd?: number): Tensor<ShapeOf<T>>
  hardshrink<T extends Tensor>(this: T, lambd?: number): Tensor<ShapeOf<T>>
  tanhshrink<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  threshold<T extends Tensor>(this: T, threshold: number, value: number): Tensor<ShapeOf<T>>
  prelu<T extends Tensor>(this: T, weight: Tensor): Tensor<ShapeOf<T>>
  glu(dim?: number | { dim?: number }): Tensor
  softmax<T extends Tensor>(this: T, dim?: number | { dim?: number }): Tensor<ShapeOf<T>>
  logSoftmax<T extends Tensor>(this: T, dim?: number | { dim?: number }): Tensor<ShapeOf<T>>
  sum<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
    this: T,
    dim?: D | ReduceBy<D, K>,
    options?: Keep<K>,
  ): Tensor<shapes.Reduced<ShapeOf<T>, D, K>>
  mean<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
    this: T,
    dim?: D | ReduceBy<D, K>,
    options?: Keep<K>,
  ): Tensor<shapes.Reduced<ShapeOf<T>, D, K>>
  prod<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
    this: T,
    dim?: D | ReduceBy<D, K>,
    options?: Keep<K>,
  ): Tensor<shapes.Reduced<ShapeOf<T>, D, K>>
  amax<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
    this: T,
    dim?: D | ReduceBy<D, K>,
    options?: Keep<K>,
  ): Tensor<shapes.Reduced<ShapeOf<T>, D, K>>
  amin<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
    this: T,
    dim?: D | ReduceBy<D, K>,
    options?: Keep<K>,
  ): Tensor<shapes.Reduced<ShapeOf<T>, D, K>>
  argmax<T extends Tensor, D extends number | undefined = undefined, K extends boolean = false>(
    this: T,
    dim?: D | ReduceBy<D, K>,
    options?: Keep<K>,
  ): Tensor<shapes.Reduced<ShapeOf<T>, D, K>>
  argmin<T extends Tensor, D extends number | undefined = undefined, K extends boolean = false>(
    this: T,
    dim?: D | ReduceBy<D, K>,
    options?: Keep<K>,
  ): Tensor<shapes.Reduced<ShapeOf<T>, D, K>>
  variance<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
    this: T,
    dim?: D | (ReduceBy<D, K> & { correction?: number }),
    options?: Keep<K> & { correction?: number },
  ): Tensor<shapes.Reduced<ShapeOf<T>, D, K>>
  std<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
    this: T,
    dim?: D | (ReduceBy<D, K> & { correction?: number }),
    options?: Keep<K> & { correction?: number },
  ): Tensor<shapes.Reduced<ShapeOf<T>, D, K>>
  norm<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
    this: T,
    options?: ReduceBy<D, K> & { p?: number | 'fro' },
  ): Tensor<shapes.Reduced<ShapeOf<T>, D, K>>
  logsumexp<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
    this: T,
    dim?: D | ReduceBy<D, K>,
    options?: Keep<K>,
  ): Tensor<shapes.Reduced<ShapeOf<T>, D, K>>
  matmul<A extends Tensor, B extends Tensor>(
    this: A,
    other: B & shapes.ExpectMatMul<ShapeOf<A>, ShapeOf<B>>,
    options?: OutOption,
  ): Tensor<shapes.MatMul<ShapeOf<A>, ShapeOf<B>>>
  reshape<const D extends readonly number[]>(shape: D): Tensor<shapes.Sizes<D>>
  flatten<T extends Tensor, D0 extends number = 0, D1 extends number = -1>(
    this: T,
    startDim?: D0,
    endDim?: D1,
  ): Tensor<shapes.Flattened<ShapeOf<T>, D0, D1>>
  squeeze<T extends Tensor, D extends number | undefined = undefined>(this: T, dim?: D): Tensor<shapes.Squeezed<ShapeOf<T>, D>>
  unsqueeze<T extends Tensor, D extends number>(this: T, dim: D): Tensor<shapes.Inserted<ShapeOf<T>, D, 1>>
  permute<T extends Tensor, const D extends readonly number[]>(this: T, dims: D): Tensor<shapes.Permuted<ShapeOf<T>, D>>
  transpose<T extends Tensor, D0 extends number = -2, D1 extends number = -1>(
    this: T,
    dim0?: D0,
    dim1?: D1,
  ): Tensor<shapes.Transposed<ShapeOf<T>, D0, D1>>
  expand<const D extends readonly number[]>(shape: D): Tensor<shapes.Sizes<D>>
  slice<T extends Tensor, D extends number>(
    this: T,
    dim: D,
    start?: number,
    end?: number,
    step?: number,
  ): Tensor<shapes.Resized<ShapeOf<T>, D>>
  narrow<T extends Tensor, D extends number, N extends number>(
    this: T,
    dim: D,
    start: number,
    size: N,
  ): Tensor<shapes.Resized<ShapeOf<T>, D, N>>
  split<T extends Tensor, D extends number = 0>(this: T, size: number | readonly number[], dim?: D): Tensor<shapes.Resized<ShapeOf<T>, D>>[]
  pad<T extends Tensor, const P extends readonly number[]>(
    this: T,
    padding: P,
    options?: { mode?: PadMode; value?: number },
  ): Tensor<shapes.Padded<ShapeOf<T>, P>>
  gather<T extends Tensor>(index: T, dim: number): Tensor<ShapeOf<T>>
  indexSelect<T extends Tensor, I extends Tensor | readonly number[], D extends number = 0>(
    this: T,
    index: I,
    dim?: D,
  ): Tensor<shapes.Selected<ShapeOf<T>, IndexShape<I>, D>>
  tan<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  asin<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  acos<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  atan<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  sinh<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  cosh<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  asinh<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  acosh<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  atanh<T extends Tensor>(this: T, options?: OutOption): Tensor<ShapeOf<T>>
  exp2<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  log2<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  log10<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  frac<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  isnan<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  isinf<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  isfinite<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  inverse<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  cholesky<T extends Tensor>(this: T, options?: { upper?: boolean }): Tensor<ShapeOf<T>>
  atan2<A extends Tensor, B extends TensorLike>(this: A, other: B & Meets<'atan2', A, B>, options?: OutOption): Tensor<Broadcast<A, B>>
  fmod<A extends Tensor, B extends TensorLike>(this: A, other: B & Meets<'fmod', A, B>, options?: OutOption): Tensor<Broadcast<A, B>>
  remainder<A extends Tensor, B extends TensorLike>(
    this: A,
    other: B & Meets<'remainder', A, B>,
    options?: OutOption,
  ): Tensor<Broadcast<A, B>>
  floorDivide<A extends Tensor, B extends TensorLike>(
    this: A,
    other: B & Meets<'floorDivide', A, B>,
    options?: OutOption,
  ): Tensor<Broadcast<A, B>>
  any<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
    this: T,
    dim?: D | ReduceBy<D, K>,
    options?: Keep<K>,
  ): Tensor<shapes.Reduced<ShapeOf<T>, D, K>>
  all<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
    this: T,
    dim?: D | ReduceBy<D, K>,
    options?: Keep<K>,
  ): Tensor<shapes.Reduced<ShapeOf<T>, D, K>>
  countNonzero<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
    this: T,
    dim?: D | ReduceBy<D, K>,
    options?: Keep<K>,
  ): Tensor<shapes.Reduced<ShapeOf<T>, D, K>>
  lerp<A extends Tensor, B extends TensorLike>(this: A, other: B & Meets<'lerp', A, B>, weight: TensorLike): Tensor<Broadcast<A, B>>
  logicalXor<A extends Tensor, B extends Tensor>(this: A, other: B & Meets<'logicalXor', A, B>): Tensor<Broadcast<A, B>>
  isclose<A extends Tensor, B extends Tensor>(this: A, other: B & Meets<'isclose', A, B>, options?: CloseOptions): Tensor<Broadcast<A, B>>
  allclose(other: Tensor, options?: CloseOptions): boolean
  equal(other: Tensor): boolean
  nanToNum<T extends Tensor>(this: T, options?: { nan?: number; posinf?: number; neginf?: number }): Tensor<ShapeOf<T>>
  maskedFill<T extends Tensor>(this: T, mask: Tensor, value: TensorLike): Tensor<ShapeOf<T>>
  cumsum<T extends Tensor>(this: T, dim: number | { dim: number }): Tensor<ShapeOf<T>>
  cummax<T extends Tensor>(this: T, dim: number | { dim: number }): Sorted<ShapeOf<T>>
  cummin<T extends Tensor>(this: T, dim: number | { dim: number }): Sorted<ShapeOf<T>>
  cumprod<T extends Tensor>(this: T, dim: number | { dim: number }): Tensor<ShapeOf<T>>
  diff<T extends Tensor, D extends number = -1>(this: T, options?: { n?: number; dim?: D }): Tensor<shapes.Resized<ShapeOf<T>, D>>
  sort<T extends Tensor>(this: T, dim?: number | (SortOptions & { dim?: number }), options?: SortOptions): Sorted<ShapeOf<T>>
  argsort<T extends Tensor>(this: T, dim?: number | (SortOptions & { dim?: number }), options?: SortOptions): Tensor<ShapeOf<T>>
  topk<T extends Tensor, D extends number = -1>(
    this: T,
    k: number,
    dim?: D | (TopkOptions & { dim?: D }),
    options?: TopkOptions,
  ): Sorted<shapes.Resized<ShapeOf<T>, D>>
  histc<N extends number = 100>(options?: { bins?: N; min?: number; max?: number }): Tensor<[N]>
  kthvalue<T extends Tensor, D extends number = -1, K extends boolean = false>(
    this: T,
    k: number,
    dim?: D | ReduceBy<D, K>,
    options?: Keep<K>,
  ): Sorted<shapes.Reduced<ShapeOf<T>, D, K>>
  max(): Tensor<[]>
  max<T extends Tensor, D extends number, K extends boolean = false>(
    this: T,
    dim: D | DimBy<D, K>,
    options?: Keep<K>,
  ): Sorted<shapes.Reduced<ShapeOf<T>, D, K>>
  max(other: Tensor): Tensor
  min(): Tensor<[]>
  min<T extends Tensor, D extends number, K extends boolean = false>(
    this: T,
    dim: D | DimBy<D, K>,
    options?: Keep<K>,
  ): Sorted<shapes.Reduced<ShapeOf<T>, D, K>>
  min(other: Tensor): Tensor
  median(): Tensor<[]>
  median<T extends Tensor, D extends number, K extends boolean = false>(
    this: T,
    dim: D | DimBy<D, K>,
    options?: Keep<K>,
  ): Sorted<shapes.Reduced<ShapeOf<T>, D, K>>
  quantile(q: number | readonly number[], dim?: number | QuantileOptions, options?: Omit<QuantileOptions, 'dim'>): Tensor
  dot(other: Tensor): Tensor<[]>
  outer(other: Tensor): Tensor
  det(): Tensor
  flip<T extends Tensor>(this: T, dims?: number | readonly number[]): Tensor<ShapeOf<T>>
  roll<T extends Tensor>(this: T, shifts: number | readonly number[], dims?: number | readonly number[]): Tensor<ShapeOf<T>>
  repeat(repeats: readonly number[]): Tensor
  tile(repeats: readonly number[]): Tensor
  repeatInterleave(repeats: number | readonly number[], dim?: number): Tensor
  chunk<T extends Tensor, D extends number = 0>(this: T, chunks: number, dim?: D): Tensor<shapes.Resized<ShapeOf<T>, D>>[]
  unbind(dim?: number): Tensor[]
  movedim(source: number | readonly number[], destination: number | readonly number[]): Tensor
  swapaxes<T extends Tensor, A extends number, B extends number>(this: T, axis0: A, axis1: B): Tensor<shapes.Transposed<ShapeOf<T>, A, B>>
  unflatten(dim: number, sizes: readonly number[]): Tensor
  diag(offset?: number): Tensor
  diagonal(options?: { offset?: number; dim1?: number; dim2?: number }): Tensor
  trace(): Tensor<[]>
  tril<T extends Tensor>(this: T, diagonal?: number): Tensor<ShapeOf<T>>
  triu<T extends Tensor>(this: T, diagonal?: number): Tensor<ShapeOf<T>>
  scatter<T extends Tensor>(this: T, index: Tensor, source: TensorLike, dim: number): Tensor<ShapeOf<T>>
  scatterAdd<T extends Tensor>(this: T, index: Tensor, source: TensorLike, dim: number): Tensor<ShapeOf<T>>
  scatterReduce<T extends Tensor>(
    this: T,
    index: Tensor,
    source: TensorLike,
    dim: number,
    reduce: ScatterReduction,
    options?: { includeSelf?: boolean },
  ): Tensor<ShapeOf<T>>
  indexAdd<T extends Tensor>(this: T, index: Tensor | readonly number[], source: Tensor, dim?: number): Tensor<ShapeOf<T>>
  indexCopy<T extends Tensor>(this: T, index: Tensor | readonly number[], source: Tensor, dim?: number): Tensor<ShapeOf<T>>
  take<I extends Tensor | readonly number[]>(index: I): Tensor<IndexShape<I>>
  nonzero(): Tensor
  maskedSelect(mask: Tensor): Tensor<[number]>
  unique(): Tensor<[number]>
  unique(options: { returnInverse?: boolean; returnCounts?: boolean }): Unique
  multinomial(count: number, options?: { replacement?: boolean }): Tensor
  /** A copy in memory of its own. */
  clone<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  /** The same values, cut off from gradients. */
  detach<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  /** @internal */
  alias<T extends Tensor>(this: T): Tensor<ShapeOf<T>>
  /** Writes `value` into this tensor in place. */
  assign(value: TensorLike): void
  /**
   * A part: one entry for each dimension from the first; missing ones are taken whole. A number drops its dimension. Tensors of int32 pick
   * positions (negative ones count from the end; several broadcast), tensors of bool what is true, which is eager only.
   *
   *     x.at(0)                  // the first row
   *     x.at(null, [1, -1])      // all rows, columns 1 up to but without the last
   *     x.at(labels)             // rows by number
   *     x.at(x.gt(0))            // what is above 0, as a vector
   */
  at<T extends Tensor, const I extends readonly Index[]>(this: T, ...index: I): Tensor<shapes.Indexed<ShapeOf<T>, I>>
  /** Adds gradients to the `.grad` of every leaf this tensor depends on. */
  backward(gradient?: Tensor, options?: BackwardOptions): void
  /** Calls `hook` with this tensor's gradient whenever one is computed; what it returns takes its place. */
  registerHook(hook: GradientHook): HookHandle
}
