/**
 * The native backend: hands programs to the addon and turns its statuses into errors that name the op, its shapes and the user's line.
 */
import { showShape } from '../base/errors.js'
import type { Instruction } from '../ir/format.js'
import type { Addon, AddonInfo, ProgramHandle, Slot, StatusWords } from './binding.js'
import { type Describe, type Place, statusError } from './status.js'
import { installWaiting } from './tickets.js'

interface Job {
  /** Told how many microseconds the job's own steps took. */
  resolve(microseconds: number): void
  reject(error: unknown): void
  describe: Describe
}

export class NativeBackend {
  readonly tableHash: number
  private readonly addon: Addon
  private readonly jobs = new Map<number, Job>()
  private readonly waiters = new Map<number, (() => void)[]>()
  /** Tickets are handed out in rising order, but queues finish in their own. */
  private readonly unfinished = new Set<number>()

  constructor(addon: Addon) {
    this.addon = addon
    this.tableHash = addon.info().tableHash
    addon.onComplete((count, jobs) => this.complete(count, jobs))
    installWaiting('native', {
      wait: (ticket) => {
        if (this.unfinished.has(ticket)) addon.wait(ticket)
      },
      done: (ticket) =>
        new Promise((resolve) => {
          if (!this.unfinished.has(ticket)) resolve()
          else this.waiters.set(ticket, [...(this.waiters.get(ticket) ?? []), resolve])
        }),
      completed: (ticket) => !this.unfinished.has(ticket),
    })
  }

  info(): AddonInfo {
    return this.addon.info()
  }

  threads(n: number): void {
    this.addon.threads(n)
  }

  /** Bytes held beside JavaScript's own memory. */
  memory(): ReturnType<Addon['memory']> {
    return this.addon.memory()
  }

  forceIsa(name: string): void {
    this.addon.forceIsa(name)
  }

  /** Runs the program in `words` (see `encodeOne`) now. */
  runOne<B>(words: Int32Array, length: number, slots: readonly Slot[], op: string, instruction: Instruction<B>): void {
    const status = this.addon.runOne(words, length, slots)
    if (status !== 0) throw statusError(status, () => describeInstruction(op, instruction))
  }

  load(words: Int32Array): ProgramHandle {
    const program = this.addon.load(words)
    if (Array.isArray(program)) throw statusError(program as unknown as StatusWords, (i) => ({ what: `program, instruction ${i}` }))
    return program as ProgramHandle
  }

  /** What a program takes of memory. */
  bytesOf(program: ProgramHandle): number {
    return this.addon.programInfo(program).bytes
  }

  runSync(program: ProgramHandle, slots: readonly Slot[], whole: boolean, describe: Describe): void {
    const status = this.addon.runSync(program, slots, whole)
    if (status !== 0) throw statusError(status, describe)
  }

  /**
   * Queues a run; the promise settles when it is done, with the microseconds it took. What the program writes must be shared memory, or outputs that nobody
   * sees before that.
   */
  submit(
    program: ProgramHandle,
    slots: readonly Slot[],
    queue: 0 | 1,
    whole: boolean,
    describe: Describe,
  ): { ticket: number; done: Promise<number> } {
    const ticket = this.addon.submit(program, slots, queue, whole, true)
    if (typeof ticket !== 'number') throw statusError(ticket, describe)
    this.unfinished.add(ticket)
    const done = new Promise<number>((resolve, reject) => this.jobs.set(ticket, { resolve, reject, describe }))
    return { ticket, done }
  }

  /** True while jobs are queued or running. */
  get busy(): boolean {
    return this.unfinished.size > 0
  }

  /** Blocks until everything queued so far is done. */
  drain(): void {
    for (const ticket of this.unfinished) this.addon.wait(ticket)
  }

  private complete(count: number, jobs: Float64Array): void {
    for (let at = 0; at < count * 6; at += 6) {
      const ticket = jobs[at]
      this.unfinished.delete(ticket)
      const job = this.jobs.get(ticket)
      this.jobs.delete(ticket)
      if (jobs[at + 1] === 0) job?.resolve(jobs[at + 5] / 1000)
      else job?.reject(statusError([jobs[at + 1], jobs[at + 2], jobs[at + 3], jobs[at + 4]], job.describe))
      const waiters = this.waiters.get(ticket)
      this.waiters.delete(ticket)
      waiters?.forEach((resolve) => resolve())
    }
  }
}

function describeInstruction<B>(op: string, { inputs, lookup }: Instruction<B>): Place {
  return { what: `${op} ${inputs.map((v) => showShape(v.shape)).join(', ')}`, lookup }
}
