/**
 * Two traces of one function, compared: a function that does not do the same each time cannot be compiled.
 * In: the traces. Out: what is said about the first difference.
 */
import { showShape } from '../base/errors.js'
import { Tensor } from '../tensor/tensor.js'
import { mapTree } from './arguments.js'
import type { Value } from './graph.js'
import { type Trace, valueOfTraced } from './trace.js'

/** Compares two recordings of one function; returns what is said about the first difference. `line` is the user's, of an operation. */
export function firstDifference(a: Trace, b: Trace, line: (node: number) => string = () => ''): string | undefined {
  const n = Math.max(a.graph.nodes.length, b.graph.nodes.length)
  for (let i = 0; i < n; i++) {
    const x = a.graph.nodes[i]
    const y = b.graph.nodes[i]
    if (x === undefined || y === undefined)
      return `one has ${a.graph.nodes.length} operations, the other ${b.graph.nodes.length}; the first too many is ${(x ?? y).name}`
    const where = (): string => line(i)
    if (x.name !== y.name) return `operation ${i} is ${x.name} the first time and ${y.name} the second${where()}`
    if (x.source?.kind === 'capture' && y.source?.kind === 'capture' && x.source.storage !== y.source.storage) {
      return `operation ${i} reads a tensor ${showShape(x.outputs[0].shape)} that is made anew each time${where()}. Make it once, outside`
    }
    if (x.source?.kind === 'constant' && y.source?.kind === 'constant' && !Object.is(x.source.value, y.source.value)) {
      return `a number is ${x.source.value} the first time and ${y.source.value} the second${where()}. Pass it as an argument`
    }
    if (x.key !== y.key) return `operation ${i}, ${x.name}, has other operands or options the second time${where()}`
  }
  return differentEffect(a, b)
}

/** What two recordings with equal operations return, write and leave behind. */
function differentEffect(a: Trace, b: Trace): string | undefined {
  const written = [...b.assigns]
  const other = [...a.assigns].findIndex(([storage, value], i) => storage !== written[i]?.[0] || value.id !== written[i][1].id)
  if (other >= 0 || a.assigns.size !== b.assigns.size)
    return 'it writes other tensors, or something else into them, the second time. Make state once, outside, and write the same each time'
  const left = [...b.grads]
  const leafIn = ({ argumentLeaves }: Trace, leaf: Tensor): Tensor | number => argumentLeaves.get(leaf) ?? leaf
  const differs = ([leaf, g]: readonly [Tensor, Value | undefined], i: number): boolean =>
    leafIn(a, leaf) !== leafIn(b, left[i][0]) || g?.id !== left[i][1]?.id
  if (a.grads.size !== b.grads.size || [...a.grads].some(differs)) return 'it leaves other gradients the second time'
  if (resultsOf(a) !== resultsOf(b)) return 'it returns something else the second time. Numbers that change are arguments'
  return undefined
}

/** What tells results apart: which values stand where, and what is no tensor, but for objects of a class. */
function resultsOf({ result }: Trace): string {
  const leaves: string[] = []
  mapTree(result, (leaf) => {
    const traced = leaf instanceof Tensor && leaf.traced
    leaves.push(traced ? `value ${valueOfTraced(leaf).id}` : leaf instanceof Object ? 'object' : `${typeof leaf} ${String(leaf)}`)
    return leaf
  })
  return leaves.join()
}
