/** The wider field of ops against PyTorch's values: every option, ties, NaN, small and batched matrices. */
import * as cr from '../../src/index.js'
import type { Tensor } from '../../src/index.js'
import { type Case, check, golden, type Inputs, type Options } from '../support/golden.js'

type Result = Tensor | readonly Tensor[]
type Call = (t: Inputs, o: Options) => Result

/** Infinity is text in JSON. */
const number = (x: unknown): number => Number(x === 'inf' ? 'Infinity' : x === '-inf' ? '-Infinity' : x)
const pair = ({ values, indices }: { values: Tensor; indices: Tensor }): Result => [values, indices]
const { dot, outer, corrcoef, trace, take, inverse, det, cholesky, nonzero, hypot, logaddexp, atan2 } = cr
const plain1 = { corrcoef, trace, inverse, det, cholesky, nonzero } as Record<string, (x: Tensor) => Tensor>
const plain2 = { dot, outer, take, hypot, logaddexp, atan2, fmod: cr.fmod, remainder: cr.remainder } as Record<
  string,
  (a: Tensor, b: Tensor) => Tensor
>
for (const name of ['tan', 'asin', 'acos', 'atan', 'sinh', 'cosh', 'asinh', 'acosh', 'atanh', 'exp2', 'log2', 'log10', 'frac'] as const)
  plain1[name] = cr[name] as (x: Tensor) => Tensor
for (const name of ['isnan', 'isinf', 'isfinite', 'fftshift'] as const) plain1[name] = cr[name]

const functions: Record<string, Call> = {
  ...Object.fromEntries(Object.entries(plain1).map(([name, f]): [string, Call] => [name, (t) => f(t.a)])),
  ...Object.fromEntries(Object.entries(plain2).map(([name, f]): [string, Call] => [name, (t) => f(t.a, t.b)])),
  floorDivide: (t) => cr.floorDivide(t.a, t.b),
  lerp: (t, o) => cr.lerp(t.a, t.b, o.weight),
  lerpT: (t) => cr.lerp(t.a, t.b, t.c),
  cumsum: (t, o) => cr.cumsum(t.a, o.dim),
  cumprod: (t, o) => cr.cumprod(t.a, o.dim),
  diff: (t, o) => cr.diff(t.a, o),
  cummax: (t, o) => pair(cr.cummax(t.a, o.dim)),
  cummin: (t, o) => pair(cr.cummin(t.a, o.dim)),
  sort: (t, o) => pair(cr.sort(t.a, o.dim, { descending: o.descending })),
  argsort: (t, o) => cr.argsort(t.a, o.dim, { descending: o.descending }),
  topk: (t, o) => pair(cr.topk(t.a, o.k, o.dim, { largest: o.largest })),
  max: (t, o) => pair(cr.max(t.a, o.dim as number, { keepdim: o.keepdim ?? false })),
  min: (t, o) => pair(cr.min(t.a, o.dim as number, { keepdim: o.keepdim })),
  median: (t, o) => pair(cr.median(t.a, o.dim as number, { keepdim: o.keepdim })),
  medianValues: (t, o) => cr.median(t.a, o.dim as number, { keepdim: o.keepdim }).values,
  kthvalue: (t, o) => pair(cr.kthvalue(t.a, o.k, o.dim, { keepdim: o.keepdim })),
  maxAll: (t) => cr.max(t.a),
  minAll: (t) => cr.min(t.a),
  medianAll: (t) => cr.median(t.a),
  quantile: (t, { q, ...o }) => cr.quantile(t.a, q, o),
  maskedFill: (t, o) => cr.maskedFill(t.a, t.b, number(o.value)),
  normalize: (t, o) => cr.normalize(t.a, o),
  norm: (t, o) => cr.norm(t.a, { p: number(o.p ?? 2), dim: o.dim ?? undefined, keepdim: o.keepdim ?? false }),
  cdist: (t, o) => cr.cdist(t.a, t.b, { p: number(o.p) }),
  histc: (t, o) => cr.histc(t.a, o),
  cosineSimilarity: (t, o) => cr.cosineSimilarity(t.a, t.b, o),
  einsum: (t, o) => cr.einsum(o.equation, ...Object.values(t)),
  pad: (t, o) => cr.pad(t.a, o.pad, { mode: o.mode }),
  flip: (t, o) => cr.flip(t.a, o.dims),
  roll: (t, o) => cr.roll(t.a, o.shifts, o.dims),
  repeat: (t, o) => cr.repeat(t.a, o.repeats),
  tile: (t, o) => cr.tile(t.a, o.repeats),
  repeatInterleave: (t, o) => cr.repeatInterleave(t.a, o.repeats, o.dim),
  chunk: (t, o) => cr.chunk(t.a, o.chunks, o.dim),
  unbind: (t, o) => cr.unbind(t.a, o.dim),
  movedim: (t, o) => cr.movedim(t.a, o.s, o.d),
  diagonal: (t, o) => cr.diagonal(t.a, o),
  diag: (t, o) => cr.diag(t.a, o.k),
  tril: (t, o) => cr.tril(t.a, o.k),
  triu: (t, o) => cr.triu(t.a, o.k),
  scatter: (t, o) => cr.scatter(t.a, t.b, t.c, o.dim),
  scatterAdd: (t, o) => cr.scatterAdd(t.a, t.b, t.c, o.dim),
  scatterReduce: (t, { dim, reduce, includeSelf }) => cr.scatterReduce(t.a, t.b, t.c, dim, reduce, { includeSelf }),
  indexAdd: (t, o) => cr.indexAdd(t.a, t.b, t.c, o.dim),
  indexCopy: (t, o) => cr.indexCopy(t.a, t.b, t.c, o.dim),
  gather: (t, o) => cr.gather(t.a, t.b, o.dim),
  maskedSelect: (t) => cr.maskedSelect(t.a, t.b),
  unique: (t) => {
    const { values, inverse, counts } = cr.unique(t.a, { returnInverse: true, returnCounts: true })
    return [values, inverse, counts]
  },
  bincount: (t, o) => cr.bincount(t.a, { ...o, weights: t.b }),
  any: (t, o) => cr.any(t.a, o),
  all: (t, o) => cr.all(t.a, o),
  cov: (t, o) => cr.cov(t.a, o),
  std: (t, o) => cr.std(t.a, o),
  variance: (t, o) => cr.variance(t.a, o),
  solve: (t) => cr.solve(t.a, t.b),
  solveTriangular: (t, o) => cr.solveTriangular(t.a, t.b, o),
  slogdet: (t) => Object.values(cr.slogdet(t.a)),
  logabsdet: (t) => cr.slogdet(t.a).logabsdet,
  qr: (t) => Object.values(cr.qr(t.a)),
  svdvals: (t) => cr.svd(t.a).S,
  svdproj: (t) => {
    const { U, S, Vh } = cr.svd(t.a)
    return cr.matmul(cr.mul(U.narrow(1, 0, 2), S.narrow(0, 0, 2).tanh()), Vh.narrow(0, 0, 2))
  },
  eigvals: (t) => cr.eigh(t.a.add(t.a.transpose())).eigenvalues,
  eighproj: (t) => {
    const { eigenvalues, eigenvectors } = cr.eigh(t.a.add(t.a.transpose()))
    return eigenvectors.mul(eigenvalues.tanh()).matmul(eigenvectors.transpose())
  },
  pinverse: (t) => cr.pinverse(t.a),
  lstsq: (t) => cr.lstsq(t.a, t.b),
  fft: (t, o) => cr.fft(t.a, o.dim === -2 ? { ...o, dim: -2 } : o),
  ifft: (t, o) => cr.ifft(t.a, o),
  rfft: (t, o) => cr.rfft(t.a, o),
  irfft: (t, o) => cr.irfft(t.a, o),
  fftfreq: (_t, o) => cr.fftfreq(o.n, 0.5),
  rfftfreq: (_t, o) => cr.rfftfreq(o.n, 0.5),
  searchsorted: (t, o) => cr.searchsorted(t.a, t.b, o),
  at: (t, { pattern }) => {
    const tensors = [t.b, t.c]
    const parts: Record<string, number | null | [number, number]> = { ':': null, s: [1, 3], '1': 1 }
    return t.a.at(...[...(pattern as string)].map((c) => (c in parts ? parts[c] : (tensors.shift() as Tensor))))
  },
  stft: (t, o) => cr.stft(t.a, 8, { ...o, window: cr.hannWindow(8) }),
  istft: (t, o) => cr.istft(t.a, 8, { ...o, window: cr.hannWindow(8) }),
  istftPlain: (t, o) => cr.istft(t.a, 7, o),
  hamming: () => cr.hammingWindow(9),
  hannSymmetric: () => cr.hannWindow(9, { periodic: false }),
  interpolate: (t, o) => cr.interpolate(t.a, o),
  clamp: (t) => cr.clamp(t.a, t.b, t.c),
  concat: (t, o) => cr.concat(Object.values(t), o.dim),
  sum: (t, o) => cr.sum(t.a, o),
  amax: (t, o) => cr.amax(t.a, o),
  prod: (t, o) => cr.prod(t.a, o),
  logsumexp: (t, o) => cr.logsumexp(t.a, o),
  argmax: (t, o) => cr.argmax(t.a, o.dim),
  prodCurvature: (t, o) => cr.grad((x) => cr.grad((y) => cr.prod(y, o).sum())(x).mul(t.b).sum())(t.a),
  nanToNum: (t, o) => cr.nanToNum(t.a, o),
}

/** Where float32 itself loses more: steep functions and badly conditioned matrices. */
const loose = /solve|tri|inverse|det|lstsq|pinv|svd|eig|qr|cholesky|norm/

function checkOp(c: Case): void {
  check(c, loose.test(c.name) ? 4e-6 : 2e-6, (t) => {
    const result = functions[c.op](t, c.options)
    const list: readonly Tensor[] = Array.isArray(result) ? result : [result as Tensor]
    return Object.fromEntries(list.map((x, i) => [`out${i}`, x]))
  })
}

golden('ops-options', checkOp)
golden('ops-further', checkOp)
golden('ops-corners', checkOp)
