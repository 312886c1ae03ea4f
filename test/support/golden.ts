/**
 * What the tests against PyTorch's values share (test/golden/README.md): cases read from `test/golden/GROUP.json`, run on each backend there is.
 */
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { withBackend } from '../../src/backend/select.js'
import { type Tensor, tensor } from '../../src/index.js'

export interface Golden {
  readonly shape: number[]
  readonly dtype: 'float32' | 'int32' | 'bool'
  readonly data: (number | string)[]
}
export type Named = Record<string, Golden>
// biome-ignore lint/suspicious/noExplicitAny: options are PyTorch's, of any kind
export type Options = Record<string, any>
export interface Case {
  readonly name: string
  readonly op: string
  readonly options: Options
  readonly mode?: 'train' | 'eval'
  readonly inputs: Named
  readonly outputs: Named
  readonly grad_outputs: Named
  readonly grads: Named
  readonly params: Named
  readonly param_grads?: Named
  readonly buffers?: Named
  readonly buffers_after?: Named
  readonly f32_err?: { out_abs: number; out_rel: number; grad_abs: number; grad_rel: number }
}
export type Inputs = Record<string, Tensor>

export function casesOf<T = Case>(group: string): T[] {
  return JSON.parse(readFileSync(new URL(`../golden/${group}.json`, import.meta.url), 'utf8')).cases
}

export const make = (g: Golden): Tensor => {
  const numbers = g.data.map(Number)
  return tensor(g.dtype === 'float32' ? Float32Array.from(numbers) : Int32Array.from(numbers), { shape: g.shape, dtype: g.dtype })
}

/** The README's rule: |a − b| ≤ atol + rtol·max|b| over the tensor, never tighter than ten times PyTorch's own float32 error. */
export function near(actual: Tensor | undefined, wanted: Golden, rtol: number, what: string, error = 0): void {
  if (actual === undefined) throw new Error(`${what}: nothing there`)
  expect(actual.shape, what).toEqual(wanted.shape)
  expect(actual.dtype, what).toBe(wanted.dtype)
  const a = actual.data
  const b = wanted.data.map(Number)
  const finite = b.filter(Number.isFinite).map(Math.abs)
  const limit = Math.max(1e-7 + rtol * Math.max(0, ...finite), 10 * error)
  b.forEach((x, i) => {
    const same = Object.is(x, a[i]) || x === a[i] || Math.abs(x - a[i]) <= limit
    if (!same) throw new Error(`${what}[${i}]: ${a[i]} instead of ${x}, allowed difference ${limit}`)
  })
}

/** Runs a function of tensors, seeds the gradients given, and compares everything. */
export function check(c: Case, rtol: number, run: (inputs: Inputs) => Record<string, Tensor>): void {
  const inputs: Inputs = Object.fromEntries(Object.entries(c.inputs).map(([name, g]) => [name, make(g)]))
  for (const name of Object.keys(c.grads)) inputs[name].requiresGrad = true
  const outputs = run(inputs)
  for (const [name, g] of Object.entries(c.outputs)) near(outputs[name], g, rtol, name, c.f32_err?.out_abs)
  for (const [name, g] of Object.entries(c.grad_outputs)) outputs[name].backward(make(g))
  for (const [name, g] of Object.entries(c.grads)) near(inputs[name].grad, g, rtol, `gradient of ${name}`, c.f32_err?.grad_abs)
}

/** The outputs of a function with one. */
export const one = (out: Tensor): Record<string, Tensor> => ({ out })

/** Options in our spelling. */
export const camelOptions = (o: Options): Options =>
  Object.fromEntries(Object.entries(o).map(([name, value]) => [name.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase()), value]))

const native = existsSync(new URL('../../build/chainrule.node', import.meta.url))

/** A test for each case of a group on each backend. `later` lists operations and cases that do not exist yet. */
export function golden<T extends { name: string; op?: string }>(group: string, run: (c: T) => void, later: readonly string[] = []): void {
  describe.each(native ? (['js', 'native'] as const) : (['js'] as const))(`${group} on the %s backend`, (backend) => {
    for (const c of casesOf<T>(group)) {
      const missing = later.includes(c.name) || later.includes(c.op ?? '')
      test.skipIf(missing)(missing ? `${c.name} (issue 4)` : c.name, () => withBackend(backend, () => run(c)))
    }
  })
}
