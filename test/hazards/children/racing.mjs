/** Another thread changes indices in shared memory while operations use them: each call gives an error or a result. */
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

const count = 200_000

if (isMainThread) {
  const { compile, fromBuffer, zeros } = await import(process.env.CHAINRULE_BUNDLE)
  const memory = new Int32Array(new SharedArrayBuffer(4 * count))
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: memory })
  await new Promise((resolve) => worker.once('message', resolve))
  const index = fromBuffer(memory)
  const table = zeros([16])
  const source = zeros([count])
  const gathered = compile((i) => table.mul(1).indexSelect(i))
  const ways = [() => table.indexSelect(index), () => gathered.sync(index), () => table.scatterAdd(index, source, 0)]
  let calls = 0
  for (const end = Date.now() + 2000; Date.now() < end; ) {
    for (const way of ways) {
      try {
        calls++
        way()
      } catch (error) {
        if (error.code !== 'ERR_INDEX_RANGE') throw error
      }
    }
  }
  await worker.terminate()
  console.log(`done: ${calls} calls`)
} else {
  parentPort.postMessage('started')
  for (let i = 0; ; i = (i + 7919) % count) {
    workerData[i] = 0x3fffffff
    workerData[i] = 0
  }
}
