/** The public surface of chainrule: exports only. */
import { installMethods } from './ops/methods.js'

installMethods()

export { anomaly } from './autograd/anomaly.js'
export { backward } from './autograd/backward.js'
export { checkpoint } from './autograd/checkpoint.js'
export { hessian, jacobian, jvp, vjp } from './autograd/derivatives.js'
export { grad, valueAndGrad } from './autograd/functional.js'
export type { GradientHook, HookHandle } from './autograd/hooks.js'
export { backend, type Environment, environment, threads } from './backend/select.js'
export type { DType } from './base/dtype.js'
export {
  ArgumentError,
  BackendError,
  ChainruleError,
  checkOptions,
  DataError,
  DTypeError,
  GradientError,
  type OptionNames,
  ShapeError,
  StateError,
} from './base/errors.js'
export { type Compiled, compile } from './compile/compile.js'
export * from './data/index.js'
export * from './io/index.js'
export * as losses from './losses/index.js'
export * as nn from './nn/index.js'
export { diag, diagEmbed, diagonal, trace, tril, triu } from './ops/arrays/diagonal.js'
export { einsum } from './ops/arrays/einsum.js'
export { type FftOptions, fft, fftfreq, fftshift, ifft, ifftshift, irfft, rfft, rfftfreq } from './ops/arrays/fft.js'
export { type GumbelSoftmaxOptions, gumbelSoftmax } from './ops/arrays/gumbel.js'
export { cholesky, det, eigh, inverse, lstsq, pinverse, qr, slogdet, solve, solveTriangular, svd } from './ops/arrays/linalg.js'
export { prod } from './ops/arrays/product.js'
export { hammingWindow, hannWindow, type IstftOptions, istft, type StftOptions, stft } from './ops/arrays/spectrogram.js'
export { corrcoef, cov, histc, type Interpolation, kthvalue, max, median, min, quantile, searchsorted } from './ops/arrays/statistics.js'
export { cdist, cosineSimilarity, type NormOptions, norm, normalize } from './ops/arrays/vector-norm.js'
export * from './ops/basic/activations.js'
export {
  chunk,
  flip,
  meshgrid,
  movedim,
  repeat,
  repeatInterleave,
  roll,
  swapaxes,
  tile,
  unbind,
  unflatten,
} from './ops/basic/arrange.js'
export { assign } from './ops/basic/assign.js'
export {
  all,
  allclose,
  any,
  type CloseOptions,
  countNonzero,
  equal,
  isclose,
  isfinite,
  isinf,
  isnan,
  logicalXor,
  maskedFill,
  nanToNum,
} from './ops/basic/compare.js'
export { arange, type CreateOptions, eye, full, linspace, ones, onesLike, zeros, zerosLike } from './ops/basic/creation.js'
export { type CustomContext, type CustomFunction, customGradient } from './ops/basic/custom-gradient.js'
export { bincount, maskedSelect, nonzero, type Unique, unique } from './ops/basic/dynamic.js'
export * from './ops/basic/elementwise.js'
export {
  acos,
  acosh,
  asin,
  asinh,
  atan,
  atan2,
  atanh,
  cosh,
  exp2,
  floorDivide,
  fmod,
  frac,
  hypot,
  lerp,
  log2,
  log10,
  logaddexp,
  remainder,
  sinh,
  tan,
} from './ops/basic/functions.js'
export { gather, indexSelect, oneHot } from './ops/basic/gather.js'
export { concat, split, stack } from './ops/basic/join.js'
export { dot, matmul, outer } from './ops/basic/matmul.js'
export { clone, expand, flatten, narrow, permute, reshape, slice, squeeze, transpose, unsqueeze } from './ops/basic/movement.js'
export { type PadMode, pad } from './ops/basic/pad.js'
export { bernoulli, multinomial, rand, randint, randLike, randn, randnLike, randperm } from './ops/basic/random.js'
export { amax, amin, argmax, argmin, logsumexp, mean, std, sum, variance } from './ops/basic/reduce.js'
export { cummax, cummin, cumprod, cumsum, diff, linearRecurrence } from './ops/basic/scan.js'
export { indexAdd, indexCopy, type ScatterReduction, scatter, scatterAdd, scatterReduce, take } from './ops/basic/scatter.js'
export { logSoftmax, softmax } from './ops/basic/softmax.js'
export { argsort, type Sorted, type SortOptions, sort, topk } from './ops/basic/sort.js'
export { detach } from './ops/core/alias.js'
export { enableGrad, noGrad } from './ops/core/grad-mode.js'
export {
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  adaptiveAvgPool3d,
  adaptiveMaxPool1d,
  adaptiveMaxPool2d,
  adaptiveMaxPool3d,
} from './ops/layers/adaptive-pool.js'
export { type AttentionOptions, scaledDotProductAttention } from './ops/layers/attention.js'
export { conv1d, conv2d, conv3d } from './ops/layers/conv.js'
export { convTranspose1d, convTranspose2d, convTranspose3d } from './ops/layers/conv-transpose.js'
export { batchNorm, groupNorm, instanceNorm, layerNorm, localResponseNorm, rmsNorm } from './ops/layers/norm.js'
export { fold, unfold } from './ops/layers/patches.js'
export { avgPool1d, avgPool2d, avgPool3d, maxPool1d, maxPool2d, maxPool3d } from './ops/layers/pool.js'
export { interpolate, pixelShuffle, pixelUnshuffle } from './ops/layers/resample.js'
// also makes the declarations of the fluent methods part of the package's
export type { Index } from './ops/methods.js'
export * as optim from './optim/index.js'
export { type MemoryUse, memory, type Owner } from './tensor/memory.js'
export { getRandomState, manualSeed, setRandomState } from './tensor/random.js'
export { empty, fromBuffer, type ShapeOf, Tensor, tensor } from './tensor/tensor.js'
export * from './train/index.js'
export type { Dim, Shape } from './types/index.js'
