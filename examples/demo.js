/**
 * The demo: trains a small convolutional network on handwritten digits, shows how well it does, saves it, loads it again and lets it read a
 * few digits. Uses MNIST where it is found (CHAINRULE_DATA or the cache, nothing is downloaded), else digits that the library draws.
 *
 *     npm run demo
 */
import { mkdir } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { backend, datasets, fit, load, losses, manualSeed, metrics, nn, noGrad, optim, save } from 'chainrule'

const bold = (text) => (process.stdout.isTTY && !process.env.NO_COLOR ? `\x1b[1m${text}\x1b[0m` : text)
const dim = (text) => (process.stdout.isTTY && !process.env.NO_COLOR ? `\x1b[2m${text}\x1b[0m` : text)
const marked = (text) => (process.stdout.isTTY && !process.env.NO_COLOR ? `\x1b[31m${text}\x1b[0m` : text)

class DigitNet extends nn.Module {
  features = new nn.Sequential(
    new nn.Conv2d(1, 16, 5, { stride: 2, padding: 2 }),
    new nn.ReLU(),
    new nn.Conv2d(16, 32, 3, { padding: 1 }),
    new nn.BatchNorm2d(32),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
  )
  classify = new nn.Sequential(new nn.Flatten(), new nn.Linear(32 * 7 * 7, 128), new nn.ReLU(), new nn.Dropout(0.3), new nn.Linear(128, 10))

  forward(x) {
    return this.classify.forward(this.features.forward(x))
  }
}

async function digits() {
  try {
    return { name: 'MNIST', ...(await datasets.mnist({ download: false })) }
  } catch (error) {
    if (error.code !== 'ERR_DATA_NOT_FOUND') throw error
    return {
      name: 'digits drawn by the library (MNIST was not found; set CHAINRULE_DATA to use it)',
      ...datasets.syntheticDigits({ train: 12_000 }),
    }
  }
}

manualSeed(0)
const { name, train, test } = await digits()
const model = new DigitNet()
console.log(
  `\n${bold('chainrule')}  ${backend() === 'native' ? 'native backend' : 'TypeScript backend (slow: the native addon was not loaded)'}`,
)
console.log(`${train.length.toLocaleString('en')} training and ${test.length.toLocaleString('en')} test pictures: ${name}\n`)
console.log(model.summary(), '\n')

const optimizer = new optim.AdamW(model.parameters(), { lr: 2e-3 })
const training = fit(model, train, {
  loss: losses.crossEntropy,
  optimizer,
  epochs: 3,
  batchSize: 128,
  validation: test,
  metrics: { accuracy: metrics.accuracy },
})
for await (const epoch of training) optimizer.lr *= epoch.epoch === 1 ? 0.5 : 0.2
const history = await training

const folder = join(dirname(fileURLToPath(import.meta.url)), '..', 'build')
await mkdir(folder, { recursive: true })
const path = join(folder, 'digits.safetensors')
await save(model, path)
const reloaded = await load(new DigitNet(), path)

const [images, labels] = test.fields
const logits = await reloaded.predict(images)
const predictions = noGrad(() => logits.argmax(1)).toArray()
const wrong = [...labels.data.keys()].filter((i) => predictions[i] !== labels.data[i])
console.log(
  `\nTest accuracy ${bold(`${(100 * (1 - wrong.length / test.length)).toFixed(2)} %`)}: ${wrong.length} of ${test.length} wrong. Trained in ${history.seconds.toFixed(1)} s.`,
)
console.log(`Saved to ${relative('.', path)} and read back.\n`)

console.log(bold('Confusion matrix') + dim('  (rows: the digit, columns: what the network read)'))
const matrix = Array.from({ length: 10 }, () => new Array(10).fill(0))
labels.data.forEach((label, i) => {
  matrix[label][predictions[i]]++
})
console.log(dim(`    ${[...'0123456789'].map((d) => d.padStart(5)).join('')}`))
matrix.forEach((row, digit) => {
  const cells = row.map((count, k) =>
    k === digit ? bold(String(count).padStart(5)) : count > 0 ? String(count).padStart(5) : dim('·'.padStart(5)),
  )
  console.log(`${dim(String(digit).padStart(4))}${cells.join('')}`)
})

/** A picture as lines of text; each character shows two pixels, one above the other. */
function draw(index) {
  const [, , height, width] = images.shape
  const pixel = (row, column) => images.data[(index * height + row) * width + column] > 0.35
  const lines = []
  for (let row = 2; row < height - 2; row += 2) {
    let line = ''
    for (let column = 3; column < width - 3; column++) line += ' ▀▄█'[(pixel(row, column) ? 1 : 0) + (pixel(row + 1, column) ? 2 : 0)]
    lines.push(line)
  }
  return lines
}

/** Pictures side by side with what was read below. */
function show(title, indices) {
  if (indices.length === 0) return
  console.log(`\n${bold(title)}`)
  const pictures = indices.map(draw)
  for (let row = 0; row < pictures[0].length; row++) console.log(pictures.map((p) => p[row]).join('  '))
  const captions = indices.map((i) => {
    const text = predictions[i] === labels.data[i] ? `read as ${predictions[i]}` : `read as ${predictions[i]}, is ${labels.data[i]}`
    const padded = text.padStart(Math.floor((22 + text.length) / 2)).padEnd(22)
    return predictions[i] === labels.data[i] ? padded : marked(padded)
  })
  console.log(captions.join('  '))
}
const shown = Math.max(1, Math.min(5, Math.floor(((process.stdout.columns ?? 120) + 2) / 24)))
show('Some digits', [...labels.data.keys()].slice(0, shown))
show('Where it was wrong', wrong.slice(0, shown))

console.log(`
Next: ${bold('examples/train-by-hand.js')} writes the training step itself, ${bold('examples/serve.js')} answers requests while it trains.
`)
