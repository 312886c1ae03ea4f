/** Files. Exports only. */
export * from './checkpoint.js'
export { loadNpy, loadNpz, saveNpy } from './npy.js'
export type { FilePath } from './path.js'
export { loadSafetensors, parseSafetensors, type Safetensors, saveSafetensors, serializeSafetensors } from './safetensors.js'
export type { Storable } from './values.js'
