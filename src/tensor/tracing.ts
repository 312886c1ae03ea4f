/**
 * Who listens while a function is traced. `compile` installs a recorder; tensors, ops and modules report to it. It lives on this low
 * floor so that they can do so without knowing `compile`.
 */
import type { Tensor } from './tensor.js'

export interface Recorder {
  /** Records an op instead of running it; returns its traced outputs. */
  record(row: { name: string }, inputs: readonly Tensor[], attrs: unknown, outputs: readonly Meta[]): Tensor[]
  /** Records an in-place update of a tensor made outside. */
  assign(target: Tensor, value: Tensor): void
  /** Notes that a traced tensor made without an op shows what another shows. */
  follow(from: Tensor, to: Tensor): void
  /** How many updates of the memory this tensor shows were recorded so far. */
  updates(target: Tensor): number
  /** Notes that the trace depends on `read()` of something outside, to be compared before the program is reused. */
  observe(owner: object, key: string, read: () => unknown): void
  /** Reserves random numbers, counted in blocks of four; returns the generator's state and where to start. */
  random(blocks: number): { state: Tensor; offset: number }
  /** How many random numbers were reserved so far, in blocks. */
  randomPosition(): number
  /** Records `fn` anew: nothing it does is shared with what was recorded before, nor done before this point; random numbers start at `random`. */
  recompute<T>(random: number, fn: () => T): T
  /** Called before `leafGrad` of a tensor is read: whether there is one decides what is recorded. */
  lookAtGrad(leaf: Tensor): void
  /** Called before `leafGrad` of a tensor is set. */
  setGrad(leaf: Tensor): void
}

export interface Meta {
  readonly shape: readonly number[]
  readonly dtype: import('../base/dtype.js').DType
}

/** Whether something that was read while tracing is still there. */
export interface FieldGuard {
  holds(): boolean
  /** What is not what it was, as `Net.scale`. */
  changed(): string | undefined
}

/** What the modules that a trace uses are asked, and tell, while it goes on. */
export interface ModuleWatch {
  /** Modules that were noticed only when they were used. */
  readonly found: Iterable<object>
  /** A module is used. */
  noticed(module: object): void
  /** Its fields, without counting as read. */
  entries(module: object): Iterable<[string, unknown]>
  /** A field counts as read. */
  note(module: object, key: string, value: unknown): void
  /** Makes all modules what they were. */
  end(): void
  /** After the end: what was read. @throws StateError where the function itself changes it, in a way that cannot be. */
  guards(): FieldGuard[]
}

export const tracing: {
  /** The recorder of the trace that is going on, if any. */
  recorder: Recorder | undefined
  /** The name of the compiled function whose code runs op by op at this moment, because it was asked to. */
  opByOp: string | undefined
  /** The watch of the trace that is going on. */
  modules: ModuleWatch | undefined
  /** Begins one for a trace of the compiled function `name`, which is known to use some modules. Installed by `nn`. */
  watch: ((name: string, modules: Iterable<object>) => ModuleWatch) | undefined
} = { recorder: undefined, opByOp: undefined, modules: undefined, watch: undefined }
