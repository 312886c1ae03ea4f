/**
 * From a loop that produces to a `for await` that consumes: the producer waits while the consumer's body runs, so that the body sees the
 * state as it is at that point. In: values pushed. Out: an async iterator.
 */

export class Channel<T> implements AsyncIterableIterator<T> {
  private readonly values: T[] = []
  private reader: { resolve(result: IteratorResult<T, undefined>): void; reject(error: unknown): void } | undefined
  private resume: (() => void) | undefined
  private ended = false
  private failure: { error: unknown } | undefined
  private readonly leave: () => Promise<unknown>

  /** `leave` is called when the consumer breaks off; the loop it ends is awaited. */
  constructor(leave: () => Promise<unknown>) {
    this.leave = leave
  }

  /** Hands a value over. What is returned is settled when the consumer asks for the next one. */
  push(value: T): Promise<void> {
    if (this.ended) return Promise.resolve()
    if (this.reader === undefined) {
      this.values.push(value)
    } else {
      this.reader.resolve({ done: false, value })
      this.reader = undefined
    }
    return new Promise((resolve) => {
      this.resume = resolve
    })
  }

  /** Values from before the consumer came, which nobody waits for. */
  fill(values: readonly T[]): void {
    this.values.push(...values)
  }

  /** Lets a waiting producer go on. */
  release(): void {
    this.resume?.()
    this.resume = undefined
  }

  close(): void {
    this.ended = true
    this.release()
    this.reader?.resolve({ done: true, value: undefined })
    this.reader = undefined
  }

  fail(error: unknown): void {
    this.ended = true
    this.release()
    if (this.reader === undefined) this.failure = { error }
    else this.reader.reject(error)
    this.reader = undefined
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.values.length > 0) return Promise.resolve({ done: false, value: this.values.shift() as T })
    if (this.failure !== undefined) {
      const { error } = this.failure
      this.failure = undefined
      return Promise.reject(error)
    }
    if (this.ended) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve, reject) => {
      this.reader = { resolve, reject }
      this.release()
    })
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    if (!this.ended) {
      this.ended = true
      this.values.length = 0
      this.release()
      await this.leave()
    }
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
