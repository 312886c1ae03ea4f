/**
 * Linear algebra, Fourier transforms, scatters, sorts and scans beside PyTorch, called eagerly: node bench/arrays.js [word …] [--seconds s].
 * In: the list below, whose names bench/peers/torch-arrays.py knows as well; `--torch "command"` or CHAINRULE_BENCH_TORCH_ARRAYS says how that
 * file is run, else python3. Out: a table with the ratio of the two medians, the one that waits left idle. Of what has no PyTorch, our times alone.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import * as cr from 'chainrule'
import { linesOf } from './session.js'
import { measure, rounded } from './timing.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { torch: { type: 'string' }, seconds: { type: 'string', default: '0.3' }, json: { type: 'boolean' } },
})

const symmetric = (shape) => {
  const a = cr.randn(shape)
  return cr.matmul(a, a.transpose()).add(cr.eye(shape.at(-1)).mul(shape.at(-1)))
}
const indices = (shape, below) => cr.rand(shape).mul(below).to('int32')
/** The gradient of a sum of products, as a layer's backward pass takes it. */
const gradientOf = (f, x, g) => {
  const backward = cr.valueAndGrad((a, b) => f(a).mul(b).sum())
  return () => backward(x, g)[1][0]
}

const matrix = {
  cholesky: (s) => [symmetric(s), cr.cholesky],
  solve: (s) => [symmetric(s), (a) => cr.solve(a, a)],
  inverse: (s) => [symmetric(s), cr.inverse],
  qr: (s) => [cr.randn(s), cr.qr],
  svd: (s) => [cr.randn(s), cr.svd],
  eigh: (s) => [symmetric(s), cr.eigh],
}
const sizes = [
  [8, 8],
  [32, 32],
  [64, 64],
  [128, 128],
  [256, 256],
  [512, 512],
  [256, 8, 8],
  [64, 32, 32],
]

const cases = {}
for (const [name, make] of Object.entries(matrix)) {
  for (const size of name === 'qr' || name === 'svd' ? [...sizes, [512, 64]] : sizes) {
    cases[`${name} ${size.join('x')}`] = () => {
      const [a, f] = make(size)
      return () => f(a)
    }
  }
}
for (const [rows, n] of [
  [64, 1024],
  [64, 1000],
  [64, 1001],
  [64, 1021],
  [64, 360],
  [64, 400],
  [64, 441],
  [1, 65536],
  [1, 65537],
  [1, 44100],
  [1, 2 ** 20],
]) {
  cases[`fft ${rows}x${n}`] = () => {
    const x = cr.randn([rows, n, 2])
    return () => cr.fft(x)
  }
  cases[`rfft ${rows}x${n}`] = () => {
    const x = cr.randn([rows, n])
    return () => cr.rfft(x)
  }
}
Object.assign(cases, {
  'scatterAdd rows 4096x128 into 65': () => {
    const [x, i] = [cr.randn([4096, 128]), indices([4096, 1], 65)]
    const all = cr.expand(i, [4096, 128])
    return () => cr.scatterAdd(cr.zeros([65, 128]), all, x, 0)
  },
  'scatterAdd 1000000 into 1000': () => {
    const [x, i] = [cr.randn([1_000_000]), indices([1_000_000], 1000)]
    return () => cr.scatterAdd(cr.zeros([1000]), i, x, 0)
  },
  'scatterAdd 1024x1024, last dimension': () => {
    const [x, i] = [cr.randn([1024, 1024]), indices([1024, 1024], 1024)]
    return () => cr.scatterAdd(cr.zeros([1024, 1024]), i, x, 1)
  },
  'scatter 1024x1024, last dimension': () => {
    const [x, i] = [cr.randn([1024, 1024]), indices([1024, 1024], 1024)]
    return () => cr.scatter(cr.zeros([1024, 1024]), i, x, 1)
  },
  'gather 1024x1024, last dimension': () => {
    const [x, i] = [cr.randn([1024, 1024]), indices([1024, 1024], 1024)]
    return () => cr.gather(x, i, 1)
  },
  'gradient of gather 1024x1024': () => {
    const [x, i] = [cr.randn([1024, 1024]), indices([1024, 1024], 1024)]
    return gradientOf((a) => cr.gather(a, i, 1), x, cr.randn([1024, 1024]))
  },
  'gradient of indexSelect 10000x128, 4096 rows': () => {
    const [x, i] = [cr.randn([10_000, 128]), indices([4096], 10_000)]
    return gradientOf((a) => cr.indexSelect(a, i, 0), x, cr.randn([4096, 128]))
  },
  'gradient of embedding 50000x64, 2048 tokens': () => {
    const [x, i] = [cr.randn([50_000, 64]), indices([2048], 50_000)]
    return gradientOf((a) => cr.indexSelect(a, i, 0), x, cr.randn([2048, 64]))
  },
})
for (const [rows, n] of [
  [1024, 32],
  [256, 1024],
  [1, 100_000],
  [1, 1_000_000],
]) {
  const x = () => cr.randn([rows, n])
  const of = (f) => () => {
    const a = x()
    return () => f(a)
  }
  cases[`sort ${rows}x${n}`] = of((a) => cr.sort(a))
  cases[`topk 10 of ${rows}x${n}`] = of((a) => cr.topk(a, 10))
  cases[`cumsum ${rows}x${n}`] = of((a) => cr.cumsum(a, 1))
}
Object.assign(cases, {
  'topk 100 of 256x10000': () => {
    const a = cr.randn([256, 10_000])
    return () => cr.topk(a, 100)
  },
  'sort 1024x1024, first dimension': () => {
    const a = cr.randn([1024, 1024])
    return () => cr.sort(a, 0)
  },
  'cumsum 1024x1024, first dimension': () => {
    const a = cr.randn([1024, 1024])
    return () => cr.cumsum(a, 0)
  },
  'cumprod 256x1024': () => {
    const a = cr.rand([256, 1024]).add(0.5)
    return () => cr.cumprod(a, 1)
  },
})

const ids = Object.keys(cases).filter((id) => positionals.length === 0 || positionals.some((word) => id.includes(word)))
const command =
  values.torch ?? process.env.CHAINRULE_BENCH_TORCH_ARRAYS ?? `python3 "${join(import.meta.dirname, 'peers', 'torch-arrays.py')}"`

/** PyTorch's medians by name; empty where there is none. */
function peers() {
  const { stdout, status } = spawnSync(`${command} ${values.seconds} ${ids.map((id) => `"${id}"`).join(' ')}`, {
    shell: true,
    encoding: 'utf8',
  })
  if (status !== 0) console.error('bench: PyTorch could not be measured; --torch names the command that does it.')
  return new Map(linesOf(stdout).map((line) => [line.id, line.median_ms]))
}

const theirs = peers()
const lines = []
for (const id of ids) {
  const run = cases[id]()
  // tensors are results, not promises
  const { median_ms } = await measure(() => void run(), { seconds: Number(values.seconds) })
  lines.push({
    id,
    median_ms: rounded(median_ms),
    torch_ms: theirs.get(id),
    ratio: theirs.has(id) ? rounded(median_ms / theirs.get(id)) : undefined,
  })
}
if (values.json) for (const line of lines) console.log(JSON.stringify(line))
else {
  console.log('| | ms | PyTorch | ratio |\n| --- | ---: | ---: | ---: |')
  for (const { id, median_ms, torch_ms, ratio } of lines) console.log(`| ${id} | ${median_ms} | ${torch_ms ?? '–'} | ${ratio ?? '–'} |`)
}
