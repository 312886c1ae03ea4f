/**
 * Parameters: leaf tensors that modules register and optimizers update, in memory that background programs use by reference.
 */

import { noGrad } from '../autograd/backward.js'
import { checkOptions } from '../errors.js'
import { assign } from '../ops/assign.js'
import { checkTensor } from '../ops/dispatch.js'
import { stateZeros } from '../ops/state.js'
import { type NestedArray, Tensor, tensor } from '../tensor.js'
import type { AnyShape } from '../types.js'

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
