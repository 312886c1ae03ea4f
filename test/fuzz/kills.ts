/**
 * Processes killed while they save. In: children that save over one file again and again until SIGKILL takes them, one or two at a time. What must hold
 * afterwards: the file is one of those that were saved, bit for bit, with its mode; who was not killed saw no error; the next save clears up.
 *
 * A child is this file once more, told by an environment variable what to save. When a kill comes is up to the machine, so a case is not the same twice.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadNpy, loadSafetensors, manualSeed, nn, noGrad, save, saveCheckpoint, saveNpy, saveSafetensors } from '../../src/index.js'
import type { Fuzzer } from './frame/fuzzer.js'

const kinds = ['safetensors', 'npy', 'model', 'checkpoint'] as const

/** What is saved, where. */
interface What {
  readonly kind: (typeof kinds)[number]
  /** The square root of the number of elements. */
  readonly side: number
  readonly path: string
}

interface Fate {
  readonly saves: number
  readonly wait: number
  readonly killed: boolean
}

interface Kill extends Omit<What, 'path'> {
  /** For each child, after how many saves it is killed and how many milliseconds later, or whether it ends by itself then. */
  readonly writers: readonly Fate[]
  readonly mode: number
  readonly linked: boolean
}

/** Saves the content that has a number: all its elements are that number. */
async function saveNumber({ kind, side, path }: What, number: number): Promise<void> {
  const array = { data: new Float32Array(side * side).fill(number), shape: [side, side], dtype: 'float32' } as const
  if (kind === 'safetensors') return saveSafetensors(path, { weight: array })
  if (kind === 'npy') return saveNpy(path, array)
  manualSeed(0)
  const model = new nn.Linear(side, side)
  for (const p of model.parameters()) noGrad(() => p.assign(p.mul(0).add(number)))
  return kind === 'model' ? save(model, path) : saveCheckpoint(path, { model, epoch: number, extra: number })
}

/** The number of the content that a file holds. */
async function numberIn({ kind, path }: What): Promise<number> {
  if (kind === 'npy') return (await loadNpy(path)).data[0]
  const { tensors } = await loadSafetensors(path)
  return tensors.get(kind === 'checkpoint' ? 'model.weight' : 'weight')?.data[0] ?? NaN
}

const order = process.env.CHAINRULE_SAVES
if (order !== undefined) {
  const { what, from, count } = JSON.parse(order) as { what: What; from: number; count: number }
  for (let i = 0; i < count; i++) {
    await saveNumber(what, from + i)
    process.stdout.write('.')
  }
  process.exit(0)
}

/** Numbers up to here are exact in float32. */
const apart = 2 ** 20

interface Writer {
  readonly child: ChildProcess
  readonly closed: Promise<unknown[]>
  readonly errors: () => string
}

function start(what: What, index: number, { killed, saves }: Fate): Writer {
  const CHAINRULE_SAVES = JSON.stringify({ what, from: 1 + apart * index, count: killed ? apart : saves })
  const child = spawn(process.execPath, [process.argv[1]], { env: { ...process.env, CHAINRULE_SAVES }, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  child.stderr.on('data', (data: Buffer) => void (text += data.toString()))
  return { child, closed: once(child, 'close'), errors: () => text }
}

/** Kills a writer after its time, or lets it end; throws where it did not end so. */
async function end({ child, closed, errors }: Writer, { saves, wait, killed }: Fate): Promise<void> {
  let done = 0
  child.stdout?.on('data', (dots: Buffer) => {
    const before = done
    done += dots.length
    if (killed && before < saves && done >= saves) setTimeout(() => child.kill('SIGKILL'), wait)
  })
  const [code, signal] = await closed
  if (killed ? signal !== 'SIGKILL' : code !== 0) throw new Error(`a writer ended with ${signal ?? `code ${code}`}.\n${errors()}`)
}

async function checkWhole(what: What, other: string, mode: number): Promise<void> {
  const number = await numberIn(what)
  await saveNumber({ ...what, path: other }, number)
  if (!readFileSync(what.path).equals(readFileSync(other))) throw new Error(`the file is not what was saved as number ${number}`)
  const kept = statSync(what.path).mode & 0o777
  if (process.platform !== 'win32' && kept !== mode) throw new Error(`the file’s mode became ${kept.toString(8)}`)
}

async function check({ kind, side, writers, mode, linked }: Kill): Promise<void> {
  const top = mkdtempSync(join(tmpdir(), 'chainrule-kills-'))
  try {
    const folder = join(top, 'models')
    mkdirSync(folder)
    const file = { kind, side, path: join(folder, 'file') }
    const other = join(top, 'other')
    await saveNumber(file, 0)
    chmodSync(file.path, mode)
    const what = linked ? { ...file, path: join(top, 'link') } : file
    if (linked) symlinkSync(file.path, what.path)
    await Promise.all(writers.map((fate, i) => end(start(what, i, fate), fate)))
    await checkWhole(file, other, mode)
    const left = readdirSync(folder).filter((name) => name !== 'file')
    if (left.length > writers.filter(({ killed }) => killed).length) throw new Error(`${left.length} files were left`)
    await saveNumber(what, 5)
    await checkWhole(file, other, mode)
    if (readdirSync(folder).length > 1) throw new Error(`the next save left ${readdirSync(folder)}`)
    if ((await numberIn(what)) !== 5) throw new Error('the last save is not there')
  } finally {
    rmSync(top, { recursive: true, force: true })
  }
}

export const fuzzer: Fuzzer<Kill> = {
  name: 'kills',
  about: 'files are whole, old or new, whenever the processes that save them are killed',
  patience: 60,
  generate: (random) => ({
    kind: random.pick(kinds),
    side: random.pick([1, 30, 200, 700]),
    writers: Array.from({ length: random.int(1, 3) }, () => ({
      saves: random.int(1, 12),
      wait: random.int(0, 4),
      killed: random.chance(0.8),
    })),
    mode: random.pick([0o600, 0o640, 0o644, 0o755]),
    linked: random.chance(0.3),
  }),
  check,
  *shrink(c) {
    for (let i = 0; i < c.writers.length && c.writers.length > 1; i++) yield { ...c, writers: c.writers.filter((_, k) => k !== i) }
    if (c.linked) yield { ...c, linked: false }
    if (c.side > 1) yield { ...c, side: 1 }
  },
  print: (c) => `// test/fuzz/kills.ts\nawait check(${JSON.stringify(c)})`,
}
