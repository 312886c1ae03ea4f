/**
 * Which line of the user's an operation of a program comes from. The function is traced once more when that is asked, with stacks: noting them in
 * each trace would take as long as all the rest. In: the function and the shapes it was traced for. Out: text to append to a message.
 */

import { userLine } from '../base/errors.js'
import { context, within } from '../tensor/context.js'
import { Tensor } from '../tensor/tensor.js'
import { type FlatArguments, flattenArguments } from './arguments.js'
import { type Arguments, type Trace, trace } from './trace.js'

/** Arguments of the same shapes, without the memory of those of a call. */
function outline(args: FlatArguments): Arguments {
  const made = new Map<Tensor, Tensor>()
  const of = (t: Tensor): Tensor => {
    const known = made.get(t)
    if (known !== undefined) return known
    const { shape, strides, dtype, leafGrad } = t
    const like = new Tensor({ shape, strides, offset: 0, dtype, value: {} })
    made.set(t, like)
    if (t.requiresGrad) like.requiresGrad = true
    if (leafGrad !== undefined) like.leafGrad = of(leafGrad)
    return like
  }
  return flattenArguments(args.rebuild(args.tensors.map(of), args.numbers))
}

export type Locate = (node: number) => string

/** Traces with stacks. Nothing is known where that fails, or is not what is `expected`. */
export function lines(fn: (...args: never[]) => unknown, args: Arguments, expected?: readonly string[]): Locate {
  try {
    const { nodes } = trace(fn, args, { name: fn.name, modules: [], keepStacks: true }).graph
    const same = expected === undefined || (nodes.length === expected.length && nodes.every((n, i) => n.name === expected[i]))
    return (node) => (same ? userLine(nodes[node]?.made?.stack) : '')
  } catch {
    return () => ''
  }
}

/** For the nodes of a trace of `fn`, when first asked. Where the function does something else by then, no line is named. */
export function locator(fn: (...args: never[]) => unknown, args: FlatArguments, { graph }: Trace): Locate {
  const shapes = outline(args)
  const names = graph.nodes.map((n) => n.name)
  const { gradEnabled } = context
  let found: Locate | undefined
  return (node) => {
    found ??= within({ gradEnabled }, () => lines(fn, shapes, names))
    return found(node)
  }
}
