/** Trains as many steps as the third argument says in the way the first says; prints resident memory after those of the second and at the end. */
import { training } from './training.mjs'

const { noGrad } = await import(process.env.CHAINRULE_BUNDLE)
const [way, before, steps] = process.argv.slice(2)
const { step, body, x, y } = training(128, 32)

const ways = {
  'compiled, never yielding': () => void step.sync(x, y, 0.01),
  'compiled, awaited': () => step(x, y, 0.01),
  'eager, never yielding': () => void body(x, y, 0.01),
  'eager, awaited': async () => void body(x, y, 0.01),
  'eager with large results': () => void noGrad(() => x.matmul(x.transpose()).expand([64, 32, 32]).mul(2).sum()),
}
const run = ways[way]
let warm = 0
for (let i = 0; i < Number(steps); i++) {
  const result = run()
  if (result instanceof Promise) await result
  if (i === Number(before)) warm = process.memoryUsage.rss()
}
console.log(JSON.stringify({ warm, end: process.memoryUsage.rss() }))
