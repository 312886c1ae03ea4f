/**
 * Tampered programs against the addon. In: the words of real programs, of every op case and of trainings, with any of them changed. What must hold:
 * the addon refuses them with a status or runs them; it never ends the process, hangs, or writes beside the memory it was given. The native tests
 * do the same to programs made by hand (native/test/fuzz_test.cc); here Node, staging and the background thread take part.
 */

import type { Addon, ProgramHandle, Slot } from '../../src/backend/binding.js'
import { decodeProgram } from '../../src/backend/js/decode.js'
import { loadAddon } from '../../src/backend/loader.js'
import { NativeBackend } from '../../src/backend/native.js'
import { statusError } from '../../src/backend/status.js'
import { sizeOf } from '../../src/base/shape.js'
import { compile, enableGrad } from '../../src/index.js'
import { Opcode } from '../../src/ir/format.js'
import { cases as opCases } from '../ops.cases.js'
import { onNative } from '../support/backends.js'
import { makeInputs } from '../support/cases.js'
import { gradientOf } from '../support/derive.js'
import type { Fuzzer } from './frame/fuzzer.js'
import type { Random } from './frame/random.js'

/** One word changed: where, as a share of the program's length, and how. */
interface Edit {
  readonly at: number
  readonly how: 'flip' | 'set' | 'add' | 'copy'
  readonly value: number
}

interface Tampered {
  readonly op: number
  readonly gradient: boolean
  readonly edits: readonly Edit[]
  /** The share of words that is left; the header may be told. */
  readonly length: number
  readonly told: boolean
  readonly queued: boolean
}

const nasty = [0, 1, -1, 2, 3, 4, 5, 7, 8, 9, 16, 64, 255, 256, 2 ** 16, 2 ** 20, 2 ** 30, 2 ** 31 - 1, -(2 ** 31), 1 - 2 ** 31]

/** The programs that the library loads while `run` goes on. */
function loaded(run: () => void): Int32Array[] {
  const { load } = NativeBackend.prototype
  const words: Int32Array[] = []
  NativeBackend.prototype.load = function (program) {
    words.push(program.slice())
    return load.call(this, program)
  }
  try {
    run()
  } finally {
    NativeBackend.prototype.load = load
  }
  return words
}

const made = new Map<string, Int32Array>()

/** The program of an op case, or of its gradient. */
function wordsOf(op: number, gradient: boolean): Int32Array {
  const key = `${op} ${gradient}`
  const known = made.get(key)
  if (known !== undefined) return known
  const c = opCases[op]
  const inputs = makeInputs(c, c.sizes[0])
  const [words] = onNative(() =>
    loaded(() => {
      if (!gradient || !c.gradient) return void compile(c.call).sync(...inputs)
      const { shape } = c.call(...inputs)
      enableGrad(() => void compile(gradientOf(c, shape, 'float32')).sync(...inputs))
    }),
  )
  // a case that is a constant or a copy has no program
  const found = words ?? wordsOf((op + 1) % opCases.length, false)
  made.set(key, found)
  return found
}

function tamper(c: Tampered): Int32Array {
  const words = wordsOf(c.op, c.gradient).slice()
  for (const { at, how, value } of c.edits) {
    const i = Math.floor(at * words.length)
    if (how === 'flip') words[i] ^= 1 << (value & 31)
    else if (how === 'set') words[i] = value
    else if (how === 'add') words[i] += value
    else words[i] = words[Math.abs(value) % words.length]
  }
  const cut = words.slice(0, Math.floor(c.length * words.length))
  if (c.told && cut.length > 10) cut[10] = cut.length
  return cut
}

const multiplies: ReadonlySet<number> = new Set([Opcode.gemm, Opcode.conv2d, Opcode.conv2dInputGrad, Opcode.conv2dWeightGrad])
const walks: ReadonlySet<number> = new Set([
  Opcode.linalg,
  Opcode.recurrent,
  Opcode.recurrentGrad,
  Opcode.attention,
  Opcode.attentionGrad,
  Opcode.ctc,
])

/** Whether a program that was accepted runs in milliseconds: a large one is right to take long. */
function affordable(words: Int32Array): boolean {
  let work = 0
  for (const { opcode, inputs, outputs, scalars, domain } of decodeProgram(words).instructions) {
    const counts = [...inputs, ...outputs].map((v) => sizeOf(v.shape))
    const most = Math.max(1, ...counts, sizeOf(domain ?? []))
    const heavy = multiplies.has(opcode) || walks.has(opcode)
    const pools = opcode === Opcode.maxPool2d || opcode === Opcode.avgPool2d || opcode === Opcode.avgPool2dGrad
    work += heavy ? counts.reduce((product, n) => product * (n + 1), 1) : pools ? most * scalars[0] * scalars[1] : most
  }
  return work < 1e7
}

/** A million slots of no bytes each are a program too, and as many pieces of memory to make and look at. */
const mostSlots = 4096
const guard = 64
const untouched = 0xa5

/** Memory for the slots of a program, with bytes on both sides that must stay. */
function slotsOf(sizes: readonly number[]): { slots: Slot[]; check(): void } {
  const memory = sizes.map((bytes) => new Uint8Array(new SharedArrayBuffer(bytes + 2 * guard)))
  for (const m of memory) {
    m.fill(untouched)
    // the numbers 0, 1, 2 again and again; doubled, since a loop over the bytes took half of a check
    const inner = m.subarray(guard, m.length - guard)
    inner.fill(0)
    for (let i = 0; i < 12 && i < inner.length; i += 4) inner[i] = i / 4
    for (let done = 12; done < inner.length; done *= 2) inner.copyWithin(done, 0, done)
  }
  return {
    slots: memory.map((m, i) => new Uint8Array(m.buffer, guard, sizes[i])),
    check() {
      memory.forEach((m, s) => {
        for (let i = 0; i < guard; i++)
          if (m[i] !== untouched || m[m.length - 1 - i] !== untouched) throw new Error(`written beside slot ${s} of ${sizes[s]} bytes`)
      })
    },
  }
}

let addon: Addon | undefined

function check(c: Tampered): void {
  addon ??= loadAddon().addon as Addon
  const words = tamper(c)
  const program = addon.load(words)
  // whatever is refused has an error that can be shown
  if (Array.isArray(program)) return void statusError(program as never, (i) => ({ what: `instruction ${i}` })).message
  const { slots: fields, arenaBytes } = addon.programInfo(program as ProgramHandle) as unknown as { slots: number[]; arenaBytes: number }
  const sizes = fields.filter((_, i) => i % 3 === 0)
  if (sizes.length > mostSlots || arenaBytes + sizes.reduce((sum, n) => sum + n, 0) > 2 ** 23 || !affordable(words)) return
  const { slots, check: unharmed } = slotsOf(sizes)
  for (const whole of [true, false]) {
    if (c.queued) {
      const ticket = addon.submit(program as ProgramHandle, slots, 0, whole)
      if (typeof ticket === 'number') addon.wait(ticket)
    } else {
      addon.runSync(program as ProgramHandle, slots, whole)
    }
    unharmed()
  }
}

function edit(random: Random): Edit {
  const how = random.pick(['flip', 'set', 'add', 'copy'] as const)
  const value = how === 'set' ? random.pick(nasty) : how === 'add' ? random.int(-2, 2) : random.int(0, 2 ** 20)
  // the header and the buffers are a tenth of the words, and hold the counts
  return { at: random.chance(0.2) ? random.next() / 10 : random.next(), how, value }
}

export const fuzzer: Fuzzer<Tampered> = {
  name: 'tampered',
  about: 'changed words of real programs are refused or run, and nothing beside their memory is written',
  generate: (random) => ({
    op: random.int(0, opCases.length - 1),
    gradient: random.chance(0.4),
    edits: Array.from({ length: random.int(1, 3) }, () => edit(random)),
    length: random.chance(0.05) ? random.next() : 1,
    told: random.chance(0.5),
    queued: random.chance(0.2),
  }),
  check,
  *shrink(c) {
    if (c.queued) yield { ...c, queued: false }
    if (c.length < 1) yield { ...c, length: 1 }
    for (let i = 0; i < c.edits.length; i++) yield { ...c, edits: c.edits.filter((_, k) => k !== i) }
  },
  print: (c) => `// test/fuzz/tampered.ts; the op case is '${opCases[c.op].name}'\ncheck(${JSON.stringify(c)})`,
}
