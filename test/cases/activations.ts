/** Activations, one line each. */
import * as cr from '../../src/index.js'
import { type Case, op, real, smooth, unary, within } from '../support/cases.js'

const x = cr.zeros([2, 3])
const not = 'x' as unknown as number

// biome-ignore format: one line a case
export const activations: Case[] = [
  unary('elu', smooth(0), (x) => cr.elu(x, 0.7), { bad: [['alpha', () => cr.elu(x, not)]] }),
  unary('selu', smooth(0), (x) => cr.selu(x)),
  unary('celu', smooth(0), (x) => cr.celu(x, 1.5), { bad: [['alpha', () => cr.celu(x, 0)]] }),
  unary('mish', real, (x) => cr.mish(x), { special: false }),
  unary('softplus, steep', smooth(0, 0.5), (x) => cr.softplus(x, { beta: 2, threshold: 1 }), { bad: [['beta', () => cr.softplus(x, { beta: 0 })]] }),
  unary('softsign', smooth(0), (x) => cr.softsign(x)),
  unary('hardtanh', smooth(-1, 1), (x) => cr.hardtanh(x), { bad: [['order', () => cr.hardtanh(x, 2, 1)]] }),
  unary('relu6', within(-7, 9), (x) => cr.relu6(x)),
  unary('hardsigmoid', within(-2.9, 2.9), (x) => cr.hardsigmoid(x)),
  unary('hardswish', within(-2.9, 2.9), (x) => cr.hardswish(x)),
  unary('threshold', smooth(0.5), (x) => cr.threshold(x, 0.5, 20), { bad: [['value', () => cr.threshold(x, 0, not)]] }),
  unary('softshrink', smooth(-0.5, 0.5), (x) => cr.softshrink(x), { bad: [['lambd', () => cr.softshrink(x, -1)]] }),
  unary('hardshrink', smooth(-0.5, 0.5), (x) => cr.hardshrink(x)),
  unary('tanhshrink', real, (x) => cr.tanhshrink(x)),
  op('prelu', [smooth(0), real], [[[4, 3], [3]], [[4, 3], [1]], [[2, 3, 5, 1], [3]], [[7], [1]], [[0, 3], [3]], [[], [1]]], (x, w) => cr.prelu(x, w), { large: [[7, 33, 65], [33]], bad: [['channels', () => cr.prelu(x, cr.zeros([2]))], ['a matrix', () => cr.prelu(x, cr.zeros([2, 3]))]] }),
  op('glu', [real], [[[3, 4]], [[2, 34]], [[0, 2]], [[6]]], (x) => cr.glu(x), { large: [[129, 66]], bad: [['odd', () => cr.glu(x)], ['dim', () => cr.glu(x, 2)]] }),
  op('glu of rows', [real], [[[4, 3]], [[2, 3, 5]]], (x) => cr.glu(x, 0)),
]
