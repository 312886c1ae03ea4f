/**
 * Connectionist temporal classification: the likelihood of a label sequence, summed over all its alignments with a longer input. In: log-probabilities
 * for each time step, labels, lengths. The recursion over time is in logarithms; it is written in ops, two instructions a step.
 *
 * A state is a place in the labels with a blank before, between and behind them: [N, L], L = 2·S + 1.
 */
import { customGradient } from '../autograd/custom.js'
import { ArgumentError, checkOptions, DataError, DTypeError, ShapeError, showShape, showValue } from '../errors.js'
import { arangeTensor } from '../ops/creation.js'
import { apply, checkTensor } from '../ops/dispatch.js'
import { add, div, eq, exp, le, log, logicalAnd, lt, maximum, minimum, mul, ne, neg, sub, to, where } from '../ops/elementwise.js'
import { gather, indexSelect, scatterAddRow } from '../ops/gather.js'
import { concat, stack } from '../ops/join.js'
import { expand, narrow, reshape, unsqueeze } from '../ops/movement.js'
import { mean, sum } from '../ops/reduce.js'
import { Tensor } from '../tensor.js'
import { tracing } from '../tracing.js'
import { checkFloat, checkReduction, type LossOptions, vectorOf } from './check.js'
import { type Labels, labelTensor } from './classes.js'

const op = 'ctcLoss'

/** The logarithm of nothing: finite, so that differences of two of them are no NaN. */
const nothing = -1e30

export interface CtcOptions extends LossOptions {
  /** The class that stands for no label; default 0. */
  blank?: number
  /** Whether sequences that cannot be aligned (labels longer than the input) count 0 instead of making the loss infinite; default false. */
  zeroInfinity?: boolean
}

/** Lengths: one for each sequence. */
export type Lengths = Tensor | readonly number[] | number

interface Problem {
  /** `[T, N, C]` */
  readonly logProbs: Tensor
  /** The class of each state, `[N, L]`. */
  readonly states: Tensor
  /** 0 where a state can be reached from that two before it, else `nothing`: `[N, L]`. */
  readonly skip: Tensor
  /** `[N, 1]` */
  readonly inputLengths: Tensor
  /** `[N, 1]` */
  readonly targetLengths: Tensor
}

const last = (x: Tensor): number => x.shape[x.shape.length - 1]

/** log(eᵃ + eᵇ + eᶜ). */
function logSum(a: Tensor, b: Tensor, c?: Tensor): Tensor {
  const top = c === undefined ? maximum(a, b) : maximum(maximum(a, b), c)
  const two = add(exp(sub(a, top)), exp(sub(b, top)))
  return add(top, log(c === undefined ? two : add(two, exp(sub(c, top)))))
}

/** `x` and what is `step` and `2·step` places before (or, with −1, behind) each state; `nothing` beyond the ends. */
function neighbours(x: Tensor, step: 1 | -1): [Tensor, Tensor] {
  const [n, states] = x.shape
  const at = arangeTensor(states)
  const from = [sub(at, step), sub(at, 2 * step)]
  const inside = from.map((f) => minimum(maximum(f, 0), states - 1))
  const moved = gather(x, expand(unsqueeze(concat(inside), 0), [n, 2 * states]), 1)
  const [one, two] = from.map((f, i) => where(eq(f, inside[i]), narrow(moved, 1, i * states, states), nothing))
  return [one, two]
}

/** The log-probability of each state's class, `[T, N, L]`. */
function emissions({ logProbs, states }: Problem): Tensor {
  const index = expand(unsqueeze(states, 0), [logProbs.shape[0], ...states.shape])
  return maximum(gather(logProbs, index, 2), nothing)
}

const step = (x: Tensor, t: number): Tensor => reshape(narrow(x, 0, t, 1), x.shape.slice(1))

/** log P(first t inputs, ending in the state), for each t: from the first on, standing still behind the end of the input. */
function forward({ skip, inputLengths }: Problem, emitted: Tensor): Tensor[] {
  const alphas = [where(lt(arangeTensor(last(emitted)), 2), step(emitted, 0), nothing)]
  for (let t = 1; t < emitted.shape[0]; t++) {
    const before = alphas[t - 1]
    const [one, two] = neighbours(before, 1)
    const moved = add(step(emitted, t), logSum(before, one, add(two, skip)))
    alphas.push(where(lt(t, inputLengths), moved, before))
  }
  return alphas
}

/** log P(inputs from t on | the state at t): from the end of the input backwards. */
function backward({ skip, inputLengths, targetLengths }: Problem, emitted: Tensor): Tensor[] {
  const at = arangeTensor(last(emitted))
  const end = mul(targetLengths, 2)
  const isEnd = logicalAnd(le(at, end), le(sub(end, 1), at))
  const betas: Tensor[] = []
  for (let t = emitted.shape[0] - 1; t >= 0; t--) {
    const start = where(logicalAnd(eq(inputLengths, t + 1), isEnd), step(emitted, t), nothing)
    const behind = betas[betas.length - 1]
    if (behind === undefined) betas.push(start)
    else {
      const [one] = neighbours(behind, -1)
      const [, two] = neighbours(add(behind, skip), -1)
      betas.push(where(lt(t + 1, inputLengths), add(step(emitted, t), logSum(behind, one, two)), start))
    }
  }
  return betas.reverse()
}

/** −log P(labels | input), `[N, 1]`; infinite where there is no alignment. */
function lossOf({ inputLengths, targetLengths }: Problem, final: Tensor): Tensor {
  const end = mul(targetLengths, 2)
  const inLabel = where(eq(targetLengths, 0), nothing, gather(final, maximum(sub(end, 1), 0), 1))
  const loss = neg(logSum(gather(final, end, 1), inLabel))
  const none = where(eq(targetLengths, 0), 0, Number.POSITIVE_INFINITY)
  return where(eq(inputLengths, 0), to(none, loss.dtype), where(lt(loss, -nothing / 10), loss, Number.POSITIVE_INFINITY))
}

/**
 * exp(logProbs) less the share of each class in the alignments: as in PyTorch the gradient holds for log-probabilities that sum to one. `unaligned` where
 * there is no alignment.
 */
function gradientOf(problem: Problem, alphas: Tensor, loss: Tensor, unaligned: number): Tensor {
  const { logProbs, states, inputLengths } = problem
  const [steps, n, classes] = logProbs.shape
  const emitted = emissions(problem)
  const both = sub(add(alphas, stack(backward(problem, emitted))), emitted)
  const index = expand(unsqueeze(states, 0), [steps, ...states.shape])
  const finite = lt(loss, Number.POSITIVE_INFINITY)
  const shares = exp(minimum(add(both, where(finite, loss, nothing)), 0))
  const known = apply(scatterAddRow, [shares, index], { axis: 2, size: classes })
  const inside = lt(reshape(arangeTensor(steps), [steps, 1, 1]), reshape(inputLengths, [1, n, 1]))
  return where(inside, where(unsqueeze(finite, 0), sub(exp(logProbs), known), unaligned), 0)
}

const hasNoRecorder = (t: Tensor): boolean => !t.traced && tracing.recorder === undefined

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

/** The state of each place, with blanks where the labels have ended. */
function statesOf(target: Tensor, lengths: Tensor, blank: number): { states: Tensor; skip: Tensor } {
  const [n, s] = target.shape
  const labels = where(lt(arangeTensor(s), lengths), to(target, 'int32'), blank)
  const blanks = expand(Tensor.scalar(blank, 'int32'), [n, s])
  const head = expand(Tensor.scalar(blank, 'int32'), [n, 1])
  const states = concat([head, reshape(stack([labels, blanks], 2), [n, 2 * s])], 1)
  if (s === 0) return { states, skip: expand(Tensor.scalar(nothing, 'float32'), [n, 1]) }
  // two equal labels have a blank between them
  const before = concat([labels.narrow(1, 0, 1), labels.narrow(1, 0, s - 1)], 1)
  const free = where(ne(labels, before), 0, nothing)
  const closed = expand(Tensor.scalar(nothing, 'float32'), [n, s])
  const first = expand(Tensor.scalar(nothing, 'float32'), [n, 1])
  return { states, skip: concat([first, reshape(stack([to(free, 'float32'), closed], 2), [n, 2 * s])], 1) }
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
  const { states, skip } = statesOf(target, lengths, blank)
  const rest = {
    states,
    skip: to(skip, batch.dtype),
    inputLengths: lengthsOf('input lengths', inputLengths, n, steps),
    targetLengths: lengths,
  }
  const raw = customGradient({
    name: op,
    forward: ([x], save) => {
      const problem = { ...rest, logProbs: x }
      const alphas = forward(problem, emissions(problem))
      const loss = lossOf(problem, alphas[steps - 1])
      save(stack(alphas), loss)
      return reshape(loss, [n])
    },
    backward: ([g], { inputs: [x], saved: [alphas, loss] }) =>
      mul(gradientOf({ ...rest, logProbs: x }, alphas, loss, zeroInfinity ? 0 : Number.NaN), reshape(g, [1, n, 1])),
  })(batch)
  const each = zeroInfinity ? where(eq(raw, Number.POSITIVE_INFINITY), 0, raw) : raw
  if (reduction === 'none') return logProbs.ndim === 2 ? reshape(each, []) : each
  if (reduction === 'sum') return sum(each)
  return mean(div(each, to(maximum(reshape(lengths, [n]), 1), each.dtype)))
}
