/** Learning-rate schedules against PyTorch's values, in double precision. */
import { describe, expect, test } from 'vitest'
import { ArgumentError, nn, optim, StateError } from '../../src/index.js'
import { camelOptions, casesOf, type Options } from '../support/golden.js'

interface ScheduleCase {
  readonly name: string
  readonly op: string
  readonly options: Options
  readonly base_lr: number
  readonly lr: number[]
  readonly momentum?: number[]
  readonly metrics?: number[]
  readonly optimizer?: string
}

const { lrScheduler } = optim

/** Schedules by PyTorch's name. */
const schedulers: Record<string, (optimizer: optim.Optimizer, options: Options) => optim.lrScheduler.LRScheduler> = {
  StepLR: (p, { stepSize, ...o }) => new lrScheduler.StepLR(p, stepSize, o),
  MultiStepLR: (p, { milestones, ...o }) => new lrScheduler.MultiStepLR(p, milestones, o),
  ConstantLR: (p, o) => new lrScheduler.ConstantLR(p, o),
  LinearLR: (p, o) => new lrScheduler.LinearLR(p, o),
  ExponentialLR: (p, { gamma }) => new lrScheduler.ExponentialLR(p, gamma),
  PolynomialLR: (p, o) => new lrScheduler.PolynomialLR(p, o),
  CosineAnnealingLR: (p, { tMax, ...o }) => new lrScheduler.CosineAnnealingLR(p, tMax, o),
  CosineAnnealingWarmRestarts: (p, { t0, ...o }) => new lrScheduler.CosineAnnealingWarmRestarts(p, t0, o),
  OneCycleLR: (p, { maxLr, ...o }) => new lrScheduler.OneCycleLR(p, maxLr, o),
  CyclicLR: (p, { baseLr, maxLr, ...o }) => new lrScheduler.CyclicLR(p, baseLr, maxLr, o),
  LambdaLR: (p) => new lrScheduler.LambdaLR(p, (epoch) => 1 / Math.sqrt(epoch + 1)),
  MultiplicativeLR: (p, { factor }) => new lrScheduler.MultiplicativeLR(p, () => factor),
  SWALR: (p, { swaLr, ...o }) => new lrScheduler.SWALR(p, swaLr, o),
  SequentialLR: (p, o) => new lrScheduler.SequentialLR(p, parts(p, o), o.milestones),
  ChainedScheduler: (p, o) => new lrScheduler.ChainedScheduler(parts(p, o)),
}

const spelled = (o: Options): Options => {
  const { T_max: tMax, T_0: t0, T_mult: tMult, ...rest } = o
  return Object.fromEntries(Object.entries({ ...camelOptions(rest), tMax, t0, tMult }).filter(([, value]) => value !== undefined))
}
const parts = (p: optim.Optimizer, o: Options): optim.lrScheduler.LRScheduler[] =>
  o.schedulers.map(({ op, ...own }: Options) => schedulers[op](p, spelled(own)))

function makeOptimizer(c: ScheduleCase): optim.SGD | optim.Adam {
  const params = [new nn.Parameter([1])]
  if (c.optimizer === 'Adam') return new optim.Adam(params, { lr: c.base_lr })
  return new optim.SGD(params, { lr: c.base_lr, momentum: c.momentum === undefined ? 0 : 0.9 })
}

function same(actual: number, wanted: number, what: string): void {
  expect(Math.abs(actual - wanted), `${what}: ${actual} instead of ${wanted}`).toBeLessThanOrEqual(1e-9 * Math.abs(wanted) + 1e-15)
}

const momentumOf = (optimizer: optim.SGD | optim.Adam): number =>
  optimizer instanceof optim.Adam ? optimizer.groups[0].betas[0] : optimizer.groups[0].momentum

describe.each(['schedulers', 'schedulers-options'])('%s', (group) => {
  test.each(casesOf<ScheduleCase>(group).map((c) => [c.name, c] as const))('%s', (_, c) => {
    const optimizer = makeOptimizer(c)
    const plateau = c.op === 'ReduceLROnPlateau' ? new lrScheduler.ReduceLROnPlateau(optimizer, spelled(c.options)) : undefined
    const scheduler = plateau ?? schedulers[c.op](optimizer, spelled(c.options))
    c.lr.forEach((lr, i) => {
      same(optimizer.lr, lr, `rate ${i}`)
      same(scheduler.getLastLr()[0], lr, `last rate ${i}`)
      if (c.momentum !== undefined) same(momentumOf(optimizer), c.momentum[i], `momentum ${i}`)
      if (i === c.lr.length - 1) return
      if (plateau !== undefined) plateau.step((c.metrics as number[])[i])
      else (scheduler as optim.lrScheduler.LRScheduler).step()
    })
  })

  test.each(casesOf<ScheduleCase>(group).map((c) => [c.name, c] as const))('%s, saved and loaded half way', (_, c) => {
    const make = (): [optim.SGD | optim.Adam, optim.lrScheduler.LRScheduler | optim.lrScheduler.ReduceLROnPlateau] => {
      const optimizer = makeOptimizer(c)
      const plateau = c.op === 'ReduceLROnPlateau'
      return [optimizer, plateau ? new lrScheduler.ReduceLROnPlateau(optimizer, spelled(c.options)) : schedulers[c.op](optimizer, spelled(c.options))]
    }
    const advance = (s: ReturnType<typeof make>[1], i: number): void =>
      s instanceof lrScheduler.ReduceLROnPlateau ? s.step((c.metrics as number[])[i]) : s.step()
    const [first, before] = make()
    const half = Math.floor(c.lr.length / 2)
    for (let i = 0; i < half; i++) advance(before, i)
    const [second, after] = make()
    after.loadStateDict(JSON.parse(JSON.stringify(before.stateDict())))
    second.loadStateDict(first.stateDict())
    for (let i = half; i < c.lr.length; i++) {
      expect(second.lr).toBe(first.lr)
      expect(after.getLastLr()).toEqual(before.getLastLr())
      same(second.lr, c.lr[i], `rate ${i}`)
      if (i === c.lr.length - 1) break
      advance(before, i)
      advance(after, i)
    }
  })
})

interface EpochCase extends ScheduleCase {
  /** What `step` is called with, `null` for nothing. */
  readonly epochs: readonly (number | null)[]
  readonly last_epoch: number
}

describe('step(epoch)', () => {
  test.each(casesOf<EpochCase>('schedulers-epochs').map((c) => [c.name, c] as const))('%s', (_, c) => {
    const optimizer = makeOptimizer(c)
    const scheduler = schedulers[c.op](optimizer, spelled(c.options))
    c.epochs.forEach((epoch, i) => {
      if (epoch === null) scheduler.step()
      else scheduler.step(epoch)
      same(optimizer.lr, c.lr[i], `rate ${i}`)
      same(scheduler.getLastLr()[0], c.lr[i], `last rate ${i}`)
    })
    expect(scheduler.lastEpoch).toBe(c.last_epoch)
  })

  test('what is no epoch is refused, and nothing changes', () => {
    const make = (): optim.SGD => new optim.SGD([new nn.Parameter([1])], { lr: 0.1, momentum: 0.9 })
    for (const c of casesOf<EpochCase>('schedulers-epochs')) {
      const optimizer = makeOptimizer(c)
      const scheduler = schedulers[c.op](optimizer, spelled(c.options))
      scheduler.step()
      const before = [optimizer.lr, scheduler.lastEpoch, ...scheduler.getLastLr()]
      const parts = c.op === 'CosineAnnealingWarmRestarts' ? [] : [2.5]
      for (const epoch of [-1, Number.NaN, Infinity, '3', null, ...parts])
        expect(() => scheduler.step(epoch as number), `${c.op} ${epoch}`).toThrow(ArgumentError)
      expect([optimizer.lr, scheduler.lastEpoch, ...scheduler.getLastLr()]).toEqual(before)
    }
    const optimizer = make()
    expect(() => new lrScheduler.OneCycleLR(optimizer, 0.3, { totalSteps: 5 }).step(6)).toThrow(StateError)
    const step = new lrScheduler.StepLR(optimizer, 3)
    for (const scheduler of [
      new lrScheduler.SWALR(make(), 0.05),
      new lrScheduler.SequentialLR(optimizer, [step, new lrScheduler.StepLR(optimizer, 4)], [3]),
      new lrScheduler.ChainedScheduler([step]),
    ]) {
      expect(() => scheduler.step(3)).toThrow(/step\(\) takes no epoch/)
      expect(scheduler.lastEpoch).toBe(0)
    }
    const plateau = new lrScheduler.ReduceLROnPlateau(make())
    plateau.step(1, 7)
    expect(plateau.lastEpoch).toBe(7)
    expect(() => plateau.step(1, -1)).toThrow(ArgumentError)
  })
})
