/**
 * The two descriptions of the native build agree: for every file and instruction set, node-gyp (binding.gyp) would run the compiler with the flags and
 * definitions that CMake (CMakeLists.txt, the one npm test builds with) ran it with.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const prefix = resolve(dirname(process.execPath), '..')

/** The node-gyp that comes with npm, and the folder whose include/node it may use instead of downloading headers. */
const gyp = [
  ...(process.env.npm_execpath === undefined ? [] : [resolve(process.env.npm_execpath, '../../node_modules/node-gyp/bin/node-gyp.js')]),
  join(prefix, 'lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js'),
].find((path) => existsSync(path))
const headers = existsSync(join(prefix, 'include/node/common.gypi'))
const cmake = join(root, 'build/compile_commands.json')
const python = spawnSync('python3', ['--version']).status === 0

interface Command {
  readonly file: string
  readonly command: string
}

/** What matters of a command line: optimization, code generation, language, warnings, our definitions. Each once, in order. */
function flags(command: string): string[] {
  const tokens = command.replaceAll(/["\\]/g, '').split(/\s+/)
  const ours = tokens.filter((t) => /^-(O\w|f|std=|W|m(?!64)|D(CHAINRULE|NDEBUG|NAPI_VERSION|NODE_API|BUILDING))/.test(t))
  return [...new Set(ours.filter((t) => !t.startsWith('-ffile-prefix-map')))].sort()
}

/** Flags by file and instruction set, of what is part of the addon. */
function byFile(commands: readonly Command[], base: string): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const { file, command } of commands) {
    const path = resolve(base, file).slice(base.length + 1)
    if (/^native\/(?:test|bench)\//.test(path) || !path.startsWith('native/')) continue
    // the benchmarks' yardstick is compiled a second time, into a program
    if (command.includes('CMakeFiles/peak_')) continue
    const list = flags(command)
    const isa = list.find((t) => t.startsWith('-DCHAINRULE_ISA='))?.split('=')[1]
    found.set(isa === undefined ? path : `${path} for ${isa}`, list)
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** The commands node-gyp's build would run, found in a copy so that build/ stays as it is. */
function gypCommands(): Map<string, string[]> {
  const copy = mkdtempSync(join(tmpdir(), 'chainrule-gyp-'))
  try {
    for (const name of ['binding.gyp', 'package.json']) copyFileSync(join(root, name), join(copy, name))
    // a link would have gyp follow it, out of the copy
    cpSync(join(root, 'native'), join(copy, 'native'), { recursive: true })
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'), 'dir')
    const args = [gyp as string, 'configure', `--nodedir=${prefix}`, '--', '-f', 'compile_commands_json']
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: copy, encoding: 'utf8' })
    expect(status, stderr).toBe(0)
    return byFile(JSON.parse(readFileSync(join(copy, 'build/Release/compile_commands.json'), 'utf8')) as Command[], copy)
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

const missing = [
  gyp === undefined && 'npm has no node-gyp here',
  !headers && `${prefix} has no headers of Node`,
  !existsSync(cmake) && 'build/compile_commands.json is missing',
  !python && 'there is no python3',
  process.platform !== 'linux' && 'binding.gyp has flags of its own for each platform; Linux is compared',
].filter((reason) => reason !== false)

it.skipIf(missing.length > 0)(
  `node-gyp builds with the flags of CMake${missing.length > 0 ? ` (skipped: ${missing.join(', ')})` : ''}`,
  () => {
    const wanted = byFile(JSON.parse(readFileSync(cmake, 'utf8')) as Command[], root)
    const found = gypCommands()
    expect([...found.keys()]).toEqual([...wanted.keys()])
    // node-gyp has one set of definitions for a target; CMake gives each part what it needs
    const compared = (list: string[] | undefined): string[] | undefined =>
      list?.filter((t) => !t.startsWith('-D') || /CHAINRULE_ISA|NDEBUG/.test(t))
    for (const [file, list] of wanted) expect(compared(found.get(file)), file).toEqual(compared(list))
    const defined = (all: Map<string, string[]>): string[] =>
      [...new Set([...all.values()].flat().filter((t) => t.startsWith('-D')))].sort()
    expect(defined(found)).toEqual(defined(wanted))
  },
  60_000,
)
