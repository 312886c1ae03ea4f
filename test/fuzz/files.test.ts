/** Files nobody should write, a fixed set. */
import { fuzzer } from './files.js'
import { fuzzTest } from './frame/test.js'

fuzzTest(fuzzer, 1500)
