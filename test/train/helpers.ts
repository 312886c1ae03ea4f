/** What the tests of `fit` share: small data that can be learnt, small models. */
import { losses, manualSeed, nn, optim, type Tensor } from '../../src/index.js'

/** Points in a plane, in three classes by angle. */
export function points(n: number): { x: { data: Float32Array; shape: number[]; dtype: 'float32' }; y: Int32Array } {
  const data = new Float32Array(n * 2)
  const y = new Int32Array(n)
  for (let i = 0; i < n; i++) {
    const angle = ((i * 0.618034) % 1) * 2 * Math.PI
    const radius = 0.3 + ((i * 0.7548776662) % 1)
    data[2 * i] = radius * Math.cos(angle)
    data[2 * i + 1] = radius * Math.sin(angle)
    y[i] = Math.floor((angle / (2 * Math.PI)) * 3)
  }
  return { x: { data, shape: [n, 2], dtype: 'float32' }, y }
}

export function mlp(seed = 0): nn.Sequential {
  manualSeed(seed)
  return new nn.Sequential(new nn.Linear(2, 16), new nn.Tanh(), new nn.Linear(16, 3))
}

/** A loss and an optimizer, and no output. */
export function setup(model: nn.Module, lr = 0.02): { loss: (o: Tensor, t: Tensor) => Tensor; optimizer: optim.Adam; progress: false } {
  return { loss: losses.crossEntropy, optimizer: new optim.Adam(model.parameters(), { lr }), progress: false }
}

/** All parameters and buffers as one array. */
export function weights(model: nn.Module): number[] {
  return Object.values(model.stateDict()).flatMap((t) => [...t.data])
}
