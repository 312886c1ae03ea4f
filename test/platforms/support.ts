/** What the platform tests share: tools from npm, folders with awkward names, programs to run in them. */
import { type SpawnSyncOptions, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

export const root = resolve(import.meta.dirname, '../..')
const base = join(root, 'build/platforms')
export const tarball = join(base, 'chainrule.tgz')

export interface Outcome {
  readonly status: number | null
  readonly out: string
}

/** Runs a program without this project's variables; the native backend must load, unless `env` says otherwise. */
export function run(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
  more: SpawnSyncOptions = {},
): Outcome {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(CHAINRULE_|VITEST|npm_(?!config_registry)|NODE_(?!EXTRA_CA_CERTS))/.test(name),
  )
  const { status, signal, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    timeout: 280_000,
    env: { ...Object.fromEntries(inherited), CHAINRULE_BACKEND: 'native', ...env },
    ...more,
  })
  return { status, out: error === undefined ? `${stdout ?? ''}${stderr ?? ''}${signal ?? ''}` : error.message }
}

/** An empty folder with a space and letters beyond ASCII in its path. */
export function emptyFolder(name: string): string {
  const folder = join(base, 'ein Ördner 包', name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  return folder
}

/**
 * The folder of a package from npm, installed once into build/platforms/tools; no scripts are run. `undefined` where it cannot be had within five minutes:
 * a reason to skip, since it says nothing of us.
 */
export function tool(spec: string): string | undefined {
  const name = spec.replace(/(?<=.)@[^@/]*$/, '')
  const prefix = join(base, 'tools', spec.replaceAll('/', '+'))
  const folder = join(prefix, 'node_modules', name)
  if (existsSync(folder)) return folder
  mkdirSync(prefix, { recursive: true })
  writeFileSync(join(prefix, 'package.json'), '{ "private": true }')
  const { status } = run(
    'npm',
    ['install', spec, '--ignore-scripts', '--no-audit', '--no-fund', '--force'],
    prefix,
    {},
    { timeout: 300_000 },
  )
  if (status === 0 && existsSync(folder)) return folder
  // half of it would be taken for the whole next time
  rmSync(prefix, { recursive: true, force: true })
  return undefined
}

/** Whether a program can be started. */
export function has(command: string): boolean {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined
}

/** A user's program: trains one compiled step, awaited, and says what ran. */
const body = `
const net = new c.nn.Sequential(new c.nn.Linear(4, 8), new c.nn.ReLU(), new c.nn.Linear(8, 2))
const optimizer = new c.optim.Adam(net.parameters(), { lr: 0.01 })
const step = c.compile((x, y) => {
  const loss = c.losses.crossEntropy(net.forward(x), y)
  optimizer.zeroGrad(); loss.backward(); optimizer.step()
  return loss
})
step(c.randn([6, 4]), c.tensor([0, 1, 0, 1, 1, 0], { dtype: 'int32' })).then((loss) =>
  console.log(c.backend(), Number.isFinite(loss.item()) ? 'trained' : 'NaN'))
`
export const programs = {
  'user.mjs': `import * as c from 'chainrule'\n${body}`,
  'user.cjs': `const c = require('chainrule')\n${body}`,
}
export const trained = { status: 0, out: 'native trained\n' }

/** Writes the user's programs and an empty package.json. */
export function writeUser(folder: string, manifest: Record<string, unknown> = {}): void {
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'user', private: true, ...manifest }))
  for (const [name, code] of Object.entries(programs)) writeFileSync(join(folder, name), code)
}

/** The tarball installed by npm into a folder of its own, once a process. */
let installed: string | undefined
export function installedFolder(): string {
  if (installed !== undefined) return installed
  const folder = emptyFolder(`installed ${process.pid}`)
  writeUser(folder)
  const outcome = run('npm', ['install', tarball, '--no-audit', '--no-fund'], folder)
  if (outcome.status !== 0) throw new Error(outcome.out)
  installed = folder
  return folder
}
