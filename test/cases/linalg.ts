/** Linear algebra and Fourier transforms, one line each. */

import type { Tensor } from '../../src/index.js'
import * as cr from '../../src/index.js'
import { type Bad, type Case, op, real } from '../support/cases.js'

const t = (shape: number[], dtype: 'float32' | 'int32' = 'float32'): Tensor => cr.zeros(shape, { dtype })
const bad = (what: string, call: () => unknown): Bad => [what, call]
const loose = { tolerance: 1e-4 }
const squares = [[[3, 3]], [[1, 1]], [[2, 4, 4]], [[0, 0]], [[0, 2, 2]], [[7, 7]]]
/** Far from singular. */
const regular = (x: Tensor): Tensor => cr.add(x, cr.eye(x.shape?.at(-1) ?? 0, undefined, { dtype: x.dtype }).mul(6))
/** Symmetric and positive definite. */
const positive = (x: Tensor): Tensor => regular(cr.matmul(x, cr.transpose(x)))
const spread = (x: Tensor): Tensor => cr.add(cr.add(x, cr.transpose(x)), cr.diag(cr.mul(cr.arange(x.shape[0]), 5).to(x.dtype)))
const singular = (): Tensor => cr.ones([2, 3, 3])

// biome-ignore format: one line a case
const linalg: Case[] = [
  op('solve', [real, real], [[[3, 3], [3, 2]], [[2, 4, 4], [4, 3]], [[4, 4], [2, 4, 1]], [[0, 0], [0, 2]], [[3, 3], [3, 0]], [[9, 9], [9, 5]]], (a, b) => cr.solve(regular(a), b), { ...loose, large: [[13, 17, 17], [13, 17, 5]], bad: [bad('singular', () => cr.solve(singular(), t([3, 1]))), bad('singular, compiled', () => cr.compile(() => cr.solve(singular(), t([3, 1]))).sync()), bad('not square', () => cr.solve(t([2, 3]), t([2, 1]))), bad('sizes', () => cr.solve(t([2, 2]), t([3, 1]))), bad('int32', () => cr.solve(t([2, 2], 'int32'), t([2, 1], 'int32')))] }),
  op('solve for a vector', [real, real], [[[3, 3], [3]], [[2, 4, 4], [2, 4]]], (a, b) => cr.solve(regular(a), b), loose),
  op('solveTriangular', [real, real], [[[3, 3], [3, 2]], [[2, 4, 4], [2, 4, 1]]], (a, b) => cr.solveTriangular(regular(a), b), { ...loose, bad: [bad('singular', () => cr.solveTriangular(t([2, 2]), t([2, 1])))] }),
  op('solveTriangular, upper', [real, real], [[[3, 3], [3, 2]]], (a, b) => cr.solveTriangular(regular(a), b, { upper: true }), loose),
  op('solveTriangular, ones', [real, real], [[[3, 3], [3, 2]]], (a, b) => cr.solveTriangular(a, b, { upper: true, unitriangular: true }), loose),
  op('inverse', [real], squares, (a) => cr.inverse(regular(a)), { ...loose, bad: [bad('singular', () => cr.inverse(singular())), bad('zeros', () => cr.inverse(t([2, 2]))), bad('vector', () => cr.inverse(t([3])))] }),
  op('cholesky', [real], squares, (a) => cr.cholesky(positive(a)), { ...loose, bad: [bad('indefinite', () => cr.cholesky(cr.neg(cr.eye(3)))), bad('not square', () => cr.cholesky(t([2, 3])))] }),
  op('det', [real], squares, (a) => cr.det(a), { ...loose, bad: [bad('not square', () => cr.det(t([2, 3])))] }),
  op('slogdet', [real], [[[3, 3]], [[2, 4, 4]]], (a) => cr.slogdet(a).logabsdet, loose),
  op('qr, Q', [real], [[[5, 3]], [[3, 3]], [[2, 4, 2]]], (a) => cr.qr(a).Q, { ...loose, bad: [bad('vector', () => cr.qr(t([3])))] }),
  op('qr, R', [real], [[[5, 3]], [[3, 3]], [[1, 1]], [[0, 2]]], (a) => cr.qr(a).R, loose),
  op('qr of wide matrices', [real], [[[3, 5]], [[2, 2, 7]]], (a) => cr.qr(a).R, { ...loose, gradient: false }),
  op('svd, S', [real], [[[4, 3]], [[3, 5]], [[2, 3, 3]], [[1, 1]]], (a) => cr.svd(a).S, loose),
  op('svd, U', [real], [[[4, 3]], [[3, 3]]], (a) => cr.svd(a).U, { tolerance: 1e-3 }),
  op('svd, Vh', [real], [[[3, 4]], [[3, 3]]], (a) => cr.svd(a).Vh, { tolerance: 1e-3 }),
  op('eigh, values', [real], [[[3, 3]], [[1, 1]], [[5, 5]]], (a) => cr.eigh(spread(a)).eigenvalues, loose),
  op('eigh, vectors', [real], [[[3, 3]], [[4, 4]]], (a) => cr.eigh(spread(a)).eigenvectors, { tolerance: 1e-3 }),
  op('pinverse', [real], [[[4, 3]], [[3, 4]]], (a) => cr.pinverse(a), { tolerance: 1e-3 }),
  op('lstsq', [real, real], [[[5, 3], [5, 2]]], (a, b) => cr.lstsq(cr.add(a, cr.mul(cr.eye(5, 3, { dtype: a.dtype }), 4)), b), { tolerance: 1e-3, bad: [bad('wide', () => cr.lstsq(t([2, 3]), t([2, 1])))] }),
]

const points = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 19, 30, 38, 64, 77, 100]

// biome-ignore format: one line a case
const fourier: Case[] = [
  op('fft', [real], points.map((n) => [[2, n, 2]]), (x) => cr.fft(x), { large: [[37, 1000, 2]], bad: [bad('pairs', () => cr.fft(t([4]))), bad('three parts', () => cr.fft(t([4, 3]))), bad('nothing', () => cr.fft(t([0, 2]))), bad('n', () => cr.fft(t([4, 2]), { n: 0 })), bad('norm', () => cr.fft(t([4, 2]), { norm: 'x' as 'ortho' })), bad('int32', () => cr.fft(t([4, 2], 'int32')))] }),
  op('ifft', [real], points.map((n) => [[n, 2]]), (x) => cr.ifft(x)),
  op('fft along the first dimension', [real], [[[4, 3, 2]], [[6, 2, 2]]], (x) => cr.fft(x, { dim: 0, norm: 'ortho' })),
  op('fft of more points', [real], [[[3, 2]]], (x) => cr.fft(x, { n: 8, norm: 'forward' })),
  op('fft of fewer points', [real], [[[7, 2]]], (x) => cr.fft(x, { n: 4 })),
  op('rfft', [real], points.map((n) => [[2, n]]), (x) => cr.rfft(x), { large: [[37, 1024]], bad: [bad('scalar', () => cr.rfft(t([]))), bad('nothing', () => cr.rfft(t([0])))] }),
  op('rfft along the first dimension', [real], [[[5, 3]]], (x) => cr.rfft(x, { dim: 0 })),
  op('irfft', [real], [2, 3, 4, 5, 9, 14, 17, 22, 34].map((n) => [[2, n, 2]]), (x) => cr.irfft(x), { bad: [bad('nothing', () => cr.irfft(t([1, 2]))), bad('pairs', () => cr.irfft(t([4])))] }),
  op('irfft to an odd number', [real], [[[4, 2]]], (x) => cr.irfft(x, { n: 7 })),
  op('irfft along the first dimension', [real], [[[5, 3, 2]]], (x) => cr.irfft(x, { dim: 0, n: 5 })),
  op('stft', [real], [[[2, 32]], [[17]]], (x) => cr.stft(x, 8, { hopLength: 3, window: cr.hannWindow(8).to(x.dtype) }), { bad: [bad('scalar', () => cr.stft(t([]), 4)), bad('short', () => cr.stft(t([4]), 8, { center: false })), bad('reflected', () => cr.stft(t([3]), 8)), bad('window', () => cr.stft(t([9]), 4, { window: t([3]) })), bad('hop', () => cr.stft(t([9]), 4, { hopLength: 0 })), bad('frame', () => cr.stft(t([9]), 0))] }),
  op('istft', [real], [[[2, 5, 6, 2]], [[5, 3, 2]]], (x) => cr.istft(x, 8, { hopLength: 2, window: cr.hannWindow(8).to(x.dtype) }), { bad: [bad('rank', () => cr.istft(t([5, 2]), 8)), bad('bins', () => cr.istft(t([4, 3, 2]), 8)), bad('real', () => cr.istft(t([5, 3]), 8)), bad('length', () => cr.istft(t([5, 3, 2]), 8, { length: 0 })), bad('uncovered', () => cr.istft(t([5, 3, 2]), 8, { center: false, window: cr.hannWindow(8) })), bad('only padding', () => cr.istft(t([5, 1, 2]), 8))] }),
  op('istft to a length', [real], [[[4, 7, 2]]], (x) => cr.istft(x, 7, { hopLength: 3, length: 25, normalized: true, center: false })),
  op('stft, not centred', [real], [[[2, 21]]], (x) => cr.stft(x, 8, { center: false, normalized: true })),
  op('power of a spectrum', [real], [[[3, 12]]], (x) => cr.sum(cr.square(cr.rfft(x)), { dim: -1 })),
]

export const algebra: readonly Case[] = [...linalg, ...fourier]
