/**
 * The queue of the TypeScript backend: programs run on the event loop, one a turn, in the order of their calls, and whoever needs a result earlier
 * runs them at once. In: runs. Out: tickets, negative ones, to tell them from those of the native backend.
 */
import { installWaiting } from '../tickets.js'

interface Job {
  readonly ticket: number
  run(): void
  resolve(): void
  reject(error: unknown): void
}

const jobs: Job[] = []
const waiters = new Map<number, (() => void)[]>()
let last = 0
let scheduled = false

function runFirst(): void {
  const job = jobs[0]
  try {
    job.run()
    job.resolve()
  } catch (error) {
    job.reject(error)
  }
  jobs.shift()
  waiters.get(job.ticket)?.forEach((resolve) => resolve())
  waiters.delete(job.ticket)
}

function schedule(): void {
  if (scheduled || jobs.length === 0) return
  scheduled = true
  setImmediate(() => {
    scheduled = false
    if (jobs.length > 0) runFirst()
    schedule()
  })
}

const completed = (ticket: number): boolean => jobs.length === 0 || jobs[0].ticket < ticket

installWaiting('js', {
  wait: (ticket) => {
    while (!completed(ticket)) runFirst()
  },
  done: (ticket) =>
    new Promise((resolve) => {
      if (completed(ticket)) resolve()
      else waiters.set(ticket, [...(waiters.get(ticket) ?? []), resolve])
    }),
  completed,
})

/** Runs something later, after all that was queued before. */
export function enqueue(run: () => void): { ticket: number; done: Promise<undefined> } {
  const ticket = --last
  const done = new Promise<undefined>((resolve, reject) => jobs.push({ ticket, run, resolve: () => resolve(undefined), reject }))
  schedule()
  return { ticket, done }
}
