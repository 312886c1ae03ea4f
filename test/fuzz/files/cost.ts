/** What a reader costs beside its result. In: work. Out: what it gave; an error where it took memory beyond a bound, or left a file or a handle. */
import { closeSync, openSync, readdirSync, writeFileSync } from 'node:fs'
import { devNull } from 'node:os'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

let collect: (() => void) | undefined

function collectGarbage(): void {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc')
    collect = runInNewContext('gc') as () => void
  }
  collect()
}

/** Makes the process's peak the memory it has now; Linux alone can. */
function resetPeak(): boolean {
  try {
    writeFileSync('/proc/self/clear_refs', '5')
    return true
  } catch {
    return false
  }
}

/** By how many bytes memory rose at most; garbage of earlier work is counted unless it is collected before. */
async function rise(work: () => Promise<unknown>): Promise<number> {
  const known = resetPeak()
  const before = process.memoryUsage.rss()
  await work()
  return known ? process.resourceUsage().maxRSS * 1024 - before : 0
}

/** Runs work whose memory may rise by `most` bytes. */
export async function within(most: number, work: () => Promise<unknown>): Promise<void> {
  if ((await rise(work)) <= most) return
  // once more on its own, what was left by others swept up
  const quiet = (): Promise<unknown> => work().catch(() => undefined)
  const seen: number[] = []
  for (let i = 0; i < 3; i++) {
    collectGarbage()
    seen.push(await rise(quiet))
  }
  const least = Math.min(...seen)
  if (least > most) throw new Error(`memory rose by ${least} bytes, more than ${most}`)
}

/** The number the next opened file gets: it grows where one is left open. */
function nextHandle(): number {
  const handle = openSync(devNull, 'r')
  closeSync(handle)
  return handle
}

/** Runs work that must leave a folder as it was, and no handle open. */
export async function leavingNothing(folder: string, work: () => Promise<void>): Promise<void> {
  const handle = nextHandle()
  const files = readdirSync(folder).join()
  await work()
  if (nextHandle() !== handle) throw new Error('a file was left open')
  if (readdirSync(folder).join() !== files) throw new Error(`files were left: ${readdirSync(folder)}`)
}
