/**
 * Factorizations of matrices larger than a block, and of matrices without full rank: the factors multiply to what was factorized, in float64, on every
 * instruction set; the same bits with any number of threads.
 */
import { describe, expect, it } from 'vitest'
import { cholesky, eigh, eye, full, inverse, manualSeed, matmul, qr, randn, solve, svd, type Tensor, zeros } from '../src/index.js'
import { eachIsa, eachThreadCount, hasNative } from './support/backends.js'

const wide = (t: Tensor): Tensor => t.to('float64')
const t = (x: Tensor): Tensor => x.transpose()

/** The greatest difference, relative to the greatest number of `b`. */
function distance(a: Tensor, b: Tensor): number {
  const scale = Math.max(1e-300, wide(b).abs().max().item())
  return wide(a).sub(wide(b)).abs().max().item() / scale
}
const product = (a: Tensor, b: Tensor): Tensor => matmul(wide(a), wide(b))
const orthonormal = (columns: Tensor): number => distance(product(t(columns), columns), eye(columns.shape[1]))

function checkSvd(a: Tensor): Tensor {
  const { U, S, Vh } = svd(a)
  expect(distance(product(wide(U).mul(wide(S)), Vh), a)).toBeLessThan(3e-7)
  expect(Math.max(orthonormal(U), orthonormal(t(Vh)))).toBeLessThan(3e-7)
  const values = [...S.data]
  expect(values).toEqual([...values].sort((x, y) => y - x))
  return U
}

describe.skipIf(!hasNative)('large matrices', () => {
  it.each([31, 33, 66, 130])('of %i rows are factorized on every instruction set', (n) => {
    manualSeed(n)
    const a = randn([n, n])
    const positive = matmul(a, t(a)).add(eye(n).mul(n))
    eachIsa(() => {
      const l = cholesky(positive)
      expect(distance(product(l, t(l)), positive)).toBeLessThan(3e-7)
      const b = randn([n, 7])
      expect(distance(product(a, solve(a, b)), b)).toBeLessThan(1e-3)
      expect(distance(product(positive, inverse(positive)), eye(n))).toBeLessThan(1e-6)
      for (const shape of [
        [n, n],
        [n + 9, n],
        [n, n + 40],
      ]) {
        const m = randn(shape)
        const { Q, R } = qr(m)
        expect(distance(product(Q, R), m)).toBeLessThan(3e-7)
        expect(orthonormal(Q)).toBeLessThan(3e-7)
        checkSvd(m)
      }
      const { eigenvalues, eigenvectors } = eigh(positive)
      expect(distance(product(wide(eigenvectors).mul(wide(eigenvalues)), t(eigenvectors)), positive)).toBeLessThan(3e-7)
      expect(orthonormal(eigenvectors)).toBeLessThan(3e-7)
    })
  })

  it('have orthonormal vectors without full rank, and with values of very different size', () => {
    eachIsa(() => {
      checkSvd(matmul(randn([80, 9]), randn([9, 70])))
      checkSvd(zeros([70, 70]))
      checkSvd(randn([90, 70]).mul(full([70], 0.5).pow(full([70], 1).cumsum(0))))
      const { eigenvectors } = eigh(full([70, 70], 1))
      expect(orthonormal(eigenvectors)).toBeLessThan(3e-7)
    })
  })

  it('hand on NaN, and end', () => {
    const a = eye(70).add(full([70, 70], Number.NaN))
    expect(svd(a).S.data[69]).toBeNaN()
    expect(eigh(a).eigenvalues.data[0]).toBeNaN()
    expect(qr(a).R.data[69]).toBeNaN()
  })

  it('give the same bits with any number of threads', () => {
    manualSeed(1)
    const a = randn([150, 150])
    const first: Float32Array[] = []
    eachThreadCount(() => {
      const { U, S } = svd(a)
      const results = [U, S, qr(a).Q, inverse(a), cholesky(matmul(a, t(a))), eigh(a).eigenvectors].map((x) => x.data as Float32Array)
      results.forEach((x, i) => void expect(x).toEqual((first[i] ??= Float32Array.from(x))))
    })
  })
})
