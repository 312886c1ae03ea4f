// Operands as rows of contiguous numbers, for kernels over sequences. In: views of any strides; out: base addresses and the steps of the
// outer dimensions. An input whose innermost stride is not 1 is first copied to shared scratch, which prepare reserves.
#pragma once
#include "pack.h"
#include "strided.h"

namespace chainrule::CHAINRULE_ISA {

/// Shared scratch as it is handed out, in bytes.
struct Reservation {
  int64_t bytes = 0;
  int64_t floats(int64_t count) {
    const int64_t at = bytes;
    bytes += (count * 4 + 63) / 64 * 64;
    return at;
  }
};

/// Where the copies of inputs lie in shared scratch; -1 where none is needed.
struct RowCopies {
  static constexpr int32_t kMax = 9;
  int64_t at[kMax];

  void reserve(const Instruction& instruction, Reservation& scratch) {
    for (int32_t i = 0; i < kMax; i++) {
      at[i] = -1;
      if (i >= instruction.inputCount) continue;
      const View& v = instruction.inputs[i];
      if (v.dtype != DType::float32 || v.rank == 0 || v.unit(v.rank - 1)) continue;
      int64_t count = 1;
      for (int32_t d = 0; d < v.rank; d++) count *= v.shape[d];
      at[i] = scratch.floats(count);
    }
  }

  /// The rows of input `i`; `step` gets the steps of all dimensions but the last.
  float* open(const Instruction& instruction, const Run& run, int32_t i, int64_t* step) const {
    const View& v = instruction.inputs[i];
    if (at[i] < 0) {
      for (int32_t d = 0; d + 1 < v.rank; d++) step[d] = v.stride[d];
      return run.data<float>(v);
    }
    Space space{v.rank, {}};
    int64_t count = 1;
    for (int32_t d = v.rank - 1; d >= 0; d--) {
      space.shape[d] = v.shape[d];
      if (d + 1 < v.rank) step[d] = count;
      count *= v.shape[d];
    }
    float* copy = reinterpret_cast<float*>(run.sharedScratch + at[i]);
    if (count > 0) packRange<float, false>(space, v.stride, run.data<float>(v), 0, count, copy);
    return copy;
  }
};

/// f(i, have) for each vector of n numbers; `have` lanes of it count.
template <class Fn>
CHAINRULE_INLINE void alongUnits(int64_t n, Fn f) {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) f(i, int64_t{kWidth});
  if (i < n) f(i, n - i);
}
CHAINRULE_INLINE F get(const float* p, int64_t have) { return have == kWidth ? load(p) : loadPartial(p, have); }
template <class T, class V>
CHAINRULE_INLINE void put(T* p, V x, int64_t have) {
  if (have == kWidth)
    store(p, x);
  else
    storePartial(p, x, have);
}

}  // namespace chainrule::CHAINRULE_ISA
