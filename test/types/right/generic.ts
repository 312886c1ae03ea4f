/** Code that is generic in shapes, and values of many types: none of this may be an error. */
import { losses, nn, type Shape, type Tensor, zeros } from '../../../src/index.js'

declare const flag: boolean

// the shape of a generic tensor is not known before it is called: `Tensor` is the type for it inside
export function head<S extends Shape>(x: Tensor<S>, layer: nn.Linear): Tensor {
  return layer.forward(x as Tensor)
}
export function same<T extends Tensor>(x: T, f: (x: T) => Tensor): Tensor {
  return f(x)
    .add(x as Tensor)
    .relu()
}
export const a1 = same(zeros([2, 3]), (x) => x.mul(2))
export function apply<A, B>(f: (x: Tensor<A>) => Tensor<B>, x: Tensor<A>): Tensor<B> {
  return f(x)
}
export const a2: Tensor<[2]> = apply((x: Tensor<['n', 3]>) => x.sum({ dim: 1 }), zeros([2, 3]))
export type Model = { forward(x: Tensor): Tensor }
export const models: Model[] = [new nn.Linear(1, 2), new nn.Sequential(new nn.Linear(3, 4)), { forward: (x) => x.relu() }]
export const run = (model: Model, x: Tensor): Tensor => model.forward(x)
export const a3 = run(new nn.Sequential(new nn.Linear(2, 3), new nn.ReLU()), zeros([1, 2]))
export const a4: (x: Tensor<['batch', 784]>) => Tensor<['batch', 10]> = (x) => new nn.Linear(784, 10).forward(x)
export const criterion: (output: Tensor, target: Tensor) => Tensor = flag ? losses.mseLoss : losses.crossEntropy
export const a5 = losses.mseLoss(zeros([32, 1]), flag ? zeros([32, 1]) : zeros([16, 1]))
export const a6 = losses.huberLoss(new nn.Linear(3, 4).forward(zeros([2, 3])), zeros([2, 4]), { delta: 2 })
export const a7 = losses.binaryCrossEntropyWithLogits(new nn.Sequential(new nn.Linear(3, 1)).forward(zeros([2, 3])), zeros([2, 1]))
export const state: Record<string, Tensor> = new nn.Linear(2, 3).stateDict()
export const parameters: nn.Parameter[] = [...new nn.Sequential(new nn.Linear(2, 3)).parameters(), new nn.Linear(2, 3).weight]
export const table = new Map<string, nn.Module>([
  ['a', new nn.Linear(2, 3)],
  ['b', new nn.Sequential(new nn.ReLU())],
  ['c', new nn.BatchNorm2d(4)],
])
export class Norm extends nn.BatchNorm2d {
  override forward(x: Tensor): Tensor {
    return super.forward(x).relu()
  }
}
export class Head extends nn.Linear<512, 10> {
  constructor() {
    super(512, 10)
  }
}
export const a8: Tensor<['batch', 10]> = new nn.Sequential(new nn.Linear(3, 512), new Head()).forward(zeros([1, 3]))
