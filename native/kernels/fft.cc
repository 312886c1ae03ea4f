// Discrete Fourier transforms along the last dimension, not scaled; complex numbers are pairs in a dimension of size 2 behind it. Computed
// in double precision: powers of two by radix 2, other sizes as a convolution with a chirp (Bluestein 1970). Rows are independent and run
// in parallel, and short ones several abreast: number j of lane l lies at j·lanes + l.
#include <cstdlib>
#include <cstring>

#include "../simd/simd.h"
#include "strided.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int64_t kChunkElements = 16384;
/// Rows of at most so many numbers run kLanes abreast.
constexpr int64_t kAbreast = 4096;
constexpr int kLanes = 8;

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
  bool chirped, shared, abreast;
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

template <int lanes>
void reverseBits(Complex z, int64_t size) {
  for (int64_t i = 1, j = 0; i < size; i++) {
    int64_t bit = size >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i >= j) continue;
    for (int l = 0; l < lanes; l++) {
      const int64_t a = i * lanes + l, b = j * lanes + l;
      const double re = z.re[a], im = z.im[a];
      z.re[a] = z.re[b], z.im[a] = z.im[b];
      z.re[b] = re, z.im[b] = im;
    }
  }
}

/// The butterflies of one pair of halves.
template <int lanes>
CHAINRULE_INLINE void stage(double* __restrict lr, double* __restrict li, double* __restrict hr, double* __restrict hi,
                            const double* __restrict wr, const double* __restrict wi, int64_t half) {
  for (int64_t k = 0; k < half; k++) {
    for (int64_t i = k * lanes; i < (k + 1) * lanes; i++) {
      const double re = hr[i] * wr[k] - hi[i] * wi[k], im = hr[i] * wi[k] + hi[i] * wr[k];
      hr[i] = lr[i] - re;
      hi[i] = li[i] - im;
      lr[i] += re;
      li[i] += im;
    }
  }
}

/// The transform of `size` numbers, a power of two, in place. With re and im exchanged it is the inverse.
template <int lanes>
void transform(Complex z, Complex roots, int64_t size) {
  reverseBits<lanes>(z, size);
  for (int64_t half = 1; half < size; half *= 2) {
    for (int64_t at = 0; at < size * lanes; at += 2 * half * lanes) {
      const int64_t high = at + half * lanes;
      stage<lanes>(z.re + at, z.im + at, z.re + high, z.im + high, roots.re + half - 1, roots.im + half - 1, half);
    }
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
  transform<1>(kernel, rootsOf(plan), plan.size);
}

/// z becomes its transform; z has room for `size` numbers.
template <int lanes>
void transformAny(const FftPlan& plan, Complex z) {
  if (!plan.chirped) return transform<lanes>(z, rootsOf(plan), plan.size);
  const Complex chirp = chirpOf(plan), kernel = kernelOf(plan);
  const int64_t n = plan.length, size = plan.size;
  const auto turn = [&](int64_t j, Complex by, double scale) {
    for (int64_t i = j * lanes; i < (j + 1) * lanes; i++) {
      const double re = z.re[i], im = z.im[i];
      z.re[i] = (re * by.re[j] - im * by.im[j]) * scale;
      z.im[i] = (re * by.im[j] + im * by.re[j]) * scale;
    }
  };
  for (int64_t j = 0; j < n; j++) turn(j, chirp, 1);
  for (int64_t i = n * lanes; i < size * lanes; i++) z.re[i] = z.im[i] = 0;
  transform<lanes>(z, rootsOf(plan), size);
  for (int64_t j = 0; j < size; j++) turn(j, kernel, 1);
  transform<lanes>({z.im, z.re}, rootsOf(plan), size);
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
  plan->abreast = size <= kAbreast && plan->count >= kLanes / 2;
  const size_t scratch = 2 * sizeof(double) * static_cast<size_t>(size * (plan->abreast ? kLanes : 1));
  plan->shared = scratch > kThreadScratchBytes;
  plan->rowsPerChunk = size >= kChunkElements ? 1 : kChunkElements / size;
  if (plan->abreast) plan->rowsPerChunk = (plan->rowsPerChunk + kLanes - 1) / kLanes * kLanes;
  plan->chunks = length == 0 ? 0 : (plan->count + plan->rowsPerChunk - 1) / plan->rowsPerChunk;
  makeRoots(rootsOf(*plan), size);
  if (chirped) makeChirp(*plan);
  instruction.plan = plan;
  instruction.sharedScratch = plan->shared ? scratch : 0;
  return {};
}

/// Rows `first` … `first + rows - 1`, at most as many as lanes.
template <int lanes>
void fftRows(const FftPlan& plan, const float* x, float* y, int64_t first, int64_t rows, double* scratch) {
  const Complex z{scratch, scratch + plan.size * lanes};
  const int64_t n = plan.length, half = n / 2 + 1, given = plan.kind == toReal ? half : n, made = plan.kind == fromReal ? half : n;
  // the inverse is the transform with real and imaginary parts exchanged
  const bool back = plan.kind == inverse || plan.kind == toReal;
  const Complex in = back ? Complex{z.im, z.re} : z;
  if (rows < lanes) memset(scratch, 0, 2 * sizeof(double) * static_cast<size_t>(plan.size * lanes));
  for (int64_t l = 0; l < rows; l++) {
    const float* from = x + offsetOf(plan.rows, plan.strides[0], plan.rows.rank, first + l);
    for (int64_t j = 0; j < given; j++) {
      const int64_t i = j * lanes + l;
      in.re[i] = static_cast<double>(from[j * plan.step[0]]);
      in.im[i] = plan.kind == fromReal ? 0 : static_cast<double>(from[j * plan.step[0] + plan.part[0]]);
      if (plan.kind != toReal) continue;
      // the other half is the conjugate; numbers that are their own have no imaginary part
      if (j == 0 || 2 * j == n) in.im[i] = 0;
      if (j > 0) in.re[(n - j) * lanes + l] = in.re[i], in.im[(n - j) * lanes + l] = -in.im[i];
    }
  }
  transformAny<lanes>(plan, z);
  for (int64_t l = 0; l < rows; l++) {
    float* to = y + offsetOf(plan.rows, plan.strides[1], plan.rows.rank, first + l);
    for (int64_t j = 0; j < made; j++) {
      to[j * plan.step[1]] = static_cast<float>(in.re[j * lanes + l]);
      if (plan.kind != toReal) to[j * plan.step[1] + plan.part[1]] = static_cast<float>(in.im[j * lanes + l]);
    }
  }
}

struct Job {
  const Instruction* instruction;
  const Run* run;
};

void fftRange(const Job& job, int64_t first, int64_t end, std::byte* scratch) {
  const auto& plan = *static_cast<const FftPlan*>(job.instruction->plan);
  const auto* x = job.run->data<float>(job.instruction->inputs[0]);
  auto* y = job.run->data<float>(job.instruction->outputs[0]);
  auto* numbers = reinterpret_cast<double*>(scratch);
  const int64_t lanes = plan.abreast ? kLanes : 1;
  for (int64_t r = first; r < end; r += lanes) {
    if (plan.abreast) {
      fftRows<kLanes>(plan, x, y, r, end - r < lanes ? end - r : lanes, numbers);
    } else {
      fftRows<1>(plan, x, y, r, 1, numbers);
    }
  }
}

void fftChunk(void* argument, int64_t chunk, std::byte* scratch) {
  const Job& job = *static_cast<const Job*>(argument);
  const auto& plan = *static_cast<const FftPlan*>(job.instruction->plan);
  const int64_t first = chunk * plan.rowsPerChunk, end = first + plan.rowsPerChunk;
  fftRange(job, first, end < plan.count ? end : plan.count, scratch);
}

Status runFft(const Instruction& instruction, const Run& run) {
  const auto& plan = *static_cast<const FftPlan*>(instruction.plan);
  if (plan.chunks == 0) return {};
  Job job{&instruction, &run};
  if (plan.shared) {
    fftRange(job, 0, plan.count, run.sharedScratch);
  } else {
    parallel(run, plan.chunks, fftChunk, &job);
  }
  return {};
}

}  // namespace

const KernelFamily fftFamily = {prepareFft, runFft, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
