/**
 * Builds the native tests with sanitizers and runs them, outside Node, or the addon, for the fuzzers in Node. In: CMakeLists.txt, native/. Out: exit
 * code 1 when one of them reports something.
 *
 *     node scripts/sanitize.js [address] [thread]
 *     node scripts/sanitize.js node [fuzzer] [--minutes n] [--seed s]      (tampered without a name)
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

const node = { folder: 'build-asan-node', flags: 'address', target: 'chainrule' }

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

const jobs = String(availableParallelism())

/** Builds into a folder of its own; returns it, or undefined where there is an obstacle. */
function built(kind, { folder, flags, target = 'all' }, ...more) {
  const why = obstacle(flags)
  if (why !== undefined) {
    console.log(`sanitize: ${kind} skipped: ${why}.`)
    return undefined
  }
  const build = join(root, folder)
  const generator = existsSync(join(build, 'CMakeCache.txt')) || !exists('ninja') ? [] : ['-G', 'Ninja']
  const options = [`-DCHAINRULE_SANITIZE=${flags}`, '-DCHAINRULE_ONLY_ISAS=scalar', '-DCMAKE_BUILD_TYPE=Release', ...more]
  if (!run('cmake', ['-S', root, '-B', build, ...generator, ...options], { quiet: true }))
    fail(`sanitize: ${folder} could not be configured.`)
  if (!run('cmake', ['--build', build, '--target', target, '-j', jobs], { quiet: true })) fail(`sanitize: ${folder} could not be built.`)
  return build
}

function sanitize(kind) {
  const start = performance.now()
  const build = built(kind, kinds[kind])
  if (build === undefined) return
  const end = performance.now()
  const env = {
    ...process.env,
    ASAN_OPTIONS: 'detect_stack_use_after_return=1:strict_string_checks=1',
    UBSAN_OPTIONS: 'print_stacktrace=1',
    TSAN_OPTIONS: 'halt_on_error=1:second_deadlock_stack=1',
  }
  if (!run('ctest', ['--test-dir', build, '--output-on-failure', '-j', jobs], { quiet: true, env }))
    fail(`sanitize: ${kind} found something; see above.`)
  const seconds = (from, to) => `${((to - from) / 1000).toFixed(0)} s`
  console.log(`sanitize: ${kind} is content (built in ${seconds(start, end)}, ran in ${seconds(end, performance.now())})`)
}

/** A fuzzer in a Node into which the sanitizer is loaded first: it has to be there before any memory is handed out. */
function sanitizeNode(given) {
  const build = built('node', node, '-DCHAINRULE_TESTS=OFF')
  if (build === undefined) return
  const compiler = [process.env.CXX, 'c++', 'g++'].filter(Boolean).find(exists)
  const library = spawnSync(compiler, ['-print-file-name=libasan.so'], { encoding: 'utf8' }).stdout.trim()
  const env = {
    ...process.env,
    LD_PRELOAD: library,
    // what Node keeps to its end is no leak of ours; V8 takes signals of its own
    ASAN_OPTIONS: 'detect_leaks=0:handle_segv=1:abort_on_error=1:allocator_may_return_null=1',
    CHAINRULE_BINARY: join(build, 'chainrule.node'),
  }
  const words = given.length > 0 && !given[0].startsWith('-') ? given : ['tampered', ...given]
  const ran = spawnSync(process.execPath, [join(root, 'scripts', 'fuzz.js'), ...words], { cwd: root, stdio: 'inherit', env })
  if (ran.status !== 0) fail('sanitize: the fuzzer found something; see above.')
}

const asked = process.argv.slice(2)
if (asked[0] === 'node') {
  sanitizeNode(asked.slice(1))
  process.exit(0)
}
for (const kind of asked)
  if (kinds[kind] === undefined) fail(`sanitize: unknown sanitizer ${kind}; known: ${Object.keys(kinds).join(', ')}`)
for (const kind of asked.length > 0 ? asked : Object.keys(kinds)) sanitize(kind)
