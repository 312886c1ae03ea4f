/**
 * The benchmarks: `npm run bench -- [workload …] [options]`.
 *
 *     --backend native|js        what runs them; without it native, or both beside each other when no workload is named (the large ones left out)
 *     --mode sync|await|queued|eager    how steps are called; may be given several times; without it every mode a workload has
 *     --threads n, --isa x       force the number of threads, the instruction set
 *     --json                     a JSON line for each measurement, no table
 *     --seconds s                time for each measurement, 3 if not given, and at least 30 steps (fewer where one takes seconds)
 *     --rounds n                 measure everything n times in turn; the table shows medians
 *     --peer "command"           another library, in turn with ours: the command gets a workload's id and prints lines like ours
 *     --explain                  print the compiled programs
 *     --ops [word …]             instead, time every op case of the tests, or those whose names contain a word (ops.js)
 *
 * Each workload runs in a process of its own. The machine's peak is measured just before and just after it (peak.js), so that a
 * fraction of it means something on a machine that is shared. What is not a time per step is in behaviour.js, other libraries in peers.js.
 */
import { parseArgs } from 'node:util'
import { measureOps, measureOurs, measurePeer } from './session.js'
import { comparison, measurements, peers } from './tables.js'
import { workloads } from './workloads.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    backend: { type: 'string' },
    mode: { type: 'string', multiple: true },
    threads: { type: 'string' },
    isa: { type: 'string' },
    json: { type: 'boolean' },
    seconds: { type: 'string' },
    rounds: { type: 'string', default: '1' },
    peer: { type: 'string', multiple: true, default: [] },
    explain: { type: 'boolean' },
    ops: { type: 'boolean' },
  },
})
const known = [...Object.keys(workloads), 'import']
const allModes = ['sync', 'await', 'queued', 'eager']

function fail(message) {
  console.error(`bench: ${message}`)
  process.exit(1)
}
if (!values.ops) for (const id of positionals) if (!known.includes(id)) fail(`unknown workload ${id}; known: ${known.join(', ')}`)
for (const mode of values.mode ?? []) if (!allModes.includes(mode)) fail(`unknown mode ${mode}; known: ${allModes.join(', ')}`)
if (values.backend !== undefined && !['native', 'js'].includes(values.backend)) fail(`--backend is native or js, not ${values.backend}`)
for (const name of ['seconds', 'rounds', 'threads'])
  if (values[name] !== undefined && !(Number(values[name]) > 0)) fail(`--${name} needs a positive number, not ${values[name]}`)

if (values.ops) process.exit(measureOps(positionals, values))

/** Nothing asked for: our two backends beside each other, each workload called in place. */
const compared = positionals.length === 0 && values.backend === undefined && values.peer.length === 0
/** A step of these takes TypeScript up to minutes: they are measured when they are named. */
const large = ['lstm', 'gpt', 'gpt-m', 'resnet20', 'infer-resnet18-1']
const backends = compared ? ['native', 'js'] : [values.backend ?? 'native']
const options = {
  modes: values.mode ?? (compared ? ['sync'] : undefined),
  seconds: Number(values.seconds ?? 3),
  explain: values.explain,
  threads: values.threads,
  isa: values.isa,
}

const lines = []
function record(line) {
  lines.push(line)
  if (values.json) console.log(JSON.stringify(line))
}

for (const id of positionals.length > 0 ? positionals : known.filter((id) => !compared || !large.includes(id))) {
  if (!values.json) process.stderr.write(`bench: ${id}\n`)
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const backend of id === 'import' ? backends.slice(0, 1) : backends) {
      const measured = measureOurs(id, { ...options, backend })
      if (measured === undefined) fail(`${id} did not run; see above`)
      measured.forEach(record)
    }
    for (const command of values.peer) for (const line of measurePeer(command, id)) record(line)
  }
}
if (!values.json && lines.length > 0) {
  const show = compared ? comparison : values.peer.length > 0 ? peers : measurements
  console.log(`\n${show(lines)}`)
}
