/**
 * Every op and composition, one line each: what test/ops.test.ts checks follows from this list. To add an op, add its line.
 */
import * as cr from '../src/index.js'
import { type Tensor, tensor } from '../src/index.js'
import { activations } from './cases/activations.js'
import { arrays } from './cases/arrays.js'
import { attentionCases } from './cases/attention.js'
import { layerCases } from './cases/layers.js'
import { algebra } from './cases/linalg.js'
import { lossCases } from './cases/losses.js'
import { recurrentCases } from './cases/recurrent.js'
import {
  type Bad,
  binary,
  bools,
  type Case,
  distinct,
  ints,
  op,
  positive,
  real,
  reduction,
  smooth,
  unary,
  within,
} from './support/cases.js'

const t = (shape: number[], dtype: 'float32' | 'int32' | 'bool' = 'float32'): Tensor => cr.zeros(shape, { dtype })
const bad = (what: string, call: () => unknown): Bad => [what, call]
/** Operands that do not broadcast, or mix float types. */
const pairs = (call: (a: Tensor, b: Tensor) => Tensor): Bad[] => [
  bad('shapes', () => call(t([2, 3]), t([2]))),
  bad('float types', () => call(t([2]), cr.zeros([2], { dtype: 'float64' }))),
]
const dims = (call: (dim: number | number[]) => unknown): Bad[] => [
  bad('dim 2', () => call(2)),
  bad('dim -3', () => call(-3)),
  bad('dim 0.5', () => call(0.5)),
  bad('twice', () => call([0, 0])),
]

const none = { gradient: false }
const exact = { gradient: false, tolerance: 0 }

// biome-ignore format: one line a case
const elementwise: Case[] = [
  unary('neg', real, (x) => cr.neg(x), { into: (out, x) => cr.neg(x, { out }) }),
  unary('abs', smooth(0), (x) => cr.abs(x)),
  unary('sign', smooth(0), (x) => cr.sign(x)),
  unary('floor', smooth(-2, -1, 0, 1, 2), (x) => cr.floor(x)),
  unary('ceil', smooth(-2, -1, 0, 1, 2), (x) => cr.ceil(x)),
  unary('round', smooth(-1.5, -0.5, 0.5, 1.5), (x) => cr.round(x)),
  unary('trunc', smooth(-1, 0, 1), (x) => cr.trunc(x)),
  unary('sqrt', positive, (x) => cr.sqrt(x)),
  unary('rsqrt', positive, (x) => cr.rsqrt(x)),
  unary('reciprocal', positive, (x) => cr.reciprocal(x)),
  unary('exp', real, (x) => cr.exp(x), { into: (out, x) => cr.exp(x, { out }) }),
  unary('expm1', real, (x) => cr.expm1(x)),
  unary('log', positive, (x) => cr.log(x)),
  unary('log1p', within(-0.7, 3), (x) => cr.log1p(x)),
  unary('sin', within(-6, 6), (x) => cr.sin(x)),
  unary('cos', within(-6, 6), (x) => cr.cos(x)),
  unary('tanh', real, (x) => cr.tanh(x)),
  unary('sigmoid', within(-6, 6), (x) => cr.sigmoid(x)),
  unary('erf', real, (x) => cr.erf(x)),
  unary('square', real, (x) => cr.square(x)),
  unary('relu', smooth(0), (x) => cr.relu(x)),
  unary('neg of int32', ints(-9, 9), (x) => cr.neg(x), exact),
  unary('abs of int32', ints(-9, 9), (x) => cr.abs(x), exact),
  unary('square of int32', ints(-70000, 70000), (x) => cr.square(x), { ...exact, special: false }),
  unary('sqrt of uint8', ints(0, 255, 'uint8'), (x) => cr.sqrt(x), none),
  unary('leakyRelu', smooth(0), (x) => cr.leakyRelu(x, 0.1)),
  unary('gelu', real, (x) => cr.gelu(x), { special: false }),
  unary('gelu tanh', real, (x) => cr.gelu(x, { approximate: 'tanh' }), { special: false, bad: [bad('approximate', () => cr.gelu(t([1]), { approximate: 'x' as 'tanh' }))] }),
  unary('silu', real, (x) => cr.silu(x), { special: false }),
  unary('softplus', smooth(0), (x) => cr.softplus(x), { special: false }),
  unary('logSigmoid', smooth(0), (x) => cr.logSigmoid(x), { special: false }),
  unary('clamp', smooth(-1, 1), (x) => cr.clamp(x, -1, 1), { bad: [bad('no limit', () => cr.clamp(t([1])))] }),
  unary('clamp from below', smooth(0.5), (x) => cr.clamp(x, 0.5)),
  binary('add', real, real, (a, b) => cr.add(a, b), { bad: pairs(cr.add), into: (out, a, b) => cr.add(a, b, { out }) }),
  binary('sub', real, real, (a, b) => cr.sub(a, b), { bad: pairs(cr.sub), into: (out, a, b) => cr.sub(a, b, { out }) }),
  binary('mul', real, real, (a, b) => cr.mul(a, b), { bad: pairs(cr.mul), into: (out, a, b) => cr.mul(a, b, { out }) }),
  binary('div', real, positive, (a, b) => cr.div(a, b), { bad: pairs(cr.div) }),
  binary('pow', positive, real, (a, b) => cr.pow(a, b), { bad: pairs(cr.pow) }),
  binary('maximum', smooth(0), within(-0.05, 0.05), (a, b) => cr.maximum(a, b), { bad: pairs(cr.maximum) }),
  binary('minimum', smooth(0), within(-0.05, 0.05), (a, b) => cr.minimum(a, b), { bad: pairs(cr.minimum) }),
  binary('add of int32', ints(-9, 9), ints(-9, 9), (a, b) => cr.add(a, b), exact),
  binary('mul of int32', ints(-99999, 99999), ints(-99999, 99999), (a, b) => cr.mul(a, b), exact),
  binary('sub of uint8', ints(0, 255, 'uint8'), ints(0, 255, 'uint8'), (a, b) => cr.sub(a, b), exact),
  binary('maximum of int32 and uint8', ints(-9, 300), ints(0, 255, 'uint8'), (a, b) => cr.maximum(a, b), exact),
  binary('div of int32', ints(-9, 9), ints(1, 9), (a, b) => cr.div(a, b), none),
  binary('mul of float32 and int32', real, ints(-9, 9), (a, b) => cr.mul(a, b), none),
  binary('mul of float32 and bool', real, bools, (a, b) => cr.mul(a, b), none),
  unary('add of a number', real, (x) => cr.add(x, 0.25)),
  unary('number minus', real, (x) => cr.sub(1, x)),
  unary('pow 3', real, (x) => cr.pow(x, 3)),
  unary('pow 2', real, (x) => cr.pow(x, 2)),
  unary('pow -0.5', positive, (x) => cr.pow(x, -0.5)),
  unary('2 to the power', real, (x) => cr.pow(2, x)),
  unary('mul of int32 and a fraction', ints(-9, 9), (x) => cr.mul(x, 0.5), none),
  binary('eq', ints(0, 3), ints(0, 3), (a, b) => cr.eq(a, b), { ...exact, bad: pairs(cr.eq) }),
  binary('ne', ints(0, 3), ints(0, 3), (a, b) => cr.ne(a, b), exact),
  binary('lt', ints(0, 3), ints(0, 3), (a, b) => cr.lt(a, b), exact),
  binary('le', ints(0, 3), ints(0, 3), (a, b) => cr.le(a, b), exact),
  binary('gt of floats', real, real, (a, b) => cr.gt(a, b), exact),
  binary('ge of floats', real, real, (a, b) => cr.ge(a, b), exact),
  binary('eq of bool', bools, bools, (a, b) => cr.eq(a, b), exact),
  binary('logicalAnd', bools, bools, (a, b) => cr.logicalAnd(a, b), exact),
  binary('logicalOr', bools, real, (a, b) => cr.logicalOr(a, b), exact),
  unary('logicalNot', bools, (x) => cr.logicalNot(x), exact),
  unary('logicalNot of int32', ints(-1, 1), (x) => cr.logicalNot(x), exact),
  op('where', [bools, real, real], [[[2, 3], [3], [2, 3]], [[9], [9], [9]], [[0], [0], []], [[4, 1], [3], [4, 3]], [[33], [], [33]]], (c, a, b) => cr.where(c, a, b), { large: [[73, 1], [211], [73, 211]], bad: [bad('condition', () => cr.where(t([2]), 1, 0)), bad('shapes', () => cr.where(t([2], 'bool'), t([3]), 0))] }),
  op('where with numbers', [bools], [[[2, 3]], [[17]]], (c) => cr.where(c, 1.5, -2), none),
  unary('to int32', within(-300, 300), (x) => cr.to(x, 'int32'), { ...exact, bad: [bad('dtype', () => cr.to(t([1]), 'int64' as 'int32'))] }),
  unary('to uint8', within(0, 255), (x) => cr.to(x, 'uint8'), { ...exact, special: false }),
  unary('to bool', ints(-1, 1), (x) => cr.to(x, 'bool'), exact),
  unary('float to bool', real, (x) => cr.to(x, 'bool'), exact),
  unary('bool to float32', bools, (x) => cr.to(x, 'float32'), exact),
  unary('uint8 to int32', ints(0, 255, 'uint8'), (x) => cr.to(x, 'int32'), exact),
  unary('int32 to uint8', ints(0, 255), (x) => cr.to(x, 'uint8'), exact),
  unary('int32 to float32', ints(-99999, 99999), (x) => cr.to(x, 'float32'), exact),
  unary('float and back', real, (x) => cr.to(cr.to(x, 'int32'), 'float32'), { ...exact }),
]

// biome-ignore format: one line a case
const reductions: Case[] = [
  ...reduction('sum', real, (x, o) => cr.sum(x, o), { bad: dims((dim) => cr.sum(t([2, 3]), { dim })) }),
  ...reduction('mean', real, (x, o) => cr.mean(x, o), { empty: false, bad: dims((dim) => cr.mean(t([2, 3]), { dim })) }),
  ...reduction('prod', within(0.5, 1.5), (x, o) => cr.prod(x, o), { bad: dims((dim) => cr.prod(t([2, 3]), { dim })), large: [[9, 17]] }),
  ...reduction('amax', distinct, (x, o) => cr.amax(x, o), { empty: false, bad: [bad('nothing', () => cr.amax(t([0]))), bad('no columns', () => cr.amax(t([3, 0]), { dim: 1 }))] }),
  ...reduction('amin', distinct, (x, o) => cr.amin(x, o), { empty: false, bad: [bad('nothing', () => cr.amin(t([0]))), ...dims((dim) => cr.amin(t([2, 3]), { dim }))] }),
  ...reduction('sum of int32', ints(-9, 9), (x, o) => cr.sum(x, o), exact),
  ...reduction('sum of bool', bools, (x, o) => cr.sum(x, o), exact),
  ...reduction('amax of uint8', ints(0, 255, 'uint8'), (x, o) => cr.amax(x, o), { ...exact, empty: false }),
  ...reduction('prod of int32', ints(1, 2), (x, o) => cr.prod(x, o), { ...exact, large: [[9, 17]] }),
  ...reduction('variance', real, (x, o) => cr.variance(x, { correction: 0, ...o }), { empty: false, bad: dims((dim) => cr.variance(t([2, 3]), { dim })) }),
  ...reduction('norm', positive, (x, o) => cr.norm(x, o), { empty: false }),
  ...reduction('logsumexp', real, (x, o) => cr.logsumexp(x, o), { empty: false, bad: dims((dim) => cr.logsumexp(t([2, 3]), { dim })) }),
  op('std', [real], [[[5, 7]]], (x) => cr.std(x, { dim: 1 })),
  op('argmax', [ints(0, 4)], [[[3, 5]], [[2, 7]], [[9, 33]], [[1, 1]]], (x) => cr.argmax(x, 1), { ...exact, bad: [bad('nothing', () => cr.argmax(t([0]))), bad('dim', () => cr.argmax(t([2, 3]), 2))] }),
  op('argmax of columns', [real], [[[3, 5]], [[7, 2]], [[33, 9]]], (x) => cr.argmax(x, 0, { keepdim: true }), { ...exact, large: [[129, 517]] }),
  op('argmin', [real], [[[3, 5]], [[2, 67]], [[7]], [[]]], (x) => cr.argmin(x), { ...exact, bad: [bad('nothing', () => cr.argmin(t([2, 0])))] }),
  op('softmax', [real], [[[3, 5]], [[2, 1]], [[4, 67]], [[0, 3]], [[3, 0]], [[9]], [[2, 3, 4]]], (x) => cr.softmax(x), { large: [[129, 517]], bad: [bad('scalar', () => cr.softmax(t([]))), bad('int32', () => cr.softmax(t([2], 'int32'))), bad('dim', () => cr.softmax(t([2]), 1))] }),
  op('softmax of columns', [real], [[[3, 5]], [[7, 2]], [[2, 3, 4]]], (x) => cr.softmax(x, 0)),
  op('softmax of large numbers', [within(-300, 300)], [[[3, 5]], [[2, 33]]], (x) => cr.softmax(x), { gradient: false, tolerance: 1e-4 }),
  op('logSoftmax', [real], [[[3, 5]], [[2, 1]], [[4, 67]], [[0, 3]], [[9]], [[2, 3, 4]]], (x) => cr.logSoftmax(x), { large: [[129, 517]], bad: [bad('scalar', () => cr.logSoftmax(t([])))] }),
  op('logSoftmax of columns', [real], [[[3, 5]], [[7, 2]], [[2, 3, 4]]], (x) => cr.logSoftmax(x, 0)),
  op('crossEntropy', [real, ints(0, 4)], [[[3, 5], [3]], [[1, 5], [1]], [[7, 5], [7]], [[33, 67], [33]]], (x, y) => cr.losses.crossEntropy(x, y, { reduction: 'none' }), { large: [[129, 517], [129]], accepts: (y) => Array.isArray(y), bad: [bad('label', () => cr.losses.crossEntropy(t([2, 3]), cr.tensor([0, 3]))), bad('batch', () => cr.losses.crossEntropy(t([2, 3]), cr.tensor([0])))] }),
]

const product = (a: number[], b: number[]): number[][] => [a, b]
const grid = [1, 2, 3, 4, 5, 6, 7, 8, 13, 16, 17].flatMap((m, i) =>
  [
    [1, 5, 8],
    [7, 16, 33],
    [2, 31, 9],
  ].map(([k, n]) => product([m, k + (i % 2)], [k + (i % 2), n])),
)
const conv = (x: number[], w: number[]): number[][] => [x, w]
const images = [
  conv([2, 3, 5, 6], [4, 3, 3, 3]),
  conv([1, 3, 7, 7], [5, 3, 1, 1]),
  conv([3, 3, 4, 9], [1, 3, 2, 4]),
  conv([0, 3, 5, 5], [2, 3, 3, 3]),
  conv([1, 3, 13, 11], [17, 3, 3, 5]),
]

// biome-ignore format: one line a case
const structured: Case[] = [
  op('matmul', [real, real], [product([3, 4], [4, 5]), ...grid, product([0, 4], [4, 5]), product([3, 0], [0, 5]), product([3, 4], [4, 0])], (a, b) => cr.matmul(a, b), { large: [[131, 257], [257, 93]], into: (out, a, b) => cr.matmul(a, b, { out }), bad: [bad('inner', () => cr.matmul(t([2, 3]), t([2, 3]))), bad('int32', () => cr.matmul(t([2, 3], 'int32'), t([3, 2], 'int32'))), bad('scalar', () => cr.matmul(t([]), t([3, 2]))), bad('batches', () => cr.matmul(t([2, 3, 4]), t([3, 4, 5]))), bad('2^31', () => cr.matmul(t([65536, 1]), t([1, 65536])))] }),
  op('matmul, left transposed', [real, real], [product([4, 3], [4, 5]), product([1, 7], [1, 9]), product([33, 17], [33, 16]), product([64, 5], [64, 3])], (a, b) => cr.matmul(a.transpose(), b), { large: [[257, 131], [257, 93]] }),
  op('matmul, right transposed', [real, real], [product([3, 4], [5, 4]), product([7, 1], [9, 1]), product([17, 33], [16, 33]), product([5, 64], [1, 64])], (a, b) => cr.matmul(a, b.transpose()), { large: [[131, 257], [93, 257]] }),
  op('matmul, both transposed', [real, real], [product([4, 3], [5, 4]), product([33, 17], [16, 33])], (a, b) => cr.matmul(a.transpose(), b.transpose())),
  op('matmul of batches', [real, real], [product([2, 3, 4], [2, 4, 5]), product([2, 1, 3, 4], [3, 4, 2]), product([3, 4], [6, 4, 2]), product([0, 3, 4], [4, 2])], (a, b) => cr.matmul(a, b), { large: [[7, 33, 65], [7, 65, 17]] }),
  op('matmul of vectors', [real, real], [product([4], [4]), product([1], [1]), product([67], [67])], (a, b) => cr.matmul(a, b)),
  op('matmul of vector and matrix', [real, real], [product([4], [4, 3]), product([33], [33, 17])], (a, b) => cr.matmul(a, b)),
  op('matmul of matrix and vector', [real, real], [product([3, 4], [4]), product([17, 33], [33])], (a, b) => cr.matmul(a, b)),
  op('linear with relu', [real, real, smooth(0)], [[[3, 4], [5, 4], [5]], [[33, 17], [16, 17], [16]]], (x, w, b) => cr.relu(cr.add(cr.matmul(x, w.transpose()), b)), { gradient: false, large: [[131, 257], [93, 257], [93]] }),
  op('conv2d', [real, real], images, (x, w) => cr.conv2d(x, w), { large: conv([4, 8, 29, 31], [16, 8, 3, 3]), bad: [bad('channels', () => cr.conv2d(t([1, 2, 5, 5]), t([1, 3, 3, 3]))), bad('rank', () => cr.conv2d(t([2, 5, 5]), t([1, 2, 3, 3]))), bad('kernel too large', () => cr.conv2d(t([1, 2, 2, 2]), t([1, 2, 3, 3]))), bad('stride', () => cr.conv2d(t([1, 2, 5, 5]), t([1, 2, 3, 3]), { stride: 0 })), bad('groups', () => cr.conv2d(t([1, 2, 5, 5]), t([1, 2, 3, 3]), { groups: 3 })), bad('bias', () => cr.conv2d(t([1, 2, 5, 5]), t([1, 2, 3, 3]), { bias: t([2]) })), bad('int32', () => cr.conv2d(t([1, 2, 5, 5], 'int32'), t([1, 2, 3, 3])))] }),
  op('conv2d, 3x3 of many channels', [real, real], images.slice(0, 1), (x, w) => cr.conv2d(x, w, { padding: 1 }), { large: conv([2, 17, 18, 23], [24, 17, 3, 3]) }),
  op('conv2d, stride 2, padding 1', [real, real], images, (x, w) => cr.conv2d(x, w, { stride: 2, padding: 1 }), { large: conv([4, 8, 29, 31], [16, 8, 3, 3]) }),
  op('conv2d, padding same', [real, real], images.slice(0, 3), (x, w) => cr.conv2d(x, w, { padding: 'same' }), { bad: [bad('stride', () => cr.conv2d(t([1, 2, 5, 5]), t([1, 2, 3, 3]), { padding: 'same', stride: 2 }))] }),
  op('conv2d, dilation', [real, real], [conv([2, 3, 7, 8], [4, 3, 3, 3]), conv([1, 3, 9, 9], [2, 3, 2, 2])], (x, w) => cr.conv2d(x, w, { dilation: 2, padding: [1, 2] })),
  op('conv2d, groups', [real, real], [conv([2, 4, 5, 5], [6, 2, 3, 3]), conv([1, 4, 4, 4], [2, 2, 1, 1])], (x, w) => cr.conv2d(x, w, { groups: 2 })),
  op('conv2d with bias and relu', [real, real, real], [[[2, 3, 5, 6], [4, 3, 3, 3], [4]]], (x, w, bias) => cr.relu(cr.conv2d(x, w, { bias, padding: 1 })), { gradient: false, accepts: (x) => x === undefined }),
  op('maxPool2d', [distinct], [[[2, 3, 6, 8]], [[1, 1, 2, 2]], [[0, 2, 4, 4]], [[1, 17, 5, 9]]], (x) => cr.maxPool2d(x, 2), { large: [[4, 16, 26, 26]], bad: [bad('rank', () => cr.maxPool2d(t([4, 4]), 2)), bad('window', () => cr.maxPool2d(t([1, 1, 2, 2]), 3)), bad('padding', () => cr.maxPool2d(t([1, 1, 4, 4]), 2, { padding: 2 })), bad('int32', () => cr.maxPool2d(t([1, 1, 4, 4], 'int32'), 2))] }),
  op('maxPool2d, overlapping', [distinct], [[[2, 3, 7, 8]], [[1, 2, 5, 5]]], (x) => cr.maxPool2d(x, 3, { stride: 2, padding: 1 })),
  op('maxPool2d, ceil mode, dilation', [distinct], [[[2, 2, 8, 9]]], (x) => cr.maxPool2d(x, 2, { stride: 3, ceilMode: true, dilation: 2 })),
  op('avgPool2d', [real], [[[2, 3, 6, 8]], [[1, 1, 2, 2]], [[0, 2, 4, 4]], [[1, 17, 5, 9]]], (x) => cr.avgPool2d(x, 2), { large: [[4, 16, 26, 26]], bad: [bad('rank', () => cr.avgPool2d(t([4, 4]), 2)), bad('kernel', () => cr.avgPool2d(t([1, 1, 4, 4]), 0))] }),
  op('avgPool2d, padding not counted', [real], [[[2, 3, 7, 8]]], (x) => cr.avgPool2d(x, 3, { stride: 2, padding: 1, countIncludePad: false })),
  op('avgPool2d, ceil mode', [real], [[[2, 3, 7, 8]]], (x) => cr.avgPool2d(x, [3, 2], { stride: [2, 3], padding: [1, 0], ceilMode: true })),
  op('gather', [real, ints(0, 4)], [[[5, 3], [7, 3]], [[5, 1], [1, 1]], [[5, 9], [0, 9]], [[5, 33], [2, 17]]], (x, i) => cr.gather(x, i, 0), { large: [[5, 517], [129, 517]], bad: [bad('range', () => cr.gather(t([2, 2]), tensor([[2, 0]], { dtype: 'int32' }), 0)), bad('negative', () => cr.gather(t([2, 2]), tensor([[-1, 0]], { dtype: 'int32' }), 0)), bad('rank', () => cr.gather(t([2, 2]), tensor([0], { dtype: 'int32' }), 0)), bad('float index', () => cr.gather(t([2, 2]), t([1, 2]), 0))] }),
  op('gather of rows', [real, ints(0, 2, 'uint8')], [[[4, 3], [4, 5]], [[2, 3], [1, 1]]], (x, i) => cr.gather(x, i, -1)),
  op('indexSelect', [real, ints(0, 4)], [[[5, 3], [4]], [[5, 8], [2, 3]], [[5, 1], [0]], [[5], [9]]], (x, i) => cr.indexSelect(x, i), { large: [[5, 517], [129]], bad: [bad('range', () => cr.indexSelect(t([2, 2]), [2])), bad('fraction', () => cr.indexSelect(t([2, 2]), t([1])))], accepts: Array.isArray }),
  op('indexSelect of columns', [real, ints(0, 4)], [[[3, 5], [4]], [[2, 5, 3], [2, 2]]], (x, i) => cr.indexSelect(x, i, 1), { accepts: Array.isArray }),
  op('oneHot', [ints(0, 4)], [[[3]], [[2, 3]], [[0]]], (x) => cr.oneHot(x, 5), { ...exact, bad: [bad('classes', () => cr.oneHot([0], 0)), bad('float', () => cr.oneHot(t([2]), 3))], accepts: Array.isArray }),
]

// biome-ignore format: one line a case
const movements: Case[] = [
  op('reshape', [real], [[[2, 6]], [[4, 3]], [[12]]], (x) => cr.reshape(x, [3, -1]), { bad: [bad('size', () => cr.reshape(t([4]), [3])), bad('two holes', () => cr.reshape(t([4]), [-1, -1])), bad('fraction', () => cr.reshape(t([4]), [0.5, 8]))] }),
  op('flatten', [real], [[[2, 3, 4]], [[1, 0, 2]]], (x) => cr.flatten(x, 1), { bad: [bad('order', () => cr.flatten(t([2, 2]), 1, 0))] }),
  op('squeeze', [real], [[[2, 1, 3]], [[1, 1, 5]]], (x) => cr.squeeze(x), { bad: [bad('dim', () => cr.squeeze(t([1]), 1))] }),
  op('unsqueeze', [real], [[[2, 3]], [[5]]], (x) => cr.unsqueeze(x, 1), { bad: [bad('dim', () => cr.unsqueeze(t([1]), 2))] }),
  op('permute', [real], [[[2, 3, 4]], [[1, 9, 2]], [[17, 5, 8]]], (x) => cr.permute(x, [2, 0, 1]), { large: [[33, 17, 65]], bad: [bad('count', () => cr.permute(t([2, 3]), [0])), bad('twice', () => cr.permute(t([2, 3]), [0, 0]))] }),
  op('transpose', [real], [[[2, 3]], [[9, 17]], [[3, 8, 33]]], (x) => cr.transpose(x), { large: [[257, 131]], bad: [bad('vector', () => cr.transpose(t([3])))] }),
  op('expand', [real], [[[3, 1]], [[1, 1]]], (x) => cr.expand(x, [2, -1, 4]), { bad: [bad('size', () => cr.expand(t([2]), [3])), bad('fewer', () => cr.expand(t([2, 2]), [2]))] }),
  op('slice', [real], [[[3, 7]], [[1, 5]]], (x) => cr.slice(x, 1, 1, -1, 2), { bad: [bad('step', () => cr.slice(t([3]), 0, 0, 3, 0)), bad('dim', () => cr.slice(t([3]), 1))] }),
  op('slice backwards', [real], [[[3, 7]], [[8]]], (x) => cr.slice(x, -1, -2, undefined, -2)),
  op('narrow', [real], [[[5, 3]], [[4, 9]]], (x) => cr.narrow(x, 0, 1, 3), { bad: [bad('range', () => cr.narrow(t([3]), 0, 2, 2)), bad('negative', () => cr.narrow(t([3]), 0, -1, 2))] }),
  op('at', [real], [[[3, 7, 2]], [[2, 4, 1]]], (x) => x.at(1, [1, 3], null), { bad: [bad('range', () => t([3]).at(3)), bad('rank', () => t([3]).at(0, 0)), bad('kind', () => t([3]).at('x' as unknown as number))], accepts: (x) => typeof x === 'string' || Array.isArray(x) }),
  op('split', [real], [[[3, 5]], [[2, 2]], [[2, 1]]], (x) => cr.split(x, 2, 1)[0], { bad: [bad('sizes', () => cr.split(t([5]), [2, 2])), bad('zero', () => cr.split(t([5]), 0))] }),
  op('pad', [real], [[[2, 3]], [[1, 9]], [[0, 2]]], (x) => cr.pad(x, [1, 2, 0, 3], { value: 0.5 }), { large: [[67, 211]], bad: [bad('odd', () => cr.pad(t([2]), [1])), bad('crop', () => cr.pad(t([2]), [-3, 0]))] }),
  op('pad and crop', [real], [[[4, 5]]], (x) => cr.pad(x, [-1, 2, 1, -2])),
  op('concat', [real, real, real], [[[2, 3], [2, 1], [2, 4]], [[1, 0], [1, 5], [1, 9]], [[3, 2], [3, 0], [3, 0]]], (...x) => cr.concat(x, 1), { large: [[67, 31], [67, 200], [67, 9]], bad: [bad('none', () => cr.concat([])), bad('sizes', () => cr.concat([t([2, 3]), t([3, 3])], 1)), bad('dtypes', () => cr.concat([t([2]), t([2], 'int32')]))] }),
  op('concat of rows of int32', [ints(-9, 9), ints(-9, 9)], [[[2, 3], [1, 3]], [[0, 3], [4, 3]]], (...x) => cr.concat(x), exact),
  op('stack', [real, real], [[[2, 3], [2, 3]], [[], []], [[0], [0]]], (...x) => cr.stack(x, -1), { bad: [bad('none', () => cr.stack([])), bad('shapes', () => cr.stack([t([2]), t([3])]))] }),
  unary('clone', real, (x) => cr.clone(x)),
]

// biome-ignore format: one line a case
const compositions: Case[] = [
  binary('weighted sum', real, real, (a, b) => cr.add(cr.mul(a, 0.9), cr.mul(b, 0.1)), { special: false }),
  op('layer norm', [real, positive, real], [[[3, 8], [8], [8]]], (x, w, b) => { const c = x.sub(x.mean({ dim: -1, keepdim: true })); return c.mul(c.square().mean({ dim: -1, keepdim: true }).add(1e-5).rsqrt()).mul(w).add(b) }, { tolerance: 1e-4, large: [[129, 257], [257], [257]] }),
  op('attention', [real, real, real], [[[2, 3, 4], [2, 5, 4], [2, 5, 6]]], (q, k, v) => q.matmul(k.transpose()).mul(0.5).softmax().matmul(v), { tolerance: 1e-4 }),
  op('distances', [real, real], [[[3, 2], [4, 2]]], (a, b) => a.unsqueeze(1).sub(b).square().sum({ dim: -1 })),
  op('two layers', [real, real, real], [[[3, 4], [4, 5], [5, 2]]], (x, a, b) => x.matmul(a).tanh().matmul(b), { tolerance: 1e-4, large: [[67, 129], [129, 65], [65, 10]] }),
  op('branches', [smooth(0)], [[[4, 5]]], (x) => { const y = x.relu(); return y.mul(y.exp()).add(y.sum({ dim: 0 })).sub(x.amax()) }, { gradient: false }),
]

export const cases: readonly Case[] = [
  ...elementwise,
  ...arrays,
  ...algebra,
  ...activations,
  ...reductions,
  ...structured,
  ...movements,
  ...compositions,
  ...recurrentCases,
  ...layerCases,
  ...attentionCases,
  ...lossCases,
]
