/**
 * Random programs (fast-check): the graph run op by op in TypeScript, the planned and fused program in TypeScript with a poisoned arena, and the
 * native program must agree; and so must sequences of writes to state.
 */
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { assign, type Compiled, compile, concat, maximum, type Tensor, tensor, where } from '../../src/index.js'
import { backends, onJs, onNative } from '../support/backends.js'
import { generator } from '../support/cases.js'
import { expectClose } from '../support/compare.js'

// both runtimes read it when they are loaded, and imports come first
vi.hoisted(() => {
  process.env.CHAINRULE_POISON = '1'
})

const runs = Number(process.env.CHAINRULE_FUZZ_RUNS ?? 150)

/** One step of a random program: which operation, and which earlier values it takes. */
interface Step {
  readonly kind: number
  readonly a: number
  readonly b: number
  readonly n: number
}

const stepArbitrary: fc.Arbitrary<Step> = fc.record({ kind: fc.nat(1000), a: fc.nat(1000), b: fc.nat(1000), n: fc.nat(1000) })

const pick = <T>(list: readonly T[], k: number): T => list[k % list.length]

/** Values stay within about one, so that float32 results can be compared. */
const tame = (x: Tensor): Tensor => x.tanh()

type Operation = (x: Tensor, y: Tensor, n: number) => Tensor | undefined

const fits = (x: Tensor, y: Tensor): boolean => {
  const rank = Math.min(x.ndim, y.ndim)
  for (let i = 1; i <= rank; i++) {
    const [p, q] = [x.shape[x.ndim - i], y.shape[y.ndim - i]]
    if (p !== q && p !== 1 && q !== 1) return false
  }
  return true
}
const small = (x: Tensor): boolean => x.size <= 4096 && x.ndim <= 4

const operations: Operation[] = [
  (x, y) => (fits(x, y) ? x.add(y) : undefined),
  (x, y) => (fits(x, y) ? x.mul(y) : undefined),
  (x, y) => (fits(x, y) ? x.sub(y).mul(0.5) : undefined),
  (x, y) => (fits(x, y) ? maximum(x, y) : undefined),
  (x, y) => (fits(x, y) ? where(x.lt(y), x, y.mul(0.3)) : undefined),
  (x, y) => (fits(x, y) ? x.div(y.square().add(1)) : undefined),
  (x) => x.tanh(),
  (x) => x.relu(),
  (x) => x.mul(0.5).exp(),
  (x) => x.sigmoid(),
  (x) => x.gt(0.1).to(x.dtype).mul(x),
  (x) => x.abs().add(0.5).sqrt(),
  (x, _y, n) => (x.ndim > 0 ? x.mean({ dim: n % x.ndim }) : x),
  (x, _y, n) => (x.ndim > 0 ? x.sum({ dim: n % x.ndim, keepdim: true }).mul(0.1) : x),
  (x, _y, n) => (x.ndim > 0 && x.size > 0 ? x.amax({ dim: n % x.ndim, keepdim: n % 2 === 0 }) : undefined),
  (x) => x.square().mean(),
  (x) => (x.ndim > 0 && x.size > 0 ? x.softmax() : undefined),
  (x, y) => (x.ndim === 2 && y.ndim === 2 && x.shape[1] === y.shape[0] ? x.matmul(y).mul(0.3) : undefined),
  (x, y) => (x.ndim === 2 && y.ndim === 2 && x.shape[1] === y.shape[1] ? x.matmul(y.transpose()).mul(0.3) : undefined),
  (x, y) => (x.ndim === 2 && y.ndim === 2 && x.shape[0] === y.shape[0] ? x.transpose().matmul(y).mul(0.3) : undefined),
  (x) => (x.ndim >= 2 ? x.transpose() : undefined),
  (x, _y, n) => (x.ndim > 0 ? x.slice(n % x.ndim, n % 2) : undefined),
  (x, _y, n) => (x.ndim > 0 ? x.slice(n % x.ndim, undefined, undefined, (n % 3) + 1) : undefined),
  (x) => (x.ndim > 0 && x.size > 0 ? x.slice(-1, -1, undefined, -1) : undefined),
  (x) => x.reshape([-1]),
  (x, _y, n) => x.unsqueeze(n % (x.ndim + 1)),
  (x) => (x.ndim > 0 ? x.expand([2, ...x.shape]) : undefined),
  (x, _y, n) => (x.ndim > 0 ? x.pad([n % 3, (n + 1) % 2]) : undefined),
  (x, y) => (x.ndim > 0 && x.ndim === y.ndim && x.shape.slice(1).join() === y.shape.slice(1).join() ? concat([x, y]) : undefined),
  (x) => (x.ndim > 0 && x.shape[0] > 0 ? x.at(0) : undefined),
]

/** Runs the steps on the inputs; returns all values nobody else used, and a few that were. */
function interpret(steps: readonly Step[], inputs: readonly Tensor[]): Tensor[] {
  const values = [...inputs]
  const used = new Set<Tensor>()
  for (const { kind, a, b, n } of steps) {
    const [x, y] = [pick(values, a), pick(values, b)]
    const result = pick(operations, kind)(x, y, n)
    if (result === undefined || result.size === 0 || !small(result)) continue
    used.add(x)
    used.add(y)
    values.push(kind % 7 === 0 ? tame(result) : result)
  }
  return values.filter((v, i) => i >= inputs.length && (!used.has(v) || i % 5 === 0))
}

const shapes = [[4, 5], [5], [5, 4], [1, 5], [], [4, 1], [3, 4, 5], [17]]

function inputsFor(seed: number): Tensor[] {
  const random = generator(`inputs ${seed}`)
  return shapes.map((shape) =>
    tensor(
      Float32Array.from({ length: shape.reduce((p, d) => p * d, 1) }, () => random() * 2 - 1),
      { shape },
    ),
  )
}

function agree(actual: readonly Tensor[], expected: readonly Tensor[], what: string): void {
  expect(actual.length).toBe(expected.length)
  actual.forEach((t, i) => expectClose(`${what}, result ${i}`, t, expected[i], 1e-4))
}

describe('random programs', () => {
  it('give the same compiled as op by op', () => {
    process.env.NODE_ENV = 'production'
    fc.assert(
      fc.property(fc.array(stepArbitrary, { minLength: 1, maxLength: 24 }), fc.nat(1000), fc.boolean(), (steps, seed, captures) => {
        const inputs = inputsFor(seed)
        const expected = onJs(() =>
          interpret(
            steps,
            inputs.map((t) => t.to('float64')),
          ),
        )
        agree(
          onJs(() => interpret(steps, inputs)),
          expected,
          'js eager',
        )
        for (const which of backends) {
          const on = which === 'js' ? onJs : onNative
          const f: Compiled<Tensor[], Tensor[]> = captures
            ? compile(() => interpret(steps, inputs))
            : compile((...x: Tensor[]) => interpret(steps, x))
          const result = on(() => (captures ? f.sync() : f.sync(...inputs)))
          agree(result, expected, `${which} compiled`)
          agree(
            on(() => (captures ? f.sync() : f.sync(...inputs))),
            expected,
            `${which} compiled, again`,
          )
          if (which === 'native')
            agree(
              onNative(() => interpret(steps, inputs)),
              expected,
              'native eager',
            )
        }
      }),
      { numRuns: runs },
    )
  })

  it('have the same gradients compiled as op by op', () => {
    process.env.NODE_ENV = 'production'
    const train = (steps: readonly Step[], leaves: readonly Tensor[]): Tensor => {
      for (const l of leaves) l.grad = undefined
      const results = interpret(steps, leaves)
      const loss = results.reduce((sum, r) => sum.add(r.mul(0.3).mean()), leaves[0].mean())
      loss.backward()
      return loss
    }
    fc.assert(
      fc.property(fc.array(stepArbitrary, { minLength: 1, maxLength: 16 }), fc.nat(1000), (steps, seed) => {
        const leavesOf = (): Tensor[] =>
          inputsFor(seed).map((t) => {
            t.requiresGrad = true
            return t
          })
        const eager = leavesOf()
        onJs(() => train(steps, eager))
        for (const which of backends) {
          const leaves = leavesOf()
          ;(which === 'js' ? onJs : onNative)(() => {
            const f = compile(() => train(steps, leaves))
            f.sync()
            f.sync()
          })
          leaves.forEach((l, i) => {
            expect(l.grad === undefined, `${which} gradient ${i}`).toBe(eager[i].grad === undefined)
            if (l.grad !== undefined) expectClose(`${which} gradient ${i}`, l.grad, eager[i].grad as Tensor, 1e-3)
          })
        }
      }),
      { numRuns: Math.ceil(runs / 2) },
    )
  })
})

describe('random effects', () => {
  /** Writes among three states of one shape and one of another, from each other, arguments and numbers. */
  const effects: ((s: Tensor[], x: Tensor, n: number, k: number) => Tensor | undefined)[] = [
    (s, _x, n, k) => void assign(s[n % 3], s[k % 3]),
    (s, x, n) => void assign(s[n % 3], x),
    (s, x, n, k) => void assign(s[n % 3], s[k % 3].mul(0.5).add(x)),
    (s, _x, n, k) => void assign(s[n % 3], s[k % 3].transpose()),
    (s, _x, n) => void assign(s[n % 3], n * 0.25),
    (s, _x, n, k) => void assign(s[n % 3], s[k % 3].sum({ dim: 0 }).mul(0.1)),
    (s, _x, n) => void assign(s[3], s[n % 3].mean({ dim: n % 2 })),
    (s, _x, n) => void assign(s[n % 3], s[3].sub(s[n % 3])),
    (s, _x, n) => s[n % 4].mul(1),
    (s, x, n) => s[n % 3].matmul(x).mul(0.1),
    (s, _x, n) => s[n % 3].at(1),
    (_s, x) => x,
  ]

  it('write the same as eager code, call after call', () => {
    process.env.NODE_ENV = 'production'
    fc.assert(
      fc.property(fc.array(stepArbitrary, { minLength: 1, maxLength: 12 }), fc.nat(5), (steps, aliased) => {
        const make = (): Tensor[] => [
          tensor([
            [1, 2],
            [3, 4],
          ]),
          tensor([
            [-1, 0.5],
            [0.25, 2],
          ]),
          tensor([
            [0, 1],
            [1, 0],
          ]),
          tensor([0.5, -0.5]),
        ]
        const run = (s: Tensor[], x: Tensor): Tensor[] =>
          steps.flatMap(({ kind, a, b }) => pick(effects, kind)(s, x, a, b) ?? []).map((t) => t.mul(1))
        const x = tensor([
          [0.1, -0.2],
          [0.3, 0.4],
        ])
        const eager = make()
        const expected = onJs(() => [1, 2, 3].map(() => run(eager, aliased < 3 ? eager[aliased].clone() : x)))
        for (const which of backends) {
          ;(which === 'js' ? onJs : onNative)(() => {
            const states = make()
            const f = compile((x: Tensor) => run(states, x))
            for (const e of expected) agree(f.sync(aliased < 3 ? states[aliased] : x), e, `${which} result`)
            agree(states, eager, `${which} state`)
          })
        }
      }),
      { numRuns: runs * 2 },
    )
  })
})
