/**
 * Signals over time as spectra of overlapping frames and back, and the windows that frames are weighted with.
 */
import { ArgumentError, checkOptions, DataError, type OptionNames, ShapeError, showShape, showValue } from '../../base/errors.js'
import { checkSize, sizeOf } from '../../base/shape.js'
import { context } from '../../tensor/context.js'
import type { Tensor } from '../../tensor/tensor.js'
import { arange, arangeTensor, ones } from '../basic/creation.js'
import { abs, add, cos, div, mul, square, sub } from '../basic/elementwise.js'
import { indexSelect } from '../basic/gather.js'
import { expand, narrow, reshape, transpose } from '../basic/movement.js'
import { type PadMode, pad } from '../basic/pad.js'
import { amin } from '../basic/reduce.js'
import { checkTensor } from '../core/dispatch.js'
import { fold } from '../layers/patches.js'
import { irfft, rfft } from './fft.js'

/** ½ - ½·cos(2πi/n), which is 0 at the start; periodic as spectra want it, or symmetric with `periodic: false`. */
export function hannWindow(n: number, options: { periodic?: boolean } = {}): Tensor<[number]> {
  return cosineWindow('hannWindow', n, options, 0.5)
}

/** 0.54 - 0.46·cos(2πi/n); periodic or symmetric as `hannWindow`. */
export function hammingWindow(n: number, options: { periodic?: boolean } = {}): Tensor<[number]> {
  return cosineWindow('hammingWindow', n, options, 0.54)
}

function cosineWindow(op: string, n: number, options: { periodic?: boolean }, alpha: number): Tensor<[number]> {
  checkOptions(op, options, { periodic: true })
  if (!Number.isInteger(n) || n < 1)
    throw new ArgumentError('ERR_WINDOW', `${op}: the number of points must be a positive integer, received ${showValue(n)}.`)
  const period = (options.periodic ?? true) ? n : n - 1
  if (period === 0) return ones([1])
  const angle = mul(arange(0, n, 1, { dtype: 'float32' }), (2 * Math.PI) / period)
  return sub(alpha, mul(cos(angle), 1 - alpha)) as Tensor<[number]>
}

interface FrameOptions {
  /** From one frame to the next; default a quarter of a frame. */
  hopLength?: number
  /** `[nFft]`, multiplied with each frame; default ones. */
  window?: Tensor
  /** Frames are centred on multiples of the hop, the signal being padded by half a frame on both sides; default true. */
  center?: boolean
  /** Scale by 1/√nFft; default false. */
  normalized?: boolean
}
export interface StftOptions extends FrameOptions {
  /** How the signal is padded; default 'reflect'. */
  padMode?: PadMode
}
export interface IstftOptions extends FrameOptions {
  /** Samples of the result; default what the frames cover, without the padding. */
  length?: number
}

const frameNames: OptionNames<FrameOptions> = { hopLength: true, window: true, center: true, normalized: true }

/** Checks what both directions take, and gives the hop. */
function checkFrames(op: string, x: Tensor, nFft: number, o: FrameOptions): number {
  checkTensor(op, 'x', x)
  const { hopLength = typeof nFft === 'number' ? Math.floor(nFft / 4) : 0, window } = o
  if (!Number.isInteger(nFft) || nFft < 1 || !Number.isInteger(hopLength) || hopLength < 1) {
    throw new ArgumentError(
      'ERR_STFT',
      `${op}: nFft and hopLength must be positive integers, received ${showValue(nFft)} and ${showValue(hopLength)}.`,
    )
  }
  checkSize(op, [nFft])
  if (window === undefined) return hopLength
  checkTensor(op, 'the window', window)
  if (window.ndim !== 1 || window.size !== nFft)
    throw new ShapeError('ERR_STFT', `${op}: the window must be [${nFft}], received ${showShape(window.shape)}.`)
  return hopLength
}

/**
 * The short-time Fourier transform of real signals `[…, L]`: `[…, nFft/2 + 1, frames, 2]`, frequencies before time as in PyTorch, complex numbers as pairs.
 *
 *     stft(audio, 512, { window: hannWindow(512) }).square().sum({ dim: -1 })      // power
 *
 * @throws ShapeError when the signal is shorter than a frame or than what has to be reflected.
 */
export function stft(x: Tensor, nFft: number, options: StftOptions = {}): Tensor {
  checkOptions('stft', options, { ...frameNames, padMode: true })
  const hopLength = checkFrames('stft', x, nFft, options)
  const { window, center = true, padMode = 'reflect', normalized = false } = options
  if (x.ndim === 0) throw new ShapeError('ERR_RANK', 'stft: needs at least one dimension, received a single number.')
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

/**
 * The signals `[…, L]` whose `stft` with the same options is nearest to `x: […, nFft/2 + 1, frames, 2]`: frames are transformed back, weighted with the
 * window again, laid over each other and divided by the sum of the squared windows there. Source: Griffin and Lim 1984; `torch.istft`.
 *
 *     istft(stft(audio, 512, { window }), 512, { window, length: audio.size })
 *
 * @throws ShapeError for other shapes; DataError `ERR_ISTFT` where windows leave samples uncovered (outside `compile`).
 */
export function istft(x: Tensor, nFft: number, options: IstftOptions = {}): Tensor {
  checkOptions('istft', options, { ...frameNames, length: true })
  const hopLength = checkFrames('istft', x, nFft, options)
  const { window, center = true, normalized = false, length } = options
  const bins = Math.floor(nFft / 2) + 1
  const frames = x.shape[x.ndim - 2]
  if (x.ndim < 3 || x.shape[x.ndim - 1] !== 2 || x.shape[x.ndim - 3] !== bins || frames < 1)
    throw new ShapeError('ERR_STFT', `istft: needs x […, ${bins}, frames, 2] for frames of ${nFft}, received ${showShape(x.shape)}.`)
  if (length !== undefined && (!Number.isInteger(length) || length < 1))
    throw new ArgumentError('ERR_STFT', `istft: length must be a positive integer, received ${showValue(length)}.`)
  const covered = nFft + hopLength * (frames - 1)
  const start = center ? Math.floor(nFft / 2) : 0
  const stop = length === undefined ? covered - start : start + length
  checkSize('istft', [covered])
  checkSize('istft', [stop])
  const end = Math.min(stop, covered)
  if (end <= start) throw new ShapeError('ERR_STFT', `istft: ${frames} frames of ${nFft} are nothing but padding.`)

  // [B, nFft, frames] laid over each other
  const overlaid = (columns: Tensor): Tensor => {
    const image = fold(columns, [1, covered], [1, nFft], { stride: [1, hopLength] })
    return narrow(reshape(image, [columns.shape[0], covered]), 1, start, end - start)
  }
  const batch = x.shape.slice(0, -3)
  const pieces = irfft(transpose(x, -3, -2), { n: nFft, norm: normalized ? 'ortho' : 'backward' })
  const weights = window ?? ones([nFft], { dtype: x.dtype })
  const columns = transpose(mul(pieces, weights), -2, -1)
  const signal = overlaid(reshape(columns, [sizeOf(batch), nFft, frames]))
  const cover = overlaid(expand(reshape(square(weights), [1, nFft, 1]), [1, nFft, frames]))
  if (context.recorder === undefined && !(amin(abs(cover)).item() > 1e-11)) {
    throw new DataError(
      'ERR_ISTFT',
      `istft: the windows leave samples uncovered. Use a shorter hop than ${hopLength}, or center: true with a window that is 0 at its ends.`,
    )
  }
  return reshape(pad(div(signal, cover), [0, stop - end]), [...batch, stop - start])
}
