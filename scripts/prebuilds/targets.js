/**
 * The platforms we ship a binary for. By name, as the loader names them (src/backend/loader.ts): zig's triple, and the file, as prebuildify,
 * node-gyp-build and @electron/rebuild name them: the glibc file carries no tag on purpose.
 */
const triples = {
  'linux-x64': 'x86_64-linux-gnu.2.17',
  'linux-x64-musl': 'x86_64-linux-musl',
  'linux-arm64': 'aarch64-linux-gnu.2.17',
  'linux-arm64-musl': 'aarch64-linux-musl',
  'win32-x64': 'x86_64-windows-gnu',
  'win32-arm64': 'aarch64-windows-gnu',
  'darwin-x64': 'x86_64-macos.11.0',
  'darwin-arm64': 'aarch64-macos.11.0',
}

export const targets = Object.fromEntries(
  Object.entries(triples).map(([name, triple]) => {
    const [platform, arch, libc] = name.split('-')
    const tags = `${arch === 'arm64' ? '.armv8' : ''}${libc === undefined ? '' : `.${libc}`}`
    return [name, { platform, arch, triple, file: `prebuilds/${platform}-${arch}/node.napi${tags}.node` }]
  }),
)
