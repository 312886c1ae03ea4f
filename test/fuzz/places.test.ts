/** Hostile values at places, a fixed sample. */
import { beforeAll } from 'vitest'
import { surface } from './arguments/attack.js'
import { fuzzTest } from './frame/test.js'
import { fuzzer } from './places.js'

// asked here, where nobody waits for a case to end
beforeAll(() => void surface(), 120_000)

fuzzTest(fuzzer, 3000)
