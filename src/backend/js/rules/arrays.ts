/** The rules of scans, sorting, linear algebra, Fourier transforms and alignments (docs/program-format.md), as in native/runtime/check_arrays.cc. */
import { isFloat } from '../../../base/dtype.js'
import { sameShape } from '../../../base/shape.js'
import { CtcKind, FftKind, LinalgKind } from '../../../ir/format.js'
import type { Attributes, Checker } from '../checker.js'

const linalgKinds = Object.keys(LinalgKind) as LinalgKind[]

export function scan(check: Checker): Attributes {
  const [y] = check.outputs
  const scalars = check.attributes([0, 2], [0, (y?.shape.length ?? 0) - 1])
  const [kind] = scalars
  check.counts(kind === 2 ? 2 : 1, 1)
  check.require(isFloat(y.dtype) || (kind < 2 && y.dtype === 'int32'), `a scan of ${y.dtype}`)
  for (const v of check.inputs) {
    check.require(v.dtype === y.dtype, 'dtypes differ')
    check.shape(v, y.shape)
  }
  return { scalars }
}

export function sort(check: Checker): Attributes {
  check.counts(1, 2)
  const [x] = check.inputs
  const [values, indices] = check.outputs
  const scalars = check.attributes([0, x.shape.length - 1], [0, 1])
  check.require(values.dtype === x.dtype && indices.dtype === 'int32', 'dtypes of a sort do not fit')
  check.rank(x.shape.length, values)
  check.shape(indices, values.shape)
  check.require(
    values.shape.every((s, d) => (d === scalars[0] ? s <= x.shape[d] : s === x.shape[d])),
    'sizes of a sort do not fit',
  )
  return { scalars }
}

export function linalg(check: Checker): Attributes {
  const scalars = check.attributes([0, 6], [0, 3])
  const [kind, flags] = scalars
  const solves = kind === LinalgKind.solve || kind === LinalgKind.solveTriangular
  check.require(flags === 0 || kind === LinalgKind.solveTriangular, 'flags of a linalg')
  check.counts(solves ? 2 : 1, 1)
  const [a] = check.inputs
  const b = check.inputs[solves ? 1 : 0]
  const [y] = check.outputs
  check.float(a, b, y)
  const rank = a.shape.length
  check.require(rank >= 2, 'a matrix of less than two dimensions')
  check.rank(rank, b, y)
  const [m, n] = a.shape.slice(-2)
  const k = Math.min(m, n)
  check.require(kind === LinalgKind.qr || kind === LinalgKind.svd || m === n, 'a matrix that is not square')
  const batch = a.shape.slice(0, -2)
  if (solves) check.shape(b, [...batch, n, b.shape[rank - 1]])
  const sizes: Record<LinalgKind, number[]> = {
    cholesky: [n, n],
    solve: [n, b.shape[rank - 1]],
    solveTriangular: [n, b.shape[rank - 1]],
    determinant: [1, 3],
    qr: [m + n, k],
    svd: [m + n + 1, k],
    eigh: [n + 1, n],
  }
  check.shape(y, [...batch, ...sizes[linalgKinds[kind]]])
  return { scalars }
}

export function fft(check: Checker): Attributes {
  check.counts(1, 1)
  const scalars = check.attributes([0, 3])
  const [kind] = scalars
  const [x] = check.inputs
  const [y] = check.outputs
  check.float(x, y)
  const rows = x.shape.length - (kind === FftKind.fromReal ? 1 : 2)
  check.require(rows >= 0, 'a transform of too few dimensions')
  check.rank(rows + (kind === FftKind.toReal ? 1 : 2), y)
  const [given, out] = [x.shape[rows], y.shape[rows]]
  const fit =
    kind === FftKind.fromReal
      ? given >= 1 && out === Math.floor(given / 2) + 1
      : kind === FftKind.toReal
        ? out >= 1 && given === Math.floor(out / 2) + 1
        : given === out
  check.require(fit && sameShape(x.shape.slice(0, rows), y.shape.slice(0, rows)), 'sizes of a transform do not fit')
  check.require(
    (kind === FftKind.fromReal || x.shape[rows + 1] === 2) && (kind === FftKind.toReal || y.shape[rows + 1] === 2),
    'complex numbers are not pairs',
  )
  return { scalars }
}

export function ctc(check: Checker): Attributes {
  check.counts(3, 1)
  const scalars = check.attributes([0, 1], [0, 1])
  const [logProbs, states, lengths] = check.inputs
  const [y] = check.outputs
  check.float(logProbs, y)
  check.rank(3, logProbs)
  check.rank(2, states)
  check.require(states.dtype === 'int32' && lengths.dtype === 'int32', 'states and lengths that are not int32')
  const [steps, n] = logProbs.shape
  check.require(steps > 0 && states.shape[0] === n && states.shape[1] % 2 === 1, 'sizes of an alignment do not fit')
  check.shape(lengths, [n, 2])
  check.shape(y, scalars[0] === CtcKind.loss ? [n] : logProbs.shape)
  return { scalars }
}
