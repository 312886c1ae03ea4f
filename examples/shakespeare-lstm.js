/**
 * A character model with two layers of LSTM on tiny Shakespeare (after Karpathy's char-rnn): 2,000 steps of 32 sequences of 64 characters with Adam. Prints the
 * validation loss, then a few lines it writes.
 *
 *     CHAINRULE_DATA=… node examples/shakespeare-lstm.js
 */
import { compile, losses, manualSeed, noGrad, optim, tensor } from 'chainrule'
import { CharLSTM } from 'chainrule/models'
import { batch, characters, decode, encode, parts } from './text.js'

manualSeed(1)
const [rows, length, steps] = [32, 64, 2000]
const vocabSize = characters.length
const model = new CharLSTM(vocabSize)
const optimizer = new optim.Adam(model.parameters(), { lr: 2e-3 })
console.log(`${vocabSize} characters, ${model.parameters().reduce((n, p) => n + p.size, 0)} parameters`)

// the model takes time first
const lossOf = (x, y) => losses.crossEntropy(model.forward(x.transpose()).reshape([-1, vocabSize]), y.transpose().reshape([-1]))
const step = compile((x, y) => {
  const loss = lossOf(x, y)
  optimizer.zeroGrad()
  loss.backward()
  optim.clipGradNorm(model.parameters(), 5)
  optimizer.step()
  return loss
})
const evaluate = compile((x, y) => noGrad(() => lossOf(x, y)))
const draw = (part) => batch(part, rows, length).map((data) => tensor(data, { shape: [rows, length] }))

async function validationLoss(batches) {
  let total = 0
  for (let i = 0; i < batches; i++) total += (await evaluate(...draw(parts.validation))).item()
  return total / batches
}

const start = performance.now()
for (let i = 0; i < steps; i++) {
  optimizer.lr = 2e-3 * (1 - 0.95 * (i / steps))
  const loss = await step(...draw(parts.train))
  if ((i + 1) % 250 === 0) {
    const seconds = (performance.now() - start) / 1000
    console.log(
      `step ${i + 1}  loss ${loss.item().toFixed(3)}  validation ${(await validationLoss(20)).toFixed(3)}  ${seconds.toFixed(0)} s`,
    )
  }
}
console.log(`validation loss over 100 batches: ${(await validationLoss(100)).toFixed(3)}\n`)
console.log(decode(model.generate(encode('\n'), 400, { temperature: 0.8 })))
