/** Losses against PyTorch's values. */
import { losses, type Tensor } from '../../src/index.js'
import { type Case, camelOptions, check, golden, type Inputs, type Options, one } from '../support/golden.js'

const functions: Record<string, (t: Inputs, o: Options) => Tensor> = {
  mse_loss: (t, o) => losses.mseLoss(t.input, t.target, o),
  l1_loss: (t, o) => losses.l1Loss(t.input, t.target, o),
  smooth_l1_loss: (t, o) => losses.smoothL1Loss(t.input, t.target, o),
  huber_loss: (t, o) => losses.huberLoss(t.input, t.target, o),
  bce_with_logits: (t, o) => losses.binaryCrossEntropyWithLogits(t.input, t.target, { ...o, posWeight: t.pos_weight, weight: t.weight }),
  bce: (t, o) => losses.binaryCrossEntropy(t.input, t.target, { ...o, weight: t.weight }),
  nll_loss: (t, o) => losses.nllLoss(t.input, t.target, { ...camelOptions(o), weight: t.weight }),
  cross_entropy: (t, o) =>
    losses.crossEntropy(t.input, t.target, {
      reduction: o.reduction,
      weight: t.weight,
      ignoreIndex: o.ignore_index,
      labelSmoothing: o.label_smoothing,
    }),
  ctc_loss: (t, o) => losses.ctcLoss(t.log_probs ?? t.logits.logSoftmax(-1), t.targets, t.input_lengths, t.target_lengths, { blank: o.blank, reduction: o.reduction, zeroInfinity: o.zero_infinity }),
  kl_div: (t, o) => losses.klDiv(t.input, t.target, camelOptions(o)),
  cosine_embedding_loss: (t, o) => losses.cosineEmbeddingLoss(t.input1, t.input2, t.target, o),
  triplet_margin_loss: (t, o) => losses.tripletMarginLoss(t.anchor, t.positive, t.negative, o),
  hinge_embedding_loss: (t, o) => losses.hingeEmbeddingLoss(t.input, t.target, o),
  multi_margin_loss: (t, o) => losses.multiMarginLoss(t.input, t.target, { ...o, weight: t.weight }),
  margin_ranking_loss: (t, o) => losses.marginRankingLoss(t.input1, t.input2, t.target, o),
  soft_margin_loss: (t, o) => losses.softMarginLoss(t.input, t.target, o),
  gaussian_nll_loss: (t, o) => losses.gaussianNllLoss(t.input, t.target, t.var, o),
  multilabel_margin_loss: (t, o) => losses.multilabelMarginLoss(t.input, t.target, o),
  multilabel_soft_margin_loss: (t, o) => losses.multilabelSoftMarginLoss(t.input, t.target, { ...o, weight: t.weight }),
  batchmean: (t, o) => losses.klDiv(t.input, t.target, camelOptions(o)),
  poisson_nll_loss: (t, o) => losses.poissonNllLoss(t.input, t.target, camelOptions(o)),
}

golden('losses', (c: Case) => check(c, 5e-6, (t) => one(functions[c.op](t, c.options))))
// other reductions, weights, shapes and ties, from the same PyTorch in float64
golden('losses-options', (c: Case) => check(c, 5e-6, (t) => one(functions[c.op](t, c.options))))
