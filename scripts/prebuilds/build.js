/**
 * Builds the binaries that the package holds, on one machine, for all platforms or for those named:
 *
 *     npm run prebuilds -- [linux-x64 linux-x64-musl linux-arm64 linux-arm64-musl win32-x64 win32-arm64 darwin-x64 darwin-arm64]
 *     npm run prebuilds -- --tests linux-arm64-musl
 *
 * In: CMakeLists.txt, native/. Out: prebuilds/, stripped. Needs CMake, Ninja or make, and llvm-strip, or binutils' strip for Linux on the
 * processor at hand. With `--tests` the native tests instead, in build/prebuilds/TARGET-tests, to be run under an emulator. What each binary must and must not contain is in test/platforms/binaries.test.ts.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { exists, fail, root, run } from '../common.js'
import { hideSymbols } from './macho.js'
import { targets } from './targets.js'
import { environment, zig } from './zig.js'

const { values, positionals } = parseArgs({ allowPositionals: true, options: { tests: { type: 'boolean' } } })
const names = positionals.length > 0 ? positionals : Object.keys(targets)
for (const name of names)
  if (targets[name] === undefined) fail(`prebuilds: no target ${name}; there are ${Object.keys(targets).join(', ')}`)
if (!exists('cmake')) fail('prebuilds: cmake was not found. Debian and Ubuntu: apt-get install cmake ninja-build llvm.')

/** What strips a target's binaries. Mach-O needs LLVM's, which renews the signature that macOS on ARM insists on. */
function strip({ platform, arch }, file) {
  const flags = platform === 'darwin' ? ['-S', '-x'] : ['--strip-all']
  if (exists('llvm-strip')) return run('llvm-strip', [...flags, file])
  if (platform === process.platform && arch === process.arch && platform !== 'darwin' && exists('strip'))
    return run('strip', [...flags, file])
  fail(`prebuilds: llvm-strip was not found, which strips binaries for ${platform}-${arch}. Debian and Ubuntu: apt-get install llvm.`)
}

/**
 * What is shipped for a processor. Not scalar: each of these processors has vectors, and kernels that nobody would run are a fifth of the package.
 */
const isas = { x64: 'sse2;avx2;avx512', arm64: 'neon' }

/** Runs CMake for a target. Returns whether it succeeded. */
function compile({ triple, arch }, folder, program, tests) {
  const generator = existsSync(join(folder, 'CMakeCache.txt')) || !exists('ninja') ? [] : ['-G', 'Ninja']
  const definitions = {
    CMAKE_TOOLCHAIN_FILE: join(root, 'cmake/zig.cmake'),
    CMAKE_BUILD_TYPE: 'Release',
    ZIG_EXE: program,
    ZIG_TARGET: triple,
    CHAINRULE_ARCH: arch,
    CHAINRULE_ONLY_ISAS: isas[arch],
    CHAINRULE_TESTS: tests ? 'ON' : 'OFF',
    // zig keeps what it compiled; a launcher in front of `zig c++` would only take the first word for the compiler
    CMAKE_C_COMPILER_LAUNCHER: '',
    CMAKE_CXX_COMPILER_LAUNCHER: '',
  }
  const flags = Object.entries(definitions).map(([key, value]) => `-D${key}=${value}`)
  const options = { quiet: true, env: environment }
  const target = tests ? [] : ['--target', 'chainrule']
  return (
    run('cmake', ['-S', root, '-B', folder, ...generator, ...flags], options) &&
    run('cmake', ['--build', folder, '-j', String(availableParallelism()), ...target], options)
  )
}

function build(name, program) {
  const target = targets[name]
  if (values.tests) return compile(target, join(root, 'build/prebuilds', `${name}-tests`), program, true)
  const folder = join(root, 'build/prebuilds', name)
  if (!compile(target, folder, program, false)) return false
  // never half a file in the place the loader looks at
  const unfinished = join(folder, 'stripped.node')
  copyFileSync(join(folder, 'chainrule.node'), unfinished)
  if (target.platform === 'darwin') writeFileSync(unfinished, hideSymbols(readFileSync(unfinished), ['___dso_handle', '__mh_dylib_header']))
  if (!strip(target, unfinished)) return false
  const file = join(root, target.file)
  mkdirSync(dirname(file), { recursive: true })
  rmSync(file, { force: true })
  renameSync(unfinished, file)
  return true
}

const program = zig()
let failed = 0
for (const name of names) {
  const start = performance.now()
  const built = build(name, program)
  if (!built) failed++
  const size = !built ? 'FAILED' : values.tests ? 'tests' : `${(statSync(join(root, targets[name].file)).size / 1e6).toFixed(2)} MB`
  console.log(`prebuilds: ${name.padEnd(17)}${size}, ${((performance.now() - start) / 1000).toFixed(0)} s`)
}
process.exit(failed === 0 ? 0 : 1)
