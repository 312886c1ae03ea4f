/**
 * Trains as many steps as the third argument says in the way the first says. Prints the highest resident memory of the steps up to that of the second
 * argument, of as many at the end, and of all; and, where collecting is allowed, what is left after a collection at that step and at the end.
 */
import { training } from './training.mjs'

const { compile, noGrad } = await import(process.env.CHAINRULE_BUNDLE)
const [way, before, steps] = process.argv.slice(2)
const { step, body, x, y } = training(128, 32)

/** Steps whose batches have 200 lengths, in no order. */
function lengths(options) {
  const stepOf = compile(body, options)
  const [inputs, labels] = [x.expand([200, 32, 64]).reshape([6400, 64]), y.expand([200, 32]).reshape([6400])]
  const batches = Array.from({ length: 200 }, (_, n) => [inputs.narrow(0, 0, n + 1), labels.narrow(0, 0, n + 1)])
  let n = 0
  return () => {
    n = (n + 73) % 200
    const [a, b] = batches[n]
    return n % 2 === 0 ? stepOf.sync(a, b, 0.01) : stepOf(a, b, 0.01)
  }
}

const ways = {
  '200 shapes': lengths(),
  '200 shapes, few of them kept': lengths({ cacheBytes: 500_000 }),
  'compiled, never yielding': () => void step.sync(x, y, 0.01),
  'compiled, awaited': () => step(x, y, 0.01),
  'eager, never yielding': () => void body(x, y, 0.01),
  'eager, awaited': async () => void body(x, y, 0.01),
  'eager with large results': () => void noGrad(() => x.matmul(x.transpose()).expand([64, 32, 32]).mul(2).sum()),
}

/** The second collection waits for what the first left to be swept at leisure. */
function collected() {
  if (globalThis.gc === undefined) return 0
  globalThis.gc()
  globalThis.gc()
  return process.memoryUsage.rss()
}

const run = ways[way]
const [mark, last] = [Number(before), Number(steps)]
const peaks = { first: 0, last: 0, all: 0 }
let warm = 0
for (let i = 0; i < last; i++) {
  const result = run()
  if (result instanceof Promise) await result
  if (i % 10 === 0) {
    const rss = process.memoryUsage.rss()
    peaks.all = Math.max(peaks.all, rss)
    if (i <= mark) peaks.first = Math.max(peaks.first, rss)
    if (i >= last - mark) peaks.last = Math.max(peaks.last, rss)
  }
  if (i === mark) warm = collected()
}
console.log(JSON.stringify({ peaks, warm, end: collected() }))
