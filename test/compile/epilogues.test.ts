/**
 * What is fused behind an instruction, over every way in which its operand can be broadcast, every output with sizes of 1, and every layout of the
 * operand: the compiled result is the eager one, under each instruction set. Whatever lies beside an operand in memory is NaN.
 */
import { describe, it } from 'vitest'
import { compile, conv1d, conv2d, convTranspose2d, manualSeed, matmul, rand, randn, type Tensor, tensor, zeros } from '../../src/index.js'
import { eachIsa, hasNative, onJs } from '../support/backends.js'
import { expectClose } from '../support/compare.js'

type Shape = readonly number[]
const product = (shape: Shape): number => shape.reduce((n, d) => n * d, 1)

/** Memory around an operand, and the way to see the operand in it: both are known inside the compiled function alone. */
interface Operand {
  readonly memory: Tensor
  see(memory: Tensor): Tensor
}

function filled(shape: Shape): Tensor {
  return tensor(new Float32Array(product(shape)).fill(Number.NaN), { shape: [...shape] })
}

const layouts: Record<string, (shape: Shape, full: Shape) => Operand> = {
  'end to end': (shape) => {
    const n = product(shape)
    const memory = filled([n + 32])
    memory.narrow(0, 16, n).assign(rand([n]))
    return { memory, see: (m) => m.narrow(0, 16, n).reshape([...shape]) }
  },
  'in steps': (shape) => {
    const last = shape.length - 1
    const memory = filled(shape.map((d, i) => (i === last ? 2 * d + 3 : d + 1)))
    const see = (m: Tensor): Tensor => shape.reduce((t, d, i) => (i === last ? t.slice(i, 1, 1 + 2 * d, 2) : t.narrow(i, 1, d)), m)
    see(memory).assign(rand([...shape]))
    return { memory, see }
  },
  backwards: (shape) => {
    const see = (m: Tensor): Tensor => shape.reduce((t, d, i) => (d === 0 ? t : t.slice(i, -1, undefined, -1)), m)
    return { memory: rand([...shape]), see }
  },
  'in the other order': (shape) => {
    const order = shape.map((_, i) => shape.length - 1 - i)
    return { memory: rand([...shape].reverse()), see: (m) => m.permute(order) }
  },
  'spread out': (shape, full) => ({ memory: rand([...shape]), see: (m) => m.expand([...full]) }),
}

/** Instructions that take an epilogue, by the shape of their result. */
const products: Record<string, { sizes: Shape[]; inputs(shape: Shape): Tensor[]; call(...inputs: Tensor[]): Tensor }> = {
  'conv2d of few channels': {
    sizes: sizesOf([1, 2], [1, 5], [1, 5], [1, 9]),
    inputs: ([n, c, h, w]) => [randn([n, 2, h, w]), randn([c, 2, 3, 3])],
    call: (x, w) => conv2d(x, w, { padding: 1 }),
  },
  'conv2d of many channels': {
    sizes: sizesOf([1, 2], [1, 5], [1, 5], [1, 9]),
    inputs: ([n, c, h, w]) => [randn([n, 24, h + 2, w + 2]), randn([c, 24, 3, 3])],
    call: (x, w) => conv2d(x, w),
  },
  'conv2d as wide as its input': {
    sizes: sizesOf([2], [3], [1, 7], [1]),
    inputs: ([n, c, h]) => [randn([n, 1, h + 2, 16]), randn([c, 1, 3, 16])],
    call: (x, w) => conv2d(x, w),
  },
  'conv2d of points': {
    sizes: sizesOf([1, 3], [1, 17], [1, 5], [1, 9]),
    inputs: ([n, c, h, w]) => [randn([n, 19, h, w]), randn([c, 19, 1, 1])],
    call: (x, w) => conv2d(x, w),
  },
  'conv2d of each channel': {
    sizes: sizesOf([1, 2], [1, 5], [1, 5], [1, 9]),
    inputs: ([n, c, h, w]) => [randn([n, c, h, w]), randn([c, 1, 3, 3])],
    call: (x, w) => conv2d(x, w, { padding: 1, groups: w.shape[0] }),
  },
  'conv2d by transforms': {
    sizes: sizesOf([1], [16], [16, 17], [16, 23]),
    inputs: ([n, c, h, w]) => [randn([n, 16, h, w]), randn([c, 16, 3, 3])],
    call: (x, w) => conv2d(x, w, { padding: 1 }),
  },
  'convTranspose2d in steps': {
    sizes: sizesOf([1, 2], [1, 5], [1, 5], [1, 9]),
    inputs: ([n, c, h, w]) => [randn([n, 3, (h + 1) / 2, (w + 1) / 2]), randn([3, c, 3, 3])],
    call: (x, w) => convTranspose2d(x, w, { stride: 2, padding: 1 }),
  },
  conv1d: {
    sizes: sizesOf([1, 2], [1, 5], [1, 9]),
    inputs: ([n, c, l]) => [randn([n, 3, l]), randn([c, 3, 3])],
    call: (x, w) => conv1d(x, w, { padding: 1 }),
  },
  matmul: {
    sizes: sizesOf([1, 3], [1, 5], [1, 33]),
    inputs: ([b, m, n]) => [randn([b, m, 40]), randn([40, n])],
    call: (a, b) => matmul(a, b),
  },
  'matmul of each pair': {
    sizes: sizesOf([1, 2], [1, 3], [1, 5], [1, 17]),
    inputs: ([a, b, m, n]) => [randn([a, b, m, 7]), randn([a, b, 7, n])],
    call: (a, b) => matmul(a, b),
  },
  'matmul of the other order': {
    sizes: sizesOf([1, 3], [1, 5], [1, 33]),
    inputs: ([b, m, n]) => [randn([b, n, 40]), randn([40, m])],
    call: (a, b) => matmul(a, b).transpose(),
  },
  'sum of rows': {
    sizes: sizesOf([1, 2], [1, 5], [1, 9]),
    inputs: ([a, b, c]) => [randn([a, b, c, 11])],
    call: (x) => x.sum({ dim: -1 }),
  },
  'sum of columns': {
    sizes: sizesOf([1, 2], [1, 5], [1, 9]),
    inputs: ([a, b, c]) => [randn([a, 11, b, c])],
    call: (x) => x.sum({ dim: 1 }),
  },
}

/** All shapes of these sizes. */
function sizesOf(...sizes: number[][]): Shape[] {
  return sizes.reduce<number[][]>((shapes, options) => shapes.flatMap((s) => options.map((o) => [...s, o])), [[]])
}

/** All shapes that broadcast to `shape`, from all ones to the shape itself. */
function broadcast(shape: Shape): Shape[] {
  return [...new Set(sizesOf(...shape.map((d) => (d === 1 ? [1] : [1, d]))))]
}

/** What is done with the product `y`, the operand `p` under test and a dense `q`. */
const epilogues: ((y: Tensor, p: Tensor, q: Tensor) => Tensor[])[] = [
  (y, p) => [y.add(p)],
  (y, p) => [y.mul(p)],
  (y, p, q) => [p.add(y).add(q).relu()],
  (y, p, q) => [q.add(y).add(p)],
  (y, p) => [y.add(p), y.relu()],
  (y, p) => [y.lt(p).to('float32')],
]

function run(name: string, seed: number): void {
  const { sizes, inputs, call } = products[name]
  let turn = seed
  for (const size of sizes) {
    manualSeed(turn)
    const given = inputs(size)
    const full = call(...given).shape
    for (const shape of broadcast(full)) {
      const [how, layout] = Object.entries(layouts)[turn % 5]
      const epilogue = epilogues[turn % epilogues.length]
      turn++
      const { memory, see } = layout(shape, full)
      const q = rand([...full])
      const f = (m: Tensor, q: Tensor, ...x: Tensor[]): Tensor[] => epilogue(call(...x), see(m), q)
      const expected = f(memory, q, ...given)
      const compiled = compile(f).sync(memory, q, ...given)
      const what = `${name} [${full}], operand [${shape}] ${how}, epilogue ${epilogues.indexOf(epilogue)}`
      compiled.forEach((t, i) => void expectClose(what, t, expected[i], 2e-5))
    }
  }
}

describe.each(Object.keys(products))('behind %s', (name) => {
  it.runIf(hasNative)('every operand is read as eager code reads it', () => {
    let seed = 0
    // five layouts and six epilogues meet all patterns in turns
    eachIsa(() => {
      for (const start of [0, 7, 13]) run(name, seed + start)
      seed += 17
    })
  })

  it('so it is on the TypeScript backend', () => {
    onJs(() => run(name, 1))
  })
})

describe('fused operands that vary along a line alone', () => {
  it.runIf(hasNative)('a row behind a convolution, and the bias of one as wide as its input', () => {
    eachIsa((isa) => {
      const x = tensor(
        Float32Array.from({ length: 12 }, (_, i) => i),
        { shape: [1, 1, 3, 4] },
      )
      const one = tensor([[[[1]]]])
      const row = compile((x: Tensor, r: Tensor) => conv2d(x, one).mul(r)).sync(x, tensor([1, 10, 100, 1000]))
      expectClose(
        isa,
        row,
        tensor([
          [
            [
              [0, 10, 200, 3000],
              [4, 50, 600, 7000],
              [8, 90, 1000, 11000],
            ],
          ],
        ]),
        0,
      )
      const bias = compile((b: Tensor) => conv2d(zeros([1, 1, 3, 4]), zeros([3, 1, 1, 4])).add(b.reshape([3, 1, 1]))).sync(
        tensor([1, 2, 3]),
      )
      expectClose(
        isa,
        bias,
        tensor([
          [
            [[1], [1], [1]],
            [[2], [2], [2]],
            [[3], [3], [3]],
          ],
        ]),
        0,
      )
    })
  })
})
