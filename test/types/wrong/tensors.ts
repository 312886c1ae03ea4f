/** Mistakes between tensors. Each `// error: …` says what `tsc` has to say about the line it is on, and every error has to be so marked. */
import { add, compile, logicalAnd, losses, matmul, mul, type Tensor, where, zeros } from '../../../src/index.js'

declare const wide: Tensor<['batch', 784]>
declare const images: Tensor<['batch', 3, 32, 32]>
declare const open: Tensor<[...number[], 256]>

// a shape that another was declared to have
export const a1: Tensor<['batch', 784]> = zeros([128, 512]) // error: Type '512' is not assignable to type '784'
export const a2: Tensor<['batch', 784]> = zeros([784]) // error: Source has 1 element(s) but target requires 2
export const a3: Tensor<['batch', 784]> = open // error: Type '256' is not assignable to type '784'
export const f = (x: Tensor<['batch', 784]>): Tensor => x
export const a4 = f(images) // error: Argument of type 'Tensor<["batch", 3, 32, 32]>' is not assignable to parameter of type 'Tensor<["batch", 784]>'

// broadcasting
export const b1 = zeros([2, 3]).add(zeros([4])) // error: add: shapes do not broadcast: [2, 3] with [4]
export const b2 = add(zeros([2, 3]), zeros([4])) // error: add: shapes do not broadcast: [2, 3] with [4]
export const b3 = wide.mul(zeros([2, 10, 785])) // error: mul: shapes do not broadcast: [batch, 784] with [2, 10, 785]
export const b4 = mul(images, zeros([64, 1, 1])) // error: mul: shapes do not broadcast: [batch, 3, 32, 32] with [64, 1, 1]
export const b5 = open.sub(zeros([255])) // error: sub: shapes do not broadcast: [..., 256] with [255]
export const b6 = zeros([5]).gt(zeros([6])) // error: gt: shapes do not broadcast: [5] with [6]
export const b7 = logicalAnd(zeros([5]), zeros([6])) // error: logicalAnd: shapes do not broadcast: [5] with [6]
export const b8 = where(zeros([2]), zeros([2]), zeros([3])) // error: where: shapes do not broadcast: [2] with [3]
export const b9 = wide.sub(wide.mean({ dim: 1, keepdim: true })).div(zeros([3])) // error: div: shapes do not broadcast: [batch, 784] with [3]

// matrix products
export const c1 = wide.matmul(zeros([512, 10])) // error: matmul: inner dimensions differ: [batch, 784] x [512, 10] (784 vs 512)
export const c2 = matmul(zeros([4, 5]), zeros([4])) // error: matmul: inner dimensions differ: [4, 5] x [4] (5 vs 4)
export const c3 = wide.matmul(zeros([10, 784]).transpose().transpose()) // error: inner dimensions differ: [batch, 784] x [10, 784] (784 vs 10)
export const c4 = open.relu().matmul(zeros([64, 5])) // error: matmul: inner dimensions differ: [..., 256] x [64, 5] (256 vs 64)

// reductions and movement
export const d1: Tensor<[128]> = zeros([128, 784]).sum({ dim: 0 }) // error: Type '784' is not assignable to type '128'
export const d2 = wide.mean({ dims: 1 }) // error: 'dims' does not exist
export const d3: Tensor<['batch', 32, 32, 3]> = images.permute([0, 1, 2, 3]) // error: is not assignable
export const d4 = images.permute([0, 2, 3, 1]).add(zeros([4])) // error: add: shapes do not broadcast: [batch, 32, 32, 3] with [4]
export const d5 = wide.unsqueeze(1).matmul(zeros([10, 2])) // error: matmul: inner dimensions differ: [batch, 1, 784] x [10, 2] (784 vs 10)
export const d6 = images.reshape([-1, 3072]).matmul(zeros([3071, 2])) // error: matmul: inner dimensions differ: [?, 3072] x [3071, 2] (3072 vs 3071)
export const d7: Tensor<['batch']> = wide.argmax(1, { keepdim: true }) // error: is not assignable

// losses
export const e1 = losses.mseLoss(zeros([32, 1]), zeros([32])) // error: mseLoss: input and target must have one shape, received [32, 1] and [32]

// compiled functions: numbers arrive as tensors
export const k1 = compile((x: Tensor, lr: number) => x.mul(lr)) // error: compile gives the function a tensor for each number: write Tensor instead of number
export const k2 = compile((x: Tensor, rates: number[]) => x.mul(rates[0])) // error: compile gives the function a tensor for each number
export const k3 = compile((x: Tensor<['n', 4]>, lr: Tensor<[]>) => x.mul(lr))
k3.sync(zeros([2, 5]), 0.5) // error: not assignable to parameter of type 'Tensor<["n", 4]>'
k3.sync(zeros([2, 4]), '0.5') // error: Argument of type 'string' is not assignable to parameter of type 'number | Tensor<[]>'

// numbers out of tensors
export const m1: number[] = zeros([2, 3]).toArray() // error: Type 'number[]' is not assignable to type 'number'
export const m2: string = zeros([2]).toArray()[0] // error: Type 'number' is not assignable to type 'string'
