/**
 * A release, step by step (docs/releasing.md):
 *
 *     npm run release                 # everything but publishing; leaves chainrule-VERSION.tgz
 *     npm run release -- --publish    # and publishes it
 *
 * In: a clean checkout of main whose version and CHANGELOG agree. Out: the tarball with all eight binaries, tested. Stops at the first thing
 * that is not as it should be.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fail, root, run } from './common.js'
import { targets } from './prebuilds/targets.js'

const publish = process.argv.includes('--publish')
const text = (path) => readFileSync(join(root, path), 'utf8')
const git = (...args) => spawnSync('git', args, { cwd: root, encoding: 'utf8' }).stdout.trim()
const manifest = JSON.parse(text('package.json'))

function step(what, command, ...args) {
  console.log(`release: ${what}`)
  if (!run(command, args)) fail(`release: ${what} failed`)
}

if (git('status', '--porcelain') !== '') fail('release: the work tree has changes. Commit them first.')
if (git('branch', '--show-current') !== 'main') fail('release: not on main.')
const heading = new RegExp(`^## ${manifest.version.replaceAll('.', '\\.')} \\(\\d{4}-\\d\\d-\\d\\d\\)$`, 'm')
if (!heading.test(text('CHANGELOG.md'))) fail(`release: CHANGELOG.md has no "## ${manifest.version} (YYYY-MM-DD)".`)
if (git('tag', '--list', `v${manifest.version}`) !== '') fail(`release: v${manifest.version} is tagged already. Raise the version.`)
if (publish && manifest.repository === undefined) fail('release: package.json has no repository, which provenance names.')

// binaries of an earlier version would be shipped without a word
rmSync(join(root, 'prebuilds'), { recursive: true, force: true })
step('packages', 'npm', 'ci', '--no-audit', '--no-fund')
step('binaries for all platforms', process.execPath, join(root, 'scripts/prebuilds/build.js'))
for (const [name, { file }] of Object.entries(targets))
  if (!existsSync(join(root, file))) fail(`release: the binary for ${name} is missing.`)
step('tests', 'npm', 'test')
step('tests on other platforms', 'npm', 'run', 'test:platforms')
step('tarball', 'npm', 'pack', '--ignore-scripts')
const tarball = `chainrule-${manifest.version}.tgz`
if (!publish) {
  console.log(`release: ${tarball} is ready. Publish it with npm run release -- --publish.`)
} else {
  // with an identity token of a CI service npm signs where the package was built; without one it publishes unsigned
  const provenance = process.env.ACTIONS_ID_TOKEN_REQUEST_URL === undefined ? [] : ['--provenance']
  step('publish', 'npm', 'publish', tarball, '--access', 'public', ...provenance)
  step('tag', 'git', 'tag', `v${manifest.version}`)
  console.log(`release: published. Push the tag: git push origin v${manifest.version}`)
}
