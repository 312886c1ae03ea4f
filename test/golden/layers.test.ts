/** Layers against PyTorch's values. */
import { nn, type Tensor } from '../../src/index.js'
import { type Case, camelOptions, check, golden, make, near, type Options, one } from '../support/golden.js'

type Sizes = [number, number, number]

const layers: Record<string, (args: Sizes, options: Options) => nn.Layer> = {
  Linear: ([a, b], o) => new nn.Linear(a, b, o),
  Bilinear: ([a, b, c], o) => new nn.Bilinear(a, b, c, o) as unknown as nn.Layer,
  Conv1d: ([a, b, k], o) => new nn.Conv1d(a, b, k, o),
  Conv2d: ([a, b, k], o) => new nn.Conv2d(a, b, k, o),
  Conv3d: ([a, b, k], o) => new nn.Conv3d(a, b, k, o),
  ConvTranspose1d: ([a, b, k], o) => new nn.ConvTranspose1d(a, b, k, o),
  ConvTranspose2d: ([a, b, k], o) => new nn.ConvTranspose2d(a, b, k, o),
  ConvTranspose3d: ([a, b, k], o) => new nn.ConvTranspose3d(a, b, k, o),
  BatchNorm1d: ([n], o) => new nn.BatchNorm1d(n, o),
  BatchNorm2d: ([n], o) => new nn.BatchNorm2d(n, o),
  LayerNorm: ([n], o) => new nn.LayerNorm(n, o),
  RMSNorm: ([n], o) => new nn.RMSNorm(n, o),
  GroupNorm: ([g, n], o) => new nn.GroupNorm(g, n, o),
  InstanceNorm1d: ([n], o) => new nn.InstanceNorm1d(n, o),
  InstanceNorm2d: ([n], o) => new nn.InstanceNorm2d(n, o),
  InstanceNorm3d: ([n], o) => new nn.InstanceNorm3d(n, o),
  ...Object.fromEntries(
    (['ReflectionPad3d', 'ReplicationPad3d', 'CircularPad3d', 'ZeroPad3d'] as const).map((name) => [name, ([p]: Sizes) => new nn[name](p)]),
  ),
  ConstantPad3d: ([p, value]) => new nn.ConstantPad3d(p, value),
  LocalResponseNorm: ([n], o) => new nn.LocalResponseNorm(n, o),
  Embedding: ([n, d], o) => new nn.Embedding(n, d, o),
  EmbeddingBag: ([n, d], o) => new nn.EmbeddingBag(n, d, o),
  MaxPool1d: ([k], o) => new nn.MaxPool1d(k, o),
  MaxPool2d: ([k], o) => new nn.MaxPool2d(k, o),
  MaxPool3d: ([k], o) => new nn.MaxPool3d(k, o),
  AvgPool1d: ([k], o) => new nn.AvgPool1d(k, o),
  AvgPool2d: ([k], o) => new nn.AvgPool2d(k, o),
  AvgPool3d: ([k], o) => new nn.AvgPool3d(k, o),
  AdaptiveAvgPool2d: ([n]) => new nn.AdaptiveAvgPool2d(n),
  AdaptiveAvgPool3d: ([n]) => new nn.AdaptiveAvgPool3d(n),
  AdaptiveMaxPool2d: ([n]) => new nn.AdaptiveMaxPool2d(n),
  AdaptiveMaxPool3d: ([n]) => new nn.AdaptiveMaxPool3d(n),
  Upsample: (_, o) => new nn.Upsample(o),
  PixelShuffle: ([r]) => new nn.PixelShuffle(r),
  PixelUnshuffle: ([r]) => new nn.PixelUnshuffle(r),
  Flatten: () => new nn.Flatten(),
}

function checkLayer(c: Case, rtol: number): void {
  const { args, ...options } = c.options
  const layer = layers[c.op](args, camelOptions(options))
  const state = { ...c.params, ...c.buffers }
  layer.loadStateDict(Object.fromEntries(Object.entries(state).map(([name, g]) => [name, make(g)])))
  layer.train(c.mode === 'train')
  const forward = layer.forward.bind(layer) as (...inputs: Tensor[]) => Tensor
  check(c, rtol, ({ x, index, a, b }) => one(a === undefined ? forward(x ?? index) : forward(a, b)))
  const parameters = Object.fromEntries(layer.namedParameters())
  for (const [name, g] of Object.entries(c.param_grads ?? {}))
    near(parameters[name].grad, g, rtol, `gradient of ${name}`, c.f32_err?.grad_abs)
  const after = layer.stateDict()
  for (const [name, g] of Object.entries(c.buffers_after ?? {})) near(after[name], g, rtol, `${name} afterwards`)
}

golden('layers-linear-conv', (c: Case) => checkLayer(c, 5e-6))
golden('layers-norm', (c: Case) => checkLayer(c, 1e-5))
golden('layers-embedding', (c: Case) => checkLayer(c, 2e-6))
golden('layers-pool-shape', (c: Case) => checkLayer(c, 2e-6))
golden('layers-volumes', (c: Case) => checkLayer(c, 5e-6))
golden('layers-options', (c: Case) => checkLayer(c, 2e-6))
