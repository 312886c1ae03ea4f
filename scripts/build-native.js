/**
 * Builds the addon with CMake. In: CMakeLists.txt, native/. Out: build/chainrule.node; with `--tests` the native tests, with
 * `--peak` the programs that benchmarks compare with.
 *
 *     node scripts/build-native.js [--tests] [--peak] [--quiet]
 *
 * CMake does only what changed, so this may run at any time.
 */
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { exists, fail, root, run } from './common.js'

const options = new Set(process.argv.slice(2))
const quiet = options.has('--quiet')
const advice =
  'Debian and Ubuntu: apt-get install cmake g++. macOS: xcode-select --install, brew install cmake. Windows: Visual Studio Build Tools with C++ and CMake.'

if (!exists('cmake')) fail(`build-native: cmake was not found. It is needed to build the addon from source.\n${advice}`)
const compilers = [process.env.CXX, 'c++', 'g++', 'clang++'].filter(Boolean)
if (process.platform !== 'win32' && !compilers.some(exists))
  fail(`build-native: no C++ compiler was found (tried ${compilers.join(', ')}).\n${advice}`)

const build = join(root, 'build')
const generator = existsSync(join(build, 'CMakeCache.txt')) || !exists('ninja') ? [] : ['-G', 'Ninja']
if (!run('cmake', ['-S', root, '-B', build, ...generator, '-DCMAKE_BUILD_TYPE=Release'], { quiet }))
  fail('build-native: cmake could not configure the build; see above.')

const target = options.has('--tests') ? [] : ['--target', 'chainrule', ...(options.has('--peak') ? ['peak'] : [])]
const jobs = String(availableParallelism())
if (!run('cmake', ['--build', build, '--config', 'Release', '-j', jobs, ...target], { quiet }))
  fail('build-native: the build failed; see above.')
if (!existsSync(join(build, 'chainrule.node'))) fail('build-native: the build made no build/chainrule.node.')
