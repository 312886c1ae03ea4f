/**
 * Files of other programs, named for what they are. In: the first bytes of a file that is not what was expected. Out: what it is and what to
 * do with it.
 */

/** So many bytes are enough to tell. */
export const tellingBytes = 512

const inPython = (lines: string): string => `In Python: ${lines}`
const tensorsOf = (code: string): string => inPython(`from safetensors.numpy import save_file; ${code}`)

const torch = inPython(
  "import torch; from safetensors.torch import save_file; save_file(torch.load('model.pt', weights_only=True), 'model.safetensors'), " +
    "or for a model save_file(model.state_dict(), 'model.safetensors').",
)

const keras = tensorsOf(
  "import keras; m = keras.models.load_model('model.h5'); save_file({w.path: w.numpy() for w in m.weights}, 'model.safetensors'). " +
    'Kernels of Dense are transposed there.',
)

/** What programs write, by the bytes files begin with. */
const beginnings: readonly (readonly [bytes: readonly number[] | string, what: string, remedy: string])[] = [
  [[0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46], 'a file of torch.save, in its old format', torch],
  [[0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a], 'an HDF5 file, such as Keras writes', keras],
  [[0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59], 'a .npy file of NumPy', 'Read it with loadNpy(path).'],
  [
    'GGUF',
    'a GGUF file of llama.cpp',
    tensorsOf(
      'from gguf import GGUFReader; from gguf.quants import dequantize; ' +
        "save_file({t.name: dequantize(t.data, t.tensor_type) for t in GGUFReader('model.gguf').tensors}, 'model.safetensors').",
    ),
  ],
  [[0x1f, 0x8b], 'a gzip file', 'Unpack it first: gunzip file.gz.'],
  [[0x28, 0xb5, 0x2f, 0xfd], 'a Zstandard file', 'Unpack it first: unzstd file.zst.'],
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], 'an xz file', 'Unpack it first: unxz file.xz.'],
  ['BZh', 'a bzip2 file', 'Unpack it first: bunzip2 file.bz2.'],
  ['version https://git-lfs', 'a pointer of Git LFS, not the file itself', 'Fetch the file: git lfs pull.'],
  ['<', 'a page of HTML or XML, such as a failed download leaves', 'Look into it, and fetch the file again.'],
  ['{', 'a text of JSON; the index of a model in several files, perhaps', 'Load the .safetensors files that it names.'],
]

const onnx = tensorsOf(
  "import onnx; save_file({t.name: onnx.numpy_helper.to_array(t) for t in onnx.load('model.onnx').graph.initializer}, 'model.safetensors').",
)

const startsWith = (head: Uint8Array, bytes: readonly number[]): boolean => bytes.every((byte, i) => head[i] === byte)

/** Field 1 of a protobuf message, a small number, then another small field: the version of ONNX or of a saved model of TensorFlow. */
function isProtobuf(head: Uint8Array): boolean {
  return head[0] === 0x08 && head[1] > 0 && head[1] < 64 && [0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42].includes(head[2])
}

/** The name of a zip archive's first file. */
function firstName(head: Uint8Array): string {
  return Buffer.from(head.subarray(30, 30 + head[26] + 256 * head[27])).toString('latin1')
}

/** What an archive is by the names of files in it, and what to do; `undefined` when these do not tell. */
export function foreignArchive(names: readonly string[]): string | undefined {
  if (names.some((name) => /(^|\/)(data|constants)\.pkl$/.test(name))) return `this is a file of torch.save. ${torch}`
  if (names.some((name) => /^(metadata|config)\.json$|^model\.weights\.h5$/.test(name))) return `this is a model of Keras. ${keras}`
  return undefined
}

/**
 * What a file is and what to do, as the end of a sentence and a further one; `undefined` when its beginning does not tell.
 *
 *     foreign(Buffer.from('GGUF\x03'))   // 'this is a GGUF file of llama.cpp. In Python: …'
 */
export function foreign(head: Uint8Array): string | undefined {
  if (startsWith(head, [0x50, 0x4b, 3, 4])) {
    const name = firstName(head)
    if (name.endsWith('.npy')) return 'this is a .npz archive of NumPy. Read it with loadNpz(path).'
    return foreignArchive([name]) ?? `this is a zip archive, such as torch.save writes. ${torch}`
  }
  if (isProtobuf(head)) return `this is a protobuf, such as ONNX and TensorFlow write. ${onnx}`
  if (head[8] === 0x7b && head[5] === 0 && head[6] === 0 && head[7] === 0) {
    return 'this is a safetensors file. Read it with loadSafetensors(path).'
  }
  for (const [bytes, what, remedy] of beginnings) {
    const start = typeof bytes === 'string' ? [...Buffer.from(bytes)] : bytes
    if (startsWith(head, start)) return `this is ${what}. ${remedy}`
  }
  if (head[0] === 0x80 && head[1] >= 2 && head[1] <= 5) return `this is a pickle of Python, which only Python can read. ${torch}`
  return undefined
}
