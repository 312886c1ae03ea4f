/** The public surface of chainrule: exports only. */
import { installMethods } from './ops/methods.js'

installMethods()

export { anomaly } from './autograd/anomaly.js'
export { backward, enableGrad, noGrad } from './autograd/backward.js'
export { checkpoint } from './autograd/checkpoint.js'
export { type CustomContext, type CustomFunction, customGradient } from './autograd/custom.js'
export { hessian, jacobian, jvp, vjp } from './autograd/derivatives.js'
export { grad, valueAndGrad } from './autograd/functional.js'
export type { GradientHook, HookHandle } from './autograd/hooks.js'
export { backend, type Environment, environment, threads } from './backend/select.js'
export { type Compiled, compile } from './compile/compile.js'
export * from './data/index.js'
export type { DType } from './dtype.js'
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
} from './errors.js'
export * from './io/index.js'
export * as losses from './losses/index.js'
export { type MemoryUse, memory, type Owner } from './memory.js'
export * as nn from './nn/index.js'
export * from './ops/activations.js'
export {
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  adaptiveAvgPool3d,
  adaptiveMaxPool1d,
  adaptiveMaxPool2d,
  adaptiveMaxPool3d,
} from './ops/adaptive-pool.js'
export { detach } from './ops/alias.js'
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
} from './ops/arrange.js'
export { assign } from './ops/assign.js'
export { type AttentionOptions, scaledDotProductAttention } from './ops/attention.js'
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
} from './ops/compare.js'
export { conv1d, conv2d, conv3d } from './ops/conv.js'
export { convTranspose1d, convTranspose2d, convTranspose3d } from './ops/conv-transpose.js'
export { arange, type CreateOptions, eye, full, linspace, ones, onesLike, zeros, zerosLike } from './ops/creation.js'
export { diag, diagEmbed, diagonal, trace, tril, triu } from './ops/diagonal.js'
export { bincount, maskedSelect, nonzero, type Unique, unique } from './ops/dynamic.js'
export { einsum } from './ops/einsum.js'
export * from './ops/elementwise.js'
export { type FftOptions, fft, fftfreq, fftshift, ifft, ifftshift, irfft, rfft, rfftfreq } from './ops/fft.js'
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
} from './ops/functions.js'
export { gather, indexSelect, oneHot } from './ops/gather.js'
export { type GumbelSoftmaxOptions, gumbelSoftmax } from './ops/gumbel.js'
export { concat, split, stack } from './ops/join.js'
export { cholesky, det, eigh, inverse, lstsq, pinverse, qr, slogdet, solve, solveTriangular, svd } from './ops/linalg.js'
export { dot, matmul, outer } from './ops/matmul.js'
// also makes the declarations of the fluent methods part of the package's
export type { Index } from './ops/methods.js'
export { clone, expand, flatten, narrow, permute, reshape, slice, squeeze, transpose, unsqueeze } from './ops/movement.js'
export { batchNorm, groupNorm, instanceNorm, layerNorm, localResponseNorm, rmsNorm } from './ops/norm.js'
export { type PadMode, pad } from './ops/pad.js'
export { fold, unfold } from './ops/patches.js'
export { avgPool1d, avgPool2d, avgPool3d, maxPool1d, maxPool2d, maxPool3d } from './ops/pool.js'
export { prod } from './ops/product.js'
export { bernoulli, multinomial, rand, randint, randLike, randn, randnLike, randperm } from './ops/random.js'
export { amax, amin, argmax, argmin, logsumexp, mean, std, sum, variance } from './ops/reduce.js'
export { interpolate, pixelShuffle, pixelUnshuffle } from './ops/resample.js'
export { cummax, cummin, cumprod, cumsum, diff, linearRecurrence } from './ops/scan.js'
export { indexAdd, indexCopy, type ScatterReduction, scatter, scatterAdd, scatterReduce, take } from './ops/scatter.js'
export { logSoftmax, softmax } from './ops/softmax.js'
export { argsort, type Sorted, type SortOptions, sort, topk } from './ops/sort.js'
export { hammingWindow, hannWindow, type IstftOptions, istft, type StftOptions, stft } from './ops/spectrogram.js'
export { corrcoef, cov, histc, type Interpolation, kthvalue, max, median, min, quantile, searchsorted } from './ops/statistics.js'
export { cdist, cosineSimilarity, type NormOptions, norm, normalize } from './ops/vector-norm.js'
export * as optim from './optim/index.js'
export { getRandomState, manualSeed, setRandomState } from './random.js'
export { empty, fromBuffer, type ShapeOf, Tensor, tensor } from './tensor.js'
export * from './train/index.js'
export type { Dim, Shape } from './types.js'
