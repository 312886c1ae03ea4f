/** Scaled dot-product attention: plain, causal, masked, with shared heads. */
import { scaledDotProductAttention, type Tensor, zeros } from '../../src/index.js'
import { type Bad, bools, type Case, op, real } from '../support/cases.js'

const t = (...shape: number[]): Tensor => zeros(shape)
const bad = (what: string, call: () => unknown): Bad => [what, call]

/** Shapes of queries, keys and values. */
const qkv = (lead: number[], rows: number, keys: number, size: number, width = size): number[][] => [
  [...lead, rows, size],
  [...lead, keys, size],
  [...lead, keys, width],
]

const some = [
  qkv([2, 2], 3, 4, 5),
  qkv([1, 1], 1, 1, 1),
  qkv([2], 7, 9, 8, 3),
  qkv([], 5, 6, 16),
  qkv([1, 3], 65, 130, 33, 17),
  qkv([2, 1], 1, 129, 8),
  qkv([1, 2], 67, 3, 7),
  qkv([0, 2], 3, 3, 2),
  qkv([2, 2], 0, 3, 2),
]

const refused: Bad[] = [
  bad('sizes', () => scaledDotProductAttention(t(2, 3), t(2, 4), t(2, 4))),
  bad('keys and values', () => scaledDotProductAttention(t(2, 3), t(4, 3), t(5, 3))),
  bad('rank', () => scaledDotProductAttention(t(3), t(3), t(3))),
  bad('int32', () => scaledDotProductAttention(t(2, 3).to('int32'), t(2, 3).to('int32'), t(2, 3).to('int32'))),
  bad('float types', () => scaledDotProductAttention(t(2, 3).to('float64'), t(2, 3), t(2, 3))),
  bad('heads', () => scaledDotProductAttention(t(1, 4, 2, 3), t(1, 2, 2, 3), t(1, 2, 2, 3))),
  bad('shared heads', () => scaledDotProductAttention(t(1, 4, 2, 3), t(1, 3, 2, 3), t(1, 3, 2, 3), { enableGqa: true })),
  bad('mask', () => scaledDotProductAttention(t(2, 3), t(4, 3), t(4, 3), { attnMask: t(2, 3) })),
  bad('mask with more dimensions', () => scaledDotProductAttention(t(2, 3), t(4, 3), t(4, 3), { attnMask: t(5, 2, 4) })),
  bad('mask of int32', () => scaledDotProductAttention(t(2, 3), t(4, 3), t(4, 3), { attnMask: t(2, 4).to('int32') })),
  bad('causal with a mask', () => scaledDotProductAttention(t(2, 3), t(2, 3), t(2, 3), { isCausal: true, attnMask: t(2, 2) })),
  bad('dropout', () => scaledDotProductAttention(t(2, 3), t(2, 3), t(2, 3), { dropoutP: 1.5 })),
]

const masked = (shape: (rows: number, keys: number, lead: number[]) => number[]): number[][][] =>
  some.map(([q, k, v]) => [q, k, v, shape(q[q.length - 2], k[k.length - 2], q.slice(0, -2))])

const options = { tolerance: 5e-5, large: qkv([3, 3], 67, 67, 33) }

export const attentionCases: readonly Case[] = [
  op('scaledDotProductAttention', [real, real, real], some, (q, k, v) => scaledDotProductAttention(q, k, v), { ...options, bad: refused }),
  op(
    'scaledDotProductAttention, causal',
    [real, real, real],
    some,
    (q, k, v) => scaledDotProductAttention(q, k, v, { isCausal: true, scale: 0.7 }),
    options,
  ),
  op(
    'scaledDotProductAttention, bool mask',
    [real, real, real, bools],
    masked((rows, keys) => [rows, keys]),
    (q, k, v, attnMask) => scaledDotProductAttention(q, k, v, { attnMask }),
    { tolerance: 5e-5, accepts: (x) => x === undefined },
  ),
  op(
    'scaledDotProductAttention, mask of keys',
    [real, real, real, bools],
    masked((_rows, keys, lead) => [...lead.slice(0, 1), ...lead.slice(1).map(() => 1), 1, keys]),
    (q, k, v, attnMask) => scaledDotProductAttention(q, k, v, { attnMask }),
    { tolerance: 5e-5, accepts: (x) => x === undefined },
  ),
  op(
    'scaledDotProductAttention, added mask',
    [real, real, real, real],
    masked((rows, keys) => [rows, keys]),
    (q, k, v, attnMask) => scaledDotProductAttention(q, k, v, { attnMask }),
    { tolerance: 5e-5, accepts: (x) => x === undefined },
  ),
  op(
    'scaledDotProductAttention, shared heads',
    [real, real, real],
    [
      [
        [2, 4, 3, 5],
        [2, 2, 4, 5],
        [2, 2, 4, 5],
      ],
      [
        [1, 6, 5, 8],
        [1, 1, 7, 8],
        [1, 2, 7, 3],
      ],
    ],
    (q, k, v) => scaledDotProductAttention(q, k, v, { enableGqa: true }),
    { tolerance: 5e-5 },
  ),
]
