/**
 * What is going on at this moment, and the one way to change it for the time of a function (`within`). Who listens while a function is traced
 * is part of it: `compile` installs a recorder; tensors, ops and modules report to it. All this lives on a low floor so that they can do so
 * without knowing `compile`, `autograd` or `nn`.
 */
import type { Storage } from './storage.js'
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

/** What is going on at this moment. */
export interface Context {
  /** The recorder of the trace that is going on, if any. */
  recorder: Recorder | undefined
  /** The watch of the trace that is going on. */
  modules: ModuleWatch | undefined
  /** The name of the compiled function whose code runs op by op at this moment, because it was asked to. */
  opByOp: string | undefined
  /** Whether ops note how to differentiate them (see `noGrad`). */
  gradEnabled: boolean
  /** Whether ops note where they were called, and are looked at (see `anomaly`). */
  anomaly: boolean
  /**
   * Whether all modules are in evaluation, whatever their flags say: other calls may be training the same model. There is no counterpart
   * that trains: a module that the user put into evaluation stays there until the user says otherwise.
   */
  evaluating: boolean
  /** Whether `assign` does nothing: a part of a model that runs a second time has written its state already. */
  writesSuspended: boolean
  /** Told of the memory of eager results while a backward walk goes on (see autograd/passing.ts). */
  walkMemory: { add(storage: Storage): void } | undefined
}

export const context: Context = {
  recorder: undefined,
  modules: undefined,
  opByOp: undefined,
  gradEnabled: true,
  anomaly: false,
  evaluating: false,
  writesSuspended: false,
  walkMemory: undefined,
}

/** Runs `fn` with some of the context changed, and puts that back. `fn` must not be async: other code would run in between. */
export function within<T>(changed: Partial<Context>, fn: () => T): T {
  const before: Partial<Context> = {}
  for (const key of Object.keys(changed) as (keyof Context)[]) Object.assign(before, { [key]: context[key] })
  Object.assign(context, changed)
  try {
    return fn()
  } finally {
    Object.assign(context, before)
  }
}

/** Begins a watch for a trace of the compiled function `name`, which is known to use some modules. Installed by `nn`. */
export const moduleWatch: { begin: ((name: string, modules: Iterable<object>) => ModuleWatch) | undefined } = { begin: undefined }
