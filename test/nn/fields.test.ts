/**
 * What compiled code keeps of modules: nothing. Fields, methods, layers and parameters that were read through modules are compared at each call, and
 * `predict`, compiled functions and `fit` give what `forward` gives now.
 */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { compile, fit, losses, nn, noGrad, optim, StateError, type Tensor, tensor, zeros } from '../../src/index.js'
import { onJs } from '../support/backends.js'

const values = (t: Tensor): unknown => t.toArray()
const x = tensor([[2, -3]])

/** Everything that forward can read. */
class Net extends nn.Module {
  temperature = 1
  logits = true
  kind = 'plain'
  bound: number | null = null
  scales: number[] = [1, 2]
  config: { gain: number; steps: { bias: number }[]; extra?: number } = { gain: 1, steps: [{ bias: 0 }] }
  table = new Map([['a', 1]])
  chosen = new Set([1])
  typed = Float32Array.of(1)
  act: nn.Module & { forward(x: Tensor): Tensor; negativeSlope?: number } = new nn.LeakyReLU(0.5)
  blocks = [new nn.Linear(2, 2)]
  shift = new nn.Parameter([0.25, 0.5])
  missing?: number
  // nobody reads these in forward
  calls = 0
  memory: unknown[] = []
  #hidden = 1

  constructor() {
    super()
    this.blocks[0].loadStateDict({
      weight: tensor([
        [1, 0],
        [0, 1],
      ]),
      bias: zeros([2]),
    })
    delete this.missing
  }

  get factor(): number {
    return this.temperature * 2
  }

  post(y: Tensor): Tensor {
    return y
  }

  forward(input: Tensor): Tensor {
    let y = this.act.forward(this.blocks[0].forward(input)).div(this.factor).add(this.shift)
    if (this.bound !== null) y = y.clamp(-this.bound, this.bound)
    y = y
      .mul(this.scales[1])
      .mul(this.config.gain)
      .add(this.config.steps[0].bias)
      .mul(this.table.get('a') ?? 7)
      .mul(this.typed[0])
    if (this.chosen.has(2)) y = y.add(100)
    if (this.missing !== undefined) y = y.add(this.missing)
    if (this.kind !== 'plain') y = y.neg()
    return this.post(this.logits ? y : y.softmax(1)).mul(this.#hidden)
  }
}

const changes: Record<string, (net: Net) => void> = {
  'a number': (net) => void (net.temperature = 3),
  'a flag': (net) => void (net.logits = false),
  'a string': (net) => void (net.kind = 'other'),
  'null to a number': (net) => void (net.bound = 0.5),
  'an element of an array': (net) => void (net.scales[1] = 5),
  'another array': (net) => void (net.scales = [0, 9]),
  'a field of a plain object': (net) => void (net.config.gain = 2),
  'a field deep in plain objects': (net) => void (net.config.steps[0].bias = 2),
  'an entry of a map': (net) => void net.table.set('a', 4),
  'a member of a set': (net) => void net.chosen.add(2),
  'an element of a typed array': (net) => void (net.typed[0] = 3),
  'a field of a layer': (net) => void (net.act.negativeSlope = 0.125),
  'another layer': (net) => void (net.act = new nn.ReLU()),
  'another layer in an array': (net) => void (net.blocks[0] = new nn.Linear(2, 2)),
  'a parameter': (net) => void (net.shift = new nn.Parameter([9, 9])),
  'a parameter of a layer': (net) => void (net.blocks[0].weight = new nn.Parameter(zeros([2, 2]))),
  'a field that was not there': (net) => void (net.missing = 6),
  'a method of the instance': (net) => void (net.post = (y) => y.add(1000)),
  'forward of the instance': (net) => {
    const before = net.forward.bind(net)
    net.forward = (input) => before(input).add(2000)
  },
  'forward of a layer': (net) => void (net.act.forward = (input: Tensor) => input.mul(3)),
  'a property instead of a field': (net) => void Object.defineProperty(net, 'temperature', { get: () => 11, configurable: true }),
}

type Way = readonly [string, (net: Net) => (input: Tensor) => Tensor | Promise<Tensor>]
const ways: Way[] = [
  ['predict', (net) => (input) => net.predict(input)],
  ['compile', (net) => compile((input: Tensor) => noGrad(() => net.forward(input)))],
  ['compile, sync', (net) => compile((input: Tensor) => noGrad(() => net.forward(input))).sync],
  ['compile, by another method', (net) => compile((input: Tensor) => noGrad(() => net.post(input).mul(0).add(net.forward(input)))).sync],
]

const environment = process.env.NODE_ENV
afterEach(() => {
  process.env.NODE_ENV = environment
  vi.restoreAllMocks()
})

describe.each(['development', 'production'])('what forward reads is seen at each call, in %s', (mode) => {
  describe.each(ways)('%s', (_, way) => {
    test.each(Object.keys(changes))('%s', async (name) => {
      process.env.NODE_ENV = mode
      for (const run of [<T>(fn: () => T) => fn(), onJs]) {
        const net = new Net()
        const call = run(() => way(net))
        const first = run(() => noGrad(() => net.forward(x)))
        expect(values(await run(() => call(x)))).toEqual(values(first))
        changes[name](net)
        const second = run(() => noGrad(() => net.forward(x)))
        expect(values(second)).not.toEqual(values(first))
        for (let i = 0; i < 2; i++) expect(values(await run(() => call(x)))).toEqual(values(second))
      }
    })
  })

  test('what is there again is not traced again, and what nobody reads does not matter', () => {
    process.env.NODE_ENV = mode
    const net = new Net()
    const f = compile((input: Tensor) => net.forward(input))
    const at = (temperature: number): unknown => {
      net.temperature = temperature
      net.calls++
      net.memory.push({ state: [1, 2, 3] })
      return values(f.sync(x))
    }
    const [one, two] = [at(1), at(2)]
    expect(one).not.toEqual(two)
    // in production the first call did not know the module before it ran, and guarded more
    const variants = f.variants
    expect(variants).toBeLessThanOrEqual(mode === 'production' ? 3 : 2)
    expect([at(1), at(2), at(1), at(2), at(2), at(1)]).toEqual([one, two, one, two, two, one])
    expect(f.variants).toBeLessThanOrEqual(mode === 'production' ? 3 : 2)
  })

  test('fields read from outside, before the first method runs and after', () => {
    process.env.NODE_ENV = mode
    const net = new Net()
    const before = compile((input: Tensor) => net.forward(input.mul(net.config.gain).mul(net.temperature)))
    const after = compile((input: Tensor) => net.forward(input).mul(net.calls))
    net.calls = 2
    for (const f of [before, after]) f.sync(x)
    net.config.gain = 3
    net.temperature = 5
    net.calls = 4
    expect(values(before.sync(x))).toEqual(values(net.forward(x.mul(15))))
    expect(values(after.sync(x))).toEqual(values(net.forward(x).mul(4)))
  })
})

describe('modules are left as they were', () => {
  const shape = (module: nn.Module): unknown => Reflect.ownKeys(module).map((key) => [key, Object.getOwnPropertyDescriptor(module, key)])

  test('after a trace, and after one that failed', async () => {
    const net = new Net()
    const before = [shape(net), Object.getPrototypeOf(net), Object.getOwnPropertyDescriptors(Net.prototype)]
    const now = (): unknown => [shape(net), Object.getPrototypeOf(net), Object.getOwnPropertyDescriptors(Net.prototype)]
    await net.predict(x)
    expect(now()).toEqual(before)
    const broken = compile((input: Tensor) => {
      net.forward(input)
      throw new Error('in the middle')
    })
    expect(() => broken.sync(x)).toThrow('in the middle')
    expect(now()).toEqual(before)
    expect(Object.getPrototypeOf(net)).toBe(Net.prototype)
    expect(net.act).toBeInstanceOf(nn.LeakyReLU)
  })

  test('while one goes on a module is what it is: identity, instanceof, names, keys, printing', async () => {
    class Curious extends Net {
      override forward(input: Tensor): Tensor {
        expect(this).toBe(curious)
        expect(this instanceof Curious && this instanceof Net && this instanceof nn.Module).toBe(true)
        expect(this.constructor).toBe(Curious)
        expect(Object.keys(this)).toEqual(keys)
        expect('temperature' in this && !('nothing' in this)).toBe(true)
        expect(String(this)).toBe(printed)
        expect(this.namedParameters().map(([name]) => name)).toEqual(['shift', 'blocks.0.weight', 'blocks.0.bias'])
        return super.forward(input)
      }
    }
    const curious = new Curious()
    const keys = Object.keys(curious)
    const printed = String(curious)
    const wanted = noGrad(() => curious.forward(x))
    expect(values(await curious.predict(x))).toEqual(values(wanted))
  })

  test('frozen, sealed and non-extensible ones', async () => {
    for (const close of [Object.freeze, Object.seal, Object.preventExtensions]) {
      const net = new Net()
      close(net)
      await net.predict(x)
      net.act.negativeSlope = 0.125
      net.config.gain = 2
      if (close !== Object.freeze) net.temperature = 2
      expect(values(await net.predict(x))).toEqual(values(noGrad(() => net.forward(x))))
    }
  })

  test('what forward writes is written', () => {
    class Writer extends nn.Module {
      seen: readonly number[] = []
      #own = 0
      fresh?: string
      forward(input: Tensor): Tensor {
        this.seen = input.shape
        this.#own++
        this.fresh = 'yes'
        return input.mul(2)
      }
      get own(): number {
        return this.#own
      }
    }
    const writer = new Writer()
    compile((input: Tensor) => writer.forward(input)).sync(x)
    expect([writer.seen, writer.fresh]).toEqual([[1, 2], 'yes'])
    expect(writer.own).toBeGreaterThan(0)
  })
})

describe('what a function itself changes', () => {
  test('counting is said once, and does not trace each call again', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    class Counts extends nn.Module {
      calls = 0
      forward(input: Tensor): Tensor {
        this.calls++
        return input.mul(2)
      }
    }
    const net = new Counts()
    const f = compile((input: Tensor) => net.forward(input))
    for (let i = 0; i < 3; i++) f.sync(x)
    expect(f.variants).toBe(1)
    expect(warn.mock.calls.map(([message]) => message)).toEqual([
      expect.stringMatching(/Counts\.calls is read and changed.*registerBuffer/),
    ])
    class Scales extends nn.Module {
      calls = 1
      forward(input: Tensor): Tensor {
        return input.mul(this.calls++)
      }
    }
    const scales = new Scales()
    expect(() => compile((input: Tensor) => scales.forward(input)).sync(x)).toThrow(/a number is 1 the first time and 2 the second/)
  })

  test.each(['development', 'production'])('state kept in a field is refused, in %s', (mode) => {
    process.env.NODE_ENV = mode
    class Remembers extends nn.Module {
      state: Tensor = zeros([1, 2])
      forward(input: Tensor): Tensor {
        this.state = this.state.add(input)
        return this.state
      }
    }
    const net = new Remembers()
    const f = compile((input: Tensor) => net.forward(input))
    expect(() => f.sync(x)).toThrow(StateError)
    net.state = zeros([1, 2])
    expect(() => f.sync(x)).toThrow(/Remembers\.state is read and then set to a new tensor.*registerBuffer/)
  })
})

test('fit sees what changes between epochs', async () => {
  class Scaled extends nn.Module {
    factor = 1
    readonly linear = new nn.Linear(1, 1, { bias: false })
    forward(input: Tensor): Tensor {
      return this.linear.forward(input).mul(this.factor)
    }
  }
  const model = new Scaled()
  model.linear.loadStateDict({ weight: tensor([[1]]) })
  const data = [tensor([[1]]), tensor([[0]])] as const
  const seen: number[] = []
  const optimizer = new optim.SGD(model.parameters(), { lr: 0 })
  for await (const { loss } of fit(model, data, { loss: losses.mseLoss, optimizer, epochs: 3, progress: false })) {
    seen.push(loss)
    model.factor++
  }
  expect(seen).toEqual([1, 4, 9])
})
