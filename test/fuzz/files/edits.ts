/** Changes of bytes anywhere in a file. In: bytes and edits whose places are shares of the length. Out: other bytes. */
import type { Random } from '../frame/random.js'

export interface Edit {
  readonly how: 'flip' | 'set' | 'cut' | 'drop' | 'insert' | 'copy' | 'zero' | 'newlines'
  /** From 0 to 1. */
  readonly at: number
  readonly from: number
  readonly length: number
  readonly value: number
}

export function drawEdit(random: Random): Edit {
  return {
    how: random.weighted({ flip: 6, set: 3, cut: 2, drop: 1, insert: 1, copy: 1, zero: 1, newlines: 0.2 }),
    // what describes a file is at its ends
    at: random.weighted({ begin: 3, anywhere: 4, end: 2 }) === 'begin' ? random.next() ** 3 : 1 - random.next() ** random.int(1, 3),
    from: random.next(),
    length: random.pick([1, 2, 4, 8, 64, 1000]),
    value: random.int(0, 255),
  }
}

function change(bytes: Uint8Array, { how, at, from, length, value }: Edit): Uint8Array {
  const i = Math.min(bytes.length, Math.floor(at * bytes.length))
  // what a transfer as text does
  if (how === 'newlines') return new Uint8Array(Buffer.from(Buffer.from(bytes).toString('latin1').replaceAll('\n', '\r\n'), 'latin1'))
  if (how === 'cut') return bytes.slice(0, i)
  if (how === 'drop' || how === 'insert') {
    const rest = bytes.subarray(how === 'drop' ? i + length : i)
    const out = new Uint8Array(i + (how === 'drop' ? 0 : length) + rest.length).fill(value)
    out.set(bytes.subarray(0, i))
    out.set(rest, out.length - rest.length)
    return out
  }
  const out = bytes.slice()
  if (how === 'flip' && i < out.length) out[i] ^= 1 << (value & 7)
  else if (how === 'set' && i < out.length) out[i] = value
  else if (how === 'zero') out.fill(0, i, i + length)
  else if (how === 'copy') out.copyWithin(i, Math.floor(from * out.length), Math.floor(from * out.length) + length)
  return out
}

export const edited = (bytes: Uint8Array, edits: readonly Edit[]): Uint8Array => edits.reduce(change, bytes)
