// softmax and log-softmax over the last dimension, cross-entropy of rows and its gradient. In: logits, and for the latter
// class numbers; out: as docs/program-format.md. Rows are independent, each is summed in a fixed order, and blocks of
// rows run in parallel. NaN in a row and rows without a finite maximum give NaN.
#include <cstdlib>

#include "../simd/math.h"
#include "row.h"
#include "strided.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int64_t kChunkElements = 8192;

template <bool unit>
float maxOf(Row<unit> x, int64_t n) {
  F a = set1(-kInfinity), b = a;
  int64_t i = 0;
  for (; i + 2 * kWidth <= n; i += 2 * kWidth) {
    a = max(x.get(i), a);
    b = max(x.get(i + kWidth), b);
  }
  if (i + kWidth <= n) {
    a = max(x.get(i), a);
    i += kWidth;
  }
  if (i < n) b = max(firstOr(x.getPart(i, n - i), n - i, a), b);
  return reduceMax(max(a, b));  // NaN in x is skipped or not: the sum shows it
}

/// Σ exp(x − top); stores the terms in y where wanted.
template <bool keep, bool unit, bool unitOut>
float sumExp(Row<unit> x, Row<unitOut> y, float top, int64_t n) {
  const F t = set1(top);
  F sum = zero();
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    const F e = exp(x.get(i) - t);
    if (keep) y.put(i, e);
    sum += e;
  }
  if (i < n) {
    const F e = exp(x.getPart(i, n - i) - t);
    if (keep) y.putPart(i, e, n - i);
    sum += firstOr(e, n - i, zero());
  }
  return reduceAdd(sum);
}

template <bool unit>
void scaleRow(Row<unit> y, float by, int64_t n) {
  const F s = set1(by);
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) y.put(i, y.get(i) * s);
  if (i < n) y.putPart(i, y.getPart(i, n - i) * s, n - i);
}

template <bool unit, bool unitOut>
void softmaxRow(Row<unit> x, Row<unitOut> y, int64_t n) {
  const float sum = sumExp<true>(x, y, maxOf(x, n), n);
  scaleRow(y, 1.0f / sum, n);
}

float logOf(float a) {
  float lane[kWidth];
  store(lane, log(set1(a)));
  return lane[0];
}

template <bool unit, bool unitOut>
void logSoftmaxRow(Row<unit> x, Row<unitOut> y, int64_t n) {
  const float top = maxOf(x, n);
  const F t = set1(top), l = set1(logOf(sumExp<false>(x, y, top, n)));
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) y.put(i, x.get(i) - t - l);
  if (i < n) y.putPart(i, x.getPart(i, n - i) - t - l, n - i);
}

// --- softmax ---------------------------------------------------------------------------------------------------

struct SoftmaxPlan {
  Space rows;
  Strides strides[2];  // x, y over the rows
  int64_t count, columns, columnStride[2], rowsPerChunk, chunks;
  bool logarithm;
};

void planRows(SoftmaxPlan& plan, const View& x, const View& y) {
  const int32_t last = x.rank - 1;
  plan.rows.rank = last;
  for (int32_t d = 0; d < last; d++) {
    plan.rows.shape[d] = x.shape[d];
    plan.strides[0][d] = x.stride[d];
    plan.strides[1][d] = y.stride[d];
  }
  plan.count = plan.rows.count();
  plan.columns = x.shape[last];
  plan.columnStride[0] = x.stride[last];
  plan.columnStride[1] = y.stride[last];
  collapse(plan.rows, plan.strides, 2);
  plan.rowsPerChunk = plan.columns >= kChunkElements ? 1 : kChunkElements / (plan.columns > 0 ? plan.columns : 1);
  plan.chunks = plan.columns == 0 ? 0 : (plan.count + plan.rowsPerChunk - 1) / plan.rowsPerChunk;
}

Status prepareSoftmax(Instruction& instruction) {
  auto* plan = static_cast<SoftmaxPlan*>(calloc(1, sizeof(SoftmaxPlan)));
  if (!plan) return {StatusCode::outOfMemory};
  planRows(*plan, instruction.inputs[0], instruction.outputs[0]);
  plan->logarithm = instruction.attributes[0] == 1;
  instruction.plan = plan;
  instruction.sharedScratch = 0;
  return {};
}

struct Job {
  const Instruction* instruction;
  const Run* run;
};

template <bool unit, bool unitOut>
void softmaxRows(const Job& job, int64_t chunk) {
  const auto& plan = *static_cast<const SoftmaxPlan*>(job.instruction->plan);
  auto* x = job.run->data<float>(job.instruction->inputs[0]);
  auto* y = job.run->data<float>(job.instruction->outputs[0]);
  const int64_t first = chunk * plan.rowsPerChunk, left = plan.count - first;
  Odometer odometer;
  odometer.start(plan.rows, plan.rows.rank, first);
  int64_t offset[2];
  for (int v = 0; v < 2; v++) offset[v] = offsetOf(plan.rows, plan.strides[v], plan.rows.rank, first);
  for (int64_t r = 0; r < plan.rowsPerChunk && r < left; r++) {
    const Row<unit> in{x + offset[0], plan.columnStride[0]};
    const Row<unitOut> out{y + offset[1], plan.columnStride[1]};
    if (plan.logarithm) {
      logSoftmaxRow(in, out, plan.columns);
    } else {
      softmaxRow(in, out, plan.columns);
    }
    odometer.next(plan.rows, plan.strides, 2, offset);
  }
}

void softmaxChunk(void* argument, int64_t chunk, std::byte*) {
  const Job& job = *static_cast<const Job*>(argument);
  const auto& plan = *static_cast<const SoftmaxPlan*>(job.instruction->plan);
  const bool in = plan.columnStride[0] == 1, out = plan.columnStride[1] == 1;
  in ? out ? softmaxRows<true, true>(job, chunk) : softmaxRows<true, false>(job, chunk)
     : out ? softmaxRows<false, true>(job, chunk) : softmaxRows<false, false>(job, chunk);
}

Status runSoftmax(const Instruction& instruction, const Run& run) {
  Job job{&instruction, &run};
  const int64_t chunks = static_cast<const SoftmaxPlan*>(instruction.plan)->chunks;
  if (chunks > 0) parallel(run, chunks, softmaxChunk, &job);
  return {};
}

// --- cross-entropy ---------------------------------------------------------------------------------------------

/// A vector of class numbers.
struct Targets {
  const void* data;
  int64_t stride;
  bool bytes;
  Targets(const Run& run, const View& v) : stride(v.stride[0]), bytes(v.dtype == DType::uint8) {
    data = bytes ? static_cast<const void*>(run.data<uint8_t>(v)) : run.data<int32_t>(v);
  }
  int32_t operator[](int64_t i) const {
    return bytes ? static_cast<const uint8_t*>(data)[i * stride] : static_cast<const int32_t*>(data)[i * stride];
  }
};

/// max − x[target] + log Σ exp(x − max).
template <bool unit>
float lossOf(Row<unit> x, int64_t n, int32_t target) {
  const float top = maxOf(x, n);
  return (top - x.at(target)) + logOf(sumExp<false>(x, x, top, n));
}

void lossChunk(void* argument, int64_t chunk, std::byte*) {
  const Job& job = *static_cast<const Job*>(argument);
  const Instruction& instruction = *job.instruction;
  const View &xs = instruction.inputs[0], &ys = instruction.outputs[0];
  const Targets targets(*job.run, instruction.inputs[1]);
  const int32_t ignored = instruction.attributes[0];
  auto* x = job.run->data<float>(xs);
  auto* y = job.run->data<float>(ys);
  const int64_t columns = xs.shape[1], step = columns >= kChunkElements ? 1 : kChunkElements / columns;
  for (int64_t r = chunk * step; r < chunk * step + step && r < xs.shape[0]; r++) {
    float* row = x + r * xs.stride[0];
    const int32_t t = targets[r];
    y[r * ys.stride[0]] = t == ignored         ? 0.0f
                          : xs.unit(1)         ? lossOf(Row<true>{row, 1}, columns, t)
                                              : lossOf(Row<false>{row, xs.stride[1]}, columns, t);
  }
}

template <bool unit>
void gradRow(Row<unit> x, const View& ys, float* y, int64_t n, int32_t target, float g) {
  const float top = maxOf(x, n);
  if (ys.unit(1)) {
    const Row<true> out{y, 1};
    scaleRow(out, g / sumExp<true>(x, out, top, n), n);
  } else {
    const Row<false> out{y, ys.stride[1]};
    scaleRow(out, g / sumExp<true>(x, out, top, n), n);
  }
  y[target * ys.stride[1]] -= g;
}

void gradChunk(void* argument, int64_t chunk, std::byte*) {
  const Job& job = *static_cast<const Job*>(argument);
  const Instruction& instruction = *job.instruction;
  const View &xs = instruction.inputs[0], &gs = instruction.inputs[2], &ys = instruction.outputs[0];
  const Targets targets(*job.run, instruction.inputs[1]);
  const int32_t ignored = instruction.attributes[0];
  auto* x = job.run->data<float>(xs);
  auto* y = job.run->data<float>(ys);
  const auto* g = job.run->data<float>(gs);
  const int64_t columns = xs.shape[1], step = columns >= kChunkElements ? 1 : kChunkElements / columns;
  for (int64_t r = chunk * step; r < chunk * step + step && r < xs.shape[0]; r++) {
    float* row = x + r * xs.stride[0];
    float* out = y + r * ys.stride[0];
    const int32_t t = targets[r];
    if (t == ignored) {
      for (int64_t i = 0; i < columns; i++) out[i * ys.stride[1]] = 0.0f;
    } else if (xs.unit(1)) {
      gradRow(Row<true>{row, 1}, ys, out, columns, t, g[r * gs.stride[0]]);
    } else {
      gradRow(Row<false>{row, xs.stride[1]}, ys, out, columns, t, g[r * gs.stride[0]]);
    }
  }
}

Status prepareNothing(Instruction& instruction) {
  instruction.plan = nullptr;
  instruction.sharedScratch = 0;
  return {};
}

/// All targets are checked before anything is written.
Status runTargets(const Instruction& instruction, const Run& run, ChunkFunction chunkFunction) {
  const View& x = instruction.inputs[0];
  const Targets targets(run, instruction.inputs[1]);
  const int64_t rows = x.shape[0], columns = x.shape[1];
  const int32_t ignored = instruction.attributes[0];
  bool idle = true;
  for (int64_t r = 0; r < rows; r++) {
    const int32_t t = targets[r];
    if (t == ignored) continue;
    if (t < 0 || t >= columns) return {StatusCode::indexOutOfRange, 0, {t, r}};
    idle = false;
  }
  if (rows == 0 || (columns == 0 && idle && instruction.opcode == Opcode::crossEntropyGrad)) return {};
  const int64_t step = columns >= kChunkElements ? 1 : kChunkElements / (columns > 0 ? columns : 1);
  if (columns == 0) {  // only ignored rows are left
    auto* y = run.data<float>(instruction.outputs[0]);
    for (int64_t r = 0; r < rows; r++) y[r * instruction.outputs[0].stride[0]] = 0.0f;
    return {};
  }
  Job job{&instruction, &run};
  parallel(run, (rows + step - 1) / step, chunkFunction, &job);
  return {};
}

Status runCrossEntropy(const Instruction& instruction, const Run& run) { return runTargets(instruction, run, lossChunk); }
Status runCrossEntropyGrad(const Instruction& instruction, const Run& run) { return runTargets(instruction, run, gradChunk); }

}  // namespace

const KernelFamily softmaxFamily = {prepareSoftmax, runSoftmax, nullptr};
const KernelFamily crossEntropyFamily = {prepareNothing, runCrossEntropy, nullptr};
const KernelFamily crossEntropyGradFamily = {prepareNothing, runCrossEntropyGrad, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
