/**
 * A program as text: one line an instruction, with shapes, bytes, FLOPs and the ops that were fused into it.
 */
import { showShape } from '../errors.js'
import { costOf, stepCost } from './cost.js'
import type { Step } from './lower.js'
import { opcodeName, type Programs } from './program.js'

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
export function explainPrograms(name: string, { main, first }: Programs): string {
  const total = costOf(main.steps)
  const ops = new Set([...main.steps, ...(first?.steps ?? [])].flatMap((s) => s.nodes)).size
  const head = `${name || 'anonymous'}: ${main.steps.length} instructions for ${ops} operations, ${amount(total.flops, 'FLOP')}, arena ${amount(main.plan.arenaUnits * 64, 'B')}, ${main.native ? 'native' : 'TypeScript'}`
  const lines = main.steps.map((s, i) => line(s, i, i >= main.commitIndex))
  if (first === undefined) return [head, ...lines].join('\n')
  const kept = first.prologue.storages.reduce((sum, s) => sum + s.byteLength, 0)
  const note = `prologue, run again when a captured tensor changed: ${first.steps.length} instructions, ${amount(kept, 'B')} kept`
  return [head, ...lines, note, ...first.steps.map((s, i) => line(s, i, false))].join('\n')
}
