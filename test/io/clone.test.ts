/** Tensors do not pass for plain objects in another thread: they are refused there, and bytes carry what they hold. */

import { serialize } from 'node:v8'
import { MessageChannel } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { add, compile, nn, optim, parseSafetensors, serializeSafetensors, type Tensor, tensor, zeros } from '../../src/index.js'

const model = new nn.Sequential(new nn.Linear(2, 3), new nn.ReLU(), new nn.BatchNorm1d(3))

const holders: readonly (readonly [string, () => unknown])[] = [
  ['a tensor', () => tensor([1, 2])],
  ['a result', () => add(tensor([1, 2]), 1)],
  ['a view', () => zeros([2, 3]).transpose()],
  ['a number', () => tensor(3)],
  ['an empty one', () => zeros([0])],
  ['a result of compiled code', () => compile((x: Tensor) => add(x, 1)).sync(tensor([1]))],
  ['a parameter', () => new nn.Linear(1, 1).weight],
  ['a state dict', () => model.stateDict()],
  ['a layer', () => new nn.Linear(2, 2)],
  ['a model', () => model],
  ['an optimizer', () => new optim.Adam(model.parameters())],
  ['its state', () => new optim.Adam(model.parameters()).stateDict()],
  ['a list', () => [{ x: tensor([1]) }]],
  ['a map', () => new Map([['x', tensor([1])]])],
]

describe.each(holders)('%s', (_, make) => {
  it('is refused with a remedy', () => {
    const { port1 } = new MessageChannel()
    for (const send of [structuredClone, (x: unknown) => port1.postMessage(x)])
      expect(() => send(make())).toThrow(
        expect.objectContaining({ name: 'DataCloneError', message: expect.stringMatching('serializeSafetensors') }),
      )
    expect(() => serialize(make())).toThrow('serializeSafetensors')
    port1.close()
  })
})

it('bytes carry a state dict, and its arrays may be cloned', () => {
  const bytes = structuredClone(serializeSafetensors(model.stateDict()))
  const other = new nn.Sequential(new nn.Linear(2, 3), new nn.ReLU(), new nn.BatchNorm1d(3))
  const { tensors } = structuredClone(parseSafetensors(bytes))
  other.loadStateDict(tensors)
  for (const [name, t] of Object.entries(model.stateDict())) expect(other.stateDict()[name].toArray()).toEqual(t.toArray())
})
