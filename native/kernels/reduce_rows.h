// Reduction by rows: the innermost dimension is kept, and whole rows of results are accumulated at a time (the gradient of a bias). In:
// chunks of units, or of segments of units; out: results, or partial ones that rowsCombine() adds up in order.
#pragma once
#include "reduce_plan.h"

namespace chainrule::CHAINRULE_ISA {

/// Accumulates rows lo … hi-1 of the reduced space for the block of results that begins at `column` of outer row `outer`.
template <class Fold>
typename Fold::T* foldRows(const ReduceJob& job, const ReduceScratch& scratch, Fold& fold, int64_t outer, int64_t column, int64_t width,
                           int64_t lo, int64_t hi) {
  using T = typename Fold::T;
  const ReducePlan& plan = *job.plan;
  auto* memory = reinterpret_cast<T*>(scratch.rest);
  if (plan.linear) {
    // Several short rows make one long one, which is folded onto itself at the end.
    Source source = openSource(job, scratch, plan.walked, 0);
    const int64_t perTile = plan.prologue()->tile / width, rows = hi - lo < perTile ? hi - lo : perTile;
    fold.reset(memory, rows * width);
    source.seek((outer * plan.reducedCount + lo) * width);
    for (int64_t n, left = (hi - lo) * width; left > 0; left -= n) {
      const auto* values = static_cast<const T*>(source.next(left < rows * width ? left : rows * width, n));
      fold.add(values, n);
    }
    T* sum = fold.finish();
    Fold onto;
    onto.reset(memory == sum ? memory + rows * width : memory, width);
    for (int64_t r = 0; r < rows; r++) onto.add(sum + r * width, width);
    return onto.finish();
  }
  fold.reset(memory, width);
  Space window = plan.walked;
  const int32_t last = window.rank - 1;
  window.shape[last] = width;
  if (!plan.direct) {
    Source source = openSource(job, scratch, window, column);
    source.seek((outer * plan.reducedCount + lo) * width);
    for (int64_t r = lo; r < hi; r++) {
      int64_t n;
      const auto* values = static_cast<const T*>(source.next(width, n));
      fold.add(values, n);
    }
    return fold.finish();
  }
  const int64_t* stride = plan.walkedStrides()[0];
  const T* base = job.run->data<T>(job.instruction->inputs[0]) + column;
  const int64_t run = last > 0 ? window.shape[last - 1] : 1;
  while (lo < hi) {
    // Rows of one run are a fixed stride apart.
    const int64_t row = outer * plan.reducedCount + lo, in = row % run;
    const int64_t m = hi - lo < run - in ? hi - lo : run - in;
    fold.addRows(base + offsetOf(window, stride, last, row), last > 0 ? stride[last - 1] : 0, m);
    lo += m;
  }
  return fold.finish();
}

template <class Fold>
void rowsChunk(void* argument, int64_t chunk, std::byte* memory) {
  using T = typename Fold::T;
  const ReduceJob& job = *static_cast<const ReduceJob*>(argument);
  const ReducePlan& plan = *job.plan;
  const ReduceScratch scratch(plan, memory);
  const int64_t segment = chunk % plan.segments, first = chunk / plan.segments * plan.perChunk, units = plan.outer * plan.blocks;
  const int64_t lo = segment * plan.segment, end = lo + plan.segment, hi = end < plan.reducedCount ? end : plan.reducedCount;
  for (int64_t unit = first; unit < first + plan.perChunk && unit < units; unit++) {
    const int64_t outer = unit / plan.blocks, column = unit % plan.blocks * plan.block;
    const int64_t left = plan.rowLength - column, width = left < plan.block ? left : plan.block;
    Fold fold;
    const T* sum = foldRows(job, scratch, fold, outer, column, width, lo, hi);
    const int64_t result = outer * plan.rowLength + column;
    if (plan.segments == 1) {
      emit(job, scratch, sum, result, width);
    } else {
      memcpy(job.partials<T>() + segment * plan.keptCount + result, sum, sizeof(T) * static_cast<size_t>(width));
    }
  }
}

template <class Fold>
void rowsCombine(void* argument, int64_t unit, std::byte* memory) {
  using T = typename Fold::T;
  const ReduceJob& job = *static_cast<const ReduceJob*>(argument);
  const ReducePlan& plan = *job.plan;
  const ReduceScratch scratch(plan, memory);
  const int64_t outer = unit / plan.blocks, column = unit % plan.blocks * plan.block;
  const int64_t left = plan.rowLength - column, width = left < plan.block ? left : plan.block;
  const int64_t result = outer * plan.rowLength + column;
  Fold fold;
  fold.reset(reinterpret_cast<T*>(scratch.rest), width);
  fold.addRows(job.partials<T>() + result, plan.keptCount, plan.segments);
  emit(job, scratch, fold.finish(), result, width);
}

}  // namespace chainrule::CHAINRULE_ISA
