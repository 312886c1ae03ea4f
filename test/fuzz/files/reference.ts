/**
 * Readers that take no care of anything but of what a file says: they are asked about files that the library has read. In: bytes of a file that may be
 * damaged. Out: the arrays it holds by the format's description.
 */
import type { StoredArray } from '../../../src/io/wire.js'
import { arrayOf, codes, sizes, type Type } from './formats.js'

interface Entry {
  readonly dtype: Type
  readonly shape: number[]
  readonly data_offsets: [number, number]
}

/** The arrays of a file of safetensors; throws where there is no sense in it. */
export function readSafetensors(bytes: Uint8Array, doubles: boolean, names?: ReadonlySet<string>): Map<string, StoredArray> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const start = 8 + Number(view.getBigUint64(0, true))
  const header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, start))) as Record<string, Entry>
  const arrays = new Map<string, StoredArray>()
  for (const [name, { dtype, shape, data_offsets: at }] of Object.entries(header)) {
    if (name === '__metadata__' || names?.has(name) === false) continue
    const layout = { type: dtype, shape, little: true, fortran: false, doubles }
    const content = bytes.subarray(start + at[0], start + at[1])
    if (content.length !== at[1] - at[0] || content.length !== shape.reduce((product, extent) => product * extent, sizes[dtype]))
      throw new Error(`${name} has ${content.length} bytes`)
    arrays.set(name, refuseNone(arrayOf(content, layout), name))
  }
  return arrays
}

/** The array of a .npy file; throws where there is no sense in it. */
export function readNpy(bytes: Uint8Array): StoredArray {
  const wide = bytes[6] > 1
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const begin = wide ? 12 : 10
  const start = begin + (wide ? view.getUint32(8, true) : view.getUint16(8, true))
  const text = Buffer.from(bytes.subarray(begin, start)).toString('latin1')
  const found = (pattern: RegExp): string => pattern.exec(text)?.[1] ?? ''
  const descr = found(/['"]descr['"]\s*:\s*['"]([^'"]+)['"]/)
  const type = (Object.keys(codes) as Type[]).find((name) => codes[name] === descr.replace(/^[<>|=]/, ''))
  if (type === undefined) throw new Error(`dtype ${descr}`)
  const shape = [...found(/['"]shape['"]\s*:\s*\(([^)]*)\)/).matchAll(/\d+/g)].map(Number)
  const fortran = found(/['"]fortran_order['"]\s*:\s*(\w+)/) === 'True'
  const content = bytes.subarray(start)
  if (content.length !== shape.reduce((product, extent) => product * extent, sizes[type]))
    throw new Error(`${content.length} bytes of [${shape}]`)
  return refuseNone(arrayOf(content, { type, shape, little: !descr.startsWith('>'), fortran, doubles: false }), 'the array')
}

function refuseNone(array: StoredArray | undefined, name: string): StoredArray {
  if (array === undefined) throw new Error(`${name} has a value that fits no dtype`)
  return array
}
