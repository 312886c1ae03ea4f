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

/**
 * Places large buffers first, each at the lowest free offset among those alive with it.
 */
export function plan(steps: readonly Step[], effort: Effort): Plan {
  const lives = lifetimes(steps).sort((a, b) => b.units - a.units || a.first - b.first)
  const offsets = new Map<Buf, number>()
  /** By offset. */
  const placed: (Life & { readonly offset: number })[] = []
  let arenaUnits = 0
  for (const life of lives) {
    const { units, first, last } = life
    let offset = 0
    let at = 0
    for (; at < placed.length; at++) {
      const p = placed[at]
      if (offset + units <= p.offset) break
      if (p.first <= last && first <= p.last && p.offset + p.units > offset) offset = p.offset + p.units
    }
    effort.spend(1 + at / 64)
    offsets.set(life.buffer, offset)
    while (at > 0 && placed[at - 1].offset > offset) at--
    while (at < placed.length && placed[at].offset <= offset) at++
    placed.splice(at, 0, { ...life, offset })
    arenaUnits = Math.max(arenaUnits, offset + units)
  }
  return { offsets, arenaUnits }
}
