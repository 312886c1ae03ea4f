/** Files that lie, files of other programs, and paths that are no files: a typed error that names the path, or the right arrays. */
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { deflateRawSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  ArgumentError,
  DataError,
  load,
  loadCheckpoint,
  loadNpy,
  loadNpz,
  loadSafetensors,
  nn,
  saveCheckpoint,
  saveNpy,
  saveSafetensors,
} from '../../src/index.js'
import { crc32 } from '../../src/io/inflate.js'
import { parseJson } from '../../src/io/json.js'
import { serializeNpy } from '../../src/io/npy.js'
import { withFile } from '../../src/io/read.js'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'chainrule-hostile-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))
const at = (name: string): string => join(folder, name)

const readers: Record<string, (path: string | URL | Uint8Array) => Promise<unknown>> = {
  loadSafetensors,
  loadNpy,
  loadNpz,
  load: (path) => load(new nn.Linear(1, 1), path),
  loadCheckpoint: (path) => loadCheckpoint(path, { model: new nn.Linear(1, 1) }),
}

async function failure(work: Promise<unknown>, path: string): Promise<DataError> {
  const error = await work.then(
    () => expect.unreachable(`${path} was read`),
    (e: unknown) => e,
  )
  expect(error).toBeInstanceOf(DataError)
  expect((error as Error).message).toContain(path)
  return error as DataError
}

/** A file of safetensors from the text of its header. */
function safetensors(header: string, data = 0): Uint8Array {
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([size, Buffer.from(header), Buffer.alloc(data)])
}

function npy(shape: string, data = 4): Uint8Array {
  const header = `{'descr': '<f4', 'fortran_order': True, 'shape': (${shape}), }`
  const start = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 2, 0, 0, 0, 0, 0])
  start.writeUInt32LE(header.length, 8)
  return Buffer.concat([start, Buffer.from(header), Buffer.alloc(data)])
}

interface Member {
  readonly name: string
  /** Where its local header is said to be; default where it is. */
  readonly start?: number
  readonly packed: Uint8Array
  readonly size: number
  readonly crc: number
}

/** A zip archive of deflated members; one without bytes of its own names those of another. */
function zip(members: readonly Member[]): Uint8Array {
  const locals: Buffer[] = []
  const directory: Buffer[] = []
  let end = 0
  for (const { name, start, packed, size, crc } of members) {
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50, 0)
    entry.writeUInt16LE(8, 10)
    entry.writeUInt32LE(crc, 16)
    entry.writeUInt32LE(packed.length, 20)
    entry.writeUInt32LE(size, 24)
    entry.writeUInt16LE(name.length, 28)
    entry.writeUInt32LE(start ?? end, 42)
    directory.push(entry, Buffer.from(name))
    if (start !== undefined) continue
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50, 0)
    local.writeUInt16LE(name.length, 26)
    locals.push(local, Buffer.from(name), Buffer.from(packed))
    end += 30 + name.length + packed.length
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0)
  const last = Buffer.alloc(22)
  last.writeUInt32LE(0x06054b50, 0)
  last.writeUInt16LE(members.length, 10)
  last.writeUInt32LE(size, 12)
  last.writeUInt32LE(end, 16)
  return Buffer.concat([...locals, ...directory, last])
}

function member(name: string, count: number): Member {
  const content = serializeNpy({ data: new Float32Array(count), shape: [count], dtype: 'float32' })
  return { name, packed: deflateRawSync(content), size: content.length, crc: crc32(content) }
}

describe('archives', () => {
  it('whose entries share bytes are refused', async () => {
    const first = member('a.npy', 1e5)
    await writeFile(at('x.npz'), zip([first, ...Array.from({ length: 500 }, (_, i) => ({ ...first, name: `b${i}.npy`, start: 0 }))]))
    const error = await failure(loadNpz(at('x.npz')), at('x.npz'))
    expect(error).toMatchObject({ code: 'ERR_ZIP_FORMAT', message: expect.stringContaining('shares bytes') })
  })

  it('unpack to a limit, which the error says how to raise', async () => {
    const bomb = zip([member('a.npy', 1e6), member('b.npy', 1e6)])
    await writeFile(at('bomb.npz'), bomb)
    expect((await loadNpz(at('bomb.npz'))).size).toBe(2)
    const error = await failure(loadNpz(at('bomb.npz'), { maxBytes: 7_999_999 }), at('bomb.npz'))
    expect(error.code).toBe('ERR_ZIP_LIMIT')
    const raised = Number(/maxBytes: (\d+)/.exec(error.message)?.[1])
    expect((await loadNpz(at('bomb.npz'), { maxBytes: raised })).get('b')?.shape).toEqual([1e6])
    // a claim alone, by default: nothing is unpacked
    await writeFile(at('claim.npz'), zip([{ name: 'a.npy', packed: new Uint8Array(200_000), size: 2e8, crc: 0 }]))
    expect((await failure(loadNpz(at('claim.npz')), at('claim.npz'))).code).toBe('ERR_ZIP_LIMIT')
    for (const maxBytes of [-1, NaN, '5' as never]) await expect(loadNpz(at('bomb.npz'), { maxBytes })).rejects.toThrow(ArgumentError)
  })

  it.each([100, 1e6])('that hold more, less or other than they claim are refused, %i numbers', async (count) => {
    const good = member('a.npy', count)
    const code = async (change: Partial<Member>): Promise<string> => {
      await writeFile(at('y.npz'), zip([{ ...good, ...change }]))
      return (await failure(loadNpz(at('y.npz')), at('y.npz'))).code
    }
    expect(await code({ crc: 1 })).toBe('ERR_ZIP_CRC')
    expect(await code({ size: good.size - 4 })).toMatch('ERR_')
    expect(await code({ size: good.size + 4 })).toMatch('ERR_')
    expect(await code({ packed: good.packed.map((byte, i) => (i > good.packed.length / 2 ? 0xff : byte)) })).toMatch('ERR_ZIP')
  })

  it('with a name twice, with and without .npy, are refused', async () => {
    await writeFile(at('z.npz'), zip([member('a.npy', 1), member('a', 1)]))
    expect((await failure(loadNpz(at('z.npz')), at('z.npz'))).code).toBe('ERR_ZIP_FORMAT')
  })
})

describe('headers', () => {
  it.each(['1, '.repeat(32_000), '1, '.repeat(65)])('an npy of too many dimensions is refused', async (shape) => {
    await writeFile(at('x.npy'), npy(shape))
    expect((await failure(loadNpy(at('x.npy')), at('x.npy'))).code).toBe('ERR_NPY_HEADER')
  })

  it('an npy of 64 dimensions is read', async () => {
    await writeFile(at('x.npy'), npy('1, '.repeat(64)))
    expect((await loadNpy(at('x.npy'))).shape).toHaveLength(64)
  })

  it('column-major arrays of any shape', async () => {
    for (const shape of [[40, 3, 50], [33, 65], [2, 1, 3, 4, 5, 6], [100, 1, 3], [0, 3], [64, 1, 1, 64], [7]]) {
      const count = shape.reduce((a, b) => a * b, 1)
      const strides = shape.map((_, axis) => shape.slice(0, axis).reduce((a, b) => a * b, 1))
      const bytes = npy(`${shape.join(', ')}, `, 4 * count)
      const view = new DataView(bytes.buffer, bytes.byteOffset)
      for (let i = 0; i < count; i++) view.setFloat32(bytes.length - 4 * count + 4 * i, i, true)
      await writeFile(at('f.npy'), bytes)
      const expected = Array.from({ length: count }, (_, i) => {
        let rest = i
        let from = 0
        for (let axis = shape.length - 1; axis >= 0; axis--) {
          from += (rest % shape[axis]) * strides[axis]
          rest = Math.floor(rest / shape[axis])
        }
        return from
      })
      expect([...(await loadNpy(at('f.npy'))).data], String(shape)).toEqual(expected)
    }
  })

  it.each([
    `{"x":${'['.repeat(2e6)}${']'.repeat(2e6)}}`,
    `{"x":{"shape":${'['.repeat(2e6)}${']'.repeat(2e6)}}}`,
    `{"x":{"more":${'['.repeat(2e6)}${']'.repeat(2e6)}}}`,
    `{"x":{"more":${'{"a":'.repeat(5e5)}1${'}'.repeat(5e5)}}}`,
    `{"x":{"dtype":"F32","shape":[${'1,'.repeat(1e6)}1],"data_offsets":[0,4]}}`,
  ])('safetensors of brackets are refused', async (header) => {
    await writeFile(at('x.safetensors'), safetensors(header, 4))
    expect((await failure(loadSafetensors(at('x.safetensors')), at('x.safetensors'))).code).toMatch(/_HEADER|_ENTRY/)
  })

  it('many empty tensors are read', async () => {
    const names = Array.from({ length: 50_000 }, (_, i) => `"t${i}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`)
    await writeFile(at('x.safetensors'), safetensors(`{${names.join(',')}}`))
    expect((await loadSafetensors(at('x.safetensors'))).tensors.size).toBe(50_000)
  })

  it('fields that nobody knows are passed over, as the reference implementation does', async () => {
    const entry = '{"more":{"a":[1.5e3,"\\u0041",null,true]},"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    await writeFile(at('x.safetensors'), safetensors(`{"x":${entry}}  `, 4))
    expect((await loadSafetensors(at('x.safetensors'))).tensors.get('x')?.shape).toEqual([1])
  })

  it('counters of a checkpoint are not believed either', async () => {
    const metadata = { 'chainrule.kind': 'checkpoint', 'chainrule.progress': `{"epoch":${'['.repeat(1e6)}${']'.repeat(1e6)}}` }
    await saveSafetensors(at('x.ckpt'), {}, { metadata })
    expect((await failure(loadCheckpoint(at('x.ckpt'), { model: new nn.Linear(1, 1) }), at('x.ckpt'))).code).toBe('ERR_CHECKPOINT')
    type Nested = number | readonly Nested[]
    const nested = (depth: number): Nested => (depth === 0 ? 1 : [nested(depth - 1)])
    const model = new nn.Linear(1, 1)
    await saveCheckpoint(at('x.ckpt'), { model, extra: nested(900) })
    expect((await loadCheckpoint(at('x.ckpt'), { model })).extra).toEqual(nested(900))
    await expect(saveCheckpoint(at('x.ckpt'), { model, extra: nested(1100) })).rejects.toMatchObject({ code: 'ERR_CHECKPOINT' })
    for (const text of ['{"a":[1,-2.5e-3,{"b":null}],"c":"\\"\\u00e9"}', ' 5 ', '""', 'true'])
      expect(parseJson(text)).toEqual(JSON.parse(text))
    for (const text of ['', '{', '[1,]', '{"a"}', '01', '"\n"', 'nul', '1 2', '"\\x"']) expect(() => parseJson(text)).toThrow(SyntaxError)
  })
})

describe('files of other programs', () => {
  const zipOf = (name: string): Uint8Array => zip([{ name, packed: new Uint8Array(8), size: 8, crc: 0 }])
  const cases: [string, Uint8Array, string][] = [
    ['torch.save', zipOf('archive/data.pkl'), 'weights_only=True'],
    ['torch.save, old', Buffer.from('80028a0a6cfc9c46f9206aa850192e8002', 'hex'), 'weights_only=True'],
    ['a pickle', Buffer.from('80049500000000000000007d942e', 'hex'), 'pickle'],
    ['ONNX', Buffer.from('080712077079746f726368', 'hex'), 'onnx.load'],
    ['HDF5', Buffer.from('894844460d0a1a0a0000000000', 'hex'), 'keras'],
    ['.keras', zipOf('metadata.json'), 'keras'],
    ['GGUF', Buffer.from('GGUF\x03\0\0\0\0\0\0\0'), 'GGUFReader'],
    ['gzip', gzipSync('x'.repeat(100)), 'gunzip'],
    ['Git LFS', Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:00\n'), 'git lfs pull'],
    ['HTML', Buffer.from('<!DOCTYPE html><html><body>Not found</body></html>'), 'HTML'],
  ]
  it.each(cases)('%s is named, with what to do', async (_, bytes, remedy) => {
    await writeFile(at('foreign'), bytes)
    for (const read of Object.values(readers)) expect((await failure(read(at('foreign')), at('foreign'))).message).toContain(remedy)
  })

  it('each of ours sends to its own reader', async () => {
    const array = { data: Float32Array.of(1), shape: [1], dtype: 'float32' } as const
    await saveNpy(at('a'), array)
    await saveSafetensors(at('b'), { array })
    await writeFile(at('c'), zip([member('a.npy', 1)]))
    expect((await failure(loadSafetensors(at('a')), at('a'))).message).toContain('loadNpy')
    expect((await failure(loadNpz(at('a')), at('a'))).message).toContain('loadNpy')
    expect((await failure(loadNpy(at('b')), at('b'))).message).toContain('loadSafetensors')
    expect((await failure(loadNpz(at('b')), at('b'))).message).toContain('loadSafetensors')
    expect((await failure(loadNpy(at('c')), at('c'))).message).toContain('loadNpz')
    expect((await failure(loadSafetensors(at('c')), at('c'))).message).toContain('loadNpz')
  })
})

describe.each(Object.keys(readers))('%s of what is no file', (name) => {
  const read = readers[name]

  it('missing files, folders and names too long', async () => {
    await mkdir(at('folder'), { recursive: true })
    await writeFile(at('file'), '')
    for (const path of [at('none'), at('folder'), at('file/x'), at('x'.repeat(300))]) {
      expect((await failure(read(path), path)).code).toBe('ERR_FILE_READ')
    }
    await failure(read(at('file')), at('file'))
  })

  it('what is no path', async () => {
    for (const path of ['', 'a\0b', 5, null, undefined, {}, new URL('http://x/y'), Buffer.of(0xff)]) {
      const error = await read(path as string).catch((e: unknown) => e)
      expect(error).toBeInstanceOf(ArgumentError)
      expect(error).toMatchObject({ code: 'ERR_PATH' })
    }
  })

  it.skipIf(process.platform === 'win32')('FIFOs and devices, which are neither waited for nor read for ever', async () => {
    const fifo = at(`fifo-${name}`)
    execFileSync('mkfifo', [fifo])
    expect((await failure(read(fifo), fifo)).message).toContain('a FIFO')
    for (const path of ['/dev/zero', '/dev/null']) expect((await failure(read(path), path)).message).toContain('a device')
  })

  it('URLs and bytes are paths', async () => {
    for (const path of [pathToFileURL(at('none')), Buffer.from(at('none'))])
      expect((await failure(read(path), at('none'))).code).toBe('ERR_FILE_READ')
  })
})

describe('files that change', () => {
  it('parts asked for from the last to the first are not read again for each', async () => {
    const bytes = Uint8Array.from({ length: 2.5 * 2 ** 20 }, (_, i) => i % 251)
    await writeFile(at('parts'), bytes)
    const handle = await open(at('parts'))
    const read = vi.spyOn(Object.getPrototypeOf(handle), 'read')
    await handle.close()
    try {
      await withFile('test', at('parts'), async (file) => {
        for (let from = file.size - 100; from >= 0; from -= 1000)
          expect(Buffer.compare(await file.read(from, 100), bytes.subarray(from, from + 100))).toBe(0)
      })
      // three pieces, and a part across each border between them
      expect(read.mock.calls.length).toBeLessThan(10)
    } finally {
      read.mockRestore()
    }
  })

  it('one that shrinks meanwhile is an error', async () => {
    const data = new Float32Array(2 ** 20)
    await saveSafetensors(at('a'), {
      a: { data, shape: [data.length], dtype: 'float32' },
      b: { data, shape: [data.length], dtype: 'float32' },
    })
    let shrunk: Promise<void> | undefined
    const filter = (): boolean => {
      shrunk ??= truncate(at('a'), 100)
      return true
    }
    const error = await loadSafetensors(at('a'), { filter }).catch((e: unknown) => e)
    await shrunk
    expect(error).toMatchObject({ code: 'ERR_FILE_READ', message: expect.stringContaining(at('a')) })
  })

  it('more than fits into memory is a typed error', async () => {
    await writeFile(at('sparse.npy'), npy('1099511627776, ', 0))
    const file = await open(at('sparse.npy'), 'r+')
    const { size } = await file.stat()
    const made = await file.truncate(size + 4 * 2 ** 40).then(
      () => true,
      () => false,
    )
    await file.close()
    // not every file system has files of 4 TB
    if (made) expect((await failure(loadNpy(at('sparse.npy')), at('sparse.npy'))).code).toBe('ERR_FILE_MEMORY')
  })
})
