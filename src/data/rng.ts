/**
 * Random integers for data: a counter-based generator in plain integer arithmetic.
 *
 * In: a seed and numbers naming a stream (epoch, image). Out: a sequence that depends on nothing else, so that epoch 7 or
 * image 123 can be made without making those before it, the same on every platform.
 */

/** Finalizer with full avalanche (32 bits to 32 bits, a bijection; constants found by Hash Prospector). */
function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
  return x ^ (x >>> 15)
}

/** A stream of random numbers named by a seed and any number of integers. */
export class CounterRandom {
  readonly #a: number
  readonly #b: number
  #counter = 0

  constructor(seed: number, ...stream: readonly number[]) {
    let a = 0x9e3779b9
    let b = 0x243f6a88
    for (const word of [seed, ...stream]) {
      // Both halves of a 53-bit integer count.
      a = mix(mix(a ^ word) + Math.floor(word / 2 ** 32) + 0x7f4a7c15)
      b = mix(b + Math.imul(a, 0x85ebca6b) + 1)
    }
    this.#a = a
    this.#b = b
  }

  /** Uniform in 0 .. 2^32 - 1. */
  uint32(): number {
    this.#counter = (this.#counter + 1) | 0
    return mix(mix(this.#counter + this.#a) ^ this.#b) >>> 0
  }

  /** Uniform in `low` (included) to `high` (excluded). */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * (this.uint32() / 2 ** 32)
  }

  /** Uniform integer in 0 .. n - 1, n up to 2^31; the bias is below n / 2^53. */
  below(n: number): number {
    const fraction = (this.uint32() * 2 ** 21 + (this.uint32() >>> 11)) / 2 ** 53
    return Math.floor(fraction * n)
  }

  /** About normal, mean 0 and deviation 1: the sum of four uniforms, never beyond ±3.5. Cheap, and enough for pictures. */
  bell(): number {
    const sum = this.uint32() + this.uint32() + this.uint32() + this.uint32()
    return (sum / 2 ** 32 - 2) * Math.sqrt(3)
  }

  /** Shuffles in place (Fisher and Yates, in Durstenfeld's form). */
  shuffle(items: Int32Array): Int32Array {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      const kept = items[i]
      items[i] = items[j]
      items[j] = kept
    }
    return items
  }
}
