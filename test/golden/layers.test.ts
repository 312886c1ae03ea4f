/** Layers against PyTorch's values. */
import { nn } from '../../src/index.js'
import { type Case, camelOptions, check, golden, make, near, type Options, one } from '../support/golden.js'

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

const later = [
  ...['Bilinear', 'Conv1d', 'Conv3d', 'ConvTranspose1d', 'ConvTranspose2d', 'EmbeddingBag', 'MaxPool1d', 'AvgPool1d'],
  ...['AdaptiveAvgPool2d', 'AdaptiveMaxPool2d', 'Upsample', 'PixelShuffle', 'PixelUnshuffle'],
  ...['LayerNorm', 'GroupNorm', 'RMSNorm', 'InstanceNorm1d', 'InstanceNorm2d', 'LocalResponseNorm'],
]

golden('layers-linear-conv', (c: Case) => checkLayer(c, 5e-6), later)
golden('layers-norm', (c: Case) => checkLayer(c, 1e-5), later)
golden('layers-embedding', (c: Case) => checkLayer(c, 2e-6), later)
golden('layers-pool-shape', (c: Case) => checkLayer(c, 2e-6), later)
