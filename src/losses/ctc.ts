/**
 * Connectionist temporal classification: the likelihood of a label sequence, summed over all its alignments with a longer input. In: log-probabilities
 * for each time step, labels, lengths. The recursion is one instruction (ops/layers/ctc.ts); what is here checks, and lays out labels and lengths.
 *
 * A state is a place in the labels with a blank before, between and behind them: [N, L], L = 2·S + 1.
 */
import { ArgumentError, checkOptions, DataError, DTypeError, ShapeError, showShape, showValue } from '../base/errors.js'
import { arangeTensor } from '../ops/basic/creation.js'
import { div, eq, lt, maximum, minimum, to, where } from '../ops/basic/elementwise.js'
import { indexSelect, pick } from '../ops/basic/gather.js'
import { concat, stack } from '../ops/basic/join.js'
import { expand, reshape, unsqueeze } from '../ops/basic/movement.js'
import { mean, sum } from '../ops/basic/reduce.js'
import { checkTensor } from '../ops/core/dispatch.js'
import { ctcSequences } from '../ops/layers/ctc.js'
import { context } from '../tensor/context.js'
import { Tensor } from '../tensor/tensor.js'
import { checkFloat, checkReduction, type LossOptions, vectorOf } from './check.js'
import { type Labels, labelTensor } from './classes.js'

const op = 'ctcLoss'

export interface CtcOptions extends LossOptions {
  /** The class that stands for no label; default 0. */
  blank?: number
  /** Whether sequences that cannot be aligned (labels longer than the input) count 0 instead of making the loss infinite; default false. */
  zeroInfinity?: boolean
}

/** Lengths: one for each sequence. */
export type Lengths = Tensor | readonly number[] | number

const hasNoRecorder = (t: Tensor): boolean => !t.traced && context.recorder === undefined

/** Lengths as int32 `[N, 1]`, none above `most`. */
function lengthsOf(name: string, given: Lengths, n: number, most: number): Tensor {
  const plain = typeof given === 'number' ? [given] : given
  if (!(plain instanceof Tensor) && !Array.isArray(plain))
    throw new ArgumentError('ERR_NOT_A_TENSOR', `${op}: ${name} must be a number, an array or a tensor, received ${showValue(plain)}.`)
  const list = plain instanceof Tensor ? plain : vectorOf(plain, 'int32')
  checkTensor(op, name, list)
  if (list.dtype !== 'int32' && list.dtype !== 'uint8')
    throw new DTypeError('ERR_DTYPE', `${op}: ${name} must be int32, received ${list.dtype}. Convert with .to('int32').`)
  if (list.size !== n || list.ndim > 1)
    throw new ShapeError('ERR_LOSS_SHAPE', `${op}: ${name} must be [${n}], one for each sequence, received ${showShape(list.shape)}.`)
  if (plain !== list || hasNoRecorder(list)) {
    const numbers = plain instanceof Tensor ? [...plain.data] : plain
    const wrong = numbers.find((v) => !Number.isInteger(v) || v < 0 || v > most)
    if (wrong !== undefined)
      throw new DataError('ERR_LENGTH_RANGE', `${op}: ${name} must be whole numbers from 0 to ${most}, received ${showValue(wrong)}.`)
  }
  return reshape(minimum(to(list, 'int32'), most), [n, 1])
}

/** Labels `[N, S]`, also where they are given one behind the other. */
function paddedTargets(target: Tensor, lengths: Lengths, n: number): Tensor {
  if (target.ndim === 2) {
    if (target.shape[0] === n) return target
    throw new ShapeError('ERR_LOSS_SHAPE', `${op}: ${n} sequences need labels [${n}, S], received ${showShape(target.shape)}.`)
  }
  if (target.ndim !== 1)
    throw new ShapeError('ERR_LOSS_SHAPE', `${op}: labels must be [N, S] or [sum of lengths], received ${showShape(target.shape)}.`)
  if (lengths instanceof Tensor && !hasNoRecorder(lengths))
    throw new ArgumentError(
      'ERR_LENGTHS',
      `${op}: labels one behind the other need lengths as plain numbers inside compile(). Pad the labels to [N, S].`,
    )
  const counts = lengths instanceof Tensor ? [...lengths.data] : [lengths].flat()
  const total = counts.reduce((a, b) => a + b, 0)
  if (counts.length !== n || total !== target.shape[0])
    throw new ShapeError('ERR_LOSS_SHAPE', `${op}: the lengths ${showValue(counts)} do not add up to the ${target.shape[0]} labels.`)
  const most = Math.max(0, ...counts)
  let start = 0
  const places = counts.flatMap((c) => {
    const own = Array.from({ length: most }, (_, i) => Math.min(start + i, Math.max(0, total - 1)))
    start += c
    return own
  })
  return reshape(total === 0 ? vectorOf(places, 'int32') : indexSelect(target, vectorOf(places, 'int32')), [n, most])
}

/**
 * The state of each place: blanks before, between and behind the labels, and where these have ended. `given` is the shape
 * in which the user gave them, for errors.
 */
function statesOf(target: Tensor, lengths: Tensor, blank: number, classes: number, given: readonly number[]): Tensor {
  const [n, s] = target.shape
  const head = expand(Tensor.scalar(blank, 'int32'), [n, 1])
  if (s === 0) return head
  const used = where(lt(arangeTensor(s), lengths), to(target, 'int32'), blank)
  // a look-up that changes nothing, but finds labels that are no class where the user wrote them
  const lookup = { op, shape: given, what: 'classes' }
  const labels = reshape(pick(arangeTensor(classes), reshape(used, [n * s]), 0, lookup), [n, s])
  const blanks = expand(Tensor.scalar(blank, 'int32'), [n, s])
  return concat([head, reshape(stack([labels, blanks], 2), [n, 2 * s])], 1)
}

/**
 * CTC loss of log-probabilities `[T, N, C]` (or `[T, C]`) and labels `[N, S]`, padded with anything, or one behind the other, `[sum of lengths]`: −log of the
 * probability of all alignments in which repeats and blanks leave the labels. Defaults: `blank` 0, mean over the sequences after division by the label
 * lengths, `zeroInfinity` false. Source: Graves et al. 2006, `torch.nn.functional.ctc_loss`.
 *
 *     ctcLoss(model.forward(x).logSoftmax(2), labels, [50, 42], [7, 5])
 *
 * As in PyTorch its gradient is meant for what logSoftmax gives, and has none of its own.
 *
 * @throws ShapeError `ERR_LOSS_SHAPE`; DataError `ERR_LENGTH_RANGE`, `ERR_INDEX_RANGE` for a label out of range; DTypeError.
 */
export function ctcLoss(
  logProbs: Tensor,
  targets: Labels,
  inputLengths: Lengths,
  targetLengths: Lengths,
  options: CtcOptions = {},
): Tensor {
  checkOptions(op, options, { reduction: true, blank: true, zeroInfinity: true })
  const reduction = checkReduction(op, options.reduction)
  const { blank = 0, zeroInfinity = false } = options
  checkFloat(op, 'log-probabilities', logProbs)
  if (logProbs.ndim !== 2 && logProbs.ndim !== 3)
    throw new ShapeError('ERR_LOSS_SHAPE', `${op}: log-probabilities must be [T, N, C] or [T, C], received ${showShape(logProbs.shape)}.`)
  const batch = logProbs.ndim === 2 ? unsqueeze(logProbs, 1) : logProbs
  const [steps, n, classes] = batch.shape
  if (!Number.isInteger(blank) || blank < 0 || blank >= classes)
    throw new ArgumentError('ERR_LOSS_OPTION', `${op}: blank must be a class, 0 to ${classes - 1}, received ${showValue(blank)}.`)
  if (steps === 0) throw new ShapeError('ERR_LOSS_SHAPE', `${op}: there are no time steps in ${showShape(logProbs.shape)}.`)
  const given = labelTensor(op, targets)
  if (given.dtype !== 'int32' && given.dtype !== 'uint8')
    throw new DTypeError('ERR_LABEL_DTYPE', `${op}: labels must be int32 or uint8, received ${given.dtype}.`)
  const target = paddedTargets(logProbs.ndim === 2 && given.ndim === 1 ? unsqueeze(given, 0) : given, targetLengths, n)
  const lengths = lengthsOf('target lengths', targetLengths, n, target.shape[1])
  const both = concat([lengthsOf('input lengths', inputLengths, n, steps), lengths], 1)
  const raw = ctcSequences(batch, statesOf(target, lengths, blank, classes, n === 1 ? given.shape : target.shape), both, zeroInfinity)
  const each = zeroInfinity ? where(eq(raw, Number.POSITIVE_INFINITY), 0, raw) : raw
  if (reduction === 'none') return logProbs.ndim === 2 ? reshape(each, []) : each
  if (reduction === 'sum') return sum(each)
  return mean(div(each, to(maximum(reshape(lengths, [n]), 1), each.dtype)))
}
