/**
 * Checkpoints for the fuzzer of files: a small training whose state is written by hand, with counters and a user's values. In: what there is beside the model.
 * Out: bytes, and a check that a refused file changed nothing.
 */
import { inspect, isDeepStrictEqual } from 'node:util'
import { serialize } from 'node:v8'
import { DataLoader, getRandomState, loadCheckpoint, manualSeed, nn, optim, setRandomState, type Tensor } from '../../../src/index.js'
import type { Storable } from '../../../src/io/values.js'
import { encodeValue } from '../../../src/io/values.js'
import type { Random } from '../frame/random.js'
import type { Fields } from './fields.js'
import type { Drawn } from './write.js'
import { writeSafetensors } from './write.js'

export interface Beside {
  readonly optimizer: 'none' | 'SGD' | 'Adam'
  readonly scheduler: 'none' | 'StepLR' | 'CosineAnnealingLR' | 'ReduceLROnPlateau'
  readonly loader: boolean
}

export const besides = {
  optimizer: ['none', 'SGD', 'Adam'],
  scheduler: ['none', 'StepLR', 'CosineAnnealingLR', 'ReduceLROnPlateau'],
} as const

interface Training {
  readonly model: nn.Linear
  readonly optimizer?: optim.Optimizer
  readonly scheduler?: optim.lrScheduler.StepLR | optim.lrScheduler.CosineAnnealingLR | optim.lrScheduler.ReduceLROnPlateau
  readonly loader?: DataLoader
}

function training({ optimizer: kind, scheduler: plan, loader: has }: Beside): Training {
  const model = new nn.Linear(3, 2)
  // a schedule needs one, whether it is saved or not
  const own =
    kind === 'Adam' ? new optim.Adam(model.parameters(), { lr: 0.1 }) : new optim.SGD(model.parameters(), { lr: 0.1, momentum: 0.5 })
  const scheduler =
    plan === 'StepLR'
      ? new optim.lrScheduler.StepLR(own, 2)
      : plan === 'CosineAnnealingLR'
        ? new optim.lrScheduler.CosineAnnealingLR(own, 7)
        : plan === 'none'
          ? undefined
          : new optim.lrScheduler.ReduceLROnPlateau(own)
  const rows = { data: new Float32Array(12), shape: [4, 3], dtype: 'float32' } as const
  const loader = has
    ? new DataLoader([rows, { data: new Float32Array(4), shape: [4], dtype: 'float32' }] as const, { batchSize: 2 })
    : undefined
  return { model, optimizer: kind === 'none' ? undefined : own, scheduler, loader: loader as DataLoader | undefined }
}

const seen = (state: Iterable<readonly [string, Tensor]>): unknown =>
  [...state].map(([name, { dtype, shape, data }]) => [name, dtype, shape, data])

/** All that loading may change. */
function stateOf({ model, optimizer, scheduler, loader }: Training): unknown {
  return [
    seen(Object.entries(model.stateDict())),
    optimizer && seen(Object.entries(optimizer.stateDict())),
    scheduler?.stateDict(),
    loader?.state(),
    getRandomState(),
  ]
}

/** A value of JSON with its leaves as the fields have them. */
function leaves(value: unknown, key: string, fields: Fields): string {
  if (Array.isArray(value)) return `[${value.map((part, i) => leaves(part, `${key}.${i}`, fields)).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const parts = Object.entries(value).filter(([, part]) => part !== undefined)
    return `{${parts.map(([name, part]) => `${JSON.stringify(name)}:${leaves(part, `${key}.${name}`, fields)}`).join(',')}}`
  }
  return fields.text(key, JSON.stringify(value))
}

/** The bytes of a checkpoint. */
export function writeCheckpoint(beside: Beside, extra: Storable, fields: Fields): Uint8Array {
  manualSeed(5)
  const { model, optimizer, scheduler, loader } = training(beside)
  const tensors: [string, Tensor][] = [
    ...Object.entries(model.stateDict()).map(([name, t]): [string, Tensor] => [`model.${name}`, t]),
    ...Object.entries(optimizer?.stateDict() ?? {}).map(([name, t]): [string, Tensor] => [`optimizer.${name}`, t]),
  ]
  const arrays = tensors.map(([name, { shape, dtype, data }]): Drawn => {
    const type = dtype === 'float64' ? 'F64' : dtype === 'int32' ? 'I32' : 'F32'
    const bytes = new Uint8Array(data.slice().buffer)
    return { name, type, shape, seed: 0, little: true, fortran: false, version: 1, bytes }
  })
  const progress = {
    epoch: 3,
    step: 40,
    random: { seed: 9, position: 11 },
    loader: loader?.state(),
    scheduler: scheduler?.stateDict(),
    extra: extra === undefined ? undefined : encodeValue('fuzz', 'extra', extra),
  }
  const metadata = [
    ['chainrule.version', '1'],
    ['chainrule.kind', 'checkpoint'],
    ['chainrule.progress', leaves(progress, 'progress', fields)],
  ] as const
  return writeSafetensors(arrays, metadata, fields)
}

/** For Node 20 no date that is invalid equals another. */
const isSame = (a: unknown, b: unknown): boolean => isDeepStrictEqual(a, b) || serialize(a).equals(serialize(b))

/** Loads a checkpoint; a refusal must leave everything as it was, and what was read whole is what was written. */
export async function checkCheckpoint(path: string, beside: Beside, extra: Storable, isWhole: boolean): Promise<void> {
  manualSeed(6)
  const own = training(beside)
  const before = stateOf(own)
  try {
    const loaded = await loadCheckpoint(path, own).catch((error: unknown) => {
      if (!isDeepStrictEqual(stateOf(own), before)) throw new Error('a refused checkpoint changed something', { cause: error })
      throw error
    })
    if (isWhole && !isSame(loaded, { epoch: 3, step: 40, extra }))
      throw new Error(`loaded ${inspect(loaded, { depth: 9 })}, saved ${inspect(extra, { depth: 9 })}`)
    if (isWhole && !isDeepStrictEqual(getRandomState(), { seed: 9, position: 11 }))
      throw new Error('the random generator is not where it was')
    stateOf(own)
  } finally {
    setRandomState({ seed: 1, position: 0 })
  }
}

/** A value such as users keep beside a model. */
export function drawExtra(random: Random, depth = 0): Storable {
  const kind = random.weighted({
    number: 4,
    text: 2,
    other: 2,
    array: depth < 3 ? 2 : 0,
    object: depth < 3 ? 2 : 0,
    collection: depth < 3 ? 1 : 0,
    bytes: 1,
  })
  const parts = (): Storable[] => Array.from({ length: random.int(0, 3) }, () => drawExtra(random, depth + 1))
  if (kind === 'number') return random.pick([0, -0, 1, -1, 0.1, 1e308, 5e-324, NaN, Infinity, -Infinity, 2 ** 53, random.next()])
  if (kind === 'text')
    return random.pick(['', 'a', '"', '\\', '\n', '\0', 'é', '🔑', '\ud800', '$type', '__proto__', 'x'.repeat(random.int(0, 100))])
  if (kind === 'other') return random.pick([null, true, false, undefined, 10n ** 30n, -1n, new Date(0), new Date(1e15)])
  if (kind === 'array') return parts()
  if (kind === 'object') {
    const names = ['a', '', '$type', 'value', '__proto__', 'constructor', '0', 'é']
    return Object.fromEntries(parts().map((part) => [random.pick(names), part]))
  }
  if (kind === 'collection') return random.chance(0.5) ? new Set(parts()) : new Map(parts().map((part) => [drawExtra(random, 3), part]))
  const data = Uint8Array.from({ length: 8 * random.int(0, 3) }, () => random.int(0, 255)).buffer
  return random.pick([new Uint8Array(data), new Float64Array(data), new BigInt64Array(data), new Uint8ClampedArray(data), data])
}
