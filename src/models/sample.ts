/**
 * Drawing tokens from scores, for models that generate. In: scores `[B, V]`. Out: one token a row.
 */
import { type nn, noGrad, type OptionNames, rand, type Tensor } from '../index.js'
import { checkSampling } from './check.js'

export interface SampleOptions {
  /** Scores are divided by it: below 1 surer, above 1 wilder; 0 takes the likeliest. Default 1. */
  temperature?: number
  /** Draw from the `topK` likeliest only; default all. */
  topK?: number
}

/** @internal */
export const sampleNames: OptionNames<SampleOptions> = { temperature: true, topK: true }

/** @internal numbers come from the generator that `manualSeed` starts */
export function sample(scores: Tensor, { temperature = 1, topK }: SampleOptions): number[] {
  checkSampling('temperature', temperature, 0, false)
  if (topK !== undefined) checkSampling('topK', topK, 1, true)
  const [rows, classes] = scores.shape
  const { data } = scores
  const draws = temperature === 0 ? undefined : rand([rows]).data
  return Array.from({ length: rows }, (_, r) => {
    const row = Array.from(data.subarray(r * classes, (r + 1) * classes), Number)
    const order = row.map((_s, i) => i).sort((a, b) => row[b] - row[a])
    if (draws === undefined) return order[0]
    const kept = order.slice(0, topK ?? classes)
    const weights = kept.map((i) => Math.exp((row[i] - row[order[0]]) / temperature))
    let rest = draws[r] * weights.reduce((a, b) => a + b, 0)
    for (let i = 0; i < kept.length; i++) {
      rest -= weights[i]
      if (rest < 0) return kept[i]
    }
    return kept[kept.length - 1]
  })
}

/** @internal runs `fn` with the model in evaluation and without gradients; then each module has its own flag back, also those of a frozen part */
export function generating<T>(model: nn.Module, fn: () => T): T {
  // parents come first, so what a parent sets for all below it is set right by them
  const flags = model.modules().map((module) => ({ module, training: module.training }))
  model.eval()
  try {
    return noGrad(fn)
  } finally {
    for (const { module, training } of flags) module.train(training)
  }
}
