/**
 * Files made to take long or much memory. In: a kind and a size. Out: bytes; whether they can be read is not said, only that they must not cost more than
 * their length explains.
 */
import { deflateRawSync } from 'node:zlib'
import { crc32 } from '../../../src/io/inflate.js'
import type { Random } from '../frame/random.js'
import { fieldsOf } from './fields.js'
import { type Drawn, writeNpy, writeNpz } from './write.js'

export interface Explosion {
  readonly what: keyof typeof kinds
  /** About how many bytes, or how many parts. */
  readonly n: number
}

const header = (text: string, data = 0): Uint8Array => {
  const bytes = Buffer.from(text)
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(bytes.length))
  return new Uint8Array(Buffer.concat([size, bytes, Buffer.alloc(data)]))
}

const progress = (text: string): Uint8Array =>
  header(JSON.stringify({ __metadata__: { 'chainrule.version': '1', 'chainrule.kind': 'checkpoint', 'chainrule.progress': text } }))

const dict = (shape: string, more = '', data = 4): Uint8Array => {
  const bytes = Buffer.from(`{'descr': '<f4', 'fortran_order': True, 'shape': ${shape}${more}, }`)
  const start = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 2, 0, 0, 0, 0, 0])
  start.writeUInt32LE(bytes.length, 8)
  return new Uint8Array(Buffer.concat([start, bytes, Buffer.alloc(data)]))
}

const drawn = (name: string, shape: number[]): Drawn => ({ name, type: 'F32', shape, seed: 1, little: true, fortran: false, version: 1 })
const list = (n: number, part: (i: number) => string): string => Array.from({ length: n }, (_, i) => part(i)).join(',')
const few = (n: number, bytes: number): number => Math.max(1, Math.floor(n / bytes))
const plain = { deflate: false, wide: false, comment: 0, inner: [] }

/** An archive of `n` members, each said to begin `begin(i)` bytes into the file. */
function archive(n: number, begin: (truth: number, i: number) => number): Uint8Array {
  const arrays = Array.from({ length: n }, (_, i) => drawn(String(i), [1]))
  const truth = fieldsOf([])
  return writeNpz(arrays, plain, {
    ...truth,
    number: (key, value) => (key.endsWith(' start') ? BigInt(begin(value, Number.parseInt(key, 10))) : truth.number(key, value)),
  }).bytes
}

/** A deflated member of 200 zeros for each of `packed` bytes. */
function bomb(packed: number): Uint8Array {
  const content = writeNpy({ ...drawn('a', [50 * packed]), bytes: new Uint8Array(200 * packed) }, fieldsOf([]))
  const small = new Uint8Array(deflateRawSync(content))
  const truth = fieldsOf([
    ['0 size', content.length],
    ['0 crc', crc32(content)],
    ['0 packed', small.length],
    ['0 method', 8],
    ['0 start', 0],
  ])
  const { bytes } = writeNpz([drawn('a', [])], plain, truth)
  // the member's own bytes are replaced, and what is said of places moves with them
  const end = 30 + 'a.npy'.length
  const before = writeNpy(drawn('a', []), fieldsOf([])).length
  const out = Buffer.concat([bytes.subarray(0, end), small, bytes.subarray(end + before)])
  out.writeUInt32LE(end + small.length, out.length - 6)
  return new Uint8Array(out)
}

const kinds = {
  brackets: (n: number) => header('{"x":'.padEnd(n, '[')),
  braces: (n: number) => header('{"x":'.repeat(few(n, 5))),
  'brackets in an entry': (n: number) => header(`{"x":{"more":${'['.repeat(n / 2)}${']'.repeat(n / 2)}}}`),
  'a long shape': (n: number) => header(`{"x":{"shape":[${'1,'.repeat(n / 2)}1]}}`),
  'many empty tensors': (n: number) => header(`{${list(few(n, 54), (i) => `"${i}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`)}}`),
  'many small tensors': (n: number) =>
    header(`{${list(few(n, 60), (i) => `"${i}":{"dtype":"U8","shape":[1],"data_offsets":[${i},${i + 1}]}`)}}`, few(n, 60)),
  'tensors from the last to the first': (n: number) => {
    const count = few(n, 60)
    return header(`{${list(count, (i) => `"${i}":{"dtype":"U8","shape":[1],"data_offsets":[${count - i - 1},${count - i}]}`)}}`, count)
  },
  'tensors that overlap': (n: number) =>
    header(`{${list(few(n, 60), (i) => `"${i}":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}`)}}`, 1),
  'many fields': (n: number) => header(`{"x":{${list(few(n, 10), (i) => `"${i}":1`)}}}`),
  'much metadata': (n: number) => header(`{"__metadata__":{${list(few(n, 12), (i) => `"${i}":""`)}}}`),
  'a long name': (n: number) => header(`{"${'x'.repeat(n)}":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4),
  'a long name of escapes': (n: number) => header(`{"${'\\u0041'.repeat(few(n, 6))}":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4),
  'a string without end': (n: number) => header(`{"${'\\"'.repeat(few(n, 2))}`),
  'a long number': (n: number) => header(`{"x":{"dtype":"F32","shape":[${'1'.repeat(n)}],"data_offsets":[0,4]}}`, 4),
  'space around': (n: number) => header(`{${' '.repeat(n)}}${'\t'.repeat(n)}`),
  'progress of brackets': (n: number) => progress('['.repeat(n)),
  'progress of objects': (n: number) =>
    progress(`{"epoch":0,"step":0,"random":{"seed":1,"position":0},"extra":[${list(few(n, 3), () => '{}')}]}`),
  'progress of maps': (n: number) =>
    progress(`{"epoch":0,"step":0,"random":{"seed":1,"position":0},"extra":[${list(few(n, 26), () => '{"$type":"Map","value":[]}')}]}`),
  'progress nested deep': (n: number) => {
    const depth = Math.min(n, 900)
    return progress(
      `{"epoch":0,"step":0,"random":{"seed":1,"position":0},"extra":${'{"$type":"Set","value":['.repeat(depth / 2)}${']}'.repeat(depth / 2)}}`,
    )
  },
  'progress of a long integer': (n: number) =>
    progress(`{"epoch":0,"step":0,"random":{"seed":1,"position":0},"extra":{"$type":"bigint","value":"${'7'.repeat(n)}"}}`),
  'many dimensions': (n: number) => dict(`(${'1,'.repeat(n / 2)})`),
  'a long extent': (n: number) => dict(`(${'1'.repeat(n)},)`),
  'space in a tuple': (n: number) => dict(`(1,${' '.repeat(n)}x)`),
  'commas in a tuple': (n: number) => dict(`(${'1 , '.repeat(n / 4)}x)`),
  'braces in a dict': (n: number) => dict('(1,)', `, ${'} '.repeat(n / 2)}x`),
  'a list as descr': (n: number) => dict(`(1,), 'x': [${']'.repeat(n)}`),
  'a header of space': (n: number) => dict('(1,)', ' '.repeat(n)),
  'an extent of zero and a large one': (n: number) => dict(`(0, ${n}000000000, 1)`, '', 0),
  'many members': (n: number) => archive(few(n, 300), (truth) => truth),
  'members from the last to the first': (n: number) => {
    const count = few(n, 300)
    const starts: number[] = []
    archive(count, (truth, i) => {
      starts[i] = truth
      return truth
    })
    return archive(count, (_, i) => starts[count - 1 - i])
  },
  'members that overlap': (n: number) => archive(few(n, 300), () => 0),
  'end records': (n: number) => new Uint8Array(Buffer.from('504b0506'.repeat(few(n, 4)) + '00'.repeat(18), 'hex')),
  bomb: (n: number) => bomb(few(n, 8)),
} as const

export const explosionKinds = Object.keys(kinds) as (keyof typeof kinds)[]

export const drawExplosion = (random: Random): Explosion => ({
  what: random.pick(explosionKinds),
  // a large one now and then: most of the time of a run goes there
  n: random.chance(0.1) ? random.int(1, 2 ** 21) : random.int(1, 2 ** random.int(4, 16)),
})

export const explode = ({ what, n }: Explosion): Uint8Array => kinds[what](n)
