/**
 * Every hostile value at every place: each argument, first element of a list and option of every public function, constructor and method, on
 * both backends. All of it in the long run, a sample in `npm test`.
 */
import { backends } from '../support/backends.js'
import type { Callable } from '../support/surface.js'
import { type Attack, argumentsOf, check, type Edit, names, print, shrink, surface } from './arguments/attack.js'
import type { Fuzzer } from './frame/fuzzer.js'
import type { Random } from './frame/random.js'

function placesOf(callable: Callable): Edit['at'][] {
  const args = argumentsOf(callable, 1)
  const most = Math.max(args.length, ...callable.parameters.map((list) => list.length))
  const places: Edit['at'][] = []
  for (let i = 0; i < most; i++) {
    places.push([i])
    const given = args[i]
    if (Array.isArray(given) && given.length > 0) places.push([i, 0])
  }
  for (const { argument, within, names: options } of callable.options)
    for (const option of options) places.push([argument, ...within, option])
  return places
}

let found: { readonly callable: Callable; readonly at: Edit['at'] }[] | undefined

function all(): NonNullable<typeof found> {
  found ??= surface().flatMap((callable) => placesOf(callable).map((at) => ({ callable, at })))
  return found
}

/** Cells are visited in leaps, so that the first few hundred are a sample of all. A prime that is no factor of their number. */
const leap = 1_000_003

function generate(random: Random): Attack {
  const places = all()
  const cell = (random.index * leap) % (places.length * names.length * backends.length)
  const { callable, at } = places[cell % places.length]
  const value = names[Math.floor(cell / places.length) % names.length]
  const backend = backends[Math.floor(cell / places.length / names.length)]
  return { path: callable.path, kind: callable.kind, draw: random.int(0, 2 ** 30), edits: [{ at, value }], backend }
}

export const fuzzer: Fuzzer<Attack> = {
  name: 'places',
  about: 'every hostile value in every place gives a result or an error of the library, and nothing else',
  // the first case may ask the compiler what is public
  patience: 60,
  get total() {
    return all().length * names.length * backends.length
  },
  generate,
  check,
  shrink,
  print,
}
