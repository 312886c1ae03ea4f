/**
 * Ready-made data sets, in the form `fit` and `DataLoader` take: float32 pictures `[N, 1, 28, 28]` in 0..1 and uint8 labels.
 */
import { checkOptions } from '../base/errors.js'
import { syntheticDigits as drawDigits, type SyntheticDigitsOptions } from './digits.js'
import { ArrayDataset, type Pair } from './loader.js'
import { type ImageSplit, imageSetNames, loadMnist, type MnistOptions } from './mnist.js'

/** Pictures to learn from and pictures to be judged by. */
export interface ImageSets {
  readonly train: ArrayDataset
  readonly test: ArrayDataset
}

function toSets({ train, test }: { train: ImageSplit; test: ImageSplit }): ImageSets {
  const set = ({ images, shape, labels }: ImageSplit): ArrayDataset =>
    new ArrayDataset<Pair>([
      { data: images, shape, dtype: 'float32' },
      { data: labels, shape: [labels.length], dtype: 'uint8' },
    ])
  return { train: set(train), test: set(test) }
}

/**
 * MNIST: 60,000 and 10,000 handwritten digits, from `CHAINRULE_DATA`, the cache, or the network (11 MB, once, verified).
 *
 *     const { train, test } = await datasets.mnist()
 *     await fit(model, train, { validation: test, … })
 *
 * @throws DataError `ERR_DATA_NOT_FOUND` naming every place tried, `ERR_DATA_CHECKSUM`; without files use `syntheticDigits()`.
 */
export async function mnist(options: Omit<MnistOptions, 'name'> = {}): Promise<ImageSets> {
  checkOptions('datasets.mnist', options, imageSetNames)
  return toSets(await loadMnist({ ...options, name: 'mnist' }))
}

/**
 * Fashion-MNIST: as `mnist`, with 10 kinds of clothes; harder. 30 MB.
 *
 *     const { train, test } = await datasets.fashionMnist({ train: 10_000 })
 *
 * @throws DataError as `mnist`.
 */
export async function fashionMnist(options: Omit<MnistOptions, 'name'> = {}): Promise<ImageSets> {
  checkOptions('datasets.fashionMnist', options, imageSetNames)
  return toSets(await loadMnist({ ...options, name: 'fashion-mnist' }))
}

/**
 * Digits drawn by the library, with no files at all: by default 8000 and 2000 pictures of 28 by 28, the same for the same `seed`.
 *
 *     const { train, test } = datasets.syntheticDigits({ train: 1000 })
 *
 * @throws ArgumentError `ERR_DIGITS_COUNT`, `ERR_DIGITS_SIZE`, `ERR_DIGITS_SEED`.
 */
export function syntheticDigits(options: SyntheticDigitsOptions = {}): ImageSets {
  return toSets(drawDigits(options))
}
