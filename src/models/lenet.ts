/**
 * LeNet-5 (LeCun et al. 1998) as it is taught today: ReLU, max pooling.
 */
import { checkOptions, maxPool2d, nn, type Tensor } from '../index.js'

/**
 * Digits `[N, 1, 28, 28]` → `[N, numClasses]`, 61,706 parameters. Default: `numClasses` 10.
 *
 *     const model = new LeNet()
 *     await fit(model, train, { loss: losses.crossEntropy, optimizer: new optim.Adam(model.parameters()) })
 */
export class LeNet extends nn.Module {
  conv1: nn.Conv2d = new nn.Conv2d(1, 6, 5, { padding: 2 })
  conv2: nn.Conv2d = new nn.Conv2d(6, 16, 5)
  fc1: nn.Linear = new nn.Linear(400, 120)
  fc2: nn.Linear = new nn.Linear(120, 84)
  fc3: nn.Linear

  constructor(options: { numClasses?: number } = {}) {
    checkOptions('LeNet', options, { numClasses: true })
    super()
    this.fc3 = new nn.Linear(84, options.numClasses ?? 10)
  }

  forward(x: Tensor<['batch', 1, 28, 28]>): Tensor<['batch', number]> {
    const a = maxPool2d(this.conv1.forward(x).relu(), 2)
    const b = maxPool2d(this.conv2.forward(a).relu(), 2).flatten(1)
    return this.fc3.forward(this.fc2.forward(this.fc1.forward(b).relu()).relu())
  }
}
