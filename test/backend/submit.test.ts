/** The addon's queue against who takes memory away while a job writes it. */
import { expect, it } from 'vitest'
import type { Addon, ProgramHandle, Slot } from '../../src/backend/binding.js'
import { loadAddon } from '../../src/backend/loader.js'
import { NativeBackend } from '../../src/backend/native.js'
import { compile, type Tensor, zeros } from '../../src/index.js'
import { hasNative, onNative } from '../support/backends.js'
import { detach } from '../support/memory.js'

const count = 2 ** 16

/** The words of a program of one input and one output, which takes some time. */
function wordsOf(): Int32Array {
  const { load } = NativeBackend.prototype
  let words = new Int32Array(0)
  NativeBackend.prototype.load = function (program) {
    words = program.slice()
    return load.call(this, program)
  }
  try {
    onNative(() => void compile((x: Tensor) => Array.from({ length: 20 }).reduce<Tensor>((y) => y.tanh(), x)).sync(zeros([count])))
  } finally {
    NativeBackend.prototype.load = load
  }
  return words
}

it.skipIf(!hasNative)('what a queued job writes cannot be transferred away, nor dropped from the list', () => {
  const addon = loadAddon().addon as Addon
  const program = addon.load(wordsOf()) as ProgramHandle
  const plain = (): Float32Array => new Float32Array(count)
  const shared = (): Float32Array => new Float32Array(new SharedArrayBuffer(4 * count))
  let refused = 0
  for (const slots of [
    [plain(), plain()],
    [shared(), plain()],
    [plain(), shared()],
    [shared(), shared()],
  ]) {
    const queued: Slot[] = [...slots]
    let ticket: number | undefined
    try {
      ticket = addon.submit(program, queued, 0) as number
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_CHAINRULE_ARGUMENT', message: expect.stringContaining('can be transferred') })
      refused++
    }
    // a job that was taken must stand all of this
    queued.length = 0
    for (const { buffer } of slots) if (buffer instanceof ArrayBuffer) detach(buffer)
    if (ticket !== undefined) expect(addon.wait(ticket)).toBe(0)
  }
  // one of the two slots is read, and may be anything
  expect(refused).toBe(2)
  // the library holds its outputs to itself, and says so
  expect(addon.wait(addon.submit(program, [plain(), plain()], 0, true, true) as number)).toBe(0)
})
