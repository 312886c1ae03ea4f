/**
 * The matrix product of the TypeScript backend: plain loops over blocks of two rows and four columns, summed in double precision in the order
 * of k. In: contiguous row-major matrices. Out: C.
 */
import type { TypedArray } from '../../base/dtype.js'

let panel = new Float64Array(4 * 1024)

/** Four columns of B beside each other, zeros where there are none. */
function packColumns(b: TypedArray, at: number, k: number, n: number, j: number): void {
  if (panel.length < 4 * k) panel = new Float64Array(4 * k)
  for (let t = 0; t < k; t++) for (let q = 0; q < 4; q++) panel[4 * t + q] = j + q < n ? b[at + t * n + j + q] : 0
}

/** `c = a · b` for `a: [m, k]`, `b: [k, n]`, `c: [m, n]`, each starting at its offset. */
export function multiply(
  a: TypedArray,
  aAt: number,
  b: TypedArray,
  bAt: number,
  c: TypedArray,
  cAt: number,
  m: number,
  k: number,
  n: number,
): void {
  for (let j = 0; j < n; j += 4) {
    packColumns(b, bAt, k, n, j)
    const columns = panel
    for (let i = 0; i < m; i += 2) {
      const upper = aAt + i * k
      // the last row of an odd number is computed twice and stored once
      const lower = i + 1 < m ? upper + k : upper
      let s0 = 0
      let s1 = 0
      let s2 = 0
      let s3 = 0
      let r0 = 0
      let r1 = 0
      let r2 = 0
      let r3 = 0
      for (let t = 0, p = 0; t < k; t++, p += 4) {
        const x = a[upper + t]
        const y = a[lower + t]
        const b0 = columns[p]
        const b1 = columns[p + 1]
        const b2 = columns[p + 2]
        const b3 = columns[p + 3]
        s0 += x * b0
        s1 += x * b1
        s2 += x * b2
        s3 += x * b3
        r0 += y * b0
        r1 += y * b1
        r2 += y * b2
        r3 += y * b3
      }
      store(c, cAt + i * n + j, n - j, s0, s1, s2, s3)
      if (i + 1 < m) store(c, cAt + (i + 1) * n + j, n - j, r0, r1, r2, r3)
    }
  }
}

function store(c: TypedArray, at: number, room: number, s0: number, s1: number, s2: number, s3: number): void {
  c[at] = s0
  if (room > 1) c[at + 1] = s1
  if (room > 2) c[at + 2] = s2
  if (room > 3) c[at + 3] = s3
}
