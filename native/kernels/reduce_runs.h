// Reduction along runs: the reduced dimensions are walked innermost, each result is folded from whole vectors. In: chunks of results, or
// of segments of results; out: results, or partial ones that runsCombine() folds in order.
#pragma once
#include "reduce_plan.h"

namespace chainrule::CHAINRULE_ISA {

/// Collects results for the epilogue.
template <class Fold>
struct Emitter {
  const ReduceJob& job;
  const ReduceScratch& scratch;
  int64_t first;
  int64_t count = 0;
  int32_t* values;
  void put(const Fold& fold) {
    if constexpr (Fold::hasIndex) {
      values[count++] = fold.index();
    } else {
      const auto value = fold.value();
      memcpy(values + count++, &value, 4);
    }
    if (count == kEmitted) flush();
  }
  void flush() {
    emit(job, scratch, values, first, count);
    first += count;
    count = 0;
  }
};

template <class Fold>
void runsChunk(void* argument, int64_t chunk, std::byte* memory) {
  using T = typename Fold::Element;
  const ReduceJob& job = *static_cast<const ReduceJob*>(argument);
  const ReducePlan& plan = *job.plan;
  const ReduceScratch scratch(plan, memory);
  Source source = openSource(job, scratch, plan.walked, 0);
  Fold fold;
  fold.reset();
  if (plan.segments > 1) {
    const int64_t result = chunk / plan.segments, begin = chunk % plan.segments * plan.segment;
    int64_t left = plan.reducedCount - begin < plan.segment ? plan.reducedCount - begin : plan.segment;
    source.seek(result * plan.reducedCount + begin);
    for (int64_t n, at = begin; left > 0; left -= n, at += n) {
      const auto* values = static_cast<const T*>(source.next(left, n));
      fold.add(values, n, at);
    }
    job.partials<T>()[chunk] = fold.value();
    job.partialIndices()[chunk] = fold.index();
    return;
  }
  const int64_t first = chunk * plan.perChunk, end = first + plan.perChunk < plan.keptCount ? first + plan.perChunk : plan.keptCount;
  Emitter<Fold> emitter{job, scratch, first, 0, reinterpret_cast<int32_t*>(scratch.rest)};
  if (plan.reducedCount == 0) {
    for (int64_t i = first; i < end; i++) emitter.put(fold);
    return emitter.flush();
  }
  source.seek(first * plan.reducedCount);
  int64_t at = 0;  // within the current result's run
  for (int64_t n, left = (end - first) * plan.reducedCount; left > 0; left -= n) {
    const auto* values = static_cast<const T*>(source.next(left, n));
    for (int64_t done = 0; done < n;) {
      const int64_t m = n - done < plan.reducedCount - at ? n - done : plan.reducedCount - at;
      fold.add(values + done, m, at);
      done += m;
      at += m;
      if (at < plan.reducedCount) continue;
      emitter.put(fold);
      fold.reset();
      at = 0;
    }
  }
  emitter.flush();
}

template <class Fold>
void runsCombine(void* argument, int64_t, std::byte* memory) {
  using T = typename Fold::Element;
  const ReduceJob& job = *static_cast<const ReduceJob*>(argument);
  const ReducePlan& plan = *job.plan;
  const ReduceScratch scratch(plan, memory);
  Emitter<Fold> emitter{job, scratch, 0, 0, reinterpret_cast<int32_t*>(scratch.rest)};
  for (int64_t i = 0; i < plan.keptCount; i++) {
    Fold fold;
    fold.reset();
    for (int64_t s = 0; s < plan.segments; s++) {
      fold.merge(job.partials<T>()[i * plan.segments + s], job.partialIndices()[i * plan.segments + s]);
    }
    emitter.put(fold);
  }
  emitter.flush();
}

}  // namespace chainrule::CHAINRULE_ISA
