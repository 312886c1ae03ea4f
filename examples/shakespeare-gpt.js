/**
 * A small GPT on tiny Shakespeare, character by character: nanoGPT's recipe for a CPU (4 layers, 4 heads, width 128, 64 characters, 2,000 steps of 12
 * sequences, AdamW, warm-up and cosine), whose validation loss is 1.88. Prints the loss, then a few lines it writes.
 *
 *     CHAINRULE_DATA=… node examples/shakespeare-gpt.js
 */
import { compile, losses, manualSeed, noGrad, optim, tensor } from 'chainrule'
import { GPT } from 'chainrule/models'
import { batch, characters, decode, encode, parts } from './text.js'

manualSeed(1337)
const [rows, blockSize, steps, warmup] = [12, 64, 2000, 100]
const vocabSize = characters.length
const model = new GPT({ vocabSize, blockSize, nLayer: 4, nHead: 4, nEmbd: 128, bias: false })
const matrices = model.parameters().filter((p) => p.ndim >= 2)
const vectors = model.parameters().filter((p) => p.ndim < 2)
const optimizer = new optim.AdamW(
  [
    { params: matrices, weightDecay: 0.1 },
    { params: vectors, weightDecay: 0 },
  ],
  { lr: 1e-3, betas: [0.9, 0.99] },
)
console.log(`${vocabSize} characters, ${model.parameters().reduce((n, p) => n + p.size, 0)} parameters`)

const lossOf = (x, y) => losses.crossEntropy(model.forward(x).reshape([-1, vocabSize]), y.reshape([-1]))
const step = compile((x, y) => {
  const loss = lossOf(x, y)
  optimizer.zeroGrad()
  loss.backward()
  optim.clipGradNorm(model.parameters(), 1)
  optimizer.step()
  return loss
})
const evaluate = compile((x, y) => noGrad(() => lossOf(x, y)))
const draw = (part) => batch(part, rows, blockSize).map((data) => tensor(data, { shape: [rows, blockSize] }))

/** Linear warm-up, then a cosine down to a tenth. */
const rate = (i) =>
  i < warmup ? (1e-3 * (i + 1)) / (warmup + 1) : 1e-4 + 0.5 * 9e-4 * (1 + Math.cos((Math.PI * (i - warmup)) / (steps - warmup)))

async function validationLoss(batches) {
  let total = 0
  for (let i = 0; i < batches; i++) total += (await evaluate(...draw(parts.validation))).item()
  return total / batches
}

const start = performance.now()
for (let i = 0; i < steps; i++) {
  for (const group of optimizer.groups) group.lr = rate(i)
  const loss = await step(...draw(parts.train))
  if ((i + 1) % 250 === 0) {
    const seconds = (performance.now() - start) / 1000
    console.log(
      `step ${i + 1}  loss ${loss.item().toFixed(3)}  validation ${(await validationLoss(20)).toFixed(3)}  ${seconds.toFixed(0)} s`,
    )
  }
}
console.log(`validation loss over 200 batches: ${(await validationLoss(200)).toFixed(3)}\n`)
console.log(decode(model.generate([encode('\n')], 400, { temperature: 0.8, topK: 40 })[0]))
