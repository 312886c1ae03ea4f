/** A sample of the matrix of what is fused in front of and behind structured ops. */
import { fuzzTest } from './frame/test.js'
import { fuzzer } from './matrix.js'

fuzzTest(fuzzer, 1500)
