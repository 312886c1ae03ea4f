/** The interpreter of programs: every opcode against the plain loops of its op, then what only programs have. */
import { describe, expect, it } from 'vitest'
import { JsProgram } from '../../src/backend/js/program.js'
import { microOperations } from '../../src/backend/registry.js'
import { DataError } from '../../src/base/errors.js'
import { bitsOfFloat, type Instruction, identityMicro, Opcode, ReduceKind, type View } from '../../src/ir/format.js'
import { compare, encode, encodeAll, type Memory, micro, numbers, packed, read, run, scattered, write } from './programs.js'

function expectEqual(results: { got: number[]; want: number[] }[]): void {
  expect(results.length).toBeGreaterThan(0)
  for (const { got, want } of results) expect(got).toEqual(want)
}

const ints = (shape: readonly number[], values: readonly number[]): View<Memory> => packed('int32', shape, values)

describe('map', () => {
  for (const { name, signature, arity, scalar, integer } of microOperations()) {
    it(`${name} on ${signature}`, () => {
      const n = 300 // more than one tile
      const maskFirst = signature.startsWith('M')
      const floats = [numbers([n], 1), numbers([n], 500), numbers([n], 900)]
      const whole = floats.map((v) =>
        ints(
          [n],
          read(v).map((x) => Math.trunc(x * 1000)),
        ),
      )
      const masks = floats.map((v) =>
        packed(
          'bool',
          [n],
          read(v).map((x) => (x > 0 ? 1 : 0)),
        ),
      )
      const asInts = signature.startsWith('I') || signature === 'TT→T'
      for (const integers of signature.includes('T') ? [false, true] : [asInts]) {
        const values = integers ? whole : floats
        const inputs = values.slice(0, arity).map((v, i) => (maskFirst && (i === 0 || signature.startsWith('MM')) ? masks[i] : v))
        const f = integers && integer !== undefined ? integer : scalar
        const out = signature.endsWith('M')
          ? 'bool'
          : signature.endsWith('F')
            ? 'float32'
            : signature.endsWith('I') || integers
              ? 'int32'
              : 'float32'
        const y = packed(out, [n])
        run({
          opcode: Opcode.map,
          inputs,
          outputs: [y],
          scalars: [],
          epilogue: micro([], [[name, 0, arity > 1 ? 1 : 0, arity > 2 ? 2 : 0]], [arity]),
        })
        const [a, b = a, c = a] = inputs.map(read)
        const want = packed(
          out,
          [n],
          a.map((x, i) => f(x, b[i], c[i])),
        )
        expect(read(y)).toEqual(read(want))
      }
    })
  }

  it('computes several results of broadcast, reversed and converted operands', () => {
    const x = numbers([5, 3, 101])
    const row: View<Memory> = { ...numbers([101], 40), shape: [5, 3, 101], strides: [0, 0, 1] }
    const reversed: View<Memory> = { ...numbers([1515], 77), offset: 1514, shape: [5, 3, 101], strides: [-303, -101, -1] }
    const bytes = packed(
      'uint8',
      [5, 3, 101],
      Array.from({ length: 1515 }, (_, i) => i % 256),
    )
    const sum = scattered(packed('float32', [5, 3, 101]))
    const mask = packed('bool', [5, 3, 101])
    const low = packed('uint8', [5, 3, 101])
    const epilogue = micro(
      [0.5],
      [
        ['add', 0, 1],
        ['fma', 5, 4, 2],
        ['lt', 6, 0],
        ['add', 3, 3],
      ],
      [6, 7, 8],
    )
    run({ opcode: Opcode.map, inputs: [x, row, reversed, bytes], outputs: [sum, mask, low], scalars: [], epilogue })
    const f = Math.fround
    const [xs, rs, vs, bs] = [x, row, reversed, bytes].map(read)
    const want = xs.map((a, i) => f(f(a + rs[i]) * 0.5 + vs[i]))
    expect(read(sum)).toEqual(want)
    expect(read(mask)).toEqual(want.map((a, i) => (a < xs[i] ? 1 : 0)))
    expect(read(low)).toEqual(bs.map((b) => (2 * b) % 256))
  })

  it('writes over an input with the same view', () => {
    const x = numbers([1000])
    const before = read(x)
    run({ opcode: Opcode.map, inputs: [x], outputs: [x], scalars: [], epilogue: micro([], [['neg', 0]], [1]) })
    expect(read(x)).toEqual(before.map((v) => -v))
  })

  it('fills a strided part with a constant, and a scalar', () => {
    const whole = packed('float32', [4, 4])
    run({
      opcode: Opcode.map,
      inputs: [],
      outputs: [{ ...whole, offset: 5, shape: [2, 2], strides: [4, 1] }],
      scalars: [],
      epilogue: micro([3], [], [0]),
    })
    expect(read(whole)).toEqual([0, 0, 0, 0, 0, 3, 3, 0, 0, 3, 3, 0, 0, 0, 0, 0])
    const scalar = packed('float32', [])
    run({ opcode: Opcode.map, inputs: [], outputs: [scalar], scalars: [], epilogue: micro([7], [], [0]) })
    expect(read(scalar)).toEqual([7])
  })

  it('keeps float64', () => {
    const x = packed('float64', [3], [1e-12, 1 / 3, 1e300])
    const y = packed('float64', [3])
    run({ opcode: Opcode.map, inputs: [x], outputs: [y], scalars: [], epilogue: micro([], [['add', 0, 0]], [1]) })
    expect(read(y)).toEqual([2e-12, 2 / 3, 2e300])
  })
})

describe('reduce', () => {
  const names = { sum: 'sum', prod: 'prod', max: 'amax', min: 'amin', argmax: 'argmax', argmin: 'argmin' } as const
  for (const kind of Object.keys(ReduceKind) as (keyof typeof names)[]) {
    it(kind, () => {
      for (const dims of [[0], [1], [2], [0, 2], [0, 1, 2], []]) expectEqual(compare(names[kind], [numbers([4, 5, 6])], { dims }))
      expectEqual(compare(names[kind], [ints([2, 3], [5, -7, 5, 1 << 20, 1 << 13, 3])], { dims: [1] }))
      expectEqual(compare(names[kind], [packed('uint8', [2, 3], [200, 100, 255, 0, 3, 2])], { dims: [0] }))
      const nan = packed('float32', [2, 3], [1, Number.NaN, 3, 4, 5, 6])
      expectEqual(compare(names[kind], [nan], { dims: [1] }))
    })
  }

  it('runs prologue and epilogue, with their own inputs', () => {
    const x = numbers([6, 50], 3)
    const y = numbers([6, 50], 9)
    const bias = numbers([6, 1], 30)
    const sum = packed('float32', [6, 1])
    const large = packed('bool', [6, 1])
    run({
      opcode: Opcode.reduce,
      inputs: [x, y, bias],
      outputs: [sum, large],
      scalars: [ReduceKind.sum],
      domain: [6, 50],
      prologueInputs: 2,
      prologue: micro([], [['mul', 0, 1]], [2]),
      epilogue: micro(
        [0],
        [
          ['add', 0, 1],
          ['lt', 2, 3],
        ],
        [3, 4],
      ),
    })
    const [xs, ys, bs] = [x, y, bias].map(read)
    const f = Math.fround
    const want = bs.map((b, r) => {
      let total = 0
      for (let i = r * 50; i < r * 50 + 50; i++) total += f(xs[i] * ys[i])
      return f(f(total) + b)
    })
    expect(read(sum)).toEqual(want)
    expect(read(large)).toEqual(want.map((v) => (v > 0 ? 1 : 0)))
  })

  it('knows empty sums and products, and a prologue without inputs', () => {
    for (const [kind, want] of [
      ['sum', 0],
      ['prod', 1],
    ] as const) {
      const y = packed('float32', [1, 2], [9, 9])
      run({
        opcode: Opcode.reduce,
        inputs: [packed('float32', [0, 2])],
        outputs: [y],
        scalars: [ReduceKind[kind]],
        domain: [0, 2],
        prologueInputs: 1,
        prologue: identityMicro,
      })
      expect(read(y)).toEqual([want, want])
    }
    const count = packed('float32', [1])
    run({
      opcode: Opcode.reduce,
      inputs: [],
      outputs: [count],
      scalars: [ReduceKind.sum],
      domain: [7],
      prologueInputs: 0,
      prologue: micro([1], [], [0]),
    })
    expect(read(count)).toEqual([7])
  })
})

describe('structured opcodes', () => {
  it('gemm, batched, of odd sizes', () => {
    for (const [m, k, n] of [
      [1, 1, 1],
      [3, 5, 7],
      [8, 16, 4],
      [17, 33, 9],
      [4, 0, 3],
    ]) {
      expectEqual(compare('matmul', [numbers([m, k]), numbers([k, n], 100)], undefined))
      expectEqual(compare('matmul', [numbers([2, 1, m, k]), numbers([3, k, n], 100)], undefined))
    }
  })

  it('gemm with transposed operands and an epilogue of two results', () => {
    const a: View<Memory> = { ...numbers([5, 6]), shape: [6, 5], strides: [1, 6] }
    const b = numbers([5, 4], 60)
    const bias: View<Memory> = { ...numbers([4], 9), shape: [6, 4], strides: [0, 1] }
    const y = scattered(packed('float32', [6, 4]))
    const positive = packed('bool', [6, 4])
    const epilogue = micro(
      [0],
      [
        ['add', 0, 1],
        ['relu', 3],
        ['lt', 2, 3],
      ],
      [4, 5],
    )
    run({ opcode: Opcode.gemm, inputs: [a, b, bias], outputs: [y, positive], scalars: [], epilogue })
    const [as, bs, cs] = [a, b, bias].map(read)
    const f = Math.fround
    const sums = cs.map((c, i) => f(f([0, 1, 2, 3, 4].reduce((s, t) => s + as[Math.floor(i / 4) * 5 + t] * bs[t * 4 + (i % 4)], 0)) + c))
    expect(read(y)).toEqual(sums.map((s) => Math.max(0, s)))
    expect(read(positive)).toEqual(sums.map((s) => (s > 0 ? 1 : 0)))
  })

  const conv = { stride: [2, 1], padding: [1, 2], dilation: [1, 2], groups: 2 }
  it('conv2d and its gradients', () => {
    const x = numbers([2, 4, 7, 8])
    const w = numbers([6, 2, 3, 3], 50)
    const gy = numbers([2, 6, 4, 8], 90)
    expectEqual(compare('conv2d', [x, w], conv))
    expectEqual(compare('conv2dInputGrad', [gy, w], { ...conv, shape: x.shape }))
    expectEqual(compare('conv2dWeightGrad', [x, gy], { ...conv, shape: w.shape }))
  })

  it('conv2d with bias and relu in the epilogue', () => {
    const x = numbers([1, 1, 4, 4])
    const w = packed('float32', [2, 1, 1, 1], [1, -1])
    const bias: View<Memory> = { ...packed('float32', [2], [0.5, 0.25]), shape: [1, 2, 4, 4], strides: [0, 1, 0, 0] }
    const y = packed('float32', [1, 2, 4, 4])
    run({
      opcode: Opcode.conv2d,
      inputs: [x, w, bias],
      outputs: [y],
      scalars: [1, 1, 0, 0, 1, 1, 1],
      epilogue: micro(
        [],
        [
          ['add', 0, 1],
          ['relu', 2],
        ],
        [3],
      ),
    })
    const f = Math.fround
    const xs = read(x)
    expect(read(y)).toEqual([...xs.map((v) => Math.max(0, f(v + 0.5))), ...xs.map((v) => Math.max(0, f(0.25 - v)))])
  })

  const pool = { kernel: [3, 2], stride: [2, 2], padding: [1, 1], dilation: [1, 1], ceilMode: true, countIncludePad: true }
  it('pooling', () => {
    const x = numbers([2, 3, 7, 6])
    expectEqual(compare('maxPool2d', [x], pool))
    expectEqual(compare('maxPool2d', [x], { ...pool, dilation: [2, 1], ceilMode: false }))
    for (const countIncludePad of [true, false]) {
      expectEqual(compare('avgPool2d', [x], { ...pool, countIncludePad }))
      expectEqual(compare('avgPool2dGrad', [numbers([2, 3, 4, 4], 11)], { ...pool, countIncludePad, shape: x.shape }))
    }
  })

  it('softmax and log-softmax', () => {
    for (const name of ['softmax', 'logSoftmax']) {
      expectEqual(compare(name, [numbers([4, 9])], undefined))
      expectEqual(compare(name, [numbers([2, 3, 5])], undefined))
    }
  })

  it('cross-entropy and its gradient', () => {
    const logits = numbers([5, 4])
    for (const targets of [ints([5], [0, 3, -100, 1, 2]), packed('uint8', [5], [0, 3, 1, 1, 2])]) {
      expectEqual(compare('crossEntropy', [logits, targets], { ignoreIndex: -100 }))
      expectEqual(compare('crossEntropyGrad', [logits, targets, numbers([5], 8)], { ignoreIndex: -100 }))
    }
  })

  it('gather and scatter-add', () => {
    const index = ints([3, 2, 2], [0, 4, 3, 3, 1, 0, 2, 2, 4, 0, 1, 1])
    expectEqual(compare('gather', [numbers([3, 5, 2]), index], { axis: 1 }))
    expectEqual(compare('scatterAdd', [numbers([3, 2, 2]), index], { axis: 1, size: 5 }))
    expectEqual(
      compare(
        'scatterAdd',
        [
          ints(
            [3, 2, 2],
            Array.from({ length: 12 }, (_, i) => i),
          ),
          index,
        ],
        { axis: 1, size: 5 },
      ),
    )
  })

  it('gather as an embedding: an index with stride 0', () => {
    const table = numbers([6, 3])
    const ids: View<Memory> = { ...packed('uint8', [4], [5, 0, 2, 5]), shape: [4, 3], strides: [1, 0] }
    const y = packed('float32', [4, 3])
    run({ opcode: Opcode.gather, inputs: [table, ids], outputs: [y], scalars: [0] })
    const rows = read(table)
    expect(read(y)).toEqual([5, 0, 2, 5].flatMap((r) => rows.slice(3 * r, 3 * r + 3)))
  })

  it('random', () => {
    const state = ints([4], [42, 7, -3, 1])
    const of = (kind: string, a: number, b: number, dtype = 'float32'): unknown => ({ kind, a, b, offset: 5, shape: [3, 7], dtype })
    expectEqual(compare('random', [state], of('uniform', -1, 2), { packedOutput: true }))
    expectEqual(compare('random', [state], of('normal', 0.5, 2), { packedOutput: true }))
    expectEqual(compare('random', [state], of('bernoulli', 0.25, 0), { packedOutput: true }))
    expectEqual(compare('random', [state], of('bernoulli', 0.25, 0, 'bool'), { packedOutput: true }))
  })

  it('does nothing where nothing comes out', () => {
    run({ opcode: Opcode.gather, inputs: [numbers([0, 3]), ints([0, 3], [])], outputs: [packed('float32', [0, 3])], scalars: [0] })
    run({
      opcode: Opcode.gemm,
      inputs: [numbers([0, 4]), numbers([4, 2])],
      outputs: [packed('float32', [0, 2])],
      scalars: [],
      epilogue: identityMicro,
    })
  })
})

describe('programs', () => {
  const negate = (x: View<Memory>, y: View<Memory>): Instruction<Memory> => ({
    opcode: Opcode.map,
    inputs: [x],
    outputs: [y],
    scalars: [],
    epilogue: micro([], [['neg', 0]], [1]),
  })

  it('hand values on in the arena, whose parts are used again', () => {
    const x = numbers([20])
    const h1 = packed('float32', [20])
    const h2 = packed('float32', [20])
    const y = packed('float32', [20])
    const double = { ...negate(h2, y), epilogue: micro([], [['add', 0, 0]], [1]) }
    const { words, slots } = encodeAll(
      [negate(x, h1), negate(h1, h2), double],
      new Map([
        [h1.buffer, { offset: 0, size: 2 }],
        [h2.buffer, { offset: 2, size: 2 }],
      ]),
    )
    const program = new JsProgram(words)
    for (let i = 0; i < 2; i++) {
      write(
        x,
        read(x).map((v) => v + i),
      )
      program.run(slots)
      expect(read(y)).toEqual(read(x).map((v) => Math.fround(2 * v)))
    }
  })

  it('report an index out of range before anything is changed, as the native backend does', () => {
    const y = packed('float32', [2, 2], [1, 2, 3, 4])
    const cases: Instruction<Memory>[] = [
      { opcode: Opcode.gather, inputs: [numbers([3, 2]), ints([2, 2], [0, 1, 3, 0])], outputs: [y], scalars: [0] },
      { opcode: Opcode.scatterAdd, inputs: [numbers([2, 2]), ints([2, 2], [0, 1, -1, 0])], outputs: [y], scalars: [0, 0] },
      { opcode: Opcode.crossEntropyGrad, inputs: [numbers([2, 2]), ints([2], [0, 2]), numbers([2])], outputs: [y], scalars: [-100] },
    ]
    for (const instruction of cases) {
      const { words, slots } = encode(instruction)
      const failure = (() => {
        try {
          new JsProgram(words).run(slots, (i) => ({ what: `op ${i}` }))
        } catch (error) {
          return error as DataError
        }
        return undefined
      })()
      expect(failure).toBeInstanceOf(DataError)
      expect(failure?.code).toBe('ERR_INDEX_RANGE')
      expect(failure?.message).toMatch(/^op 0: index (3|-1|2) at position [12] is out of range/)
      expect(read(y)).toEqual([1, 2, 3, 4])
    }
  })

  it('refuse slots that are missing, short or misaligned', () => {
    const x = numbers([4])
    const { words, slots } = encode(negate(x, packed('float32', [4])))
    const program = new JsProgram(words)
    const bad = [[slots[0]], [slots[0], slots[1].subarray(0, 15)], [slots[0], new Uint8Array(new ArrayBuffer(20), 1, 16)]]
    for (const given of bad) expect(() => program.run(given)).toThrowError(expect.objectContaining({ code: 'ERR_BUFFER_DETACHED' }))
    structuredClone(slots[0].buffer, { transfer: [slots[0].buffer as ArrayBuffer] })
    expect(() => program.run(slots)).toThrowError(expect.objectContaining({ code: 'ERR_BUFFER_DETACHED' }))
  })

  it('draw random numbers from floats stored as bits', () => {
    const y = packed('float32', [1])
    run({ opcode: Opcode.random, inputs: [ints([4], [0, 0, 0, 0])], outputs: [y], scalars: [0, bitsOfFloat(3), bitsOfFloat(3), 0] })
    expect(read(y)).toEqual([3])
  })
})
