/** Losses against PyTorch's values. */
import { losses, type Tensor } from '../../src/index.js'
import { type Case, check, golden, type Inputs, type Options, one } from '../support/golden.js'

const functions: Record<string, (t: Inputs, o: Options) => Tensor> = {
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

const later = [
  ...['kl_div', 'ctc_loss', 'cosine_embedding_loss', 'triplet_margin_loss', 'hinge_embedding_loss', 'multi_margin_loss'],
  ...['margin_ranking_loss', 'soft_margin_loss', 'gaussian_nll_loss', 'poisson_nll_loss'],
]

golden('losses', (c: Case) => check(c, 5e-6, (t) => one(functions[c.op](t, c.options))), later)
