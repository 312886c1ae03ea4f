/** Draws a program: sources, 5 to 30 steps, what is returned, and what is differentiated. */
import { onJs } from '../../support/backends.js'
import { run } from '../agree/scenario.js'
import type { Random } from '../frame/random.js'
import { Builder } from './builder.js'
import { families } from './catalogue.js'
import { dtypeOf, type Program, scenarioOf } from './program.js'

const total = families.reduce((sum, { weight }) => sum + weight, 0)

export function generateProgram(random: Random): Program {
  return onJs(() => {
    const b = new Builder(random)
    const differentiated = random.chance(0.5)
    for (let n = random.int(1, 4); n > 0; n--) b.source('argument', b.shape())
    if (random.chance(0.4)) b.source('captured', b.shape())
    if (random.chance(0.3)) b.source('state', b.shape())
    if (differentiated) for (let n = random.int(1, 2); n > 0; n--) b.source('leaf', b.shape())
    const steps = random.int(5, 30)
    for (let tries = 0; b.nodes.length < steps && tries < 60 && !b.broken; tries++) {
      let at = random.next() * total
      const { draws } = families.find(({ weight }) => (at -= weight) < 0) ?? families[0]
      random.pick(draws)(b)
    }
    return finished(b, differentiated)
  })
}

function finished(b: Builder, differentiated: boolean): Program {
  const { random, nodes } = b
  const used = new Set(nodes.flatMap((n) => (n.kind === 'step' ? n.args : n.kind === 'write' ? [n.value] : [])))
  const steps = nodes.flatMap((n, i) => (n.kind === 'step' ? [i] : []))
  const outputs = steps.filter((i) => (!used.has(i) && random.chance(0.8)) || random.chance(0.06) || (b.broken && i === nodes.length - 1))
  if (outputs.length === 0) outputs.push(steps.at(-1) ?? 0)
  const mode = !differentiated ? 'plain' : random.weighted({ backward: 5, gradient: 2, second: 2 })
  const program: Program = {
    nodes,
    outputs,
    mode,
    zero: random.chance(0.6),
    update: random.chance(0.4),
    sets: [0, 1, 0],
    changed: nodes.flatMap((n, i) =>
      (n.kind === 'captured' || n.kind === 'state') && dtypeOf(n) === 'float32' && random.chance(0.4) ? [i] : [],
    ),
    look: random.chance(0.5),
  }
  return mode === 'plain' || b.broken || differentiable(program) ? program : { ...program, mode: 'plain' }
}

function differentiable(program: Program): boolean {
  if (!program.outputs.some((i) => dtypeOf(program.nodes[i]) === 'float32')) return false
  try {
    return run({ ...scenarioOf(program), calls: 1 }, 'eager').error === undefined
  } catch {
    // a fault, for the check to find
    return true
  }
}
