/**
 * A small convolutional network on Fashion-MNIST, with pictures flipped at random and one cycle of the learning rate (Smith 2018). Prints the test accuracy.
 *
 *     CHAINRULE_DATA=… node examples/fashion-mnist.js [epochs]
 */
import { ArrayDataset, datasets, fit, losses, manualSeed, metrics, nn, optim } from 'chainrule'
import { augmented } from './augment.js'

manualSeed(0)
const epochs = Number(process.argv[2] ?? 8)
const { train, test } = await datasets.fashionMnist()

const block = (i, o) => [new nn.Conv2d(i, o, 3, { padding: 1, bias: false }), new nn.BatchNorm2d(o), new nn.ReLU()]
const model = new nn.Sequential(
  ...block(1, 32),
  new nn.MaxPool2d(2),
  ...block(32, 64),
  new nn.MaxPool2d(2),
  ...block(64, 128),
  new nn.Flatten(),
  new nn.Dropout(0.4),
  new nn.Linear(128 * 7 * 7, 128),
  new nn.ReLU(),
  new nn.Linear(128, 10),
)
const batchSize = 128
const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3, weightDecay: 0.02 })
const history = await fit(model, augmented(new ArrayDataset(train.fields), { flip: true }), {
  loss: losses.crossEntropy,
  optimizer,
  scheduler: new optim.lrScheduler.OneCycleLR(optimizer, 4e-3, { epochs, stepsPerEpoch: Math.ceil(train.length / batchSize) }),
  epochs,
  batchSize,
  validation: test,
  metrics: { accuracy: metrics.accuracy },
})
const { accuracy } = history.epochs.at(-1).valMetrics
console.log(`\ntest accuracy ${(100 * accuracy).toFixed(2)} % after ${epochs} epochs, ${history.seconds.toFixed(0)} s`)
