/**
 * A program that runs on musl here, on a glibc system: Bun's musl build on Debian's musl, with a libstdc++ that is linked for it from the objects
 * of Debian's libstdc++-12-pic, since Debian has none for musl. Out: how to run it, or what is missing.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, tool } from './support.js'

const loader = '/lib/ld-musl-x86_64.so.1'
const gcc = '/usr/lib/gcc/x86_64-linux-gnu/12'
const archive = join(gcc, 'libstdc++_pic.a')

/** What the objects want of glibc, and musl has under another name or not at all. */
const stubs = `
void* __dso_handle __attribute__((visibility("hidden"))) = 0;
char __libc_single_threaded = 0;
int pthread_key_create(unsigned*, void (*)(void*));
int __pthread_key_create(unsigned* key, void (*end)(void*)) { return pthread_key_create(key, end); }
int _dl_find_object(void* pc, void* result) { (void)pc, (void)result; return -1; }
unsigned arc4random(void) { return 4; }
`

const lines = (command: string, args: string[], pattern: RegExp): Set<string> => {
  const { stdout } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28 })
  return new Set(Array.from(stdout.matchAll(pattern), ([, name]) => name))
}

export function bunOnMusl(): { bun: string; env: Record<string, string> } | string {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'linux-x64 only'
  if (!existsSync(loader) || !existsSync(archive)) return 'apt-get install musl libstdc++-12-pic g++-12'
  const folder = tool('@oven/bun-linux-x64-musl@1.4.5')
  if (folder === undefined) return 'Bun for musl cannot be had from npm here'
  const bun = join(folder, 'bin/bun')
  const library = join(root, 'build/platforms/musl')
  const made = join(library, 'libstdc++.so.6')
  if (!existsSync(made)) {
    rmSync(library, { recursive: true, force: true })
    mkdirSync(library, { recursive: true })
    writeFileSync(join(library, 'stubs.c'), stubs)
    symlinkSync(loader, join(library, 'libc.musl-x86_64.so.1'))
    // the symbols that Bun names and the archive defines, weak ones as well
    const has = lines('nm', [archive], /^[0-9a-f]+ [ABCDGIRSTVWuvw] (\S+)$/gm)
    const wanted = [...lines('readelf', ['-W', '--dyn-syms', bun], /^.* (?:GLOBAL|WEAK) .* (\S+?)(?:@\S+)?(?: \(\d+\))?$/gm)].filter(
      (name) => has.has(name),
    )
    const args = ['-shared', '-nostdlib', '-fPIC', '-o', made, join(library, 'stubs.c'), ...wanted.map((name) => `-Wl,-u,${name}`)]
    const archives = [archive, join(gcc, 'libgcc_eh.a'), join(gcc, 'libgcc.a')]
    const { status, stderr } = spawnSync('gcc', [...args, ...archives, '-Wl,-soname,libstdc++.so.6', '-Wl,--gc-sections'], {
      encoding: 'utf8',
    })
    if (status !== 0) return `a libstdc++ for musl could not be linked: ${stderr}`
  }
  const env = { LD_LIBRARY_PATH: library }
  const { status, stdout, stderr } = spawnSync(bun, ['--version'], { env: { ...process.env, ...env }, encoding: 'utf8' })
  return status === 0 && stdout.startsWith('1.4.5') ? { bun, env } : `Bun does not start on musl: ${stderr}`
}
