/**
 * Fields of files and lies about them. In: what a writer says a field holds. Out: that, or what a case says instead. A writer asks for every field by its
 * key, so whoever listens learns all keys there are, and a lie can be told about any of them.
 */
import type { Random } from '../frame/random.js'

/** A number of a binary field or of JSON, or a text. Numbers that JSON cannot hold as such are strings of digits with an `n`. */
export type Value = number | string

/** Key and value. */
export type Lie = readonly [key: string, value: Value]

export interface Fields {
  number(key: string, truth: number): bigint
  text(key: string, truth: string): string
}

const asBig = (value: Value): bigint => {
  if (typeof value === 'number') return BigInt(Math.trunc(value))
  return /^-?\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : 0n
}

export const asText = (value: Value): string => (typeof value === 'string' ? value.replace(/^(-?\d+)n$/, '$1') : String(value))

/** Fields as the lies have them, the truth where there is none; `told` hears of each. */
export function fieldsOf(lies: readonly Lie[], told: (key: string, truth: Value) => void = () => {}): Fields {
  const known = new Map(lies)
  const find = (key: string, truth: Value): Value => {
    told(key, truth)
    return known.get(key) ?? truth
  }
  return { number: (key, truth) => asBig(find(key, truth)), text: (key, truth) => asText(find(key, truth)) }
}

const numbers: readonly Value[] = [
  ...[0, 1, 2, 7, 8, 9, 255, 256, 65_535, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53, -1, -(2 ** 31)],
  ...['9223372036854775807n', '9223372036854775808n', '18446744073709551615n', '1180591620717411303424n'],
]

const texts: readonly string[] = [
  ...[
    '',
    ' ',
    '.',
    '..',
    '/',
    '../x',
    'a',
    '__proto__',
    'constructor',
    'toString',
    '__metadata__',
    'a.npy',
    'a\0b',
    '\ud800',
    '"',
    '\\',
    '\n',
  ],
  ...['{}', '[]', '[', ']', '{', 'null', 'true', '-0', '1.5', '1e308', '-1', '[1,2', '(1,', '(3,)', "'<f4'", "'|O'", '0x10', 'é', '🔑'],
  ...[
    'F32',
    'I64',
    'BOOL',
    'C64',
    'F8_E5M2',
    'f32',
    "'>c8'",
    "[('a', '<f4')]",
    'True',
    'False',
    'x'.repeat(70_000),
    '1,'.repeat(70),
    '9'.repeat(400),
  ],
]

/** Draws lies about a few of the fields a writer has. */
export function drawLies(random: Random, count: number, write: (fields: Fields) => void): Lie[] {
  const truths: Lie[] = []
  write(fieldsOf([], (key, truth) => truths.push([key, truth])))
  if (truths.length === 0) return []
  return Array.from({ length: count }, () => {
    const [key, truth] = random.pick(truths)
    // another field's value: entries that overlap, names that occur twice
    const others = truths.filter(([, other]) => typeof other === typeof truth)
    if (random.chance(0.3)) return [key, random.pick(others)[1]]
    if (typeof truth === 'number')
      return [key, random.chance(0.4) ? truth + random.pick([-8, -4, -1, 1, 4, 8, truth]) : random.pick(numbers)]
    return [key, random.chance(0.3) ? truth + random.pick(texts) : random.pick([...texts, ...numbers.map(asText)])]
  })
}
