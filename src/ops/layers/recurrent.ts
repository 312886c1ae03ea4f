/**
 * Recurrent layers over whole sequences, one direction at a time: RNN (Elman 1990), LSTM (Hochreiter and Schmidhuber 1997), GRU (Cho et al.
 * 2014), in PyTorch's formulas and gate order. In: input projections of all time steps, made by one matrix product before; out: hidden
 * states of all time steps. One instruction each way; its reference is the composition over time steps below.
 */
import { registerLoop } from '../../backend/registry.js'
import { ShapeError, showShape } from '../../base/errors.js'
import { sameShape } from '../../base/shape.js'
import { Opcode } from '../../ir/format.js'
import type { Meta } from '../../tensor/context.js'
import { Tensor } from '../../tensor/tensor.js'
import { arangeTensor } from '../basic/creation.js'
import { add, gt, mul, relu, sigmoid, sub, tanh, where } from '../basic/elementwise.js'
import { indexSelect } from '../basic/gather.js'
import { split, stack } from '../basic/join.js'
import { matmul } from '../basic/matmul.js'
import { expand, narrow, reshape, transpose, unsqueeze } from '../basic/movement.js'
import { sum } from '../basic/reduce.js'
import { applyAll } from '../core/dispatch.js'
import { type Dense, defineOp, type OpRow } from '../core/table.js'

/** `tanh` and `relu` are the plain RNN. */
export type RecurrentKind = 'tanh' | 'relu' | 'lstm' | 'gru'

const kindNames: readonly RecurrentKind[] = ['tanh', 'relu', 'lstm', 'gru']

/** Gates of a kind: rows of the weights by hidden size. */
export function gateCount(kind: RecurrentKind): number {
  return kind === 'lstm' ? 4 : kind === 'gru' ? 3 : 1
}

/** What one direction of one layer works on, time first. G is the number of gates. */
export interface RecurrentOperands {
  readonly kind: RecurrentKind
  /** From the last time step to the first. */
  readonly reverse: boolean
  /** `[T, B, G·H]`: input weights · x, with all biases; without the recurrent bias where `bias` is given. */
  readonly projected: Tensor
  /** Recurrent weights `[G·H, P]`; P is H but where an LSTM projects its hidden state. */
  readonly weight: Tensor
  /** Recurrent bias `[3H]` of a GRU, whose third part belongs inside the reset gate. */
  readonly bias?: Tensor
  /** `[B, P]`, and for an LSTM `[B, H]`; zeros when left out. */
  readonly hidden?: Tensor
  readonly cell?: Tensor
  /** int32 `[B]`, each from 1 to T: later time steps change nothing and give zeros. */
  readonly lengths?: Tensor
  /** `[P, H]`: the hidden state of an LSTM is this times its output (Sak et al. 2014). */
  readonly projection?: Tensor
}

export interface RecurrentResult {
  /** `[T, B, P]` */
  readonly output: Tensor
  /** After the last valid step: `[B, P]`, and for an LSTM `[B, H]`. */
  readonly hidden: Tensor
  readonly cell: Tensor | undefined
}

// ---- one time step ----------------------------------------------------------------------------------------------------------------

/** @internal i, f, g, o from their sums `[…, 4H]`; `[new output, new cell]`. */
export function lstmStep(sums: Tensor, cell: Tensor): [Tensor, Tensor] {
  const [i, f, g, o] = split(sums, sums.shape[sums.ndim - 1] / 4, -1)
  const next = add(mul(sigmoid(f), cell), mul(sigmoid(i), tanh(g)))
  return [mul(sigmoid(o), tanh(next)), next]
}

/** @internal r, z, n from the sums of the input and of the hidden state, `[…, 3H]` each. */
export function gruStep(fromInput: Tensor, fromHidden: Tensor, hidden: Tensor): Tensor {
  const size = hidden.shape[hidden.ndim - 1]
  const [xr, xz, xn] = split(fromInput, size, -1)
  const [hr, hz, hn] = split(fromHidden, size, -1)
  const z = sigmoid(add(xz, hz))
  const n = tanh(add(xn, mul(sigmoid(add(xr, hr)), hn)))
  return add(n, mul(z, sub(hidden, n)))
}

interface State {
  readonly hidden: Tensor
  readonly cell: Tensor | undefined
}

function step({ kind, weight, bias, projection }: RecurrentOperands, x: Tensor, { hidden, cell }: State): State {
  const product = matmul(hidden, transpose(weight))
  if (kind === 'gru') return { hidden: gruStep(x, bias === undefined ? product : add(product, bias), hidden), cell: undefined }
  const sums = add(x, product)
  if (kind !== 'lstm') return { hidden: kind === 'tanh' ? tanh(sums) : relu(sums), cell: undefined }
  const [output, next] = lstmStep(sums, cell as Tensor)
  return { hidden: projection === undefined ? output : matmul(output, transpose(projection)), cell: next }
}

// ---- the composition ----------------------------------------------------------------------------------------------------------------

/** States after each time step, in order of time; zeros beyond the lengths. */
function overTime(o: RecurrentOperands): { output: Tensor; cells: Tensor | undefined } {
  const [steps, batch, sums] = o.projected.shape
  const size = sums / gateCount(o.kind)
  const zero = (n: number): Tensor => expand(Tensor.scalar(0, o.projected.dtype), [batch, n])
  let state: State = {
    hidden: o.hidden ?? zero(o.weight.shape[1]),
    cell: o.kind === 'lstm' ? (o.cell ?? zero(size)) : undefined,
  }
  const outputs: Tensor[] = new Array(steps)
  const cells: Tensor[] = new Array(steps)
  for (let s = 0; s < steps; s++) {
    const t = o.reverse ? steps - 1 - s : s
    const next = step(o, reshape(narrow(o.projected, 0, t, 1), [batch, sums]), state)
    const valid = o.lengths === undefined ? undefined : unsqueeze(gt(o.lengths, t), 1)
    const either = (a: Tensor, b: Tensor | number): Tensor => (valid === undefined ? a : where(valid, a, b))
    outputs[t] = either(next.hidden, 0)
    if (next.cell !== undefined) cells[t] = either(next.cell, 0)
    state = {
      hidden: either(next.hidden, state.hidden),
      cell: next.cell && either(next.cell, state.cell as Tensor),
    }
  }
  return { output: stack(outputs), cells: o.kind === 'lstm' ? stack(cells) : undefined }
}

// ---- plain loops ----------------------------------------------------------------------------------------------------------------------

interface RecurrentAttrs {
  readonly kind: RecurrentKind
  readonly reverse: boolean
  /** Initial states are among the inputs. */
  readonly state: boolean
  readonly lengths: boolean
  /** The recurrent bias of a GRU is among the inputs. */
  readonly bias: boolean
  /** Only for the gradient: the cells' gradient is among the inputs. */
  readonly cells?: boolean
}

const flagsOf = ({ reverse, state, lengths, bias, cells = false }: RecurrentAttrs): number =>
  (reverse ? 1 : 0) | (state ? 2 : 0) | (lengths ? 4 : 0) | (bias ? 8 : 0) | (cells ? 16 : 0)
const attrsOf = ([kind, flags]: readonly number[]): RecurrentAttrs => ({
  kind: kindNames[kind],
  reverse: (flags & 1) !== 0,
  state: (flags & 2) !== 0,
  lengths: (flags & 4) !== 0,
  bias: (flags & 8) !== 0,
  cells: (flags & 16) !== 0,
})

type Numbers = Dense['data']

/** The operands of an instruction by name, in its order. */
function named<T>(operands: readonly T[], names: readonly (string | false)[]): Record<string, T> {
  return Object.fromEntries(names.filter((name): name is string => name !== false).map((name, i) => [name, operands[i]]))
}

const inputNames = ({ kind, state, lengths, bias }: RecurrentAttrs): (string | false)[] => [
  'projected',
  'weight',
  bias && 'bias',
  state && 'hidden',
  state && kind === 'lstm' && 'cell',
  lengths && 'lengths',
]
const outputNames = ({ kind }: RecurrentAttrs): (string | false)[] => [
  'output',
  kind === 'lstm' && 'cells',
  (kind === 'lstm' || kind === 'gru') && 'gates',
]
const gradInputNames = (a: RecurrentAttrs): (string | false)[] => [
  'gOutput',
  a.cells === true && 'gCells',
  ...outputNames(a),
  'weight',
  a.state && 'hidden',
  a.state && a.kind === 'lstm' && 'cell',
  a.lengths && 'lengths',
]
const gradOutputNames = ({ kind, state }: RecurrentAttrs): (string | false)[] => [
  'gProjected',
  kind === 'gru' && 'gRecurrent',
  state && 'gHidden',
  state && kind === 'lstm' && 'gCell',
]

const sigma = (x: number): number => 1 / (1 + Math.exp(-x))

/** Time steps in running order, and for a sequence whether one counts. */
function timeOf({ reverse }: RecurrentAttrs, steps: number, lengths: Numbers | undefined) {
  return {
    at: (s: number): number => (reverse ? steps - 1 - s : s),
    valid: (t: number, b: number): boolean => t >= 0 && t < steps && (lengths === undefined || t < lengths[b]),
  }
}

/** Positions of the state before step `t`: in `states` at the step before, or else in `initial`, or nowhere (zeros). */
function before(states: Numbers, initial: Numbers | undefined, from: number | undefined, b: number, batch: number, size: number) {
  if (from !== undefined) return { data: states, at: (from * batch + b) * size }
  return initial === undefined ? undefined : { data: initial, at: b * size }
}

function runForward(inputs: readonly Dense[], outputs: readonly Dense[], attrs: RecurrentAttrs): void {
  const { projected, weight, bias, hidden, cell, lengths } = named(inputs, inputNames(attrs)) as Record<string, Dense | undefined> &
    Record<'projected' | 'weight', Dense>
  const { output, cells, gates } = named(outputs, outputNames(attrs))
  const { kind } = attrs
  const [steps, batch, size] = output.shape
  const count = gateCount(kind)
  const time = timeOf(attrs, steps, lengths?.data)
  const sums = new Float64Array(count * size)
  for (const o of outputs) o.data.fill(0)
  for (let s = 0; s < steps; s++) {
    const t = time.at(s)
    for (let b = 0; b < batch; b++) {
      if (!time.valid(t, b)) continue
      const from = s > 0 && time.valid(time.at(s - 1), b) ? time.at(s - 1) : undefined
      const h = before(output.data, hidden?.data, from, b, batch, size)
      const c = cells && before(cells.data, cell?.data, from, b, batch, size)
      for (let r = 0; r < sums.length; r++) {
        let total = bias?.data[r] ?? 0
        if (h !== undefined) for (let k = 0; k < size; k++) total += weight.data[r * size + k] * h.data[h.at + k]
        sums[r] = total
      }
      const row = t * batch + b
      const x = (gate: number, j: number): number => projected.data[row * count * size + gate * size + j]
      for (let j = 0; j < size; j++) {
        const at = row * size + j
        const save = row * 4 * size + j
        const sum = (gate: number): number => x(gate, j) + sums[gate * size + j]
        if (kind === 'lstm') {
          const [i, f, g, o] = [sigma(sum(0)), sigma(sum(1)), Math.tanh(sum(2)), sigma(sum(3))]
          const next = f * (c === undefined ? 0 : c.data[c.at + j]) + i * g
          cells.data[at] = next
          output.data[at] = o * Math.tanh(next)
          ;[i, f, g, o].forEach((v, k) => void (gates.data[save + k * size] = v))
        } else if (kind === 'gru') {
          const [r, z, q] = [sigma(sum(0)), sigma(sum(1)), sums[2 * size + j]]
          const n = Math.tanh(x(2, j) + r * q)
          output.data[at] = n + z * ((h === undefined ? 0 : h.data[h.at + j]) - n)
          ;[r, z, n, q].forEach((v, k) => void (gates.data[save + k * size] = v))
        } else {
          output.data[at] = kind === 'tanh' ? Math.tanh(sum(0)) : sum(0) > 0 || Number.isNaN(sum(0)) ? sum(0) : 0
        }
      }
    }
  }
}

function runBackward(inputs: readonly Dense[], outputs: readonly Dense[], attrs: RecurrentAttrs): void {
  const all = named(inputs, gradInputNames(attrs)) as Record<string, Dense | undefined>
  const { gOutput, output, weight } = all as Record<string, Dense>
  const { gProjected, gRecurrent, gHidden, gCell } = named(outputs, gradOutputNames(attrs))
  const { kind } = attrs
  const [steps, batch, size] = output.shape
  const count = gateCount(kind)
  const time = timeOf(attrs, steps, all.lengths?.data)
  const dh = new Float64Array(batch * size)
  const dc = new Float64Array(batch * size)
  const d = new Float64Array(count * size)
  for (const o of outputs) o.data.fill(0)
  for (let s = steps - 1; s >= 0; s--) {
    const t = time.at(s)
    for (let b = 0; b < batch; b++) {
      if (!time.valid(t, b)) continue
      const from = s > 0 && time.valid(time.at(s - 1), b) ? time.at(s - 1) : undefined
      const h = before(output.data, all.hidden?.data, from, b, batch, size)
      const row = t * batch + b
      for (let j = 0; j < size; j++) {
        const at = row * size + j
        const own = b * size + j
        const gate = (k: number): number => all.gates?.data[row * 4 * size + k * size + j] ?? 0
        dh[own] += gOutput.data[at]
        if (kind === 'lstm') {
          const [i, f, g, o] = [gate(0), gate(1), gate(2), gate(3)]
          const c = before(all.cells?.data as Numbers, all.cell?.data, from, b, batch, size)
          const squashed = Math.tanh(all.cells?.data[at] as number)
          const total = dc[own] + (all.gCells?.data[at] ?? 0) + dh[own] * o * (1 - squashed * squashed)
          d[j] = total * g * i * (1 - i)
          d[size + j] = total * (c === undefined ? 0 : c.data[c.at + j]) * f * (1 - f)
          d[2 * size + j] = total * i * (1 - g * g)
          d[3 * size + j] = dh[own] * squashed * o * (1 - o)
          dc[own] = total * f
          dh[own] = 0
        } else if (kind === 'gru') {
          const [r, z, n, q] = [gate(0), gate(1), gate(2), gate(3)]
          const inner = dh[own] * (1 - z) * (1 - n * n)
          d[j] = inner * q * r * (1 - r)
          d[size + j] = dh[own] * ((h === undefined ? 0 : h.data[h.at + j]) - n) * z * (1 - z)
          d[2 * size + j] = inner * r
          gProjected.data[row * 3 * size + 2 * size + j] = inner
          dh[own] *= z
        } else {
          const y = output.data[at]
          d[j] = kind === 'tanh' ? dh[own] * (1 - y * y) : y > 0 ? dh[own] : 0
          dh[own] = 0
        }
      }
      const target = gRecurrent ?? gProjected
      for (let r = 0; r < d.length; r++) {
        target.data[row * d.length + r] = d[r]
        if (gRecurrent !== undefined && r < 2 * size) gProjected.data[row * d.length + r] = d[r]
        for (let k = 0; k < size; k++) dh[b * size + k] += d[r] * weight.data[r * size + k]
      }
    }
  }
  gHidden?.data.set(dh)
  gCell?.data.set(dc)
}

// ---- rows -------------------------------------------------------------------------------------------------------------------------------

/** The shapes that go with the projected inputs `[steps, batch, gates · size]`. */
function checkOperands(inputs: readonly Meta[], attrs: RecurrentAttrs): void {
  const [steps, batch, sums] = inputs[0].shape
  const size = sums / gateCount(attrs.kind)
  const state = [batch, size]
  const wanted: Record<string, readonly number[]> = { weight: [sums, size], bias: [sums], hidden: state, cell: state, lengths: [batch] }
  for (const [name, { shape }] of Object.entries(named(inputs, inputNames(attrs)))) {
    if (name === 'projected' || sameShape(shape, wanted[name])) continue
    throw new ShapeError(
      'ERR_RECURRENT_SHAPE',
      `recurrent: for ${steps} steps of ${batch} sequences with ${sums} gate inputs, ${name} is ${showShape(wanted[name])}, received ${showShape(shape)}.`,
    )
  }
}

const recurrentRow: OpRow<RecurrentAttrs> = defineOp<RecurrentAttrs>({
  name: 'recurrent',
  infer: (inputs, attrs) => {
    checkOperands(inputs, attrs)
    const [{ shape, dtype }] = inputs
    const { kind } = attrs
    const [steps, batch, sums] = shape
    const states = { shape: [steps, batch, sums / gateCount(kind)], dtype }
    const gates = { shape: [steps, batch, (4 * sums) / gateCount(kind)], dtype }
    return kind === 'lstm' ? [states, states, gates] : kind === 'gru' ? [states, gates] : [states]
  },
  composition: composed,
  gradient: ({ inputs, outputs, attrs, needs, upstream }, gOutput) => {
    const gradAttrs = { ...attrs, bias: false, cells: attrs.kind === 'lstm' && upstream[1] !== undefined }
    const given = named(inputs, inputNames(attrs))
    const { lengths, hidden, cell } = given as Record<string, Tensor | undefined>
    const found = named(
      applyAll(
        recurrentGradRow,
        [gOutput, ...(gradAttrs.cells ? [upstream[1]] : []), ...outputs, given.weight, hidden, cell, lengths].filter(
          (t) => t !== undefined,
        ),
        gradAttrs,
      ),
      gradOutputNames(gradAttrs),
    )
    const sums = found.gRecurrent ?? found.gProjected
    const byName: Record<string, () => Tensor> = {
      projected: () => found.gProjected,
      weight: () => weightGradient(sums, outputs[0], hidden, lengths, attrs.reverse),
      bias: () => sum(sums, { dim: [0, 1] }),
      hidden: () => found.gHidden,
      cell: () => found.gCell,
    }
    return inputNames(attrs)
      .filter((name) => name !== false)
      .map((name, i) => (needs[i] ? byName[name]() : undefined))
  },
  lower: (inputs, outputs, attrs) => [
    { opcode: Opcode.recurrent, inputs, outputs, scalars: [kindNames.indexOf(attrs.kind), flagsOf(attrs)] },
  ],
  reference: runForward,
  flops: (_inputs, [{ shape }], { kind }) => 2 * shape[0] * shape[1] * shape[2] * shape[2] * gateCount(kind),
})

const recurrentGradRow = defineOp<RecurrentAttrs>({
  name: 'recurrentGrad',
  infer: (inputs, attrs) => {
    const { output, weight } = named(inputs, gradInputNames(attrs))
    const { dtype } = output
    const [steps, batch, size] = output.shape
    const sums = { shape: [steps, batch, weight.shape[0]], dtype }
    return gradOutputNames(attrs)
      .filter((name) => name !== false)
      .map((name) => (name === 'gProjected' || name === 'gRecurrent' ? sums : { shape: [batch, size], dtype }))
  },
  gradient: null,
  lower: (inputs, outputs, attrs) => [
    { opcode: Opcode.recurrentGrad, inputs, outputs, scalars: [kindNames.indexOf(attrs.kind), flagsOf(attrs)] },
  ],
  reference: runBackward,
  flops: (_inputs, [{ shape }], { kind }) => (2 * shape[0] * shape[1] * shape[2] * shape[2]) / gateCount(kind),
})

registerLoop(Opcode.recurrent, (inputs, outputs, scalars) => runForward(inputs, outputs, attrsOf(scalars)))
registerLoop(Opcode.recurrentGrad, (inputs, outputs, scalars) => runBackward(inputs, outputs, attrsOf(scalars)))

/** The row's outputs that carry gradients, by the composition. */
function composed(inputs: readonly Tensor[], attrs: RecurrentAttrs): Tensor[] {
  const operands = named(inputs, inputNames(attrs)) as unknown as Omit<RecurrentOperands, 'kind' | 'reverse'>
  const { output, cells } = overTime({ ...operands, kind: attrs.kind, reverse: attrs.reverse })
  return cells === undefined ? [output] : [output, cells]
}

/** Σ over time of (gradient of the sums)ᵀ · (state before), as one product over all time steps but the first. */
function weightGradient(sums: Tensor, output: Tensor, hidden: Tensor | undefined, lengths: Tensor | undefined, reverse: boolean): Tensor {
  const [steps, batch, rows] = sums.shape
  const part = (t: Tensor, start: number): Tensor => reshape(narrow(t, 0, start, steps - 1), [(steps - 1) * batch, t.shape[2]])
  // where a sequence is shorter, what lies beyond is zero
  const later = matmul(transpose(part(sums, reverse ? 0 : 1)), part(output, reverse ? 1 : 0))
  if (hidden === undefined) return later
  const first = reverse ? atLast(sums, lengths) : reshape(narrow(sums, 0, 0, 1), [batch, rows])
  return add(later, matmul(transpose(first), hidden))
}

/** `[T, B, N]` at the last valid time step of each sequence, `[B, N]`. */
function atLast(x: Tensor, lengths: Tensor | undefined): Tensor {
  const [steps, batch, size] = x.shape
  if (lengths === undefined) return reshape(narrow(x, 0, steps - 1, 1), [batch, size])
  const at = add(mul(sub(lengths, 1), batch), arangeTensor(batch))
  return indexSelect(reshape(x, [steps * batch, size]), at)
}

/** @internal One direction of one layer. Shapes are checked by the layers that call it. */
export function recurrent(o: RecurrentOperands): RecurrentResult {
  let output: Tensor
  let cells: Tensor | undefined
  if (o.projection !== undefined) {
    ;({ output, cells } = overTime(o))
  } else {
    const { kind, reverse, projected, weight, bias, hidden, cell, lengths } = o
    const attrs = { kind, reverse, state: hidden !== undefined, lengths: lengths !== undefined, bias: bias !== undefined }
    const inputs = [projected, weight, bias, hidden, cell, lengths]
    ;[output, cells] = applyAll(
      recurrentRow,
      inputs.filter((t) => t !== undefined),
      attrs,
    )
    if (o.kind !== 'lstm') cells = undefined
  }
  const final = (t: Tensor): Tensor => (o.reverse ? reshape(narrow(t, 0, 0, 1), [t.shape[1], t.shape[2]]) : atLast(t, o.lengths))
  return { output, hidden: final(output), cell: cells && final(cells) }
}
