#!/usr/bin/env node
/**
 * `npx chainrule …`: doctor, bench, demo. In: the command line. Out: text on standard output, an exit code. Bundled into dist/cli.cjs together
 * with its command-line library, so that users of the package install no dependency for it.
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { doctor } from './doctor.js'
import { probe } from './probe.js'

/** The package's folder, from dist/cli.cjs as from src/cli/main.ts. */
function packageFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  // the root is its own parent
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder)
  return folder
}

/** Runs a script of the package with the arguments as they are; its exit code becomes ours. */
function runScript(script: string, args: readonly string[]): void {
  const child = spawn(process.execPath, [join(packageFolder(), script), ...args], { stdio: 'inherit' })
  child.on('error', (error) => {
    console.error(`chainrule: ${script} could not be started: ${error.message}`)
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1)
  })
}

const { version } = JSON.parse(readFileSync(join(packageFolder(), 'package.json'), 'utf8')) as { version: string }

const program = new Command('chainrule').description('Train and run neural networks in Node.js').version(version)

program
  .command('doctor')
  .description('what this machine is, which binary runs and whether it computes right; text to paste into a bug report')
  .option('--json', 'the same as JSON')
  .option('--isa <name>', 'test this instruction set only')
  .option('--quick', 'no self-test')
  .action(async (options: { json?: boolean; isa?: string; quick?: boolean }) => {
    process.exitCode = await doctor({ ...options, script: fileURLToPath(import.meta.url) })
  })

program
  .command('bench')
  .description('measures workloads; `chainrule bench --help` lists the options')
  .helpOption(false)
  .allowUnknownOption()
  .argument('[args...]')
  .action((args: string[]) => runScript('bench/run.js', args))

program
  .command('demo')
  .description('trains a digit classifier and shows what it learned')
  .action(() => runScript('examples/demo.js', []))

// what doctor starts in processes of its own, where a crash does no harm
program.command('probe', { hidden: true }).action(async () => {
  process.stdout.write(JSON.stringify(await probe()))
})

program.parseAsync().catch((error: unknown) => {
  console.error(`chainrule: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
})
