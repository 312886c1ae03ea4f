/** The numbers cases are drawn from. In: a seed and the case's index. Out: the same numbers on every machine. */
export class Random {
  private state: number

  constructor(
    seed: number,
    /** The case's number, for fuzzers that walk through all there are. */
    readonly index: number,
  ) {
    // neighbouring indices must not give neighbouring streams
    this.state = mix(mix(seed | 0) ^ mix(index + 0x9e3779b9))
  }

  /** From 0 to 1, 1 excluded. */
  next(): number {
    this.state = (this.state + 0x9e3779b9) | 0
    return (mix(this.state) >>> 0) / 2 ** 32
  }

  /** An integer from `low` to `high`, both included. */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }

  /** True with probability `p`. */
  chance(p: number): boolean {
    return this.next() < p
  }

  pick<T>(list: readonly T[]): T {
    return list[this.int(0, list.length - 1)]
  }

  /** One of the keys, each as often as its weight says. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries(weights) as [K, number][]
    let at = this.next() * entries.reduce((sum, [, w]) => sum + w, 0)
    for (const [key, weight] of entries) {
      at -= weight
      if (at < 0) return key
    }
    return entries[entries.length - 1][0]
  }

  shuffle<T>(list: readonly T[]): T[] {
    const out = [...list]
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.int(0, i)
      ;[out[i], out[j]] = [out[j], out[i]]
    }
    return out
  }
}

/** The finalizer of MurmurHash3 (Appleby, public domain): every bit of the result depends on every bit of the argument. */
function mix(x: number): number {
  let h = x | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
