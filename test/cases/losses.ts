/** Losses, one line each. */
import { concat, losses, type Tensor, zeros } from '../../src/index.js'
import { bools, type Case, ints, op, positive, real, smooth, within } from '../support/cases.js'

const t = (shape: number[], dtype: 'float32' | 'int32' = 'float32'): Tensor => zeros(shape, { dtype })
const pair = (...shape: number[]): number[][] => [shape, shape]
const pairs = [pair(3, 4), pair(7), pair(2, 3, 5), pair(1, 33)]
const rows = [
  [[3, 4], [3]],
  [[5, 9], [5]],
  [[4], []],
]
/** Targets of ±1, made of bools. */
const sign = (b: Tensor): Tensor => b.to('int32').mul(2).sub(1)
/** Boxes of a corner and positive sizes. */
const box = (b: Tensor): Tensor => {
  const corner = b.narrow(-1, 0, 2)
  return concat([corner, corner.add(b.narrow(-1, 2, 2).abs()).add(0.5)], -1)
}
const fill = (n: number, value: number): number[] => new Array<number>(n).fill(value)
const none = { reduction: 'none' } as const
const option = (call: (options: object) => unknown, options: object): [string, () => unknown] => [
  JSON.stringify(options),
  () => call(options),
]
const shapes = (call: (a: Tensor, b: Tensor) => unknown): [string, () => unknown] => ['shapes', () => call(t([2, 3]), t([3]))]
const { crossEntropy, klDiv, multiMarginLoss, focalLoss } = losses

// biome-ignore format: one line a case
export const lossCases: Case[] = [
  op('crossEntropy', [real, ints(0, 3)], [[[3, 4], [3]], [[5, 9], [5]], [[2, 4, 3], [2, 3]]], (x, y) => crossEntropy(x, y), { large: [[129, 67], [129]], accepts: Array.isArray }),
  op('klDiv', [real, positive], pairs, (x, y) => klDiv(x, y), { bad: [shapes(klDiv), ['negative', () => klDiv(t([2]), t([2]).sub(1))], option((o) => klDiv(t([2]), t([2]), o), { reduction: 'x' })] }),
  op('klDiv, batchmean of logarithms', [real, real], pairs, (x, y) => klDiv(x, y, { reduction: 'batchmean', logTarget: true })),
  op('ctcLoss', [real, ints(1, 4)], [[[7, 3, 5], [3, 4]], [[5, 1, 6], [1, 2]], [[6, 2, 5], [2, 0]]], (x, y) => losses.ctcLoss(x.logSoftmax(2), y, fill(x.shape[1], x.shape[0]), fill(x.shape[1], y.shape[1] - (y.shape[1] > 2 ? 2 : 0)), { zeroInfinity: true, ...none }), { gradient: false, accepts: (x) => Array.isArray(x), tolerance: 1e-4 }),
  op('cosineEmbeddingLoss', [real, real, bools], [[[3, 4], [3, 4], [3]], [[7], [7], []], [[5, 33], [5, 33], [5]]], (a, b, y) => losses.cosineEmbeddingLoss(a, b, sign(y), none), { bad: [['targets', () => losses.cosineEmbeddingLoss(t([2, 3]), t([2, 3]), t([3]))], ['rank', () => losses.cosineEmbeddingLoss(t([2, 3, 4]), t([2, 3, 4]), t([2]))]] }),
  op('tripletMarginLoss', [real, real, real], [3, 9].map((n) => [[n, 5], [n, 5], [n, 5]]), (a, p, n) => losses.tripletMarginLoss(a, p, n, { ...none, margin: 8 }), { bad: [['shapes', () => losses.tripletMarginLoss(t([2, 3]), t([2, 3]), t([3]))], option((o) => losses.tripletMarginLoss(t([2]), t([2]), t([2]), o), { p: 0 })] }),
  op('tripletMarginLoss, p 3, swapped', [real, real, real], [3, 9].map((n) => [[n, 5], [n, 5], [n, 5]]), (a, p, n) => losses.tripletMarginLoss(a, p, n, { margin: 8, p: 3, swap: true })),
  op('tripletMarginLoss, p 1', [real, real, real], [[[5], [5], [5]]], (a, p, n) => losses.tripletMarginLoss(a, p, n, { margin: 30, p: 1 })),
  op('hingeEmbeddingLoss', [smooth(1), bools], pairs, (x, y) => losses.hingeEmbeddingLoss(x, sign(y)), { bad: [shapes(losses.hingeEmbeddingLoss)] }),
  op('multiMarginLoss', [within(-0.4, 0.4), ints(0, 3)], rows, (x, y) => multiMarginLoss(x, y, none), { accepts: Array.isArray, bad: [['labels', () => multiMarginLoss(t([2, 3]), [0, 3])], ['rank', () => multiMarginLoss(t([2, 3, 4]), t([2, 4], 'int32'))], option((o) => multiMarginLoss(t([2, 3]), [0, 1], o), { p: 3 })] }),
  op('multiMarginLoss, p 2, weights', [within(-0.4, 0.4), ints(0, 3)], [[[3, 4], [3]]], (x, y) => multiMarginLoss(x, y, { p: 2, margin: 1.5, weight: [1, 2, 3, 0.5] }), { accepts: Array.isArray }),
  op('multilabelMarginLoss', [within(-0.4, 0.4), ints(-1, 3)], [[[3, 4], [3, 4]], [[4], [4]]], (x, y) => losses.multilabelMarginLoss(x, y), { accepts: Array.isArray, bad: [['labels', () => losses.multilabelMarginLoss(t([2]), [0, 2])], ['shapes', () => losses.multilabelMarginLoss(t([2, 3]), [0, 1, -1])]] }),
  op('multilabelSoftMarginLoss', [real, bools], pairs, (x, y) => losses.multilabelSoftMarginLoss(x, y, none), { bad: [shapes(losses.multilabelSoftMarginLoss)] }),
  op('marginRankingLoss', [smooth(0), within(-0.05, 0.05), bools], pairs.map(([s]) => [s, s, s]), (a, b, y) => losses.marginRankingLoss(a, b, sign(y), { margin: 0.01 }), { bad: [shapes((a, b) => losses.marginRankingLoss(a, b, a))] }),
  op('softMarginLoss', [real, bools], pairs, (x, y) => losses.softMarginLoss(x, sign(y)), { bad: [shapes(losses.softMarginLoss)] }),
  op('hingeLoss', [within(-0.9, 0.9), bools], pairs, (x, y) => losses.hingeLoss(x, sign(y)), { bad: [shapes(losses.hingeLoss)] }),
  op('gaussianNllLoss', [real, real, positive], [...pairs.map(([s]) => [s, s, s]), [[3, 4], [3, 4], [3]], [[3, 4], [3, 4], [3, 1]]], (x, y, v) => losses.gaussianNllLoss(x, y, v, { full: true, ...none }), { accepts: (x) => typeof x === 'number', bad: [['negative', () => losses.gaussianNllLoss(t([2]), t([2]), t([2]).sub(1))], ['shape', () => losses.gaussianNllLoss(t([2, 3]), t([2, 3]), t([4]))]] }),
  op('poissonNllLoss', [real, ints(0, 5)], pairs, (x, y) => losses.poissonNllLoss(x, y, { full: true }), { bad: [shapes(losses.poissonNllLoss)] }),
  op('poissonNllLoss of rates', [positive, positive], pairs, (x, y) => losses.poissonNllLoss(x, y, { logInput: false })),
  op('binaryCrossEntropy', [within(0.05, 0.95), bools], pairs, (x, y) => losses.binaryCrossEntropy(x, y), { bad: [shapes(losses.binaryCrossEntropy), ['above 1', () => losses.binaryCrossEntropy(t([2]).add(1.5), t([2]))], ['below 0', () => losses.binaryCrossEntropy(t([2]).sub(0.5), t([2]))]] }),
  op('sigmoidFocalLoss', [real, bools], pairs, (x, y) => losses.sigmoidFocalLoss(x, y), { bad: [shapes(losses.sigmoidFocalLoss), option((o) => losses.sigmoidFocalLoss(t([2]), t([2]), o), { gamma: -1 })] }),
  op('focalLoss', [real, ints(0, 3)], rows, (x, y) => focalLoss(x, y, { gamma: 2, ...none }), { accepts: Array.isArray, bad: [['labels', () => focalLoss(t([2, 3]), [0, 3])]] }),
  op('diceLoss', [within(0.05, 0.95), bools], pairs, (x, y) => losses.diceLoss(x, y), { bad: [shapes(losses.diceLoss), ['above 1', () => losses.diceLoss(t([2]).add(2), t([2]))]] }),
  op('infoNceLoss', [real, real], [pair(3, 4), pair(5, 9)], (a, b) => losses.infoNceLoss(a, b), { tolerance: 1e-4, bad: [shapes(losses.infoNceLoss), option((o) => losses.infoNceLoss(t([2, 2]), t([2, 2]), o), { temperature: 0 })] }),
  op('infoNceLoss with negatives', [real, real, real], [[[3, 4], [3, 4], [7, 4]]], (a, b, negatives) => losses.infoNceLoss(a, b, { negatives, temperature: 0.5, ...none }), { accepts: (x) => x === undefined, tolerance: 1e-4, bad: [['negatives', () => losses.infoNceLoss(t([2, 2]), t([2, 2]), { negatives: t([3, 1]) })]] }),
  op('boxIou', [real, real], [[[3, 4], [5, 4]], [[1, 4], [1, 4]]], (a, b) => losses.boxIou(box(a), box(b)), { bad: [['coordinates', () => losses.boxIou(t([2, 3]), t([2, 4]))], ['rank', () => losses.boxIou(t([4]), t([2, 4]))]] }),
  op('generalizedBoxIou', [real, real], [[[3, 4], [5, 4]]], (a, b) => losses.generalizedBoxIou(box(a), box(b))),
  op('boxIouLoss', [real, real], [pair(3, 4), pair(4)], (a, b) => losses.boxIouLoss(box(a), box(b)), { bad: [['numbers', () => losses.boxIouLoss(t([2, 4]), t([3, 4]))]] }),
  op('generalizedBoxIouLoss', [real, real], [pair(3, 4), pair(2, 3, 4)], (a, b) => losses.generalizedBoxIouLoss(box(a), box(b))),
  op('penalties', [smooth(0), smooth(0)], [[[3, 4], [5]]], (a, b) => losses.l1Penalty([a, b]).add(losses.l2Penalty([a, b]).mul(0.5)), { bad: [['no list', () => losses.l1Penalty(3 as unknown as Tensor)]] }),
]
