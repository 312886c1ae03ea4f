/**
 * The cross compiler: zig, as npm packages hold it (zig/package-lock.json fixes them by their hashes), installed at its first use into
 * build/zig. `CHAINRULE_ZIG` names another. Out: the path of the program, and the environment to run it in; where it cannot be had, the script
 * ends with 3, so that tests can do without.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../common.js'

const folder = join(root, 'build/zig')

/** zig's caches: its C and C++ libraries take minutes to build for each platform, and are built once. */
export const environment = {
  ...process.env,
  ZIG_GLOBAL_CACHE_DIR: process.env.ZIG_GLOBAL_CACHE_DIR ?? join(folder, 'cache'),
  ZIG_LOCAL_CACHE_DIR: process.env.ZIG_LOCAL_CACHE_DIR ?? process.env.ZIG_GLOBAL_CACHE_DIR ?? join(folder, 'cache'),
}

function missing(why) {
  console.error(`prebuilds: zig could not be installed: ${why}`)
  process.exit(3)
}

export function zig() {
  if (process.env.CHAINRULE_ZIG) return process.env.CHAINRULE_ZIG
  const name = `@zigc/${process.platform}-${process.arch}`
  const program = join(folder, 'node_modules', name, 'bin', process.platform === 'win32' ? 'zig.exe' : 'zig')
  if (!existsSync(program)) {
    console.log('prebuilds: installing zig, 400 MB')
    mkdirSync(folder, { recursive: true })
    for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(import.meta.dirname, 'zig', file), join(folder, file))
    // not `npm ci`, which wants the packages of all platforms in the lock, also those that cannot be had where it was written
    const { status, stderr, error } = spawnSync('npm', ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund'], {
      cwd: folder,
      encoding: 'utf8',
      shell: process.platform === 'win32',
    })
    if (status !== 0) missing(error?.message ?? stderr)
    if (!existsSync(program)) missing(`there is no ${name} on npm. CHAINRULE_ZIG names a zig 0.16 of your own.`)
  }
  return program
}
