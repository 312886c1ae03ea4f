/**
 * `compile`: turns a function of tensors into one that runs as a single native call, on a
 * background thread or in place. Programs are kept per shapes of the arguments and per everything
 * else the trace saw.
 */
import { setImmediate as immediate } from 'node:timers/promises'
import { nativeBackend } from '../backend/select.js'
import { ArgumentError, checkFunction, checkOptions, StateError, showShape, showValue } from '../base/errors.js'
import { context, within } from '../tensor/context.js'
import { snapshots, type Tensor } from '../tensor/tensor.js'
import { type CallArguments, type FlatArguments, flattenArguments, type NumbersAsTensors } from './arguments.js'
import { callsWait } from './backlog.js'
import { firstDifference } from './difference.js'
import { Entry } from './entry.js'
import { explainProgram } from './explain.js'
import { lines, locator } from './locate.js'
import type { Phases } from './program.js'
import { type Trace, trace } from './trace.js'
import { checkCacheBytes, Variants } from './variants.js'

export interface CompileOptions {
  /** Run the same code op by op instead; for debugging. Also `CHAINRULE_COMPILE=0`. */
  eager?: boolean
  /** A name for warnings and `explain`. */
  name?: string
  /**
   * What is computed from captured tensors alone is kept between calls, until the library writes
   * one of them. Tensors whose `.data` was handed out could be written unseen, so what depends on
   * them is computed at each call; with `frozen` you promise not to write them that way.
   */
  frozen?: boolean
  /**
   * How much memory the function's programs may take together; default 256 MB. There is one for
   * each combination of shapes; beyond this the least recently used are dropped, with a warning,
   * and compiled again when their shapes come back.
   */
  cacheBytes?: number
  /** @internal many shapes are expected */
  anyShape?: boolean
  /** @internal ahead of other programs, where the function only reads */
  ahead?: boolean
  /** @internal modules that the function is known to use */
  modules?: readonly object[]
}

/** A compiled function: call it for a promise, or `.sync` to run in place. */
export interface Compiled<A extends readonly unknown[], R> {
  (...args: A): Promise<R>
  /** Runs on the calling thread and returns the result. */
  sync(...args: A): R
  /**
   * Compiles for arguments like these without a call, in steps of a few milliseconds between which
   * the event loop answers: before the first request of a server, or the first batch of another
   * shape. Only shapes and types of the arguments count. Calls made meanwhile wait for nothing.
   *
   *     await f.prepare(zeros([1, 3, 224, 224]))
   */
  prepare(...args: A): Promise<void>
  /**
   * The program for these arguments as text: instructions, shapes, bytes, FLOPs, what was fused,
   * memory.
   */
  explain(...args: A): string
  /** @internal */
  readonly variants: number
}

/** The compiled form of a function. */
export type CompiledOf<F extends (...args: never[]) => unknown> = Compiled<CallArguments<Parameters<F>>, ReturnType<F>>

const inlineLimit = 50
const inlineBudget = 1000

/** Microseconds of programs run inline in this turn of the event loop. */
let spent = 0
let resetQueued = false

function reset(): void {
  spent = 0
  resetQueued = false
}

function chargeInline(microseconds: number): void {
  spent += microseconds
  if (!resetQueued) {
    resetQueued = true
    setImmediate(reset).unref()
  }
}

function development(): boolean {
  return process.env.NODE_ENV !== 'production'
}

/**
 * Operations of a trace from which on an awaited call has its program built in turns of the event
 * loop: what takes milliseconds.
 */
const buildsInTurns = 64

class Cache {
  readonly variants: Variants
  private readonly fn: (...args: never[]) => unknown
  private readonly name: string
  private readonly shapes = new Set<string>()
  private readonly options: { readonly ahead: boolean; readonly frozen: boolean }
  /** Those the function is known to use, by earlier traces too. */
  private readonly modules: Set<object>
  /** No warnings about shapes, and about programs that were dropped. */
  private warned: boolean
  private warnedOfLoss: boolean
  private warnedOfChanges = false

  constructor(fn: (...args: never[]) => unknown, name: string, options: CompileOptions) {
    const { anyShape = false, ahead = false, frozen = false, modules = [] } = options
    this.fn = fn
    this.name = name
    this.options = { ahead, frozen }
    this.modules = new Set(modules)
    this.variants = new Variants(checkCacheBytes('compile', options.cacheBytes))
    this.warned = anyShape
    this.warnedOfLoss = anyShape
  }

  /** The variant for a call, with its program. */
  find(args: FlatArguments): Entry {
    const entry = this.begin(args)
    if (entry.building) this.finish(entry)
    return entry
  }

  /**
   * The variant for an awaited call. A large one that is new has its program later, built in turns
   * of the event loop.
   */
  begin(args: FlatArguments): Entry {
    const known = this.variants.find(args)
    if (known !== undefined) return known
    const start = performance.now()
    const traces = this.trace(args)
    let traced = traces.next()
    while (!traced.done) traced = traces.next()
    const entry = this.add(args, traced.value, performance.now() - start)
    if (entry.size < buildsInTurns) this.finish(entry)
    // a failure is that of the calls, which find it again
    else this.buildInTurns(entry).catch(() => {})
    return entry
  }

  /** Compiles what is not there yet, in turns of the event loop. */
  async prepare(args: FlatArguments): Promise<void> {
    const entry = this.variants.find(args) ?? (await this.traceInTurns(args))
    if (entry.building) await this.buildInTurns(entry)
  }

  private async traceInTurns(args: FlatArguments): Promise<Entry> {
    const traces = this.trace(args)
    const { gradEnabled } = context
    for (let took = 0; ; ) {
      const start = performance.now()
      const entry = within({ gradEnabled }, () => {
        try {
          const { done, value } = traces.next()
          took += performance.now() - start
          // a call may have been here first
          return done ? (this.variants.find(args) ?? this.add(args, value, took)) : undefined
        } catch (error) {
          // something may have changed between the traces: without a pause there is no doubt
          if (!(error instanceof StateError && error.code === 'ERR_TRACE_DIFFERS')) throw error
          return this.begin(args)
        }
      })
      if (entry !== undefined) return entry
      await immediate()
    }
  }

  private async buildInTurns(entry: Entry): Promise<void> {
    try {
      do await immediate()
      while (entry.advance())
    } catch (error) {
      this.variants.remove(entry)
      throw error
    } finally {
      entry.release()
    }
    this.trim()
  }

  private finish(entry: Entry): void {
    try {
      while (entry.advance());
    } catch (error) {
      this.variants.remove(entry)
      throw error
    }
    this.trim()
  }

  private add(args: FlatArguments, traced: Trace, took: number): Entry {
    const { fn, options } = this
    const locate = development() ? locator(fn, args, traced) : undefined
    const entry = new Entry(args, traced, { ...options, locate })
    entry.took = took
    this.warnAboutChanges(args)
    this.variants.add(args, entry)
    this.warnAboutShapes(args)
    return entry
  }

  private trim(): void {
    const gone = this.variants.trim()
    if (gone.count > 0) this.warnAboutLoss(gone)
  }

  /** In development the function is traced twice, which has to give the same. */
  private *trace(args: FlatArguments): Phases<Trace> {
    const first = this.traceOnce(args)
    if (!development()) return first
    yield
    const second = this.traceOnce(args)
    if (firstDifference(first, second) !== undefined) {
      const known = firstDifference(first, second, lines(this.fn, args))
      throw new StateError(
        'ERR_TRACE_DIFFERS',
        `compile(${this.name}): two traces of the function differ: ${known}. A compiled function must do the same each time: no counters, and no tensors made inside from data.`,
      )
    }
    // the later one, since modes and gradients may have changed in between, and it knows from the
    // beginning which modules are used
    return second
  }

  private traceOnce(args: FlatArguments): Trace {
    const { name, modules } = this
    const traced = trace(this.fn, args, { name, modules, keepStacks: false })
    for (const module of traced.found) modules.add(module)
    return traced
  }

  /** Something that is another at each call has each call compiled. */
  private warnAboutChanges(args: FlatArguments): void {
    if (this.warnedOfChanges) return
    const differences = this.variants.ofSameShapes(args).map((entry) => entry.difference(args))
    const [what] = differences
    if (what === undefined || differences.length < 3 || differences.some((d) => d !== what)) return
    this.warnedOfChanges = true
    process.emitWarning(
      `compile(${this.name}): compiled ${differences.length + 1} times for arguments of the same shapes, since each call found another ${what}. ` +
        'Each costs a compilation: pass numbers that change as arguments of the function.',
      { type: 'ChainruleWarning', code: 'WARN_CHANGES' },
    )
  }

  private warnAboutShapes(args: FlatArguments): void {
    if (this.warned) return
    this.shapes.add(args.tensors.map((t) => showShape(t.shape)).join(' '))
    if (this.shapes.size < 3) return
    this.warned = true
    process.emitWarning(
      `compile(${this.name}): compiled for ${this.shapes.size} different shapes (${[...this.shapes].join('; ')}). Each costs a compilation; keep batches equally large (dropLast), or pad.`,
      { type: 'ChainruleWarning', code: 'WARN_MANY_SHAPES' },
    )
  }

  private warnAboutLoss({ count, bytes, milliseconds }: ReturnType<Variants['trim']>): void {
    if (this.warnedOfLoss) return
    this.warnedOfLoss = true
    const { size, most } = this.variants
    const megabytes = (n: number): string => `${(n / 1e6).toPrecision(3)} MB`
    process.emitWarning(
      `compile(${this.name}): programs for ${size + count} combinations of shapes take more than cacheBytes, ${megabytes(most)} (${megabytes(bytes / count)} each). ` +
        `The least recently used are dropped, and compiled again in ${Math.ceil(milliseconds / count)} ms each when their shapes come back. ` +
        'Pad to fewer lengths, keep batches equally large (dropLast), or raise cacheBytes, an option of compile and of fit.',
      { type: 'ChainruleWarning', code: 'WARN_CACHE_FULL' },
    )
  }
}

/**
 * Compiles a function of tensors. The function is traced at the first call for each combination of
 * shapes; later calls run the optimized program: asynchronously on a background thread, in order,
 * or in place with `.sync`. Where the call is awaited, the program of a large function is built in
 * turns of the event loop. Tensors made outside and used inside are read at each call; they change
 * only through `assign` (as optimizers do). Numbers among the arguments are passed at run time.
 * `backward()` inside adds to the `.grad` of leaves, also of those among the arguments.
 *
 * What the function reads through modules (fields, methods, layers, parameters) is compared at each
 * call, and traced anew where it differs. Numbers and flags in variables outside cannot be seen and
 * stay what they were at the trace: pass them as arguments. `Math.random` and clocks inside throw.
 *
 *     const step = compile((x, y) => { const loss = losses.crossEntropy(net.forward(x), y); … return loss })
 *     const loss = await step(x, y)
 *
 * A call that fails changes nothing: no state, no `.grad`. Only the random numbers that a promised
 * call took when it was made stay taken; `.sync` gives them back. In anomaly mode the same code
 * runs op by op.
 *
 * @throws StateError when the function is async, reads data inside, calls `Math.random`
 *   (`ERR_TRACE_RANDOM`) or a clock (`ERR_TRACE_CLOCK`), keeps a tensor of its own in a field
 *   (`ERR_FIELD_TRACED`), or does not do the same each time it is traced.
 */
export function compile<F extends (...args: Tensor[]) => unknown>(fn: F & NumbersAsTensors<F>, options?: CompileOptions): CompiledOf<F>
export function compile<F extends (...args: never[]) => unknown>(fn: F & NumbersAsTensors<F>, options?: CompileOptions): CompiledOf<F>
export function compile<A extends unknown[], R>(fn: (...args: A) => R, options: CompileOptions = {}): Compiled<A, R> {
  checkOptions('compile', options, { eager: true, name: true, frozen: true, cacheBytes: true, anyShape: true, ahead: true, modules: true })
  checkFunction('compile', fn)
  if (
    options.modules !== undefined &&
    !(Array.isArray(options.modules) && Array.from(options.modules).every((m) => typeof m === 'object' && m !== null))
  )
    throw new ArgumentError('ERR_OPTION', `compile: modules must be an array of modules, received ${showValue(options.modules)}.`)
  if (options.name !== undefined && typeof options.name !== 'string')
    throw new ArgumentError('ERR_OPTION', `compile: name must be a string, received ${showValue(options.name)}.`)
  if (fn.constructor.name === 'AsyncFunction') {
    throw new StateError('ERR_ASYNC_FUNCTION', 'compile: the function must not be async. Prepare the data outside, and compute inside.')
  }
  const call = fn as unknown as (...args: unknown[]) => R
  const eager = options.eager ?? process.env.CHAINRULE_COMPILE === '0'
  const cache = new Cache(fn as unknown as (...args: never[]) => unknown, options.name ?? (fn.name || 'anonymous'), options)
  const direct = (): boolean => eager || context.anomaly || context.recorder !== undefined
  const runDirect = (args: readonly unknown[]): R => {
    if (context.recorder !== undefined) return call(...args)
    return within({ opByOp: `compile(${options.name ?? (fn.name || 'anonymous')})` }, () => call(...args))
  }

  const run = (args: readonly unknown[]): Promise<R> => {
    const flat = flattenArguments(args)
    const entry = cache.begin(flat)
    return (runsInline(entry) ? Promise.resolve(runInline(entry, flat)) : entry.submit(flat)) as Promise<R>
  }
  // not an async function: handing on a promise costs those three turns of the microtask queue
  const compiled = ((...args: unknown[]) => {
    try {
      return direct() ? Promise.resolve(runDirect(args)) : run(args)
    } catch (error) {
      return Promise.reject(error)
    }
  }) as unknown as Compiled<A, R>
  Object.defineProperties(compiled, {
    name: { value: options.name ?? fn.name },
    sync: {
      value: (...args: unknown[]) => {
        if (direct()) return runDirect(args)
        const flat = flattenArguments(args)
        return cache.find(flat).runAtomic(flat)
      },
    },
    prepare: { value: async (...args: unknown[]) => (direct() ? undefined : cache.prepare(flattenArguments(args))) },
    explain: {
      value: (...args: unknown[]) => {
        const flat = flattenArguments(args)
        return explainProgram(options.name ?? fn.name, cache.find(flat).program)
      },
    },
    variants: { get: () => cache.variants.size },
  })
  return compiled
}

/** Whether a call is over sooner than it would be queued, and nothing is in front of it. */
function runsInline(entry: Entry): boolean {
  if (entry.building) return false
  const { estimate } = entry
  return estimate < inlineLimit && spent + estimate < inlineBudget && nativeBackend()?.busy === false && !callsWait()
}

function runInline(entry: Entry, flat: FlatArguments): unknown {
  const { prepared } = entry
  const start = performance.now()
  const result = entry.runSync(flat)
  const took = (performance.now() - start) * 1000
  if (prepared) entry.observe(took)
  chargeInline(took)
  return result
}

// A tensor is read by argument, so its storage is ordered behind the programs that write it.
snapshots.take = compile((t: Tensor) => t.clone(), { name: 'read', anyShape: true, cacheBytes: 2 ** 20 })
