/** Makes as many calls as the argument says without awaiting any, then all of them; prints whether they resolved in order and how far memory grew. */
const { assign, compile, tensor, zeros } = await import(process.env.CHAINRULE_BUNDLE)

const count = tensor([0])
const f = compile((x) => {
  const next = count.add(1)
  assign(count, next)
  return x.add(next)
})
const x = zeros([8192])
await f(x)
const before = process.memoryUsage.rss()
let peak = 0
let inOrder = true
let expected = 2
const look = () => {
  peak = Math.max(peak, process.memoryUsage.rss())
}
const calls = []
for (let i = 0; i < Number(process.argv[2]); i++) {
  calls.push(
    f(x).then((t) => {
      if (t.at(0).item() !== expected++) inOrder = false
      if (expected % 1000 === 0) look()
    }),
  )
  if (i % 1000 === 0) look()
}
await Promise.all(calls)
look()
console.log(JSON.stringify({ inOrder: inOrder && count.item() === calls.length + 1, grown: peak - before }))
