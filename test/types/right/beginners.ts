/** What beginners wrote and were refused: each of these is ordinary code and compiles as it stands. */
import { compile, fit, losses, nn, optim, randn, type Tensor, tensor } from '../../../src/index.js'
import { resnet18, resnet20 } from '../../../src/models/index.js'

// a typed array with its shape, with no dtype
const pixels = new Float32Array(12)
export async function arrays(): Promise<void> {
  const model = new nn.Linear(4, 1)
  const options = { loss: losses.mseLoss, optimizer: new optim.Adam(model.parameters()), epochs: 1 }
  await fit(
    model,
    [
      { data: pixels, shape: [3, 4] },
      { data: new Float32Array(3), shape: [3, 1] },
    ],
    options,
  )
  await model.predict({ data: pixels, shape: [3, 4] })
}

// a new head on a model of the library, a layer replaced in a Sequential
export function heads(): void {
  const network = resnet18({ numClasses: 1000 })
  network.fc = new nn.Linear(512, 64)
  const small = resnet20()
  small.fc = new nn.Linear(64, 3)
  const model = new nn.Sequential(new nn.Linear(4, 8), new nn.ReLU(), new nn.Linear(8, 2))
  model[2] = new nn.Linear(8, 5)
}

// numbers among the arguments of a compiled function are tensors without dimensions inside
export async function numbers(): Promise<void> {
  const step = compile((a: Tensor<['n', 4]>, lr: Tensor<[]>) => a.mul(lr))
  const half: Tensor<['n', 4]> = await step(randn([2, 4]), 0.5)
  const open = compile((a: Tensor, lr: Tensor | number) => a.mul(lr))
  await open(half, 0.1)
}

// arguments without types
export async function untyped(): Promise<void> {
  const net = new nn.Linear(4, 2)
  const step = compile((x, y) => losses.mseLoss(net.forward(x), y))
  const loss: Tensor = await step(randn([2, 4]), randn([2, 2]))
  const scaled = compile((x, factor) => x.mul(factor))
  await scaled(loss, 3)
  const batch = compile((b: { x: Tensor; y: Tensor }) => losses.mseLoss(net.forward(b.x), b.y))
  await batch({ x: randn([2, 4]), y: randn([2, 2]) })
}

// layers made in a loop
export function loops(): nn.Sequential {
  const layers: nn.Module[] = []
  for (let i = 0; i < 3; i++) layers.push(new nn.Linear(4, 4), new nn.ReLU())
  return new nn.Sequential(...layers)
}

// tied weights
export class Tied extends nn.Module {
  embedding = new nn.Embedding(100, 16)
  head = new nn.Linear(16, 100, { bias: false })
  constructor() {
    super()
    this.head.weight = this.embedding.weight
  }
  forward(ids: Tensor): Tensor {
    return this.head.forward(this.embedding.forward(ids))
  }
}

// numbers out of tensors
export function out(): number {
  const vector: number[] = tensor([1, 2, 3]).toArray()
  const matrix: number[][] = randn([2, 3]).toArray()
  const unknown: Tensor = randn([2])
  const mask: boolean[] = tensor([1, 2]).gt(1).toArray<boolean>()
  return vector[0] + matrix[0][1] + unknown.toArray()[0] + (mask[0] ? 1 : 0)
}
