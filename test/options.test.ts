/**
 * Options that nobody knows are refused by everything that takes some: a misspelt mask that is passed over in silence gives wrong numbers.
 * The callables come from the types, so that a new one joins by existing; where its other arguments cannot be guessed it wants a row in
 * support/samples.ts.
 */
import { describe, expect, it } from 'vitest'
import { showKind } from '../src/base/errors.js'
import { ArgumentError, allclose, batchNorm, ChainruleError, manualSeed, nn, ones, optim, rand, stft, sum, tensor } from '../src/index.js'
import { callableAt, sampleArguments } from './support/samples.js'
import { type Callable, type OptionsPlace, publicSurface } from './support/surface.js'

/** Objects with names that are no options. */
const elsewhere = (path: string, { names }: OptionsPlace): boolean =>
  // options of JavaScript's own `Error`
  /Error$/.test(path) ||
  // data as such: an array and its shape, a state that was handed out before, what a file held, a user's data set or loader
  ['data', 'batch', 'state', 'tensors'].some((name) => names.includes(name))

/** The sample's arguments with one more name in the options at a place. */
function withOption(path: string, { argument, within }: OptionsPlace, name: string): unknown[] {
  const given = sampleArguments(path) ?? []
  const args = Array.from({ length: Math.max(given.length, argument + 1) }, (_, i) =>
    i < given.length ? given[i] : i < argument ? tensor([1, 2, 3, 4]) : undefined,
  )
  const insert = (into: unknown, [first, ...rest]: readonly (string | number)[]): unknown => {
    if (first === undefined) return { ...(into as object | undefined), [name]: 1 }
    if (Array.isArray(into)) return into.map((part, i) => (i === first ? insert(part, rest) : part))
    return { ...(into as object), [first]: insert((into as Record<string, unknown> | undefined)?.[first], rest) }
  }
  args[argument] = insert(args[argument], within)
  return args
}

/** What a call throws, or what the promise it gives is rejected with. */
async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    await call()
    return undefined
  } catch (error) {
    return error
  }
}

const surface = publicSurface()
const places = surface.flatMap((callable) => callable.options.map((place) => ({ callable, place })))
const tested = places.filter(({ callable, place }) => !elsewhere(callable.path, place))
const nameOf = ({ path }: Callable, { argument, within }: OptionsPlace): string => `${path}, argument ${[argument, ...within].join('.')}`

describe('options that nobody knows', () => {
  it('are looked for everywhere', () => {
    expect(surface.length).toBeGreaterThan(900)
    expect(tested.length).toBeGreaterThan(380)
    expect(places.map(({ callable }) => callable.path)).toEqual(
      expect.arrayContaining(['Tensor.sum', 'nn.TransformerEncoder.forward', 'optim.Adam', 'fit', 'saveCheckpoint', 'mlp', 'batchNorm']),
    )
  })

  it.each(tested.map(({ callable, place }) => [nameOf(callable, place), callable, place] as const))('%s', async (_, callable, place) => {
    const call = callableAt(callable.path, callable.kind)
    const error = await errorOf(() => call(...withOption(callable.path, place, 'nonsense')))
    expect(error).toBeInstanceOf(ArgumentError)
    expect(error).toMatchObject({ code: 'ERR_OPTIONS', message: expect.stringContaining("unknown option 'nonsense'") })
    // the names of the types are the names that are known
    for (const name of place.names) expect((error as Error).message).toContain(name)
  })
})

describe('what is no options object', () => {
  const whole = tested.filter(({ place }) => place.within.length === 0)
  it.each(whole.map(({ callable, place }) => [nameOf(callable, place), callable, place] as const))('%s', async (_, callable, place) => {
    const call = callableAt(callable.path, callable.kind)
    for (const stranger of [null, 'sum', true, 1n, Symbol('options'), new Map([['dim', 0]]), Promise.resolve({})]) {
      const args = withOption(callable.path, place, 'nonsense')
      args[place.argument] = stranger
      expect(await errorOf(() => call(...args)), showKind(stranger)).toBeInstanceOf(ChainruleError)
    }
  })
})

describe('the remedy', () => {
  const encoder = new nn.TransformerEncoder(new nn.TransformerEncoderLayer(4, 2, { dimFeedforward: 4 }), 1)
  const x = tensor([1, 2, 3, 4])
  const sequence = ones([3, 1, 4])
  const loosely = (options: object): never => options as never

  it.each([
    ['PyTorch’s spelling', () => sum(x, loosely({ keep_dim: true })), 'Known: dim, keepdim. Did you mean keepdim?'],
    ['snake case', () => new nn.LSTM(4, 4, loosely({ batch_first: true })), 'Write batchFirst.'],
    ['a letter', () => new optim.SGD([x], loosely({ momentun: 0.9 })), 'Did you mean momentum?'],
    ['a beginning', () => stft(ones([16]), 8, loosely({ hop: 2 })), 'Did you mean hopLength?'],
    ['another form', () => batchNorm(ones([2, 2]), loosely({ train: true })), 'Did you mean training?'],
    ['the name of another place', () => encoder.forward(sequence, loosely({ srcMask: ones([3, 3]) })), 'Did you mean mask?'],
    ['and back', () => encoder.layers[0].forward(sequence, loosely({ mask: ones([3, 3]) })), 'Did you mean srcMask?'],
    ['of two', () => new nn.MultiheadAttention(4, 2).forward(sequence, sequence, sequence, loosely({ mask: x })), 'Did you mean attnMask?'],
    ['nothing near', () => sum(x, loosely({ colour: 1 })), /Known: dim, keepdim\.$/],
  ])('%s', (_, call, remedy) => {
    expect(call).toThrow(remedy)
  })
})

describe('PyTorch’s names, which differ by place', () => {
  manualSeed(1)
  const causal = nn.Transformer.generateSquareSubsequentMask(3)
  const sequence = rand([3, 1, 4])
  const layer = new nn.TransformerEncoderLayer(4, 2, { dimFeedforward: 4, dropout: 0 })

  it('mask of an encoder, srcMask of its layers', () => {
    const encoder = new nn.TransformerEncoder(layer, 2)
    const masked = encoder.forward(sequence, { mask: causal })
    expect(allclose(masked, encoder.forward(sequence, { isCausal: true }), { atol: 1e-6 })).toBe(true)
    expect(allclose(masked, encoder.forward(sequence), { atol: 1e-4 })).toBe(false)
    const bySteps = encoder.layers[1].forward(encoder.layers[0].forward(sequence, { srcMask: causal }), { srcMask: causal })
    expect(allclose(masked, bySteps, { atol: 1e-6 })).toBe(true)
  })

  it('srcMask of a whole transformer', () => {
    manualSeed(2)
    const transformer = new nn.Transformer(4, 2, { numEncoderLayers: 1, numDecoderLayers: 1, dimFeedforward: 4, dropout: 0 })
    const masked = transformer.forward(sequence, sequence, { srcMask: causal })
    expect(allclose(masked, transformer.forward(sequence, sequence, { srcIsCausal: true }), { atol: 1e-6 })).toBe(true)
    expect(allclose(masked, transformer.forward(sequence, sequence), { atol: 1e-4 })).toBe(false)
  })
})
