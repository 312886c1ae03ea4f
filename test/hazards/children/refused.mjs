/**
 * Makes each scenario fail at its first, second, … allocation in the addon (refuse.c), until it passes: the error is ERR_OUT_OF_MEMORY, nothing has
 * changed, and the next call gives what a run without refusals gives. Prints how many allocations were refused in each scenario.
 */
import { openSync, readSync, writeSync } from 'node:fs'

const cr = await import(process.env.CHAINRULE_BUNDLE)
const { compile, conv2d, losses, manualSeed, matmul, nn, optim, randn, softmax, sort, cumsum, zeros } = cr

const file = openSync(process.env.REFUSE, 'r+')
const count = Buffer.alloc(4)
function arm(n) {
  count.writeInt32LE(n)
  writeSync(file, count, 0, 4, 0)
}
function left() {
  readSync(file, count, 0, 4, 0)
  return count.readInt32LE()
}

/** Each gives a call and a look at all state there is; `n` makes shapes, programs and memory new. */
const scenarios = {
  eager: (n) => {
    const [x, w] = [randn([2, 3, 9, 9 + n]), randn([4, 3, 3, 3])]
    return { run: () => [conv2d(x, w), matmul(x, x.transpose()), softmax(x, -1), sort(x).values, cumsum(x, -1)], state: () => [x, w] }
  },
  compiled: (n) => {
    const x = randn([8, 16 + n])
    const f = compile((x) => [x.add(1).mul(x).sum({ dim: 0 }), matmul(x.transpose(), x), softmax(x, -1)])
    return { run: () => f.sync(x), state: () => [x] }
  },
  awaited: (n) => {
    const x = randn([8, 2000 + 64 * n])
    const f = compile((x) => [x.cumsum(-1), x.add(1).exp()])
    return { run: () => f(x), state: () => [x] }
  },
  training: (n) => {
    const net = new nn.Sequential(new nn.Conv2d(1, 8, 3), new nn.ReLU(), new nn.Flatten(), new nn.Linear(8 * 6 * (6 + n), 3))
    const optimizer = new optim.Adam(net.parameters(), { lr: 0.01 })
    const [x, y] = [randn([4, 1, 8, 8 + n]), zeros([4], { dtype: 'int32' })]
    const step = compile((x, y) => {
      optimizer.zeroGrad()
      const loss = losses.crossEntropy(net.forward(x), y)
      loss.backward()
      optimizer.step()
      return [loss]
    })
    return { run: () => (n % 2 === 0 ? step.sync(x, y) : step(x, y)), state: () => net.parameters() }
  },
}

const bits = (tensors) =>
  tensors.map((t) => Buffer.from(Uint8Array.from(new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength))).toString('base64'))

const refused = {}
for (const [name, make] of Object.entries(scenarios)) {
  refused[name] = 0
  // every allocation where that is asked for; in tests the later ones of a long list by turns
  for (let n = 1; ; n += n < 20 || process.env.REFUSE_ALL ? 1 : 7) {
    if (n > 400) throw new Error(`${name}: still refused at allocation ${n}`)
    manualSeed(n)
    const reference = make(n)
    manualSeed(n)
    const tried = make(n)
    const before = bits(tried.state())
    let error
    arm(n)
    try {
      await tried.run()
    } catch (e) {
      error = e
    }
    const fired = left() === 0
    arm(0)
    if (error !== undefined) {
      refused[name]++
      if (error.code !== 'ERR_OUT_OF_MEMORY') throw new Error(`${name}, allocation ${n}: ${error.stack}`)
      if (String(bits(tried.state())) !== String(before)) throw new Error(`${name}, allocation ${n}: state changed`)
      const [got, wanted] = [bits(await tried.run()), bits(await reference.run())]
      if (String(got) !== String(wanted)) throw new Error(`${name}, allocation ${n}: the next call differs`)
      if (String(bits(tried.state())) !== String(bits(reference.state())))
        throw new Error(`${name}, allocation ${n}: the next state differs`)
    }
    // a refusal that nobody noticed is one that the code does without
    if (!fired) break
  }
}
console.log(JSON.stringify(refused))
