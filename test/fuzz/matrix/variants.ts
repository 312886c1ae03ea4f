/**
 * Structured ops with small sizes, in which each dimension of the result is 1 once and more than 1 once. What is fused in front of an op and
 * behind it goes through its strides, and strides of dimensions of size 1 mean nothing: here is where such code goes wrong.
 */

export interface Operand {
  readonly shape: readonly number[]
  /** Whole numbers below this, else floats. */
  readonly below?: number
}

/** One op: operands, and code in which they are `$0`, `$1`. Work in front goes to the first operand. */
export interface Variant {
  readonly operands: readonly Operand[]
  readonly code: string
}

const f = (...shape: number[]): Operand => ({ shape })
const v = (code: string, ...operands: Operand[]): Variant => ({ code, operands })

/** All ways to take one number of each list. */
function product(...lists: readonly (readonly number[])[]): number[][] {
  return lists.reduce<number[][]>((all, list) => all.flatMap((head) => list.map((x) => [...head, x])), [[]])
}

const products = product([1, 5], [1, 7], [1, 9]).flatMap(([m, k, n]) => [
  v('$0.matmul($1)', f(m, k), f(k, n)),
  v('$0.matmul($1.transpose())', f(m, k), f(n, k)),
  v('$0.transpose().matmul($1)', f(k, m), f(k, n)),
  v('$0.transpose().matmul($1.transpose())', f(k, m), f(n, k)),
  v('$0.matmul($1)', f(2, m, k), f(k, n)),
  v('$0.matmul($1)', f(2, m, k), f(2, k, n)),
  v('$0.matmul($1)', f(m, k), f(3, k, n)),
  v('$0.matmul($1)', f(k), f(k, n)),
  v('$0.matmul($1)', f(m, k), f(k)),
  v('$0.matmul($1.transpose(-1, -2))', f(2, 1, m, k), f(1, 3, n, k)),
])

const large = [
  v('$0.matmul($1)', f(13, 19), f(19, 34)),
  v('$0.matmul($1.transpose())', f(33, 8), f(17, 8)),
  v('$0.transpose().matmul($1)', f(40, 12), f(40, 16)),
  v('cr.conv2d($0, $1, { padding: 1 })', f(1, 8, 6, 9), f(16, 8, 3, 3)),
  v('cr.conv2d($0, $1, { padding: 1 })', f(1, 9, 1, 18), f(8, 9, 3, 3)),
  v('cr.conv2d($0, $1)', f(2, 16, 2, 17), f(17, 16, 1, 1)),
]

const images = product([1, 2], [1, 4], [1, 3], [1, 5]).flatMap(([n, o, h, w]) => [
  v('cr.conv2d($0, $1)', f(n, 2, h, w), f(o, 2, 1, 1)),
  v('cr.conv2d($0, $1, { padding: 1 })', f(n, 3, h, w), f(o, 3, 3, 3)),
  v('cr.conv2d($0, $1, { padding: 1 })', f(n, 8, h, w), f(2 * o, 8, 3, 3)),
  v('cr.conv2d($0, $1, { stride: 2 })', f(n, 2, 2 * h, 2 * w), f(o, 2, 2, 2)),
  v('cr.conv2d($0, $1, { padding: 2, dilation: 2 })', f(n, 1, h, w), f(o, 1, 3, 3)),
  v(`cr.conv2d($0, $1, { padding: 1, groups: ${o} })`, f(n, o, h, w), f(o, 1, 3, 3)),
  v('cr.conv2d($0, $1, { groups: 2 })', f(n, 4, h, w), f(2 * o, 2, 1, 1)),
  v(`cr.conv2d($0, $1, { stride: [1, ${w + 1}] })`, f(n, 1, h + 1, w + 1), f(o, 1, 2, w + 1)),
  v('cr.convTranspose2d($0, $1, { stride: 2 })', f(n, 2, h, w), f(2, o, 2, 2)),
  v('cr.convTranspose2d($0, $1, { padding: 1 })', f(n, 3, h, w), f(3, o, 3, 3)),
  v('cr.convTranspose2d($0, $1, { groups: 2 })', f(n, 2, h, w), f(2, o, 1, 1)),
  v('cr.maxPool2d($0, 3, { stride: 1, padding: 1 })', f(n, o, h, w)),
  v('cr.maxPool2d($0, 2)', f(n, o, 2 * h, 2 * w)),
  v('cr.avgPool2d($0, 3, { stride: 1, padding: 1 })', f(n, o, h, w)),
  v('cr.avgPool2d($0, 2)', f(n, o, 2 * h, 2 * w)),
  // of one number a channel there is no variance
  ...(n * h * w > 1 ? [v('cr.batchNorm($0, { training: true })', f(n, o, h, w))] : []),
  v('cr.groupNorm($0, 1)', f(n, o, h, w)),
  v('cr.interpolate($0, { scaleFactor: 2 })', f(n, o, h, w)),
])

const lines = product([1, 2], [1, 4], [1, 6]).flatMap(([n, o, w]) => [
  v('cr.conv1d($0, $1)', f(n, 2, w), f(o, 2, 1)),
  v('cr.conv1d($0, $1, { padding: 1 })', f(n, 3, w), f(o, 3, 3)),
  v('cr.conv1d($0, $1, { stride: 2 })', f(n, 3, 2 * w), f(o, 3, 2)),
  v(`cr.conv1d($0, $1, { padding: 1, groups: ${o} })`, f(n, o, w), f(o, 1, 3)),
  v('cr.convTranspose1d($0, $1, { stride: 2 })', f(n, 2, w), f(2, o, 2)),
  v('cr.convTranspose1d($0, $1, { padding: 1 })', f(n, 2, w), f(2, o, 3)),
  v('cr.maxPool1d($0, 2)', f(n, o, 2 * w)),
  v('cr.avgPool1d($0, 3, { stride: 1, padding: 1 })', f(n, o, w)),
])

const volumes = product([1, 3], [1, 2], [1, 3], [1, 4]).flatMap(([o, d, h, w]) => [
  v('cr.conv3d($0, $1, { padding: [0, 1, 1] })', f(1, 2, d, h, w), f(o, 2, 1, 3, 3)),
  v('cr.convTranspose3d($0, $1, { stride: 2 })', f(1, 2, d, h, w), f(2, o, 2, 2, 2)),
  v('cr.maxPool3d($0, 2)', f(1, o, 2 * d, 2 * h, 2 * w)),
  v('cr.avgPool3d($0, 3, { stride: 1, padding: 1 })', f(1, o, d, h, w)),
])

const rows = product([1, 3], [1, 4], [1, 9]).flatMap(([a, b, c]) => [
  ...['sum', 'mean', 'amax', 'prod', 'norm'].flatMap((name) =>
    [
      '{ dim: -1 }',
      '{ dim: -1, keepdim: true }',
      '{ dim: 0 }',
      '{ dim: 1, keepdim: true }',
      '{ dim: [0, 2] }',
      '{ dim: [0, 1], keepdim: true }',
      '{}',
    ].map((how) => v(`cr.${name}($0, ${how})`, f(a, b, c))),
  ),
  ...['softmax', 'logSoftmax', 'cumsum'].flatMap((name) => [-1, 0, 1].map((dim) => v(`cr.${name}($0, ${dim})`, f(a, b, c)))),
  ...[-1, 1].map((dim) => v(`cr.argmax($0, ${dim}).to('float32')`, f(a, b, c))),
  v('cr.linearRecurrence($0.sigmoid(), $1, -1)', f(a, b, c), f(a, b, c)),
  v('cr.linearRecurrence($0.sigmoid(), $1, 0)', f(a, b, c), f(a, b, c)),
  v(`cr.layerNorm($0, [${c}])`, f(a, b, c)),
  v(`cr.layerNorm($0, [${b}, ${c}])`, f(a, b, c)),
  v(`cr.layerNorm($0, [${c}], { weight: $1, bias: $2 })`, f(a, b, c), f(c), f(c)),
  v(`cr.rmsNorm($0, [${c}], { weight: $1 })`, f(a, b, c), f(c)),
  ...(a * c > 1 ? [v('cr.batchNorm($0, { training: true, weight: $1, bias: $2 })', f(a, b, c), f(b), f(b))] : []),
  v('cr.sort($0, -1).values', f(a, b, c)),
  v('cr.sort($0, 0).values', f(a, b, c)),
  v('cr.indexSelect($0, $1, 1)', f(a, b, c), { shape: [3], below: b }),
  v('cr.gather($0, $1, -1)', f(a, b, c), { shape: [a, b, 2], below: c }),
  v('cr.gather($0, $1, 0)', f(a, b, c), { shape: [2, b, c], below: a }),
  v('cr.scatterAdd($0, $1, $2, 1)', f(a, b, c), { shape: [a, 5, c], below: b }, f(a, 5, c)),
  v('cr.concat([$0, $1], 1)', f(a, b, c), f(a, 2, c)),
  v('$0.pad([1, 2])', f(a, b, c)),
])

const sequences = product([1, 3], [1, 2], [1, 5]).flatMap(([t, b, h]) => [
  v("caseOf('recurrent lstm')($0, $1)", f(t, b, 4 * h), f(4 * h, h)),
  v("caseOf('recurrent gru')($0, $1, $2)", f(t, b, 3 * h), f(3 * h, h), f(3 * h)),
  v("caseOf('recurrent tanh')($0, $1)", f(t, b, h), f(h, h)),
])

const attentions = product([1, 2], [1, 5], [1, 6], [1, 4]).flatMap(([h, l, s, e]) => [
  v('cr.scaledDotProductAttention($0, $1, $2)', f(2, h, l, e), f(2, h, s, e), f(2, h, s, e)),
  v('cr.scaledDotProductAttention($0, $1, $2, { isCausal: true })', f(1, h, l, e), f(1, h, s, e), f(1, h, s, 3)),
])

export const variants: readonly Variant[] = [products, large, images, lines, volumes, rows, sequences, attentions].flat()
