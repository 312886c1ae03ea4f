/**
 * Special functions in double precision for the reference loops.
 */

/**
 * The error function, to about 1e-15: its Taylor series near zero (Abramowitz and Stegun 7.1.6), the continued fraction of
 * erfc elsewhere (7.1.14).
 */
export function erf(x: number): number {
  if (Number.isNaN(x)) return x
  const a = Math.abs(x)
  if (a > 6) return Math.sign(x)
  if (a < 2.5) {
    let term = a
    let sum = a
    for (let n = 1; Math.abs(term) > 1e-17 * sum && n < 100; n++) {
      term *= (2 * a * a) / (2 * n + 1)
      sum += term
    }
    return Math.sign(x) * sum * Math.exp(-a * a) * (2 / Math.sqrt(Math.PI))
  }
  let fraction = 0
  for (let k = 60; k >= 1; k--) fraction = k / 2 / (a + fraction)
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction))
}
