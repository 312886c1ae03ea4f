/** Random hostile arguments for every public function, constructor and method: one or two of them, or more, at once. */
import { backends } from '../support/backends.js'
import type { Callable } from '../support/surface.js'
import { type Attack, argumentsOf, check, type Edit, names, print, shrink, surface } from './arguments/attack.js'
import type { Fuzzer } from './frame/fuzzer.js'
import type { Random } from './frame/random.js'

function place(callable: Callable, args: readonly unknown[], random: Random): Edit['at'] {
  const most = Math.max(args.length, ...callable.parameters.map((list) => list.length))
  const options = callable.options.length === 0 || random.chance(0.5) ? undefined : random.pick(callable.options)
  if (options !== undefined) return [options.argument, ...options.within, random.pick(options.names)]
  const argument = random.int(0, random.chance(0.1) ? most : Math.max(0, most - 1))
  const list = args[argument]
  return Array.isArray(list) && list.length > 0 && random.chance(0.4) ? [argument, random.int(0, list.length - 1)] : [argument]
}

function generate(random: Random): Attack {
  const callable = random.pick(surface())
  const draw = random.int(0, 2 ** 30)
  const args = argumentsOf(callable, draw)
  const count = random.pick([0, 1, 1, 1, 1, 1, 2, 2, 3])
  const edits = Array.from({ length: count }, () => ({ at: place(callable, args, random), value: random.pick(names) }))
  return { path: callable.path, kind: callable.kind, draw, edits, backend: random.pick(backends) }
}

export const fuzzer: Fuzzer<Attack> = {
  name: 'arguments',
  about: 'hostile arguments for everything public give a result or an error of the library, and nothing else',
  // the first case may ask the compiler what is public
  patience: 60,
  generate,
  check,
  shrink,
  print,
}
