/** Processes killed while they save, some of them. */
import { fuzzTest } from './frame/test.js'
import { fuzzer } from './kills.js'

fuzzTest(fuzzer, 8)
