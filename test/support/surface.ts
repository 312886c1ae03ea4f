/**
 * The public surface as the compiler sees it. In: the entry modules of the package. Out: every function, constructor, method and static method
 * by its path (`nn.Linear`, `nn.Linear.forward`, `Tensor.sum`), each with the types of its parameters, the places of its options objects and the
 * names in them.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  API,
  type Checker,
  ModifierFlags,
  type Project,
  type Signature,
  SignatureKind,
  SymbolFlags,
  type Symbol as TsSymbol,
  type Type,
  type TypeReference,
} from 'typescript/unstable/sync'
import { root } from './backends.js'

/** An options object of a callable: which argument it is or in which it is found, and the names its type has. */
export interface OptionsPlace {
  readonly argument: number
  /** Within the argument: `[]` for the argument itself, `['earlyStopping']`, `[0, 'lr']`. */
  readonly within: readonly (string | number)[]
  readonly names: readonly string[]
}

export interface Callable {
  /** As a user writes the name: `stft`, `nn.TransformerEncoder.forward`, `Tensor.sum`. */
  readonly path: string
  readonly kind: 'function' | 'constructor' | 'method' | 'static'
  readonly options: readonly OptionsPlace[]
  /** The parameters of each of its signatures, their types as text; type parameters are what they are bound to. */
  readonly parameters: readonly (readonly { readonly name: string; readonly type: string }[])[]
}

/** The entry modules of the package. */
const entries = ['src/index.ts', 'src/models/index.ts'] as const

const isClass = (type: Type | undefined): boolean => ((type?.getSymbol()?.flags ?? 0) & SymbolFlags.Class) !== 0

class Reader {
  readonly found: Callable[] = []
  readonly #checker: Checker
  readonly #project: Project
  /** Public classes by the id of their symbol. */
  readonly #classes = new Map<number, { readonly path: string; readonly symbol: TsSymbol }>()

  constructor(project: Project) {
    this.#project = project
    this.#checker = project.checker
  }

  read(): Callable[] {
    for (const file of entries) {
      const source = this.#project.program.getSourceFile(join(root, file))
      const module = source && this.#checker.getSymbolAtLocation(source)
      if (module === undefined) throw new Error(`${file} is no module`)
      this.exportsOf('', module)
    }
    for (const { path, symbol } of this.#classes.values()) this.classOf(path, symbol)
    return this.found
  }

  exportsOf(prefix: string, module: TsSymbol): void {
    for (const exported of this.#checker.getExportsOfModule(module)) {
      const symbol = exported.flags & SymbolFlags.Alias ? this.#checker.getAliasedSymbol(exported) : exported
      const path = `${prefix}${exported.name}`
      if (symbol.flags & SymbolFlags.ValueModule) this.exportsOf(`${path}.`, symbol)
      else if (symbol.flags & SymbolFlags.Class) this.#classes.set(symbol.id, { path, symbol })
      else if (symbol.flags & SymbolFlags.Value) this.valueOf(path, symbol)
    }
  }

  /** A function, or an object of functions such as `datasets`. */
  valueOf(path: string, symbol: TsSymbol): void {
    const type = this.#checker.getTypeOfSymbol(symbol)
    if (type === undefined) return
    this.add(path, 'function', type)
    if (type.isObjectType()) for (const member of this.#checker.getPropertiesOfType(type)) this.member(path, member, 'function')
  }

  classOf(path: string, symbol: TsSymbol): void {
    const type = this.#checker.getTypeOfSymbol(symbol)
    if (type === undefined) return
    this.add(path, 'constructor', type, SignatureKind.Construct)
    for (const member of this.#checker.getPropertiesOfType(type)) this.member(path, member, 'static')
    const instance = this.#checker.getDeclaredTypeOfSymbol(symbol)
    const inherited = this.inherited(instance)
    for (const member of this.#checker.getPropertiesOfType(instance))
      if (inherited.get(member.name) !== member.getParent()?.id) this.member(path, member, 'method')
  }

  /** By name, where the members of public ancestors are declared: these are listed there. */
  inherited(instance: Type): Map<string, number | undefined> {
    const declared = new Map<string, number | undefined>()
    for (const base of instance.getBaseTypes() ?? []) {
      const symbol = base.getSymbol()
      if (symbol !== undefined && this.#classes.has(symbol.id))
        for (const member of this.#checker.getPropertiesOfType(base)) declared.set(member.name, member.getParent()?.id)
      else if (symbol !== undefined)
        for (const [name, id] of this.inherited(this.#checker.getDeclaredTypeOfSymbol(symbol))) declared.set(name, id)
    }
    return declared
  }

  member(path: string, member: TsSymbol, kind: Callable['kind']): void {
    const type = this.isPublic(member) ? this.#checker.getTypeOfSymbol(member) : undefined
    if (type !== undefined) this.add(`${path}.${member.name}`, kind, type)
  }

  /** Declared in the library, and neither private, protected nor marked `@internal`. */
  isPublic(member: TsSymbol): boolean {
    const place = member.valueDeclaration
    if (!place?.path.includes('/src/') || member.name.startsWith('__')) return false
    if (member.getJsDocTags(this.#checker).some((tag) => tag.name === 'internal')) return false
    const declaration = place.resolve(this.#project) as { modifierFlags?: ModifierFlags } | undefined
    return ((declaration?.modifierFlags ?? 0) & (ModifierFlags.Private | ModifierFlags.Protected)) === 0
  }

  /** Whether the comment in front of a signature says so; a constructor is no member whose tags can be asked for. */
  isInternal(signature: Signature): boolean {
    const node = signature.declaration?.resolve(this.#project)
    if (node === undefined) return false
    const { text } = node.getSourceFile()
    return text.slice(node.pos, text.indexOf('(', node.pos)).includes('@internal')
  }

  add(path: string, kind: Callable['kind'], type: Type, signatures: SignatureKind = SignatureKind.Call): void {
    const calls = this.#checker.getSignaturesOfType(type, signatures).filter((call) => !this.isInternal(call))
    if (calls.length === 0) return
    const options = new Map<string, OptionsPlace>()
    for (const call of calls)
      call.getParameters().forEach((parameter, argument) => {
        const own = this.#checker.getTypeOfSymbol(parameter)
        for (const { within, names } of own === undefined ? [] : this.placesIn(own, [])) {
          const key = [argument, ...within].join('.')
          options.set(key, { argument, within, names: [...new Set([...(options.get(key)?.names ?? []), ...names])] })
        }
      })
    const parameters = calls.map((call) => call.getParameters().map((parameter) => this.parameter(parameter)))
    this.found.push({ path, kind, options: [...options.values()], parameters })
  }

  parameter(parameter: TsSymbol): Callable['parameters'][number][number] {
    const type = this.#checker.getTypeOfSymbol(parameter)
    return { name: parameter.name, type: type === undefined ? 'unknown' : this.textOf(type) }
  }

  /** A type as text, with what type parameters are bound to in their place. */
  textOf(type: Type): string {
    if (type.isUnionType())
      return type
        .getTypes()
        .map((part) => this.textOf(part))
        .join(' | ')
    // behind the first part stand conditions that a call has to meet
    if (type.isIntersectionType()) return this.textOf(type.getTypes()[0])
    const bound = type.isTypeParameter() ? this.#checker.getBaseConstraintOfType(type) : undefined
    return bound === undefined || bound.isTypeParameter() ? this.#checker.typeToString(type) : this.textOf(bound)
  }

  /** The options objects in a type: itself, members of a union, elements of a list, options of options. */
  placesIn(type: Type, within: readonly (string | number)[]): { within: readonly (string | number)[]; names: readonly string[] }[] {
    const checker = this.#checker
    if (within.length > 2) return []
    if (type.isUnionType()) return type.getTypes().flatMap((part) => this.placesIn(part, within))
    if (type.isTypeParameter()) {
      const bound = checker.getBaseConstraintOfType(type)
      return bound === undefined || bound.isTypeParameter() ? [] : this.placesIn(bound, within)
    }
    if (checker.isArrayType(type))
      return checker.getTypeArguments(type as TypeReference).flatMap((part) => this.placesIn(part, [...within, 0]))
    if (!this.isOptions(type)) return []
    const properties = checker.getPropertiesOfType(type)
    const nested = properties.flatMap((property) => {
      const own = checker.getTypeOfSymbol(property)
      return own === undefined ? [] : this.placesIn(own, [...within, property.name])
    })
    return [{ within, names: properties.map((p) => p.name) }, ...nested]
  }

  /** An object with properties declared in the library that is no instance, no function, no list and no dictionary. */
  isOptions(type: Type): boolean {
    const checker = this.#checker
    const bound = (part: Type): Type | undefined => (part.isTypeParameter() ? checker.getBaseConstraintOfType(part) : part)
    if (type.isIntersectionType() ? type.getTypes().some((part) => isClass(bound(part))) : !type.isObjectType() || isClass(type))
      return false
    if (checker.isArrayLikeType(type) || checker.getIndexInfosOfType(type).length > 0) return false
    if ([SignatureKind.Call, SignatureKind.Construct].some((kind) => checker.getSignaturesOfType(type, kind).length > 0)) return false
    const properties = checker.getPropertiesOfType(type)
    return properties.length > 0 && properties.every((p) => p.declarations.some((d) => d.path.includes('/src/')))
  }
}

function readSurface(): Callable[] {
  const api = new API({ cwd: root })
  try {
    const config = join(root, 'tsconfig.json')
    const project = api.updateSnapshot({ openProjects: [config] }).getProject(config)
    if (project === undefined) throw new Error('tsconfig.json is no project')
    return new Reader(project).read()
  } finally {
    api.close()
  }
}

/** What a surface depends on: the sources and this file, as they are now. */
function sourcesKey(): string {
  const folder = join(root, 'src')
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  const known = [...files.sort().map((name) => join(folder, name)), join(root, 'test', 'support', 'surface.ts')].map((file) => {
    const { size, mtimeMs } = statSync(file)
    return `${file} ${size} ${mtimeMs}`
  })
  return createHash('sha256').update(known.join('\n')).digest('hex')
}

/**
 * All public callables, in the order of their declaration. The compiler takes seconds for them, and a fuzzer starts many processes: they are kept
 * in build/ until a source changes.
 */
export function publicSurface(): Callable[] {
  const kept = join(root, 'build', 'surface.json')
  const key = sourcesKey()
  try {
    const { key: of, surface } = JSON.parse(readFileSync(kept, 'utf8')) as { key: string; surface: Callable[] }
    if (of === key) return surface
  } catch {
    // not there, or half written by a process that was killed
  }
  const surface = readSurface()
  mkdirSync(dirname(kept), { recursive: true })
  const fresh = `${kept}.${process.pid}`
  writeFileSync(fresh, JSON.stringify({ key, surface }))
  renameSync(fresh, kept)
  return surface
}
