/**
 * Memory planning: places the temporary buffers of a program in one arena so that those alive at the same time do not overlap. In: steps in
 * running order. Out: offsets in units of 64 bytes.
 */
import type { Effort } from './effort.js'
import type { Buf, Step } from './lower.js'

export interface Plan {
  readonly offsets: ReadonlyMap<Buf, number>
  /** Units of 64 bytes. */
  readonly arenaUnits: number
}

interface Life {
  readonly buffer: Buf
  readonly units: number
  readonly first: number
  last: number
}

export function unitsOf(buffer: Buf): number {
  return Math.max(1, Math.ceil(buffer.bytes / 64))
}

/** First and last step at which each arena buffer is needed; a parallel region counts as one step. */
function lifetimes(steps: readonly Step[]): Life[] {
  const lives = new Map<Buf, Life>()
  let time = -1
  for (const { instruction } of steps) {
    if (!instruction.region) time++
    for (const v of [...instruction.outputs, ...instruction.inputs]) {
      const { buffer } = v
      if (buffer.binding !== undefined) continue
      const life = lives.get(buffer)
      if (life === undefined) lives.set(buffer, { buffer, units: unitsOf(buffer), first: time, last: time })
      else life.last = time
    }
  }
  return [...lives.values()]
}

interface Placed extends Life {
  readonly offset: number
}

/** What was placed so far, by stretches of time: most buffers live for a few steps only. */
class Occupied {
  private readonly stretches: Placed[][] = []

  add(placed: Placed): void {
    const to = stretchOf(placed.last)
    for (let i = stretchOf(placed.first); i <= to; i++) {
      this.stretches[i] ??= []
      this.stretches[i].push(placed)
    }
  }

  /** Those alive at the same time as another, by offset. */
  rivals({ first, last }: Life, effort: Effort): Placed[] {
    const found = new Set<Placed>()
    const to = stretchOf(last)
    for (let i = stretchOf(first); i <= to; i++) {
      const stretch = this.stretches[i] ?? []
      effort.spend(1 + stretch.length / 64)
      for (const p of stretch) if (p.first <= last && first <= p.last) found.add(p)
    }
    return [...found].sort((a, b) => a.offset - b.offset)
  }
}

const stretchOf = (time: number): number => Math.floor(time / 32)

/**
 * Places large buffers first, each at the lowest free offset among those alive with it.
 */
export function plan(steps: readonly Step[], effort: Effort): Plan {
  const lives = lifetimes(steps).sort((a, b) => b.units - a.units || a.first - b.first)
  const offsets = new Map<Buf, number>()
  const occupied = new Occupied()
  let arenaUnits = 0
  for (const life of lives) {
    let offset = 0
    for (const r of occupied.rivals(life, effort)) {
      if (offset + life.units <= r.offset) break
      offset = Math.max(offset, r.offset + r.units)
    }
    offsets.set(life.buffer, offset)
    occupied.add({ ...life, offset })
    arenaUnits = Math.max(arenaUnits, offset + life.units)
  }
  return { offsets, arenaUnits }
}
