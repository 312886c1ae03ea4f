/**
 * What is run in every way there is and must come out the same: a function of tensors, called several times, with what it writes.
 * In: a scenario. Out: the values after each call as plain arrays, or the error that ended it.
 */
import { type DType, isFloat, type TypedArray } from '../../../src/base/dtype.js'
import { ChainruleError, compile, manualSeed, type Tensor } from '../../../src/index.js'
import { denseOf } from '../../../src/ops/core/dispatch.js'

/** A scenario made afresh, for one run of it. */
export interface Setup {
  readonly fn: (...args: Tensor[]) => readonly Tensor[]
  /** The arguments of a call. */
  args(call: number): readonly Tensor[]
  /** What else a call changes: state, gradients. */
  effects(): readonly (Tensor | undefined)[]
  /** What happens between a call and the next. */
  after?(call: number): void
}

export interface Scenario {
  readonly calls: number
  setup(): Setup
}

export interface Value {
  readonly name: string
  readonly shape: readonly number[]
  readonly dtype: DType
  readonly data: TypedArray
}

export interface Outcome {
  readonly values: readonly Value[]
  /** The code of the typed error that ended the run. */
  readonly error?: string
  readonly message?: string
}

/** Runs a scenario on the current backend, op by op or compiled. Errors that are none of the library's are handed on. */
export function run({ calls, setup }: Scenario, how: 'eager' | 'compiled'): Outcome {
  const values: Value[] = []
  manualSeed(7)
  try {
    const { fn, args, effects, after } = setup()
    const compiled = how === 'compiled' ? compile(fn) : undefined
    for (let call = 0; call < calls; call++) {
      const results = compiled === undefined ? fn(...args(call)) : compiled.sync(...args(call))
      results.forEach((t, i) => values.push(valueNow(`result ${i} of call ${call + 1}`, t)))
      effects().forEach((t, i) => {
        if (t !== undefined) values.push(valueNow(`effect ${i} of call ${call + 1}`, t))
      })
      after?.(call)
    }
  } catch (error) {
    if (!(error instanceof ChainruleError) || /bug in chainrule/.test(error.message)) throw error
    return { values, error: error.code, message: error.message }
  }
  return { values }
}

/** A copy, made without the look at `.data` that would show the memory to JavaScript. */
function valueNow(name: string, t: Tensor): Value {
  if (t.constant === undefined) t.storage.waitToRead()
  return { name, shape: t.shape, dtype: t.dtype, data: denseOf(t, t.shape).slice() }
}

/** A value that rounding can change. */
export function rounds(v: Value): boolean {
  return isFloat(v.dtype)
}
