/**
 * Builds the native tests with sanitizers and runs them, outside Node. In: CMakeLists.txt, native/. Out: exit code 1 when one of them reports something.
 *
 *     node scripts/sanitize.js [address] [thread]
 *
 * `address` is AddressSanitizer with UBSan, in build-asan/, `thread` is ThreadSanitizer, in build-tsan/. Both on the runtime and on the scalar kernels: the others
 * share their index arithmetic, and with these checks GCC takes minutes for a file of wide vectors. Where the compiler has no runtime for a sanitizer,
 * that one is skipped and the reason is said.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { exists, fail, root, run } from './common.js'

const kinds = {
  address: { folder: 'build-asan', flags: 'address,undefined' },
  thread: { folder: 'build-tsan', flags: 'thread' },
}

/** Why programs built with these flags do not run here; undefined where they do. */
function obstacle(flags) {
  if (process.platform === 'win32') return 'no sanitizers on Windows'
  const compiler = [process.env.CXX, 'c++', 'g++', 'clang++'].filter(Boolean).find(exists)
  if (compiler === undefined) return 'no C++ compiler was found'
  const folder = mkdtempSync(join(tmpdir(), 'chainrule-sanitize-'))
  try {
    writeFileSync(join(folder, 'a.cc'), 'int main() { return 0; }\n')
    const built = spawnSync(compiler, [`-fsanitize=${flags}`, 'a.cc', '-o', 'a'], { cwd: folder, encoding: 'utf8' })
    if (built.status !== 0) return `${compiler} has no runtime for -fsanitize=${flags}`
    const ran = spawnSync(join(folder, 'a'), { encoding: 'utf8' })
    return ran.status === 0 ? undefined : `a program with -fsanitize=${flags} does not start: ${ran.stderr.trim().split('\n')[0]}`
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function sanitize(kind) {
  const { folder, flags } = kinds[kind]
  const why = obstacle(flags)
  if (why !== undefined) {
    console.log(`sanitize: ${kind} skipped: ${why}.`)
    return
  }
  const start = performance.now()
  const build = join(root, folder)
  const generator = existsSync(join(build, 'CMakeCache.txt')) || !exists('ninja') ? [] : ['-G', 'Ninja']
  const options = [`-DCHAINRULE_SANITIZE=${flags}`, '-DCHAINRULE_ONLY_ISAS=scalar', '-DCMAKE_BUILD_TYPE=Release']
  const jobs = String(availableParallelism())
  if (!run('cmake', ['-S', root, '-B', build, ...generator, ...options], { quiet: true }))
    fail(`sanitize: ${folder} could not be configured.`)
  if (!run('cmake', ['--build', build, '-j', jobs], { quiet: true })) fail(`sanitize: ${folder} could not be built.`)
  const built = performance.now()
  const env = {
    ...process.env,
    ASAN_OPTIONS: 'detect_stack_use_after_return=1:strict_string_checks=1',
    UBSAN_OPTIONS: 'print_stacktrace=1',
    TSAN_OPTIONS: 'halt_on_error=1:second_deadlock_stack=1',
  }
  if (!run('ctest', ['--test-dir', build, '--output-on-failure', '-j', jobs], { quiet: true, env }))
    fail(`sanitize: ${kind} found something; see above.`)
  const seconds = (from, to) => `${((to - from) / 1000).toFixed(0)} s`
  console.log(`sanitize: ${kind} is content (built in ${seconds(start, built)}, ran in ${seconds(built, performance.now())})`)
}

const asked = process.argv.slice(2)
for (const kind of asked)
  if (kinds[kind] === undefined) fail(`sanitize: unknown sanitizer ${kind}; known: ${Object.keys(kinds).join(', ')}`)
for (const kind of asked.length > 0 ? asked : Object.keys(kinds)) sanitize(kind)
