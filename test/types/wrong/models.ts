/** Wrongly wired models. Each `// error: …` says what `tsc` has to say about the line it is on, and every error has to be so marked. */
import { nn, type Tensor, zeros } from '../../../src/index.js'

declare const images: Tensor<['batch', 1, 28, 28]>
declare const batch: Tensor<['batch', 784]>

// one layer
export const a1 = new nn.Linear(512, 10).forward(zeros([128, 256])) // error: Linear expects 512 features, received [128, 256]
export const a2 = new nn.Linear(512, 10).forward(new nn.Linear(784, 256).forward(batch)) // error: Linear expects 512 features, received [batch, 256]
export const a3 = new nn.Conv2d(3, 8, 3).forward(images) // error: Conv2d expects 3 channels, received [batch, 1, 28, 28]
export const a4 = new nn.Conv2d(1, 8, 3).forward(batch) // error: Conv2d expects images [N, 1, H, W], received [batch, 784]
export const a5 = new nn.BatchNorm2d(8).forward(images) // error: BatchNorm2d expects 8 channels, received [batch, 1, 28, 28]
export const a6 = new nn.BatchNorm1d(8).forward(batch) // error: BatchNorm1d expects 8 features, received [batch, 784]
export const a7 = new nn.BatchNorm1d(8).forward(images) // error: BatchNorm1d expects [N, 8] or [N, 8, L], received [batch, 1, 28, 28]
export const a8 = new nn.MaxPool2d(2).forward(batch) // error: MaxPool2d expects images [N, C, H, W], received [batch, 784]
export const a9 = new nn.Linear(64, 2).forward(new nn.Embedding(100, 32).forward(zeros([4, 7]))) // error: Linear expects 64 features, received [4, 7, 32]
export const a10 = new nn.Linear(784, 10).forward([1, 2]) // error: Type 'number[]' is missing the following properties from type 'Tensor<any>'
export const a11 = new nn.Conv1d(3, 8, 3).forward(zeros([2, 4, 9])) // error: Conv1d expects 3 channels, received [2, 4, 9]
export const a12 = new nn.Conv3d(3, 8, 3).forward(images) // error: Conv3d expects volumes [N, 3, D, H, W], received [batch, 1, 28, 28]
export const a13b = new nn.MaxPool3d(2).forward(images) // error: MaxPool3d expects volumes [N, C, D, H, W], received [batch, 1, 28, 28]
export const a13 = new nn.ConvTranspose2d(3, 8, 3).forward(images) // error: ConvTranspose2d expects 3 channels, received [batch, 1, 28, 28]
export const a14 = new nn.LayerNorm(512).forward(batch) // error: LayerNorm expects [512] in the last dimensions, received [batch, 784]
export const a15 = new nn.LayerNorm([28, 27]).forward(images) // error: LayerNorm expects [28, 27] in the last dimensions, received [batch, 1, 28, 28]
export const a16 = new nn.GroupNorm(2, 8).forward(images) // error: GroupNorm expects 8 channels, received [batch, 1, 28, 28]
export const a17 = new nn.AdaptiveAvgPool2d(1).forward(batch) // error: AdaptiveAvgPool2d expects images [N, C, H, W], received [batch, 784]
export const a18 = new nn.MaxPool1d(2).forward(images) // error: MaxPool1d expects [N, C, L], received [batch, 1, 28, 28]

// layers in a row: the error is at the layer that does not fit
export const b1 = new nn.Sequential(
  new nn.Linear(784, 256),
  new nn.ReLU(),
  new nn.Linear(512, 10), // error: Linear expects 512 features, received [..., 256]
)
export const b2 = new nn.Sequential(
  new nn.Conv2d(1, 32, 3),
  new nn.BatchNorm2d(64), // error: BatchNorm2d expects 64 channels, received [?, 32, ?, ?]
  new nn.ReLU(),
)
export const b8 = new nn.Sequential(
  new nn.Conv2d(1, 32, 3),
  new nn.BatchNorm2d(32),
  new nn.ReLU(),
  new nn.MaxPool2d(2),
  new nn.Conv2d(64, 64, 3), // error: Conv2d expects 64 channels, received [?, 32, ?, ?]
)
export const b9 = new nn.Sequential(
  new nn.Conv2d(1, 32, 3),
  new nn.Flatten(),
  new nn.Linear(9216, 128),
  new nn.Dropout(),
  new nn.Linear(64, 10), // error: Linear expects 64 features, received [?, 128]
)
export const b3 = new nn.Sequential(
  new nn.Conv2d(1, 32, 3),
  new nn.BatchNorm1d(32), // error: BatchNorm1d expects [N, 32] or [N, 32, L], received [?, 32, ?, ?]
)
export const b4 = new nn.Sequential(
  new nn.Sequential(new nn.Linear(2, 3), new nn.Tanh()),
  new nn.Sequential(new nn.Linear(4, 5), new nn.Tanh()), // error: Linear expects 4 features, received [..., 3]
)
export const mlp = new nn.Sequential(new nn.Linear(784, 256), new nn.GELU(), new nn.Linear(256, 10))
export const b5 = mlp.forward(zeros([32, 785])) // error: Linear expects 784 features, received [32, 785]
export const b6: Tensor<['batch', 5]> = mlp.forward(batch) // error: Type '10' is not assignable to type '5'
export const b7 = new nn.Sequential(
  new nn.ReLU(),
  nn.Linear, // error: Type 'typeof Linear' is missing the following properties from type 'Module'
)

// modules of one's own
class Net extends nn.Module {
  readonly fc1 = new nn.Linear(784, 256)
  readonly fc2 = new nn.Linear(512, 10)
  forward(x: Tensor<['batch', 784]>) {
    return this.fc2.forward(this.fc1.forward(x).relu()) // error: Linear expects 512 features, received [batch, 256]
  }
}
export const c1 = new Net().forward(zeros([32, 512])) // error: Argument of type 'Tensor<[32, 512]>' is not assignable to parameter of type 'Tensor<["batch", 784]>'
export const c2 = new nn.Sequential(
  new nn.Linear(10, 783),
  new Net(), // error: this module expects [batch, 784], received [..., 783]
)
export const c3 = new nn.Sequential(
  new Net(),
  new nn.Linear(11, 2), // error: Linear expects 11 features, received [batch, 10]
)
export class Residual extends nn.Module {
  readonly conv = new nn.Conv2d(64, 128, 3, { padding: 1 })
  forward(x: Tensor<['batch', 64, 'height', 'width']>) {
    return x.add(this.conv.forward(x)) // error: add: shapes do not broadcast: [batch, 64, height, width] with [batch, 128, ?, ?]
  }
}
export class Declared extends nn.Module {
  readonly fc = new nn.Linear(784, 10)
  forward(x: Tensor): Tensor<['batch', 5]> {
    return this.fc.forward(x) // error: Type '10' is not assignable to type '5'
  }
}
