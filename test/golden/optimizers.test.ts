/** Optimizers and gradient clipping against PyTorch's values. */
import * as cr from '../../src/index.js'
import { nn, optim } from '../../src/index.js'
import { camelOptions, type Golden, golden, make, near, type Options } from '../support/golden.js'
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

const later = ['RMSprop', 'Adagrad', 'Adadelta', 'Adamax', 'NAdam', 'RAdam', 'Rprop', 'LBFGS']

golden('optimizers', checkOptimizer, later)
golden('clip', checkClip)
