/** That no cell of the matrix is empty: an op that refuses its operands would be left out in silence. */
import { expect, it } from 'vitest'
import { onJs } from '../support/backends.js'
import { plain } from './agree/inputs.js'
import { Random } from './frame/random.js'
import { variants } from './matrix/variants.js'
import { Builder } from './programs/builder.js'

it('every op of the matrix takes its operands', () => {
  const left: string[] = []
  onJs(() => {
    for (const [i, { code, operands }] of variants.entries()) {
      const b = new Builder(new Random(1, i))
      const given = operands.map(({ shape, below }, k) =>
        b.add('argument', below === undefined ? plain(shape, 'float32', k + 1) : plain(shape, 'int32', k + 1, { low: 0, high: below - 1 })),
      )
      if (b.step(code, ...given) === undefined) left.push(`${code} of ${operands.map((o) => `[${o.shape}]`).join(', ')}`)
    }
  })
  expect(left).toEqual([])
})
