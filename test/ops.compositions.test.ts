/**
 * Structured ops beside what they mean in simpler ops (`composition` of the op table): values, and gradients of all inputs. In: the operands
 * that the op cases give such ops. The second order needs no test of its own here, since it is that of the composition.
 */
import { describe, expect, it } from 'vitest'
import { isFloat } from '../src/base/dtype.js'
import { mul, noGrad, sum, type Tensor } from '../src/index.js'
import { applyAll, eagerHooks } from '../src/ops/core/dispatch.js'
import { type OpRow, opTable } from '../src/ops/core/table.js'
import { cases } from './ops.cases.js'
import { onJs, onNative } from './support/backends.js'
import { doubles, makeInputs } from './support/cases.js'
import { expectClose } from './support/compare.js'
import { weights } from './support/derive.js'

interface Use {
  readonly row: OpRow<unknown>
  readonly inputs: readonly Tensor[]
  readonly attrs: unknown
}

/** What rows with a composition are applied to in the cases, in float64. */
function uses(): Map<string, Use[]> {
  const found = new Map<string, Use[]>()
  eagerHooks.afterOp = (row, inputs, _, attrs) => {
    const own = row as unknown as OpRow<unknown>
    if (own.composition !== undefined) found.set(row.name, [...(found.get(row.name) ?? []), { row: own, inputs, attrs }])
  }
  try {
    for (const c of cases) for (const sizes of c.sizes) onJs(() => noGrad(() => void c.call(...doubles(makeInputs(c, sizes)))))
  } finally {
    eagerHooks.afterOp = undefined
  }
  return found
}

/** The first output, and the gradients of what it and weights make: by the kernel's rule, or through the composition. */
function results({ row, inputs, attrs }: Use, composed: boolean, dtype: 'float32' | 'float64'): Tensor[] {
  const own = inputs.map((t) => {
    const leaf = (isFloat(t.dtype) ? t.to(dtype) : t).clone().detach()
    if (isFloat(t.dtype)) leaf.requiresGrad = true
    return leaf
  })
  const [first] = composed ? (row.composition?.(own, attrs) ?? []) : applyAll(row, own, attrs)
  sum(mul(first, weights(row.name, first.shape, dtype))).backward()
  return [first.detach(), ...own.flatMap((t) => (t.grad === undefined || t.grad === null ? [] : [t.grad]))]
}

describe('kernels mean what their compositions say', () => {
  const found = uses()

  it('every composition of the table is used by a case', () => {
    const composed = [...opTable().values()].filter((row) => row.composition !== undefined).map(({ name }) => name)
    expect(composed.length).toBeGreaterThan(2)
    expect([...found.keys()].sort()).toEqual(composed.sort())
  })

  it.each([...found.keys()])('%s', (name) => {
    for (const [i, use] of (found.get(name) as Use[]).entries()) {
      const exact = onJs(() => results(use, true, 'float64'))
      const compare = (what: string, given: Tensor[], tolerance: number): void => {
        expect(given.length).toBe(exact.length)
        given.forEach((t, k) => expectClose(`${what} of use ${i}, result ${k}`, t, exact[k], tolerance))
      }
      compare(
        'loops',
        onJs(() => results(use, false, 'float64')),
        1e-9,
      )
      compare(
        'kernel',
        onNative(() => results(use, false, 'float32')),
        1e-4,
      )
    }
  })
})
