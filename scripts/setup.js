/**
 * Makes a checkout ready to run, before `npm run demo`, `npm test` and the benchmarks: packages, the addon, dist/. Does only what is
 * missing or out of date, and says one line for each thing it does.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fail, fingerprint, root, run } from './common.js'

const major = Number(process.versions.node.split('.')[0])
if (major < 20) fail(`setup: Node 20 or newer is needed, this is ${process.version}.`)

/** Does a step unless its sources are what they were when it last succeeded. */
function step(name, sources, result, action) {
  const stamp = join(root, 'build', `.${name.replaceAll(' ', '-')}.stamp`)
  const now = fingerprint(sources)
  if (existsSync(join(root, result)) && existsSync(stamp) && readFileSync(stamp, 'utf8') === now) return
  process.stdout.write(`setup: ${name} … `)
  const start = performance.now()
  if (!action()) {
    console.log('failed')
    process.exit(1)
  }
  mkdirSync(dirname(stamp), { recursive: true })
  writeFileSync(stamp, now)
  console.log(`${((performance.now() - start) / 1000).toFixed(1)} s`)
}

const script = (name, ...args) => run(process.execPath, [join(root, 'scripts', name), ...args], { quiet: true })
// npm is a script of its own on Windows, which cannot be started without a shell; the one that started us says where it is
const npm = (...args) => {
  const cli = process.env.npm_execpath
  return cli !== undefined ? run(process.execPath, [cli, ...args], { quiet: true }) : run('npm', args, { quiet: true })
}

const packages = 'node_modules/.package-lock.json'
if (!existsSync(join(root, packages)))
  step('packages', ['package.json', 'package-lock.json'], packages, () => npm('ci', '--no-audit', '--no-fund'))
step('native build', ['native', 'cmake', 'CMakeLists.txt'], 'build/chainrule.node', () => script('build-native.js', '--quiet'))
step(
  'typescript build',
  ['src', 'scripts/build-ts.js', 'scripts/parts.js', 'tsconfig.json', 'tsconfig.build.json', 'package.json'],
  'dist/index.d.ts',
  () => script('build-ts.js'),
)
