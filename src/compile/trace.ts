/**
 * Tracing: runs the user's function on stand-ins and records what it does. In: the function and the arguments' shapes. Out: a graph,
 * what is returned, which state is written, and on what else the recording depends (guards).
 */

import { isHooked } from '../autograd/hooks.js'
import { itemSize } from '../base/dtype.js'
import { ArgumentError, GradientError, StateError, showShape } from '../base/errors.js'
import { contiguousStrides, isContiguous } from '../base/shape.js'
import { type OpRow, opTable } from '../ops/core/table.js'
import { context, type FieldGuard, type Meta, moduleWatch, type Recorder, within } from '../tensor/context.js'
import type { Storage } from '../tensor/storage.js'
import { Tensor } from '../tensor/tensor.js'
import { mapTree } from './arguments.js'
import { asStridedRow, Graph, type Value } from './graph.js'
import { setTraps } from './traps.js'

/** Something outside that the recording depends on. */
export interface Guard {
  readonly owner: object
  readonly key: string
  readonly read: () => unknown
  readonly expected: unknown
}

export interface Trace {
  readonly graph: Graph
  /** What the function returned, with traced tensors at its leaves. */
  readonly result: unknown
  /** New contents of storages, in the order of the first write; each value is flat. */
  readonly assigns: ReadonlyMap<Storage, Value>
  /** Gradients left behind: a value, or `undefined` where one was cleared. */
  readonly grads: ReadonlyMap<Tensor, Value | undefined>
  /** What stood for the tensors among the arguments, by their positions; as leaves they stand for those of the call. */
  readonly argumentLeaves: ReadonlyMap<Tensor, number>
  /** Of arguments by position: whether there was a gradient, where the function looked. */
  readonly argumentGrads: readonly (readonly [index: number, present: boolean])[]
  /** Arguments, by position, whose `requiresGrad` the function set. */
  readonly marked: readonly (readonly [index: number, requiresGrad: boolean])[]
  readonly guards: readonly Guard[]
  /** What was read through modules. */
  readonly fields: readonly FieldGuard[]
  /** Modules that were not known to be used. */
  readonly found: readonly object[]
  readonly randomBlocks: number
}

export function valueOfTraced(t: Tensor): Value {
  return t.value as Value
}

function tracedTensor(value: Value): Tensor {
  const { shape, dtype } = value
  return new Tensor({ shape, strides: contiguousStrides(shape), offset: 0, dtype, value })
}

function refuseDouble(op: string): ArgumentError {
  return new ArgumentError(
    'ERR_COMPILE_FLOAT64',
    `compile: ${op}: float64 is for eager reference computations; compiled programs run float32. Convert with .to('float32').`,
  )
}

class GraphRecorder implements Recorder {
  readonly graph: Graph
  readonly assigns = new Map<Storage, Value>()
  readonly guards: Guard[] = []
  /** Of leaves that the function looked at, or set: what they had before. */
  readonly originalGrads = new Map<Tensor, { readonly grad: Tensor | undefined; readonly seen: boolean; looked: boolean }>()
  /** By stand-in, as in `Trace`. */
  readonly argumentLeaves = new Map<Tensor, number>()
  readonly argumentGrads = new Map<number, boolean>()
  /** Which arguments required gradients. */
  private readonly wanted: readonly boolean[]
  blocks = 0
  private readonly bases = new Map<Storage, Value>()
  private readonly updateCounts = new Map<Storage, number>()
  /** Traced views of memory made outside: where they look, and how many updates they have seen. */
  private readonly looks = new WeakMap<Tensor, { readonly source: Tensor; readonly updates: number }>()
  /** What stands for the gradients that leaves had when the trace began. */
  readonly gradStandIns = new Map<Tensor, Tensor>()
  private readonly observed = new Map<object, Set<string>>()
  private randomState: Tensor | undefined

  constructor(
    private readonly args: readonly Tensor[],
    keepStacks: boolean,
  ) {
    this.graph = new Graph(keepStacks)
    this.wanted = args.map((t) => t.requiresGrad)
  }

  /** What stands for an argument. One that requires gradients and is passed twice is one leaf. */
  standInFor(index: number): Tensor {
    const t = this.args[index]
    if (t.dtype === 'float64') throw refuseDouble('argument')
    if (t.requiresGrad) {
      if (isHooked(t)) {
        throw new GradientError(
          'ERR_HOOKED_ARGUMENT',
          `compile: a tensor ${showShape(t.shape)} with hooks is passed as an argument, where they would not be called. Call registerHook inside the compiled function.`,
        )
      }
      const first = this.args.indexOf(t)
      for (const [standIn, i] of this.argumentLeaves) if (i === first && first < index) return standIn
    }
    const standIn = tracedTensor(this.graph.source({ kind: 'argument', index }, t))
    if (t.requiresGrad) standIn.requiresGrad = true
    this.argumentLeaves.set(standIn, index)
    return standIn
  }

  record(row: { name: string }, inputs: readonly Tensor[], attrs: unknown, metas: readonly Meta[]): Tensor[] {
    const values = inputs.map((t) => this.valueOf(t, row.name))
    if (metas.some((m) => m.dtype === 'float64')) throw refuseDouble(row.name)
    const outputs = this.graph.apply(row as OpRow<never>, values, attrs, metas).map(tracedTensor)
    this.noteView(row as OpRow<unknown>, inputs[0], attrs, outputs[0])
    return outputs
  }

  /** A view of memory made outside shows what is written there later, as it does in eager code. */
  private noteView(row: OpRow<unknown>, input: Tensor | undefined, attrs: unknown, output: Tensor): void {
    if (row.view === undefined || input === undefined || input.constant !== undefined) return
    const source = input.value === undefined ? input : this.looks.get(input)?.source
    const seen = source && row.view(source, attrs)
    if (source === undefined || seen === undefined) return
    const { dtype, storage } = source
    this.looks.set(output, { source: new Tensor({ ...seen, shape: output.shape, dtype, storage }), updates: this.updates(source) })
  }

  follow(from: Tensor, to: Tensor): void {
    const look = this.looks.get(from)
    if (look !== undefined) this.looks.set(to, look)
  }

  valueOf(t: Tensor, op: string): Value {
    if (t.value !== undefined) {
      const value = t.value as Value
      if (value.graph !== this.graph) {
        throw new StateError(
          'ERR_TRACED_ESCAPED',
          `${op}: a traced tensor of shape ${showShape(t.shape)} was used after its trace ended. Return it from the compiled function instead of storing it.`,
        )
      }
      const look = this.looks.get(t)
      return look === undefined || look.updates === this.updates(t) ? value : this.valueOf(look.source, op)
    }
    if (t.constant !== undefined) return this.graph.constant(t.constant, t)
    if (t.dtype === 'float64') throw refuseDouble(op)
    const { shape, strides, offset } = t
    return this.graph.apply(asStridedRow as unknown as OpRow<never>, [this.base(t)], { shape, strides, offset }, [t])[0]
  }

  /** The whole storage of a tensor made outside, as a flat value: what it holds now, or what was assigned to it. */
  private base(t: Tensor): Value {
    const { storage } = t
    const assigned = this.assigns.get(storage)
    if (assigned !== undefined) return assigned
    let base = this.bases.get(storage)
    if (base === undefined) {
      const meta = { shape: [Math.floor(storage.byteLength / itemSize(t.dtype))], dtype: t.dtype }
      storage.share()
      base = this.graph.source({ kind: 'capture', storage }, meta)
      this.bases.set(storage, base)
    }
    return base
  }

  assign(target: Tensor, value: Tensor): void {
    if (target.value !== undefined) {
      throw new StateError(
        'ERR_ASSIGN_TRACED',
        `assign: the target of shape ${showShape(target.shape)} is made inside the compiled function. Only tensors made outside can be written; inside, use the new value.`,
      )
    }
    const { storage } = target
    const whole =
      target.offset === 0 && target.size * itemSize(target.dtype) === storage.byteLength && isContiguous(target.shape, target.strides)
    if (!whole) {
      throw new StateError(
        'ERR_ASSIGN_PART',
        `assign: inside compile() only whole tensors can be written, this one is a part of another (${showShape(target.shape)}).`,
      )
    }
    if (!storage.share()) {
      throw new StateError(
        'ERR_ASSIGN_EXPOSED',
        'assign: the memory of this tensor was handed out by .data or fromBuffer, so a background program cannot write it. Use a Parameter, a registered buffer, or fromBuffer on a SharedArrayBuffer.',
      )
    }
    const flat = this.graph.apply(reshapeRow(), [this.valueOf(value, 'assign')], { shape: [target.size] }, [
      { shape: [target.size], dtype: target.dtype },
    ])[0]
    this.assigns.set(storage, flat)
    this.updateCounts.set(storage, this.updates(target) + 1)
  }

  updates(target: Tensor): number {
    const source = target.value === undefined ? target : this.looks.get(target)?.source
    return source === undefined ? 0 : (this.updateCounts.get(source.storage) ?? 0)
  }

  /** What stands for a returned tensor: a view shows what was written last. */
  resultOf(leaf: unknown): unknown {
    if (!(leaf instanceof Tensor) || leaf.constant !== undefined) return leaf
    return leaf.value !== undefined && this.looks.has(leaf) ? tracedTensor(this.valueOf(leaf, 'compile')) : leaf
  }

  observe(owner: object, key: string, read: () => unknown): void {
    let keys = this.observed.get(owner)
    if (keys === undefined) {
      keys = new Set()
      this.observed.set(owner, keys)
    }
    if (keys.has(key)) return
    keys.add(key)
    this.guards.push({ owner, key, read, expected: read() })
  }

  /** Notes what a leaf has before anything touches it. False for what is no leaf of the caller's, or was noted. */
  private noteLeaf(leaf: Tensor, looked: boolean): boolean {
    const index = this.argumentLeaves.get(leaf)
    if ((leaf.value !== undefined && index === undefined) || this.originalGrads.has(leaf)) return false
    if (leaf.value === undefined && this.args.includes(leaf)) {
      throw new StateError(
        'ERR_ARGUMENT_CAPTURED',
        `compile: a tensor ${showShape(leaf.shape)} is an argument and is also used from outside (by an optimizer, or a variable), where its gradient would be another. Use it in one way: leave it out of the arguments.`,
      )
    }
    const { leafGrad: grad, gradSeen: seen } = index === undefined ? leaf : this.args[index]
    this.originalGrads.set(leaf, { grad, seen, looked })
    return true
  }

  lookAtGrad(leaf: Tensor): void {
    if (!this.noteLeaf(leaf, true)) return
    const index = this.argumentLeaves.get(leaf)
    const grad = this.originalGrads.get(leaf)?.grad
    if (index === undefined) this.observe(leaf, 'grad', () => leaf.leafGrad !== undefined)
    else this.argumentGrads.set(index, grad !== undefined)
    if (grad !== undefined) this.standInForGrad(leaf, grad)
  }

  /**
   * A leaf's gradient is another tensor at each call, of any strides, and two leaves that share one now need not do so later: what the
   * function sees is a value of its own for each leaf.
   */
  private standInForGrad(leaf: Tensor, grad: Tensor): void {
    if (grad.dtype === 'float64') throw refuseDouble('grad')
    const { shape, dtype } = grad
    const standIn = tracedTensor(this.graph.source({ kind: 'grad', leaf }, { shape, dtype }))
    this.gradStandIns.set(leaf, standIn)
    leaf.leafGrad = standIn
  }

  setGrad(leaf: Tensor): void {
    this.noteLeaf(leaf, false)
  }

  /** The gradients that the function leaves. */
  gradsLeft(): Map<Tensor, Value | undefined> {
    const grads = new Map<Tensor, Value | undefined>()
    for (const [leaf, original] of this.originalGrads) {
      const grad = leaf.leafGrad
      const untouched = grad === original.grad || (grad !== undefined && grad === this.gradStandIns.get(leaf))
      if (!untouched) {
        const index = this.argumentLeaves.get(leaf)
        if (index !== undefined && this.args[index].gradNode !== undefined) throw refuseOuterGraph(leaf)
        grads.set(leaf, grad === undefined ? undefined : this.valueOf(grad, 'grad'))
      } else if (!original.looked) this.expectNoGrad(leaf)
    }
    return grads
  }

  /** The function cleared a gradient that was not there: that does nothing, but only where there is none. */
  private expectNoGrad(leaf: Tensor): void {
    const index = this.argumentLeaves.get(leaf)
    if (index === undefined) this.guards.push({ owner: leaf, key: 'grad', read: () => leaf.leafGrad !== undefined, expected: false })
    else this.argumentGrads.set(index, false)
  }

  /** Arguments whose `requiresGrad` is another now. */
  marked(): [number, boolean][] {
    const now = [...this.argumentLeaves].map(([standIn, index]): [number, boolean] => [index, standIn.requiresGrad])
    return now.filter(([index, requiresGrad]) => requiresGrad !== this.wanted[index])
  }

  /** Puts back what leaves had. */
  putBackGrads(): void {
    for (const [leaf, { grad, seen }] of this.originalGrads) {
      if (leaf.value !== undefined) continue
      leaf.leafGrad = grad
      leaf.gradSeen = seen
    }
  }

  random(blocks: number): { state: Tensor; offset: number } {
    this.randomState ??= tracedTensor(this.graph.source({ kind: 'random' }, { shape: [4], dtype: 'int32' }))
    const offset = this.blocks
    this.blocks += blocks
    return { state: this.randomState, offset }
  }

  randomPosition(): number {
    return this.blocks
  }

  recompute<T>(random: number, fn: () => T): T {
    const { blocks } = this
    this.blocks = random
    try {
      return this.graph.scoped(fn)
    } finally {
      this.blocks = Math.max(blocks, this.blocks)
    }
  }
}

function refuseOuterGraph(leaf: Tensor): GradientError {
  return new GradientError(
    'ERR_OUTER_GRAPH',
    `compile: backward() inside reaches an argument ${showShape(leaf.shape)} that was computed before the call from tensors that require gradients, and would end there. Compute it inside the compiled function as well, or pass x.detach().`,
  )
}

let reshape: OpRow<never> | undefined
function reshapeRow(): OpRow<never> {
  reshape ??= opTable().get('reshape') as OpRow<never>
  return reshape
}
/** What a compiled function is called with: tensors and numbers, nested in arrays and plain objects. */
export interface Arguments {
  readonly tensors: readonly Tensor[]
  readonly numbers: readonly number[]
  /** Builds the arguments again with stand-ins in place. */
  rebuild(tensors: readonly Tensor[], numbers: readonly unknown[]): unknown[]
}

export interface TraceOptions {
  /** What messages call the function. */
  readonly name: string
  /** Modules that the function is known to use. */
  readonly modules: Iterable<object>
  /** Whether to note where ops were called. */
  readonly keepStacks: boolean
}

/** Records one run of `fn`. Everything the recording touched is put back as it was. */
export function trace(fn: (...args: never[]) => unknown, args: Arguments, { name, modules, keepStacks }: TraceOptions): Trace {
  if (context.recorder !== undefined) throw new StateError('ERR_NESTED_TRACE', 'compile: a trace is already going on.')
  const recorder = new GraphRecorder(args.tensors, keepStacks)
  const standIns = args.tensors.map((_, index) => recorder.standInFor(index))
  const numbers = args.numbers.map((_, index) =>
    tracedTensor(recorder.graph.source({ kind: 'number', index }, { shape: [], dtype: 'float32' })),
  )
  const record = (): Trace => {
    const watch = moduleWatch.begin?.(name, modules)
    const putBack = setTraps(name)
    try {
      const returned = within({ modules: watch }, () => fn(...(args.rebuild(standIns, numbers) as never[])))
      if (returned instanceof Promise) {
        returned.catch(() => {})
        throw new StateError('ERR_ASYNC_FUNCTION', 'compile: the function must not be async. Prepare the data outside, and compute inside.')
      }
      const result = mapTree(returned, (leaf) => recorder.resultOf(leaf))
      const grads = recorder.gradsLeft()
      const { graph, assigns, guards, argumentLeaves, blocks } = recorder
      const argumentGrads = [...recorder.argumentGrads]
      const marked = recorder.marked()
      watch?.end()
      const [fields, found] = [watch?.guards() ?? [], [...(watch?.found ?? [])]]
      return { graph, result, assigns, grads, argumentLeaves, argumentGrads, marked, guards, fields, found, randomBlocks: blocks }
    } finally {
      putBack()
      watch?.end()
    }
  }
  try {
    return within({ recorder }, record)
  } finally {
    // only now: a recorder that is told of gradients takes them for the function's own
    recorder.putBackGrads()
  }
}
