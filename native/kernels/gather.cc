// gather and scatterAdd along one axis. In: values, indices (int32 or uint8) and the axis; out: the chosen elements, or
// the sums (or the last) of what goes to each element. All indices are checked before anything is written. scatterAdd goes in the order of
// the axis; what runs in parallel are the other dimensions, so that results do not depend on threads.
#include <cstdlib>
#include <cstring>

#include "../simd/simd.h"
#include "strided.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int64_t kChunkElements = 16384;

// --- the check of indices --------------------------------------------------------------------------------------

/// The distinct elements of an index view.
struct IndexPlan {
  Space space;
  Strides strides[1];
  int64_t count, chunks;
};

void planIndex(IndexPlan& plan, const View& index) {
  plan.space.rank = index.rank;
  for (int32_t d = 0; d < index.rank; d++) {
    plan.space.shape[d] = index.stride[d] == 0 && index.shape[d] > 0 ? 1 : index.shape[d];
    plan.strides[0][d] = index.stride[d];
  }
  plan.count = plan.space.count();
  collapse(plan.space, plan.strides, 1);
  if (plan.space.rank == 0) {
    plan.space.rank = 1;
    plan.space.shape[0] = plan.count;
    plan.strides[0][0] = 1;
  }
  plan.chunks = (plan.count + 4 * kChunkElements - 1) / (4 * kChunkElements);
}

/// Whether all n indices are in 0..limit-1.
template <class T>
bool allBelow(const T* p, int64_t stride, int64_t n, int64_t limit) {
  const auto bound = static_cast<uint32_t>(limit > INT32_MAX ? INT32_MAX : limit);
  uint32_t bad = 0;
  if (stride == 1) {
    for (int64_t i = 0; i < n; i++) bad |= static_cast<uint32_t>(static_cast<uint32_t>(p[i]) >= bound);
  } else {
    for (int64_t i = 0; i < n; i++) bad |= static_cast<uint32_t>(static_cast<uint32_t>(p[i * stride]) >= bound);
  }
  return bad == 0;
}

struct Check {
  const IndexPlan* plan;
  const void* data;
  bool bytes;
  int64_t limit;
  int32_t bad;
};

void checkChunk(void* argument, int64_t chunk, std::byte*) {
  Check& check = *static_cast<Check*>(argument);
  const IndexPlan& plan = *check.plan;
  const int32_t last = plan.space.rank - 1;
  const int64_t inner = plan.space.shape[last], s = plan.strides[0][last];
  int64_t lo = chunk * 4 * kChunkElements;
  const int64_t hi = lo + 4 * kChunkElements < plan.count ? lo + 4 * kChunkElements : plan.count;
  while (lo < hi) {
    const int64_t column = lo % inner, n = hi - lo < inner - column ? hi - lo : inner - column;
    const int64_t at = offsetOf(plan.space, plan.strides[0], last, lo / inner) + column * s;
    const bool fine = check.bytes ? allBelow(static_cast<const uint8_t*>(check.data) + at, s, n, check.limit)
                                  : allBelow(static_cast<const int32_t*>(check.data) + at, s, n, check.limit);
    if (!fine) __atomic_store_n(&check.bad, 1, __ATOMIC_RELAXED);
    lo += n;
  }
}

const void* indexData(const Run& run, const View& v) {
  return v.dtype == DType::uint8 ? static_cast<const void*>(run.data<uint8_t>(v)) : run.data<int32_t>(v);
}

Status checkIndices(const IndexPlan& plan, const View& index, const Run& run, int64_t limit) {
  Check check{&plan, indexData(run, index), index.dtype == DType::uint8, limit, 0};
  if (plan.chunks > 0) parallel(run, plan.chunks, checkChunk, &check);
  if (check.bad == 0) return {};
  Space space;  // slowly, to name the first
  space.rank = index.rank;
  for (int32_t d = 0; d < index.rank; d++) space.shape[d] = index.shape[d];
  for (int64_t i = 0; i < space.count(); i++) {
    const int64_t at = offsetOf(space, index.stride, index.rank, i);
    const int32_t value = check.bytes ? static_cast<const uint8_t*>(check.data)[at] : static_cast<const int32_t*>(check.data)[at];
    if (value < 0 || value >= limit) return {StatusCode::indexOutOfRange, 0, {value, i}};
  }
  return {};
}

// --- gather ----------------------------------------------------------------------------------------------------

struct GatherPlan {
  IndexPlan index;
  Space space;         // of y
  Strides strides[3];  // y, index, x with 0 on the axis
  int64_t count, chunks, axisStride;
};

struct Job {
  const Instruction* instruction;
  const Run* run;
};

Status prepareGather(Instruction& instruction) {
  auto* plan = static_cast<GatherPlan*>(calloc(1, sizeof(GatherPlan)));
  if (!plan) return {StatusCode::outOfMemory};
  const View &x = instruction.inputs[0], &index = instruction.inputs[1], &y = instruction.outputs[0];
  const int32_t axis = instruction.attributes[0];
  planIndex(plan->index, index);
  plan->space.rank = y.rank;
  for (int32_t d = 0; d < y.rank; d++) {
    plan->space.shape[d] = y.shape[d];
    plan->strides[0][d] = y.stride[d];
    plan->strides[1][d] = index.stride[d];
    plan->strides[2][d] = d == axis ? 0 : x.stride[d];
  }
  plan->axisStride = x.stride[axis];
  plan->count = plan->space.count();
  collapse(plan->space, plan->strides, 3);
  if (plan->space.rank == 0) {
    plan->space.rank = 1;
    plan->space.shape[0] = 1;
    for (auto& s : plan->strides) s[0] = 0;
  }
  plan->chunks = (plan->count + kChunkElements - 1) / kChunkElements;
  instruction.plan = plan;
  instruction.sharedScratch = 0;
  return {};
}

/// One run of the innermost dimension.
template <class T, class Index>
void gatherRun(T* y, const Index* index, const T* x, const int64_t* stride, int64_t axisStride, int64_t n) {
  if (stride[1] == 0) {
    const T* from = x + *index * axisStride;
    if (stride[0] == 1 && stride[2] == 1) {
      memcpy(y, from, sizeof(T) * static_cast<size_t>(n));
    } else {
      for (int64_t i = 0; i < n; i++) y[i * stride[0]] = from[i * stride[2]];
    }
  } else {
    for (int64_t i = 0; i < n; i++) y[i * stride[0]] = x[i * stride[2] + index[i * stride[1]] * axisStride];
  }
}

template <class T, class Index>
void gatherPart(const GatherPlan& plan, T* y, const Index* index, const T* x, int64_t lo, int64_t hi) {
  const int32_t last = plan.space.rank - 1;
  const int64_t inner = plan.space.shape[last];
  const int64_t stride[3] = {plan.strides[0][last], plan.strides[1][last], plan.strides[2][last]};
  int64_t offset[3], column = lo % inner;
  Odometer odometer;
  odometer.start(plan.space, last, lo / inner);
  for (int v = 0; v < 3; v++) offset[v] = offsetOf(plan.space, plan.strides[v], last, lo / inner);
  while (lo < hi) {
    const int64_t n = hi - lo < inner - column ? hi - lo : inner - column;
    gatherRun(y + offset[0] + column * stride[0], index + offset[1] + column * stride[1], x + offset[2] + column * stride[2], stride,
              plan.axisStride, n);
    lo += n;
    column = 0;
    odometer.next(plan.space, plan.strides, 3, offset);
  }
}

template <class T>
void gatherTyped(const Job& job, int64_t lo, int64_t hi) {
  const Instruction& instruction = *job.instruction;
  const auto& plan = *static_cast<const GatherPlan*>(instruction.plan);
  auto* y = job.run->data<T>(instruction.outputs[0]);
  const auto* x = job.run->data<T>(instruction.inputs[0]);
  const void* index = indexData(*job.run, instruction.inputs[1]);
  if (instruction.inputs[1].dtype == DType::uint8) {
    gatherPart(plan, y, static_cast<const uint8_t*>(index), x, lo, hi);
  } else {
    gatherPart(plan, y, static_cast<const int32_t*>(index), x, lo, hi);
  }
}

void gatherChunk(void* argument, int64_t chunk, std::byte*) {
  const Job& job = *static_cast<const Job*>(argument);
  const int64_t count = static_cast<const GatherPlan*>(job.instruction->plan)->count;
  const int64_t lo = chunk * kChunkElements, hi = lo + kChunkElements < count ? lo + kChunkElements : count;
  if (sizeOf(job.instruction->outputs[0].dtype) == 4) {
    gatherTyped<int32_t>(job, lo, hi);
  } else {
    gatherTyped<uint8_t>(job, lo, hi);
  }
}

Status runGather(const Instruction& instruction, const Run& run) {
  const auto& plan = *static_cast<const GatherPlan*>(instruction.plan);
  const Status s = checkIndices(plan.index, instruction.inputs[1], run, instruction.inputs[0].shape[instruction.attributes[0]]);
  if (!s.ok()) return s;
  Job job{&instruction, &run};
  if (plan.chunks > 0) parallel(run, plan.chunks, gatherChunk, &job);
  return {};
}

// --- scatterAdd ------------------------------------------------------------------------------------------------

/// The shape is split at the axis; both sides are collapsed. Views: src, index, y (without the axis).
struct ScatterPlan {
  IndexPlan index;
  Space outer, inner;
  Strides outerStrides[3], innerStrides[3];
  int64_t axis[3];  // strides along the axis
  int64_t axisCount, resultCount, outerCount, innerRows;
  int64_t outerPerChunk, block, blocks, chunks;
};

Status prepareScatter(Instruction& instruction) {
  auto* plan = static_cast<ScatterPlan*>(calloc(1, sizeof(ScatterPlan)));
  if (!plan) return {StatusCode::outOfMemory};
  const View* views[3] = {&instruction.inputs[0], &instruction.inputs[1], &instruction.outputs[0]};
  const int32_t axis = instruction.attributes[0], rank = views[0]->rank;
  planIndex(plan->index, *views[1]);
  plan->outer.rank = axis;
  plan->inner.rank = rank - axis - 1;
  for (int32_t d = 0; d < rank; d++) {
    if (d < axis) plan->outer.shape[d] = views[0]->shape[d];
    if (d > axis) plan->inner.shape[d - axis - 1] = views[0]->shape[d];
    for (int v = 0; v < 3; v++) {
      if (d < axis) plan->outerStrides[v][d] = views[v]->stride[d];
      if (d == axis) plan->axis[v] = views[v]->stride[d];
      if (d > axis) plan->innerStrides[v][d - axis - 1] = views[v]->stride[d];
    }
  }
  plan->axisCount = views[0]->shape[axis];
  plan->resultCount = views[2]->shape[axis];
  plan->outerCount = plan->outer.count();
  const int64_t inner = plan->inner.count();
  collapse(plan->outer, plan->outerStrides, 3);
  collapse(plan->inner, plan->innerStrides, 3);
  if (plan->inner.rank == 0) {
    plan->inner.rank = 1;
    plan->inner.shape[0] = inner;
  }
  const int64_t last = plan->inner.shape[plan->inner.rank - 1], work = plan->axisCount + plan->resultCount;
  plan->innerRows = last > 0 ? inner / last : 0;
  // Blocks of columns only where the work is worth it: a line of y (64 bytes) then belongs to one block.
  plan->block = last;
  if (plan->innerRows == 1 && last >= 128 && work * last > 4 * kChunkElements) plan->block = 64;
  plan->blocks = plan->block > 0 ? (last + plan->block - 1) / plan->block : 0;
  const int64_t perOuter = work * plan->innerRows * plan->block;
  plan->outerPerChunk = perOuter < kChunkElements ? kChunkElements / (perOuter > 0 ? perOuter : 1) : 1;
  plan->chunks = inner == 0 ? 0 : (plan->outerCount + plan->outerPerChunk - 1) / plan->outerPerChunk * plan->blocks;
  instruction.plan = plan;
  instruction.sharedScratch = 0;
  return {};
}

struct Add {
  CHAINRULE_INLINE static void put(float& to, float from) { to += from; }
  CHAINRULE_INLINE static void put(int32_t& to, int32_t from) { to = static_cast<int32_t>(static_cast<uint32_t>(to) + static_cast<uint32_t>(from)); }
  template <class T>
  CHAINRULE_INLINE static void vector(T* to, const T* from) { store(to, load(to) + load(from)); }
};
/// The last stays.
struct Replace {
  template <class T>
  CHAINRULE_INLINE static void put(T& to, T from) { to = from; }
};

/// One outer index: columns first..first+n-1 of the inner dimension.
template <class Put, class T, class Index>
void scatterOuter(const ScatterPlan& plan, const T* src, const Index* index, T* y, int64_t first, int64_t n) {
  const int32_t last = plan.inner.rank - 1;
  const int64_t ss = plan.innerStrides[0][last], si = plan.innerStrides[1][last], sy = plan.innerStrides[2][last];
  Odometer odometer;
  odometer.start(plan.inner, last, 0);
  int64_t offset[3] = {first * ss, first * si, first * sy};
  for (int64_t row = 0; row < plan.innerRows; row++) {
    const T* s = src + offset[0];
    const Index* k = index + offset[1];
    T* to = y + offset[2];
    if (n == 1 && plan.axis[2] == 1) {
      memset(static_cast<void*>(to), 0, sizeof(T) * static_cast<size_t>(plan.resultCount));
    } else {
      for (int64_t a = 0; a < plan.resultCount; a++) {
        T* p = to + a * plan.axis[2];
        if (sy == 1) {
          memset(static_cast<void*>(p), 0, sizeof(T) * static_cast<size_t>(n));
        } else {
          for (int64_t j = 0; j < n; j++) p[j * sy] = 0;
        }
      }
    }
    for (int64_t a = 0; a < plan.axisCount; a++) {
      const T* from = s + a * plan.axis[0];
      const Index* at = k + a * plan.axis[1];
      if (n == 1) {
        Put::put(to[*at * plan.axis[2]], *from);
      } else if (si == 0 && ss == 1 && sy == 1) {
        T* p = to + *at * plan.axis[2];
        if constexpr (requires { Put::vector(p, from); }) {
          int64_t j = 0;
          for (; j + kWidth <= n; j += kWidth) Put::vector(p + j, from + j);
          for (; j < n; j++) Put::put(p[j], from[j]);
        } else {
          memcpy(p, from, sizeof(T) * static_cast<size_t>(n));
        }
      } else {
        for (int64_t j = 0; j < n; j++) Put::put(to[at[j * si] * plan.axis[2] + j * sy], from[j * ss]);
      }
    }
    odometer.next(plan.inner, plan.innerStrides, 3, offset);
  }
}

template <class Put, class T, class Index>
void scatterTyped(const Job& job, int64_t chunk) {
  const Instruction& instruction = *job.instruction;
  const auto& plan = *static_cast<const ScatterPlan*>(instruction.plan);
  const auto* src = job.run->data<T>(instruction.inputs[0]);
  const auto* index = static_cast<const Index*>(indexData(*job.run, instruction.inputs[1]));
  auto* y = job.run->data<T>(instruction.outputs[0]);
  const int64_t first = chunk / plan.blocks * plan.outerPerChunk, column = chunk % plan.blocks * plan.block;
  const int64_t left = plan.inner.shape[plan.inner.rank - 1] - column, n = left < plan.block ? left : plan.block;
  Odometer odometer;
  odometer.start(plan.outer, plan.outer.rank, first);
  int64_t offset[3];
  for (int v = 0; v < 3; v++) offset[v] = offsetOf(plan.outer, plan.outerStrides[v], plan.outer.rank, first);
  for (int64_t o = first; o < first + plan.outerPerChunk && o < plan.outerCount; o++) {
    scatterOuter<Put>(plan, src + offset[0], index + offset[1], y + offset[2], column, n);
    odometer.next(plan.outer, plan.outerStrides, 3, offset);
  }
}

template <class Put, class T>
void scatterIndexed(const Job& job, int64_t chunk) {
  job.instruction->inputs[1].dtype == DType::uint8 ? scatterTyped<Put, T, uint8_t>(job, chunk) : scatterTyped<Put, T, int32_t>(job, chunk);
}

void scatterChunk(void* argument, int64_t chunk, std::byte*) {
  const Job& job = *static_cast<const Job*>(argument);
  const DType type = job.instruction->outputs[0].dtype;
  if (job.instruction->attributes[1] == 1) {
    sizeOf(type) == 4 ? scatterIndexed<Replace, int32_t>(job, chunk) : scatterIndexed<Replace, uint8_t>(job, chunk);
  } else {
    type == DType::float32 ? scatterIndexed<Add, float>(job, chunk) : scatterIndexed<Add, int32_t>(job, chunk);
  }
}

Status runScatter(const Instruction& instruction, const Run& run) {
  const auto& plan = *static_cast<const ScatterPlan*>(instruction.plan);
  const Status s = checkIndices(plan.index, instruction.inputs[1], run, plan.resultCount);
  if (!s.ok()) return s;
  Job job{&instruction, &run};
  if (plan.chunks > 0) parallel(run, plan.chunks, scatterChunk, &job);
  return {};
}

}  // namespace

const KernelFamily gatherFamily = {prepareGather, runGather, nullptr};
const KernelFamily scatterAddFamily = {prepareScatter, runScatter, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
