/**
 * The hint that shows `compile`, once a process, to whoever trains op by op without having asked for it.
 */
import { nativeBackend } from '../backend/select.js'
import { context } from '../tensor/context.js'

const patience = 100
let steps = 0

/** Counts a backward pass. Where `compile` records, or runs op by op because it was asked to, nobody needs a hint. */
export function countStep(): void {
  if (steps >= patience || context.recorder !== undefined || context.opByOp !== undefined) return
  steps++
  if (steps < patience || nativeBackend() === undefined) return
  if (process.env.CHAINRULE_HINTS === '0' || process.env.CHAINRULE_COMPILE === '0') return
  process.emitWarning(
    `${patience} training steps ran op by op. compile() runs a whole step as one native call, several times as fast:
  const step = compile((x, y) => {
    const loss = losses.crossEntropy(model.forward(x), y)
    optimizer.zeroGrad(); loss.backward(); optimizer.step()
    return loss
  })
  const loss = await step(x, y)
CHAINRULE_HINTS=0 turns this hint off.`,
    { type: 'ChainruleWarning', code: 'HINT_COMPILE' },
  )
}
