/**
 * The op cases of test/ops.cases.ts outside the test runner, for processors that are emulated: bundled by emulated.test.ts, run twice.
 *
 *     node op-cases.mjs reference results.json    what the TypeScript backend gives in float64, on the real processor
 *     node op-cases.mjs check results.json        the native backend's results, eager and compiled, held against that
 *     node op-cases.mjs record bits.json          the native backend's results
 *     node op-cases.mjs same bits.json            the native backend's results are those, bit for bit
 *
 * Out: a line for each difference, and `N results agree` or `N of M results differ`.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { isFloat } from '../../src/base/dtype.js'
import { compile, environment, type Tensor } from '../../src/index.js'
import { cases } from '../ops.cases.js'
import { type Case, doubles, makeInputs } from '../support/cases.js'
import { gradientOf } from '../support/derive.js'
import { worstDifference } from '../support/difference.js'

process.env.NODE_ENV = 'production'
const [mode, file] = process.argv.slice(2)

interface Job {
  readonly name: string
  readonly tolerance: number
  run(exact: boolean, compiled: boolean): Tensor
}

function jobsOf(c: Case): Job[] {
  const jobs: Job[] = c.sizes.map((shapes) => ({
    name: `${c.name} ${JSON.stringify(shapes)}`,
    tolerance: c.tolerance,
    run: (exact, compiled) => {
      const inputs = makeInputs(c, shapes)
      return (compiled ? compile(c.call).sync : c.call)(...(exact ? doubles(inputs) : inputs))
    },
  }))
  if (!c.gradient) return jobs
  const inputs = makeInputs(c, c.sizes[0])
  const { shape, dtype } = c.call(...inputs)
  if (!isFloat(dtype)) return jobs
  const run = (exact: boolean, compiled: boolean): Tensor => {
    const gradient = gradientOf(c, shape, exact ? 'float64' : 'float32')
    return (compiled ? compile(gradient).sync : gradient)(...(exact ? doubles(inputs) : inputs))
  }
  return [...jobs, { name: `${c.name}, gradient`, tolerance: 4 * c.tolerance, run }]
}

const bytes = (t: Tensor): string => Buffer.from(Float64Array.from(t.data).buffer).toString('base64')
const numbers = (text: string): Float64Array => new Float64Array(Uint8Array.from(Buffer.from(text, 'base64')).buffer)

const stored: string[] = mode === 'check' || mode === 'same' ? JSON.parse(readFileSync(file, 'utf8')) : []
let [next, done, differ] = [0, 0, 0]

/** What is wrong with a result, if anything. */
function compared(actual: ArrayLike<number>, expected: Float64Array, tolerance: number): string | undefined {
  if (actual.length !== expected.length) return `${actual.length} elements, expected ${expected.length}`
  const worst = worstDifference(actual, expected, tolerance)
  return worst === undefined ? undefined : `element ${worst} is ${actual[worst]}, expected ${expected[worst]} (tolerance ${tolerance})`
}

for (const c of cases) {
  for (const { name, tolerance, run } of jobsOf(c)) {
    if (mode === 'reference') {
      stored.push(bytes(run(true, false)))
      continue
    }
    const reference = mode === 'check' ? numbers(stored[next++]) : undefined
    for (const compiled of [false, true]) {
      if (mode === 'record') {
        stored.push(bytes(run(false, compiled)))
        continue
      }
      done++
      let wrong: string | undefined
      try {
        wrong = compared(run(false, compiled).data, reference ?? numbers(stored[next++]), reference === undefined ? 0 : tolerance)
      } catch (error) {
        wrong = String(error)
      }
      if (wrong === undefined) continue
      differ++
      console.log(`${name}${compiled ? ', compiled' : ''}: ${wrong}`)
    }
  }
}
if (mode === 'reference' || mode === 'record') writeFileSync(file, JSON.stringify(stored))
else console.log(differ === 0 ? `${environment().isa}: ${done} results agree` : `${differ} of ${done} results differ`)
