/**
 * What the addon exports, and nothing else: the boundary between TypeScript and native/addon.
 */

/** A loaded program; opaque. */
export type ProgramHandle = { readonly __program: unique symbol }

/** Anything but ok: code, instruction, and two details (docs/program-format.md, "Status"). */
export type StatusWords = readonly [code: number, instruction: number, detail0: number, detail1: number]

export type Slot = ArrayBufferView

export interface AddonInfo {
  /** The file it was loaded from. */
  readonly path: string
  readonly version: string
  readonly tableHash: number
  readonly isa: string
  readonly isas: readonly string[]
  readonly threads: number
  readonly threadsSource: string
}

export interface Addon {
  load(words: Int32Array): ProgramHandle | StatusWords
  programInfo(program: ProgramHandle): { readonly bytes: number }
  /** With its prologue, unless `whole` is false. */
  runSync(program: ProgramHandle, slots: readonly Slot[], whole?: boolean): 0 | StatusWords
  /**
   * Queue 0 for ordinary calls, 1 for those that go ahead of them. Returns the ticket. With `held` the caller promises that nobody else can get at the list of
   * slots, nor at the memory that is written, before the job is done; without it, what is written must be shared memory, which cannot be transferred away.
   */
  submit(program: ProgramHandle, slots: readonly Slot[], queue: 0 | 1, whole?: boolean, held?: boolean): number | StatusWords
  /** For each finished job six numbers: ticket, code, instruction, detail0, detail1, elapsed nanoseconds. */
  onComplete(callback: (count: number, jobs: Float64Array) => void): void
  wait(ticket: number): 0 | StatusWords
  pending(): number
  runOne(words: Int32Array, wordCount: number, slots: readonly Slot[]): 0 | StatusWords
  info(): AddonInfo
  threads(n: number): void
  /** Bytes held beside JavaScript's own memory. */
  memory(): { arenas: number; staging: number; programs: number; scratch: number }
  forceIsa(name: string): void
  /** GFLOP/s of multiply-adds in registers, with this instruction set and all threads; takes some hundredths of a second. */
  peak(): number
}
