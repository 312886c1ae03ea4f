import { createHash } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { DataError } from '../../src/base/errors.js'
import { cacheFolder, type DataFile, loadDataFile } from '../../src/data/source.js'

const content = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7919) >>> 5)
const wanted: DataFile = {
  set: 'toy',
  file: 'toy.bin',
  bytes: content.length,
  sha256: createHash('sha256').update(content).digest('hex'),
}

let folder: string
let requests: number
const servers: Server[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'chainrule-source-'))
  requests = 0
  vi.stubEnv('CHAINRULE_DATA', undefined)
})

afterEach(async () => {
  vi.unstubAllEnvs()
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  await rm(folder, { recursive: true, force: true })
})

async function serve(answer: RequestListener = (_, response) => response.end(content)): Promise<string> {
  const server = createServer((request, response) => {
    requests++
    answer(request, response)
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/data/`
}

async function put(...path: string[]): Promise<void> {
  const file = join(folder, ...path)
  await mkdir(join(file, '..'), { recursive: true })
  await writeFile(file, content)
}

/** vitest compares typed arrays element by element, in seconds. */
function same(bytes: Uint8Array): void {
  expect(Buffer.compare(bytes, content)).toBe(0)
}

async function failure(work: Promise<unknown>): Promise<DataError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(DataError)
  return error as DataError
}

describe('cacheFolder', () => {
  const home = (): string => '/home/ada'
  it('follows each system', () => {
    expect(cacheFolder({ XDG_CACHE_HOME: '/c' }, 'linux', home)).toBe('/c/chainrule')
    expect(cacheFolder({ XDG_CACHE_HOME: 'relative' }, 'linux', home)).toBe('/home/ada/.cache/chainrule')
    expect(cacheFolder({ XDG_CACHE_HOME: '' }, 'linux', home)).toBe('/home/ada/.cache/chainrule')
    expect(cacheFolder({}, 'darwin', home)).toBe('/home/ada/Library/Caches/chainrule')
    expect(cacheFolder({ LOCALAPPDATA: '/local' }, 'win32', home)).toBe('/local/chainrule')
    expect(cacheFolder({}, 'win32', home)).toBe('/home/ada/AppData/Local/chainrule')
  })

  it('is undefined without a home', () => {
    expect(cacheFolder({}, 'linux', () => '')).toBeUndefined()
    expect(
      cacheFolder({}, 'linux', () => {
        throw new Error('ENOENT: uv_os_homedir')
      }),
    ).toBeUndefined()
  })
})

describe('loadDataFile', () => {
  it('looks in the folder of the user first, nested or flat', async () => {
    const mirror = await serve()
    await put('own', 'toy', 'toy.bin')
    same(await loadDataFile(wanted, { dataDir: join(folder, 'own'), mirrors: [mirror] }))
    await put('flat', 'toy.bin')
    vi.stubEnv('CHAINRULE_DATA', join(folder, 'flat'))
    same(await loadDataFile(wanted, { mirrors: [mirror] }))
    expect(requests).toBe(0)
  })

  it('refuses a damaged file in the folder of the user', async () => {
    await put('own', 'toy', 'toy.bin')
    for (const damaged of [content.subarray(1), Uint8Array.from(content, (byte, i) => (i === 9 ? byte ^ 1 : byte))]) {
      await writeFile(join(folder, 'own', 'toy', 'toy.bin'), damaged)
      const error = await failure(loadDataFile(wanted, { dataDir: join(folder, 'own'), cacheDir: folder, mirrors: [await serve()] }))
      expect(error.code).toBe('ERR_DATA_CHECKSUM')
      expect(error.message).toContain(join(folder, 'own', 'toy', 'toy.bin'))
    }
    expect(requests).toBe(0)
  })

  it("passes over another data set's file of the same name in a flat folder", async () => {
    await mkdir(join(folder, 'own'))
    await writeFile(join(folder, 'own', 'toy.bin'), 'of another set')
    const bytes = await loadDataFile(wanted, { dataDir: join(folder, 'own'), cacheDir: join(folder, 'cache'), mirrors: [await serve()] })
    same(bytes)
  })

  it('downloads once, keeps the file, and reads it from the cache after', async () => {
    const mirrors = [await serve()]
    const options = { cacheDir: join(folder, 'deep', 'cache'), mirrors }
    same(await loadDataFile(wanted, options))
    same(await loadDataFile(wanted, { ...options, download: false }))
    expect(requests).toBe(1)
    expect(await readdir(join(options.cacheDir, 'toy'))).toEqual(['toy.bin'])
  })

  it('shares one download among loads at once', async () => {
    const options = { cacheDir: folder, mirrors: [await serve()] }
    const all = await Promise.all(Array.from({ length: 20 }, () => loadDataFile(wanted, options)))
    for (const bytes of all) same(bytes)
    expect(requests).toBe(1)
  })

  it('survives writers that do not know of each other', async () => {
    const options = { cacheDir: folder, mirrors: [await serve()] }
    // A timeout of its own makes each load fetch for itself, as other processes would.
    const all = await Promise.all(Array.from({ length: 12 }, (_, i) => loadDataFile(wanted, { ...options, timeout: 9000 + i })))
    for (const bytes of all) same(bytes)
    expect(await readdir(join(folder, 'toy'))).toEqual(['toy.bin'])
    same(await readFile(join(folder, 'toy', 'toy.bin')))
  })

  it('fetches a damaged cache file again', async () => {
    await put('toy', 'toy.bin')
    await writeFile(join(folder, 'toy', 'toy.bin'), content.subarray(0, 100))
    same(await loadDataFile(wanted, { cacheDir: folder, mirrors: [await serve()] }))
    same(await loadDataFile(wanted, { cacheDir: folder, download: false }))
  })

  it('goes on to the next mirror whatever is wrong with one, and names them all in the end', async () => {
    const bad = [
      await serve((_, response) => response.writeHead(404).end('no')),
      await serve((_, response) => response.end(content.subarray(5))),
      await serve((_, response) => response.end(Buffer.concat([content, content]))),
      await serve((_, response) => response.end(Uint8Array.from(content, (byte) => byte ^ 1))),
      await serve((request) => request.socket.destroy()),
      await serve((_, response) => {
        response.write(content.subarray(0, 1000))
        setTimeout(() => response.destroy(), 20)
      }),
      await serve((_, response) => {
        response.write(content.subarray(0, 1000))
      }),
      'http://127.0.0.1:1',
      'not an address',
    ]
    // long enough for a busy machine to say what the others say, since only one of them is to be silent
    const options = { cacheDir: folder, mirrors: bad, timeout: 3000 }
    const error = await failure(loadDataFile(wanted, options))
    expect(error.code).toBe('ERR_DATA_NOT_FOUND')
    for (const mirror of bad) expect(error.message).toContain(mirror)
    for (const text of [
      'CHAINRULE_DATA',
      folder,
      'HTTP status 404',
      'checksum',
      'more than the expected',
      'no answer for 3000 ms',
      '299995 of 300000',
    ]) {
      expect(error.message).toContain(text)
    }
    expect(await readdir(folder)).toEqual([])
    same(await loadDataFile(wanted, { ...options, mirrors: [...bad.slice(0, 3), await serve()] }))
  })

  it('says what was tried when the network is off or no address is known', async () => {
    const error = await failure(loadDataFile(wanted, { dataDir: join(folder, 'nothing'), cacheDir: folder, download: false }))
    expect(error.message).toContain(`${join(folder, 'nothing', 'toy', 'toy.bin')}: not there`)
    expect(error.message).toContain('downloading is turned off')
    expect((await failure(loadDataFile(wanted, { cacheDir: folder }))).message).toContain('no address')
  })

  it('works without a home folder and with a cache that cannot be written', async () => {
    const mirrors = [await serve()]
    same(await loadDataFile(wanted, { cacheDir: '', mirrors }))
    await writeFile(join(folder, 'file'), 'in the way')
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    same(await loadDataFile(wanted, { cacheDir: join(folder, 'file'), mirrors }))
    expect(warned.mock.calls[0][0]).toContain('could not be kept')
    warned.mockRestore()
  })

  it('stops when told to', async () => {
    const mirrors = [
      await serve((_, response) => {
        response.write('x')
      }),
      await serve(),
    ]
    const stop = new AbortController()
    const work = loadDataFile(wanted, { cacheDir: folder, mirrors, signal: stop.signal })
    setTimeout(() => stop.abort(new Error('enough')), 30)
    await expect(work).rejects.toThrow('enough')
    await expect(loadDataFile(wanted, { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before')
  })

  it('takes folders and unreadable files for absent', async () => {
    await mkdir(join(folder, 'own', 'toy', 'toy.bin'), { recursive: true })
    await put('toy', 'toy.bin')
    await chmod(join(folder, 'toy', 'toy.bin'), 0o600)
    same(await loadDataFile(wanted, { dataDir: join(folder, 'own'), cacheDir: folder }))
  })
})
