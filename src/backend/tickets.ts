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

/** The hooks in use. */
export const tickets: Waiting = {
  wait: () => {},
  done: async () => {},
  completed: () => true,
}

export function installWaiting(hooks: Waiting): void {
  Object.assign(tickets, hooks)
}
