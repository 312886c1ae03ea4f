/**
 * The same workloads by other libraries, in turn with ours, in one table: `npm run bench:peers -- [workload …] [options of run.js]`.
 *
 *     --torch "command"          how PyTorch is measured, else CHAINRULE_BENCH_TORCH, else python3 bench/peers/torch.py if that python has it
 *     --without tfjs|jax|onnx|torch    leave one out; may be given several times
 *
 * TensorFlow.js, jax-js and onnxruntime are installed into bench/peers/node_modules, which git ignores, when they are missing or of another version
 * than bench/peers/package.json says. They are no dependencies of the package. A peer that cannot express a workload says so below the table.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { workloads } from './workloads.js'

const here = import.meta.dirname
const folder = join(here, 'peers')
const given = process.argv.slice(2)

/** Takes every `--name value` or `--name=value` out of the command line. */
function take(name) {
  const found = []
  for (let i = 0; i < given.length; ) {
    const [option, value] = given[i].split(/=(.*)/s)
    if (option !== `--${name}`) {
      i++
      continue
    }
    const taken = given.splice(i, value === undefined ? 2 : 1)
    found.push(value ?? taken[1])
  }
  return found
}

function install() {
  const { dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const current = Object.entries(dependencies).every(([name, version]) => {
    const path = join(folder, 'node_modules', name, 'package.json')
    return existsSync(path) && JSON.parse(readFileSync(path, 'utf8')).version === version
  })
  if (current) return
  process.stderr.write('bench: installing the peers into bench/peers/node_modules …\n')
  const npm = process.env.npm_execpath
  const [command, ...args] = npm === undefined ? ['npm'] : [process.execPath, npm]
  // no scripts: onnxruntime's would download GPU libraries
  const options = ['install', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel', 'error']
  // npm hands its own settings on to what it runs
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_(package|lifecycle|config_local_prefix)/.test(name)))
  const { status } = spawnSync(command, [...args, ...options], { cwd: folder, env, stdio: 'inherit' })
  if (status !== 0) {
    console.error('bench: the peers could not be installed; see above.')
    process.exit(1)
  }
}

/** The command that measures PyTorch, or undefined where there is none. */
function torch(asked) {
  const command = asked ?? process.env.CHAINRULE_BENCH_TORCH
  if (command) return command
  if (spawnSync('python3', ['-c', 'import torch'], { stdio: 'ignore' }).status === 0) return `python3 "${join(folder, 'torch.py')}"`
  process.stderr.write('bench: no PyTorch: python3 has none, and neither --torch nor CHAINRULE_BENCH_TORCH names a command.\n')
  return undefined
}

const without = take('without')
const [asked] = take('torch')
const scripts = ['tfjs', 'jax', 'onnx'].filter((name) => !without.includes(name))
if (scripts.length > 0) install()
const commands = scripts.map((name) => `"${process.execPath}" "${join(folder, `${name}.js`)}"`)
const python = without.includes('torch') ? undefined : torch(asked)
if (python !== undefined) commands.unshift(python)

// what only we can express, and how we are called, are left out unless asked for
const known = new Set([...Object.keys(workloads), 'import'])
const named = given.some((a) => known.has(a))
const ids = named ? [] : [...known].filter((id) => !/-(nt|tn|tt)$/.test(id))
const modes = given.some((a) => a.startsWith('--mode')) ? [] : ['sync', 'await'].flatMap((mode) => ['--mode', mode])
const peers = commands.flatMap((command) => ['--peer', command])
const { status } = spawnSync(process.execPath, [join(here, 'run.js'), ...ids, ...given, ...modes, ...peers], { stdio: 'inherit' })
process.exitCode = status ?? 1
