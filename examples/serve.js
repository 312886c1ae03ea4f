/**
 * A server that answers while it trains: predictions pass the queued training steps, and see the weights of the moment.
 *
 *     node examples/serve.js            # then, in another terminal:
 *     curl localhost:8080/status
 *     curl localhost:8080/digit/7       # a test picture, and what the network reads in it
 *
 * With --check it asks itself a few times and ends.
 */
import { createServer } from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { datasets, fit, losses, manualSeed, metrics, nn, optim } from 'chainrule'

const check = process.argv.includes('--check')
manualSeed(0)
const { train, test } = datasets.syntheticDigits({ train: check ? 1000 : 8000, test: 500 })
const [images, labels] = test.fields
const model = new nn.Sequential(new nn.Flatten(), new nn.Linear(784, 256), new nn.ReLU(), new nn.Dropout(0.2), new nn.Linear(256, 10))

const stop = new AbortController()
const status = { epoch: 0, loss: null, accuracy: null }
const delay = monitorEventLoopDelay({ resolution: 1 })

const server = createServer(async (request, response) => {
  const answer = (code, body) => response.writeHead(code, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`)
  try {
    const [, what, number] = request.url.split('/')
    const index = Number(number)
    if (what === 'status') {
      answer(200, { ...status, eventLoopDelay: { p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 } })
    } else if (what === 'digit' && index >= 0 && index < labels.data.length) {
      const start = performance.now()
      const picture = images.data.subarray(index * 784, (index + 1) * 784)
      const scores = await model.predict(picture, { shape: [1, 1, 28, 28] })
      answer(200, { read: scores.argmax(1).item(), is: labels.data[index], milliseconds: performance.now() - start })
    } else {
      answer(404, { error: `try /status or /digit/0 to /digit/${labels.data.length - 1}` })
    }
  } catch (error) {
    answer(500, { error: error.message })
  }
})

await new Promise((resolve) => server.listen(check ? 0 : 8080, resolve))
const address = `http://localhost:${server.address().port}`
console.log(`training, and answering on ${address}/status and ${address}/digit/7 (Ctrl-C ends it)`)
process.once('SIGINT', () => stop.abort(new Error('stopped')))
delay.enable()

const training = fit(model, train, {
  loss: losses.crossEntropy,
  optimizer: new optim.SGD(model.parameters(), { lr: 0.05, momentum: 0.9 }),
  epochs: check ? 1000 : 100_000,
  batchSize: 64,
  validation: test,
  metrics: { accuracy: metrics.accuracy },
  signal: stop.signal,
  progress: false,
})

if (check) {
  for (let i = 0; i < 20; i++) console.log(await (await fetch(`${address}/digit/${i}`)).json())
  console.log(await (await fetch(`${address}/status`)).json())
  stop.abort(new Error('checked'))
}
try {
  for await (const { epoch, valLoss, valMetrics } of training)
    Object.assign(status, { epoch, loss: valLoss, accuracy: valMetrics.accuracy })
} catch (error) {
  console.log(`training ended: ${error.message}`)
}
server.close()
server.closeAllConnections()
