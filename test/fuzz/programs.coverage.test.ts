/** That programs are drawn from all there is: a row of the op table that no draw reaches would never be tried. */
import { expect, it } from 'vitest'
import { eagerHooks } from '../../src/ops/core/dispatch.js'
import { opTable } from '../../src/ops/core/table.js'
import { onJs } from '../support/backends.js'
import { run } from './agree/scenario.js'
import { Random } from './frame/random.js'
import { Builder } from './programs/builder.js'
import { families } from './programs/catalogue.js'
import { dtypeOf, isSource, type Node, type Program, scenarioOf } from './programs/program.js'

/** How a compiled function sees what was made outside; there is no other use of it. */
const ofTheCompiler = ['asStrided']

it('draws of random programs reach every row of the op table, and their gradients', { timeout: 120_000 }, () => {
  const reached = new Set<string>(ofTheCompiler)
  eagerHooks.afterOp = (row) => void reached.add(row.name)
  try {
    for (const { draws } of families) {
      for (const [i, draw] of draws.entries()) {
        for (let tries = 0; tries < 2; tries++) {
          const b = new Builder(new Random(tries, i))
          b.source('argument', b.shape(2))
          const at = onJs(() => draw(b))
          if (at === undefined) continue
          const nodes = b.nodes.map((n): Node => (isSource(n) && dtypeOf(n) === 'float32' ? { ...n, kind: 'leaf' } : n))
          const rest = { zero: true, update: false, sets: [0], changed: [], look: true }
          const p: Program = { ...rest, nodes, outputs: [at], mode: 'backward' }
          onJs(() => run(scenarioOf(p), 'eager'))
        }
      }
    }
  } finally {
    eagerHooks.afterOp = undefined
  }
  expect([...opTable().keys()].filter((name) => !reached.has(name))).toEqual([])
})
