/**
 * Where real data comes from: a folder named by CHAINRULE_DATA, then the cache, then the network.
 *
 * In: a file's name, size, SHA-256 and addresses. Out: its bytes, verified. Nothing is trusted before its checksum
 * matches, so a mirror, a proxy or a half-written file cannot change what a model is trained on.
 */
import { createHash } from 'node:crypto'
import { mkdir, open } from 'node:fs/promises'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { ArgumentError, checkSignal, DataError, isNumber, showValue } from '../base/errors.js'
import { writeFileAtomic } from '../io/atomic.js'

/** One published file of a data set. */
export interface DataFile {
  /** The data set, which is also its folder, for example `mnist`. */
  readonly set: string
  readonly file: string
  readonly bytes: number
  /** SHA-256 of the file as published, in hexadecimal. */
  readonly sha256: string
}

export interface SourceOptions {
  /** Folder to look in first; default the environment variable `CHAINRULE_DATA`. */
  dataDir?: string
  /** Folder downloads are kept in; default `cacheFolder()`. */
  cacheDir?: string
  /** Whether the network may be used; default true. */
  download?: boolean
  /** Addresses of folders that hold the file, tried in order; each data set has its own default. */
  mirrors?: readonly string[]
  /** Milliseconds without a byte after which a mirror is given up; default 30,000. */
  timeout?: number
  /** Stops a download. */
  signal?: AbortSignal
}

/**
 * The folder downloads are kept in: `$XDG_CACHE_HOME/chainrule`, else what the system provides (`%LOCALAPPDATA%`,
 * `~/Library/Caches`, `~/.cache`), else undefined: a container user without a home has no cache, and that is no error.
 *
 *     cacheFolder()   // '/home/ada/.cache/chainrule'
 */
export function cacheFolder(
  env: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
  home: () => string = homedir,
): string | undefined {
  const usable = (path: string | undefined): path is string => path !== undefined && isAbsolute(path)
  if (usable(env.XDG_CACHE_HOME)) return join(env.XDG_CACHE_HOME, 'chainrule')
  if (platform === 'win32' && usable(env.LOCALAPPDATA)) return join(env.LOCALAPPDATA, 'chainrule')
  let folder: string
  try {
    folder = home()
  } catch {
    return undefined
  }
  if (!usable(folder)) return undefined
  if (platform === 'win32') return join(folder, 'AppData', 'Local', 'chainrule')
  if (platform === 'darwin') return join(folder, 'Library', 'Caches', 'chainrule')
  return join(folder, '.cache', 'chainrule')
}

/** Downloads under way in this process, so that two loads at once fetch a file once. */
const underWay = new Map<string, Promise<Uint8Array>>()

/**
 * The verified bytes of a data file. Looks for `<dataDir>/<set>/<file>`, `<dataDir>/<file>` and `<cacheDir>/<set>/<file>`,
 * then downloads from each mirror in turn and keeps the result in the cache. Processes that load at once do not disturb
 * each other. A damaged file in the cache is fetched again; one in the folder the user named is an error.
 *
 * @throws DataError `ERR_DATA_CHECKSUM` for a damaged `<dataDir>/<set>/<file>`; `ERR_DATA_NOT_FOUND` naming every place
 *   that was tried. The signal's reason when aborted.
 *
 *     const bytes = await loadDataFile({ set: 'mnist', file: 't10k-labels-idx1-ubyte.gz', bytes: 4542, sha256 }, { mirrors })
 *     console.log(bytes.length)   // 4542
 */
export async function loadDataFile(wanted: DataFile, options: SourceOptions = {}): Promise<Uint8Array> {
  checkSource(options)
  const { dataDir = process.env.CHAINRULE_DATA, cacheDir = cacheFolder(), download = true, mirrors = [], signal } = options
  signal?.throwIfAborted()
  const tried: string[] = []
  if (dataDir) {
    const own = await readVerified(join(dataDir, wanted.set, wanted.file), wanted)
    if (own.bytes) return own.bytes
    if (own.damaged) {
      throw new DataError(
        'ERR_DATA_CHECKSUM',
        `${wanted.set}: ${own.problem}. Replace that file, or unset CHAINRULE_DATA to have it downloaded.`,
      )
    }
    // Two data sets can share file names, so a flat folder may rightly hold another one's file.
    const flat = await readVerified(join(dataDir, wanted.file), wanted)
    if (flat.bytes) return flat.bytes
    tried.push(own.problem, flat.problem)
  } else {
    tried.push('CHAINRULE_DATA is not set')
  }
  const cached = cacheDir ? join(cacheDir, wanted.set, wanted.file) : undefined
  if (cached) {
    const kept = await readVerified(cached, wanted)
    if (kept.bytes) return kept.bytes
    tried.push(kept.problem)
  } else {
    tried.push('no cache folder: this user has no home folder')
  }
  if (!download) throw notFound(wanted, [...tried, 'downloading is turned off'])
  if (mirrors.length === 0) throw notFound(wanted, [...tried, 'no address is known to download it from'])
  // A caller's signal and settings are its own, so only plain loads share a download.
  const key = signal || options.timeout !== undefined ? undefined : JSON.stringify([cached, wanted.sha256, mirrors])
  const shared = key === undefined ? undefined : underWay.get(key)
  if (shared) return (await shared).slice()
  const work = fetchFrom(wanted, options, mirrors, cached, tried)
  if (key === undefined) return work
  underWay.set(key, work)
  try {
    return await work
  } finally {
    underWay.delete(key)
  }
}

/** @throws ArgumentError `ERR_DATA_SOURCE` */
function checkSource({ dataDir, cacheDir, mirrors, signal }: SourceOptions): void {
  const isText = (x: unknown): boolean => typeof x === 'string' && !x.includes('\0')
  const wrong = (name: string, kind: string, received: unknown): ArgumentError =>
    new ArgumentError('ERR_DATA_SOURCE', `datasets: ${name} must be ${kind}, received ${showValue(received)}.`)
  for (const [name, folder] of Object.entries({ dataDir, cacheDir }))
    if (folder !== undefined && !isText(folder)) throw wrong(name, 'the path of a folder', folder)
  if (mirrors !== undefined && !(Array.isArray(mirrors) && mirrors.every(isText))) throw wrong('mirrors', 'an array of addresses', mirrors)
  if (signal !== undefined && typeof signal?.throwIfAborted !== 'function') throw wrong('signal', 'an AbortSignal', signal)
}

async function fetchFrom(
  wanted: DataFile,
  options: SourceOptions,
  mirrors: readonly string[],
  cached: string | undefined,
  tried: readonly string[],
): Promise<Uint8Array> {
  const failures = [...tried]
  for (const mirror of mirrors) {
    const url = `${mirror.replace(/\/$/, '')}/${wanted.file}`
    try {
      const bytes = await download(url, wanted, options.timeout ?? 30_000, options.signal)
      if (cached) await keep(cached, bytes)
      return bytes
    } catch (error) {
      options.signal?.throwIfAborted()
      failures.push(`${url}: ${reason(error)}`)
    }
  }
  throw notFound(wanted, failures)
}

/** Fetches one address; stops as soon as the answer is longer than the file should be, or stalls. */
async function download(url: string, wanted: DataFile, timeout: number, signal?: AbortSignal): Promise<Uint8Array> {
  if (!(isNumber(timeout) && timeout > 0)) {
    throw new ArgumentError(
      'ERR_DATA_TIMEOUT',
      `datasets: timeout must be a number of milliseconds above 0, received ${showValue(timeout)}.`,
    )
  }
  checkSignal('datasets', signal)
  const stop = new AbortController()
  const forward = (): void => stop.abort(signal?.reason)
  signal?.addEventListener('abort', forward, { once: true })
  const stalled = (): void => stop.abort(new Error(`no answer for ${timeout} ms`))
  let timer = setTimeout(stalled, timeout)
  try {
    // `identity`: a server that unpacks .gz files on the way would break the checksum.
    const response = await fetch(url, { signal: stop.signal, headers: { 'accept-encoding': 'identity' } })
    if (!response.ok || !response.body) {
      await response.body?.cancel()
      throw new Error(`HTTP status ${response.status}`)
    }
    const bytes = new Uint8Array(wanted.bytes)
    const hash = createHash('sha256')
    let received = 0
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      clearTimeout(timer)
      timer = setTimeout(stalled, timeout)
      if (received + chunk.length > wanted.bytes) throw new Error(`more than the expected ${wanted.bytes} bytes`)
      bytes.set(chunk, received)
      hash.update(chunk)
      received += chunk.length
    }
    if (received < wanted.bytes) throw new Error(`${received} of ${wanted.bytes} bytes`)
    const digest = hash.digest('hex')
    if (digest !== wanted.sha256) throw new Error(`checksum ${digest} instead of ${wanted.sha256}`)
    return bytes
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', forward)
  }
}

/** The cache saves time and nothing else: a read-only or full disk must not stop a training. */
async function keep(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await mkdir(join(path, '..'), { recursive: true })
    await writeFileAtomic('data set', path, [bytes])
  } catch (error) {
    process.emitWarning(`downloaded data could not be kept in ${path}: ${reason(error)}. It will be downloaded again.`, {
      type: 'ChainruleWarning',
      code: 'WARN_DATA_CACHE',
    })
  }
}

/** What a look at a local file gave: its verified bytes, or a sentence saying why not. */
type Look = { bytes: Uint8Array } | { bytes?: undefined; problem: string; damaged: boolean }

async function readVerified(path: string, wanted: DataFile): Promise<Look> {
  const damaged = (what: string): Look => ({ problem: `${path}: wrong checksum: ${what}`, damaged: true })
  try {
    const file = await open(path, 'r')
    try {
      const status = await file.stat()
      if (!status.isFile()) return { problem: `${path}: not a file`, damaged: false }
      if (status.size !== wanted.bytes) return damaged(`${status.size} bytes instead of ${wanted.bytes}`)
      const bytes = new Uint8Array(wanted.bytes)
      const hash = createHash('sha256')
      const step = 2 ** 20 // Hashed in pieces, so that the event loop keeps answering.
      for (let at = 0; at < bytes.length; ) {
        const { bytesRead } = await file.read(bytes, at, Math.min(step, bytes.length - at), at)
        if (bytesRead === 0) return damaged('it shrank while it was read')
        hash.update(bytes.subarray(at, at + bytesRead))
        at += bytesRead
      }
      const digest = hash.digest('hex')
      return digest === wanted.sha256 ? { bytes } : damaged(`${digest} instead of ${wanted.sha256}`)
    } finally {
      await file.close()
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const problem = `${path}: ${code === 'ENOENT' || code === 'ENOTDIR' ? 'not there' : reason(error)}`
    return { problem, damaged: false }
  }
}

function notFound(wanted: DataFile, tried: readonly string[]): DataError {
  return new DataError(
    'ERR_DATA_NOT_FOUND',
    `${wanted.set}: ${wanted.file} was not found:\n${tried.map((line) => `  - ${line}`).join('\n')}\n` +
      `Set CHAINRULE_DATA to a folder that holds ${wanted.set}/${wanted.file}, connect to the network, or use ` +
      'syntheticDigits(), which needs no files.',
  )
}

/** `fetch failed` says nothing; its cause does. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause } = error
  return cause instanceof Error ? `${error.message} (${cause.message || (cause as NodeJS.ErrnoException).code})` : error.message
}
