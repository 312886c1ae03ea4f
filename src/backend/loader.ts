/**
 * Finds and loads the addon, when the first op needs it. In: the platform, `CHAINRULE_BINARY`. Out: the addon, or one error that says what
 * was tried and what to do. Prebuilt binaries are named as prebuildify and @electron/rebuild name them, each in a literal `require`, so
 * that bundlers see them.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { BackendError } from '../base/errors.js'
import type { Addon } from './binding.js'
import { tableHash } from './registry.js'

/** True in dist/chainrule.cjs; set by scripts/build-ts.js, which also removes the next line for the bundle's own `require`. */
declare const BUNDLED: boolean | undefined
const require = createRequire(import.meta.url)

/** `fatal`: a binary was found but refuses the environment it was asked for, so that running without it would hide a mistake. */
export type LoadResult = { addon: Addon; path: string; error?: undefined } | { addon?: undefined; error: BackendError; fatal: boolean }

interface Candidate {
  readonly path: string
  load(): unknown
}

/** The files by platform, processor and C library. */
const prebuilt: Record<string, string> = {
  'linux-x64': 'prebuilds/linux-x64/node.napi.node',
  'linux-x64-musl': 'prebuilds/linux-x64/node.napi.musl.node',
  'linux-arm64': 'prebuilds/linux-arm64/node.napi.armv8.node',
  'linux-arm64-musl': 'prebuilds/linux-arm64/node.napi.armv8.musl.node',
  'darwin-x64': 'prebuilds/darwin-x64/node.napi.node',
  'darwin-arm64': 'prebuilds/darwin-arm64/node.napi.armv8.node',
  'win32-x64': 'prebuilds/win32-x64/node.napi.node',
  'win32-arm64': 'prebuilds/win32-arm64/node.napi.armv8.node',
}

/** Literals, so that bundlers see them; inside `try`, so that they pass over those that an application was stripped of. */
function loadPrebuilt(target: string): unknown {
  try {
    switch (target) {
      case 'linux-x64':
        return require('../../prebuilds/linux-x64/node.napi.node')
      case 'linux-x64-musl':
        return require('../../prebuilds/linux-x64/node.napi.musl.node')
      case 'linux-arm64':
        return require('../../prebuilds/linux-arm64/node.napi.armv8.node')
      case 'linux-arm64-musl':
        return require('../../prebuilds/linux-arm64/node.napi.armv8.musl.node')
      case 'darwin-x64':
        return require('../../prebuilds/darwin-x64/node.napi.node')
      case 'darwin-arm64':
        return require('../../prebuilds/darwin-arm64/node.napi.armv8.node')
      case 'win32-x64':
        return require('../../prebuilds/win32-x64/node.napi.node')
      default:
        return require('../../prebuilds/win32-arm64/node.napi.armv8.node')
    }
  } catch (error) {
    throw error instanceof Error ? error : new Error(String(error))
  }
}

let result: LoadResult | undefined

/** The addon, or why there is none. Loads at the first call. */
export function loadAddon(): LoadResult {
  result ??= load()
  return result
}

/** What this process runs on, as binaries are named: `linux-x64`, `linux-arm64-musl`. */
export function platformTarget(): string {
  return `${process.platform}-${process.arch}${libc() === 'musl' ? '-musl' : ''}`
}

/** The C library of this process. */
function libc(): 'glibc' | 'musl' | undefined {
  if (process.platform !== 'linux') return undefined
  // The report is the better witness, but making one takes 20 ms.
  try {
    const ldd = readFileSync('/usr/bin/ldd', 'latin1')
    if (ldd.includes('musl')) return 'musl'
    if (ldd.includes('GNU C Library') || ldd.includes('GLIBC')) return 'glibc'
  } catch {
    // no ldd here
  }
  const report = process.report?.getReport() as unknown as { header?: { glibcVersionRuntime?: string } } | undefined
  return report?.header !== undefined && report.header.glibcVersionRuntime === undefined ? 'musl' : 'glibc'
}

/** What building from source leaves: CMake, then node-gyp and cmake-js. Goes before the prebuilt binary: whoever has it, wanted it. */
const builds = ['build/chainrule.node', 'build/Release/chainrule.node']

function builtHere(): Candidate[] {
  // Bundled into somebody's program, modules have no folder, and there is no build.
  const here = typeof BUNDLED === 'undefined' ? import.meta.dirname : typeof __dirname === 'string' ? __dirname : undefined
  if (here === undefined) return []
  const folder = join(here, typeof BUNDLED === 'undefined' ? '../..' : '..')
  return builds
    .filter((path) => existsSync(join(folder, path)))
    .map((path) => ({ path, load: () => require(join(folder, path)) as unknown }))
}

function candidates(target: string): Candidate[] {
  const forced = process.env.CHAINRULE_BINARY
  // no second choice: whoever names a binary wants to know when it does not load
  if (forced !== undefined && forced !== '') return [{ path: forced, load: () => require(resolve(forced)) }]
  const path = prebuilt[target]
  return path === undefined ? builtHere() : [...builtHere(), { path, load: () => loadPrebuilt(target) }]
}

/** What an addon has to be: ours, and made from the same op table. */
function accept(exported: unknown): Addon {
  const addon = exported as Addon
  // a path of a user may lead to any module
  if (typeof (exported as Partial<Addon> | null | undefined)?.info !== 'function')
    throw new BackendError('ERR_NATIVE_MISSING', 'is no binary of chainrule')
  const theirs = addon.info().tableHash >>> 0
  const ours = tableHash()
  if (theirs !== ours) {
    throw new BackendError('ERR_TABLE_MISMATCH', `was built from another op table (${theirs.toString(16)}, this is ${ours.toString(16)})`)
  }
  return addon
}

/** The first line of a failure, without the paths that follow it. */
function reason(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string }
  if (code === 'MODULE_NOT_FOUND') return 'not there'
  return String(message ?? error).split('\n')[0]
}

function load(): LoadResult {
  const target = platformTarget()
  const tried: string[] = []
  let code = 'ERR_NATIVE_MISSING'
  for (const { path, load } of candidates(target)) {
    try {
      return { addon: accept(load()), path }
    } catch (error) {
      tried.push(`  ${path}: ${reason(error)}`)
      const failure = (error as { code?: string }).code
      if (failure === 'ERR_CHAINRULE_ISA')
        return { error: new BackendError(failure, `chainrule: ${reason(error)}.`, { cause: error }), fatal: true }
      if (failure === 'ERR_TABLE_MISMATCH') code = failure
    }
  }
  const library = process.platform !== 'linux' ? '' : target.endsWith('-musl') ? ' (musl)' : ' (glibc)'
  const where = `${process.platform}-${process.arch}${library}, Node ${process.version}`
  const advice = process.env.CHAINRULE_BINARY
    ? 'CHAINRULE_BINARY names this file, so no other is tried: name a binary of this version (npm run build:native makes build/chainrule.node in a checkout), or unset it.'
    : prebuilt[target] === undefined
      ? 'There is no prebuilt binary for this platform: build one in a checkout with npm run build:native.'
      : 'Reinstall the package (npm install chainrule), or in a checkout run npm run build:native.'
  return {
    error: new BackendError(code, `chainrule: no native binary could be loaded on ${where}. Tried:\n${tried.join('\n')}\n${advice}`),
    fatal: false,
  }
}
