// Rows of views, by vectors: of unit stride or any. Used by the families that work row by row (softmax, norm_rows).
#pragma once
#include "../simd/simd.h"
#include "families.h"

namespace chainrule::CHAINRULE_ISA {

/// The first n lanes of a, and `rest` in the others.
CHAINRULE_INLINE F firstOr(F a, int64_t n, F rest) { return select(lt(lanes(), set1(static_cast<int32_t>(n))), a, rest); }

/// A row of a view, of unit stride or any.
template <bool unit>
struct Row {
  float* p;
  int64_t stride;
  float& at(int64_t i) const { return p[unit ? i : i * stride]; }
  CHAINRULE_INLINE F get(int64_t i) const { return unit ? load(p + i) : loadStrided(p + i * stride, stride); }
  CHAINRULE_INLINE F getPart(int64_t i, int64_t n) const {
    if (unit) return loadPartial(p + i, n);
    float lane[kWidth] = {};
    for (int64_t k = 0; k < n; k++) lane[k] = at(i + k);
    return load(lane);
  }
  CHAINRULE_INLINE void put(int64_t i, F a) const {
    if (unit) return store(p + i, a);
    putPart(i, a, kWidth);
  }
  CHAINRULE_INLINE void putPart(int64_t i, F a, int64_t n) const {
    if (unit) return storePartial(p + i, a, n);
    float lane[kWidth];
    store(lane, a);
    for (int64_t k = 0; k < n; k++) at(i + k) = lane[k];
  }
};

}  // namespace chainrule::CHAINRULE_ISA
