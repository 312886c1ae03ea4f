/** Small networks over several steps against PyTorch's values. */
import { compile, losses, nn, type Tensor } from '../../src/index.js'
import { camelOptions, golden, make, type Named, near, type Options } from '../support/golden.js'
import { optimizers } from '../support/optimizers.js'

interface NetworkCase {
  readonly name: string
  readonly options: { loss: 'cross_entropy' | 'mse'; optimizer: Options & { op: string } }
  readonly state: Named
  readonly inputs: Named
  readonly loss_per_step: number[]
  readonly state_after: Named
}

/** Embedding, LSTM, and a linear layer on every position. */
class LanguageModel extends nn.Module {
  readonly emb = new nn.Embedding(9, 6)
  readonly rnn = new nn.LSTM(6, 5, { batchFirst: true })
  readonly head = new nn.Linear(5, 9)
  forward(x: Tensor): Tensor {
    const [y] = this.rnn.forward(this.emb.forward(x))
    return this.head.forward(y).reshape([-1, 9])
  }
}

const networks: Record<string, () => nn.Layer> = {
  'train/lstm-lm': () => new LanguageModel(),
  'train/mlp-adam': () => new nn.Sequential(new nn.Linear(5, 12), new nn.ReLU(), new nn.LayerNorm(12), new nn.Linear(12, 2)),
  'train/mlp-sgd': () => new nn.Sequential(new nn.Linear(4, 8), new nn.Tanh(), new nn.Linear(8, 3)),
  'train/cnn-bn': () =>
    new nn.Sequential(
      new nn.Conv2d(1, 4, 3, { bias: false }),
      new nn.BatchNorm2d(4),
      new nn.ReLU(),
      new nn.MaxPool2d(2),
      new nn.Flatten(),
      new nn.Linear(36, 3),
    ),
}

function checkNetwork(c: NetworkCase, way: (step: () => Tensor) => () => Tensor): void {
  const net = networks[c.name]()
  net.loadStateDict(Object.fromEntries(Object.entries(c.state).map(([name, g]) => [name, make(g)])))
  const { op, ...options } = c.options.optimizer
  const optimizer = optimizers[op](net.parameters(), camelOptions(options))
  const x = make(c.inputs.x)
  const y = make(c.inputs.y)
  const lossOf = c.options.loss === 'mse' ? losses.mseLoss : losses.crossEntropy
  const learn = way(() => {
    optimizer.zeroGrad()
    const loss = lossOf(net.forward(x), y)
    loss.backward()
    optimizer.step()
    return loss
  })
  for (const [step, wanted] of c.loss_per_step.entries())
    near(learn(), { shape: [], dtype: 'float32', data: [wanted] }, 1e-4, `loss of step ${step}`)
  const after = net.stateDict()
  for (const [name, g] of Object.entries(c.state_after)) near(after[name], g, 1e-4, `${name} afterwards`)
}

golden('networks', (c: NetworkCase) => {
  checkNetwork(c, (step) => step)
  checkNetwork(c, (step) => compile(step).sync)
})
