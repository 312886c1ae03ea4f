/**
 * Pictures changed at random each time they are drawn: flipped, and shifted by up to some pixels with zeros moving in. In: a data set `[images [N, C, H, W], labels]` in memory.
 * Out: one that hands out changed copies.
 */
import { rand } from 'chainrule'

function change({ data, shape }, { flip = false, shift = 0 }) {
  const [n, channels, height, width] = shape
  const chance = rand([n, 3]).data
  const row = new Float32Array(width)
  for (let i = 0; i < n; i++) {
    const mirrored = flip && chance[3 * i] < 0.5
    const down = Math.floor(chance[3 * i + 1] * (2 * shift + 1)) - shift
    const right = Math.floor(chance[3 * i + 2] * (2 * shift + 1)) - shift
    for (let c = 0; c < channels; c++) {
      const start = (i * channels + c) * height * width
      const plane = data.slice(start, start + height * width)
      for (let y = 0; y < height; y++) {
        const from = y - down
        row.fill(0)
        if (from >= 0 && from < height)
          for (let x = Math.max(0, right); x < Math.min(width, width + right); x++) row[x] = plane[from * width + x - right]
        data.set(mirrored ? row.reverse() : row, start + y * width)
      }
    }
  }
}

/** A data set whose pictures are changed; `{ flip: true }` mirrors half of them, `{ shift: 4 }` moves them by up to four pixels. */
export function augmented(dataset, options) {
  return {
    length: dataset.length,
    batch(indices) {
      const [images, labels] = dataset.batch(indices)
      change(images, options)
      return [images, labels]
    },
  }
}
