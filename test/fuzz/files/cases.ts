/** Cases of the fuzzer of files. In: random numbers. Out: a file's description as plain data, its bytes, and smaller descriptions. */
import { gzipSync } from 'node:zlib'
import { Random } from '../frame/random.js'
import { type Beside, besides, drawExtra, writeCheckpoint } from './checkpoints.js'
import { drawEdit, type Edit, edited } from './edits.js'
import { drawExplosion, type Explosion, explode } from './explosions.js'
import { drawLies, type Fields, fieldsOf, type Lie } from './fields.js'
import { arrayOf, sizes, types } from './formats.js'
import { type Archive, bytesOf, type Drawn, type Packing, writeNpy, writeNpz, writeSafetensors } from './write.js'

const readers = ['parseSafetensors', 'loadSafetensors', 'loadNpy', 'loadNpz', 'load', 'loadCheckpoint'] as const
type Reader = (typeof readers)[number]

/** What other programs write, by the bytes it begins with. */
const foreigners: readonly string[] = [
  ...[
    '504b0304140000000800',
    '80028a0a6cfc9c46f9206aa850192e8002',
    '80049500000000000000007d942e',
    '080712077079746f726368',
    '894844460d0a1a0a',
  ],
  ...[
    '475546550300',
    '1f8b0800',
    '28b52ffd',
    'fd377a585a00',
    '425a68',
    '3c21444f4354595045',
    '7b22',
    '76657273696f6e2068747470733a2f2f6769742d6c6673',
    '',
  ],
]

export interface FileCase extends Packing, Beside, Explosion {
  readonly reader: Reader
  readonly kind: 'safetensors' | 'npy' | 'npz' | 'checkpoint' | 'explosion' | 'foreign'
  readonly arrays: readonly Drawn[]
  readonly metadata: readonly (readonly [string, string])[]
  /** The seed of a checkpoint's own values; 0 for none. */
  readonly extra: number
  readonly foreigner: number
  readonly lies: readonly Lie[]
  readonly edits: readonly Edit[]
  /** Whether double precision is kept, and half of the names are filtered out. */
  readonly doubles: boolean
  readonly half: boolean
}

const names = [
  'a',
  'fc.weight',
  '',
  '0',
  '-1',
  '__proto__',
  'constructor',
  'toString',
  'é',
  '🔑',
  'a b',
  '"',
  '\\',
  '\n',
  '\0',
  '\ufeff',
  '\u2028',
  '[0]',
]

function drawShape(random: Random): number[] {
  if (random.chance(0.01)) return [random.int(1, 2 ** 19)]
  const rank = random.chance(0.02) ? random.int(6, 64) : random.weighted({ 0: 2, 1: 3, 2: 3, 3: 2, 4: 1, 5: 1 })
  return Array.from({ length: Number(rank) }, () => (Number(rank) > 5 ? 1 : random.pick([0, 1, 1, 2, 3, 4, 5, Number(rank) < 3 ? 33 : 7])))
}

function drawArray(random: Random, name: string, forNumpy: boolean): Drawn {
  const type = random.pick(forNumpy ? types.filter((known) => known !== 'BF16') : types)
  const [little, fortran] = forNumpy ? [random.chance(0.7), random.chance(0.3)] : [true, false]
  return { name, type, shape: drawShape(random), seed: random.int(1, 2 ** 31 - 1), little, fortran, version: random.pick([1, 1, 2, 3]) }
}

function drawNames(random: Random, count: number): string[] {
  const free = random.shuffle(names)
  return Array.from({ length: count }, (_, i) => (random.chance(0.5) ? free[i] : `layers.${i}.weight`))
}

const ownReaders: Readonly<Record<FileCase['kind'], readonly Reader[]>> = {
  safetensors: ['parseSafetensors', 'loadSafetensors', 'loadSafetensors', 'load'],
  npy: ['loadNpy'],
  npz: ['loadNpz'],
  checkpoint: ['loadCheckpoint', 'loadCheckpoint', 'load', 'loadSafetensors'],
  explosion: readers,
  foreign: readers,
}

function writeTrue(c: FileCase, fields: Fields): { bytes: Uint8Array; contents?: Archive['contents'] } {
  if (c.kind === 'safetensors') return { bytes: writeSafetensors(c.arrays, c.metadata, fields) }
  if (c.kind === 'npy') return { bytes: writeNpy(c.arrays[0], fields) }
  if (c.kind === 'npz') return writeNpz(c.arrays, c, fields)
  if (c.kind === 'checkpoint') return { bytes: writeCheckpoint(c, c.extra === 0 ? undefined : extraOf(c), fields) }
  if (c.kind === 'explosion') return { bytes: explode(c) }
  const head = Buffer.from(foreigners[c.foreigner], 'hex')
  return { bytes: new Uint8Array(Buffer.concat([head, gzipSync(Buffer.alloc(c.n % 4096, 'chainrule'))])) }
}

/** A checkpoint's own values. */
export const extraOf = (c: FileCase): ReturnType<typeof drawExtra> => (c.extra === 0 ? undefined : drawExtra(new Random(c.extra, 0)))

export interface WrittenCase {
  readonly bytes: Uint8Array
  /** What the members of an archive hold. */
  readonly contents?: Archive['contents']
  /** Whether the reader has to read it. */
  readonly isSound: boolean
}

/** The file of a case. */
export function writeCase(c: FileCase): WrittenCase {
  const { bytes, contents } = writeTrue(c, fieldsOf(c.lies))
  const fits = (array: Drawn): boolean =>
    arrayOf(bytesOf(array), { ...array, doubles: c.doubles && c.kind === 'safetensors' && c.reader !== 'load' }) !== undefined
  const damaged = c.lies.length + c.edits.length + (c.kind === 'npz' ? c.inner.length : 0) > 0
  const asked = (array: Drawn): boolean => c.kind !== 'safetensors' || !c.half || array.name.length % 2 === 0
  const own = {
    safetensors: /^(parse|load)Safetensors$/,
    npy: /^loadNpy$/,
    npz: /^loadNpz$/,
    checkpoint: /^(load|loadCheckpoint|loadSafetensors)$/,
    explosion: /^$/,
    foreign: /^$/,
  }
  const isSound = !damaged && own[c.kind].test(c.reader) && c.arrays.filter(asked).every(fits)
  return { bytes: edited(bytes, c.edits), contents, isSound }
}

export function drawCase(random: Random): FileCase {
  const kind = random.weighted({ safetensors: 5, npy: 3, npz: 4, checkpoint: 3, explosion: 1, foreign: 1 })
  const count = kind === 'npy' ? 1 : kind === 'npz' ? random.int(1, 4) : random.int(0, 5)
  const isCheckpoint = kind === 'checkpoint'
  const c: FileCase = {
    ...drawExplosion(random),
    reader: random.chance(0.06) ? random.pick(readers) : random.pick(ownReaders[kind]),
    kind,
    arrays: isCheckpoint ? [] : drawNames(random, count).map((name) => drawArray(random, name, kind !== 'safetensors')),
    metadata: drawNames(random, random.pick([0, 0, 1, 3])).map((key) => [key, random.pick(names)]),
    extra: isCheckpoint && random.chance(0.7) ? random.int(1, 2 ** 31 - 1) : 0,
    foreigner: random.int(0, foreigners.length - 1),
    optimizer: random.pick(besides.optimizer),
    scheduler: random.pick(besides.scheduler),
    loader: random.chance(0.5),
    deflate: random.chance(0.6),
    wide: random.chance(0.3),
    comment: random.chance(0.2) ? random.int(0, 100) : 0,
    inner: [],
    lies: [],
    edits: [],
    doubles: random.chance(0.3),
    half: random.chance(0.1),
  }
  const how = random.weighted({ none: 2, lies: 4, edits: 4, both: 1, inner: kind === 'npz' ? 2 : 0 })
  const some = (p: boolean): number => (p ? random.pick([1, 1, 1, 2, 3]) : 0)
  return {
    ...c,
    inner: Array.from({ length: some(how === 'inner') }, () => ({ member: random.int(0, 3), edit: drawEdit(random) })),
    lies: drawLies(random, some(how === 'lies' || how === 'both'), (fields) => void writeTrue(c, fields)),
    edits: Array.from({ length: some(how === 'edits' || how === 'both') }, () => drawEdit(random)),
  }
}

const without = <T>(list: readonly T[], i: number): T[] => list.filter((_, k) => k !== i)

/** Cases with fewer changes, fewer arrays, fewer elements. */
export function* shrinkCase(c: FileCase): Generator<FileCase> {
  if (c.kind === 'explosion' || c.kind === 'foreign')
    for (const n of [c.n >> 1, c.n - (c.n >> 3), c.n - 1]) if (n > 0 && n < c.n) yield { ...c, n }
  for (const part of ['edits', 'lies', 'inner'] as const)
    for (let i = 0; i < c[part].length; i++) yield { ...c, [part]: without<unknown>(c[part], i) }
  if (c.extra !== 0) yield { ...c, extra: 0 }
  if (c.loader) yield { ...c, loader: false }
  if (c.optimizer !== 'none') yield { ...c, optimizer: 'none' }
  if (c.scheduler !== 'none') yield { ...c, scheduler: 'none' }
  if (c.arrays.length > 1) for (let i = 0; i < c.arrays.length; i++) yield { ...c, arrays: without(c.arrays, i) }
  for (let i = 0; i < c.metadata.length; i++) yield { ...c, metadata: without(c.metadata, i) }
  for (const flag of ['deflate', 'wide', 'doubles', 'half'] as const) if (c[flag]) yield { ...c, [flag]: false }
  if (c.comment > 0) yield { ...c, comment: 0 }
  for (let i = 0; i < c.arrays.length; i++)
    for (const array of smaller(c.arrays[i])) yield { ...c, arrays: c.arrays.map((a, k) => (k === i ? array : a)) }
}

function* smaller(array: Drawn): Generator<Drawn> {
  const { shape, type } = array
  for (let axis = 0; axis < shape.length; axis++) {
    yield { ...array, shape: without(shape, axis) }
    if (shape[axis] > 1) yield { ...array, shape: shape.map((extent, k) => (k === axis ? extent >> 1 : extent)) }
  }
  if (array.fortran) yield { ...array, fortran: false }
  if (!array.little) yield { ...array, little: true }
  if (array.version > 1) yield { ...array, version: 1 }
  if (sizes[type] > 1) yield { ...array, type: 'U8' }
}
