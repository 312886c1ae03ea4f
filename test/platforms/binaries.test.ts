/**
 * The prebuilt binaries by what is written in them: which symbols they export and ask for, which libraries they need, and that nothing of the machine
 * that built them is inside. One part for each file that is there; foreign ones need LLVM's tools.
 */
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, type TestContext } from 'vitest'
import { has, installedFolder, root, run } from './support.js'

const targets = {
  'linux-x64': 'prebuilds/linux-x64/node.napi.node',
  'linux-x64-musl': 'prebuilds/linux-x64/node.napi.musl.node',
  'linux-arm64': 'prebuilds/linux-arm64/node.napi.armv8.node',
  'linux-arm64-musl': 'prebuilds/linux-arm64/node.napi.armv8.musl.node',
  'win32-x64': 'prebuilds/win32-x64/node.napi.node',
  'win32-arm64': 'prebuilds/win32-arm64/node.napi.armv8.node',
  'darwin-x64': 'prebuilds/darwin-x64/node.napi.node',
  'darwin-arm64': 'prebuilds/darwin-arm64/node.napi.armv8.node',
}
const ours = ['napi_register_module_v1', 'node_api_module_get_api_version_v1']

/** The libraries each may need. */
const libraries: Record<string, RegExp> = {
  'linux-glibc': /^(lib(c|m|dl|pthread)\.so\.\d|ld-linux[\w-]*\.so\.\d)$/,
  'linux-musl': /^libc\.so$/,
  win32: /^(KERNEL32\.dll|api-ms-win-crt-[\w-]+\.dll)$/i,
  darwin: /^\/usr\/lib\/libSystem\.B\.dylib$/,
}

describe.each(Object.entries(targets))('the binary for %s', (target, file) => {
  const [platform, , libc = 'glibc'] = target.split('-')
  const binary = join(root, file)
  /** What one of LLVM's tools, or binutils' where that will do, says of the binary. */
  function ask(context: TestContext, name: 'nm' | 'objdump' | 'readobj', ...flags: string[]): string {
    if (!existsSync(binary)) context.skip(`no binary: npm run prebuilds -- ${target}`)
    const own = target === `${process.platform}-${process.arch}` && name !== 'readobj'
    const program = [`llvm-${name}`, ...(own ? [name] : [])].find(has)
    if (program === undefined) context.skip('apt-get install llvm')
    const { status, out } = run(program as string, [...flags, binary], root)
    expect(status, out).toBe(0)
    return out
  }
  const matches = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map((match) => match[1])

  it('exports what Node-API wants, and nothing else', (context) => {
    if (platform === 'win32') {
      expect(matches(ask(context, 'readobj', '--coff-exports'), /^ *Name: (\w+)$/gm).sort()).toEqual(ours)
      return
    }
    const flags = platform === 'darwin' ? ['--extern-only', '--defined-only'] : ['-D', '--defined-only']
    const names = matches(ask(context, 'nm', ...flags), /^[0-9a-f]+ \w (\S+)$/gm)
    // on macOS the C++ library's operator new and delete stay visible, weak; malloc and free lie underneath
    const left = platform === 'darwin' ? names.filter((name) => !/^__Z(n[wa]|d[la])/.test(name)) : names
    expect(left.map((name) => (platform === 'darwin' ? name.slice(1) : name)).sort()).toEqual(ours)
  })

  it('asks for no memory that V8 did not allocate, which Electron refuses', (context) => {
    // on Windows the addon finds all of Node-API's functions itself (cmake/node-api-imports.cjs); it is the same code that calls them
    if (platform === 'win32') return context.skip('every Node-API function is looked up by name there')
    const asked = ask(context, 'nm', ...(platform === 'darwin' ? [] : ['-D']))
    expect(asked).toContain('napi_create_arraybuffer')
    expect(asked).not.toMatch(/napi_create_external_(array)?buffer/)
  })

  it('needs no library but the system’s, of 2012 at most', (context) => {
    const key = platform === 'linux' ? `linux-${libc}` : platform
    const text =
      platform === 'win32'
        ? ask(context, 'readobj', '--coff-imports')
        : platform === 'darwin'
          ? ask(context, 'objdump', '--macho', '--dylibs-used')
          : ask(context, 'objdump', '-p')
    const pattern = platform === 'win32' ? /^ *Name: (\S+)$/gm : platform === 'darwin' ? /^\t(\S+) \(/gm : /NEEDED +(\S+)/g
    const needed = matches(text, pattern).filter((name) => !name.startsWith('@rpath/'))
    expect(needed.length).toBeGreaterThan(0)
    expect(needed.filter((name) => !libraries[key].test(name))).toEqual([])
    if (libc !== 'glibc' || platform !== 'linux') return
    const minors = matches(text, /GLIBC_2\.(\d+)/g).map(Number)
    expect(Math.max(...minors)).toBeLessThanOrEqual(17)
  })

  it('is stripped and knows nothing of who built it', (context) => {
    if (!existsSync(binary)) return context.skip(`no binary: npm run prebuilds -- ${target}`)
    const text = readFileSync(binary, 'latin1')
    const paths = [root, homedir(), process.env.ZIG_GLOBAL_CACHE_DIR, '/node_modules/', '.zig-cache'].filter((path) => path && path !== '/')
    for (const path of paths) expect(text.includes(path as string), path).toBe(false)
    expect(text.includes('.debug_info')).toBe(false)
  })

  it.runIf(target === 'darwin-arm64')('carries the signature that macOS on ARM insists on', (context) => {
    expect(ask(context, 'objdump', '--macho', '--private-headers')).toContain('LC_CODE_SIGNATURE')
  })
})

it('the binary is what node-gyp-build finds for Electron', (context) => {
  const finder = join(root, 'node_modules/node-gyp-build/node-gyp-build.js')
  if (!existsSync(finder) || process.platform !== 'linux') return context.skip('node-gyp-build is not there')
  const code = `console.log(require(${JSON.stringify(finder)}).path(${JSON.stringify(join(installedFolder(), 'node_modules/chainrule'))}))`
  const { out } = run(process.execPath, ['-e', code], root, { ELECTRON_RUN_AS_NODE: '1', PREBUILDS_ONLY: '1' })
  expect(out.trim()).toMatch(/prebuilds\/linux-x64\/node\.napi\.node$/)
})
