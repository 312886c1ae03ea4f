/**
 * A program that runs on musl here, on a glibc system: Bun's musl build on Debian's musl, with a libstdc++ that is linked for it from the objects
 * of Debian's libstdc++-12-pic, since Debian has none for musl; for arm64 under qemu. Out: how to run it, or what is missing.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { has, root, tool } from './support.js'

const kinds = {
  x64: {
    machine: 'x86_64',
    bun: '@oven/bun-linux-x64-musl@1.4.5',
    emulator: [],
    compiler: 'gcc',
    gcc: '/usr/lib/gcc/x86_64-linux-gnu/12',
    packages: 'apt-get install musl libstdc++-12-pic g++-12',
  },
  arm64: {
    machine: 'aarch64',
    bun: '@oven/bun-linux-aarch64-musl@1.4.5',
    emulator: ['qemu-aarch64-static'],
    compiler: 'aarch64-linux-gnu-gcc',
    gcc: '/usr/lib/gcc-cross/aarch64-linux-gnu/12',
    packages:
      'dpkg --add-architecture arm64; apt-get update; apt-get install musl:arm64 qemu-user-static libstdc++-12-pic-arm64-cross gcc-aarch64-linux-gnu',
  },
}

/** What the objects want of glibc, and musl has under another name or not at all. */
const stubs = `
void* __dso_handle __attribute__((visibility("hidden"))) = 0;
char __libc_single_threaded = 0;
int pthread_key_create(unsigned*, void (*)(void*));
int __pthread_key_create(unsigned* key, void (*end)(void*)) { return pthread_key_create(key, end); }
int _dl_find_object(void* pc, void* result) { (void)pc, (void)result; return -1; }
unsigned arc4random(void) { return 4; }
unsigned long getauxval(unsigned long);
unsigned long __getauxval(unsigned long type) { return getauxval(type); }
`

const lines = (command: string, args: string[], pattern: RegExp): Set<string> => {
  const { stdout } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28 })
  return new Set(Array.from(stdout.matchAll(pattern), ([, name]) => name))
}

export interface Bun {
  readonly command: string
  /** What stands before the program's own arguments. */
  readonly args: readonly string[]
  readonly env: Record<string, string>
}

export function bunOnMusl(arch: keyof typeof kinds): Bun | string {
  const { machine, bun: spec, emulator, compiler, gcc, packages } = kinds[arch]
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'linux-x64 only'
  const loader = `/lib/ld-musl-${machine}.so.1`
  const archive = join(gcc, 'libstdc++_pic.a')
  if (![loader, archive].every(existsSync) || ![compiler, ...emulator].every(has)) return packages
  const folder = tool(spec)
  if (folder === undefined) return 'Bun for musl cannot be had from npm here'
  const bun = join(folder, 'bin/bun')
  const library = join(root, 'build/platforms', `musl-${arch}`)
  const made = join(library, 'libstdc++.so.6')
  if (!existsSync(made)) {
    rmSync(library, { recursive: true, force: true })
    mkdirSync(library, { recursive: true })
    writeFileSync(join(library, 'stubs.c'), stubs)
    symlinkSync(loader, join(library, `libc.musl-${machine}.so.1`))
    // the symbols that Bun names and the archive defines, weak ones as well
    const defined = lines('nm', [archive], /^[0-9a-f]+ [ABCDGIRSTVWuvw] (\S+)$/gm)
    const named = lines('readelf', ['-W', '--dyn-syms', bun], /^.* (?:GLOBAL|WEAK) .* (\S+?)(?:@\S+)?(?: \(\d+\))?$/gm)
    const wanted = [...named].filter((name) => defined.has(name))
    const args = ['-shared', '-nostdlib', '-fPIC', '-o', made, join(library, 'stubs.c'), ...wanted.map((name) => `-Wl,-u,${name}`)]
    const archives = [archive, join(gcc, 'libgcc_eh.a'), join(gcc, 'libgcc.a')]
    const { status, stderr } = spawnSync(compiler, [...args, ...archives, '-Wl,-soname,libstdc++.so.6', '-Wl,--gc-sections'], {
      encoding: 'utf8',
    })
    if (status !== 0) return `a libstdc++ for musl could not be linked: ${stderr}`
  }
  const [command, ...args] = [...emulator, bun]
  const env = { LD_LIBRARY_PATH: library }
  const { status, stdout, stderr } = spawnSync(command, [...args, '--version'], { env: { ...process.env, ...env }, encoding: 'utf8' })
  return status === 0 && stdout.startsWith('1.4.5') ? { command, args, env } : `Bun does not start on musl: ${stderr}`
}
