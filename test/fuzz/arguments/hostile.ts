/** Values that nobody should pass, or that only look as if they fitted. Out: by name, what makes each afresh; the functions are their own text. */
import { runInNewContext } from 'node:vm'
import * as cr from '../../../src/index.js'
import { tensor } from '../../../src/index.js'

/** What callbacks, getters and traps of the catalogue throw: it has to come through as it is. */
export class OwnError extends Error {}

const thrown = (): never => {
  throw new OwnError('from the callback of the user')
}

function nested(levels: number): unknown {
  let inner: unknown = 1
  for (let i = 0; i < levels; i++) inner = [inner]
  return inner
}

/** An object in objects. */
function nestedObject(levels: number): unknown {
  let inner: unknown = {}
  for (let i = 0; i < levels; i++) inner = { dim: inner, params: inner }
  return inner
}

function cyclic(): unknown[] {
  const list: unknown[] = []
  list.push(list)
  return list
}

/** A typed array whose memory went to somebody else. */
function detached<T extends ArrayBufferView>(array: T): T {
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] })
  return array
}

/** A tensor on such memory. */
function detachedTensor(dtype: 'float32' | 'int32' = 'float32'): cr.Tensor {
  const array = dtype === 'int32' ? new Int32Array([1, 0]) : new Float32Array([1, 2])
  const t = cr.fromBuffer(array)
  detached(array)
  return t
}

function disposed(t: cr.Tensor): cr.Tensor {
  t.dispose()
  return t
}

const elsewhere = (code: string): unknown => runInNewContext(code)

const getters = (names: readonly string[]): object =>
  Object.defineProperties({}, Object.fromEntries(names.map((name) => [name, { get: thrown, enumerable: true }])))

/** A proxy each of whose traps throws. */
function hedgehog(target: object): object {
  const traps = ['get', 'has', 'ownKeys', 'getOwnPropertyDescriptor', 'getPrototypeOf', 'set', 'apply', 'construct', 'defineProperty']
  return new Proxy(target, Object.fromEntries(traps.map((trap) => [trap, thrown])))
}

const matrix = (): cr.Tensor =>
  tensor([
    [1, 2],
    [3, 4],
  ])

/** Numbers too large to count to stand here from 2^31 on: what is less may be meant. */
export const hostile: Readonly<Record<string, () => unknown>> = {
  undefined: () => undefined,
  null: () => null,
  true: () => true,
  false: () => false,
  zero: () => 0,
  'minus zero': () => -0,
  one: () => 1,
  two: () => 2,
  NaN: () => Number.NaN,
  infinity: () => Number.POSITIVE_INFINITY,
  'minus infinity': () => Number.NEGATIVE_INFINITY,
  'minus one': () => -1,
  'minus seven': () => -7,
  half: () => 0.5,
  tiny: () => 5e-324,
  '2**31': () => 2 ** 31,
  '-(2**31)': () => -(2 ** 31),
  '2**32': () => 2 ** 32,
  '2**53': () => 2 ** 53,
  '1e300': () => 1e300,
  string: () => 'x',
  'number in a string': () => '1',
  'empty string': () => '',
  'long string': () => 'abcdefgh'.repeat(100_000),
  __proto__name: () => '__proto__',
  constructor_name: () => 'constructor',
  'NUL in a string': () => 'a\0b',
  'lone surrogate': () => '\ud800',
  symbol: () => Symbol('s'),
  'symbol iterator': () => Symbol.iterator,
  bigint: () => 1n,
  'large bigint': () => 2n ** 64n,
  'boxed number': () => Object(1),
  'boxed string': () => Object('x'),
  'boxed symbol': () => Object(Symbol('s')),
  function: () => () => 1,
  'identity function': () => (x: unknown) => x,
  'async function': () => async () => 1,
  'async throwing function': () => async () => thrown(),
  'generator function': () =>
    function* () {
      yield 1
    },
  'throwing function': () => thrown,
  'function giving null': () => () => null,
  'function giving a symbol': () => () => Symbol('s'),
  'function giving a bare object': () => () => Object.create(null),
  class: () => class Anything {},
  object: () => ({}),
  'bare object': () => Object.create(null),
  'bare object in an array': () => [Object.create(null)],
  'frozen object': () => Object.freeze({ x: 1 }),
  'unknown option': () => ({ nonsense: 1 }),
  'symbol key': () => ({ [Symbol('s')]: 1 }),
  'object with a null prototype name': () => JSON.parse('{"__proto__": 1}'),
  'object with throwing getters': () =>
    getters(['dim', 'dtype', 'shape', 'data', 'params', 'lr', 'out', 'length', 'size', 'reduction', 'then', 'name']),
  'object that cannot become text': () => ({ toString: thrown, valueOf: thrown, [Symbol.toPrimitive]: thrown }),
  'object without text': () => ({ toString: () => ({}), valueOf: () => ({}) }),
  'array-like': () => ({ length: 2, 0: 1, 1: 2 }),
  'array-like of 2**31': () => ({ length: 2 ** 31 }),
  'endless iterable': () => ({ [Symbol.iterator]: () => ({ next: thrown }) }),
  'iterable without next': () => ({ [Symbol.iterator]: () => ({}) }),
  'iterable that is none': () => ({ [Symbol.iterator]: 1 }),
  'iterable of symbols': () => new Set([Symbol('s')]),
  // biome-ignore lint/suspicious/noThenProperty: what awaits it is the library
  thenable: () => ({ then: (done: unknown) => typeof done === 'function' && done(1) }),
  proxy: () => new Proxy({}, { get: () => undefined }),
  'proxy of an array': () => new Proxy([1, 2], {}),
  'proxy of a tensor': () => new Proxy(tensor([1, 2]), {}),
  'proxy of a function': () => new Proxy(() => 1, {}),
  'throwing proxy': () => hedgehog({}),
  'throwing proxy of an array': () => hedgehog([1]),
  'throwing proxy of a function': () => hedgehog(() => 1),
  'empty array': () => [],
  'array of strings': () => ['a', 'b'],
  'array of null': () => [null],
  'array of undefined': () => [undefined, undefined],
  'array of symbols': () => [Symbol('s')],
  'array of bigint': () => [1n],
  'array of functions': () => [() => 1],
  'array of objects': () => [{}],
  'array of NaN': () => [Number.NaN],
  '[-1]': () => [-1],
  '[0]': () => [0],
  '[0.5]': () => [0.5],
  '[1, 1]': () => [1, 1],
  '[2**31]': () => [2 ** 31],
  '[2**53]': () => [2 ** 53],
  '[65536, 65536]': () => [65536, 65536],
  'array of 9': () => [1, 1, 1, 1, 1, 1, 1, 1, 1],
  'array of 10,000': () => new Array(10_000).fill(1),
  'array of 200,000': () => new Array(200_000).fill(1),
  'array of 200,000 objects': () => Array.from({ length: 200_000 }, () => ({})),
  'sparse array': () => new Array(3),
  // not of 2**31: what walks over a list takes as long as the list is, as JavaScript's own methods do
  'sparse array of 2**20': () => new Array(2 ** 20),
  ragged: () => [[1], [1, 2]],
  'ragged deeper': () => [
    [1, 2],
    [1, [2]],
  ],
  cyclic,
  'cyclic object': () => {
    const o: Record<string, unknown> = { dim: 0 }
    o.params = o
    o.dim = o
    return o
  },
  'nested 100 deep': () => nested(100),
  'nested 10,000 deep': () => nested(10_000),
  'array of arrays 10,000 deep': () => [nested(10_000), nested(10_000)],
  'objects 10,000 deep': () => nestedObject(10_000),
  'array with throwing getter': () => Object.defineProperty([1, 2], 0, { get: thrown, enumerable: true }),
  date: () => new Date(0),
  'invalid date': () => new Date(Number.NaN),
  regexp: () => /x/g,
  error: () => new Error('x'),
  map: () => new Map(),
  'map of symbols': () => new Map([[Symbol('s'), Symbol('t')]]),
  set: () => new Set([1]),
  weakmap: () => new WeakMap(),
  promise: () => Promise.resolve(1),
  'rejected promise': () => {
    const p = Promise.reject(new OwnError('from the promise of the user'))
    p.catch(() => {})
    return p
  },
  'never settled': () => new Promise(() => {}),
  url: () => new URL('http://localhost/'),
  Float32Array: () => Float32Array.of(1, 2),
  Float64Array: () => Float64Array.of(1, Number.NaN),
  Int32Array: () => Int32Array.of(1, -1),
  Uint8Array: () => Uint8Array.of(1, 255),
  Uint8ClampedArray: () => Uint8ClampedArray.of(1, 255),
  Int8Array: () => Int8Array.of(1, -1),
  Uint16Array: () => Uint16Array.of(1),
  BigInt64Array: () => new BigInt64Array(1),
  Buffer: () => Buffer.from([1, 2, 3]),
  'empty Float32Array': () => new Float32Array(0),
  DataView: () => new DataView(new ArrayBuffer(4)),
  ArrayBuffer: () => new ArrayBuffer(4),
  SharedArrayBuffer: () => new SharedArrayBuffer(8),
  'Float32Array, shared': () => new Float32Array(new SharedArrayBuffer(8)),
  'Float32Array, detached': () => detached(Float32Array.of(1, 2)),
  'Int32Array, detached': () => detached(Int32Array.of(1, 0)),
  'Uint8Array, detached': () => detached(Uint8Array.of(1, 0)),
  'ArrayBuffer, detached': () => detached(new Uint8Array(4)).buffer,
  'array of a detached Float32Array': () => [detached(Float32Array.of(1, 2))],
  'data, detached': () => ({ data: detached(Float32Array.of(1, 2)), shape: [2], dtype: 'float32' }),
  'Float32Array with another constructor': () => Object.defineProperty(Float32Array.of(1, 2), 'constructor', { value: undefined }),
  'Float32Array of another length': () => Object.defineProperty(Float32Array.of(1, 2), 'length', { value: 2 ** 31 }),
  'Float32Array elsewhere': () => elsewhere('Float32Array.of(1, 2)'),
  'Int32Array elsewhere': () => elsewhere('Int32Array.of(1, 0)'),
  'Uint8Array elsewhere': () => elsewhere('Uint8Array.of(1, 0)'),
  'BigInt64Array elsewhere': () => elsewhere('new BigInt64Array(1)'),
  'array elsewhere': () => elsewhere('[1, 2]'),
  'object elsewhere': () => elsewhere('({})'),
  'map elsewhere': () => elsewhere('new Map()'),
  'promise elsewhere': () => elsewhere('Promise.resolve(1)'),
  'data of another shape': () => ({ data: Float32Array.of(1, 2), shape: [3], dtype: 'float32' }),
  'data of odd shape': () => ({ data: Float32Array.of(1, 2), shape: [Symbol('s')], dtype: 'float32' }),
  'data of odd dtype': () => ({ data: Float32Array.of(1, 2), shape: [2], dtype: Symbol('s') }),
  'data that is none': () => ({ data: 'x', shape: 'y' }),
  tensors: () => cr,
  scalar: () => tensor(1),
  'empty tensor': () => tensor([]),
  vector: () => tensor([1, 2]),
  'tensor of NaN': () => tensor([Number.NaN, Number.NaN]),
  'tensor of infinities': () => tensor([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]),
  matrix,
  'no rows': () => cr.zeros([0, 2]),
  'no columns': () => cr.zeros([2, 0]),
  ints: () => tensor([1, 0], { dtype: 'int32' }),
  'negative ints': () => tensor([-1, -2], { dtype: 'int32' }),
  'large ints': () => tensor([2147483647, -2147483648], { dtype: 'int32' }),
  bytes: () => tensor([1, 255], { dtype: 'uint8' }),
  bools: () => tensor([true, false]),
  double: () => tensor([1, 2], { dtype: 'float64' }),
  image: () => cr.zeros([1, 2, 3, 3]),
  'eight dimensions': () => cr.zeros([1, 1, 1, 1, 1, 1, 1, 2]),
  transposed: () => matrix().transpose(),
  leaf: () => tensor([1, 2], { requiresGrad: true }),
  'result with a gradient': () => tensor([1, 2], { requiresGrad: true }).mul(2),
  'disposed tensor': () => disposed(tensor([1, 2])),
  'disposed leaf': () => disposed(tensor([1, 2], { requiresGrad: true })),
  'detached tensor': () => detachedTensor(),
  'detached ints': () => detachedTensor('int32'),
  'detached leaf': () => {
    const t = detachedTensor()
    t.requiresGrad = true
    return t
  },
  'a disposed tensor in an array': () => [disposed(tensor([1, 2]))],
  'the class of tensors': () => cr.Tensor,
  layer: () => new cr.nn.Linear(2, 2),
  'layer class': () => cr.nn.Linear,
  optimizer: () => new cr.optim.SGD([tensor([1, 2], { requiresGrad: true })], { lr: 0.1 }),
  'group without params': () => [{ params: undefined }],
  'group of symbols': () => [{ params: [Symbol('s')] }],
}
