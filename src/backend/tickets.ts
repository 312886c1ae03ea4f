/**
 * Waiting for queued programs by ticket. In: the native backend installs how. Out: storages wait here before they are read or written;
 * without a queue nothing is ever pending.
 */

export interface Waiting {
  /** Blocks until the program with this ticket is done. */
  wait(ticket: number): void
  /** Resolves when the program with this ticket is done. */
  done(ticket: number): Promise<void>
  completed(ticket: number): boolean
}

const idle: Waiting = { wait: () => {}, done: async () => {}, completed: () => true }
const installed = { native: idle, js: idle }

/** Tickets of the native backend are positive, those of the TypeScript backend negative. */
const queueOf = (ticket: number): Waiting => (ticket < 0 ? installed.js : installed.native)

/** Waiting for a ticket of either backend. */
export const tickets: Waiting = {
  wait: (ticket) => queueOf(ticket).wait(ticket),
  done: (ticket) => queueOf(ticket).done(ticket),
  completed: (ticket) => queueOf(ticket).completed(ticket),
}

export function installWaiting(backend: 'native' | 'js', hooks: Waiting): void {
  installed[backend] = hooks
}
