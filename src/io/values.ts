/**
 * Values of a user's own as JSON, and back. In: numbers of all kinds, strings, dates, typed arrays, and arrays, plain objects, maps and sets of them. Out: what
 * JSON can hold, from which the same values are made.
 *
 * What JSON has no word for is `{ "$type": …, "value": … }`; an object of the user's with such a key is wrapped likewise, so nothing is mistaken for another thing.
 */
import { types } from 'node:util'
import { isDetached } from '../base/dtype.js'
import { ArgumentError, showKind, showValue } from '../base/errors.js'

/** What comes back from a file as it went in. */
export type Storable =
  | undefined
  | null
  | boolean
  | number
  | bigint
  | string
  | Date
  | ArrayBuffer
  | InstanceType<(typeof arrays)[ArrayName]>
  | readonly Storable[]
  | ReadonlyMap<Storable, Storable>
  | ReadonlySet<Storable>
  | { readonly [key: string]: Storable }

const arrays = {
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  BigInt64Array,
  BigUint64Array,
  Float32Array,
  Float64Array,
} as const
type ArrayName = keyof typeof arrays

const isNamed = (name: unknown): name is ArrayName => typeof name === 'string' && Object.hasOwn(arrays, name)
const tagged = (type: string, value?: unknown): object => ({ $type: type, value })
const base64 = (data: ArrayBufferView | ArrayBufferLike): string =>
  (ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.from(data)).toString('base64')

/** So deep may values be nested: each level takes some of the stack, here and where the file is read. */
const deepest = 1000

/** `extra.best`, `extra.curves[3]`. */
const within = (path: string, key: string): string =>
  /^[A-Za-z_$][\w$]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`

/**
 * A value as JSON can hold it.
 *
 * @throws ArgumentError `ERR_CHECKPOINT` that names the place of what cannot be kept: functions, symbols, instances of classes, circles.
 */
export function encodeValue(op: string, path: string, value: unknown): unknown {
  const open = new Set<unknown>()
  const refuse = (at: string, what: string): ArgumentError =>
    new ArgumentError(
      'ERR_CHECKPOINT',
      `${op}: ${at} cannot be saved: ${what}. Use numbers, strings, dates, typed arrays, and arrays, plain objects, maps and sets of them.`,
    )
  const inside = (x: object, at: string): unknown => {
    if (Array.isArray(x)) return Array.from(x, (part, i) => encode(part, `${at}[${i}]`))
    if (types.isMap(x)) {
      const entries = [...(x as Map<unknown, unknown>)].map(([k, v], i) => [encode(k, `${at} (key ${i})`), encode(v, `${at} (value ${i})`)])
      return tagged('Map', entries)
    }
    if (types.isSet(x))
      return tagged(
        'Set',
        [...(x as Set<unknown>)].map((part, i) => encode(part, `${at} (element ${i})`)),
      )
    const prototype = Object.getPrototypeOf(x)
    // of another realm as well
    if (prototype !== null && Object.getPrototypeOf(prototype) !== null)
      throw refuse(at, `it is an instance of ${prototype.constructor?.name ?? 'a class'}`)
    if (Object.getOwnPropertySymbols(x).length > 0) throw refuse(at, 'it has keys that are symbols')
    const own = Object.fromEntries(Object.entries(x).map(([key, part]) => [key, encode(part, within(at, key))]))
    return Object.hasOwn(own, '$type') ? tagged('object', own) : own
  }
  const encode = (x: unknown, at: string): unknown => {
    if (x === null || typeof x === 'string' || typeof x === 'boolean') return x
    if (typeof x === 'number') return Number.isFinite(x) && !Object.is(x, -0) ? x : tagged('number', Object.is(x, -0) ? '-0' : String(x))
    if (x === undefined) return tagged('undefined')
    if (typeof x === 'bigint') return tagged('bigint', String(x))
    if (typeof x !== 'object') throw refuse(at, `it is ${typeof x === 'function' ? showValue(x) : `a ${showKind(x)}`}`)
    if (types.isDate(x)) return tagged('Date', encode(x.getTime(), at))
    if (types.isAnyArrayBuffer(x)) {
      if (isDetached(x)) throw refuse(at, 'its memory has been transferred elsewhere')
      return tagged('ArrayBuffer', base64(x))
    }
    if (ArrayBuffer.isView(x)) {
      const name = (x as { [Symbol.toStringTag]?: string })[Symbol.toStringTag]
      if (!isNamed(name)) throw refuse(at, `it is a ${name ?? 'view of memory'}`)
      if (isDetached(x.buffer)) throw refuse(at, 'its memory has been transferred elsewhere')
      return tagged(name, base64(x))
    }
    if (open.has(x)) throw refuse(at, 'it contains itself')
    if (open.size > deepest) throw refuse(at.slice(0, 100), `it is nested deeper than ${deepest} levels`)
    open.add(x)
    const made = inside(x, at)
    open.delete(x)
    return made
  }
  return encode(value, path)
}

/** The value that `encodeValue` was given, of what a file held. Throws for what it never makes. */
export function decodeValue(x: unknown): unknown {
  if (Array.isArray(x)) return x.map(decodeValue)
  if (typeof x !== 'object' || x === null) return x
  if (!Object.hasOwn(x, '$type')) return decodeEntries(x)
  const { $type: type, value } = x as { $type: unknown; value?: unknown }
  if (type === 'undefined') return undefined
  if (type === 'number') return Number(value)
  if (type === 'bigint') return BigInt(value as string)
  if (type === 'Date') return new Date(decodeValue(value) as number)
  if (type === 'Map') return new Map((decodeValue(value) as [unknown, unknown][]).map(([k, v]) => [k, v]))
  if (type === 'Set') return new Set(decodeValue(value) as unknown[])
  if (type === 'object') return decodeEntries(value as object)
  // a copy of its own: the bytes of a small Buffer lie in a pool
  const bytes = (): ArrayBuffer => new Uint8Array(Buffer.from(value as string, 'base64')).buffer
  if (type === 'ArrayBuffer') return bytes()
  if (isNamed(type)) return new arrays[type](bytes())
  throw new TypeError(`unknown type ${showValue(type)}`)
}

const decodeEntries = (x: object): object => Object.fromEntries(Object.entries(x).map(([key, part]) => [key, decodeValue(part)]))
