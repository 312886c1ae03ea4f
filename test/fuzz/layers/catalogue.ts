/** Every layer of `nn` with random options, and inputs that it takes. In: a generator. Out: code that makes the layer, shapes of its inputs. */
import type { Random } from '../frame/random.js'

export interface Drawn {
  /** The layer, as code; `nn` is `cr.nn`. */
  readonly make: string
  readonly inputs: readonly { readonly shape: readonly number[]; readonly below?: number; readonly dtype?: 'bool' }[]
  /** The call, where it is not `layer.forward($0)`. */
  readonly call?: string
  /** Whether rows of the first dimension do not depend on each other, so that `predict` may be asked. */
  readonly rows: boolean
}

type Draw = (r: Random) => Drawn

const json = (x: unknown): string =>
  JSON.stringify(x)
    .replace(/"(\w+)":/g, '$1: ')
    .replace(/"/g, "'")
const size = (r: Random): number => r.pick([1, 1, 2, 3, 4, 5, 8, 9])
const few = (r: Random): number => r.pick([1, 1, 2, 3, 4])
const batch = (r: Random): number => r.pick([1, 2, 3, 5])
const flip = (r: Random): boolean => r.chance(0.5)
const sizes = (r: Random, n: number): number[] => Array.from({ length: n }, () => size(r))
const ranks = [1, 2, 3] as const
/** One input, independent rows. */
const one = (make: string, ...shape: number[]): Drawn => ({ make, inputs: [{ shape }], rows: true })

function convolution(r: Random, rank: number, transposed: boolean): Drawn {
  const groups = r.pick([1, 1, 1, 2, 3])
  const [input, output] = [groups * r.pick([1, 1, 2, 4]), groups * r.pick([1, 2, 4])]
  const space = sizes(r, rank).map((s) => (rank === 3 ? Math.min(s, 4) : s))
  const kernel = space.map((s) => r.int(1, Math.min(3, s + 1)))
  const dilation = r.chance(0.2) ? 2 : 1
  const stride = r.pick([1, 1, 2, 3])
  const padding = kernel.map((k, d) => Math.max(r.int(0, k >> 1), Math.ceil((dilation * (k - 1) + 1 - space[d]) / 2)))
  const mode = r.pick(['zeros', 'zeros', 'zeros', 'circular', 'replicate'])
  const options = {
    stride,
    dilation,
    groups,
    bias: r.chance(0.7),
    padding: transposed ? kernel.map((k) => r.int(0, k >> 1)) : stride === 1 && r.chance(0.2) ? 'same' : padding,
    ...(transposed ? { outputPadding: r.int(0, Math.max(stride, dilation) - 1) } : mode === 'zeros' ? {} : { paddingMode: mode }),
  }
  // in the shapes of text networks: a kernel as wide as the line
  if (rank === 2 && !transposed && r.chance(0.15))
    return one(`new nn.Conv2d(1, ${output * groups}, [${kernel[0]}, ${space[1]}])`, batch(r), 1, space[0] + 2, space[1])
  return one(
    `new nn.${transposed ? 'ConvTranspose' : 'Conv'}${rank}d(${input}, ${output}, ${json(kernel)}, ${json(options)})`,
    batch(r),
    input,
    ...space,
  )
}

function pool(r: Random, rank: number, kind: 'Max' | 'Avg'): Drawn {
  const kernel = r.int(1, 3)
  const dilation = kind === 'Max' && r.chance(0.2) ? 2 : 1
  const options = {
    stride: r.int(1, 3),
    padding: r.int(0, kernel >> 1),
    ceilMode: r.chance(0.3),
    ...(kind === 'Avg' ? { countIncludePad: flip(r) } : {}),
    ...(dilation > 1 ? { dilation } : {}),
  }
  const space = sizes(r, rank).map((s) => Math.max(s, dilation * (kernel - 1) + 1 - 2 * options.padding))
  return one(`new nn.${kind}Pool${rank}d(${kernel}, ${json(options)})`, batch(r), few(r), ...space)
}

function recurrent(r: Random, kind: string): Drawn {
  const [input, hidden] = [size(r), size(r)]
  const options = {
    numLayers: r.int(1, 2),
    bias: r.chance(0.8),
    batchFirst: flip(r),
    bidirectional: r.chance(0.4),
    ...(r.chance(0.2) ? { dropout: 0.4 } : {}),
    ...(kind === 'RNN' && flip(r) ? { nonlinearity: 'relu' } : {}),
    ...(kind === 'LSTM' && hidden > 1 && r.chance(0.2) ? { projSize: r.int(1, hidden - 1) } : {}),
  }
  const shape = r.chance(0.15) ? [few(r), input] : options.batchFirst ? [batch(r), few(r), input] : [few(r), batch(r), input]
  return {
    make: `new nn.${kind}(${input}, ${hidden}, ${json(options)})`,
    inputs: [{ shape }],
    rows: options.batchFirst && shape.length === 3,
    call: 'layer.forward($0)[0]',
  }
}

function cell(r: Random, kind: string): Drawn {
  const [input, hidden, n] = [size(r), size(r), batch(r)]
  const state = kind === 'LSTMCell' ? '[$1, $2]' : '$1'
  const inputs = [[n, input], [n, hidden], ...(kind === 'LSTMCell' ? [[n, hidden]] : [])].map((shape) => ({ shape }))
  return { make: `new nn.${kind}(${input}, ${hidden}, { bias: ${flip(r)} })`, inputs, call: `layer.forward($0, ${state})`, rows: false }
}

function attention(r: Random): Drawn {
  const heads = r.pick([1, 2])
  const embed = heads * r.pick([1, 2, 4])
  const [n, rows, keys] = [batch(r), size(r), size(r)]
  const options = {
    batchFirst: flip(r),
    bias: flip(r),
    addBiasKv: r.chance(0.2),
    addZeroAttn: r.chance(0.2),
    ...(r.chance(0.2) ? { kdim: 3, vdim: 5 } : {}),
  }
  const place = (length: number, width: number): { shape: number[] } => ({
    shape: options.batchFirst ? [n, length, width] : [length, n, width],
  })
  const self = options.kdim === undefined && flip(r)
  const how = { isCausal: r.chance(0.3), needWeights: flip(r), averageAttnWeights: flip(r) }
  const inputs = self ? [place(rows, embed)] : [place(rows, embed), place(keys, options.kdim ?? embed), place(keys, options.vdim ?? embed)]
  const masked = r.chance(0.3)
  const mask = masked ? [{ shape: [n, self ? rows : keys], dtype: 'bool' as const }] : []
  const given = masked ? json(how).replace(/}$/, `,keyPaddingMask: $${inputs.length} }`) : json(how)
  const call = `layer.forward(${self ? '$0, $0, $0' : '$0, $1, $2'}, ${given}).filter((t) => t !== undefined)`
  return { make: `new nn.MultiheadAttention(${embed}, ${heads}, ${json(options)})`, inputs: [...inputs, ...mask], call, rows: false }
}

function transformer(r: Random, kind: string): Drawn {
  const heads = r.pick([1, 2])
  const model = heads * r.pick([1, 2, 4])
  const options = {
    dimFeedforward: size(r),
    dropout: r.pick([0, 0, 0.3]),
    batchFirst: flip(r),
    normFirst: flip(r),
    bias: flip(r),
    activation: r.pick(['relu', 'gelu']),
  }
  const n = batch(r)
  const place = (): { shape: number[] } => ({ shape: options.batchFirst ? [n, size(r), model] : [size(r), n, model] })
  const layer = `new nn.Transformer${kind.startsWith('Decoder') ? 'Decoder' : 'Encoder'}Layer(${model}, ${heads}, ${json(options)})`
  switch (kind) {
    case 'EncoderLayer':
      return { make: layer, inputs: [place()], call: `layer.forward($0, { isCausal: ${flip(r)} })`, rows: options.batchFirst }
    case 'Encoder':
      return { make: `new nn.TransformerEncoder(${layer}, ${r.int(1, 2)})`, inputs: [place()], rows: options.batchFirst }
    case 'DecoderLayer':
      return { make: layer, inputs: [place(), place()], call: `layer.forward($0, $1, { tgtIsCausal: ${flip(r)} })`, rows: false }
    case 'Decoder':
      return {
        make: `new nn.TransformerDecoder(${layer}, ${r.int(1, 2)})`,
        inputs: [place(), place()],
        call: 'layer.forward($0, $1)',
        rows: false,
      }
    default:
      return {
        make: `new nn.Transformer(${json({ dModel: model, nhead: heads, numEncoderLayers: 1, numDecoderLayers: 1, ...options })})`,
        inputs: [place(), place()],
        call: `layer.forward($0, $1, { tgtIsCausal: ${flip(r)} })`,
        rows: false,
      }
  }
}

const activations: Draw[] = [
  ...[
    'ReLU',
    'ReLU6',
    'SELU',
    'SiLU',
    'Mish',
    'Sigmoid',
    'Tanh',
    'Tanhshrink',
    'Softsign',
    'LogSigmoid',
    'Hardsigmoid',
    'Hardswish',
    'Identity',
  ].map((name) => `new nn.${name}()`),
  'new nn.LeakyReLU(0.2)',
  'new nn.ELU(0.7)',
  'new nn.CELU(1.3)',
  'new nn.GELU()',
  "new nn.GELU({ approximate: 'tanh' })",
  'new nn.Softplus({ beta: 2, threshold: 1 })',
  'new nn.Hardtanh(-0.5, 0.8)',
  'new nn.Softshrink(0.3)',
  'new nn.Hardshrink(0.3)',
  'new nn.Threshold(0.1, 3)',
  'new nn.Softmax(-1)',
  'new nn.LogSoftmax(-1)',
  'new nn.PReLU()',
  'new nn.Dropout(0.4)',
].map(
  (make): Draw =>
    (r) =>
      one(make, batch(r), ...sizes(r, r.int(1, 3))),
)

const dense: Draw[] = [
  (r) => one(`new nn.GLU(${r.pick([-1, 1])})`, batch(r), 2 * few(r), 2 * few(r)),
  (r) => {
    const n = size(r)
    return one(`new nn.PReLU(${n})`, batch(r), n, ...sizes(r, r.int(0, 2)))
  },
  (r) => {
    const n = size(r)
    return one(`new nn.Linear(${n}, ${size(r)}, { bias: ${r.chance(0.7)} })`, batch(r), ...sizes(r, r.int(0, 2)), n)
  },
  (r) => {
    const [a, b, n] = [few(r), few(r), batch(r)]
    return {
      make: `new nn.Bilinear(${a}, ${b}, ${size(r)})`,
      inputs: [{ shape: [n, a] }, { shape: [n, b] }],
      call: 'layer.forward($0, $1)',
      rows: false,
    }
  },
  (r) => {
    const n = few(r)
    const options = r.chance(0.3) ? `, { paddingIdx: ${r.int(0, n - 1)} }` : ''
    return {
      make: `new nn.Embedding(${n}, ${size(r)}${options})`,
      inputs: [{ shape: [batch(r), ...sizes(r, r.int(0, 1))], below: n }],
      rows: true,
    }
  },
  (r) => {
    const n = few(r)
    return {
      make: `new nn.EmbeddingBag(${n}, ${size(r)}, { mode: '${r.pick(['sum', 'mean', 'max'])}' })`,
      inputs: [{ shape: [batch(r), size(r)], below: n }],
      rows: true,
    }
  },
  (r) => one(`nn.weightNorm(new nn.Linear(5, ${size(r)}))`, batch(r), 5),
  (r) => one('nn.spectralNorm(new nn.Linear(5, 3))', batch(r), 5),
]

const shapes: Draw[] = [
  (r) => one('new nn.Flatten()', batch(r), ...sizes(r, r.int(1, 3))),
  (r) => one('new nn.Unflatten(1, [2, -1])', batch(r), 2 * few(r), few(r)),
  (r) =>
    one(
      `new nn.Upsample(${r.pick(['{ scaleFactor: 2 }', "{ scaleFactor: 2, mode: 'bilinear' }", "{ size: [3, 5], mode: 'bilinear', alignCorners: true }", "{ size: [1, 4], mode: 'bicubic' }"])})`,
      batch(r),
      few(r),
      few(r),
      few(r),
    ),
  (r) => one('new nn.PixelShuffle(2)', batch(r), 4 * r.int(1, 2), few(r), few(r)),
  (r) => one('new nn.PixelUnshuffle(2)', batch(r), few(r), 2 * few(r), 2 * few(r)),
  (r) => one('new nn.Unfold([2, 3], { padding: 1 })', batch(r), few(r), few(r), few(r)),
  (r) => one('new nn.Fold([4, 5], [2, 3])', batch(r), 6 * r.int(1, 2), 9),
  (r) => one(`new nn.LocalResponseNorm(${r.int(1, 3)})`, batch(r), size(r), ...sizes(r, r.int(1, 2))),
  (r) => one(`new nn.PositionalEncoding(4, { dropout: ${r.pick([0, 0.3])}, maxLength: 16, batchFirst: true })`, batch(r), size(r), 4),
  (r) => one(`new nn.RotaryEmbedding(4, { maxLength: 16, interleaved: ${flip(r)} })`, batch(r), few(r), size(r), 4),
]

const norms: Draw[] = [
  (r) => {
    const last = sizes(r, r.int(1, 2))
    return one(
      `new nn.LayerNorm(${json(last)}, ${json({ elementwiseAffine: r.chance(0.7), bias: flip(r) })})`,
      batch(r),
      ...sizes(r, r.int(0, 1)),
      ...last,
    )
  },
  (r) => {
    const last = size(r)
    return one(`new nn.RMSNorm(${last}, { elementwiseAffine: ${flip(r)} })`, batch(r), ...sizes(r, r.int(0, 1)), last)
  },
  (r) => {
    const groups = r.int(1, 3)
    const channels = groups * few(r)
    return one(`new nn.GroupNorm(${groups}, ${channels}, { affine: ${r.chance(0.7)} })`, batch(r), channels, ...sizes(r, r.int(0, 2)))
  },
  ...ranks.flatMap((rank) =>
    ['BatchNorm', 'BatchNorm', 'InstanceNorm'].map(
      (kind): Draw =>
        (r) => {
          const channels = size(r)
          const options = {
            affine: r.chance(0.7),
            trackRunningStats: r.chance(0.8),
            ...(r.chance(0.3) ? { momentum: kind === 'BatchNorm' && flip(r) ? null : 0.4 } : {}),
          }
          const space = rank === 1 && kind === 'BatchNorm' && flip(r) ? [] : sizes(r, rank).map((s) => (rank === 3 ? Math.min(s, 3) : s))
          return {
            ...one(`new nn.${kind}${rank}d(${channels}, ${json(options)})`, batch(r), channels, ...space),
            rows: options.trackRunningStats || kind === 'InstanceNorm',
          }
        },
    ),
  ),
]

const spatial: Draw[] = ranks.flatMap((rank): Draw[] => [
  (r) => convolution(r, rank, false),
  (r) => convolution(r, rank, rank === 3 ? flip(r) : false),
  (r) => convolution(r, rank, true),
  (r) => pool(r, rank, 'Max'),
  (r) => pool(r, rank, 'Avg'),
  (r) => one(`new nn.Adaptive${r.pick(['Avg', 'Max'])}Pool${rank}d(${few(r)})`, batch(r), few(r), ...sizes(r, rank)),
  (r) => one(`new nn.Dropout${rank}d(0.4)`, batch(r), size(r), ...sizes(r, rank).map((s) => Math.min(s, 3))),
  (r) => {
    const kind = r.pick(['Zero', 'Constant', 'Reflection', 'Replication', 'Circular'])
    const space = sizes(r, rank).map((s) => Math.min(4, s) + 1)
    return one(`new nn.${kind}Pad${rank}d(${r.int(0, 1)}${kind === 'Constant' ? ', 0.7' : ''})`, batch(r), few(r), ...space)
  },
])

const sequences: Draw[] = [
  ...['RNN', 'LSTM', 'GRU'].map(
    (kind): Draw =>
      (r) =>
        recurrent(r, kind),
  ),
  ...['RNNCell', 'LSTMCell', 'GRUCell'].map(
    (kind): Draw =>
      (r) =>
        cell(r, kind),
  ),
  attention,
  ...['EncoderLayer', 'Encoder', 'DecoderLayer', 'Decoder', 'whole'].map(
    (kind): Draw =>
      (r) =>
        transformer(r, kind),
  ),
]

/** Draws by family, with how often each is taken. */
export const families: readonly { readonly weight: number; readonly draws: readonly Draw[] }[] = [
  { weight: 2, draws: activations },
  { weight: 3, draws: dense },
  { weight: 2, draws: shapes },
  { weight: 4, draws: norms },
  { weight: 8, draws: spatial },
  { weight: 4, draws: sequences },
]

export function drawLayer(r: Random): Drawn {
  let at = r.next() * families.reduce((sum, { weight }) => sum + weight, 0)
  const { draws } = families.find(({ weight }) => (at -= weight) < 0) ?? families[0]
  return r.pick(draws)(r)
}
