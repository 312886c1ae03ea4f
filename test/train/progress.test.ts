/** What progress looks like on a terminal and elsewhere. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { makeProgress, showNumber, showTime } from '../../src/train/progress.js'

function screen(isTTY: boolean, columns = 80): { isTTY: boolean; columns: number; text: string; write(t: string): void } {
  return {
    isTTY,
    columns,
    text: '',
    write(t: string) {
      this.text += t
    },
  }
}

const result = {
  epoch: 2,
  loss: 0.123456,
  metrics: { accuracy: 0.97654 },
  valLoss: 0.2,
  valMetrics: { accuracy: 0.95 },
  steps: 100,
  samples: 6400,
  seconds: 3.21,
  samplesPerSecond: 2345.6,
}
const news = { epoch: 2, done: 25, samples: 1600, loss: 0.5, metrics: { accuracy: 0.8 } }

afterEach(() => {
  vi.unstubAllEnvs()
  vi.useRealTimers()
})

describe('progress', () => {
  test('lines: one an epoch, and signs of life', () => {
    vi.useFakeTimers()
    const out = screen(false)
    const progress = makeProgress('auto', { epochs: 12, batches: 100 }, out)
    progress.step(news)
    expect(out.text).toBe('')
    vi.advanceTimersByTime(11_000)
    progress.step(news)
    progress.validating(2)
    progress.epoch(result)
    progress.end('stopped early')
    expect(out.text).toBe(
      'epoch 2/12  step 25/100  loss 0.5000  accuracy 0.8000  145 samples/s\n' +
        'epoch  2/12  loss 0.1235  accuracy 0.9765  valLoss 0.2000  valAccuracy 0.9500  3.2 s  2,346 samples/s\n' +
        'stopped early\n',
    )
  })

  test.each([
    [200, 30],
    [103, 30],
    [80, 7],
    [60, 0],
    [20, 0],
  ])('bar: %s columns, one line that never wraps', (columns, width) => {
    vi.useFakeTimers()
    vi.stubEnv('NO_COLOR', '1')
    vi.stubEnv('CI', undefined)
    vi.stubEnv('TERM', 'xterm')
    const out = screen(true, columns)
    const progress = makeProgress('auto', { epochs: 3, batches: 100 }, out)
    vi.advanceTimersByTime(2000)
    progress.step(news)
    vi.advanceTimersByTime(10)
    progress.step({ ...news, done: 26 })
    const lines = out.text.split('\r\x1b[2K')
    expect(lines).toHaveLength(2)
    expect(lines[1].length).toBeLessThan(columns)
    expect(lines[1].replace(/[^━─]/g, '')).toHaveLength(width)
    if (width === 30)
      expect(lines[1]).toBe(`epoch 2/3  ${'━'.repeat(7)}${'─'.repeat(23)}  25%  loss 0.5000  accuracy 0.8000  800 samples/s  0:14 left`)
    progress.validating(2)
    expect(out.text.endsWith('validation …'.slice(0, Math.max(0, columns - 1 - 11)))).toBe(true)
    progress.epoch(result)
    expect(out.text.endsWith('2,346 samples/s\n')).toBe(true)
    progress.end(undefined)
    expect(out.text.endsWith('samples/s\n')).toBe(true)
  })

  test('an unknown number of batches, and none at all', () => {
    vi.useFakeTimers()
    const out = screen(false)
    const progress = makeProgress('bar', { epochs: 1, batches: undefined }, out)
    vi.advanceTimersByTime(1000)
    progress.step(news)
    expect(out.text).toContain('25 steps  loss')
    expect(out.text).not.toContain('left')
    progress.end(undefined)
    expect(out.text.endsWith('\n')).toBe(true)
    const silent = screen(true)
    const none = makeProgress(false, { epochs: 1, batches: 1 }, silent)
    none.step(news)
    none.epoch(result)
    none.end('note')
    expect(silent.text).toBe('')
  })

  test('numbers and times', () => {
    expect([0, 1e-7, 0.5, 12.345, 123.456, 1234.5, 1e7, Number.NaN].map(showNumber)).toEqual([
      '0.0000',
      '1.00e-7',
      '0.5000',
      '12.35',
      '123.5',
      '1235',
      '1.00e+7',
      'NaN',
    ])
    expect([0, 61, 3725].map(showTime)).toEqual(['0:00', '1:01', '1:02:05'])
  })
})
