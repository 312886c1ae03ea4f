/**
 * Hooks: functions of the user that see, and may replace, the gradient of a tensor during the backward walk.
 */
import { checkFunction, GradientError, ShapeError, showShape } from '../base/errors.js'
import { sameShape } from '../base/shape.js'
import { checkTensor } from '../ops/core/dispatch.js'
import { context } from '../tensor/context.js'
import type { Tensor } from '../tensor/tensor.js'

/** Sees a gradient when it is complete; what it returns, if anything, takes its place. */
export type GradientHook = (gradient: Tensor) => Tensor | undefined | void

/** What `registerHook` gives: `remove()` ends the hook. */
export interface HookHandle {
  remove(): void
}

/** Hooks of leaves count here: compiled functions that were traced with others trace again. */
const registry = { version: 0 }
const hooks = new WeakMap<Tensor, Set<GradientHook>>()

/**
 * Calls `hook` with the gradient of `t` whenever one is computed, before it is added to `.grad` or flows on; a tensor that it returns takes its place.
 * Inside `compile` the hook is traced: it may compute, not read. Source: `torch.Tensor.register_hook`.
 *
 *     const handle = weight.registerHook((g) => g.mul(0.1))
 *     handle.remove()
 *
 * @throws GradientError `ERR_NO_GRAPH` when the tensor wants no gradient.
 */
export function registerHook(t: Tensor, hook: GradientHook): HookHandle {
  checkTensor('registerHook', 'the tensor', t)
  checkFunction('registerHook', hook)
  if (!t.requiresGrad) throw new GradientError('ERR_NO_GRAPH', 'registerHook: the tensor wants no gradient. Set requiresGrad first.')
  const leaf = t.gradNode === undefined && !t.traced
  let set = hooks.get(t)
  if (set === undefined) {
    set = new Set()
    hooks.set(t, set)
  }
  // an object of its own each time, so that one function may be registered twice
  const entry: GradientHook = (g) => hook(g)
  set.add(entry)
  if (leaf) registry.version++
  return {
    remove: () => {
      if (hooks.get(t)?.delete(entry) && leaf) registry.version++
    },
  }
}

/** @internal whether user code sees the gradient of a tensor */
export function isHooked(t: Tensor): boolean {
  return (hooks.get(t)?.size ?? 0) > 0
}

/** @internal the gradient of a tensor after its hooks have seen it */
export function hooked(t: Tensor, gradient: Tensor): Tensor {
  const set = hooks.get(t)
  if (set === undefined) return gradient
  let g = gradient
  for (const hook of [...set]) {
    const other = hook(g)
    if (other === undefined) continue
    checkTensor('registerHook', 'what the hook returns', other)
    if (!sameShape(other.shape, t.shape))
      throw new ShapeError(
        'ERR_HOOK_SHAPE',
        `registerHook: the hook returned shape ${showShape(other.shape)} for the gradient of a tensor of shape ${showShape(t.shape)}.`,
      )
    g = other
  }
  return g
}

/** @internal what a trace saw of hooks is compared before its program is used again */
export function observeHooks(): void {
  context.recorder?.observe(registry, 'hooks', () => registry.version)
}
