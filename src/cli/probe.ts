/**
 * The self-test that `doctor` runs in a process for each instruction set: a small problem for each kernel family. Out: the results, as numbers
 * to compare with those of the TypeScript backend, and the speed of matrix products beside the machine's peak.
 */
import { createRequire } from 'node:module'
import type { Tensor } from '../index.js'
import * as cr from '../index.js'

export interface ProbeResult {
  readonly environment: cr.Environment
  /** By family; a message where it failed. */
  readonly results: Record<string, number[] | string>
  /** GFLOP/s of a 512 × 512 × 512 product, best of several, and of multiply-adds in registers; not measured on the TypeScript backend. */
  readonly gflops?: number
  readonly peak?: number
}

/** Numbers in [-1, 1) that look random and need no generator. */
function wave(shape: number[], step: number): Tensor {
  const size = shape.reduce((n, d) => n * d, 1)
  return cr.tensor(
    Float32Array.from({ length: size }, (_, i) => ((i * step + 0.37) % 1) * 2 - 1),
    { shape },
  )
}

/** The sum of squares' gradient in each input, and the result itself. */
function withGradients(fn: (...inputs: Tensor[]) => Tensor, ...inputs: Tensor[]): Tensor[] {
  for (const t of inputs) t.requiresGrad = true
  const y = fn(...inputs)
  y.mul(y).sum().backward()
  return [y, ...inputs.map((t) => t.grad as Tensor)]
}

/** All shapes that come of a shape by making some of its sizes 1. */
function withOnes(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>(
    (made, d) =>
      made.flatMap((s) =>
        d === 1
          ? [[...s, 1]]
          : [
              [...s, 1],
              [...s, d],
            ],
      ),
    [[]],
  )
}

type Call = (...inputs: Tensor[]) => Tensor

/** What takes an epilogue: the call, and the shapes of its inputs for a result of this shape. */
const products: Record<string, [call: Call, inputs: (shape: number[]) => number[][]]> = {
  convolution: [
    (x, w) => cr.conv2d(x, w, { padding: 1 }),
    ([n, c, h, w]) => [
      [n, 2, h, w],
      [c, 2, 3, 3],
    ],
  ],
  points: [
    (x, w) => cr.conv2d(x, w),
    ([n, c, h, w]) => [
      [n, 19, h, w],
      [c, 19, 1, 1],
    ],
  ],
  transposed: [
    (x, w) => cr.convTranspose2d(x, w, { stride: 2, padding: 1 }),
    ([n, c, h, w]) => [
      [n, 3, (h + 1) / 2, (w + 1) / 2],
      [3, c, 3, 3],
    ],
  ],
  transformed: [
    (x, w) => cr.conv2d(x, w, { padding: 1 }),
    ([n, c]) => [
      [n, 16, 12, 16],
      [8 * c, 16, 3, 3],
    ],
  ],
  product: [
    (a, b) => cr.matmul(a, b),
    ([a, b, m, n]) => [
      [a, b, m, 7],
      [a, b, 7, n],
    ],
  ],
  sum: [(x) => x.sum({ dim: -1 }), (shape) => [[...shape, 11]]],
}

/** A product of each shape, with operands of every way to broadcast fused behind it: many at a time, and each alone where that is a form of its own. */
function epilogues(name: string): Tensor[] {
  const [call, inputsOf] = products[name]
  return withOnes(name === 'transformed' ? [1, 3] : [2, 3, 5, 9]).flatMap((size) => {
    const inputs = inputsOf(size).map((shape, i) => wave(shape, 0.618 - 0.2 * i))
    const shape = call(...inputs).shape as number[]
    const operands = withOnes(shape).map((s, i) => wave(s, 0.732 + i / 100))
    const behind = cr.compile((x: Tensor[], p: Tensor[]) => p.map((t, i) => (i % 2 === 0 ? call(...x).add(t) : call(...x).mul(t))))
    const alone = cr.compile((x: Tensor[], p: Tensor) =>
      call(...x)
        .add(p)
        .relu(),
    )
    // along the channels, along a line, and all of it
    const forms = [[shape[1], 1, 1], [shape[3]], shape].map((s) => wave(s, 0.55))
    return [...behind.sync(inputs, operands), ...forms.map((p) => alone.sync(inputs, p))]
  })
}

/** The same operation on the same numbers in other layouts. */
function layouts(x: Tensor): Tensor[] {
  const flipped = x.slice(0, -1, undefined, -1)
  return [x, x.transpose(0, 1).clone().transpose(0, 1), flipped, x.slice(1, 1, undefined, 2), x.narrow(0, 0, 1).expand(x.shape)]
}

/** A problem for each kernel family, with odd sizes, so that edges and tails run as well. */
const families: Record<string, () => Tensor[] | Promise<Tensor[]>> = {
  map: () => [
    cr
      .exp(wave([1003], 0.618))
      .add(cr.tanh(wave([1003], 0.414)))
      .mul(cr.sigmoid(wave([1003], 0.732))),
  ],
  reduce: () => [wave([37, 53], 0.618).sum({ dim: 0 }), wave([37, 53], 0.618).amax({ dim: 1 })],
  gemm: () => withGradients((a, b) => cr.matmul(a, b), wave([65, 83], 0.618), wave([83, 47], 0.414)),
  conv2d: () => withGradients((x, w) => cr.conv2d(x, w, { padding: 1 }), wave([2, 5, 13, 11], 0.618), wave([7, 5, 3, 3], 0.414)),
  pool: () => [...withGradients((x) => cr.maxPool2d(x, 2), wave([2, 3, 9, 8], 0.618)), cr.avgPool2d(wave([2, 3, 9, 8], 0.618), 2)],
  softmax: () => [
    ...withGradients((x) => cr.softmax(x, -1), wave([9, 21], 0.618)),
    cr.losses.crossEntropy(wave([5, 11], 0.618), [3, 0, 10, 7, 2]),
  ],
  gather: () => withGradients((x) => cr.indexSelect(x, [4, 0, 4, 2], 0), wave([6, 19], 0.618)),
  random: () => {
    cr.manualSeed(7)
    return [cr.rand([101]), cr.randn([101])]
  },
  ...Object.fromEntries(Object.keys(products).map((name) => [`fused behind ${name}`, () => epilogues(name)])),
  'fused before sums': () =>
    withOnes([3, 5, 9]).flatMap((size) => {
      const sums = cr.compile((x: Tensor, p: Tensor[]) => p.flatMap((t) => [x.add(t).sum({ dim: 1 }), x.mul(t).amax({ dim: [0, 2] })]))
      return sums.sync(
        wave(size, 0.618),
        withOnes(size).map((s, i) => wave(s, 0.414 + i / 50)),
      )
    }),
  'empty instructions': () => {
    const none = cr.zeros([0, 4])
    const x = wave([7], 0.618)
    const scale = new cr.nn.Parameter(wave([7], 0.414))
    const first = cr.compile((none: Tensor, x: Tensor) => [none.div(32), scale.mul(scale).mul(x), none.sum({ dim: 1 }), x.cumsum(0)])
    return [1, 2, 3].flatMap(() => first.sync(none, x))
  },
  'strided operands': () =>
    layouts(wave([13, 17], 0.618)).flatMap((x) => [
      cr.softmax(x, -1),
      x.sum({ dim: 0 }),
      x.add(1),
      cr.matmul(x, x.transpose()),
      x.cumsum(0),
    ]),
  norm: () => [
    ...withGradients((x, w) => cr.layerNorm(x, [21], { weight: w }), wave([9, 21], 0.618), wave([21], 0.414)),
    new cr.nn.BatchNorm2d(3).forward(wave([4, 3, 5, 7], 0.618)),
  ],
  attention: () =>
    withGradients(
      (q, k, v) => cr.scaledDotProductAttention(q, k, v),
      wave([1, 2, 9, 5], 0.618),
      wave([1, 2, 7, 5], 0.414),
      wave([1, 2, 7, 5], 0.732),
    ),
  recurrent: () => {
    cr.manualSeed(5)
    return withGradients((x) => new cr.nn.LSTM(5, 7).forward(x)[0], wave([4, 3, 5], 0.618))
  },
  'sort and scan': () => [cr.sort(wave([5, 61], 0.618), { dim: 1 }).values, wave([5, 61], 0.618).cumsum(1)],
  linalg: () => [cr.solve(wave([5, 5], 0.618).add(cr.eye(5).mul(4)), wave([5, 3], 0.414))],
  program: async () => {
    cr.manualSeed(3)
    const net = new cr.nn.Sequential(new cr.nn.Linear(13, 17), new cr.nn.ReLU(), new cr.nn.Linear(17, 3))
    const optimizer = new cr.optim.Adam(net.parameters(), { lr: 1e-2 })
    const step = cr.compile((x: Tensor, y: Tensor) => {
      const loss = cr.losses.crossEntropy(net.forward(x), y)
      optimizer.zeroGrad()
      loss.backward()
      optimizer.step()
      return loss
    })
    const x = wave([8, 13], 0.618)
    const y = cr.tensor([0, 1, 2, 0, 1, 2, 0, 1], { dtype: 'int32' })
    const losses: Tensor[] = []
    for (let i = 0; i < 5; i++) losses.push((await step(x, y)) as Tensor)
    return losses
  },
}

/** Runs every family. A failure of one is part of the result. */
export async function probe(): Promise<ProbeResult> {
  const environment = cr.environment()
  const results: Record<string, number[] | string> = {}
  for (const [name, run] of Object.entries(families)) {
    try {
      results[name] = (await run()).flatMap((t) => Array.from(t.data as Float32Array))
    } catch (error) {
      results[name] = error instanceof Error ? error.message : String(error)
    }
  }
  return { environment, results, ...(environment.binary === undefined ? {} : measureProducts(environment.binary)) }
}

/** Products and the peak in turn, so that both had their chance on a machine that does other things as well. */
function measureProducts(binary: string): { gflops: number; peak: number } {
  // the library has loaded it: this is the same addon
  const addon = createRequire(import.meta.url)(binary) as { peak(): number }
  const n = 512
  const [a, b, out] = [wave([n, n], 0.618), wave([n, n], 0.414), wave([n, n], 0.3)]
  let [best, peak] = [Number.POSITIVE_INFINITY, 0]
  for (let round = 0; round < 4; round++) {
    const end = performance.now() + 40
    while (performance.now() < end) {
      const start = performance.now()
      cr.matmul(a, b, { out })
      best = Math.min(best, performance.now() - start)
    }
    peak = Math.max(peak, addon.peak())
  }
  return { gflops: (2 * n ** 3) / (best * 1e6), peak }
}
