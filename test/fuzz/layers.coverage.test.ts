/** That every layer is drawn, and that what is drawn runs: a new class of `nn` needs a line in layers/catalogue.ts. */
import { expect, it } from 'vitest'
import { ChainruleError, nn } from '../../src/index.js'
import { onJs } from '../support/backends.js'
import { run } from './agree/scenario.js'
import { Random } from './frame/random.js'
import { scenarioOf } from './layers/case.js'
import { families } from './layers/catalogue.js'
import { fuzzer } from './layers.js'

/** They hold other modules, and have no forward of their own or hand on what those give. */
const containers = ['ModuleDict', 'ModuleList', 'ParameterDict', 'ParameterList', 'Sequential']

it('draws of layers reach every layer of nn', () => {
  const made = new Set(containers)
  for (const draw of families.flatMap(({ draws }) => draws))
    for (let i = 0; i < 40; i++) for (const [, name] of draw(new Random(1, i)).make.matchAll(/new nn\.(\w+)\(/g)) made.add(name)
  const layers = Object.entries(nn).flatMap(([name, c]) => (typeof c === 'function' && c.prototype instanceof nn.Module ? [name] : []))
  expect(layers.filter((name) => !made.has(name))).toEqual([])
})

it('draws of layers seldom make what is refused', { timeout: 60_000 }, () => {
  const refused = Array.from({ length: 200 }, (_, i) => fuzzer.generate(new Random(2, i))).filter((c) => {
    try {
      return onJs(() => run({ ...scenarioOf(c), calls: 1 }, 'eager')).error !== undefined
    } catch (error) {
      if (error instanceof ChainruleError) return true
      throw error
    }
  })
  expect(refused.length, refused.map(({ make }) => make).join('\n')).toBeLessThan(10)
})
