/**
 * Memory of the training and inference workloads beside PyTorch: node bench/memory.js [workload …]. Each runs in a process of its own, called in
 * place; `--torch "command"` or CHAINRULE_BENCH_TORCH_MEMORY says how bench/peers/torch-memory.py is run, else python3.
 *
 * Out, in MB: the program's arena, parameters with buffers and optimizer state, and by how much the resident set's peak grew from the imported
 * library to the end of 20 steps; of PyTorch the same growth (the least of its settings) and the most its allocator gave out at once in a step, over
 * what was there before the step (gradients and temporaries: what our arena holds).
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { linesOf } from './session.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { torch: { type: 'string' }, json: { type: 'boolean' }, measure: { type: 'string' } },
})
const trained = ['tiny', 'mlp', 'cnn', 'resnet20', 'lstm', 'gpt', 'gpt-m']
const all = [...trained, 'infer-mlp-1', 'infer-cnn-1', 'infer-resnet18-1']
const megabytes = (bytes) => Number((bytes / 2 ** 20).toPrecision(3))

/** In the process that runs the workload. */
async function measure(id) {
  const { randn } = await import('chainrule')
  const { workloads } = await import('./workloads.js')
  randn([4]).add(1)
  const base = process.resourceUsage().maxRSS * 1024
  const { modes, step, args, model, optimizer } = workloads[id]()
  for (let i = 0; i < 20; i++) modes.sync()
  const peak = process.resourceUsage().maxRSS * 1024
  const tensors = new Set([...model.parameters(), ...model.buffers()])
  const state = optimizer === undefined ? 0 : sizeOf(optimizer.stateDict())
  const [, number, scale] = /arena ([\d.]+) ([kMG]?)B/.exec(step.explain(...args))
  const arena = Number(number) * { '': 1, k: 1e3, M: 1e6, G: 1e9 }[scale]
  const kept = [...tensors].reduce((sum, t) => sum + 4 * t.size, state)
  console.log(JSON.stringify({ id, arena_mb: megabytes(arena), state_mb: megabytes(kept), growth_mb: megabytes(peak - base) }))
}

/** Bytes of all tensors in a nested state. */
function sizeOf(state) {
  if (typeof state?.size === 'number' && state.dtype !== undefined) return 4 * state.size
  return typeof state === 'object' && state !== null ? Object.values(state).reduce((sum, s) => sum + sizeOf(s), 0) : 0
}

function told(command) {
  return linesOf(spawnSync(command, { shell: true, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).stdout)[0]
}

if (values.measure !== undefined) await measure(values.measure)
else {
  const torch =
    values.torch ?? process.env.CHAINRULE_BENCH_TORCH_MEMORY ?? `python3 "${join(import.meta.dirname, 'peers', 'torch-memory.py')}"`
  if (!values.json)
    console.log(
      '| MB | arena | parameters, state | growth | PyTorch: allocated in a step | growth |\n| --- | ---: | ---: | ---: | ---: | ---: |',
    )
  for (const id of positionals.length > 0 ? positionals : all) {
    const ours = told(`"${process.execPath}" "${import.meta.filename}" --measure ${id}`)
    const theirs = told(`${torch} ${id}`)
    if (values.json) console.log(JSON.stringify({ ...ours, torch: theirs }))
    else
      console.log(
        `| ${id} | ${ours.arena_mb} | ${ours.state_mb} | ${ours.growth_mb} | ${theirs?.allocated_mb ?? '–'} | ${theirs?.growth_mb ?? '–'} |`,
      )
  }
}
