/** Hostile arguments, a fixed set. */
import { beforeAll } from 'vitest'
import { surface } from './arguments/attack.js'
import { fuzzer } from './arguments.js'
import { fuzzTest } from './frame/test.js'

// asked here, where nobody waits for a case to end
beforeAll(() => void surface(), 120_000)

fuzzTest(fuzzer, 1200)
