/**
 * Digits drawn by the library itself: data for tests, demos and offline machines, with no files and no licence.
 *
 * In: counts, a size and a seed. Out: pictures in the form of MNIST. Each digit is a few strokes (curves through control
 * points); every picture moves the points, tilts, scales and shifts the whole, varies the pen, and adds noise.
 */
import { ArgumentError, checkOptions, showValue } from '../base/errors.js'
import type { ImageSplit } from './mnist.js'
import { CounterRandom } from './rng.js'

export interface SyntheticDigitsOptions {
  /** Training pictures; default 8000. */
  train?: number
  /** Test pictures; default 2000. */
  test?: number
  /** Height and width in pixels, at least 8; default 28. */
  size?: number
  /** Any whole number; equal seeds give equal pictures. Default 0. */
  seed?: number
}

/** x, y, x, y, …: x to the right, y down, the digit filling about -0.7..0.7 by -1..1. */
interface Stroke {
  readonly points: readonly number[]
  /** A smooth curve through the points (Catmull-Rom), else straight lines. */
  readonly curved: boolean
}

const curve = (...points: number[]): Stroke => ({ points, curved: true })
const lines = (...points: number[]): Stroke => ({ points, curved: false })

/** For each digit, the ways people write it; closed curves repeat their first point. */
const glyphs: readonly (readonly (readonly Stroke[])[])[] = [
  [
    [curve(0, -1, -0.5, -0.65, -0.62, 0, -0.45, 0.7, 0, 1, 0.45, 0.7, 0.62, 0, 0.5, -0.65, 0, -1)],
    [curve(0.25, -0.95, -0.4, -0.7, -0.68, 0.05, -0.4, 0.8, 0.1, 0.95, 0.6, 0.4, 0.6, -0.4, 0.1, -0.95, -0.15, -0.8)],
  ],
  [[lines(0.02, -1, 0, 1)], [lines(-0.4, -0.55, 0.05, -1, 0.05, 1)], [lines(-0.35, -0.6, 0, -1, 0, 1), lines(-0.4, 1, 0.4, 1)]],
  [
    [curve(-0.55, -0.6, -0.3, -0.95, 0.2, -0.98, 0.5, -0.55, 0.25, 0, -0.2, 0.5, -0.6, 0.97), lines(-0.6, 0.97, 0.65, 0.95)],
    [
      curve(-0.5, -0.65, -0.1, -1, 0.4, -0.75, 0.35, -0.15, -0.1, 0.6, -0.45, 0.95, -0.6, 0.7, -0.35, 0.55, 0.1, 0.85),
      curve(0.1, 0.85, 0.4, 0.97, 0.7, 0.8),
    ],
  ],
  [
    [curve(-0.5, -0.75, -0.05, -1, 0.45, -0.7, 0.35, -0.2, -0.1, -0.05), curve(-0.1, -0.05, 0.45, 0.1, 0.55, 0.6, 0.1, 1, -0.55, 0.75)],
    [lines(-0.5, -0.97, 0.5, -0.97, -0.05, -0.15), curve(-0.05, -0.15, 0.5, 0.1, 0.5, 0.65, 0.05, 1, -0.55, 0.8)],
  ],
  [
    [lines(0.1, -1, -0.6, 0.3, 0.65, 0.3), lines(0.3, -0.35, 0.25, 1)],
    [lines(-0.45, -0.95, -0.5, 0, 0.5, 0), lines(0.5, -0.95, 0.45, 1)],
    [lines(0.35, 1, 0.35, -1, -0.6, 0.35, 0.65, 0.35)],
  ],
  [
    [lines(0.55, -0.97, -0.4, -0.95, -0.45, -0.15), curve(-0.45, -0.15, 0.05, -0.3, 0.52, 0.1, 0.4, 0.75, -0.05, 1, -0.55, 0.75)],
    [curve(-0.35, -0.9, -0.4, -0.2, 0.2, -0.2, 0.5, 0.3, 0.25, 0.9, -0.5, 0.85), lines(-0.35, -0.92, 0.55, -1)],
  ],
  [
    [curve(0.4, -1, -0.2, -0.6, -0.55, 0.1, -0.45, 0.75, 0, 1, 0.45, 0.75, 0.45, 0.25, 0, 0.02, -0.45, 0.35)],
    [curve(0, -1, -0.35, -0.3, -0.5, 0.45, -0.1, 0.98, 0.4, 0.7, 0.3, 0.25, -0.1, 0.2, -0.42, 0.6)],
  ],
  [
    [lines(-0.55, -0.92, 0.55, -0.95, -0.1, 1)],
    [lines(-0.55, -0.92, 0.55, -0.95, 0, 1), lines(-0.3, 0.05, 0.45, 0)],
    [curve(-0.55, -0.7, -0.35, -0.95, 0.1, -0.85, 0.55, -0.95), curve(0.55, -0.95, 0.15, -0.1, -0.05, 1)],
  ],
  [
    [
      curve(0, -1, -0.42, -0.75, -0.35, -0.3, 0, -0.05, 0.45, 0.35, 0.42, 0.8, 0, 1, -0.45, 0.8, -0.45, 0.35, 0, -0.05),
      curve(0, -0.05, 0.38, -0.3, 0.42, -0.75, 0, -1),
    ],
    [
      curve(0, -1, -0.4, -0.75, -0.35, -0.25, 0, -0.08, 0.35, -0.25, 0.4, -0.75, 0, -1),
      curve(0, -0.08, -0.5, 0.25, -0.4, 0.85, 0, 1, 0.4, 0.85, 0.5, 0.25, 0, -0.08),
    ],
  ],
  [
    [curve(0.45, -0.5, 0.3, -0.92, -0.15, -0.98, -0.48, -0.6, -0.35, -0.1, 0.1, -0.05, 0.45, -0.5), curve(0.45, -0.5, 0.45, 0.2, 0.25, 1)],
    [
      curve(0.4, -0.85, -0.05, -1, -0.45, -0.6, -0.25, -0.1, 0.25, -0.2, 0.45, -0.85),
      curve(0.45, -0.85, 0.5, 0.1, 0.25, 0.85, -0.45, 0.85),
    ],
  ],
]

const farAway = 1e9
const curveSteps = 4

/**
 * Draws digits 0 to 9: reproducible data that needs no files, shaped like MNIST and about as hard for a small network.
 * Classes are balanced (each ten pictures hold each digit once, in random order), picture i does not depend on how many are
 * asked for, and training and test pictures never share a random stream. 10,000 pictures of 28 by 28 take about 0.4 s.
 *
 * @returns `train` and `test`: images float32 [N, 1, size, size], whole multiples of 1/255 in 0..1; labels 0 to 9.
 * @throws ArgumentError `ERR_DIGITS_COUNT`, `ERR_DIGITS_SIZE`, `ERR_DIGITS_SEED` for values that are not whole or out of range.
 *
 *     const { train, test } = syntheticDigits({ train: 1000, test: 200 })
 *     console.log(train.shape, train.labels.length)   // [1000, 1, 28, 28] 1000
 */
export function syntheticDigits(options: SyntheticDigitsOptions = {}): { train: ImageSplit; test: ImageSplit } {
  checkOptions('syntheticDigits', options, { train: true, test: true, size: true, seed: true })
  const { train = 8000, test = 2000, size = 28, seed = 0 } = options
  if (!(Number.isInteger(size) && size >= 8 && size <= 1024)) {
    throw new ArgumentError('ERR_DIGITS_SIZE', `syntheticDigits: size must be a whole number from 8 to 1024, received ${showValue(size)}.`)
  }
  for (const [option, count] of Object.entries({ train, test })) {
    if (!(Number.isInteger(count) && count >= 0 && count * size * size < 2 ** 31)) {
      throw new ArgumentError(
        'ERR_DIGITS_COUNT',
        `syntheticDigits: ${option} must be a whole number of pictures, below 2^31 pixels in all, received ${showValue(count)}.`,
      )
    }
  }
  if (!Number.isSafeInteger(seed)) {
    throw new ArgumentError('ERR_DIGITS_SEED', `syntheticDigits: seed must be a whole number, received ${showValue(seed)}.`)
  }
  return { train: draw(train, size, seed, 0), test: draw(test, size, seed, 1) }
}

function draw(count: number, size: number, seed: number, part: number): ImageSplit {
  const area = size * size
  const images = new Float32Array(count * area)
  const labels = new Uint8Array(count)
  const distance = new Float32Array(area)
  const ten = Int32Array.from({ length: 10 }, (_, digit) => digit)
  for (let i = 0; i < count; i++) {
    if (i % 10 === 0) new CounterRandom(seed, part, 0, i).shuffle(ten)
    labels[i] = ten[i % 10]
    drawDigit(images.subarray(i * area, (i + 1) * area), distance, size, labels[i], new CounterRandom(seed, part, 1, i))
  }
  return { images, shape: [count, 1, size, size], labels }
}

/** Draws one digit into `pixels`. `distance` is scratch: squared distances to the nearest stroke. */
function drawDigit(pixels: Float32Array, distance: Float32Array, size: number, digit: number, random: CounterRandom): void {
  const variants = glyphs[digit]
  const strokes = variants[random.below(variants.length)]
  const angle = 0.17 * random.bell()
  const shear = 0.2 * random.bell()
  const tall = size * random.uniform(0.29, 0.39)
  const wide = tall * random.uniform(0.75, 1.2)
  const cos = Math.cos(angle)
  const sin = Math.sin(angle)
  const centerX = size / 2 + size * random.uniform(-0.06, 0.06)
  const centerY = size / 2 + size * random.uniform(-0.06, 0.06)
  const radius = (size / 28) * random.uniform(0.7, 1.7)
  const soft = random.uniform(0.6, 1.4)
  const wobble = random.uniform(0.02, 0.09)
  const reach = radius + soft / 2

  distance.fill(farAway)
  for (const { points, curved } of strokes) {
    const path = new Float64Array(points.length)
    for (let k = 0; k < points.length; k += 2) {
      const x = points[k] + wobble * random.bell() - shear * points[k + 1]
      const y = points[k + 1] + wobble * random.bell()
      path[k] = centerX + wide * x * cos - tall * y * sin
      path[k + 1] = centerY + wide * x * sin + tall * y * cos
    }
    walk(path, curved, (x0, y0, x1, y1) => markSegment(distance, size, reach, x0, y0, x1, y1))
  }

  finish(pixels, distance, random, radius, soft)
}

/** Grey value v of -256..511, clamped to a byte, as float32 in 0..1. A table, because whether noise is negative no branch predicts. */
const grey = Float32Array.from({ length: 768 }, (_, k) => Math.min(255, Math.max(0, k - 256)) / 255)

/** From squared distances to grey values with noise. In its own function: V8 optimizes the loop better than in the midst. */
function finish(pixels: Float32Array, distance: Float32Array, random: CounterRandom, radius: number, soft: number): void {
  const ink = 255 * random.uniform(0.75, 1)
  const noise = random.uniform(0, 0.17)
  let word = 0
  for (let i = 0; i < pixels.length; i++) {
    let value = 256.5
    const squared = distance[i]
    if (squared !== farAway) {
      // Full inside the pen's radius, then falling over `soft` pixels: that is the anti-aliasing.
      const cover = 0.5 + (radius - Math.sqrt(squared)) / soft
      value += cover >= 1 ? ink : cover > 0 ? ink * cover : 0
    }
    // Two bytes of a random word add up to noise enough; one word serves two pixels.
    word = (i & 1) === 0 ? random.uint32() | 0 : word >> 16
    value += noise * ((word & 255) + ((word >> 8) & 255) - 255)
    pixels[i] = grey[value | 0]
  }
}

/** Calls `segment` for each straight piece of a path; a curve is cut into `curveSteps` pieces between two points. */
function walk(path: Float64Array, curved: boolean, segment: (x0: number, y0: number, x1: number, y1: number) => void): void {
  const last = path.length - 2
  let x = path[0]
  let y = path[1]
  for (let k = 0; k < last; k += 2) {
    const before = Math.max(0, k - 2)
    const after = Math.min(last, k + 4)
    const steps = curved ? curveSteps : 1
    for (let s = 1; s <= steps; s++) {
      const t = s / steps
      const nextX = curved ? catmullRom(path[before], path[k], path[k + 2], path[after], t) : path[k + 2]
      const nextY = curved ? catmullRom(path[before + 1], path[k + 1], path[k + 3], path[after + 1], t) : path[k + 3]
      segment(x, y, nextX, nextY)
      x = nextX
      y = nextY
    }
  }
}

function catmullRom(a: number, b: number, c: number, d: number, t: number): number {
  return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
}

/** Lowers `distance` to the squared distance from each pixel's centre to a segment, for pixels within `reach` of it. */
function markSegment(distance: Float32Array, size: number, reach: number, x0: number, y0: number, x1: number, y1: number): void {
  const dx = x1 - x0
  const dy = y1 - y0
  const perLength = 1 / Math.max(dx * dx + dy * dy, 1e-12)
  // Pixel centres lie at halves.
  const left = Math.max(0, Math.ceil(Math.min(x0, x1) - reach - 0.5))
  const right = Math.min(size - 1, Math.floor(Math.max(x0, x1) + reach - 0.5))
  const top = Math.max(0, Math.ceil(Math.min(y0, y1) - reach - 0.5))
  const bottom = Math.min(size - 1, Math.floor(Math.max(y0, y1) + reach - 0.5))
  for (let row = top; row <= bottom; row++) {
    const py = row + 0.5 - y0
    for (let column = left; column <= right; column++) {
      const px = column + 0.5 - x0
      let t = (px * dx + py * dy) * perLength
      t = t < 0 ? 0 : t > 1 ? 1 : t
      const ex = px - t * dx
      const ey = py - t * dy
      const squared = ex * ex + ey * ey
      const at = row * size + column
      if (squared < distance[at]) distance[at] = squared
    }
  }
}
