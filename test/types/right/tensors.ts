/** Tensors with and without known shapes: none of this may be an error. */
import * as cr from '../../../src/index.js'
import { type Tensor, tensor, zeros } from '../../../src/index.js'
import { Parameter } from '../../../src/nn/index.js'
import type { ShapeOf } from '../../../src/tensor/tensor.js'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(..._: Equal<A, B> extends true ? [] : [{ expected: B; received: A }]): void => undefined

declare const unknown: Tensor
declare const n: number
declare const sizes: number[]
// biome-ignore lint/suspicious/noExplicitAny: users have such values
declare const anything: any
declare const wide: Tensor<['batch', 784]>
declare const narrow: Tensor<[128, 784]>
declare const images: Tensor<['batch', 3, 32, 32]>
declare const open: Tensor<[...number[], 256]>

// assignments
export const a1: Tensor<['batch', 784]> = narrow
export const a2: Tensor<[128, 784]> = wide
export const a3: Tensor = narrow
export const a4: Tensor<[2, 3]> = unknown
export const a5: Tensor<['n', 9216]> = zeros([n, n])
export const a6: Tensor<['n', 256]> = open
export const a7: Tensor<[...number[], 256]> = zeros([3, 256])
export const a8: Tensor[] = [narrow, images, unknown, tensor([1])]
export const a9: Record<string, Tensor> = { narrow, images }
export const a10: readonly Tensor<['batch', 784]>[] = [narrow, wide, unknown, zeros([n, 784])]
export const a11: Map<string, Tensor> = new Map([['a', zeros([2])]])
export const choice = n > 1 ? 256 : 512
export const a12: Tensor<['batch', 256]> = zeros([8, choice])
export const a13: Tensor<[8, typeof choice]> = zeros([8, 512])
export const a14: Tensor<[2, 3]> = anything
export const a15: Tensor<[4]> = new Parameter(zeros([4]))
export const a16: Tensor = new Parameter([1, 2])

// creation
same<typeof b1, Tensor<[2, 3]>>()
export const b1 = zeros([2, 3])
export const b2: Tensor<[7, 'x']> = cr.ones([n, 4])
export const b3: Tensor<[1, 2, 3]> = cr.randn(sizes)
export const b4: Tensor<[1, 2, 3]> = cr.rand([...sizes, 3])
export const b5: Tensor<[3, 3]> = cr.eye(3)
export const b6: Tensor<[5]> = cr.linspace(0, 1, 5)
export const b7: Tensor<[5]> = cr.arange(5)
export const b8 = cr.full(unknown.shape, 1).add(cr.zerosLike(images))
export const b9: Tensor<[2, 3]> = cr.fromBuffer(new Float32Array(6), [2, 3])
export const b10: Tensor<[6]> = cr.fromBuffer(new Float32Array(6))
const config = JSON.parse('{}')
export const b11: Tensor<[2]> = zeros(config.shape)
export const b12: Tensor<[2, 5]> = zeros([config.rows, 5])
export const b13 = zeros([])
export const b14: Tensor<[2, 3]> = cr.empty([2, 3], 'int32')

// arithmetic
same<typeof c1, Tensor<[128, 784]>>()
export const c1 = narrow
  .add(1)
  .mul(wide)
  .sub(zeros([784]))
  .div(zeros([128, 1]))
export const c2: Tensor<[128, 784]> = cr.add(1, narrow)
same<typeof c3, Tensor<[]>>()
export const c3 = cr.add(1, 2)
export const c4: Tensor<['batch', 784]> = wide.maximum(unknown)
export const c5: Tensor<[5, 4]> = zeros([5, 1]).pow(zeros([1, 4]))
export const c6: Tensor<[6, 5, 4]> = zeros([5, 1]).add(zeros([6, 1, 4]))
export const either: Tensor<[2, 784]> | number = n > 1 ? n : cr.zeros([2, 784])
export const c7 = wide.add(either)
export const c8 = cr.where(narrow.gt(0), narrow, 0)
same<typeof c9, Tensor<[128, 784]>>()
export const c9 = cr.where(narrow.gt(0).logicalAnd(wide.lt(1)).logicalNot(), 0, narrow)
export const c10: Tensor<['batch', 256]> = open
  .add(zeros([256]))
  .relu()
  .mul(zeros([1, 256]))
export const c11: Tensor = narrow.add(anything).mul(anything)
export const c12 = narrow.add(zeros([n, n])).add(zeros(sizes))
export const c13 = zeros([4, 1, 3]).eq(zeros([n, 2, 3]))
export const names = (x: Tensor<['batch', 'time', 64]>, y: Tensor<['time', 64]>): Tensor<['batch', 'time', 64]> => x.add(y)
export const c14 = new Parameter(zeros([784])).add(narrow).sub(new Parameter(zeros([128, 1])))
same<typeof c14, Tensor<[128, 784]>>()

// unary
same<typeof d1, Tensor<[128, 784]>>()
export const d1 = cr.relu(narrow).exp().gelu().silu().clamp(0, 1).softmax(1).to('int32').detach().clone().neg()
export const d2: Tensor<[128, 784]> = cr.gelu(cr.leakyRelu(cr.logSoftmax(narrow)))

// unions of tensors
declare const union: Tensor<[2, 784]> | Tensor<['batch', 64]>
export const e1 = union.relu().add(1).add(union.exp()).sum({ dim: 1 })
export const e2 = cr.tanh(n > 1 ? zeros([2]) : zeros([3])).mul(n > 1 ? zeros([1]) : 2)

// matmul
same<typeof f1, Tensor<['batch', 10]>>()
export const f1 = wide.matmul(zeros([784, 10]))
export const f2: Tensor<[128]> = narrow.matmul(zeros([784]))
export const f3: Tensor<[10]> = zeros([784]).matmul(zeros([784, 10]))
same<typeof f4, Tensor<['b', 8, 't', 't2']>>()
export const f4 = attention(unknown, unknown)
function attention(q: Tensor<['b', 8, 't', 64]>, k: Tensor<['b', 8, 't2', 64]>) {
  return q.matmul(k.transpose(-2, -1))
}
export const f5: Tensor<[2, 5]> = cr.matmul(unknown, zeros([3, 5]))
export const f6: Tensor<[9, 5]> = open.matmul(zeros([256, 5]))
export const f7 = zeros([n, n])
  .matmul(zeros([n, 3]))
  .matmul(unknown)
  .matmul(narrow)
export const f8: Tensor<[4, 2, 5]> = zeros([4, 2, 3]).matmul(zeros([3, 5]))
export const f9 = new Parameter(zeros([10, 784])).transpose()
same<typeof f9, Tensor<[784, 10]>>()

// reductions
same<typeof g1, Tensor<[]>>()
export const g1 = wide.mean()
export const g2: Tensor<[784]> = narrow.sum({ dim: 0 })
export const g3: Tensor<[128, 1]> = narrow.amax({ dim: -1, keepdim: true })
export const g4: Tensor<['batch', 3]> = images.mean({ dim: [2, 3] })
export const g5: Tensor<['batch', 3, 1, 1]> = images.variance({ dim: [-2, -1], keepdim: true, correction: 0 })
export const g6: Tensor<['batch']> = wide.argmax(1)
export const g7: Tensor<[1, 2]> = narrow.sum({ dim: n })
const options: { dim?: number | number[]; keepdim?: boolean } = {}
export const g8: Tensor<[1, 2, 3]> = narrow.sum(options)
export const g9: Tensor<[3]> = cr.sum(unknown, { dim: 1 })
export const g10: Tensor<[128, 784]> = narrow.sub(cr.logsumexp(narrow, { dim: 1, keepdim: true }))
// a dimension in front or among the options
export const gg1: Tensor<[128]> = narrow.sum(1)
export const gg2: Tensor<[128, 1]> = narrow.mean(1, { keepdim: true })
export const gg3: Tensor<[1, 784]> = cr.sum(narrow, { dim: 0, keepdim: true })
export const gg4: Tensor<[]> = cr.sum(narrow, [0, 1])
export const gg5: Tensor<[784]> = narrow.argmax({ dim: 0 })
export const gg6: Tensor<[128, 1]> = narrow.max({ dim: 1, keepdim: true }).values
export const gg7: Tensor<[128, number]> = narrow.topk(3, { dim: 1 }).indices
export const gg8: Tensor<[128, 784]> = narrow.softmax({ dim: 1 }).clamp({ min: 0 })
export const gg9: Tensor<[number]> = cr.arange(3, { dtype: 'float32' })
export const gg10: Tensor<[3, 3]> = cr.eye(3, { dtype: 'int32' })
export const gg11: Tensor<[128]> = narrow.variance(1, { correction: 0 })
export const gg12: Tensor<[]> = narrow.sum()
export const gg13: Tensor<[128]> = narrow.median(1).values
export const g11: Tensor<[1]> = narrow.mean({ dim: n > 1 ? 0 : 1, keepdim: n > 2 })
export const g12 = narrow.sum({ dim: [n] })
export const g13: Tensor<[5]> = narrow.sum({ dim: sizes })

// movement
same<typeof h1, Tensor<[784, 'batch']>>()
export const h1 = wide.transpose()
export const h2: Tensor<['batch', 32, 32, 3]> = images.permute([0, 2, 3, 1])
export const h3: Tensor<['batch', 3072]> = images.flatten(1)
export const h4: Tensor<['batch', 3072]> = images.reshape([-1, 3072])
export const h5: Tensor<[4, 3072]> = cr.reshape(images, [images.shape[0], -1])
export const h6: Tensor<[128, 1, 784]> = narrow.unsqueeze(1)
export const h7: Tensor<[128, 784]> = h6.squeeze(1)
export const h8: Tensor<[4, 128, 784]> = narrow.expand([4, -1, -1])
export const h9: Tensor<[10, 784]> = narrow.slice(0, 0, 10)
export const h10: Tensor<['batch', 3, 34, 34]> = images.pad([1, 1, 1, 1])
export const h11: Tensor<[784]> = narrow.at(0)
export const h12: Tensor<['batch', 3, 8, 8]> = images.at(null, null, [0, 8], [0, 8])
export const h13: Tensor<[200, 784]> = cr.concat([narrow, wide, zeros([n, 784])])
export const h14: Tensor<[2, 128, 784]> = cr.stack([narrow, wide])
export const h15: Tensor<[32, 784]>[] = narrow.split(32)
export const h16: Tensor<[128, 10]> = cr.oneHot([1, 2, 3], 10)
export const h17: Tensor<['b', 't', 64]> = cr.indexSelect(zeros([1000, 64]), tensor([[1]], { dtype: 'int32' }))
export const h18: Tensor = images
  .transpose(n, 0)
  .permute(sizes)
  .squeeze()
  .unsqueeze(n)
  .flatten()
  .at(...sizes)
export const h19 = cr.concat(sizes.map((k) => zeros([k, 4])))
export const h20: Tensor<[9, 4]> = h19
export const h21 = cr.concat([narrow, images, open])
export const h22: Tensor<[1, 10]> = narrow.gather(zeros([1, 10], { dtype: 'int32' }), 1)
export const h23: Tensor<['batch', 8, 30, 30]> = cr.conv2d(images, zeros([8, 3, 3, 3]), { bias: zeros([8]) })
export const h24: Tensor<['batch', 3, 16, 16]> = cr.maxPool2d(images, 2)
const [rows, columns] = narrow.shape
export const h25: Tensor<[128, 784]> = zeros([rows, columns])

// reassigned variables
export function loops(x: Tensor<['batch', 64]>, w: Tensor<[64, 64]>): Tensor<['batch', 64]> {
  let h = x
  for (let i = 0; i < 3; i++) h = h.matmul(w).relu().add(x)
  let free: Tensor = x
  free = free.matmul(zeros([64, 10])).flatten()
  let total = zeros([])
  total = total.add(free.sum()).add(h.mean())
  return h.mul(total)
}

// helpers over tensors, generic or not
export function residual<S>(x: Tensor<S>, f: (x: Tensor<S>) => Tensor<S>): Tensor<S> {
  return x.add(f(x)).relu()
}
export const i1: Tensor<['batch', 784]> = residual(wide, (x) => x.mul(2))
export const pair = <A extends Tensor, B extends Tensor>(a: A, b: B): [Tensor<ShapeOf<A>>, B] => [a.relu(), b]
export const normalize = (x: Tensor): Tensor => x.sub(x.mean({ dim: -1, keepdim: true })).div(x.std({ dim: -1, keepdim: true }))
export const i2: Tensor<[128, 784]> = normalize(narrow)
export const metrics: Record<string, (predicted: Tensor, wanted: Tensor) => Tensor> = {
  accuracy: (p, y) => p.argmax(1).eq(y).to('float32').mean(),
  error: (p, y) => cr.sub(p, y).square().mean(),
}
export const ops: ((x: Tensor) => Tensor)[] = [cr.relu, cr.gelu, cr.neg, (x) => cr.softmax(x, 1), normalize]
export const binary: ((a: Tensor, b: Tensor) => Tensor)[] = [cr.add, cr.mul, cr.matmul]
export const i3 = [narrow, wide].map((x) => x.sum()).reduce((a, b) => a.add(b))
export const i4 = [zeros([2]), zeros([3])].map((x) => x.relu())
export const step = cr.compile((x: Tensor<['batch', 784]>, y: Tensor<['batch']>) => x.sum({ dim: 1 }).sub(y).mean())
export const i5: Promise<Tensor<[]>> = step(narrow, zeros([128]))
export const i6: Tensor = cr.grad((x: Tensor<[3]>) => x.square().sum())(zeros([3]))
export async function read(t: Tensor<[2]>): Promise<number> {
  const { grad } = t
  return (grad ?? t).add(t).sum().item() + (await t.read())[0]
}
