/**
 * Waiting for queued programs by ticket. In: the backends, and whoever holds calls back, install how. Out: storages wait here before they are read
 * or written; without a queue nothing is ever pending.
 */

export interface Waiting {
  /** Blocks until the program with this ticket is done. */
  wait(ticket: number): void
  /** Resolves when the program with this ticket is done. */
  done(ticket: number): Promise<void>
  completed(ticket: number): boolean
  /** Blocks until the program's arguments are its own. Those of a program that is queued are. */
  admit?(ticket: number): void
}

/** Tickets from here on are of calls that have not been queued yet. */
export const firstWaiting = 2 ** 51

const idle: Waiting = { wait: () => {}, done: async () => {}, completed: () => true }
const installed = { native: idle, js: idle, waiting: idle }

/** Tickets of the native backend are positive, those of the TypeScript backend negative. */
const queueOf = (ticket: number): Waiting => (ticket < 0 ? installed.js : ticket < firstWaiting ? installed.native : installed.waiting)

/** Waiting for any ticket. */
export const tickets: Required<Waiting> = {
  wait: (ticket) => queueOf(ticket).wait(ticket),
  done: (ticket) => queueOf(ticket).done(ticket),
  completed: (ticket) => queueOf(ticket).completed(ticket),
  admit: (ticket) => queueOf(ticket).admit?.(ticket),
}

export function installWaiting(whose: 'native' | 'js' | 'waiting', hooks: Waiting): void {
  installed[whose] = hooks
}
