/**
 * Where numbers are not finite, equal or ignored, against PyTorch's values: eager and compiled, the second call of a program as well.
 */
import { expect } from 'vitest'
import * as cr from '../../src/index.js'
import { type Tensor, valueAndGrad } from '../../src/index.js'
import { type Case, camelOptions, golden, type Inputs, make, near, type Options } from '../support/golden.js'

/** Of values that are equal, only what treats all alike has one gradient. */
const both = (values: Tensor): Tensor => values.add(values.square()).sum()

const functions: Record<string, (t: Inputs, o: Options) => Tensor> = {
  svd: ({ x }) => both(cr.svd(x).S),
  eigh: ({ x }) => both(cr.eigh(x).eigenvalues),
  eigh_log: ({ x }) => cr.eigh(x).eigenvalues.log().sum(),
  eigh_vectors: ({ x }) => cr.eigh(x).eigenvectors.pow(4),
  slogdet: ({ x }) => cr.slogdet(x).logabsdet,
  pinverse: ({ x }) => cr.pinverse(x),
  hypot: ({ a, b }) => cr.hypot(a, b),
  atan2: ({ a, b }) => cr.atan2(a, b),
  logaddexp: ({ a, b }) => cr.logaddexp(a, b),
  huber_loss: ({ x, y }, o) => cr.losses.huberLoss(x, y, o),
  smooth_l1_loss: ({ x, y }, o) => cr.losses.smoothL1Loss(x, y, o),
  nll_loss: ({ x, y }, o) => cr.losses.nllLoss(x, y, o),
  cross_entropy: ({ x, y }, o) => cr.losses.crossEntropy(x, y, o),
  searchsorted: ({ a, b }, o) => cr.searchsorted(a, b, o),
  quantile: ({ x }, { q, ...o }) => cr.quantile(x, q, o),
  interpolate: ({ x }, o) => cr.interpolate(x, o as Parameters<typeof cr.interpolate>[1]),
  amax: ({ x }) => cr.amax(x, { dim: 1 }),
  norm0: ({ x }) => cr.norm(x, { p: 0 }),
}

golden('special', (c: Case) => {
  const names = Object.keys(c.inputs)
  const inputs = names.map((name) => make(c.inputs[name]))
  const wanted = Object.keys(c.grads)
  const call = (...given: Tensor[]): Tensor => functions[c.op](Object.fromEntries(names.map((n, i) => [n, given[i]])), camelOptions(c.options))
  const seed = make(c.grad_outputs.out ?? c.outputs.out)
  const scalar = (...given: Tensor[]): Tensor => cr.sum(cr.mul(call(...given), seed))
  const ways = {
    eager: (f: typeof call) => () => f(...inputs),
    compiled: (f: typeof call) => {
      const compiled = cr.compile(f)
      return () => compiled.sync(...inputs)
    },
  }
  for (const [way, run] of Object.entries(ways)) {
    const forward = run(call)
    for (const round of [1, 2]) near(forward(), c.outputs.out, 2e-6, `${way}, call ${round}`)
    wanted.forEach((name) => {
      const of = names.indexOf(name)
      const backward = run((...given) => [valueAndGrad(scalar)(...given)[1]].flat()[of] as Tensor)
      for (const round of [1, 2]) near(backward(), c.grads[name], 2e-6, `${way}, gradient of ${name}, call ${round}`)
    })
  }
  expect(wanted.length > 0).toBe(Object.keys(c.grad_outputs).length > 0)
})
