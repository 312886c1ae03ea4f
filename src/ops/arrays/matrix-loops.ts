/**
 * Factorizations of small dense matrices, row-major, plain loops: the reference of native/kernels/dense.h, whose algorithms are blocked, and for
 * svd and eigh others. In: matrices that may be overwritten; out: factors. Those that can meet a singular matrix return the row or column where they
 * did, others -1.
 */

type Doubles = Float64Array

const epsilon = 2 ** -52

/** Lower triangle L with A = L·Lᵀ in place of A, reading its lower triangle; zeros above. */
export function choleskyInPlace(a: Doubles, n: number): number {
  for (let j = 0; j < n; j++) {
    let d = a[j * n + j]
    for (let k = 0; k < j; k++) d -= a[j * n + k] * a[j * n + k]
    if (!(d > 0)) return j
    d = Math.sqrt(d)
    a[j * n + j] = d
    for (let i = j + 1; i < n; i++) {
      let s = a[i * n + j]
      for (let k = 0; k < j; k++) s -= a[i * n + k] * a[j * n + k]
      a[i * n + j] = s / d
    }
    for (let k = j + 1; k < n; k++) a[j * n + k] = 0
  }
  return -1
}

function swapRows(a: Doubles, i: number, j: number, n: number): void {
  for (let c = 0; c < n; c++) {
    const t = a[i * n + c]
    a[i * n + c] = a[j * n + c]
    a[j * n + c] = t
  }
}

/**
 * LU with row exchanges in place of A, applied to B (n × k) as well. The sign is that of the exchanges. A pivot lost to rounding against its column
 * counts as none.
 */
export function luInPlace(a: Doubles, n: number, b: Doubles, k: number): { singular: number; sign: number } {
  let sign = 1
  let singular = -1
  const scale = new Float64Array(n)
  for (let j = 0; j < n; j++) for (let i = 0; i < n; i++) if (Math.abs(a[i * n + j]) > scale[j]) scale[j] = Math.abs(a[i * n + j])
  for (let j = 0; j < n; j++) {
    let pivot = j
    for (let i = j + 1; i < n; i++) if (Math.abs(a[i * n + j]) > Math.abs(a[pivot * n + j])) pivot = i
    if (singular < 0 && Math.abs(a[pivot * n + j]) <= epsilon * n * scale[j]) singular = j
    if (pivot !== j) {
      sign = -sign
      swapRows(a, j, pivot, n)
      swapRows(b, j, pivot, k)
    }
    if (a[j * n + j] === 0) continue
    for (let i = j + 1; i < n; i++) {
      const f = a[i * n + j] / a[j * n + j]
      a[i * n + j] = f
      if (f === 0) continue
      for (let c = j + 1; c < n; c++) a[i * n + c] -= f * a[j * n + c]
      for (let c = 0; c < k; c++) b[i * k + c] -= f * b[j * k + c]
    }
  }
  return { singular, sign }
}

/** X with A·X = B in place of B (n × k), of a triangular A; `unit` takes ones for its diagonal. */
export function solveTriangularInPlace(a: Doubles, b: Doubles, n: number, k: number, upper: boolean, unit: boolean): number {
  for (let step = 0; step < n; step++) {
    const i = upper ? n - 1 - step : step
    if (!unit && a[i * n + i] === 0) return i
    for (let j = upper ? i + 1 : 0; j < (upper ? n : i); j++) {
      const f = a[i * n + j]
      if (f === 0) continue
      for (let c = 0; c < k; c++) b[i * k + c] -= f * b[j * k + c]
    }
    if (unit) continue
    for (let c = 0; c < k; c++) b[i * k + c] /= a[i * n + i]
  }
  return -1
}

/** Applies the reflection kept below the diagonal in column j of a (m × n) to column c of b (rows of `width`). */
function reflect(a: Doubles, b: Doubles, factor: number, m: number, n: number, j: number, c: number, width: number): void {
  let s = b[j * width + c]
  for (let i = j + 1; i < m; i++) s += a[i * n + j] * b[i * width + c]
  s *= factor
  b[j * width + c] -= s
  for (let i = j + 1; i < m; i++) b[i * width + c] -= s * a[i * n + j]
}

/** Householder reflections as LAPACK's: A (m × n) becomes R in its upper triangle; Q (m × k), k = min(m, n), is returned. */
export function qrInPlace(a: Doubles, m: number, n: number): Doubles {
  const k = Math.min(m, n)
  const factors = new Float64Array(k)
  for (let j = 0; j < k; j++) {
    let below = 0
    for (let i = j + 1; i < m; i++) below += a[i * n + j] * a[i * n + j]
    const head = a[j * n + j]
    if (below === 0) continue
    const beta = head > 0 ? -Math.sqrt(head * head + below) : Math.sqrt(head * head + below)
    factors[j] = (beta - head) / beta
    for (let i = j + 1; i < m; i++) a[i * n + j] /= head - beta
    a[j * n + j] = beta
    for (let c = j + 1; c < n; c++) reflect(a, a, factors[j], m, n, j, c, n)
  }
  const q = new Float64Array(m * k)
  for (let i = 0; i < k; i++) q[i * k + i] = 1
  for (let j = k - 1; j >= 0; j--) for (let c = j; c < k; c++) reflect(a, q, factors[j], m, n, j, c, k)
  return q
}

/** The rotation that makes two columns with these products orthogonal. */
function rotationOf(alpha: number, beta: number, gamma: number): { c: number; s: number } {
  const zeta = (beta - alpha) / (2 * gamma)
  const t = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta))
  const c = 1 / Math.sqrt(1 + t * t)
  return { c, s: c * t }
}

/** Two runs of `count` elements in steps of `step`, turned. */
function rotate(a: Doubles, p: number, q: number, step: number, count: number, c: number, s: number): void {
  for (let i = 0; i < count; i++) {
    const x = a[p + i * step]
    const y = a[q + i * step]
    a[p + i * step] = c * x - s * y
    a[q + i * step] = s * x + c * y
  }
}

/** Makes row j (of m numbers) a unit vector orthogonal to the rows before it, from the first axis at or behind `from` that is not among them. */
function completeRow(u: Doubles, m: number, j: number, from: number): number {
  const row = u.subarray(j * m, (j + 1) * m)
  for (let axis = from; axis < m; axis++) {
    for (let i = 0; i < m; i++) row[i] = i === axis ? 1 : 0
    for (let pass = 0; pass < 2; pass++) {
      for (let c = 0; c < j; c++) {
        let s = 0
        for (let i = 0; i < m; i++) s += u[c * m + i] * row[i]
        for (let i = 0; i < m; i++) row[i] -= s * u[c * m + i]
      }
    }
    let norm = 0
    for (let i = 0; i < m; i++) norm += row[i] * row[i]
    if (norm < 0.25 / m) continue
    for (let i = 0; i < m; i++) row[i] /= Math.sqrt(norm)
    return axis + 1
  }
  return m
}

/** Swaps rows so that `values` fall (or rise), in all the matrices given. */
function sortRows(values: Doubles, falling: boolean, ...matrices: Doubles[]): void {
  const n = values.length
  for (let j = 0; j < n; j++) {
    let best = j
    for (let i = j + 1; i < n; i++) if (falling ? values[i] > values[best] : values[i] < values[best]) best = i
    if (best === j) continue
    for (const a of [values, ...matrices]) swapRows(a, j, best, a.length / n)
  }
}

/** The products of two rows with themselves and with each other, in four sums each. */
function productsOf(a: Doubles, p: number, q: number, n: number): { alpha: number; beta: number; gamma: number } {
  const sums = new Float64Array(12)
  for (let i = 0; i < n; i++) {
    const [x, y, k] = [a[p * n + i], a[q * n + i], i % 4]
    sums[k] += x * x
    sums[4 + k] += y * y
    sums[8 + k] += x * y
  }
  const total = (at: number): number => sums[at] + sums[at + 1] + (sums[at + 2] + sums[at + 3])
  return { alpha: total(0), beta: total(4), gamma: total(8) }
}

/**
 * One-sided Jacobi rotations (Hestenes 1958) of Aᵀ (n × m, m >= n), whose rows become those of Uᵀ; v has the right vectors as rows, s the values,
 * falling.
 */
export function svdInPlace(a: Doubles, m: number, n: number): { v: Doubles; s: Doubles } {
  const v = new Float64Array(n * n)
  const s = new Float64Array(n)
  for (let i = 0; i < n; i++) v[i * n + i] = 1
  let turned = true
  for (let sweep = 0; turned && sweep < 60; sweep++) {
    turned = false
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const { alpha, beta, gamma } = productsOf(a, p, q, m)
        if (!(Math.abs(gamma) > 1e-15 * Math.sqrt(alpha * beta))) continue
        turned = true
        const { c, s: sine } = rotationOf(alpha, beta, gamma)
        rotate(a, p * m, q * m, 1, m, c, sine)
        rotate(v, p * n, q * n, 1, n, c, sine)
      }
    }
  }
  for (let j = 0; j < n; j++) {
    let norm = 0
    for (let i = 0; i < m; i++) norm += a[j * m + i] * a[j * m + i]
    s[j] = Math.sqrt(norm)
  }
  sortRows(s, true, a, v)
  // where there is no value any vectors will do: the same ones on every backend
  let [left, right] = [0, 0]
  for (let j = 0; j < n; j++) {
    if (s[j] > epsilon * m * s[0] || Number.isNaN(s[j])) {
      for (let i = 0; i < m; i++) a[j * m + i] /= s[j]
    } else {
      left = completeRow(a, m, j, left)
      right = completeRow(v, n, j, right)
    }
  }
  return { v, s }
}

/** Two-sided Jacobi rotations of the symmetric A (n × n, both triangles read); v has the vectors as rows, w the values, rising. */
export function eighInPlace(a: Doubles, n: number): { v: Doubles; w: Doubles } {
  const v = new Float64Array(n * n)
  for (let i = 0; i < n; i++) v[i * n + i] = 1
  const norm = Math.sqrt(a.reduce((sum, x) => sum + x * x, 0))
  let turned = true
  for (let sweep = 0; turned && sweep < 60; sweep++) {
    turned = false
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        if (!(Math.abs(a[p * n + q]) > 1e-17 * norm)) continue
        turned = true
        const { c, s } = rotationOf(a[p * n + p], a[q * n + q], a[p * n + q])
        rotate(a, p, q, n, n, c, s)
        rotate(a, p * n, q * n, 1, n, c, s)
        a[p * n + q] = 0
        a[q * n + p] = 0
        rotate(v, p * n, q * n, 1, n, c, s)
      }
    }
  }
  const w = Float64Array.from({ length: n }, (_, j) => a[j * n + j])
  sortRows(w, false, v)
  return { v, w }
}
