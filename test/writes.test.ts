/** Writing in place: `assign` and `{ out }`. What fails changes nothing, what is written is what was meant. On both backends. */
import { describe, expect, it } from 'vitest'
import { withBackend } from '../src/backend/select.js'
import { add, assign, compile, noGrad, type Tensor, tensor, zeros } from '../src/index.js'
import { stateZeros } from '../src/ops/basic/state.js'
import { backends } from './support/backends.js'

const list = (t: Tensor | undefined): unknown => t?.toArray()
const code = (code: string): unknown => expect.objectContaining({ code })

describe.each(backends)('writing in place on %s', (which) => {
  const test = (name: string, fn: () => void | Promise<void>): void => it(name, () => withBackend(which, fn))

  test('a matrix takes its own transpose', () => {
    for (const dtype of ['float32', 'float64', 'int32', 'uint8'] as const) {
      const make = (): Tensor =>
        tensor(
          [
            [1, 2, 3],
            [4, 5, 6],
            [7, 8, 9],
          ],
          { dtype },
        )
      const transposed = list(make().transpose().clone())
      const a = make()
      assign(a, a.transpose())
      expect(list(a)).toEqual(transposed)
      const b = make()
      assign(b.transpose(), b)
      expect(list(b)).toEqual(transposed)
      const c = make()
      assign(c.at([0, 2]), c.at([1, 3]))
      expect(list(c)).toEqual([
        [4, 5, 6],
        [7, 8, 9],
        [7, 8, 9],
      ])
    }
  })

  test('where elements share memory is an error before anything is written', () => {
    const row = zeros([1, 3])
    const rows = row.expand([2, 3])
    const value = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ])
    expect(() => assign(rows, value)).toThrow(code('ERR_WRITE_OVERLAPS'))
    expect(() => add(value, 1, { out: rows })).toThrow(code('ERR_WRITE_OVERLAPS'))
    expect(list(row)).toEqual([[0, 0, 0]])
    assign(row.expand([1, 3]), 2)
    assign(zeros([1, 0]).expand([4, 0]), 1)
    assign(zeros([0, 1]).expand([0, 4]), 1)
    expect(list(row)).toEqual([[2, 2, 2]])
  })

  test('a value that is gone leaves a number as it is, also while calls that read it are queued', async () => {
    const rate = stateZeros('test', [])
    assign(rate, 1)
    const large = zeros([300, 300])
    const f = compile((x: Tensor) => x.matmul(x).sum().add(rate))
    const calls = [f(large), f(large)]
    const gone = tensor(9)
    gone.dispose()
    expect(() => assign(rate, gone)).toThrow(code('ERR_TENSOR_DISPOSED'))
    expect(rate.item()).toBe(1)
    await Promise.all(calls)
  })

  test('{ out } where gradients are recorded is an error before anything is written, compiled too', () => {
    const w = tensor([1, 2], { requiresGrad: true })
    const out = tensor([0, 0])
    expect(() => add(w, 1, { out })).toThrow(code('ERR_OUT_GRAD'))
    expect(list(out)).toEqual([0, 0])
    const f = compile((x: Tensor) => {
      add(w.mul(x), 1, { out })
      return x.neg()
    })
    expect(() => f.sync(tensor([1, 1]))).toThrow(code('ERR_OUT_GRAD'))
    expect(list(out)).toEqual([0, 0])
    const g = compile((x: Tensor) => {
      noGrad(() => add(w.mul(x), 1, { out }))
      return x.neg()
    })
    g.sync(tensor([1, 1]))
    expect(list(out)).toEqual([2, 3])
  })
})
