/** How far results are apart. In: numbers, and a tolerance relative to each or to one. Out: the worst place beyond it. Needs no test runner. */
export function worstDifference(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): number | undefined {
  let worst: number | undefined
  let excess = 0
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i], expected[i]]
    if (Object.is(a, e) || a === e) continue
    const over =
      Number.isFinite(e) && Number.isFinite(a) ? Math.abs(a - e) / (tolerance * Math.max(1, Math.abs(e))) : Number.POSITIVE_INFINITY
    if (over > 1 && over > excess) {
      excess = over
      worst = i
    }
  }
  return worst
}
