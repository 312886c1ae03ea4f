/** Tampered programs against the addon, a fixed set. */
import { hasNative } from '../support/backends.js'
import { fuzzTest } from './frame/test.js'
import { fuzzer } from './tampered.js'

if (hasNative) fuzzTest(fuzzer, 6000)
