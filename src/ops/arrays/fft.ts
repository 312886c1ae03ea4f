/**
 * Discrete Fourier transforms. There is no complex dtype: complex numbers are pairs (real, imaginary) in a last dimension of size 2. One opcode,
 * transforms along the last dimension without scaling, a kind for each direction; each is the gradient of another. Computed in double precision.
 */
import { registerLoop } from '../../backend/registry.js'
import { ArgumentError, checkOptions, DTypeError, type OptionNames, ShapeError, showShape, showValue } from '../../base/errors.js'
import { normalizeDim, normalizeDims, sizeOf } from '../../base/shape.js'
import { FftKind, Opcode } from '../../ir/format.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import { roll } from '../basic/arrange.js'
import { arange } from '../basic/creation.js'
import { add, mul } from '../basic/elementwise.js'
import { inverseOrder, narrow, padConstant, permute, squeeze } from '../basic/movement.js'
import { apply, checkTensor } from '../core/dispatch.js'
import { type Dense, defineOp, type GradientRule, type OpRow } from '../core/table.js'

interface FftAttrs {
  /** How many numbers a real result has. */
  readonly length: number
}

/** By powers of two where it goes, else by the definition: re and im become their transform, not scaled; `sign` is that of the exponent. */
function transform(re: Float64Array, im: Float64Array, sign: number): void {
  const n = re.length
  if (n <= 1) return
  const even = n % 2 === 0 && n > 2
  const [xr, xi] = [re.slice(), im.slice()]
  if (!even) {
    for (let k = 0; k < n; k++) {
      re[k] = 0
      im[k] = 0
      for (let j = 0; j < n; j++) {
        const angle = (sign * 2 * Math.PI * ((j * k) % n)) / n
        const [c, s] = [Math.cos(angle), Math.sin(angle)]
        re[k] += xr[j] * c - xi[j] * s
        im[k] += xr[j] * s + xi[j] * c
      }
    }
    return
  }
  const half = n / 2
  const part = (x: Float64Array, from: number): Float64Array => Float64Array.from({ length: half }, (_, i) => x[2 * i + from])
  const [er, ei, or, oi] = [part(xr, 0), part(xi, 0), part(xr, 1), part(xi, 1)]
  transform(er, ei, sign)
  transform(or, oi, sign)
  for (let k = 0; k < half; k++) {
    const angle = (sign * 2 * Math.PI * k) / n
    const [c, s] = [Math.cos(angle), Math.sin(angle)]
    const [r, i] = [or[k] * c - oi[k] * s, or[k] * s + oi[k] * c]
    re[k] = er[k] + r
    im[k] = ei[k] + i
    re[k + half] = er[k] - r
    im[k + half] = ei[k] - i
  }
}

function referenceFft(kind: FftKind, [x]: readonly Dense[], [y]: readonly Dense[]): void {
  const real = kind === 'fromReal'
  const n = kind === 'toReal' ? y.shape[y.shape.length - 1] : x.shape[x.shape.length - (real ? 1 : 2)]
  const half = Math.floor(n / 2) + 1
  const given = kind === 'toReal' ? 2 * half : real ? n : 2 * n
  const out = kind === 'toReal' ? n : real ? 2 * half : 2 * n
  const count = n === 0 ? 0 : y.data.length / out
  for (let row = 0; row < count; row++) {
    const re = new Float64Array(n)
    const im = new Float64Array(n)
    const from = row * given
    for (let j = 0; j < (kind === 'toReal' ? half : n); j++) {
      re[j] = real ? x.data[from + j] : x.data[from + 2 * j]
      im[j] = real ? 0 : x.data[from + 2 * j + 1]
      if (kind !== 'toReal') continue
      // the other half is the conjugate; numbers that are their own have no imaginary part
      if (j === 0 || 2 * j === n) im[j] = 0
      if (j > 0) {
        re[n - j] = re[j]
        im[n - j] = -im[j]
      }
    }
    transform(re, im, kind === 'forward' || real ? -1 : 1)
    for (let j = 0; j < (real ? half : n); j++) {
      if (kind === 'toReal') y.data[row * out + j] = re[j]
      else {
        y.data[row * out + 2 * j] = re[j]
        y.data[row * out + 2 * j + 1] = im[j]
      }
    }
  }
}

const kindNames = Object.keys(FftKind) as FftKind[]
registerLoop(Opcode.fft, (inputs, outputs, [kind]) => referenceFft(kindNames[kind], inputs, outputs))

function fourier(
  kind: FftKind,
  shape: (x: readonly number[], length: number) => number[],
  gradient: GradientRule<FftAttrs>,
): OpRow<FftAttrs> {
  return defineOp<FftAttrs>({
    name: `fft ${kind}`,
    infer: ([x], { length }) => [{ shape: shape(x.shape, length), dtype: x.dtype }],
    gradient,
    lower: (inputs, outputs) => [{ opcode: Opcode.fft, inputs, outputs, scalars: [FftKind[kind]] }],
    reference: (i, o) => referenceFft(kind, i, o),
    flops: ([x]) => 5 * sizeOf(x.shape) * Math.log2(Math.max(2, x.shape[x.shape.length - 1])),
  })
}

const forwardRow: OpRow<FftAttrs> = fourier(
  'forward',
  (x) => [...x],
  ({ attrs }, g) => [apply(inverseRow, [g], attrs)],
)
const inverseRow: OpRow<FftAttrs> = fourier(
  'inverse',
  (x) => [...x],
  ({ attrs }, g) => [apply(forwardRow, [g], attrs)],
)

/** The real parts of pairs. */
const realPart = (x: Tensor): Tensor => squeeze(narrow(x, x.ndim - 1, 0, 1), x.ndim - 1)

const fromRealRow: OpRow<FftAttrs> = fourier(
  'fromReal',
  (x) => [...x.slice(0, -1), Math.floor(x[x.length - 1] / 2) + 1, 2],
  ({ inputs: [x], attrs }, g) => {
    const n = x.shape[x.ndim - 1]
    return [realPart(apply(inverseRow, [lengthened(g, g.ndim - 2, n)], attrs))]
  },
)

const toRealRow: OpRow<FftAttrs> = fourier(
  'toReal',
  (x, length) => [...x.slice(0, -2), length],
  ({ attrs }, g) => {
    // all but the numbers that are their own conjugates count twice
    const spectrum = apply(fromRealRow, [g], attrs)
    const d = spectrum.ndim - 2
    const half = spectrum.shape[d]
    const inner = Math.max(0, half - 1 - (attrs.length % 2 === 0 ? 1 : 0))
    if (inner === 0) return [spectrum]
    const twice = narrow(spectrum, d, 1, inner)
    return [add(spectrum, around(twice, d, 1, half - 1 - inner))]
  },
)

/** Zeros before and after along one dimension; negative amounts crop. */
function around(x: Tensor, dim: number, before: number, after: number): Tensor {
  const along = (amount: number): number[] => x.shape.map((_, d) => (d === dim ? amount : 0))
  return padConstant(x, along(before), along(after), 0)
}

/** Cut or filled up with zeros to `n`. */
function lengthened(x: Tensor, dim: number, n: number): Tensor {
  return x.shape[dim] === n ? x : around(x, dim, 0, n - x.shape[dim])
}

export interface FftOptions {
  /** How many numbers are transformed: the input is cut or filled up with zeros. Default: as many as there are. */
  n?: number
  /** The dimension, counted without that of the pairs; default the last. */
  dim?: number
  /** What is scaled by 1/n: the inverse ('backward', default), the forward transform ('forward'), or both by 1/√n ('ortho'). */
  norm?: 'backward' | 'forward' | 'ortho'
}

const optionNames: OptionNames<FftOptions> = { n: true, dim: true, norm: true }

function checkFloat(op: string, x: Tensor, pairs: boolean): void {
  checkTensor(op, 'x', x)
  if (x.dtype !== 'float32' && x.dtype !== 'float64')
    throw new DTypeError('ERR_DTYPE', `${op}: needs a float tensor, received ${x.dtype}. Convert with .to('float32').`)
  if (pairs && (x.ndim < 2 || x.shape[x.ndim - 1] !== 2)) {
    throw new ShapeError(
      'ERR_COMPLEX',
      `${op}: complex numbers are pairs in a last dimension of 2, received ${showShape(x.shape)}. Stack the real and the imaginary part with stack([re, im], -1).`,
    )
  }
  if (!pairs && x.ndim < 1) throw new ShapeError('ERR_RANK', `${op}: needs at least one dimension, received a single number.`)
}

/** Other sizes than powers of two are computed through one of more than twice as many points. */
const mostPoints = 2 ** 23

function checkLength(op: string, n: number): number {
  if (!Number.isInteger(n) || n < 1 || n > mostPoints)
    throw new ArgumentError('ERR_FFT', `${op}: the number of points must be an integer from 1 to ${mostPoints}, received ${showValue(n)}.`)
  return n
}

function checkSpacing(op: string, n: number, d: number): void {
  checkLength(op, n)
  if (typeof d !== 'number') throw new ArgumentError('ERR_FFT', `${op}: the spacing of samples must be a number, received ${showValue(d)}.`)
}

function scaled(op: string, y: Tensor, n: number, norm: FftOptions['norm'], forward: boolean): Tensor {
  switch (norm ?? 'backward') {
    case 'ortho':
      return mul(y, 1 / Math.sqrt(n))
    case 'forward':
      return forward ? mul(y, 1 / n) : y
    case 'backward':
      return forward ? y : mul(y, 1 / n)
    default:
      throw new ArgumentError('ERR_OPTION', `${op}: norm must be 'backward', 'forward' or 'ortho', received ${showValue(norm)}.`)
  }
}

/** Runs a transform along another dimension than the last: `f` gets it as the last. */
function along(x: Tensor, dim: number, pairs: boolean, f: (moved: Tensor) => Tensor): Tensor {
  const count = pairs ? x.ndim - 1 : x.ndim
  if (dim === count - 1) return f(x)
  const order = [...Array.from({ length: count }, (_, i) => i).filter((i) => i !== dim), dim]
  const y = f(permute(x, pairs ? [...order, count] : order))
  const back = inverseOrder(order)
  return permute(y, y.ndim > count ? [...back, count] : back)
}

function complex(op: string, row: OpRow<FftAttrs>, x: Tensor, options: FftOptions, forward: boolean): Tensor {
  checkOptions(op, options, optionNames)
  checkFloat(op, x, true)
  const d = normalizeDim(op, options.dim ?? -1, x.ndim - 1)
  const n = checkLength(op, options.n ?? x.shape[d])
  const y = along(lengthened(x, d, n), d, true, (moved) => apply(row, [moved], { length: n }))
  return scaled(op, y, n, options.norm, forward)
}

/**
 * The discrete Fourier transform of complex numbers, `x: […, N, 2]` to the same shape.
 *
 *     fft(stack([re, im], -1))
 */
export function fft(x: Tensor, options: FftOptions = {}): Tensor {
  return complex('fft', forwardRow, x, options, true)
}

/** The inverse of `fft`. */
export function ifft(x: Tensor, options: FftOptions = {}): Tensor {
  return complex('ifft', inverseRow, x, options, false)
}

/**
 * The first half of the Fourier transform of real numbers, of which the other half is the conjugate: `x: […, N]` to `[…, ⌊N/2⌋ + 1, 2]`.
 *
 *     rfft(frames.mul(hannWindow(512)))
 */
export function rfft(x: Tensor, options: FftOptions = {}): Tensor {
  checkOptions('rfft', options, optionNames)
  checkFloat('rfft', x, false)
  const d = normalizeDim('rfft', options.dim ?? -1, x.ndim)
  const n = checkLength('rfft', options.n ?? x.shape[d])
  const y = along(lengthened(x, d, n), d, false, (moved) => apply(fromRealRow, [moved], { length: n }))
  return scaled('rfft', y, n, options.norm, true)
}

/** The inverse of `rfft`: `x: […, K, 2]` to `[…, n]`, `n` by default 2·(K - 1). */
export function irfft(x: Tensor, options: FftOptions = {}): Tensor {
  checkOptions('irfft', options, optionNames)
  checkFloat('irfft', x, true)
  const d = normalizeDim('irfft', options.dim ?? -1, x.ndim - 1)
  const n = checkLength('irfft', options.n ?? 2 * (x.shape[d] - 1))
  const half = lengthened(x, d, Math.floor(n / 2) + 1)
  const y = along(half, d, true, (moved) => apply(toRealRow, [moved], { length: n }))
  return scaled('irfft', y, n, options.norm, false)
}

/** The frequencies of `fft`'s results, in cycles per unit of time where samples lie `d` (default 1) apart. */
export function fftfreq(n: number, d = 1): Tensor<[number]> {
  checkSpacing('fftfreq', n, d)
  const k = arange(0, n, 1, { dtype: 'float32' })
  return mul(
    k.sub(
      k
        .ge(Math.ceil(n / 2))
        .to('float32')
        .mul(n),
    ),
    1 / (n * d),
  ) as Tensor<[number]>
}

/** The frequencies of `rfft`'s results. */
export function rfftfreq(n: number, d = 1): Tensor<[number]> {
  checkSpacing('rfftfreq', n, d)
  return mul(arange(0, Math.floor(n / 2) + 1, 1, { dtype: 'float32' }), 1 / (n * d)) as Tensor<[number]>
}

/** Frequency zero moved to the middle of the given dimensions (all by default). */
export function fftshift<T extends Tensor>(x: T, dims?: number | readonly number[]): Tensor<ShapeOf<T>>
export function fftshift(x: Tensor, dims?: number | readonly number[]): Tensor {
  return shifted('fftshift', x, dims, (n) => Math.floor(n / 2))
}

/** The inverse of `fftshift`. */
export function ifftshift<T extends Tensor>(x: T, dims?: number | readonly number[]): Tensor<ShapeOf<T>>
export function ifftshift(x: Tensor, dims?: number | readonly number[]): Tensor {
  return shifted('ifftshift', x, dims, (n) => Math.ceil(n / 2))
}

function shifted(op: string, x: Tensor, dims: number | readonly number[] | undefined, by: (n: number) => number): Tensor {
  checkTensor(op, 'x', x)
  const list = normalizeDims(op, dims, x.ndim)
  return roll(
    x,
    list.map((d) => by(x.shape[d])),
    list,
  )
}
