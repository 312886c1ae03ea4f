/** The two backends agree on what is a program (tampered words are refused by both or by neither) and on what it computes. */
import { describe, expect, it } from 'vitest'
import { JsProgram } from '../../src/backend/js/program.js'
import { loadAddon } from '../../src/backend/loader.js'
import { bitsOfFloat, type Instruction, identityMicro, Opcode, type View } from '../../src/ir/format.js'
import { encodeAll, type Memory, micro, numbers, packed, read, scattered } from './programs.js'

const { addon } = loadAddon()

/** Classes of five states, of two sequences; lengths of inputs and labels. */
const states = (): View<Memory> => packed('int32', [2, 5], [0, 1, 0, 1, 0, 0, 2, 0, 1, 0])
const lengths = (): View<Memory> => packed('int32', [2, 2], [4, 2, 3, 1])
/** Two matrices far from singular. */
const regular = (): View<Memory> => packed('float32', [2, 3, 3], [4, 1, 0, 1, -5, 2, 0, 2, 6, 3, 0, 1, 0, 3, 1, 1, 1, -4])

/** One instruction of each opcode. */
function samples(): Instruction<Memory>[] {
  const f = (...shape: number[]): View<Memory> => numbers(shape)
  const i = (...shape: number[]): View<Memory> => packed('int32', shape)
  const epilogue = micro(
    [0],
    [
      ['add', 0, 1],
      ['relu', 3],
    ],
    [4],
  )
  const conv = [1, 1, 1, 1, 1, 1, 1]
  return [
    {
      opcode: Opcode.map,
      inputs: [f(3, 4), i(3, 4)],
      outputs: [f(3, 4), packed('bool', [3, 4])],
      scalars: [],
      epilogue: micro(
        [2, true],
        [
          ['toFloat32', 1],
          ['fma', 0, 2, 4],
          ['lt', 5, 0],
          ['logicalAnd', 6, 3],
        ],
        [5, 7],
      ),
    },
    {
      opcode: Opcode.reduce,
      inputs: [f(3, 4), f(3, 1)],
      outputs: [f(3, 1)],
      scalars: [0],
      domain: [3, 4],
      prologueInputs: 1,
      prologue: micro([], [['square', 0]], [1]),
      epilogue,
    },
    {
      opcode: Opcode.reduce,
      inputs: [i(3, 4)],
      outputs: [i(1, 4)],
      scalars: [4],
      domain: [3, 4],
      prologueInputs: 1,
      prologue: identityMicro,
    },
    { opcode: Opcode.gemm, inputs: [f(2, 3), f(3, 4), f(2, 4)], outputs: [f(2, 4)], scalars: [], epilogue },
    { opcode: Opcode.conv2d, inputs: [f(1, 2, 4, 4), f(3, 2, 3, 3), f(1, 3, 4, 4)], outputs: [f(1, 3, 4, 4)], scalars: conv, epilogue },
    {
      opcode: Opcode.conv2dInputGrad,
      inputs: [f(1, 3, 4, 4), f(3, 2, 3, 3)],
      outputs: [f(1, 2, 4, 4)],
      scalars: conv,
      epilogue: identityMicro,
    },
    { opcode: Opcode.conv2dWeightGrad, inputs: [f(1, 2, 4, 4), f(1, 3, 4, 4)], outputs: [f(3, 2, 3, 3)], scalars: conv },
    { opcode: Opcode.maxPool2d, inputs: [f(1, 2, 5, 5)], outputs: [f(1, 2, 3, 3), i(1, 2, 3, 3)], scalars: [2, 2, 2, 2, 0, 0, 1, 1] },
    { opcode: Opcode.avgPool2d, inputs: [f(1, 2, 5, 5)], outputs: [f(1, 2, 2, 2)], scalars: [2, 2, 2, 2, 0, 0, 1] },
    { opcode: Opcode.avgPool2dGrad, inputs: [f(1, 2, 2, 2)], outputs: [f(1, 2, 5, 5)], scalars: [2, 2, 2, 2, 0, 0, 0] },
    { opcode: Opcode.softmax, inputs: [f(3, 4)], outputs: [f(3, 4)], scalars: [1] },
    { opcode: Opcode.crossEntropy, inputs: [f(3, 4), i(3)], outputs: [f(3)], scalars: [-100] },
    { opcode: Opcode.crossEntropyGrad, inputs: [f(3, 4), i(3), f(3)], outputs: [f(3, 4)], scalars: [-100] },
    { opcode: Opcode.gather, inputs: [f(5, 4), i(2, 4)], outputs: [f(2, 4)], scalars: [0] },
    { opcode: Opcode.scatterAdd, inputs: [f(2, 4), i(2, 4)], outputs: [f(5, 4)], scalars: [0, 0] },
    { opcode: Opcode.random, inputs: [i(4)], outputs: [f(3, 4)], scalars: [1, 0, 0, 3] },
    { opcode: Opcode.random, inputs: [i(4)], outputs: [i(3, 4)], scalars: [3, -5, 11, 3] },
    { opcode: Opcode.scatterAdd, inputs: [f(2, 4), i(2, 4)], outputs: [f(5, 4)], scalars: [0, 1] },
    { opcode: Opcode.scan, inputs: [f(2, 3, 4)], outputs: [f(2, 3, 4)], scalars: [1, 1] },
    { opcode: Opcode.scan, inputs: [f(3, 4), f(3, 4)], outputs: [f(3, 4)], scalars: [2, 0] },
    { opcode: Opcode.sort, inputs: [f(3, 4)], outputs: [f(3, 2), i(3, 2)], scalars: [1, 1] },
    { opcode: Opcode.linalg, inputs: [regular(), f(2, 3, 2)], outputs: [f(2, 3, 2)], scalars: [1, 0] },
    { opcode: Opcode.linalg, inputs: [f(2, 4, 3)], outputs: [f(2, 7, 3)], scalars: [4, 0] },
    { opcode: Opcode.fft, inputs: [f(2, 5, 2)], outputs: [f(2, 5, 2)], scalars: [0] },
    { opcode: Opcode.fft, inputs: [f(2, 4)], outputs: [f(2, 3, 2)], scalars: [2] },
    { opcode: Opcode.fft, inputs: [f(2, 3, 2)], outputs: [f(2, 4)], scalars: [3] },
    { opcode: Opcode.ctc, inputs: [f(4, 2, 3), states(), lengths()], outputs: [f(2)], scalars: [0, 0] },
    { opcode: Opcode.ctc, inputs: [f(4, 2, 3), states(), lengths()], outputs: [f(4, 2, 3)], scalars: [1, 1] },
    // flags: 2 initial states, 4 lengths, 8 the recurrent bias, 16 gradients of the cells
    { opcode: Opcode.recurrent, inputs: [f(3, 2, 4), f(4, 4)], outputs: [f(3, 2, 4)], scalars: [0, 1] },
    {
      opcode: Opcode.recurrent,
      inputs: [f(3, 2, 8), f(8, 2), f(2, 2), f(2, 2), i(2)],
      outputs: [f(3, 2, 2), f(3, 2, 2), f(3, 2, 8)],
      scalars: [2, 6],
    },
    {
      opcode: Opcode.recurrent,
      inputs: [f(3, 2, 6), f(6, 2), f(6), f(2, 2)],
      outputs: [f(3, 2, 2), f(3, 2, 8)],
      scalars: [3, 10],
    },
    {
      opcode: Opcode.recurrentGrad,
      inputs: [f(3, 2, 2), f(3, 2, 2), f(3, 2, 2), f(3, 2, 2), f(3, 2, 8), f(8, 2), f(2, 2), f(2, 2), i(2)],
      outputs: [f(3, 2, 8), f(2, 2), f(2, 2)],
      scalars: [2, 22],
    },
    {
      opcode: Opcode.recurrentGrad,
      inputs: [f(3, 2, 2), f(3, 2, 2), f(3, 2, 8), f(6, 2)],
      outputs: [f(3, 2, 6), f(3, 2, 6)],
      scalars: [3, 1],
    },
    {
      opcode: Opcode.attention,
      inputs: [f(1, 2, 3, 4), f(1, 2, 5, 4), f(1, 2, 5, 2), f(1, 2, 3, 5)],
      outputs: [f(1, 2, 3, 2), f(1, 2, 3)],
      scalars: [bitsOfFloat(0.5), 3],
    },
    {
      opcode: Opcode.attentionGrad,
      inputs: [f(1, 2, 3, 4), f(1, 2, 5, 4), f(1, 2, 5, 2), f(1, 2, 3, 2), f(1, 2, 3), f(1, 2, 3, 2)],
      outputs: [f(1, 2, 3, 4), f(1, 2, 5, 4), f(1, 2, 5, 2)],
      scalars: [bitsOfFloat(0.5), 0],
    },
    { opcode: Opcode.moments, inputs: [f(2, 3, 4)], outputs: [f(3), f(3)], scalars: [] },
    { opcode: Opcode.normSums, inputs: [f(2, 3, 4), f(2, 3, 4), f(3), f(3)], outputs: [f(3), f(3)], scalars: [] },
    { opcode: Opcode.normRows, inputs: [f(3, 4), f(4), f(4)], outputs: [f(3, 4), f(3), f(3)], scalars: [0, 0x3727c5ac] },
    { opcode: Opcode.normRowsGrad, inputs: [f(3, 4), f(3, 4), f(3), f(3), f(4)], outputs: [f(3, 4), f(4), f(4)], scalars: [1] },
  ]
}

/** What the format allows no strided results. */
const contiguousResults: ReadonlySet<number> = new Set([
  ...[Opcode.random, Opcode.recurrent, Opcode.recurrentGrad, Opcode.attention, Opcode.attentionGrad],
  ...[Opcode.normRows, Opcode.normRowsGrad],
])

describe.runIf(addon !== undefined)('native and TypeScript', () => {
  const load = addon?.load
  const native = (words: Int32Array): string => {
    const status = load?.(words)
    return Array.isArray(status) ? `refused (${status.join(' ')})` : 'accepted'
  }
  const js = (words: Int32Array): string => {
    try {
      new JsProgram(words)
      return 'accepted'
    } catch (error) {
      return `refused (${(error as Error).message})`
    }
  }
  /** float64 exists here only; the native runtime refuses it, and the two never meet in a program. */
  const skip = (reason: string): boolean => reason.startsWith('refused (21 ')

  samples().forEach((instruction, sample) => {
    const name = Object.entries(Opcode).find(([, code]) => code === instruction.opcode)?.[0]
    it(`refuse the same tampered words: ${name} (${sample})`, () => {
      const tail: Instruction<Memory> = {
        opcode: Opcode.map,
        inputs: [instruction.outputs[0]],
        outputs: [packed(instruction.outputs[0].dtype, instruction.outputs[0].shape)],
        scalars: [],
        epilogue: identityMicro,
      }
      const middle = instruction.outputs[0].buffer
      const units = Math.ceil(middle.data.byteLength / 64)
      const { words } = encodeAll([instruction, tail], new Map([[middle, { offset: 1, size: units }]]), 1)
      expect([native(words), js(words)]).toEqual(['accepted', 'accepted'])
      let seed = 1 + sample
      const random = (n: number): number => {
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
        return (seed >>> 8) % n
      }
      const values = [-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 64, -2, -4, 256, 0x7fffffff, -0x80000000]
      for (let i = 0; i < 3000; i++) {
        const tampered = words.slice()
        for (let k = random(2); k >= 0; k--) {
          const at = 3 + random(words.length - 3)
          tampered[at] = random(2) === 0 ? values[random(values.length)] : tampered[at] + random(5) - 2
        }
        const [theirs, ours] = [native(tampered), js(tampered)]
        if (theirs.startsWith('refused') !== ours.startsWith('refused') && !skip(theirs)) {
          const changed = [...tampered.keys()].filter((w) => tampered[w] !== words[w]).map((w) => `word ${w}: ${words[w]} → ${tampered[w]}`)
          expect.fail(`${changed.join(', ')}: native ${theirs}, TypeScript ${ours}`)
        }
      }
    })
  })

  samples().forEach((instruction, sample) => {
    const name = Object.entries(Opcode).find(([, code]) => code === instruction.opcode)?.[0]
    it(`compute the same: ${name} (${sample})`, () => {
      for (const spread of [false, true]) {
        const whole = (v: View<Memory>): View<Memory> => v
        const arrange = spread && instruction.opcode !== Opcode.random ? scattered : whole
        const place = contiguousResults.has(instruction.opcode) ? whole : arrange
        const given = { ...instruction, inputs: instruction.inputs.map(arrange), outputs: instruction.outputs.map(place) }
        const { words, slots } = encodeAll([given])
        new JsProgram(words).run(slots)
        const want = given.outputs.map(read)
        for (const v of given.outputs) v.buffer.data.fill(-1)
        const program = addon?.load(words)
        if (program === undefined || Array.isArray(program)) throw new Error(`refused: ${String(program)}`)
        expect(addon?.runSync(program as never, slots)).toBe(0)
        given.outputs.map(read).forEach((got, o) => {
          got.forEach((value, i) =>
            expect(Math.abs(value - want[o][i]), `${value} and ${want[o][i]}`).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(value))),
          )
        })
      }
    })
  })
})
