/** Programs whose words were tampered with: the interpreter refuses them when they are loaded, and nothing but a typed error comes out. */
import { describe, expect, it } from 'vitest'
import { JsProgram } from '../../src/backend/js/program.js'
import { ChainruleError } from '../../src/base/errors.js'
import { formatVersion, headerWords, type Instruction, identityMicro, Opcode, type View } from '../../src/ir/format.js'
import { encodeAll, type Memory, micro, numbers, packed } from './programs.js'

const map = (inputs: View<Memory>[], outputs: View<Memory>[], region = false): Instruction<Memory> => ({
  opcode: Opcode.map,
  inputs,
  outputs,
  scalars: [],
  region,
  epilogue: micro([], [['neg', 0]], [1]),
})

const load = (instructions: readonly Instruction<Memory>[], commit?: number): JsProgram =>
  new JsProgram(encodeAll(instructions, new Map(), commit).words)

function expectRefused(action: () => unknown, why: RegExp, code = 'ERR_PROGRAM_REFUSED'): void {
  expect(action).toThrowError(expect.objectContaining({ code, message: expect.stringMatching(why) }))
}

describe('a tampered word', () => {
  const x = numbers([2, 3])
  const arena = packed('float32', [2, 3])
  const { words } = encodeAll(
    [map([x], [arena]), map([arena], [packed('float32', [2, 3])])],
    new Map([[arena.buffer, { offset: 0, size: 1 }]]),
    0,
  )
  const buffers = headerWords
  const first = headerWords + 3 * 4
  const view = first + 6
  const attributes = view + 16

  const cases: [what: string, at: number, value: number, why: RegExp, code?: string][] = [
    ['magic', 0, 1, /not a program/],
    ['version', 1, formatVersion + 1, /not a program/],
    ['table hash', 2, words[2] ^ 1, /another op table/, 'ERR_TABLE_MISMATCH'],
    ['flags', 3, 1, /reserved/],
    ['buffer count', 4, 4, /./],
    ['negative buffer count', 4, -1, /impossible/],
    ['instruction count', 5, 1, /left over/],
    ['larger instruction count', 5, 3, /truncated/],
    ['symbols', 6, 1, /symbolic/],
    ['commit index', 7, 3, /impossible/],
    ['arena size', 8, 0, /beyond the arena/],
    ['slots', 9, 1, /buffer/],
    ['endless slots', 9, 1 << 30, /impossible/],
    ['total', 10, words.length + 1, /words/],
    ['buffer kind', buffers, 2, /buffer 0/],
    ['slot number', buffers + 1, 9, /buffer 0/],
    ['fallback of what is only read', buffers + 2, 2, /buffer 0/],
    ['fallback that is not there', buffers + 2, 4, /buffer 0/],
    ['negative fallback', buffers + 2, -1, /buffer 0/],
    ['arena offset', buffers + 5, 1 << 30, /beyond the arena/],
    ['opcode', first, 99, /no opcode/],
    ['reserved opcode', first, Opcode.collective, /./],
    ['instruction size', first + 1, 1, /./],
    ['huge instruction size', first + 1, 0x7fffffff, /truncated/],
    ['input count', first + 2, 2, /./],
    ['huge output count', first + 3, 0x7fffffff, /./],
    ['attribute count', first + 4, 3, /attributes/],
    ['prologue beyond the commit index', 11, 2, /impossible/],
    ['negative prologue', 11, -1, /impossible/],
    ['region', first + 5, 1, /region/],
    ['mark', first + 5, 4, /mark/],
    ['view buffer', view, 3, /no buffer/],
    ['view dtype', view + 1, 6, /dtype/],
    ['view layout', view + 1, 1 << 8, /layout/],
    ['view offset', view + 2, -1, /beyond/],
    ['view rank', view + 3, 9, /rank/],
    ['view shape', view + 4, 3, /./],
    ['negative size', view + 4, -2, /shape/],
    ['output stride', view + 8 + 6, 2, /meet/],
    ['output beyond the arena', view + 8 + 2, 11, /beyond/],
    ['negative stride', view + 6, -3, /beyond/],
    ['constants', attributes, -1, /size|words|truncated/],
    ['operation', attributes + 3, 1000, /no number/],
    ['operand from the future', attributes + 4, 1, /operand of/],
    ['unused operand', attributes + 5, 1, /operand of/],
    ['result', attributes + 7, 2, /result/],
  ]
  for (const [what, at, value, why, code] of cases) {
    it(what, () => {
      const tampered = words.slice()
      tampered[at] = value
      expectRefused(() => new JsProgram(tampered), why, code)
    })
  }

  it('is refused at every length that is too short', () => {
    for (let n = 0; n < words.length; n++) expectRefused(() => new JsProgram(words.slice(0, n)), /./)
  })

  it('gives a typed error or a program, whatever it is', () => {
    let seed = 12345
    const random = (n: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
      return (seed >>> 8) % n
    }
    const interesting = [0, 1, 2, 3, 4, -1, -2, 63, 64, 255, 256, 0x7fffffff, -0x80000000, 0x40000000]
    for (let i = 0; i < 20000; i++) {
      const tampered = words.slice()
      for (let k = random(3); k >= 0; k--) tampered[3 + random(words.length - 3)] = interesting[random(interesting.length)]
      try {
        new JsProgram(tampered)
      } catch (error) {
        expect(error).toBeInstanceOf(ChainruleError)
      }
    }
  })
})

describe('a program that breaks a rule', () => {
  it('overlap', () => {
    const whole = numbers([10])
    const part = (offset: number): View<Memory> => ({ ...whole, offset, shape: [4], strides: [1] })
    expectRefused(() => load([map([part(0)], [part(1)])]), /overlaps an input/)
    expectRefused(() => load([{ ...map([numbers([4])], [part(0), part(3)]), epilogue: micro([], [], [0, 0]) }]), /overlaps another/)
    load([map([part(0)], [part(4)])])
    const even = (offset: number): View<Memory> => ({ ...whole, offset, shape: [4], strides: [2] })
    load([map([even(0)], [even(1)])])
    const square: View<Memory> = { ...numbers([4, 4]) }
    expectRefused(
      () => load([{ opcode: Opcode.gemm, inputs: [square, numbers([4, 4])], outputs: [square], scalars: [], epilogue: identityMicro }]),
      /overlaps/,
    )
  })

  it('regions', () => {
    const [a, b, c] = [numbers([8]), numbers([8]), numbers([8])]
    load([map([a], [b]), map([a], [c], true)])
    expectRefused(() => load([map([a], [b]), map([b], [c], true)]), /depend/)
    expectRefused(() => load([map([a], [b], true)]), /region/)
  })

  it('an instruction that can fail after the commit index', () => {
    const gather: Instruction<Memory> = {
      opcode: Opcode.gather,
      inputs: [numbers([3]), packed('int32', [2])],
      outputs: [packed('float32', [2])],
      scalars: [0],
    }
    load([gather], 1)
    expectRefused(() => load([gather], 0), /commit/)
  })

  it('operands that do not fit their opcode', () => {
    const f = (...shape: number[]): View<Memory> => numbers(shape)
    const of = (opcode: Opcode, inputs: View<Memory>[], outputs: View<Memory>[], scalars: number[] = []): Instruction<Memory> => ({
      opcode,
      inputs,
      outputs,
      scalars,
      epilogue: identityMicro,
      domain: [2, 3],
      prologueInputs: 1,
      prologue: identityMicro,
    })
    const conv = [1, 1, 0, 0, 1, 1, 1]
    const cases: Instruction<Memory>[] = [
      of(Opcode.gemm, [f(2, 3), f(4, 2)], [f(2, 2)]),
      of(Opcode.gemm, [f(3), f(3)], [f(1)]),
      of(Opcode.gemm, [packed('int32', [2, 2]), f(2, 2)], [f(2, 2)]),
      of(Opcode.gemm, [f(2, 2), packed('float64', [2, 2])], [f(2, 2)]),
      of(Opcode.gemm, [f(2, 2), f(2, 2)], [packed('int32', [2, 2])]),
      of(Opcode.reduce, [f(2, 4)], [f(2, 1)], [0]),
      of(Opcode.reduce, [f(2, 3)], [f(1, 2)], [0]),
      of(Opcode.reduce, [f(2, 3)], [f(1, 1)], [6]),
      of(Opcode.reduce, [packed('bool', [2, 3])], [packed('bool', [1, 3])], [2]),
      of(Opcode.conv2d, [f(1, 1, 4, 4), f(1, 1, 3, 3)], [f(1, 1, 3, 3)], conv),
      of(Opcode.conv2d, [f(1, 1, 4, 4), f(1, 1, 3, 3)], [f(1, 1, 2, 2)], [0, 1, 0, 0, 1, 1, 1]),
      of(Opcode.conv2d, [f(1, 3, 4, 4), f(1, 1, 3, 3)], [f(1, 1, 2, 2)], conv),
      of(Opcode.maxPool2d, [f(1, 1, 4, 4)], [f(1, 1, 2, 2), f(1, 1, 2, 2)], [2, 2, 2, 2, 0, 0, 1, 1]),
      of(Opcode.maxPool2d, [f(1, 1, 4, 4)], [f(1, 1, 3, 3), packed('int32', [1, 1, 3, 3])], [2, 2, 2, 2, 0, 0, 1, 1]),
      of(Opcode.avgPool2d, [f(1, 1, 4, 4)], [f(1, 1, 2, 2)], [2, 2, 2, 2, 2, 0, 1]),
      of(Opcode.softmax, [f()], [f()], [0]),
      of(Opcode.softmax, [f(2)], [f(2)], [2]),
      of(Opcode.crossEntropy, [f(2, 3), f(2)], [f(2)], [-100]),
      of(Opcode.crossEntropy, [f(2, 3), packed('int32', [3])], [f(2)], [-100]),
      of(Opcode.gather, [f(2, 3), packed('int32', [2, 2])], [f(2, 2)], [2]),
      of(Opcode.gather, [f(2, 3), packed('int32', [2, 2])], [packed('int32', [2, 2])], [1]),
      of(Opcode.scatterAdd, [packed('uint8', [3]), packed('int32', [3])], [packed('uint8', [5])], [0, 0]),
      of(Opcode.random, [packed('int32', [3])], [f(4)], [0, 0, 0, 0]),
      of(Opcode.random, [packed('int32', [4])], [packed('int32', [4])], [0, 0, 0, 0]),
      of(Opcode.random, [packed('int32', [4])], [f(4)], [3, 0, 0, 0]),
      of(Opcode.scatterAdd, [f(3), packed('int32', [3])], [f(5)], [0, 2]),
      of(Opcode.scan, [f(2, 3)], [f(2, 3)], [3, 0]),
      of(Opcode.scan, [f(2, 3)], [f(2, 3)], [0, 2]),
      of(Opcode.scan, [f(2, 3)], [f(2, 3)], [2, 0]),
      of(Opcode.scan, [packed('bool', [3])], [packed('bool', [3])], [0, 0]),
      of(Opcode.sort, [f(3)], [f(4), packed('int32', [4])], [0, 0]),
      of(Opcode.sort, [f(3)], [f(3), f(3)], [0, 0]),
      of(Opcode.sort, [f(3)], [f(3), packed('int32', [2])], [0, 0]),
      of(Opcode.linalg, [f(2, 3)], [f(2, 3)], [0, 0]),
      of(Opcode.linalg, [f(3, 3), f(2, 1)], [f(3, 1)], [1, 0]),
      of(Opcode.linalg, [f(3, 3)], [f(3, 3)], [0, 1]),
      of(Opcode.linalg, [f(4, 3)], [f(7, 4)], [4, 0]),
      of(Opcode.fft, [f(3, 4)], [f(3, 4)], [0]),
      of(Opcode.fft, [f(4)], [f(2, 2)], [2]),
      of(Opcode.fft, [f(3, 2)], [f(6)], [3]),
      of(Opcode.ctc, [f(4, 2, 3), packed('int32', [2, 4]), packed('int32', [2, 2])], [f(2)], [0, 0]),
      of(Opcode.ctc, [f(4, 2, 3), packed('int32', [2, 5]), packed('int32', [2, 2])], [f(2)], [1, 0]),
      of(Opcode.recurrent, [f(3, 2, 4), f(4, 3)], [f(3, 2, 4)], [0, 0]),
      of(Opcode.recurrent, [f(3, 2, 4), f(4, 4)], [f(3, 2, 4)], [4, 0]),
      of(Opcode.recurrent, [f(3, 2, 4), f(4, 4)], [f(3, 2, 4)], [0, 2]),
      of(Opcode.recurrent, [f(3, 2, 4), f(4, 4), f(4)], [f(3, 2, 4)], [0, 8]),
      of(Opcode.recurrent, [f(3, 2, 4), f(4, 4), f(2)], [f(3, 2, 4)], [0, 4]),
      of(Opcode.recurrentGrad, [f(3, 2, 4), f(3, 2, 4), f(4, 4)], [f(3, 2, 3)], [0, 0]),
      of(Opcode.attention, [f(1, 2, 3, 4), f(1, 2, 5, 3), f(1, 2, 5, 4)], [f(1, 2, 3, 4), f(1, 2, 3)], [0, 0]),
      of(Opcode.attention, [f(1, 2, 3, 513), f(1, 2, 5, 513), f(1, 2, 5, 4)], [f(1, 2, 3, 4), f(1, 2, 3)], [0, 0]),
      of(Opcode.attention, [f(1, 2, 3, 4), f(1, 2, 5, 4), f(1, 2, 5, 4)], [f(1, 2, 3, 4), f(1, 2, 3)], [0, 2]),
      of(Opcode.attentionGrad, [f(1, 2, 3, 4), f(1, 2, 5, 4), f(1, 2, 5, 4)], [f(1, 2, 3, 4)], [0, 0]),
      of(Opcode.moments, [f(2, 3)], [f(3), f(3)]),
      of(Opcode.moments, [f(2, 3, 4)], [f(2), f(3)]),
      of(Opcode.normSums, [f(2, 3, 4), f(2, 3, 5), f(3), f(3)], [f(3), f(3)]),
      of(Opcode.normRows, [f(3, 4)], [f(3, 4), f(3), f(3)], [2, 0]),
      of(Opcode.normRows, [f(3, 4), f(3)], [f(3, 4), f(3), f(3)], [0, 0]),
      of(Opcode.normRowsGrad, [f(3, 4), f(3, 4), f(3), f(3), f(4)], [f(3, 4)], [0]),
      of(Opcode.normRowsGrad, [f(3, 4)], [f(3, 4)], [0]),
      of(Opcode.collective, [f(2)], [f(2)]),
    ]
    cases.forEach((instruction, i) => {
      const { domain, prologue, prologueInputs, ...plain } = instruction
      const sent = instruction.opcode === Opcode.reduce ? { ...plain, domain, prologue, prologueInputs } : plain
      expect(() => load([sent]), `case ${i}`).toThrowError(expect.objectContaining({ code: 'ERR_PROGRAM_REFUSED' }))
    })
  })

  it('a maximum of nothing', () => {
    const empty: Instruction<Memory> = {
      opcode: Opcode.reduce,
      inputs: [packed('float32', [0, 2])],
      outputs: [packed('float32', [1, 2])],
      scalars: [2],
      domain: [0, 2],
      prologueInputs: 1,
      prologue: identityMicro,
    }
    expectRefused(() => load([empty]), /of nothing/)
  })
})
