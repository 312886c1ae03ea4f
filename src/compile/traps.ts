/**
 * Numbers that JavaScript makes up: chance and clocks. A compiled function would draw them once, while it is traced, and keep them; whether two traces
 * differ by them is chance. So they throw while a trace goes on. In: nothing. Out: the globals as they were.
 */
import { deepStack, StateError, userLine } from '../base/errors.js'

type Source = readonly [owner: object | undefined, key: string, name: string, kind: 'chance' | 'clock']

/** Looked up at each trace: test frameworks replace them. */
function sources(): Source[] {
  const { crypto } = globalThis as { crypto?: object }
  return [
    [Math, 'random', 'Math.random', 'chance'],
    [crypto, 'getRandomValues', 'crypto.getRandomValues', 'chance'],
    [crypto, 'randomUUID', 'crypto.randomUUID', 'chance'],
    [Date, 'now', 'Date.now', 'clock'],
    [performance, 'now', 'performance.now', 'clock'],
    [process, 'hrtime', 'process.hrtime', 'clock'],
  ]
}

const remedies = {
  chance: 'Use rand(), randn() or dropout, which draw anew at each call, or pass the number as an argument',
  clock: 'Pass the time as an argument, or measure outside',
}

function refuse(compiled: string, name: string, kind: Source[3]): never {
  const code = kind === 'chance' ? 'ERR_TRACE_RANDOM' : 'ERR_TRACE_CLOCK'
  throw new StateError(
    code,
    `compile(${compiled}): ${name} was called inside${userLine(deepStack())}. JavaScript runs while tracing only, so every call would get the same. ${remedies[kind]}.`,
  )
}

/** Has them throw until the function that is returned is called. */
export function setTraps(compiled: string): () => void {
  const undo: (() => void)[] = []
  const put = (owner: object, key: string, value: unknown): void => {
    const before = Object.getOwnPropertyDescriptor(owner, key)
    if (before === undefined ? !Object.isExtensible(owner) : !before.configurable) return
    Object.defineProperty(owner, key, { value, configurable: true, writable: true, enumerable: before?.enumerable ?? false })
    undo.push(() => {
      if (Object.getOwnPropertyDescriptor(owner, key)?.value !== value) return
      if (before === undefined) delete (owner as Record<string, unknown>)[key]
      else Object.defineProperty(owner, key, before)
    })
  }
  for (const [owner, key, name, kind] of sources()) {
    if (typeof (owner as Record<string, unknown> | undefined)?.[key] !== 'function') continue
    const trap = (): never => refuse(compiled, name, kind)
    put(owner as object, key, key === 'hrtime' ? Object.assign(trap, { bigint: trap }) : trap)
  }
  const now = (): never => refuse(compiled, 'new Date()', 'clock')
  const dates: ProxyHandler<DateConstructor> = {
    construct: (target, args, newTarget) => (args.length === 0 ? now() : Reflect.construct(target, args, newTarget)),
    apply: now,
  }
  put(globalThis, 'Date', new Proxy(Date, dates))
  return () => {
    for (const back of undo.reverse()) back()
  }
}
