// Discrete Fourier transforms along the last dimension, not scaled; complex numbers are pairs in a dimension of size 2 behind it. Computed
// in double precision: by passes of radix 4, 2, 3, 5, 7, 11, 13 that sort as they go (Stockham), other sizes as a convolution with a chirp (Bluestein
// 1970). Real numbers of even count are transformed as half as many complex ones. Rows are independent and run in parallel, and short ones
// several abreast: number j of lane l lies at j·lanes + l.
#include <cstdlib>
#include <cstring>

#include "../simd/doubles.h"
#include "fft_passes.h"
#include "strided.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int64_t kChunkElements = 16384;
/// Rows of at most so many numbers run kLanes abreast.
constexpr int64_t kAbreast = 4096;
constexpr int kLanes = 4;

/// Between the four arrays of the passes, which would share sets of the cache otherwise.
constexpr int64_t kApart = 24;

/// Tables of more numbers than this are refused.
constexpr int64_t kMaxSize = int64_t{1} << 24;

enum Kind { forward, inverse, fromReal, toReal };

/// Followed in memory by its tables: the passes', and as needed the chirp (length) and the transform of its conjugate (size), and roots of
/// unity that take two halves of real numbers apart (length + 1).
struct FftPlan {
  Space rows;
  Strides strides[2];  // x, y
  int64_t step[2];     // along the transformed dimension
  int64_t part[2];     // from a real part to its imaginary part
  int64_t numbers;     // of the transform asked for
  int64_t length;      // of the complex transform made: numbers, or half of them
  int64_t count, rowsPerChunk, chunks;
  Kind kind;
  bool chirped, halved, shared, abreast;
  Passes passes;  // of the length, or of a size that takes the convolution
};

double* tablesOf(const FftPlan& plan) { return reinterpret_cast<double*>(const_cast<FftPlan*>(&plan) + 1); }
Complex tableOf(const FftPlan& plan, int64_t at, int64_t n) { return {tablesOf(plan) + at, tablesOf(plan) + at + n}; }
Complex chirpOf(const FftPlan& plan) { return tableOf(plan, plan.passes.doubles, plan.length); }
Complex kernelOf(const FftPlan& plan) { return tableOf(plan, plan.passes.doubles + 2 * plan.length, plan.passes.size); }
Complex halvesOf(const FftPlan& plan) {
  const int64_t chirp = plan.chirped ? 2 * plan.length + 2 * plan.passes.size : 0;
  return tableOf(plan, plan.passes.doubles + chirp, plan.length + 1);
}

/// The chirp e^(−πi·j²/n), and the transform of its conjugate laid out around 0. `room` is of the passes' size.
void makeChirp(const FftPlan& plan, Complex room) {
  const Complex chirp = chirpOf(plan), kernel = kernelOf(plan);
  const int64_t n = plan.length, size = plan.passes.size;
  for (int64_t i = 0; i < size; i++) kernel.re[i] = kernel.im[i] = 0;
  for (int64_t j = 0; j < n; j++) {
    const double angle = -kPi * static_cast<double>(j * j % (2 * n)) / static_cast<double>(n);
    chirp.re[j] = __builtin_cos(angle);
    chirp.im[j] = __builtin_sin(angle);
    const int64_t mirrored = j == 0 ? 0 : size - j;
    kernel.re[j] = kernel.re[mirrored] = chirp.re[j];
    kernel.im[j] = kernel.im[mirrored] = -chirp.im[j];
  }
  runPasses<1>(plan.passes, tablesOf(plan), kernel, room);
}

/// z becomes its transform; z and room have place for as many numbers as the passes.
template <int lanes>
void transform(const FftPlan& plan, Complex z, Complex room) {
  const double* tables = tablesOf(plan);
  if (!plan.chirped) return runPasses<lanes>(plan.passes, tables, z, room);
  const Complex chirp = chirpOf(plan), kernel = kernelOf(plan);
  const int64_t n = plan.length, size = plan.passes.size;
  const auto turn = [&](int64_t j, Complex by, double scale) {
    for (int64_t i = j * lanes; i < (j + 1) * lanes; i++) {
      const double re = z.re[i], im = z.im[i];
      z.re[i] = (re * by.re[j] - im * by.im[j]) * scale;
      z.im[i] = (re * by.im[j] + im * by.re[j]) * scale;
    }
  };
  for (int64_t j = 0; j < n; j++) turn(j, chirp, 1);
  for (int64_t i = n * lanes; i < size * lanes; i++) z.re[i] = z.im[i] = 0;
  runPasses<lanes>(plan.passes, tables, z, room);
  for (int64_t j = 0; j < size; j++) turn(j, kernel, 1);
  runPasses<lanes>(plan.passes, tables, {z.im, z.re}, {room.im, room.re});
  for (int64_t j = 0; j < n; j++) turn(j, chirp, 1 / static_cast<double>(size));
}

bool planSizes(FftPlan& plan, int64_t numbers) {
  plan.numbers = numbers;
  plan.halved = plan.kind >= fromReal && numbers % 2 == 0 && numbers > 0;
  plan.length = plan.halved ? numbers / 2 : numbers;
  plan.chirped = !planPasses(plan.passes, plan.length);
  // by 2, 3 and 5 alone the next size is never far
  for (int64_t size = 2 * plan.length - 1; plan.chirped; size++) {
    if (size > kMaxSize) return false;
    int64_t rest = size;
    for (int64_t r = 2; r <= 5; r++) {
      while (rest % r == 0) rest /= r;
    }
    if (rest == 1 && planPasses(plan.passes, size)) break;
  }
  return plan.passes.size <= kMaxSize;
}

Status prepareFft(Instruction& instruction) {
  const View &x = instruction.inputs[0], &y = instruction.outputs[0];
  FftPlan sizes;
  memset(static_cast<void*>(&sizes), 0, sizeof(FftPlan));
  sizes.kind = static_cast<Kind>(instruction.attributes[0]);
  const View& whole = sizes.kind == toReal ? y : x;  // the side with all numbers
  const int32_t rows = x.rank - (sizes.kind == fromReal ? 1 : 2);
  if (!planSizes(sizes, whole.shape[rows])) return {StatusCode::outOfMemory};
  const int64_t size = sizes.passes.size;
  const int64_t doubles = sizes.passes.doubles + (sizes.chirped ? 2 * sizes.length + 2 * size : 0) + (sizes.halved ? 2 * sizes.length + 2 : 0);
  auto* plan = static_cast<FftPlan*>(malloc(sizeof(FftPlan) + sizeof(double) * static_cast<size_t>(doubles)));
  auto* room = static_cast<double*>(sizes.chirped ? malloc(2 * sizeof(double) * static_cast<size_t>(size)) : nullptr);
  if (!plan || (sizes.chirped && !room)) {
    free(plan);
    free(room);
    return {StatusCode::outOfMemory};
  }
  memcpy(static_cast<void*>(plan), &sizes, sizeof sizes);
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
  const size_t scratch = 4 * sizeof(double) * static_cast<size_t>(size * (plan->abreast ? kLanes : 1) + kApart);
  plan->shared = scratch > kThreadScratchBytes;
  plan->rowsPerChunk = size >= kChunkElements ? 1 : kChunkElements / (size > 0 ? size : 1);
  if (plan->abreast) plan->rowsPerChunk = (plan->rowsPerChunk + kLanes - 1) / kLanes * kLanes;
  plan->chunks = plan->length == 0 ? 0 : (plan->count + plan->rowsPerChunk - 1) / plan->rowsPerChunk;
  makeTwiddles(plan->passes, tablesOf(*plan));
  if (plan->chirped) makeChirp(*plan, {room, room + size});
  free(room);
  for (int64_t k = 0; plan->halved && k <= plan->length; k++) {
    const double angle = -kPi * static_cast<double>(k) / static_cast<double>(plan->length);
    halvesOf(*plan).re[k] = __builtin_cos(angle);
    halvesOf(*plan).im[k] = __builtin_sin(angle);
  }
  instruction.plan = plan;
  instruction.sharedScratch = plan->shared ? scratch : 0;
  return {};
}

/// A row as the transform takes it: numbers of lane 0 from `in` on.
template <int lanes>
void readRow(const FftPlan& plan, const float* from, Complex in) {
  const int64_t n = plan.numbers, length = plan.length, step = plan.step[0], part = plan.part[0];
  if (plan.kind == fromReal) {
    for (int64_t j = 0; j < length; j++) {
      const float* pair = plan.halved ? from + 2 * j * step : from + j * step;
      in.re[j * lanes] = static_cast<double>(*pair);
      in.im[j * lanes] = plan.halved ? static_cast<double>(pair[step]) : 0;
    }
  } else if (plan.kind == toReal && plan.halved) {
    // the other half is the conjugate; numbers that are their own have no imaginary part
    const Complex w = halvesOf(plan);
    const auto imaginary = [&](int64_t k) { return k == 0 || k == length ? 0 : static_cast<double>(from[k * step + part]); };
    for (int64_t k = 0; k < length; k++) {
      const int64_t other = length - k;
      const double ar = static_cast<double>(from[k * step]), ai = imaginary(k);
      const double br = static_cast<double>(from[other * step]), bi = -imaginary(other);
      const double dr = ar - br, di = ai - bi;
      in.re[k * lanes] = ar + br + (w.im[k] * dr - w.re[k] * di);
      in.im[k * lanes] = ai + bi + (w.re[k] * dr + w.im[k] * di);
    }
  } else {
    const int64_t given = plan.kind == toReal ? n / 2 + 1 : n;
    for (int64_t j = 0; j < given; j++) {
      const int64_t i = j * lanes;
      in.re[i] = static_cast<double>(from[j * step]);
      in.im[i] = static_cast<double>(from[j * step + part]);
      if (plan.kind != toReal) continue;
      if (j == 0) in.im[i] = 0;
      if (j > 0) in.re[(n - j) * lanes] = in.re[i], in.im[(n - j) * lanes] = -in.im[i];
    }
  }
}

template <int lanes>
void writeRow(const FftPlan& plan, Complex in, float* to) {
  const int64_t n = plan.numbers, length = plan.length, step = plan.step[1], part = plan.part[1];
  if (plan.halved && plan.kind == fromReal) {
    const Complex w = halvesOf(plan);
    for (int64_t k = 0; k <= length; k++) {
      const int64_t i = k == length ? 0 : k * lanes, other = k == 0 ? 0 : (length - k) * lanes;
      const double ar = in.re[i], ai = in.im[i], br = in.re[other], bi = -in.im[other];
      const double dr = ar - br, di = ai - bi;
      to[k * step] = static_cast<float>(0.5 * (ar + br + (w.re[k] * di + w.im[k] * dr)));
      to[k * step + part] = static_cast<float>(0.5 * (ai + bi + (w.im[k] * di - w.re[k] * dr)));
    }
  } else if (plan.halved) {
    for (int64_t j = 0; j < length; j++) {
      to[2 * j * step] = static_cast<float>(in.re[j * lanes]);
      to[(2 * j + 1) * step] = static_cast<float>(in.im[j * lanes]);
    }
  } else {
    const int64_t made = plan.kind == fromReal ? n / 2 + 1 : n;
    for (int64_t j = 0; j < made; j++) {
      to[j * step] = static_cast<float>(in.re[j * lanes]);
      if (plan.kind != toReal) to[j * step + part] = static_cast<float>(in.im[j * lanes]);
    }
  }
}

/// Rows `first` … `first + rows - 1`, at most as many as lanes.
template <int lanes>
void fftRows(const FftPlan& plan, const float* x, float* y, int64_t first, int64_t rows, double* scratch) {
  const int64_t size = plan.passes.size * lanes + kApart;
  const Complex z{scratch, scratch + size}, room{scratch + 2 * size, scratch + 3 * size};
  // the inverse is the transform with real and imaginary parts exchanged
  const bool back = plan.kind == inverse || plan.kind == toReal;
  const Complex in = back ? Complex{z.im, z.re} : z;
  if (rows < lanes) memset(scratch, 0, 2 * sizeof(double) * static_cast<size_t>(size));
  for (int64_t l = 0; l < rows; l++) {
    readRow<lanes>(plan, x + offsetOf(plan.rows, plan.strides[0], plan.rows.rank, first + l), {in.re + l, in.im + l});
  }
  transform<lanes>(plan, z, room);
  for (int64_t l = 0; l < rows; l++) {
    writeRow<lanes>(plan, {in.re + l, in.im + l}, y + offsetOf(plan.rows, plan.strides[1], plan.rows.rank, first + l));
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
