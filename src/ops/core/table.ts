/**
 * The op table: one row an op, the only registry there is. A row says what comes out (shape and dtype), how gradients flow, how the op is
 * lowered to instructions and how plain loops compute it. Families register their rows in files of their own.
 */
import type { Dense } from '../../backend/registry.js'
import type { Instruction, View } from '../../ir/format.js'
import type { Meta } from '../../tensor/context.js'
import type { Tensor } from '../../tensor/tensor.js'

export type { Dense } from '../../backend/registry.js'

/** What a gradient rule may look at: tensors, never their data. */
export interface GradientContext<A> {
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  readonly attrs: A
  /** Which inputs want a gradient. */
  readonly needs: readonly boolean[]
  /** The gradient of each output; `undefined` where nothing depends on it. */
  readonly upstream: readonly (Tensor | undefined)[]
}

/** Gradients for the inputs from that of the first output, in differentiable ops; broadcasting is undone by the backward walk. */
export type GradientRule<A> = (context: GradientContext<A>, grad: Tensor) => readonly (Tensor | undefined)[]

export interface Strided {
  readonly shape: readonly number[]
  readonly strides: readonly number[]
  readonly offset: number
}

/** `size` positions of dimension `dim`, from `start`. */
export interface Stretch {
  readonly dim: number
  readonly start: number
  readonly size: number
}

export interface OpRow<A = unknown> {
  readonly name: string
  /** Shapes and dtypes of the outputs; throws a typed error when the inputs do not fit. */
  infer(inputs: readonly Meta[], attrs: A): Meta[]
  /** `null`: not differentiable; asking for the gradient is an error that names the op. */
  readonly gradient: GradientRule<A> | null
  /**
   * The first outputs in simpler ops, for kernels whose rule has gradients of none but the first order. The backward walk goes through this
   * instead where gradients are recorded; tests compare the two.
   */
  composition?(inputs: readonly Tensor[], attrs: A): readonly Tensor[]
  /** Whether the walk goes through the composition even so: for inputs that the rule has no gradients of. */
  beyondRule?(context: GradientContext<A>): boolean
  /** The gradient rule runs code of the user, who may keep what it sees. */
  readonly foreign?: true
  /** For ops that only look at the same memory otherwise; `undefined` where that takes a copy. */
  view?(input: Strided, attrs: A): Strided | undefined
  /** For a view of a stretch of one dimension: which. Gradients of such views of one tensor meet in one concat. */
  stretch?(input: Meta, attrs: A): Stretch | undefined
  /** Instructions that compute the outputs; absent for pure views. */
  lower?<B>(inputs: readonly View<B>[], outputs: readonly View<B>[], attrs: A): Instruction<B>[]
  /** Plain loops over contiguous operands. Elementwise rows get operands of the output's shape. */
  reference(inputs: readonly Dense[], outputs: readonly Dense[], attrs: A): void
  /** The output is a copy of the input. */
  readonly copies?: true
  /** For elementwise rows: the operation's number in micro-programs. */
  readonly micro?: number
  /** Multiply-adds count two; for `explain` and benchmarks. */
  flops?(inputs: readonly Meta[], outputs: readonly Meta[], attrs: A): number
}

const rows = new Map<string, OpRow<never>>()

/** Adds a row to the table. */
export function defineOp<A>(row: OpRow<A>): OpRow<A> {
  if (rows.has(row.name)) throw new Error(`op ${row.name} is defined twice`)
  rows.set(row.name, row as unknown as OpRow<never>)
  return row
}

/** All rows, in the order of definition. */
export function opTable(): ReadonlyMap<string, OpRow<never>> {
  return rows
}
