/**
 * Averages of a model's weights over a training, which often do better than the last ones: exponential ones, and equal ones (stochastic weight
 * averaging).
 */

import { isFloat } from '../base/dtype.js'
import { ArgumentError, checkOptions, isNumber, showValue } from '../base/errors.js'
import { Module } from '../nn/module.js'
import { assign } from '../ops/basic/assign.js'
import { zeros } from '../ops/basic/creation.js'
import { add, div, eq, mul, sub, to, where } from '../ops/basic/elementwise.js'
import { noGrad } from '../ops/core/grad-mode.js'
import { Tensor } from '../tensor/tensor.js'

export interface AveragedModelOptions {
  /** Share of the average that stays at each update, 0 … 1: an exponential moving average, 0.999 say. Without, all updates count the same. */
  decay?: number
  /** Average buffers (running statistics) as well, rather than copying them; default false. */
  useBuffers?: boolean
}

/**
 * A copy of a model whose weights are the average of the model's over the updates. Has `forward`, `predict`, and the state dict of PyTorch's
 * (`n_averaged`, `module.…`). Updates work inside `compile`, fused with the step. Source: Izmailov et al. 2018; `torch.optim.swa_utils.AveragedModel`.
 *
 *     const ema = new optim.AveragedModel(model, { decay: 0.999 })
 *     const step = compile((x, y) => { …; optimizer.step(); ema.updateParameters(model); return loss })
 *     await ema.predict(x)
 *
 * With equal shares, batch norm's statistics are those of the model: `updateBn` measures them anew.
 *
 * @throws ArgumentError `ERR_NOT_A_MODULE`, `ERR_HYPERPARAMETER`.
 */
export class AveragedModel<M extends Module = Module> extends Module {
  readonly module: M
  readonly nAveraged: Tensor
  readonly decay: number | undefined
  readonly useBuffers: boolean

  constructor(model: M, options: AveragedModelOptions = {}) {
    super()
    checkOptions('AveragedModel', options, { decay: true, useBuffers: true })
    if (!(model instanceof Module))
      throw new ArgumentError('ERR_NOT_A_MODULE', `AveragedModel: expected a model, received ${showValue(model)}.`)
    const { decay, useBuffers = false } = options
    if (decay !== undefined && !(isNumber(decay) && decay >= 0 && decay <= 1))
      throw new ArgumentError('ERR_HYPERPARAMETER', `AveragedModel: decay must be between 0 and 1, received ${showValue(decay)}.`)
    this.decay = decay
    this.useBuffers = useBuffers
    this.module = model.clone().requiresGrad_(false)
    this.nAveraged = this.registerBuffer('n_averaged', zeros([], { dtype: 'int32' }))
  }

  forward(...inputs: Parameters<M['forward']>): ReturnType<M['forward']> {
    return this.module.forward(...(inputs as never[])) as ReturnType<M['forward']>
  }

  /** Takes the weights of `model` in; the first time they are copied. */
  updateParameters(model: M): void {
    if (!(model instanceof Module))
      throw new ArgumentError('ERR_NOT_A_MODULE', `AveragedModel: expected a model, received ${showValue(model)}.`)
    noGrad(() => {
      const { nAveraged, decay } = this
      const first = eq(nAveraged, 0)
      const share = decay === undefined ? div(1, add(to(nAveraged, 'float32'), 1)) : 1 - decay
      const take = (average: Tensor, t: Tensor): void => assign(average, where(first, t, add(average, mul(sub(t, average), share))))
      this.pairs(model.parameters(), this.module.parameters(), take)
      this.pairs(model.buffers(), this.module.buffers(), (average, t) =>
        this.useBuffers && isFloat(t.dtype) ? take(average, t) : assign(average, t),
      )
      assign(nAveraged, add(nAveraged, 1))
    })
  }

  private pairs(from: readonly Tensor[], into: readonly Tensor[], visit: (average: Tensor, t: Tensor) => void): void {
    if (from.length !== into.length)
      throw new ArgumentError('ERR_NOT_A_MODULE', 'AveragedModel: the model has other parameters or buffers than the one it was made from.')
    into.forEach((average, i) => void visit(average, from[i].detach()))
  }
}

/** What batch norm has, of any rank. */
type Normalizing = Module & { runningMean?: Tensor; runningVar?: Tensor; numBatchesTracked?: Tensor; momentum: number | null }

const normalizes = (m: Module): m is Normalizing =>
  'runningMean' in m && 'momentum' in m && (m as Normalizing).runningMean instanceof Tensor

/**
 * Measures the running statistics of a model's batch-norm layers anew, as plain averages over the batches: for averaged weights, which have none of their own.
 * Source: `torch.optim.swa_utils.update_bn`.
 *
 *     await updateBn(loader, averaged)
 */
export async function updateBn(
  batches: Iterable<unknown> | AsyncIterable<unknown>,
  model: Module & { forward(x: Tensor): unknown },
): Promise<void> {
  if (!(model instanceof Module)) throw new ArgumentError('ERR_NOT_A_MODULE', `updateBn: expected a model, received ${showValue(model)}.`)
  const layers = model.modules().filter(normalizes)
  if (layers.length === 0) return
  const before = layers.map((layer) => ({ layer, momentum: layer.momentum, training: layer.training }))
  for (const layer of layers) {
    noGrad(() => {
      assign(layer.runningMean as Tensor, 0)
      assign(layer.runningVar as Tensor, 1)
      if (layer.numBatchesTracked !== undefined) assign(layer.numBatchesTracked, 0)
    })
    layer.momentum = null
    layer.train()
  }
  try {
    for await (const batch of batches) {
      const x: unknown = Array.isArray(batch) ? batch[0] : batch
      if (!(x instanceof Tensor))
        throw new ArgumentError('ERR_NOT_A_TENSOR', `updateBn: batches must be tensors or begin with one, received ${showValue(x)}.`)
      noGrad(() => void model.forward(x))
    }
  } finally {
    for (const { layer, momentum, training } of before) {
      layer.momentum = momentum
      layer.train(training)
    }
  }
}
