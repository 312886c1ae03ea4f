/**
 * Runs a fuzzer in a child process and watches it. In: a fuzzer's name and a plan. Out: totals, with a fault for each case that failed, or
 * that ended or held up the process: those are shrunk by further processes, each of which goes on from the candidate the last one died of.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { build } from 'esbuild'
import type { Fault, Note, Path, Plan, Totals } from './fuzzer.js'
import type { Message, Order } from './serve.js'

/** Processes that may be spent on shrinking one crash, and seconds a candidate may take. */
const crashBounds = { processes: 60, patience: 8 }

/** The project's root; from here and from the bundle in build/fuzz-… it is found by what lies in it. */
const root = process.cwd()

/** Names of the fuzzers there are. */
export function fuzzerNames(): string[] {
  return readdirSync(join(root, 'test', 'fuzz'))
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .map((file) => file.slice(0, -3))
    .sort()
}

let folder: string | undefined

/** A fuzzer with the library as one file, two folders below the root as the sources are, so that the binary is found. */
async function bundleOf(name: string): Promise<string> {
  if (folder === undefined) {
    const made = join(root, 'build', `fuzz-${process.pid}`)
    mkdirSync(made, { recursive: true })
    process.on('exit', () => rmSync(made, { recursive: true, force: true }))
    folder = made
  }
  const outfile = join(folder, `${basename(name)}.mjs`)
  const contents = `import { fuzzer } from './test/fuzz/${name}.ts'\nimport { serve } from './test/fuzz/frame/serve.ts'\nserve(fuzzer)\n`
  await build({
    stdin: { contents, resolveDir: root, loader: 'ts' },
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    // what tests need of node_modules is imported there
    packages: 'external',
    // `sideEffects: false` in package.json speaks of the bundle users get; our modules do register things when they load
    ignoreAnnotations: true,
    sourcemap: 'inline',
    logLevel: 'error',
  })
  return outfile
}

/** There is nothing to try cases with: no fault of any of them. */
export class CannotRun extends Error {}

/** How a process ended that did not end as it should. */
interface Death {
  readonly note: Note
  readonly how: string
}

interface Run {
  readonly bundle: string
  readonly order: Order
  /** Where it is less than the fuzzer's own. */
  readonly patience?: number
  onMessage(message: Message): void
}

/** Runs one process to its end; a death, where it had one. */
function runProcess({ bundle, order, patience: less, onMessage }: Run): Promise<Death | undefined> {
  // the note of a process before this one is none of its own
  rmSync(order.notes, { force: true })
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--enable-source-maps', bundle, JSON.stringify(order)], {
      env: { ...process.env, NODE_ENV: 'production', CHAINRULE_POISON: '1', NODE_OPTIONS: '' },
      stdio: ['ignore', 'inherit', 'pipe', 'pipe'],
    })
    const errors = collectErrors(child)
    // no case is running before its first message, and a busy machine may take long to load all there is
    let patience = 120
    let since = performance.now()
    let rest = ''
    let ended = false
    child.stdio[3]?.on('data', (data: Buffer) => {
      const lines = (rest + data.toString()).split('\n')
      rest = lines.pop() as string
      for (const line of lines) {
        const message = JSON.parse(line) as Message
        if (message.kind === 'hello') {
          patience = Math.min(message.patience, less ?? message.patience)
          since = performance.now()
        } else if (message.kind === 'end') ended = true
        else onMessage(message)
      }
    })
    let last = ''
    let hung = false
    const watchdog = setInterval(() => {
      const now = readNote(order.notes)
      if (now !== last) {
        last = now
        since = performance.now()
      } else if (performance.now() - since > patience * 1000) {
        hung = true
        child.kill('SIGKILL')
      }
    }, 250)
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearInterval(watchdog)
      if (code === 0 && ended) return resolve(undefined)
      const how = hung
        ? `The check did not end in ${patience} seconds.`
        : code === 0
          ? 'The process ended in the middle of the check, since nothing was left that it could wait for.'
          : `The process ended with ${signal === null ? `code ${code}` : signal}.\n${errors()}`
      const [index, path] = readNote(order.notes).split(' ')
      const at = index === '' ? Number.NaN : Number(index)
      resolve({ how, note: { index: at, path: path === '' || path === undefined ? [] : path.split('.').map(Number) } })
    })
  })
}

/** The end of what a process writes to stderr, which may be the report of a sanitizer. */
function collectErrors(child: ChildProcess): () => string {
  let text = ''
  child.stderr?.on('data', (data: Buffer) => {
    text = (text + data.toString()).slice(-8000)
  })
  return () => text
}

function readNote(file: string): string {
  try {
    return readFileSync(file, 'utf8').split('\n', 1)[0]
  } catch {
    return ''
  }
}

/** Runs a plan on one process after the other. */
export async function watch(name: string, plan: Plan, onFault: (fault: Fault) => void = () => {}): Promise<Totals> {
  const bundle = await bundleOf(name)
  const notes = join(folder as string, `${basename(name)}-${plan.first}.note`)
  const began = performance.now()
  const faults: Fault[] = []
  const found = (fault: Fault): void => {
    faults.push(fault)
    onFault(fault)
  }
  let cases = 0
  for (let { first } = plan; first < plan.cases; ) {
    const order = {
      notes,
      plan: { ...plan, first, duration: plan.duration - (performance.now() - began), faults: plan.faults - faults.length },
    }
    let counted = 0
    const onMessage = (message: Message): void => {
      if (message.kind === 'fault') found(message.fault)
      else if (message.kind === 'count') counted = message.cases
    }
    const death = await runProcess({ bundle, order, onMessage })
    cases += counted
    if (death === undefined) break
    if (Number.isNaN(death.note.index)) throw new CannotRun(`${name} could not be run. ${death.how}`)
    cases += (death.note.index - first) / plan.step + 1 - counted
    found(await shrinkDeath(bundle, notes, plan, death))
    if (faults.length >= plan.faults) break
    first = death.note.index + plan.step
  }
  return { cases, seconds: (performance.now() - began) / 1000, faults }
}

/** Shrinks a case that ends its process. A death while shrinking an ordinary fault counts as the death of that candidate. */
async function shrinkDeath(bundle: string, notes: string, plan: Plan, death: Death): Promise<Fault> {
  let { note, how } = death
  let code = ''
  let path: Path = []
  const until = performance.now() + 120_000
  for (let i = 0; i < crashBounds.processes && performance.now() < until; i++) {
    const onMessage = (message: Message): void => {
      if (message.kind === 'shrunk') ({ code, path } = message)
    }
    const next = await runProcess({ bundle, order: { plan, notes, shrink: note }, patience: crashBounds.patience, onMessage })
    if (next === undefined || next.note.path.length <= note.path.length) break
    ;({ note, how } = next)
  }
  return { seed: plan.seed, index: note.index, message: how, code, steps: path.length }
}

/** A fault as people read it. */
export function showFault(name: string, { seed, index, message, code, steps }: Fault): string {
  return [
    `${name}: case ${index} of seed ${seed} fails (shrunk by ${steps} steps):`,
    message,
    code,
    `Again: npm run fuzz -- ${name} --seed ${seed} --case ${index}`,
  ].join('\n\n')
}
