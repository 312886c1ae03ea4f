/**
 * What to say when a loss is NaN or infinite: the likely causes, judged by the batch and the losses before.
 */
import { rangeOf } from '../autograd/value-range.js'
import type { Batch } from './batches.js'
import { showNumber } from './progress.js'

export interface Circumstances {
  readonly epoch: number
  readonly step: number
  /** The losses before. */
  readonly trail: readonly number[]
  readonly batch: Batch
  readonly lr: number
  /** What has become of the weights. */
  readonly aftermath: string
}

/** The message of `ERR_LOSS_NOT_FINITE`. */
export function explainLoss(loss: number, { epoch, step, trail, batch, lr, aftermath }: Circumstances): string {
  const what = `fit: the loss became ${loss} at step ${step} (epoch ${epoch})`
  const before = trail.length > 0 ? ` after ${trail.map(showNumber).join(', ')}` : ''
  const inputs = rangeOf(batch.x)
  const targets = rangeOf(batch.y)
  for (const [name, range] of [
    ['inputs', inputs],
    ['targets', targets],
  ] as const) {
    if (range !== undefined && range.nan + range.infinite > 0) {
      return `${what}${before}: the ${name} of that batch hold ${range.nan + range.infinite} NaN or infinite values. Clean the data. ${aftermath}`
    }
  }
  const advice: string[] = []
  const large = inputs !== undefined && Math.max(Math.abs(inputs.low), Math.abs(inputs.high)) > 10
  if (large)
    advice.push(`Scale the inputs: that batch spans ${showNumber(inputs.low)} to ${showNumber(inputs.high)}, about -1 to 1 is best`)
  if (targets !== undefined && Math.max(Math.abs(targets.low), Math.abs(targets.high)) > 1000 && batch.y.dtype === 'float32') {
    advice.push(`Scale the targets: they span ${showNumber(targets.low)} to ${showNumber(targets.high)}`)
  }
  advice.push(`Lower the learning rate: it is ${showNumber(lr)}, try a tenth`)
  advice.push('To see which operation starts it, on which line, call anomaly(true) before fit')
  return `${what}${before}. ${advice.join('. ')}. ${aftermath}`
}
