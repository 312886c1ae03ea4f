/**
 * Keeping the event loop alive: long work in JavaScript asks now and then whether others have waited long enough.
 */
import { setImmediate as turn } from 'node:timers/promises'

/** Milliseconds of uninterrupted work: a small part of what a server's latency can bear. */
const slice = 2

export class Pacer {
  private last = performance.now()

  /** Whether it is time to let others run: `if (pacer.due) await pacer.breathe()`. */
  get due(): boolean {
    return performance.now() - this.last > slice
  }

  /** Lets timers and sockets have their turn. */
  async breathe(): Promise<void> {
    await turn()
    this.last = performance.now()
  }
}
