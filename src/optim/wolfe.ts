/**
 * Line search by the strong Wolfe conditions. In: a function of the step length with its derivative. Out: a length where the loss has fallen enough and is
 * flat enough. Source: Nocedal and Wright 2006, algorithms 3.5 and 3.6, with the safeguards of `torch.optim.LBFGS`.
 */

/** A point on the line: its loss, gradient and the derivative along the line. */
export interface Probe<G> {
  readonly length: number
  readonly loss: number
  readonly gradient: G
  readonly slope: number
}

export interface WolfeLimits {
  /** Ends when the bracket moves no parameter by more. */
  readonly toleranceChange: number
  /** Calls of the function. */
  readonly most: number
}

/** Shares of the first slope: the loss has to fall by this, and the slope to be below that. */
const enough = 1e-4
const flat = 0.9

/** The minimum of the cubic through two points with their slopes, within bounds. */
function cubicMinimum(
  a: Probe<unknown>,
  b: Probe<unknown>,
  low = Math.min(a.length, b.length),
  high = Math.max(a.length, b.length),
): number {
  const d1 = a.slope + b.slope - (3 * (a.loss - b.loss)) / (a.length - b.length)
  const square = d1 * d1 - a.slope * b.slope
  if (!(square >= 0)) return (low + high) / 2
  const d2 = Math.sqrt(square)
  const [left, right] = a.length <= b.length ? [a, b] : [b, a]
  const at = right.length - (right.length - left.length) * ((right.slope + d2 - d1) / (right.slope - left.slope + 2 * d2))
  return Math.min(Math.max(at, low), high)
}

/** Searches from `start`, the point of length 0, beginning with `length`; `size` is the greatest element of the direction. */
export function strongWolfe<G>(
  probe: (length: number) => Probe<G>,
  start: Probe<G>,
  length: number,
  size: number,
  { toleranceChange, most }: WolfeLimits,
): { at: Probe<G>; calls: number } {
  const fallen = (p: Probe<G>): boolean => p.loss <= start.loss + enough * p.length * start.slope
  const isFlat = (p: Probe<G>): boolean => Math.abs(p.slope) <= -flat * start.slope
  let before = start
  let now = probe(length)
  let calls = 1
  let tries = 0
  let bracket: [Probe<G>, Probe<G>] | undefined
  for (; tries < most; tries++) {
    if (!fallen(now) || (tries > 1 && now.loss >= before.loss)) {
      bracket = [before, now]
      break
    }
    if (isFlat(now)) return { at: now, calls }
    if (now.slope >= 0) {
      bracket = [before, now]
      break
    }
    const next = cubicMinimum(before, now, now.length + 0.01 * (now.length - before.length), now.length * 10)
    before = now
    now = probe(next)
    calls++
  }
  bracket ??= [start, now]
  return narrowDown(probe, bracket, { fallen, isFlat, size, toleranceChange, most }, tries, calls)
}

interface Conditions<G> extends WolfeLimits {
  fallen(p: Probe<G>): boolean
  isFlat(p: Probe<G>): boolean
  readonly size: number
}

/** Shrinks a bracket that holds such a length. */
function narrowDown<G>(
  probe: (length: number) => Probe<G>,
  [first, second]: [Probe<G>, Probe<G>],
  { fallen, isFlat, size, toleranceChange, most }: Conditions<G>,
  tries: number,
  calls: number,
): { at: Probe<G>; calls: number } {
  let [low, high] = first.loss <= second.loss ? [first, second] : [second, first]
  // the cubic is taken in the order in which the ends were found
  let lowIsFirst = first.loss <= second.loss
  let slow = false
  for (let count = tries; count < most; count++) {
    if (Math.abs(high.length - low.length) * size < toleranceChange) break
    const [a, b] = lowIsFirst ? [low, high] : [high, low]
    const top = Math.max(a.length, b.length)
    const bottom = Math.min(a.length, b.length)
    let length = cubicMinimum(a, b)
    const margin = 0.1 * (top - bottom)
    // near an end twice in a row: a tenth of the bracket inwards
    if (Math.min(top - length, length - bottom) < margin) {
      if (slow || length >= top || length <= bottom) {
        length = Math.abs(length - top) < Math.abs(length - bottom) ? top - margin : bottom + margin
        slow = false
      } else {
        slow = true
      }
    } else {
      slow = false
    }
    const now = probe(length)
    calls++
    if (!fallen(now) || now.loss >= low.loss) {
      high = now
      if (high.loss < low.loss || (high.loss === low.loss && !lowIsFirst)) {
        ;[low, high] = [high, low]
        lowIsFirst = !lowIsFirst
      }
    } else {
      const done = isFlat(now)
      if (!done && now.slope * (high.length - low.length) >= 0) high = low
      low = now
      if (done) break
    }
  }
  return { at: low, calls }
}
