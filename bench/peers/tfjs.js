/** TensorFlow.js on its WebAssembly backend, which in Node has one thread (with SIMD). */
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import { everyTenth, ewSize, gemms, labels, main, mlpSizes, normal, tinySizes } from './harness.js'

setWasmPaths(`${dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'))}/`)
await tf.setBackend('wasm')
await tf.ready()

const random = (...shape) => {
  const n = shape.reduce((p, d) => p * d, 1)
  return tf.tensor(normal(n, shape.length > 1 ? Math.sqrt(2 / (n / shape[shape.length - 1])) : 0), shape)
}
const input = (...shape) => tf.tensor(normal(shape.reduce((p, d) => p * d, 1)), shape)
const variables = (shapes) => shapes.map((shape) => tf.variable(random(...shape)))

function denseLayers(sizes) {
  const weights = variables(sizes.slice(1).flatMap((out, i) => [[sizes[i], out], [out]]))
  return (x, activation) => {
    for (let i = 0; i < weights.length; i += 2) {
      x = tf.add(tf.matMul(x, weights[i]), weights[i + 1])
      if (i + 2 < weights.length) x = activation(x)
    }
    return x
  }
}

/** NHWC, as this library has it. */
function cnn() {
  const [k1, b1, k2, b2, w1, c1, w2, c2] = variables([[3, 3, 1, 32], [32], [3, 3, 32, 64], [64], [9216, 128], [128], [128, 10], [10]])
  return (x) => {
    let y = tf.relu(tf.add(tf.conv2d(x, k1, 1, 'valid'), b1))
    y = tf.relu(tf.add(tf.conv2d(y, k2, 1, 'valid'), b2))
    y = tf.reshape(tf.maxPool(y, 2, 2, 'valid'), [x.shape[0], 9216])
    return tf.add(tf.matMul(tf.relu(tf.add(tf.matMul(y, w1), c1)), w2), c2)
  }
}

function train(forward, optimizer, x, classes) {
  const y = tf.oneHot(tf.tensor1d(labels(x.shape[0], classes), 'int32'), classes)
  const check = everyTenth(async (loss) => (await loss.data())[0])
  const run = async () => {
    const loss = tf.tidy(() => optimizer.minimize(() => tf.losses.softmaxCrossEntropy(y, forward(x)), true))
    await check(loss)
    loss.dispose()
  }
  return { modes: { await: run } }
}

const infer = (forward, x) => ({ modes: { sync: () => tf.tidy(() => void forward(x).dataSync()) } })

const workloads = {
  tiny: () => {
    const net = denseLayers(tinySizes)
    return train((x) => net(x, tf.tanh), tf.train.momentum(0.01, 0.9), input(32, 4), 3)
  },
  mlp: () => {
    const net = denseLayers(mlpSizes)
    return train((x) => net(x, tf.relu), tf.train.adam(1e-3), input(128, 784), 10)
  },
  cnn: () => train(cnn(), tf.train.adam(1e-3), input(64, 28, 28, 1), 10),
  'infer-mlp-1': () => {
    const net = denseLayers(mlpSizes)
    return infer((x) => net(x, tf.relu), input(1, 784))
  },
  'infer-cnn-1': () => infer(cnn(), input(1, 28, 28, 1)),
  ew: () => {
    const x = tf.tensor(normal(ewSize), [ewSize])
    const [a, b] = [tf.scalar(1.5), tf.scalar(0.25)]
    return { modes: { sync: () => tf.dispose(tf.tidy(() => tf.relu(tf.add(tf.mul(x, a), b)))) }, note: 'into fresh memory' }
  },
}
for (const [id, [m, k, n]] of Object.entries(gemms))
  workloads[id] = () => {
    const [a, b] = [input(m, k), input(k, n)]
    return { modes: { sync: () => tf.dispose(tf.matMul(a, b)) }, note: 'into fresh memory' }
  }

await main('tfjs-wasm', ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm'], workloads, { threads: 1 })
