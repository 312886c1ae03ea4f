/** The handle at the limits of 32 bits. On both backends. */
import { describe, expect, it } from 'vitest'
import { withBackend } from '../src/backend/select.js'
import { add, compile, fromBuffer, type Tensor, zeros } from '../src/index.js'
import { backends } from './support/backends.js'

const tooLarge = expect.objectContaining({ code: 'ERR_TOO_LARGE' })

describe.each(backends)('tensors on %s', (which) => {
  const test = (name: string, fn: () => void): void => it(name, () => withBackend(which, fn))

  test('of nothing keep their other sizes within 2^31 - 1 elements', () => {
    expect(() => zeros([0, 65536, 65536])).toThrow(tooLarge)
    expect(() => zeros([0]).reshape([65536, 0, 65536])).toThrow(tooLarge)
    expect(() => zeros([65536, 1, 1]).expand([65536, 0, 65536])).toThrow(/\[65536, 0, 65536\]/)
    expect(() => add(zeros([0, 65536, 1]), zeros([65536]))).toThrow(tooLarge)
    const x = zeros([0, 32768, 65535])
    expect(x.add(1).shape).toEqual(x.shape)
    expect(x.sum().item()).toBe(0)
    expect(compile((y: Tensor) => y.add(1)).sync(x).shape).toEqual(x.shape)
  })

  // memory that nobody touches costs nothing
  test('of 2 GB are shown', () => {
    const x = fromBuffer(new Float32Array(2 ** 29))
    expect(String(x)).toContain(`shape: [${2 ** 29}]`)
    expect(x.at(-1).item()).toBe(0)
  })
})
