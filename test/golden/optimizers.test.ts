/** Optimizers and gradient clipping against PyTorch's values. */
import * as cr from '../../src/index.js'
import { expect } from 'vitest'
import { compile, nn, optim, type Tensor } from '../../src/index.js'
import { camelOptions, type Golden, golden, make, type Named, near, type Options } from '../support/golden.js'
import { optimizers } from '../support/optimizers.js'

interface OptimizerCase {
  readonly name: string
  readonly op: string
  readonly options: Options
  readonly params: Golden[]
  readonly grads_per_step: Golden[][]
  readonly params_after_step: Golden[][]
}

function checkOptimizer(c: OptimizerCase): void {
  const params = c.params.map((g) => new nn.Parameter(make(g)))
  const { param_groups: groups, ...options } = c.options
  const given = groups === undefined ? params : params.map((p, i) => ({ params: [p], ...camelOptions(groups[i]) }))
  const optimizer = optimizers[c.op](given, camelOptions(options))
  c.grads_per_step.forEach((grads, step) => {
    optimizer.zeroGrad()
    params.forEach((p, i) => {
      p.grad = make(grads[i])
    })
    optimizer.step()
    params.forEach((p, i) => near(p, c.params_after_step[step][i], 5e-6, `parameter ${i} after step ${step}`))
  })
}

interface ClipCase {
  readonly name: string
  readonly op: string
  readonly options: Options
  readonly grads: Golden[]
  readonly clipped: Golden[]
  readonly total_norm?: Golden
}

function checkClip(c: ClipCase): void {
  const leaves = c.grads.map((g) => {
    const leaf = new nn.Parameter(cr.zeros(g.shape))
    leaf.grad = make(g)
    return leaf
  })
  if (c.op === 'clip_grad_value') {
    optim.clipGradValue(leaves, c.options.clip_value)
  } else {
    const total = optim.clipGradNorm(leaves, c.options.max_norm, { normType: Number(c.options.norm_type) })
    const wanted = c.total_norm as Golden | number | undefined
    if (wanted !== undefined)
      near(total, typeof wanted === 'number' ? { shape: [], dtype: 'float32', data: [wanted] } : wanted, 2e-6, 'norm')
  }
  leaves.forEach((leaf, i) => near(leaf.grad, c.clipped[i], 2e-6, `gradient ${i}`))
}

interface LbfgsCase {
  readonly options: Options
  readonly inputs: Named
  readonly params: Golden[]
  readonly params_after_step: Golden[][]
  readonly loss_at_step_start: Golden[]
  readonly closure_calls: number[]
}

/** The functions LBFGS is tried on. */
const functions: Record<string, (inputs: Record<string, Tensor>) => (x: Tensor) => Tensor> = {
  'LBFGS/quadratic': ({ a, b }) => (x) => x.sub(b).square().mul(a).sum().mul(0.5).add(x.sum().square().mul(0.1)),
  'LBFGS/rosenbrock-wolfe': () => (x) => {
    const [x0, x1] = [x.at(0), x.at(1)]
    return x1.sub(x0.square()).square().mul(100).add(x0.neg().add(1).square())
  },
}

function checkLbfgs(c: LbfgsCase & { name: string }, way: (f: () => Tensor) => () => Tensor): void {
  const { name } = c
  const params = c.params.map((g) => new nn.Parameter(make(g)))
  const optimizer = new optim.LBFGS(params, camelOptions(c.options))
  const f = functions[name](Object.fromEntries(Object.entries(c.inputs).map(([key, g]) => [key, make(g)])))
  let calls = 0
  const closure = way(() => {
    optimizer.zeroGrad()
    const loss = f(params[0])
    loss.backward()
    return loss
  })
  const rtol = c.options.line_search_fn ? 1e-3 : 5e-6
  c.params_after_step.forEach((after, step) => {
    calls = 0
    const loss = optimizer.step(() => {
      calls++
      return closure()
    })
    near(loss, c.loss_at_step_start[step], rtol, `loss of step ${step}`, 1e-7)
    // near the minimum rounding decides when to stop
    if (step < 3) expect(calls, `calls of step ${step}`).toBe(c.closure_calls[step])
    params.forEach((p, i) => near(p, after[i], rtol, `parameter ${i} after step ${step}`, 1e-7))
  })
}

golden('optimizers', (c: OptimizerCase & LbfgsCase) => {
  if (c.op !== 'LBFGS') return checkOptimizer(c)
  checkLbfgs(c, (f) => f)
  return checkLbfgs(c, (f) => compile(f).sync)
})
// other options, over more steps, from the same PyTorch in float64
golden('optimizers-options', checkOptimizer)
golden('clip', checkClip)
