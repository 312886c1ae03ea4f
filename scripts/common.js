/**
 * What the scripts share: the project's root, running programs, comparing sources with what was built from them.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Ends the script with a message and no stack. */
export function fail(message) {
  console.error(message)
  process.exit(1)
}

/** Runs a program in the root; with `quiet` its output is shown only when it fails. Returns whether it succeeded. */
export function run(command, args, { quiet = false, env = process.env } = {}) {
  const result = spawnSync(command, args, { cwd: root, env, stdio: quiet ? 'pipe' : 'inherit', maxBuffer: 1 << 28 })
  const failed = result.error !== undefined || result.status !== 0
  if (failed && quiet) process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`)
  if (result.error !== undefined) console.error(`${command}: ${result.error.message}`)
  return !failed
}

/** Whether a program can be started at all. */
export function exists(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined
}

/** All files below a folder (or the file itself) whose names `accept` likes, relative to the root, sorted. */
export function filesBelow(path, accept = () => true) {
  const full = join(root, path)
  if (!existsSync(full)) return []
  if (!statSync(full).isDirectory()) return accept(path) ? [path] : []
  return readdirSync(full, { recursive: true })
    .map((name) => join(path, name))
    .filter((name) => accept(name) && statSync(join(root, name)).isFile())
    .sort()
}

/** A hash that changes when one of the files does: by content, since checkouts and copies change times. */
export function fingerprint(paths) {
  const hash = createHash('sha256')
  for (const file of paths.flatMap((path) => filesBelow(path)))
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update('\0')
  return hash.digest('hex')
}

/** A path as the user would type it. */
export function shown(path) {
  return relative(process.cwd(), path) || '.'
}
