/** Electron Forge: the binary goes beside the archive, since a library cannot be loaded from inside it. */
module.exports = {
  packagerConfig: { asar: { unpack: '**/*.node' } },
  plugins: [{ name: '@electron-forge/plugin-auto-unpack-natives', config: {} }],
}
