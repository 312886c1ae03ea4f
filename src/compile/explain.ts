/**
 * A program as text: one line an instruction, with shapes, bytes, FLOPs and the ops that were fused into it.
 */
import { showShape } from '../base/errors.js'
import { totalCost } from './cost.js'
import type { Program } from './program.js'
import { opcodeName, type StepSummary } from './summary.js'

function amount(n: number, unit: string): string {
  const scales = ['', 'k', 'M', 'G', 'T']
  let i = 0
  while (n >= 1000 && i < scales.length - 1) {
    n /= 1000
    i++
  }
  return `${n >= 100 || i === 0 ? n.toFixed(0) : n.toFixed(1)} ${scales[i]}${unit}`
}

function line(step: StepSummary, index: number, commit: boolean): string {
  const { cost, region, keep } = step
  const ops = step.rows.filter((r) => r.view === undefined).map((r) => r.name)
  const shapes = `${step.inputs.slice(0, 3).map(showShape).join(' ')}${step.inputs.length > 3 ? ' …' : ''}`
  const out = step.outputs.map(showShape).join(' ')
  const numbers = `${cost.flops > 0 ? `${amount(cost.flops, 'FLOP')}, ` : ''}${amount(cost.bytes, 'B')}`
  const mark = region ? '|' : commit ? '*' : ' '
  const kept = keep ? ', keeps its weights' : ''
  return `${String(index).padStart(4)}${mark} ${opcodeName(step.opcode).padEnd(18)} ${shapes} → ${out}   ${numbers}${kept}   ${ops.join(' ')}`
}

/** The text `explain` returns. Steps marked `*` write state, `|` share a parallel region with the step before. */
export function explainProgram(name: string, program: Program): string {
  const { steps, prologue, prologueSteps } = program
  const main = steps.slice(prologueSteps)
  const total = totalCost(main.map((s) => s.cost))
  const ops = new Set(steps.flatMap((s) => s.nodes)).size
  const head = `${name || 'anonymous'}: ${main.length} instructions for ${ops} operations, ${amount(total.flops, 'FLOP')}, arena ${amount(program.arenaBytes, 'B')}, ${program.native ? 'native' : 'TypeScript'}`
  const lines = main.map((s, i) => line(s, i, prologueSteps + i >= program.commitIndex))
  if (prologue === undefined) return [head, ...lines].join('\n')
  const kept = prologue.storages.reduce((sum, s) => sum + s.byteLength, 0)
  const note = `prologue, run again when a captured tensor changed: ${prologueSteps} instructions, ${amount(kept, 'B')} kept`
  return [head, ...lines, note, ...steps.slice(0, prologueSteps).map((s, i) => line(s, i, false))].join('\n')
}
