/**
 * State: tensors that outlive a call and that background programs read and write by reference (parameters, running statistics,
 * optimizer state), and loading it from named tensors. In: shapes, named tensors. Out: tensors in shared memory; one error that lists
 * everything that does not fit.
 */
import { type DType, isFloat, itemSize } from '../dtype.js'
import { ArgumentError, type ChainruleError, DTypeError, ShapeError, StateError, showKind, showShape } from '../errors.js'
import { sameShape, sizeOf } from '../shape.js'
import { Storage } from '../storage.js'
import { Tensor } from '../tensor.js'
import { tracing } from '../tracing.js'
import { assign } from './assign.js'

/** Tensors by name, as `stateDict()` gives them. */
export type StateDict = Record<string, Tensor>

/** What `loadStateDict` takes: a plain object or a `Map`. */
export type StateSource = Readonly<Record<string, Tensor>> | ReadonlyMap<string, Tensor>

/** State is made once, outside; inside `compile` it would be new at every call. */
export function refuseInTrace(op: string): void {
  if (tracing.recorder === undefined) return
  throw new StateError(
    'ERR_STATE_IN_TRACE',
    `${op}: made inside compile(), where it would be new at every call. Make it once, outside, and use it inside.`,
  )
}

/** @internal zeros that background programs may use by reference */
export function stateZeros(op: string, shape: readonly number[], dtype: DType = 'float32'): Tensor {
  refuseInTrace(op)
  return Tensor.contiguous(Storage.allocateShared(sizeOf(shape) * itemSize(dtype)), [...shape], dtype)
}

/** @internal a copy that background programs may use by reference */
export function stateCopy(op: string, source: Tensor): Tensor {
  const copy = stateZeros(op, source.shape, source.dtype)
  assign(copy, source)
  return copy
}

/** One place of a state dict: what belongs there and how it is written. */
export interface StateSlot {
  readonly shape: readonly number[]
  readonly dtype: DType
  /** Says what is wrong with a value of the right shape. */
  refuse?(value: Tensor): string | undefined
  write(value: Tensor): void
}

/** @internal the slot of a tensor that is overwritten in place */
export function tensorSlot(target: Tensor): StateSlot {
  return {
    shape: target.shape,
    dtype: target.dtype,
    write: (value) => assign(target, value.dtype === target.dtype ? value : value.to(target.dtype)),
  }
}

function entriesOf(op: string, source: StateSource): ReadonlyMap<string, Tensor> {
  if (source instanceof Map) return source
  if (source === null || typeof source !== 'object' || Array.isArray(source) || source instanceof Tensor) {
    throw new ArgumentError('ERR_STATE_DICT', `${op}: needs tensors by name, an object or a Map, received ${showKind(source)}.`)
  }
  return new Map(Object.entries(source))
}

/** What is wrong with a value for a slot, as a line of the error; `undefined` when it fits. */
function misfit(name: string, slot: StateSlot, value: unknown): string | undefined {
  if (!(value instanceof Tensor)) return `${name}: expected a tensor, received ${showKind(value)}`
  if (!sameShape(value.shape, slot.shape)) return `${name}: expected ${showShape(slot.shape)}, received ${showShape(value.shape)}`
  if (isFloat(value.dtype) !== isFloat(slot.dtype)) return `${name}: expected ${slot.dtype}, received ${value.dtype}`
  const refused = slot.refuse?.(value)
  return refused && `${name}: ${refused}`
}

/**
 * @internal Writes named tensors into the slots of the same names. Everything is checked before anything is written.
 *
 * @throws ArgumentError, ShapeError or DTypeError with code `ERR_STATE_DICT`: one message that lists all entries that are missing,
 * unexpected (both with `strict` only) or of another shape or kind of dtype.
 */
export function loadState(op: string, slots: ReadonlyMap<string, StateSlot>, source: StateSource, strict: boolean): void {
  refuseInTrace(op)
  const values = entriesOf(op, source)
  const missing = strict ? [...slots.keys()].filter((name) => !values.has(name)) : []
  const unexpected = strict ? [...values.keys()].filter((name) => !slots.has(name)) : []
  const wrong: string[] = []
  for (const [name, slot] of slots) {
    const line = values.has(name) ? misfit(name, slot, values.get(name)) : undefined
    if (line !== undefined) wrong.push(line)
  }
  if (missing.length + unexpected.length + wrong.length > 0) throw listed(op, missing, unexpected, wrong)
  for (const [name, slot] of slots) {
    const value = values.get(name)
    if (value !== undefined) slot.write(value)
  }
}

function listed(op: string, missing: readonly string[], unexpected: readonly string[], wrong: readonly string[]): ChainruleError {
  const parts: string[] = []
  if (missing.length > 0) parts.push(`missing: ${missing.join(', ')}`)
  if (unexpected.length > 0) parts.push(`unexpected: ${unexpected.join(', ')}`)
  if (wrong.length > 0) parts.push(`not fitting: ${wrong.join('; ')}`)
  const remedy = wrong.length > 0 ? 'Build it as it was when it was saved.' : 'Pass { strict: false } to load what is there.'
  const message = `${op}: the entries differ, nothing was loaded. ${parts.join('. ')}. ${remedy}`
  if (wrong.length === 0) return new ArgumentError('ERR_STATE_DICT', message)
  const shapes = wrong.some((line) => line.includes('expected ['))
  return shapes ? new ShapeError('ERR_STATE_DICT', message) : new DTypeError('ERR_STATE_DICT', message)
}
