/**
 * Calls that wait in JavaScript. A queue holds so many calls and so many bytes of them (results,
 * copies of arguments); calls past that, and calls whose program is still being built, wait here,
 * in order, and are submitted as others end. In: calls that are bound to all but the memory of
 * their results. Out: tickets, which storages wait for as for any other; whoever needs a result at
 * once has the calls up to it submitted, and blocks where there is no room.
 */
import { firstWaiting, installWaiting, tickets } from '../backend/tickets.js'

const mostBytes = 128 * 2 ** 20
const mostCalls = 512

/** A call that can be submitted. */
export interface Submission {
  readonly bytes: number
  /** While it is being built, calls of it and those behind wait; `submit` builds the rest. */
  readonly callee: { readonly building: boolean }
  /** Copies what JavaScript could change before `submit`; returns how many bytes that were. */
  takeCopies(): number
  submit(): { ticket: number; done: Promise<number | undefined> }
}

/** A call that is submitted, or is going to be. */
export interface Place {
  readonly ticket: number
  readonly done: Promise<number | undefined>
  /** Must be called when `done` has settled. */
  end(): void
}

class Running implements Place {
  over = false
  constructor(
    readonly ticket: number,
    readonly done: Promise<number | undefined>,
    readonly bytes: number,
    private readonly backlog: Backlog,
  ) {}

  end(): void {
    this.backlog.ended(this)
    this.backlog.pump()
  }
}

class Waiting implements Place {
  readonly done: Promise<number | undefined>
  running: Running | undefined
  inLine = true
  private resolve: (value: number | undefined | Promise<number | undefined>) => void = () => {}
  private reject: (error: unknown) => void = () => {}

  constructor(
    readonly ticket: number,
    readonly submission: Submission,
    readonly copied: number,
    readonly backlog: Backlog,
  ) {
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
  }

  started(running: Running): void {
    this.running = running
    this.resolve(running.done)
  }

  failed(error: unknown): void {
    waiting.delete(this.ticket)
    this.reject(error)
  }

  end(): void {
    waiting.delete(this.ticket)
    this.running?.end()
  }
}

/** All calls that had to wait and have not ended, by their tickets. */
const waiting = new Map<number, Waiting>()
let nextTicket = firstWaiting

installWaiting('waiting', {
  wait: (ticket) => {
    const place = waiting.get(ticket)
    place?.backlog.submitThrough(place)
    if (place?.running !== undefined) tickets.wait(place.running.ticket)
  },
  done: async (ticket) => {
    await waiting.get(ticket)?.done.catch(() => {})
  },
  completed: (ticket) => !waiting.has(ticket),
  admit: (ticket) => {
    const place = waiting.get(ticket)
    place?.backlog.submitThrough(place)
  },
})

/** Whether any call has waited, and has not ended. */
export function callsWait(): boolean {
  return waiting.size > 0
}

/** The calls of one queue. */
export class Backlog {
  private calls = 0
  private bytes = 0
  /** Bytes that waiting calls have copied. */
  private copied = 0
  /** In order of submission; those that are over leave when they come first. */
  private readonly running: Running[] = []
  /** In order; places before `head` are taken, and empty. */
  private line: (Waiting | undefined)[] = []
  private head = 0

  /**
   * Submits a call, or lets it wait for its turn. Blocks only where neither it nor copies of its
   * arguments have room.
   */
  add(submission: Submission): Place {
    if (!this.anyWaiting && this.canStart(submission)) return this.start(submission)
    if (this.copied + submission.bytes > mostBytes) {
      while (this.anyWaiting) this.submitFirst()
      this.makeRoom(submission.bytes)
      return this.start(submission)
    }
    const copied = submission.takeCopies()
    this.copied += copied
    const place = new Waiting(nextTicket++, submission, copied, this)
    waiting.set(place.ticket, place)
    this.line.push(place)
    return place
  }

  /** Submits what waits, as far as there is room. */
  pump(): void {
    while (this.anyWaiting && this.canStart(this.first.submission)) this.submitFirst()
  }

  /** Submits everything up to a call, blocking where there is no room. */
  submitThrough(place: Waiting): void {
    while (place.inLine && this.anyWaiting) this.submitFirst()
  }

  ended(call: Running): void {
    if (call.over) return
    call.over = true
    this.calls--
    this.bytes -= call.bytes
    while (this.running[0]?.over) this.running.shift()
  }

  private get anyWaiting(): boolean {
    return this.head < this.line.length
  }

  private get first(): Waiting {
    return this.line[this.head] as Waiting
  }

  private canStart({ callee, bytes }: Submission): boolean {
    return !callee.building && this.hasRoom(bytes)
  }

  private hasRoom(bytes: number): boolean {
    return this.calls === 0 || (this.calls < mostCalls && this.bytes + bytes <= mostBytes)
  }

  private makeRoom(bytes: number): void {
    while (!this.hasRoom(bytes)) {
      const [first] = this.running
      tickets.wait(first.ticket)
      this.ended(first)
    }
  }

  private submitFirst(): void {
    const place = this.first
    this.makeRoom(place.submission.bytes)
    place.inLine = false
    this.line[this.head] = undefined
    if (++this.head > 1024 && 2 * this.head > this.line.length) {
      this.line = this.line.slice(this.head)
      this.head = 0
    }
    this.copied -= place.copied
    try {
      place.started(this.start(place.submission))
    } catch (error) {
      place.failed(error)
    }
  }

  private start(submission: Submission): Running {
    const { ticket, done } = submission.submit()
    const call = new Running(ticket, done, submission.bytes, this)
    this.running.push(call)
    this.calls++
    this.bytes += submission.bytes
    return call
  }
}
