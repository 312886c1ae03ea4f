/** Attention and Transformer layers against PyTorch's values. */
import { nn, scaledDotProductAttention } from '../../src/index.js'
import { type Case, camelOptions, check, golden, type Inputs, make, near, one } from '../support/golden.js'

function load(module: nn.Module, c: Case): void {
  module.loadStateDict(Object.fromEntries(Object.entries(c.params).map(([name, g]) => [name, make(g)])))
  module.train(c.mode !== 'eval')
}

function checkParameters(module: nn.Module, c: Case): void {
  const parameters = Object.fromEntries(module.namedParameters())
  for (const [name, g] of Object.entries(c.param_grads ?? {})) near(parameters[name].grad, g, 1e-5, `gradient of ${name}`, c.f32_err?.grad_abs)
}

function checkFunction(c: Case): void {
  const { isCausal, scale } = camelOptions(c.options)
  check(c, 1e-5, ({ q, k, v, mask }) => one(scaledDotProductAttention(q, k, v, { attnMask: mask, isCausal, scale })))
}

function checkMultihead(c: Case): void {
  const { embedDim, numHeads, masks, weights, ...options } = camelOptions(c.options)
  const layer = new nn.MultiheadAttention(embedDim, numHeads, options)
  load(layer, c)
  const operands = ({ query, key = query, value = key }: Inputs) => [query, key, value] as const
  const given = (inputs: Inputs) => ({ attnMask: inputs.attn_mask, keyPaddingMask: inputs.key_padding_mask })
  check(c, 1e-5, (inputs) => {
    const [out, averaged] = layer.forward(...operands(inputs), given(inputs))
    return { out, weights: averaged as NonNullable<typeof averaged> }
  })
  checkParameters(layer, c)
  // the same without the weights, by the tiled kernel
  const inputs = Object.fromEntries(Object.entries(c.inputs).map(([name, g]) => [name, make(g)]))
  near(layer.forward(...operands(inputs), { ...given(inputs), needWeights: false })[0], c.outputs.out, 1e-5, 'without weights')
}

function checkEncoder(c: Case): void {
  const { dModel, nhead, masks, ...options } = camelOptions(c.options)
  const layer = new nn.TransformerEncoderLayer(dModel, nhead, options)
  load(layer, c)
  check(c, 1e-5, ({ x, mask, ...rest }) =>
    one(layer.forward(x, { srcMask: mask, srcKeyPaddingMask: rest.src_key_padding_mask })),
  )
  checkParameters(layer, c)
}

const checks: Record<string, (c: Case) => void> = {
  scaled_dot_product_attention: checkFunction,
  MultiheadAttention: checkMultihead,
  TransformerEncoderLayer: checkEncoder,
}

golden('layers-attention', (c: Case) => checks[c.op](c))
golden('layers-attention-options', (c: Case) => checks[c.op](c))
