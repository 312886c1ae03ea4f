/** Random programs of the ops there are: what they give must not depend on how they are run. */
import { agree } from './agree/agree.js'
import type { Fuzzer } from './frame/fuzzer.js'
import { generateProgram } from './programs/generate.js'
import { type Program, printProgram, scenarioOf } from './programs/program.js'
import { shrinkProgram } from './programs/shrink.js'

export const fuzzer: Fuzzer<Program> = {
  name: 'programs',
  about: 'random programs give the same op by op and compiled, on both backends, call after call, and as float64 within rounding',
  generate: generateProgram,
  check: (c) => agree(scenarioOf(c)),
  shrink: shrinkProgram,
  print: printProgram,
}
