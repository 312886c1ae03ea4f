/**
 * Sequences of different lengths in one batch, as recurrent layers take them. In: padded tensors and lengths. Out: a `PackedSequence`, and back.
 *
 * PyTorch stores the steps of all sequences without gaps, sorted by length. Here a packed sequence keeps the padded tensor and the lengths, in
 * the order given: the recurrent kernels skip what lies beyond a length, so results are the same and nothing is sorted or moved.
 */
import { ArgumentError, checkOptions, DataError, DTypeError, ShapeError, showShape, showValue } from '../base/errors.js'
import { sameShape, sizeOf } from '../base/shape.js'
import { arangeTensor } from '../ops/basic/creation.js'
import { lt, where } from '../ops/basic/elementwise.js'
import { indexSelect } from '../ops/basic/gather.js'
import { stack } from '../ops/basic/join.js'
import { narrow, reshape, transpose, unsqueeze } from '../ops/basic/movement.js'
import { pad } from '../ops/basic/pad.js'
import { checkTensor, checkTensors } from '../ops/core/dispatch.js'
import { Tensor, tensor } from '../tensor/tensor.js'

/** A batch of sequences of different lengths; made by `packPaddedSequence` or `packSequence`. */
export class PackedSequence {
  /** @internal time first, `[T, B, …]`; anything may stand beyond the lengths */
  readonly padded: Tensor
  /** int32 `[B]` */
  readonly lengths: Tensor

  /** @internal */
  constructor(padded: Tensor, lengths: Tensor) {
    this.padded = padded
    this.lengths = lengths
  }

  /** @internal the same sequences with other contents */
  with(padded: Tensor): PackedSequence {
    return new PackedSequence(padded, this.lengths)
  }

  /** How many sequences reach each time step, as PyTorch's `batch_sizes`. */
  get batchSizes(): number[] {
    const lengths = Array.from(this.lengths.data, Number)
    return Array.from({ length: Math.max(0, ...lengths) }, (_, t) => lengths.filter((n) => n > t).length)
  }

  /** All steps without padding, time step by time step and longest sequences first, as PyTorch's `data`: `[Σ lengths, …]`. */
  get data(): Tensor {
    const lengths = Array.from(this.lengths.data, Number)
    const order = lengths.map((_, b) => b).sort((a, b) => lengths[b] - lengths[a] || a - b)
    const at = this.batchSizes.flatMap((count, t) => order.slice(0, count).map((b) => t * lengths.length + b))
    const { shape } = this.padded
    return indexSelect(reshape(this.padded, [shape[0] * shape[1], ...shape.slice(2)]), at)
  }
}

export interface PackOptions {
  /** Batch before time: `[B, T, …]`; default false, `[T, B, …]`. */
  batchFirst?: boolean
  /** Lengths have to fall; default true. */
  enforceSorted?: boolean
}

/** Lengths as an int32 tensor, and as numbers where they can be read. */
function readLengths(op: string, lengths: Tensor | readonly number[]): { tensor: Tensor; numbers: number[] | undefined } {
  if (lengths instanceof Tensor) {
    if (lengths.dtype !== 'int32' && lengths.dtype !== 'uint8')
      throw new DTypeError(
        'ERR_DTYPE',
        `${op}: lengths must be int32, received ${lengths.dtype}. Make them with tensor(lengths, { dtype: 'int32' }).`,
      )
    if (lengths.ndim !== 1) throw new ShapeError('ERR_LENGTHS', `${op}: lengths must be [B], received ${showShape(lengths.shape)}.`)
    return { tensor: lengths.to('int32'), numbers: lengths.traced ? undefined : Array.from(lengths.data, Number) }
  }
  if (!Array.isArray(lengths))
    throw new ArgumentError('ERR_LENGTHS', `${op}: lengths must be an array or a tensor, received ${showValue(lengths)}.`)
  const bad = lengths.find((n) => !Number.isInteger(n))
  if (bad !== undefined) throw new DataError('ERR_LENGTHS', `${op}: lengths are integers, received ${showValue(bad)}.`)
  return { tensor: tensor(lengths as number[], { dtype: 'int32' }), numbers: [...lengths] }
}

/**
 * Marks where the sequences of a padded batch end: `x: [T, B, …]`, or `[B, T, …]` with `batchFirst`. Inside `compile` lengths may be an argument;
 * they are then not checked, and what exceeds T counts as T. Source: `torch.nn.utils.rnn.pack_padded_sequence`.
 *
 *     const packed = nn.packPaddedSequence(x, [5, 3, 2], { batchFirst: true })
 *     const [output, hidden] = gru.forward(packed)
 *     const [padded, lengths] = nn.padPackedSequence(output, { batchFirst: true })
 *
 * @throws DataError `ERR_LENGTHS` for a length below 1 or beyond T, or lengths that rise while `enforceSorted`.
 */
export function packPaddedSequence(x: Tensor, lengths: Tensor | readonly number[], options: PackOptions = {}): PackedSequence {
  const op = 'packPaddedSequence'
  checkOptions(op, options, { batchFirst: true, enforceSorted: true })
  checkTensor(op, 'x', x)
  const { batchFirst = false, enforceSorted = true } = options
  if (x.ndim < 2) throw new ShapeError('ERR_RANK', `${op}: needs [T, B, …], received ${showShape(x.shape)}.`)
  const timed = batchFirst ? transpose(x, 0, 1) : x
  const [steps, batch] = timed.shape
  const { tensor: own, numbers } = readLengths(op, lengths)
  if (own.shape[0] !== batch) {
    throw new ShapeError(
      'ERR_LENGTHS',
      `${op}: ${own.shape[0]} lengths for a batch of ${batch}, x ${showShape(x.shape)}. Set batchFirst if the batch comes first.`,
    )
  }
  if (numbers === undefined) return new PackedSequence(timed, own)
  numbers.forEach((n, b) => {
    if (n < 1 || n > steps)
      throw new DataError(
        'ERR_LENGTHS',
        `${op}: length ${n} of sequence ${b} is out of range: x ${showShape(x.shape)} has ${steps} time steps, the least is 1.`,
      )
    if (enforceSorted && b > 0 && n > numbers[b - 1])
      throw new DataError(
        'ERR_LENGTHS',
        `${op}: lengths rise from ${numbers[b - 1]} to ${n} at sequence ${b}. Sort by length, or pass { enforceSorted: false }.`,
      )
  })
  const longest = Math.max(0, ...numbers)
  return new PackedSequence(longest === steps ? timed : narrow(timed, 0, 0, longest), own)
}

/**
 * Packs single sequences `[length, …]`, each with its own length. Source: `torch.nn.utils.rnn.pack_sequence`.
 *
 *     nn.packSequence([a, b, c], { enforceSorted: false })
 */
export function packSequence(sequences: readonly Tensor[], options: { enforceSorted?: boolean } = {}): PackedSequence {
  checkOptions('packSequence', options, { enforceSorted: true })
  const padded = padSequence(sequences)
  return packPaddedSequence(
    padded,
    sequences.map((s) => s.shape[0]),
    { enforceSorted: options.enforceSorted },
  )
}

/**
 * The padded tensor `[T, B, …]` (`[B, T, …]` with `batchFirst`) with `paddingValue` (default 0) beyond each length, and the lengths. `totalLength`
 * makes T larger than the longest sequence. Source: `torch.nn.utils.rnn.pad_packed_sequence`.
 *
 * @throws ArgumentError `ERR_LENGTHS` when `totalLength` is less than the longest sequence.
 */
export function padPackedSequence(
  packed: PackedSequence,
  options: { batchFirst?: boolean; paddingValue?: number; totalLength?: number } = {},
): [Tensor, Tensor] {
  const op = 'padPackedSequence'
  checkOptions(op, options, { batchFirst: true, paddingValue: true, totalLength: true })
  if (!(packed instanceof PackedSequence))
    throw new ArgumentError(
      'ERR_NOT_PACKED',
      `${op}: expected a PackedSequence, received ${showValue(packed)}. Make one with packPaddedSequence.`,
    )
  const { batchFirst = false, paddingValue = 0, totalLength } = options
  const [steps, batch] = packed.padded.shape
  if (totalLength !== undefined && !(Number.isInteger(totalLength) && totalLength >= steps))
    throw new ArgumentError(
      'ERR_LENGTHS',
      `${op}: totalLength ${showValue(totalLength)} must be an integer from ${steps}, the longest sequence.`,
    )
  const { padded } = packed
  const inside = lt(unsqueeze(arangeTensor(steps), 1), packed.lengths)
  const ones = padded.shape.slice(2).map(() => 1)
  let filled = where(reshape(inside, [steps, batch, ...ones]), padded, paddingValue)
  if (totalLength !== undefined && totalLength > steps)
    filled = pad(filled, [...padded.shape.slice(1).flatMap(() => [0, 0]), 0, totalLength - steps], { value: paddingValue })
  return [batchFirst ? transpose(filled, 0, 1) : filled, packed.lengths]
}

/**
 * Sequences `[length, …]` side by side, `[T, B, …]` or with `batchFirst` `[B, T, …]`, with `paddingValue` (default 0) behind the shorter ones.
 * Source: `torch.nn.utils.rnn.pad_sequence`.
 *
 *     nn.padSequence([zeros([3, 8]), zeros([5, 8])], { batchFirst: true })      // [2, 5, 8]
 *
 * @throws ShapeError `ERR_STACK` when they differ in more than their length.
 */
export function padSequence(sequences: readonly Tensor[], options: { batchFirst?: boolean; paddingValue?: number } = {}): Tensor {
  const op = 'padSequence'
  checkOptions(op, options, { batchFirst: true, paddingValue: true })
  if (!Array.isArray(sequences) || sequences.length === 0)
    throw new ArgumentError('ERR_EMPTY_LIST', `${op}: needs an array of at least one tensor.`)
  checkTensors(op, 'sequence', sequences)
  const list: readonly Tensor[] = sequences
  for (const s of list) {
    if (s.ndim === 0 || !sameShape(s.shape.slice(1), list[0].shape.slice(1)))
      throw new ShapeError(
        'ERR_STACK',
        `${op}: sequences may differ in their first dimension only: ${showShape(list[0].shape)} and ${showShape(s.shape)}.`,
      )
  }
  const longest = Math.max(...list.map((s) => s.shape[0]))
  const same = list.map((s) =>
    s.shape[0] === longest || sizeOf(s.shape.slice(1)) === 0
      ? s
      : pad(s, [...s.shape.slice(1).flatMap(() => [0, 0]), 0, longest - s.shape[0]], { value: options.paddingValue ?? 0 }),
  )
  return stack(same, options.batchFirst === true ? 0 : 1)
}
