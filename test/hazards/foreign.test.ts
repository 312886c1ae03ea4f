/**
 * Memory that is not what it seems: typed arrays and maps of another realm (`vm`, Jest) are taken like our own; arrays whose memory was
 * transferred are refused wherever they come in, since they would pass for empty ones.
 */
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/backend/select.js'
import * as cr from '../../src/index.js'
import { type Tensor, tensor } from '../../src/index.js'
import { backends } from '../support/backends.js'

function transfer<A extends ArrayBufferView>(array: A): A {
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] })
  return array
}

const elsewhere = <T>(code: string): T => runInNewContext(code) as T
const foreign = (): Float32Array => elsewhere('new Float32Array([1, 2, 3, 4])')
const detached = (): Float32Array => transfer(new Float32Array(4))
const layer = (): cr.nn.Linear => {
  const made = new cr.nn.Linear(4, 1, { bias: false })
  cr.nn.init.ones(made.weight)
  return made
}

/** Every place where typed arrays come in, with what comes out as plain numbers. */
const doors: Record<string, (array: Float32Array) => unknown> = {
  tensor: (a) => tensor(a).toArray(),
  'tensor of rows': (a) => tensor([a]).reshape([4]).toArray(),
  'tensor with a shape': (a) =>
    tensor(a, { shape: [2, 2] })
      .flatten()
      .toArray(),
  fromBuffer: (a) => cr.fromBuffer(a).toArray(),
  ArrayDataset: (a) => Array.from((new cr.ArrayDataset([a, a]).batch(Int32Array.of(0, 1, 2, 3))[0] as { data: Float32Array }).data),
  collate: (a) => Array.from((cr.collate([[a, 1]]) as { data: Float32Array }[])[0].data),
  // weights of 1: the sum
  predict: async (a) => (await layer().predict(a, { shape: [1, 4] })).reshape([1]).toArray(),
  loadStateDict(a) {
    const model = layer()
    model.loadStateDict({ weight: { data: a, shape: [1, 4], dtype: 'float32' } })
    return model.weight.reshape([4]).toArray()
  },
  safetensors(a) {
    const bytes = cr.serializeSafetensors({ x: { data: a, shape: [4], dtype: 'float32' } }, { floatType: 'F16' })
    return Array.from(cr.parseSafetensors(bytes).tensors.get('x')?.data ?? [])
  },
}

describe.each(backends)('on %s', (which) => {
  it.each(Object.entries(doors))('%s takes arrays of another realm', async (_, enter) => {
    const numbers = await withBackend(which, () => enter(foreign()))
    expect(numbers).toEqual(await withBackend(which, () => enter(new Float32Array([1, 2, 3, 4]))))
    expect([[1, 2, 3, 4], [10]]).toContainEqual(numbers)
  })

  it.each(Object.entries(doors))('%s refuses arrays whose memory is gone', async (_, enter) => {
    const call = async (): Promise<unknown> => withBackend(which, () => enter(detached()))
    await expect(call()).rejects.toThrow(cr.ChainruleError)
    await expect(call()).rejects.toThrow(/transferred|the data 0/)
  })

  it('maps and bytes of another realm are taken', () => {
    const state = elsewhere<Map<string, Tensor>>('new Map()').set('weight', tensor([[1, 2, 3, 4]]))
    const model = layer()
    model.loadStateDict(state)
    expect(model.weight.toArray()).toEqual([[1, 2, 3, 4]])
    const own = cr.serializeSafetensors(elsewhere('new Map()'), { metadata: elsewhere('new Map([["a", "b"]])') })
    const bytes = elsewhere<(n: number) => Uint8Array>('(n) => new Uint8Array(n)')(own.length)
    bytes.set(own)
    expect(cr.parseSafetensors(bytes).metadata).toEqual(cr.parseSafetensors(own).metadata)
  })

  it('an empty array is no detached one', () => {
    expect(withBackend(which, () => tensor(new Float32Array(0)).shape)).toEqual([0])
    expect(() => tensor(transfer(new Float32Array(0)))).toThrow(expect.objectContaining({ code: 'ERR_BUFFER_DETACHED' }))
  })

  const { Adam, AdamW, LBFGS, Adamax, NAdam, RAdam, Adadelta, Adagrad, RMSprop, SGD, Lion, Rprop, Muon } = cr.optim
  const optimizers = { Adam, AdamW, LBFGS, Adamax, NAdam, RAdam, Adadelta, Adagrad, RMSprop, SGD, Lion, Rprop, Muon }
  it.each(Object.entries(optimizers))('%s says that the memory of a parameter or a gradient is gone', (_, Optimizer) => {
    withBackend(which, () => {
      const gone = expect.objectContaining({ code: 'ERR_BUFFER_DETACHED' })
      const memory = new Float32Array(4)
      const p = cr.fromBuffer(memory, [2, 2])
      p.requiresGrad = true
      const optimizer = new Optimizer([p], { lr: 0.1 })
      p.square().sum().backward()
      transfer(memory)
      expect(() => optimizer.step(() => p.square().sum())).toThrow(gone)
      expect(() => new Optimizer([p], { lr: 0.1 })).toThrow(gone)
      const other = cr.ones([2, 2])
      other.requiresGrad = true
      const gradient = new Float32Array(4)
      other.grad = cr.fromBuffer(gradient, [2, 2])
      transfer(gradient)
      expect(() => new Optimizer([other], { lr: 0.1 }).step(() => other.square().sum())).toThrow(gone)
    })
  })
})

describe('arguments that have no text', () => {
  let deep: unknown = 1
  for (let i = 0; i < 10_000; i++) deep = [deep]
  const odd: Record<string, unknown> = { symbol: Symbol('s'), bare: Object.create(null), deep, detached: detached(), bigint: 4n }

  it.each(Object.entries(odd))('%s', (_, stranger) => {
    const calls: (() => unknown)[] = [
      () => tensor([1, 2, 3, 4]).reshape([stranger] as never),
      () => tensor([1, 2, 3, 4]).reshape(stranger as never),
      () => cr.losses.l1Penalty(stranger as never),
      () => cr.losses.l1Penalty([stranger] as never),
      () => cr.losses.l2Penalty(stranger as never),
      () => new cr.optim.ParameterGroup(stranger as never, [tensor([1])], { lr: 1, maximize: false, weightDecay: 0 }),
      () => new cr.optim.SGD(stranger as never, { lr: 0.1 }),
      () => new cr.optim.SGD([tensor([1])], { lr: stranger as never }),
    ]
    for (const call of calls) expect(call).toThrow(cr.ChainruleError)
  })
})
