/**
 * Values computed with PyTorch (test/golden/README.md), on each backend there is: results, gradients, states after steps.
 */
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { withBackend } from '../src/backend/select.js'
import * as cr from '../src/index.js'
import { losses, nn, optim, type Tensor, tensor } from '../src/index.js'

interface Golden {
  readonly shape: number[]
  readonly dtype: 'float32' | 'int32' | 'bool'
  readonly data: (number | string)[]
}
type Named = Record<string, Golden>
// biome-ignore lint/suspicious/noExplicitAny: options are PyTorch's, of any kind
type Options = Record<string, any>
interface Case {
  readonly name: string
  readonly op: string
  readonly options: Options
  readonly mode?: 'train' | 'eval'
  readonly inputs: Named
  readonly outputs: Named
  readonly grad_outputs: Named
  readonly grads: Named
  readonly params: Named
  readonly param_grads?: Named
  readonly buffers?: Named
  readonly buffers_after?: Named
  readonly f32_err?: { out_abs: number; out_rel: number; grad_abs: number; grad_rel: number }
}
type Inputs = Record<string, Tensor>

function casesOf<T = Case>(group: string): T[] {
  return JSON.parse(readFileSync(new URL(`./golden/${group}.json`, import.meta.url), 'utf8')).cases
}

const make = (g: Golden): Tensor => {
  const numbers = g.data.map(Number)
  return tensor(g.dtype === 'float32' ? Float32Array.from(numbers) : Int32Array.from(numbers), { shape: g.shape, dtype: g.dtype })
}

/** The README's rule: |a − b| ≤ atol + rtol·max|b| over the tensor, never tighter than ten times PyTorch's own float32 error. */
function near(actual: Tensor | undefined, wanted: Golden, rtol: number, what: string, error = 0): void {
  if (actual === undefined) throw new Error(`${what}: nothing there`)
  expect(actual.shape, what).toEqual(wanted.shape)
  expect(actual.dtype, what).toBe(wanted.dtype)
  const a = actual.data
  const b = wanted.data.map(Number)
  const finite = b.filter(Number.isFinite).map(Math.abs)
  const limit = Math.max(1e-7 + rtol * Math.max(0, ...finite), 10 * error)
  b.forEach((x, i) => {
    const same = Object.is(x, a[i]) || x === a[i] || Math.abs(x - a[i]) <= limit
    if (!same) throw new Error(`${what}[${i}]: ${a[i]} instead of ${x}, allowed difference ${limit}`)
  })
}

/** Runs a function of tensors, seeds the gradients given, and compares everything. */
function check(c: Case, rtol: number, run: (inputs: Inputs) => Record<string, Tensor>): void {
  const inputs: Inputs = Object.fromEntries(Object.entries(c.inputs).map(([name, g]) => [name, make(g)]))
  for (const name of Object.keys(c.grads)) inputs[name].requiresGrad = true
  const outputs = run(inputs)
  for (const [name, g] of Object.entries(c.outputs)) near(outputs[name], g, rtol, name, c.f32_err?.out_abs)
  for (const [name, g] of Object.entries(c.grad_outputs)) outputs[name].backward(make(g))
  for (const [name, g] of Object.entries(c.grads)) near(inputs[name].grad, g, rtol, `gradient of ${name}`, c.f32_err?.grad_abs)
}

const one = (out: Tensor): Record<string, Tensor> => ({ out })
type Table = Record<string, (t: Inputs, o: Options) => Tensor>
const binary = (f: (a: Tensor, b: Tensor) => Tensor) => (t: Inputs) => f(t.a, t.b)
const unary = (f: (x: Tensor) => Tensor) => (t: Inputs) => f(t.x)
const dims = (o: Options) => ({ dim: o.dim ?? undefined, keepdim: o.keepdim })

// Ops that do not exist yet, each with the issue that brings it.
const later: Record<string, string> = Object.fromEntries(
  [
    ...['elu', 'selu', 'mish', 'hardswish', 'relu6', 'hardsigmoid', 'hardtanh', 'softsign', 'celu', 'glu', 'prelu'],
    ...['tan', 'atan', 'sinh', 'cosh', 'cumsum', 'topk', 'masked_fill', 'normalize', 'cosine_similarity', 'einsum', 'pad/reflect'],
    ...['kl_div', 'ctc_loss', 'cosine_embedding_loss', 'triplet_margin_loss', 'hinge_embedding_loss', 'multi_margin_loss'],
    ...['margin_ranking_loss', 'soft_margin_loss', 'gaussian_nll_loss', 'poisson_nll_loss'],
    ...['Bilinear', 'Conv1d', 'Conv3d', 'ConvTranspose1d', 'ConvTranspose2d', 'EmbeddingBag', 'MaxPool1d', 'AvgPool1d'],
    ...['AdaptiveAvgPool2d', 'AdaptiveMaxPool2d', 'Upsample', 'PixelShuffle', 'PixelUnshuffle'],
    ...['LayerNorm', 'GroupNorm', 'RMSNorm', 'InstanceNorm1d', 'InstanceNorm2d', 'LocalResponseNorm'],
    ...['RMSprop', 'Adagrad', 'Adadelta', 'Adamax', 'NAdam', 'RAdam', 'Rprop', 'LBFGS', 'train/mlp-adam', 'train/lstm-lm'],
  ].map((op) => [op, 'issue 4']),
)

const functions: Table = {
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
  add: binary(cr.add),
  sub: binary(cr.sub),
  mul: binary(cr.mul),
  div: binary(cr.div),
  maximum: binary(cr.maximum),
  minimum: binary(cr.minimum),
  pow: (t, o) => cr.pow(t.a, t.b ?? o.exponent),
  exp: unary(cr.exp),
  log: unary(cr.log),
  sqrt: unary(cr.sqrt),
  rsqrt: unary(cr.rsqrt),
  abs: unary(cr.abs),
  neg: unary(cr.neg),
  square: unary(cr.square),
  sin: unary(cr.sin),
  cos: unary(cr.cos),
  reciprocal: unary(cr.reciprocal),
  erf: unary(cr.erf),
  log1p: unary(cr.log1p),
  expm1: unary(cr.expm1),
  clamp: (t, o) => cr.clamp(t.x, o.min, o.max),
  matmul: (t, o) => (o.note === undefined ? t.a : t.a.transpose()).matmul(t.b),
  sum: (t, o) => cr.sum(t.x, dims(o)),
  mean: (t, o) => cr.mean(t.x, dims(o)),
  amax: (t, o) => cr.amax(t.x, dims(o)),
  amin: (t, o) => cr.amin(t.x, dims(o)),
  logsumexp: (t, o) => cr.logsumexp(t.x, dims(o)),
  var: (t, o) => cr.variance(t.x, o),
  std: (t, o) => cr.std(t.x, o),
  prod: (t, o) => cr.prod(t.x, dims(o)),
  norm: unary(cr.norm),
  argmax: (t, o) => cr.argmax(t.x, o.dim),
  cat: (t, o) => cr.concat(o.note === undefined ? [t.a, t.b] : [t.a, t.b, t.a], o.dim),
  stack: (t, o) => cr.stack([t.a, t.b], o.dim),
  transpose: (t, o) => t.x.transpose(...(o.dims as [number, number])),
  permute: (t, o) => t.x.permute(o.dims),
  slice: (t, o) => t.x.slice(o.dim, o.start, o.end, o.step),
  gather: (t, o) => t.x.gather(t.index, o.dim),
  index_select: (t, o) => t.x.indexSelect(t.index, o.dim),
  where: (t) => cr.where(t.cond, t.a, t.b),
  expand: (t, o) => t.x.expand(o.shape),
  pad: (t, o) => t.x.pad(o.pad, { value: o.value }),
  graph: ({ x }) => x.mul(x).add(x.exp()).mul(x.sum()),
  mse_loss: (t, o) => losses.mseLoss(t.input, t.target, o),
  l1_loss: (t, o) => losses.l1Loss(t.input, t.target, o),
  smooth_l1_loss: (t, o) => losses.smoothL1Loss(t.input, t.target, o),
  huber_loss: (t, o) => losses.huberLoss(t.input, t.target, o),
  bce_with_logits: (t, o) => losses.binaryCrossEntropyWithLogits(t.input, t.target, { ...o, posWeight: t.pos_weight }),
  bce: (t, o) => losses.binaryCrossEntropy(t.input, t.target, o),
  nll_loss: (t, o) => losses.nllLoss(t.input, t.target, o),
  cross_entropy: (t, o) =>
    losses.crossEntropy(t.input, t.target, {
      reduction: o.reduction,
      weight: t.weight,
      ignoreIndex: o.ignore_index,
      labelSmoothing: o.label_smoothing,
    }),
}

const camel = (name: string): string => name.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase())
const camelOptions = (o: Options): Options => Object.fromEntries(Object.entries(o).map(([name, value]) => [camel(name), value]))

const layers: Record<string, (args: number[], options: Options) => nn.Layer> = {
  Linear: ([a, b], o) => new nn.Linear(a, b, o),
  Conv2d: ([a, b, k], o) => new nn.Conv2d(a, b, k, o),
  BatchNorm1d: ([n], o) => new nn.BatchNorm1d(n, o),
  BatchNorm2d: ([n], o) => new nn.BatchNorm2d(n, o),
  Embedding: ([n, d], o) => new nn.Embedding(n, d, o),
  MaxPool2d: ([k], o) => new nn.MaxPool2d(k, o),
  AvgPool2d: ([k], o) => new nn.AvgPool2d(k, o),
  Flatten: () => new nn.Flatten(),
}

function checkLayer(c: Case, rtol: number): void {
  const { args, ...options } = c.options
  const layer = layers[c.op](args, camelOptions(options))
  const state = { ...c.params, ...c.buffers }
  layer.loadStateDict(Object.fromEntries(Object.entries(state).map(([name, g]) => [name, make(g)])))
  layer.train(c.mode === 'train')
  check(c, rtol, (inputs) => one(layer.forward(inputs.x ?? inputs.index)))
  const parameters = Object.fromEntries(layer.namedParameters())
  for (const [name, g] of Object.entries(c.param_grads ?? {}))
    near(parameters[name].grad, g, rtol, `gradient of ${name}`, c.f32_err?.grad_abs)
  const after = layer.stateDict()
  for (const [name, g] of Object.entries(c.buffers_after ?? {})) near(after[name], g, rtol, `${name} afterwards`)
}

const optimizers: Record<string, (p: readonly Tensor[] | optim.GroupOptions<Options>[], o: Options) => optim.Optimizer> = {
  SGD: (p, o) => new optim.SGD(p, o),
  Adam: (p, o) => new optim.Adam(p, o),
  AdamW: (p, o) => new optim.AdamW(p, o),
}

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

interface NetworkCase {
  readonly name: string
  readonly options: { optimizer: Options & { op: string } }
  readonly state: Named
  readonly inputs: Named
  readonly loss_per_step: number[]
  readonly state_after: Named
}

const networks: Record<string, () => nn.Sequential> = {
  'train/mlp-sgd': () => new nn.Sequential(new nn.Linear(4, 8), new nn.Tanh(), new nn.Linear(8, 3)),
  'train/cnn-bn': () =>
    new nn.Sequential(
      new nn.Conv2d(1, 4, 3, { bias: false }),
      new nn.BatchNorm2d(4),
      new nn.ReLU(),
      new nn.MaxPool2d(2),
      new nn.Flatten(),
      new nn.Linear(36, 3),
    ),
}

function checkNetwork(c: NetworkCase): void {
  const net = networks[c.name]()
  net.loadStateDict(Object.fromEntries(Object.entries(c.state).map(([name, g]) => [name, make(g)])))
  const { op, ...options } = c.options.optimizer
  const optimizer = optimizers[op](net.parameters(), camelOptions(options))
  const x = make(c.inputs.x)
  const y = make(c.inputs.y)
  for (const [step, wanted] of c.loss_per_step.entries()) {
    const loss = losses.crossEntropy(net.forward(x), y)
    near(loss, { shape: [], dtype: 'float32', data: [wanted] }, 1e-4, `loss of step ${step}`)
    optimizer.zeroGrad()
    loss.backward()
    optimizer.step()
  }
  const after = net.stateDict()
  for (const [name, g] of Object.entries(c.state_after)) near(after[name], g, 1e-4, `${name} afterwards`)
}

const native = existsSync(new URL('../build/chainrule.node', import.meta.url))

describe.each(native ? (['js', 'native'] as const) : (['js'] as const))('on the %s backend', (backend) => {
  const each = <T extends { name: string; op?: string }>(group: string, run: (c: T) => void): void => {
    describe(group, () => {
      for (const c of casesOf<T>(group)) {
        const reason = later[c.name] ?? later[c.op ?? '']
        test.skipIf(reason !== undefined)(reason === undefined ? c.name : `${c.name} (${reason})`, () => withBackend(backend, () => run(c)))
      }
    })
  }
  const call = (rtol: number) => (c: Case) => check(c, rtol, (t) => one(functions[c.op](t, c.options)))

  each('activations', call(2e-6))
  each('ops', call(2e-6))
  each('losses', call(5e-6))
  each('layers-linear-conv', (c: Case) => checkLayer(c, 5e-6))
  each('layers-norm', (c: Case) => checkLayer(c, 1e-5))
  each('layers-embedding', (c: Case) => checkLayer(c, 2e-6))
  each('layers-pool-shape', (c: Case) => checkLayer(c, 2e-6))
  each('optimizers', checkOptimizer)
  each('clip', checkClip)
  each('networks', checkNetwork)
})
