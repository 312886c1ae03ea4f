/**
 * What a trace reads through modules. In: the modules that a function is known to use, and every
 * module whose methods run while it is traced. Out: guards, which say whether what was read is
 * still there.
 *
 * While a trace goes on, the fields of a watched module are accessors that note reads and hand on
 * to the value, and the object its class's prototype is reached through notes methods, and names
 * that are not there. `this` stays the module itself, so that `#private` fields, `instanceof` and
 * identity hold; only what `#private` fields hold is not seen. A module that is read from a field
 * of a watched one is watched from then on. Others are noticed when one of their methods runs: till
 * the end of the trace, the methods of classes tell.
 */
import { StateError } from '../base/errors.js'
import { type ModuleWatch, moduleWatch } from '../tensor/context.js'
import { Tensor } from '../tensor/tensor.js'

type Fields = Record<PropertyKey, unknown>

/**
 * Arrays, plain objects, maps, sets and typed arrays are what they hold; all other objects are
 * themselves.
 */
function isContainer(x: unknown): x is object {
  if (typeof x !== 'object' || x === null) return false
  if (Array.isArray(x) || x instanceof Map || x instanceof Set) return true
  if (ArrayBuffer.isView(x)) return !(x instanceof DataView)
  const prototype: unknown = Object.getPrototypeOf(x)
  return prototype === Object.prototype || prototype === null
}

/**
 * Visits what a value holds, in order, with signs for where containers begin; false as soon as
 * `visit` says so.
 */
function visitContents(x: unknown, visit: (part: unknown) => boolean, open: object[]): boolean {
  if (!isContainer(x) || open.includes(x)) return visit(x)
  open.push(x)
  const all = (parts: Iterable<unknown>): boolean => {
    for (const part of parts) if (!visitContents(part, visit, open)) return false
    return true
  }
  let same: boolean
  if (Array.isArray(x) || ArrayBuffer.isView(x)) {
    const list = x as unknown as ArrayLike<unknown> & Iterable<unknown>
    same = visit(x.constructor) && visit(list.length) && all(list)
  } else if (x instanceof Map) same = visit(Map) && visit(x.size) && all(x.keys()) && all(x.values())
  else if (x instanceof Set) same = visit(Set) && visit(x.size) && all(x)
  else same = visit(Object) && all(Object.keys(x)) && visit(Object) && all(Object.values(x))
  open.pop()
  return same
}

/** What a container held. */
class Contents {
  private readonly parts: unknown[] = []

  constructor(value: object) {
    visitContents(value, (part) => this.parts.push(part) > 0, [])
  }

  same(value: unknown): boolean {
    const { parts } = this
    let next = 0
    return visitContents(value, (part) => next < parts.length && Object.is(part, parts[next++]), []) && next === parts.length
  }

  get size(): number {
    return this.parts.length
  }
}

const same = (now: unknown, noted: unknown): boolean => (noted instanceof Contents ? noted.same(now) : Object.is(now, noted))

/** What one module's fields and methods were. */
class FieldGuard {
  private readonly owner: Fields
  private readonly keys: readonly PropertyKey[]
  private readonly values: readonly unknown[]
  private readonly containers: readonly (readonly [PropertyKey, Contents])[]

  constructor(owner: object, read: readonly (readonly [PropertyKey, unknown])[]) {
    this.owner = owner as Fields
    const plain = read.filter(([, value]) => !(value instanceof Contents))
    this.keys = plain.map(([key]) => key)
    this.values = plain.map(([, value]) => value)
    this.containers = read.filter((entry): entry is [PropertyKey, Contents] => entry[1] instanceof Contents)
  }

  holds(): boolean {
    const { owner, keys, values, containers } = this
    for (let i = 0; i < keys.length; i++) if (!Object.is(owner[keys[i]], values[i])) return false
    for (let i = 0; i < containers.length; i++) if (!containers[i][1].same(owner[containers[i][0]])) return false
    return true
  }

  changed(): string | undefined {
    const { owner, keys, values, containers } = this
    const key = keys.find((k, i) => !Object.is(owner[k], values[i])) ?? containers.find(([k, contents]) => !contents.same(owner[k]))?.[0]
    return key === undefined ? undefined : `${owner.constructor.name}.${String(key)}`
  }
}

/** Fields beyond this size are not compared on the mere suspicion that they were read. */
const suspectedMost = 64

/** A module while a trace goes on. */
class Watched {
  /** What was read, and not written before: values, or contents. */
  private readonly read = new Map<PropertyKey, unknown>()
  private readonly written = new Set<PropertyKey>()
  /** Of those in `read`, what may have been read. */
  private readonly suspected = new Set<PropertyKey>()
  private readonly fields = new Map<PropertyKey, { readonly before: PropertyDescriptor; value: unknown; readonly get: () => unknown }>()
  private readonly prototype: object
  private through: object | undefined

  constructor(
    readonly module: object,
    private readonly watch: Watch,
  ) {
    this.prototype = Object.getPrototypeOf(module)
    for (const key of Reflect.ownKeys(module)) this.watchField(key)
    if (Object.isExtensible(module)) this.watchPrototype()
  }

  private watchField(key: PropertyKey): void {
    const before = Object.getOwnPropertyDescriptor(this.module, key) as PropertyDescriptor
    // what an accessor of the user's reads is noticed where it is read
    if (!('value' in before)) return
    if (!before.configurable) {
      if (before.writable && typeof key === 'string') this.note(key, before.value)
      this.watch.enterAll(before.value)
      return
    }
    const get = (): unknown => {
      this.note(key, field.value)
      return field.value
    }
    const set = (value: unknown): void => {
      this.written.add(key)
      field.value = value
      this.watch.enterAll(value)
    }
    const field = { before, value: before.value as unknown, get }
    this.fields.set(key, field)
    const { enumerable } = before
    Object.defineProperty(this.module, key, { get, set: before.writable ? set : undefined, enumerable, configurable: true })
  }

  private watchPrototype(): void {
    const { prototype } = this
    const through = new Proxy(Object.create(prototype), {
      get: (target, key, receiver) => {
        const value = originalOf(Reflect.get(target, key, receiver))
        if (!isAccessor(prototype, key)) this.note(key, value)
        return value
      },
      has: (target, key) => {
        const found = Reflect.has(target, key)
        if (!found) this.note(key, undefined)
        return found
      },
    })
    Object.setPrototypeOf(this.module, through)
    this.through = through
  }

  /** Notes that something was read. */
  note(key: PropertyKey, value: unknown): void {
    if (key === 'constructor' || this.written.has(key)) return
    this.suspected.delete(key)
    if (this.read.has(key)) return
    this.read.set(key, isContainer(value) ? new Contents(value) : value)
    this.watch.enterAll(value)
  }

  /** Fields with their values, without counting as read. */
  *entries(): Iterable<[string, unknown]> {
    for (const key of Object.keys(this.module)) {
      const field = this.fields.get(key)
      yield [key, field === undefined ? (this.module as Fields)[key] : field.value]
    }
  }

  /**
   * Of a module that was noticed when a method ran: the function may have read its fields before,
   * from outside. They are compared until the function is traced again, by when the module is
   * known.
   */
  suspect(method: PropertyKey): void {
    if (!this.fields.has(method) && !isAccessor(this.prototype, method)) {
      this.note(method, originalOf((this.prototype as Fields)[method]))
    }
    for (const [key, { value }] of this.fields) {
      const noted = isContainer(value) ? new Contents(value) : value
      if (this.read.has(key) || (noted instanceof Contents && noted.size > suspectedMost)) continue
      this.read.set(key, noted)
      this.suspected.add(key)
    }
  }

  /** Makes the module what it was, with what was written meanwhile. */
  restore(): void {
    const { module, prototype } = this
    for (const [key, { before, value, get }] of this.fields) {
      if (Object.getOwnPropertyDescriptor(module, key)?.get === get) Reflect.defineProperty(module, key, { ...before, value })
    }
    if (this.through !== undefined && Object.getPrototypeOf(module) === this.through) Object.setPrototypeOf(module, prototype)
  }

  /**
   * After `restore`: what has to be there at later calls. @throws StateError `ERR_FIELD_TRACED`.
   */
  guard(): FieldGuard {
    return new FieldGuard(
      this.module,
      [...this.read].flatMap(([key, noted]): [PropertyKey, unknown][] => {
        const now = (this.module as Fields)[key]
        if (same(now, noted)) return [[key, noted]]
        if (this.suspected.has(key)) return []
        const name = `${this.module.constructor.name}.${String(key)}`
        if (now instanceof Tensor && now.traced) throw refuseState(this.watch.name, name)
        // made when it was first needed: the next trace finds it there
        if (noted === undefined || noted === null) return [[key, isContainer(now) ? new Contents(now) : now]]
        warnOfChange(this.watch.name, name)
        return []
      }),
    )
  }
}

function refuseState(compiled: string, field: string): StateError {
  return new StateError(
    'ERR_FIELD_TRACED',
    `compile(${compiled}): ${field} is read and then set to a new tensor, which a compiled call does not do: JavaScript runs while tracing only. Return the tensor and pass it as an argument, or keep it in a buffer (registerBuffer) and write it with assign.`,
  )
}

const warned = new Set<string>()

function warnOfChange(compiled: string, field: string): void {
  if (warned.has(field)) return
  warned.add(field)
  process.emitWarning(
    `compile(${compiled}): ${field} is read and changed by the function. JavaScript runs while tracing only, so later calls go on with the value of then and change nothing. Count outside, or in a buffer (registerBuffer) with assign.`,
    { type: 'ChainruleWarning', code: 'WARN_FIELD_CHANGED' },
  )
}

function isAccessor(prototype: object, key: PropertyKey): boolean {
  for (let p: object | null = prototype; p !== null; p = Object.getPrototypeOf(p)) {
    const found = Object.getOwnPropertyDescriptor(p, key)
    if (found !== undefined) return found.get !== undefined
  }
  return false
}

/** Classes that modules were made of, for as long as somebody else has them. */
const classes = new Set<WeakRef<object>>()
const known = new WeakSet<object>()

/**
 * @internal called for each module that is made; `base` is where the classes of the library's own
 * begin.
 */
export function noteClass(prototype: object, base: object): void {
  for (let p: object | null = prototype; p !== null && p !== base && !known.has(p); p = Object.getPrototypeOf(p)) {
    known.add(p)
    classes.add(new WeakRef(p))
  }
}

type Method = (this: unknown, ...args: unknown[]) => unknown

/** Methods that tell when they run, and what they stand for. */
const originals = new WeakMap<object, unknown>()
const tellingOnes = new WeakMap<object, Method>()

function originalOf(x: unknown): unknown {
  return typeof x === 'function' && originals.has(x) ? originals.get(x) : x
}

function telling(method: Method, key: PropertyKey): Method {
  let made = tellingOnes.get(method)
  if (made === undefined) {
    made = function (...args) {
      current?.enterLate(this, key)
      return Reflect.apply(method, this, args)
    }
    originals.set(made, method)
    tellingOnes.set(method, made)
  }
  return made
}

/** The watch of the trace that is going on. */
let current: Watch | undefined

class Watch implements ModuleWatch {
  private readonly modules = new Map<object, Watched>()
  private readonly late = new Set<object>()
  private readonly patched: { readonly prototype: object; readonly key: PropertyKey; readonly before: PropertyDescriptor }[] = []

  constructor(
    readonly name: string,
    private readonly isModule: (x: unknown) => x is object,
  ) {}

  begin(modules: Iterable<object>): void {
    current = this
    for (const ref of classes) {
      const prototype = ref.deref()
      if (prototype === undefined) classes.delete(ref)
      else this.patch(prototype)
    }
    for (const module of modules) this.enter(module)
  }

  private patch(prototype: object): void {
    for (const key of Reflect.ownKeys(prototype)) {
      const before = Object.getOwnPropertyDescriptor(prototype, key) as PropertyDescriptor
      if (key === 'constructor' || !before.configurable) continue
      const after = { ...before }
      if (typeof before.value === 'function') after.value = telling(before.value, key)
      else if (before.get !== undefined) after.get = telling(before.get as Method, key)
      else continue
      Object.defineProperty(prototype, key, after)
      this.patched.push({ prototype, key, before })
    }
  }

  enter(module: object): Watched {
    let watched = this.modules.get(module)
    if (watched === undefined) {
      watched = new Watched(module, this)
      this.modules.set(module, watched)
    }
    return watched
  }

  /** Watches the modules in a value. */
  enterAll(value: unknown): void {
    if (this.isModule(value)) this.enter(value)
    else if (isContainer(value)) {
      visitContents(
        value,
        (part) => {
          if (this.isModule(part)) this.enter(part)
          return true
        },
        [],
      )
    }
  }

  /** A method runs. */
  enterLate(module: unknown, key: PropertyKey): void {
    if (!this.isModule(module) || this.modules.has(module)) return
    this.late.add(module)
    this.enter(module).suspect(key)
  }

  noticed(module: object): void {
    this.enterLate(module, 'constructor')
  }

  entries(module: object): Iterable<[string, unknown]> {
    this.noticed(module)
    return this.enter(module).entries()
  }

  note(module: object, key: string, value: unknown): void {
    this.enter(module).note(key, value)
  }

  get found(): Iterable<object> {
    return this.late
  }

  end(): void {
    if (current !== this) return
    current = undefined
    for (const { prototype, key, before } of this.patched) Object.defineProperty(prototype, key, before)
    for (const watched of this.modules.values()) watched.restore()
  }

  guards(): FieldGuard[] {
    return [...this.modules.values()].map((watched) => watched.guard())
  }
}

/** @internal has traces watch what is read through modules */
export function watchModules(isModule: (x: unknown) => x is object): void {
  moduleWatch.begin = (name, modules) => {
    const watch = new Watch(name, isModule)
    watch.begin(modules)
    return watch
  }
}
