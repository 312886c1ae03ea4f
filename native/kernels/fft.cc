// Discrete Fourier transforms along the last dimension, not scaled; complex numbers are pairs in a dimension of size 2 behind it. Computed in double
// precision: powers of two by radix 2, other sizes as a convolution with a chirp (Bluestein 1970). Rows are independent and run in parallel.
#include <cstdlib>
#include <cstring>

#include "../simd/simd.h"
#include "strided.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int64_t kChunkElements = 4096;

/// Tables of more numbers than this are refused.
constexpr int64_t kMaxSize = int64_t{1} << 24;

enum Kind { forward, inverse, fromReal, toReal };

/// Complex numbers of which n are used, real and imaginary parts apart.
struct Complex {
  double* re;
  double* im;
};

/// Followed in memory by its tables: roots of unity for each stage (size − 1), and for other sizes than powers of two the chirp (length)
/// and the transform of its conjugate (size).
struct FftPlan {
  Space rows;
  Strides strides[2];  // x, y
  int64_t step[2];     // along the transformed dimension
  int64_t part[2];     // from a real part to its imaginary part
  int64_t length, size, count, rowsPerChunk, chunks;
  Kind kind;
  bool chirped, shared;
};

Complex tableOf(const FftPlan& plan, int64_t at, int64_t n) {
  auto* base = reinterpret_cast<double*>(const_cast<FftPlan*>(&plan) + 1);
  return {base + at, base + at + n};
}
Complex rootsOf(const FftPlan& plan) { return tableOf(plan, 0, plan.size); }
Complex chirpOf(const FftPlan& plan) { return tableOf(plan, 2 * plan.size, plan.length); }
Complex kernelOf(const FftPlan& plan) { return tableOf(plan, 2 * plan.size + 2 * plan.length, plan.size); }

/// Roots of the stage with halves of `half` lie at half − 1.
void makeRoots(Complex roots, int64_t size) {
  for (int64_t half = 1; half < size; half *= 2) {
    for (int64_t k = 0; k < half; k++) {
      const double angle = -3.14159265358979323846 * static_cast<double>(k) / static_cast<double>(half);
      roots.re[half - 1 + k] = __builtin_cos(angle);
      roots.im[half - 1 + k] = __builtin_sin(angle);
    }
  }
}

void reverseBits(Complex z, int64_t size) {
  for (int64_t i = 1, j = 0; i < size; i++) {
    int64_t bit = size >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i >= j) continue;
    const double re = z.re[i], im = z.im[i];
    z.re[i] = z.re[j], z.im[i] = z.im[j];
    z.re[j] = re, z.im[j] = im;
  }
}

/// One butterfly of each pair of halves.
CHAINRULE_INLINE void stage(double* __restrict lr, double* __restrict li, double* __restrict hr, double* __restrict hi,
                            const double* __restrict wr, const double* __restrict wi, int64_t half) {
  for (int64_t k = 0; k < half; k++) {
    const double re = hr[k] * wr[k] - hi[k] * wi[k], im = hr[k] * wi[k] + hi[k] * wr[k];
    hr[k] = lr[k] - re;
    hi[k] = li[k] - im;
    lr[k] += re;
    li[k] += im;
  }
}

/// The transform of `size` numbers, a power of two, in place. With re and im exchanged it is the inverse.
void transform(Complex z, Complex roots, int64_t size) {
  reverseBits(z, size);
  for (int64_t half = 1; half < size; half *= 2) {
    for (int64_t at = 0; at < size; at += 2 * half)
      stage(z.re + at, z.im + at, z.re + at + half, z.im + at + half, roots.re + half - 1, roots.im + half - 1, half);
  }
}

/// The chirp e^(−πi·j²/n), and the transform of its conjugate laid out around 0.
void makeChirp(const FftPlan& plan) {
  const Complex chirp = chirpOf(plan), kernel = kernelOf(plan);
  const int64_t n = plan.length;
  memset(kernel.re, 0, 2 * sizeof(double) * static_cast<size_t>(plan.size));
  for (int64_t j = 0; j < n; j++) {
    const double angle = -3.14159265358979323846 * static_cast<double>(j * j % (2 * n)) / static_cast<double>(n);
    chirp.re[j] = __builtin_cos(angle);
    chirp.im[j] = __builtin_sin(angle);
    const int64_t mirrored = j == 0 ? 0 : plan.size - j;
    kernel.re[j] = kernel.re[mirrored] = chirp.re[j];
    kernel.im[j] = kernel.im[mirrored] = -chirp.im[j];
  }
  transform(kernel, rootsOf(plan), plan.size);
}

/// z becomes its transform; z has room for `size` numbers.
void transformAny(const FftPlan& plan, Complex z) {
  if (!plan.chirped) return transform(z, rootsOf(plan), plan.size);
  const Complex chirp = chirpOf(plan), kernel = kernelOf(plan);
  const int64_t n = plan.length, size = plan.size;
  const auto turn = [&](int64_t j, Complex by, double scale) {
    const double re = z.re[j], im = z.im[j];
    z.re[j] = (re * by.re[j] - im * by.im[j]) * scale;
    z.im[j] = (re * by.im[j] + im * by.re[j]) * scale;
  };
  for (int64_t j = 0; j < n; j++) turn(j, chirp, 1);
  for (int64_t j = n; j < size; j++) z.re[j] = z.im[j] = 0;
  transform(z, rootsOf(plan), size);
  for (int64_t j = 0; j < size; j++) turn(j, kernel, 1);
  transform({z.im, z.re}, rootsOf(plan), size);
  for (int64_t j = 0; j < n; j++) turn(j, chirp, 1 / static_cast<double>(size));
}

Status prepareFft(Instruction& instruction) {
  const View &x = instruction.inputs[0], &y = instruction.outputs[0];
  const auto kind = static_cast<Kind>(instruction.attributes[0]);
  const View& whole = kind == toReal ? y : x;  // the side with all numbers
  const int32_t rows = x.rank - (kind == fromReal ? 1 : 2);
  const int64_t length = whole.shape[rows];
  int64_t size = 1;
  while (size < length) size *= 2;
  const bool chirped = size != length;
  if (chirped) {
    while (size < 2 * length - 1) size *= 2;
  }
  if (size > kMaxSize) return {StatusCode::outOfMemory};
  const int64_t numbers = 2 * size + (chirped ? 2 * length + 2 * size : 0);
  auto* plan = static_cast<FftPlan*>(malloc(sizeof(FftPlan) + sizeof(double) * static_cast<size_t>(numbers)));
  if (!plan) return {StatusCode::outOfMemory};
  memset(static_cast<void*>(plan), 0, sizeof(FftPlan));
  plan->kind = kind;
  plan->length = length;
  plan->size = size;
  plan->chirped = chirped;
  const View* views[2] = {&x, &y};
  plan->rows.rank = rows;
  for (int32_t v = 0; v < 2; v++) {
    for (int32_t d = 0; d < rows; d++) plan->strides[v][d] = views[v]->stride[d];
    plan->step[v] = views[v]->stride[rows];
    plan->part[v] = views[v]->rank > rows + 1 ? views[v]->stride[rows + 1] : 0;
  }
  for (int32_t d = 0; d < rows; d++) plan->rows.shape[d] = x.shape[d];
  plan->count = plan->rows.count();
  collapse(plan->rows, plan->strides, 2);
  const size_t scratch = 2 * sizeof(double) * static_cast<size_t>(size);
  plan->shared = scratch > kThreadScratchBytes;
  plan->rowsPerChunk = size >= kChunkElements ? 1 : kChunkElements / size;
  plan->chunks = length == 0 ? 0 : (plan->count + plan->rowsPerChunk - 1) / plan->rowsPerChunk;
  makeRoots(rootsOf(*plan), size);
  if (chirped) makeChirp(*plan);
  instruction.plan = plan;
  instruction.sharedScratch = plan->shared ? scratch : 0;
  return {};
}

void fftRow(const FftPlan& plan, const float* x, float* y, Complex z) {
  const int64_t n = plan.length, half = n / 2 + 1;
  const auto re = [&](int64_t j) { return static_cast<double>(x[j * plan.step[0]]); };
  const auto im = [&](int64_t j) { return static_cast<double>(x[j * plan.step[0] + plan.part[0]]); };
  // the inverse is the transform with real and imaginary parts exchanged
  const bool back = plan.kind == inverse || plan.kind == toReal;
  const Complex in = back ? Complex{z.im, z.re} : z;
  if (plan.kind == toReal) {
    for (int64_t j = 0; j < half; j++) {
      in.re[j] = re(j);
      in.im[j] = j == 0 || 2 * j == n ? 0 : im(j);
      if (j > 0) in.re[n - j] = in.re[j], in.im[n - j] = -in.im[j];
    }
    if (n % 2 == 0) in.im[n / 2] = 0;
  } else {
    for (int64_t j = 0; j < n; j++) in.re[j] = re(j), in.im[j] = plan.kind == fromReal ? 0 : im(j);
  }
  transformAny(plan, z);
  const int64_t given = plan.kind == fromReal ? half : n;
  for (int64_t j = 0; j < given; j++) {
    y[j * plan.step[1]] = static_cast<float>(in.re[j]);
    if (plan.kind != toReal) y[j * plan.step[1] + plan.part[1]] = static_cast<float>(in.im[j]);
  }
}

struct Job {
  const Instruction* instruction;
  const Run* run;
};

void fftRows(const Job& job, int64_t first, int64_t end, std::byte* scratch) {
  const auto& plan = *static_cast<const FftPlan*>(job.instruction->plan);
  const auto* x = job.run->data<float>(job.instruction->inputs[0]);
  auto* y = job.run->data<float>(job.instruction->outputs[0]);
  auto* numbers = reinterpret_cast<double*>(scratch);
  for (int64_t r = first; r < end; r++) {
    const int64_t from = offsetOf(plan.rows, plan.strides[0], plan.rows.rank, r), to = offsetOf(plan.rows, plan.strides[1], plan.rows.rank, r);
    fftRow(plan, x + from, y + to, {numbers, numbers + plan.size});
  }
}

void fftChunk(void* argument, int64_t chunk, std::byte* scratch) {
  const Job& job = *static_cast<const Job*>(argument);
  const auto& plan = *static_cast<const FftPlan*>(job.instruction->plan);
  const int64_t first = chunk * plan.rowsPerChunk, end = first + plan.rowsPerChunk;
  fftRows(job, first, end < plan.count ? end : plan.count, scratch);
}

Status runFft(const Instruction& instruction, const Run& run) {
  const auto& plan = *static_cast<const FftPlan*>(instruction.plan);
  if (plan.chunks == 0) return {};
  Job job{&instruction, &run};
  if (plan.shared) {
    fftRows(job, 0, plan.count, run.sharedScratch);
  } else {
    parallel(run, plan.chunks, fftChunk, &job);
  }
  return {};
}

}  // namespace

const KernelFamily fftFamily = {prepareFft, runFft, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
