/** jax-js on its WebAssembly backend: whole steps in one `jit`. Every use of an array but the last takes a `.ref`, as the library counts them. */
import { blockUntilReady, defaultDevice, init, jit, lax, nn, numpy as np, tree, valueAndGrad } from '@jax-js/jax'
import { cnnShapes, everyTenth, ewSize, gemms, labels, main, mlpSizes, normal, tinySizes } from './harness.js'

await init('wasm')
defaultDevice('wasm')

const size = (shape) => shape.reduce((p, d) => p * d, 1)
const array = (shape, scale = 1) => np.array(normal(size(shape), scale)).reshape(shape)

const denseParameters = (sizes) => sizes.slice(1).map((to, i) => ({ w: array([sizes[i], to], Math.sqrt(2 / sizes[i])), b: np.zeros([to]) }))
function dense(layers, x, activation) {
  layers.forEach(({ w, b }, i) => {
    x = np.matmul(x, w).add(b)
    if (i + 1 < layers.length) x = activation(x)
  })
  return x
}

function cnnParameters() {
  const [k1, k2, w1, w2] = cnnShapes
  return {
    k1: array(k1, Math.sqrt(2 / 9)),
    c1: np.zeros([1, 32, 1, 1]),
    k2: array(k2, Math.sqrt(2 / 288)),
    c2: np.zeros([1, 64, 1, 1]),
    layers: [
      { w: array(w1, Math.sqrt(2 / 9216)), b: np.zeros([128]) },
      { w: array(w2, Math.sqrt(2 / 128)), b: np.zeros([10]) },
    ],
  }
}
function cnn({ k1, c1, k2, c2, layers }, x) {
  const y = nn.relu(lax.conv(nn.relu(lax.conv(x, k1, [1, 1], 'VALID').add(c1)), k2, [1, 1], 'VALID').add(c2))
  // a maximum over windows that do not overlap
  const [n, c, h, w] = y.shape
  const pooled = np.max(np.max(y.reshape([n, c, h / 2, 2, w / 2, 2]), 5), 3)
  return dense(layers, pooled.reshape([n, 9216]), nn.relu)
}

const sgd = {
  state: (parameters) => tree.map((p) => np.zeros(p.shape), parameters),
  update: (parameters, velocity, gradients) => {
    const next = tree.map((v, g) => v.mul(0.9).add(g), velocity, gradients)
    return [tree.map((p, v) => p.sub(v.ref.mul(0.01)), parameters, next), next]
  },
}
const adam = {
  state: (parameters) => ({
    m: tree.map((p) => np.zeros(p.shape), parameters),
    v: tree.map((p) => np.zeros(p.shape), parameters),
    t: np.array(0),
  }),
  update: (parameters, { m, v, t }, gradients) => {
    const next = {
      m: tree.map((a, g) => a.mul(0.9).add(g.ref.mul(0.1)), m, gradients),
      v: tree.map((a, g) => a.mul(0.999).add(np.square(g).mul(0.001)), v, gradients),
      t: t.add(1),
    }
    const correction = (beta) => np.subtract(1, np.exp(next.t.ref.mul(Math.log(beta))))
    const [c1, c2] = [correction(0.9), correction(0.999)]
    const stepped = tree.map(
      (p, a, b) =>
        p.sub(
          a.ref
            .div(c1.ref)
            .mul(1e-3)
            .div(np.sqrt(b.ref.div(c2.ref)).add(1e-8)),
        ),
      parameters,
      next.m,
      next.v,
    )
    c1.dispose()
    c2.dispose()
    return [stepped, next]
  },
}

function train(forward, parameters, optimizer, x, classes) {
  const y = nn.oneHot(np.array(labels(x.shape[0], classes)), classes)
  const loss = (p, a, b) => np.negative(np.mean(np.sum(nn.logSoftmax(forward(p, a)).mul(b), 1)))
  const step = jit((p, state, a, b) => {
    const [value, gradients] = valueAndGrad(loss)(tree.ref(p), a, b)
    const [next, nextState] = optimizer.update(p, state, gradients)
    return [value, next, nextState]
  })
  let state = optimizer.state(tree.ref(parameters))
  const check = everyTenth(async (value) => (await value.ref.data())[0])
  const run = async () => {
    const [value, next, nextState] = step(parameters, state, x.ref, y.ref)
    parameters = next
    state = nextState
    await blockUntilReady(parameters)
    await check(value)
    value.dispose()
  }
  return { modes: { await: run } }
}

function infer(forward, parameters, x) {
  const f = jit(forward)
  return { modes: { sync: () => f(tree.ref(parameters), x.ref).dataSync() } }
}

const mlp = (layers, x) => dense(layers, x, nn.relu)
const workloads = {
  tiny: () => train((layers, x) => dense(layers, x, np.tanh), denseParameters(tinySizes), sgd, array([32, 4]), 3),
  mlp: () => train(mlp, denseParameters(mlpSizes), adam, array([128, 784]), 10),
  cnn: () => train(cnn, cnnParameters(), adam, array([64, 1, 28, 28]), 10),
  'infer-mlp-1': () => infer(mlp, denseParameters(mlpSizes), array([1, 784])),
  'infer-cnn-1': () => infer(cnn, cnnParameters(), array([1, 1, 28, 28])),
  ew: () => {
    const x = array([ewSize])
    const f = jit((a) => nn.relu(a.mul(1.5).add(0.25)))
    const run = async () => (await blockUntilReady(f(x.ref))).dispose()
    return { modes: { await: run }, note: 'into fresh memory' }
  },
}
for (const [id, [m, k, n]] of Object.entries(gemms))
  workloads[id] = () => {
    const [a, b] = [array([m, k]), array([k, n])]
    const run = async () => (await blockUntilReady(np.matmul(a.ref, b.ref))).dispose()
    return { modes: { await: run }, note: 'into fresh memory' }
  }

await main('jax-js', ['@jax-js/jax'], workloads, { threads: 2 })
