/**
 * Measures what is not a time per step: node bench/behaviour.js [compile] [loop] [memory] [predict]. One JSON line each.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { median, rounded } from './timing.js'

const { positionals } = parseArgs({ allowPositionals: true })
const say = (line) => console.log(JSON.stringify(line))

/** A fit over random data that runs until it is stopped. */
async function trainForever(id) {
  const { fit, losses, nn, optim, randn, tensor } = await import('chainrule')
  const cnn = id === 'cnn'
  const model = cnn
    ? new nn.Sequential(
        new nn.Conv2d(1, 32, 3),
        new nn.ReLU(),
        new nn.Conv2d(32, 64, 3),
        new nn.ReLU(),
        new nn.MaxPool2d(2),
        new nn.Flatten(),
        new nn.Linear(9216, 128),
        new nn.ReLU(),
        new nn.Linear(128, 10),
      )
    : new nn.Sequential(new nn.Linear(784, 512), new nn.ReLU(), new nn.Linear(512, 256), new nn.ReLU(), new nn.Linear(256, 10))
  const n = cnn ? 640 : 12_800
  const data = [randn(cnn ? [n, 1, 28, 28] : [n, 784]), tensor(Int32Array.from({ length: n }, (_, i) => i % 10))]
  const controller = new AbortController()
  const done = fit(model, data, {
    loss: losses.crossEntropy,
    optimizer: new optim.Adam(model.parameters(), { lr: 1e-4 }),
    epochs: 1e6,
    batchSize: cnn ? 64 : 128,
    progress: false,
    signal: controller.signal,
  })
  const ended = done.then(
    () => {},
    () => {},
  )
  const stop = () => {
    controller.abort()
    return ended
  }
  return { model, data, stop }
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

const parts = {
  /** Milliseconds from function to loaded program, in a process where the compiler has run before (as production would: traced once). */
  async compile() {
    const { workloads } = await import('./workloads.js')
    process.env.NODE_ENV = 'production'
    for (const id of ['tiny', 'mlp', 'cnn', 'lstm', 'gpt', 'gpt-m']) {
      const times = []
      for (let i = 0; i < 7; i++) {
        const { step, args } = workloads[id]()
        const start = performance.now()
        step.explain(...args)
        times.push(performance.now() - start)
      }
      say({
        workload: `compile-${id}`,
        first_ms: rounded(times[0]),
        median_ms: rounded(median(times)),
        min_ms: rounded(Math.min(...times)),
      })
    }
  },

  /** How late timers come while `fit` trains flat out. */
  async loop() {
    for (const id of ['mlp', 'cnn']) {
      const { stop } = await trainForever(id)
      await wait(1500)
      const histogram = monitorEventLoopDelay({ resolution: 1 })
      histogram.enable()
      await wait(8000)
      histogram.disable()
      await stop()
      // the histogram counts the timer's own millisecond
      say({
        workload: `event-loop-${id}`,
        p50_ms: rounded(histogram.percentile(50) / 1e6 - 1),
        p99_ms: rounded(histogram.percentile(99) / 1e6 - 1),
        max_ms: rounded(histogram.max / 1e6 - 1),
      })
    }
  },

  /** Resident memory over 20,000 steps of mlp, awaited and in a loop that never yields. */
  async memory() {
    const { workloads } = await import('./workloads.js')
    for (const mode of ['await', 'sync']) {
      const { modes } = workloads.tiny()
      const at = {}
      for (let i = 1; i <= 20_000; i++) {
        const pending = modes[mode]()
        if (mode === 'await') await pending
        if (i === 1000 || i % 5000 === 0) at[i] = rounded(process.memoryUsage.rss() / 2 ** 20)
      }
      say({ workload: `memory-tiny-${mode}`, rss_mb_at_step: at })
    }
  },

  /**
   * Latency of predictions of one row while `fit` trains the same model, beside what it may be: the training's two dearest instructions, the
   * gradients of the second convolution, and a prediction on the idle machine.
   */
  async predict() {
    const { compile, conv2d, randn, valueAndGrad } = await import('chainrule')
    const { model, stop } = await trainForever('cnn')
    const x = randn([1, 1, 28, 28])
    const latencies = async (count) => {
      const times = []
      for (let i = 0; i < count; i++) {
        const start = performance.now()
        await model.predict(x)
        times.push(performance.now() - start)
        await wait(5)
      }
      return times.sort((a, b) => a - b)
    }
    await wait(1500)
    await latencies(5)
    const times = await latencies(300)
    await stop()
    const own = await latencies(100)
    const both = valueAndGrad((a, b, g) => conv2d(a, b).mul(g).sum())
    const gradients = compile((a, b, g) => both(a, b, g)[1].slice(0, 2))
    const args = [randn([64, 32, 26, 26]), randn([64, 32, 3, 3]), randn([64, 64, 24, 24])]
    const pairs = []
    for (let i = 0; i < 30; i++) {
      const start = performance.now()
      gradients.sync(...args)
      pairs.push(performance.now() - start)
    }
    say({
      workload: 'predict-during-fit',
      median_ms: rounded(times[150]),
      p99_ms: rounded(times[297]),
      max_ms: rounded(times[299]),
      idle_median_ms: rounded(own[50]),
      two_instructions_ms: rounded(median(pairs)),
    })
  },
}

for (const part of positionals.length > 0 ? positionals : Object.keys(parts)) {
  if (parts[part] === undefined) throw new Error(`unknown part ${part}; known: ${Object.keys(parts).join(', ')}`)
  await parts[part]()
}
