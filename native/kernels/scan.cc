// Running sums, products and linear recurrences along one axis. In: x, or a and b; out: y of their shape. Floats are accumulated in double
// precision. What runs in parallel are the other dimensions, so that results do not depend on threads.
#include <cstdlib>

#include "../simd/simd.h"
#include "strided.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int64_t kChunkElements = 16384;
/// Neighbouring runs that advance together where the axis is not the innermost dimension.
constexpr int64_t kBlock = 64;

/// Views: y and the inputs. The outer dimensions are all but the axis; the last of them is cut into blocks.
struct ScanPlan {
  Space outer;
  Strides strides[3];
  int64_t axis[3];
  int64_t length, columns, block, blocks, groups, groupsPerChunk, chunks;
};

Status prepareScan(Instruction& instruction) {
  auto* plan = static_cast<ScanPlan*>(calloc(1, sizeof(ScanPlan)));
  if (!plan) return {StatusCode::outOfMemory};
  const View* views[3] = {&instruction.outputs[0], &instruction.inputs[0], &instruction.inputs[instruction.inputCount - 1]};
  const int32_t axis = instruction.attributes[1], rank = views[0]->rank;
  plan->outer.rank = rank - 1;
  for (int32_t d = 0; d < rank; d++) {
    const int32_t to = d < axis ? d : d - 1;
    if (d != axis) plan->outer.shape[to] = views[0]->shape[d];
    for (int32_t v = 0; v < 3; v++) (d == axis ? plan->axis[v] : plan->strides[v][to]) = views[v]->stride[d];
  }
  plan->length = views[0]->shape[axis];
  const int64_t count = plan->outer.count();
  collapse(plan->outer, plan->strides, 3);
  sortByStride(plan->outer, plan->strides, 3, 0, plan->outer.rank);
  if (plan->outer.rank == 0) {
    plan->outer.rank = 1;
    plan->outer.shape[0] = count;
  }
  const int32_t last = plan->outer.rank - 1;
  plan->columns = plan->outer.shape[last];
  const bool abreast = magnitude(plan->strides[1][last]) < magnitude(plan->axis[1]);
  plan->block = abreast ? kBlock : 1;
  plan->blocks = (plan->columns + plan->block - 1) / plan->block;
  plan->groups = count > 0 && plan->length > 0 ? count / plan->columns * plan->blocks : 0;
  const int64_t perGroup = plan->block * plan->length;
  plan->groupsPerChunk = perGroup < kChunkElements ? kChunkElements / (perGroup > 0 ? perGroup : 1) : 1;
  plan->chunks = (plan->groups + plan->groupsPerChunk - 1) / plan->groupsPerChunk;
  instruction.plan = plan;
  instruction.sharedScratch = 0;
  return {};
}

struct SumStep {
  static constexpr double start = 0;
  CHAINRULE_INLINE static double next(double total, float x, float) { return total + static_cast<double>(x); }
  CHAINRULE_INLINE static uint32_t next(uint32_t total, int32_t x, int32_t) { return total + static_cast<uint32_t>(x); }
};
struct ProductStep {
  static constexpr double start = 1;
  CHAINRULE_INLINE static double next(double total, float x, float) { return total * static_cast<double>(x); }
  CHAINRULE_INLINE static uint32_t next(uint32_t total, int32_t x, int32_t) { return total * static_cast<uint32_t>(x); }
};
/// y[i] = a[i]·y[i−1] + b[i]
struct LinearStep {
  static constexpr double start = 0;
  CHAINRULE_INLINE static double next(double total, float a, float b) { return total * static_cast<double>(a) + static_cast<double>(b); }
};

template <class T>
struct Total {
  using Type = double;
};
template <>
struct Total<int32_t> {
  using Type = uint32_t;
};

/// `n` neighbouring runs from the given addresses on.
template <class Step, class T>
void scanRuns(const ScanPlan& plan, T* y, const T* a, const T* b, const int64_t* stride, int64_t n) {
  using A = typename Total<T>::Type;
  if (n == 1) {
    auto total = static_cast<A>(Step::start);
    for (int64_t i = 0; i < plan.length; i++) {
      total = Step::next(total, a[i * plan.axis[1]], b[i * plan.axis[2]]);
      y[i * plan.axis[0]] = static_cast<T>(total);
    }
    return;
  }
  A total[kBlock];
  for (int64_t j = 0; j < n; j++) total[j] = static_cast<A>(Step::start);
  for (int64_t i = 0; i < plan.length; i++) {
    T* to = y + i * plan.axis[0];
    const T* p = a + i * plan.axis[1];
    const T* q = b + i * plan.axis[2];
    for (int64_t j = 0; j < n; j++) {
      total[j] = Step::next(total[j], p[j * stride[1]], q[j * stride[2]]);
      to[j * stride[0]] = static_cast<T>(total[j]);
    }
  }
}

struct Job {
  const Instruction* instruction;
  const Run* run;
};

template <class Step, class T>
void scanChunk(void* argument, int64_t chunk, std::byte*) {
  const Job& job = *static_cast<const Job*>(argument);
  const Instruction& instruction = *job.instruction;
  const auto& plan = *static_cast<const ScanPlan*>(instruction.plan);
  auto* y = job.run->data<T>(instruction.outputs[0]);
  const auto* a = job.run->data<T>(instruction.inputs[0]);
  const auto* b = job.run->data<T>(instruction.inputs[instruction.inputCount - 1]);
  const int32_t last = plan.outer.rank - 1;
  const int64_t stride[3] = {plan.strides[0][last], plan.strides[1][last], plan.strides[2][last]};
  const int64_t first = chunk * plan.groupsPerChunk;
  for (int64_t g = first; g < first + plan.groupsPerChunk && g < plan.groups; g++) {
    const int64_t row = g / plan.blocks, column = g % plan.blocks * plan.block, left = plan.columns - column;
    int64_t offset[3];
    for (int v = 0; v < 3; v++) offset[v] = offsetOf(plan.outer, plan.strides[v], last, row) + column * stride[v];
    scanRuns<Step, T>(plan, y + offset[0], a + offset[1], b + offset[2], stride, left < plan.block ? left : plan.block);
  }
}

Status runScan(const Instruction& instruction, const Run& run) {
  const auto& plan = *static_cast<const ScanPlan*>(instruction.plan);
  if (plan.chunks == 0) return {};
  Job job{&instruction, &run};
  const bool floats = instruction.outputs[0].dtype == DType::float32;
  const int32_t kind = instruction.attributes[0];
  parallel(run, plan.chunks,
           kind == 2   ? scanChunk<LinearStep, float>
           : kind == 1 ? floats ? scanChunk<ProductStep, float> : scanChunk<ProductStep, int32_t>
           : floats ? scanChunk<SumStep, float>
                       : scanChunk<SumStep, int32_t>,
           &job);
  return {};
}

}  // namespace

const KernelFamily scanFamily = {prepareScan, runScan, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
