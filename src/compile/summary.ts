/**
 * What is remembered of a program's instructions once it is loaded: enough for errors and `explain`, without the graph they came from. In: steps.
 * Out: names, shapes, costs.
 */
import { showShape } from '../base/errors.js'
import { type Instruction, Opcode } from '../ir/format.js'
import type { OpRow } from '../ops/core/table.js'
import { type Cost, stepCost } from './cost.js'
import type { Step } from './lower.js'

export interface StepSummary {
  readonly opcode: Opcode
  /** The ops it came from, in order. */
  readonly rows: readonly OpRow<never>[]
  /** The nodes of the graph it came from. */
  readonly nodes: readonly number[]
  /** Shapes of the first inputs, as many as are shown. */
  readonly inputs: readonly (readonly number[])[]
  readonly outputs: readonly (readonly number[])[]
  readonly cost: Cost
  /** Runs in parallel with the one before. */
  readonly region: boolean
  /** Keeps what it makes of its weights. */
  readonly keep: boolean
  readonly lookup: Instruction<unknown>['lookup']
}

export function summarize(step: Step): StepSummary {
  const { nodes, instruction } = step
  const { opcode, inputs, outputs, region = false, keep = false, lookup } = instruction
  return {
    opcode,
    rows: nodes.flatMap(({ row }) => row ?? []),
    nodes: nodes.map((n) => n.id),
    inputs: inputs.slice(0, 4).map((v) => v.shape),
    outputs: outputs.map((v) => v.shape),
    cost: stepCost(step),
    region,
    keep,
    lookup,
  }
}

/** An instruction as errors name it: the ops it came from, and shapes. */
export function describe({ rows, inputs }: StepSummary): string {
  return `${[...new Set(rows.map((r) => r.name))].join(' + ')} ${inputs.map(showShape).join(', ')}`
}

/** The opcode's name. */
export function opcodeName(opcode: Opcode): string {
  return Object.entries(Opcode).find(([, code]) => code === opcode)?.[0] ?? String(opcode)
}
