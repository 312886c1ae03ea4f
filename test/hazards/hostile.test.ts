/** Arguments nobody should pass: every public function answers with a typed error, or with a result, and never with a mistake from inside. */
import { afterEach, describe, expect, it } from 'vitest'
import { withBackend } from '../../src/backend/select.js'
import * as cr from '../../src/index.js'
import { ChainruleError, Tensor, tensor } from '../../src/index.js'
import { backends } from '../support/backends.js'

const cyclic: unknown[] = []
cyclic.push(cyclic)
const throwing = new Proxy({}, { get: () => undefined })

/** By name, for messages. */
const strangers: Record<string, unknown> = {
  undefined: undefined,
  null: null,
  true: true,
  NaN: Number.NaN,
  '-1': -1,
  '0.5': 0.5,
  '2^31': 2 ** 31,
  '1e300': 1e300,
  Infinity: Number.POSITIVE_INFINITY,
  string: 'x',
  'empty string': '',
  symbol: Symbol('s'),
  bigint: 1n,
  function: () => 1,
  'async function': async () => 1,
  object: {},
  'bare object': Object.create(null),
  proxy: throwing,
  'empty array': [],
  'array of strings': ['a'],
  'array of null': [null],
  '[-1]': [-1],
  '[0.5]': [0.5],
  '[2^31]': [2 ** 31],
  '[65536, 65536]': [65536, 65536],
  'array of 9': [1, 1, 1, 1, 1, 1, 1, 1, 1],
  ragged: [[1], [1, 2]],
  cyclic,
  date: new Date(0),
  map: new Map(),
  BigInt64Array: new BigInt64Array(1),
  DataView: new DataView(new ArrayBuffer(4)),
  ArrayBuffer: new ArrayBuffer(4),
}

const tensors: Record<string, () => Tensor> = {
  vector: () => tensor([1, 2]),
  matrix: () =>
    tensor([
      [1, 2],
      [3, 4],
    ]),
  empty: () => tensor([]),
  scalar: () => tensor(1),
  ints: () => tensor([1, 0], { dtype: 'int32' }),
  bools: () => tensor([true, false]),
  double: () => tensor([1, 2], { dtype: 'float64' }),
  image: () => cr.zeros([1, 2, 3, 3]),
}

/** What may need a file, the network, a terminal or a long time, and is tested elsewhere. */
const elsewhere = /^(fit|load|save|read|write|datasets|installMethods)/

type Anything = (...args: unknown[]) => unknown

const problems: string[] = []

function attempt(what: string, call: () => unknown): void {
  try {
    const result = call()
    if (result instanceof Promise) result.catch((e) => note(what, e))
  } catch (e) {
    note(what, e)
  }
}

function note(what: string, error: unknown): void {
  if (error instanceof ChainruleError && typeof error.code === 'string' && error.message.length > 10) return
  const text = error instanceof Error ? (error.stack ?? '').split('\n').slice(0, 3).join(' | ') : String(error)
  problems.push(`${what}: ${text}`)
}

/** Calls with each stranger at each place, the others being tensors that could fit. */
function attack(name: string, call: Anything, before: readonly unknown[] = []): void {
  attempt(`${name}()`, () => call(...before))
  for (const [s, stranger] of Object.entries(strangers)) {
    attempt(`${name}(${s})`, () => call(...before, stranger))
    attempt(`${name}(${s}, ${s})`, () => call(...before, stranger, stranger))
    for (const [t, make] of Object.entries(tensors)) {
      attempt(`${name}(${t}, ${s})`, () => call(...before, make(), stranger))
      if (t === 'matrix' || t === 'image') attempt(`${name}(${t}, ${t}, ${s})`, () => call(...before, make(), make(), stranger))
    }
    attempt(`${name}(vector, 0, ${s})`, () => call(...before, tensor([1, 2]), 0, stranger))
  }
  for (const [t, make] of Object.entries(tensors))
    for (const [u, other] of Object.entries(tensors)) attempt(`${name}(${t}, ${u})`, () => call(...before, make(), other()))
}

const isClass = (f: unknown): boolean => typeof f === 'function' && /^class\b/.test(Function.prototype.toString.call(f))

function targets(prefix: string, from: Record<string, unknown>): [string, Anything][] {
  return Object.entries(from).flatMap(([name, value]): [string, Anything][] => {
    if (elsewhere.test(name)) return []
    if (isClass(value)) {
      const Class = value as new (...args: unknown[]) => unknown
      // parameters that are left out are undefined: one call stands for all of these, since the usual nn.Transformer alone takes 176 MB
      const make: Anything = (...args) => (args.length > 0 && args.every((a) => a === undefined) ? undefined : new Class(...args))
      return Class === (Tensor as unknown) || Class.prototype instanceof Error || name.endsWith('Error')
        ? []
        : [[`new ${prefix}${name}`, make]]
    }
    if (typeof value === 'function') return [[`${prefix}${name}`, value as Anything]]
    if (typeof value === 'object' && value !== null && prefix.length < 12)
      return targets(`${prefix}${name}.`, value as Record<string, unknown>)
    return []
  })
}

const methods = Object.getOwnPropertyNames(Tensor.prototype).filter((m) => {
  const { value } = Object.getOwnPropertyDescriptor(Tensor.prototype, m) as PropertyDescriptor
  return typeof value === 'function' && m !== 'constructor' && m !== 'dispose'
})

// `true` is a good argument for it
afterEach(() => cr.anomaly(false))

describe.each(backends)('hostile arguments on %s', (which) => {
  it.each(targets('', cr))('%s', async (name, call) => {
    problems.length = 0
    await withBackend(which, async () => {
      attack(name, call)
      await new Promise((resolve) => setTimeout(resolve, 1))
    })
    expect(problems.length, `${problems.length} in all, such as\n${[...new Set(problems)].slice(0, 8).join('\n')}`).toBe(0)
  })

  it.each(methods)('tensor.%s', (method) => {
    problems.length = 0
    withBackend(which, () => {
      for (const [t, make] of Object.entries(tensors)) {
        const call = (...args: unknown[]): unknown => (make() as unknown as Record<string, Anything>)[method](...args)
        attempt(`${t}.${method}()`, () => call())
        for (const [s, stranger] of Object.entries(strangers)) {
          attempt(`${t}.${method}(${s})`, () => call(stranger))
          attempt(`${t}.${method}(0, ${s})`, () => call(0, stranger))
          attempt(`${t}.${method}(vector, ${s})`, () => call(tensor([1, 2]), stranger))
        }
      }
    })
    expect(problems.length, `${problems.length} in all, such as\n${[...new Set(problems)].slice(0, 8).join('\n')}`).toBe(0)
  })
})

describe('shapes of 2^31 elements and more', () => {
  const wide = (): Tensor => cr.zeros([65536, 1])
  it.each([
    ['zeros', () => cr.zeros([65536, 32768])],
    ['empty', () => cr.empty([2 ** 31])],
    ['expand', () => wide().expand([65536, 65536])],
    ['add', () => cr.add(wide(), wide().transpose())],
    ['matmul', () => cr.matmul(wide(), wide().transpose())],
    ['pad', () => cr.pad(cr.zeros([1]), [2 ** 31, 0])],
    ['rand', () => cr.rand([2 ** 16, 2 ** 15])],
    ['eye', () => cr.eye(65536)],
    ['arange', () => cr.arange(2 ** 31)],
    ['linspace', () => cr.linspace(0, 1, 2 ** 31)],
    ['oneHot', () => cr.oneHot(cr.zeros([65536], { dtype: 'int32' }), 65536)],
    ['concat', () => cr.concat([wide().expand([65536, 20000]), wide().expand([65536, 20000])], 1)],
    ['indexSelect', () => cr.indexSelect(wide().expand([65536, 30000]), new Array(100000).fill(0))],
    ['where', () => cr.where(wide().eq(0), wide().transpose(), 0)],
  ] as [string, () => unknown][])('%s', (_name, call) => {
    expect(call).toThrow(ChainruleError)
    expect(call).toThrow(/more than 2147483647 elements/)
  })
})
