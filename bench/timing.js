/**
 * How a step is timed, on machines that do other things as well. In: a function that runs one step. Out: median and minimum in milliseconds.
 */
import { cpus } from 'node:os'

export const median = (xs) => [...xs].sort((a, b) => a - b)[xs.length >> 1]
export const rounded = (x) => Number(x.toPrecision(4))

const clock = () => performance.now()
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Milliseconds all processors have worked, and those that this process made them work. */
const worked = () => cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0)
const ours = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** Warms up, then times at least 30 steps and `seconds`, whichever is more work; slow steps end after ten times that, three at least. */
async function sample(run, per, seconds) {
  const call = async () => {
    const pending = run()
    if (pending !== undefined && typeof pending.then === 'function') await pending
  }
  const start = clock()
  await call()
  const first = clock() - start
  if (first > 10_000) return { times: [first / per], steps: per }
  // the processor gets its frequency, V8 its machine code, the caches their contents
  for (let i = 1; i < 5 || clock() - start < Math.min(500, seconds * 250); i++) {
    if (clock() - start > 5000) break
    await call()
  }
  const from = clock()
  await call()
  // several steps to a sample where one is too short for the clock
  const repeat = Math.max(1, Math.min(64, Math.ceil(0.02 / Math.max(clock() - from, 1e-4))))
  const times = []
  const begin = clock()
  for (;;) {
    const t = clock()
    for (let k = 0; k < repeat; k++) {
      // awaited only where there is something to wait for: an await alone costs a turn of the microtask queue
      const pending = run()
      if (pending !== undefined && typeof pending.then === 'function') await pending
    }
    times.push((clock() - t) / repeat / per)
    const spent = (clock() - begin) / 1000
    const steps = times.length * repeat * per
    if ((steps >= 30 && spent >= seconds) || (times.length >= 3 && spent >= seconds * 10)) return { times, steps }
    // the event loop turns between samples, as it would in a program
    if (times.length % 16 === 0) await turn()
  }
}

/**
 * Times `run`, which does `per` steps. Where other processes took more than a twentieth of a processor meanwhile, once more, and the better
 * median counts; `noisy` says that it was so each time.
 */
export async function measure(run, { per = 1, seconds = 3 } = {}) {
  let best
  for (let attempt = 0; attempt < 2; attempt++) {
    const [start, all, own] = [clock(), worked(), ours()]
    const { times, steps } = await sample(run, per, seconds)
    const foreign = worked() - all - (ours() - own)
    const noisy = foreign > Math.max(50, (clock() - start) / 20)
    const result = { median_ms: median(times), min_ms: Math.min(...times.slice(0, 100_000)), steps, noisy }
    if (best === undefined || result.median_ms < best.median_ms) best = result
    if (!noisy) return { ...best, noisy: false }
    if (clock() - start > 20_000) break
  }
  return best
}
