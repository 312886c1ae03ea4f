/**
 * The one door every operation goes through: checks, then records (inside `compile`) or runs at once, then notes how to differentiate.
 * In: a row of the op table, tensors, attributes. Out: tensors.
 */
import { types } from 'node:util'
import { nativeBackend } from '../../backend/select.js'
import { isFloat, itemSize, type TypedArray, viewMemory } from '../../base/dtype.js'
import { ArgumentError, DTypeError, deepStack, ShapeError, StateError, showKind, showShape } from '../../base/errors.js'
import {
  broadcastStrides,
  checkResult,
  contiguousStrides,
  copyStrided,
  distinctIndices,
  isContiguous,
  sameShape,
  sizeOf,
} from '../../base/shape.js'
import type { Instruction, View } from '../../ir/format.js'
import { encodeOne } from '../../ir/format.js'
import { context, type Meta } from '../../tensor/context.js'
import { Storage } from '../../tensor/storage.js'
import { type GradNode, Tensor } from '../../tensor/tensor.js'
import { lowerMicro } from './micro.js'
import type { Dense, OpRow } from './table.js'

/** @internal The number of the next node of a graph of gradients. */
export const gradNodes = { next: 1 }

/** Called after each eager op: in anomaly mode, and by the fuzzers, which disturb results and compare them with float64. */
export const eagerHooks: {
  afterOp: ((row: OpRow<never>, inputs: readonly Tensor[], outputs: readonly Tensor[], attrs: unknown) => void) | undefined
} = {
  afterOp: undefined,
}

/** Applies an op with one output. */
export function apply<A>(row: OpRow<A>, inputs: readonly Tensor[], attrs: A, out?: Tensor): Tensor {
  return applyAll(row, inputs, attrs, out)[0]
}

/** Applies an op; returns all its outputs. */
export function applyAll<A>(row: OpRow<A>, inputs: readonly Tensor[], attrs: A, out?: Tensor): Tensor[] {
  const metas = row.infer(inputs, attrs)
  for (let i = 0; i < metas.length; i++) checkResult(row.name, metas[i].shape)
  if (out !== undefined) checkOut(row, inputs, out, metas[0])
  let outputs: Tensor[]
  const { recorder } = context
  if (recorder !== undefined) {
    outputs = recorder.record(row, inputs, attrs, metas)
    if (out !== undefined) {
      recorder.assign(out, outputs[0])
      return [out]
    }
  } else {
    outputs = runEager(row, inputs, attrs, metas, out)
  }
  if (context.gradEnabled && row.gradient !== undefined) noteGradient(row, inputs, attrs, outputs)
  if (eagerHooks.afterOp !== undefined && recorder === undefined) eagerHooks.afterOp(row as unknown as OpRow<never>, inputs, outputs, attrs)
  return outputs
}

/** Whether a gradient flows from a result of this dtype to one of the inputs. */
function leadsBack(inputs: readonly Tensor[], dtype: Meta['dtype']): boolean {
  let wanted = false
  for (let i = 0; i < inputs.length && !wanted; i++) wanted = inputs[i].requiresGrad
  return wanted && isFloat(dtype)
}

/** @internal notes how to differentiate outputs that were computed from the inputs */
export function noteGradient<A>(row: OpRow<A>, inputs: readonly Tensor[], attrs: A, outputs: Tensor[]): void {
  const { dtype } = outputs[0]
  if (!leadsBack(inputs, dtype)) return
  const node: GradNode = {
    row,
    attrs,
    inputs,
    outputs,
    id: gradNodes.next++,
    versions: [...inputs, ...outputs].map(versionOf),
    stack: context.anomaly ? deepStack() : undefined,
  }
  for (const t of outputs) if (t.dtype === dtype) t.gradNode = node
}

/** The version of what a tensor shows; traced tensors are immutable. */
export function versionOf(t: Tensor): number {
  if (t.constant !== undefined) return 0
  return (t.value === undefined ? t.storage.version : 0) + (context.recorder?.updates(t) ?? 0)
}

/** Everything that can be wrong with `{ out }`, before anything is written. */
function checkOut<A>(row: OpRow<A>, inputs: readonly Tensor[], out: Tensor, meta: Meta): void {
  const { name } = row
  checkTensor(name, '{ out }', out)
  if (!sameShape(out.shape, meta.shape) || out.dtype !== meta.dtype) {
    throw new ShapeError(
      'ERR_OUT_SHAPE',
      `${name}: { out } is ${out.dtype} ${showShape(out.shape)}, the result is ${meta.dtype} ${showShape(meta.shape)}.`,
    )
  }
  checkWritable(name, '{ out }', out)
  if (context.gradEnabled && row.gradient !== undefined && leadsBack(inputs, meta.dtype)) {
    throw new ArgumentError(
      'ERR_OUT_GRAD',
      `${name}: { out } cannot be used where gradients are recorded. Wrap the call in noGrad(() => …).`,
    )
  }
}

/** Checks that every element of a tensor to be written has memory of its own. */
export function checkWritable(op: string, what: string, { shape, strides }: Tensor): void {
  if (distinctIndices({ shape, strides })) return
  throw new ArgumentError(
    'ERR_WRITE_OVERLAPS',
    `${op}: elements of ${what} ${showShape(shape)} share memory, as those of expand() do, so each cannot have a value of its own. Write a clone().`,
  )
}

function allocate(meta: Meta): Tensor {
  const memory = context.gradEnabled ? undefined : context.walkMemory
  const storage = Storage.allocate(sizeOf(meta.shape) * itemSize(meta.dtype), memory !== undefined)
  memory?.add(storage)
  return Tensor.contiguous(storage, meta.shape, meta.dtype)
}

function runEager<A>(row: OpRow<A>, inputs: readonly Tensor[], attrs: A, metas: Meta[], out: Tensor | undefined): Tensor[] {
  for (const t of inputs) {
    if (t.traced) {
      throw new StateError(
        'ERR_TRACED_ESCAPED',
        `${row.name}: a traced tensor was used after its trace ended. Return it from the compiled function instead of storing it.`,
      )
    }
  }
  if (row.view !== undefined && out === undefined) {
    let [source] = inputs
    let seen = row.view(source, attrs)
    if (seen === undefined) {
      source = copyOf(source)
      seen = row.view(source, attrs) as NonNullable<typeof seen>
    }
    return [new Tensor({ ...seen, shape: metas[0].shape, dtype: source.dtype, storage: source.storage })]
  }
  const outputs = metas.map((meta, i) => (i > 0 || out === undefined || overlaps(row, inputs, out) ? allocate(meta) : out))
  for (const t of inputs) if (t.constant === undefined) t.storage.waitToRead()
  if (out !== undefined) out.storage.waitToWrite()
  execute(row, inputs, outputs, attrs)
  if (out !== undefined && outputs[0] !== out) {
    copyInto(out, outputs[0])
    outputs[0] = out
  }
  return outputs
}

/** Whether writing `out` could destroy an input before it is read. */
function overlaps<A>(row: OpRow<A>, inputs: readonly Tensor[], out: Tensor): boolean {
  return inputs.some((t) => {
    if (t.constant !== undefined || t.storage.bytes.buffer !== out.storage.bytes.buffer) return false
    const same = row.micro !== undefined && sameShape(t.shape, out.shape) && t.offset === out.offset
    return !(same && t.storage === out.storage && t.strides.every((s, i) => s === out.strides[i]))
  })
}

/** Copies `source` into the memory of `target`, which has the same shape and dtype. Grad-free, at once. */
export function copyInto(target: Tensor, source: Tensor): void {
  // asked for first: where the memory of either is gone, nothing changes
  const overlapping = source.constant === undefined && source.storage.bytes.buffer === target.storage.bytes.buffer
  source.storage.waitToRead()
  if (isWhole(target) && source.storage !== target.storage) target.storage.waitToReplace()
  else target.storage.waitToWrite()
  const native = nativeBackend()
  if (native === undefined || target.dtype === 'float64') {
    const item = itemSize(target.dtype)
    const dense = denseOf(source, source.shape)
    const from = overlapping ? dense.slice() : dense
    const { bytes } = target.storage
    const to = viewMemory(target.dtype, bytes.buffer, bytes.byteOffset, Math.floor(bytes.byteLength / item))
    if (isContiguous(target.shape, target.strides)) {
      to.set(from, target.offset)
    } else {
      scatterStrided(from, target, to)
    }
    return
  }
  const from = overlapping ? copyOf(source) : source
  runInstruction(lowerMicro(undefined, [viewOf(from)], viewOf(target)))
}

/** Whether a tensor shows all of its storage. */
function isWhole({ offset, size, shape, strides, dtype, storage }: Tensor): boolean {
  return offset === 0 && size * itemSize(dtype) === storage.byteLength && isContiguous(shape, strides)
}

function scatterStrided(from: TypedArray, target: Tensor, to: TypedArray): void {
  const positions = new Int32Array(to.length)
  for (let i = 0; i < positions.length; i++) positions[i] = i
  const at = new Int32Array(from.length)
  copyStrided(positions, target.offset, target.shape, target.strides, at)
  for (let i = 0; i < from.length; i++) to[at[i]] = from[i]
}

/** A contiguous copy. */
export function copyOf(t: Tensor): Tensor {
  const out = allocate(t)
  copyInto(out, t)
  return out
}

/** A tensor as an operand of an instruction. */
export function viewOf(t: Tensor): View<Storage> {
  const { dtype, offset, shape, strides, constant } = t
  return { buffer: t.storage, dtype, offset, shape, strides, constant }
}

function execute<A>(row: OpRow<A>, inputs: readonly Tensor[], outputs: readonly Tensor[], attrs: A): void {
  const double = inputs.some((t) => t.dtype === 'float64') || outputs.some((t) => t.dtype === 'float64')
  if (nativeBackend() === undefined || double || row.lower === undefined) {
    runReference(row, inputs, outputs, attrs)
    return
  }
  const instructions = row.lower(inputs.map(viewOf), outputs.map(viewOf), attrs)
  for (const i of instructions) runInstruction(i, row.name)
}

const noBuffers: Storage[] = []

/** Runs one instruction over storages, now, on this thread. */
function runInstruction(instruction: Instruction<Storage>, op = 'copy'): void {
  const native = nativeBackend()
  if (native === undefined) return
  const buffers = noBuffers
  buffers.length = 0
  const note = (v: View<Storage>): void => {
    if (!buffers.includes(v.buffer)) buffers.push(v.buffer)
  }
  instruction.inputs.forEach(note)
  instruction.outputs.forEach(note)
  const { words, length } = encodeOne(instruction, buffers, native.tableHash)
  const slots = buffers.map((b) => b.bytes)
  buffers.length = 0
  native.runOne(words, length, slots, op, instruction)
}

/** A tensor's elements in row-major order of `shape`, to which it is broadcast. */
export function denseOf(t: Tensor, shape: readonly number[]): TypedArray {
  const n = sizeOf(shape)
  const { bytes } = t.storage
  const item = itemSize(t.dtype)
  const strides = sameShape(t.shape, shape) ? t.strides : broadcastStrides(t.shape, t.strides, shape)
  if (isContiguous(shape, strides)) return viewMemory(t.dtype, bytes.buffer, bytes.byteOffset + t.offset * item, n)
  const source = viewMemory(t.dtype, bytes.buffer, bytes.byteOffset, Math.floor(bytes.byteLength / item))
  const out = viewMemory(t.dtype, new ArrayBuffer(n * item), 0, n)
  copyStrided(source, t.offset, shape, strides, out)
  return out
}

/** Runs the plain loops of a row. Outputs are written last, so they may be inputs as well. */
export function runReference<A>(row: OpRow<A>, inputs: readonly Tensor[], outputs: readonly Tensor[], attrs: A): void {
  const dense = (t: Tensor, shape: readonly number[]): Dense => ({ shape, dtype: t.dtype, data: denseOf(t, shape) })
  const ins = inputs.map((t) => dense(t, row.micro !== undefined ? outputs[0].shape : t.shape))
  const outs = outputs.map((t) => {
    const direct = isContiguous(t.shape, t.strides)
    const n = sizeOf(t.shape)
    const { bytes } = t.storage
    const data = direct
      ? viewMemory(t.dtype, bytes.buffer, bytes.byteOffset + t.offset * itemSize(t.dtype), n)
      : viewMemory(t.dtype, new ArrayBuffer(n * itemSize(t.dtype)), 0, n)
    return { shape: t.shape, dtype: t.dtype, data, direct }
  })
  row.reference(ins, outs, attrs)
  outs.forEach((o, i) => {
    if (!o.direct) {
      copyInto(
        outputs[i],
        new Tensor({
          shape: o.shape,
          strides: contiguousStrides(o.shape),
          offset: 0,
          dtype: o.dtype,
          storage: new Storage(new Uint8Array(o.data.buffer), false),
        }),
      )
    }
  })
}

/** A tensor or a number as a tensor; the number takes the given dtype. */
export function lift(x: Tensor | number, dtype: Meta['dtype']): Tensor {
  return typeof x === 'number' ? Tensor.scalar(x, dtype) : x
}

/** Checks an argument that has to be a tensor. */
export function checkTensor(op: string, name: string, x: unknown): asserts x is Tensor {
  if (!(x instanceof Tensor)) {
    const remedy = types.isPromise(x) ? '' : ' Make one with tensor(…).'
    throw new ArgumentError('ERR_NOT_A_TENSOR', `${op}: ${name} must be a tensor, received ${showKind(x)}.${remedy}`)
  }
}

/** Checks that each member of a list is a tensor; `name` is what a member is called. */
export function checkTensors(op: string, name: string, list: readonly unknown[]): asserts list is readonly Tensor[] {
  // not forEach, which leaves holes out
  for (let i = 0; i < list.length; i++) checkTensor(op, `${name} ${i}`, list[i])
}

/** @throws DTypeError `ERR_DTYPE` for integers and bool. */
export function checkFloat(op: string, x: Tensor): void {
  if (x.dtype === 'float32' || x.dtype === 'float64') return
  throw new DTypeError('ERR_DTYPE', `${op}: needs a float tensor, received ${x.dtype}. Convert with .to('float32').`)
}

/** Checks that a tensor has one of the dtypes an op computes in. */
export function checkDTypes(op: string, meta: Meta, allowed: readonly Meta['dtype'][]): void {
  if (!allowed.includes(meta.dtype)) {
    throw new DTypeError(
      'ERR_DTYPE',
      `${op}: dtype ${meta.dtype} is not supported, expected ${allowed.join(' or ')}. Convert with .to('${allowed[0]}').`,
    )
  }
}
