/**
 * Arguments that may fit, for callables without a row in support/samples.ts. In: parameters as the compiler names them. Out: values drawn by
 * name and type; whether the call accepts them is for the call to say.
 */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type * as cr from '../../../src/index.js'
import { nn, ones, optim, tensor } from '../../../src/index.js'
import type { Callable } from '../../support/surface.js'
import type { Random } from '../frame/random.js'

const leaf = (): cr.Tensor => tensor([1, 2], { requiresGrad: true })
const square = (): cr.Tensor =>
  tensor([
    [2, 1],
    [1, 3],
  ])

const tensors: readonly (() => cr.Tensor)[] = [
  () => tensor([1, 2, 3, 4]),
  square,
  square,
  () => ones([1, 2, 4, 4]),
  () => ones([3, 1, 4]),
  () => tensor(0.5),
  leaf,
  () => tensor([1, 0], { dtype: 'int32' }),
  () => tensor([true, false, true, true]),
]
const labels = (): cr.Tensor => tensor([1, 0], { dtype: 'int32' })

/** By the beginning of a parameter's name, before its type is asked for. */
const byName: readonly (readonly [RegExp, (random: Random) => unknown])[] = [
  [/^(labels|index|tokens|inputLengths|targetLengths)/, labels],
  [/^shape$/, () => [2, 2]],
  [/^dims$/, () => [0, 1]],
  [/^dtype$/, () => 'float32'],
  [/^equation$/, () => 'ij,jk->ik'],
  [/^(dim|axis0|dim0|startDim|offset|diagonal)$/, () => 0],
  [/^(prompt|source)$/, (random) => (random.chance(0.5) ? [[1, 2]] : square())],
  [/^(modules|members)$/, () => [new nn.Linear(4, 4)]],
  [/^milestones$/, () => [1]],
  [/^name$/, () => 'weight'],
]

/** By what a type contains. */
const byType: readonly (readonly [RegExp, (random: Random) => unknown])[] = [
  [/Optimizer</, () => new optim.SGD([leaf()], { lr: 0.1 })],
  [/LRScheduler/, () => [new optim.lrScheduler.StepLR(new optim.SGD([leaf()], { lr: 0.1 }), 1)]],
  [/^readonly Tensor<|^Iterable<Tensor/, (random) => [random.pick(tensors)()]],
  [/^Tensor<|^Tensor</, (random) => random.pick(tensors)()],
  [/StateArray/, () => ({ weight: ones([4, 4]), bias: ones([4]) })],
  [/number \| Tensor/, (random) => (random.chance(0.4) ? 2 : random.pick(tensors)())],
  [/^Module|Module\b/, () => new nn.Linear(4, 4)],
  [/URL/, () => join(tmpdir(), `chainrule-arguments-${process.pid}`, 'file')],
  [/=>|Function|Lambda/, () => (x: unknown) => x],
  [/Parameter</, () => new nn.Parameter(leaf())],
  [/number\[\]/, (random) => (random.chance(0.5) ? [0] : [2, 2])],
  [/number/, (random) => random.pick([1, 2, 0, 0.5, 4])],
  [/false/, (random) => random.chance(0.5)],
  [/^"(\w+)"/, () => 'sum'],
  [/string/, () => 'x'],
  [/Tensor/, (random) => random.pick(tensors)()],
  [/Uint8Array/, () => new Uint8Array(4)],
]

/** Arguments for one of the signatures; what may be left out is, mostly. */
export function fitting({ parameters }: Callable, random: Random): unknown[] {
  const args = random.pick(parameters).map(({ name, type }) => {
    if (/undefined|Options/.test(type) && random.chance(0.7)) return undefined
    const how = byName.find(([pattern]) => pattern.test(name)) ?? byType.find(([pattern]) => pattern.test(type))
    return how === undefined ? undefined : how[1](random)
  })
  while (args.length > 0 && args[args.length - 1] === undefined) args.pop()
  return args
}
