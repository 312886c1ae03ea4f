/** onnxruntime-node, for inference only: the models are written here, in ONNX's protocol buffers (onnx.proto of onnx/onnx, opset 13). */
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { Cannot, cnnShapes, ewSize, gemms, main, mlpSizes, normal } from './harness.js'

const threads = Number(process.env.CHAINRULE_THREADS ?? 2)

// protocol buffers: a field is its number and kind, then a varint or a length and bytes
const varint = (value) => {
  const bytes = []
  let rest = BigInt(value)
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
  return Buffer.from([...bytes, Number(rest)])
}
const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)])
const bytes = (field, ...parts) => {
  const body = Buffer.concat(parts.map((p) => (typeof p === 'string' ? Buffer.from(p) : p)))
  return Buffer.concat([varint((field << 3) | 2), varint(body.length), body])
}

const attribute = ([name, value]) =>
  Array.isArray(value)
    ? bytes(5, bytes(1, name), ...value.map((v) => number(8, v)), number(20, 7))
    : bytes(5, bytes(1, name), number(3, value), number(20, 2))
const node = (type, inputs, output, attributes = {}) =>
  bytes(1, ...inputs.map((i) => bytes(1, i)), bytes(2, output), bytes(4, type), ...Object.entries(attributes).map(attribute))
const constant = (name, shape, scale) => {
  const data = normal(
    shape.reduce((p, d) => p * d, 1),
    scale,
  )
  return bytes(5, ...shape.map((d) => number(1, d)), number(2, 1), bytes(8, name), bytes(9, Buffer.from(data.buffer)))
}
const value = (field, name, shape) =>
  bytes(field, bytes(1, name), bytes(2, bytes(1, number(1, 1), bytes(2, ...shape.map((d) => bytes(1, number(1, d)))))))
const model = (graph, inputs, output) =>
  Buffer.concat([
    number(1, 8),
    bytes(8, number(2, 13)),
    bytes(7, bytes(2, 'g'), ...graph, ...Object.entries(inputs).map(([n, s]) => value(11, n, s)), value(12, 'y', output)),
  ])

/** Runs a model on one input after another, into an output that exists. */
async function session(graph, inputs, output) {
  const s = await InferenceSession.create(model(graph, inputs, output), { intraOpNumThreads: threads })
  const filled = (shape, data) => new Tensor('float32', data, shape)
  const size = (shape) => shape.reduce((p, d) => p * d, 1)
  const feeds = Object.fromEntries(Object.entries(inputs).map(([name, shape]) => [name, filled(shape, normal(size(shape)))]))
  const fetches = { y: filled(output, new Float32Array(size(output))) }
  return { modes: { await: () => s.run(feeds, fetches) } }
}

const dense = (i, x, y, from, to) => [
  constant(`w${i}`, [to, from], Math.sqrt(2 / from)),
  constant(`b${i}`, [to], 0),
  node('Gemm', [x, `w${i}`, `b${i}`], y, { transB: 1 }),
]

function mlp() {
  const last = mlpSizes.length - 2
  const graph = mlpSizes.slice(1).flatMap((to, i) => {
    const x = i === 0 ? 'x' : `a${i - 1}`
    return i === last ? dense(i, x, 'y', mlpSizes[i], to) : [...dense(i, x, `h${i}`, mlpSizes[i], to), node('Relu', [`h${i}`], `a${i}`)]
  })
  return session(graph, { x: [1, 784] }, [1, 10])
}

function cnn() {
  const [k1, k2] = cnnShapes
  const conv = (i, x, shape, y) => [
    constant(`k${i}`, shape, Math.sqrt(2 / (shape[1] * 9))),
    constant(`c${i}`, [shape[0]], 0),
    node('Conv', [x, `k${i}`, `c${i}`], `f${i}`, { kernel_shape: [3, 3] }),
    node('Relu', [`f${i}`], y),
  ]
  const graph = [
    ...conv(1, 'x', k1, 'p'),
    ...conv(2, 'p', k2, 'q'),
    node('MaxPool', ['q'], 'r', { kernel_shape: [2, 2], strides: [2, 2] }),
    node('Flatten', ['r'], 's'),
    ...dense(1, 's', 't', 9216, 128),
    node('Relu', ['t'], 'u'),
    ...dense(2, 'u', 'y', 128, 10),
  ]
  return session(graph, { x: [1, 1, 28, 28] }, [1, 10])
}

const trains = () => {
  throw new Cannot('inference only')
}
const workloads = {
  tiny: trains,
  mlp: trains,
  cnn: trains,
  'infer-mlp-1': mlp,
  'infer-cnn-1': cnn,
  ew: () => {
    const graph = [
      constant('a', [1], 1),
      constant('b', [1], 1),
      node('Mul', ['x', 'a'], 'm'),
      node('Add', ['m', 'b'], 's'),
      node('Relu', ['s'], 'y'),
    ]
    return session(graph, { x: [ewSize] }, [ewSize])
  },
}
for (const [id, [m, k, n]] of Object.entries(gemms))
  workloads[id] = () => session([node('MatMul', ['a', 'b'], 'y')], { a: [m, k], b: [k, n] }, [m, n])

await main('onnxruntime-node', ['onnxruntime-node'], workloads, { threads })
