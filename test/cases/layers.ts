/** The functions behind layers: convolution of all ranks, pooling, resampling, patches, normalization. */

import type { Tensor } from '../../src/index.js'
import * as cr from '../../src/index.js'
import { type Bad, type Case, distinct, op, positive, real, within } from '../support/cases.js'

const t = (shape: number[], dtype: 'float32' | 'int32' = 'float32'): Tensor => cr.zeros(shape, { dtype })
const bad = (what: string, call: () => unknown): Bad => [what, call]
const missing = { accepts: (x: unknown) => x === undefined }

/** Every combination of options a convolution knows, on shapes where they matter. */
const combinations = [
  { groups: 1, stride: 2, padding: 1, dilation: 1, kernel: [3, 3] },
  { groups: 2, stride: 1, padding: 0, dilation: 2, kernel: [3, 2] },
  { groups: 4, stride: 2, padding: 2, dilation: 1, kernel: [5, 3] },
  { groups: 4, stride: 1, padding: 1, dilation: 1, kernel: [3, 3] },
  { groups: 2, stride: 3, padding: 2, dilation: 2, kernel: [3, 3] },
  { groups: 1, stride: 2, padding: 0, dilation: 1, kernel: [1, 1] },
] as const

// biome-ignore format: one line a case
const convolutions: Case[] = [
  op('conv1d', [real, real], [[[2, 3, 7], [4, 3, 3]], [[1, 3, 5], [1, 3, 1]], [[0, 3, 5], [2, 3, 2]], [[3, 3, 33], [17, 3, 5]]], (x, w) => cr.conv1d(x, w), { large: [[8, 16, 517], [16, 16, 3]], bad: [bad('rank', () => cr.conv1d(t([2, 3, 4, 4]), t([2, 3, 3]))), bad('channels', () => cr.conv1d(t([2, 3, 4]), t([2, 2, 3]))), bad('too long', () => cr.conv1d(t([2, 3, 4]), t([2, 3, 5]))), bad('stride', () => cr.conv1d(t([2, 3, 4]), t([2, 3, 3]), { stride: [1, 1] as unknown as [number] })), bad('padding', () => cr.conv1d(t([2, 3, 4]), t([2, 3, 3]), { padding: -1 }))] }),
  op('conv1d with all options', [real, real, real], [[[2, 4, 9], [6, 2, 3], [6]], [[1, 4, 12], [2, 2, 4], [2]]], (x, w, bias) => cr.conv1d(x, w, { bias, stride: 2, padding: 2, dilation: 2, groups: 2 }), missing),
  op('conv1d, padding same', [real, real], [[[2, 3, 8], [4, 3, 4]], [[1, 3, 5], [1, 3, 3]]], (x, w) => cr.conv1d(x, w, { padding: 'same' })),
  ...combinations.map(({ kernel, ...o }) => op(`conv2d ${JSON.stringify({ kernel, ...o })}`, [real, real], [[[2, 4, 7, 8], [8, 4 / o.groups, ...kernel]], [[1, 4, 9, 9], [4, 4 / o.groups, ...kernel]]], (x, w) => cr.conv2d(x, w, o), { large: [[4, 4, 31, 37], [8, 4 / o.groups, ...kernel]] })),
  op('conv3d', [real, real], [[[2, 2, 4, 5, 3], [3, 2, 2, 3, 2]], [[1, 2, 3, 3, 3], [1, 2, 1, 1, 1]], [[0, 2, 3, 3, 3], [2, 2, 2, 2, 2]]], (x, w) => cr.conv3d(x, w), { large: [[2, 4, 9, 17, 19], [8, 4, 3, 3, 3]], bad: [bad('rank', () => cr.conv3d(t([2, 3, 4, 4]), t([2, 3, 3, 3]))), bad('too deep', () => cr.conv3d(t([1, 1, 2, 5, 5]), t([1, 1, 3, 3, 3]))), bad('groups', () => cr.conv3d(t([1, 3, 4, 4, 4]), t([2, 3, 2, 2, 2]), { groups: 2 }))] }),
  op('conv3d with all options', [real, real, real], [[[2, 4, 5, 6, 5], [6, 2, 2, 3, 2], [6]]], (x, w, bias) => cr.conv3d(x, w, { bias, stride: [2, 1, 2], padding: [1, 2, 0], dilation: [2, 1, 1], groups: 2 }), missing),
  op('conv3d, padding same', [real, real], [[[1, 2, 4, 4, 3], [2, 2, 2, 3, 4]]], (x, w) => cr.conv3d(x, w, { padding: 'same' })),
  op('convTranspose1d', [real, real, real], [[[2, 3, 5], [3, 4, 4], [4]], [[1, 3, 1], [3, 1, 1], [1]], [[0, 3, 4], [3, 2, 2], [2]]], (x, w, bias) => cr.convTranspose1d(x, w, { bias, stride: 2 }), { ...missing, large: [[8, 16, 257], [16, 16, 4], [16]], bad: [bad('channels', () => cr.convTranspose1d(t([2, 3, 4]), t([2, 3, 3]))), bad('output padding', () => cr.convTranspose1d(t([2, 3, 4]), t([3, 3, 3]), { outputPadding: 1 }))] }),
  op('convTranspose1d with all options', [real, real], [[[2, 4, 6], [4, 3, 3]], [[1, 4, 3], [4, 1, 4]]], (x, w) => cr.convTranspose1d(x, w, { stride: 3, padding: 1, outputPadding: 2, dilation: 2, groups: 2 })),
  op('convTranspose2d', [real, real], [[[2, 3, 4, 5], [3, 4, 3, 2]], [[1, 3, 1, 1], [3, 2, 1, 1]], [[0, 3, 4, 4], [3, 2, 2, 2]], [[1, 3, 7, 6], [3, 17, 3, 3]]], (x, w) => cr.convTranspose2d(x, w), { large: [[4, 16, 14, 15], [16, 8, 3, 3]], bad: [bad('rank', () => cr.convTranspose2d(t([2, 3, 4]), t([3, 2, 3, 3]))), bad('channels', () => cr.convTranspose2d(t([1, 3, 4, 4]), t([4, 2, 3, 3]))), bad('groups', () => cr.convTranspose2d(t([1, 3, 4, 4]), t([3, 2, 3, 3]), { groups: 2 })), bad('bias', () => cr.convTranspose2d(t([1, 3, 4, 4]), t([3, 2, 3, 3]), { bias: t([3]) })), bad('nothing left', () => cr.convTranspose2d(t([1, 1, 1, 1]), t([1, 1, 2, 2]), { padding: 1 })), bad('empty', () => cr.convTranspose2d(t([1, 1, 0, 3]), t([1, 1, 2, 2]))), bad('output padding', () => cr.convTranspose2d(t([1, 1, 2, 2]), t([1, 1, 2, 2]), { outputPadding: [0, 1] }))] }),
  op('convTranspose2d, stride 2, padding 1, output padding 1', [real, real], [[[2, 3, 4, 4], [3, 4, 3, 3]], [[1, 3, 3, 5], [3, 1, 4, 4]]], (x, w) => cr.convTranspose2d(x, w, { stride: 2, padding: 1, outputPadding: 1 })),
  op('convTranspose2d, groups and dilation', [real, real], [[[2, 4, 4, 5], [4, 3, 3, 2]]], (x, w) => cr.convTranspose2d(x, w, { stride: [1, 2], padding: [0, 1], dilation: 2, groups: 2 })),
  op('convTranspose3d', [real, real, real], [[[2, 2, 3, 2, 3], [2, 3, 2, 3, 2], [3]], [[1, 2, 1, 1, 1], [2, 1, 1, 1, 1], [1]], [[0, 2, 3, 3, 3], [2, 2, 2, 2, 2], [2]]], (x, w, bias) => cr.convTranspose3d(x, w, { bias, stride: [2, 1, 2] }), { ...missing, large: [[2, 8, 7, 13, 11], [8, 4, 3, 3, 3], [4]], bad: [bad('rank', () => cr.convTranspose3d(t([1, 2, 3, 4]), t([2, 3, 3, 3]))), bad('channels', () => cr.convTranspose3d(t([1, 3, 2, 2, 2]), t([2, 3, 2, 2, 2]))), bad('nothing left', () => cr.convTranspose3d(t([1, 1, 1, 1, 1]), t([1, 1, 2, 2, 2]), { padding: 1 })), bad('output padding', () => cr.convTranspose3d(t([1, 1, 2, 2, 2]), t([1, 1, 2, 2, 2]), { outputPadding: [1, 0, 0] }))] }),
  op('convTranspose3d with all options', [real, real], [[[1, 4, 2, 3, 2], [4, 3, 3, 2, 2]]], (x, w) => cr.convTranspose3d(x, w, { stride: [1, 2, 3], padding: [2, 1, 0], outputPadding: [1, 1, 2], dilation: [2, 1, 1], groups: 2 })),
  op('convTranspose2d, output padding beyond the stride', [real, real], [[[2, 2, 3, 4], [2, 3, 3, 3]]], (x, w) => cr.convTranspose2d(x, w, { stride: [1, 2], padding: [1, 2], outputPadding: [2, 1], dilation: 3 })),
]

// biome-ignore format: one line a case
const pools: Case[] = [
  op('maxPool1d', [distinct], [[[2, 3, 8]], [[1, 1, 3]], [[0, 2, 4]], [[3, 5, 33]]], (x) => cr.maxPool1d(x, 3, { stride: 2, padding: 1 }), { bad: [bad('rank', () => cr.maxPool1d(t([2, 3, 4, 4]), 2)), bad('window', () => cr.maxPool1d(t([2, 3, 4]), 5)), bad('int32', () => cr.maxPool1d(t([2, 3, 4], 'int32'), 2))] }),
  op('avgPool1d', [real], [[[2, 3, 8]], [[1, 1, 3]], [[0, 2, 4]], [[3, 5, 33]]], (x) => cr.avgPool1d(x, 3, { stride: 2, padding: 1, countIncludePad: false }), { bad: [bad('padding', () => cr.avgPool1d(t([2, 3, 4]), 3, { padding: 2 }))] }),
  op('maxPool3d', [distinct], [[[2, 2, 4, 5, 6]], [[1, 1, 3, 3, 3]], [[0, 2, 3, 3, 3]]], (x) => cr.maxPool3d(x, [2, 3, 2], { stride: [1, 2, 2], padding: [0, 1, 1] }), { large: [[2, 4, 9, 17, 19]], bad: [bad('rank', () => cr.maxPool3d(t([2, 3, 4, 4]), 2)), bad('window', () => cr.maxPool3d(t([1, 1, 1, 4, 4]), 2)), bad('padding', () => cr.maxPool3d(t([1, 1, 4, 4, 4]), 2, { padding: 2 })), bad('int32', () => cr.maxPool3d(t([1, 1, 4, 4, 4], 'int32'), 2)), bad('sizes', () => cr.maxPool3d(t([1, 1, 4, 4, 4]), [2, 2] as unknown as [number, number, number]))] }),
  op('maxPool3d, ceil mode, dilation', [distinct], [[[1, 2, 6, 7, 8]]], (x) => cr.maxPool3d(x, 2, { stride: 3, ceilMode: true, dilation: [2, 1, 2] })),
  op('maxPool2d, windows dilated beyond the input, ceil mode', [distinct], [[[1, 1, 6, 7]]], (x) => cr.maxPool2d(x, 4, { dilation: 2, ceilMode: true })),
  op('avgPool2d of one element by larger windows, ceil mode', [real], [[[1, 2, 1, 1]], [[1, 2, 1, 3]]], (x) => cr.avgPool2d(x, 2, { ceilMode: true })),
  op('avgPool3d', [real], [[[2, 2, 4, 5, 6]], [[1, 1, 3, 3, 3]], [[0, 2, 3, 3, 3]]], (x) => cr.avgPool3d(x, [2, 3, 2], { stride: [1, 2, 2], padding: [0, 1, 1] }), { large: [[2, 4, 9, 17, 19]], bad: [bad('rank', () => cr.avgPool3d(t([2, 3, 4, 4]), 2)), bad('kernel', () => cr.avgPool3d(t([1, 1, 4, 4, 4]), 0))] }),
  op('avgPool3d, ceil mode, padding not counted', [real], [[[1, 2, 5, 6, 7]]], (x) => cr.avgPool3d(x, 3, { stride: 2, padding: 1, ceilMode: true, countIncludePad: false })),
  op('adaptiveAvgPool1d', [real], [[[2, 3, 7]], [[1, 2, 6]], [[2, 1, 1]]], (x) => cr.adaptiveAvgPool1d(x, 3), { bad: [bad('zero', () => cr.adaptiveAvgPool1d(t([1, 1, 3]), 0)), bad('empty', () => cr.adaptiveAvgPool1d(t([1, 1, 0]), 1))] }),
  op('adaptiveAvgPool2d', [real], [[[2, 3, 5, 7]], [[1, 2, 6, 9]], [[2, 1, 1, 2]], [[0, 2, 3, 3]]], (x) => cr.adaptiveAvgPool2d(x, [2, 3]), { large: [[4, 16, 29, 31]], bad: [bad('rank', () => cr.adaptiveAvgPool2d(t([2, 3, 4]), 1)), bad('sizes', () => cr.adaptiveAvgPool2d(t([1, 1, 3, 3]), [1, 2, 3] as unknown as [number, number])), bad('int32', () => cr.adaptiveAvgPool2d(t([1, 1, 3, 3], 'int32'), 1))] }),
  op('adaptiveAvgPool2d to one', [real], [[[2, 3, 5, 7]], [[1, 2, 1, 1]], [[3, 17, 8, 8]]], (x) => cr.adaptiveAvgPool2d(x, 1)),
  op('adaptiveAvgPool2d keeping a size', [real], [[[2, 3, 5, 7]]], (x) => cr.adaptiveAvgPool2d(x, [null, 4])),
  op('adaptiveAvgPool3d', [real], [[[1, 2, 5, 4, 7]], [[2, 1, 1, 2, 3]], [[0, 2, 3, 3, 3]]], (x) => cr.adaptiveAvgPool3d(x, [2, null, 3]), { bad: [bad('rank', () => cr.adaptiveAvgPool3d(t([1, 2, 3, 4]), 1)), bad('empty', () => cr.adaptiveAvgPool3d(t([1, 1, 0, 2, 2]), 1))] }),
  op('adaptiveMaxPool3d', [distinct], [[[1, 2, 5, 4, 7]], [[2, 1, 1, 2, 3]]], (x) => cr.adaptiveMaxPool3d(x, [2, 3, 2]), { bad: [bad('sizes', () => cr.adaptiveMaxPool3d(t([1, 1, 3, 3, 3]), [1, 2] as unknown as [number, number, number]))] }),
  op('adaptiveMaxPool1d', [distinct], [[[2, 3, 7]], [[1, 2, 6]], [[2, 1, 1]]], (x) => cr.adaptiveMaxPool1d(x, 3)),
  op('adaptiveMaxPool2d', [distinct], [[[2, 3, 5, 7]], [[1, 2, 6, 9]], [[2, 1, 1, 2]]], (x) => cr.adaptiveMaxPool2d(x, [2, 3]), { bad: [bad('empty', () => cr.adaptiveMaxPool2d(t([1, 1, 0, 2]), 1))] }),
]

// biome-ignore format: one line a case
const resampling: Case[] = [
  op('interpolate nearest', [real], [[[2, 3, 3, 4]], [[1, 1, 1, 1]], [[0, 2, 3, 3]]], (x) => cr.interpolate(x, { scaleFactor: 2 }), { large: [[4, 16, 29, 31]], bad: [bad('nothing', () => cr.interpolate(t([1, 1, 2, 2]), {})), bad('both', () => cr.interpolate(t([1, 1, 2, 2]), { size: 2, scaleFactor: 2 })), bad('mode', () => cr.interpolate(t([1, 1, 2, 2]), { size: 2, mode: 'cubic' as 'bicubic' })), bad('rank', () => cr.interpolate(t([1, 1, 2]), { size: 2, mode: 'bilinear' })), bad('corners', () => cr.interpolate(t([1, 1, 2, 2]), { size: 2, alignCorners: true })), bad('sizes', () => cr.interpolate(t([1, 1, 2, 2]), { size: [2] })), bad('factor', () => cr.interpolate(t([1, 1, 2, 2]), { scaleFactor: 0 })), bad('nothing left', () => cr.interpolate(t([1, 1, 2, 2]), { scaleFactor: 0.2 })), bad('empty', () => cr.interpolate(t([1, 1, 0, 2]), { size: 2 })), bad('int32', () => cr.interpolate(t([1, 1, 2, 2], 'int32'), { size: 2 }))] }),
  op('interpolate nearest to other sizes', [real], [[[2, 3, 5, 4]], [[1, 2, 9, 1]]], (x) => cr.interpolate(x, { size: [3, 7] })),
  op('interpolate linear', [real], [[[2, 3, 5]], [[1, 1, 1]]], (x) => cr.interpolate(x, { scaleFactor: 1.7, mode: 'linear' })),
  op('interpolate bilinear', [real], [[[2, 3, 3, 4]], [[1, 1, 1, 5]]], (x) => cr.interpolate(x, { scaleFactor: 2, mode: 'bilinear' }), { large: [[4, 8, 29, 31]] }),
  op('interpolate bilinear, corners', [real], [[[2, 3, 3, 4]], [[1, 1, 1, 5]]], (x) => cr.interpolate(x, { size: [5, 1], mode: 'bilinear', alignCorners: true })),
  op('interpolate bicubic', [real], [[[1, 2, 4, 5]], [[1, 1, 1, 2]]], (x) => cr.interpolate(x, { size: [7, 3], mode: 'bicubic' })),
  op('interpolate trilinear', [real], [[[1, 2, 2, 3, 4]]], (x) => cr.interpolate(x, { size: 3, mode: 'trilinear' })),
  op('interpolate area', [real], [[[1, 2, 5, 6]]], (x) => cr.interpolate(x, { size: [2, 4], mode: 'area' })),
  op('pixelShuffle', [real], [[[2, 8, 3, 4]], [[4, 1, 1]], [[2, 3, 4, 2, 2]]], (x) => cr.pixelShuffle(x, 2), { bad: [bad('channels', () => cr.pixelShuffle(t([1, 3, 2, 2]), 2)), bad('factor', () => cr.pixelShuffle(t([1, 4, 2, 2]), 0)), bad('rank', () => cr.pixelShuffle(t([4, 2]), 2))] }),
  op('pixelUnshuffle', [real], [[[2, 2, 4, 6]], [[1, 2, 2]]], (x) => cr.pixelUnshuffle(x, 2), { bad: [bad('sizes', () => cr.pixelUnshuffle(t([1, 3, 2, 3]), 2))] }),
  op('unfold', [real], [[[2, 3, 5, 6]], [[1, 1, 3, 3]], [[0, 2, 4, 4]]], (x) => cr.unfold(x, [3, 2], { padding: 1, stride: [2, 1] }), { large: [[2, 8, 27, 29]], bad: [bad('rank', () => cr.unfold(t([2, 3, 4]), 2)), bad('window', () => cr.unfold(t([1, 1, 2, 2]), 3)), bad('stride', () => cr.unfold(t([1, 1, 4, 4]), 2, { stride: 0 }))] }),
  op('unfold, dilation', [real], [[[2, 2, 6, 7]]], (x) => cr.unfold(x, 2, { dilation: [2, 3] })),
  op('fold', [real], [[[2, 12, 12]], [[1, 6, 12]], [[0, 6, 12]]], (x) => cr.fold(x, [5, 3], [3, 2], { padding: 1, stride: [2, 1] }), { bad: [bad('columns', () => cr.fold(t([1, 6, 11]), [5, 3], [3, 2], { padding: 1, stride: [2, 1] })), bad('rows', () => cr.fold(t([1, 5, 4]), 3, 2)), bad('rank', () => cr.fold(t([4, 4]), 3, 2))] }),
]

const norm = { tolerance: 1e-4 }
/** The last sizes, also of what is no tensor. */
const last = (x: unknown, n: number): number[] => (x instanceof cr.Tensor ? [...x.shape.slice(-n)] : [1])

// biome-ignore format: one line a case
const norms: Case[] = [
  op('layerNorm', [real, positive, real], [[[3, 8], [8], [8]], [[2, 3, 5], [5], [5]], [[4, 33], [33], [33]], [[7], [7], [7]], [[0, 4], [4], [4]], [[2, 67], [67], [67]]], (x, weight, bias) => cr.layerNorm(x, last(x, 1), { weight, bias }), { ...norm, ...missing, large: [[129, 257], [257], [257]], bad: [bad('shape', () => cr.layerNorm(t([2, 3]), [2])), bad('weight', () => cr.layerNorm(t([2, 3]), [3], { weight: t([2]) })), bad('none', () => cr.layerNorm(t([2, 3]), [])), bad('int32', () => cr.layerNorm(t([2, 3], 'int32'), [3])), bad('eps', () => cr.layerNorm(t([2, 3]), [3], { eps: -1 }))] }),
  op('layerNorm of two dimensions', [real, positive], [[[2, 3, 5], [3, 5]], [[4, 2, 8], [2, 8]]], (x, weight) => cr.layerNorm(x, last(x, 2), { weight, eps: 1e-3 }), { ...norm, ...missing }),
  op('layerNorm without parameters', [real], [[[3, 8]], [[2, 31]], [[3, 1]]], (x) => cr.layerNorm(x, last(x, 1)), norm),
  op('layerNorm of far values', [within(100, 101)], [[[3, 8]], [[2, 384]]], (x) => cr.layerNorm(x, last(x, 1)), { tolerance: 5e-3, gradient: false }),
  op('rmsNorm', [positive, positive], [[[3, 8], [8]], [[2, 3, 5], [5]], [[4, 33], [33]], [[0, 4], [4]]], (x, weight) => cr.rmsNorm(x, last(x, 1), { weight, eps: 1e-6 }), { ...norm, ...missing, large: [[129, 257], [257]], bad: [bad('shape', () => cr.rmsNorm(t([2, 3]), [4])), bad('weight', () => cr.rmsNorm(t([2, 3]), [3], { weight: t([1]) }))] }),
  op('rmsNorm without a weight', [positive], [[[3, 8]], [[2, 31]]], (x) => cr.rmsNorm(x, last(x, 1)), norm),
  op('groupNorm', [real, positive, real], [[[2, 4, 3, 3], [4], [4]], [[3, 6, 5], [6], [6]], [[2, 8], [8], [8]], [[1, 4, 2, 3, 2], [4], [4]]], (x, weight, bias) => cr.groupNorm(x, 2, { weight, bias }), { ...norm, ...missing, large: [[8, 16, 13, 17], [16], [16]], bad: [bad('groups', () => cr.groupNorm(t([2, 3, 4]), 2)), bad('rank', () => cr.groupNorm(t([3]), 1)), bad('weight', () => cr.groupNorm(t([2, 4, 4]), 2, { weight: t([2]) }))] }),
  op('instanceNorm', [real, positive, real], [[[2, 3, 4, 5], [3], [3]], [[1, 2, 7], [2], [2]]], (x, weight, bias) => cr.instanceNorm(x, { weight, bias }), { ...norm, ...missing, large: [[8, 16, 13, 17], [16], [16]], bad: [bad('rank', () => cr.instanceNorm(t([2, 3]))), bad('one value', () => cr.instanceNorm(t([2, 3, 1]))), bad('one statistic', () => cr.instanceNorm(t([2, 3, 4]), { runningMean: t([3]) })), bad('no statistics', () => cr.instanceNorm(t([2, 3, 4]), { useInputStats: false }))] }),
  op('batchNorm', [real, positive, real], [[[4, 3, 3, 5], [3], [3]], [[8, 5], [5], [5]], [[2, 3, 7], [3], [3]], [[3, 17, 2, 2], [17], [17]], [[3, 2, 17, 19], [2], [2]], [[300, 37], [37], [37]], [[2, 3, 1, 5], [3], [3]]], (x, weight, bias) => cr.batchNorm(x, { weight, bias, training: true }), { ...norm, ...missing, large: [[8, 16, 13, 17], [16], [16]], bad: [bad('rank', () => cr.batchNorm(t([3]), {})), bad('one value', () => cr.batchNorm(t([1, 3]), { training: true })), bad('bias', () => cr.batchNorm(t([2, 3]), { bias: t([2]) }))] }),
  op('batchNorm of columns', [real], [[[9, 3]], [[5, 70]]], (x) => cr.batchNorm(x, { training: true }), { ...norm, large: [[517, 67]] }),
  op('batchNorm of far values', [within(100, 101)], [[[4, 3, 3, 5]], [[8, 5]]], (x) => cr.batchNorm(x, { training: true }), { tolerance: 5e-3, gradient: false }),
  op('batchNorm by given statistics', [real, real, positive, positive, real], [[[2, 3, 4, 4], [3], [3], [3], [3]]], (x, runningMean, runningVar, weight, bias) => cr.batchNorm(x, { runningMean, runningVar, weight, bias }), { ...norm, ...missing }),
  op('localResponseNorm', [real], [[[2, 6, 3, 3]], [[1, 3, 5]], [[1, 2, 1, 2, 2]]], (x) => cr.localResponseNorm(x, 3, { alpha: 0.5 }), { bad: [bad('rank', () => cr.localResponseNorm(t([2, 3]), 3)), bad('size', () => cr.localResponseNorm(t([2, 3, 4]), 0))] }),
  op('localResponseNorm, even', [real], [[[2, 6, 3, 3]]], (x) => cr.localResponseNorm(x, 4, { alpha: 0.5, k: 2 })),
]

export const layerCases: readonly Case[] = [...convolutions, ...pools, ...resampling, ...norms]
