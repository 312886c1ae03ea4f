/**
 * Linear algebra of small dense matrices, batched over leading dimensions: solve, inverse, cholesky, determinants, qr, svd, eigh. One opcode, a kind
 * for each. Factors that belong together lie below one another in one output and are cut out afterwards, so that they have one
 * gradient. The work is done in double precision on every backend (matrix.ts).
 */

import { registerLoop } from '../../backend/registry.js'
import { singularError } from '../../backend/status.js'
import { ArgumentError, checkOptions, DTypeError, isNumber, ShapeError, showShape, showValue } from '../../base/errors.js'
import { broadcast, sameShape, sizeOf } from '../../base/shape.js'
import { type Instruction, LinalgKind, Opcode, type View } from '../../ir/format.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import { eye } from '../basic/creation.js'
import { customGradient } from '../basic/custom-gradient.js'
import { add, div, eq, logicalAnd, mul, neg, square, sub, where } from '../basic/elementwise.js'
import { matmul } from '../basic/matmul.js'
import { expand, narrow, reshape, squeeze, transpose, unsqueeze } from '../basic/movement.js'
import { apply, checkTensor } from '../core/dispatch.js'
import { type Dense, defineOp, type GradientRule, type OpRow } from '../core/table.js'
import { diagEmbed, diagonal, tril, triu } from './diagonal.js'
import { choleskyInPlace, eighInPlace, luInPlace, qrInPlace, solveTriangularInPlace, svdInPlace } from './matrix-loops.js'

interface LinalgAttrs {
  /** Of a triangular matrix: 1 upper, 2 ones on the diagonal. */
  readonly flags: number
}
const plain: LinalgAttrs = { flags: 0 }

/** The matrix at `at` of m × n, and writing below row `first` of an output of `columns` columns. */
type Work = (a: Float64Array, b: Float64Array, y: Dense['data'], at: number, m: number, n: number, k: number, flags: number) => number

function put(from: Float64Array, y: Dense['data'], at: number): void {
  for (let i = 0; i < from.length; i++) y[at + i] = from[i]
}

function transposed(a: Float64Array, m: number, n: number): Float64Array {
  return Float64Array.from(a, (_, i) => a[(i % m) * n + Math.floor(i / m)])
}

/**
 * Signs of vectors (rows of `v`, each n numbers) are arbitrary; the same rule everywhere makes backends agree: the first number of at least half the
 * largest magnitude is positive. The rows of `other` go with them.
 */
function orient(v: Float64Array, n: number, other?: Float64Array, m = 0): void {
  for (let r = 0; r * n < v.length; r++) {
    const row = v.subarray(r * n, (r + 1) * n)
    const most = row.reduce((a, x) => Math.max(a, Math.abs(x)), 0)
    const first = row.find((x) => Math.abs(x) >= most / 2)
    if (first === undefined || first >= 0) continue
    row.forEach((x, i) => void (row[i] = -x))
    const partner = other?.subarray(r * m, (r + 1) * m)
    partner?.forEach((x, i) => void (partner[i] = -x))
  }
}

const works: Record<LinalgKind, Work> = {
  cholesky: (a, _b, y, at, n) => {
    const failed = choleskyInPlace(a, n)
    put(a, y, at)
    return failed
  },
  solve: (a, b, y, at, n, _n, k) => {
    const { singular } = luInPlace(a, n, b, k)
    const failed = singular >= 0 ? singular : solveTriangularInPlace(a, b, n, k, true, false)
    put(b, y, at)
    return failed
  },
  solveTriangular: (a, b, y, at, n, _n, k, flags) => {
    const failed = solveTriangularInPlace(a, b, n, k, (flags & 1) !== 0, (flags & 2) !== 0)
    put(b, y, at)
    return failed
  },
  determinant: (a, b, y, at, n) => {
    let { sign } = luInPlace(a, n, b, 0)
    let product = sign
    let logarithm = 0
    for (let i = 0; i < n; i++) {
      const d = a[i * n + i]
      product *= d
      sign = d < 0 ? -sign : d === 0 ? 0 : sign
      logarithm += Math.log(Math.abs(d))
    }
    put(Float64Array.of(product, sign, logarithm), y, at)
    return -1
  },
  qr: (a, _b, y, at, m, n) => {
    const k = Math.min(m, n)
    put(qrInPlace(a, m, n), y, at)
    for (let i = 0; i < k; i++) for (let j = 0; j < n; j++) y[at + (m + j) * k + i] = j < i ? 0 : a[i * n + j]
    return -1
  },
  svd: (a, _b, y, at, m, n) => {
    const k = Math.min(m, n)
    const tall = m >= n
    const u = tall ? transposed(a, m, n) : a
    const { v, s } = svdInPlace(u, Math.max(m, n), k)
    orient(v, k, u, Math.max(m, n))
    put(transposed(tall ? u : v, k, m), y, at)
    put(transposed(tall ? v : u, k, n), y, at + m * k)
    put(s, y, at + (m + n) * k)
    return -1
  },
  eigh: (a, _b, y, at, n) => {
    const { v, w } = eighInPlace(a, n)
    orient(v, n)
    put(transposed(v, n, n), y, at)
    put(w, y, at + n * n)
    return -1
  },
}

function reference(kind: LinalgKind, inputs: readonly Dense[], [y]: readonly Dense[], flags: number): void {
  const [a] = inputs
  const b: Dense | undefined = inputs[1]
  const [m, n] = a.shape.slice(-2)
  const k = b === undefined ? 0 : b.shape[b.shape.length - 1]
  const count = sizeOf(a.shape.slice(0, -2))
  const [rows, columns] = y.shape.slice(-2)
  for (let i = 0; i < count; i++) {
    const left = Float64Array.from(a.data.subarray(i * m * n, (i + 1) * m * n))
    const right = Float64Array.from(b === undefined ? [] : b.data.subarray(i * n * k, (i + 1) * n * k))
    const failed = works[kind](left, right, y.data, i * rows * columns, m, n, k, flags)
    if (failed >= 0) throw singularError(`${kind} ${inputs.map((x) => showShape(x.shape)).join(', ')}`, i, failed)
  }
}

const kindNames = Object.keys(LinalgKind) as LinalgKind[]
registerLoop(Opcode.linalg, (inputs, outputs, [kind, flags]) => reference(kindNames[kind], inputs, outputs, flags))

function linalg(
  name: string,
  kind: LinalgKind,
  /** Rows and columns of the output, of a matrix m × n and k right-hand sides. */
  size: (m: number, n: number, k: number) => readonly [number, number],
  gradient: GradientRule<LinalgAttrs>,
): OpRow<LinalgAttrs> {
  return defineOp<LinalgAttrs>({
    name,
    infer: (inputs) => {
      const [m, n] = inputs[0].shape.slice(-2)
      const k = inputs.length > 1 ? inputs[1].shape[inputs[1].shape.length - 1] : 0
      return [{ shape: [...inputs[0].shape.slice(0, -2), ...size(m, n, k)], dtype: inputs[0].dtype }]
    },
    gradient,
    lower: <B>(inputs: readonly View<B>[], outputs: readonly View<B>[], { flags }: LinalgAttrs): Instruction<B>[] => [
      { opcode: Opcode.linalg, inputs, outputs, scalars: [LinalgKind[kind], flags] },
    ],
    reference: (i, o, { flags }) => reference(kind, i, o, flags),
    flops: ([a]) => sizeOf(a.shape) * a.shape[a.shape.length - 1],
  })
}

/** Aᵀ and A⁻¹·B in short, for the rules below. */
const t = (a: Tensor): Tensor => transpose(a)
const rows = (x: Tensor, from: number, count: number): Tensor => narrow(x, x.ndim - 2, from, count)

const choleskyRow = linalg(
  'cholesky',
  'cholesky',
  (_m, n) => [n, n],
  // Murray 2016, "Differentiation of the Cholesky decomposition"
  ({ outputs: [l] }, g) => {
    const inner = matmul(t(l), tril(g))
    const phi = sub(tril(inner), mul(diagEmbed(diagonal(inner, { dim1: -2, dim2: -1 })), 0.5))
    const left = solveTriangularBy(t(l), phi, 1)
    const whole = t(solveTriangularBy(t(l), t(left), 1))
    return [mul(add(whole, t(whole)), 0.5)]
  },
)

const solveRow: OpRow<LinalgAttrs> = linalg(
  'solve',
  'solve',
  (_m, n, k) => [n, k],
  ({ inputs: [a], outputs: [x], needs }, g) => {
    const forB = apply(solveRow, [t(a), g], plain)
    return [needs[0] ? neg(matmul(forB, t(x))) : undefined, forB]
  },
)

const triangularRow: OpRow<LinalgAttrs> = linalg(
  'solveTriangular',
  'solveTriangular',
  (_m, n, k) => [n, k],
  ({ inputs: [a], outputs: [x], attrs: { flags }, needs }, g) => {
    const forB = solveTriangularBy(t(a), g, flags ^ 1)
    const part = flags & 1 ? triu : tril
    const unit = flags & 2 ? (flags & 1 ? 1 : -1) : 0
    return [needs[0] ? neg(part(matmul(forB, t(x)), unit)) : undefined, forB]
  },
)

function solveTriangularBy(a: Tensor, b: Tensor, flags: number): Tensor {
  return apply(triangularRow, [a, b], { flags })
}

const determinantPart = (x: Tensor, part: number): Tensor => narrow(x, x.ndim - 1, part, 1)
const determinantSize = (): readonly [number, number] => [1, 3]

// Rows of their own for the determinant and its logarithm, so that a gradient of one is no product with the other, which may have overflowed.
const detRow = linalg('det', 'determinant', determinantSize, ({ inputs: [a], outputs: [y] }, g) => [
  mul(mul(determinantPart(g, 0), determinantPart(y, 0)), t(inverse(a))),
])
const slogdetRow = linalg('slogdet', 'determinant', determinantSize, ({ inputs: [a] }, g) => [mul(determinantPart(g, 2), t(inverse(a)))])

const qrRow = linalg(
  'qr',
  'qr',
  (m, n) => [m + n, Math.min(m, n)],
  // Walter and Lehmann 2018; Roberts and Roberts 2020 for wide matrices
  ({ inputs: [a], outputs: [y] }, g) => {
    const [m, n] = a.shape.slice(-2)
    if (m < n) {
      throw new ShapeError(
        'ERR_QR_WIDE',
        `qr: the gradient needs at least as many rows as columns, received ${showShape(a.shape)}. Decompose the leading square and solve for the rest.`,
      )
    }
    const q = rows(y, 0, m)
    const r = t(rows(y, m, n))
    const gq = rows(g, 0, m)
    const gr = triu(t(rows(g, m, n)))
    const middle = sub(matmul(r, t(gr)), matmul(t(gq), q))
    const symmetric = add(tril(middle), t(tril(middle, -1)))
    const whole = add(gq, matmul(q, symmetric))
    return [t(solveTriangularBy(r, t(whole), 1))]
  },
)

/** a / b, and 0 where both are 0: a vector that nothing depends on has no gradient, however many values are equal. */
function ratio(a: Tensor, b: Tensor): Tensor {
  const nothing = logicalAnd(eq(a, 0), eq(b, 0))
  return where(nothing, 0, div(a, where(nothing, 1, b)))
}

/** What vectors of the values x turn by: (m_ij − m_ji) / (x_j − x_i) off the diagonal, 0 on it. */
function turned(m: Tensor, x: Tensor): Tensor {
  return ratio(sub(m, t(m)), sub(unsqueeze(x, x.ndim - 1), unsqueeze(x, x.ndim)))
}

const svdRow = linalg(
  'svd',
  'svd',
  (m, n) => [m + n + 1, Math.min(m, n)],
  // Townsend 2016, "Differentiating the singular value decomposition"
  ({ inputs: [a], outputs: [y] }, g) => {
    const [m, n] = a.shape.slice(-2)
    const [u, v, s] = [rows(y, 0, m), rows(y, m, n), rows(y, m + n, 1)]
    const [gu, gv, gs] = [rows(g, 0, m), rows(g, m, n), rows(g, m + n, 1)]
    const squares = square(squeeze(s, s.ndim - 2))
    const middle = add(mul(turned(matmul(t(u), gu), squares), s), mul(t(s), turned(matmul(t(v), gv), squares)))
    const core = add(middle, diagEmbed(squeeze(gs, gs.ndim - 2)))
    let whole = matmul(matmul(u, core), t(v))
    if (m > n) {
      const outside = sub(gu, matmul(u, matmul(t(u), gu)))
      whole = add(whole, matmul(ratio(outside, s), t(v)))
    }
    if (n > m) {
      const outside = sub(gv, matmul(v, matmul(t(v), gv)))
      whole = add(whole, matmul(u, t(ratio(outside, s))))
    }
    return [whole]
  },
)

const eighRow = linalg(
  'eigh',
  'eigh',
  (_m, n) => [n + 1, n],
  ({ outputs: [y] }, g) => {
    const n = y.shape[y.ndim - 1]
    const [v, w] = [rows(y, 0, n), rows(y, n, 1)]
    const [gv, gw] = [rows(g, 0, n), rows(g, n, 1)]
    const flat = (x: Tensor): Tensor => squeeze(x, x.ndim - 2)
    const core = add(mul(turned(matmul(t(v), gv), flat(w)), 0.5), diagEmbed(flat(gw)))
    return [matmul(matmul(v, core), t(v))]
  },
)

function checkMatrix(op: string, x: Tensor, square: boolean): void {
  checkTensor(op, 'x', x)
  if (x.dtype !== 'float32' && x.dtype !== 'float64')
    throw new DTypeError('ERR_DTYPE', `${op}: needs a float tensor, received ${x.dtype}. Convert with .to('float32').`)
  const [m, n] = x.shape.slice(-2)
  if (x.ndim < 2 || (square && m !== n)) {
    throw new ShapeError(
      'ERR_MATRIX',
      `${op}: needs ${square ? 'square matrices […, N, N]' : 'matrices […, M, N]'}, received ${showShape(x.shape)}.`,
    )
  }
}

/** A and B with equal batch dimensions, and how the result loses the column that a vector B got. */
function rightSides(op: string, a: Tensor, b: Tensor): { a: Tensor; b: Tensor; finish: (x: Tensor) => Tensor } {
  checkMatrix(op, a, true)
  checkTensor(op, 'b', b)
  if (b.dtype !== a.dtype)
    throw new DTypeError('ERR_DTYPE', `${op}: needs two float tensors of one dtype, received ${a.dtype} and ${b.dtype}.`)
  const n = a.shape[a.ndim - 1]
  const vector = b.ndim === 1 || (b.ndim === a.ndim - 1 && sameShape(b.shape, a.shape.slice(0, -1)))
  const sides = vector ? unsqueeze(b, b.ndim) : b
  if (sides.ndim < 2 || sides.shape[sides.ndim - 2] !== n) {
    throw new ShapeError(
      'ERR_SOLVE',
      `${op}: a ${showShape(a.shape)} needs right-hand sides […, ${n}, K] or […, ${n}], received ${showShape(b.shape)}.`,
    )
  }
  const batch = broadcast(op, a.shape.slice(0, -2), sides.shape.slice(0, -2))
  return {
    a: expand(a, [...batch, n, n]),
    b: expand(sides, [...batch, ...sides.shape.slice(-2)]),
    finish: (x) => (vector ? squeeze(x, x.ndim - 1) : x),
  }
}

/**
 * X with A·X = B: `a: […, N, N]`, `b: […, N, K]` or a vector `[…, N]`; batch dimensions broadcast.
 *
 *     solve(a, b)
 *
 * @throws DataError (`ERR_SINGULAR`) when a matrix is singular.
 */
export function solve(a: Tensor, b: Tensor): Tensor {
  const sides = rightSides('solve', a, b)
  return sides.finish(apply(solveRow, [sides.a, sides.b], plain))
}

/** As `solve`, of triangular matrices, of which the other triangle is not read: the lower by default. `unitriangular` takes ones for the diagonal. */
export function solveTriangular(a: Tensor, b: Tensor, options: { upper?: boolean; unitriangular?: boolean } = {}): Tensor {
  checkOptions('solveTriangular', options, { upper: true, unitriangular: true })
  const sides = rightSides('solveTriangular', a, b)
  const flags = (options.upper ? 1 : 0) + (options.unitriangular ? 2 : 0)
  return sides.finish(apply(triangularRow, [sides.a, sides.b], { flags }))
}

/** The inverse of square matrices `[…, N, N]`. @throws DataError (`ERR_SINGULAR`) when there is none. */
export function inverse<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function inverse(x: Tensor): Tensor {
  checkMatrix('inverse', x, true)
  const n = x.shape[x.ndim - 1]
  return apply(solveRow, [x, expand(eye(n, n, { dtype: x.dtype }), x.shape)], plain)
}

/**
 * The lower triangle L with A = L·Lᵀ of symmetric positive-definite matrices `[…, N, N]`, of which the lower triangle is read; its transpose
 * with `upper`.
 *
 * @throws DataError (`ERR_SINGULAR`) when a matrix is not positive definite.
 */
export function cholesky<T extends Tensor>(x: T, options?: { upper?: boolean }): Tensor<ShapeOf<T>>
export function cholesky(x: Tensor, options: { upper?: boolean } = {}): Tensor {
  checkOptions('cholesky', options, { upper: true })
  checkMatrix('cholesky', x, true)
  const lower = apply(choleskyRow, [x], plain)
  return options.upper ? t(lower) : lower
}

function determinantOf(row: OpRow<LinalgAttrs>, x: Tensor, part: number): Tensor {
  checkMatrix(row.name, x, true)
  return reshape(determinantPart(apply(row, [x], plain), part), x.shape.slice(0, -2))
}

/** The determinants of square matrices `[…, N, N]`. Its gradient needs the inverse. */
export function det(x: Tensor): Tensor {
  return determinantOf(detRow, x, 0)
}

/** The sign of the determinants and the logarithm of their magnitude: safe where the determinant itself overflows. */
export function slogdet(x: Tensor): { sign: Tensor; logabsdet: Tensor } {
  return { sign: determinantOf(slogdetRow, x, 1).detach(), logabsdet: determinantOf(slogdetRow, x, 2) }
}

/** Options of PyTorch of which only the thin factors exist here: the further columns span what the matrix does not reach. */
function checkReduced(op: string, name: string, value: unknown, only: unknown): void {
  if (value === undefined || value === only) return
  throw new ArgumentError(
    'ERR_OPTION',
    `${op}: ${name} can only be ${showValue(only)}, received ${showValue(value)}. For a full basis append columns of an identity before.`,
  )
}

/**
 * A = Q·R of matrices `[…, M, N]`: Q `[…, M, K]` with orthonormal columns and R `[…, K, N]` upper triangular, K = min(M, N). Signs are LAPACK's.
 * The gradient needs M ≥ N. This is PyTorch's `mode: 'reduced'`, the only one there is.
 */
export function qr(x: Tensor, options: { mode?: 'reduced' } = {}): { Q: Tensor; R: Tensor } {
  checkOptions('qr', options, { mode: true })
  checkReduced('qr', 'mode', options.mode, 'reduced')
  checkMatrix('qr', x, false)
  const [m, n] = x.shape.slice(-2)
  const y = apply(qrRow, [x], plain)
  return { Q: rows(y, 0, m), R: t(rows(y, m, n)) }
}

/**
 * A = U·diag(S)·Vh of matrices `[…, M, N]`: U `[…, M, K]`, S `[…, K]` falling, Vh `[…, K, N]`, K = min(M, N). Signs: in each row of Vh
 * the first number of at least half the largest magnitude is positive. Gradients of U and Vh need distinct singular values, those of S do not.
 * This is PyTorch's `fullMatrices: false`, the only form there is.
 */
export function svd(x: Tensor, options: { fullMatrices?: false } = {}): { U: Tensor; S: Tensor; Vh: Tensor } {
  checkOptions('svd', options, { fullMatrices: true })
  checkReduced('svd', 'fullMatrices', options.fullMatrices, false)
  checkMatrix('svd', x, false)
  const [m, n] = x.shape.slice(-2)
  const y = apply(svdRow, [x], plain)
  return { U: rows(y, 0, m), S: squeeze(rows(y, m + n, 1), -2), Vh: t(rows(y, m, n)) }
}

/** The lower triangle in both; the gradient is that of the whole symmetric matrix, as in PyTorch. */
const mirrored = customGradient({ name: 'eigh', forward: ([x]) => add(tril(x), t(tril(x, -1))), backward: ([g]) => g })

/**
 * Eigenvalues `[…, N]`, rising, and eigenvectors `[…, N, N]` (columns) of symmetric matrices, of which the lower triangle is read: in each the first number of
 * at least half the largest magnitude is positive. The gradient is symmetric. That of the eigenvectors needs distinct eigenvalues, that of the values does not.
 */
export function eigh(x: Tensor): { eigenvalues: Tensor; eigenvectors: Tensor } {
  checkMatrix('eigh', x, true)
  const n = x.shape[x.ndim - 1]
  const y = apply(eighRow, [mirrored(x)], plain)
  return { eigenvalues: squeeze(rows(y, n, 1), -2), eigenvectors: rows(y, 0, n) }
}

/** The pseudo-inverse (Moore–Penrose) of matrices `[…, M, N]`; singular values below `rtol` (default max(M, N)·ε) times the greatest count as 0. */
export function pinverse(x: Tensor, options: { rtol?: number } = {}): Tensor {
  checkOptions('pinverse', options, { rtol: true })
  checkMatrix('pinverse', x, false)
  const epsilon = x.dtype === 'float64' ? 2 ** -52 : 2 ** -23
  if (options.rtol !== undefined && !isNumber(options.rtol))
    throw new ArgumentError('ERR_OPTION', `pinverse: rtol must be a number, received ${showValue(options.rtol)}.`)
  const rtol = options.rtol ?? Math.max(...x.shape.slice(-2)) * epsilon
  // a gradient of its own, for that of the factors needs distinct singular values (Golub and Pereyra 1973, for constant rank)
  return customGradient({
    name: 'pinverse',
    forward: ([a]) => {
      const { U, S, Vh } = svd(a)
      const kept = S.gt(mul(S.amax({ dim: -1, keepdim: true }), rtol))
      return matmul(mul(t(Vh), unsqueeze(where(kept, div(1, where(kept, S, 1)), 0), -2)), t(U))
    },
    backward: ([g], { inputs: [a], outputs: [p] }) => {
      const ofRows = matmul(matmul(t(g), p), t(p))
      const ofColumns = matmul(matmul(t(p), p), t(g))
      const outside = sub(add(ofRows, ofColumns), add(matmul(matmul(a, p), ofRows), matmul(ofColumns, matmul(p, a))))
      return sub(outside, matmul(matmul(t(p), g), t(p)))
    },
  })(x)
}

/** X that comes closest to A·X = B in least squares: `a: […, M, N]` of full rank with M ≥ N, `b: […, M, K]`. */
export function lstsq(a: Tensor, b: Tensor): Tensor {
  checkMatrix('lstsq', a, false)
  checkTensor('lstsq', 'b', b)
  const [m, n] = a.shape.slice(-2)
  if (m < n || b.ndim < 2 || b.shape[b.ndim - 2] !== m) {
    throw new ShapeError(
      'ERR_SOLVE',
      `lstsq: needs a […, M, N] with M ≥ N and b […, M, K], received ${showShape(a.shape)} and ${showShape(b.shape)}.`,
    )
  }
  const { Q, R } = qr(a)
  return solveTriangular(R, matmul(t(Q), b), { upper: true })
}
