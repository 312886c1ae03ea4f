/**
 * Signals over time as spectra of overlapping frames, and the windows that frames are weighted with.
 */
import { ArgumentError, checkOptions, ShapeError, showShape, showValue } from '../errors.js'
import type { Tensor } from '../tensor.js'
import { arange, arangeTensor, ones } from './creation.js'
import { checkTensor } from './dispatch.js'
import { add, cos, mul, sub } from './elementwise.js'
import { rfft } from './fft.js'
import { indexSelect } from './gather.js'
import { reshape, transpose } from './movement.js'
import { type PadMode, pad } from './pad.js'

/** ½ - ½·cos(2πi/n), which is 0 at the start; periodic as spectra want it, or symmetric with `periodic: false`. */
export function hannWindow(n: number, options: { periodic?: boolean } = {}): Tensor<[number]> {
  return cosineWindow('hannWindow', n, options, 0.5)
}

/** 0.54 - 0.46·cos(2πi/n); periodic or symmetric as `hannWindow`. */
export function hammingWindow(n: number, options: { periodic?: boolean } = {}): Tensor<[number]> {
  return cosineWindow('hammingWindow', n, options, 0.54)
}

function cosineWindow(op: string, n: number, options: { periodic?: boolean }, alpha: number): Tensor<[number]> {
  checkOptions(op, options)
  if (!Number.isInteger(n) || n < 1)
    throw new ArgumentError('ERR_WINDOW', `${op}: the number of points must be a positive integer, received ${showValue(n)}.`)
  const period = (options.periodic ?? true) ? n : n - 1
  if (period === 0) return ones([1])
  const angle = mul(arange(0, n, 1, { dtype: 'float32' }), (2 * Math.PI) / period)
  return sub(alpha, mul(cos(angle), 1 - alpha)) as Tensor<[number]>
}

export interface StftOptions {
  /** From one frame to the next; default a quarter of a frame. */
  hopLength?: number
  /** `[nFft]`, multiplied with each frame; default ones. */
  window?: Tensor
  /** Frames are centred on multiples of the hop, the signal being padded by half a frame on both sides; default true. */
  center?: boolean
  /** How it is padded; default 'reflect'. */
  padMode?: PadMode
  /** Scale by 1/√nFft; default false. */
  normalized?: boolean
}

/**
 * The short-time Fourier transform of real signals `[…, L]`: `[…, nFft/2 + 1, frames, 2]`, frequencies before time as in PyTorch, complex numbers as pairs.
 *
 *     stft(audio, 512, { window: hannWindow(512) }).square().sum({ dim: -1 })      // power
 *
 * @throws ShapeError when the signal is shorter than a frame or than what has to be reflected.
 */
export function stft(x: Tensor, nFft: number, options: StftOptions = {}): Tensor {
  checkOptions('stft', options)
  checkTensor('stft', 'x', x)
  const {
    hopLength = typeof nFft === 'number' ? Math.floor(nFft / 4) : 0,
    window,
    center = true,
    padMode = 'reflect',
    normalized = false,
  } = options
  if (!Number.isInteger(nFft) || nFft < 1 || !Number.isInteger(hopLength) || hopLength < 1) {
    throw new ArgumentError(
      'ERR_STFT',
      `stft: nFft and hopLength must be positive integers, received ${showValue(nFft)} and ${showValue(hopLength)}.`,
    )
  }
  if (x.ndim === 0) throw new ShapeError('ERR_RANK', 'stft: needs at least one dimension, received a single number.')
  if (window !== undefined) {
    checkTensor('stft', 'the window', window)
    if (window.ndim !== 1 || window.size !== nFft)
      throw new ShapeError('ERR_STFT', `stft: the window must be [${nFft}], received ${showShape(window.shape)}.`)
  }
  const half = Math.floor(nFft / 2)
  const signal = center ? pad(x, [half, half], { mode: padMode }) : x
  const length = signal.shape[signal.ndim - 1]
  if (length < nFft) throw new ShapeError('ERR_STFT', `stft: a signal of ${length} samples is shorter than a frame of ${nFft}.`)
  const frames = 1 + Math.floor((length - nFft) / hopLength)
  const positions = add(mul(reshape(arangeTensor(frames), [frames, 1]), hopLength), arangeTensor(nFft))
  const cut = indexSelect(signal, positions, -1)
  const spectrum = rfft(window === undefined ? cut : mul(cut, window), { norm: normalized ? 'ortho' : 'backward' })
  return transpose(spectrum, -3, -2)
}
