/** Recurrent layers and cells against PyTorch's values. */
import { nn, type Tensor } from '../../src/index.js'
import { type Case, camelOptions, check, golden, type Inputs, make, near, type Options } from '../support/golden.js'

type Results = Record<string, Tensor>
type Layer = nn.RNN | nn.LSTM | nn.GRU | nn.RNNCell | nn.LSTMCell | nn.GRUCell

function build(op: string, { inputSize, hiddenSize, ...options }: Options): Layer {
  switch (op) {
    case 'RNN':
      return new nn.RNN(inputSize, hiddenSize, options)
    case 'LSTM':
      return new nn.LSTM(inputSize, hiddenSize, options)
    case 'GRU':
      return new nn.GRU(inputSize, hiddenSize, options)
    case 'RNNCell':
      return new nn.RNNCell(inputSize, hiddenSize, options)
    case 'LSTMCell':
      return new nn.LSTMCell(inputSize, hiddenSize, options)
    default:
      return new nn.GRUCell(inputSize, hiddenSize, options)
  }
}

function run(layer: Layer, { x, h0, c0 }: Inputs): Results {
  if (layer instanceof nn.LSTM) {
    const [out, [hn, cn]] = layer.forward(x, h0 && [h0, c0])
    return { out, hn, cn }
  }
  if (layer instanceof nn.LSTMCell) {
    const [hn, cn] = layer.forward(x, h0 && [h0, c0])
    return { hn, cn }
  }
  if (layer instanceof nn.RNN || layer instanceof nn.GRU) {
    const [out, hn] = layer.forward(x, h0)
    return { out, hn }
  }
  return { hn: layer.forward(x, h0) }
}

golden('layers-recurrent', (c: Case) => {
  const layer = build(c.op, camelOptions(c.options))
  layer.loadStateDict(Object.fromEntries(Object.entries(c.params).map(([name, g]) => [name, make(g)])))
  check(c, 1e-5, (inputs) => run(layer, inputs))
  const parameters = Object.fromEntries(layer.namedParameters())
  for (const [name, g] of Object.entries(c.param_grads ?? {})) near(parameters[name].grad, g, 1e-5, `gradient of ${name}`, c.f32_err?.grad_abs)
})
