/** Activations against PyTorch's values. */
import * as cr from '../../src/index.js'
import type { Tensor } from '../../src/index.js'
import { type Case, check, golden, type Inputs, type Options, one } from '../support/golden.js'

const unary = (f: (x: Tensor) => Tensor) => (t: Inputs) => f(t.x)

const functions: Record<string, (t: Inputs, o: Options) => Tensor> = {
  relu: unary(cr.relu),
  leaky_relu: (t, o) => cr.leakyRelu(t.x, o.negative_slope),
  gelu: (t, o) => cr.gelu(t.x, { approximate: o.approximate }),
  gelu_tanh: (t) => cr.gelu(t.x, { approximate: 'tanh' }),
  silu: unary(cr.silu),
  softplus: unary(cr.softplus),
  sigmoid: unary(cr.sigmoid),
  tanh: unary(cr.tanh),
  softmax: (t, o) => cr.softmax(t.x, o.dim),
  log_softmax: (t, o) => cr.logSoftmax(t.x, o.dim),
  log_sigmoid: unary(cr.logSigmoid),
}

const later = ['elu', 'selu', 'mish', 'hardswish', 'relu6', 'hardsigmoid', 'hardtanh', 'softsign', 'celu', 'glu', 'prelu']

golden('activations', (c: Case) => check(c, 2e-6, (t) => one(functions[c.op](t, c.options))), later)
