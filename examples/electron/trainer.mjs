/**
 * The application's work, without Electron: a digit classifier that trains in the background and answers meanwhile. In: orders from the window.
 * Out: progress events, classifications. Runs in Electron's main process or in plain Node.
 */
import { datasets, fit, losses, manualSeed, nn, optim, tensor } from 'chainrule'

/** Side of the pictures, in pixels. */
export const size = 28

function makeModel() {
  return new nn.Sequential(
    new nn.Conv2d(1, 16, 5, { stride: 2, padding: 2 }),
    new nn.ReLU(),
    new nn.Conv2d(16, 32, 3, { padding: 1 }),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
    new nn.Flatten(),
    new nn.Linear(32 * 7 * 7, 64),
    new nn.ReLU(),
    new nn.Linear(64, 10),
  )
}

/** `send(event)` gets `{ step, loss, seconds }` while training and `{ done, reason }` at its end. */
export function createTrainer(send, { pictures = 8000, epochs = 4 } = {}) {
  manualSeed(0)
  const model = makeModel()
  let stopping

  async function start() {
    if (stopping !== undefined) return
    stopping = new AbortController()
    const { train } = datasets.syntheticDigits({ train: pictures, test: 1 })
    const optimizer = new optim.AdamW(model.parameters(), { lr: 2e-3 })
    const options = { loss: losses.crossEntropy, optimizer, epochs, batchSize: 64, progress: false, signal: stopping.signal }
    const began = performance.now()
    let reason = 'finished'
    try {
      for await (const { step, loss } of fit(model, train, options).steps()) {
        // Reading the loss waits for the step; one in ten is enough for a curve.
        if (step % 10 === 1) send({ step, loss: await loss, seconds: (performance.now() - began) / 1000 })
      }
    } catch (error) {
      reason = stopping.signal.aborted ? 'stopped' : String(error)
    }
    stopping = undefined
    send({ done: true, reason })
  }

  return {
    start,
    stop: () => stopping?.abort(),
    /** Ten probabilities for a picture of 28 × 28 numbers from 0 (paper) to 1 (ink). Also while it trains. */
    async classify(pixels) {
      if (!Array.isArray(pixels) && !(pixels instanceof Float32Array)) throw new TypeError('classify: a picture is an array of numbers')
      if (pixels.length !== size * size) throw new RangeError(`classify: a picture has ${size * size} numbers, received ${pixels.length}`)
      const logits = await model.predict(tensor(Float32Array.from(pixels), { shape: [1, 1, size, size] }))
      return logits.softmax(-1).toArray()[0]
    },
  }
}
