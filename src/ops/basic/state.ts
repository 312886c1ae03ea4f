/**
 * State: tensors that outlive a call and that background programs read and write by reference (parameters, running statistics,
 * optimizer state), and loading it from named tensors. In: shapes, named tensors. Out: tensors in shared memory; one error that lists
 * everything that does not fit.
 */
import { types } from 'node:util'
import { arrayKind, type DType, dtypeOfArray, isFloat, itemSize, type TypedArray } from '../../base/dtype.js'
import {
  ArgumentError,
  type ChainruleError,
  checkFunction,
  DTypeError,
  ShapeError,
  StateError,
  showKind,
  showShape,
  showValue,
} from '../../base/errors.js'
import { checkResult, sameShape, sizeOf } from '../../base/shape.js'
import { context } from '../../tensor/context.js'
import { Storage } from '../../tensor/storage.js'
import { Tensor, tensorOf } from '../../tensor/tensor.js'
import { assign } from './assign.js'

/** Tensors by name, as `stateDict()` gives them. */
export type StateDict = Record<string, Tensor>

/** An array with its shape, as files hold tensors. */
export interface StateArray {
  readonly data: TypedArray
  readonly shape: readonly number[]
  readonly dtype: DType
}

/** What `loadStateDict` takes: tensors or arrays by name, in a plain object, a `Map`, or what `loadSafetensors` gives. */
export type StateSource =
  | Readonly<Record<string, Tensor | StateArray>>
  | ReadonlyMap<string, Tensor | StateArray>
  | { readonly tensors: ReadonlyMap<string, Tensor | StateArray> }

/** Which entries are loaded. */
export interface LoadStateOptions {
  /** Whether every name has to occur on both sides; default true. A shape that does not fit is an error in either case, as in PyTorch. */
  strict?: boolean
  /** Which names are loaded; the others are left as they are, here and there, and count as neither missing nor unexpected. Default all. */
  filter?: (name: string) => boolean
}

/** The names that did not occur on both sides, as PyTorch's `load_state_dict` returns them. */
export interface IncompatibleKeys {
  /** In the model alone: left as they were. */
  readonly missingKeys: readonly string[]
  /** In the dict alone. */
  readonly unexpectedKeys: readonly string[]
}

/** State is made once, outside; inside `compile` it would be new at every call. */
export function refuseInTrace(op: string): void {
  if (context.recorder === undefined) return
  throw new StateError(
    'ERR_STATE_IN_TRACE',
    `${op}: made inside compile(), where it would be new at every call. Make it once, outside, and use it inside.`,
  )
}

/** @internal zeros that background programs may use by reference */
export function stateZeros(op: string, shape: readonly number[], dtype: DType = 'float32'): Tensor {
  refuseInTrace(op)
  checkResult(op, shape)
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

type Values = ReadonlyMap<string, Tensor | StateArray>

/** @internal the entries of whatever a state is given as */
export function entriesOf(op: string, source: StateSource): Values {
  if (types.isMap(source)) return source as Values
  if (source === null || typeof source !== 'object' || Array.isArray(source) || source instanceof Tensor) {
    throw new ArgumentError('ERR_STATE_DICT', `${op}: needs tensors by name, an object or a Map, received ${showKind(source)}.`)
  }
  // no entry is a Map: this is a file with its metadata
  const { tensors } = source as { tensors?: unknown }
  return types.isMap(tensors) ? (tensors as Values) : new Map(Object.entries(source as Readonly<Record<string, Tensor | StateArray>>))
}

const knownArrays: readonly unknown[] = ['Float32Array', 'Int32Array', 'Uint8Array', 'Float64Array']
const isKnownArray = (data: ArrayBufferView): data is TypedArray => knownArrays.includes(arrayKind(data))

/** The tensor of an entry; for what is none, how an error names it. */
function tensorIn(value: unknown): Tensor | string {
  if (value instanceof Tensor) return value
  const { data, shape, dtype } = (value ?? {}) as { data?: ArrayBufferView; shape?: readonly number[]; dtype?: DType }
  if (!ArrayBuffer.isView(data) || !Array.isArray(shape) || dtype === undefined) return showKind(value)
  if (!isKnownArray(data)) return arrayKind(data) ?? 'a DataView'
  const own = dtypeOfArray(data)
  if (dtype !== own && !(dtype === 'bool' && own === 'uint8')) return `${own} data called ${showValue(dtype)}`
  if (sizeOf(shape) !== data.length) return `${data.length} elements of shape ${showShape(shape)}`
  return tensorOf({ data, shape, dtype })
}

/** What is wrong with a value for a slot, as a line of the error; `undefined` when it fits. */
function misfit(name: string, slot: StateSlot, value: Tensor | string): string | undefined {
  if (typeof value === 'string') return `${name}: expected a tensor or { data, shape, dtype }, received ${value}`
  if (!sameShape(value.shape, slot.shape)) return `${name}: expected ${showShape(slot.shape)}, received ${showShape(value.shape)}`
  if (isFloat(value.dtype) !== isFloat(slot.dtype)) return `${name}: expected ${slot.dtype}, received ${value.dtype}`
  const refused = slot.refuse?.(value)
  return refused && `${name}: ${refused}`
}

/**
 * @internal Writes named tensors into the slots of the same names. Everything is checked before anything is written. Returns the names that did not
 * occur on both sides.
 *
 * @throws ArgumentError, ShapeError or DTypeError with code `ERR_STATE_DICT`: one message that lists all entries that are missing,
 * unexpected (both with `strict` only) or of another shape or kind of dtype.
 */
export function loadState(
  op: string,
  slots: ReadonlyMap<string, StateSlot>,
  source: StateSource,
  options: LoadStateOptions = {},
): IncompatibleKeys {
  refuseInTrace(op)
  const { strict = true, filter = () => true } = options
  checkFunction(`${op}: filter`, filter)
  const values = entriesOf(op, source)
  const missingKeys = [...slots.keys()].filter((name) => !values.has(name) && filter(name))
  const unexpectedKeys = [...values.keys()].filter((name) => !slots.has(name) && filter(name))
  const wrong: string[] = []
  const writes: [StateSlot, Tensor][] = []
  for (const [name, slot] of slots) {
    if (!values.has(name) || !filter(name)) continue
    const value = tensorIn(values.get(name))
    const line = misfit(name, slot, value)
    if (line !== undefined) wrong.push(line)
    else writes.push([slot, value as Tensor])
  }
  if (wrong.length > 0 || (strict && missingKeys.length + unexpectedKeys.length > 0)) {
    throw listed(op, strict ? missingKeys : [], strict ? unexpectedKeys : [], wrong)
  }
  for (const [slot, value] of writes) slot.write(value)
  return { missingKeys, unexpectedKeys }
}

/** So many of a list are shown; names come from files. */
const shown = { entries: 40, characters: 200 }

function showList(list: readonly string[], separator: string): string {
  const clip = (key: unknown): string => {
    const text = typeof key === 'string' ? key : showValue(key)
    return text.length <= shown.characters ? text : `${text.slice(0, shown.characters - 1)}…`
  }
  const more = list.length > shown.entries ? `${separator}and ${list.length - shown.entries} more` : ''
  return list.slice(0, shown.entries).map(clip).join(separator) + more
}

function listed(op: string, missing: readonly string[], unexpected: readonly string[], wrong: readonly string[]): ChainruleError {
  const parts: string[] = []
  if (missing.length > 0) parts.push(`missing: ${showList(missing, ', ')}`)
  if (unexpected.length > 0) parts.push(`unexpected: ${showList(unexpected, ', ')}`)
  if (wrong.length > 0) parts.push(`not fitting: ${showList(wrong, '; ')}`)
  const remedy =
    wrong.length > 0
      ? 'Build it as it was when it was saved, or leave parts out: { filter: (name) => … }.'
      : 'Pass { strict: false } to load what is there.'
  const message = `${op}: the entries differ, nothing was loaded. ${parts.join('. ')}. ${remedy}`
  if (wrong.length === 0) return new ArgumentError('ERR_STATE_DICT', message)
  const shapes = wrong.some((line) => line.includes('expected ['))
  return shapes ? new ShapeError('ERR_STATE_DICT', message) : new DTypeError('ERR_STATE_DICT', message)
}
