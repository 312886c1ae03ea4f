/** Ops against PyTorch's values. */
import * as cr from '../../src/index.js'
import type { Tensor } from '../../src/index.js'
import { type Case, check, golden, type Inputs, type Options, one } from '../support/golden.js'

const binary = (f: (a: Tensor, b: Tensor) => Tensor) => (t: Inputs) => f(t.a, t.b)
const unary = (f: (x: Tensor) => Tensor) => (t: Inputs) => f(t.x)
const dims = (o: Options) => ({ dim: o.dim ?? undefined, keepdim: o.keepdim })

const functions: Record<string, (t: Inputs, o: Options) => Tensor> = {
  add: binary(cr.add),
  sub: binary(cr.sub),
  mul: binary(cr.mul),
  div: binary(cr.div),
  maximum: binary(cr.maximum),
  minimum: binary(cr.minimum),
  pow: (t, o) => cr.pow(t.a, t.b ?? o.exponent),
  exp: unary(cr.exp),
  log: unary(cr.log),
  sqrt: unary(cr.sqrt),
  rsqrt: unary(cr.rsqrt),
  abs: unary(cr.abs),
  neg: unary(cr.neg),
  square: unary(cr.square),
  sin: unary(cr.sin),
  cos: unary(cr.cos),
  reciprocal: unary(cr.reciprocal),
  erf: unary(cr.erf),
  log1p: unary(cr.log1p),
  expm1: unary(cr.expm1),
  clamp: (t, o) => cr.clamp(t.x, o.min, o.max),
  matmul: (t, o) => (o.note === undefined ? t.a : t.a.transpose()).matmul(t.b),
  sum: (t, o) => cr.sum(t.x, dims(o)),
  mean: (t, o) => cr.mean(t.x, dims(o)),
  amax: (t, o) => cr.amax(t.x, dims(o)),
  amin: (t, o) => cr.amin(t.x, dims(o)),
  logsumexp: (t, o) => cr.logsumexp(t.x, dims(o)),
  var: (t, o) => cr.variance(t.x, o),
  std: (t, o) => cr.std(t.x, o),
  prod: (t, o) => cr.prod(t.x, dims(o)),
  norm: unary(cr.norm),
  argmax: (t, o) => cr.argmax(t.x, o.dim),
  cat: (t, o) => cr.concat(o.note === undefined ? [t.a, t.b] : [t.a, t.b, t.a], o.dim),
  stack: (t, o) => cr.stack([t.a, t.b], o.dim),
  transpose: (t, o) => t.x.transpose(...(o.dims as [number, number])),
  permute: (t, o) => t.x.permute(o.dims),
  slice: (t, o) => t.x.slice(o.dim, o.start, o.end, o.step),
  gather: (t, o) => t.x.gather(t.index, o.dim),
  index_select: (t, o) => t.x.indexSelect(t.index, o.dim),
  where: (t) => cr.where(t.cond, t.a, t.b),
  expand: (t, o) => t.x.expand(o.shape),
  pad: (t, o) => t.x.pad(o.pad, { mode: o.mode, value: o.value }),
  tan: unary(cr.tan),
  atan: unary(cr.atan),
  sinh: unary(cr.sinh),
  cosh: unary(cr.cosh),
  cumsum: (t, o) => cr.cumsum(t.x, o.dim),
  masked_fill: (t, o) => cr.maskedFill(t.x, t.mask, o.value),
  normalize: (t, o) => cr.normalize(t.x, o),
  cosine_similarity: (t, o) => cr.cosineSimilarity(t.a, t.b, o),
  einsum: (t, o) => cr.einsum(o.equation, t.a, t.b),
  graph: ({ x }) => x.mul(x).add(x.exp()).mul(x.sum()),
}

golden('ops', (c: Case) => check(c, 2e-6, (t) => c.op === 'topk' ? { ...cr.topk(t.x, c.options.k, c.options.dim) } : one(functions[c.op](t, c.options))))
