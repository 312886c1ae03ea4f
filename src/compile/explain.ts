/**
 * A program as text: one line an instruction, with shapes, bytes, FLOPs and the ops that were fused into it.
 */
import { showShape } from '../errors.js'
import { costOf, stepCost } from './cost.js'
import type { Step } from './lower.js'
import { opcodeName, type Program } from './program.js'

function amount(n: number, unit: string): string {
  const scales = ['', 'k', 'M', 'G', 'T']
  let i = 0
  while (n >= 1000 && i < scales.length - 1) {
    n /= 1000
    i++
  }
  return `${n >= 100 || i === 0 ? n.toFixed(0) : n.toFixed(1)} ${scales[i]}${unit}`
}

function line(step: Step, index: number, commit: boolean): string {
  const { instruction } = step
  const ops = step.nodes.filter((n) => n.row !== undefined && n.row.view === undefined).map((n) => n.name)
  const cost = stepCost(step)
  const shapes = `${instruction.inputs
    .slice(0, 3)
    .map((v) => showShape(v.shape))
    .join(' ')}${instruction.inputs.length > 3 ? ' …' : ''}`
  const out = instruction.outputs.map((v) => showShape(v.shape)).join(' ')
  const numbers = `${cost.flops > 0 ? `${amount(cost.flops, 'FLOP')}, ` : ''}${amount(cost.bytes, 'B')}`
  const mark = instruction.region ? '|' : commit ? '*' : ' '
  return `${String(index).padStart(4)}${mark} ${opcodeName(instruction).padEnd(18)} ${shapes} → ${out}   ${numbers}   ${ops.join(' ')}`
}

/** The text `explain` returns. Steps marked `*` write state, `|` share a parallel region with the step before. */
export function explainProgram(name: string, program: Program): string {
  const total = costOf(program.steps)
  const ops = new Set(program.steps.flatMap((s) => s.nodes)).size
  const head = `${name || 'anonymous'}: ${program.steps.length} instructions for ${ops} operations, ${amount(total.flops, 'FLOP')}, arena ${amount(program.plan.arenaUnits * 64, 'B')}, ${program.native ? 'native' : 'TypeScript'}`
  return [head, ...program.steps.map((s, i) => line(s, i, i >= program.commitIndex))].join('\n')
}
