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
  softplus: (t, o) => cr.softplus(t.x, o),
  sigmoid: unary(cr.sigmoid),
  tanh: unary(cr.tanh),
  softmax: (t, o) => cr.softmax(t.x, o.dim),
  log_softmax: (t, o) => cr.logSoftmax(t.x, o.dim),
  log_sigmoid: unary(cr.logSigmoid),
  elu: (t, o) => cr.elu(t.x, o.alpha),
  selu: unary(cr.selu),
  celu: (t, o) => cr.celu(t.x, o.alpha),
  mish: unary(cr.mish),
  softsign: unary(cr.softsign),
  hardswish: unary(cr.hardswish),
  hardsigmoid: unary(cr.hardsigmoid),
  hardtanh: (t, o) => cr.hardtanh(t.x, o.min, o.max),
  relu6: unary(cr.relu6),
  glu: (t, o) => cr.glu(t.x, o.dim),
  prelu: (t) => cr.prelu(t.x, t.weight),
}

golden('activations', (c: Case) => check(c, 2e-6, (t) => one(functions[c.op](t, c.options))))
