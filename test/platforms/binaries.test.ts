/**
 * The prebuilt binaries by what is written in them: which symbols they export and ask for, which libraries they need, and that nothing of the machine
 * that built them is inside. One part for each file that is there; foreign ones need LLVM's tools.
 */
import { createHash } from 'node:crypto'
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
    if (platform === 'darwin') {
      // what others can find is in the trie; the symbol table must say the same. The C++ library's operator new and delete stay
      // visible, weak, as in every library that brings its own; malloc and free lie underneath
      const found = matches(ask(context, 'objdump', '--macho', '--exports-trie'), /^0x[0-9A-F]+ +_(\S+)/gm)
      const table = matches(ask(context, 'nm', '--extern-only', '--defined-only'), /^[0-9a-f]+ \w _(\S+)$/gm)
      expect(found.filter((name) => !/^_Z(n[wa]|d[la])/.test(name)).sort()).toEqual(ours)
      expect(found.sort()).toEqual(table.sort())
      return
    }
    expect(matches(ask(context, 'nm', '-D', '--defined-only'), /^[0-9a-f]+ \w (\S+)$/gm).sort()).toEqual(ours)
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

  it('carries the signature that macOS on ARM insists on, of the bytes that are there', (context) => {
    if (target !== 'darwin-arm64') return context.skip('only macOS on ARM wants one')
    const [, offset] = /LC_CODE_SIGNATURE\s+cmdsize \d+\s+dataoff (\d+)/.exec(ask(context, 'objdump', '--macho', '--private-headers')) ?? []
    expect(offset).toBeDefined()
    const bytes = readFileSync(binary)
    const start = Number(offset)
    expect(bytes.readUInt32BE(start)).toBe(0xfade0cc0)
    const directory = start + bytes.readUInt32BE(start + 16)
    expect(bytes.readUInt32BE(directory)).toBe(0xfade0c02)
    // where the hashes begin, how many pages, how many bytes they cover; a hash is 32 bytes, of SHA-256, a page 4096
    const [hashes, pages, covered] = [16, 28, 32].map((at) => bytes.readUInt32BE(directory + at))
    expect([covered, bytes[directory + 36], bytes[directory + 37], bytes[directory + 39]]).toEqual([start, 32, 2, 12])
    const wrong = Array.from({ length: pages }, (_, i) => i).filter((i) => {
      const hash = createHash('sha256').update(bytes.subarray(i * 4096, Math.min((i + 1) * 4096, covered)))
      return !hash.digest().equals(bytes.subarray(directory + hashes + i * 32, directory + hashes + (i + 1) * 32))
    })
    expect(wrong).toEqual([])
  })
})

it('the package takes 10 MB packed and 20 MB unpacked at most, all binaries inside', (context) => {
  const missing = Object.entries(targets).flatMap(([target, file]) => (existsSync(join(root, file)) ? [] : [target]))
  if (missing.length > 0) return context.skip(`not all binaries are there: npm run prebuilds -- ${missing.join(' ')}`)
  const { status, out } = run('npm', ['pack', '--ignore-scripts', '--dry-run', '--json', '--loglevel=error'], root)
  expect(status, out).toBe(0)
  const [{ size, unpackedSize, files }] = JSON.parse(out) as [{ size: number; unpackedSize: number; files: { path: string }[] }]
  expect(files.map(({ path }) => path)).toEqual(expect.arrayContaining(Object.values(targets)))
  console.log(`the package: ${(size / 1e6).toFixed(2)} MB packed, ${(unpackedSize / 1e6).toFixed(2)} MB unpacked`)
  expect(size).toBeLessThanOrEqual(10e6)
  expect(unpackedSize).toBeLessThanOrEqual(20e6)
})

it('the binary is what node-gyp-build finds for Electron', (context) => {
  const finder = join(root, 'node_modules/node-gyp-build/node-gyp-build.js')
  if (!existsSync(finder) || process.platform !== 'linux') return context.skip('node-gyp-build is not there')
  const code = `console.log(require(${JSON.stringify(finder)}).path(${JSON.stringify(join(installedFolder(), 'node_modules/chainrule'))}))`
  const { out } = run(process.execPath, ['-e', code], root, { ELECTRON_RUN_AS_NODE: '1', PREBUILDS_ONLY: '1' })
  expect(out.trim()).toMatch(/prebuilds\/linux-x64\/node\.napi\.node$/)
})
