/**
 * Parameters: leaf tensors that modules register and optimizers update, in memory that background programs use by reference.
 */

import { checkOptions } from '../base/errors.js'
import { assign } from '../ops/basic/assign.js'
import { stateZeros } from '../ops/basic/state.js'
import { checkTensor } from '../ops/core/dispatch.js'
import { noGrad } from '../ops/core/grad-mode.js'
import { type NestedArray, Tensor, tensor } from '../tensor/tensor.js'
import type { AnyShape } from '../types/index.js'

/**
 * A trainable tensor; as a field of a `Module` it is found by `parameters()`. The contents are copied into shared memory. Source: `torch.nn.Parameter`.
 *
 *     class Scale extends nn.Module {
 *       readonly factor = new nn.Parameter(ones([64]))
 *
 * Defaults: `requiresGrad` true.
 * @throws ArgumentError `ERR_NOT_A_TENSOR`; StateError `ERR_STATE_IN_TRACE` inside `compile`.
 */
export class Parameter<S = AnyShape> extends Tensor<S> {
  constructor(source: Tensor<S> | NestedArray, options: { requiresGrad?: boolean } = {}) {
    checkOptions('Parameter', options, { requiresGrad: true })
    const data = Array.isArray(source) || typeof source === 'number' ? tensor(source) : (source as Tensor)
    checkTensor('Parameter', 'the value', data)
    const { shape, strides, dtype, storage } = stateZeros('Parameter', data.shape, data.dtype)
    super({ shape, strides, offset: 0, dtype, storage })
    noGrad(() => assign(this, data))
    this.requiresGrad = options.requiresGrad ?? true
  }
}
