/** Trains 150 steps op by op in the way the first argument says, and prints the warnings there were. */
const { compile, fit, losses, nn, noGrad, optim, rand, valueAndGrad, zeros } = await import(process.env.CHAINRULE_BUNDLE)

const warnings = []
process.on('warning', (w) => w.name === 'ChainruleWarning' && warnings.push(w.code))

const model = new nn.Linear(4, 2)
const optimizer = new optim.SGD(model.parameters(), { lr: 0.01 })
const [x, y] = [rand([8, 4]), zeros([8, 2])]
const step = () => {
  const loss = losses.mseLoss(model.forward(x), y)
  optimizer.zeroGrad()
  loss.backward()
  optimizer.step()
  return loss
}
const times = (n, fn) => {
  for (let i = 0; i < n; i++) fn()
}
const ways = {
  eager: () => times(250, step),
  'few steps': () => times(99, step),
  functional: () => times(150, () => noGrad(() => valueAndGrad((w) => x.matmul(w).square().mean())(rand([4, 2])))),
  compiled: () => times(150, compile(step).sync),
  'eager on purpose': () => times(150, compile(step, { eager: true }).sync),
  'fit op by op': () =>
    fit(model, [rand([800, 4]), zeros([800, 2])], { loss: losses.mseLoss, optimizer, batchSize: 4, compile: false, progress: false }),
}
await ways[process.argv[2]]()
await new Promise((resolve) => setTimeout(resolve, 10))
console.log(JSON.stringify(warnings))
