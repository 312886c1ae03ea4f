/**
 * A release, step by step (docs/releasing.md):
 *
 *     npm run release                 # everything but publishing; leaves chainrule-VERSION.tgz
 *     npm run release -- --publish    # and publishes it
 *     npm run release -- --dry        # says what stands in the way and what would be run, builds and tests nothing, packs what is there
 *
 * In: a clean checkout of main whose version and CHANGELOG agree. Out: the tarball with all eight binaries, tested. Stops at the first thing
 * that is not as it should be.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { fail, root, run } from './common.js'
import { targets } from './prebuilds/targets.js'

const { publish, dry } = parseArgs({ options: { publish: { type: 'boolean' }, dry: { type: 'boolean' } } }).values
const text = (path) => readFileSync(join(root, path), 'utf8')
const git = (...args) => spawnSync('git', args, { cwd: root, encoding: 'utf8' }).stdout.trim()
const manifest = JSON.parse(text('package.json'))

function step(what, command, ...args) {
  if (dry) {
    console.log(
      `release: would run ${what}: ${[command === process.execPath ? 'node' : command, ...args].join(' ').replaceAll(`${root}/`, '')}`,
    )
    return
  }
  console.log(`release: ${what}`)
  if (!run(command, args)) fail(`release: ${what} failed`)
}

/** Stops at what must not be; when dry, says it and goes on. */
function refuse(condition, why) {
  if (!condition) return
  if (!dry) fail(`release: ${why}`)
  console.log(`release: would stop: ${why}`)
}

refuse(git('status', '--porcelain') !== '', 'the work tree has changes. Commit them first.')
refuse(git('branch', '--show-current') !== 'main', 'not on main.')
const heading = new RegExp(`^## ${manifest.version.replaceAll('.', '\\.')} \\(\\d{4}-\\d\\d-\\d\\d\\)$`, 'm')
refuse(!heading.test(text('CHANGELOG.md')), `CHANGELOG.md has no "## ${manifest.version} (YYYY-MM-DD)".`)
refuse(git('tag', '--list', `v${manifest.version}`) !== '', `v${manifest.version} is tagged already. Raise the version.`)
refuse(
  (publish || dry) && manifest.repository === undefined,
  'package.json has no repository, which provenance names; only --publish needs it.',
)

// binaries of an earlier version would be shipped without a word
if (!dry) rmSync(join(root, 'prebuilds'), { recursive: true, force: true })
step('packages', 'npm', 'ci', '--no-audit', '--no-fund')
step('binaries for all platforms', process.execPath, join(root, 'scripts/prebuilds/build.js'))
for (const [name, { file }] of Object.entries(targets)) refuse(!existsSync(join(root, file)), `the binary for ${name} is missing.`)
step('tests', 'npm', 'test')
step('tests on other platforms', 'npm', 'run', 'test:platforms')
step('tarball', 'npm', 'pack', '--ignore-scripts')
if (dry && !run('npm', ['pack', '--ignore-scripts', '--dry-run', '--loglevel=notice'])) fail('release: npm pack failed')
const tarball = `chainrule-${manifest.version}.tgz`
if (dry) {
  console.log('release: nothing was built, tested or published.')
} else if (!publish) {
  console.log(`release: ${tarball} is ready. Publish it with npm run release -- --publish.`)
} else {
  // with an identity token of a CI service npm signs where the package was built; without one it publishes unsigned
  const provenance = process.env.ACTIONS_ID_TOKEN_REQUEST_URL === undefined ? [] : ['--provenance']
  step('publish', 'npm', 'publish', tarball, '--access', 'public', ...provenance)
  step('tag', 'git', 'tag', `v${manifest.version}`)
  console.log(`release: published. Push the tag: git push origin v${manifest.version}`)
}
