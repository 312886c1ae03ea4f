/** Saving, loading, and going on: bit for bit. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import vm from 'node:vm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  ArgumentError,
  DataError,
  DataLoader,
  fit,
  getRandomState,
  load,
  loadCheckpoint,
  loadSafetensors,
  losses,
  manualSeed,
  nn,
  optim,
  ShapeError,
  save,
  saveCheckpoint,
  saveSafetensors,
  type Tensor,
  zeros,
} from '../../src/index.js'
import { mlp, points, setup, weights } from '../train/helpers.js'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'chainrule-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))
const at = (name: string): string => join(folder, name)

const { x, y } = points(160)

/** Everything that takes part in a training: batch norm's statistics, dropout's random numbers, Adam's moments. */
function build(seed: number): { model: nn.Sequential; optimizer: optim.AdamW; loader: DataLoader; options: Parameters<typeof fit>[2] } {
  manualSeed(seed)
  const model = new nn.Sequential(new nn.Linear(2, 16), new nn.BatchNorm1d(16), new nn.ReLU(), new nn.Dropout(0.2), new nn.Linear(16, 3))
  const optimizer = new optim.AdamW(model.parameters(), { lr: 0.01 })
  const loader = new DataLoader([x, y], { batchSize: 16, shuffle: true, seed: 5 })
  return { model, optimizer, loader, options: { loss: losses.crossEntropy, optimizer, progress: false } }
}

/** What a checkpoint is made of. */
const parts = ({ model, optimizer, loader }: ReturnType<typeof build>) => ({ model, optimizer, loader })

describe('checkpoints', () => {
  test.each([true, false])('10 steps, saved and loaded, and 10 more are 20 steps (compile: %s)', async (compile) => {
    const whole = build(1)
    await fit(whole.model, whole.loader, { ...whole.options, epochs: 2, compile })
    const first = build(1)
    for await (const { epoch } of fit(first.model, first.loader, { ...first.options, epochs: 2, compile })) {
      await saveCheckpoint(at('half.safetensors'), { ...parts(first), epoch, step: 10, extra: { note: ['a', 1] } })
      break
    }
    const second = build(2)
    const loaded = await loadCheckpoint(at('half.safetensors'), parts(second))
    expect(loaded).toEqual({ epoch: 1, step: 10, extra: { note: ['a', 1] } })
    expect(weights(second.model)).toEqual(weights(first.model))
    expect(second.optimizer.lr).toBe(0.01)
    await fit(second.model, second.loader, { ...second.options, compile })
    expect(weights(second.model)).toEqual(weights(whole.model))
    const dict = second.optimizer.stateDict()
    for (const [name, t] of Object.entries(whole.optimizer.stateDict())) expect([...dict[name].data], name).toEqual([...t.data])
    expect(second.loader.state()).toEqual(whole.loader.state())
    expect(getRandomState().seed).toBe(1)
  })

  test('without a loader: the order comes from the generator, which is saved', async () => {
    const whole = build(3)
    await fit(whole.model, [x, y], { ...whole.options, epochs: 3 })
    const first = build(3)
    await fit(first.model, [x, y], first.options)
    await saveCheckpoint(at('generator.safetensors'), { model: first.model, optimizer: first.optimizer })
    const second = build(4)
    await loadCheckpoint(at('generator.safetensors'), { model: second.model, optimizer: second.optimizer })
    await fit(second.model, [x, y], { ...second.options, epochs: 2 })
    expect(weights(second.model)).toEqual(weights(whole.model))
  })

  test('in the middle of an epoch, step by step', async () => {
    const whole = build(5)
    await fit(whole.model, whole.loader, { ...whole.options, epochs: 1 })
    const first = build(5)
    for await (const { step } of fit(first.model, first.loader, first.options).steps()) {
      if (step < 4) continue
      await saveCheckpoint(at('middle.safetensors'), { ...parts(first), step })
      break
    }
    const second = build(6)
    expect((await loadCheckpoint(at('middle.safetensors'), parts(second))).step).toBe(4)
    expect(second.loader.state()).toEqual({ epoch: 0, batch: 4 })
    expect((await fit(second.model, second.loader, second.options)).steps).toBe(6)
    expect(weights(second.model)).toEqual(weights(whole.model))
  })

  test('a snapshot during a training is that of one moment', async () => {
    // two parameters that are equal after every step, unless one is read a step later
    class Twins extends nn.Module {
      readonly a = new nn.Parameter([0, 0])
      readonly b = new nn.Parameter([0, 0])
      forward(t: Tensor): Tensor {
        return t.mul(this.a.add(this.b)).sum({ dim: 1 })
      }
    }
    const model = new Twins()
    const optimizer = new optim.SGD(model.parameters(), { lr: 1e-3 })
    const run = fit(model, [x, { data: new Float32Array(160).fill(1), shape: [160], dtype: 'float32' }], {
      loss: losses.mseLoss,
      optimizer,
      epochs: 1e6,
      progress: false,
    })
    const seen = new Set<number>()
    for (let i = 0; i < 8; i++) {
      await save(model, at('twins.safetensors'))
      const { tensors } = await loadSafetensors(at('twins.safetensors'))
      const [a, b] = [tensors.get('a')?.data ?? [], tensors.get('b')?.data ?? []]
      expect([...a]).toEqual([...b])
      seen.add(a[0])
    }
    for await (const _ of run) break
    expect(seen.size).toBeGreaterThan(2)
    expect((await readdir(folder)).filter((name) => name.startsWith('twins'))).toEqual(['twins.safetensors'])
  })

  test('refuses what is no checkpoint, or another model’s, and changes nothing', async () => {
    const { model, optimizer, loader } = build(7)
    await saveCheckpoint(at('good.safetensors'), { model })
    await save(model, at('weights.safetensors'))
    await writeFile(at('text.safetensors'), 'hello')
    const small = mlp()
    const mine = build(8)
    const before = [weights(mine.model), getRandomState(), mine.loader.state()]
    const refused = async (name: string, what: object, message: string): Promise<void> => {
      await expect(loadCheckpoint(at(name), { model: mine.model, ...what })).rejects.toThrow(message)
      expect([weights(mine.model), getRandomState(), mine.loader.state()]).toEqual(before)
    }
    await refused('missing.safetensors', {}, 'cannot read')
    await refused('text.safetensors', {}, 'safetensors')
    await refused('weights.safetensors', {}, 'is no checkpoint')
    await refused('good.safetensors', { optimizer: mine.optimizer }, 'saved without an optimizer')
    await refused('good.safetensors', { loader: mine.loader }, 'saved without a loader')
    await saveCheckpoint(at('full.safetensors'), { model, optimizer, loader })
    await refused('full.safetensors', { model: small }, 'the entries differ')
    await refused(
      'full.safetensors',
      { optimizer: new optim.SGD(mine.model.parameters(), { lr: 1, momentum: 0.9 }), loader: mine.loader },
      'the entries differ',
    )
    await saveSafetensors(at('future.safetensors'), {}, { metadata: { 'chainrule.version': '2', 'chainrule.kind': 'checkpoint' } })
    await refused('future.safetensors', {}, 'format version 2')
    await saveSafetensors(at('odd.safetensors'), {}, { metadata: { 'chainrule.kind': 'checkpoint', 'chainrule.progress': '{"epoch":-1}' } })
    await refused('odd.safetensors', {}, 'damaged counters')
    await expect(saveCheckpoint(at('never'), { model, epoch: -1 })).rejects.toThrow(ArgumentError)
    await expect(loadCheckpoint(at('odd.safetensors'), { model: mine.model })).rejects.toThrow(DataError)
  })
})

describe('extra', () => {
  const model = new nn.Linear(1, 1)
  const trip = async (extra: unknown): Promise<unknown> => {
    await saveCheckpoint(at('extra.ckpt'), { model, extra: extra as never })
    return (await loadCheckpoint(at('extra.ckpt'), { model })).extra
  }

  test('comes back as it went in', async () => {
    const shared = [1, 2]
    const extra = {
      best: Infinity,
      worst: -Infinity,
      missing: Number.NaN,
      zero: -0,
      count: 2n ** 80n,
      note: undefined,
      nothing: null,
      when: new Date(1e12),
      never: new Date(Number.NaN),
      seen: new Map<unknown, unknown>([
        [1, { a: new Set([1, 'b', undefined]) }],
        [{ k: 1 }, undefined],
      ]),
      curve: Float32Array.of(1, Number.NaN, -0),
      bytes: new Uint8Array(Uint8Array.of(1, 2, 3, 4).buffer, 1, 2),
      big: BigInt64Array.of(-5n),
      clamped: Uint8ClampedArray.of(300),
      memory: Float64Array.of(1, 2).buffer,
      rows: [[1], [], [undefined, 'x']],
      twice: [shared, shared],
      $type: 'number',
      value: { $type: { $type: 'Map' } },
      'strange key': true,
      text: 'ä\u2028"\\',
    }
    const back = (await trip(extra)) as typeof extra
    expect(back).toEqual(extra)
    expect(Object.keys(back)).toEqual(Object.keys(extra))
    expect('note' in back).toBe(true)
    expect(Object.is(back.zero, -0)).toBe(true)
    expect(0.3 < back.best).toBe(true)
    expect(JSON.parse('{"__proto__": {"a": 1}}')).toEqual(await trip(JSON.parse('{"__proto__": {"a": 1}}')))
    for (const single of [null, 3, Infinity, 'text', true, new Map(), []]) expect(await trip(single)).toEqual(single)
    expect(await trip(undefined)).toBeUndefined()
    expect(await trip(vm.runInNewContext('({ a: new Map([[1, Float32Array.of(2)]]), d: new Date(5) })'))).toEqual({
      a: new Map([[1, Float32Array.of(2)]]),
      d: new Date(5),
    })
  })

  test('what cannot be kept is refused by its place, and no file is written', async () => {
    const circle: Record<string, unknown> = { a: [] }
    ;(circle.a as unknown[]).push(circle)
    class Own {
      x = 1
    }
    const deep: unknown = JSON.parse(`${'['.repeat(10_000)}${']'.repeat(10_000)}`)
    const gone = new Float32Array(2)
    structuredClone(gone, { transfer: [gone.buffer] })
    const cases: [extra: unknown, said: string][] = [
      [{ best: () => 1 }, 'extra.best cannot be saved: it is a function.'],
      [{ list: [0, { 'a b': Symbol('s') }] }, 'extra.list[1]["a b"] cannot be saved: it is a symbol.'],
      [{ weights: zeros([1]) }, 'extra.weights cannot be saved: it is an instance of '],
      [{ own: new Own() }, 'extra.own cannot be saved: it is an instance of Own.'],
      [new Map([['k', new Own()]]), 'extra (value 0) cannot be saved'],
      [circle, 'extra.a[0] cannot be saved: it contains itself.'],
      [{ deep }, 'nested deeper than 1000 levels'],
      [{ gone }, 'extra.gone cannot be saved: its memory has been transferred elsewhere'],
      [gone.buffer, 'extra cannot be saved: its memory has been transferred elsewhere'],
      [new DataView(new ArrayBuffer(2)), 'extra cannot be saved: it is a DataView.'],
      [{ [Symbol('s')]: 1 }, 'extra cannot be saved: it has keys that are symbols.'],
    ]
    for (const [extra, said] of cases) {
      const run = saveCheckpoint(at('refused.ckpt'), { model, extra: extra as never })
      await expect(run).rejects.toMatchObject({ code: 'ERR_CHECKPOINT', message: expect.stringContaining(said) })
    }
    await expect(loadCheckpoint(at('refused.ckpt'), { model })).rejects.toThrow(DataError)
  })

  test('a file with values that were never written', async () => {
    for (const extra of [
      '{"$type":"Odd"}',
      '{"$type":"bigint","value":"x"}',
      '{"$type":"Float64Array","value":"AAA="}',
      '{"$type":"Map","value":3}',
    ]) {
      const progress = `{"epoch":0,"step":0,"random":{"seed":1,"position":0},"extra":${extra}}`
      await saveSafetensors(at('odd.ckpt'), {}, { metadata: { 'chainrule.kind': 'checkpoint', 'chainrule.progress': progress } })
      await expect(loadCheckpoint(at('odd.ckpt'), { model })).rejects.toMatchObject({
        code: 'ERR_CHECKPOINT',
        message: expect.stringContaining('has damaged counters'),
      })
    }
  })
})

describe('save and load', () => {
  test('PyTorch’s names, and the same numbers', async () => {
    const { model } = build(9)
    await fit(model, [x, y], setup(model))
    const options = { metadata: { note: 'best' } }
    const saved = save(model, at('model.safetensors'), options)
    options.metadata.note = 'changed after the call'
    await saved
    const { tensors, metadata } = await loadSafetensors(at('model.safetensors'))
    expect([...tensors.keys()].sort()).toEqual([
      '0.bias',
      '0.weight',
      '1.bias',
      '1.num_batches_tracked',
      '1.running_mean',
      '1.running_var',
      '1.weight',
      '4.bias',
      '4.weight',
    ])
    expect(metadata.get('format')).toBe('pt')
    expect(metadata.get('note')).toBe('best')
    const other = build(10).model
    expect(await load(other, at('model.safetensors'))).toBe(other)
    expect(weights(other)).toEqual(weights(model))
    await saveCheckpoint(at('whole.safetensors'), { model })
    expect(weights(await load(build(11).model, at('whole.safetensors')))).toEqual(weights(model))
    await save(model, at('half.safetensors'), { floatType: 'F16' })
    weights(await load(build(12).model, at('half.safetensors'))).forEach((w, i) => {
      expect(w).toBeCloseTo(weights(model)[i], 2)
    })
  })

  test('strict lists everything at once, and not strict takes what is there', async () => {
    await save(mlp(1), at('small.safetensors'))
    const { model } = build(13)
    const before = weights(model)
    const error = await load(model, at('small.safetensors')).then(
      () => expect.unreachable(),
      (e: Error) => e,
    )
    expect(error.message).toMatch(/missing: 1.weight.*4.bias.*unexpected: 2.bias, 2.weight/)
    expect(weights(model)).toEqual(before)
    await load(model, at('small.safetensors'), { strict: false })
    expect([...(model[0] as nn.Linear).weight.data]).toEqual([...(mlp(1)[0] as nn.Linear).weight.data])
    const head = weights(model).slice(-2)
    await load(model, at('small.safetensors'), { filter: (name) => name.startsWith('0.') })
    await saveCheckpoint(at('full.safetensors'), { model: mlp(2) })
    await load(model, at('full.safetensors'), { filter: (name) => name.startsWith('0.') })
    expect([...(model[0] as nn.Linear).weight.data]).toEqual([...(mlp(2)[0] as nn.Linear).weight.data])
    expect(weights(model).slice(-2)).toEqual(head)
    await expect(load(model, at('small.safetensors'), { filter: (name) => name.startsWith('1.') })).rejects.toThrow('missing: 1.weight')
    const wide = new nn.Sequential(new nn.Linear(2, 17), new nn.Tanh(), new nn.Linear(17, 3))
    await expect(load(wide, at('small.safetensors'))).rejects.toThrow(ShapeError)
    await expect(load({} as never, at('small.safetensors'))).rejects.toThrow(ArgumentError)
    await expect(save(wide, '')).rejects.toThrow('expected the path')
    await expect(save(wide, at('no/such/folder/x'))).rejects.toThrow()
  })
})
