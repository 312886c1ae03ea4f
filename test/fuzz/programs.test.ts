/** Random programs, a fixed set. */
import { fuzzTest } from './frame/test.js'
import { fuzzer } from './programs.js'

fuzzTest(fuzzer, 600)
