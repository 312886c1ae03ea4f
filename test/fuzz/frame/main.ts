/**
 * The command `npm run fuzz` (scripts/fuzz.js).
 *
 *     npm run fuzz                                    every fuzzer, a minute each
 *     npm run fuzz -- programs --minutes 30 --seed 7  one of them; minutes may be fractions
 *     npm run fuzz -- programs --cases 100000         so many cases, however long it takes
 *     npm run fuzz -- programs --from 50000 --cases 100000  the second half of these
 *     npm run fuzz -- programs --seed 7 --case 812    one case again
 *
 * `--jobs n` divides the cases among n processes, `--faults n` goes on until n faults were found (1). What chooses the backend does so here:
 * CHAINRULE_ISA, CHAINRULE_BACKEND, CHAINRULE_BINARY, CHAINRULE_THREADS.
 */
import { parseArgs } from 'node:util'
// the op table, by which a binary is told to fit
import '../../../src/index.js'
import { hasNative, native } from '../../support/backends.js'
import type { Totals } from './fuzzer.js'
import { CannotRun, fuzzerNames, showFault, watch } from './watch.js'

const options = {
  seed: { type: 'string', default: '1' },
  minutes: { type: 'string' },
  cases: { type: 'string' },
  case: { type: 'string' },
  from: { type: 'string', default: '0' },
  jobs: { type: 'string', default: '1' },
  faults: { type: 'string', default: '1' },
} as const

function fail(message: string): never {
  console.error(`fuzz: ${message}`)
  process.exit(2)
}

function number(name: string, text: string): number {
  const n = Number(text)
  if (text === '' || !(n >= 0)) fail(`--${name} must be a number that is not negative, received ${text}.`)
  return n
}

/** A binary or an instruction set that is not there is no fault of any case. */
function checkBackend(): void {
  if (!hasNative && (process.env.CHAINRULE_BACKEND === 'js' || process.env.CHAINRULE_BINARY === undefined)) return
  try {
    native()
  } catch (error) {
    fail((error as Error).message)
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  const known = fuzzerNames()
  for (const name of positionals) if (!known.includes(name)) fail(`there is no fuzzer ${name}; there are ${known.join(', ')}.`)
  checkBackend()
  const seed = number('seed', values.seed)
  const one = values.case === undefined ? undefined : number('case', values.case)
  const from = number('from', values.from)
  const cases = one !== undefined ? one + 1 : values.cases === undefined ? 1e9 : number('cases', values.cases)
  const minutes = values.minutes !== undefined ? number('minutes', values.minutes) : cases < 1e9 ? 1e6 : 1
  const jobs = one !== undefined ? 1 : number('jobs', values.jobs)
  const plan = { seed, cases, duration: minutes * 60_000, step: jobs, faults: number('faults', values.faults) }
  let failed = false
  for (const name of positionals.length > 0 ? positionals : known) {
    const runs = Array.from({ length: jobs }, (_, j) =>
      watch(name, { ...plan, first: (one ?? from) + j }, (fault) => console.log(`${showFault(name, fault)}\n`)),
    )
    const totals = await Promise.all(runs)
    console.log(summary(name, seed, totals))
    failed ||= totals.some(({ faults }) => faults.length > 0)
  }
  process.exit(failed ? 1 : 0)
}

function summary(name: string, seed: number, totals: readonly Totals[]): string {
  const cases = totals.reduce((sum, t) => sum + t.cases, 0)
  const seconds = Math.max(...totals.map((t) => t.seconds))
  const faults = totals.reduce((sum, t) => sum + t.faults.length, 0)
  const { CHAINRULE_BACKEND: backend, CHAINRULE_ISA: isa } = process.env
  const where = [backend, isa].filter(Boolean).join(' ') || 'this machine’s best'
  return `${name} (${where}), seed ${seed}: ${cases} cases in ${seconds.toFixed(1)} s, ${(cases / seconds).toFixed(1)} a second, ${faults} faults`
}

await main().catch((error: unknown) => {
  if (error instanceof CannotRun) fail(error.message)
  throw error
})
