/** Recurrent sequences: one direction of one layer, all kinds, with and without initial states, lengths and the reverse direction. */
import { concat, type Tensor } from '../../src/index.js'
import { gateCount, type RecurrentKind, recurrent } from '../../src/ops/layers/recurrent.js'
import { type Case, ints, op, within } from '../support/cases.js'

const small = within(-0.9, 0.9)

interface Variant {
  readonly kind: RecurrentKind
  readonly reverse?: boolean
  readonly state?: boolean
  readonly lengths?: boolean
}

/** All results in one tensor, so that all gradients are looked at. */
function all({ kind, reverse = false, state = false, lengths = false }: Variant, inputs: readonly Tensor[]): Tensor {
  const given = [...inputs]
  const next = (there: boolean): Tensor | undefined => (there ? given.shift() : undefined)
  const { output, hidden, cell } = recurrent({
    kind,
    reverse,
    projected: next(true) as Tensor,
    weight: next(true) as Tensor,
    bias: next(kind === 'gru'),
    hidden: next(state),
    cell: next(state && kind === 'lstm'),
    lengths: next(lengths),
  })
  return concat([output, hidden, ...(cell === undefined ? [] : [cell])].map((t) => t.reshape([t.size])))
}

function variant(v: Variant, sizes: readonly (readonly [steps: number, batch: number, size: number])[]): Case {
  const name = `${v.kind}${v.reverse ? ' in reverse' : ''}${v.state ? ' with initial state' : ''}${v.lengths ? ' with lengths' : ''}`
  const gates = gateCount(v.kind)
  const shapes = ([steps, batch, size]: readonly [number, number, number]): number[][] => [
    [steps, batch, gates * size],
    [gates * size, size],
    ...(v.kind === 'gru' ? [[3 * size]] : []),
    ...(v.state ? [[batch, size]] : []),
    ...(v.state && v.kind === 'lstm' ? [[batch, size]] : []),
    ...(v.lengths ? [[batch]] : []),
  ]
  const list = sizes.map(shapes)
  const steps = Math.min(...sizes.map(([t]) => t))
  const inputs = list[0].map((_, i) => (v.lengths && i === list[0].length - 1 ? ints(1, steps) : small))
  return op(`recurrent ${name}`, inputs, list, (...x) => all(v, x), { tolerance: 5e-5, accepts: () => true, large: shapes([5, 67, 35]) })
}

const many = [
  [3, 2, 3],
  [1, 1, 1],
  [4, 9, 8],
  [2, 33, 17],
  [5, 8, 16],
  [3, 1, 33],
] as const

export const recurrentCases: readonly Case[] = [
  ...(['tanh', 'lstm', 'gru'] as const).flatMap((kind) => [
    variant({ kind }, many),
    variant({ kind, state: true, reverse: true }, many),
    variant({ kind, state: true, lengths: true }, [[3, 2, 3], ...many.filter(([t]) => t > 2)]),
    variant({ kind, state: true, lengths: true, reverse: true }, [[3, 2, 3], ...many.filter(([t]) => t > 2)]),
    variant({ kind, lengths: true, reverse: true }, [[4, 9, 5]]),
  ]),
  variant({ kind: 'relu', state: true }, many.slice(2)),
]
