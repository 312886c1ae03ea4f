/**
 * Files nobody should write. In: sound files of every format, with lies about any of their fields, bytes changed anywhere, and files made to explode. What
 * must hold of every reader: what the format's description says is in the file, or a typed error; memory in proportion to the file; no handle, no file and
 * no half-loaded training left behind.
 */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ChainruleError, load, loadNpy, loadNpz, loadSafetensors, nn, parseSafetensors, serializeSafetensors } from '../../src/index.js'
import { readNpy as parseNpy, serializeNpy } from '../../src/io/npy.js'
import { bytesOf as inMemory, piecesOf } from '../../src/io/read.js'
import type { Safetensors } from '../../src/io/safetensors.js'
import type { StoredArray } from '../../src/io/wire.js'
import { drawCase, extraOf, type FileCase, shrinkCase, type WrittenCase, writeCase } from './files/cases.js'
import { checkCheckpoint } from './files/checkpoints.js'
import { leavingNothing, within } from './files/cost.js'
import { difference } from './files/formats.js'
import { readNpy, readSafetensors } from './files/reference.js'
import type { Fuzzer } from './frame/fuzzer.js'

/** Memory that a file may cost: so much for each of its bytes, and for garbage that nobody has collected yet. */
const memory = { perByte: 60, beside: 2 ** 26 }

/** Beside the bundle that runs, which whoever watches removes, also where this process is killed; made when a case is checked, not when a test asks for the name. */
let folder = ''
let path = ''

function makeFolder(): void {
  if (folder !== '') return
  folder = mkdtempSync(join(dirname(process.argv[1]), 'files-'))
  path = join(folder, 'file')
}

function equal(actual: ReadonlyMap<string, StoredArray>, expected: ReadonlyMap<string, StoredArray>): void {
  if ([...actual.keys()].sort().join() !== [...expected.keys()].sort().join())
    throw new Error(`read ${JSON.stringify([...actual.keys()])} instead of ${JSON.stringify([...expected.keys()])}`)
  for (const [name, array] of expected) {
    const wrong = difference(actual.get(name) as StoredArray, array)
    if (wrong !== undefined) throw new Error(`${JSON.stringify(name)}: ${wrong}`)
  }
}

/** What was read can be written, and is read again as it is. */
function again({ tensors, metadata }: Safetensors, doubles: boolean): void {
  const { tensors: back, metadata: texts } = parseSafetensors(serializeSafetensors(tensors, { metadata }), { float64: doubles })
  equal(back, tensors)
  if (JSON.stringify([...texts].sort()) !== JSON.stringify([...metadata].sort()))
    throw new Error('the metadata are not the same when saved')
}

async function againNpy(array: StoredArray): Promise<void> {
  const bytes = serializeNpy(array)
  // double precision is written as it is and read as single
  if (array.dtype === 'float64') return
  const wrong = difference(await parseNpy(piecesOf(inMemory(bytes), 0, bytes.length), bytes.length, 'npy'), array)
  if (wrong !== undefined) throw new Error(`saved again: ${wrong}`)
}

/** Reads the file and compares; throws what the reader throws. */
async function read(c: FileCase, { bytes, contents }: WrittenCase): Promise<void> {
  const isWhole = c.lies.length + c.edits.length === 0 && c.kind !== 'explosion' && c.kind !== 'foreign'
  switch (c.reader) {
    case 'parseSafetensors':
    case 'loadSafetensors': {
      const options = { float64: c.doubles, filter: c.half ? (name: string) => name.length % 2 === 0 : undefined }
      const file = c.reader === 'parseSafetensors' ? parseSafetensors(bytes, options) : await loadSafetensors(path, options)
      equal(file.tensors, readSafetensors(bytes, c.doubles, c.half ? new Set(file.tensors.keys()) : undefined))
      if (isWhole && c.kind === 'safetensors' && !c.half && file.tensors.size !== c.arrays.length) throw new Error('tensors are missing')
      return again(file, c.doubles)
    }
    case 'loadNpy': {
      const array = await loadNpy(path)
      const wrong = difference(array, readNpy(bytes))
      if (wrong !== undefined) throw new Error(wrong)
      return againNpy(array)
    }
    case 'loadNpz': {
      const arrays = await loadNpz(path, { maxBytes: 2 ** 23 })
      if (c.lies.length === 0 && contents !== undefined)
        return equal(arrays, new Map(contents.map(({ name, bytes }) => [name, readNpy(bytes)])))
      // checksums say that each is one of those that were written, if under another name
      for (const [name, array] of arrays)
        if (contents?.every(({ bytes }) => differs(array, bytes))) throw new Error(`${JSON.stringify(name)} holds what nobody wrote`)
      return
    }
    case 'load': {
      const model = new nn.Linear(3, 2)
      const before = model.weight.toArray().join()
      await load(model, path).catch((error: unknown) => {
        if (model.weight.toArray().join() !== before) throw new Error('a refused file changed the model', { cause: error })
        throw error
      })
      return
    }
    default:
      return checkCheckpoint(path, c, extraOf(c), isWhole && c.kind === 'checkpoint')
  }
}

function differs(array: StoredArray, bytes: Uint8Array): boolean {
  try {
    return difference(array, readNpy(bytes)) !== undefined
  } catch {
    return true
  }
}

/** Whether a refusal is one that a program can act on. */
const isTyped = (error: unknown): boolean =>
  error instanceof ChainruleError && /^ERR_[A-Z0-9_]+$/.test(error.code) && error.message.length < 5000

async function check(c: FileCase): Promise<void> {
  const written = writeCase(c)
  const { bytes, isSound } = written
  makeFolder()
  writeFileSync(path, bytes)
  // archives may unpack to their limit, integers to four times their bytes
  const most = memory.beside + memory.perByte * bytes.length + (c.reader === 'loadNpz' ? 5 * 2 ** 23 : 0)
  let fault: unknown
  await leavingNothing(folder, () =>
    within(most, async () => {
      try {
        await read(c, written)
        if (c.kind === 'foreign' && c.edits.length === 0) fault = new Error('a foreign file was read')
      } catch (error) {
        if (!isTyped(error)) fault = error
        else if (isSound) fault = new Error('a sound file was refused', { cause: error })
      }
    }),
  )
  if (fault !== undefined) throw fault
}

export const fuzzer: Fuzzer<FileCase> = {
  name: 'files',
  about: 'damaged, lying and exploding files are read as they say or refused with a typed error, in time and memory of their length',
  generate: drawCase,
  check,
  shrink: shrinkCase,
  print: (c) => `// test/fuzz/files.ts\ncheck(${JSON.stringify(c)})`,
}
