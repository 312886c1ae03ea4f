/**
 * MNIST and Fashion-MNIST: 60,000 and 10,000 grey pictures of 28 by 28, in 10 classes.
 *
 * In: four published files, found and verified by source.ts. Out: images as float32 in 0..1 and labels as bytes.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { arrayKind } from '../base/dtype.js'
import { ArgumentError, checkOptions, DataError, type OptionNames, showShape, showValue } from '../base/errors.js'
import { type IdxArray, readIdx } from './idx.js'
import { type DataFile, loadDataFile, type SourceOptions } from './source.js'

/** Pictures and their classes; the same form for every picture data set here. */
export interface ImageSplit {
  /** Grey values in 0..1, row-major in `shape`. */
  readonly images: Float32Array
  /** [pictures, 1, height, width]. */
  readonly shape: readonly [number, number, number, number]
  readonly labels: Uint8Array
}

export interface MnistOptions extends SourceOptions {
  /** Which data set; default `'mnist'`. */
  name?: 'mnist' | 'fashion-mnist'
  /** The most training pictures to return, from the start of the file; default all 60,000. */
  train?: number
  /** The most test pictures to return; default all 10,000. */
  test?: number
}

/** @internal the names of all but the data set's own name */
export const imageSetNames: OptionNames<Omit<MnistOptions, 'name'>> = {
  train: true,
  test: true,
  dataDir: true,
  cacheDir: true,
  download: true,
  mirrors: true,
  timeout: true,
  signal: true,
}

type Published = readonly [bytes: number, sha256: string]
type Part = 'train-images-idx3' | 'train-labels-idx1' | 't10k-images-idx3' | 't10k-labels-idx1'

const published: Record<'mnist' | 'fashion-mnist', { mirrors: readonly string[]; files: Record<Part, Published> }> = {
  mnist: {
    mirrors: [
      'https://ossci-datasets.s3.amazonaws.com/mnist',
      'https://storage.googleapis.com/cvdf-datasets/mnist',
      'https://raw.githubusercontent.com/fgnt/mnist/master',
    ],
    files: {
      'train-images-idx3': [9912422, '440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609'],
      'train-labels-idx1': [28881, '3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c'],
      't10k-images-idx3': [1648877, '8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6'],
      't10k-labels-idx1': [4542, 'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6'],
    },
  },
  'fashion-mnist': {
    mirrors: [
      'https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion',
      'https://storage.googleapis.com/tensorflow/tf-keras-datasets',
      // No TLS there; the checksum makes up for it.
      'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com',
    ],
    files: {
      'train-images-idx3': [26421880, '3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84'],
      'train-labels-idx1': [29515, 'a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845'],
      't10k-images-idx3': [4422102, '346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073'],
      't10k-labels-idx1': [5148, '67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5'],
    },
  },
}

/**
 * Loads MNIST or Fashion-MNIST from `CHAINRULE_DATA`, the cache, or the network (11 or 30 MB, once).
 *
 * @returns `train` (60,000 pictures) and `test` (10,000): images float32 [N, 1, 28, 28] in 0..1, labels 0 to 9.
 * @throws DataError when a file is nowhere to be found, damaged, or not what it should be; ArgumentError for an unknown
 *   name or counts that are not whole numbers above 0.
 *
 * Source: LeCun, Cortes and Burges 1998; Xiao, Rasul and Vollgraf 2017 (arXiv 1708.07747).
 *
 *     const { train, test } = await loadMnist({ name: 'fashion-mnist' })
 *     console.log(train.shape)   // [60000, 1, 28, 28]
 */
export async function loadMnist(options: MnistOptions = {}): Promise<{ train: ImageSplit; test: ImageSplit }> {
  checkOptions('loadMnist', options, { ...imageSetNames, name: true })
  const { name = 'mnist', train, test, ...source } = options
  if (!Object.hasOwn(published, name)) {
    throw new ArgumentError('ERR_DATA_NAME', `loadMnist: unknown data set ${showValue(name)}. Known: ${Object.keys(published).join(', ')}.`)
  }
  checkLimit('train', train)
  checkLimit('test', test)
  const { mirrors, files } = published[name]
  const read = async (part: Part): Promise<IdxArray> => {
    const [bytes, sha256] = files[part]
    const wanted: DataFile = { set: name, file: `${part}-ubyte.gz`, bytes, sha256 }
    return readIdx(await loadDataFile(wanted, { mirrors, ...source }), { name: `${name}/${wanted.file}`, maxBytes: 2 ** 26 })
  }
  // allSettled, so that a failure does not leave downloads running behind the caller's back.
  const parts = await Promise.allSettled(
    (['train-images-idx3', 'train-labels-idx1', 't10k-images-idx3', 't10k-labels-idx1'] as const).map(read),
  )
  const [trainImages, trainLabels, testImages, testLabels] = parts.map((part) => {
    if (part.status === 'rejected') throw part.reason
    return part.value
  })
  return {
    train: await toSplit(name, trainImages, trainLabels, train),
    test: await toSplit(name, testImages, testLabels, test),
  }
}

function checkLimit(option: string, count: number | undefined): void {
  if (count !== undefined && !(Number.isInteger(count) && count > 0)) {
    throw new ArgumentError('ERR_DATA_COUNT', `loadMnist: ${option} must be a whole number above 0, received ${showValue(count)}.`)
  }
}

/** Bytes 0..255 as the float32 nearest to byte / 255, as PyTorch's ToTensor gives. */
const grey = Float32Array.from({ length: 256 }, (_, byte) => byte / 255)

async function toSplit(name: string, images: IdxArray, labels: IdxArray, limit = Infinity): Promise<ImageSplit> {
  const [total, height, width] = images.shape
  const isBytes = arrayKind(images.data) === 'Uint8Array' && arrayKind(labels.data) === 'Uint8Array'
  if (!isBytes || images.shape.length !== 3 || labels.shape.length !== 1 || labels.shape[0] !== total) {
    throw new DataError(
      'ERR_DATA_SHAPE',
      `${name}: expected bytes of shape [n, 28, 28] and [n], received ${showShape(images.shape)} and ${showShape(labels.shape)}.`,
    )
  }
  const count = Math.min(total, limit)
  const pixels = new Float32Array(count * height * width)
  const step = 2 ** 20 // A few milliseconds each, so that a server in this process keeps answering.
  for (let from = 0; from < pixels.length; from += step) {
    const to = Math.min(from + step, pixels.length)
    for (let i = from; i < to; i++) pixels[i] = grey[images.data[i]]
    await turn()
  }
  return { images: pixels, shape: [count, 1, height, width], labels: Uint8Array.from(labels.data.subarray(0, count)) }
}
