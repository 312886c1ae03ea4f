/**
 * The process in which cases run. In: an order (the third argument, JSON). Out: messages as lines of JSON on file descriptor 3, and in a
 * file the note of what is about to run, so that whoever finds the process dead or spinning knows the case.
 */
import { openSync, writeSync } from 'node:fs'
import type { Fault, Fuzzer, Note, Path, Plan } from './fuzzer.js'
import { follow, runPlan, shrink } from './loop.js'

export interface Order {
  readonly plan: Plan
  /** Where notes go. */
  readonly notes: string
  /** Instead of running the plan: shrink a case that ended the process, from the candidate that did so last. */
  readonly shrink?: Note
}

export type Message =
  | { readonly kind: 'hello'; readonly patience: number }
  | { readonly kind: 'fault'; readonly fault: Fault }
  /** Cases so far. */
  | { readonly kind: 'count'; readonly cases: number }
  | { readonly kind: 'shrunk'; readonly code: string; readonly path: Path }
  /** All is done. A process that ends without this, be it with code 0, was ended by its case. */
  | { readonly kind: 'end' }

function send(message: Message): void {
  writeSync(3, `${JSON.stringify(message)}\n`)
}

/** Carries out the order of this process. */
export async function serve<Case>(fuzzer: Fuzzer<Case>): Promise<void> {
  const { plan, notes, shrink: start } = JSON.parse(process.argv[2]) as Order
  const file = openSync(notes, 'w')
  let cases = 0
  let counted = performance.now()
  const note = ({ index, path }: Note): void => {
    // one line from the file's beginning; what is behind it is older
    writeSync(file, `${index} ${path.join('.')}\n`, 0)
    if (path.length > 0) return
    if (performance.now() - counted > 1000) {
      counted = performance.now()
      send({ kind: 'count', cases })
    }
    cases++
  }
  send({ kind: 'hello', patience: fuzzer.patience ?? 30 })
  if (start !== undefined) {
    const { index } = start
    // the case that ended the last process is printed before its candidates can end this one
    const c = follow(fuzzer, plan.seed, index, start.path)
    send({ kind: 'shrunk', code: fuzzer.print(c), path: start.path })
    await shrink(fuzzer, index, start.path, c, { note })
  } else {
    const ran = await runPlan(fuzzer, plan, { note, fault: (fault) => send({ kind: 'fault', fault }) })
    send({ kind: 'count', cases: ran })
  }
  send({ kind: 'end' })
  process.exit(0)
}
