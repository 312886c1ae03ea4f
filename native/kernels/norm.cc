// Statistics of groups for batch, group and instance norm: mean and variance, and the two sums of the gradient, each in one pass over
// memory. In: views [A, G, B]; a group is everything with one index of the middle dimension. Groups are cut into blocks that fit the first
// cache, of which the mean and then the squared differences from it are taken; blocks are merged by Chan's formula, so that data far from
// zero and outliers cost no digits. Blocks are cut and merged in an order that the shape alone decides.
#include <cstdlib>

#include "../simd/simd.h"
#include "families.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int64_t kBlock = 2048;           // floats
constexpr int64_t kDirect = 256;           // shorter runs are copied side by side first
constexpr int64_t kRows = 256;             // of a block of columns
constexpr int64_t kColumnVectors = 4;
constexpr int64_t kChunkElements = 16384;

/// A view [A, G, B] in memory.
struct Cube {
  const float* p;
  int64_t a, g, b, strideA, strideG, strideB;
  Cube(const Run& run, const View& v)
      : p(run.data<float>(v)), a(v.shape[0]), g(v.shape[1]), b(v.shape[2]), strideA(v.stride[0]), strideG(v.stride[1]), strideB(v.stride[2]) {}
  bool direct() const { return b >= kDirect && strideB == 1; }
  /// One element a group and sample, groups side by side.
  bool columns() const { return b == 1 && (strideG == 1 || g == 1); }
};

/// `n` elements `stride` apart, side by side.
void copyRun(float* to, const float* from, int64_t n, int64_t stride) {
  int64_t i = 0;
  if (stride == 1)
    for (; i + kWidth <= n; i += kWidth) store(to + i, load(from + i));
  for (; i < n; i++) to[i] = from[i * stride];
}

/// Calls fn(pointers, n) for each block of a group, the same block of each of `count` cubes. `buffer` has room for a block of each.
template <int count, class Fn>
CHAINRULE_INLINE void eachBlock(const Cube* cubes, int64_t group, float* buffer, Fn fn) {
  const Cube& first = cubes[0];
  bool direct = true;
  for (int c = 0; c < count; c++) direct = direct && cubes[c].direct();
  const float* at[count];
  if (direct) {
    for (int64_t a = 0; a < first.a; a++)
      for (int64_t i = 0; i < first.b; i += kBlock) {
        for (int c = 0; c < count; c++) at[c] = cubes[c].p + a * cubes[c].strideA + group * cubes[c].strideG + i;
        fn(at, first.b - i < kBlock ? first.b - i : kBlock);
      }
    return;
  }
  for (int c = 0; c < count; c++) at[c] = buffer + c * kBlock;
  int64_t filled = 0;
  for (int64_t a = 0; a < first.a; a++)
    for (int64_t i = 0; i < first.b;) {
      const int64_t n = first.b - i < kBlock - filled ? first.b - i : kBlock - filled;
      for (int c = 0; c < count; c++)
        copyRun(buffer + c * kBlock + filled, cubes[c].p + a * cubes[c].strideA + group * cubes[c].strideG + i * cubes[c].strideB, n,
                cubes[c].strideB);
      i += n;
      filled += n;
      if (filled == kBlock) {
        fn(at, filled);
        filled = 0;
      }
    }
  if (filled > 0) fn(at, filled);
}

float sumOf(const float* p, int64_t n) {
  F s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
  int64_t i = 0;
  for (; i + 4 * kWidth <= n; i += 4 * kWidth) {
    s0 += load(p + i);
    s1 += load(p + i + kWidth);
    s2 += load(p + i + 2 * kWidth);
    s3 += load(p + i + 3 * kWidth);
  }
  for (; i + kWidth <= n; i += kWidth) s0 += load(p + i);
  if (i < n) s1 += loadPartial(p + i, n - i);
  return reduceAdd((s0 + s1) + (s2 + s3));
}

/// Σ (x − m) and Σ (x − m)².
void deviationsOf(const float* p, int64_t n, float m, float& sum, float& squares) {
  const F mean = set1(m);
  F s0 = zero(), s1 = zero(), q0 = zero(), q1 = zero(), q2 = zero(), q3 = zero();
  int64_t i = 0;
  for (; i + 4 * kWidth <= n; i += 4 * kWidth) {
    const F d0 = load(p + i) - mean, d1 = load(p + i + kWidth) - mean;
    const F d2 = load(p + i + 2 * kWidth) - mean, d3 = load(p + i + 3 * kWidth) - mean;
    s0 += d0 + d2;
    s1 += d1 + d3;
    q0 = fma(d0, d0, q0);
    q1 = fma(d1, d1, q1);
    q2 = fma(d2, d2, q2);
    q3 = fma(d3, d3, q3);
  }
  for (; i + kWidth <= n; i += kWidth) {
    const F d = load(p + i) - mean;
    s0 += d;
    q0 = fma(d, d, q0);
  }
  if (i < n) {
    const F d = keep(lt(lanes(), set1(static_cast<int32_t>(n - i))), loadPartial(p + i, n - i) - mean);
    s1 += d;
    q1 = fma(d, d, q1);
  }
  sum = reduceAdd(s0 + s1);
  squares = reduceAdd((q0 + q1) + (q2 + q3));
}

struct Moments {
  double mean = 0, squares = 0;
  int64_t count = 0;
  void add(const float* p, int64_t n) {
    const float m = sumOf(p, n) / static_cast<float>(n);
    float sum, square;
    deviationsOf(p, n, m, sum, square);
    // what the rounded mean left over
    const double rest = static_cast<double>(sum) / static_cast<double>(n), blockMean = m + rest;
    const double blockSquares = square - sum * rest;
    const double total = static_cast<double>(count + n), delta = blockMean - mean;
    squares += blockSquares + delta * delta * (static_cast<double>(count) * static_cast<double>(n) / total);
    mean += delta * (static_cast<double>(n) / total);
    count += n;
  }
};

struct Job {
  const Instruction* instruction;
  const Run* run;
  int64_t groupsPerChunk;
};

void put(const Run& run, const View& v, int64_t i, double value) { run.data<float>(v)[i * v.stride[0]] = static_cast<float>(value); }

void momentsChunk(void* argument, int64_t chunk, std::byte* scratch) {
  const Job& job = *static_cast<const Job*>(argument);
  const Instruction& instruction = *job.instruction;
  const Cube x(*job.run, instruction.inputs[0]);
  for (int64_t g = chunk * job.groupsPerChunk; g < (chunk + 1) * job.groupsPerChunk && g < x.g; g++) {
    Moments found;
    eachBlock<1>(&x, g, reinterpret_cast<float*>(scratch), [&](const float* const* at, int64_t n) { found.add(at[0], n); });
    const double variance = found.count > 0 ? found.squares / static_cast<double>(found.count) : __builtin_nan("");
    put(*job.run, instruction.outputs[0], g, found.count > 0 ? found.mean : __builtin_nan(""));
    put(*job.run, instruction.outputs[1], g, variance);
  }
}

/// Columns side by side, a lane each. `vectors` of them from column `g` on, the last `tail` lanes wide.
struct Columns {
  int64_t g, lanes;
  F get(const Cube& x, int64_t a, int v) const {
    const float* p = x.p + a * x.strideA + g + v * kWidth;
    const int64_t left = lanes - v * kWidth;
    return left >= kWidth ? load(p) : left > 0 ? loadPartial(p, left) : zero();
  }
};

void putColumns(const Run& run, const View& out, const Columns& at, const F* values) {
  float lane[kColumnVectors * kWidth];
  for (int v = 0; v < kColumnVectors; v++) store(lane + v * kWidth, values[v]);
  for (int64_t i = 0; i < at.lanes; i++) put(run, out, at.g + i, lane[i]);
}

Columns columnsOf(const Cube& x, int64_t chunk) {
  const int64_t g = chunk * kColumnVectors * kWidth, left = x.g - g;
  return {g, left < kColumnVectors * kWidth ? left : kColumnVectors * kWidth};
}

void momentsColumns(void* argument, int64_t chunk, std::byte*) {
  const Job& job = *static_cast<const Job*>(argument);
  const Instruction& instruction = *job.instruction;
  const Cube x(*job.run, instruction.inputs[0]);
  const Columns at = columnsOf(x, chunk);
  F mean[kColumnVectors] = {}, squares[kColumnVectors] = {};
  for (int64_t from = 0; from < x.a; from += kRows) {
    const int64_t n = x.a - from < kRows ? x.a - from : kRows;
    const F count = set1(static_cast<float>(n));
    const F share = set1(static_cast<float>(static_cast<double>(n) / static_cast<double>(from + n)));
    const F weight = set1(static_cast<float>(static_cast<double>(from) * static_cast<double>(n) / static_cast<double>(from + n)));
    for (int v = 0; v < kColumnVectors; v++) {
      F sum = zero(), left = zero(), square = zero();
      for (int64_t a = from; a < from + n; a++) sum += at.get(x, a, v);
      const F m = sum / count;
      for (int64_t a = from; a < from + n; a++) {
        const F d = at.get(x, a, v) - m;
        left += d;
        square = fma(d, d, square);
      }
      const F rest = left / count, delta = (m - mean[v]) + rest;
      squares[v] += nfma(left, rest, square) + delta * delta * weight;
      mean[v] = fma(delta, share, mean[v]);
    }
  }
  // of nothing at all these are NaN
  const F total = set1(static_cast<float>(x.a));
  for (int v = 0; v < kColumnVectors; v++) {
    squares[v] = squares[v] / total;
    if (x.a == 0) mean[v] = squares[v];
  }
  putColumns(*job.run, instruction.outputs[0], at, mean);
  putColumns(*job.run, instruction.outputs[1], at, squares);
}

/// Σ g and Σ g·(x − m).
void sumsOf(const float* g, const float* x, int64_t n, float m, float& plain, float& weighted) {
  const F mean = set1(m);
  F s0 = zero(), s1 = zero(), w0 = zero(), w1 = zero();
  int64_t i = 0;
  for (; i + 2 * kWidth <= n; i += 2 * kWidth) {
    const F g0 = load(g + i), g1 = load(g + i + kWidth);
    s0 += g0;
    s1 += g1;
    w0 = fma(g0, load(x + i) - mean, w0);
    w1 = fma(g1, load(x + i + kWidth) - mean, w1);
  }
  for (; i + kWidth <= n; i += kWidth) {
    const F g0 = load(g + i);
    s0 += g0;
    w0 = fma(g0, load(x + i) - mean, w0);
  }
  if (i < n) {
    const M inside = lt(lanes(), set1(static_cast<int32_t>(n - i)));
    const F g0 = loadPartial(g + i, n - i);
    s1 += g0;
    w1 = fma(g0, keep(inside, loadPartial(x + i, n - i) - mean), w1);
  }
  plain = reduceAdd(s0 + s1);
  weighted = reduceAdd(w0 + w1);
}

float take(const Run& run, const View& v, int64_t i) { return run.data<float>(v)[i * v.stride[0]]; }

void sumsChunk(void* argument, int64_t chunk, std::byte* scratch) {
  const Job& job = *static_cast<const Job*>(argument);
  const Instruction& instruction = *job.instruction;
  const Cube cubes[2] = {{*job.run, instruction.inputs[0]}, {*job.run, instruction.inputs[1]}};
  for (int64_t g = chunk * job.groupsPerChunk; g < (chunk + 1) * job.groupsPerChunk && g < cubes[0].g; g++) {
    const float mean = take(*job.run, instruction.inputs[2], g);
    double plain = 0, weighted = 0;
    eachBlock<2>(cubes, g, reinterpret_cast<float*>(scratch), [&](const float* const* at, int64_t n) {
      float s, w;
      sumsOf(at[0], at[1], n, mean, s, w);
      plain += s;
      weighted += w;
    });
    put(*job.run, instruction.outputs[0], g, plain);
    put(*job.run, instruction.outputs[1], g, weighted * take(*job.run, instruction.inputs[3], g));
  }
}

void sumsColumns(void* argument, int64_t chunk, std::byte*) {
  const Job& job = *static_cast<const Job*>(argument);
  const Instruction& instruction = *job.instruction;
  const Cube g(*job.run, instruction.inputs[0]), x(*job.run, instruction.inputs[1]);
  const Columns at = columnsOf(x, chunk);
  float lane[2][kColumnVectors * kWidth] = {};
  for (int64_t i = 0; i < at.lanes; i++) {
    lane[0][i] = take(*job.run, instruction.inputs[2], at.g + i);
    lane[1][i] = take(*job.run, instruction.inputs[3], at.g + i);
  }
  F plain[kColumnVectors] = {}, weighted[kColumnVectors] = {};
  for (int64_t from = 0; from < x.a; from += kRows)
    for (int v = 0; v < kColumnVectors; v++) {
      const F mean = load(lane[0] + v * kWidth);
      F s = zero(), w = zero();
      for (int64_t a = from; a < from + kRows && a < x.a; a++) {
        const F g0 = at.get(g, a, v);
        s += g0;
        w = fma(g0, at.get(x, a, v) - mean, w);
      }
      plain[v] += s;
      weighted[v] += w;
    }
  for (int v = 0; v < kColumnVectors; v++) weighted[v] = weighted[v] * load(lane[1] + v * kWidth);
  putColumns(*job.run, instruction.outputs[0], at, plain);
  putColumns(*job.run, instruction.outputs[1], at, weighted);
}

Status prepareNothing(Instruction& instruction) {
  instruction.plan = nullptr;
  instruction.sharedScratch = 0;
  return {};
}

Status runGroups(const Instruction& instruction, const Run& run, const View& x, bool columns, ChunkFunction byColumns, ChunkFunction byGroups) {
  const int64_t groups = x.shape[1], size = x.shape[0] * x.shape[2];
  if (groups == 0) return {};
  Job job{&instruction, &run, 1};
  if (columns) {
    parallel(run, (groups + kColumnVectors * kWidth - 1) / (kColumnVectors * kWidth), byColumns, &job);
    return {};
  }
  if (size < kChunkElements) job.groupsPerChunk = kChunkElements / (size > 0 ? size : 1);
  parallel(run, (groups + job.groupsPerChunk - 1) / job.groupsPerChunk, byGroups, &job);
  return {};
}

Status runMoments(const Instruction& instruction, const Run& run) {
  const View& x = instruction.inputs[0];
  return runGroups(instruction, run, x, Cube(run, x).columns(), momentsColumns, momentsChunk);
}

Status runSums(const Instruction& instruction, const Run& run) {
  const View &g = instruction.inputs[0], &x = instruction.inputs[1];
  return runGroups(instruction, run, x, Cube(run, x).columns() && Cube(run, g).columns(), sumsColumns, sumsChunk);
}

}  // namespace

const KernelFamily momentsFamily = {prepareNothing, runMoments, nullptr};
const KernelFamily normSumsFamily = {prepareNothing, runSums, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
