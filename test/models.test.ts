/** chainrule/models: sizes and names of PyTorch's counterparts, and that each of them learns, compiled. */
import { describe, expect, test } from 'vitest'
import { compile, losses, manualSeed, nn, noGrad, optim, rand, randn, type Tensor, zeros } from '../src/index.js'
import * as models from '../src/models/index.js'

const count = (m: nn.Module): number => m.parameters().reduce((n, p) => n + p.size, 0)
const names = (m: nn.Module): string[] => Object.keys(m.stateDict())

describe('parameters are as many as in PyTorch', () => {
  test.each([
    ['resnet18', models.resnet18(), 11_689_512],
    ['resnet34', models.resnet34(), 21_797_672],
    ['resnet50', models.resnet50(), 25_557_032],
    ['resnet20', models.resnet20(), 269_722],
    ['mobilenetV2', models.mobilenetV2(), 3_504_872],
    ['UNet', new models.UNet(3, 2), 31_037_698],
    ['LeNet', new models.LeNet(), 61_706],
    ['VAE', new models.VAE(784), 652_824],
    ['DCGANGenerator', new models.DCGANGenerator(), 3_576_704],
    ['DCGANDiscriminator', new models.DCGANDiscriminator(), 2_765_568],
  ])('%s', (_, model, wanted) => expect(count(model as nn.Module)).toBe(wanted))
})

describe('state dicts have PyTorch names', () => {
  const batchNorm = (name: string): string[] =>
    ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'].map((part) => `${name}.${part}`)

  test('resnet18', () => {
    const block = (name: string): string[] => [
      `${name}.conv1.weight`,
      ...batchNorm(`${name}.bn1`),
      `${name}.conv2.weight`,
      ...batchNorm(`${name}.bn2`),
    ]
    const layers = [1, 2, 3, 4].flatMap((i) => [
      ...block(`layer${i}.0`),
      ...(i === 1 ? [] : [`layer${i}.0.downsample.0.weight`, ...batchNorm(`layer${i}.0.downsample.1`)]),
      ...block(`layer${i}.1`),
    ])
    expect(names(models.resnet18())).toEqual(['conv1.weight', ...batchNorm('bn1'), ...layers, 'fc.weight', 'fc.bias'])
  })

  test('resnet50', () => {
    const shapes = models.resnet50().stateDict()
    expect(Object.keys(shapes)).toHaveLength(320)
    expect(shapes['layer1.0.downsample.0.weight'].shape).toEqual([256, 64, 1, 1])
    expect(shapes['layer2.0.conv2.weight'].shape).toEqual([128, 128, 3, 3])
    expect(shapes['layer4.2.conv3.weight'].shape).toEqual([2048, 512, 1, 1])
    expect(shapes['fc.weight'].shape).toEqual([1000, 2048])
  })

  test('mobilenetV2', () => {
    const shapes = models.mobilenetV2().stateDict()
    expect(Object.keys(shapes)).toHaveLength(314)
    expect(shapes['features.0.0.weight'].shape).toEqual([32, 3, 3, 3])
    expect(shapes['features.1.conv.0.0.weight'].shape).toEqual([32, 1, 3, 3])
    expect(shapes['features.1.conv.1.weight'].shape).toEqual([16, 32, 1, 1])
    expect(shapes['features.2.conv.0.0.weight'].shape).toEqual([96, 16, 1, 1])
    expect(shapes['features.2.conv.1.0.weight'].shape).toEqual([96, 1, 3, 3])
    expect(shapes['features.2.conv.3.running_mean'].shape).toEqual([24])
    expect(shapes['features.18.0.weight'].shape).toEqual([1280, 320, 1, 1])
    expect(shapes['classifier.1.weight'].shape).toEqual([1000, 1280])
  })

  test('the others', () => {
    expect(names(new models.UNet(3, 2, { width: 8 }))).toEqual(
      expect.arrayContaining([
        'inc.double_conv.0.weight',
        'down4.maxpool_conv.1.double_conv.4.running_var',
        'up1.up.bias',
        'up4.conv.double_conv.3.weight',
        'outc.conv.bias',
      ]),
    )
    expect(names(models.mlp([4, 8, 2]))).toEqual(['0.weight', '0.bias', '2.weight', '2.bias'])
    expect(names(new models.VAE(8))[2]).toBe('fc21.weight')
    expect(names(new models.DCGANGenerator({ width: 8 }))).toContain('main.12.weight')
    expect(names(new models.DCGANDiscriminator({ width: 8 }))).toContain('main.11.weight')
    expect(names(new models.Autoencoder(8, 2))).toContain('decoder.4.bias')
    expect(names(models.resnet20())).toContain('body.8.bn2.running_var')
  })
})

describe('each learns', () => {
  /** Compiled steps on one batch; the losses. */
  function train(model: nn.Module, loss: (x: Tensor, y: Tensor) => Tensor, x: Tensor, y: Tensor, steps = 4): number[] {
    const optimizer = new optim.Adam(model.parameters(), { lr: 2e-3 })
    const step = compile((a: Tensor, b: Tensor) => {
      const l = loss(a, b)
      optimizer.zeroGrad()
      l.backward()
      optimizer.step()
      return l
    })
    return Array.from({ length: steps }, () => step.sync(x, y).item())
  }
  const labels = (n: number): Tensor => zeros([n], { dtype: 'int32' })

  test.each([
    ['resnet20', () => models.resnet20(), [4, 3, 16, 16]],
    ['resnet18', () => models.resnet18({ numClasses: 10 }), [2, 3, 32, 32]],
    ['resnet50', () => models.resnet50({ numClasses: 10 }), [2, 3, 32, 32]],
    ['mobilenetV2', () => models.mobilenetV2({ numClasses: 10, widthMult: 0.25 }), [4, 3, 32, 32]],
    ['LeNet', () => new models.LeNet(), [4, 1, 28, 28]],
    ['mlp', () => models.mlp([12, 16, 10], { activation: () => new nn.Tanh(), dropout: 0.1 }), [4, 12]],
  ] as const)('%s', (_, make, shape) => {
    manualSeed(3)
    const model = make() as nn.Layer
    const l = train(model, (a, b) => losses.crossEntropy(model.forward(a), b), randn([...shape]), labels(shape[0]))
    expect(l.every(Number.isFinite)).toBe(true)
    expect(l[3]).toBeLessThan(l[0])
    model.eval()
    expect(noGrad(() => model.forward(randn([...shape]))).shape).toEqual([shape[0], 10])
  })

  test('UNet, of a size that halves unevenly', () => {
    manualSeed(3)
    const model = new models.UNet(1, 2, { width: 4 })
    const x = randn([2, 1, 36, 20])
    const target = zeros([2, 36, 20], { dtype: 'int32' })
    const l = train(model, (a, b) => losses.crossEntropy(model.forward(a), b), x, target)
    expect(model.forward(x).shape).toEqual([2, 2, 36, 20])
    expect(l[3]).toBeLessThan(l[0])
  })

  test('autoencoder and VAE', () => {
    manualSeed(3)
    const x = rand([8, 30])
    const plain = new models.Autoencoder(30, 3, { hidden: [16] })
    const l = train(plain, (a) => losses.mseLoss(plain.forward(a), a), x, x)
    expect(l[3]).toBeLessThan(l[0])
    const vae = new models.VAE(30, { hidden: 16, latent: 4 })
    const v = train(
      vae,
      (a) => {
        const [logits, mu, logVar] = vae.forward(a)
        return losses.binaryCrossEntropyWithLogits(logits, a, { reduction: 'sum' }).add(vae.divergence(mu, logVar))
      },
      x,
      x,
      20,
    )
    expect(v[19]).toBeLessThan(v[0])
    expect(vae.divergence(zeros([1, 4]), zeros([1, 4])).item()).toBeCloseTo(0)
    expect(vae.sample(5).shape).toEqual([5, 30])
  })

  test('DCGAN', () => {
    manualSeed(3)
    const g = new models.DCGANGenerator({ width: 4, channels: 1, latent: 6 })
    const d = new models.DCGANDiscriminator({ width: 4, channels: 1 })
    const noise = randn([3, 6, 1, 1])
    const fakes = g.forward(noise)
    expect(fakes.shape).toEqual([3, 1, 64, 64])
    expect(d.forward(fakes).shape).toEqual([3])
    const l = train(g, (a, b) => losses.binaryCrossEntropyWithLogits(d.forward(g.forward(a)), b), noise, zeros([3]).add(1), 6)
    expect(l[5]).toBeLessThan(l[0])
  })

  test('sizes that make no model are errors', () => {
    for (const make of [() => models.mlp([3]), () => new models.CifarResNet(21)])
      expect(make).toThrowError(expect.objectContaining({ code: 'ERR_MODEL_OPTION' }))
  })
})
