/**
 * The training loop by hand: what `fit` does, in a dozen lines that can be changed at will. Learns to tell two spirals apart.
 *
 *     node examples/train-by-hand.js
 */
import { compile, DataLoader, losses, manualSeed, metrics, nn, optim } from 'chainrule'

manualSeed(0)

// two spirals, one turned by half a circle: points [x, y] and which of the two they belong to
const inputs = []
const labels = []
for (let i = 0; i < 600; i++) {
  const angle = 0.5 + 6 * Math.sqrt((i >> 1) / 300)
  const turn = (i & 1) * Math.PI
  inputs.push([(angle / 6.5) * Math.cos(angle + turn), (angle / 6.5) * Math.sin(angle + turn)])
  labels.push(i & 1)
}

const model = new nn.Sequential(new nn.Linear(2, 32), new nn.Tanh(), new nn.Linear(32, 32), new nn.Tanh(), new nn.Linear(32, 2))
const optimizer = new optim.Adam(model.parameters(), { lr: 0.01 })

// one step, compiled: forward, backward and update run as a single program on a background thread
const step = compile((x, y) => {
  const outputs = model.forward(x)
  const loss = losses.crossEntropy(outputs, y)
  optimizer.zeroGrad()
  loss.backward()
  optim.clipGradNorm(model.parameters(), 1)
  optimizer.step()
  return { loss, accuracy: metrics.accuracy(outputs, y) }
})

const loader = new DataLoader([inputs, labels], { batchSize: 60, shuffle: true })
for (let epoch = 1; epoch <= 150; epoch++) {
  let last
  for await (const [x, y] of loader) last = await step(x, y)
  // a schedule is an assignment: numbers of the optimizer may change between steps
  if (epoch % 50 === 0) optimizer.lr /= 2
  if (epoch % 25 === 0) console.log(`epoch ${epoch}  loss ${last.loss.item().toFixed(4)}  accuracy ${last.accuracy.item().toFixed(3)}`)
}

// what it has learnt, as a map of the plane
const width = 48
const height = 22
const grid = Array.from({ length: width * height }, (_, i) => [
  ((i % width) / (width - 1)) * 2.4 - 1.2,
  1.2 - (Math.floor(i / width) / (height - 1)) * 2.4,
])
const classes = (await model.predict(grid)).argmax(1).toArray()
for (let row = 0; row < height; row++) {
  console.log(
    classes
      .slice(row * width, (row + 1) * width)
      .map((c) => (c ? '▓' : '·'))
      .join(''),
  )
}
