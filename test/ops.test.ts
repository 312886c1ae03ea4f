/**
 * What every op must do, derived from the list in ops.cases.ts: typed errors; graph in TypeScript, program in TypeScript and native results equal to
 * float64 references, for odd sizes, through strided views and on every instruction set; the same bits with any number of threads; gradients
 * of first and second order; the same result inside a fused chain and into `out`.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isFloat } from '../src/base/dtype.js'
import { ChainruleError, compile, empty, enableGrad, type Tensor, tensor } from '../src/index.js'
import { cases } from './ops.cases.js'
import { backends, eachIsa, eachThreadCount, hasNative, onJs, onNative } from './support/backends.js'
import { type Case, doubles, layouts, makeInputs } from './support/cases.js'
import { expectClose, expectSame } from './support/compare.js'
import { beforeChain, chained, directional, firstOrder, gradientOf, secondOrder } from './support/derive.js'
import { guarded } from './support/guards.js'

type Call = (...inputs: Tensor[]) => Tensor

/** Thousands of programs are compiled here; what development adds (a second trace, stacks) is tried once a case, where it is awaited. */
const environment = process.env.NODE_ENV
beforeAll(() => {
  process.env.NODE_ENV = 'production'
})
afterAll(() => {
  process.env.NODE_ENV = environment
})

const shown = (inputs: readonly Tensor[]): string => inputs.map((t) => `[${t.shape.join(', ')}]`).join(' ')
const sync = (f: Call, inputs: readonly Tensor[]): Tensor => compile(f).sync(...inputs)
const captured = (f: Call, inputs: readonly Tensor[]): Tensor => compile(() => f(...inputs)).sync()

/** Runs `f` every way there is and compares with what it gives in float64. */
function everyWay(what: string, f: Call, inputs: readonly Tensor[], tolerance: number, reference: Tensor, run: typeof sync = sync): void {
  expectClose(
    `${what}, js eager`,
    onJs(() => f(...inputs)),
    reference,
    tolerance,
  )
  expectClose(
    `${what}, js compiled`,
    onJs(() => run(f, inputs)),
    reference,
    tolerance,
  )
  if (!hasNative) return
  eachIsa((isa) => expectClose(`${what}, ${isa} eager`, f(...inputs), reference, tolerance))
  expectClose(
    `${what}, native compiled`,
    onNative(() => run(f, inputs)),
    reference,
    tolerance,
  )
}

const exactly = (f: Call, inputs: readonly Tensor[]): Tensor => onJs(() => f(...doubles(inputs)))

/** What is passed instead of a tensor. */
const strangers: unknown[] = [undefined, null, 'x', {}, [1], () => 1, Symbol('s'), 1n]

function expectTyped(what: string, call: () => unknown): void {
  let error: unknown
  try {
    call()
  } catch (e) {
    error = e
  }
  // a case that calls a method of what it is given fails by itself
  const top = error instanceof Error ? error.stack?.split('\n').find((l) => l.trim().startsWith('at ')) : undefined
  const own = error instanceof TypeError && top !== undefined && /ops\.cases|test.cases/.test(top)
  if (own || error instanceof ChainruleError) return
  expect.fail(`${what}: expected a typed error, received ${error === undefined ? 'none' : (error as Error).stack}`)
}

const specials = [
  0,
  -0,
  1,
  -1,
  0.5,
  -2.5,
  3,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  Number.NaN,
  1e-45,
  -1e-40,
  1.2e-38,
  3.4e38,
  -3.4e38,
  88.5,
  89,
  -87,
  -104,
  1e10,
  16777217,
]

function specialInputs(c: Case): Tensor[] {
  const list = Float32Array.from(specials)
  const n = list.length
  if (c.inputs.length === 1) return [tensor(list)]
  return [tensor(list, { shape: [n, 1] }), tensor(list)].map((t) => t.expand([n, n]))
}

function testErrors(c: Case): void {
  for (const which of backends) {
    const on = which === 'js' ? onJs : onNative
    on(() => {
      for (const [what, call] of c.bad) expectTyped(`${which}, ${what}`, call)
      const inputs = makeInputs(c, c.sizes[0])
      for (let i = 0; i < inputs.length; i++) {
        for (const s of strangers.filter((x) => !c.accepts?.(x)))
          expectTyped(`${which}, input ${i} is ${String(s)}`, () => c.call(...inputs.map((t, k) => (k === i ? (s as Tensor) : t))))
      }
    })
  }
}

function testLayouts(c: Case): void {
  for (const shapes of [c.sizes[0], c.sizes[c.sizes.length - 1]]) {
    for (const [name, layout] of Object.entries(layouts)) {
      const plain = makeInputs(c, shapes)
      const inputs = plain.map((t) => layout(t) ?? t)
      if (inputs.every((t, i) => t === plain[i])) continue
      everyWay(`${name} ${shown(inputs)}`, c.call, inputs, c.tolerance, exactly(c.call, inputs), captured)
    }
  }
}

function testThreads(c: Case, large: NonNullable<Case['large']>): void {
  const inputs = makeInputs(c, large)
  const reference = onJs(() => c.call(...inputs))
  let first: Tensor | undefined
  const compiled = compile(c.call)
  eachThreadCount((threads) => {
    const result = c.call(...inputs)
    first ??= result
    expectClose(`${threads} threads`, result, reference, c.tolerance * 10)
    expectSame(`${threads} threads against 1`, result, first)
  })
  let program: Tensor | undefined
  eachThreadCount((threads) => {
    const result = compiled.sync(...inputs)
    program ??= result
    expectClose(`${threads} threads, compiled`, result, reference, c.tolerance * 10)
    expectSame(`${threads} threads, compiled, against 1`, result, program)
  })
}

/** Only native code can write beside its outputs; gradients have kernels of their own. */
function testGuards(c: Case): void {
  const last = c.sizes.length - 1
  c.sizes.forEach((shapes, i) => {
    const inputs = makeInputs(c, shapes)
    eachIsa((isa) => {
      const what = `${isa} ${shown(inputs)}`
      const { shape } = guarded(`${what}, eager`, () => c.call(...inputs))
      if (i > 0 && i < last) return
      guarded(`${what}, compiled`, () => sync(c.call, inputs))
      if (c.gradient && i === 0) enableGrad(() => guarded(`${what}, gradient`, () => gradientOf(c, shape, 'float32')(...inputs)))
    })
  })
}

function testOut(c: Case, into: NonNullable<Case['into']>): void {
  const inputs = makeInputs(c, c.sizes[0])
  const reference = onJs(() => c.call(...inputs))
  for (const which of backends) {
    const on = which === 'js' ? onJs : onNative
    on(() => {
      const guard = 16
      const memory = tensor(new Float32Array(reference.size + 2 * guard).fill(77))
      const out = memory.narrow(0, guard, reference.size).reshape(reference.shape)
      expect(into(out, ...inputs)).toBe(out)
      expectClose(`${which}, into out`, out, reference, c.tolerance)
      const around = [...memory.data.slice(0, guard), ...memory.data.slice(guard + reference.size)]
      expect(
        around.every((x) => x === 77),
        `${which}, memory around out`,
      ).toBe(true)
      const strided = empty([...reference.shape].reverse()).permute(reference.shape.map((_, i) => reference.shape.length - 1 - i))
      into(strided, ...inputs)
      expectClose(`${which}, into strided out`, strided, reference, c.tolerance)
      expectTyped(`${which}, out of another shape`, () => into(empty([...reference.shape, 2]), ...inputs))
      expectTyped(`${which}, out of another dtype`, () => into(empty(reference.shape, 'int32'), ...inputs))
      if (inputs[0].shape.join() === reference.shape.join()) {
        const same = tensor(inputs[0].data.slice(), { shape: inputs[0].shape })
        into(same, same, ...inputs.slice(1))
        expectClose(`${which}, into the input`, same, reference, c.tolerance)
      }
    })
  }
}

function testGradient(c: Case): void {
  const inputs = doubles(makeInputs(c, c.sizes[0]))
  const { shape } = onJs(() => c.call(...inputs))
  const { analytic, numeric } = directional(firstOrder(c, shape), inputs, c.name)
  expect(Math.abs(analytic - numeric), `gradient ${analytic}, differences ${numeric}`).toBeLessThan(1e-6 * Math.max(1, Math.abs(numeric)))
}

function testSecondOrder(c: Case): void {
  const inputs = doubles(makeInputs(c, c.sizes[0]))
  const { shape } = onJs(() => c.call(...inputs))
  const size = inputs.reduce((n, t) => n + (isFloat(t.dtype) ? t.size : 0), 0)
  const { analytic, numeric } = directional(secondOrder(c, shape, size), inputs, `${c.name} 2`)
  expect(Math.abs(analytic - numeric), `second order ${analytic}, differences ${numeric}`).toBeLessThan(
    1e-5 * Math.max(1, Math.abs(numeric)),
  )
}

function testGradientEveryWay(c: Case): void {
  for (const shapes of c.sizes.slice(0, 3)) {
    const inputs = makeInputs(c, shapes)
    const { shape } = onJs(() => c.call(...inputs))
    const reference = onJs(() => gradientOf(c, shape, 'float64')(...doubles(inputs)))
    everyWay(`gradient ${shown(inputs)}`, gradientOf(c, shape, 'float32'), inputs, c.tolerance * 10, reference)
  }
}

function testChain(c: Case): void {
  for (const shapes of c.sizes.slice(0, 2)) {
    const inputs = makeInputs(c, shapes)
    const before = onJs(() => beforeChain(inputs))
    const f = chained(c)
    everyWay(`chain ${shown(inputs)}`, f, before, Math.max(c.tolerance, 2e-5), exactly(f, before))
  }
}

async function testAwaited(c: Case): Promise<void> {
  process.env.NODE_ENV = 'development'
  try {
    await checkAwaited(c)
  } finally {
    process.env.NODE_ENV = 'production'
  }
}

async function checkAwaited(c: Case): Promise<void> {
  const inputs = makeInputs(c, c.sizes[0])
  const reference = onJs(() => c.call(...inputs))
  for (const which of backends) {
    const on = which === 'js' ? onJs : onNative
    const result = await on(() => compile(c.call)(...inputs))
    expect(result.dtype).toBe(reference.dtype)
    expectClose(`${which}, awaited`, result, reference, c.tolerance)
  }
}

const chooses = (c: Case): boolean => /argm|^(eq|ne|lt|le|gt|ge|to |float|sign|floor|ceil|round|trunc|logical)/.test(c.name)

describe.each(cases.map((c) => [c.name, c] as const))('%s', (_name, c) => {
  it('refuses what does not fit', () => testErrors(c))
  it('gives the reference values at every size', () => {
    for (const shapes of c.sizes) {
      const inputs = makeInputs(c, shapes)
      everyWay(shown(inputs), c.call, inputs, c.tolerance, exactly(c.call, inputs))
    }
  })
  it('reads strided views', () => testLayouts(c))
  it('gives the same awaited', () => testAwaited(c))
  if (!chooses(c)) it('gives the same inside a chain', () => testChain(c))
  if (c.special) {
    it('treats infinities, NaN and denormals as the reference does', () => {
      const inputs = specialInputs(c)
      everyWay(
        'special values',
        c.call,
        inputs,
        1e-4,
        onJs(() => c.call(...inputs)),
      )
    })
  }
  if (hasNative) it('writes nothing beside its results', () => testGuards(c))
  if (c.into !== undefined) it('writes into out', () => testOut(c, c.into as NonNullable<Case['into']>))
  if (c.gradient) {
    it('has the gradient that differences show', () => enableGrad(() => testGradient(c)))
    it('has the second-order gradient that differences show', () => testSecondOrder(c))
    it('has the same gradient every way', () => testGradientEveryWay(c))
  }
  if (c.large !== undefined && hasNative)
    it('gives the same bits with 1, 2 and 7 threads', () => testThreads(c, c.large as NonNullable<Case['large']>))
})
