// The plan of a reduction and how its results leave: shared by both ways of reducing. In: an instruction; out: finished rows of
// results through the epilogue.
#pragma once
#include "reduce_kinds.h"
#include "source.h"

namespace chainrule::CHAINRULE_ISA {

enum class ReduceKind : int32_t { sum, prod, max, min, argmax, argmin };

struct ReducePlan {
  ReduceKind kind;
  int32_t operands, outputs, epilogueInputs;
  int32_t prologueAt, epilogueAt;
  int32_t mainView;
  bool integer;    ///< the reduced values are i32
  bool rows;       ///< whole rows of results at a time
  bool linear;     ///< tiles go across runs or rows, because those are short
  bool direct;     ///< rows are read from memory as they are
  Space kept, reduced;   ///< the domain's two halves
  Space walked;          ///< the domain in the order in which it is read
  int64_t keptCount, reducedCount;
  int64_t segments, segment;  ///< pieces of the reduced index space, and their size
  int64_t perChunk, chunks;   ///< runs: results, rows: units, for each chunk
  // Rows only: results lie in `outer` rows of rowLength, cut into blocks; a unit is a block of a row.
  int64_t rowLength, outer, block, blocks;

  // Then: Strides kept[operands + outViews], reduced[operands], walked[operands], the prologue, the epilogue.
  int32_t outViews() const { return outputs + epilogueInputs; }
  Strides* keptStrides() { return reinterpret_cast<Strides*>(this + 1); }
  const Strides* keptStrides() const { return reinterpret_cast<const Strides*>(this + 1); }
  Strides* reducedStrides() { return keptStrides() + operands + outViews(); }
  const Strides* reducedStrides() const { return keptStrides() + operands + outViews(); }
  Strides* walkedStrides() { return reducedStrides() + operands; }
  const Strides* walkedStrides() const { return keptStrides() + operands + outViews() + operands; }
  const MicroPlan* prologue() const { return reinterpret_cast<const MicroPlan*>(reinterpret_cast<const std::byte*>(this) + prologueAt); }
  const MicroPlan* epilogue() const { return reinterpret_cast<const MicroPlan*>(reinterpret_cast<const std::byte*>(this) + epilogueAt); }
};

struct ReduceJob {
  const Instruction* instruction;
  const ReducePlan* plan;
  const Run* run;
  /// Partial results of runs: values, then indices; of rows: segments × kept.
  template <class T>
  T* partials() const {
    return reinterpret_cast<T*>(run->sharedScratch);
  }
  int32_t* partialIndices() const { return reinterpret_cast<int32_t*>(run->sharedScratch) + plan->segments * plan->keptCount; }
};

/// Outputs first, then epilogue inputs.
inline const View& outView(const Instruction& instruction, const ReducePlan& plan, int32_t v) {
  return v < plan.outputs ? instruction.outputs[v] : instruction.inputs[plan.operands + v - plan.outputs];
}

constexpr int64_t kEmitted = 256;  ///< results that runs collect before the epilogue

/// The parts of a thread's scratch.
struct ReduceScratch {
  std::byte* epilogue;
  std::byte* source;
  const void** pointers;  ///< of epilogue operands and results
  int64_t* strides;
  std::byte* rest;
  ReduceScratch(const ReducePlan& plan, std::byte* scratch) {
    epilogue = scratch;
    source = epilogue + kMicroScratchBytes;
    pointers = reinterpret_cast<const void**>(source + (Source::bytes(plan.prologue()) + 63) / 64 * 64);
    strides = reinterpret_cast<int64_t*>(pointers + 2 + plan.outViews());
    rest = reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(strides + 2 + plan.outViews()) + 63) & ~uintptr_t{63});
  }
};
inline size_t scratchBytes(const ReducePlan& plan) {
  const size_t rest = RowFold<Sum<float>>::bytes(plan.block > static_cast<int64_t>(plan.prologue()->tile) ? plan.block : plan.prologue()->tile);
  return kMicroScratchBytes + Source::bytes(plan.prologue()) + 16 * static_cast<size_t>(plan.outViews() + 2) + 256 + rest;
}

/// Sets up the stream of values over `space` (walked, or a window of it whose columns begin at `column`).
inline Source openSource(const ReduceJob& job, const ReduceScratch& scratch, const Space& space, int64_t column) {
  const ReducePlan& plan = *job.plan;
  Source source;
  source.open(plan.prologue(), plan.walkedStrides(), space, plan.linear, scratch.source);
  for (int32_t i = 0; i < plan.operands; i++) {
    const View& view = job.instruction->inputs[i];
    const int64_t offset = view.offset + column * plan.walkedStrides()[i][space.rank - 1];
    source.base[i] = static_cast<const char*>(job.run->buffers[view.buffer]) + offset * sizeOf(view.dtype);
  }
  return source;
}

/// Sends results first … first+n-1 (in the order of the kept space) through the epilogue.
inline void emit(const ReduceJob& job, const ReduceScratch& scratch, const void* values, int64_t first, int64_t n) {
  const ReducePlan& plan = *job.plan;
  const int32_t last = plan.kept.rank - 1, outs = plan.outViews();
  const Strides* strides = plan.keptStrides() + plan.operands;
  // Operands: the values, the epilogue's inputs; then the results.
  const int32_t results = 1 + plan.epilogueInputs;
  while (n > 0) {
    const int64_t length = last < 0 ? 1 : plan.kept.shape[last], column = first % length;
    const int64_t m = n < length - column ? n : length - column;
    scratch.pointers[0] = values;
    scratch.strides[0] = 1;
    for (int32_t v = 0; v < outs; v++) {
      const View& view = outView(*job.instruction, plan, v);
      const int64_t step = last < 0 ? 1 : strides[v][last];
      const int64_t offset = view.offset + (last < 0 ? 0 : offsetOf(plan.kept, strides[v], last, first / length) + column * step);
      const int32_t at = v < plan.outputs ? results + v : 1 + v - plan.outputs;
      scratch.pointers[at] = static_cast<const char*>(job.run->buffers[view.buffer]) + offset * sizeOf(view.dtype);
      scratch.strides[at] = step;
    }
    runMicroRow(plan.epilogue(), scratch.pointers, scratch.strides, const_cast<void* const*>(scratch.pointers + results),
                scratch.strides + results, m, scratch.epilogue);
    values = static_cast<const char*>(values) + 4 * m;
    first += m;
    n -= m;
  }
}

}  // namespace chainrule::CHAINRULE_ISA
