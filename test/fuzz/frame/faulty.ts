/** A fuzzer with a fault of its own, for the test of the frame: lists with a 7 throw, end the process, hang or wait for nothing, as FAULTY says. */
import type { Fuzzer } from './fuzzer.js'

export const fuzzer: Fuzzer<readonly number[]> = {
  name: 'frame/faulty',
  about: 'lists without a 7',
  patience: 1,
  generate: (random) => Array.from({ length: random.int(0, 9) }, () => random.int(0, 99)),
  check(c) {
    if (!c.includes(7)) return
    if (process.env.FAULTY === 'end') process.abort()
    if (process.env.FAULTY === 'hang') for (;;);
    if (process.env.FAULTY === 'wait') return new Promise(() => {})
    if (process.env.FAULTY === 'reject') return Promise.reject(new Error('there is a 7'))
    throw new Error('there is a 7')
  },
  *shrink(c) {
    yield []
    for (let i = 0; i < c.length; i++) yield c.filter((_, k) => k !== i)
  },
  print: (c) => `check([${c.join(', ')}])`,
}
