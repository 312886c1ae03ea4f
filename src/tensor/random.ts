/**
 * Random numbers by counting: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). Element i of a
 * result depends only on the seed and on how many numbers were drawn before it, so results are the same with any number of threads.
 *
 * The generator's state lives here, on the JavaScript side: a call of a compiled function takes the numbers it needs when it is made, so
 * the order of calls alone decides, and an eager draw never waits for queued work.
 */
import { ArgumentError, checkOptions, showValue } from '../base/errors.js'
import { Storage } from './storage.js'
import { Tensor, writeAll } from './tensor.js'

/** Seed and position, as saved in checkpoints. */
export interface GeneratorState {
  readonly seed: number
  /** Blocks of four numbers drawn so far. */
  readonly position: number
}

const clock = (): number => (Date.now() * 4096 + Math.floor(performance.now() * 1000)) % Number.MAX_SAFE_INTEGER

let seed = clock()
let position = 0

/**
 * Starts the generator anew; the same seed gives the same numbers.
 *
 *     manualSeed(0)
 */
export function manualSeed(value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new ArgumentError('ERR_SEED', `manualSeed: the seed must be a safe integer from 0, received ${showValue(value)}.`)
  }
  seed = value
  position = 0
}

/** The generator's state, to be saved with a checkpoint. */
export function getRandomState(): GeneratorState {
  return { seed, position }
}

/** Continues where `getRandomState` was called. */
export function setRandomState(state: GeneratorState): void {
  checkOptions('setRandomState', state, { seed: true, position: true })
  if (!Number.isSafeInteger(state.position) || state.position < 0) {
    throw new ArgumentError(
      'ERR_SEED',
      `setRandomState: the position must be a safe integer from 0, received ${showValue(state.position)}.`,
    )
  }
  manualSeed(state.seed)
  position = state.position
}

/** @internal reserves blocks of four numbers; returns the words `key, key, counter, counter` to start from */
export function drawBlocks(blocks: number): Int32Array {
  const words = Int32Array.of(seed | 0, Math.floor(seed / 2 ** 32) | 0, position | 0, Math.floor(position / 2 ** 32) | 0)
  position += blocks
  return words
}

/** @internal the words as a tensor, for the random ops */
export function stateTensor(words: Int32Array): Tensor {
  return writeAll(Tensor.contiguous(Storage.allocate(16), [4], 'int32'), (data) => data.set(words))
}

const mul0 = 0xd2511f53
const mul1 = 0xcd9e8d57
const weyl0 = 0x9e3779b9
const weyl1 = 0xbb67ae85

/** @internal the high word of a product of two unsigned 32-bit numbers */
export function mulHigh(a: number, b: number): number {
  const al = a & 0xffff
  const ah = a >>> 16
  const bl = b & 0xffff
  const bh = b >>> 16
  const mid = ah * bl + ((al * bl) >>> 16)
  return (ah * bh + Math.floor((mid + al * bh) / 65536)) >>> 0
}

/** @internal the four words of block `counter` after `state`, as unsigned numbers */
export function philox(state: Int32Array, block: number, out: Uint32Array): void {
  const low = (state[2] >>> 0) + (block % 2 ** 32)
  let c0 = low >>> 0
  let c1 = ((state[3] >>> 0) + Math.floor(block / 2 ** 32) + (low >= 2 ** 32 ? 1 : 0)) >>> 0
  let c2 = 0
  let c3 = 0
  let k0 = state[0] >>> 0
  let k1 = state[1] >>> 0
  for (let i = 0; i < 10; i++) {
    const h0 = mulHigh(mul0, c0)
    const h1 = mulHigh(mul1, c2)
    const l0 = Math.imul(mul0, c0) >>> 0
    const l1 = Math.imul(mul1, c2) >>> 0
    c0 = (h1 ^ c1 ^ k0) >>> 0
    c1 = l1
    c2 = (h0 ^ c3 ^ k1) >>> 0
    c3 = l0
    k0 = (k0 + weyl0) >>> 0
    k1 = (k1 + weyl1) >>> 0
  }
  out[0] = c0
  out[1] = c1
  out[2] = c2
  out[3] = c3
}
