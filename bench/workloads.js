/**
 * The workloads chainrule is measured on (the same as for its peers). Each gives the modes it can be called in; a mode is a function that
 * runs one step, or a batch of them, and says how many. `gflop` counts 2 per multiply-add of matrix products and convolutions.
 */
import { compile, fromBuffer, losses, matmul, nn, noGrad, optim, randn, tensor } from 'chainrule'
import { CharLSTM, GPT, resnet18, resnet20 } from 'chainrule/models'

const labels = (n, classes) => tensor(Int32Array.from({ length: n }, (_, i) => (i * 7) % classes))

const tokens = (shape, classes) =>
  labels(
    shape.reduce((n, d) => n * d, 1),
    classes,
  ).reshape(shape)

/** A train step in its three forms. `eager` builds no program. */
function trainStep(model, optimizer, x, y, { eager = true } = {}) {
  const body = (a, b) => {
    optimizer.zeroGrad()
    const loss = losses.crossEntropy(model.forward(a), b)
    loss.backward()
    optimizer.step()
    optimizer.zeroGrad()
    return loss
  }
  const step = compile(body, { name: 'step' })
  let n = 0
  const check = (loss) => {
    if (n++ % 10 === 0 && !Number.isFinite(loss.item())) throw new Error('loss is not finite')
  }
  const modes = {
    sync: () => check(step.sync(x, y)),
    await: async () => check(await step(x, y)),
    queued: {
      steps: 10,
      run: async () => {
        const all = []
        for (let i = 0; i < 10; i++) all.push(step(x, y))
        check((await Promise.all(all))[9])
      },
    },
  }
  if (eager) modes.eager = () => check(body(x, y))
  return { modes, step, args: [x, y], model, optimizer }
}

function mlp(sizes, activation) {
  const layers = []
  for (let i = 0; i + 1 < sizes.length; i++) {
    layers.push(new nn.Linear(sizes[i], sizes[i + 1]))
    if (i + 2 < sizes.length) layers.push(activation())
  }
  return new nn.Sequential(...layers)
}

const mlpModel = () => mlp([784, 512, 256, 10], () => new nn.ReLU())
const cnnModel = () =>
  new nn.Sequential(
    new nn.Conv2d(1, 32, 3),
    new nn.ReLU(),
    new nn.Conv2d(32, 64, 3),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
    new nn.Flatten(),
    new nn.Linear(9216, 128),
    new nn.ReLU(),
    new nn.Linear(128, 10),
  )

/** A language model that scores every position; tokens and targets of `shape`. */
function languageModel(model, optimizer, shape) {
  const rows = { forward: (x) => model.forward(x).reshape([-1, 65]) }
  const x = tokens(shape, 65)
  return { ...trainStep(rows, optimizer, x, x.reshape([-1])), model }
}

/** nanoGPT's recipe: no biases, no dropout. */
function gpt(nLayer, nHead, nEmbd, blockSize, batch) {
  const model = new GPT({ vocabSize: 65, nLayer, nHead, nEmbd, blockSize, bias: false })
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3, betas: [0.9, 0.99], weightDecay: 0.1 })
  return languageModel(model, optimizer, [batch, blockSize])
}

function infer(model, x) {
  model.eval()
  const forward = compile((a) => noGrad(() => model.forward(a)), { name: 'forward' })
  return {
    modes: {
      sync: () => forward.sync(x),
      await: () => forward(x),
      queued: { steps: 10, run: () => Promise.all(Array.from({ length: 10 }, () => forward(x))) },
    },
    step: forward,
    args: [x],
    model,
  }
}

function gemm(m, k, n, [ta, tb] = [false, false]) {
  const a = ta ? randn([k, m]).transpose() : randn([m, k])
  const b = tb ? randn([n, k]).transpose() : randn([k, n])
  const out = randn([m, n])
  return { modes: { sync: () => matmul(a, b, { out }) }, gflop: (2 * m * k * n) / 1e9 }
}

/** Workloads by id. */
export const workloads = {
  tiny: () => {
    const model = mlp([4, 32, 32, 3], () => new nn.Tanh())
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.01, momentum: 0.9 })
    return { ...trainStep(model, optimizer, randn([32, 4]), labels(32, 3)), gflop: 2.32e-4 }
  },
  mlp: () => {
    const model = mlpModel()
    return { ...trainStep(model, new optim.Adam(model.parameters(), { lr: 1e-3 }), randn([128, 784]), labels(128, 10)), gflop: 0.308 }
  },
  cnn: () => {
    const model = cnnModel()
    return { ...trainStep(model, new optim.Adam(model.parameters(), { lr: 1e-3 }), randn([64, 1, 28, 28]), labels(64, 10)), gflop: 4.58 }
  },
  resnet20: () => {
    const model = resnet20()
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.01, momentum: 0.9 })
    return { ...trainStep(model, optimizer, randn([32, 3, 32, 32]), labels(32, 10)), gflop: 7.77 }
  },
  'infer-mlp-1': () => ({ ...infer(mlpModel(), randn([1, 784])), gflop: 0.00107 }),
  'infer-cnn-1': () => ({ ...infer(cnnModel(), randn([1, 1, 28, 28])), gflop: 0.024 }),
  'infer-resnet18-1': () => ({ ...infer(resnet18(), randn([1, 3, 224, 224])), gflop: 3.63 }),
  lstm: () => {
    const model = new CharLSTM(65)
    return { ...languageModel(model, new optim.Adam(model.parameters(), { lr: 1e-3 }), [64, 32]), gflop: 10.6 }
  },
  gpt: () => ({ ...gpt(4, 4, 128, 64, 12), gflop: 3.9 }),
  'gpt-m': () => ({ ...gpt(6, 6, 384, 256, 4), gflop: 70 }),
  ew: () => {
    const n = 2 ** 24
    const x = fromBuffer(new Float32Array(new SharedArrayBuffer(n * 4)))
    const out = fromBuffer(new Float32Array(new SharedArrayBuffer(n * 4)))
    x.data.forEach((_, i, d) => void (d[i] = (i % 17) - 8))
    const f = compile((a) => {
      out.assign(a.mul(1.5).add(0.25).relu())
    })
    f.sync(x)
    return { modes: { sync: () => f.sync(x), await: () => f(x) }, gigabytes: (n * 8) / 1e9 }
  },
  'gemm-64': () => gemm(64, 64, 64),
  'gemm-128': () => gemm(128, 128, 128),
  'gemm-256': () => gemm(256, 256, 256),
  'gemm-512': () => gemm(512, 512, 512),
  'gemm-1024': () => gemm(1024, 1024, 1024),
  'gemm-2048': () => gemm(2048, 2048, 2048),
  'gemm-skinny': () => gemm(64, 784, 256),
  'gemm-512-nt': () => gemm(512, 512, 512, [false, true]),
  'gemm-512-tn': () => gemm(512, 512, 512, [true, false]),
  'gemm-512-tt': () => gemm(512, 512, 512, [true, true]),
}
