/** Workers that train at the same time; the first argument says how they end. */
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

const how = isMainThread ? process.argv[2] : workerData.how
const file = fileURLToPath(import.meta.url)

if (isMainThread) {
  if (how === 'main too') {
    const { training } = await import('./training.mjs')
    const { step, x, y } = training()
    const own = (async () => {
      for (let i = 0; i < 30; i++) await step(x, y, 0.1)
    })()
    await Promise.all([own, ...Array.from({ length: 2 }, () => finished(start()))])
  } else if (how === 'eight') {
    const sums = await Promise.all(Array.from({ length: 8 }, () => finished(start())))
    if (new Set(sums).size !== 1) throw new Error(`workers disagree: ${sums}`)
  } else if (how === 'terminate') {
    for (let i = 0; i < 8; i++) {
      const worker = start()
      await new Promise((resolve) => worker.once('message', resolve))
      await new Promise((resolve) => setTimeout(resolve, i * 3))
      await worker.terminate()
    }
    // what is left still works
    await finished(start('train'))
  } else if (how === 'exit') {
    start('train')
    start('forever')
    setTimeout(() => process.exit(7), 300)
  } else {
    throw new Error('unknown ending')
  }
  console.log('done')
} else {
  const { manualSeed } = await import(process.env.CHAINRULE_BUNDLE)
  const { training } = await import('./training.mjs')
  manualSeed(3)
  const { step, x, y, parameters } = training(128)
  await step(x, y, 0.1)
  parentPort.postMessage('started')
  if (how === 'terminate' || how === 'forever') {
    for (;;) await Promise.all([step(x, y, 0.1), step(x, y, 0.1), step(x, y, 0.1)])
  }
  for (let i = 0; i < 20; i++) await step(x, y, 0.1)
  parentPort.postMessage(parameters[0].sum().item())
}

function start(other = how) {
  return new Worker(file, { workerData: { how: other } })
}

function finished(worker) {
  return new Promise((resolve, reject) => {
    worker.on('message', (m) => m !== 'started' && resolve(m))
    worker.on('error', reject)
    worker.on('exit', (code) => reject(new Error(`worker ended with ${code}`)))
  })
}
