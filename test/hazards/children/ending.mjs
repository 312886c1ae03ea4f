/** Ends in the middle of queued steps, in the way the first argument says. */
import { training } from './training.mjs'

const { step, x, y } = training(512, 256)
await step(x, y, 0.1)
const calls = Array.from({ length: 50 }, () => step(x, y, 0.1))
calls.forEach((c) => c.catch(() => {}))
switch (process.argv[2]) {
  case 'exit':
    process.exit(7)
    break
  case 'exit later':
    setTimeout(() => process.exit(7), 5)
    break
  case 'throw':
    setTimeout(() => {
      throw new Error('uncaught on purpose')
    }, 5)
    break
  case 'throw at once':
    throw new Error('uncaught on purpose')
  case 'reject':
    setTimeout(() => Promise.reject(new Error('unhandled on purpose')), 5)
    break
  case 'in exit handler':
    process.on('exit', () => {
      step.sync(x, y, 0.1)
      process.exitCode = 7
    })
    break
  case 'finish':
    await Promise.all(calls)
    console.log('finished')
    break
  case 'unawaited':
    calls[calls.length - 1].then(() => console.log('finished'))
    break
  default:
    throw new Error('unknown ending')
}
