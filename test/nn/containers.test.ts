/** Lists and dictionaries of modules and parameters, and parameters that several modules share. */
import { describe, expect, test } from 'vitest'
import { nn, type Tensor, zeros } from '../../src/index.js'

const codeOf = (f: () => unknown): string => {
  try {
    f()
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'nothing thrown'
}

describe('ModuleList', () => {
  test('names its members by number and can grow', () => {
    const list = new nn.ModuleList<nn.Linear>([new nn.Linear(2, 3)])
    list.append(new nn.Linear(3, 4)).extend([new nn.Linear(4, 5, { bias: false })])
    expect(Object.keys(list.stateDict())).toEqual(['0.weight', '0.bias', '1.weight', '1.bias', '2.weight'])
    expect(list.length).toBe(3)
    expect(list.at(-1).outFeatures).toBe(5)
    expect([...list].map((layer) => layer.inFeatures)).toEqual([2, 3, 4])
    expect(list[1].outFeatures).toBe(4)
    expect(list.parameters()).toHaveLength(5)
    expect(String(new nn.ModuleList([new nn.ReLU()]))).toBe('ModuleList(\n  (0): ReLU()\n)')
  })

  test('a clone is a list of its own', () => {
    const list = new nn.ModuleList([new nn.Linear(2, 2)])
    const copy = list.clone()
    copy.append(new nn.Linear(2, 2))
    expect([list.length, copy.length]).toEqual([1, 2])
    expect(copy[0].weight).not.toBe(list[0].weight)
  })

  test('says what is wrong', () => {
    expect(codeOf(() => new nn.ModuleList([zeros([1])] as never))).toBe('ERR_NOT_A_MODULE')
    expect(codeOf(() => new nn.ModuleList(3 as never))).toBe('ERR_NOT_A_LIST')
    expect(codeOf(() => new nn.ModuleList().at(0))).toBe('ERR_INDEX_RANGE')
    expect(codeOf(() => new nn.ModuleList().forward())).toBe('ERR_NO_FORWARD')
  })
})

describe('ModuleDict', () => {
  test('names its members by key', () => {
    const heads = new nn.ModuleDict({ digits: new nn.Linear(4, 10), parity: new nn.Linear(4, 2) })
    expect(Object.keys(heads.stateDict())).toEqual(['digits.weight', 'digits.bias', 'parity.weight', 'parity.bias'])
    const y: Tensor<[3, 10]> = heads.get('digits').forward(zeros([3, 4]))
    expect(y.shape).toEqual([3, 10])
    expect(heads.keys()).toEqual(['digits', 'parity'])
    heads.set('digits', new nn.Linear(4, 3))
    expect([heads.size, heads.has('digits'), heads.has('other')]).toEqual([2, true, false])
    expect([...heads].map(([name]) => name)).toEqual(['digits', 'parity'])
  })

  test('says what is wrong', () => {
    for (const name of ['', 'a.b', 'forward', 'training', 'keys', 'constructor'])
      expect(
        codeOf(() => new nn.ModuleDict({ [name]: new nn.ReLU() })),
        name,
      ).toBe('ERR_STATE_NAME')
    expect(codeOf(() => new nn.ModuleDict({ a: 1 } as never))).toBe('ERR_NOT_A_MODULE')
    expect(codeOf(() => new nn.ModuleDict(null as never))).toBe('ERR_NOT_A_MODULE')
    expect(codeOf(() => new nn.ModuleDict({ a: new nn.ReLU() }).get('b' as 'a'))).toBe('ERR_INDEX_RANGE')
    expect(codeOf(() => new nn.ModuleDict().forward())).toBe('ERR_NO_FORWARD')
  })
})

test('ParameterList', () => {
  const list = new nn.ParameterList([new nn.Parameter([1, 2])])
  list.append(new nn.Parameter([3]))
  expect(Object.keys(list.stateDict())).toEqual(['0', '1'])
  expect(list.parameters()).toHaveLength(2)
  expect(codeOf(() => list.append(zeros([1]) as never))).toBe('ERR_NOT_A_PARAMETER')
})

describe('a shared parameter', () => {
  class Tied extends nn.Module {
    readonly table = new nn.Embedding(5, 3)
    readonly head = new nn.Linear(3, 5, { bias: false })
    constructor() {
      super()
      ;(this.head as { weight: nn.Parameter }).weight = this.table.weight
    }
    forward(ids: Tensor): Tensor {
      return this.head.forward(this.table.forward(ids))
    }
  }
  const ids = (zeros([4], { dtype: 'int32' }) as Tensor).add(2)

  test('counts once, and has both names in the state dict, as in PyTorch', () => {
    const model = new Tied()
    expect(model.parameters()).toHaveLength(1)
    expect(model.namedParameters().map(([name]) => name)).toEqual(['table.weight'])
    expect(Object.keys(model.stateDict())).toEqual(['table.weight', 'head.weight'])
  })

  test('gets the gradients of both uses', () => {
    const model = new Tied()
    model.forward(ids).sum().backward()
    const both = model.table.weight.grad as Tensor
    const w = model.table.weight
    // rows summed over the four equal ids: 4·Σ rows for row 2, and the looked-up vector for each row of the head
    const wanted = w
      .sum({ dim: 0 })
      .mul(4)
      .unsqueeze(0)
      .mul(zeros([5, 1]).add(0))
      .add(w.at(2).mul(4))
    const extra = w.sum({ dim: 0 }).mul(4)
    wanted.data.forEach((x, i) => {
      expect(both.data[i]).toBeCloseTo(x + (Math.floor(i / 3) === 2 ? extra.data[i % 3] : 0), 4)
    })
  })

  test('stays shared through clone and loading', () => {
    const model = new Tied()
    const copy = model.clone()
    expect(copy.head.weight).toBe(copy.table.weight)
    expect(copy.head.weight).not.toBe(model.head.weight)
    const other = new Tied()
    other.loadStateDict(model.stateDict())
    expect(other.head.weight).toBe(other.table.weight)
    expect(other.table.weight.toArray()).toEqual(model.table.weight.toArray())
  })
})

test('ParameterDict', () => {
  const scales = new nn.ParameterDict({ left: new nn.Parameter([1, 2]), right: new nn.Parameter([3]) })
  expect([...scales.namedParameters()].map(([name]) => name)).toEqual(['left', 'right'])
  expect(scales.get('left').toArray()).toEqual([1, 2])
  scales.set('left', new nn.Parameter([4]))
  expect([scales.size, scales.keys(), scales.has('up'), [...scales].length]).toEqual([2, ['left', 'right'], false, 2])
  const copy = scales.clone()
  copy.loadStateDict({ left: new nn.Parameter([7]), right: new nn.Parameter([8]) })
  expect([scales.get('left').toArray(), copy.get('left').toArray()]).toEqual([[4], [7]])
  expect(codeOf(() => new nn.ParameterDict({ a: zeros([1]) } as never))).toBe('ERR_NOT_A_PARAMETER')
  expect(codeOf(() => new nn.ParameterDict(new nn.Parameter([1]) as never))).toBe('ERR_NOT_A_PARAMETER')
  expect(codeOf(() => new nn.ParameterDict({ 'a.b': new nn.Parameter([1]) }))).toBe('ERR_STATE_NAME')
  expect(codeOf(() => scales.get('up' as 'left'))).toBe('ERR_INDEX_RANGE')
  expect(codeOf(() => scales.forward())).toBe('ERR_NO_FORWARD')
})
