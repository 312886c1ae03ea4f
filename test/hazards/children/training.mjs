/** A training step for the child processes: a small network whose step takes a while. */
const { assign, compile, losses, noGrad, rand, tensor, zeros } = await import(process.env.CHAINRULE_BUNDLE)

/** A compiled step of a network with `width` hidden features, and its arguments. */
export function training(width = 256, batch = 64) {
  const w1 = rand([64, width], { low: -0.1, high: 0.1, requiresGrad: true })
  const w2 = rand([width, 10], { low: -0.1, high: 0.1, requiresGrad: true })
  const velocities = [zeros([64, width]), zeros([width, 10])]
  const x = rand([batch, 64])
  const y = tensor(Int32Array.from({ length: batch }, (_, i) => i % 10))
  const body = (x, y, lr) => {
    w1.grad = undefined
    w2.grad = undefined
    const loss = losses.crossEntropy(x.matmul(w1).relu().matmul(w2), y)
    loss.backward()
    noGrad(() => {
      ;[w1, w2].forEach((w, i) => {
        assign(velocities[i], velocities[i].mul(0.9).add(w.grad))
        assign(w, w.sub(velocities[i].mul(lr)))
      })
    })
    return loss
  }
  return { step: compile(body), body, x, y, parameters: [w1, w2] }
}
