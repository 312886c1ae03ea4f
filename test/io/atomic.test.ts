/** Saving: the old file or the new one, whole, with the old one's rights; and nothing left beside it. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmod,
  link,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, test, vi } from 'vitest'
import { ArgumentError, DataError, loadSafetensors, nn, save, saveCheckpoint, saveNpy, saveSafetensors } from '../../src/index.js'
import { writeFileAtomic } from '../../src/io/atomic.js'
import { temporaryFor } from '../../src/io/temporary.js'

const unix = process.platform !== 'win32'
const bytes = (text: string): Uint8Array[] => [Buffer.from(text)]
const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o7777
const textOf = (path: string): Promise<string> => readFile(path, 'utf8')

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'chainrule-atomic-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))
const at = (name: string): string => join(folder, name)

async function failure(path: unknown, chunks: Iterable<Uint8Array> = bytes('new')): Promise<DataError> {
  const error = await writeFileAtomic('test', path as string, chunks).then(
    () => expect.unreachable(`${path} was written`),
    (e: unknown) => e,
  )
  expect(error).toBeInstanceOf(DataError)
  expect(error).toMatchObject({ code: 'ERR_FILE_WRITE' })
  expect((error as Error).message).toContain(String(path))
  return error as DataError
}

describe.skipIf(!unix)('rights', () => {
  it.each([0o600, 0o640, 0o664, 0o755, 0o400 | 0o200])('a file keeps its mode %o', async (mode) => {
    await writeFile(at('x'), 'old')
    await chmod(at('x'), mode)
    await writeFileAtomic('test', at('x'), bytes('new'))
    expect(await modeOf(at('x'))).toBe(mode)
    expect(await textOf(at('x'))).toBe('new')
  })

  it('a private model stays private through every way to save, also while it is written', async () => {
    const model = new nn.Linear(2, 2)
    const array = { data: Float32Array.of(1), shape: [1], dtype: 'float32' } as const
    for (const write of [
      () => save(model, at('x')),
      () => saveCheckpoint(at('x'), { model }),
      () => saveSafetensors(at('x'), { array }),
      () => saveNpy(at('x'), array),
    ]) {
      await writeFile(at('x'), 'old')
      await chmod(at('x'), 0o600)
      await write()
      expect(await modeOf(at('x'))).toBe(0o600)
    }
    await writeFileAtomic(
      'test',
      at('x'),
      (function* () {
        const temporary = execFileSync('ls', ['-lA', folder], { encoding: 'utf8' })
        expect(temporary.match(/^-rw-------/gm)).toHaveLength(2)
        yield Buffer.from('new')
      })(),
    )
  })

  it('a new file has the mode the umask leaves', async () => {
    await writeFile(at('plain'), '')
    await writeFileAtomic('test', at('x'), bytes('new'))
    expect(await modeOf(at('x'))).toBe(await modeOf(at('plain')))
  })

  it.skipIf(process.getuid?.() !== 0)('a file keeps its owner and group', async () => {
    await writeFile(at('x'), 'old')
    execFileSync('chown', ['1234:4321', at('x')])
    await chmod(at('x'), 0o640)
    await writeFileAtomic('test', at('x'), bytes('new'))
    expect(await stat(at('x'))).toMatchObject({ uid: 1234, gid: 4321 })
    expect(await modeOf(at('x'))).toBe(0o640)
  })

  it.skipIf(process.getuid?.() === 0)('a read-only file, or a file of a read-only folder, is not replaced', async () => {
    await writeFile(at('x'), 'old')
    await chmod(at('x'), 0o400)
    expect((await failure(at('x'))).message).toContain('EACCES')
    await chmod(at('x'), 0o600)
    await chmod(folder, 0o500)
    expect((await failure(at('x'))).message).toContain('check the rights')
    await chmod(folder, 0o700)
    expect(await textOf(at('x'))).toBe('old')
  })
})

describe.skipIf(!unix)('links', () => {
  it('the file behind a link is replaced, the link stays, through folders and several links', async () => {
    await mkdir(at('models'))
    await writeFile(at('models/real'), 'old')
    await symlink('models/real', at('first'))
    await symlink('first', at('second'))
    await symlink('models', at('folder'))
    await symlink('../first', at('folder/third'))
    for (const name of ['first', 'second', 'folder/real', 'folder/third']) {
      await writeFileAtomic('test', at(name), bytes(name))
      expect(await textOf(at('models/real'))).toBe(name)
    }
    for (const name of ['first', 'second', 'models/third']) expect((await lstat(at(name))).isSymbolicLink(), name).toBe(true)
  })

  it('a link to nothing stays, and what it names is made', async () => {
    await mkdir(at('models'))
    await symlink('models/new', at('link'))
    await symlink('link', at('second'))
    await writeFileAtomic('test', at('second'), bytes('new'))
    expect(await readlink(at('link'))).toBe('models/new')
    expect(await textOf(at('models/new'))).toBe('new')
    await symlink('none/new', at('astray'))
    expect((await failure(at('astray'))).message).toContain('ENOENT')
  })

  it('links in a circle are an error', async () => {
    await symlink('b', at('a'))
    await symlink('a', at('b'))
    expect((await failure(at('a'))).message).toContain('circle')
    expect((await readdir(folder)).sort()).toEqual(['a', 'b'])
  })

  it('another hard link keeps the old content', async () => {
    await writeFile(at('x'), 'old')
    await link(at('x'), at('y'))
    await writeFileAtomic('test', at('x'), bytes('new'))
    expect([await textOf(at('x')), await textOf(at('y'))]).toEqual(['new', 'old'])
  })
})

describe('what is no file', () => {
  it('folders are not replaced', async () => {
    await mkdir(at('empty'))
    expect((await failure(at('empty'))).message).toContain('a folder')
    await failure(folder)
    await failure(`${at('none')}/`)
    await failure(at('none/x'))
    await writeFile(at('file'), 'old')
    await failure(`${at('file')}/x`)
    expect((await stat(at('empty'))).isDirectory()).toBe(true)
    expect((await readdir(folder)).sort()).toEqual(['empty', 'file'])
  })

  it.skipIf(!unix)('FIFOs and sockets are not replaced and not waited for', async () => {
    execFileSync('mkfifo', [at('fifo')])
    expect((await failure(at('fifo'))).message).toContain('a FIFO')
    expect((await stat(at('fifo'))).isFIFO()).toBe(true)
    const server = createServer().listen(at('socket'))
    await once(server, 'listening')
    expect((await failure(at('socket'))).message).toContain('a socket')
    server.close()
  })

  it.skipIf(!unix)('devices are written into', async () => {
    await writeFileAtomic('test', '/dev/null', bytes('new'))
    expect((await stat('/dev/null')).isCharacterDevice()).toBe(true)
    await symlink('/dev/null', at('link'))
    await writeFileAtomic('test', at('link'), bytes('new'))
    expect((await lstat(at('link'))).isSymbolicLink()).toBe(true)
  })

  it.skipIf(process.platform !== 'linux')('a full disk is said', async () => {
    const error = await failure('/dev/full')
    expect(error.message).toContain('ENOSPC. The disk is full')
    expect(error.cause).toMatchObject({ code: 'ENOSPC' })
  })

  it('a file system that takes no more bytes is an error, not an endless loop', async () => {
    const handle = await open(folder, 'r')
    const write = vi.spyOn(Object.getPrototypeOf(handle), 'write').mockResolvedValue({ bytesWritten: 0 })
    await handle.close()
    try {
      expect((await failure(at('x'))).message).toContain('took 0 of 3 bytes')
    } finally {
      write.mockRestore()
    }
    expect(await readdir(folder)).toEqual([])
  })

  test('a failure in the middle leaves the old file and nothing else', async () => {
    await writeFile(at('x'), 'old')
    const cut = (function* () {
      yield Buffer.from('half')
      throw new TypeError('mine')
    })()
    await expect(writeFileAtomic('test', at('x'), cut)).rejects.toThrow(TypeError)
    expect(await textOf(at('x'))).toBe('old')
    expect(await readdir(folder)).toEqual(['x'])
  })
})

describe('paths', () => {
  it('are strings, file: URLs or bytes', async () => {
    await writeFileAtomic('test', pathToFileURL(at('ключ 1')), bytes('url'))
    await writeFileAtomic('test', Buffer.from(at('b')), bytes('bytes'))
    expect([await textOf(at('ключ 1')), await textOf(at('b'))]).toEqual(['url', 'bytes'])
    await saveSafetensors(pathToFileURL(at('c')), {})
    expect((await loadSafetensors(at('c'))).tensors.size).toBe(0)
  })

  it.each([['', "''"], ['a\0b', 'a\\u0000b'], [5], [null], [undefined], [new URL('http://x/y'), 'http://x/y'], [Buffer.of(0xff)], [{}]])(
    '%j is refused',
    async (path, shown = '') => {
      const error = await writeFileAtomic('test', path as string, bytes('new')).catch((e: unknown) => e)
      expect(error).toBeInstanceOf(ArgumentError)
      expect(error).toMatchObject({ code: 'ERR_PATH', message: expect.stringContaining(shown) })
    },
  )

  it('names as long as the file system takes', async () => {
    for (const letter of ['x', 'ж', '🔑']) {
      const name = letter.repeat(Math.floor(255 / Buffer.byteLength(letter)))
      await writeFileAtomic('test', at(name), bytes('new'))
      expect(await textOf(at(name))).toBe('new')
      await rm(at(name))
    }
    const error = await failure(at('x'.repeat(300)))
    expect(error.message).toContain('too long')
    expect(await readdir(folder)).toEqual([])
  })
})

describe('several at once', () => {
  it('the last call’s content stays, whatever the sizes', async () => {
    const contents = [...Array.from({ length: 6 }, (_, i) => String(i).repeat(3_000_000 - 500_000 * i)), 'last']
    await Promise.all(contents.map((text) => writeFileAtomic('test', at('x'), bytes(text))))
    expect(await textOf(at('x'))).toBe('last')
    await Promise.allSettled([writeFileAtomic('test', folder, bytes('a')), writeFileAtomic('test', at('x'), bytes('b'))])
    expect(await textOf(at('x'))).toBe('b')
  })
})

describe('leftovers', () => {
  /** What a killed process would have left: its name with another process id. */
  const leftover = (change: (name: string) => string): string => join(folder, change(basename(temporaryFor(at('x')))))
  const otherPid = (name: string, pid: number): string => name.replace(/-\d+-/, `-${pid}-`)

  /** A process of another program that has ended, and one that runs. */
  async function ended(): Promise<number> {
    const child = spawn(process.execPath, ['-e', ''])
    await once(child, 'exit')
    return child.pid as number
  }

  it('of dead processes are removed at the next save; those of live ones and others’ files stay', async () => {
    const dead = await ended()
    const gone = [leftover((name) => otherPid(name, dead))]
    // the same id, given to a process that began at another time
    if (process.platform === 'linux') gone.push(leftover((name) => name.replace(/-(\d+)-(\d+)-/, (_, pid, start) => `-${pid}-${start}1-`)))
    const kept = [
      leftover((name) => name),
      leftover((name) => name.replace('.x.', '.y.').replace(/-\d+-/, `-${dead}-`)),
      at('.x.tmp'),
      at('.x.0123abcd.tmp'),
      at('x.tmp'),
    ]
    for (const path of [...gone, ...kept]) await writeFile(path, '')
    await writeFileAtomic('test', at('x'), bytes('new'))
    expect((await readdir(folder)).sort()).toEqual([...kept.map((path) => basename(path)), 'x'].sort())
  })

  it('of other machines and containers are removed once nobody has touched them for an hour', async () => {
    const elsewhere = (): string => leftover((name) => name.replace(/^\.x\.[0-9a-f]{8}/, '.x.ffffffff'))
    const [young, old] = [elsewhere(), elsewhere()]
    for (const path of [young, old]) await writeFile(path, '')
    const before = new Date(Date.now() - 2 * 3_600_000)
    await utimes(old, before, before)
    await writeFileAtomic('test', at('x'), bytes('new'))
    expect((await readdir(folder)).sort()).toEqual([basename(young), 'x'].sort())
  })
})
