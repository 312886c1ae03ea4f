/**
 * Names of temporary files, from which can be told who writes them. In: the file that is to be replaced. Out: a name beside it; leftovers of
 * processes that were killed while they wrote removed.
 */
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { readdir, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'

/** A process, as another one can check. */
interface Writer {
  /** Stands for the machine, since when it runs, and the container: process ids mean something inside one such only. */
  readonly place: string
  readonly pid: number
  /** When the process began, in ticks of the system's clock; 0 where the system does not tell. Ids are given out again. */
  readonly start: string
}

/** A writer elsewhere cannot be looked up. Files that one is still writing have been changed within this time. */
const staleAfter = 3_600_000

const tryRead = (read: () => string): string => {
  try {
    return read()
  } catch {
    return ''
  }
}

let own: Writer | undefined

function ownWriter(): Writer {
  if (own === undefined) {
    const boot = tryRead(() => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1'))
    const container = tryRead(() => readlinkSync('/proc/self/ns/pid'))
    const place = createHash('sha256').update([hostname(), boot, container].join('\n')).digest('hex').slice(0, 8)
    own = { place, pid: process.pid, start: processState(process.pid)?.start ?? '0' }
  }
  return own
}

/** Linux alone tells when a process began, and whether it has ended and only waits for its parent to notice. */
function processState(pid: number): { start: string; ended: boolean } | undefined {
  if (process.platform !== 'linux') return undefined
  const line = tryRead(() => readFileSync(`/proc/${pid}/stat`, 'latin1'))
  // the name in brackets may hold anything
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
  return fields.length < 20 ? undefined : { start: fields[19], ended: fields[0] === 'Z' || fields[0] === 'X' }
}

function hasEnded({ pid, start }: Writer): boolean {
  const state = processState(pid)
  if (state !== undefined) return state.ended || state.start !== start
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    // any other refusal is about a process that exists
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

/** What the names of all temporary files for a target begin with; short enough for any file system. */
const beginning = (target: string): string => `.${[...basename(target)].slice(0, 40).join('')}.`

/** A new name beside `target`, which no other process or thread uses. */
export function temporaryFor(target: string): string {
  const { place, pid, start } = ownWriter()
  return join(dirname(target), `${beginning(target)}${place}-${pid}-${start}-${randomBytes(6).toString('hex')}.tmp`)
}

function writerOf(target: string, name: string): Writer | undefined {
  const begin = beginning(target)
  if (!name.startsWith(begin)) return undefined
  const parts = /^([0-9a-f]{8})-(\d{1,10})-(\d+)-[0-9a-f]{12}\.tmp$/.exec(name.slice(begin.length))
  return parts === null ? undefined : { place: parts[1], pid: Number(parts[2]), start: parts[3] }
}

/**
 * Removes temporary files for `target` whose writers are no more: those of ended processes here, and those of other machines and containers
 * that nobody has touched for an hour before `now`, by the clock of the file system. What cannot be removed stays.
 */
export async function removeLeftovers(target: string, now: number): Promise<void> {
  const folder = dirname(target)
  const mine = ownWriter()
  for (const name of await readdir(folder).catch(() => [])) {
    const writer = writerOf(target, name)
    if (writer === undefined) continue
    const path = join(folder, name)
    const isLeft =
      writer.place === mine.place
        ? hasEnded(writer)
        : await stat(path).then(
            ({ mtimeMs }) => now - mtimeMs > staleAfter,
            () => false,
          )
    if (isLeft) await rm(path, { force: true }).catch(() => undefined)
  }
}
