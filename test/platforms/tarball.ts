/**
 * Once, before the platform tests: prebuilt binaries of this platform where they are missing or older than their sources, and the tarball as
 * npm would publish it, in build/platforms/.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')

/** When the newest file below a folder was written. */
function newest(folder: string): number {
  return Math.max(
    ...readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs),
  )
}

export function setup(): void {
  const binary = join(root, `prebuilds/${process.platform}-${process.arch}/node.napi${process.arch === 'arm64' ? '.armv8' : ''}.node`)
  if (!existsSync(binary) || statSync(binary).mtimeMs < newest(join(root, 'native'))) {
    const target = `${process.platform}-${process.arch}`
    const built = spawnSync(process.execPath, [join(root, 'scripts/prebuilds/build.js'), target], { cwd: root, stdio: 'inherit' })
    if (built.status !== 0) throw new Error(`the binary for ${target} could not be built`)
  }
  const folder = join(root, 'build/platforms')
  mkdirSync(folder, { recursive: true })
  for (const old of readdirSync(folder).filter((name) => name.endsWith('.tgz'))) rmSync(join(folder, old))
  const packed = spawnSync('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: root, encoding: 'utf8' })
  const name = readdirSync(folder).find((file) => file.endsWith('.tgz'))
  if (name === undefined) throw new Error(`npm pack: ${packed.stderr}`)
  renameSync(join(folder, name), join(folder, 'chainrule.tgz'))
}
