// Rows normalized, scaled and shifted (layer and RMS norm), and the gradient of that, each in one pass over memory: a row stays in the first
// cache while its statistics are taken and its result is written. In: rows [R, K]; out: as docs/program-format.md. The gradients of weight and bias
// are summed by chunks of rows, which the shape alone cuts, and then over the chunks in order.
#include <cstdlib>

#include "row.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int64_t kChunkElements = 8192;
constexpr int64_t kMostParts = 16;   // of the sums over rows
constexpr int64_t kRowsTogether = 4;

struct Plan {
  int64_t rows, columns, rowsPerChunk, chunks;
};

/// A vector of K numbers side by side; strided ones are copied to `copy`.
const float* dense(const Run& run, const View& v, float* copy) {
  const float* p = run.data<float>(v);
  if (v.unit(0)) return p;
  for (int64_t i = 0; i < v.shape[0]; i++) copy[i] = p[i * v.stride[0]];
  return copy;
}

struct Job {
  const Instruction* instruction;
  const Run* run;
  const float* weight;
  const float* bias;
  float* parts;  // [chunks, 2, K]: sums of weight and bias over a chunk's rows
};

/// Mean (of kind 0) and 1/√(variance + eps) of a row; for kind 1 the variance is the mean square.
template <bool unit, bool centre>
void statistics(Row<unit> x, int64_t n, float eps, float& mean, float& rstd) {
  const float count = static_cast<float>(n);
  float m = 0;
  int64_t i = 0;
  if (centre) {
    F s0 = zero(), s1 = zero();
    for (; i + 2 * kWidth <= n; i += 2 * kWidth) {
      s0 += x.get(i);
      s1 += x.get(i + kWidth);
    }
    for (; i + kWidth <= n; i += kWidth) s0 += x.get(i);
    if (i < n) s1 += x.getPart(i, n - i);
    m = reduceAdd(s0 + s1) / count;
  }
  const F centreOf = set1(m);
  F d0 = zero(), d1 = zero(), q0 = zero(), q1 = zero();
  i = 0;
  for (; i + 2 * kWidth <= n; i += 2 * kWidth) {
    const F a = x.get(i) - centreOf, b = x.get(i + kWidth) - centreOf;
    d0 += a;
    d1 += b;
    q0 = fma(a, a, q0);
    q1 = fma(b, b, q1);
  }
  for (; i + kWidth <= n; i += kWidth) {
    const F a = x.get(i) - centreOf;
    d0 += a;
    q0 = fma(a, a, q0);
  }
  if (i < n) {
    const F a = keep(lt(lanes(), set1(static_cast<int32_t>(n - i))), x.getPart(i, n - i) - centreOf);
    d1 += a;
    q1 = fma(a, a, q1);
  }
  float squares = reduceAdd(q0 + q1);
  if (centre) {  // what the rounded mean left over
    const float left = reduceAdd(d0 + d1), rest = left / count;
    m += rest;
    squares -= left * rest;
  }
  mean = m;
  rstd = 1.0f / __builtin_sqrtf((squares > 0 || squares != squares ? squares : 0.0f) / count + eps);
}

template <bool unit>
void writeRow(Row<unit> x, float* y, const float* weight, const float* bias, float mean, float rstd, int64_t n) {
  const F m = set1(mean), s = set1(rstd);
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    F a = (x.get(i) - m) * s;
    if (weight) a = bias ? fma(a, load(weight + i), load(bias + i)) : a * load(weight + i);
    store(y + i, a);
  }
  if (i < n) {
    F a = (x.getPart(i, n - i) - m) * s;
    if (weight) {
      const F w = loadPartial(weight + i, n - i);
      a = bias ? fma(a, w, loadPartial(bias + i, n - i)) : a * w;
    }
    storePartial(y + i, a, n - i);
  }
}

template <bool unit>
void forwardRows(const Job& job, int64_t chunk) {
  const Instruction& instruction = *job.instruction;
  const auto& plan = *static_cast<const Plan*>(instruction.plan);
  const View& xs = instruction.inputs[0];
  auto* x = job.run->data<float>(xs);
  auto* y = job.run->data<float>(instruction.outputs[0]);
  auto* means = job.run->data<float>(instruction.outputs[1]);
  auto* rstds = job.run->data<float>(instruction.outputs[2]);
  float eps;
  memcpy(&eps, &instruction.attributes[1], sizeof eps);
  for (int64_t r = chunk * plan.rowsPerChunk; r < (chunk + 1) * plan.rowsPerChunk && r < plan.rows; r++) {
    const Row<unit> row{x + r * xs.stride[0], xs.stride[1]};
    float mean, rstd;
    instruction.attributes[0] == 0 ? statistics<unit, true>(row, plan.columns, eps, mean, rstd)
                                   : statistics<unit, false>(row, plan.columns, eps, mean, rstd);
    means[r] = mean;
    rstds[r] = rstd;
    writeRow(row, y + r * plan.columns, job.weight, job.bias, mean, rstd, plan.columns);
  }
}

void forwardChunk(void* argument, int64_t chunk, std::byte*) {
  const Job& job = *static_cast<const Job*>(argument);
  job.instruction->inputs[0].unit(1) ? forwardRows<true>(job, chunk) : forwardRows<false>(job, chunk);
}

/// One row of the gradient: its operands and what is the same for all its elements.
template <bool unit>
struct GradRow {
  Row<unit> g, x;
  float* out;
  float mean, rstd, plain, weighted;
};

/// Σ g·w / K (of kind 0) and Σ g·w·(x − mean)·rstd / K.
template <bool unit>
void gradSums(GradRow<unit>& row, const float* weight, bool centre, int64_t n) {
  const F m = set1(row.mean);
  F s0 = zero(), s1 = zero(), w0 = zero(), w1 = zero();
  int64_t i = 0;
  for (; i + 2 * kWidth <= n; i += 2 * kWidth) {
    F a = row.g.get(i), b = row.g.get(i + kWidth);
    if (weight) {
      a = a * load(weight + i);
      b = b * load(weight + i + kWidth);
    }
    s0 += a;
    s1 += b;
    w0 = fma(a, row.x.get(i) - m, w0);
    w1 = fma(b, row.x.get(i + kWidth) - m, w1);
  }
  for (; i < n; i += kWidth) {
    const int64_t part = n - i < kWidth ? n - i : kWidth;
    const M inside = lt(lanes(), set1(static_cast<int32_t>(part)));
    F a = row.g.getPart(i, part);
    if (weight) a = a * loadPartial(weight + i, part);
    s0 += a;
    w0 = fma(a, keep(inside, row.x.getPart(i, part) - m), w0);
  }
  row.plain = centre ? reduceAdd(s0 + s1) / static_cast<float>(n) : 0.0f;
  row.weighted = reduceAdd(w0 + w1) * row.rstd / static_cast<float>(n);
}

/// The gradients of `count` rows, and their shares in those of weight and bias.
template <bool unit, int count>
void gradRows(const GradRow<unit>* rows, const float* weight, float* sums, int64_t n) {
  for (int64_t i = 0; i < n; i += kWidth) {
    const int64_t part = n - i;
    const bool whole = part >= kWidth;
    const F w = weight ? whole ? load(weight + i) : loadPartial(weight + i, part) : set1(1.0f);
    F gw = zero(), gb = zero();
#pragma GCC unroll 4
    for (int r = 0; r < count; r++) {
      const GradRow<unit>& row = rows[r];
      const F g = whole ? row.g.get(i) : row.g.getPart(i, part), x = whole ? row.x.get(i) : row.x.getPart(i, part);
      const F unitX = (x - set1(row.mean)) * set1(row.rstd);
      const F gx = (fms(g, w, set1(row.plain)) - unitX * set1(row.weighted)) * set1(row.rstd);
      if (whole) {
        store(row.out + i, gx);
      } else {
        storePartial(row.out + i, gx, part);
      }
      gw = fma(g, unitX, gw);
      gb += g;
    }
    if (!sums) continue;
    // the buffers end with room for a vector
    store(sums + i, load(sums + i) + gw);
    float* bias = sums + n + kWidth;
    store(bias + i, load(bias + i) + gb);
  }
}

/// Floats of one part of the sums over rows.
int64_t partSize(int64_t columns) { return 2 * (columns + kWidth); }

template <bool unit>
void backwardRows(const Job& job, int64_t chunk) {
  const Instruction& instruction = *job.instruction;
  const auto& plan = *static_cast<const Plan*>(instruction.plan);
  const View &gs = instruction.inputs[0], &xs = instruction.inputs[1], &ms = instruction.inputs[2], &ds = instruction.inputs[3];
  auto* g = job.run->data<float>(gs);
  auto* x = job.run->data<float>(xs);
  const auto* means = job.run->data<float>(ms);
  const auto* rstds = job.run->data<float>(ds);
  auto* out = job.run->data<float>(instruction.outputs[0]);
  float* sums = job.parts ? job.parts + chunk * partSize(plan.columns) : nullptr;
  if (sums) memset(sums, 0, static_cast<size_t>(partSize(plan.columns)) * sizeof(float));
  const int64_t last = (chunk + 1) * plan.rowsPerChunk < plan.rows ? (chunk + 1) * plan.rowsPerChunk : plan.rows;
  GradRow<unit> rows[kRowsTogether];
  for (int64_t r = chunk * plan.rowsPerChunk; r < last;) {
    const int64_t together = last - r < kRowsTogether ? 1 : kRowsTogether;
    for (int64_t k = 0; k < together; k++) {
      rows[k] = {{g + (r + k) * gs.stride[0], gs.stride[1]}, {x + (r + k) * xs.stride[0], xs.stride[1]}, out + (r + k) * plan.columns,
                 means[(r + k) * ms.stride[0]], rstds[(r + k) * ds.stride[0]], 0.0f, 0.0f};
      gradSums(rows[k], job.weight, instruction.attributes[0] == 0, plan.columns);
    }
    together == 1 ? gradRows<unit, 1>(rows, job.weight, sums, plan.columns)
                  : gradRows<unit, kRowsTogether>(rows, job.weight, sums, plan.columns);
    r += together;
  }
}

void backwardChunk(void* argument, int64_t chunk, std::byte*) {
  const Job& job = *static_cast<const Job*>(argument);
  const bool unit = job.instruction->inputs[0].unit(1) && job.instruction->inputs[1].unit(1);
  unit ? backwardRows<true>(job, chunk) : backwardRows<false>(job, chunk);
}

Status prepare(Instruction& instruction) {
  auto* plan = static_cast<Plan*>(calloc(1, sizeof(Plan)));
  if (!plan) return {StatusCode::outOfMemory};
  const bool gradient = instruction.opcode == Opcode::normRowsGrad;
  const View& x = instruction.inputs[gradient ? 1 : 0];
  plan->rows = x.shape[0];
  plan->columns = x.shape[1];
  plan->rowsPerChunk = plan->columns >= kChunkElements ? 1 : kChunkElements / (plan->columns > 0 ? plan->columns : 1);
  const bool parts = gradient && instruction.outputCount > 1;
  if (parts && plan->rowsPerChunk * kMostParts < plan->rows)
    plan->rowsPerChunk = (plan->rows + kMostParts - 1) / kMostParts;
  plan->chunks = (plan->rows + plan->rowsPerChunk - 1) / plan->rowsPerChunk;
  instruction.plan = plan;
  // copies of strided weight and bias, then the parts
  const int64_t copies = 2 * (plan->columns + kWidth);
  instruction.sharedScratch = static_cast<size_t>(copies + (parts ? plan->chunks * partSize(plan->columns) : 0)) * sizeof(float);
  return {};
}

Status runForward(const Instruction& instruction, const Run& run) {
  const auto& plan = *static_cast<const Plan*>(instruction.plan);
  auto* scratch = reinterpret_cast<float*>(run.sharedScratch);
  Job job{&instruction, &run, nullptr, nullptr, nullptr};
  if (instruction.inputCount > 1) job.weight = dense(run, instruction.inputs[1], scratch);
  if (instruction.inputCount > 2) job.bias = dense(run, instruction.inputs[2], scratch + plan.columns);
  if (plan.chunks > 0) parallel(run, plan.chunks, forwardChunk, &job);
  return {};
}

Status runBackward(const Instruction& instruction, const Run& run) {
  const auto& plan = *static_cast<const Plan*>(instruction.plan);
  auto* scratch = reinterpret_cast<float*>(run.sharedScratch);
  Job job{&instruction, &run, nullptr, nullptr, nullptr};
  if (instruction.inputCount > 4) job.weight = dense(run, instruction.inputs[4], scratch);
  const bool parts = instruction.outputCount > 1;
  if (parts) job.parts = scratch + 2 * (plan.columns + kWidth);
  if (plan.chunks > 0) parallel(run, plan.chunks, backwardChunk, &job);
  for (int o = 0; parts && o < 2; o++) {
    auto* out = run.data<float>(instruction.outputs[1 + o]);
    for (int64_t i = 0; i < plan.columns; i++) {
      float sum = 0;
      for (int64_t c = 0; c < plan.chunks; c++) sum += job.parts[c * partSize(plan.columns) + o * (plan.columns + kWidth) + i];
      out[i] = sum;
    }
  }
  return {};
}

}  // namespace

const KernelFamily normRowsFamily = {prepare, runForward, nullptr};
const KernelFamily normRowsGradFamily = {prepare, runBackward, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
