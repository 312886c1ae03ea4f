/**
 * ResNet-20 (He et al. 2015) on the first 8,000 training pictures of CIFAR-10, flipped and shifted at random, with momentum and one cosine of the learning rate.
 * Prints the accuracy on the first 2,000 test pictures.
 *
 *     CHAINRULE_DATA=… node examples/cifar.js [epochs]
 *
 * Expects `cifar-10/train-8000.bin.gz` and `cifar-10/test-2000.bin.gz` there: records of one label byte and 3 · 32 · 32 colours, as published by Krizhevsky, gzipped.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { ArrayDataset, fit, losses, manualSeed, metrics, optim } from 'chainrule'
import { resnet20 } from 'chainrule/models'
import { augmented } from './augment.js'

/** Mean and deviation of each colour over all 50,000 training pictures. */
const mean = [0.4914, 0.4822, 0.4465]
const deviation = [0.247, 0.2435, 0.2616]

function read(name) {
  const folder = process.env.CHAINRULE_DATA
  if (folder === undefined) throw new Error('Set CHAINRULE_DATA to a folder with cifar-10/train-8000.bin.gz in it.')
  const bytes = gunzipSync(readFileSync(join(folder, 'cifar-10', name)))
  const count = bytes.length / 3073
  const data = new Float32Array(count * 3072)
  const labels = new Uint8Array(count)
  for (let i = 0; i < count; i++) {
    labels[i] = bytes[i * 3073]
    for (let k = 0; k < 3072; k++) {
      const colour = k >> 10
      data[i * 3072 + k] = (bytes[i * 3073 + 1 + k] / 255 - mean[colour]) / deviation[colour]
    }
  }
  return new ArrayDataset([{ data, shape: [count, 3, 32, 32], dtype: 'float32' }, labels])
}

manualSeed(0)
const epochs = Number(process.argv[2] ?? 30)
const batchSize = 128
const train = read('train-8000.bin.gz')
const model = resnet20()
const optimizer = new optim.SGD(model.parameters(), { lr: 0.1, momentum: 0.9, weightDecay: 5e-4 })
const steps = epochs * Math.ceil(train.length / batchSize)
const history = await fit(model, augmented(train, { flip: true, shift: 4 }), {
  loss: losses.crossEntropy,
  optimizer,
  scheduler: { scheduler: new optim.lrScheduler.CosineAnnealingLR(optimizer, steps), every: 'step' },
  epochs,
  batchSize,
  validation: read('test-2000.bin.gz'),
  metrics: { accuracy: metrics.accuracy },
})
const { accuracy } = history.epochs.at(-1).valMetrics
console.log(`\ntest accuracy ${(100 * accuracy).toFixed(2)} % after ${epochs} epochs, ${history.seconds.toFixed(0)} s`)
