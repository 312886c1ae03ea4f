/**
 * The recursion of connectionist temporal classification (Graves et al. 2006): the loss of each sequence, summed over all ways through its states, and
 * the gradient of it. In: log-probabilities `[T, N, C]`, states `[N, L]` (a class each: blanks and labels in turn), lengths `[N, 2]` of inputs and labels.
 * `losses.ctcLoss` is the public form.
 */
import { registerLoop } from '../../backend/registry.js'
import { indexError } from '../../backend/status.js'
import { CtcKind, Opcode } from '../../ir/format.js'
import type { Tensor } from '../../tensor/tensor.js'
import { mul } from '../basic/elementwise.js'
import { reshape } from '../basic/movement.js'
import { apply } from '../core/dispatch.js'
import { type Dense, defineOp } from '../core/table.js'

interface CtcAttrs {
  /** Whether sequences that cannot be aligned have no gradient, else NaN. */
  readonly zeros: boolean
}

const never = Number.NEGATIVE_INFINITY

/** log(eᵃ + eᵇ + eᶜ). */
function logSum(a: number, b: number, c: number): number {
  const top = Math.max(a, b, c)
  return top === never ? never : top + Math.log(Math.exp(a - top) + Math.exp(b - top) + Math.exp(c - top))
}

/** One sequence of the batch. */
interface Sequence {
  readonly steps: number
  readonly classes: readonly number[]
  readonly emission: (t: number, s: number) => number
}

function sequenceOf([x, states, lengths]: readonly Dense[], n: number): Sequence {
  const [steps, count, width] = x.shape
  const most = states.shape[1]
  const within = (k: number, top: number): number => Math.min(Math.max(k, 0), top)
  const used = 2 * within(lengths.data[2 * n + 1], (most - 1) / 2) + 1
  const classes = Array.from(states.data.subarray(n * most, n * most + used))
  return {
    steps: within(lengths.data[2 * n], steps),
    classes,
    emission: (t, s) => x.data[(t * count + n) * width + classes[s]],
  }
}

/** Whether s can be reached from s − 2. */
const skips = ({ classes }: Sequence, s: number): boolean => s % 2 === 1 && s >= 3 && s < classes.length && classes[s] !== classes[s - 2]

/** log P(first t + 1 inputs, ending in the state), for each t. */
function forward(q: Sequence): number[][] {
  const rows: number[][] = []
  for (let t = 0; t < q.steps; t++) {
    const before = rows[t - 1] ?? []
    const at = (s: number): number => before[s] ?? never
    rows.push(
      q.classes.map((_, s) => {
        const reached = t === 0 ? (s < 2 ? 0 : never) : logSum(at(s), at(s - 1), skips(q, s) ? at(s - 2) : never)
        return q.emission(t, s) + reached
      }),
    )
  }
  return rows
}

function lossOf(q: Sequence, alphas: number[][]): number {
  const end = q.classes.length - 1
  if (q.steps === 0) return end === 0 ? 0 : Number.POSITIVE_INFINITY
  const last = alphas[q.steps - 1]
  return -logSum(last[end], end > 0 ? last[end - 1] : never, never)
}

/** The share of each class in the alignments, at each step from the last on. */
function eachShare(q: Sequence, alphas: number[][], loss: number, visit: (t: number, s: number, share: number) => void): void {
  const end = q.classes.length - 1
  let own: number[] = []
  for (let t = q.steps - 1; t >= 0; t--) {
    const later = own
    const at = (s: number): number => later[s] ?? never
    const behind = q.classes.map((_, s) =>
      t === q.steps - 1 ? (s >= end - 1 ? 0 : never) : logSum(at(s), at(s + 1), skips(q, s + 2) ? at(s + 2) : never),
    )
    behind.forEach((b, s) => void visit(t, s, Math.exp(alphas[t][s] + b + loss)))
    own = behind.map((b, s) => b + q.emission(t, s))
  }
}

function checkStates(op: string, [x, states]: readonly Dense[]): void {
  const classes = x.shape[2]
  states.data.forEach((k, i) => {
    if (k < 0 || k >= classes) throw indexError({ op, shape: states.shape }, k, i, classes)
  })
}

const ctcRow = defineOp<CtcAttrs>({
  name: 'ctc',
  infer: ([x]) => [{ shape: [x.shape[1]], dtype: x.dtype }],
  gradient: ({ inputs: [x, states, lengths], attrs }, g) => [mul(apply(ctcGradRow, [x, states, lengths], attrs), reshape(g, [1, -1, 1]))],
  lower: (inputs, outputs, { zeros }) => [{ opcode: Opcode.ctc, inputs, outputs, scalars: [CtcKind.loss, zeros ? 1 : 0] }],
  reference: (inputs, [y]) => {
    checkStates('ctc', inputs)
    for (let n = 0; n < y.shape[0]; n++) {
      const q = sequenceOf(inputs, n)
      y.data[n] = lossOf(q, forward(q))
    }
  },
})

/** exp(logProbs) less the share of each class: as in PyTorch it holds for log-probabilities that sum to one, and has no gradient of its own. */
const ctcGradRow = defineOp<CtcAttrs>({
  name: 'ctcGrad',
  infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
  gradient: null,
  lower: (inputs, outputs, { zeros }) => [{ opcode: Opcode.ctc, inputs, outputs, scalars: [CtcKind.gradient, zeros ? 1 : 0] }],
  reference: (inputs, [y], { zeros }) => {
    checkStates('ctcGrad', inputs)
    const [x] = inputs
    const [steps, count, width] = y.shape
    for (let n = 0; n < count; n++) {
      const q = sequenceOf(inputs, n)
      const alphas = forward(q)
      const loss = lossOf(q, alphas)
      const none = loss === Number.POSITIVE_INFINITY
      for (let t = 0; t < steps; t++) {
        for (let c = 0; c < width; c++) {
          const at = (t * count + n) * width + c
          y.data[at] = t >= q.steps ? 0 : none ? (zeros ? 0 : Number.NaN) : Math.exp(x.data[at])
        }
      }
      if (!none)
        eachShare(q, alphas, loss, (t, s, share) => {
          y.data[(t * count + n) * width + q.classes[s]] -= share
        })
    }
  },
})

registerLoop(Opcode.ctc, (inputs, outputs, [kind, zeros]) =>
  (kind === CtcKind.loss ? ctcRow : ctcGradRow).reference(inputs, outputs, { zeros: zeros === 1 }),
)

/** @internal the loss of each sequence, `[N]`; infinite where there is no alignment */
export function ctcSequences(logProbs: Tensor, states: Tensor, lengths: Tensor, zeros: boolean): Tensor {
  return apply(ctcRow, [logProbs, states, lengths], { zeros })
}
