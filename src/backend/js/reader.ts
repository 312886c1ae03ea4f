/**
 * Reading a program's words with their bounds in view. In: words. Out: numbers, or an error that says where and what was wrong.
 */
import { refused } from '../status.js'

/** Limits the native runtime has as well. */
export const maxMicroValues = 4096
export const maxSlots = 1 << 20

/** Walks the words from `at` up to `end`. */
export class Reader {
  readonly words: Int32Array
  at: number
  end: number
  /** What errors call the place being read. */
  where = 'program'

  constructor(words: Int32Array, at: number, end: number) {
    this.words = words
    this.at = at
    this.end = end
  }

  next(): number {
    if (this.at >= this.end) this.refuse('it is truncated')
    return this.words[this.at++]
  }

  /** Refuses unless this many words are left. */
  need(count: number): void {
    if (count > this.end - this.at) this.refuse('it is truncated')
  }

  refuse(what: string): never {
    throw refused(`${this.where} refused: ${what}`)
  }
}
