/** Modules: what is registered under which name, state dicts, copies, modes, printing. */
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { assign, nn, ones, parseSafetensors, serializeSafetensors, Tensor, tensor, zeros } from '../../src/index.js'

class Net extends nn.Module {
  readonly stem = new nn.Linear(3, 4)
  readonly blocks = [new nn.Linear(4, 4), new nn.Linear(4, 4, { bias: false })]
  readonly heads = { a: new nn.Linear(4, 2), deep: { b: [new nn.Linear(4, 1)] } }
  readonly scale = new nn.Parameter(ones([4]))
  readonly mask = this.registerBuffer('attn_mask', zeros([2]))
  readonly scratch = this.registerBuffer('scratch', zeros([2]), { persistent: false })
  readonly note = { text: 'kept', sizes: [1, 2] }
  forward(x: Tensor): Tensor {
    return this.stem.forward(x).mul(this.scale)
  }
}

class Tied extends nn.Module {
  readonly embedding = new nn.Embedding(5, 4)
  readonly head = new nn.Linear(4, 5, { bias: false })
  constructor() {
    super()
    ;(this.head as { weight: nn.Parameter }).weight = this.embedding.weight
  }
  forward(x: Tensor): Tensor {
    return this.head.forward(this.embedding.forward(x))
  }
}

const code = (f: () => unknown): string => {
  try {
    f()
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'nothing thrown'
}

const message = (f: () => unknown): string => {
  try {
    f()
  } catch (error) {
    return (error as Error).message
  }
  return 'nothing thrown'
}

describe('names', () => {
  test('fields, arrays and plain objects are registered, own parameters first', () => {
    const names = new Net().namedParameters().map(([name]) => name)
    expect(names).toEqual([
      'scale',
      'stem.weight',
      'stem.bias',
      'blocks.0.weight',
      'blocks.0.bias',
      'blocks.1.weight',
      'heads.a.weight',
      'heads.a.bias',
      'heads.deep.b.0.weight',
      'heads.deep.b.0.bias',
    ])
  })

  test('buffers keep the names they were registered under; not persistent ones stay out of the state', () => {
    const net = new Net()
    expect(net.namedBuffers().map(([name]) => name)).toEqual(['attn_mask', 'scratch'])
    expect(Object.keys(net.stateDict())).toContain('attn_mask')
    expect(Object.keys(net.stateDict())).not.toContain('scratch')
    expect(net.mask.storage.shared).toBe(true)
  })

  test('batch norm has the names of PyTorch', () => {
    expect(Object.keys(new nn.Sequential(new nn.BatchNorm2d(3)).stateDict())).toEqual([
      '0.weight',
      '0.bias',
      '0.running_mean',
      '0.running_var',
      '0.num_batches_tracked',
    ])
  })

  test('a registered parameter is listed under its registered name only', () => {
    class Cell extends nn.Module {
      readonly inputWeight = this.registerParameter('weight_ih', new nn.Parameter(zeros([2])))
      forward(x: Tensor): Tensor {
        return x
      }
    }
    expect(Object.keys(new Cell().stateDict())).toEqual(['weight_ih'])
    expect(code(() => new Cell().registerBuffer('weight_ih', zeros([1])))).toBe('ERR_STATE_NAME')
    expect(code(() => new Cell().registerBuffer('a.b', zeros([1])))).toBe('ERR_STATE_NAME')
    expect(code(() => new Cell().registerParameter('x', zeros([1]) as nn.Parameter))).toBe('ERR_NOT_A_PARAMETER')
  })

  test('shared parameters are listed once, and twice in the state', () => {
    const tied = new Tied()
    expect(tied.parameters()).toHaveLength(1)
    expect(Object.keys(tied.stateDict())).toEqual(['embedding.weight', 'head.weight'])
  })

  test('a module that refers back to its parent is walked once', () => {
    const parent = new nn.Sequential(new nn.Linear(1, 1))
    ;(parent[0] as unknown as { parent: nn.Module }).parent = parent
    expect(parent.parameters()).toHaveLength(2)
    expect(Object.keys(parent.stateDict())).toEqual(['0.weight', '0.bias'])
    expect(parent.toString()).toContain('Sequential(…)')
    expect(parent.clone().parameters()).toHaveLength(2)
  })
})

describe('state', () => {
  test('stateDict copies, loadStateDict writes in place', () => {
    const net = new nn.Linear(2, 2)
    const saved = net.stateDict()
    const { weight } = net
    assign(weight, 7)
    expect(saved.weight.toArray()).not.toEqual(weight.toArray())
    net.loadStateDict(saved)
    expect(net.weight).toBe(weight)
    expect(weight.toArray()).toEqual(saved.weight.toArray())
    net.loadStateDict(new Map(Object.entries(saved)))
  })

  test('all that does not fit is listed, and nothing is written', () => {
    const net = new nn.Sequential(new nn.Linear(2, 2), new nn.BatchNorm1d(2))
    const before = net.stateDict()
    const { '0.bias': _, ...wrong } = before
    wrong['0.weight'] = zeros([3, 2])
    wrong['1.weight'] = tensor([5, 5])
    wrong['1.running_mean'] = zeros([2], { dtype: 'int32' })
    wrong['extra'] = zeros([1])
    expect(message(() => net.loadStateDict(wrong))).toBe(
      'loadStateDict: the entries differ, nothing was loaded. missing: 0.bias. unexpected: extra. ' +
        'not fitting: 0.weight: expected [2, 2], received [3, 2]; 1.running_mean: expected float32, received int32. Build it as it was when it was saved, ' +
        'or leave parts out: { filter: (name) => … }.',
    )
    expect(code(() => net.loadStateDict(wrong, { strict: false }))).toBe('ERR_STATE_DICT')
    expect(net.stateDict()['1.weight'].toArray()).toEqual([1, 1])
    net.loadStateDict({ '1.weight': tensor([5, 5]), other: zeros([1]) }, { strict: false })
    expect(net.stateDict()['1.weight'].toArray()).toEqual([5, 5])
  })

  test('arrays as files hold them, in whatever names them', () => {
    const net = new nn.Sequential(new nn.Linear(1, 2), new nn.BatchNorm1d(2))
    const file = parseSafetensors(serializeSafetensors(new nn.Sequential(new nn.Linear(1, 2), new nn.BatchNorm1d(2)).stateDict()))
    for (const dict of [file, file.tensors, Object.fromEntries(file.tensors)]) {
      for (const p of net.parameters()) assign(p, 0)
      expect(net.loadStateDict(dict)).toEqual({ missingKeys: [], unexpectedKeys: [] })
      expect([...net.stateDict()['0.weight'].data]).toEqual([...(file.tensors.get('0.weight')?.data ?? [])])
    }
    // a parameter of one's own may have that name
    class Named extends nn.Module {
      tensors = new nn.Parameter([1, 2])
      forward(x: Tensor): Tensor {
        return x.mul(this.tensors)
      }
    }
    new Named().loadStateDict({ tensors: tensor([3, 4]) })
    new Named().loadStateDict(new Named().stateDict())
  })

  test('what is not on both sides is returned, as PyTorch does', () => {
    const pretrained = new nn.Sequential(new nn.Linear(1, 2), new nn.Linear(2, 3)).stateDict()
    const net = new nn.Sequential(new nn.Linear(1, 2), new nn.ReLU(), new nn.Linear(2, 5))
    const head = net.stateDict()['2.weight'].toArray()
    expect(net.loadStateDict(pretrained, { strict: false })).toEqual({
      missingKeys: ['2.weight', '2.bias'],
      unexpectedKeys: ['1.weight', '1.bias'],
    })
    expect(net.stateDict()['0.weight'].toArray()).toEqual(pretrained['0.weight'].toArray())
    expect(net.stateDict()['2.weight'].toArray()).toEqual(head)
  })

  test('all but the head: a filter leaves names out on both sides, and the rest stays strict', () => {
    const pretrained = new nn.Sequential(new nn.Linear(1, 2), new nn.Linear(2, 3)).stateDict()
    const net = new nn.Sequential(new nn.Linear(1, 2), new nn.Linear(2, 5))
    expect(code(() => net.loadStateDict(pretrained, { strict: false }))).toBe('ERR_STATE_DICT')
    const filter = (name: string): boolean => !name.startsWith('1.')
    expect(net.loadStateDict(pretrained, { filter })).toEqual({ missingKeys: [], unexpectedKeys: [] })
    expect(net.stateDict()['0.weight'].toArray()).toEqual(pretrained['0.weight'].toArray())
    const { '0.bias': _, ...less } = pretrained
    expect(message(() => net.loadStateDict(less, { filter }))).toContain('missing: 0.bias. Pass')
    expect(code(() => net.loadStateDict(pretrained, { filter: 5 as never }))).toBe('ERR_NOT_A_FUNCTION')
  })

  test('arrays that contradict themselves are named', () => {
    const net = new nn.Linear(1, 1, { bias: false })
    const refused = (weight: unknown): string => message(() => net.loadStateDict({ weight } as Record<string, Tensor>))
    expect(refused({ data: Float32Array.of(1, 2), shape: [1, 1], dtype: 'float32' })).toContain('received 2 elements of shape [1, 1]')
    expect(refused({ data: Float32Array.of(1), shape: [1, 1], dtype: 'int32' })).toContain("received float32 data called 'int32'")
    expect(refused({ data: Int16Array.of(1), shape: [1, 1], dtype: 'int32' })).toContain('received Int16Array')
    expect(refused({ data: Float32Array.of(1), shape: [1], dtype: 'float32' })).toContain('weight: expected [1, 1], received [1]')
    expect(refused({ data: Int32Array.of(1), shape: [1, 1], dtype: 'int32' })).toContain('expected float32, received int32')
  })

  test('values of the wrong kind are named', () => {
    const net = new nn.Linear(1, 1, { bias: false })
    expect(message(() => net.loadStateDict({ weight: [1] as unknown as Tensor }))).toContain(
      'weight: expected a tensor or { data, shape, dtype }, received an array',
    )
    expect(code(() => net.loadStateDict([] as unknown as Record<string, Tensor>))).toBe('ERR_STATE_DICT')
    expect(code(() => net.loadStateDict(null as unknown as Record<string, Tensor>))).toBe('ERR_STATE_DICT')
  })
})

describe('clone', () => {
  test('has memory of its own and the same structure', () => {
    const net = new Net().eval()
    const copy = net.clone()
    expect(copy).toBeInstanceOf(Net)
    expect(copy.training).toBe(false)
    expect(Object.keys(copy.stateDict())).toEqual(Object.keys(net.stateDict()))
    expect(copy.mask).toBe(copy.buffers()[0])
    expect(copy.note).toEqual(net.note)
    assign(copy.stem.weight, 0)
    assign(copy.mask, 9)
    expect(net.stem.weight.toArray()).not.toEqual(copy.stem.weight.toArray())
    expect(net.mask.toArray()).toEqual([0, 0])
    expect(copy.stem.weight.requiresGrad).toBe(true)
    expect(copy.train().training && !net.training).toBe(true)
  })

  test('keeps shared parameters shared', () => {
    const copy = new Tied().clone()
    expect(copy.head.weight).toBe(copy.embedding.weight)
    expect(copy.parameters()).toHaveLength(1)
  })
})

describe('modes and helpers', () => {
  test('train and eval reach all modules and return the module', () => {
    const net = new Net()
    expect(net.eval()).toBe(net)
    expect(net.modules().some((m) => m.training)).toBe(false)
    net.train()
    expect(net.modules().every((m) => m.training)).toBe(true)
    expect(Object.keys(net)).not.toContain('training')
  })

  test('zeroGrad, requiresGrad_, apply, children', () => {
    const net = new Net()
    net
      .forward(ones([2, 3]))
      .sum()
      .backward()
    expect(net.scale.grad).toBeDefined()
    net.zeroGrad()
    expect(net.scale.grad).toBeUndefined()
    net.requiresGrad_(false)
    expect(net.parameters().some((p) => p.requiresGrad)).toBe(false)
    const seen: string[] = []
    net.apply((m) => seen.push(m.constructor.name))
    expect(seen).toEqual(['Linear', 'Linear', 'Linear', 'Linear', 'Linear', 'Net'])
    expect(net.namedChildren().map(([name]) => name)).toEqual(['stem', 'blocks.0', 'blocks.1', 'heads.a', 'heads.deep.b.0'])
    expect(net.children()).toHaveLength(5)
  })

  test('parameters are tensors in shared memory', () => {
    const p = new nn.Parameter([[1, 2]])
    expect(p).toBeInstanceOf(Tensor)
    expect(p.storage.shared).toBe(true)
    expect(p.requiresGrad).toBe(true)
    expect(p.toArray()).toEqual([[1, 2]])
    const source = tensor([1, 2, 3]).expand([2, 3])
    const q = new nn.Parameter(source, { requiresGrad: false })
    expect(q.requiresGrad).toBe(false)
    expect(q.strides).toEqual([3, 1])
    expect(code(() => new nn.Parameter('x' as unknown as Tensor))).toBe('ERR_NOT_A_TENSOR')
    expect(code(() => new nn.Parameter(zeros([2], { dtype: 'int32' })))).toBe('ERR_GRAD_DTYPE')
  })
})

describe('printing', () => {
  test('a tree as in PyTorch', () => {
    const net = new nn.Sequential(
      new nn.Conv2d(1, 8, 3, { padding: 1, stride: [1, 2] }),
      new nn.Sequential(new nn.ReLU(), new nn.Dropout(0.2)),
    )
    const text =
      'Sequential(\n  (0): Conv2d(1, 8, 3, { stride: [1, 2], padding: 1 })\n  (1): Sequential(\n    (0): ReLU()\n    (1): Dropout(0.2)\n  )\n)'
    expect(String(net)).toBe(text)
    expect(inspect(net)).toBe(text)
  })

  test('every layer shows how it was made', () => {
    const shown = [
      new nn.Linear(2, 3, { bias: false }),
      new nn.Conv2d(2, 4, [3, 1], { padding: 'same', groups: 2, bias: false }),
      new nn.Conv1d(2, 4, 3, { padding: 1, paddingMode: 'circular' }),
      new nn.MaxPool2d(2, { stride: 1 }),
      new nn.AdaptiveAvgPool3d([1, null, 2]),
      new nn.AvgPool2d([2, 3]),
      new nn.BatchNorm1d(4, { momentum: null, affine: false }),
      new nn.Embedding(10, 4, { paddingIdx: -1 }),
      new nn.GELU({ approximate: 'tanh' }),
      new nn.Softmax(1),
      new nn.Flatten(),
      new nn.LeakyReLU(),
    ].map(String)
    expect(shown).toEqual([
      'Linear(2, 3, { bias: false })',
      "Conv2d(2, 4, [3, 1], { padding: 'same', groups: 2, bias: false })",
      "Conv1d(2, 4, 3, { padding: 1, paddingMode: 'circular' })",
      'MaxPool2d(2, { stride: 1 })',
      'AdaptiveAvgPool3d([1, null, 2])',
      'AvgPool2d([2, 3])',
      'BatchNorm1d(4, { momentum: null, affine: false })',
      'Embedding(10, 4, { paddingIdx: 9 })',
      "GELU({ approximate: 'tanh' })",
      'Softmax(1)',
      'Flatten()',
      'LeakyReLU(0.01)',
    ])
  })

  test('the summary counts shared parameters once', () => {
    expect(new nn.Sequential(new nn.Linear(784, 256), new nn.ReLU()).summary()).toBe(
      [
        'Name  Type              Shape                          Parameters',
        '─────────────────────────────────────────────────────────────────',
        '      Sequential',
        '0     Linear(784, 256)  weight [256, 784], bias [256]     200,960',
        '1     ReLU()',
        '─────────────────────────────────────────────────────────────────',
        'Parameters: 200,960, trainable: 200,960, in float32: 785.0 KiB',
      ].join('\n'),
    )
    expect(new Tied().summary()).toContain('Parameters: 20, trainable: 20')
  })
})
