/**
 * Once, before the platform tests: the prebuilt binary of this platform, and the tarball as npm would publish it, in build/platforms/. Where zig
 * cannot be had, the checkout's own build stands in for the binary inside the tarball, and `stand-in` beside it says so.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')
const folder = join(root, 'build/platforms')
const tarball = join(folder, 'chainrule.tgz')

/** What scripts/prebuilds/build.js ends with where there is no zig. */
const noZig = 3

/** Puts the checkout's build into the tarball. */
function standIn(binary: string): void {
  const built = join(root, 'build/chainrule.node')
  if (!existsSync(built)) throw new Error('there is neither zig nor build/chainrule.node: npm run build:native')
  rmSync(join(folder, 'package'), { recursive: true, force: true })
  spawnSync('tar', ['-xzf', tarball, '-C', folder])
  mkdirSync(join(folder, 'package', binary, '..'), { recursive: true })
  copyFileSync(built, join(folder, 'package', binary))
  spawnSync('tar', ['-czf', tarball, '-C', folder, 'package'])
  rmSync(join(folder, 'package'), { recursive: true, force: true })
  writeFileSync(join(folder, 'stand-in'), 'zig could not be had: the binary in the tarball is build/chainrule.node\n')
}

export function setup(): void {
  const target = `${process.platform}-${process.arch}`
  const built = spawnSync(process.execPath, [join(root, 'scripts/prebuilds/build.js'), target], { cwd: root, stdio: 'inherit' })
  if (built.status !== 0 && built.status !== noZig) throw new Error(`the binary for ${target} could not be built`)
  mkdirSync(folder, { recursive: true })
  for (const old of readdirSync(folder).filter((name) => name.endsWith('.tgz') || name === 'stand-in')) rmSync(join(folder, old))
  const packed = spawnSync('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: root, encoding: 'utf8' })
  const name = readdirSync(folder).find((file) => file.endsWith('.tgz'))
  if (name === undefined) throw new Error(`npm pack: ${packed.stderr}`)
  renameSync(join(folder, name), tarball)
  if (built.status === noZig) standIn(`prebuilds/${target}/node.napi${process.arch === 'arm64' ? '.armv8' : ''}.node`)
}
