/** Random layers, a fixed set. */
import { fuzzTest } from './frame/test.js'
import { fuzzer } from './layers.js'

fuzzTest(fuzzer, 800)
